//! What receivers get, and that it stays small.

use std::sync::Arc;

use super::{news::FindingNews, *};
use crate::domain::{
    drift,
    finding::{ClientRef, Status, uid},
    fixtures::{self, client, role},
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

/// Messages about findings that do not flap.
fn told(list: &[Arc<Finding>], group_above: u32) -> Vec<Message> {
    let list: Vec<FindingNews> = list.iter().map(FindingNews::of).collect();
    let list: Vec<&FindingNews> = list.iter().collect();
    news::findings(&head(), MessageKind::FindingOpened, &list, group_above, "")
}

#[test]
fn few_findings_are_told_one_by_one_and_many_together() {
    let list: Vec<Arc<Finding>> = (0..10).map(|n| finding(n, Severity::High).into()).collect();
    for (group_above, want) in [(10, 10), (9, 1), (1, 1), (0, 10)] {
        assert_eq!(told(&list, group_above).len(), want, "above {group_above}");
    }
    assert_eq!(body(&told(&list, 10)[0])["data"]["findings"][0]["uid"], json!(list[0].uid));

    let mut list: Vec<Arc<Finding>> = (0..500).map(|n| finding(n, Severity::Low).into()).collect();
    list.push(finding(999, Severity::Critical).into());
    assert_eq!(told(&list, 0).len(), 501);
    let messages = told(&list, 10);
    let [message] = &messages[..] else { panic!("one message") };
    assert_eq!(message.severity, Severity::Critical);
    assert!(message.body.len() < 20_000, "{} bytes", message.body.len());
    let data = &body(message)["data"];
    assert_eq!(data["total"], 501);
    assert_eq!(data["by_severity"], json!({ "low": 500, "critical": 1 }));
    assert_eq!(data["findings"][0]["severity"], "critical");
}

#[test]
fn a_message_about_other_things_has_another_id() {
    let list: Vec<Arc<Finding>> = (0..10).map(|n| finding(n, Severity::High).into()).collect();
    let id = |list: &[Arc<Finding>]| told(list, 1)[0].id.clone();
    let mut turned = list.clone();
    turned.reverse();
    assert_eq!(id(&list), id(&turned), "whatever the order");
    assert_ne!(id(&list), id(&list[1..]));
}

#[test]
fn five_hundred_changes_are_one_short_message() {
    let roles = (0..500).map(|n| {
        let more = if n == 7 { "authorization:role:edit" } else { "routing:queue:view" };
        role(&format!("r{n:03}")).can(more)
    });
    let clients = || [client("a").grant("r007", "*")];
    let before = fixtures::snapshot(clients(), (0..500).map(|n| role(&format!("r{n:03}"))));
    let after = fixtures::snapshot(clients(), roles);
    let events = drift::between("acme", "a-1", &before, &after);
    let message = news::drift_grouped(&head(), &events.iter().collect::<Vec<_>>());
    assert!(message.body.len() < 20_000, "{} bytes", message.body.len());
    let data = &body(&message)["data"];
    assert_eq!((&data["total"], &data["by_cause"]["role_permissions_changed"]), (&json!(500), &json!(500)));
    assert_eq!(data["events"][0]["subject"]["id"], "r007", "the weightiest is first");
    assert!(data["events"][0]["id"].is_string() && data["events"][0]["delta"].is_string());
    assert_eq!(data["events"].as_array().unwrap().len(), 20);
}

#[test]
fn what_tells_of_audits_says_what_it_is() {
    let gap = Gap {
        fact: crate::domain::Fact::Divisions,
        subject: None,
        reason: "server".to_owned(),
        detail: "503".to_owned(),
        stale_since: None,
    };
    let partly = recovered(&head(), &[gap]);
    assert_eq!(body(&partly)["data"]["gaps"], json!(["divisions"]));
    assert_eq!(body(&partly)["data"]["complete"], false);
    for message in [
        baseline(&head(), 3, 2, &[]),
        failed(&head(), "auth", "the secret was refused"),
        recovered(&head(), &[]),
        partly,
    ] {
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
