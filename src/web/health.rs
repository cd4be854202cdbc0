//! `/livez` and `/readyz`, and the value through which the daemon says how it is.
//!
//! Enters: beats of the scheduler's loop, and what the daemon finds of its preconditions. Leaves: 200, or 503 with
//! every reason. Must never: ask anybody. Whether the platform can be reached is a matter of audits, not of health.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::State as From,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};

use super::State;

/// A scheduler that did not beat for this long is taken for dead.
const BEAT_LIMIT: TimeDelta = TimeDelta::seconds(60);

/// What has to hold before the daemon can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precondition {
    /// The database is open, at this program's schema, and was found sound.
    Database,
    /// The database takes writes: there is space, and the disk does what it is told.
    Storage,
}

impl Precondition {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Database, Self::Storage];

    /// The word in front of a reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Storage => "storage",
        }
    }
}

/// Shared by the daemon, which writes it, and the server, which reads it.
#[derive(Debug)]
pub struct Health(Mutex<Condition>);

#[derive(Debug)]
struct Condition {
    beat: Option<DateTime<Utc>>,
    /// Why each precondition does not hold; absent if it does.
    wanting: BTreeMap<Precondition, String>,
    draining: bool,
}

impl Default for Health {
    /// A daemon that has just begun: no beat yet, and no precondition known to hold.
    fn default() -> Self {
        let wanting = Precondition::ALL.into_iter().map(|what| (what, "not checked yet".to_owned()));
        Self(Mutex::new(Condition { beat: None, wanting: wanting.collect(), draining: false }))
    }
}

impl Health {
    /// The scheduler's loop went round once more.
    pub fn beat(&self, now: DateTime<Utc>) {
        self.condition().beat = Some(now);
    }

    /// A precondition holds.
    pub fn holds(&self, what: Precondition) {
        self.condition().wanting.remove(&what);
    }

    /// A precondition does not hold. Visitors see `reason`: one line, no secret.
    pub fn fails(&self, what: Precondition, reason: impl Into<String>) {
        self.condition().wanting.insert(what, reason.into());
    }

    /// The daemon was told to stop, and starts nothing new.
    pub fn drain(&self) {
        self.condition().draining = true;
    }

    /// `Err` says why the scheduler's loop is taken for dead.
    pub fn alive(&self, now: DateTime<Utc>) -> Result<(), String> {
        let Some(beat) = self.condition().beat else {
            return Err("the scheduler has not started".to_owned());
        };
        let age = now - beat;
        // A beat from the future is from before the clock was set back, and says as little as an old one.
        if age.abs() < BEAT_LIMIT {
            return Ok(());
        }
        Err(format!(
            "the scheduler's last sign of life was {} s ago; the limit is {} s",
            age.num_seconds(),
            BEAT_LIMIT.num_seconds()
        ))
    }

    /// Every reason why the daemon is not ready for work; empty if it is.
    pub fn not_ready(&self) -> Vec<String> {
        let condition = self.condition();
        let wanting = condition.wanting.iter().map(|(what, reason)| format!("{}: {reason}", what.as_str()));
        wanting.chain(condition.draining.then(|| "shutting down".to_owned())).collect()
    }

    /// A thread that panicked cannot have left a value half written: each is one assignment.
    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn livez(From(state): From<State>) -> Response {
    match state.health.alive((state.now)()) {
        Ok(()) => "alive\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not alive\n- {reason}\n")).into_response(),
    }
}

pub(super) async fn readyz(From(state): From<State>) -> Response {
    let reasons = state.health.not_ready();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n- {}\n", reasons.join("\n- "))).into_response()
}
