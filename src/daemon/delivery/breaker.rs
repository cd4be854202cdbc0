//! The circuit breaker of one receiver. Pure.
//!
//! Enters: what became of each attempt, and when. Leaves: how much may be sent now. Must never: let a receiver that
//! fails be asked more than once a rest, or hold one that is well.
//!
//! ```text
//!            failed                    failed: a longer rest
//!  Untried ─────────► Resting ◄──────────────┐
//!     │     ┌───────► (then one trial) ──────┘
//!     ▼     │ failed        │ accepted
//!    Well ──┘◄──────────────┘          gone (410), from anywhere ─► Disabled ─ reopened by a person ─► Untried
//! ```

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::notify;

/// What may be sent to a receiver now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Whatever is due.
    All,
    /// One message, to see whether it is back.
    Trial,
    /// Nothing until then.
    NotBefore(DateTime<Utc>),
    /// Nothing until a person acts.
    Nothing,
}

/// How a receiver has fared. The default is one that nothing was sent to yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Breaker {
    /// Nothing is known.
    #[default]
    Untried,
    /// It took the last message that told anything.
    Well,
    /// It failed this often in a row, the last time at `since`.
    Resting { failures: u32, since: DateTime<Utc>, until: DateTime<Utc> },
    /// It said that it is gone.
    Disabled { since: DateTime<Utc> },
}

impl Breaker {
    /// What may be sent now. A clock that was set back to before the last failure ends the rest: nobody could say how
    /// long it would be.
    pub(super) fn permit(self, now: DateTime<Utc>) -> Permit {
        match self {
            Self::Untried | Self::Well => Permit::All,
            Self::Resting { since, until, .. } if (since..until).contains(&now) => Permit::NotBefore(until),
            Self::Resting { .. } => Permit::Trial,
            Self::Disabled { .. } => Permit::Nothing,
        }
    }

    /// It took a message. Leaves how often it had failed in a row before.
    pub(super) fn accepted(&mut self) -> u32 {
        let failures = self.failures();
        *self = Self::Well;
        failures
    }

    /// It could not take a message. Leaves the end of its rest: longer with each failure in a row, up to 15 minutes,
    /// or what it asked for (`after`), up to an hour.
    pub(super) fn failed(
        &mut self,
        after: Option<Duration>,
        jitter_seed: u64,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let failures = self.failures().saturating_add(1);
        let rest = notify::rest(failures, after, jitter_seed);
        let until = now + TimeDelta::from_std(rest).unwrap_or(TimeDelta::hours(1));
        *self = Self::Resting { failures, since: now, until };
        until
    }

    /// It said that it is gone.
    pub(super) fn gone(&mut self, now: DateTime<Utc>) {
        *self = Self::Disabled { since: now };
    }

    /// Forgets everything: a person acted, or nothing is left to try it with.
    pub(super) fn reopen(&mut self) {
        *self = Self::Untried;
    }

    /// Whether it took the message before this one: then what it refuses is the message, not the sender.
    pub(super) fn is_well(self) -> bool {
        self == Self::Well
    }

    /// Whether it gets nothing, or only a trial: the value of the metric.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Resting { .. } | Self::Disabled { .. })
    }

    /// Since when a person's word would change something. If the clock was set back to before that, it is from now on:
    /// the same clock dates that word.
    pub(super) fn silent_since(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Untried | Self::Well => None,
            Self::Resting { since, .. } | Self::Disabled { since } => {
                *since = now.min(*since);
                Some(*since)
            }
        }
    }

    fn failures(self) -> u32 {
        match self {
            Self::Resting { failures, .. } => failures,
            Self::Untried | Self::Well | Self::Disabled { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
    }

    /// What can happen to a receiver.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Accepts,
        Fails,
        /// Fails, and asks for so many seconds.
        Asks(u64),
        Gone,
        Reopened,
    }

    fn apply(breaker: &mut Breaker, act: Act, now: DateTime<Utc>) {
        match act {
            Act::Accepts => drop(breaker.accepted()),
            Act::Fails => drop(breaker.failed(None, 7, now)),
            Act::Asks(seconds) => drop(breaker.failed(Some(Duration::from_secs(seconds)), 7, now)),
            Act::Gone => breaker.gone(now),
            Act::Reopened => breaker.reopen(),
        }
    }

    #[test]
    fn each_act_leads_to_a_state() {
        use Act::{Accepts, Asks, Fails, Gone, Reopened};
        // After these acts, all at second 0: what is permitted at second 1, and is the circuit open?
        enum Want {
            All,
            /// Rests for between so many seconds.
            Rest(i64, i64),
            Nothing,
        }
        let table: [(&[Act], Want); 13] = [
            (&[], Want::All),
            (&[Accepts], Want::All),
            (&[Fails], Want::Rest(4, 5)),
            (&[Accepts, Fails], Want::Rest(4, 5)),
            (&[Fails, Fails], Want::Rest(24, 30)),
            (&[Fails, Fails, Fails], Want::Rest(96, 120)),
            (&[Fails, Fails, Fails, Fails], Want::Rest(240, 300)),
            (&[Fails; 5], Want::Rest(720, 900)),
            (&[Fails; 90], Want::Rest(720, 900)),
            (&[Fails, Fails, Accepts, Fails], Want::Rest(4, 5)),
            (&[Fails, Asks(77)], Want::Rest(77, 77)),
            (&[Asks(999_999)], Want::Rest(3600, 3600)),
            (&[Fails, Gone], Want::Nothing),
        ];
        for (acts, want) in table {
            let mut breaker = Breaker::default();
            for act in acts {
                apply(&mut breaker, *act, at(0));
            }
            let permit = breaker.permit(at(1));
            match want {
                Want::All => assert_eq!((permit, breaker.is_open()), (Permit::All, false), "{acts:?}"),
                Want::Nothing => assert_eq!((permit, breaker.is_open()), (Permit::Nothing, true), "{acts:?}"),
                Want::Rest(least, most) => {
                    let Permit::NotBefore(until) = permit else { panic!("{acts:?}: {permit:?}") };
                    assert!((at(least)..=at(most)).contains(&until), "{acts:?}: until {until}");
                    assert!(breaker.is_open());
                    assert_eq!(breaker.permit(until), Permit::Trial, "{acts:?}");
                    assert_eq!(breaker.permit(until - TimeDelta::milliseconds(1)), permit, "{acts:?}");
                }
            }
            apply(&mut breaker, Reopened, at(2));
            assert_eq!((breaker.permit(at(2)), breaker.is_open()), (Permit::All, false), "{acts:?}");
        }
    }

    #[test]
    fn it_is_well_only_once_it_took_something() {
        let mut breaker = Breaker::default();
        assert!(!breaker.is_well(), "nothing is known");
        assert_eq!(breaker.accepted(), 0);
        assert!(breaker.is_well());
        breaker.failed(None, 1, at(0));
        breaker.failed(None, 1, at(9));
        assert!(!breaker.is_well());
        assert_eq!(breaker.silent_since(at(10)), Some(at(9)));
        assert_eq!(breaker.silent_since(at(5)), Some(at(5)), "the clock was set back");
        assert_eq!(breaker.silent_since(at(7)), Some(at(5)));
        assert_eq!(breaker.accepted(), 2);
        assert!(breaker.is_well());
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lengthen_a_rest() {
        let mut breaker = Breaker::default();
        breaker.failed(None, 1, at(86_400));
        assert_eq!(breaker.permit(at(0)), Permit::Trial);
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            2 => Just(Act::Accepts),
            6 => Just(Act::Fails),
            2 => any::<u64>().prop_map(Act::Asks),
            1 => Just(Act::Gone),
            1 => Just(Act::Reopened),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_a_rest_is_bounded_and_only_failure_opens(
            acts in prop::collection::vec((act(), 0_i64..5000), 0..60),
        ) {
            let mut breaker = Breaker::default();
            let mut now = at(0);
            for (act, pause) in acts {
                now += TimeDelta::seconds(pause);
                let was = breaker;
                apply(&mut breaker, act, now);
                let permit = breaker.permit(now);
                match act {
                    Act::Accepts | Act::Reopened => prop_assert_eq!(permit, Permit::All),
                    Act::Gone => prop_assert_eq!(permit, Permit::Nothing),
                    Act::Fails | Act::Asks(_) => {
                        let Permit::NotBefore(until) = permit else { panic!("{was:?} {act:?}: {permit:?}") };
                        let most = if matches!(act, Act::Fails) { 900 } else { 3600 };
                        prop_assert!(until > now && until <= now + TimeDelta::seconds(most));
                    }
                }
                prop_assert_eq!(breaker.is_open(), permit != Permit::All);
                prop_assert_eq!(breaker.silent_since(now).is_some(), breaker.is_open());
            }
        }

        #[test]
        fn an_outage_costs_one_attempt_a_rest(seed: u64, hours in 1_i64..200) {
            let mut breaker = Breaker::default();
            let (mut now, mut attempts) = (at(0), 0);
            while now < at(hours * 3600) {
                now = breaker.failed(None, seed, now);
                attempts += 1;
            }
            // Four short rests, then one of at least twelve minutes for each.
            prop_assert!(attempts <= 5 + hours * 5, "{} attempts in {} hours", attempts, hours);
        }
    }
}
