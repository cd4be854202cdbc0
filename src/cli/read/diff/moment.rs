//! A moment as people write it.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

/// A moment, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::read) enum Moment {
    /// A point in time.
    At(DateTime<Utc>),
    /// So long before the present.
    Ago(TimeDelta),
    /// When the audit with this id was recorded.
    Audit(String),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_one = || {
            format!(
                "{text:?} is not a moment; write a time (2026-09-01T12:00:00Z), a date (2026-09-01), a time ago \
                 (-1h, -7d) or an audit's id"
            )
        };
        if let Some(ago) = text.strip_prefix('-') {
            let ago =
                humantime::parse_duration(ago.trim()).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
            return ago.map(Self::Ago).ok_or_else(not_one);
        }
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(Self::At(date.and_time(chrono::NaiveTime::MIN).and_utc()));
        }
        Uuid::try_parse(text).map(|id| Self::Audit(id.to_string())).map_err(|_| not_one())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        let at = |text: &str| Moment::At(text.parse().unwrap());
        let cases = [
            ("2026-09-01T12:00:00Z", at("2026-09-01T12:00:00Z")),
            ("2026-09-01T14:00:00+02:00", at("2026-09-01T12:00:00Z")),
            ("2026-09-01", at("2026-09-01T00:00:00Z")),
            ("-1h", Moment::Ago(TimeDelta::hours(1))),
            ("-1d 6h", Moment::Ago(TimeDelta::hours(30))),
            (
                "01997B2E-0000-7000-8000-000000000001",
                Moment::Audit("01997b2e-0000-7000-8000-000000000001".to_owned()),
            ),
        ];
        for (text, moment) in cases {
            assert_eq!(text.parse::<Moment>().unwrap(), moment, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_forms() {
        for text in
            ["", "yesterday", "-", "-soon", "1h", "2026-13-01", "2026-09-01T12:00:00", "-99999999999999y"]
        {
            let error = text.parse::<Moment>().unwrap_err();
            assert!(error.contains("is not a moment") && error.contains("-7d"), "{text}: {error}");
        }
    }
}
