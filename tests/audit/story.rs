//! A role gains power; the audit says who gained what, and why.

use std::collections::BTreeSet;

use scopewarden::{
    domain::event::{CauseKind, Event},
    simulator::Options,
    store::OutboxState,
};
use serde_json::json;

use crate::harness::{Harness, story};

#[tokio::test]
async fn a_role_that_gains_power_is_one_event_with_its_blast_radius() {
    let mut org = Harness::start(story()).await;
    let first = org.audit().await;
    assert!(first.complete && first.baseline && first.events.is_empty(), "{:?}", first.gaps);

    let role = org.give("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let second = org.audit().await;

    assert_eq!(second.events.len(), 1);
    let event = &second.events[0];
    assert_eq!(event.cause.kind, CauseKind::RolePermissionsChanged);
    assert_eq!(event.cause.permissions.added, ["directory:user:delete"]);
    // Whoever holds the role, by the platform's own word.
    let role = role["id"].as_str().unwrap();
    let listing = org.admin("GET", "/api/v2/oauth/clients", None).await;
    let holders: BTreeSet<&str> = listing["entities"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|client| client["authorizedGrantType"] == "CLIENT-CREDENTIALS")
        .filter(|client| {
            let grants = client["roleDivisions"].as_array();
            grants.is_some_and(|grants| grants.iter().any(|grant| grant["roleId"] == role))
        })
        .map(|client| client["id"].as_str().unwrap())
        .collect();
    let told: BTreeSet<&str> = event.clients.iter().map(|client| client.id.as_str()).collect();
    assert!(!told.is_empty());
    assert_eq!(told, holders);
    // It became a finding of each, and one alert of its own.
    let opened = second.findings.iter().filter(|finding| {
        finding.check == "high-privilege-permission" && holders.contains(finding.client.id.as_str())
    });
    assert!(opened.count() >= holders.len());
    let waiting = org.store.outbox(Some("secops"), Some(OutboxState::Pending), 100).await.unwrap();
    assert_eq!(waiting.iter().filter(|row| row.id == event.id).count(), 1);
}

#[tokio::test]
async fn an_audit_costs_a_handful_of_calls_whatever_the_number_of_clients() {
    let options = Options { clients: 300, roles: 250, divisions: 120, seed: 5, ..Options::default() };
    let mut org = Harness::start(options).await;
    // token + clients + own grants + 3 pages of roles + 2 of divisions + 1 of the catalogue + 1 of the definition,
    // then the grants of ten clients, and for what clients called: the question, a wait, the answer.
    let first = org.audit().await;
    assert_eq!(first.api_calls, 10 + 10 + 3, "{:?}", first.gaps);
    // The token, the catalogue, the definition and the count are still good.
    let second = org.audit().await;
    assert_eq!(second.api_calls, 7 + 10);
    assert!(second.events.is_empty());
}

#[tokio::test]
async fn everything_recorded_can_be_read_back_and_verified() {
    let mut org = Harness::start(story()).await;
    let first = org.audit().await;
    org.give("Reporting_Engine_ReadOnly", "telephony", "plugin", "all").await;
    let second = org.audit().await;
    org.restart();
    let third = org.audit().await;
    assert!(third.events.is_empty());

    let old = org.store.snapshot_at("acme", Some(first.at)).await.unwrap().unwrap();
    let new = org.store.snapshot_at("acme", Some(third.at)).await.unwrap().unwrap();
    let again = scopewarden::domain::drift::between("acme", &second.audit, &old.snapshot, &new.snapshot);
    // Who did it is no part of the comparison.
    let compared: Vec<Event> =
        second.events.iter().map(|event| Event { actor: None, ..event.clone() }).collect();
    assert_eq!(again, compared);

    let verified = org.store.verify("acme").await.unwrap();
    assert!(verified.is_consistent(), "{:?}", verified.problems);
    assert_eq!(verified.head, Some(third.chain_head));
}

#[tokio::test]
async fn a_finding_closes_when_it_is_fixed() {
    let mut org = Harness::start(story()).await;
    let before = org.role("Reporting_Engine_ReadOnly").await;
    org.audit().await;
    org.give("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let worse = org.audit().await;
    let path = format!("/api/v2/authorization/roles/{}", before["id"].as_str().unwrap());
    org.admin("PUT", &path, Some(before)).await;
    let better = org.audit().await;
    let about = |report: &scopewarden::audit::Report| {
        report.findings.iter().filter(|finding| finding.key.contains("directory:user:delete")).count()
    };
    assert!(about(&worse) > about(&better), "{} then {}", about(&worse), about(&better));
    let sent = org.store.outbox(None, None, 1_000).await.unwrap();
    let kinds: BTreeSet<&str> = sent.iter().map(|row| row.kind.as_str()).collect();
    let expected = ["baseline.recorded", "drift.detected", "finding.opened", "finding.resolved"];
    assert_eq!(kinds, expected.into());
}

#[tokio::test]
async fn a_permission_that_the_platform_adds_is_the_platforms_doing() {
    for expanded in [false, true] {
        let mut org = Harness::start(story()).await;
        org.settings(json!({ "expand_wildcards": expanded })).await;
        org.audit().await;
        let permission = json!({ "domain": "routing", "entityType": "queue", "action": "teleport", "divisionAware": true });
        org.private("catalogue", json!({ "add": [permission] })).await;
        // A process that starts reads the catalogue; one that runs does so when it is due.
        org.restart();
        let report = org.audit().await;
        let kinds: Vec<CauseKind> = report.events.iter().map(|event| event.cause.kind).collect();
        assert_eq!(kinds, [CauseKind::CatalogueChanged], "expanded: {expanded}");
        assert!(!report.events[0].clients.is_empty(), "expanded: {expanded}");
        assert_eq!(report.events[0].cause.permissions.added, ["routing:queue:teleport"]);
        // What only the catalogue says of roles that nobody edited.
        let shown = report.events[0].cause.details.get("roles");
        assert_eq!(shown.is_some(), expanded, "{shown:?}");
        // When it goes again, that is the platform's doing as well.
        org.private("catalogue", json!({ "remove": ["routing:queue:teleport"] })).await;
        org.restart();
        // A catalogue that lost something is believed as it is; roles shown expanded lose it with it.
        let report = org.audit().await;
        let kinds: Vec<CauseKind> = report.events.iter().map(|event| event.cause.kind).collect();
        assert_eq!(kinds, [CauseKind::CatalogueChanged], "expanded: {expanded}");
        assert!(report.events[0].clients.iter().all(|client| client.gained.is_empty()));
    }
}
