//! Decisions of people about findings: acknowledge, mute, approve, baseline.
//!
//! Enters: what a person asks, the open findings, what an audit concluded, `now`. Leaves: [`Entry`]s for a record that
//! only grows, and what is to be told. Must never: rewrite a decision (it is made once, and ended once, with a reason), or
//! hide a finding that says something else than what was decided upon.
//!
//! **One rule ties it together: an alert is open exactly while its finding is due** ([`Finding::is_due`]): it fails, and no
//! mute, baseline or approval covers it. What makes it due is told (`finding.opened`, `finding.reopened`), what ends that
//! is told (`finding.resolved`), once each.
//!
//! - A decision **covers** findings, each with the [`fingerprint`] of its content then. A finding whose
//!   fingerprint is another is not covered: that cover ends, for the reason `changed`.
//! - *Mute* and *baseline* hold over a resolve: the same content that fails again before they expire stays muted. An
//!   *approval* holds while the change that it accepts stands ([`revert`]). An *acknowledgement* silences nothing, and ends
//!   when its finding resolves or changes.
//! - The state of all decisions is the [`Ledger`]: their entries, replayed.
//!
//! `desk`: what people ask for. `settle`: what an audit makes of it. `history`: the life of one finding.
//!
//! [`Finding::is_due`]: super::finding::Finding::is_due

pub mod desk;
pub mod fingerprint;
pub mod history;
mod ledger;
pub mod revert;
mod settle;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    fingerprint::Fingerprint,
    ledger::{Ledger, Standing},
    settle::{Settled, settle},
};
use super::event::Cause;

/// The longest that a mute, a baseline or an approval may last: each comes before a person again within a year.
pub const LONGEST: TimeDelta = TimeDelta::days(366);

/// A decision that ends within this time is about to expire.
pub const SOON: TimeDelta = TimeDelta::days(7);

/// Decisions of an organisation that stand at once.
pub const MOST: usize = 10_000;

/// Letters of an owner, a ticket, a reason.
pub const TEXT: usize = 500;

/// What a decision does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody works on it. Silences nothing.
    Acknowledge,
    /// Not due until a date, as long as it says the same.
    Mute,
    /// One recorded change is accepted, with the findings that it opened.
    Approve,
    /// All that was open on a day, not due until a date.
    Baseline,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Acknowledge, Self::Mute, Self::Approve, Self::Baseline];

    /// The word in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Mute => "mute",
            Self::Approve => "approve",
            Self::Baseline => "baseline",
        }
    }

    /// Whether what it covers is not due.
    pub fn silences(self) -> bool {
        self != Self::Acknowledge
    }
}

/// One finding that a decision covers, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// The finding's uid.
    pub uid: String,
    /// What it said.
    pub fingerprint: Fingerprint,
}

/// The change that an approval accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// The event's id.
    pub event: String,
    /// The hash of its content.
    pub delta: String,
    /// The change in one sentence.
    pub summary: String,
    /// What changed: from it follows whether it was reverted.
    pub cause: Cause,
}

/// What a person decided. It is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id, unique for ever.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// Who answers for it.
    pub owner: String,
    /// Why; for an acknowledgement a note, which may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where it was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When it was made, to the millisecond.
    pub at: DateTime<Utc>,
    /// When it ends by itself; only an acknowledgement has no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
    /// The change, of an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,
    /// The findings, sorted by uid.
    pub covers: Vec<Cover>,
}

/// Why a decision, or its cover of one finding, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// A person took it back.
    Withdrawn,
    /// A person decided anew about the same finding.
    Replaced,
    /// Its time was over.
    Expired,
    /// The finding is resolved (acknowledgements only).
    Resolved,
    /// The finding says something else than what was decided upon.
    Changed,
    /// The change that was approved does not stand any more.
    Reverted,
}

impl Why {
    /// The word in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Resolved => "resolved",
            Self::Changed => "changed",
            Self::Reverted => "reverted",
        }
    }
}

/// The end of a decision, or of its cover of one finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Of which decision.
    pub decision: String,
    /// Of which finding's cover; `None`: of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Why.
    pub why: Why,
    /// When, to the millisecond.
    pub at: DateTime<Utc>,
    /// Who, if it was a person and said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// One line of the record of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A decision begins.
    Made(Box<Decision>),
    /// A decision ends, wholly or in part.
    Ended(Ending),
}

impl Entry {
    /// The decision that it is about.
    pub fn decision(&self) -> &str {
        match self {
            Self::Made(decision) => &decision.id,
            Self::Ended(ending) => &ending.decision,
        }
    }

    /// When.
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Made(decision) => decision.at,
            Self::Ended(ending) => ending.at,
        }
    }
}

/// Why a finding's alert opens again, or closes although nobody saw it pass. Part of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It was resolved once, and fails again.
    FailedAgain,
    /// The mute or baseline that covered it expired.
    MuteExpired,
    /// A person took the mute back.
    Unmuted,
    /// It says something else than what was decided upon.
    ContentChanged,
    /// The approval ended: reverted, expired or revoked.
    ApprovalLapsed,
    /// It is worse than when it was told.
    SeverityRose,
    /// A person muted it, or took it into a baseline.
    Muted,
    /// A person approved the change that opened it.
    Approved,
    /// Its check left the configuration: nobody saw it pass, and nobody asks any more.
    CheckRemoved,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::FailedAgain,
        Self::MuteExpired,
        Self::Unmuted,
        Self::ContentChanged,
        Self::ApprovalLapsed,
        Self::SeverityRose,
        Self::Muted,
        Self::Approved,
        Self::CheckRemoved,
    ];

    /// The word in `data.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailedAgain => "failed_again",
            Self::MuteExpired => "mute_expired",
            Self::Unmuted => "unmuted",
            Self::ContentChanged => "content_changed",
            Self::ApprovalLapsed => "approval_lapsed",
            Self::SeverityRose => "severity_rose",
            Self::Muted => "muted",
            Self::Approved => "approved",
            Self::CheckRemoved => "check_removed",
        }
    }

    /// Why a finding is due again after a cover of `kind` ended like this.
    fn after(kind: Kind, why: Why) -> Self {
        match (kind, why) {
            (_, Why::Changed | Why::Resolved) => Self::ContentChanged,
            (Kind::Approve, _) | (_, Why::Reverted) => Self::ApprovalLapsed,
            (_, Why::Expired) => Self::MuteExpired,
            (_, Why::Withdrawn | Why::Replaced) => Self::Unmuted,
        }
    }
}

/// A decision as a finding that it covers shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The decision's id.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Where it was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
}

impl Mark {
    /// As a finding shows it.
    pub fn of(decision: &Decision) -> Self {
        Self {
            id: decision.id.clone(),
            kind: decision.kind,
            owner: decision.owner.clone(),
            reason: decision.reason.clone(),
            ticket: decision.ticket.clone(),
            at: decision.at,
            expires: decision.expires,
        }
    }

    /// The decision in a few words: `muted by ops until 2026-12-01: reason`.
    pub fn words(&self) -> String {
        let verb = match self.kind {
            Kind::Acknowledge => "acknowledged",
            Kind::Mute => "muted",
            Kind::Approve => "approved",
            Kind::Baseline => "baseline",
        };
        let until =
            self.expires.map_or_else(String::new, |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
        let ticket = self.ticket.as_ref().map_or_else(String::new, |ticket| format!(" ({ticket})"));
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("{verb} by {}{until}{ticket}{reason}", self.owner)
    }
}

/// What people decided about a finding that fails, beside whether it is muted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The change that opened it was approved.
    #[serde(default)]
    pub approved: bool,
    /// Somebody works on it.
    #[serde(default)]
    pub acknowledged: bool,
    /// The decisions that cover it, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Arc<Mark>>,
}
