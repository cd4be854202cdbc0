//! What is told of an organisation in which somebody goes back and forth, over a day and over restarts.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::Value;

use crate::harness::{Harness, story};

#[tokio::test]
async fn a_day_of_toggling_a_permission_is_told_as_often_as_the_documentation_says() {
    let mut org = Harness::start(story()).await;
    assert!(org.audit().await.complete);
    let with = org.give("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let mut without = with.clone();
    without["permissionPolicies"].as_array_mut().unwrap().retain(|policy| {
        policy["domain"] != "directory" || !policy["actionSet"].to_string().contains("delete")
    });
    let path = format!("/api/v2/authorization/roles/{}", with["id"].as_str().unwrap());
    // An audit every quarter of an hour: a day back and forth, then three hours of quiet.
    for number in 0..108 {
        if number < 96 {
            let role = if number % 2 == 0 { &with } else { &without };
            org.admin("PUT", &path, Some(role.clone())).await;
        }
        if number % 10 == 0 {
            org.restart();
        }
        org.pass(TimeDelta::minutes(14));
        let report = org.audit().await;
        // Everything is recorded.
        assert_eq!(report.events.len(), usize::from(number < 96), "audit {number}");
    }
    let sent = org.store.claim("secops", 10_000, org.now()).await.unwrap();
    let mut role: BTreeMap<&str, usize> = BTreeMap::new();
    let mut findings: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for message in &sent {
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let kind = message.kind.as_str();
        if kind.starts_with("drift.") {
            *role.entry(kind).or_default() += 1;
        }
        for finding in body["data"]["findings"].as_array().into_iter().flatten() {
            let uid = finding["uid"].as_str().unwrap().to_owned();
            *findings.entry(uid).or_default().entry(kind).or_default() += 1;
        }
    }
    assert_eq!(role, [("drift.detected", 6), ("drift.flapping", 9)].into());
    // Of what came and went with it. In a day other findings change once too, and critical ones are reminded of.
    findings.retain(|_, told| told.values().sum::<usize>() > 2);
    assert!(!findings.is_empty());
    for (uid, told) in findings {
        // What failed before opens again as `finding.reopened`.
        let want = [
            ("finding.flapping", 8),
            ("finding.opened", 1),
            ("finding.reopened", 3),
            ("finding.resolved", 4),
        ];
        assert_eq!(told, want.into(), "{uid}");
    }
    let things = org.store.history("acme").await.unwrap().told.things;
    assert!(things.values().all(|thing| thing.memory.flap.is_none()), "nothing flaps for ever");
}
