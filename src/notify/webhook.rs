//! The `webhook` receiver, by Standard Webhooks.
//!
//! Enters: a message's id, its stored bytes, the moment. Leaves: one signed POST and its [`Outcome`]. Must never: keep
//! more of the answer than its status and `Retry-After`, or show more of the URL than its origin.
//!
//! While secrets are changed there are two, and each attempt carries a signature of both: the receiver verifies with
//! whichever it has.

use std::fmt;

use chrono::{DateTime, Utc};
use reqwest::{
    dns::Resolve,
    header::{HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook as Signer,
};

use super::{
    Outcome,
    address::System,
    http::{Error, LIMITS, Limits, Post},
};
use crate::config::{Receiver, Secret, SecretUrl};

/// One receiver.
pub(super) struct Webhook {
    signers: Vec<Signer>,
    post: Post,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("post", &self.post).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Builds the receiver. Fails if a secret does not decode or its address may not be used.
    pub(super) fn new(
        receiver: &Receiver,
        url: &SecretUrl,
        secret: &Secret,
        previous: Option<&Secret>,
    ) -> Result<Self, Error> {
        Self::with(receiver, url, [Some(secret), previous], LIMITS, System)
    }

    fn with(
        receiver: &Receiver,
        url: &SecretUrl,
        secrets: [Option<&Secret>; 2],
        limits: Limits,
        resolver: impl Resolve + 'static,
    ) -> Result<Self, Error> {
        let signers = secrets.into_iter().flatten().map(|secret| Signer::new(secret.expose_secret()));
        let signers = signers
            .collect::<Result<_, _>>()
            .map_err(|_quotes_the_secret| Error::Secret { receiver: receiver.name.clone() })?;
        Ok(Self { signers, post: Post::with(receiver, url, limits, resolver)? })
    }

    /// Makes one attempt: `body` exactly as given, `id` constant over attempts, `now` the moment that is signed.
    /// Returns within 15 seconds.
    pub(super) async fn deliver(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Outcome {
        let Some(headers) = self.sign(id, body, now) else {
            return Outcome::Dead {
                reason: "rejected",
                detail: format!("message {id:?} cannot be signed: its id or body is not plain text"),
            };
        };
        match self.post.json(headers, body.to_vec(), now).await {
            Ok(answer) => self.post.judge(&answer),
            Err(outcome) => outcome,
        }
    }

    /// The headers of this attempt; `None` if the parts could be read apart differently than we put them together,
    /// or cannot be signed.
    fn sign(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Option<HeaderMap> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
            return None;
        }
        let timestamp = now.timestamp();
        let signatures: Option<Vec<String>> =
            self.signers.iter().map(|signer| signer.sign(id, timestamp, body).ok()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(HEADER_WEBHOOK_ID, HeaderValue::from_str(id).ok()?);
        headers.insert(HEADER_WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(HEADER_WEBHOOK_SIGNATURE, HeaderValue::from_str(&signatures?.join(" ")).ok()?);
        Some(headers)
    }
}

#[cfg(test)]
mod tests;
