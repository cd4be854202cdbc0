//! What Terraform's provider calls the fields of roles and clients, and what the platform calls them.
//!
//! Enters: the `after` of a planned resource. Leaves: the platform's own JSON, to be read as its answers are.
//! Must never: decode `client_secret`, or any other field that is not needed.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// `genesyscloud_auth_role`. A value that is known only after apply is absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoleAttributes {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<Option<String>>>,
    pub(super) permission_policies: Option<Vec<PolicyAttributes>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PolicyAttributes {
    pub(super) domain: Option<String>,
    pub(super) entity_name: Option<String>,
    action_set: Option<Vec<Option<String>>>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    conjunction: Option<String>,
    terms: Option<Vec<Term>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Term {
    variable_name: Option<String>,
    operator: Option<String>,
    operands: Option<Vec<Operand>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Operand {
    r#type: Option<String>,
    value: Option<String>,
    queue_id: Option<String>,
    user_id: Option<String>,
    team_id: Option<String>,
}

/// `genesyscloud_oauth_client`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClientAttributes {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    description: Option<String>,
    access_token_validity_seconds: Option<i64>,
    authorized_grant_type: Option<String>,
    registered_redirect_uris: Option<Vec<Option<String>>>,
    scopes: Option<Vec<Option<String>>>,
    state: Option<String>,
    pub(super) roles: Option<Vec<RoleBlock>>,
}

/// One `roles` block of a client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoleBlock {
    pub(super) role_id: Option<String>,
    pub(super) division_id: Option<String>,
}

/// A JSON object of the fields that have a value.
fn fields<const N: usize>(all: [(&str, Value); N]) -> Value {
    let given = all.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn words(list: Option<&Vec<Option<String>>>) -> Value {
    list.map_or(Value::Null, |list| list.iter().flatten().cloned().collect())
}

impl RoleAttributes {
    /// As the platform writes it, under an id.
    pub(super) fn as_platform(&self, id: &str) -> Value {
        let policies = self.permission_policies.iter().flatten().map(PolicyAttributes::as_platform);
        fields([
            ("id", json!(id)),
            ("name", json!(self.name)),
            ("description", json!(self.description)),
            ("permissions", words(self.permissions.as_ref())),
            ("permissionPolicies", policies.collect()),
        ])
    }
}

impl PolicyAttributes {
    fn as_platform(&self) -> Value {
        let condition = self.conditions.iter().flatten().next().map(Condition::as_platform);
        fields([
            ("domain", json!(self.domain)),
            ("entityName", json!(self.entity_name)),
            ("actionSet", words(self.action_set.as_ref())),
            ("resourceConditionNode", json!(condition)),
        ])
    }
}

impl Condition {
    fn as_platform(&self) -> Value {
        let terms = self.terms.iter().flatten().map(|term| {
            let operands = term.operands.iter().flatten().map(|operand| {
                // The provider writes an empty text for what does not apply.
                let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
                let of = |id: &Option<String>| said(id).map_or(Value::Null, |id| json!({ "id": id }));
                fields([
                    ("type", json!(operand.r#type)),
                    ("value", json!(said(&operand.value))),
                    ("queue", of(&operand.queue_id)),
                    ("user", of(&operand.user_id)),
                    ("team", of(&operand.team_id)),
                ])
            });
            fields([
                ("variableName", json!(term.variable_name)),
                ("operator", json!(term.operator)),
                ("operands", operands.collect()),
            ])
        });
        fields([("conjunction", json!(self.conjunction)), ("terms", terms.collect())])
    }
}

impl ClientAttributes {
    /// As the platform writes it, under an id, with these grants.
    pub(super) fn as_platform(&self, id: &str, grants: &[(String, String)]) -> Value {
        let grant = |(role, division): &(String, String)| json!({ "roleId": role, "divisionId": division });
        fields([
            ("id", json!(id)),
            ("name", json!(self.name)),
            ("description", json!(self.description)),
            ("accessTokenValiditySeconds", json!(self.access_token_validity_seconds)),
            ("authorizedGrantType", json!(self.authorized_grant_type)),
            ("registeredRedirectUri", words(self.registered_redirect_uris.as_ref())),
            ("scope", words(self.scopes.as_ref())),
            ("state", json!(self.state)),
            ("roleDivisions", grants.iter().map(grant).collect()),
        ])
    }
}
