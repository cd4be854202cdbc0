//! The usage queries of both families, and the grants of clients from both sides.

use scopewarden::simulator::Options;
use serde_json::{Value, json};

use crate::harness::{Rehearsal, Reply};

const NEWER: &str = "/api/v2/usage/aggregates/query/jobs";
const OLDER: &str = "/api/v2/usage/query";
const INTERVAL: &str = "2026-08-27T00:00:00Z/2026-11-24T10:00:00Z";
const GROUP: &str = "11111111-0000-4000-8000-000000000001";

async fn asked(rehearsal: &Rehearsal, path: &str, body: Value) -> Reply {
    rehearsal.call(&rehearsal.auditor, "POST", path, Some(body)).await
}

/// The rows of a newer query, page after page.
async fn newer(rehearsal: &Rehearsal, groups: Value, page_size: usize) -> Vec<Value> {
    let body = json!({ "interval": INTERVAL, "granularity": "Day", "groupBy": groups });
    let job = asked(rehearsal, NEWER, body).await;
    assert_eq!(job.status, 202, "{}", job.text);
    let mut path = format!("{}?pageSize={page_size}", job.body["resultsUri"].as_str().unwrap());
    let waiting = rehearsal.call(&rehearsal.auditor, "GET", &path, None).await;
    assert_eq!((waiting.status, &waiting.body["queryStatus"]), (202, &json!("Running")));
    let mut rows = Vec::new();
    loop {
        let page = rehearsal.call(&rehearsal.auditor, "GET", &path, None).await;
        assert_eq!(page.body["queryStatus"], "Succeeded", "{}", page.text);
        assert!(page.entities().len() <= page_size);
        rows.extend(page.entities().iter().cloned());
        match page.body["nextUri"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => return rows,
        }
    }
}

async fn older(rehearsal: &Rehearsal, groups: Value) -> Vec<Value> {
    let body = json!({ "interval": INTERVAL, "granularity": "Day", "groupBy": groups });
    let query = asked(rehearsal, OLDER, body).await;
    let path = query.body["resultsUri"].as_str().unwrap().to_owned();
    let waiting = rehearsal.call(&rehearsal.auditor, "GET", &path, None).await;
    assert_eq!(waiting.body, json!({ "results": [], "queryStatus": "Running" }));
    let done = rehearsal.call(&rehearsal.auditor, "GET", &path, None).await;
    assert_eq!(done.body["queryStatus"], "Complete");
    done.body["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn calls_that_were_served_are_counted_by_class_and_client() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["routing:queue:view"], "*").await;
    for path in ["/api/v2/routing/queues", "/api/v2/routing/queues", "/api/v2/oauth/clients"] {
        rehearsal.call(&token, "GET", path, None).await;
    }
    let rows = newer(&rehearsal, json!(["OauthClientId", "HttpMethod", "TemplateUri"]), 1000).await;
    let of = |path: &str| {
        let mine = |row: &&Value| row["oauthClient"]["id"] == json!(id) && row["templateUri"] == json!(path);
        rows.iter().find(mine).unwrap_or_else(|| panic!("no row of {path}")).clone()
    };
    let queues = of("/api/v2/routing/queues");
    assert_eq!(
        (&queues["httpMethod"], &queues["status200"], &queues["date"]),
        (&json!("GET"), &json!(2), &json!("2026-11-24"))
    );
    let refused = of("/api/v2/oauth/clients");
    assert_eq!(
        (&refused["status200"], &refused["status400"], &refused["requestCount"]),
        (&json!(0), &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn both_families_count_alike_and_spell_differently() {
    let rehearsal = Rehearsal::start(Options { story: true, ..Options::default() }).await;
    let new = newer(&rehearsal, json!(["OauthClientId", "HttpMethod", "TemplateUri"]), 7).await;
    let old = older(&rehearsal, json!(["OAuthClientId", "HttpMethod", "TemplateUri"])).await;
    let auditor = rehearsal.who().client_id.clone();
    let key = |client: &Value, row: &Value| {
        let day = row["date"].as_str().unwrap()[..10].to_owned();
        format!("{client} {day} {} {} {}", row["httpMethod"], row["templateUri"], row["status200"])
    };
    let mut new: Vec<String> = new.iter().map(|row| key(&row["oauthClient"]["id"], row)).collect();
    let mut old: Vec<String> = old.iter().map(|row| key(&row["clientId"], row)).collect();
    for rows in [&mut new, &mut old] {
        rows.retain(|row| !row.contains(&auditor));
        rows.sort();
    }
    assert_eq!(new, old);
    assert!(new.len() > 20, "the history of the story: {}", new.len());
    assert!(new.iter().any(|row| row.contains("{id}")), "parameters go by other names now and then");
    // Each family refuses the other's spelling.
    for (path, word) in [(NEWER, "OAuthClientId"), (OLDER, "OauthClientId")] {
        let reply = asked(&rehearsal, path, json!({ "interval": INTERVAL, "groupBy": [word] })).await;
        assert_eq!(reply.code(), (400, "bad.request"), "{}", reply.text);
    }
}

#[tokio::test]
async fn fields_that_were_not_grouped_by_are_empty_strings() {
    let rehearsal = Rehearsal::start(Options { story: true, ..Options::default() }).await;
    let rows = older(&rehearsal, json!(["OAuthClientId"])).await;
    assert!(!rows.is_empty());
    for row in rows {
        let [method, path, user] = ["httpMethod", "templateUri", "userId"].map(|field| row[field].clone());
        assert_eq!([method, path, user], ["", "", ""].map(Value::from));
        assert!(row["clientId"].as_str().is_some_and(|id| !id.is_empty()));
    }
}

#[tokio::test]
async fn intervals_are_checked_and_other_peoples_queries_are_unknown() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    for interval in [
        "",
        "2026-01-01",
        "2026-02-01T00:00:00Z/2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z/2026-06-01T00:00:00Z",
    ] {
        for path in [NEWER, OLDER] {
            let reply = asked(&rehearsal, path, json!({ "interval": interval })).await;
            assert_eq!(reply.code(), (400, "bad.request"), "{interval}");
        }
    }
    let job = asked(&rehearsal, NEWER, json!({ "interval": INTERVAL })).await;
    let id = job.body["id"].as_str().unwrap();
    let crossed = rehearsal.get(&format!("/api/v2/usage/query/{id}/results")).await;
    assert_eq!(crossed.code(), (404, "not.found"));
    let (_, token) = rehearsal.client_with(&["routing:queue:view"], "*").await;
    let refused = rehearsal.call(&token, "POST", OLDER, Some(json!({ "interval": INTERVAL }))).await;
    assert_eq!(refused.code(), (403, "missing.any.permissions"));
}

#[tokio::test]
async fn grants_through_a_group_are_shown_with_the_groups_id() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["routing:skill:view"], "*").await;
    let put = rehearsal
        .private("PUT", "groups", Some(json!([{ "id": GROUP, "name": "g", "members": [id] }])))
        .await;
    assert_eq!(put.status, 200, "{}", put.text);
    let status = async || rehearsal.call(&token, "GET", "/api/v2/routing/queues", None).await.status;
    assert_eq!(status().await, 403);
    let policy = json!([{ "domain": "routing", "entityName": "queue", "actionSet": ["view"] }]);
    let role = json!({ "name": "of the group", "permissionPolicies": policy });
    let role = rehearsal.write("POST", "/api/v2/authorization/roles", role).await.body["id"].clone();
    let record = rehearsal.get(&format!("/api/v2/oauth/clients/{id}")).await.body;
    let own = record["roleDivisions"][0]["roleId"].clone();
    let pairs =
        json!({ "grants": [{ "roleId": role, "divisionId": "*" }, { "roleId": own, "divisionId": "*" }] });
    let path = format!("/api/v2/authorization/subjects/{GROUP}/bulkadd?subjectType=PC_GROUP");
    rehearsal.write("POST", &path, pairs).await;
    assert_eq!(status().await, 200, "a member has what its group has");
    let rows = async |query: &str| -> Vec<(Value, Value)> {
        let subject = rehearsal.get(&format!("/api/v2/authorization/subjects/{id}{query}")).await.body;
        let grants = subject["grants"].as_array().unwrap().clone();
        grants.iter().map(|grant| (grant["subjectId"].clone(), grant["role"]["id"].clone())).collect()
    };
    let once = [(json!(id), own.clone()), (json!(GROUP), role.clone())];
    assert_eq!(rows("").await, once, "what it has twice is shown once, as its own");
    assert_eq!(rows("?includeDuplicates=true").await.len(), 3);
    // From the role's side it is the group that holds the role.
    let path = format!("/api/v2/authorization/roles/{}/subjectgrants", role.as_str().unwrap());
    let holders = rehearsal.get(&path).await;
    let kinds: Vec<(&Value, &Value)> =
        holders.entities().iter().map(|row| (&row["id"], &row["type"])).collect();
    assert_eq!(kinds, [(&json!(GROUP), &json!("PC_GROUP"))]);
    let unknown = rehearsal.get("/api/v2/authorization/subjects/22222222-0000-4000-8000-000000000002").await;
    assert_eq!(unknown.code(), (404, "not.found"));
}

#[tokio::test]
async fn the_roles_side_lists_people_too_in_pages() {
    let rehearsal = Rehearsal::start(Options { divisions: 20, ..Options::default() }).await;
    let roles = rehearsal.get("/api/v2/authorization/roles?pageSize=100").await;
    let employee = roles.entities().iter().find(|role| role["name"] == "Employee").unwrap()["id"].clone();
    let path =
        format!("/api/v2/authorization/roles/{}/subjectgrants?pageSize=50", employee.as_str().unwrap());
    let first = rehearsal.get(&path).await.body;
    assert!(first["pageCount"].as_u64().unwrap() >= 3, "six people in each of twenty divisions: {first}");
    assert!(first["entities"].as_array().unwrap().iter().any(|row| row["type"] == "PC_USER"));
}
