//! Clients, roles and grants that change, and what the platform refuses to write.

use scopewarden::simulator::Options;
use serde_json::{Value, json};

use crate::harness::Rehearsal;

const CLIENTS: &str = "/api/v2/oauth/clients";
const ROLES: &str = "/api/v2/authorization/roles";
const QUEUES: &str = "/api/v2/routing/queues";

async fn any_role(rehearsal: &Rehearsal) -> Value {
    rehearsal.get(ROLES).await.entities()[0]["id"].clone()
}

#[tokio::test]
async fn clients_are_validated_with_the_platforms_codes() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let role = any_role(&rehearsal).await;
    let right = json!({"name": "c", "authorizedGrantType": "CLIENT-CREDENTIALS",
                       "roleDivisions": [{"roleId": role, "divisionId": "*"}]});
    let with = |changes: Value| {
        let mut client = right.clone();
        client.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        client
    };
    let nobody = json!([{"roleId": "x", "divisionId": "*"}]);
    let nowhere = json!([{"roleId": role, "divisionId": "x"}]);
    for (client, code) in [
        (with(json!({"name": ""})), "constraint.validation"),
        (with(json!({"authorizedGrantType": null})), "grant.type.required"),
        (with(json!({"authorizedGrantType": "MAGIC"})), "bad.grant.type"),
        (with(json!({"state": "inactive"})), "bad.client.state"),
        (with(json!({"roleDivisions": []})), "missing.client.roles"),
        (with(json!({"roleDivisions": nobody})), "bad.client.role"),
        (with(json!({"roleDivisions": nowhere})), "bad.client.role"),
        (with(json!({"scope": ["root"]})), "auth.invalid.scope"),
        (with(json!({"authorizedGrantType": "CODE"})), "missing.client.scope"),
        (with(json!({"accessTokenValiditySeconds": 299})), "constraint.validation"),
        (with(json!({"accessTokenValiditySeconds": "long"})), "bad.request"),
    ] {
        let reply = rehearsal.call(&rehearsal.admin, "POST", CLIENTS, Some(client.clone())).await;
        assert_eq!(reply.code(), (400, code), "{client}");
    }
    rehearsal.write("POST", CLIENTS, right).await;
}

#[tokio::test]
async fn a_client_is_deleted_only_when_inactive() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["routing:queue:view"], "*").await;
    let path = format!("{CLIENTS}/{id}");
    let delete = async || rehearsal.call(&rehearsal.admin, "DELETE", &path, None).await;
    assert_eq!(delete().await.code(), (400, "cannot.delete.client"));
    let mut client = rehearsal.get(&path).await.body;
    client["state"] = json!("inactive");
    let inactive = rehearsal.write("PUT", &path, client).await.body;
    assert!(inactive["dateToDelete"].is_string());
    assert_eq!(delete().await.status, 204);
    assert_eq!(rehearsal.get(&path).await.code(), (404, "not.found"));
    assert_eq!(rehearsal.call(&token, "GET", QUEUES, None).await.status, 401);
}

#[tokio::test]
async fn a_new_secret_replaces_the_old_one_at_once() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let who = rehearsal.who().clone();
    let path = format!("{CLIENTS}/{}/secret", who.client_id);
    let secret = rehearsal.call(&rehearsal.admin, "POST", &path, None).await.body["secret"].clone();
    let form = "grant_type=client_credentials";
    assert_eq!(rehearsal.log_in(&who.client_id, &who.client_secret, form).await.status, 401);
    assert_eq!(rehearsal.log_in(&who.client_id, secret.as_str().unwrap(), form).await.status, 200);
    let old_token = rehearsal.call(&rehearsal.auditor, "GET", CLIENTS, None).await;
    assert_eq!(old_token.status, 200, "tokens live on");
}

#[tokio::test]
async fn a_roles_power_changes_with_the_role() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["routing:skill:view"], "*").await;
    let client = rehearsal.get(&format!("{CLIENTS}/{id}")).await.body;
    let path = format!("{ROLES}/{}", client["roleDivisions"][0]["roleId"].as_str().unwrap());
    let status = async || rehearsal.call(&token, "GET", QUEUES, None).await.status;
    assert_eq!(status().await, 403);
    let policies = json!([{"domain": "routing", "entityName": "*", "actionSet": ["view", "view"]}]);
    let amended = rehearsal.write("PATCH", &path, json!({"permissionPolicies": policies})).await.body;
    assert_eq!(amended["permissionPolicies"][0]["actionSet"], json!(["view"]));
    assert_eq!(status().await, 200);
    rehearsal.write("PUT", &path, json!({"name": "emptied"})).await;
    assert_eq!(status().await, 403);
    rehearsal.write("PUT", &path, json!({"name": "admin now", "permissions": ["admin"]})).await;
    assert_eq!(status().await, 200);
    assert_eq!(rehearsal.call(&rehearsal.admin, "DELETE", &path, None).await.status, 204);
    assert_eq!(status().await, 403);
    let record = rehearsal.get(&format!("{CLIENTS}/{id}")).await.body;
    assert_eq!(record["roleDivisions"], json!([]));
}

#[tokio::test]
async fn roles_are_validated() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let roles = rehearsal.get(ROLES).await;
    let admin = roles.entities().iter().find(|role| role["name"] == "Admin").unwrap();
    let path = format!("{ROLES}/{}", admin["id"].as_str().unwrap());
    let unknown_operator = json!([{"domain": "a", "entityName": "b", "actionSet": ["c"],
                                   "resourceConditionNode": {"operator": "LIKE"}}]);
    for (method, path, role, expected) in [
        ("POST", ROLES, json!({}), (400, "constraint.validation")),
        ("POST", ROLES, json!({"name": "Admin"}), (409, "request.conflict")),
        ("POST", ROLES, json!({"name": "x", "permissionPolicies": unknown_operator}), (400, "bad.request")),
        ("PUT", &path, json!({"name": "Root"}), (400, "general.bad.request")),
        ("DELETE", &path, json!({}), (400, "bad.request")),
    ] {
        let reply = rehearsal.call(&rehearsal.admin, method, path, Some(role)).await;
        assert_eq!(reply.code(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn grants_behind_the_record_count_but_the_record_does_not_show_them() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["routing:skill:view"], "*").await;
    let role = json!({"name": "queues", "permissionPolicies":
        [{"domain": "routing", "entityName": "queue", "actionSet": ["view"]}]});
    let role = rehearsal.write("POST", ROLES, role).await.body["id"].as_str().unwrap().to_owned();
    let subject = format!("/api/v2/authorization/subjects/{id}");
    let pair = json!({"grants": [{"roleId": role, "divisionId": "*"}]});
    let status = async || rehearsal.call(&token, "GET", QUEUES, None).await.status;
    let shown = async || rehearsal.get(&subject).await.body["grants"].as_array().unwrap().len();
    let recorded = async || {
        rehearsal.get(&format!("{CLIENTS}/{id}")).await.body["roleDivisions"].as_array().unwrap().len()
    };

    rehearsal.write("POST", &format!("{subject}/bulkadd?subjectType=PC_OAUTH_CLIENT"), pair.clone()).await;
    assert_eq!((status().await, shown().await, recorded().await), (200, 2, 1));
    let holders = rehearsal.get(&format!("{ROLES}/{role}/subjectgrants")).await;
    assert_eq!(
        (&holders.entities()[0]["id"], &holders.entities()[0]["type"]),
        (&json!(id), &json!("PC_OAUTH_CLIENT"))
    );

    rehearsal.write("POST", &format!("{subject}/bulkremove"), pair.clone()).await;
    assert_eq!((status().await, shown().await, recorded().await), (403, 1, 1));
    rehearsal.write("POST", &format!("{subject}/bulkreplace?subjectType=PC_OAUTH_CLIENT"), pair).await;
    assert_eq!((status().await, shown().await, recorded().await), (200, 1, 0));

    let single = format!("{subject}/divisions/*/roles/{role}");
    assert_eq!(rehearsal.call(&rehearsal.admin, "DELETE", &single, None).await.status, 204);
    assert_eq!((status().await, shown().await), (403, 0));
    assert_eq!(rehearsal.call(&rehearsal.admin, "POST", &single, None).await.status, 204);
    assert_eq!((status().await, shown().await), (200, 1));

    for (suffix, expected) in [
        ("bulkadd?subjectType=PC_USER", (404, "not.found")),
        ("bulkadd?subjectType=PC_ROBOT", (400, "invalid.query.param.value")),
        ("bulkadd", (400, "bad.role.divisions")),
    ] {
        let wrong = json!({"grants": [{"roleId": "x", "divisionId": "*"}]});
        let reply =
            rehearsal.call(&rehearsal.admin, "POST", &format!("{subject}/{suffix}"), Some(wrong)).await;
        assert_eq!(reply.code(), expected, "{suffix}");
    }
}

#[tokio::test]
async fn old_role_ids_alone_grant_everywhere() {
    let rehearsal = Rehearsal::start(Options { story: true, ..Options::default() }).await;
    let secrets = rehearsal.private("GET", "clients", None).await.body;
    let survey =
        secrets.as_array().unwrap().iter().find(|client| client["name"] == "Survey_Collector").unwrap();
    let id = survey["id"].as_str().unwrap();
    let record = rehearsal.get(&format!("{CLIENTS}/{id}")).await.body;
    assert!(record.get("roleDivisions").is_none() && record["roleIds"].as_array().unwrap().len() == 1);
    let token = rehearsal.token(id, survey["secret"].as_str().unwrap()).await;
    let path = "/api/v2/analytics/surveys/aggregates/query";
    let reply = rehearsal.call(&token, "POST", path, Some(json!({}))).await;
    assert_ne!(reply.status, 403, "{}", reply.text);
    let grants = rehearsal.get(&format!("/api/v2/authorization/subjects/{id}")).await.body;
    assert_eq!(grants["grants"][0]["division"]["id"], "*");
}
