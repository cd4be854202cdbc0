//! A need as a role: the body that the platform's API takes.
//!
//! Enters: permissions, and the client that it is for. Leaves: a [`Role`] that holds these and nothing else. Must
//! never: hold a wildcard or a general permission, or take the name of a role that somebody else holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::{
    access::Access,
    inventory::Client,
    permission::{Pattern, PermissionSet},
};

/// What a role is called that was made for one client.
const DEDICATED: &str = "least privilege";

/// A role, in the shape that `POST /api/v2/authorization/roles` accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// A name that no other role has, unless only this client holds it.
    pub name: String,
    /// Whom it is for.
    pub description: String,
    /// General permissions: none, ever.
    pub permissions: [&'static str; 0],
    /// Sorted by domain and entity.
    pub permission_policies: Vec<Policy>,
}

/// Actions on one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The domain.
    pub domain: String,
    /// The entity.
    pub entity_name: String,
    /// Sorted.
    pub action_set: Vec<String>,
}

impl Role {
    /// The role that gives `permissions` (of [`Access::universe`]) and is for one client.
    pub(super) fn dedicated(access: &Access<'_>, client: &Client, permissions: &PermissionSet) -> Self {
        let mut policies: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for at in permissions.ones() {
            if let Pattern::Parts { domain, entity, action } = Pattern::parse(access.universe.name(at)) {
                policies.entry((domain, entity)).or_default().push(action.to_owned());
            }
        }
        Self {
            name: free_name(access, client),
            description: format!(
                "What the OAuth client {} ({}) needs, and nothing else",
                client.name, client.id
            ),
            permissions: [],
            permission_policies: policies
                .into_iter()
                .map(|((domain, entity), action_set)| Policy {
                    domain: domain.to_owned(),
                    entity_name: entity.to_owned(),
                    action_set,
                })
                .collect(),
        }
    }
}

/// `NAME least privilege`, with a number if roles of such names are in other hands.
fn free_name(access: &Access<'_>, client: &Client) -> String {
    let snapshot = access.snapshot;
    let held_by_others: BTreeSet<&str> = (snapshot.clients.values())
        .filter(|other| other.id != client.id)
        .flat_map(|other| access.granted(other).map(|grant| grant.role.as_str()))
        .collect();
    let mine: BTreeSet<&str> = access.granted(client).map(|grant| grant.role.as_str()).collect();
    let taken: BTreeSet<&str> = (snapshot.roles.values())
        .filter(|role| !mine.contains(role.id.as_str()) || held_by_others.contains(role.id.as_str()))
        .map(|role| role.name.as_str())
        .collect();
    let plain = format!("{} {DEDICATED}", client.name);
    let numbered = (2..=taken.len() + 2).map(|number| format!("{plain} {number}"));
    std::iter::once(plain.clone())
        .chain(numbered)
        .find(|name| !taken.contains(name.as_str()))
        .unwrap_or(plain)
}
