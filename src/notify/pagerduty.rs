//! The `pagerduty` receiver: the Events API, version 2.
//!
//! Enters: a message's id and stored bytes. Leaves: an event (a few, where one message ends several incidents), and an
//! [`Outcome`]. Must never: show the routing key, which travels in the body; no answer is quoted.

use std::fmt;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    Blame, Outcome,
    http::{Answer, Error, LIMITS, Limits, Post},
};
use crate::{
    config::{Receiver, Secret, SecretUrl},
    domain::rendering::pagerduty,
};

/// One integration of a service.
pub(super) struct PagerDuty {
    post: Post,
    routing_key: Secret,
}

impl fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagerDuty").field("post", &self.post).finish_non_exhaustive()
    }
}

impl PagerDuty {
    /// Fails if the address may not be used.
    pub(super) fn new(receiver: &Receiver, url: &SecretUrl, key: &Secret) -> Result<Self, Error> {
        Self::with(receiver, url, key, LIMITS)
    }

    pub(super) fn with(
        receiver: &Receiver,
        url: &SecretUrl,
        key: &Secret,
        limits: Limits,
    ) -> Result<Self, Error> {
        Ok(Self { post: Post::new(receiver, url, limits)?, routing_key: key.clone() })
    }

    /// Makes one attempt. If one of several events fails, all are sent again at the next attempt: the key of each makes
    /// that harmless.
    pub(super) async fn deliver(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Outcome {
        for mut event in pagerduty::events(body, id) {
            event["routing_key"] = json!(self.routing_key.expose_secret());
            let outcome = match self.post.json(HeaderMap::new(), event.to_string(), now).await {
                Ok(answer) => self.judge(&answer),
                Err(outcome) => outcome,
            };
            if outcome != Outcome::Delivered {
                return outcome;
            }
        }
        Outcome::Delivered
    }

    fn unwanted(post: &Post, code: u16) -> Outcome {
        Outcome::Dead {
            reason: "rejected",
            detail: format!("{post} answered {code}: PagerDuty will not take this event"),
        }
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let post = &self.post;
        let code = answer.status.as_u16();
        match code {
            202 => Outcome::Delivered,
            200..=299 => Outcome::Refused {
                blames: Blame::Sender,
                detail: format!("{post} answered {code} and not 202: it is not PagerDuty that answers"),
            },
            // Nobody's event is at fault if the key is: they wait until it is right.
            400 if answer.text.to_lowercase().contains("routing key") => Outcome::Refused {
                blames: Blame::Sender,
                detail: format!("{post} answered 400: it does not know the routing key"),
            },
            413 => Self::unwanted(post, code),
            // A 400 that does not say so is a proxy's, of which a message does not die.
            400 if answer.text.to_lowercase().contains("invalid event") => Self::unwanted(post, code),
            _ => post.judge(answer),
        }
    }
}
