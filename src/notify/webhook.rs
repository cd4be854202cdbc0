//! The `webhook` receiver, by Standard Webhooks.
//!
//! Enters: a message's id, its stored bytes, the moment. Leaves: one signed POST and its [`Outcome`]. Must never: keep
//! more of the answer than its status and `Retry-After`, or show more of the URL than its origin.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    dns::Resolve,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret;
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook as Signer,
};

use super::{
    Blame, Outcome,
    address::{Guarded, Refused, System},
    schedule,
};
use crate::config::{Receiver, SecretUrl, address};

/// The most of a failure's text that goes into a detail.
const CAUSE_CHARS: usize = 200;

/// Why a receiver cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signing secret does not decode. The decoder's own message would quote it.
    #[error("receiver {receiver:?}: the signing secret is not `whsec_` followed by standard base64")]
    Secret {
        /// The receiver.
        receiver: String,
    },
    /// The URL, or its proxy's, names an address that is never (or, with `deny_private`, not) allowed.
    #[error("receiver {receiver:?}: {url} {why}")]
    Address {
        /// The receiver.
        receiver: String,
        /// The URL's origin.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The HTTP client could not be made.
    #[error(
        "receiver {receiver:?}: no HTTPS client ({why}): are CA certificates installed (package ca-certificates)?"
    )]
    Client {
        /// The receiver.
        receiver: String,
        /// What the library says.
        why: String,
    },
}

/// How long and how much.
#[derive(Clone, Copy)]
struct Limits {
    /// Resolving the name and connecting, TLS included.
    connect: Duration,
    /// Everything, from resolving the name to the end of the answer.
    total: Duration,
    /// What is read of an answer before the connection is dropped.
    answer_bytes: usize,
}

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), total: Duration::from_secs(15), answer_bytes: 64 * 1024 };

/// One receiver.
pub struct Webhook {
    name: String,
    url: SecretUrl,
    signer: Signer,
    http: reqwest::Client,
    answer_bytes: usize,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Builds the receiver. Fails if its secret does not decode or its address may not be used.
    pub fn new(receiver: &Receiver) -> Result<Self, Error> {
        Self::with(receiver, LIMITS, System)
    }

    fn with(receiver: &Receiver, limits: Limits, resolver: impl Resolve + 'static) -> Result<Self, Error> {
        let name = || receiver.name.clone();
        let signer = Signer::new(receiver.secret.expose_secret())
            .map_err(|_quotes_the_secret| Error::Secret { receiver: name() })?;
        let judge = |url: &SecretUrl, deny_private| match address::host_refusal(url.expose(), deny_private) {
            Some(why) => Err(Error::Address { receiver: name(), url: url.to_string(), why }),
            None => Ok(()),
        };
        judge(&receiver.url, receiver.deny_private)?;
        // reqwest takes the process's provider; that another part of the program installed it first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: reqwest::Error| Error::Client { receiver: name(), why: root_cause(&error) };
        let mut http = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            // Following would carry the signed body to an address that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            // Nobody wrote HTTP_PROXY for us.
            .no_proxy();
        let mut deny_private = receiver.deny_private;
        if let Some(proxy) = &receiver.proxy {
            judge(proxy, false)?;
            http = http.proxy(reqwest::Proxy::all(proxy.expose().clone()).map_err(failed)?);
            // Only the proxy is resolved and dialled by us now, and it lives in the operator's own network.
            deny_private = false;
        }
        let http = http.dns_resolver(Arc::new(Guarded { resolver, deny_private })).build().map_err(failed)?;
        Ok(Self { name: name(), url: receiver.url.clone(), signer, http, answer_bytes: limits.answer_bytes })
    }

    /// The receiver's configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes one attempt: `body` exactly as given, `id` constant over attempts, `now` the moment that is signed.
    /// Returns within 15 seconds.
    pub async fn deliver(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Outcome {
        let Some(headers) = self.sign(id, body, now) else {
            return Outcome::Dead {
                reason: "rejected",
                detail: format!("message {id:?} cannot be signed: its id or body is not plain text"),
            };
        };
        let request = self.http.post(self.url.expose().clone()).headers(headers).body(body.to_vec());
        match request.send().await {
            Ok(response) => {
                let outcome = self.judge(response.status(), response.headers(), now);
                self.drain(response).await;
                outcome
            }
            Err(error) => self.explain(&error.without_url()),
        }
    }

    /// The headers of this attempt; `None` if the parts could be read apart differently than we put them together,
    /// or cannot be signed.
    fn sign(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Option<HeaderMap> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
            return None;
        }
        let timestamp = now.timestamp();
        let signature = self.signer.sign(id, timestamp, body).ok()?;
        let mut headers = HeaderMap::new();
        headers.insert(HEADER_WEBHOOK_ID, HeaderValue::from_str(id).ok()?);
        headers.insert(HEADER_WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(HEADER_WEBHOOK_SIGNATURE, HeaderValue::from_str(&signature).ok()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(headers)
    }

    /// What an answer means.
    fn judge(&self, status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) -> Outcome {
        let code = status.as_u16();
        let answered = format!("{} answered {code}", self.url);
        let retry = |reason| Outcome::Retry { reason, detail: answered.clone(), after: None };
        let throttled = |reason| Outcome::Retry {
            reason,
            detail: answered.clone(),
            after: headers
                .get(RETRY_AFTER)
                .and_then(|header| schedule::retry_after(header.to_str().ok()?, now)),
        };
        match code {
            200..=299 => Outcome::Delivered,
            300..=399 => Outcome::Retry {
                reason: "redirect",
                detail: format!("{answered}; redirects are not followed: configure the final URL"),
                after: None,
            },
            408 => retry("timeout"),
            409 | 425 => retry("rejected"),
            410 => Outcome::Disabled {
                detail: format!("{answered} (gone): remove the receiver, or configure its new URL"),
            },
            429 => throttled("throttled"),
            400 | 413 | 415 | 422 => Outcome::Refused {
                blames: Blame::Message,
                detail: format!("{answered}: its own log may say why it does not take the message"),
            },
            401..=407 | 411 | 412 | 414 | 416..=421 | 423 | 424 | 426..=428 | 430..=499 => Outcome::Refused {
                blames: Blame::Sender,
                detail: format!("{answered}: check the receiver's URL and its secret"),
            },
            502..=504 => throttled("server"),
            // 500 and 501, and what is no status of HTTP.
            _ => retry("server"),
        }
    }

    /// What a failure without an answer means.
    fn explain(&self, error: &reqwest::Error) -> Outcome {
        let url = &self.url;
        let (reason, detail) = if let Some(refused) = refusal(error) {
            ("address", format!("{url} may not be used: {refused}"))
        } else if error.is_timeout() {
            ("timeout", format!("{url} did not answer in time"))
        } else if error.is_connect() {
            ("network", format!("{url} could not be reached: {}", root_cause(error)))
        } else {
            ("network", format!("{url} broke the connection: {}", root_cause(error)))
        };
        // A refused address is tried again too: the name may resolve elsewhere tomorrow, and an alert is not lost.
        Outcome::Retry { reason, detail, after: None }
    }

    /// Reads a short answer to its end, so that the connection can be used again; a long one is cut off. The status
    /// has decided already: an answer that breaks here changes nothing.
    async fn drain(&self, mut response: reqwest::Response) {
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read >= self.answer_bytes {
                return;
            }
        }
    }
}

/// The resolver's refusal, if that is what an error comes from.
fn refusal(error: &reqwest::Error) -> Option<&Refused> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The innermost cause, shortened: the outer layers only repeat that a request failed.
fn root_cause(error: &reqwest::Error) -> String {
    let text = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().take(CAUSE_CHARS).collect()
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

#[cfg(test)]
mod tests;
