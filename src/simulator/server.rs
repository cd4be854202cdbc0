//! One request, from the socket to the answer, in the platform's order:
//! token → rate limit → scope → product → permission → unknown ids → division → the operation itself.
//!
//! Everything that decides is synchronous and under one lock, so that each request sees a whole organisation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};
use axum::response::Response;
use tokio::time::timeout;
use url::form_urlencoded;

use super::answer::{Answer, Content, Refusal};
use super::call::{Call, Request, Shift};
use super::clock::Clock;
use super::connection::{Behaviour, Line};
use super::definition::Published;
use super::faults::{Faults, Kind};
use super::operations::{self, NoOperation, Operation, Parameters};
use super::organisation::Organisation;
use super::private::{ScopeEnforcement, Settings};
use super::tokens::{Tokens, Usage};
use super::{login, platform, power, private};

/// The platform's own limit for request bodies.
const MOST_BODY_BYTES: usize = 512_000;
/// A whole catalogue is larger than what the platform would take; nothing larger is ever read.
const MOST_PRIVATE_BODY_BYTES: usize = 16 * 1024 * 1024;
/// A body that takes longer to arrive is given up.
const SLOWEST_BODY: Duration = Duration::from_secs(30);
const PRIVATE: &str = "/_simulator/";

/// All that the simulator knows.
pub(super) struct World {
    pub(super) organisation: Organisation,
    pub(super) settings: Settings,
    pub(super) tokens: Tokens,
    pub(super) faults: Faults,
    pub(super) definition: Published,
    pub(super) usage: platform::usage::Usage,
    pub(super) audits: platform::audits::Audits,
    pub(super) clock: Clock,
}

/// Answers one HTTP request.
pub(super) async fn handle(
    State(world): State<Arc<Mutex<World>>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let most = if parts.uri.path().starts_with(PRIVATE) { MOST_PRIVATE_BODY_BYTES } else { MOST_BODY_BYTES };
    // Read further than what is taken: a peer that is cut off while it writes would not see the answer.
    let body = timeout(SLOWEST_BODY, to_bytes(body, MOST_PRIVATE_BODY_BYTES)).await;
    let answer = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        match &body {
            Ok(Ok(body)) if body.len() <= most => respond(&mut world, &read(&parts, body), Instant::now()),
            Ok(_) => finish(Err(Refusal::too_large(most)), None, &world.settings),
            Err(_) => finish(Err(too_slow()), None, &world.settings),
        }
    };
    line.behave(answer.behaviour);
    write(answer)
}

fn read<'a>(parts: &'a Parts, body: &'a [u8]) -> Request<'a> {
    let query = parts.uri.query().unwrap_or_default();
    Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: &parts.headers,
        body,
    }
}

fn respond(world: &mut World, request: &Request<'_>, now: Instant) -> Answer {
    let mut usage = None;
    let result = if request.path.starts_with(PRIVATE) {
        private::answer(world, request)
    } else {
        let caller = request.bearer().and_then(|value| world.tokens.find(value, now));
        let caller = caller.map(|token| token.client.clone());
        let result = answer(world, request, &mut usage, now);
        let status = result.as_ref().map_or_else(Refusal::status, |answer| answer.status);
        if let (Some(caller), Ok((operation, _))) = (caller, operations::find(request.method, request.path)) {
            world.usage.serve(&caller, operation.method, operation.path, status);
        }
        result
    };
    finish(result, usage, &world.settings)
}

fn too_slow() -> Refusal {
    let message = "The client did not produce a request within the server timeout limit.";
    Refusal::new(408, "client.timeout", message)
}

/// Adds the headers that every answer carries; without a token no use was counted.
fn finish(result: Result<Answer, Refusal>, usage: Option<Usage>, settings: &Settings) -> Answer {
    let context_id = uuid::Uuid::new_v4().to_string();
    let usage = usage.unwrap_or(Usage { count: 0, reset: 60 });
    result
        .unwrap_or_else(|refusal| refusal.into_answer(&context_id))
        .with_header("ININ-Correlation-Id", context_id)
        .with_header("inin-ratelimit-count", usage.count)
        .with_header("inin-ratelimit-allowed", settings.rate_limit_per_minute)
        .with_header("inin-ratelimit-reset", usage.reset)
        .with_headers(settings.date.clone().map(|date| ("Date", date)))
}

/// The right answer, or what a fault makes of it.
fn answer(
    world: &mut World,
    request: &Request<'_>,
    usage: &mut Option<Usage>,
    now: Instant,
) -> Result<Answer, Refusal> {
    let found = operations::find(request.method, request.path);
    let operation = found.as_ref().ok().map(|(operation, _)| *operation);
    let fault = world.faults.strike(request.method, request.path, &request.query, operation);
    let shift = fault.as_ref().and_then(super::faults::Fault::shift);
    if let Some(fault) = &fault {
        if let Some(token) = request.bearer().filter(|_| fault.kind == Kind::ExpiredToken) {
            world.tokens.revoke(token);
        }
        if let Some(instead) = fault.replacement(operation) {
            return instead;
        }
    }
    let right = match (request.path, request.method) {
        ("/oauth/token", "POST") => login::issue_token(world, request, now),
        ("/oauth/token", _) => return Err(wrong_method()),
        _ => {
            let (operation, parameters) = found.map_err(|reason| match reason {
                NoOperation::UnknownPath => Refusal::not_found(),
                NoOperation::WrongMethod => wrong_method(),
            })?;
            perform(world, request, operation, parameters, shift, usage, now)?
        }
    };
    Ok(match fault {
        Some(fault) => fault.spoil(right),
        None => right,
    })
}

fn wrong_method() -> Refusal {
    Refusal::new(405, "method.not.allowed", "The requested method is not allowed for this resource.")
}

/// One operation, check after check.
fn perform(
    world: &mut World,
    request: &Request<'_>,
    operation: &'static Operation,
    parameters: Parameters,
    shift: Option<Shift>,
    usage: &mut Option<Usage>,
    now: Instant,
) -> Result<Answer, Refusal> {
    let value = request.bearer().ok_or_else(Refusal::no_token)?.to_owned();
    let caller = world.tokens.find(&value, now).ok_or_else(Refusal::bad_credentials)?.client.clone();

    *usage = world.tokens.count(&value, now);
    if let Some(used) = usage.filter(|used| used.count > world.settings.rate_limit_per_minute) {
        return Err(Refusal::too_many(world.settings.rate_limit_per_minute, used.reset));
    }

    let organisation = &world.organisation;
    let client = organisation.clients.get(&caller).ok_or_else(Refusal::bad_credentials)?;
    // Every token here was issued for client credentials, which only the strictest setting binds to scopes.
    if world.settings.scope_enforcement == ScopeEnforcement::AllGrants {
        let asked = world.tokens.find(&value, now).and_then(|token| token.scopes.as_deref());
        power::allow_scope(client.scope.as_deref().unwrap_or_default(), operation)?;
        asked.map_or(Ok(()), |scopes| power::allow_scope(scopes, operation))?;
    }

    if world.settings.lacks(operation) {
        return Err(Refusal::feature_absent());
    }
    if world.settings.lookup_first {
        platform::look_up(organisation, request, operation, &parameters, true)?;
    }
    power::allow(organisation, client, operation)?;
    platform::look_up(organisation, request, operation, &parameters, false)?;
    for division in platform::divisions_of(organisation, &parameters) {
        power::allow_in_division(organisation, client, operation, division)?;
    }
    let call = Call { request, operation, parameters, caller, token: value, shift };
    platform::answer(world, &call)
}

fn write(answer: Answer) -> Response {
    let (media_type, bytes) = match answer.content {
        Content::Empty => (None, Vec::new()),
        Content::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
        Content::Raw(media_type, bytes) => (Some(media_type), bytes),
    };
    let mut response =
        Response::new(if answer.behaviour == Behaviour::Reset { Body::empty() } else { bytes.into() });
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(media_type) = media_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}
