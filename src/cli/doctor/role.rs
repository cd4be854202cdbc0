//! The role that the auditor's client should hold, in the two forms that people apply.
//!
//! Enters: the list of needs. Leaves: text that `deploy/genesys/` repeats (a test compares). Must never: hold a
//! permission that is not on the list.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use crate::domain::inventory::OwnGrants;

const NAME: &str = "scopewarden read-only";
const DESCRIPTION: &str = "Reads OAuth clients, roles and grants for scopewarden, and nothing else";

/// (domain, entity, actions), in the order of the list.
fn policies() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut policies: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for permission in OwnGrants::needed() {
        let mut parts = permission.splitn(3, ':');
        let (Some(domain), Some(entity), Some(action)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let at = *places.entry((domain, entity)).or_insert_with(|| {
            policies.push((domain, entity, Vec::new()));
            policies.len() - 1
        });
        policies[at].2.push(action);
    }
    policies
}

/// The body of `POST /api/v2/authorization/roles`.
pub(super) fn body() -> Value {
    let policies: Vec<Value> = policies()
        .into_iter()
        .map(|(domain, entity, actions)| json!({ "domain": domain, "entityName": entity, "actionSet": actions }))
        .collect();
    json!({ "name": NAME, "description": DESCRIPTION, "permissions": [], "permissionPolicies": policies })
}

/// A resource for Terraform.
pub(super) fn terraform() -> String {
    let mut text = format!(
        "resource \"genesyscloud_auth_role\" \"scopewarden_auditor\" {{\n  name        = {NAME:?}\n  description = {DESCRIPTION:?}\n"
    );
    for (domain, entity, actions) in policies() {
        let actions: Vec<String> = actions.into_iter().map(|action| format!("{action:?}")).collect();
        let actions = actions.join(", ");
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "\n  permission_policies {{\n    domain      = {domain:?}\n    entity_name = {entity:?}\n    action_set  = [{actions}]\n  }}\n"
        );
    }
    text.push_str("}\n");
    text
}
