//! That every object has what its class requires, that both doors say the same, and that ids are stable.

use std::{collections::BTreeSet, sync::Arc};

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{
    Severity,
    checks::CHECKS,
    decision::Reason,
    drift,
    evidence::Hash,
    finding::{ClientRef, Status, uid},
    fixtures::{self, client, role},
    message::{
        MessageKind,
        news::{self, FindingNews},
    },
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

fn finding(check: &str, key: &str) -> Finding {
    let client = ClientRef { id: "c1".into(), name: "Client 1".to_owned() };
    let severity = CHECKS.iter().find(|one| one.id == check).map_or(Severity::High, |check| check.severity);
    Finding {
        uid: uid("acme", check, &client.id, key),
        org: "acme".to_owned(),
        check: check.to_owned(),
        status: Status::Fail,
        severity,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client,
        key: key.to_owned(),
        title: "Client 1 can delete users".to_owned(),
        evidence: "Client 1 holds directory:user:delete, since 12:30:00.".to_owned(),
        remediation: "Take it out of its role.".to_owned(),
        first_seen: head().at,
        last_seen: head().at,
    }
}

fn drift_event() -> Event {
    let clients = || [client("a").grant("r", "*")];
    let before = fixtures::snapshot(clients(), [role("r")]);
    let after = fixtures::snapshot(clients(), [role("r").can("directory:user:delete")]);
    drift::between("acme", "a-1", &before, &after).remove(0)
}

fn body(message: &crate::domain::message::Message) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

/// What OCSF 1.8.0 requires of the three classes. An independent library checks the rest (`tests/peers/ocsf_lines.py`).
fn assert_sound(object: &Value) {
    let class = object["class_uid"].as_u64().unwrap();
    let activity = object["activity_id"].as_u64().unwrap();
    assert!([2003, 2004, 2008].contains(&class) && (1..=3).contains(&activity), "{object}");
    assert_eq!(object["type_uid"], class * 100 + activity);
    assert_eq!(object["category_uid"], 2);
    assert!(object["severity_id"].as_u64().unwrap() <= 5);
    assert!(object["time"].as_i64().unwrap() > 1_000_000_000_000);
    assert_eq!(object["metadata"]["version"], VERSION);
    assert!(object["metadata"]["product"]["name"].is_string());
    for uid in [&object["metadata"]["uid"], &object["finding_info"]["uid"]] {
        assert!(!uid.as_str().unwrap().is_empty(), "{object}");
    }
    match class {
        2003 => assert!(object["compliance"]["status_id"].is_u64()),
        2004 => assert!(object["compliance"].is_null()),
        _ => assert!(!object["permission_analysis_results"].as_array().unwrap().is_empty()),
    }
    for resource in object["resources"].as_array().into_iter().flatten() {
        assert!(resource["uid"].is_string() || resource["name"].is_string());
    }
    assert_eq!(object["unmapped"], Value::Null);
}

#[test]
fn each_check_has_one_class_and_every_object_is_sound() {
    for check in CHECKS {
        let classes: Vec<Value> = Activity::ALL
            .into_iter()
            .map(|activity| {
                let object = of_finding(&head(), activity, &finding(check.id, ""));
                assert_sound(&object);
                object["class_uid"].clone()
            })
            .collect();
        assert!(classes.iter().all(|class| class == &classes[0]), "{}", check.id);
    }
}

#[test]
fn a_check_of_somebody_else_is_a_compliance_finding_without_a_standard() {
    let object = of_finding(&head(), Activity::Create, &finding("acme-no-outbound", ""));
    assert_sound(&object);
    assert_eq!(object["class_uid"], 2003);
    assert_eq!(object["compliance"]["control"], "acme-no-outbound");
    assert_eq!(object["compliance"]["standards"], Value::Null);
}

#[test]
fn a_compliance_finding_names_the_requirements_that_its_check_serves() {
    let object = of_finding(&head(), Activity::Create, &finding("token-lifetime", ""));
    let compliance = &object["compliance"];
    assert_eq!((&compliance["status_id"], &compliance["status"]), (&json!(3), &json!("Fail")));
    let requirements = compliance["requirements"].to_string();
    assert!(requirements.contains("NIST SP 800-53 revision 5 AC-12"), "{requirements}");
    assert!(requirements.contains("PCI DSS 4.0.1 8.6.3"), "{requirements}");
    assert_eq!(object["resources"][0]["uid"], "c1");
}

#[test]
fn unknown_is_no_pass_and_muted_is_suppressed() {
    let doubtful = Finding { status: Status::Unknown, ..finding("token-lifetime", "") };
    let object = of_finding(&head(), Activity::Update, &doubtful);
    assert_eq!(object["compliance"]["status"], "Unknown");
    let muted = Finding { muted: true, ..finding("negative-test-failed", "DELETE /api/v2/users/{userId}") };
    let object = of_finding(&head(), Activity::Update, &muted);
    assert_eq!((&object["status"], &object["is_alert"]), (&json!("Suppressed"), &json!(false)));
    assert_eq!(object["evidences"][0]["api"]["operation"], "DELETE /api/v2/users/{userId}");
    let over = of_finding(&head(), Activity::Close, &finding("token-lifetime", ""));
    assert_eq!((&over["status"], &over["compliance"]["status"]), (&json!("Resolved"), &json!("Pass")));
}

#[test]
fn excess_names_the_role_and_the_permissions() {
    let object = of_finding(&head(), Activity::Create, &finding("wildcard-role", "r1 directory:user:*"));
    let result = &object["permission_analysis_results"][0];
    assert_eq!(result["policy"], json!({ "type": "role", "uid": "r1" }));
    assert_eq!(result["granted_privileges"], json!(["directory:user:*", "directory:user:delete"]));
    assert_eq!(object["user"]["uid"], "c1");
    let summary = of_finding(&head(), Activity::Create, &finding("wildcard-role", "summary"));
    assert_eq!(summary["permission_analysis_results"][0]["policy"], json!({ "type": "role" }));
}

#[test]
fn both_doors_say_the_same() {
    let one = finding("high-privilege-permission", "directory:user:delete");
    for (kind, activity) in
        [(MessageKind::FindingOpened, Activity::Create), (MessageKind::FindingResolved, Activity::Close)]
    {
        let messages = news::findings(&head(), kind, &[&FindingNews::of(&Arc::new(one.clone()))], 0, "");
        let told = of_message(&body(&messages[0]), &messages[0].id);
        assert_eq!(told, [of_finding(&head(), activity, &one)]);
    }
    let event = drift_event();
    let message = message::drift(&head(), &event);
    assert_eq!(of_message(&body(&message), &message.id), [of_event(&head(), &event)]);
}

#[test]
fn a_change_is_one_detection_with_its_cause_and_whom_it_reaches() {
    let event = drift_event();
    let object = of_event(&head(), &event);
    assert_sound(&object);
    assert_eq!(object["finding_info"]["uid"], json!(event.id));
    assert_eq!(object["metadata"]["tags"][0]["value"], json!(Hash::of(b"chain").to_string()));
    assert_eq!(object["resources"][0]["role"], "Target");
    assert_eq!(object["resources"][1]["uid"], "a");
    let data = &object["evidences"][0]["data"];
    assert_eq!(data["cause"]["permissions"]["added"], json!(["directory:user:delete"]));
    assert_eq!(data["clients"][0]["gained"][0]["permission"], "directory:user:delete");
    assert_eq!(object["evidences"][0]["actor"], Value::Null, "nobody knows who did it");

    let mut told = body(&message::drift(&head(), &event));
    told["data"]["actor"] = json!({ "type": "user", "id": "u1", "name": "Ada" });
    let user = &of_message(&told, "m")[0]["evidences"][0]["actor"]["user"];
    assert_eq!(*user, json!({ "uid": "u1", "name": "Ada", "type_id": 1, "type": "User" }));
}

#[test]
fn audits_that_fail_are_one_finding_until_they_are_recorded_again() {
    let failed = of_message(&body(&message::failed(&head(), "auth", "the secret is wrong")), "m1").remove(0);
    let later = Letterhead { audit: "a-2", ..head() };
    let recovered = of_message(&body(&message::recovered(&later, &[])), "m2").remove(0);
    for object in [&failed, &recovered] {
        assert_sound(object);
    }
    assert_eq!(failed["finding_info"]["uid"], recovered["finding_info"]["uid"]);
    assert_ne!(failed["metadata"]["uid"], recovered["metadata"]["uid"]);
    assert_eq!((&failed["status"], &recovered["status"]), (&json!("New"), &json!("Resolved")));
    let overdue = of_message(&body(&news::overdue(&head(), None, 3, "no divisions")), "m3").remove(0);
    assert_sound(&overdue);
    assert_ne!(overdue["finding_info"]["uid"], failed["finding_info"]["uid"]);
    let ended = |gaps: &[crate::domain::Gap]| -> Vec<Value> {
        let objects = of_message(&body(&message::recovered(&later, gaps)), "m4");
        objects.iter().for_each(assert_sound);
        objects.into_iter().map(|object| object["finding_info"]["uid"].clone()).collect()
    };
    let gap = crate::domain::Gap {
        fact: crate::domain::Fact::Divisions,
        subject: None,
        reason: "server".to_owned(),
        detail: "503".to_owned(),
        stale_since: None,
    };
    let (recorded, complete) = (&failed["finding_info"]["uid"], &overdue["finding_info"]["uid"]);
    assert_eq!(ended(&[gap]), std::slice::from_ref(recorded), "no audit is complete yet");
    assert_eq!(ended(&[]), [recorded.clone(), complete.clone()]);
    let shown = of_failure("acme", "auth", "the secret is wrong", head().at);
    assert_sound(&shown);
    assert_eq!(shown["finding_info"]["uid"], failed["finding_info"]["uid"]);
}

#[test]
fn decisions_between_two_audits_are_objects_of_their_own() {
    let one = Arc::new(finding("token-lifetime", ""));
    let told = |kind, reason, salt: &str| {
        let news = FindingNews { reason, ..FindingNews::of(&one) };
        let message = news::findings(&head(), kind, &[&news], 0, salt).remove(0);
        let object = of_message(&body(&message), &message.id).remove(0);
        assert_sound(&object);
        object
    };
    let (resolved, reopened) = (MessageKind::FindingResolved, MessageKind::FindingReopened);
    let objects = [
        told(MessageKind::FindingOpened, None, ""),
        told(resolved, Some(Reason::Muted), "d1"),
        told(reopened, Some(Reason::Unmuted), "d2"),
        told(resolved, Some(Reason::Muted), "d3"),
        told(reopened, Some(Reason::Unmuted), "d4"),
        told(resolved, Some(Reason::Approved), "d5"),
        told(resolved, None, ""),
    ];
    let uids: BTreeSet<&str> =
        objects.iter().map(|object| object["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), objects.len(), "none is taken for another one's repetition");
    assert!(objects.iter().all(|object| object["finding_info"]["uid"] == json!(one.uid)));
    let stands: Vec<(&str, &str)> = (objects.iter())
        .map(|object| (object["activity_name"].as_str().unwrap(), object["status"].as_str().unwrap()))
        .collect();
    let [muted, due] = [("Update", "Suppressed"), ("Update", "New")];
    assert_eq!(stands, [("Create", "New"), muted, due, muted, due, muted, ("Close", "Resolved")]);
    let again = told(reopened, Some(Reason::FailedAgain), "");
    assert_eq!(again["activity_name"], "Create");
}

#[test]
fn many_changes_are_no_less_an_alert_than_one() {
    let grouped = news::drift_grouped(&head(), &[&drift_event()]);
    let object = of_message(&body(&grouped), &grouped.id).remove(0);
    assert_sound(&object);
    assert_eq!(object["is_alert"], true);
}

#[test]
fn no_message_is_lost() {
    let many: Vec<Arc<Finding>> = (0..50).map(|n| finding("admin-role", &format!("r{n}")).into()).collect();
    let many: Vec<FindingNews> = many.iter().map(FindingNews::of).collect();
    let many: Vec<&FindingNews> = many.iter().collect();
    let group = news::findings(&head(), MessageKind::FindingOpened, &many, 1, "").remove(0);
    let objects = of_message(&body(&group), &group.id);
    assert_eq!(objects.len(), 21);
    let rest = &objects[20];
    assert!(rest["message"].as_str().unwrap().starts_with("30 more findings opened"), "{rest}");
    let test = message::test("siem", "1", "https://scopewarden.example/", head().at);
    let mut later = body(&test);
    later["type"] = json!("something.new");
    later["data"].as_object_mut().unwrap().remove("severity");
    let all = [
        objects,
        of_message(&body(&message::baseline(&head(), 3, 4, std::iter::empty())), "m3"),
        of_message(&body(&test), &test.id),
        of_message(&later, "m4"),
    ];
    for objects in all {
        assert!(!objects.is_empty());
        objects.iter().for_each(assert_sound);
    }
    assert_eq!(of_message(&later, "m4")[0]["severity"], "Unknown");
}

#[test]
fn what_is_no_message_is_no_object() {
    for nothing in [json!(null), json!([]), json!({ "type": "test" }), json!({ "timestamp": "2026-01-01" })] {
        assert_eq!(of_message(&nothing, "m"), Vec::<Value>::new());
    }
}

#[test]
fn a_change_that_reaches_thousands_stays_small() {
    let many = |count: usize| (0..count).map(|n| client(&format!("c{n:05}")).grant("r", "*"));
    let before = fixtures::snapshot(many(3_000), [role("r")]);
    let after = fixtures::snapshot(many(3_000), [role("r").general("admin")]);
    let object = of_event(&head(), &drift::between("acme", "a-1", &before, &after)[0]);
    assert_sound(&object);
    assert!(object.to_string().len() < 40_000);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let names = [
        "id", "cause", "clients", "findings", "total", "kinds", "subject", "actor", "summary", "uid",
        "reason",
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names.to_vec()), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn any_message_becomes_sound_objects(
        kind in prop::sample::select(vec![
            "drift.detected", "drift.attributed", "finding.opened", "finding.resolved", "finding.updated",
            "audit.failed", "audit.recovered", "baseline.recorded", "test", "later", "drift.grouped",
            "drift.flapping", "finding.reopened", "finding.flapping", "finding.reminder", "delivery.dead", "heartbeat",
        ]),
        data in anything(),
    ) {
        let body = json!({ "type": kind, "timestamp": "2026-09-21T14:13:20.000Z", "data": data });
        let objects = of_message(&body, "msg-1");
        for object in &objects {
            assert_sound(object);
        }
        prop_assert_eq!(&objects, &of_message(&body, "msg-1"));
        prop_assert!(!objects.is_empty() || data["findings"].is_array());
    }

    #[test]
    fn any_finding_is_sound_bounded_and_keeps_its_uid(
        check in prop::sample::select(CHECKS.iter().map(|check| check.id).chain(["own"]).collect::<Vec<_>>()),
        key in ".{0,40}", title in ".{0,9000}", evidence in "(.{0,30} [a-z]{1,3}:[a-z]{1,3}:[a-z*]{1,3}){0,90}",
        fails in any::<bool>(), muted in any::<bool>(),
    ) {
        let status = if fails { Status::Fail } else { Status::Unknown };
        let one = Finding { status, muted, title, evidence, ..finding(check, &key) };
        for activity in Activity::ALL {
            let object = of_finding(&head(), activity, &one);
            assert_sound(&object);
            prop_assert_eq!(&object["finding_info"]["uid"], &json!(one.uid));
            prop_assert!(object["message"].as_str().unwrap().chars().count() <= 4_001);
            let granted = object["permission_analysis_results"][0]["granted_privileges"].as_array();
            prop_assert!(granted.is_none_or(|granted| granted.len() <= 40));
        }
    }
}
