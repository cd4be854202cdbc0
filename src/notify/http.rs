//! The one way out over HTTP, for every kind of receiver.
//!
//! Enters: a request's headers and bytes. Leaves: the status, what the answer asked for and its first bytes; or the
//! [`Outcome`] of a request without an answer. Must never: follow a redirect, reach an address that a receiver has no
//! business with, read an answer without end, or show more of the URL than its origin.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Body, StatusCode,
    dns::Resolve,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Blame, Outcome,
    address::{Guarded, Refused, System},
    schedule,
};
use crate::config::{Access, Receiver, SecretUrl, address};

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
pub(super) struct Limits {
    /// Resolving the name and connecting, TLS included.
    pub(super) connect: Duration,
    /// Everything, from resolving the name to the end of the answer.
    pub(super) total: Duration,
    /// What is read of an answer before the connection is dropped.
    pub(super) answer_bytes: usize,
}

pub(super) const LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), total: Duration::from_secs(15), answer_bytes: 64 * 1024 };

/// One place that is posted to.
pub(super) struct Post {
    url: SecretUrl,
    http: reqwest::Client,
    answer_bytes: usize,
    pace: Option<Pace>,
    access: Access,
}

/// At most one request an interval.
struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

/// What came back.
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// `Retry-After`, at most an hour.
    pub(super) after: Option<Duration>,
    /// The beginning of the body, as text. For comparing with words that are known; never to be shown.
    pub(super) text: String,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("url", &self.url).finish_non_exhaustive()
    }
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.url, f)
    }
}

impl Post {
    /// A way to `url`, by the receiver's proxy and address rules. Fails if the address may not be used.
    pub(super) fn new(receiver: &Receiver, url: &SecretUrl, limits: Limits) -> Result<Self, Error> {
        Self::with(receiver, url, limits, System)
    }

    /// As [`Post::new`], with another resolver.
    pub(super) fn with(
        receiver: &Receiver,
        url: &SecretUrl,
        limits: Limits,
        resolver: impl Resolve + 'static,
    ) -> Result<Self, Error> {
        let name = || receiver.name.clone();
        let judge = |url: &SecretUrl, deny_private| match address::host_refusal(url.expose(), deny_private) {
            Some(why) => Err(Error::Address { receiver: name(), url: url.to_string(), why }),
            None => Ok(()),
        };
        judge(url, receiver.deny_private)?;
        // reqwest takes the process's provider; that another part of the program installed it first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: reqwest::Error| Error::Client { receiver: name(), why: root_cause(&error) };
        let mut http = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            // Following would carry the body to an address that nobody configured.
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
        Ok(Self {
            url: url.clone(),
            http,
            answer_bytes: limits.answer_bytes,
            pace: None,
            access: Access::Open,
        })
    }

    /// The same, with at least so long between the beginnings of two requests.
    pub(super) fn paced(self, interval: Duration) -> Self {
        Self { pace: Some(Pace { interval, next: Mutex::new(None) }), ..self }
    }

    /// The same, signed in.
    pub(super) fn signed_in(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Posts JSON, with `headers` beside the content type. Returns within 15 seconds (and the pace); fails with what a
    /// request without an answer means.
    pub(super) async fn json(
        &self,
        headers: HeaderMap,
        body: impl Into<Body>,
        now: DateTime<Utc>,
    ) -> Result<Answer, Outcome> {
        if let Some(pace) = &self.pace {
            let mut next = pace.next.lock().await;
            if let Some(at) = *next {
                tokio::time::sleep_until(at).await;
            }
            *next = Some(Instant::now() + pace.interval);
        }
        let request = self
            .http
            .post(self.url.expose().clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .headers(headers)
            .body(body);
        // Both mark the header as sensitive.
        let request = match &self.access {
            Access::Open => request,
            Access::Basic { username, password } => {
                request.basic_auth(username, Some(password.expose_secret()))
            }
            Access::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                let after = response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|header| schedule::retry_after(header.to_str().ok()?, now));
                let text = self.read(response).await;
                Ok(Answer { status, after, text })
            }
            Err(error) => Err(self.explain(&error.without_url())),
        }
    }

    /// What an answer means to most kinds of receiver; those with rules of their own ask here about the rest.
    pub(super) fn judge(&self, answer: &Answer) -> Outcome {
        let code = answer.status.as_u16();
        let answered = format!("{self} answered {code}");
        let retry = |reason| Outcome::Retry { reason, detail: answered.clone(), after: None };
        let throttled = |reason| Outcome::Retry { reason, detail: answered.clone(), after: answer.after };
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
        let (reason, detail) = if let Some(refused) = refusal(error) {
            ("address", format!("{self} may not be used: {refused}"))
        } else if error.is_timeout() {
            ("timeout", format!("{self} did not answer in time"))
        } else if error.is_connect() {
            ("network", format!("{self} could not be reached: {}", root_cause(error)))
        } else {
            ("network", format!("{self} broke the connection: {}", root_cause(error)))
        };
        // A refused address is tried again too: the name may resolve elsewhere tomorrow, and an alert is not lost.
        Outcome::Retry { reason, detail, after: None }
    }

    /// Reads a short answer to its end, so that the connection can be used again; a long one is cut off. The status
    /// has decided already: an answer that breaks here changes nothing.
    async fn read(&self, mut response: reqwest::Response) -> String {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= self.answer_bytes {
                break;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
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
