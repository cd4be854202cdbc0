//! Alerts out: one message to one receiver, and what became of it.
//!
//! Enters: a message's id and bytes as the outbox holds them; for an Alertmanager, what stands. Leaves: what the kind of
//! receiver makes of it, and an [`Outcome`] that the caller records. Must never: change what a message says, follow a
//! redirect, reach an address that a receiver has no business with, or name a URL's path or query (in many products
//! that *is* the secret).
//!
//! `http`: the one way out. One file a kind of receiver; what they show is made by `domain::rendering`.

mod address;
mod alertmanager;
mod channel;
mod http;
mod ocsf_file;
mod pagerduty;
mod reach;
mod schedule;
mod slack;
mod teams;
mod webhook;

use std::time::Duration;

pub use alertmanager::{Alertmanager, Told};
pub use channel::{Channel, alertmanager};
pub use http::Error;
pub use reach::reach;
pub use schedule::{MAX_AGE, jitter_seed, rest};

/// What became of one attempt. Reasons are among `telemetry::DELIVERY_FAILURE_REASONS`; details are for people
/// and name the receiver's origin only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// The receiver cannot take it now, nor most likely any other.
    Retry {
        /// A bounded word.
        reason: &'static str,
        /// What happened.
        detail: String,
        /// The receiver asked for this much patience (at most an hour).
        after: Option<Duration>,
    },
    /// A 4xx: either the receiver is not what it should be (half way through a deployment, another secret, a proxy that
    /// lost a route), or it does not want this very message. Whether it takes another one tells which.
    Refused {
        /// What it speaks of.
        blames: Blame,
        /// What happened, and what to do.
        detail: String,
    },
    /// This message cannot be sent at all; later ones may be.
    Dead {
        /// A bounded word.
        reason: &'static str,
        /// What happened, and what to do.
        detail: String,
    },
    /// The receiver says that it is gone (410, or Slack's words for it): send it nothing more until the operator acts.
    Disabled {
        /// What happened, and what to do.
        detail: String,
    },
}

/// What a refusal speaks of, by its status. Only a hint: what answers may not be the receiver at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The message: its content or its size.
    Message,
    /// Who sends it, how, or where to.
    Sender,
}

impl Outcome {
    /// The value of the metric's `reason` label; `None` if delivered.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Delivered => None,
            Self::Retry { reason, .. } | Self::Dead { reason, .. } => Some(reason),
            Self::Refused { .. } => Some("rejected"),
            Self::Disabled { .. } => Some("gone"),
        }
    }
}
