//! Messages on their way to receivers.
//!
//! Enters: messages, in the transaction of the audit that made them; outcomes of attempts. Leaves: what is due.
//! Must never: lose a message without saying so, or hand out one whose order key has an earlier one on its way.
//!
//! **At least once.** A message is promised when its audit commits. Claiming it postpones its next attempt by
//! [`LEASE`]; who claims it sends it and settles. A process that dies in between has thereby scheduled the next
//! attempt, so a receiver may see a message twice, always with the same id and the same bytes, and never not at all.
//! A claim is in the order in which the messages were made, and leaves out those behind one of the same order key that
//! is not due: who sends what it claimed in that order, and stops at a failure, never lets a resolve overtake its
//! trigger. A dead message stands in nobody's way.
//!
//! **Bounds.** Settled messages are forgotten after [`KEPT`], anything else after [`KEPT_UNDELIVERED`]: dead ones
//! that nobody cared for, and those of receivers that left the configuration. Every new message makes room.

mod send;
mod tend;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::Problem;
use crate::domain::{Severity, message::MessageKind};

pub(super) use send::{enqueue, forget};

/// How long a claimed message is left to whoever claimed it.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How long a message that reached all its receivers is remembered.
const KEPT: TimeDelta = TimeDelta::days(7);
/// How long any message is remembered, from the last time that it was queued for a receiver which did not get it.
const KEPT_UNDELIVERED: TimeDelta = TimeDelta::days(30);

/// A message to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id, the same at every attempt.
    pub id: String,
    /// Whom it is for.
    pub receiver: String,
    /// Its type.
    pub kind: MessageKind,
    /// How bad.
    pub severity: Severity,
    /// Messages with one order key are sent in the order they were made.
    pub order_key: String,
    /// The body, byte for byte.
    pub body: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Since when it waits: `created`, or when a person last sent it back to the queue. Its age counts from here.
    pub queued: DateTime<Utc>,
    /// Attempts made before this one.
    pub attempt: u32,
}

/// What became of a claimed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The message's id.
    pub id: String,
    /// Whom it was for.
    pub receiver: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It will be tried again.
    Retry {
        /// When.
        next_at: DateTime<Utc>,
        /// A bounded word.
        reason: String,
        /// One sentence for a person, without any secret.
        detail: String,
    },
    /// It will not be tried again by itself.
    Dead {
        /// A bounded word.
        reason: String,
        /// One sentence for a person, without any secret.
        detail: String,
    },
    /// It was claimed and not tried; it is due again at once.
    Released,
}

/// Where a message stands with one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutboxState {
    /// To be sent, or sent again.
    Pending,
    /// Received.
    Delivered,
    /// Given up.
    Dead,
}

impl OutboxState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The word in the database, in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// Reads the word that [`OutboxState::as_str`] writes; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One line of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The message's id.
    pub id: String,
    /// Whom it is for.
    pub receiver: String,
    /// Its type.
    pub kind: MessageKind,
    /// How bad.
    pub severity: Severity,
    /// What it is ordered with.
    pub order_key: String,
    /// Where it stands.
    pub state: OutboxState,
    /// Attempts made.
    pub attempt: u32,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it may be tried (again); only while pending.
    pub next_at: Option<DateTime<Utc>>,
    /// When it was delivered or given up.
    pub settled: Option<DateTime<Utc>>,
    /// Why the last attempt failed: a bounded word.
    pub reason: Option<String>,
    /// Why the last attempt failed: one sentence.
    pub detail: Option<String>,
}

/// What waits for one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Messages to be sent.
    pub pending: u64,
    /// Messages given up.
    pub dead: u64,
    /// When the oldest pending message was made.
    pub oldest_pending: Option<DateTime<Utc>>,
}

/// Which messages a person means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with these ids, pending or dead.
    Ids(Vec<String>),
    /// All dead ones.
    Dead,
    /// All that were not delivered, pending or dead.
    Undelivered,
}

impl OutboxState {
    fn read(word: &str) -> Result<Self, Problem> {
        Self::parse(word).ok_or_else(|| Problem::unreadable("delivery", format!("{word} is no state")))
    }
}

fn read_kind(word: &str) -> Result<MessageKind, Problem> {
    MessageKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| Problem::unreadable("message", format!("{word} is no type of message")))
}

fn read_severity(word: &str) -> Result<Severity, Problem> {
    Severity::parse(word).ok_or_else(|| Problem::unreadable("message", format!("{word} is no severity")))
}
