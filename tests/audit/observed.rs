//! Grants as they are, and what clients really called: the record's other side.

use std::collections::BTreeSet;

use scopewarden::{
    audit::Report,
    domain::{ClientId, event::CauseKind, finding::Status},
    simulator::Options,
};
use serde_json::{Value, json};

use crate::harness::{Harness, story};

const SUBJECT: &str = "GET /api/v2/authorization/subjects/{subjectId}";
const NEWER: &str = "POST /api/v2/usage/aggregates/query/jobs";
const NEWER_RESULTS: &str = "GET /api/v2/usage/aggregates/query/jobs/{jobId}";
const OLDER: &str = "POST /api/v2/usage/query";
const GROUP: &str = "11111111-0000-4000-8000-000000000001";

async fn id_of(org: &Harness, name: &str) -> String {
    org.clients().await.into_iter().find(|(_, known, _)| known == name).unwrap().0
}

/// (key, status) of a client's findings of one check.
fn found(report: &Report, check: &str, client: &str) -> Vec<(String, Status)> {
    let of_client = |finding: &&std::sync::Arc<scopewarden::domain::finding::Finding>| {
        finding.check == check && finding.client.name == client
    };
    report.findings.iter().filter(of_client).map(|finding| (finding.key.clone(), finding.status)).collect()
}

fn gaps<'a>(report: &'a Report, fact: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let of_fact = report.gaps.iter().filter(|gap| gap.fact.as_str() == fact);
    of_fact.map(|gap| (gap.reason.as_str(), gap.subject.as_deref())).collect()
}

/// An organisation of which every client's grants have been looked at.
async fn looked_at(org: &mut Harness) -> Report {
    let first = org.audit().await;
    assert!(first.complete, "{:?}", first.gaps);
    org.audit().await
}

async fn grant(org: &Harness, subject: &str, role: &str, division: &str) -> String {
    let role = org.role(role).await["id"].as_str().unwrap().to_owned();
    let pair = json!({ "grants": [{ "roleId": role, "divisionId": division }] });
    org.admin("POST", &format!("/api/v2/authorization/subjects/{subject}/bulkadd"), Some(pair)).await;
    role
}

#[tokio::test]
async fn every_client_is_confirmed_within_a_rotation_and_in_agreement() {
    let mut org = Harness::start(story()).await;
    let first = org.audit().await;
    let machines = org.store.history("acme").await.unwrap().past.unwrap().snapshot;
    let machines =
        machines.clients.values().filter(|client| client.grant_type.as_str() == "CLIENT-CREDENTIALS");
    let turns = org.store.turns("acme").await.unwrap();
    assert_eq!(turns.len(), 10, "the calls of one audit");
    let unknown =
        |report: &Report| report.findings.iter().filter(|finding| finding.check == "role-overlap").count();
    assert_eq!(unknown(&first), machines.count() - 10);
    let second = org.audit().await;
    assert_eq!(unknown(&second), 0, "{:?}", second.findings);
    assert!(second.events.is_empty(), "to look for the first time is no change: {:?}", second.events);
    // A restart forgets no turn: whoever waited longest is next.
    org.restart();
    let before = org.store.turns("acme").await.unwrap();
    org.audit().await;
    let after = org.store.turns("acme").await.unwrap();
    let oldest = before.values().map(|turn| turn.asked).min().unwrap();
    assert!(before.iter().filter(|(_, turn)| turn.asked == oldest).all(|(id, _)| after[id].asked > oldest));
}

#[tokio::test]
async fn a_grant_behind_the_records_back_is_drift_with_its_window_and_an_overlap() {
    let mut org = Harness::start(story()).await;
    looked_at(&mut org).await;
    let id = id_of(&org, "WFM_Feed").await;
    let client: ClientId = id.as_str().into();
    let role = grant(&org, &id, "Identity provisioning", "*").await;
    let confirmed = org.store.turns("acme").await.unwrap()[&client].confirmed.unwrap();
    let mut reports = vec![org.audit().await];
    if reports[0].events.is_empty() {
        reports.push(org.audit().await);
    }
    let report = reports.pop().unwrap();
    let [event] = &report.events[..] else { panic!("{:?}", report.events) };
    assert_eq!(
        (event.cause.kind, event.cause.subject.id.as_str()),
        (CauseKind::ClientGrantsChanged, id.as_str())
    );
    let added = &event.cause.details["observed_grants"]["added"];
    assert_eq!((&added[0]["role"], &added[0]["division"]), (&json!(role), &json!("*")));
    let between = &event.cause.details["observed_between"];
    assert_eq!(between["from"], json!(confirmed));
    assert_eq!(between["to"], json!(report.at));
    assert!(event.clients[0].gained.iter().any(|gain| gain.permission == "authorization:grant:add"));
    assert_eq!(found(&report, "role-overlap", "WFM_Feed"), [(format!("granted:{role}"), Status::Fail)]);
    // The power is its own, with its source, and the dangerous permission is found.
    let past = org.store.history("acme").await.unwrap();
    let snapshot = past.past.unwrap().snapshot;
    let access = scopewarden::domain::access::Access::new(&snapshot);
    let observed =
        scopewarden::domain::access::ObservedAt { record: report.at, subject: past.turns[&client].confirmed };
    let told = access.report("acme", &snapshot.clients[&client], false, observed);
    let held = told.permissions.iter().find(|held| held.permission == "authorization:grant:add").unwrap();
    assert_eq!((held.via[0].source, held.via[0].observed_at), ("subject", report.at));
    assert!(told.permissions.iter().any(|held| held.via[0].source == "record"));
    let delta = event.delta.clone();
    assert!(org.store.verify("acme").await.unwrap().is_consistent());

    // Taken away and given once more: the same change, another window, one delta.
    org.admin("DELETE", &format!("/api/v2/authorization/subjects/{id}/divisions/*/roles/{role}"), None).await;
    let mut events = Vec::new();
    for _ in 0..2 {
        events.extend(org.audit().await.events);
    }
    let [lost] = &events[..] else { panic!("{events:?}") };
    assert!(lost.clients[0].lost.iter().any(|loss| loss.permission == "authorization:grant:add"));
    grant(&org, &id, "Identity provisioning", "*").await;
    let mut again = Vec::new();
    for _ in 0..2 {
        again.extend(org.audit().await.events);
    }
    assert_eq!(again.iter().map(|event| event.delta.as_str()).collect::<Vec<_>>(), [delta]);
}

#[tokio::test]
async fn a_client_that_changed_is_looked_at_in_the_same_audit() {
    let mut org = Harness::start(story()).await;
    looked_at(&mut org).await;
    let id = id_of(&org, "WFM_Feed").await;
    let path = format!("/api/v2/oauth/clients/{id}");
    let mut record = org.admin("GET", &path, None).await;
    record["description"] = json!("changed");
    org.admin("PUT", &path, Some(record)).await;
    let role = grant(&org, &id, "Identity provisioning", "*").await;
    let report = org.audit().await;
    assert_eq!(found(&report, "role-overlap", "WFM_Feed"), [(format!("granted:{role}"), Status::Fail)]);
}

#[tokio::test]
async fn a_grant_through_a_group_is_inherited() {
    let mut org = Harness::start(story()).await;
    let id = id_of(&org, "WFM_Feed").await;
    org.private("groups", json!([{ "id": GROUP, "name": "Integrations", "members": [id] }])).await;
    let role = grant(&org, GROUP, "Survey reader", "*").await;
    let report = looked_at(&mut org).await;
    let key = format!("inherited:{role}:{GROUP}");
    assert_eq!(found(&report, "role-overlap", "WFM_Feed"), [(key, Status::Fail)]);
    // It was there when anybody looked for the first time: knowledge, not a change.
    assert!(report.events.is_empty(), "{:?}", report.events);
    let snapshot = org.store.history("acme").await.unwrap().past.unwrap().snapshot;
    let access = scopewarden::domain::access::Access::new(&snapshot);
    let told = access.report("acme", &snapshot.clients[id.as_str()], false, report.at);
    let survey =
        told.permissions.iter().find(|held| held.permission == "analytics:surveyAggregate:view").unwrap();
    assert_eq!(survey.via[0].inherited_from.as_deref(), Some(GROUP));
}

#[tokio::test]
async fn a_role_in_the_record_that_is_not_granted_is_an_overlap() {
    let mut org = Harness::start(story()).await;
    // The platform answers without the grants that the record names.
    org.faults(json!([{ "match": SUBJECT, "kind": "no_grants", "count": -1 }])).await;
    let report = org.audit().await;
    assert!(report.complete, "{:?}", report.gaps);
    let missing = report.findings.iter().filter(|finding| finding.key.starts_with("not-granted:")).count();
    assert!(missing >= 10, "{missing}");
}

#[tokio::test]
async fn a_subject_that_the_platform_does_not_know_is_a_gap_and_no_empty_set() {
    let mut org = Harness::start(story()).await;
    looked_at(&mut org).await;
    let id = id_of(&org, "WFM_Feed").await;
    let role = grant(&org, &id, "Identity provisioning", "*").await;
    org.audit().await;
    org.audit().await;
    let grants = async |org: &Harness| org.store.history("acme").await.unwrap().past.unwrap().snapshot.grants;
    let before = grants(&org).await;
    assert!(before[id.as_str()].own.iter().any(|grant| grant.role.as_str() == role));
    let literal = format!("GET /api/v2/authorization/subjects/{id}");
    org.faults(json!([{ "match": literal, "kind": "404", "count": -1 }])).await;
    let mut reports = [org.audit().await, org.audit().await];
    reports.sort_by_key(|report| report.complete);
    assert_eq!(gaps(&reports[0], "grants"), [("not_found", Some(id.as_str()))]);
    assert!(reports[0].gaps[0].stale_since.is_some());
    assert!(reports.iter().all(|report| report.events.is_empty()), "{reports:?}");
    assert_eq!(grants(&org).await, before);
    // What failed before stays open, as it was.
    let overlap: Vec<_> = found(&reports[0], "role-overlap", "WFM_Feed");
    assert!(overlap.contains(&(format!("granted:{role}"), Status::Fail)), "{overlap:?}");
}

#[tokio::test]
async fn without_the_permission_there_is_one_gap_one_call_and_everything_else() {
    let mut org = Harness::start(story()).await;
    let open = org.audit().await;
    let mut org = Harness::start(story()).await;
    org.faults(json!([{ "match": SUBJECT, "kind": "forbidden", "count": -1 }])).await;
    let report = org.audit().await;
    assert_eq!(gaps(&report, "grants"), [("forbidden", None)]);
    assert!(report.gaps[0].detail.contains("authorization:grant:view"), "{}", report.gaps[0].detail);
    assert_eq!(report.api_calls, open.api_calls - 9, "one call instead of ten");
    // The auditor's own client calls something else here, so what it uses differs.
    let auditor = org.simulator.announcement().client_id.clone();
    let others = |report: &Report| -> BTreeSet<String> {
        let ids = report.findings.iter().filter(|finding| finding.client.id.as_str() != auditor);
        // Where this one's roles apply is only known from its own side: its record is of the old form.
        let ids = ids.filter(|finding| finding.client.name != "Survey_Collector");
        let counted = ids.filter(|finding| finding.check != "role-overlap");
        counted.map(|finding| format!("{} {}", finding.check, finding.title)).collect()
    };
    let (now, then) = (others(&report), others(&open));
    assert_eq!(now.symmetric_difference(&then).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(found(&report, "role-overlap", "WFM_Feed"), [(String::new(), Status::Unknown)]);
}

#[tokio::test]
async fn broken_answers_and_a_broken_platform_stop_the_round() {
    for (kind, reason) in [("wrong_type", "invalid_response"), ("not_json", "invalid_response")] {
        let mut org = Harness::start(story()).await;
        org.faults(json!([{ "match": SUBJECT, "kind": kind, "count": -1 }])).await;
        let report = org.audit().await;
        let found = gaps(&report, "grants");
        assert_eq!(found.len(), 3, "two clients, then all: {found:?}");
        assert!(found.iter().all(|(found, _)| *found == reason), "{found:?}");
        assert_eq!(found[2].1, None);
    }
}

#[tokio::test]
async fn turned_off_no_call_is_made_and_nothing_is_judged() {
    let mut org = Harness::configured(story(), "[audit]\ngrant_calls = 0\nusage = false\n").await;
    let report = org.audit().await;
    assert!(report.complete);
    assert_eq!(report.api_calls, 7, "token, clients, roles, divisions, own grants, catalogue, definition");
    let beside = ["role-overlap", "unused-permission", "unused-client", "stale-client"];
    assert!(report.findings.iter().all(|finding| !beside.contains(&finding.check.as_str())));
}

#[tokio::test]
async fn the_calls_of_an_audit_are_bounded_whatever_the_number_of_clients() {
    for clients in [20, 400] {
        let options = Options { clients, ..Options::default() };
        let mut org = Harness::configured(options, "[audit]\ngrant_calls = 7\nusage = false\n").await;
        let base = org.audit().await.api_calls;
        assert_eq!(
            base,
            2 + 1 + 1 + 1 + 1 + 1 + 7,
            "{clients}: token, clients, roles, divisions, own, catalogue, definition, grants"
        );
        assert_eq!(org.audit().await.api_calls, 4 + 7);
    }
}

/// Puts a history, and asks the platform for it at once.
async fn with_history(rows: Value) -> (Harness, Report) {
    let mut org = Harness::start(story()).await;
    org.private("usage", rows).await;
    let report = org.audit().await;
    (org, report)
}

#[tokio::test]
async fn what_clients_called_is_counted_joined_and_judged() {
    let mut org = Harness::start(story()).await;
    let (wfm, crm) = (id_of(&org, "WFM_Feed").await, id_of(&org, "CRM_Sync").await);
    org.private("usage", json!([
        { "client": wfm, "method": "GET", "path": "/api/v2/users/{id}", "days_ago": 2, "status200": 5, "status400": 4, "status429": 1 },
        { "client": crm, "method": "GET", "path": "/api/v2/no/such/{thing}", "status200": 1 },
    ]))
    .await;
    let report = org.audit().await;
    assert!(report.complete, "{:?}", report.gaps);
    let tally = org.store.usage("acme").await.unwrap().unwrap();
    assert_eq!(tally.window.days(), 90);
    let row = tally
        .rows()
        .find(|(client, name, _)| client.as_str() == wfm && *name == "GET /api/v2/users/{id}")
        .unwrap();
    assert_eq!((row.2.ok, row.2.denied, row.2.throttled), (5, 3, 1));
    assert_eq!(row.2.last.unwrap().to_string(), "2026-11-22");
    assert!(
        tally.rows().any(|(client, name, _)| client.as_str() == crm && name == "GET /api/v2/no/such/{thing}")
    );
    // The auditor's own calls are real ones.
    let auditor = org.simulator.announcement().client_id.clone();
    assert!(
        tally
            .rows()
            .any(|(client, name, _)| client.as_str() == auditor && name == "GET /api/v2/oauth/clients")
    );
    let checks: BTreeSet<&str> = report.findings.iter().map(|finding| finding.check.as_str()).collect();
    assert!(checks.contains("unused-permission"), "{checks:?}");
    // Counted once a day.
    let calls = org.audit().await.api_calls;
    assert!(calls <= 7 + 10, "{calls}");
}

#[tokio::test]
async fn a_client_that_calls_nothing_and_one_that_stopped_are_found() {
    let mut org = Harness::start(story()).await;
    let tally = {
        org.audit().await;
        org.store.usage("acme").await.unwrap().unwrap()
    };
    let snapshot = org.store.history("acme").await.unwrap().past.unwrap().snapshot;
    let report = org.audit().await;
    let (mut silent, mut stopped) = (0, 0);
    for (id, client) in &snapshot.clients {
        let last =
            tally.rows().filter(|(caller, ..)| *caller == id).filter_map(|(.., calls)| calls.last).max();
        let days = last.map(|last| (tally.window.to.date_naive() - last).num_days());
        let active = client.state.as_str() == "active";
        let fails = |check: &str| found(&report, check, &client.name) == [(String::new(), Status::Fail)];
        assert_eq!(fails("unused-client"), active && days.is_none(), "{}", client.name);
        assert_eq!(fails("stale-client"), active && days.is_some_and(|days| days > 30), "{}", client.name);
        silent += usize::from(active && days.is_none());
        stopped += usize::from(active && days.is_some_and(|days| days > 30));
    }
    assert!(silent > 0 && stopped > 0, "{silent} {stopped}: the story has some of each");
}

#[tokio::test]
async fn where_the_newer_query_is_closed_the_older_one_serves() {
    for kind in ["forbidden", "404"] {
        let mut org = Harness::start(story()).await;
        org.faults(json!([{ "match": NEWER, "kind": kind, "count": -1 }])).await;
        let report = org.audit().await;
        assert!(report.complete, "{kind}: {:?}", report.gaps);
        let older = org.store.usage("acme").await.unwrap().unwrap();
        let mut org = Harness::start(story()).await;
        org.audit().await;
        let newer = org.store.usage("acme").await.unwrap().unwrap();
        let auditor = org.simulator.announcement().client_id.clone();
        let rows = |tally: &scopewarden::domain::usage::Tally| -> Vec<(String, String, u64, u64)> {
            let others = tally.rows().filter(|(client, ..)| client.as_str() != auditor);
            let others = others.filter(|(_, name, _)| !name.contains("/_simulator/"));
            others
                .map(|(client, name, calls)| (client.to_string(), name.to_owned(), calls.ok, calls.denied))
                .collect()
        };
        assert_eq!(rows(&older), rows(&newer), "both count alike");
        assert!(rows(&newer).len() > 20);
    }
}

#[tokio::test]
async fn refused_by_both_queries_it_is_a_gap_and_the_checks_do_not_know() {
    let mut org = Harness::start(story()).await;
    org.faults(json!([
        { "match": NEWER, "kind": "forbidden", "count": -1 }, { "match": OLDER, "kind": "forbidden", "count": -1 }
    ]))
    .await;
    let report = org.audit().await;
    assert_eq!(gaps(&report, "usage"), [("forbidden", None)]);
    assert_eq!(found(&report, "unused-client", "CRM_Sync"), [(String::new(), Status::Unknown)]);
    assert_eq!(found(&report, "unused-permission", "CRM_Sync"), [(String::new(), Status::Unknown)]);
    org.faults(json!([])).await;
    let back = org.audit().await;
    assert!(back.complete && back.events.is_empty());
}

#[tokio::test]
async fn a_count_that_takes_long_holds_up_no_audit_and_is_collected_later() {
    let mut org = Harness::start(story()).await;
    org.settings(json!({ "usage_polls": 8 })).await;
    let first = org.audit().await;
    assert!(first.complete, "not counted yet is no gap: {:?}", first.gaps);
    assert_eq!(org.store.usage("acme").await.unwrap(), None);
    assert_eq!(found(&first, "unused-client", "CRM_Sync"), [(String::new(), Status::Unknown)]);
    let second = org.audit().await;
    assert!(org.store.usage("acme").await.unwrap().is_some());
    assert!(found(&second, "unused-client", "CRM_Sync").iter().all(|(_, status)| *status == Status::Fail));
}

#[tokio::test]
async fn a_count_that_never_ends_is_given_up_after_two_hours() {
    let mut org = Harness::start(story()).await;
    org.settings(json!({ "usage_polls": 1_000_000 })).await;
    assert!(org.audit().await.complete);
    org.pass(chrono::TimeDelta::hours(3));
    let late = org.audit().await;
    assert_eq!(gaps(&late, "usage"), [("unfinished", None)]);
    org.settings(json!({ "usage_polls": 0 })).await;
    assert!(org.audit().await.complete);
    assert!(org.store.usage("acme").await.unwrap().is_some());
}

#[tokio::test]
async fn a_result_of_many_pages_is_read_over_several_audits() {
    let rows: Value = (0..30_000)
        .map(|n| json!({ "client": "c", "method": "GET", "path": format!("/api/v2/x/{n}"), "status200": 1 }))
        .collect();
    let (mut org, first) = with_history(rows).await;
    assert!(first.complete && first.api_calls <= 9 + 10 + 25, "{}", first.api_calls);
    assert_eq!(org.store.usage("acme").await.unwrap(), None, "a part of a count is not a count");
    org.audit().await;
    let tally = org.store.usage("acme").await.unwrap().unwrap();
    assert!(tally.rows().count() > 30_000 && tally.left_out == 0);
}

#[tokio::test]
async fn malformed_rows_spoil_the_count_and_not_the_audit() {
    for kind in ["wrong_type", "truncated", "not_json"] {
        let mut org = Harness::start(story()).await;
        org.faults(json!([{ "match": NEWER_RESULTS, "kind": kind, "count": -1 }])).await;
        let report = org.audit().await;
        assert_eq!(gaps(&report, "usage"), [("invalid_response", None)], "{kind}");
        assert_eq!(org.store.usage("acme").await.unwrap(), None);
        org.faults(json!([])).await;
        assert!(org.audit().await.complete);
        assert!(org.store.usage("acme").await.unwrap().is_some());
    }
}
