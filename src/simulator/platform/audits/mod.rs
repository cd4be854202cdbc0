//! The platform's audit log as its API shows it: which services it covers, the realtime query, and the other one with
//! its three steps.
//!
//! Enters: questions. Leaves: entries of the log (`log`), of those that are old enough to be shown already.

mod image;
pub(in crate::simulator) mod log;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use self::log::{Entry, Log};
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::server::World;

/// The realtime query looks back no further.
const REALTIME: TimeDelta = TimeDelta::days(14);
/// The other one takes no longer interval.
const LONGEST_INTERVAL: TimeDelta = TimeDelta::days(30);
const LARGEST_PAGE: usize = 500;
const DEFAULT_PAGE: usize = 25;
/// Queries that are remembered; the oldest go first.
const MOST_QUERIES: usize = 100;

/// An entity type, and what is done to it.
type Covered = (&'static str, &'static [&'static str]);

/// What the log covers, by service.
const SERVICES: [(&str, &[Covered]); 3] = [
    (
        "PeoplePermissions",
        &[
            ("OAuthClient", &["Create", "Update", "Delete", "AuthorizationChanged"]),
            ("OAuthClientAuthorization", &["Authorize", "Deauthorize"]),
            ("Role", &["Create", "Update", "Delete"]),
            ("Division", &["Create", "Update", "Delete"]),
            ("AuthUser", &["AuthorizationChanged"]),
            ("AccessToken", &["Create", "Revoke"]),
        ],
    ),
    ("Directory", &[("User", &["Create", "Update", "Delete"]), ("Group", &["AuthorizationChanged"])]),
    ("ContactCenter", &[("Queue", &["Delete"])]),
];

/// The log, and the queries that are being answered.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Audits {
    pub(in crate::simulator) log: Log,
    queries: VecDeque<Query>,
}

#[derive(Debug)]
struct Query {
    id: String,
    asked: Asked,
    started: DateTime<Utc>,
    polls: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    interval: String,
    service_name: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    sort: Vec<Sort>,
    page_number: Option<usize>,
    page_size: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
struct Filter {
    property: Property,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Property {
    UserId,
    TrusteeOrganizationId,
    ClientId,
    Action,
    EntityType,
    EntityId,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sort {
    #[serde(default)]
    sort_order: SortOrder,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SortOrder {
    Ascending,
    #[default]
    Descending,
}

pub(super) fn mapping() -> Answer {
    services(|_| true)
}

/// The services that the realtime query serves: all, or those of the settings.
pub(super) fn realtime_mapping(world: &World) -> Answer {
    services(|service| world.settings.audit_realtime.as_ref().is_none_or(|some| some.contains(service)))
}

fn services(is_served: impl Fn(&str) -> bool) -> Answer {
    let service = |(name, entities): &(&str, &[Covered])| {
        let entity = |(name, actions): &Covered| json!({ "name": name, "actions": actions });
        json!({ "name": name, "entities": entities.iter().map(entity).collect::<Value>() })
    };
    let served: Value = SERVICES.iter().filter(|(name, _)| is_served(name)).map(service).collect();
    Answer::ok(json!({ "services": served }))
}

pub(super) fn realtime(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let asked: Asked = call.body()?;
    let (from, to) = check(&asked)?;
    let now = world.clock.now();
    if now - from > REALTIME {
        return Err(bad("The interval must lie within the last 14 days"));
    }
    let settings = &world.settings.audit_realtime;
    let service = asked.service_name.as_deref().unwrap_or_default();
    if settings.as_ref().is_some_and(|served| !served.contains(service)) {
        return Err(bad("The service is not available for realtime queries"));
    }
    let size = page_size(asked.page_size)?;
    let number = asked.page_number.unwrap_or(1).max(1);
    let found = search(world, &asked, from, to);
    let shown: Vec<Value> =
        found.iter().skip((number - 1).saturating_mul(size)).take(size).map(|entry| render(entry)).collect();
    Ok(Fields::new()
        .put("entities", shown)
        .put("pageSize", size)
        .put("pageNumber", number)
        .put("total", found.len())
        .put("pageCount", found.len().div_ceil(size))
        .into())
}

/// Takes a query that will be answered after some polls.
pub(super) fn ask(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let asked: Asked = call.body()?;
    let (from, to) = check(&asked)?;
    if to - from > LONGEST_INTERVAL {
        return Err(bad("The interval must not be longer than 30 days"));
    }
    let queries = &mut world.audits.queries;
    if queries.len() == MOST_QUERIES {
        queries.pop_front();
    }
    let query = Query { id: uuid::Uuid::new_v4().to_string(), asked, started: world.clock.now(), polls: 0 };
    let answer = Answer::json(202, status_of(&query, "Queued"));
    queries.push_back(query);
    Ok(answer)
}

/// `Queued`, then `Running`, then `Succeeded`, one step further at each poll.
pub(super) fn status(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let polls = world.settings.audit_polls;
    let query = find(&mut world.audits, call)?;
    let state = match query.polls {
        done if done >= polls => "Succeeded",
        0 => "Queued",
        _ => "Running",
    };
    query.polls = query.polls.saturating_add(1);
    Ok(Answer::ok(status_of(query, state)))
}

pub(super) fn results(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let polls = world.settings.audit_polls;
    let query = find(&mut world.audits, call)?;
    if query.polls < polls {
        return Err(bad("The query has not succeeded yet"));
    }
    let (id, asked) = (query.id.clone(), query.asked.clone());
    let (from, to) = check(&asked)?;
    let size = match call.query("pageSize") {
        None => DEFAULT_PAGE,
        Some(text) => page_size(Some(text.parse().map_err(|_| bad("pageSize: 1 to 500"))?))?,
    };
    let first = match call.query("cursor").map(|cursor| usize::from_str_radix(cursor, 16)) {
        None => 0,
        Some(Ok(first)) => first,
        Some(Err(_)) => return Err(bad("cursor is not one of this query")),
    };
    let found = search(world, &asked, from, to);
    let next = first.saturating_add(size);
    let shown: Vec<Value> = found.iter().skip(first).take(size).map(|entry| render(entry)).collect();
    Ok(Fields::new()
        .put("id", id)
        .put("pageSize", size)
        .put_some("cursor", (next < found.len()).then(|| format!("{next:x}")))
        .put("entities", shown)
        .into())
}

fn find<'w>(audits: &'w mut Audits, call: &Call<'_>) -> Result<&'w mut Query, Refusal> {
    let id = call.parameter("transactionId");
    audits.queries.iter_mut().find(|query| query.id == id).ok_or_else(Refusal::not_found)
}

fn status_of(query: &Query, state: &str) -> Value {
    Fields::new()
        .put("id", query.id.as_str())
        .put("state", state)
        .put("startDate", written(query.started))
        .put("interval", query.asked.interval.as_str())
        .put_some("serviceName", query.asked.service_name.as_deref())
        .into()
}

fn check(asked: &Asked) -> Result<(DateTime<Utc>, DateTime<Utc>), Refusal> {
    let moment = |text: &str| DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).ok();
    let ends = asked.interval.split_once('/').and_then(|(from, to)| moment(from).zip(moment(to)));
    let (from, to) = ends.ok_or_else(|| bad("interval must be two ISO-8601 times with a slash between"))?;
    if from >= to {
        return Err(bad("The interval must end after it starts"));
    }
    let known = |name: &str| SERVICES.iter().any(|(service, _)| *service == name);
    match &asked.service_name {
        Some(name) if !known(name) => Err(bad("serviceName is not known")),
        _ => Ok((from, to)),
    }
}

fn page_size(asked: Option<usize>) -> Result<usize, Refusal> {
    let size = asked.unwrap_or(DEFAULT_PAGE);
    if (1..=LARGEST_PAGE).contains(&size) { Ok(size) } else { Err(bad("pageSize: 1 to 500")) }
}

fn bad(message: &str) -> Refusal {
    Refusal::new(400, "bad.request", message)
}

/// What the log shows by now of what was asked for. Filters of one property are alternatives, those of several all hold.
fn search<'w>(world: &'w World, asked: &Asked, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<&'w Entry> {
    let shown_until = world.clock.now() - TimeDelta::milliseconds(world.settings.audit_lag_ms.into());
    let mut wanted: BTreeMap<Property, Vec<&str>> = BTreeMap::new();
    for filter in &asked.filters {
        wanted.entry(filter.property).or_default().push(&filter.value);
    }
    let passes = |entry: &&Entry| {
        wanted.iter().all(|(property, values)| {
            let value = match property {
                Property::UserId => entry.user.as_ref().map(|user| user.id.as_str()),
                Property::ClientId => entry.client.as_deref(),
                Property::Action => Some(entry.action),
                Property::EntityType => Some(entry.entity_type),
                Property::EntityId => Some(entry.entity.as_str()),
                Property::TrusteeOrganizationId => None,
            };
            value.is_some_and(|value| values.contains(&value))
        })
    };
    let of_service = |entry: &&Entry| asked.service_name.as_deref().is_none_or(|name| name == entry.service);
    let entries = world.audits.log.entries().filter(|entry| {
        (from..to).contains(&entry.at) && entry.at <= shown_until && of_service(entry) && passes(entry)
    });
    let mut found: Vec<&Entry> = entries.collect();
    if asked.sort.first().map_or(SortOrder::Descending, |sort| sort.sort_order) == SortOrder::Descending {
        found.reverse();
    }
    found
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn render(entry: &Entry) -> Value {
    let user = entry.user.as_ref().map(
        |user| json!({ "id": user.id, "name": user.name, "selfUri": format!("/api/v2/users/{}", user.id) }),
    );
    let client =
        entry.client.as_ref().map(|id| json!({ "id": id, "selfUri": format!("/api/v2/oauth/clients/{id}") }));
    let change = |(property, (old, new)): (&String, &(Vec<String>, Vec<String>))| json!({ "property": property, "oldValues": old, "newValues": new });
    Fields::new()
        .put("id", entry.id.as_str())
        .put_some("user", user)
        .put_some("client", client)
        .put("remoteIp", vec![entry.remote_ip.clone()])
        .put("serviceName", entry.service)
        .put("level", "USER")
        .put("eventDate", written(entry.at))
        .put("action", entry.action)
        .put("entity", json!({ "id": entry.entity, "name": entry.name }))
        .put("entityType", entry.entity_type)
        .put("status", "SUCCESS")
        .put("propertyChanges", entry.changes.iter().map(change).collect::<Value>())
        .put("context", json!({}))
        .into()
}
