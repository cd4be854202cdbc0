//! What leaves for the receivers: the body of each outgoing event, rendered once.
//!
//! Enters: what an audit found. Leaves: messages with fixed bytes, so that every attempt sends the same.
//! Must never: hold a secret, or grow without bound (lists are cut, and say so).

use super::Severity;

/// The type of an outgoing event. The names are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// The configuration changed.
    DriftDetected,
    /// A check failed that did not before.
    FindingOpened,
    /// A check that failed passes now.
    FindingResolved,
    /// An audit recorded nothing.
    AuditFailed,
    /// Audits record again.
    AuditRecovered,
    /// The first audit of an organisation.
    BaselineRecorded,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::DriftDetected,
        Self::FindingOpened,
        Self::FindingResolved,
        Self::AuditFailed,
        Self::AuditRecovered,
        Self::BaselineRecorded,
    ];

    /// The `type` on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DriftDetected => "drift.detected",
            Self::FindingOpened => "finding.opened",
            Self::FindingResolved => "finding.resolved",
            Self::AuditFailed => "audit.failed",
            Self::AuditRecovered => "audit.recovered",
            Self::BaselineRecorded => "baseline.recorded",
        }
    }
}

/// One outgoing event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Constant over all attempts and receivers; becomes `webhook-id`. Holds no dot.
    pub id: String,
    /// Its type.
    pub kind: MessageKind,
    /// Receivers with a higher `min_severity` do not get it.
    pub severity: Severity,
    /// Messages with one order key reach a receiver in the order they were made.
    pub order_key: String,
    /// The JSON body, byte for byte.
    pub body: String,
}
