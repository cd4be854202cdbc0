//! Whether a change that was approved still stands.
//!
//! Enters: the cause of the event that was approved, and the snapshot of now. Leaves: yes or no. Must never: call
//! something reverted that the snapshot does not know (what was not read is neither there nor gone).
//!
//! **A change stands while its subject has all that the change added, nothing of what it removed, and in each changed field
//! the value that the change gave it.** As soon as any part is otherwise it is reverted: also when a field has a third
//! value, or when the subject is gone. What other changes add to the subject is no matter here; each is an event of its
//! own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::domain::{
    event::{Cause, CauseKind},
    inventory::{Client, Grant, Role},
    permission::patterns,
    snapshot::Snapshot,
};

/// Whether `cause` still stands in `now`.
pub fn stands(cause: &Cause, now: &Snapshot) -> bool {
    let id = cause.subject.id.as_str();
    let (added, removed) = match cause.subject.kind.as_str() {
        "client" => (CauseKind::ClientAdded, CauseKind::ClientRemoved),
        "role" => (CauseKind::RoleAdded, CauseKind::RoleRemoved),
        "division" => (CauseKind::DivisionAdded, CauseKind::DivisionRemoved),
        "contract" => return contract_stands(cause, now),
        "catalogue" => return catalogue_stands(cause, now),
        "organisation" => {
            return fields_stand(cause, &json!({ "scope_enforcement": now.settings.scope_enforcement }));
        }
        _ => return true,
    };
    let there = match cause.subject.kind.as_str() {
        "client" => now.clients.contains_key(id),
        "role" => now.roles.contains_key(id),
        // Divisions that were not read are neither there nor gone.
        _ => match &now.divisions {
            Some(all) => all.contains_key(id),
            None => return true,
        },
    };
    if cause.kinds.contains(&removed) {
        return !there;
    }
    if !there {
        return false;
    }
    if let Some(client) = now.clients.get(id).filter(|_| added == CauseKind::ClientAdded) {
        return cause.kinds.contains(&added) || client_stands(cause, client, now);
    }
    if let Some(role) = now.roles.get(id).filter(|_| added == CauseKind::RoleAdded) {
        return role_stands(cause, role);
    }
    let division = now.divisions.as_ref().and_then(|all| all.get(id));
    division
        .is_none_or(|division| fields_stand(cause, &json!({ "name": division.name, "home": division.home })))
}

fn client_stands(cause: &Cause, client: &Client, now: &Snapshot) -> bool {
    let recorded = client.grants.as_ref().is_none_or(|has| grants_stand(cause, "grants", has.iter()));
    let observed = now.grants.get(&client.id);
    recorded
        && observed.is_none_or(|seen| grants_stand(cause, "observed_grants", seen.grants()))
        && fields_stand(
            cause,
            &json!({
                "grant_type": client.grant_type,
                "scopes": client.scopes,
                "state": client.state,
                "date_to_delete": client.date_to_delete,
                "redirect_uris": client.redirect_uris,
                "token_lifetime_s": client.token_lifetime_s,
                "name": client.name,
                "description": client.description,
                "created_by": client.created_by,
                "date_created": client.date_created,
            }),
        )
}

fn grants_stand<'a>(cause: &Cause, name: &str, has: impl Iterator<Item = &'a Grant>) -> bool {
    let Some(delta) = cause.details.get(name) else { return true };
    let way = |grant: &Value| (grant["role"].to_string(), grant["division"].to_string());
    let has: BTreeSet<_> =
        has.map(|grant| (json!(grant.role).to_string(), json!(grant.division).to_string())).collect();
    let of = |list: &str| delta[list].as_array().into_iter().flatten().map(way).collect::<Vec<_>>();
    of("added").iter().all(|grant| has.contains(grant))
        && !of("removed").iter().any(|grant| has.contains(grant))
}

fn role_stands(cause: &Cause, role: &Role) -> bool {
    let mut conditions: BTreeMap<String, BTreeSet<Option<&str>>> = BTreeMap::new();
    for (pattern, condition) in patterns(role) {
        conditions.entry(pattern.to_string()).or_default().insert(condition);
    }
    let changed = ["conditions_loosened", "conditions_tightened"].into_iter();
    let mut changed = changed.filter_map(|name| cause.details.get(name)?.as_array()).flatten();
    words_stand(&cause.permissions.added, &cause.permissions.removed, |name| conditions.contains_key(name))
        && changed.all(|one| {
            let is = one["permission"].as_str().and_then(|name| conditions.get(name));
            is.is_some_and(|is| json!(is) == one["to"])
        })
        && fields_stand(
            cause,
            &json!({
                "name": role.name,
                "description": role.description,
                "default": role.is_default,
                "default_role_id": role.default_role_id,
            }),
        )
}

/// The platform's own changes: as far as their lists go.
fn catalogue_stands(cause: &Cause, now: &Snapshot) -> bool {
    if let Some(catalogue) = now.catalogue.as_ref().filter(|_| cause.subject.id == "permissions") {
        let known = |name: &String| catalogue.permissions.contains_key(name);
        return words_stand(&cause.permissions.added, &cause.permissions.removed, known);
    }
    if let (Some(operations), Some(delta)) = (&now.operations, cause.details.get("operations")) {
        let of = |list: &str| -> Vec<String> {
            delta[list]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        return words_stand(&of("added"), &of("removed"), |name| operations.find(name).is_some());
    }
    true
}

fn contract_stands(cause: &Cause, now: &Snapshot) -> bool {
    let contract = now.contracts.get(&cause.subject.id);
    match cause.details.get("contract").and_then(Value::as_str) {
        Some("removed") => return contract.is_none(),
        _ if contract.is_none() => return false,
        _ => {}
    }
    contract.is_some_and(|contract| {
        fields_stand(
            cause,
            &json!({
                "calls": contract.calls,
                "needed_permissions": contract.permissions,
                "must_be_denied": contract.must_be_denied,
                "divisions": contract.divisions,
                "token_scopes": contract.token_scopes,
                "owner": contract.owner,
                "purpose": contract.purpose,
                "client": contract.client,
            }),
        )
    })
}

fn words_stand(added: &[String], removed: &[String], has: impl Fn(&String) -> bool) -> bool {
    added.iter().all(&has) && !removed.iter().any(&has)
}

/// Each changed field that `is` names: a plain one has the value that it was given, a set of words has what was added and
/// lacks what was removed.
fn fields_stand(cause: &Cause, is: &Value) -> bool {
    let nothing = Map::new();
    let mut fields = is.as_object().unwrap_or(&nothing).iter();
    fields.all(|(name, value)| {
        let Some(delta) = cause.details.get(name).and_then(Value::as_object) else { return true };
        if let Some(to) = delta.get("to") {
            return value == to;
        }
        let list = |name: &str| delta.get(name).and_then(Value::as_array).into_iter().flatten();
        let has = |word: &Value| value.as_array().is_some_and(|words| words.contains(word));
        list("added").all(has) && !list("removed").any(has)
    })
}
