//! Which messages a receiver wants.
//!
//! Enters: what the operator wrote for a receiver, and a message. Leaves: yes or no. Must never: hold back what tells
//! of the audits themselves. A receiver that hears nothing must be able to tell that from silence.

use super::{
    Severity,
    message::{Message, MessageKind},
};

/// What one receiver wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The least severity.
    pub min_severity: Severity,
}

impl Route {
    /// Everything.
    pub const ALL: Self = Self { min_severity: Severity::Info };

    /// Whether the receiver gets a message.
    pub fn wants(&self, message: &Message) -> bool {
        match message.kind {
            MessageKind::DriftDetected
            | MessageKind::FindingOpened
            | MessageKind::FindingReopened
            | MessageKind::FindingResolved => message.severity >= self.min_severity,
            MessageKind::AuditFailed
            | MessageKind::AuditRecovered
            | MessageKind::BaselineRecorded
            | MessageKind::Test => true,
        }
    }
}
