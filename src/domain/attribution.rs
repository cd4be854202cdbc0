//! Who did it: entries of the platform's audit log that explain an event.
//!
//! Enters: a [`Question`] (which subject changed, how, and within which window), the log's entries, and whether the log was
//! read whole. Leaves: an [`Attribution`], with its certainty stated. Must never: name one actor as certain where two are
//! possible, look outside the window, keep the value of a property that holds a secret, or grow without bound.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

mod combine;
mod pending;
mod question;
mod weigh;

pub use combine::combine;
pub use pending::{Pending, spans, whole_days};
pub use question::{Asked, MOST_TERMS, Question, Span, Terms, ask};
pub use weigh::{Read, answer};

/// Candidates that an attribution names; the count says how many there were.
pub const CANDIDATES: usize = 5;
/// Changed properties that are told of one entry.
pub const CHANGES: usize = 10;
/// Old or new values that are told of one property.
pub const VALUES: usize = 10;
/// Letters of any text that comes from the log.
pub const LETTERS: usize = 200;

/// How sure an attribution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// One actor, and nobody else is possible by what the log shows.
    Exact,
    /// Somebody among the candidates, within the window.
    WithinWindow,
    /// Not known; the reason says why.
    Unknown,
}

impl Certainty {
    /// Every certainty, the surest first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::WithinWindow, Self::Unknown];

    /// The word in JSON and in the `certainty` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::WithinWindow => "within_window",
            Self::Unknown => "unknown",
        }
    }
}

/// What kind of actor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    User,
    /// An OAuth client.
    Client,
    /// Genesys Cloud itself.
    Platform,
    /// This program's own configuration: a contract, how scopes are enforced.
    Configuration,
}

impl ActorKind {
    /// The word in JSON, and in brackets behind a name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Platform => "platform",
            Self::Configuration => "configuration",
        }
    }
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ActorKind,
    /// Its id; the platform and the configuration have none.
    pub id: Option<String>,
    /// Its name, where it is known.
    pub name: Option<String>,
}

impl Actor {
    fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id == other.id
    }

    fn words(&self) -> String {
        match self.kind {
            ActorKind::Platform => "the platform".to_owned(),
            ActorKind::Configuration => "the configuration of scopewarden".to_owned(),
            kind => {
                let name = self.name.as_ref().or(self.id.as_ref()).map_or("somebody", String::as_str);
                format!("{name} ({})", kind.as_str())
            }
        }
    }
}

/// A property that an entry says was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change {
    /// The platform's name of it.
    pub property: String,
    /// Its values before; empty for a secret.
    pub old: Vec<String>,
    /// Its values after; empty for a secret.
    pub new: Vec<String>,
}

/// One entry of the platform's audit log, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// When it happened, by the platform's clock.
    pub at: DateTime<Utc>,
    /// The entry's own id.
    pub id: String,
    /// Who acted; `None`: the entry does not say.
    pub actor: Option<Actor>,
    /// From which address.
    pub remote_ip: Option<String>,
    /// `Update`, `Create`, …
    pub action: String,
    /// `OAuthClient`, `Role`, …
    pub entity_type: String,
    /// What was acted on: the entity itself, and others that the entry says it changed.
    pub entities: BTreeSet<String>,
    /// What changed of it.
    pub changes: Vec<Change>,
}

/// One possible actor of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `user`, `client` or `platform`; `None`: the entry does not say.
    #[serde(rename = "type")]
    pub kind: Option<ActorKind>,
    /// Its id.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// When it acted.
    pub at: DateTime<Utc>,
    /// From which address.
    pub remote_ip: Option<String>,
    /// What it did, in the platform's word.
    pub action: String,
}

/// Who made a change, in the JSON shape that users see (`"actor"` of an event).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// How sure this is.
    pub certainty: Certainty,
    /// What kind of actor; `None`: not one that is certain.
    #[serde(rename = "type")]
    pub kind: Option<ActorKind>,
    /// Its id.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// When the change was made (if several times: last), by the platform's clock.
    pub at: Option<DateTime<Utc>>,
    /// From which address.
    pub remote_ip: Option<String>,
    /// What the platform's log calls it.
    pub action: Option<String>,
    /// Old and new values, as the log has them.
    pub changes: Vec<Change>,
    /// Entries that may explain the change, the newest first: of several actors, or several by the same one.
    pub candidates: Vec<Candidate>,
    /// How many there were before the list was cut.
    pub candidates_total: usize,
    /// Why it is not certain, in one sentence.
    pub reason: Option<String>,
}

impl Attribution {
    /// Not known, and why.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            certainty: Certainty::Unknown,
            kind: None,
            id: None,
            name: None,
            at: None,
            remote_ip: None,
            action: None,
            changes: Vec::new(),
            candidates: Vec::new(),
            candidates_total: 0,
            reason: Some(reason.into()),
        }
    }

    /// Done by something that has no entry in the log.
    fn by(kind: ActorKind) -> Self {
        Self { certainty: Certainty::Exact, kind: Some(kind), reason: None, ..Self::unknown("") }
    }

    /// The end of a sentence about the event: `, edited by Ada Admin (user) from 203.0.113.7 at 02:11:42Z`. Empty where it
    /// would say nothing that the sentence does not say.
    pub fn words(&self) -> String {
        match (self.certainty, self.kind) {
            (Certainty::Exact, Some(kind)) if self.at.is_some() => {
                let actor = Actor { kind, id: self.id.clone(), name: self.name.clone() };
                let from = self.remote_ip.as_ref().map(|ip| format!(" from {ip}")).unwrap_or_default();
                let at = self.at.map(|at| format!(" at {}", at.format("%H:%M:%SZ"))).unwrap_or_default();
                format!(", {} by {}{from}{at}", self.verb(), actor.words())
            }
            (Certainty::WithinWindow, _) => {
                let mut names: Vec<String> = Vec::new();
                for candidate in &self.candidates {
                    let name = candidate.kind.map_or_else(
                        || "somebody".to_owned(),
                        |kind| {
                            let (id, name) = (candidate.id.clone(), candidate.name.clone());
                            Actor { kind, id, name }.words()
                        },
                    );
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                format!(", {} by one of: {}", self.verb(), names.join(", "))
            }
            // The platform and the configuration are the sentence's own subject.
            (Certainty::Exact | Certainty::Unknown, _) => String::new(),
        }
    }

    fn verb(&self) -> &'static str {
        match self.action.as_deref() {
            Some("Create" | "Add") => "made",
            Some("Delete" | "Remove") => "deleted",
            _ => "edited",
        }
    }
}

/// When a question that the log did not answer is asked again: sooner at first, then less and less often.
pub fn pause(attempts: u32) -> TimeDelta {
    TimeDelta::minutes(1_i64 << attempts.min(7))
}

/// How long a question is asked again before it is given up.
pub const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// A text of the log, cut to what is kept of it.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(LETTERS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A moment as the platform's queries want it.
pub fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
