//! What a client can do, computed slowly from the words alone: no numbering, no sets of bits, nothing cached.

use std::collections::BTreeSet;

use super::Keys;
use crate::domain::{
    RoleId, ScopeEnforcement,
    catalogue::{Catalogue, Mode, Operation, Operations},
    inventory::{Client, GrantType, Role},
    snapshot::Snapshot,
};

/// Whether a pattern gives a permission.
pub(super) fn gives(pattern: &str, permission: &str) -> bool {
    if pattern == "admin" {
        return true;
    }
    let (pattern, permission): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(3, ':').collect(), permission.splitn(3, ':').collect());
    if pattern.len() < 3 || permission.len() < 3 {
        return pattern == permission;
    }
    (0..3).all(|at| pattern[at] == "*" || pattern[at] == permission[at])
}

/// Everything that a role says, with whether it is under a condition.
fn sayings(role: &Role) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = role.general.iter().map(|text| (text.clone(), false)).collect();
    for policy in &role.policies {
        for action in &policy.actions {
            all.push((format!("{}:{}:{action}", policy.domain, policy.entity), policy.condition.is_some()));
        }
    }
    all
}

fn known(org: &Snapshot) -> &Catalogue {
    org.catalogue.as_ref().unwrap_or_else(|| Catalogue::compiled_in())
}

/// Every permission that could be shown: what the catalogue knows, and what roles name in full.
fn candidates(org: &Snapshot) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = known(org).permissions.keys().cloned().collect();
    for role in org.roles.values() {
        names.extend(sayings(role).into_iter().map(|(text, _)| text).filter(|text| !has_star(text)));
    }
    names
}

fn has_star(text: &str) -> bool {
    text.splitn(3, ':').any(|part| part == "*")
}

pub(super) fn unseen(org: &Snapshot, client: &Client) -> BTreeSet<RoleId> {
    (client.grants())
        .filter(|grant| {
            client.grant_type == GrantType::ClientCredentials && !org.roles.contains_key(&grant.role)
        })
        .map(|grant| grant.role.clone())
        .collect()
}

/// What a client holds, in normal form.
pub(super) fn power(org: &Snapshot, client: &Client) -> Keys {
    let mut keys = Keys::new();
    if client.grant_type != GrantType::ClientCredentials {
        return keys;
    }
    for permission in candidates(org) {
        if org.settings.scope_enforcement == ScopeEnforcement::AllGrants && !in_scope(client, &permission) {
            continue;
        }
        // The divisions in which it is held, and those in which it is held without a condition.
        let (mut at_all, mut firmly) = (BTreeSet::new(), BTreeSet::new());
        for grant in client.grants() {
            let Some(role) = org.roles.get(&grant.role) else { continue };
            let facts = known(org).permissions.get(&permission);
            let named = sayings(role).iter().any(|(text, _)| *text == permission);
            if facts.is_none() && !named {
                continue;
            }
            let place = match facts {
                Some(facts) if !facts.division_aware => "*".to_owned(),
                _ => grant.division.to_string(),
            };
            for (text, conditional) in sayings(role) {
                if gives(&text, &permission) {
                    at_all.insert(place.clone());
                    if !conditional {
                        firmly.insert(place.clone());
                    }
                }
            }
        }
        for place in &at_all {
            let firm = firmly.contains(place);
            // What is held everywhere is said once; only firmness that "everywhere" lacks is said again.
            let repeated = place != "*" && at_all.contains("*") && (firmly.contains("*") || !firm);
            if !repeated {
                keys.insert((permission.clone(), place.clone(), !firm));
            }
        }
    }
    keys
}

/// Whether enforced scopes would leave a permission usable: some operation that needs it is let through, or no
/// operation with a scope needs it.
pub(super) fn in_scope(client: &Client, permission: &str) -> bool {
    let needing: Vec<&Operation> = Operations::compiled_in()
        .iter()
        .filter(|operation| operation.permissions().any(|name| name == permission))
        .collect();
    client.scopes.contains("all")
        || needing.is_empty()
        || needing.into_iter().any(|operation| lets_through(client, operation))
}

/// Whether a client's scopes let it through to an operation.
pub(super) fn lets_through(client: &Client, operation: &Operation) -> bool {
    operation.scopes.is_empty()
        || client.scopes.iter().any(|scope| scope == "all" || operation.scopes().any(|name| name == scope))
}

/// Whether a client may call an operation; `None`: the operation declares no permission.
pub(super) fn may_call(org: &Snapshot, client: &Client, operation: &Operation) -> Option<bool> {
    if matches!(operation.mode, Mode::None | Mode::Unknown) {
        return None;
    }
    if client.grant_type != GrantType::ClientCredentials {
        let enforced = [ScopeEnforcement::UserGrants, ScopeEnforcement::AllGrants];
        let bound = enforced.contains(&org.settings.scope_enforcement);
        return Some(!bound || lets_through(client, operation));
    }
    let sayings: Vec<String> = (client.grants())
        .filter_map(|grant| org.roles.get(&grant.role))
        .flat_map(|role| sayings(role).into_iter().map(|(text, _)| text))
        .collect();
    let has = |permission: &str| sayings.iter().any(|text| gives(text, permission));
    Some(match operation.mode {
        Mode::All => operation.permissions().all(has),
        Mode::Any | Mode::None | Mode::Unknown => operation.permissions().any(has),
    })
}
