//! Whatever the platform does: no false removal, no partial record, the last good metrics, a bounded reason.

use serde_json::{Value, json};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

use crate::harness::{Harness, story};

const CLIENTS: &str = "GET /api/v2/oauth/clients";
const ROLES: &str = "GET /api/v2/authorization/roles";
const DIVISIONS: &str = "GET /api/v2/authorization/divisions";

/// One fault, hitting every call that matches.
fn always(endpoint: &str, kind: &str) -> Value {
    json!([{ "match": endpoint, "kind": kind, "count": -1, "retry_after": 1 }])
}

/// The value of a series, if it is exposed.
fn series(org: &Harness, name: &str) -> Option<f64> {
    let page = org.metrics.render();
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn a_mandatory_fact_that_fails_records_only_the_failure() {
    for (endpoint, kind, reason) in [
        (CLIENTS, "500", "server"),
        (CLIENTS, "502", "server"),
        (CLIENTS, "503", "server"),
        (CLIENTS, "forbidden", "forbidden"),
        (CLIENTS, "wrong_type", "invalid_response"),
        (CLIENTS, "not_json", "invalid_response"),
        (ROLES, "truncated", "invalid_response"),
        (ROLES, "reset", "network"),
        (ROLES, "expired_token", "auth"),
    ] {
        let mut org = Harness::start(story()).await;
        let good = org.audit().await;
        let clients = series(
            &org,
            "scopewarden_oauth_clients{grant_type=\"client_credentials\",org=\"acme\",state=\"active\"}",
        );
        assert!(clients.is_some_and(|clients| clients > 0.0));

        org.faults(always(endpoint, kind)).await;
        let error = org.try_audit().await.unwrap_err();
        assert_eq!(error.reason(), reason, "{kind} on {endpoint}: {error}");

        // Nothing recorded but the failure; what was gauged stays, `up` falls.
        let audits = org.store.audits(Some("acme"), 10).await.unwrap();
        assert_eq!(audits.len(), 1, "{kind} on {endpoint}");
        assert_eq!(series(&org, "scopewarden_up{org=\"acme\"}"), Some(0.0));
        assert_eq!(
            series(
                &org,
                "scopewarden_oauth_clients{grant_type=\"client_credentials\",org=\"acme\",state=\"active\"}"
            ),
            clients
        );
        let counted = format!("scopewarden_audit_failures_total{{org=\"acme\",reason=\"{reason}\"}}");
        assert_eq!(series(&org, &counted), Some(1.0));

        // A second failure is not told again; the recovery is, and nothing is called changed.
        org.try_audit().await.unwrap_err();
        org.faults(json!([])).await;
        let back = org.audit().await;
        assert!(back.complete && back.events.is_empty(), "{kind} on {endpoint}: {:?}", back.events);
        assert_eq!(back.clients, good.clients);
        assert_eq!(series(&org, "scopewarden_up{org=\"acme\"}"), Some(1.0));
        let mut kinds: Vec<&str> =
            org.store.outbox(None, None, 100).await.unwrap().iter().map(|row| row.kind.as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["audit.failed", "audit.recovered", "baseline.recorded"], "{kind} on {endpoint}");
        assert!(org.store.verify("acme").await.unwrap().is_consistent());
    }
}

#[tokio::test]
async fn an_optional_fact_that_fails_is_a_gap_and_its_last_value_stays() {
    for (endpoint, kind) in [
        (DIVISIONS, "forbidden"),
        (DIVISIONS, "wrong_type"),
        ("GET /api/v2/authorization/permissions", "forbidden"),
        ("GET /api/v2/authorization/subjects/me", "not_json"),
    ] {
        let mut org = Harness::start(story()).await;
        let good = org.audit().await;
        org.restart();
        org.faults(always(endpoint, kind)).await;
        let report = org.audit().await;
        assert!(!report.complete, "{kind} on {endpoint}");
        assert_eq!(report.gaps.len(), 1, "{:?}", report.gaps);
        assert_eq!(report.gaps[0].stale_since, Some(good.at));
        assert!(report.events.is_empty(), "{kind} on {endpoint}: {:?}", report.events);
        // A gap neither opens nor closes.
        let failing = |report: &scopewarden::audit::Report| {
            report
                .findings
                .iter()
                .filter(|finding| finding.status == scopewarden::domain::finding::Status::Fail)
                .map(|finding| finding.uid.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(failing(&report), failing(&good), "{kind} on {endpoint}");
        org.faults(json!([])).await;
        org.restart();
        let back = org.audit().await;
        assert!(back.complete && back.events.is_empty());
        // Nobody is told that something cannot be told: no finding, no change.
        let rows = org.store.outbox(None, None, 100).await.unwrap();
        let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        assert_eq!(kinds, ["baseline.recorded"], "{kind} on {endpoint}");
    }
}

#[tokio::test]
async fn faults_that_pass_are_waited_out() {
    for kind in ["429", "500", "503", "reset", "expired_token", "slow_body"] {
        let mut org = Harness::start(story()).await;
        let good = org.audit().await;
        let fault = json!([{ "match": ROLES, "kind": kind, "count": 2, "retry_after": 1, "bytes_per_second": 200_000 }]);
        let once = json!([{ "match": ROLES, "kind": kind, "count": 1 }]);
        org.faults(if kind == "expired_token" { once } else { fault }).await;
        let report = org.audit().await;
        assert!(report.complete && report.events.is_empty(), "{kind}: {:?}", report.gaps);
        assert_eq!(report.clients, good.clients);
    }
}

#[tokio::test]
async fn a_429_that_does_not_say_how_long_is_waited_out_by_the_window() {
    let mut org = Harness::start(story()).await;
    org.faults(json!([{ "match": ROLES, "kind": "429_no_retry_after" }])).await;
    let report = org.audit().await;
    assert!(report.complete);
    assert!(org.metrics.render().contains("scopewarden_api_retries_total{cause=\"http_429\"} 1"));
}

#[tokio::test]
async fn an_empty_list_with_200_removes_nothing_until_the_next_audit_agrees() {
    let mut org = Harness::start(story()).await;
    let good = org.audit().await;
    org.faults(json!([{ "match": CLIENTS, "kind": "empty_list", "count": 1 }])).await;
    let report = org.audit().await;
    assert_eq!(report.clients, good.clients);
    assert!(report.events.is_empty() && !report.complete);
    assert_eq!(report.gaps[0].reason, "unconfirmed_drop");
    let back = org.audit().await;
    assert!(back.complete && back.events.is_empty());
}

#[tokio::test]
async fn pages_that_shift_while_they_are_read_lose_nothing() {
    let options = scopewarden::simulator::Options { roles: 350, clients: 60, ..Default::default() };
    let mut org = Harness::start(options).await;
    org.settings(json!({ "paged_clients": true })).await;
    let good = org.audit().await;
    for endpoint in [ROLES, CLIENTS] {
        for total_changes in [true, false] {
            org.faults(json!([
                { "match": endpoint, "kind": "shift_pages", "count": 1, "total_changes": total_changes }
            ]))
            .await;
            let report = org.audit().await;
            assert!(report.events.is_empty(), "{endpoint} {total_changes}: {:?}", report.events);
            assert_eq!(report.clients, good.clients);
        }
    }
}

#[tokio::test]
async fn pages_that_never_stand_still_fail_the_audit_as_inconsistent() {
    let options = scopewarden::simulator::Options { roles: 350, ..Default::default() };
    let mut org = Harness::start(options).await;
    org.audit().await;
    org.faults(always(ROLES, "shift_pages")).await;
    let error = org.try_audit().await.unwrap_err();
    assert_eq!(error.reason(), "inconsistent", "{error}");
}

#[tokio::test]
async fn a_refused_secret_is_told_as_such() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let id = org.simulator.announcement().client_id.clone();
    org.admin("POST", &format!("/api/v2/oauth/clients/{id}/secret"), None).await;
    org.restart();
    let error = org.try_audit().await.unwrap_err();
    assert_eq!(error.reason(), "auth", "{error}");
}

#[tokio::test]
async fn a_failure_that_cannot_be_recorded_is_told_once() {
    let mut org = Harness::start(story()).await;
    org.faults(always(CLIENTS, "500")).await;
    org.try_audit().await.unwrap_err();
    assert!(org.auditor.take_trouble().is_none(), "that one is recorded");

    let options = SqliteConnectOptions::new().filename(org.store.path());
    let raw = SqlitePool::connect_with(options).await.unwrap();
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON failure BEGIN SELECT RAISE(ABORT, 'no failures'); END";
    sqlx::query(trigger).execute(&raw).await.unwrap();
    let error = org.try_audit().await.unwrap_err();
    assert_eq!(error.reason(), "server", "the audit's own trouble comes first: {error}");
    let trouble = org.auditor.take_trouble().expect("the failure is not recorded");
    assert!(trouble.to_string().contains("no failures"), "{trouble}");
    assert!(org.auditor.take_trouble().is_none());
}
