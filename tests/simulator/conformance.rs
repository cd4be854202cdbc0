//! Every answer from state fits the platform's definitions: field names, types, formats, enumerations.
//!
//! The definitions are facts from the published API definition; see `tests/fixtures/platform/README.md`.

use std::collections::BTreeMap;

use scopewarden::simulator::Options;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::Rehearsal;

#[derive(Deserialize)]
struct Definition {
    required: Vec<String>,
    fields: BTreeMap<String, Facts>,
}

#[derive(Deserialize)]
struct Facts {
    r#type: Option<String>,
    format: Option<String>,
    r#enum: Option<Vec<Value>>,
    r#ref: Option<String>,
    items: Option<Box<Facts>>,
    values: Option<Box<Facts>>,
}

/// The fields that the simulator adds on purpose, because the platform adds fields without notice.
const EXTRA: [(&str, &str); 2] =
    [("OAuthClient", "allowedIpRanges"), ("DomainOrganizationRole", "roleOrigin")];

pub(crate) struct Definitions(BTreeMap<String, Definition>);

impl Definitions {
    pub(crate) fn read() -> Self {
        Self(serde_json::from_str(include_str!("../fixtures/platform/definitions.json")).unwrap())
    }

    pub(crate) fn check(&self, name: &str, value: &Value, at: &str) -> Result<(), String> {
        let definition = self.0.get(name).ok_or(format!("{at}: {name} is never sent"))?;
        let members = value.as_object().ok_or(format!("{at}: {value} is no object"))?;
        for field in &definition.required {
            members.get(field).ok_or(format!("{at}: {field} of {name} is missing"))?;
        }
        for (field, member) in members {
            let at = format!("{at}.{field}");
            match definition.fields.get(field) {
                Some(facts) => self.check_value(facts, member, &at)?,
                None if EXTRA.contains(&(name, field)) => {}
                None => return Err(format!("{at}: no field of {name}")),
            }
        }
        Ok(())
    }

    fn check_value(&self, facts: &Facts, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = &facts.r#ref {
            return self.check(name, value, at);
        }
        let fits = match facts.r#type.as_deref() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            other => return Err(format!("{at}: type {other:?} is not understood")),
        };
        if !fits {
            return Err(format!("{at}: {value} is not of type {:?}", facts.r#type));
        }
        if facts.r#enum.as_ref().is_some_and(|allowed| !allowed.contains(value)) {
            return Err(format!("{at}: {value} is not in the enumeration"));
        }
        if facts.format.as_deref() == Some("int32")
            && i32::try_from(value.as_i64().unwrap_or(i64::MAX)).is_err()
        {
            return Err(format!("{at}: {value} does not fit 32 bits"));
        }
        if facts.format.as_deref() == Some("date-time") {
            let text = value.as_str().unwrap_or_default();
            chrono::DateTime::parse_from_rfc3339(text).map_err(|error| format!("{at}: {text}: {error}"))?;
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            let facts = facts.items.as_ref().ok_or(format!("{at}: items are not defined"))?;
            self.check_value(facts, item, &format!("{at}[{index}]"))?;
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let facts = facts.values.as_ref().ok_or(format!("{at}: values are not defined"))?;
            self.check_value(facts, member, &format!("{at}.{name}"))?;
        }
        Ok(())
    }
}

/// Reads everything that is kept as state and checks it.
async fn check_all(rehearsal: &Rehearsal) {
    let definitions = Definitions::read();
    let check = async |path: &str, definition: &str| {
        let reply = rehearsal.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        definitions.check(definition, &reply.body, path).unwrap();
        reply.body
    };
    let ids = |listing: &Value| -> Vec<String> {
        let entities = listing["entities"].as_array().unwrap();
        entities.iter().map(|entity| entity["id"].as_str().unwrap().to_owned()).collect()
    };

    for id in ids(&check("/api/v2/oauth/clients", "OAuthClientEntityListing").await) {
        check(&format!("/api/v2/oauth/clients/{id}"), "OAuthClient").await;
        check(&format!("/api/v2/authorization/subjects/{id}"), "AuthzSubject").await;
    }
    let roles = "/api/v2/authorization/roles";
    for id in ids(&check(&format!("{roles}?pageSize=100"), "OrganizationRoleEntityListing").await) {
        check(&format!("{roles}/{id}"), "DomainOrganizationRole").await;
        check(&format!("{roles}/{id}/subjectgrants"), "SubjectDivisionGrantsEntityListing").await;
        check(&format!("{roles}/{id}/users"), "UserReferenceEntityListing").await;
    }
    let divisions = "/api/v2/authorization/divisions";
    for id in ids(&check(&format!("{divisions}?objectCount=true"), "AuthzDivisionEntityListing").await) {
        check(&format!("{divisions}/{id}?objectCount=true"), "AuthzDivision").await;
        check(&format!("{divisions}/{id}/grants"), "AuthzDivisionGrantEntityListing").await;
    }
    for id in ids(&check("/api/v2/users", "UserEntityListing").await).iter().take(3) {
        check(&format!("/api/v2/users/{id}"), "User").await;
        check(&format!("/api/v2/authorization/subjects/{id}"), "AuthzSubject").await;
    }
    for id in ids(&check("/api/v2/routing/queues", "QueueEntityListing").await).iter().take(3) {
        check(&format!("/api/v2/routing/queues/{id}"), "Queue").await;
    }
    let permitted = "/api/v2/authorization/divisionspermitted/paged/me?permission=routing:queue:view";
    for (path, definition) in [
        ("/api/v2/authorization/divisions/home", "AuthzDivision"),
        ("/api/v2/authorization/divisions/query?pageSize=2", "AuthzDivisionCursorListing"),
        (permitted, "DivsPermittedEntityListing"),
        ("/api/v2/authorization/permissions?pageSize=100", "PermissionCollectionEntityListing"),
        ("/api/v2/authorization/products", "OrganizationProductEntityListing"),
        ("/api/v2/authorization/subjects/me", "AuthzSubject"),
        ("/api/v2/oauth/scopes", "OAuthScopeListing"),
        ("/api/v2/oauth/scopes/users:readonly", "OAuthScope"),
        ("/api/v2/tokens/me", "TokenInfo"),
        ("/api/v2/organizations/me", "Organization"),
        ("/api/v2/organizations/limits/namespaces/platform.api", "LimitsEntityListing"),
    ] {
        check(path, definition).await;
    }
}

#[tokio::test]
async fn answers_of_a_random_organisation_fit_the_platforms_definitions() {
    let options = Options { clients: 150, roles: 40, divisions: 6, seed: 7, ..Options::default() };
    let rehearsal = Rehearsal::start(options).await;
    rehearsal.set(json!({"rate_limit_per_minute": 100_000})).await;
    check_all(&rehearsal).await;
    rehearsal.set(json!({"expand_wildcards": true, "paged_clients": true})).await;
    check_all(&rehearsal).await;
}

#[tokio::test]
async fn answers_of_the_story_fit_the_platforms_definitions() {
    let rehearsal = Rehearsal::start(Options { story: true, ..Options::default() }).await;
    check_all(&rehearsal).await;
    let clients = rehearsal.get("/api/v2/oauth/clients").await;
    let names: Vec<&str> = clients.entities().iter().map(|client| client["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 20);
    for name in ["Reporting_Engine", "Nightly_BI_Export", "CRM_Sync", "Old_Wallboard", "Test_do_not_use"] {
        assert!(names.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn what_is_created_fits_the_platforms_definitions() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let definitions = Definitions::read();
    let role = json!({"name": "r", "description": null, "permissionPolicies": [{
        "domain": "recording", "entityName": "recording", "actionSet": ["view"], "allowConditions": true,
        "resourceConditionNode": {"variableName": "Conversation.queues", "operator": "EQ",
                                  "operands": [{"type": "SCALAR", "value": "x"}], "terms": []},
    }]});
    let role = rehearsal.write("POST", "/api/v2/authorization/roles", role).await.body;
    definitions.check("DomainOrganizationRole", &role, "role").unwrap();
    let division = json!({"name": "d", "description": ""});
    let division = rehearsal.write("POST", "/api/v2/authorization/divisions", division).await.body;
    definitions.check("AuthzDivision", &division, "division").unwrap();
    let client = json!({"name": "c", "authorizedGrantType": "CLIENT_CREDENTIALS", "description": null,
                        "roleDivisions": [{"roleId": role["id"], "divisionId": division["id"]}]});
    let client = rehearsal.write("POST", "/api/v2/oauth/clients", client).await.body;
    definitions.check("OAuthClient", &client, "client").unwrap();
    let user = json!({"name": "u", "email": "u@example.com", "divisionId": division["id"]});
    let user = rehearsal.write("POST", "/api/v2/users", user).await.body;
    definitions.check("User", &user, "user").unwrap();
}

#[tokio::test]
async fn refusals_fit_the_platforms_error_body() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let definitions = Definitions::read();
    for (token, method, path, status, code) in [
        (None, "GET", "/api/v2/oauth/clients", 401, "authentication.required"),
        (Some("nonsense"), "GET", "/api/v2/oauth/clients", 401, "bad.credentials"),
        (Some("auditor"), "DELETE", "/api/v2/oauth/clients/x", 403, "missing.any.permissions"),
        (Some("auditor"), "POST", "/api/v2/authorization/divisions", 403, "missing.permissions"),
        (Some("auditor"), "GET", "/api/v2/oauth/clients/x", 404, "not.found"),
        (Some("auditor"), "GET", "/api/v2/nowhere", 404, "not.found"),
        (Some("auditor"), "PATCH", "/api/v2/oauth/clients", 405, "method.not.allowed"),
        (
            Some("auditor"),
            "GET",
            "/api/v2/authorization/roles?pageSize=101",
            400,
            "invalid.query.param.value",
        ),
        (Some("auditor"), "GET", "/api/v2/users/me", 400, "bad.request"),
    ] {
        let mut request = rehearsal.request(method, path);
        if let Some(token) = token {
            request = request.bearer_auth(if token == "auditor" { &rehearsal.auditor } else { token });
        }
        let reply = crate::harness::reply(request.send().await.unwrap()).await;
        assert_eq!(reply.code(), (status, code), "{path}");
        definitions.check("ErrorBody", &reply.body, path).unwrap();
        assert_eq!(reply.header("inin-correlation-id"), reply.body["contextId"], "{path}");
        assert_eq!(reply.body["status"], status);
    }
    let denied = rehearsal.call(&rehearsal.auditor, "POST", "/api/v2/authorization/divisions", None).await;
    assert!(
        denied.body["message"]
            .as_str()
            .unwrap()
            .ends_with("[authorization:division:add, authorization:grant:add]")
    );
}
