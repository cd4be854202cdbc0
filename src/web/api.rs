//! `/api/v1/…`: what was recorded, as JSON for programs.
//!
//! Enters: parameters. Leaves: one JSON array. Must never: be larger than [`ROOM`] (and what the causes of its
//! events take), whatever was recorded.

use std::{collections::BTreeSet, io};

use axum::{
    Json,
    extract::{RawQuery, State as From},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{OrgLine, State, dashboard::Tally, error::Error, query::Query};
use crate::{
    domain::{
        event::{Affected, Event},
        finding::Finding,
    },
    store::{AuditRow, FailureRow},
};

/// Entries of an answer that asks for no limit.
const USUAL: u32 = 100;

/// How large the events of one answer may be together, in bytes.
const ROOM: usize = 16 * 1024 * 1024;

/// How many findings match, whatever part of them the answer holds.
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

pub(super) async fn orgs(From(state): From<State>, RawQuery(query): RawQuery) -> Response {
    list_orgs(&state, query.as_deref()).await.unwrap_or_else(Error::in_json)
}

pub(super) async fn audits(From(state): From<State>, RawQuery(query): RawQuery) -> Response {
    list_audits(&state, query.as_deref()).await.unwrap_or_else(Error::in_json)
}

pub(super) async fn findings(From(state): From<State>, RawQuery(query): RawQuery) -> Response {
    list_findings(&state, query.as_deref()).await.unwrap_or_else(Error::in_json)
}

pub(super) async fn events(From(state): From<State>, RawQuery(query): RawQuery) -> Response {
    list_events(&state, query.as_deref()).await.unwrap_or_else(Error::in_json)
}

async fn list_orgs(state: &State, query: Option<&str>) -> Result<Response, Error> {
    let query = Query::read(query, &["org"])?;
    let only = query.org(&state.orgs)?;
    let findings = state.store.findings(only).await?;
    let mut lines = Vec::new();
    for OrgLine { name, region } in state.orgs.iter().filter(|org| only.is_none_or(|only| org.name == only)) {
        let audit = state.store.audits(Some(name), 1).await?.pop();
        let failure = state.store.failures(Some(name), 1).await?.pop();
        lines.push(json!({
            "name": name,
            "region": region,
            "last_audit": audit.as_ref().map(audit_json),
            "last_failure": failure.as_ref().map(failure_json),
            "findings": Tally::of(findings.iter().filter(|finding| finding.org == *name)),
        }));
    }
    Ok(Json(lines).into_response())
}

async fn list_audits(state: &State, query: Option<&str>) -> Result<Response, Error> {
    let query = Query::read(query, &["org", "limit"])?;
    let audits = state.store.audits(query.org(&state.orgs)?, query.limit(USUAL)?).await?;
    Ok(Json(audits.iter().map(audit_json).collect::<Vec<_>>()).into_response())
}

async fn list_findings(state: &State, query: Option<&str>) -> Result<Response, Error> {
    let query = Query::read(query, &["org", "severity", "check", "limit", "offset"])?;
    let (severity, check) = (query.severity()?, query.text("check"));
    let limit = query.limit(super::query::MOST)? as usize;
    let offset = query.number("offset", 0, 0, 1_000_000)? as usize;
    let mut findings = state.store.findings(query.org(&state.orgs)?).await?;
    findings.retain(|finding| {
        severity.is_none_or(|severity| finding.severity == severity)
            && check.is_none_or(|check| finding.check == check)
    });
    findings.sort_by(|one, other| weight(one).cmp(&weight(other)));
    let part: Vec<&Finding> = findings.iter().skip(offset).take(limit).collect();
    Ok(([(TOTAL, findings.len().to_string())], Json(part)).into_response())
}

/// The order of findings everywhere: the worst first, what is certain before what is unknown.
pub(super) fn weight(finding: &Finding) -> impl Ord {
    (
        std::cmp::Reverse(finding.severity),
        finding.status,
        &finding.org,
        &finding.client.name,
        &finding.check,
        &finding.uid,
    )
}

async fn list_events(state: &State, query: Option<&str>) -> Result<Response, Error> {
    let query = Query::read(query, &["org", "limit"])?;
    let limit = query.limit(USUAL)?;
    let events = state.store.events(query.org(&state.orgs)?, None, None, limit).await?;
    let mut approved = BTreeSet::new();
    for org in events.iter().map(|(_, _, event)| &event.org).collect::<BTreeSet<_>>() {
        let ledger = state.store.decisions(org).await?.ledger;
        approved.extend(ledger.approved_events().into_iter().map(str::to_owned));
    }
    let mut body = b"[".to_vec();
    for (audit, at, event) in &events {
        if body.len() > 1 {
            body.push(b',');
        }
        let is_approved = approved.contains(&event.id);
        write_event(&mut body, (audit, *at), event, is_approved, ROOM / limit as usize)?;
    }
    body.push(b']');
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// An event with the audit that recorded it. `clients` is empty beside a `clients_total` above 0 if naming them all
/// would take more than the event's share of the room; asking for fewer events leaves more to each.
#[derive(Serialize)]
struct Recorded<'a> {
    audit: &'a str,
    at: DateTime<Utc>,
    #[serde(flatten)]
    event: &'a Event,
    clients_total: usize,
    /// An approval of it stands.
    approved: bool,
}

fn write_event(
    body: &mut Vec<u8>,
    (audit, at): (&str, DateTime<Utc>),
    event: &Event,
    approved: bool,
    room: usize,
) -> Result<(), Error> {
    let start = body.len();
    let clients_total = event.clients.len();
    let whole = Recorded { audit, at, event, clients_total, approved };
    if serde_json::to_writer(Limited { body, left: room }, &whole).is_ok() {
        return Ok(());
    }
    body.truncate(start);
    let bare = Event {
        clients: Vec::<Affected>::new(),
        cause: event.cause.clone(),
        id: event.id.clone(),
        delta: event.delta.clone(),
        org: event.org.clone(),
        severity: event.severity,
        actor: event.actor.clone(),
    };
    let bare = Recorded { audit, at, event: &bare, clients_total, approved };
    serde_json::to_writer(body, &bare).map_err(|error| Error::Unwritable(error.to_string()))
}

/// Writes to the end of `body` until nothing is `left`, then fails: in memory an event shares its lists, written
/// out it can be a thousand times as large.
struct Limited<'a> {
    body: &'a mut Vec<u8>,
    left: usize,
}

impl io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn audit_json(audit: &AuditRow) -> Value {
    json!({
        "org": audit.org,
        "audit": audit.audit,
        "started": audit.started,
        "at": audit.at,
        "complete": audit.complete,
        "gaps": audit.gaps,
        "configuration": audit.configuration,
        "recorded": audit.recorded,
        "chain": audit.chain,
        "api_calls": audit.api_calls,
        "clients": audit.clients,
        "roles": audit.roles,
    })
}

fn failure_json(failure: &FailureRow) -> Value {
    json!({
        "org": failure.org,
        "audit": failure.audit,
        "started": failure.started,
        "at": failure.at,
        "reason": failure.reason,
        "detail": failure.detail,
    })
}
