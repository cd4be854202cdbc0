//! What the platform enforces. Written apart from everything that predicts it, slow and obvious on purpose: for each
//! request it walks every grant, every role and every policy again, and precomputes nothing.
//!
//! Enters: the organisation, a client, an operation. Leaves: nothing, or the refusal. Conditions of policies are not
//! evaluated: a conditional policy grants.

use std::collections::BTreeSet;

use super::answer::Refusal;
use super::operations::{Mode, Operation};
use super::organisation::{ALL_DIVISIONS, Client, Grant, Organisation, Policy, Role, catalogue};

/// Whether the client's roles allow the operation somewhere; divisions are [`allow_in_division`]'s matter.
pub(super) fn allow(
    organisation: &Organisation,
    client: &Client,
    operation: &Operation,
) -> Result<(), Refusal> {
    let mut missing = Vec::new();
    for permission in &operation.permissions {
        if divisions_with(organisation, client, permission).is_empty() {
            missing.push(*permission);
        }
    }
    match operation.mode {
        Mode::None => Ok(()),
        Mode::All if missing.is_empty() => Ok(()),
        Mode::All => Err(Refusal::missing_all(&missing)),
        Mode::Any if missing.len() < operation.permissions.len() => Ok(()),
        Mode::Any => Err(Refusal::missing_any(&operation.permissions)),
    }
}

/// Whether the client may perform the operation on an object that lives in this division.
pub(super) fn allow_in_division(
    organisation: &Organisation,
    client: &Client,
    operation: &Operation,
    division: &str,
) -> Result<(), Refusal> {
    let mut missing = Vec::new();
    for permission in &operation.permissions {
        if !holds_in(organisation, client, permission, division) {
            missing.push(*permission);
        }
    }
    let Some(first) = missing.first() else { return Ok(()) };
    match operation.mode {
        Mode::None => Ok(()),
        Mode::Any if missing.len() < operation.permissions.len() => Ok(()),
        Mode::Any | Mode::All => Err(Refusal::missing_in_division(first)),
    }
}

/// Whether a permission reaches the objects of a division.
pub(super) fn holds_in(
    organisation: &Organisation,
    client: &Client,
    permission: &str,
    division: &str,
) -> bool {
    let held = divisions_with(organisation, client, permission);
    if held.is_empty() {
        return false;
    }
    let aware = organisation.catalogue.get(permission).is_some_and(|entry| entry.division_aware);
    !aware || held.contains(ALL_DIVISIONS) || held.contains(division)
}

/// The divisions in which a client holds a permission; `*` stands for all of them.
pub(super) fn divisions_with(
    organisation: &Organisation,
    client: &Client,
    permission: &str,
) -> BTreeSet<String> {
    let mut divisions = BTreeSet::new();
    for grant in grants(organisation, client) {
        let Some(role) = organisation.roles.get(&grant.role) else { continue };
        if role_allows(role, permission) {
            divisions.insert(grant.division);
        }
    }
    divisions
}

/// Everything that a client holds: by its record, by grants made behind the record's back, and through groups.
///
/// Only client credentials act by roles; a client of another grant type acts as its user.
pub(super) fn grants(organisation: &Organisation, client: &Client) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    grants.extend(recorded_grants(client));
    grants.extend(organisation.grants.get(&client.id).cloned().unwrap_or_default());
    for group in organisation.groups.values() {
        if group.members.contains(&client.id) {
            grants.extend(organisation.grants.get(&group.id).cloned().unwrap_or_default());
        }
    }
    grants
}

/// What the client's own record says that it holds.
pub(super) fn recorded_grants(client: &Client) -> Vec<Grant> {
    match (&client.role_divisions, &client.role_ids) {
        (Some(grants), _) => grants.clone(),
        (None, Some(ids)) => {
            ids.iter().map(|role| Grant { role: role.clone(), division: ALL_DIVISIONS.to_owned() }).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// Whether a role contains a permission.
pub(super) fn role_allows(role: &Role, permission: &str) -> bool {
    for general in &role.permissions {
        if general == "admin" || general == permission {
            return true;
        }
        if let Some((domain, entity, action)) = catalogue::split(general)
            && policy_allows(&Policy::new(domain, entity, &[action]), permission)
        {
            return true;
        }
    }
    role.policies.iter().any(|policy| policy_allows(policy, permission))
}

fn policy_allows(policy: &Policy, permission: &str) -> bool {
    let Some((domain, entity, action)) = catalogue::split(permission) else { return false };
    covers(&policy.domain, domain)
        && covers(&policy.entity, entity)
        && policy.actions.iter().any(|allowed| covers(allowed, action))
}

/// `*` covers everything; anything else only itself, letter for letter (an action named `all` included).
fn covers(pattern: &str, value: &str) -> bool {
    pattern == "*" || pattern == value
}

/// Whether the client's scopes let it use the operation: any one of the declared ones, or `all`.
pub(super) fn allow_scope(scopes: &[String], operation: &Operation) -> Result<(), Refusal> {
    let open = operation.scopes.is_empty();
    let mut held = scopes.iter().map(String::as_str);
    if open || held.any(|scope| scope == "all" || operation.scopes.contains(&scope)) {
        return Ok(());
    }
    Err(Refusal::out_of_scope(&operation.scopes))
}

#[cfg(test)]
#[path = "power_tests.rs"]
mod tests;
