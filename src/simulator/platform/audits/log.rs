//! The log itself: every write that changed something, with who made it.
//!
//! Enters: an organisation before and after a write, and the call that made it. Leaves: entries, the oldest forgotten.
//! What changed is found by comparing two images of each thing that the call names, so no handler has to tell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::image::{Image, image};
use crate::simulator::answer::{Answer, Content};
use crate::simulator::call::Call;
use crate::simulator::organisation::Organisation;
use crate::simulator::server::World;

/// Entries that are kept.
const MOST: usize = 10_000;

/// A person in whose name the administrator's client writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::simulator) struct Person {
    pub(in crate::simulator) id: String,
    pub(in crate::simulator) name: String,
}

/// One write.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Entry {
    pub(super) id: String,
    pub(super) at: DateTime<Utc>,
    pub(super) user: Option<Person>,
    pub(super) client: Option<String>,
    pub(super) remote_ip: String,
    pub(super) service: &'static str,
    pub(super) entity_type: &'static str,
    pub(super) entity: String,
    pub(super) name: String,
    pub(super) action: &'static str,
    /// Old and new values by property.
    pub(super) changes: BTreeMap<String, (Vec<String>, Vec<String>)>,
}

#[derive(Debug, Default)]
pub(in crate::simulator) struct Log(VecDeque<Entry>);

impl Log {
    /// The oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    fn add(&mut self, entry: Entry) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }
}

/// The things that a write may change, as they are before it.
pub(in crate::simulator) struct Before(BTreeMap<(Kind, String), Option<Image>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Client,
    Role,
    Division,
    User,
    Group,
    Queue,
}

/// `None`: the call only reads, or changes nothing that is kept.
pub(in crate::simulator) fn before(organisation: &Organisation, call: &Call<'_>) -> Option<Before> {
    if call.operation.method == "GET" {
        return None;
    }
    let things = things(organisation, call)?;
    let image = |(kind, id): (Kind, String)| {
        let image = image(organisation, kind, &id);
        ((kind, id), image)
    };
    Some(Before(things.into_iter().map(image).collect()))
}

/// Writes what the call changed.
pub(in crate::simulator) fn record(world: &mut World, call: &Call<'_>, before: Before, answer: &Answer) {
    let Before(mut before) = before;
    if let (Some(kind), Content::Json(body)) = (creates(call), &answer.content)
        && let Some(id) = body["id"].as_str()
    {
        before.insert((kind, id.to_owned()), None);
    }
    let at = world.clock.now();
    let by_person = world.organisation.administrator == call.caller;
    let user = world.settings.acting_user.clone().filter(|_| by_person);
    for ((kind, id), old) in before {
        let new = image(&world.organisation, kind, &id);
        let action = match (&old, &new) {
            (None, Some(_)) => "Create",
            (Some(_), None) => "Delete",
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) if is_about_grants(call) => "AuthorizationChanged",
            (Some(_), Some(_)) => "Update",
            (None, None) => continue,
        };
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let name = [&new, &old].into_iter().find_map(|image| image.get("name")?.first().cloned());
        let (service, entity_type) = match kind {
            Kind::Client => ("PeoplePermissions", "OAuthClient"),
            Kind::Role => ("PeoplePermissions", "Role"),
            Kind::Division => ("PeoplePermissions", "Division"),
            Kind::User if action == "AuthorizationChanged" => ("PeoplePermissions", "AuthUser"),
            Kind::User => ("Directory", "User"),
            Kind::Group => ("Directory", "Group"),
            Kind::Queue => ("ContactCenter", "Queue"),
        };
        world.audits.log.add(Entry {
            id: uuid::Uuid::new_v4().to_string(),
            at,
            user: user.clone(),
            client: Some(call.caller.clone()),
            remote_ip: world.settings.remote_ip.clone(),
            service,
            entity_type,
            entity: id,
            name: name.unwrap_or_default(),
            action,
            changes: differences(&old, &new),
        });
    }
}

fn differences(old: &Image, new: &Image) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let properties: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let of = |image: &Image, property: &String| image.get(property).cloned().unwrap_or_default();
    let pairs = properties.into_iter().map(|property| (property, (of(old, property), of(new, property))));
    pairs.filter(|(_, (old, new))| old != new).map(|(name, pair)| (name.clone(), pair)).collect()
}

/// The kind of thing that the call makes.
fn creates(call: &Call<'_>) -> Option<Kind> {
    match (call.operation.method, call.operation.path) {
        ("POST", "/api/v2/oauth/clients") => Some(Kind::Client),
        ("POST", "/api/v2/authorization/roles") => Some(Kind::Role),
        ("POST", "/api/v2/authorization/divisions") => Some(Kind::Division),
        ("POST", "/api/v2/users") => Some(Kind::User),
        _ => None,
    }
}

fn is_about_grants(call: &Call<'_>) -> bool {
    let path = call.operation.path;
    path.starts_with("/api/v2/authorization/subjects/")
        || path.starts_with("/api/v2/authorization/roles/{roleId}/users/")
        || (call.operation.method == "POST" && path == "/api/v2/authorization/roles/{roleId}")
}

/// What the call names, in its path or, where it grants a role, in its body. `None` for what is not kept here.
fn things(organisation: &Organisation, call: &Call<'_>) -> Option<Vec<(Kind, String)>> {
    let path = call.operation.path;
    let body = || serde_json::from_slice::<Value>(call.request.body).unwrap_or_default();
    let subject = |id: &str| {
        let kind = match id {
            _ if organisation.clients.contains_key(id) => Kind::Client,
            _ if organisation.users.contains_key(id) => Kind::User,
            _ => Kind::Group,
        };
        (kind, id.to_owned())
    };
    let subjects = |list: &Value| -> Vec<(Kind, String)> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(subject).collect()
    };
    let named = |kind: Kind, parameter: &str| match call.parameter(parameter) {
        "" => Vec::new(),
        id => vec![(kind, id.to_owned())],
    };
    Some(match path {
        _ if path.starts_with("/api/v2/oauth/clients") => named(Kind::Client, "clientId"),
        "/api/v2/authorization/roles/{roleId}" if call.operation.method == "POST" => {
            subjects(&body()["subjectIds"])
        }
        _ if path.starts_with("/api/v2/authorization/roles/{roleId}/users/") => subjects(&body()),
        "/api/v2/authorization/roles" | "/api/v2/authorization/roles/{roleId}" => named(Kind::Role, "roleId"),
        _ if path.starts_with("/api/v2/authorization/subjects/") => {
            vec![subject(call.parameter("subjectId"))]
        }
        "/api/v2/authorization/divisions" | "/api/v2/authorization/divisions/{divisionId}" => {
            named(Kind::Division, "divisionId")
        }
        "/api/v2/users" | "/api/v2/users/{userId}" => named(Kind::User, "userId"),
        "/api/v2/routing/queues/{queueId}" => named(Kind::Queue, "queueId"),
        _ => return None,
    })
}
