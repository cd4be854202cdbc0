//! What receivers get, and that it stays small.

use super::*;
use crate::domain::{
    drift,
    finding::{ClientRef, Status, uid},
    fixtures::{self, client, role},
    route::Route,
};

fn head() -> Letterhead<'static> {
    Letterhead {
        org: "acme",
        audit: "a-1",
        chain_head: Hash::of(b"chain"),
        at: DateTime::from_timestamp_millis(1_700_000_000_123).unwrap(),
        link: "https://scopewarden.example/",
    }
}

fn finding(number: usize, severity: Severity) -> Finding {
    let client = ClientRef { id: format!("c{number}").into(), name: format!("Client {number}") };
    Finding {
        uid: uid("acme", "admin-role", &client.id, ""),
        org: "acme".to_owned(),
        check: "admin-role".to_owned(),
        status: Status::Fail,
        severity,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client,
        key: String::new(),
        title: "a title".to_owned(),
        evidence: "x".repeat(200),
        remediation: "y".repeat(200),
        first_seen: head().at,
        last_seen: head().at,
    }
}

fn body(message: &Message) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

#[test]
fn a_drift_message_says_what_who_and_how_bad() {
    let clients = || [client("a").grant("r", "*")];
    let before = fixtures::snapshot(clients(), [role("r")]);
    let after = fixtures::snapshot(clients(), [role("r").can("directory:user:delete")]);
    let event = &drift::between("acme", "a-1", &before, &after)[0];
    let message = drift(&head(), event);
    let body = body(&message);
    assert_eq!(message.id, event.id);
    assert!(!message.id.contains('.'));
    assert_eq!(body["type"], "drift.detected");
    assert_eq!(body["timestamp"], "2023-11-14T22:13:20.123Z");
    let data = &body["data"];
    assert_eq!(data["org"], "acme");
    assert_eq!(data["chain_head"], json!(Hash::of(b"chain").to_string()));
    assert_eq!(data["cause"]["permissions"]["added"], json!(["directory:user:delete"]));
    assert_eq!(data["clients"][0]["gained"][0]["permission"], "directory:user:delete");
    assert_eq!(data["summary"], "role Role r gained directory:user:delete; Client a gained power by it");
}

#[test]
fn the_largest_change_stays_below_what_receivers_take() {
    let many = |count: usize| (0..count).map(|n| client(&format!("c{n:05}")).grant("r", "*"));
    let before = fixtures::snapshot(many(3_000), [role("r")]);
    let after = fixtures::snapshot(many(3_000), [role("r").general("admin")]);
    let event = &drift::between("acme", "a-1", &before, &after)[0];
    assert_eq!(event.clients.len(), 3_000);
    let message = drift(&head(), event);
    assert!(message.body.len() < 20_000, "{} bytes", message.body.len());
    let body = body(&message);
    assert_eq!(body["data"]["clients_total"], 3_000);
    // The weightiest come first.
    let named = body["data"]["clients"][0]["gained"].to_string();
    assert!(named.contains("authorization:role:edit"), "{named}");
}

#[test]
fn a_catalogue_of_thousands_is_cut_and_says_so() {
    let with = |names: &[String]| {
        let mut snapshot = fixtures::snapshot([], []);
        snapshot.catalogue = Some(fixtures::catalogue(names.iter().map(String::as_str)));
        snapshot.seal()
    };
    let names: Vec<String> = (0..5_000).map(|n| format!("d:e:a{n}")).collect();
    let event = &drift::between("acme", "a-1", &with(&names[..1]), &with(&names))[0];
    let message = drift(&head(), event);
    assert!(message.body.len() < 20_000);
    assert_eq!(body(&message)["data"]["totals"]["cause.permissions.added"], 4_999);
}

#[test]
fn few_findings_are_told_one_by_one_and_many_together() {
    let list: Vec<Arc<Finding>> = (0..10).map(|n| finding(n, Severity::High).into()).collect();
    for (group_above, want) in [(10, 10), (9, 1), (1, 1), (0, 10)] {
        let messages = findings(&head(), MessageKind::FindingOpened, &list, group_above);
        assert_eq!(messages.len(), want, "above {group_above}");
    }
    let messages = findings(&head(), MessageKind::FindingOpened, &list, 10);
    assert_eq!(body(&messages[0])["data"]["findings"][0]["uid"], json!(list[0].uid));

    let mut list: Vec<Arc<Finding>> = (0..500).map(|n| finding(n, Severity::Low).into()).collect();
    list.push(finding(999, Severity::Critical).into());
    assert_eq!(findings(&head(), MessageKind::FindingOpened, &list, 0).len(), 501);
    let messages = findings(&head(), MessageKind::FindingOpened, &list, 10);
    let [message] = &messages[..] else { panic!("one message") };
    assert_eq!(message.severity, Severity::Critical);
    assert!(message.body.len() < 20_000, "{} bytes", message.body.len());
    let data = &body(message)["data"];
    assert_eq!(data["total"], 501);
    assert_eq!(data["by_severity"], json!({ "low": 500, "critical": 1 }));
    assert_eq!(data["findings"][0]["severity"], "critical");
}

#[test]
fn severity_chooses_receivers_but_never_hides_the_state_of_audits() {
    let from = |min_severity| Route { min_severity };
    let opened =
        &findings(&head(), MessageKind::FindingOpened, &[finding(1, Severity::Medium).into()], 10)[0];
    assert!(from(Severity::Medium).wants(opened) && !from(Severity::High).wants(opened));
    for message in
        [baseline(&head(), 3, 2, &[]), failed(&head(), "auth", "the secret was refused"), recovered(&head())]
    {
        assert!(from(Severity::Critical).wants(&message), "{:?}", message.kind);
        assert_eq!(body(&message)["type"], message.kind.as_str());
    }
}

#[test]
fn a_list_reads_as_a_person_would_say_it() {
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(some_of(&list(1)), "1");
    assert_eq!(some_of(&list(2)), "1 and 2");
    assert_eq!(some_of(&list(3)), "1, 2 and 3");
    assert_eq!(some_of(&list(5)), "1, 2, 3 and 2 more");
}
