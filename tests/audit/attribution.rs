//! Who did it: an administrator changes something, and the audit says who, from where and when; at once, or later.

use chrono::TimeDelta;
use scopewarden::{
    audit::Report,
    domain::{
        attribution::{ActorKind, Attribution, Certainty},
        event::CauseKind,
    },
    simulator::Options,
    store::{OutboxRow, OutboxState},
};
use serde_json::{Value, json};

use crate::harness::{Harness, story};

const ROLE: &str = "Reporting_Engine_ReadOnly";

/// An organisation that was audited once, with the log's clock half a minute behind the next audit.
async fn audited() -> Harness {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    org.clock().await;
    org
}

async fn edit(org: &Harness) {
    org.give(ROLE, "directory", "user", "delete").await;
}

fn actor(report: &Report) -> &Attribution {
    let [event] = &report.events[..] else { panic!("{:?}", report.events) };
    event.actor.as_ref().unwrap()
}

async fn sent(org: &Harness, kind: &str) -> Vec<(OutboxRow, Value)> {
    let now = org.now() + TimeDelta::days(30);
    let bodies = org.store.claim("secops", 1_000, now).await.unwrap();
    let rows = org.store.outbox(None, Some(OutboxState::Pending), 1_000).await.unwrap();
    let of_kind = rows.into_iter().filter(|row| row.kind.as_str() == kind);
    of_kind
        .map(|row| {
            let body = bodies.iter().find(|body| body.id == row.id).unwrap();
            (row, serde_json::from_str(&body.body).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_role_edited_by_a_client_is_told_with_its_name_at_once() {
    let mut org = audited().await;
    edit(&org).await;
    let report = org.audit().await;
    let actor = actor(&report);
    let admin = org.simulator.announcement().admin_client_id.clone();
    assert_eq!((actor.certainty, actor.kind), (Certainty::Exact, Some(ActorKind::Client)));
    assert_eq!(actor.id.as_ref(), Some(&admin));
    assert_eq!(actor.remote_ip.as_deref(), Some("203.0.113.7"));
    assert_eq!(actor.changes[0].new, ["directory:user:delete"]);
    let name = actor.name.clone().unwrap();
    let messages = sent(&org, "drift.detected").await;
    let summary = messages[0].1["data"]["summary"].as_str().unwrap();
    assert!(summary.contains(&format!(", edited by {name} (client) from 203.0.113.7 at ")), "{summary}");
    assert_eq!(messages[0].1["data"]["actor"]["id"], json!(admin));
    // The record still holds, and has it.
    assert!(org.store.verify("acme").await.unwrap().is_consistent());
    let recorded = org.store.events(Some("acme"), None, None, 10).await.unwrap();
    assert_eq!(recorded[0].2.actor.as_ref(), Some(actor));
    // Nothing is asked where nothing changed.
    assert_eq!(org.audit().await.timings_ms.attribute, 0);
}

#[tokio::test]
async fn a_person_is_told_apart_from_the_client_that_they_use() {
    let mut org = audited().await;
    org.settings(json!({ "acting_user": { "id": "u-1", "name": "Ada Admin" } })).await;
    edit(&org).await;
    let report = org.audit().await;
    assert_eq!(
        (actor(&report).kind, actor(&report).name.as_deref()),
        (Some(ActorKind::User), Some("Ada Admin"))
    );
}

#[tokio::test]
async fn two_who_edited_the_same_role_are_both_named_and_neither_is_certain() {
    let mut org = audited().await;
    org.settings(json!({ "acting_user": { "id": "u-1", "name": "Ada Admin" } })).await;
    org.give(ROLE, "directory", "user", "edit").await;
    org.settings(json!({ "acting_user": { "id": "u-2", "name": "Bob Builder" } })).await;
    edit(&org).await;
    let report = org.audit().await;
    assert_eq!((actor(&report).certainty, actor(&report).id.as_ref()), (Certainty::WithinWindow, None));
    let names: Vec<_> = actor(&report).candidates.iter().filter_map(|one| one.name.as_deref()).collect();
    assert!(names.contains(&"Ada Admin") && names.contains(&"Bob Builder"), "{names:?}");
}

#[tokio::test]
async fn an_entry_that_comes_late_is_told_late_with_the_first_id() {
    let mut org = audited().await;
    org.settings(json!({ "audit_lag_ms": 120_000 })).await;
    edit(&org).await;
    let report = org.audit().await;
    assert_eq!(actor(&report).certainty, Certainty::Unknown);
    let event = report.events[0].clone();
    let chain = report.chain_head;
    assert!(sent(&org, "drift.attributed").await.is_empty());

    // A minute later it is still hidden; three minutes after that it is not.
    org.clock().await;
    org.audit().await;
    org.pass(TimeDelta::minutes(5));
    org.clock().await;
    org.audit().await;
    let messages = sent(&org, "drift.attributed").await;
    let [(row, body)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(row.order_key, format!("drift:{}", event.id));
    assert_eq!(row.severity, event.severity);
    let data = &body["data"];
    assert_eq!((&data["id"], &data["delta"]), (&json!(event.id), &json!(event.delta)));
    assert_eq!(data["actor"]["certainty"], "exact");
    assert!(data["summary"].as_str().unwrap().contains("edited by"), "{data}");
    // It is recorded beside the event, which is as it was; and told once.
    let recorded = org.store.events(Some("acme"), None, None, 10).await.unwrap();
    let known = recorded[0].2.actor.as_ref().unwrap();
    assert_eq!(known.certainty, Certainty::Exact);
    let verified = org.store.verify("acme").await.unwrap();
    assert!(verified.is_consistent() && verified.head != Some(chain), "{verified:?}");
    org.pass(TimeDelta::minutes(90));
    org.audit().await;
    assert_eq!(sent(&org, "drift.attributed").await.len(), 1);
}

#[tokio::test]
async fn a_service_without_realtime_is_asked_the_slow_way_by_later_audits() {
    let mut org = audited().await;
    org.settings(json!({ "audit_realtime": [], "audit_polls": 4 })).await;
    org.restart();
    edit(&org).await;
    let report = org.audit().await;
    assert_eq!(actor(&report).certainty, Certainty::Unknown);
    let mut told = 0;
    for _ in 0..4 {
        org.pass(TimeDelta::minutes(10));
        org.clock().await;
        org.audit().await;
        told = sent(&org, "drift.attributed").await.len();
    }
    assert_eq!(told, 1);
}

#[tokio::test]
async fn without_the_permission_the_actor_is_unknown_and_the_audit_is_whole() {
    let mut org = audited().await;
    let mut role = org.role("scopewarden auditor").await;
    role["permissionPolicies"].as_array_mut().unwrap().retain(|policy| policy["domain"] != "audits");
    let path = format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap());
    org.admin("PUT", &path, Some(role)).await;
    edit(&org).await;
    let report = org.audit().await;
    assert!(report.complete, "{:?}", report.gaps);
    assert_eq!(report.events.len(), 2);
    for event in &report.events {
        let actor = event.actor.as_ref().unwrap();
        assert_eq!(actor.certainty, Certainty::Unknown);
        let reason = actor.reason.as_deref().unwrap();
        assert!(reason.contains("audits:audit:view"), "{reason}");
    }
    // Nothing waits for what was refused.
    org.pass(TimeDelta::hours(1));
    let later = org.now() + TimeDelta::hours(1);
    assert!(org.store.inquiries("acme", later).await.unwrap().due.is_empty());
}

#[tokio::test]
async fn whatever_the_log_does_the_audit_is_recorded_complete() {
    for fault in [
        json!({ "kind": "500" }),
        json!({ "kind": "429" }),
        json!({ "kind": "truncated" }),
        json!({ "kind": "reset" }),
    ] {
        let mut org = audited().await;
        edit(&org).await;
        let mut faults = Vec::new();
        for path in ["POST /api/v2/audits/query/realtime", "GET /api/v2/audits/query/servicemapping"] {
            let mut fault = fault.clone();
            fault["match"] = json!(path);
            fault["count"] = json!(1_000);
            faults.push(fault);
        }
        org.faults(json!(faults)).await;
        let report = org.audit().await;
        assert!(report.complete, "{fault}: {:?}", report.gaps);
        assert_eq!(actor(&report).certainty, Certainty::Unknown, "{fault}");
        assert_eq!(report.events[0].cause.kind, CauseKind::RolePermissionsChanged);
        // When the log is well again, it is asked again.
        org.faults(json!([])).await;
        org.pass(TimeDelta::minutes(5));
        org.audit().await;
        assert_eq!(sent(&org, "drift.attributed").await.len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_new_secret_in_the_log_is_kept_nowhere() {
    let mut org = Harness::start(Options::default()).await;
    org.audit().await;
    org.clock().await;
    let (id, _, old) = org.clients().await.into_iter().nth(3).unwrap();
    let path = format!("/api/v2/oauth/clients/{id}");
    let mut client = org.admin("GET", &path, None).await;
    let new = org.admin("POST", &format!("{path}/secret"), None).await["secret"].clone();
    client["description"] = json!("changed too");
    client.as_object_mut().unwrap().remove("secret");
    org.admin("PUT", &path, Some(client)).await;
    let report = org.audit().await;
    assert_eq!(actor(&report).certainty, Certainty::Exact);
    org.store.close().await;
    let mut kept = Vec::new();
    for file in std::fs::read_dir(org.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.to_str().unwrap().contains("test.db") {
            kept.extend(std::fs::read(path).unwrap());
        }
    }
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.contains("changed too"));
    for secret in [old.as_str(), new.as_str().unwrap()] {
        assert!(!kept.contains(secret));
        assert!(!serde_json::to_string(&report).unwrap().contains(secret));
    }
}

#[tokio::test]
async fn a_secret_that_was_renewed_is_dated_and_others_are_bounded() {
    let mut org = Harness::configured(Options::default(), "[audit]\nsecret_age = true\n").await;
    org.clock().await;
    org.audit().await;
    let (id, ..) = org.clients().await.into_iter().nth(3).unwrap();
    org.clock().await;
    org.admin("POST", &format!("/api/v2/oauth/clients/{id}/secret"), None).await;
    let renewed = org.now() + TimeDelta::seconds(30);
    let mut before = None;
    for _ in 0..12 {
        org.pass(TimeDelta::hours(2));
        org.clock().await;
        let report = org.audit().await;
        assert!(report.complete);
        before = Some(report);
    }
    assert!(before.unwrap().events.is_empty());
    let known = org.store.secrets("acme").await.unwrap();
    let last = org.store.snapshot_at("acme", None).await.unwrap().unwrap().snapshot;
    let age = known.age(&last.clients[id.as_str()]);
    assert_eq!((age.certainty, age.issued), ("exact", Some(renewed)), "{age:?}");
    assert!(age.by.is_some());
    let other = last.clients.values().find(|client| client.id.as_str() != id).unwrap();
    assert_eq!(known.age(other).certainty, "bounded");
    assert!(known.read.unwrap().to - known.read.unwrap().from > TimeDelta::days(12));
}
