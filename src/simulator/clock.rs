//! What time it is in the organisation's audit log.
//!
//! Enters: the moment at which the simulator starts, and what a test sets. Leaves: the present. It reads no wall clock:
//! time goes on from the start as the monotonic clock does, or stands where a test puts it.

use std::time::Instant;

use chrono::{DateTime, Utc};

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: DateTime<Utc>,
    since: Instant,
    fixed: Option<DateTime<Utc>>,
}

impl Clock {
    pub(super) fn starting(started: DateTime<Utc>) -> Self {
        Self { started, since: Instant::now(), fixed: None }
    }

    /// Stands at a moment, or goes on from the start.
    pub(super) fn set(&mut self, fixed: Option<DateTime<Utc>>) {
        self.fixed = fixed;
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.fixed.unwrap_or_else(|| self.started + self.since.elapsed())
    }
}
