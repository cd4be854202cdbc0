//! Which snapshots are kept: every one of late, then one a day, then one a month.
//!
//! Enters: the moments of an organisation's audits, newest first, and what must stay whatever its age. Leaves: kept or
//! not, for each. Must never: let go of the newest or the oldest, or depend on when it is asked more than a policy says:
//! what is not kept today is not kept tomorrow.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

/// How long snapshots are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Every one that is not older than this.
    pub keep_all: TimeDelta,
    /// The last one of each day (UTC) that is not older than this. The last one of each month is kept for ever.
    pub keep_daily: TimeDelta,
}

/// Chooses among the audits of one organisation, which it is shown newest first.
#[derive(Clone, Debug)]
pub struct Choice {
    policy: Policy,
    now: DateTime<Utc>,
    /// Moments that something open refers to; those that no audit answered yet.
    cited: BTreeSet<DateTime<Utc>>,
    /// The day and the month whose last audit was seen already.
    day: Option<NaiveDate>,
    month: Option<(i32, u32)>,
}

impl Choice {
    /// `cited`: moments whose snapshot (the last at or before each) must stay.
    pub fn new(policy: Policy, cited: BTreeSet<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { policy, now, cited, day: None, month: None }
    }

    /// Whether the snapshot of `at` is kept. Call it for one audit after the other, never back to a later one.
    pub fn keeps(&mut self, at: DateTime<Utc>) -> bool {
        let age = self.now - at;
        let (day, month) = (at.date_naive(), (at.year(), at.month()));
        // Not short-circuited: each of them has to hear of every audit.
        let is_last_of_day = self.day.replace(day) != Some(day);
        let is_last_of_month = self.month.replace(month) != Some(month);
        let later = self.cited.split_off(&at);
        is_last_of_month
            || (is_last_of_day && age <= self.policy.keep_daily)
            || age <= self.policy.keep_all
            || !later.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { keep_all: TimeDelta::days(2), keep_daily: TimeDelta::days(40) };

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}:00Z").parse().unwrap()
    }

    fn kept(
        cited: &[DateTime<Utc>],
        now: DateTime<Utc>,
        newest_first: &[DateTime<Utc>],
    ) -> Vec<DateTime<Utc>> {
        let mut choice = Choice::new(POLICY, cited.iter().copied().collect(), now);
        newest_first.iter().copied().filter(|at| choice.keeps(*at)).collect()
    }

    #[test]
    fn all_of_late_then_the_last_of_days_then_the_last_of_months() {
        let now = at("2026-09-10T12:00");
        let cases = [
            ("2026-09-10T11:00", true),
            ("2026-09-09T23:59", true),
            ("2026-09-09T11:00", true),
            ("2026-09-08T12:00", true), // to the minute
            ("2026-09-08T11:59", false),
            ("2026-09-07T23:00", true),
            ("2026-09-07T22:00", false),
            ("2026-08-01T23:59", true), // still daily
            ("2026-08-01T00:00", false),
            ("2026-07-31T23:00", true), // the last of its month
            ("2026-07-31T22:00", false),
            ("2026-07-30T23:00", false),
            ("2025-12-31T01:00", true),
            ("2025-12-30T23:00", false),
            ("2024-12-31T23:00", true), // the same month of another year
        ];
        let audits = cases.map(|(text, _)| at(text));
        let expected: Vec<_> = cases.iter().filter(|(_, kept)| *kept).map(|(text, _)| at(text)).collect();
        assert_eq!(kept(&[], now, &audits), expected);
    }

    #[test]
    fn what_something_open_refers_to_stays() {
        let now = at("2026-09-10T12:00");
        let audits = ["2026-09-10T11:00", "2026-03-31T09:00", "2026-03-05T09:00", "2026-03-05T08:00"].map(at);
        assert_eq!(kept(&[at("2026-03-05T09:00")], now, &audits), audits[..3]);
        // A moment between two audits means the earlier one, once.
        assert_eq!(
            kept(&[at("2026-03-05T08:30"), at("2026-03-05T08:59")], now, &audits),
            [audits[0], audits[1], audits[3]]
        );
        assert_eq!(kept(&[at("2027-01-01T00:00")], now, &audits), audits[..2]);
    }

    proptest! {
        /// Forgetting at several times comes to the same as forgetting once, at the last of them.
        #[test]
        fn what_is_forgotten_in_steps_is_what_is_forgotten_at_once(
            hours in proptest::collection::btree_set(0_i64..4_000, 1..80),
            cited in proptest::collection::btree_set(0_i64..4_000, 0..4),
            mut looks in proptest::collection::vec(0_i64..6_000, 1..4),
        ) {
            looks.sort_unstable();
            let moment = |hours: i64| at("2026-01-01T00:00") + TimeDelta::hours(hours);
            let newest_first: Vec<_> = hours.iter().rev().copied().map(moment).collect();
            let cited: Vec<_> = cited.iter().copied().map(moment).collect();
            let mut rest = newest_first.clone();
            for look in &looks {
                rest = kept(&cited, moment(*look), &rest);
            }
            let last = moment(*looks.last().unwrap());
            prop_assert_eq!(&rest, &kept(&cited, last, &newest_first));
            prop_assert_eq!(rest.first(), newest_first.first());
        }
    }
}
