//! What every decision takes: an owner, a reason, and until when.
//!
//! Enters: what was typed. Leaves: [`Terms`]. Must never: take a date that it does not understand for another.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use clap::Args;

use crate::{audit::deciding, cli::arguments::Usage, daemon::clock, domain::decision::desk::Terms};

/// Who, why, until when; of a decision that silences something.
#[derive(Debug, Args)]
pub(super) struct Silencing {
    /// Who answers for it
    #[arg(long, value_name = "WHO")]
    pub(super) owner: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    /// Until when: 30d, 12h, a date (2026-12-31, the end of that day, UTC), or a time (RFC 3339); a year at most
    #[arg(long, value_name = "WHEN")]
    pub(super) expires: String,
}

impl Silencing {
    /// The terms of a new decision.
    pub(super) fn terms(&self) -> Result<Terms, Usage> {
        Ok(Terms {
            id: deciding::new_id(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            ticket: None,
            expires: Some(until(&self.expires, clock::now())?),
        })
    }
}

/// A span from now, a date, or a time.
pub(super) fn until(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Usage> {
    let wrong = || {
        Usage(format!(
            "--expires: {text:?} is not understood; write a span (30d, 12h), a date (2026-12-31) or a time \
             (2026-12-31T12:00:00Z)"
        ))
    };
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        // Through the whole of that day.
        let next = day.succ_opt().ok_or_else(wrong)?;
        return Ok(next.and_time(NaiveTime::MIN).and_utc());
    }
    let span = humantime::parse_duration(text).map_err(|_| wrong())?;
    let span = TimeDelta::from_std(span).map_err(|_| wrong())?;
    now.checked_add_signed(span).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_dates_and_times_are_understood_and_nothing_else() {
        let now: DateTime<Utc> = "2026-11-25T10:00:00Z".parse().unwrap();
        for (text, at) in [
            ("30d", "2026-12-25T10:00:00Z"),
            ("12h", "2026-11-25T22:00:00Z"),
            ("2026-12-31", "2027-01-01T00:00:00Z"),
            ("2026-12-31T12:00:00+01:00", "2026-12-31T11:00:00Z"),
        ] {
            assert_eq!(until(text, now).unwrap(), at.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for text in ["", "soon", "31.12.2026", "2026-13-01", "30", "-3d", "99999999999999999999y"] {
            let error = until(text, now).unwrap_err().to_string();
            assert!(error.starts_with("--expires: ") && error.contains("30d"), "{error}");
        }
    }
}
