//! What a division lets through.

use scopewarden::simulator::Options;
use serde_json::{Value, json};

use crate::harness::Rehearsal;

#[tokio::test]
async fn a_division_aware_permission_reaches_only_its_division() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let queues = rehearsal.get("/api/v2/routing/queues").await;
    let division = queues.entities()[0]["division"]["id"].as_str().unwrap().to_owned();
    let (_, token) = rehearsal.client_with(&["routing:queue:view", "routing:queue:delete"], &division).await;

    let seen = rehearsal.call(&token, "GET", "/api/v2/routing/queues", None).await;
    assert_eq!((seen.entities().len(), seen.body["total"].as_u64()), (2, Some(2)));
    assert!(seen.entities().iter().all(|queue| queue["division"]["id"] == division.as_str()));
    for queue in queues.entities() {
        let path = format!("/api/v2/routing/queues/{}", queue["id"].as_str().unwrap());
        let reply = rehearsal.call(&token, "GET", &path, None).await;
        if queue["division"]["id"] == division.as_str() {
            assert_eq!(reply.status, 200);
        } else {
            assert_eq!(reply.code(), (403, "missing.division.permission"));
            assert!(reply.body["message"].as_str().unwrap().contains("'routing:queue:view'"));
        }
    }
}

#[tokio::test]
async fn users_are_reached_in_the_division_or_by_a_permission_that_knows_none() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let users = rehearsal.get("/api/v2/users?pageSize=100").await;
    let home = rehearsal.get("/api/v2/authorization/divisions/home").await.body["id"].clone();
    let elsewhere: Vec<&Value> =
        users.entities().iter().filter(|user| user["division"]["id"] != home).collect();
    let path = |index: usize| format!("/api/v2/users/{}", elsewhere[index]["id"].as_str().unwrap());
    let home = home.as_str().unwrap();
    let (_, editor) = rehearsal.client_with(&["directory:user:edit"], home).await;
    let (_, admin) = rehearsal.client_with(&["directory:organization:admin"], home).await;
    let change = json!({"version": 1, "title": "Lead"});
    let refused = rehearsal.call(&editor, "PATCH", &path(0), Some(change.clone())).await;
    assert_eq!(refused.code(), (403, "missing.division.permission"));
    let allowed = rehearsal.call(&admin, "PATCH", &path(0), Some(change.clone())).await;
    assert_eq!((allowed.status, &allowed.body["title"]), (200, &json!("Lead")));
    assert_eq!(
        rehearsal.call(&admin, "PATCH", &path(0), Some(change)).await.code(),
        (409, "request.conflict")
    );

    let moved = format!("/api/v2/authorization/divisions/{home}/objects/USER");
    rehearsal.write("POST", &moved, json!([elsewhere[0]["id"]])).await;
    let change = json!({"version": 2, "title": "Agent"});
    assert_eq!(rehearsal.call(&editor, "PATCH", &path(0), Some(change)).await.status, 200);
}

#[tokio::test]
async fn divisions_are_created_renamed_and_deleted_when_empty() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let divisions = "/api/v2/authorization/divisions";
    let new = rehearsal.write("POST", divisions, json!({"name": "New", "description": "d"})).await.body;
    let path = format!("{divisions}/{}", new["id"].as_str().unwrap());
    let again = rehearsal.call(&rehearsal.admin, "POST", divisions, Some(json!({"name": "New"}))).await;
    assert_eq!(again.code(), (409, "resource.already.exists"));
    let renamed = rehearsal.write("PUT", &path, json!({"name": "Newer", "description": "d"})).await;
    assert_eq!(renamed.body["name"], "Newer");
    let user = json!({"name": "u", "email": "u@example.com", "divisionId": new["id"]});
    rehearsal.write("POST", "/api/v2/users", user).await;
    let counted = rehearsal.get(&format!("{path}?objectCount=true")).await;
    assert_eq!(counted.body["objectCounts"]["USER"], 1);
    let occupied = rehearsal.call(&rehearsal.admin, "DELETE", &path, None).await;
    assert_eq!(occupied.code(), (400, "precondition.failure"));
    let forced = rehearsal.call(&rehearsal.admin, "DELETE", &format!("{path}?force=true"), None).await;
    assert_eq!(forced.status, 204);
    assert_eq!(rehearsal.get(&path).await.status, 404);
    let home = rehearsal.get(&format!("{divisions}/home")).await.body["id"].clone();
    let home = format!("{divisions}/{}?force=true", home.as_str().unwrap());
    assert_eq!(rehearsal.call(&rehearsal.admin, "DELETE", &home, None).await.status, 400);
}
