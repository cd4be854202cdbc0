//! How often one thing that comes and goes is told of. Pure.
//!
//! Enters: that something changed, with fingerprints of what the change says, and the time. Leaves: tell it, hush it, or
//! say that the thing flaps. Must never: hush what was not told before, or leave the last word untold.
//!
//! ```text
//!             repeats > limit within WINDOW                 no change for CALM
//!   Quiet ────────────────────────────────────► Flapping ──────────────────────────► Quiet
//!   each change is told                         a repeat is hushed, news are told;   one last word
//!                                               a summary after 1 h, 2 h more, then every 4 h
//! ```
//!
//! A change is a *repeat* if everything that it says was said before while the thing is remembered: until nothing changed
//! for [`WINDOW`]. So a role that gains another permission at each audit is told of at each audit, and one that gains and
//! loses the same permission is not.
//!
//! **The bound.** Of one thing, beside what is new: at most `limit` repeats in any [`WINDOW`], one beginning and one end
//! in any [`CALM`], and between them a summary after each of [`STEPS`]. With a limit of 4, something that goes back and
//! forth at every audit of a day is told 15 times, whether audits come every quarter of an hour or every minute: the two
//! changes themselves, 4 repeats, the beginning, 7 summaries, the end.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::Severity;

/// In this time repeats are counted; what did not change for so long is forgotten.
pub const WINDOW: TimeDelta = TimeDelta::hours(8);
/// What did not change for so long flaps no more. A limit of at least [`WINDOW`] / `CALM` repeats makes sure that what
/// goes back and forth more slowly than this is simply told.
pub const CALM: TimeDelta = TimeDelta::hours(2);
/// From the beginning to the first summary, from one summary to the next; the last one for all that follow.
pub const STEPS: [TimeDelta; 3] = [TimeDelta::hours(1), TimeDelta::hours(2), TimeDelta::hours(4)];
/// Audits do not begin to the second: what is due by so little is due.
const SLACK: TimeDelta = TimeDelta::seconds(30);
/// Fingerprints that are remembered of one thing, the latest. One that was forgotten is news again.
pub const PRINTS: usize = 512;

/// What is remembered of one thing that changed lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The last change.
    pub changed: DateTime<Utc>,
    /// The latest repeats, oldest first; at most one more than the limit.
    repeats: VecDeque<DateTime<Utc>>,
    /// What was said, oldest first.
    prints: VecDeque<u64>,
    /// The worst that was said.
    pub severity: Severity,
    /// It flaps.
    pub flap: Option<Flap>,
}

/// Since when and how something flaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// When it was first said that it flaps.
    pub since: DateTime<Utc>,
    /// Changes since then, that one included.
    pub changes: u32,
    /// Summaries that were told.
    summaries: u32,
    /// The last time that its state was told.
    told: DateTime<Utc>,
    /// Changes since its state was told.
    untold: u32,
}

/// What to do about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Tell it as it is.
    Tell,
    /// Do not tell it; say that the thing flaps from now on.
    Begins,
    /// Do not tell it.
    Hush,
}

/// What to say without a change to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It still flaps, and this is how it stands.
    Continues,
    /// It was calm for [`CALM`]: this is how it stays.
    Settled,
}

impl Memory {
    /// Of something that changes for the first time, or for the first time in long.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            changed: now,
            repeats: VecDeque::new(),
            prints: VecDeque::new(),
            severity: Severity::Info,
            flap: None,
        }
    }

    /// A change that says `prints`. `limit`: repeats that are told within [`WINDOW`]. `may_begin`: whether a flap may
    /// begin with this change; if not, it is told.
    pub fn change(
        &mut self,
        prints: &[u64],
        severity: Severity,
        limit: u32,
        may_begin: bool,
        now: DateTime<Utc>,
    ) -> Verdict {
        self.changed = now;
        let is_worse = severity > self.severity && !self.prints.is_empty();
        self.severity = self.severity.max(severity);
        let is_news = self.learn(prints) | is_worse;
        if let Some(flap) = &mut self.flap {
            flap.changes = flap.changes.saturating_add(1);
            if is_news {
                return Verdict::Tell;
            }
            flap.untold = flap.untold.saturating_add(1);
            return Verdict::Hush;
        }
        if is_news {
            return Verdict::Tell;
        }
        let limit = limit as usize;
        self.repeats.push_back(now);
        while self.repeats.len() > limit + 1 {
            self.repeats.pop_front();
        }
        let lately = self.repeats.iter().filter(|at| within(**at, WINDOW, now)).count();
        if lately <= limit || !may_begin {
            return Verdict::Tell;
        }
        self.flap = Some(Flap { since: now, changes: 1, summaries: 0, told: now, untold: 0 });
        Verdict::Begins
    }

    /// What is to be said at the end of an audit. `is_seen`: the audit saw how it stands; if not, nobody can say that it
    /// was calm.
    pub fn look(&mut self, is_seen: bool, now: DateTime<Utc>) -> Option<Word> {
        let flap = self.flap.as_mut()?;
        if !within(self.changed, CALM - SLACK, now) {
            if !is_seen {
                return None;
            }
            self.flap = None;
            return Some(Word::Settled);
        }
        let step = STEPS[usize::try_from(flap.summaries).unwrap_or(usize::MAX).min(STEPS.len() - 1)];
        if flap.untold == 0 || within(flap.told, step - SLACK, now) {
            return None;
        }
        flap.summaries = flap.summaries.saturating_add(1);
        (flap.told, flap.untold) = (now, 0);
        Some(Word::Continues)
    }

    /// Whether nothing of it matters any more.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.flap.is_none() && !within(self.changed, WINDOW, now)
    }

    /// Remembers what was said; whether any of it is new.
    fn learn(&mut self, prints: &[u64]) -> bool {
        let mut is_news = false;
        for print in prints {
            if self.prints.contains(print) {
                continue;
            }
            is_news = true;
            if self.prints.len() == PRINTS {
                self.prints.pop_front();
            }
            self.prints.push_back(*print);
        }
        is_news
    }
}

/// Whether less than `span` has passed since `at`. What lies in the future of a clock that was set back has passed.
fn within(at: DateTime<Utc>, span: TimeDelta, now: DateTime<Utc>) -> bool {
    (at..at + span).contains(&now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixtures::when;

    /// What was told of one thing that has a state, by a model of its own: each change is to another state.
    #[derive(Default)]
    struct Told {
        each: Vec<i64>,
        begun: Vec<i64>,
        summaries: Vec<i64>,
        settled: Vec<i64>,
        state: Option<u8>,
    }

    impl Told {
        fn all(&self) -> usize {
            self.each.len() + self.begun.len() + self.summaries.len() + self.settled.len()
        }
    }

    /// Lives through audits at these minutes, each with the state that it finds.
    fn live(limit: u32, audits: impl IntoIterator<Item = (i64, u8)>) -> Told {
        let (mut told, mut memory, mut before): (Told, Option<Memory>, u8) = (Told::default(), None, 0);
        told.state = Some(0);
        for (minute, state) in audits {
            let now = when() + TimeDelta::minutes(minute);
            if memory.as_ref().is_some_and(|memory| memory.is_over(now)) {
                memory = None;
            }
            if state != before {
                // A change says where from and where to.
                let print = u64::from(before) * 256 + u64::from(state);
                let memory = memory.get_or_insert_with(|| Memory::new(now));
                match memory.change(&[print], Severity::High, limit, true, now) {
                    Verdict::Tell => {
                        told.each.push(minute);
                        told.state = Some(state);
                    }
                    Verdict::Begins => {
                        told.begun.push(minute);
                        told.state = Some(state);
                    }
                    Verdict::Hush => {}
                }
                before = state;
            }
            match memory.as_mut().and_then(|memory| memory.look(true, now)) {
                Some(Word::Continues) => {
                    told.summaries.push(minute);
                    told.state = Some(state);
                }
                Some(Word::Settled) => {
                    told.settled.push(minute);
                    told.state = Some(state);
                }
                None => {}
            }
        }
        told
    }

    /// Toggles at every audit of a day, then audits a day more without a change.
    fn a_day_of_toggling(every: i64) -> Told {
        let state =
            |minute: i64| if minute < 1_440 { u8::try_from(minute / every % 2).unwrap() ^ 1 } else { 0 };
        live(4, (0..2_880 / every).map(|n| (n * every, state(n * every))))
    }

    #[test]
    fn a_day_of_toggling_is_told_fifteen_times() {
        let told = a_day_of_toggling(15);
        assert_eq!(told.each, [0, 15, 30, 45, 60, 75]);
        assert_eq!(told.begun, [90]);
        assert_eq!(told.summaries, [150, 270, 510, 750, 990, 1_230, 1_470]);
        assert_eq!(told.settled, [1_425 + 120]);
        assert_eq!((told.all(), told.state), (15, Some(0)));

        let told = a_day_of_toggling(1);
        assert_eq!(told.each, [0, 1, 2, 3, 4, 5]);
        assert_eq!((told.begun.as_slice(), told.settled.as_slice()), (&[6][..], &[1_439 + 120][..]));
        assert_eq!((told.all(), told.state), (15, Some(0)));
    }

    #[test]
    fn what_goes_back_and_forth_slowly_is_simply_told() {
        for every in [120, 150, 360, 720] {
            let told = live(4, (0..20).map(|n| (n * every, u8::try_from(n % 2).unwrap() ^ 1)));
            assert_eq!((told.each.len(), told.all()), (20, 20), "every {every} minutes");
        }
    }

    #[test]
    fn news_is_told_at_once_whatever_flaps() {
        let mut memory = Memory::new(when());
        let mut at = when();
        let mut change = |prints: &[u64], severity| {
            at += TimeDelta::minutes(1);
            memory.change(prints, severity, 0, true, at)
        };
        let high = Severity::High;
        assert_eq!(change(&[1], high), Verdict::Tell);
        assert_eq!(change(&[2], high), Verdict::Tell);
        assert_eq!(change(&[1], high), Verdict::Begins);
        assert_eq!(change(&[2], high), Verdict::Hush);
        assert_eq!(change(&[1, 3], high), Verdict::Tell, "one of two was never said");
        assert_eq!(change(&[1, 3], high), Verdict::Hush);
        assert_eq!(change(&[1], Severity::Critical), Verdict::Tell, "never so bad");
    }

    #[test]
    fn nobody_says_calm_who_did_not_see() {
        let mut memory = Memory::new(when());
        for minute in 0..3 {
            memory.change(&[1], Severity::High, 1, true, when() + TimeDelta::minutes(minute));
        }
        assert!(memory.flap.is_some());
        let later = when() + TimeDelta::hours(3);
        assert_eq!(memory.look(false, later), None);
        assert_eq!(memory.look(true, later), Some(Word::Settled));
        assert_eq!(memory.look(true, later), None);
    }

    proptest! {
        #[test]
        fn every_sequence_is_bounded_and_ends_with_the_truth(
            limit in 0_u32..6,
            steps in prop::collection::vec((1_i64..200, 0_u8..3), 1..400),
        ) {
            let mut minute = 0;
            let mut audits: Vec<(i64, u8)> = steps
                .into_iter()
                .map(|(pause, state)| {
                    minute += pause;
                    (minute, state)
                })
                .collect();
            let last = audits.last().unwrap().1;
            audits.push((minute + 121, last));
            let told = live(limit, audits.iter().copied());

            // Calm for two hours: what was told last is how it is.
            prop_assert_eq!(told.state, Some(last));
            let in_any = |list: &[i64], span: i64| {
                list.iter().map(|from| list.iter().filter(|at| (*from..from + span).contains(at)).count()).max().unwrap_or(0)
            };
            // Three states have six changes: each is new once in the time that it is remembered, which is the window at least.
            prop_assert!(in_any(&told.each, 480) <= 2 * 6 + limit as usize);
            prop_assert!(in_any(&told.begun, 120) <= 1);
            prop_assert!(in_any(&told.settled, 120) <= 1);
            prop_assert!(in_any(&told.summaries, 60) <= 1);
            // Every beginning has its end.
            prop_assert_eq!(told.begun.len(), told.settled.len());
        }

        #[test]
        fn nothing_new_is_silent(prints in prop::collection::vec(prop::collection::vec(0_u64..40, 1..4), 1..200)) {
            let (mut memory, mut said) = (Memory::new(when()), std::collections::BTreeSet::new());
            for (minute, prints) in (0..).zip(prints) {
                let is_news = prints.iter().filter(|print| said.insert(**print)).count() > 0;
                let verdict = memory.change(&prints, Severity::High, 2, true, when() + TimeDelta::minutes(minute));
                prop_assert!(!is_news || verdict == Verdict::Tell);
            }
        }
    }
}
