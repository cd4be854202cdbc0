//! Each kind of fault, and which requests it hits.

use scopewarden::simulator::Options;
use serde_json::{Value, json};

use crate::harness::{Rehearsal, Reply};

const ROLES: &str = "/api/v2/authorization/roles";

async fn plan(rehearsal: &Rehearsal, faults: Value) {
    let reply = rehearsal.private("PUT", "faults", Some(faults)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// The answer to one request that runs into a fault of this kind.
async fn struck(rehearsal: &Rehearsal, kind: &str) -> Reply {
    plan(
        rehearsal,
        json!([{"match": format!("GET {ROLES}"), "kind": kind, "retry_after": 9, "bytes": 1000}]),
    )
    .await;
    let reply = rehearsal.get(ROLES).await;
    let next = rehearsal.call(&rehearsal.auditor, "GET", ROLES, None).await;
    assert_eq!(next.status, 200, "{kind} hits once");
    reply
}

#[tokio::test]
async fn refusals_on_demand_look_like_the_platforms() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    for (kind, status, code, retry_after) in [
        ("429", 429, "too.many.requests.retry.after", "9"),
        ("429_no_retry_after", 429, "too.many.requests", ""),
        ("500", 500, "internal.server.error", ""),
        ("502", 502, "", ""),
        ("503", 503, "service.unavailable", ""),
        ("forbidden", 403, "missing.any.permissions", ""),
    ] {
        let reply = struck(&rehearsal, kind).await;
        assert_eq!((reply.code(), reply.header("retry-after")), ((status, code), retry_after), "{kind}");
    }
    assert!(struck(&rehearsal, "forbidden").await.text.contains("[authorization:role:view]"));
    assert_eq!(struck(&rehearsal, "expired_token").await.code(), (401, "bad.credentials"));
    assert_eq!(rehearsal.get(ROLES).await.code(), (401, "bad.credentials"), "the token is really gone");
}

#[tokio::test]
async fn spoiled_bodies_are_spoiled_as_promised() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let right = rehearsal.get(ROLES).await;

    let truncated = struck(&rehearsal, "truncated").await;
    assert_eq!((truncated.status, truncated.body.is_null()), (200, true));
    assert!(right.text.starts_with(&truncated.text) && truncated.text.len() < right.text.len());

    let wrong = struck(&rehearsal, "wrong_type").await;
    assert!(wrong.body["entities"].is_object() && wrong.body["total"].is_string(), "{}", wrong.text);

    let empty = struck(&rehearsal, "empty_list").await;
    assert_eq!((empty.status, empty.entities().len(), empty.body["total"].as_u64()), (200, 0, Some(0)));

    let page = struck(&rehearsal, "not_json").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));

    let huge = struck(&rehearsal, "huge_body").await;
    assert_eq!((huge.entities().len(), huge.body["padding"].as_str().unwrap().len()), (12, 1000));
}

#[tokio::test]
async fn a_reset_connection_gives_no_answer() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    plan(&rehearsal, json!([{"match": format!("GET {ROLES}"), "kind": "reset", "count": -1}])).await;
    let error = rehearsal.request("GET", ROLES).bearer_auth(&rehearsal.admin).send().await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    plan(&rehearsal, json!([])).await;
    assert_eq!(rehearsal.get(ROLES).await.status, 200);
}

#[tokio::test]
async fn a_slow_body_sends_its_head_at_once_and_then_trickles() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let slow = |speed: usize| json!([{"match": format!("GET {ROLES}"), "kind": "slow_body", "bytes_per_second": speed}]);
    plan(&rehearsal, slow(10)).await;
    let request = rehearsal.request("GET", ROLES).bearer_auth(&rehearsal.admin);
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.unwrap().unwrap();
    assert!(first.len() <= 10, "{}", first.len());
    drop(response);

    let right = rehearsal.get(ROLES).await;
    plan(&rehearsal, slow(1_000_000)).await;
    assert_eq!(rehearsal.get(ROLES).await.text, right.text, "it arrives whole in the end");
}

#[tokio::test]
async fn pages_shift_between_two_requests() {
    let rehearsal = Rehearsal::start(Options { roles: 30, ..Options::default() }).await;
    let all = rehearsal.get(&format!("{ROLES}?pageSize=100")).await;
    let ids: Vec<Value> = all.entities().iter().map(|role| role["id"].clone()).collect();
    let page = async |fault: Value, number: usize| {
        plan(&rehearsal, json!([fault])).await;
        rehearsal.get(&format!("{ROLES}?pageSize=10&pageNumber={number}")).await
    };
    let first_id = |reply: &Reply| reply.entities()[0]["id"].clone();
    let fault = json!({"match": format!("GET {ROLES}"), "kind": "shift_pages"});
    let removed = page(fault, 2).await;
    assert_eq!((first_id(&removed), removed.body["total"].as_u64()), (ids[11].clone(), Some(29)));
    let fault =
        json!({"match": format!("GET {ROLES}"), "kind": "shift_pages", "by": -1, "total_changes": false});
    let inserted = page(fault.clone(), 2).await;
    assert_eq!((first_id(&inserted), inserted.body["total"].as_u64()), (ids[9].clone(), Some(30)));
    assert_eq!(first_id(&page(fault, 1).await), ids[0], "the first page never shifts");
}

#[tokio::test]
async fn faults_count_skip_and_match_by_method_template_path_and_prefix() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let role = rehearsal.get(ROLES).await.entities()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("{ROLES}/{role}");
    let template = "GET /api/v2/authorization/roles/{roleId}";
    for pattern in [template, &format!("GET {path}"), &format!("GET {ROLES}/*"), "* /api/v2/authorization/*"]
    {
        plan(&rehearsal, json!([{"match": pattern, "kind": "500", "after": 1, "count": 2}])).await;
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(rehearsal.get(&path).await.status);
        }
        assert_eq!(seen, [200, 500, 500, 200], "{pattern}");
    }
    plan(&rehearsal, json!([{"match": template, "kind": "500"}, {"match": template, "kind": "503"}])).await;
    assert_eq!((rehearsal.get(&path).await.status, rehearsal.get(&path).await.status), (500, 503));

    plan(&rehearsal, json!([{"match": "POST /oauth/token", "kind": "503"}])).await;
    let who = rehearsal.who().clone();
    let form = "grant_type=client_credentials";
    assert_eq!(rehearsal.log_in(&who.client_id, &who.client_secret, form).await.status, 503);
    assert_eq!(rehearsal.log_in(&who.client_id, &who.client_secret, form).await.status, 200);
}

#[tokio::test]
async fn a_wrong_fault_is_refused_and_changes_nothing() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    plan(&rehearsal, json!([{"match": "GET /x", "kind": "500"}])).await;
    for (faults, says) in [
        (json!({}), "a list of faults is expected"),
        (
            json!([{"match": "GET /x", "kind": "meteor"}]),
            "fault 0: unknown variant `meteor`, expected one of `429`",
        ),
        (json!([{"match": "GET /x", "kind": "500", "count": 0}]), "fault 0: count = 0"),
        (json!([{"match": "/x", "kind": "500"}]), "fault 0: match = \"/x\""),
        (json!([{"match": "GET /x", "kind": "500", "often": true}]), "fault 0: unknown field `often`"),
        (json!(vec![json!({"match": "GET /x", "kind": "500"}); 1001]), "1001 faults are more than 1000"),
    ] {
        let reply = rehearsal.private("PUT", "faults", Some(faults)).await;
        assert_eq!(reply.status, 400);
        assert!(reply.body["message"].as_str().unwrap().starts_with(says), "{}", reply.text);
    }
    assert_eq!(rehearsal.private("GET", "faults", None).await.body.as_array().unwrap().len(), 1);
}
