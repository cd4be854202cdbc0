//! All 3,321 operations answer, as the table says.

use std::collections::BTreeSet;

use scopewarden::simulator::Options;
use serde_json::json;

use crate::harness::Rehearsal;

const TABLE: &str = include_str!("../../src/domain/data/operations.tsv");
const AUDITOR: [&str; 6] = [
    "oauth:client:view",
    "authorization:role:view",
    "authorization:grant:view",
    "audits:audit:view",
    "usage:organization:view",
    "authorization:policy:view",
];

/// A path whose every parameter is an id that nobody has.
fn concrete(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') { "5c0e1e57-0000-4000-8000-000000000000" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_operation_answers_the_auditor_and_the_administrator_as_the_table_says() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    rehearsal.set(json!({"rate_limit_per_minute": 1_000_000})).await;
    let held = BTreeSet::from(AUDITOR);
    let mut refused = 0;
    for row in TABLE.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (method, path, mode) = (columns[0], columns[1], columns[2]);
        if (method, path) == ("DELETE", "/api/v2/tokens/me") {
            continue; // It ends the token that the rest needs; `login` has a test of it.
        }
        let needs: BTreeSet<&str> = columns[3].split(',').filter(|name| !name.is_empty()).collect();
        let granted = match mode {
            "all" => needs.is_subset(&held),
            "any" => !needs.is_disjoint(&held),
            _ => true,
        };
        let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| json!({}));
        for (token, granted) in [(&rehearsal.auditor, granted), (&rehearsal.admin, true)] {
            let reply = rehearsal.call(token, method, &concrete(path), body.clone()).await;
            let about = format!("{method} {path}: {} {}", reply.status, reply.text);
            assert_eq!(reply.status == 403, !granted, "{about}");
            assert!(matches!(reply.status, 200 | 202 | 204 | 400 | 403 | 404), "{about}");
            if reply.status == 403 {
                refused += 1;
                let code = if mode == "all" { "missing.permissions" } else { "missing.any.permissions" };
                assert_eq!(reply.body["code"], code, "{about}");
                let message = reply.body["message"].as_str().unwrap();
                assert!(needs.iter().all(|name| message.contains(name)), "{about}");
            } else if path.contains('{') {
                assert_eq!(reply.status, 404, "{about}");
            }
        }
    }
    assert!(refused > 2_800, "{refused}");
}

#[tokio::test]
async fn the_published_definition_has_every_operation_and_asks_for_no_permission() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let reply = rehearsal.call(&rehearsal.auditor, "GET", "/api/v2/docs/swagger", None).await;
    assert_eq!((reply.status, &reply.body["swagger"]), (200, &json!("2.0")));
    let paths = reply.body["paths"].as_object().unwrap();
    for row in TABLE.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let operation = &paths[columns[1]][columns[0].to_lowercase()];
        let permissions: Vec<&str> = columns[3].split(',').filter(|name| !name.is_empty()).collect();
        match columns[2] {
            "none" => assert!(operation["x-inin-requires-permissions"].is_null(), "{row}"),
            mode => assert_eq!(
                operation["x-inin-requires-permissions"],
                json!({"type": mode.to_uppercase(), "permissions": permissions})
            ),
        }
    }
    assert_eq!(rehearsal.request("GET", "/api/v2/docs/swagger").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn lookup_first_notices_ids_and_bodies_before_permissions() {
    let rehearsal = Rehearsal::start(Options { lookup_first: true, ..Options::default() }).await;
    let client =
        rehearsal.get("/api/v2/oauth/clients").await.entities()[0]["id"].as_str().unwrap().to_owned();
    let unknown = "/api/v2/oauth/clients/5c0e1e57-0000-4000-8000-000000000000".to_owned();
    let known = format!("/api/v2/oauth/clients/{client}");
    let auditor = &rehearsal.auditor;
    let code = async |path: &str| rehearsal.call(auditor, "DELETE", path, None).await.status;
    assert_eq!(code(&unknown).await, 404);
    assert_eq!(code("/api/v2/oauth/clients/no-uuid").await, 400);
    assert_eq!(code(&known).await, 403);
    let broken = rehearsal.request("PUT", &known).bearer_auth(auditor).body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    rehearsal.set(json!({"lookup_first": false})).await;
    assert_eq!(code(&unknown).await, 403);
    let broken = rehearsal.request("PUT", &known).bearer_auth(auditor).body("{").send().await.unwrap();
    assert_eq!(broken.status(), 403);
}

#[tokio::test]
async fn bodies_beyond_the_platforms_limit_are_refused() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let body = json!({"name": "x".repeat(600_000)});
    let reply = rehearsal.call(&rehearsal.admin, "POST", "/api/v2/authorization/roles", Some(body)).await;
    assert_eq!(reply.code(), (413, "request.entity.too.large"));
}
