//! Questions that wait for the log, and which spans of it to read for them.
//!
//! Enters: questions, and `now`. Leaves: when each is asked again, until it is given up; the spans, each within one day.
//! Must never: ask twice for the same time, or wait for ever.

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

use super::{PATIENCE, Question, Span, pause};

/// A question that the log has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What is asked.
    pub question: Question,
    /// When it was asked first.
    pub since: DateTime<Utc>,
    /// When it is asked again.
    pub next: DateTime<Utc>,
    /// How often it was asked in vain.
    pub attempts: u32,
}

impl Pending {
    /// Asked in vain for the first time.
    pub fn new(question: Question, at: DateTime<Utc>) -> Self {
        Self { question, since: at, next: at + pause(0), attempts: 1 }
    }

    /// Asked in vain once more; `None`: it is given up.
    pub fn again(self, at: DateTime<Utc>) -> Option<Self> {
        let next = at + pause(self.attempts);
        (at - self.since < PATIENCE).then(|| Self { next, attempts: self.attempts.saturating_add(1), ..self })
    }
}

/// The spans to read so that these windows are covered: without overlap, none longer than a UTC day nor across midnight,
/// the newest first.
pub fn spans(windows: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut windows: Vec<Span> = windows.into_iter().filter(|window| window.from < window.to).collect();
    windows.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => merged.push(window),
        }
    }
    let mut spans = Vec::new();
    for Span { mut from, to } in merged {
        while let Some(midnight) = midnight_after(from).filter(|midnight| *midnight < to) {
            spans.push(Span { from, to: midnight });
            from = midnight;
        }
        spans.push(Span { from, to });
    }
    spans.sort_unstable_by_key(|span| std::cmp::Reverse(*span));
    spans
}

/// The whole days that a window touches: what questions about different hours share.
pub fn whole_days(window: Span) -> Span {
    let midnight = |at: DateTime<Utc>| at.date_naive().and_time(NaiveTime::MIN).and_utc();
    let from = midnight(window.from) - TimeDelta::milliseconds(1);
    Span { from, to: midnight_after(window.to).unwrap_or(window.to) }
}

/// The first midnight that is later; the last millisecond of a day belongs to it.
fn midnight_after(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let day = at.date_naive().checked_add_days(Days::new(1))?;
    let midnight = day.and_time(NaiveTime::MIN).and_utc() - TimeDelta::milliseconds(1);
    if midnight > at { Some(midnight) } else { Some(midnight + TimeDelta::days(1)) }
}
