//! What to ask the log about an event.
//!
//! Enters: an event and when the audit before began. Leaves: a [`Question`] that can be kept and asked again later, or the
//! answer, where the log cannot know. Must never: be larger than a fixed bound.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ActorKind, Attribution};
use crate::domain::{
    ClientId, Severity,
    event::{CauseKind, Event, Subject},
};

/// Words of a delta that are compared with an entry's values.
pub const MOST_TERMS: usize = 200;

/// A stretch of time: after `from`, up to and with `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Not part of it.
    pub from: DateTime<Utc>,
    /// Part of it.
    pub to: DateTime<Utc>,
}

impl Span {
    /// Whether a moment lies in it.
    pub fn holds(&self, at: DateTime<Utc>) -> bool {
        self.from < at && at <= self.to
    }
}

/// What an event says was added and taken away, in words that an entry may use too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Values that are there now.
    pub added: BTreeSet<String>,
    /// Values that were there before.
    pub removed: BTreeSet<String>,
    /// Names of what changed: `permissions`, `scopes`, `name`, …
    pub fields: BTreeSet<String>,
}

/// Everything that is needed to find out who made a change, and to tell it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The event.
    pub event: String,
    /// Its content's hash.
    pub delta: String,
    /// How bad it is.
    pub severity: Severity,
    /// The event in one sentence.
    pub summary: String,
    /// The weightiest kind of change.
    pub kind: CauseKind,
    /// What changed.
    pub subject: Subject,
    /// When it changed.
    pub window: Span,
    /// What changed about it.
    pub terms: Terms,
    /// The clients that gained or lost by it; `None`: more than [`MOST_TERMS`].
    #[serde(default)]
    pub clients: Option<Vec<ClientId>>,
}

impl Question {
    /// Types of the log's entities that tell of this subject.
    pub fn entity_types(&self) -> &'static [&'static str] {
        match self.subject.kind.as_str() {
            "client" => &["OAuthClient", "OAuthClientAuthorization"],
            "role" => &["Role"],
            "division" => &["Division", "AuthzDivision"],
            _ => &[],
        }
    }
}

/// Whom to ask about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody: this is the answer.
    Nobody(Box<Attribution>),
    /// The platform's audit log.
    Log(Box<Question>),
}

/// What to ask about an event that lies in `window`: from when the audit before began to read (what changed while it read
/// may have been missed by it) to when this one was done. A change of observed grants has a window of its own.
pub fn ask(event: &Event, summary: String, window: Span) -> Asked {
    let by = match event.cause.kind {
        CauseKind::CatalogueChanged => Some(ActorKind::Platform),
        CauseKind::ContractChanged | CauseKind::ScopeEnforcementChanged => Some(ActorKind::Configuration),
        _ => None,
    };
    if let Some(kind) = by {
        return Asked::Nobody(Box::new(Attribution::by(kind)));
    }
    let mut window = window;
    if let Some(observed) = event.cause.details.get("observed_between")
        && let Some(from) = observed["from"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok())
    {
        window.from = window.from.min(from);
    }
    Asked::Log(Box::new(Question {
        event: event.id.clone(),
        delta: event.delta.clone(),
        severity: event.severity,
        summary,
        kind: event.cause.kind,
        subject: event.cause.subject.clone(),
        window,
        terms: terms(event),
        clients: (event.clients.len() <= MOST_TERMS)
            .then(|| event.clients.iter().map(|client| client.id.clone()).collect()),
    }))
}

fn terms(event: &Event) -> Terms {
    let mut terms = Terms::default();
    let delta = &event.cause.permissions;
    if !delta.is_empty() {
        terms.fields.insert("permissions".to_owned());
    }
    terms.added.extend(delta.added.iter().take(MOST_TERMS).cloned());
    terms.removed.extend(delta.removed.iter().take(MOST_TERMS).cloned());
    for (name, value) in &event.cause.details {
        if name == "observed_between" {
            continue;
        }
        terms.fields.insert(name.clone());
        for (side, [list, scalar]) in
            [(&mut terms.added, ["added", "to"]), (&mut terms.removed, ["removed", "from"])]
        {
            for item in value[list].as_array().into_iter().flatten().chain([&value[scalar]]) {
                if side.len() < MOST_TERMS {
                    side.extend(term(item));
                }
            }
        }
    }
    terms
}

/// A value as one word: a grant is its role and its division.
fn term(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Object(map) => {
            let role = map.get("role")?.as_str()?;
            Some(match map.get("division").and_then(Value::as_str) {
                Some(division) => format!("{role}@{division}"),
                None => role.to_owned(),
            })
        }
        _ => None,
    }
}
