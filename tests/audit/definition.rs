//! The platform's own definition: read, changed, refused, switched off.

use chrono::TimeDelta;
use scopewarden::domain::{Fact, catalogue::Source, event::CauseKind, finding::Status};
use serde_json::json;

use crate::harness::{Harness, story};

async fn operations(org: &Harness) -> Option<std::sync::Arc<scopewarden::domain::catalogue::Operations>> {
    org.store.snapshot_at("acme", None).await.unwrap().unwrap().snapshot.operations
}

#[tokio::test]
async fn what_the_platform_changes_in_its_definition_is_drift_with_the_platform_as_cause() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let read = operations(&org).await.unwrap();
    assert_eq!((read.source(), read.listed_len(), read.len()), (Source::Definition, 3321, 3321));
    let described = json!({
        "security": [{ "PureCloud OAuth": ["users"] }],
        "x-inin-requires-permissions": { "type": "ALL", "permissions": ["directory:user:view"] },
    });
    org.private(
        "definition",
        json!({
            "add": [
                { "operation": "GET /api/v2/tomorrow", "describe": described },
                { "operation": "DELETE /api/v2/users/{userId}", "describe": described },
            ],
            "remove": ["GET /api/v2/oauth/scopes"],
        }),
    )
    .await;
    // It is not asked for again before it is a day old.
    assert!(org.audit().await.events.is_empty());
    org.pass(TimeDelta::hours(25));
    let report = org.audit().await;
    let [event] = &report.events[..] else { panic!("{:?}", report.events) };
    assert_eq!(
        (event.cause.kind, event.cause.subject.id.as_str()),
        (CauseKind::CatalogueChanged, "operations")
    );
    assert_eq!(event.cause.details["counts"], json!({ "added": 1, "removed": 1, "changed": 1 }));
    assert!(event.clients.is_empty(), "nobody's permissions changed");
    assert_eq!(event.cause.details["operations"]["changed"][0]["operation"], "DELETE /api/v2/users/{userId}");
    // What is not listed any more stays known, by the compiled-in table.
    let read = operations(&org).await.unwrap();
    let gone = read.find("GET /api/v2/oauth/scopes").unwrap();
    assert_eq!((read.source_of(gone), read.listed_len(), read.len()), (Source::CompiledIn, 3321, 3322));
    assert!(org.store.verify("acme").await.unwrap().is_consistent());
    // Unchanged, it is one conditional call, and nothing is recorded anew.
    org.pass(TimeDelta::hours(25));
    let report = org.audit().await;
    assert!(report.complete && report.events.is_empty(), "{:?}", report.gaps);
}

#[tokio::test]
async fn a_definition_that_is_refused_or_nonsense_is_a_gap_and_the_last_one_stays() {
    let mut org = Harness::start(story()).await;
    org.faults(json!([{ "match": "GET /api/v2/docs/swagger", "kind": "forbidden", "count": 1 }])).await;
    let report = org.audit().await;
    assert!(!report.complete);
    let [gap] = &report.gaps[..] else { panic!("{:?}", report.gaps) };
    assert_eq!((gap.fact, gap.reason.as_str(), gap.stale_since), (Fact::Operations, "forbidden", None));
    assert_eq!(operations(&org).await, None, "the compiled-in table answers");
    // Without a definition no check turns unknown; some wait for looks and counts that a first audit does not wait for.
    let waits = ["role-overlap", "unused-permission", "unused-client", "stale-client"];
    let unknown = report.findings.iter().filter(|finding| finding.status == Status::Unknown);
    let unknown: Vec<&str> = unknown.map(|finding| finding.check.as_str()).collect();
    assert!(unknown.iter().all(|check| waits.contains(check)), "{unknown:?}");
    // A refusal costs little, so the next audit asks again.
    let report = org.audit().await;
    assert!(report.complete && report.events.is_empty(), "{:?}", report.gaps);
    let read = operations(&org).await.unwrap();

    for kind in ["truncated", "not_json", "wrong_type", "503"] {
        org.pass(TimeDelta::hours(25));
        org.settings(json!({ "definition_etag": false })).await;
        org.faults(json!([{ "match": "GET /api/v2/docs/swagger", "kind": kind, "count": -1 }])).await;
        org.restart();
        let report = org.audit().await;
        let [gap] = &report.gaps[..] else { panic!("{kind}: {:?}", report.gaps) };
        let reason = if kind == "503" { "server" } else { "invalid_response" };
        assert_eq!((gap.fact, gap.reason.as_str()), (Fact::Operations, reason), "{kind}: {}", gap.detail);
        assert!(gap.stale_since.is_some(), "{kind}");
        assert_eq!(operations(&org).await.as_ref(), Some(&read), "{kind}");
        assert!(report.events.is_empty(), "{kind}");
        org.faults(json!([])).await;
    }
    org.pass(TimeDelta::hours(25));
    assert!(org.audit().await.complete);
}

#[tokio::test]
async fn switched_off_it_is_no_gap_and_the_compiled_in_table_answers() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    assert!(operations(&org).await.is_some());
    org.config.audit.definition = false;
    org.restart();
    let report = org.audit().await;
    assert!(report.complete && report.events.is_empty(), "{:?}", report.events);
    assert_eq!(operations(&org).await, None);
    org.config.audit.definition = true;
    org.restart();
    let report = org.audit().await;
    assert!(report.complete && report.events.is_empty(), "{:?}", report.events);
}
