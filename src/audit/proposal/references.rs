//! Which role of a plan a client of the same plan means, where the role has no id yet.
//!
//! Enters: the `configuration` of a plan. Leaves: for a client's address, the addresses of the roles that its blocks
//! name. Must never: choose between two instances of a resource; what is not clear is left open.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The part of a plan that repeats what the files say.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration<'a> {
    #[serde(borrow)]
    root_module: Option<Module<'a>>,
}

#[derive(Debug, Deserialize)]
struct Module<'a> {
    #[serde(borrow, default)]
    resources: Vec<Resource<'a>>,
    #[serde(borrow, default)]
    module_calls: BTreeMap<String, Call<'a>>,
}

#[derive(Debug, Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    module: Option<Module<'a>>,
}

#[derive(Debug, Deserialize)]
struct Resource<'a> {
    address: String,
    #[serde(rename = "type")]
    kind: String,
    /// Undecoded: expressions of other resources may hold secrets.
    #[serde(borrow)]
    expressions: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ClientExpressions {
    #[serde(default)]
    roles: Vec<Block>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block {
    role_id: Expression,
    division_id: Option<Expression>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Expression {
    constant_value: Option<Value>,
    references: Vec<String>,
}

/// One `roles` block that names a role of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The role's address, without the keys of instances.
    pub(super) role: String,
    /// The division, where the block writes it out. `None`: it is worked out.
    pub(super) division: Option<String>,
}

/// The blocks of every client in the configuration that name a role of the plan, by the client's address without the
/// keys of instances.
pub(super) fn of_clients(configuration: &Configuration<'_>) -> BTreeMap<String, Vec<Reference>> {
    let mut found = BTreeMap::new();
    if let Some(root) = &configuration.root_module {
        walk(root, "", &mut found);
    }
    found
}

fn walk(module: &Module<'_>, prefix: &str, found: &mut BTreeMap<String, Vec<Reference>>) {
    for resource in module.resources.iter().filter(|resource| resource.kind == super::plan::CLIENT) {
        // A `dynamic` block is written otherwise, and names no role that could be told.
        let expressions =
            resource.expressions.and_then(|raw| serde_json::from_str::<ClientExpressions>(raw.get()).ok());
        let blocks = expressions.map(|expressions| expressions.roles).unwrap_or_default();
        let references = blocks.iter().filter_map(|block| reference(block, prefix)).collect();
        found.insert(format!("{prefix}{}", resource.address), references);
    }
    for (name, call) in &module.module_calls {
        if let Some(inner) = &call.module {
            walk(inner, &format!("{prefix}module.{name}."), found);
        }
    }
}

fn reference(block: &Block, prefix: &str) -> Option<Reference> {
    let role = block.role_id.references.iter().find_map(|text| {
        let mut parts = without_keys(text).split('.').map(str::to_owned).collect::<Vec<_>>().into_iter();
        let (kind, name) = (parts.next()?, parts.next()?);
        (kind == super::plan::ROLE).then(|| format!("{prefix}{kind}.{name}"))
    })?;
    let division = match &block.division_id {
        None => Some(String::new()),
        Some(expression) => expression.constant_value.as_ref().and_then(Value::as_str).map(str::to_owned),
    };
    Some(Reference { role, division })
}

/// An address without the keys of instances: `a.b["x"].c[0]` is `a.b.c`.
pub(super) fn without_keys(address: &str) -> String {
    let mut text = String::with_capacity(address.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for letter in address.chars() {
        match letter {
            '"' if depth > 0 && !escaped => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        if depth == 0 {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_instances_are_left_out() {
        for (address, bare) in [
            ("a.b", "a.b"),
            ("a.b[0].id", "a.b.id"),
            (r#"module.m["x.y"].a.b["]\"["]"#, "module.m.a.b"),
            ("a.b[", "a.b"),
        ] {
            assert_eq!(without_keys(address), bare, "{address}");
        }
    }

    #[test]
    fn roles_are_found_through_modules_and_dynamic_blocks_are_left_open() {
        let text = r#"{"root_module": {
            "resources": [
                {"address": "genesyscloud_oauth_client.a", "type": "genesyscloud_oauth_client", "expressions": {
                    "name": {"constant_value": "A"},
                    "roles": [
                        {"role_id": {"references": ["genesyscloud_auth_role.r.id", "genesyscloud_auth_role.r"]},
                         "division_id": {"constant_value": "*"}},
                        {"role_id": {"references": ["var.role"]}},
                        {"role_id": {"constant_value": "known"}}]}},
                {"address": "genesyscloud_oauth_client.b", "type": "genesyscloud_oauth_client", "expressions": {
                    "roles": {"dynamic": true}}},
                {"address": "other.c", "type": "other", "expressions": {"secret": {"constant_value": "canary"}}}],
            "module_calls": {"m": {"module": {"resources": [
                {"address": "genesyscloud_oauth_client.a", "type": "genesyscloud_oauth_client", "expressions": {
                    "roles": [{"role_id": {"references": ["genesyscloud_auth_role.r[0].id"]}}]}}]}}}}}"#;
        let found = of_clients(&serde_json::from_str(text).unwrap());
        let one = |role: &str, division: &str| {
            vec![Reference { role: role.to_owned(), division: Some(division.to_owned()) }]
        };
        assert_eq!(found["genesyscloud_oauth_client.a"], one("genesyscloud_auth_role.r", "*"));
        assert_eq!(found["genesyscloud_oauth_client.b"], []);
        assert_eq!(
            found["module.m.genesyscloud_oauth_client.a"],
            one("module.m.genesyscloud_auth_role.r", "")
        );
    }
}
