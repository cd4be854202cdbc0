//! The one place that reads the wall clock.
//!
//! Enters: nothing. Leaves: the present. Must never: be called by anything that could be given `now` instead.

use chrono::{DateTime, Utc};

/// The present, in UTC.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
