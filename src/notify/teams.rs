//! The `teams` receiver: a workflow that posts what it gets to a channel.
//!
//! Enters: a message's id and stored bytes. Leaves: one POST a message, at most four a second, and its [`Outcome`]. Must
//! never: promise that a card was seen. A 2xx says that the workflow took it; what becomes of it is in the workflow's
//! own run history.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

use super::{
    Outcome,
    http::{Error, LIMITS, Limits, Post},
};
use crate::{
    config::{Receiver, SecretUrl},
    domain::rendering::{Story, teams},
};

/// More than four requests a second are throttled.
const PACE: Duration = Duration::from_millis(250);

/// One workflow.
#[derive(Debug)]
pub(super) struct Teams {
    post: Post,
}

impl Teams {
    /// Fails if the address may not be used.
    pub(super) fn new(receiver: &Receiver, url: &SecretUrl) -> Result<Self, Error> {
        Self::with(receiver, url, LIMITS, PACE)
    }

    pub(super) fn with(
        receiver: &Receiver,
        url: &SecretUrl,
        limits: Limits,
        pace: Duration,
    ) -> Result<Self, Error> {
        Ok(Self { post: Post::new(receiver, url, limits)?.paced(pace) })
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Outcome {
        let payload = teams::payload(&Story::of(body, id)).to_string();
        match self.post.json(HeaderMap::new(), payload, now).await {
            Ok(answer) if answer.status.as_u16() == 413 => Outcome::Dead {
                reason: "rejected",
                detail: format!("{} answered 413: the card is too large for it", self.post),
            },
            Ok(answer) => self.post.judge(&answer),
            Err(outcome) => outcome,
        }
    }
}
