//! What clients called before the simulator began: made up from their names and roles, the same every time.
//!
//! Most clients use about half of what their roles give them, one in seven uses nothing, one in ten has stopped some weeks
//! ago, and one in eight tries what it may not. Templates name their parameters now one way, now another, as on the
//! platform.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{Counts, Row};
use crate::simulator::operations::{self, Operation, parameter_name};
use crate::simulator::organisation::{Client, Organisation};
use crate::simulator::power;

/// What people's applications call.
const OF_APPS: [(&str, &str); 3] = [
    ("GET", "/api/v2/users/me"),
    ("GET", "/api/v2/conversations"),
    ("PATCH", "/api/v2/users/{userId}/presences/{sourceId}"),
];

/// What all clients of an organisation called, but for the two that are announced: they call for real.
pub(in crate::simulator) fn of(organisation: &Organisation) -> Vec<Row> {
    let mut naming: HashMap<&str, &'static Operation> = HashMap::new();
    for operation in operations::all() {
        for permission in &operation.permissions {
            naming.entry(permission).or_insert(operation);
        }
    }
    let announced = [&organisation.auditor, &organisation.administrator];
    let clients = organisation.clients.values().filter(|client| !announced.contains(&&client.id));
    clients.flat_map(|client| of_client(organisation, client, &naming)).collect()
}

fn of_client(
    organisation: &Organisation,
    client: &Client,
    naming: &HashMap<&str, &'static Operation>,
) -> Vec<Row> {
    let chance = chance(&client.name, "");
    let last = match chance[0] {
        _ if client.state != "active" => return Vec::new(),
        0..36 => return Vec::new(),
        36..62 => 35 + u64::from(chance[1] % 40),
        _ => u64::from(chance[1] % 4),
    };
    let mut called: Vec<(&str, &'static str, Counts)> = Vec::new();
    if client.grant_type == "CLIENT-CREDENTIALS" {
        for permission in named(organisation, client) {
            let chance = self::chance(&client.name, &permission);
            let Some(operation) = naming.get(permission.as_str()).filter(|_| chance[0].is_multiple_of(2))
            else {
                continue;
            };
            let counts = Counts { ok: 1 + u64::from(chance[1]) * 7, ..Counts::default() };
            called.push((operation.method, operation.path, counts));
        }
    } else {
        called.extend(OF_APPS.map(|(method, path)| (method, path, Counts { ok: 40, ..Counts::default() })));
    }
    if chance[2] < 32 {
        let counts = Counts { refused: 3, ..Counts::default() };
        called.push(("DELETE", "/api/v2/users/{userId}", counts));
    }
    let row = |(method, path, counts): (&str, &'static str, Counts)| {
        let chance = self::chance(&client.name, path);
        let template = if chance[0].is_multiple_of(2) { path.to_owned() } else { with_other_names(path) };
        let days_ago = last + u64::from(chance[1] % 5);
        Row { client: client.id.clone(), method: method.to_owned(), template, days_ago, counts }
    };
    called.into_iter().map(row).collect()
}

/// The permissions that a client's roles name one by one.
fn named(organisation: &Organisation, client: &Client) -> Vec<String> {
    let mut names = Vec::new();
    for grant in power::grants(organisation, client) {
        let Some(role) = organisation.roles.get(&grant.role) else { continue };
        for policy in &role.policies {
            for action in &policy.actions {
                names.push(format!("{}:{}:{action}", policy.domain, policy.entity));
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn with_other_names(path: &'static str) -> String {
    let segments =
        path.split('/').map(|segment| if parameter_name(segment).is_some() { "{id}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn chance(name: &str, about: &str) -> [u8; 32] {
    Sha256::digest(format!("{name}/{about}")).into()
}
