//! Settings, the catalogue, the digest, and that the seed decides everything.

use scopewarden::simulator::Options;
use serde_json::{Value, json};

use crate::harness::Rehearsal;

#[tokio::test]
async fn the_seed_decides_everything() {
    let read_all = async |options: Options| {
        let rehearsal = Rehearsal::start(options).await;
        let mut all = vec![rehearsal.digest().await, rehearsal.private("GET", "clients", None).await.text];
        for path in ["oauth/clients", "authorization/roles", "authorization/divisions", "users"] {
            all.push(rehearsal.get(&format!("/api/v2/{path}")).await.text);
        }
        all
    };
    for story in [false, true] {
        let options = |seed| Options { clients: 60, roles: 30, seed, story, ..Options::default() };
        assert_eq!(read_all(options(1)).await, read_all(options(1)).await);
        let (one, two) = (read_all(options(1)).await, read_all(options(2)).await);
        assert!(one.iter().zip(&two).all(|(one, two)| one != two));
    }
}

#[tokio::test]
async fn reads_leave_the_digest_alone_and_each_write_changes_it() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let mut digests = vec![rehearsal.digest().await];
    for path in ["oauth/clients", "authorization/roles", "authorization/permissions", "users", "tokens/me"] {
        rehearsal.get(&format!("/api/v2/{path}")).await;
    }
    rehearsal.call(&rehearsal.auditor, "DELETE", "/api/v2/oauth/clients/x", None).await;
    rehearsal.call(&rehearsal.admin, "POST", "/api/v2/authorization/roles", Some(json!({}))).await;
    rehearsal.set(json!({"lookup_first": true})).await;
    assert_eq!(rehearsal.digest().await, digests[0]);

    let roles = "/api/v2/authorization/roles";
    let role = rehearsal.write("POST", roles, json!({"name": "r"})).await.body["id"].clone();
    digests.push(rehearsal.digest().await);
    rehearsal.call(&rehearsal.admin, "DELETE", &format!("{roles}/{}", role.as_str().unwrap()), None).await;
    digests.push(rehearsal.digest().await);
    rehearsal.private("PUT", "catalogue", Some(json!({"remove": ["routing:queue:view"]}))).await;
    digests.push(rehearsal.digest().await);
    let mut distinct = digests.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), digests.len(), "{digests:?}");
}

#[tokio::test]
async fn the_catalogue_can_be_extended_reduced_and_replaced() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let put = async |body: Value| rehearsal.private("PUT", "catalogue", Some(body)).await;
    let new = json!({"domain": "robots", "entityType": "robot", "action": "launch", "divisionAware": true});
    let count = put(json!({"add": [new, "robots:robot:view"], "remove": ["routing:queue:view"]})).await;
    assert_eq!(count.body, json!({"permissions": 1465}));
    let shown = rehearsal.get("/api/v2/authorization/permissions?query=robots").await;
    let robots = &shown.entities()[0]["permissionMap"]["robot"];
    assert_eq!((&robots[0]["action"], &robots[0]["divisionAware"]), (&json!("launch"), &json!(true)));
    assert_eq!((&robots[1]["action"], &robots[1]["divisionAware"]), (&json!("view"), &json!(false)));
    for whole in [json!(["a:b:c"]), json!({"permissions": ["a:b:c"]})] {
        assert_eq!(put(whole).await.body, json!({"permissions": 1}));
    }
    for wrong in [json!(["a:b"]), json!({"append": []}), json!("a:b:c"), json!([7])] {
        assert_eq!(put(wrong).await.status, 400);
    }
    assert_eq!(rehearsal.private("GET", "catalogue", None).await.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn unknown_settings_are_refused_and_known_ones_shown() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let shown = rehearsal.private("PUT", "settings", Some(json!({"paged_clients": true}))).await.body;
    let expected = json!({"scope_enforcement": "off", "expand_wildcards": false, "paged_clients": true,
                          "lookup_first": false, "rate_limit_per_minute": 300, "definition_etag": true,
                          "definition_bytes": 0, "usage_polls": 1, "absent": [],
                          "invalid_scope_status": 400, "audit_lag_ms": 0, "audit_polls": 2,
                          "remote_ip": "203.0.113.7"});
    assert_eq!(shown, expected);
    for wrong in
        [json!({"gravity": 1}), json!({"scope_enforcement": "some"}), json!({"paged_clients": "yes"})]
    {
        assert_eq!(rehearsal.private("PUT", "settings", Some(wrong)).await.status, 400);
    }
    assert_eq!(rehearsal.private("GET", "settings", None).await.body, expected);
    assert_eq!(rehearsal.private("DELETE", "settings", None).await.status, 405);
    assert_eq!(rehearsal.private("GET", "everything", None).await.status, 404);
}

#[tokio::test]
async fn clients_come_in_one_body_or_in_pages() {
    let rehearsal = Rehearsal::start(Options { clients: 60, ..Options::default() }).await;
    let whole = rehearsal.get("/api/v2/oauth/clients?pageNumber=9").await;
    assert_eq!((whole.entities().len(), whole.body.get("nextUri")), (60, None));
    rehearsal.set(json!({"paged_clients": true})).await;
    let (mut next, mut count, mut paged) = (Some("/api/v2/oauth/clients".to_owned()), 0, Vec::new());
    while let Some(path) = next {
        let page = rehearsal.get(&path).await;
        count += 1;
        paged.extend(page.entities().clone());
        next = page.body["nextUri"].as_str().map(str::to_owned);
    }
    assert_eq!((count, &paged), (3, whole.entities()));
    let secrets = rehearsal.private("GET", "clients", None).await.body;
    let shown: Vec<&Value> = paged.iter().filter(|client| client.get("secret").is_some()).collect();
    assert!((3..30).contains(&shown.len()), "{}", shown.len());
    for client in shown {
        let known = secrets.as_array().unwrap().iter().find(|known| known["id"] == client["id"]).unwrap();
        assert_eq!(known["secret"], client["secret"]);
    }
}

#[tokio::test]
async fn wildcards_are_shown_written_out_while_the_power_stays() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["quality:*:*"], "*").await;
    let role = rehearsal.get(&format!("/api/v2/oauth/clients/{id}")).await.body["roleDivisions"][0]["roleId"]
        .clone();
    let role = format!("/api/v2/authorization/roles/{}", role.as_str().unwrap());
    let raw = rehearsal.get(&role).await.body["permissionPolicies"].clone();
    assert_eq!(raw, json!([{"domain": "quality", "entityName": "*", "actionSet": ["*"]}]));
    rehearsal.set(json!({"expand_wildcards": true})).await;
    let policies = rehearsal.get(&role).await.body["permissionPolicies"].clone();
    let policies = policies.as_array().unwrap();
    let shown: usize = policies.iter().map(|policy| policy["actionSet"].as_array().unwrap().len()).sum();
    let catalogue = rehearsal.get("/api/v2/authorization/permissions?query=quality").await;
    let entities = catalogue.entities()[0]["permissionMap"].as_object().unwrap();
    let known: usize = entities.values().map(|actions| actions.as_array().unwrap().len()).sum();
    assert_eq!((policies.len(), shown), (entities.len(), known));
    let allowed = rehearsal.call(&token, "GET", "/api/v2/quality/forms/evaluations", None).await;
    assert_eq!(allowed.status, 200);
}

#[tokio::test]
async fn products_can_be_off_scopes_refused_otherwise_and_the_truth_be_asked() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let (id, token) = rehearsal.client_with(&["routing:queue:view"], "*").await;
    let queues = "/api/v2/routing/queues";
    let truth = async |operation: &str| {
        let question = json!({"client": id, "operations": [operation]});
        rehearsal.private("POST", "truth", Some(question)).await.body["operations"][0].clone()
    };
    let list = format!("GET {queues}");
    let granted =
        json!({"operation": list, "declared": true, "granted": true, "in_scope": true, "present": true});
    assert_eq!(truth(&list).await, granted);
    assert_eq!(truth("DELETE /api/v2/routing/queues/{queueId}").await["granted"], false);
    assert_eq!(truth("GET /api/v2/oauth/scopes").await["declared"], false);
    assert_eq!(rehearsal.call(&token, "GET", queues, None).await.status, 200);

    rehearsal.set(json!({"absent": ["routing"], "scope_enforcement": "all-grants"})).await;
    assert_eq!(truth(&list).await["present"], false);
    assert_eq!(truth(&list).await["in_scope"], false);
    let refused = rehearsal.call(&token, "GET", queues, None).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("app.not.authorized.for.scope")));
    rehearsal.set(json!({"scope_enforcement": "off"})).await;
    let refused = rehearsal.call(&token, "GET", queues, None).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("not.authorized")));
    rehearsal.set(json!({"absent": []})).await;
    assert_eq!(rehearsal.call(&token, "GET", queues, None).await.status, 200);

    let who = rehearsal.who();
    let form = "grant_type=client_credentials&scope=no-such-scope";
    for status in [400_u16, 401] {
        rehearsal.set(json!({"invalid_scope_status": status})).await;
        let refused = rehearsal.log_in(&who.client_id, &who.client_secret, form).await;
        assert_eq!((refused.status, &refused.body["error"]), (status, &json!("invalid_scope")));
    }
    assert_eq!(
        rehearsal.private("POST", "truth", Some(json!({"client": "x", "operations": []}))).await.status,
        404
    );
}
