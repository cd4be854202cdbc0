//! Moments as people read them on the page.
//!
//! Enters: times. Leaves: text. Must never: hide a moment behind a phrase; the exact time stands beside it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A moment, three ways.
pub(super) struct Moment {
    /// For machines: RFC 3339.
    pub(super) machine: String,
    /// To the minute, UTC.
    pub(super) clock: String,
    /// Seen from now.
    pub(super) ago: String,
}

impl Moment {
    pub(super) fn seen_from(now: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        Self {
            machine: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            clock: at.format("%Y-%m-%d %H:%M UTC").to_string(),
            ago: ago(now - at),
        }
    }
}

/// How long ago something was, in its largest unit, rounded down.
fn ago(age: TimeDelta) -> String {
    let units = [
        (age.num_days(), "day", "days"),
        (age.num_hours(), "hour", "hours"),
        (age.num_minutes(), "minute", "minutes"),
    ];
    if age < TimeDelta::minutes(-1) {
        return "in the future, by this machine's clock".to_owned();
    }
    units.into_iter().find(|(number, ..)| *number > 0).map_or_else(
        || "just now".to_owned(),
        |(number, one, many)| format!("{} ago", counted(number, one, many)),
    )
}

/// `1 client`, `2 clients`.
fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (-3_600, "in the future, by this machine's clock"),
            (-5, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (7_200, "2 hours ago"),
            (86_400 * 3 + 1, "3 days ago"),
        ] {
            assert_eq!(ago(TimeDelta::seconds(seconds)), words);
        }
    }
}
