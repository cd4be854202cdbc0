//! Probes: questions put to the platform with a client's own token, to prove that it refuses what it should.
//!
//! Enters: what a client can do ([`Forecast`]), what it declares, a table of operations that are safe to ask, and the
//! platform's answers. Leaves: a plan, and a judgement of each answer. Must never: plan an operation that the curated
//! table does not list, put a known id into a path, or call a silence a refusal.
//!
//! - `forecast`: what the analysis predicts. - `safety`: what may be sent at all, and why. - `plan`: what is sent.
//! - `verdict`: what an answer proves. - `silence`: what an empty list proves. - `token`: what a token tells.

mod forecast;
pub mod plan;
mod safety;
mod silence;
pub mod token;
mod verdict;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use forecast::{Forecast, Held};
pub use safety::{Class, SafeOperation, safe_operations};
pub use silence::{Silence, judge_empty};
pub use verdict::{Answer, Judgement, judge, stable_code};

use super::{Severity, finding::ClientRef};

/// What should happen to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The platform should refuse: a negative test.
    Deny,
    /// The platform should answer: a positive test.
    Allow,
}

impl Expectation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Deny, Self::Allow];

    /// The word in JSON, in the database and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }

    /// Reads the word that [`Expectation::as_str`] writes; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// What the analysis says that the platform will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The client's permissions suffice.
    Granted,
    /// They suffice only under a condition of a policy, which may not hold.
    Conditional,
    /// They do not suffice.
    Refused,
    /// The operation declares no permission, so nothing is predicted.
    Undeclared,
    /// What the client holds is not known well enough: it acts as a user, or a role was not read.
    Unknown,
}

impl Prediction {
    /// Every prediction.
    pub const ALL: [Self; 5] =
        [Self::Granted, Self::Conditional, Self::Refused, Self::Undeclared, Self::Unknown];

    /// The word in JSON and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Conditional => "conditional",
            Self::Refused => "refused",
            Self::Undeclared => "undeclared",
            Self::Unknown => "unknown",
        }
    }
}

/// What a probe proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The platform refused.
    Refused,
    /// A negative test got past the permission check, or may have.
    NotRefused,
    /// A positive test got an answer.
    Allowed,
    /// Nothing was proven; it is tried again later.
    Inconclusive,
    /// It was not sent, and the explanation says why.
    NotSent,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] =
        [Self::Refused, Self::NotRefused, Self::Allowed, Self::Inconclusive, Self::NotSent];

    /// The word in JSON and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NotRefused => "not_refused",
            Self::Allowed => "allowed",
            Self::Inconclusive => "inconclusive",
            Self::NotSent => "not_sent",
        }
    }

    /// Whether it proves something.
    pub fn is_proof(self) -> bool {
        matches!(self, Self::Refused | Self::NotRefused | Self::Allowed)
    }
}

/// Why an operation is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The contract says that it must be denied.
    MustBeDenied,
    /// The built-in list of operations that hardly any client should perform.
    Restricted,
    /// The contract declares it as a call of the client.
    Declared,
    /// The analysis chose it: next to what the client holds, and not held.
    Nearest,
}

/// One probe and what became of it, in the JSON shape that users see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The organisation's configured name.
    pub org: String,
    /// The client whose token asked.
    pub client: ClientRef,
    /// `DELETE /api/v2/users/{userId}`: the template, never the path that was sent.
    pub operation: String,
    /// What should happen.
    pub expectation: Expectation,
    /// Why it is probed.
    pub origin: Origin,
    /// A request left this machine.
    pub sent: bool,
    /// The HTTP status; absent if no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The platform's code for the answer, or our own word for what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it proved.
    pub verdict: Verdict,
    /// The permissions that the refusal names.
    pub permissions: Vec<String>,
    /// What the analysis predicted.
    pub predicted: Prediction,
    /// Why sending it could change nothing; absent if it may not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_because: Option<String>,
    /// How bad it is; absent if all is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Prediction and answer disagree.
    pub mismatch: bool,
    /// Refused, and the platform does not say for want of what.
    pub unexplained: bool,
    /// What an empty list means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// One or two sentences for a person.
    pub explanation: String,
    /// When it was tried.
    pub at: DateTime<Utc>,
}

impl Observation {
    /// The status, if a negative test was answered 2xx, or 409, which is no refusal either: sending it again is for a
    /// person to decide.
    pub fn must_not_be_repeated(&self) -> Option<u16> {
        let accepted = self.status.filter(|status| matches!(status, 200..=299 | 409));
        accepted.filter(|_| self.sent && self.expectation == Expectation::Deny)
    }

    /// Whether it says the same as another, whenever they were made.
    fn agrees_with(&self, other: &Self) -> bool {
        (self.verdict, self.severity, self.mismatch, self.unexplained, self.silence, &self.explanation)
            == (
                other.verdict,
                other.severity,
                other.mismatch,
                other.unexplained,
                other.silence,
                &other.explanation,
            )
    }
}

/// Where one probe stands after all runs so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last attempt that proved something.
    pub proven: Option<Observation>,
    /// Since when every proof said the same.
    pub since: Option<DateTime<Utc>>,
    /// The last attempt.
    pub latest: Observation,
    /// Attempts in a row, the last included, that proved nothing though they were made.
    pub inconclusive: u32,
}

impl Standing {
    /// After one more attempt. What was proven stays proven until an attempt proves something else.
    pub fn after(before: Option<Self>, latest: Observation) -> Self {
        let (proven, since, inconclusive) = match before {
            Some(before) => (before.proven, before.since, before.inconclusive),
            None => (None, None, 0),
        };
        match latest.verdict {
            Verdict::NotSent => Self { proven, since, latest, inconclusive },
            Verdict::Inconclusive => {
                Self { proven, since, latest, inconclusive: inconclusive.saturating_add(1) }
            }
            Verdict::Refused | Verdict::NotRefused | Verdict::Allowed => {
                let is_same = proven.as_ref().is_some_and(|proven| proven.agrees_with(&latest));
                let since = since.filter(|_| is_same).or(Some(latest.at));
                Self { proven: Some(latest.clone()), since, latest, inconclusive: 0 }
            }
        }
    }
}

/// Sent probes of one client and operation on one day, for whoever asks what a client used by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// The client's id.
    pub client: String,
    /// `DELETE`.
    pub method: String,
    /// `/api/v2/users/{userId}`.
    pub template: String,
    /// The day (UTC), `2026-11-24`.
    pub day: String,
    /// 2 to 5: the hundreds of the status; 0: no answer came.
    pub status_class: u8,
    /// How many.
    pub count: u64,
}
