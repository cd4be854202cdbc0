//! Questions with a client's own token, one request each.
//!
//! Enters: one client's credentials, and what the plan says to send. Leaves: an [`Answer`], or why there is no token.
//! Must never: send the token anywhere but to the API host of its organisation, follow a redirect, repeat a request by
//! itself, keep a body, or decide what an answer means.
//!
//! Each client has a connection and a pace of its own: its rate limit is its own, and its other work needs it more.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{
    Endpoint, Error, Limits, api, refusal,
    transport::{Failure, Transport},
    wire,
};
use crate::{
    config::{Org, Secret},
    domain::probe::{Answer, Class, stable_code},
    telemetry::Metrics,
};

/// More of a list is not read: what is larger is not empty.
const LIST_BYTES: usize = 256 << 10;

/// A body that says why it refuses is short; of others nothing is wanted.
const BODY_BYTES: usize = 16 << 10;

/// What a probe may cost.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    request: Duration::from_secs(15),
    call: Duration::from_secs(30),
    body: LIST_BYTES,
    attempts: 1,
    backoff: Duration::from_secs(1),
    longest_wait: Duration::ZERO,
};

/// One client's connection.
#[derive(Debug)]
pub struct Prober {
    login: Url,
    base: Url,
    transport: Transport,
}

/// A client's access token. It prints as nothing.
#[derive(Clone, Debug)]
pub struct ProbeToken {
    value: SecretString,
    /// How long it lives, in seconds, if the platform said.
    pub lifetime_s: Option<u64>,
    /// Its size.
    pub bytes: usize,
}

/// Why there is no token, or not of whom it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoToken {
    /// The HTTP status; `None`: no answer came.
    pub status: Option<u16>,
    /// The endpoint's word for it, or ours.
    pub code: Option<String>,
    /// What is wrong and what to do, as the end of "NAME (ID) …".
    pub detail: String,
}

impl Prober {
    /// Connects to nothing yet. Fails if TLS cannot be set up.
    pub fn new(org: &Org, metrics: Arc<Metrics>) -> Result<Self, Error> {
        Self::with_limits(org, metrics, LIMITS)
    }

    /// [`Prober::new`] with other limits.
    pub fn with_limits(org: &Org, metrics: Arc<Metrics>, limits: Limits) -> Result<Self, Error> {
        Ok(Self {
            login: org.login_url.clone(),
            base: org.api_url.clone(),
            transport: Transport::new(org, limits, metrics)?,
        })
    }

    /// Asks for a token, with scopes or (none) without naming any.
    pub async fn sign_in(
        &self,
        client_id: &str,
        secret: &Secret,
        scopes: &[String],
    ) -> Result<ProbeToken, NoToken> {
        let scope = scopes.join(" ");
        let mut form = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        let url = api::under(&self.login, Endpoint::Token.path());
        let request =
            self.transport.client().post(url).basic_auth(client_id, Some(secret.expose_secret())).form(&form);
        let answer = self
            .transport
            .once(Endpoint::Token, request, BODY_BYTES)
            .await
            .map_err(|failure| no_answer(&failure))?;
        if answer.status != 200 {
            return Err(no_token(answer.status, &answer.body));
        }
        let issued = wire::token(&answer.body).map_err(|mismatch| NoToken {
            status: Some(200),
            code: None,
            detail: format!("was answered with something that is no token: {mismatch}"),
        })?;
        Ok(ProbeToken::new(issued.value, issued.lifetime_s))
    }

    /// The id of the client that a token was issued to.
    pub async fn owner(&self, token: &ProbeToken) -> Result<String, NoToken> {
        let request = self.request(token, Method::GET, Endpoint::TokenInfo.path());
        let answer = self
            .transport
            .once(Endpoint::TokenInfo, request, BODY_BYTES)
            .await
            .map_err(|failure| no_answer(&failure))?;
        let code = refusal::field(&answer.body, "code").as_deref().and_then(stable_code);
        match answer.status {
            200 => wire::token_owner(&answer.body).map_err(|mismatch| NoToken {
                status: Some(200),
                code: None,
                detail: format!("has a token of which the platform does not say whose it is: {mismatch}"),
            }),
            status => Err(NoToken {
                status: Some(status),
                code,
                detail: match status {
                    401 => "has a token in its token_file that the platform does not accept (401): it expired, or is of \
                            another region; put a fresh one there"
                        .to_owned(),
                    403 => "has a token in its token_file that may not ask whose it is (403): give it the scope \
                            user-basic-info"
                        .to_owned(),
                    _ => format!("has a token in its token_file, and the platform could not say whose it is ({status})"),
                },
            }),
        }
    }

    /// Sends one probe.
    pub async fn ask(&self, token: &ProbeToken, method: &str, path: &str, class: Class) -> Answer {
        let Ok(method) = Method::from_bytes(method.as_bytes()) else {
            return Answer { code: Some("network".to_owned()), ..Answer::default() };
        };
        let mut request = self.request(token, method, path);
        if let Some(body) = class.body() {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        let most = if class == Class::List { LIST_BYTES } else { BODY_BYTES };
        let answer = match self.transport.once(Endpoint::Probe, request, most).await {
            Ok(answer) => answer,
            Err(failure) => return Answer { code: no_answer(&failure).code, ..Answer::default() },
        };
        let is_list = class == Class::List && answer.status == 200;
        let empty = if is_list && answer.body.len() >= LIST_BYTES {
            Some(false)
        } else {
            is_list.then(|| wire::is_empty_list(&answer.body)).flatten()
        };
        let refused = (400..=599).contains(&answer.status);
        Answer {
            status: Some(answer.status),
            code: refused
                .then(|| refusal::field(&answer.body, "code"))
                .flatten()
                .and_then(|code| stable_code(&code)),
            permissions: if answer.status == 403 {
                refusal::named_permissions(&answer.body)
            } else {
                Vec::new()
            },
            empty,
        }
    }

    fn request(&self, token: &ProbeToken, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.transport
            .client()
            .request(method, api::under(&self.base, path))
            .bearer_auth(token.value.expose_secret())
    }
}

impl ProbeToken {
    /// A token that somebody else keeps.
    pub fn kept(value: &Secret) -> Self {
        Self::new(value.expose_secret().to_owned().into(), None)
    }

    fn new(value: SecretString, lifetime_s: Option<u64>) -> Self {
        Self { bytes: value.expose_secret().len(), value, lifetime_s }
    }
}

fn no_answer(failure: &Failure) -> NoToken {
    let code = if failure.cause == "timeout" { "timeout" } else { "network" };
    let detail = format!("could not be asked for a token: {}; it is tried again later", failure.error);
    NoToken { status: None, code: Some(code.to_owned()), detail }
}

/// What a refusal of the token endpoint means for whoever gave us a client's credentials.
fn no_token(status: u16, body: &[u8]) -> NoToken {
    let word = refusal::field(body, "error").as_deref().and_then(stable_code);
    let code = word.clone().or_else(|| refusal::field(body, "code").as_deref().and_then(stable_code));
    let described = refusal::field(body, "description").or_else(|| refusal::field(body, "error_description"));
    let detail = match (status, word.as_deref(), described.as_deref()) {
        (400 | 401 | 403, Some("invalid_client"), Some("client not found")) => {
            "is not known at the token endpoint (invalid_client): it is a client of another region or organisation; \
             check `region` and `client`"
                .to_owned()
        }
        (400 | 401 | 403, Some("invalid_client"), _) => {
            "does not have this secret (invalid_client): it was regenerated, or is another client's; give its present \
             secret"
                .to_owned()
        }
        (400 | 401 | 403, Some("unauthorized_client" | "unsupported_grant_type"), _) => format!(
            "may not sign in by itself ({}): it is disabled, or not a client-credentials client; enable it, or give a \
             token_file",
            word.unwrap_or_default()
        ),
        (400 | 401 | 403, Some("invalid_scope"), _) => {
            "was refused the scopes that it asked for (invalid_scope)".to_owned()
        }
        (429, ..) => "has used up its rate limit at the token endpoint (429); it is tried again later".to_owned(),
        (300..=399, ..) => {
            format!("was answered with a redirect ({status}), which is never followed: check `region` or `login_url`")
        }
        _ => format!("was not given a token ({status}); it is tried again later"),
    };
    NoToken { status: Some(status), code, detail }
}
