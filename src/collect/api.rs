//! The platform's API as one token sees it.
//!
//! Enters: the organisation's configuration, and which call to make. Leaves: bodies of successful answers.
//! Must never: send the token to another host, or ask for a second new token because a call was refused twice.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::IF_NONE_MATCH;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use tracing::warn;
use url::Url;

use super::{
    Endpoint, Error, refusal,
    transport::{Answer, Delivery, Transport},
    wire,
};
use crate::config::{Org, Secret};

/// A token is renewed this long before it ends, so that no call is made with one that ends on the way.
const RENEW_BEFORE: Duration = Duration::from_mins(1);
/// Assumed where the answer does not say: the shortest that the platform issues.
const SHORTEST_LIFETIME_S: u64 = 300;
/// The longest that the platform issues (SCIM clients).
const LONGEST_LIFETIME_S: u64 = 38_880_000;

/// One organisation's API.
#[derive(Debug)]
pub(super) struct Api {
    org: String,
    /// Base of the token endpoint.
    login: Url,
    /// Base of the API.
    base: Url,
    client_id: String,
    client_secret: Secret,
    token: Option<Token>,
    pub(super) transport: Transport,
}

#[derive(Debug)]
struct Token {
    value: SecretString,
    /// By the monotonic clock: a corrected wall clock neither ends nor prolongs a token.
    renew_at: Instant,
}

/// A call that only reads: a GET, or a POST that asks a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) url: &'a Url,
    /// The body of a POST; `None`: a GET.
    pub(super) question: Option<&'a Value>,
    /// The `ETag` of what is known already: then 304 is an answer too.
    pub(super) unless: Option<&'a str>,
    pub(super) delivery: Delivery<'a>,
}

/// The wall clock where it was read, and how long ago that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    now: DateTime<Utc>,
    read: Instant,
}

impl Moment {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { now, read: Instant::now() }
    }

    /// The present by the same reckoning.
    pub(super) fn now(self) -> DateTime<Utc> {
        self.after(Duration::ZERO)
    }

    fn after(self, duration: Duration) -> DateTime<Utc> {
        self.now + self.read.elapsed() + duration
    }
}

impl Api {
    pub(super) fn new(org: &Org, transport: Transport) -> Self {
        Self {
            org: org.name.clone(),
            login: org.login_url.clone(),
            base: org.api_url.clone(),
            client_id: org.client_id.clone(),
            client_secret: org.client_secret.clone(),
            token: None,
            transport,
        }
    }

    /// Makes sure that there is a token which lasts for the next call.
    pub(super) async fn authenticate(&mut self, moment: Moment) -> Result<(), Error> {
        if self.token.as_ref().is_some_and(|token| Instant::now() < token.renew_at) {
            return Ok(());
        }
        self.token = None;
        let requested = Instant::now();
        let url = under(&self.login, Endpoint::Token.path());
        let request = || {
            self.transport
                .client()
                .post(url.clone())
                .basic_auth(&self.client_id, Some(self.client_secret.expose_secret()))
                .form(&[("grant_type", "client_credentials")])
        };
        let answer = self.transport.call(Endpoint::Token, request).await?;
        if answer.status != 200 {
            return Err(refusal::of_token(&self.client_id, answer.status, &answer.body));
        }
        let issued = wire::token(&answer.body).map_err(|mismatch| Error::InvalidResponse {
            endpoint: Endpoint::Token,
            detail: mismatch.to_string(),
        })?;
        let seconds = issued.lifetime_s.unwrap_or(SHORTEST_LIFETIME_S).min(LONGEST_LIFETIME_S);
        let lifetime = Duration::from_secs(seconds).saturating_sub(requested.elapsed());
        self.transport.metrics.token_expires(&self.org, moment.after(lifetime));
        let renew_at = Instant::now() + lifetime - RENEW_BEFORE.min(lifetime / 2);
        self.token = Some(Token { value: issued.value, renew_at });
        Ok(())
    }

    /// The body of a successful GET. A refused token is renewed once.
    pub(super) async fn get(
        &mut self,
        endpoint: Endpoint,
        url: &Url,
        moment: Moment,
    ) -> Result<Vec<u8>, Error> {
        let delivery = self.transport.in_memory();
        let request = Request { endpoint, url, question: None, unless: None, delivery };
        Ok(self.answer(request, moment).await?.body)
    }

    /// The body of the answer to a POST that asks a question and changes nothing: it may be sent again.
    pub(super) async fn ask(
        &mut self,
        endpoint: Endpoint,
        question: &Value,
        moment: Moment,
    ) -> Result<Vec<u8>, Error> {
        let url = self.url(endpoint);
        let delivery = self.transport.in_memory();
        let request = Request { endpoint, url: &url, question: Some(question), unless: None, delivery };
        Ok(self.answer(request, moment).await?.body)
    }

    /// The answer to a call: 200 or 202, or 304 if the request allowed it. A refused token is renewed once.
    pub(super) async fn answer(&mut self, request: Request<'_>, moment: Moment) -> Result<Answer, Error> {
        let endpoint = request.endpoint;
        self.authenticate(moment).await?;
        let mut answer = self.call(request).await?;
        if answer.status == 401 {
            warn!(endpoint = endpoint.name(), "the access token was refused; asking for a new one");
            self.transport.metrics.api_retry("token");
            self.token = None;
            self.authenticate(moment).await?;
            answer = self.call(request).await?;
        }
        match answer.status {
            200 | 202 => Ok(answer),
            304 if request.unless.is_some() => Ok(answer),
            status => {
                if status == 401 {
                    self.token = None;
                }
                Err(refusal::of_call(endpoint, status, &answer.body))
            }
        }
    }

    /// The status of whatever a GET is answered with; `None`: there was no answer.
    pub(super) async fn status(&self, endpoint: Endpoint, url: &Url) -> Option<u16> {
        let delivery = self.transport.in_memory();
        let answer = self.call(Request { endpoint, url, question: None, unless: None, delivery }).await;
        answer.ok().map(|answer| answer.status)
    }

    async fn call(
        &self,
        Request { endpoint, url, question, unless, delivery }: Request<'_>,
    ) -> Result<Answer, Error> {
        let request = || {
            let token = self.token.as_ref().map_or("", |token| token.value.expose_secret());
            let client = self.transport.client();
            let request = match question {
                None => client.get(url.clone()),
                Some(question) => client.post(url.clone()).json(question),
            };
            let request = request.bearer_auth(token);
            match unless {
                Some(etag) => request.header(IF_NONE_MATCH, etag),
                None => request,
            }
        };
        self.transport.call_for(endpoint, request, delivery).await
    }

    /// The address of a call.
    pub(super) fn url(&self, endpoint: Endpoint) -> Url {
        under(&self.base, endpoint.path())
    }

    /// The address of a call about one thing: `id` stands where the path has a part in braces.
    pub(super) fn url_of(&self, endpoint: Endpoint, id: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            let parts = endpoint.path().trim_start_matches('/').split('/');
            segments.extend(parts.map(|part| if part.starts_with('{') { id } else { part }));
        }
        url
    }

    /// The address that an answer names as its next page. Refused unless it is on the API's own host, because the
    /// token goes with it.
    pub(super) fn follow(&self, endpoint: Endpoint, uri: &str) -> Result<Url, Error> {
        let invalid = |detail: String| Error::InvalidResponse { endpoint, detail };
        let url = if uri.starts_with('/') && !uri.starts_with("//") {
            under(&self.base, uri)
        } else {
            self.url(endpoint)
                .join(uri)
                .map_err(|_| invalid("nextUri is not a URI; not followed".to_owned()))?
        };
        if url.origin() != self.base.origin() {
            let host: String = url.host_str().unwrap_or("nowhere").chars().take(100).collect();
            return Err(invalid(format!(
                "nextUri leads to `{host}`, which is not the API's host; not followed"
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("nextUri carries credentials; not followed".to_owned()));
        }
        Ok(url)
    }
}

/// A path, with or without a query, below a base that may have a path of its own (a gateway's).
pub(super) fn under(base: &Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}
