//! One call over HTTP: its limits, its attempts, its measurements.
//!
//! Enters: a request without side effects. Leaves: a final answer (any status that another attempt would not
//! change), or an error. Must never: follow a redirect, use a proxy nobody configured, read without a bound of time
//! and size, or log a header, a body or a query.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::{Client, Proxy, RequestBuilder, Response, header::HeaderMap, redirect};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{
    Endpoint, Error,
    definition::spool::{self, Spool},
    pace,
};
use crate::{
    config::{Org, SecretUrl},
    telemetry::Metrics,
};

/// What a call may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect: Duration,
    /// One attempt, to the last byte of its body.
    pub request: Duration,
    /// A call with all its attempts and waits.
    pub call: Duration,
    /// Bytes of a body.
    pub body: usize,
    /// Attempts of a call.
    pub attempts: usize,
    /// The first wait between attempts; each further one is twice as long.
    pub backoff: Duration,
    /// The longest wait that the platform may ask for; a longer one fails the call.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            call: Duration::from_mins(5),
            // Ten thousand clients are about 10 MB.
            body: 64 << 20,
            attempts: 4,
            backoff: Duration::from_secs(1),
            longest_wait: Duration::from_mins(2),
        }
    }
}

/// A body that explains a refusal is short; more of it is not read.
const REFUSAL_BYTES: usize = 64 << 10;

/// A final answer.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Empty where the body went to a [`Spool`].
    pub body: Vec<u8>,
}

/// Where the body of a success goes, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    /// `None`: into memory.
    pub spool: Option<&'a Mutex<Spool>>,
    /// One attempt.
    pub request: Duration,
    /// A call with all its attempts and waits.
    pub call: Duration,
}

/// An attempt that failed.
pub(super) struct Failure {
    pub error: Error,
    /// The `cause` label of a retry.
    pub cause: &'static str,
    /// How long the platform asked to wait.
    asked: Option<Duration>,
}

/// The connection to one organisation's platform.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    pace: pace::Pace,
    sent: AtomicU32,
}

impl Transport {
    /// Fails if TLS cannot be set up.
    pub(super) fn new(org: &Org, limits: Limits, metrics: Arc<Metrics>) -> Result<Self, Error> {
        // `reqwest` comes without a TLS provider; the first of our edges that connects chooses ring for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            .redirect(redirect::Policy::none())
            // Nobody wrote HTTPS_PROXY for us.
            .no_proxy()
            .user_agent(concat!("scopewarden/", env!("CARGO_PKG_VERSION")));
        let failed = |error: reqwest::Error| Error::Network {
            endpoint: Endpoint::Token,
            detail: format!(
                "cannot set up TLS: {}; install the system's CA certificates",
                root_cause(&error)
            ),
        };
        let proxy = org.proxy.as_ref().map(SecretUrl::expose);
        if let Some(proxy) = proxy {
            builder = builder.proxy(Proxy::all(proxy.clone()).map_err(failed)?);
        }
        if [Some(&org.login_url), Some(&org.api_url), proxy]
            .into_iter()
            .flatten()
            .all(|url| url.scheme() == "http")
        {
            // A rehearsal on this machine needs no certificates, so it works where none are installed.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(failed)?;
        Ok(Self { client, limits, metrics, pace: pace::Pace::new(), sent: AtomicU32::new(0) })
    }

    /// What builds requests.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether a call could be made without waiting; if so, its place is kept for the next one.
    pub(super) fn has_room(&self) -> bool {
        self.pace.reserve()
    }

    /// Requests sent since the last call of this function.
    pub(super) fn take_sent(&self) -> u32 {
        self.sent.swap(0, Ordering::Relaxed)
    }

    /// Makes a call, as often as it may help. `request` builds one attempt.
    pub(super) async fn call(
        &self,
        endpoint: Endpoint,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, Error> {
        self.call_for(endpoint, request, self.in_memory()).await
    }

    /// As bodies go that are read at once.
    pub(super) fn in_memory(&self) -> Delivery<'static> {
        Delivery { spool: None, request: self.limits.request, call: self.limits.call }
    }

    /// [`Transport::call`], with the body where it is wanted.
    pub(super) async fn call_for(
        &self,
        endpoint: Endpoint,
        request: impl Fn() -> RequestBuilder,
        delivery: Delivery<'_>,
    ) -> Result<Answer, Error> {
        let mut attempt = 0_u32;
        let attempts = || {
            attempt += 1;
            self.attempt(endpoint, request().timeout(delivery.request), attempt, delivery)
        };
        let backoff = ExponentialBuilder::new()
            .with_min_delay(self.limits.backoff)
            .with_max_times(self.limits.attempts.saturating_sub(1))
            .with_jitter();
        let retrying = attempts
            .retry(backoff)
            .when(|failure: &Failure| failure.error.is_retryable())
            .adjust(|failure, planned| {
                let pause = planned.map(|planned| failure.asked.unwrap_or(planned))?;
                (pause <= self.limits.longest_wait).then_some(pause)
            })
            .notify(|failure, pause| {
                self.metrics.api_retry(failure.cause);
                let (reason, pause_ms) = (failure.error.reason(), millis(pause));
                warn!(endpoint = endpoint.name(), reason, cause = failure.cause, pause_ms, "calling again");
            });
        timeout(delivery.call, retrying).await.map_or_else(
            |_elapsed| {
                let limit = humantime::format_duration(delivery.call);
                Err(Error::Network {
                    endpoint,
                    detail: format!("no answer within {limit}, all attempts together"),
                })
            },
            |outcome| outcome.map_err(|failure| failure.error),
        )
    }

    async fn attempt(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
        attempt: u32,
        delivery: Delivery<'_>,
    ) -> Result<Answer, Failure> {
        if endpoint != Endpoint::Token {
            self.pace.wait().await;
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let outcome = self.exchange(endpoint, request, delivery).await;
        let elapsed = started.elapsed();
        self.metrics.api_request(endpoint.name(), elapsed.as_secs_f64());
        let (status, correlation) = match &outcome {
            Ok(answer) => (answer.status, correlation(&answer.headers)),
            Err(_) => (0, None),
        };
        debug!(
            endpoint = endpoint.name(),
            status,
            ms = millis(elapsed),
            attempt,
            correlation = correlation.map(tracing::field::display),
            "called the platform"
        );
        let answer = outcome?;
        if endpoint != Endpoint::Token {
            self.pace.heed(&answer.headers);
        }
        self.judge(endpoint, answer)
    }

    /// One attempt and no more, whatever comes of it; at most `most` bytes of the body are read. For calls of which the
    /// status is what matters.
    pub(super) async fn once(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
        most: usize,
    ) -> Result<Answer, Failure> {
        if endpoint != Endpoint::Token {
            self.pace.wait().await;
        }
        let started = Instant::now();
        let limit = self.limits.request;
        let outcome = match request.timeout(limit).send().await {
            Ok(mut response) => {
                let headers = std::mem::take(response.headers_mut());
                let status = response.status().as_u16();
                Ok(Answer { status, headers, body: read_some(response, most).await })
            }
            Err(error) => Err(self.lost(endpoint, error, limit)),
        };
        let elapsed = started.elapsed();
        self.metrics.api_request(endpoint.name(), elapsed.as_secs_f64());
        let status = outcome.as_ref().map_or(0, |answer| answer.status);
        debug!(endpoint = endpoint.name(), status, ms = millis(elapsed), "called the platform once");
        let answer = outcome?;
        if endpoint != Endpoint::Token {
            self.pace.heed(&answer.headers);
        }
        Ok(answer)
    }

    /// A final answer, or a failure that another attempt may mend.
    fn judge(&self, endpoint: Endpoint, answer: Answer) -> Result<Answer, Failure> {
        let (status, headers) = (answer.status, &answer.headers);
        match status {
            429 => {
                let asked = pace::asked_wait(headers);
                let detail = match asked {
                    Some(wait) if wait > self.limits.longest_wait => format!(
                        "the rate limit asks for a wait of {}, more than the {} that an audit waits",
                        humantime::format_duration(wait),
                        humantime::format_duration(self.limits.longest_wait)
                    ),
                    _ => "the rate limit still holds after every attempt: run audits less often, or find who else \
                          uses the auditor's client"
                        .to_owned(),
                };
                Err(Failure { error: Error::RateLimited { endpoint, detail }, cause: "http_429", asked })
            }
            408 => Err(Failure { error: Error::Server { endpoint, status }, cause: "timeout", asked: None }),
            500 | 502 | 503 | 504 => {
                let asked = pace::retry_after(headers);
                Err(Failure { error: Error::Server { endpoint, status }, cause: "http_5xx", asked })
            }
            _ => Ok(answer),
        }
    }

    async fn exchange(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
        delivery: Delivery<'_>,
    ) -> Result<Answer, Failure> {
        let lost = |error: reqwest::Error| self.lost(endpoint, error, delivery.request);
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let announced = response.content_length();
        let headers = std::mem::take(response.headers_mut());
        let body = match delivery.spool {
            _ if !matches!(status, 200 | 202) => read_some(response, REFUSAL_BYTES).await,
            None => self.read(endpoint, response, announced).await?,
            Some(spool) => {
                self.pour(endpoint, response, announced, spool, delivery.request).await?;
                Vec::new()
            }
        };
        Ok(Answer { status, headers, body })
    }

    /// Pours a body into a spool, from its beginning.
    async fn pour(
        &self,
        endpoint: Endpoint,
        mut response: Response,
        announced: Option<u64>,
        spool: &Mutex<Spool>,
        limit: Duration,
    ) -> Result<(), Failure> {
        let mut spool = spool.lock().await;
        let failed =
            |error| Failure { error: spool::explain(endpoint, error), cause: "connect", asked: None };
        spool.restart(announced).await.map_err(failed)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(endpoint, error, limit))? {
            spool.write(&chunk).await.map_err(failed)?;
        }
        spool.finish().await.map_err(failed)
    }

    async fn read(
        &self,
        endpoint: Endpoint,
        mut response: Response,
        announced: Option<u64>,
    ) -> Result<Vec<u8>, Failure> {
        let limit = self.limits.body;
        let too_large = || Failure {
            error: Error::InvalidResponse {
                endpoint,
                detail: format!("the body is larger than {limit} bytes"),
            },
            cause: "connect",
            asked: None,
        };
        if announced.is_some_and(|announced| announced > limit as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.lost(endpoint, error, self.limits.request))?
        {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// No complete answer came.
    fn lost(&self, endpoint: Endpoint, error: reqwest::Error, limit: Duration) -> Failure {
        let (connecting, late) = (error.is_connect(), error.is_timeout());
        // The URL may be a page's, with a query that the platform chose.
        let error = error.without_url();
        let (detail, cause) = match (connecting, late) {
            (true, true) => {
                let limit = humantime::format_duration(self.limits.connect);
                (format!("no connection within {limit}"), "timeout")
            }
            (true, false) => (format!("cannot connect: {}", root_cause(&error)), "connect"),
            (false, true) => {
                let limit = humantime::format_duration(limit);
                (format!("no complete answer within {limit}"), "timeout")
            }
            (false, false) => (format!("the connection broke: {}", root_cause(&error)), "connect"),
        };
        Failure { error: Error::Network { endpoint, detail }, cause, asked: None }
    }
}

/// The first `most` bytes of a body. What cannot be read of it is not missed: the status says enough.
async fn read_some(mut response: Response, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= most {
            body.truncate(most);
            break;
        }
    }
    body
}

/// The id by which the platform's support finds a call; only if it is one.
fn correlation(headers: &HeaderMap) -> Option<Uuid> {
    headers.get("inin-correlation-id")?.to_str().ok()?.parse().ok()
}

/// The innermost error: the outer ones say only that sending failed.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
