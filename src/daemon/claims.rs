//! Which due times of a schedule are settled. Pure.
//!
//! Enters: a schedule, the last recorded audit, the present. Leaves: whether an audit is due, and what was missed.
//! Must never: give out a due time twice, whatever the clock does.

use chrono::{DateTime, Utc};

use super::schedule::Schedule;

/// Due times up to a moment are claimed, whether each led to an audit or was missed.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    schedule: Schedule,
    claimed: DateTime<Utc>,
}

/// Due times that were just claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The last of them: the one that an audit now stands for.
    pub(super) due: DateTime<Utc>,
    /// Earlier ones, which nobody will make up for.
    pub(super) missed: usize,
}

/// What a start begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing was recorded yet: audit at once.
    First,
    /// Due times passed since the last recorded audit: audit once for all of them.
    CatchUp {
        /// How many (at most 10,080 are counted).
        missed: usize,
    },
    /// The next due time is to come.
    Wait,
}

impl Claims {
    /// Claims everything up to now. `last_audit`: when the last one was recorded.
    pub(super) fn resume(
        schedule: Schedule,
        last_audit: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> (Self, Start) {
        let start = match last_audit {
            None => Start::First,
            Some(last) => match schedule.due_between(last, now) {
                Some((_, missed)) => Start::CatchUp { missed },
                None => Start::Wait,
            },
        };
        // A last audit in the future was recorded before the clock was set back; its due times stay claimed.
        let claimed = last_audit.map_or(now, |last| last.max(now));
        (Self { schedule, claimed }, start)
    }

    /// The next due time; `None` if the schedule has none any more.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.schedule.next_after(self.claimed)
    }

    /// Claims what is due by now; `None` if nothing is, also because the clock was set back.
    pub(super) fn claim(&mut self, now: DateTime<Utc>) -> Option<Claim> {
        let (due, count) = self.schedule.due_between(self.claimed, now)?;
        self.claimed = due;
        Some(Claim { due, missed: count - 1 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn resume(last: Option<&str>, now: &str) -> (Claims, Start) {
        let schedule = Schedule::parse("0 */15 * * * *").unwrap();
        Claims::resume(schedule, last.map(at), at(now))
    }

    #[test]
    fn a_start_catches_up_once_for_all_that_was_missed() {
        assert_eq!(resume(None, "2026-11-24T10:07:00Z").1, Start::First);
        assert_eq!(resume(Some("2026-11-24T10:00:01Z"), "2026-11-24T10:14:59Z").1, Start::Wait);
        let (claims, start) = resume(Some("2026-11-24T08:00:01Z"), "2026-11-24T10:07:00Z");
        assert_eq!(start, Start::CatchUp { missed: 8 });
        assert_eq!(claims.next(), Some(at("2026-11-24T10:15:00Z")));
        // A year of downtime is one audit too.
        let (_, start) = resume(Some("2025-11-24T10:00:00Z"), "2026-11-24T10:07:00Z");
        assert_eq!(start, Start::CatchUp { missed: 10_080 });
    }

    #[test]
    fn each_due_time_is_claimed_once() {
        let (mut claims, _) = resume(Some("2026-11-24T10:00:01Z"), "2026-11-24T10:07:00Z");
        assert_eq!(claims.claim(at("2026-11-24T10:14:59Z")), None);
        let claim = claims.claim(at("2026-11-24T10:15:00Z"));
        assert_eq!(claim, Some(Claim { due: at("2026-11-24T10:15:00Z"), missed: 0 }));
        assert_eq!(claims.claim(at("2026-11-24T10:15:00Z")), None, "a second tick");
        // Three due times passed while an audit ran or the machine slept.
        let claim = claims.claim(at("2026-11-24T11:01:00Z"));
        assert_eq!(claim, Some(Claim { due: at("2026-11-24T11:00:00Z"), missed: 2 }));
    }

    #[test]
    fn a_clock_set_back_claims_nothing_again() {
        let (mut claims, _) = resume(Some("2026-11-24T10:00:01Z"), "2026-11-24T10:07:00Z");
        claims.claim(at("2026-11-24T10:15:00Z")).unwrap();
        for now in ["2026-11-24T09:15:00Z", "2025-11-24T10:15:00Z", "2026-11-24T10:15:00Z"] {
            assert_eq!(claims.claim(at(now)), None, "{now}");
        }
        let claim = claims.claim(at("2026-11-24T10:30:00Z"));
        assert_eq!(claim, Some(Claim { due: at("2026-11-24T10:30:00Z"), missed: 0 }));
        // A restart in the past of the last audit keeps that.
        let (mut claims, start) = resume(Some("2026-11-24T10:15:01Z"), "2026-11-24T09:00:00Z");
        assert_eq!(start, Start::Wait);
        assert_eq!(claims.claim(at("2026-11-24T10:15:00Z")), None);
    }

    proptest! {
        #[test]
        fn no_clock_makes_a_due_time_come_twice(jumps in prop::collection::vec(-5_000_i64..5_000, 1..60)) {
            let begin = at("2026-03-29T00:30:00Z");
            let schedule = Schedule::parse("0 */5 * * * *").unwrap();
            let (mut claims, _) = Claims::resume(schedule, Some(begin), begin);
            let (mut now, mut seen) = (begin, BTreeSet::new());
            for jump in jumps {
                now += TimeDelta::seconds(jump);
                if let Some(claim) = claims.claim(now) {
                    prop_assert!(claim.due <= now);
                    prop_assert!(seen.last().is_none_or(|last| *last < claim.due));
                    prop_assert!(seen.insert(claim.due));
                }
                prop_assert!(claims.next().is_none_or(|next| next > now || !seen.contains(&next)));
            }
        }
    }
}
