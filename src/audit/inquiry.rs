//! Who made the changes: what an audit asks the platform's audit log about, and what follows from what it read.
//!
//! Enters: the events that were found, the questions of earlier audits that are due, and a reading of the log. Leaves: events
//! with their actor, what is to be kept, and what is to be told late. Must never: do I/O, or make an audit incomplete: who
//! did it is an answer beside the evidence.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    collect::{self, LogRead, Mode, Served},
    domain::{
        Fact,
        attribution::{self, Asked, Attribution, Certainty, Pending, Question, Read, Span},
        event::Event,
        message,
        snapshot::Snapshot,
    },
    store::{Attributed, History, Inquiries},
};

/// How far our clock and the platform's may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(2);
/// How long before its window something may have gone that only a second audit believed.
const DOUBTED: TimeDelta = TimeDelta::hours(24);
/// Spans that one audit reads.
const SPANS: usize = 6;

/// What one audit asks.
pub(super) struct Inquiry {
    /// About events of this audit, by their place.
    new: Vec<(usize, Question)>,
    /// About events of earlier ones.
    due: Vec<Pending>,
}

/// What one audit learnt.
#[derive(Default)]
pub(super) struct Answers {
    /// To be kept.
    pub(super) attributed: Attributed,
    /// Changes of earlier audits of which it is known only now who made them.
    pub(super) late: Vec<(Question, Attribution)>,
}

impl Inquiry {
    /// Answers what needs no log, and collects the rest. `at` is when this audit was done.
    pub(super) fn begin(
        events: &mut [Event],
        inquiries: Inquiries,
        doubts: &Doubts,
        at: DateTime<Utc>,
    ) -> Self {
        let mut new = Vec::new();
        for (place, event) in events.iter_mut().enumerate() {
            let window = doubts.window(event, inquiries.began.unwrap_or(at), at);
            match attribution::ask(event, message::sentence(event), window) {
                Asked::Nobody(answer) => event.actor = Some(*answer),
                Asked::Log(question) => new.push((place, *question)),
            }
        }
        Self { new, due: inquiries.due }
    }

    /// Nobody has to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.due.is_empty()
    }

    /// What to read. A change of this audit is asked about only where the log answers at once: the alert does not wait.
    pub(super) fn spans(&self, served: &Served, at: DateTime<Utc>) -> Vec<(Span, Mode)> {
        let of = |wanted: Mode| {
            let new = self.new.iter().map(|(_, question)| question).filter(|_| wanted == Mode::Realtime);
            let all = new.chain(self.due.iter().map(|pending| &pending.question));
            all.filter(move |question| mode(question, served, at) == Some(wanted))
                .map(|question| match wanted {
                    Mode::Realtime => question.window,
                    // The same from one audit to the next, so that a query that was begun is found again.
                    Mode::Later => attribution::whole_days(question.window),
                })
                .collect::<Vec<_>>()
        };
        let with = |mode: Mode| attribution::spans(of(mode)).into_iter().map(move |span| (span, mode));
        let mut spans: Vec<_> = with(Mode::Realtime).collect();
        spans.extend(with(Mode::Later));
        spans.truncate(SPANS);
        spans
    }

    /// What follows. `read`: what the log said, and what it covers; or why it was not asked.
    pub(super) fn conclude(
        self,
        events: &mut [Event],
        read: Result<(&Served, &LogRead), &collect::Error>,
        snapshot: &Snapshot,
        at: DateTime<Utc>,
    ) -> Answers {
        let mut answers = Answers::default();
        for (place, question) in self.new {
            let outcome = judge(&question, read, snapshot, at);
            let (answer, wait) = match outcome {
                Outcome::Known(answer) => (answer, false),
                Outcome::Unknown { reason, final_: ends } => (Attribution::unknown(reason), !ends),
            };
            answers.attributed.known.push((question.event.clone(), answer.clone()));
            if wait {
                answers.attributed.pending.push(Pending::new(question, at));
            }
            if let Some(event) = events.get_mut(place) {
                event.actor = Some(answer);
            }
        }
        let asked: BTreeSet<String> = answers.attributed.known.iter().map(|(id, _)| id.clone()).collect();
        for event in events.iter().filter(|event| !asked.contains(&event.id)) {
            if let Some(actor) = &event.actor {
                answers.attributed.known.push((event.id.clone(), actor.clone()));
            }
        }
        for pending in self.due {
            let event = pending.question.event.clone();
            match judge(&pending.question, read, snapshot, at) {
                Outcome::Known(answer) => {
                    answers.attributed.known.push((event.clone(), answer.clone()));
                    answers.attributed.settled.push(event);
                    answers.late.push((pending.question, answer));
                }
                Outcome::Unknown { reason, .. } => {
                    if let Some(pending) = pending.again(at) {
                        answers.attributed.pending.push(pending);
                        continue;
                    }
                    let reason = format!("{reason}; given up after a day");
                    answers.attributed.known.push((event.clone(), Attribution::unknown(reason)));
                    answers.attributed.settled.push(event);
                }
            }
        }
        answers
    }
}

/// What makes a change older than the audit before.
pub(super) struct Doubts {
    /// Subjects whose removal only a second audit believed.
    removals: BTreeSet<String>,
    /// Since when divisions were not seen.
    divisions: Option<DateTime<Utc>>,
}

impl Doubts {
    pub(super) fn of(history: &History) -> Self {
        let gaps = history.past.iter().flat_map(|past| &past.gaps);
        Self {
            removals: history.pending_removals.iter().map(|(_, id)| id.clone()).collect(),
            divisions: gaps.filter(|gap| gap.fact == Fact::Divisions).filter_map(|gap| gap.stale_since).min(),
        }
    }

    /// When what an event tells of took place, if the audit before began at `began`.
    fn window(&self, event: &Event, began: DateTime<Utc>, at: DateTime<Utc>) -> Span {
        let mut from = began;
        if self.removals.contains(&event.cause.subject.id) {
            from -= DOUBTED;
        }
        if event.cause.subject.kind == "division"
            && let Some(since) = self.divisions
        {
            from = from.min(since);
        }
        Span { from: from - SKEW, to: at + SKEW }
    }
}

enum Outcome {
    Known(Attribution),
    /// `final_`: asking again would bring nothing else.
    Unknown {
        reason: String,
        final_: bool,
    },
}

fn mode(question: &Question, served: &Served, at: DateTime<Utc>) -> Option<Mode> {
    served.mode(question.entity_types(), question.window.from, at)
}

fn judge(
    question: &Question,
    read: Result<(&Served, &LogRead), &collect::Error>,
    snapshot: &Snapshot,
    at: DateTime<Utc>,
) -> Outcome {
    let not_asked = |error: &collect::Error| {
        let final_ = matches!(error, collect::Error::Forbidden { .. } | collect::Error::NotFound { .. });
        Outcome::Unknown { reason: format!("the platform's audit log could not be read: {error}"), final_ }
    };
    let (served, log) = match read {
        Ok(read) => read,
        Err(error) => return not_asked(error),
    };
    if mode(question, served, at).is_none() {
        let reason = format!("the platform's audit log does not cover a {}", question.subject.kind);
        return Outcome::Unknown { reason, final_: true };
    }
    let Some(extent) = covered(question.window, log) else {
        return match &log.problem {
            Some(error) => not_asked(error),
            None => Outcome::Unknown {
                reason: "the platform's audit log has not answered yet".to_owned(),
                final_: false,
            },
        };
    };
    match attribution::answer(question, &log.entries, extent) {
        Some(answer) => Outcome::Known(named(answer, snapshot)),
        None => Outcome::Unknown {
            reason: "the platform's audit log has no entry about it (yet)".to_owned(),
            final_: false,
        },
    }
}

/// How far the log was read within a window; `None`: not all of it was.
fn covered(window: Span, log: &LogRead) -> Option<Read> {
    let mut extent = Read::Whole;
    let mut from = window.from;
    // The spans are in the order of time and touch each other where they cover.
    for (span, read) in &log.read {
        if span.from <= from && from < span.to {
            from = span.to;
            if *read == Read::Partly {
                extent = Read::Partly;
            }
        }
    }
    (from >= window.to).then_some(extent)
}

/// With the names of clients, which the log does not tell. A user's id may be a client's.
fn named(mut answer: Attribution, snapshot: &Snapshot) -> Attribution {
    use crate::domain::attribution::ActorKind;
    let find = |kind: &mut Option<ActorKind>, id: &Option<String>, name: &mut Option<String>| {
        if let Some(client) = id.as_ref().and_then(|id| snapshot.clients.get(id.as_str())) {
            *kind = Some(ActorKind::Client);
            *name = Some(client.name.clone());
        }
    };
    if answer.certainty == Certainty::Exact {
        find(&mut answer.kind, &answer.id, &mut answer.name);
    }
    for candidate in &mut answer.candidates {
        find(&mut candidate.kind, &candidate.id, &mut candidate.name);
    }
    answer
}

#[cfg(test)]
mod tests;
