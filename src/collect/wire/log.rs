//! The audit log's JSON → entries.
//!
//! Enters: the body of a successful answer. Leaves: entries of what succeeded. Must never: decode the value of a property
//! that is a secret, a free text of the log, or an entry without its time.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::json::{Mismatch, Object, count, document, identifier, list, object, text, words};
use crate::domain::attribution::{Actor, ActorKind, Change, Entry, short};

/// Values that are kept of one property of one entry: more than any role holds.
const MOST_VALUES: usize = 5_000;
/// Parts of names that mean a credential.
const SECRET: [&str; 6] = ["secret", "password", "token", "credential", "privatekey", "apikey"];
/// Names with such a part that are none.
const HARMLESS: [&str; 2] = ["validity", "lifetime"];

/// One page of entries.
pub(in crate::collect) struct LogPage {
    pub entries: Vec<Entry>,
    /// Entries on the page, those that failed included.
    pub count: usize,
    /// Entries in the whole answer, if it says so.
    pub total: Option<u64>,
    /// Where the next page is.
    pub cursor: Option<String>,
}

/// How far a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::collect) enum State {
    Pending,
    Done,
    Failed,
}

pub(in crate::collect) fn page(body: &[u8]) -> Result<LogPage, Mismatch> {
    let page = object(document(body)?)?;
    let entries: Vec<Option<Entry>> = page.optional("entities", list(entry))?.unwrap_or_default();
    Ok(LogPage {
        count: entries.len(),
        entries: entries.into_iter().flatten().collect(),
        total: page.optional("total", count)?,
        cursor: page.optional("cursor", text)?.filter(|cursor| !cursor.is_empty()),
    })
}

pub(in crate::collect) fn query_id(body: &[u8]) -> Result<String, Mismatch> {
    object(document(body)?)?.required("id", identifier)
}

pub(in crate::collect) fn query_state(body: &[u8]) -> Result<State, Mismatch> {
    let state = object(document(body)?)?.required("state", text)?;
    Ok(match state.to_ascii_lowercase().as_str() {
        "queued" | "running" => State::Pending,
        "succeeded" => State::Done,
        _ => State::Failed,
    })
}

/// The entity types that a service's entries are about.
pub(in crate::collect) fn served(body: &[u8], service: &str) -> Result<BTreeSet<String>, Mismatch> {
    let name = |raw| object(raw)?.required("name", identifier);
    let row = |raw| {
        let row = object(raw)?;
        let entities: Option<BTreeSet<String>> = row.optional("entities", list(name))?;
        Ok((row.optional("name", text)?.unwrap_or_default(), entities.unwrap_or_default()))
    };
    let services: Vec<_> = object(document(body)?)?.required("services", list(row))?;
    Ok(services.into_iter().filter(|(name, _)| name == service).flat_map(|(_, entities)| entities).collect())
}

/// `None`: it was not done.
fn entry(raw: &RawValue) -> Result<Option<Entry>, Mismatch> {
    let row = object(raw)?;
    if row.optional("status", text)?.is_some_and(|status| status == "FAILURE") {
        return Ok(None);
    }
    let id = |raw| object(raw)?.optional("id", text);
    let mut entities: BTreeSet<String> = row.optional("entity", id)?.flatten().into_iter().collect();
    let changed = |raw| object(raw)?.optional("entityId", text);
    let others: Vec<Option<String>> = row.optional("entityChanges", list(changed))?.unwrap_or_default();
    entities.extend(others.into_iter().flatten());
    let address: Option<Vec<String>> = row.optional("remoteIp", list(text))?;
    Ok(Some(Entry {
        at: row.required("eventDate", moment)?,
        id: row.optional("id", text)?.unwrap_or_default(),
        actor: actor(&row)?,
        remote_ip: address.and_then(|list| list.first().map(|address| short(address))),
        action: short(&row.optional("action", text)?.unwrap_or_default()),
        entity_type: short(&row.optional("entityType", text)?.unwrap_or_default()),
        entities,
        changes: row.optional("propertyChanges", list(change))?.unwrap_or_default(),
    }))
}

fn moment(raw: &RawValue) -> Result<DateTime<Utc>, Mismatch> {
    text(raw)?.parse().map_err(|_| Mismatch::new("is no RFC 3339 time"))
}

/// A user, or a client that acted by itself: then there is no user, or it has the client's id.
fn actor(row: &Object<'_>) -> Result<Option<Actor>, Mismatch> {
    let named = |raw| {
        let thing = object(raw)?;
        Ok((thing.optional("id", text)?, thing.optional("name", text)?))
    };
    let full = |(id, name): (Option<String>, Option<String>)| {
        let filled =
            |value: Option<String>| value.filter(|value| !value.is_empty()).map(|value| short(&value));
        filled(id).map(|id| (id, filled(name)))
    };
    let user = row.optional("user", named)?.and_then(full);
    let client = row.optional("client", named)?.and_then(full);
    Ok(match (user, client) {
        (Some((id, name)), Some((client, _))) if id == client => {
            Some(Actor { kind: ActorKind::Client, id: Some(id), name })
        }
        (Some((id, name)), _) => Some(Actor { kind: ActorKind::User, id: Some(id), name }),
        (None, Some((id, name))) => Some(Actor { kind: ActorKind::Client, id: Some(id), name }),
        (None, None) => {
            let by_platform = row.optional("level", text)?.is_some_and(|level| level != "USER");
            by_platform.then_some(Actor { kind: ActorKind::Platform, id: None, name: None })
        }
    })
}

/// What changed. Of a secret only that it did.
fn change(raw: &RawValue) -> Result<Change, Mismatch> {
    let row = object(raw)?;
    let property = row.optional("property", text)?.unwrap_or_default();
    if is_secret(&property) {
        return Ok(Change { property, old: Vec::new(), new: Vec::new() });
    }
    let values = |key: &str| -> Result<Vec<String>, Mismatch> {
        let values = row.optional(key, words)?.unwrap_or_default();
        Ok(values.into_iter().take(MOST_VALUES).collect())
    };
    Ok(Change { old: values("oldValues")?, new: values("newValues")?, property })
}

fn is_secret(property: &str) -> bool {
    let plain: String = property.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    SECRET.iter().any(|word| plain.contains(word)) && !HARMLESS.iter().any(|word| plain.contains(word))
}
