//! The audit log: who wrote what, shown late if asked to, by either query.

use scopewarden::simulator::Options;
use serde_json::{Value, json};

use crate::{
    conformance::Definitions,
    harness::{Rehearsal, Reply},
};

const REALTIME: &str = "/api/v2/audits/query/realtime";
const DAY: &str = "2026-11-24T00:00:00Z/2026-11-25T00:00:00Z";

async fn rehearsal() -> Rehearsal {
    let rehearsal = Rehearsal::start(Options::default()).await;
    rehearsal.set(json!({ "audit_time": "2026-11-24T10:00:00Z" })).await;
    rehearsal
}

async fn edit_a_role(rehearsal: &Rehearsal) -> Value {
    let policies = json!([{ "domain": "routing", "entityName": "queue", "actionSet": ["view"] }]);
    let role = json!({ "name": "edited", "permissionPolicies": policies });
    let mut role = rehearsal.write("POST", "/api/v2/authorization/roles", role).await.body;
    role["permissionPolicies"][0]["actionSet"] = json!(["view", "delete"]);
    let path = format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap());
    rehearsal.write("PUT", &path, role.clone()).await;
    role
}

async fn realtime(rehearsal: &Rehearsal, more: Value) -> Reply {
    let mut body = json!({ "interval": DAY, "serviceName": "PeoplePermissions", "pageSize": 100 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rehearsal.call(&rehearsal.auditor, "POST", REALTIME, Some(body)).await
}

#[tokio::test]
async fn an_edit_is_logged_with_who_where_and_what() {
    let rehearsal = rehearsal().await;
    rehearsal.set(json!({ "acting_user": { "id": "u-1", "name": "Ada Admin" } })).await;
    let role = edit_a_role(&rehearsal).await;
    let filter = json!([{ "property": "EntityId", "value": role["id"] }]);
    let reply = realtime(&rehearsal, json!({ "filters": filter })).await;
    let definitions = Definitions::read();
    definitions.check("AuditRealtimeQueryResultsResponse", &reply.body, "realtime").unwrap();
    let [update, create] = &reply.entities()[..] else { panic!("{}", reply.text) };
    assert_eq!((&create["action"], &update["action"]), (&json!("Create"), &json!("Update")));
    assert_eq!(update["user"]["name"], "Ada Admin");
    assert_eq!(update["client"]["id"], json!(rehearsal.who().admin_client_id));
    assert_eq!(update["remoteIp"], json!(["203.0.113.7"]));
    assert_eq!(update["eventDate"], "2026-11-24T10:00:00.000Z");
    let change = json!([{
        "property": "permission_policies",
        "oldValues": ["routing:queue:view"],
        "newValues": ["routing:queue:view", "routing:queue:delete"],
    }]);
    assert_eq!(update["propertyChanges"], change);
}

#[tokio::test]
async fn grants_are_logged_on_the_subject_and_reads_not_at_all() {
    let rehearsal = rehearsal().await;
    let (client, token) = rehearsal.client_with(&["routing:queue:view"], "*").await;
    rehearsal.get("/api/v2/oauth/clients").await;
    let role = edit_a_role(&rehearsal).await["id"].clone();
    let pair = json!({ "grants": [{ "roleId": role, "divisionId": "*" }] });
    let path = format!("/api/v2/authorization/subjects/{client}/bulkadd");
    rehearsal.write("POST", &path, pair.clone()).await;
    // Once more: nothing changes.
    rehearsal.write("POST", &path, pair).await;
    let filter = json!([{ "property": "EntityId", "value": client }]);
    let reply = realtime(&rehearsal, json!({ "filters": filter })).await;
    let actions: Vec<&Value> = reply.entities().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["AuthorizationChanged", "Create"]);
    assert_eq!(reply.entities()[0]["propertyChanges"][0]["property"], "grants");
    // Whoever may not read the log does not.
    let refused = rehearsal.call(&token, "POST", REALTIME, Some(json!({ "interval": DAY }))).await;
    assert_eq!(refused.code(), (403, "missing.permissions"));
}

#[tokio::test]
async fn an_entry_is_shown_only_when_it_is_old_enough() {
    let rehearsal = rehearsal().await;
    rehearsal.set(json!({ "audit_lag_ms": 60_000 })).await;
    edit_a_role(&rehearsal).await;
    assert!(realtime(&rehearsal, json!({})).await.entities().is_empty());
    rehearsal.set(json!({ "audit_time": "2026-11-24T10:01:00Z" })).await;
    assert_eq!(realtime(&rehearsal, json!({})).await.entities().len(), 2);
}

#[tokio::test]
async fn the_other_query_is_queued_runs_succeeds_and_comes_in_pages() {
    let rehearsal = rehearsal().await;
    for name in ["one", "two"] {
        let role = json!({ "name": name });
        rehearsal.write("POST", "/api/v2/authorization/roles", role).await;
    }
    let definitions = Definitions::read();
    let ask = json!({ "interval": DAY, "serviceName": "PeoplePermissions",
                      "sort": [{ "name": "Timestamp", "sortOrder": "ascending" }] });
    let auditor = &rehearsal.auditor;
    let asked = rehearsal.call(auditor, "POST", "/api/v2/audits/query", Some(ask)).await;
    assert_eq!((asked.status, &asked.body["state"]), (202, &json!("Queued")));
    definitions.check("AuditQueryExecutionStatusResponse", &asked.body, "asked").unwrap();
    let path = format!("/api/v2/audits/query/{}", asked.body["id"].as_str().unwrap());
    let early = rehearsal.call(auditor, "GET", &format!("{path}/results"), None).await;
    assert_eq!(early.status, 400);
    for state in ["Queued", "Running", "Succeeded", "Succeeded"] {
        let polled = rehearsal.call(auditor, "GET", &path, None).await;
        assert_eq!(polled.body["state"], state);
    }
    let first = rehearsal.call(auditor, "GET", &format!("{path}/results?pageSize=1"), None).await;
    definitions.check("AuditQueryExecutionResultsResponse", &first.body, "results").unwrap();
    let cursor = first.body["cursor"].as_str().unwrap();
    let next = format!("{path}/results?pageSize=1&cursor={cursor}");
    let second = rehearsal.call(auditor, "GET", &next, None).await;
    assert!(second.body.get("cursor").is_none());
    assert_ne!(first.entities()[0]["id"], second.entities()[0]["id"]);
    let unknown = "/api/v2/audits/query/00000000-0000-4000-8000-000000000000";
    assert_eq!(rehearsal.call(auditor, "GET", unknown, None).await.status, 404);
}

#[tokio::test]
async fn what_the_queries_do_not_take_is_refused() {
    let rehearsal = rehearsal().await;
    for body in [
        json!({ "interval": "yesterday" }),
        json!({ "interval": "2026-11-24T00:00:00Z/2026-11-24T00:00:00Z" }),
        json!({ "interval": "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z" }),
        json!({ "serviceName": "Nobody" }),
        json!({ "pageSize": 501 }),
    ] {
        let reply = realtime(&rehearsal, body.clone()).await;
        assert_eq!(reply.code(), (400, "bad.request"), "{body}");
    }
    for (path, some) in
        [("/api/v2/audits/query/servicemapping", 3), (&format!("{REALTIME}/servicemapping"), 1)]
    {
        rehearsal.set(json!({ "audit_realtime": ["PeoplePermissions"] })).await;
        let mapping = rehearsal.call(&rehearsal.auditor, "GET", path, None).await.body;
        Definitions::read().check("AuditQueryServiceMapping", &mapping, path).unwrap();
        assert_eq!(mapping["services"].as_array().unwrap().len(), some);
    }
}
