//! The simulator's own surface under `/_simulator/`: what a real organisation would not offer, and tests need.
//!
//! It asks for no token and shows every secret, so a simulator belongs on a loopback address.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::Request;
use super::definition;
use super::operations::{self, Mode, Operation};
use super::organisation::catalogue::{self, Catalogue, Entry};
use super::organisation::{Group, MOST_OF_A_KIND};
use super::platform;
use super::platform::audits::log::Person;
use super::power;
use super::server::World;

/// How the organisation behaves; no part of its state.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "switches that tests flip one by one")]
pub(super) struct Settings {
    pub(super) scope_enforcement: ScopeEnforcement,
    /// Whether roles are shown with wildcards written out against the catalogue. Their power stays.
    pub(super) expand_wildcards: bool,
    /// Whether the client list comes in pages.
    pub(super) paged_clients: bool,
    /// Whether unknown ids and malformed bodies are noticed before missing permissions.
    pub(super) lookup_first: bool,
    pub(super) rate_limit_per_minute: u32,
    /// Whether the API definition has an `ETag`.
    pub(super) definition_etag: bool,
    /// How large the API definition is at least; 0: as small as it comes.
    pub(super) definition_bytes: usize,
    /// What every answer says the time is (`Wed, 21 Oct 2026 07:28:00 GMT`), if not the truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date: Option<String>,
    /// Domains of permissions whose product is off: their operations are refused without naming anything.
    pub(super) absent: BTreeSet<String>,
    /// The status with which the token endpoint refuses a scope: 400 or 401.
    pub(super) invalid_scope_status: u16,
    /// How often a usage query is asked about before it is answered.
    pub(super) usage_polls: u32,
    /// How old an entry of the audit log is before it is shown.
    pub(super) audit_lag_ms: u32,
    /// How often a query of the audit log is asked about before it has succeeded.
    pub(super) audit_polls: u32,
    /// The services that the realtime query of the audit log serves; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit_realtime: Option<BTreeSet<String>>,
    /// In whose name the administrator's client writes; absent: in its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acting_user: Option<Person>,
    /// From where writes come.
    pub(super) remote_ip: String,
}

/// Whose scopes are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ScopeEnforcement {
    Off,
    /// Of clients that act for users; client credentials are not bound.
    UserGrants,
    AllGrants,
}

impl Settings {
    pub(super) fn new(lookup_first: bool) -> Self {
        Self {
            scope_enforcement: ScopeEnforcement::Off,
            expand_wildcards: false,
            paged_clients: false,
            lookup_first,
            rate_limit_per_minute: 300,
            definition_etag: true,
            definition_bytes: 0,
            date: None,
            absent: BTreeSet::new(),
            invalid_scope_status: 400,
            usage_polls: 1,
            audit_lag_ms: 0,
            audit_polls: 2,
            audit_realtime: None,
            acting_user: None,
            remote_ip: "203.0.113.7".to_owned(),
        }
    }

    /// Whether the product behind an operation is off.
    pub(super) fn lacks(&self, operation: &Operation) -> bool {
        let is_absent =
            |name: &&str| catalogue::split(name).is_some_and(|(domain, _, _)| self.absent.contains(domain));
        operation.permissions.iter().any(is_absent)
    }

    fn change(&mut self, change: SettingsChange) {
        let set = |flag: &mut bool, value: Option<bool>| *flag = value.unwrap_or(*flag);
        set(&mut self.expand_wildcards, change.expand_wildcards);
        set(&mut self.paged_clients, change.paged_clients);
        set(&mut self.lookup_first, change.lookup_first);
        self.scope_enforcement = change.scope_enforcement.unwrap_or(self.scope_enforcement);
        self.rate_limit_per_minute = change.rate_limit_per_minute.unwrap_or(self.rate_limit_per_minute);
        set(&mut self.definition_etag, change.definition_etag);
        self.definition_bytes =
            change.definition_bytes.unwrap_or(self.definition_bytes).min(definition::LARGEST);
        self.date = change.date.or_else(|| self.date.take()).filter(|date| !date.is_empty());
        self.invalid_scope_status = change.invalid_scope_status.unwrap_or(self.invalid_scope_status);
        self.absent = change.absent.unwrap_or_else(|| std::mem::take(&mut self.absent));
        self.usage_polls = change.usage_polls.unwrap_or(self.usage_polls);
        self.audit_lag_ms = change.audit_lag_ms.unwrap_or(self.audit_lag_ms);
        self.audit_polls = change.audit_polls.unwrap_or(self.audit_polls);
        self.audit_realtime = change.audit_realtime.or_else(|| self.audit_realtime.take());
        self.acting_user =
            change.acting_user.or_else(|| self.acting_user.take()).filter(|person| !person.id.is_empty());
        self.remote_ip = change.remote_ip.unwrap_or_else(|| std::mem::take(&mut self.remote_ip));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    scope_enforcement: Option<ScopeEnforcement>,
    expand_wildcards: Option<bool>,
    paged_clients: Option<bool>,
    lookup_first: Option<bool>,
    rate_limit_per_minute: Option<u32>,
    definition_etag: Option<bool>,
    definition_bytes: Option<usize>,
    /// Empty: the truth again.
    date: Option<String>,
    absent: Option<BTreeSet<String>>,
    invalid_scope_status: Option<u16>,
    usage_polls: Option<u32>,
    audit_lag_ms: Option<u32>,
    audit_polls: Option<u32>,
    audit_realtime: Option<BTreeSet<String>>,
    /// With an empty id: in the client's own name again.
    acting_user: Option<Person>,
    remote_ip: Option<String>,
    /// Where the audit log's clock stands (RFC 3339); empty: it goes on from the start.
    audit_time: Option<String>,
}

/// Performs one request of the private surface.
pub(super) fn answer(world: &mut World, request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = request.path.strip_prefix("/_simulator/").unwrap_or_default();
    match (request.method, name) {
        ("GET", "clients") => Ok(Answer::ok(secrets(world))),
        ("GET", "digest") => {
            Ok(Answer::ok(json!({"digest": world.organisation.digest().map_err(unreadable)?})))
        }
        ("GET", "catalogue") => Ok(Answer::ok(shown(&world.organisation.catalogue))),
        ("PUT", "catalogue") => {
            change_catalogue(&mut world.organisation.catalogue, body(request)?)?;
            world.organisation.write();
            Ok(Answer::ok(json!({"permissions": world.organisation.catalogue.len()})))
        }
        ("POST", "truth") => truth(world, &body(request)?),
        ("GET", "faults") => show(world.faults.list()),
        ("PUT", "faults") => {
            world.faults.replace(body(request)?).map_err(Refusal::bad_request)?;
            show(world.faults.list())
        }
        ("GET", "settings") => show(&world.settings),
        ("PUT", "settings") => {
            let change: SettingsChange = body(request)?;
            if let Some(time) = &change.audit_time {
                let moment = DateTime::parse_from_rfc3339(time).map(|time| time.with_timezone(&Utc));
                if moment.is_err() && !time.is_empty() {
                    return Err(Refusal::bad_request("audit_time is no RFC 3339 time"));
                }
                world.clock.set(moment.ok());
            }
            world.settings.change(change);
            world.definition.resize(world.settings.definition_bytes);
            show(&world.settings)
        }
        ("GET", "definition") => show(world.definition.difference()),
        ("PUT", "definition") => {
            world.definition.change(body(request)?).map_err(Refusal::bad_request)?;
            show(world.definition.difference())
        }
        ("PUT", "usage") => {
            let rows = platform::usage::put(world, body(request)?).map_err(unreadable)?;
            Ok(Answer::ok(json!({"rows": rows})))
        }
        ("PUT", "groups") => {
            let groups: Vec<Group> = body(request)?;
            if groups.len() > MOST_OF_A_KIND {
                return Err(Refusal::bad_request(format!("more than {MOST_OF_A_KIND} groups")));
            }
            world.organisation.write();
            world.organisation.groups = groups.into_iter().map(|group| (group.id.clone(), group)).collect();
            show(&world.organisation.groups)
        }
        (
            _,
            "clients" | "digest" | "catalogue" | "definition" | "faults" | "settings" | "usage" | "groups"
            | "truth",
        ) => Err(Refusal::new(
            405,
            "method.not.allowed",
            "GET and, but for clients and digest, PUT are understood; for truth, POST.",
        )),
        _ => Err(Refusal::not_found()),
    }
}

fn body<T: serde::de::DeserializeOwned>(request: &Request<'_>) -> Result<T, Refusal> {
    serde_json::from_slice(request.body).map_err(unreadable)
}

fn show(value: &(impl Serialize + ?Sized)) -> Result<Answer, Refusal> {
    serde_json::to_value(value).map(Answer::ok).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands the error over")]
fn unreadable(error: serde_json::Error) -> Refusal {
    Refusal::bad_request(error.to_string())
}

fn secrets(world: &World) -> Value {
    let clients = world.organisation.clients.values();
    clients.map(|client| json!({"id": client.id, "name": client.name, "secret": client.secret})).collect()
}

/// Which client, and operations by their templates.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    client: String,
    operations: Vec<String>,
}

/// What is true of a client and operations, whatever is looked up first and whatever fails on the way.
fn truth(world: &World, question: &Question) -> Result<Answer, Refusal> {
    let client = world.organisation.clients.get(&question.client).ok_or_else(Refusal::not_found)?;
    let tell = |name: &String| {
        let (method, path) = name.split_once(' ').unwrap_or_default();
        let (operation, _) = operations::find(method, path).map_err(|_| Refusal::not_found())?;
        let scopes = client.scope.as_deref().unwrap_or_default();
        let bound = world.settings.scope_enforcement == ScopeEnforcement::AllGrants;
        Ok(json!({
            "operation": name,
            "declared": operation.mode != Mode::None,
            "granted": power::allow(&world.organisation, client, operation).is_ok(),
            "in_scope": !bound || power::allow_scope(scopes, operation).is_ok(),
            "present": !world.settings.lacks(operation),
        }))
    };
    let answers: Result<Vec<Value>, Refusal> = question.operations.iter().map(tell).collect();
    Ok(Answer::ok(json!({
        "can_sign_in": client.grant_type == "CLIENT-CREDENTIALS" && client.state == "active",
        "operations": answers?,
    })))
}

fn shown(catalogue: &Catalogue) -> Value {
    let show = |entry: &Entry| {
        json!({
            "domain": entry.domain,
            "entityType": entry.entity,
            "action": entry.action,
            "divisionAware": entry.division_aware,
            "allowsConditions": entry.allows_conditions,
        })
    };
    catalogue.values().map(show).collect()
}

/// A permission as it may be given: its name, or its parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Name(String),
    Parts(Parts),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parts {
    domain: String,
    entity_type: String,
    action: String,
    division_aware: Option<bool>,
    allows_conditions: Option<bool>,
}

/// A whole new catalogue, or what to add to it and remove from it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Change {
    Whole(Vec<Given>),
    Named(WholeByName),
    Difference(Difference),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeByName {
    permissions: Vec<Given>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    #[serde(default)]
    add: Vec<Given>,
    #[serde(default)]
    remove: Vec<Given>,
}

fn change_catalogue(catalogue: &mut Catalogue, change: Value) -> Result<(), Refusal> {
    let expected =
        "a list of permissions, {\"permissions\": […]} or {\"add\": […], \"remove\": […]} is expected";
    let change = serde_json::from_value(change).map_err(|_| Refusal::bad_request(expected))?;
    let mut next = match change {
        Change::Whole(_) | Change::Named(_) => Catalogue::new(),
        Change::Difference(_) => catalogue.clone(),
    };
    let (add, remove) = match change {
        Change::Whole(add) | Change::Named(WholeByName { permissions: add }) => (add, Vec::new()),
        Change::Difference(Difference { add, remove }) => (add, remove),
    };
    for given in add {
        let (name, entry) = read(given)?;
        next.insert(name, entry);
    }
    for given in remove {
        let (name, _) = read(given)?;
        next.remove(&name);
    }
    if next.len() > MOST_OF_A_KIND {
        return Err(Refusal::bad_request(format!("more than {MOST_OF_A_KIND} permissions")));
    }
    *catalogue = next;
    Ok(())
}

fn read(given: Given) -> Result<(String, Entry), Refusal> {
    let (name, parts) = match given {
        Given::Name(name) => (name, None),
        Given::Parts(parts) => {
            (format!("{}:{}:{}", parts.domain, parts.entity_type, parts.action), Some(parts))
        }
    };
    let mut entry = Entry::named(&name)
        .ok_or_else(|| Refusal::bad_request(format!("{name:?} is not domain:entity:action")))?;
    if let Some(parts) = parts {
        entry.division_aware = parts.division_aware.unwrap_or(entry.division_aware);
        entry.allows_conditions = parts.allows_conditions.unwrap_or(entry.allows_conditions);
    }
    Ok((name, entry))
}
