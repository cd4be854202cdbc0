//! The `slack` receiver: an incoming webhook.
//!
//! Enters: a message's id and stored bytes. Leaves: one POST a message, at most one a second, and its [`Outcome`]. Must
//! never: take a page of somebody else's for Slack's `ok`, or show what an answer says beyond the words that Slack is
//! known to use.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

use super::{
    Blame, Outcome,
    http::{Answer, Error, LIMITS, Limits, Post},
};
use crate::{
    config::{Receiver, SecretUrl},
    domain::rendering::{Story, slack},
};

/// "One message per second" is what Slack allows.
const PACE: Duration = Duration::from_secs(1);

/// Slack's words for a webhook that will never work again.
const GONE: [&str; 9] = [
    "no_service",
    "no_service_id",
    "no_team",
    "team_disabled",
    "no_active_hooks",
    "channel_is_archived",
    "channel_not_found",
    "invalid_token",
    "posting_to_general_channel_denied",
];
/// Slack's words for a payload that it will never take.
const UNWANTED: [&str; 6] = [
    "invalid_payload",
    "invalid_blocks",
    "no_text",
    "too_many_attachments",
    "invalid_attachments",
    "msg_too_long",
];

/// One incoming webhook.
#[derive(Debug)]
pub(super) struct Slack {
    post: Post,
}

impl Slack {
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
        let payload = slack::payload(&Story::of(body, id)).to_string();
        match self.post.json(HeaderMap::new(), payload, now).await {
            Ok(answer) => self.judge(&answer),
            Err(outcome) => outcome,
        }
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let post = &self.post;
        let code = answer.status.as_u16();
        let said = answer.text.trim();
        let word = |words: &[&'static str]| words.iter().copied().find(|word| *word == said);
        match code {
            200 if said == "ok" => Outcome::Delivered,
            200..=299 => Outcome::Refused {
                blames: Blame::Sender,
                detail: format!(
                    "{post} answered {code} without Slack's \"ok\": it is not Slack that answers"
                ),
            },
            400..=499 if word(&GONE).is_some() => Outcome::Disabled {
                detail: format!(
                    "{post} answered {code} ({}): make a new incoming webhook, and put its URL where the old one is",
                    word(&GONE).unwrap_or_default()
                ),
            },
            413 => Outcome::Dead {
                reason: "rejected",
                detail: format!("{post} answered 413: Slack will not take this message"),
            },
            // Without a word of Slack's it is a proxy that speaks, of which a message does not die.
            400 if word(&UNWANTED).is_some() => Outcome::Dead {
                reason: "rejected",
                detail: format!(
                    "{post} answered 400 ({}): Slack will not take this message",
                    word(&UNWANTED).unwrap_or_default()
                ),
            },
            _ => post.judge(answer),
        }
    }
}
