//! What people decide about findings: mute, acknowledge, approve, baseline; and what is told because of it.

use reqwest::Method;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::workplace::Workplace;

const ROLE: &str = "Reporting_Engine_ReadOnly";
const HIGH: &str = "high-privilege-permission";
const WHO: [&str; 4] = ["--owner", "ops@example.com", "--expires", "30d"];

async fn receiver(workplace: &Workplace) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let sections = [workplace.org("acme"), workplace.receiver(&format!("{}/hook", server.uri()))];
    workplace.configure(&sections.concat());
    server
}

/// Type, reason and uids of each message about findings that came, in order.
async fn told(receiver: &MockServer) -> Vec<(String, String, Vec<String>)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let requests = receiver.received_requests().await.unwrap();
    let bodies = requests.iter().map(|request| request.body_json::<Value>().unwrap());
    bodies
        .filter(|body| word(&body["type"]).starts_with("finding."))
        .map(|body| {
            let uids = body["data"]["findings"].as_array().unwrap().iter().map(|one| word(&one["uid"]));
            (word(&body["type"]), word(&body["data"]["reason"]), uids.collect())
        })
        .collect()
}

fn findings(workplace: &Workplace, arguments: &[&str]) -> Vec<Value> {
    let ran = workplace.run(&[&["findings", "--json"], arguments].concat()).ends_with(0);
    ran.json().as_array().unwrap().clone()
}

fn finding(workplace: &Workplace, uid: &str) -> Value {
    findings(workplace, &[]).into_iter().find(|finding| finding["uid"] == uid).unwrap()
}

fn audit(workplace: &Workplace) -> Value {
    workplace.run(&["audit", "--json"]).ends_with(0).json()
}

/// An audit, then one that finds a role with more power: the change's id, and the finding's uid.
async fn gained(workplace: &Workplace) -> (String, String) {
    audit(workplace);
    workplace.extend_role(ROLE, "directory", "user", "delete").await;
    let document = audit(workplace);
    let event = document["events"][0]["id"].as_str().unwrap().to_owned();
    let found = findings(workplace, &["--check", HIGH]);
    let new = found.iter().find(|one| one["key"] == "directory:user:delete").unwrap();
    (event, new["uid"].as_str().unwrap().to_owned())
}

/// Takes out of the role what was put into it last.
async fn take_back(workplace: &Workplace) {
    let roles = workplace.call(Method::GET, "/api/v2/authorization/roles?pageSize=100", None).await;
    let mut role =
        roles["entities"].as_array().unwrap().iter().find(|role| role["name"] == ROLE).unwrap().clone();
    role["permissionPolicies"]
        .as_array_mut()
        .unwrap()
        .retain(|policy| policy["actionSet"] != json!(["delete"]));
    let path = format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap());
    workplace.call(Method::PUT, &path, Some(&role)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_closes_the_alert_and_its_end_opens_it_again() {
    let workplace = Workplace::new().await;
    let receiver = receiver(&workplace).await;
    let (_, uid) = gained(&workplace).await;
    workplace.run(&["audit", "--fail-on", "high"]).ends_with(2);

    let mute = [&["findings", "mute", &uid[..12], "--reason", "moves in Q1", "--json"], &WHO[..]].concat();
    let done = workplace.run(&mute).ends_with(0).json();
    assert_eq!((&done["closed"], &done["messages"]), (&json!([uid]), &json!(1)));
    let muted = finding(&workplace, &uid);
    assert_eq!(
        (&muted["muted"], &muted["approved"], &muted["acknowledged"]),
        (&json!(true), &json!(false), &json!(false))
    );
    let decision = &muted["decisions"][0];
    assert_eq!(
        (&decision["kind"], &decision["owner"], &decision["reason"]),
        (&json!("mute"), &json!("ops@example.com"), &json!("moves in Q1"))
    );
    assert!(decision["expires"].is_string());
    assert!(findings(&workplace, &["--due"]).iter().all(|one| one["uid"] != uid));
    let text = workplace.run(&["findings"]).ends_with(0).stdout;
    assert!(text.contains("muted by ops@example.com until") && text.contains("moves in Q1"), "{text}");

    let document = audit(&workplace);
    let reported = document["findings"].as_array().unwrap().iter().find(|one| one["uid"] == uid).unwrap();
    assert_eq!(reported["muted"], true, "the audit's own report shows it");

    let text = workplace.run(&["findings", "unmute", &uid, "--owner", "sec"]).ends_with(0).stdout;
    assert!(text.starts_with("un-muted; 1 finding due again"), "{text}");
    assert_eq!(finding(&workplace, &uid)["muted"], false);
    audit(&workplace);
    take_back(&workplace).await;
    audit(&workplace);
    workplace.extend_role(ROLE, "directory", "user", "delete").await;
    audit(&workplace);
    let alerts: Vec<(String, String)> = told(&receiver)
        .await
        .into_iter()
        .filter(|one| one.2 == [uid.clone()])
        .map(|one| (one.0, one.1))
        .collect();
    let expected = [
        ("finding.opened", ""),
        ("finding.resolved", "muted"),
        ("finding.reopened", "unmuted"),
        ("finding.resolved", ""),
        ("finding.reopened", "failed_again"),
    ];
    assert_eq!(alerts, expected.map(|(kind, reason)| (kind.to_owned(), reason.to_owned())));

    let history = workplace.run(&["findings", "history", &uid, "--json"]).ends_with(0).json();
    let what: Vec<&str> =
        history["history"].as_array().unwrap().iter().map(|turn| turn["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["opened", "muted", "muted ended", "resolved", "reopened"]);
    assert_eq!(history["history"][2]["who"], "sec");
    let text = workplace.run(&["findings", "history", &uid[..8]]).ends_with(0).stdout;
    assert!(text.contains("reopened") && text.contains("withdrawn"), "{text}");
    let verified = workplace.run(&["verify", "--json"]).ends_with(0).json();
    assert_eq!(verified["consistent"], true, "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_that_is_over_is_told_by_the_next_audit_once() {
    let workplace = Workplace::new().await;
    let receiver = receiver(&workplace).await;
    let (_, uid) = gained(&workplace).await;
    workplace
        .run(&["findings", "mute", &uid, "--owner", "ops", "--reason", "short", "--expires", "3s"])
        .ends_with(0);
    assert_eq!(finding(&workplace, &uid)["muted"], true);
    for _ in 0..100 {
        audit(&workplace);
        if finding(&workplace, &uid)["muted"] == false {
            break;
        }
    }
    audit(&workplace);
    let again: Vec<String> = told(&receiver)
        .await
        .into_iter()
        .filter(|one| one.0 == "finding.reopened")
        .map(|one| one.1)
        .collect();
    assert_eq!(again, ["mute_expired"]);
    assert_eq!(finding(&workplace, &uid)["muted"], false);
    let all = workplace.run(&["approvals", "list", "--all", "--json"]).ends_with(0).json();
    assert_eq!(all[0]["ended"]["why"], "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_accepts_one_change_and_lapses_when_it_is_reverted() {
    let workplace = Workplace::new().await;
    let receiver = receiver(&workplace).await;
    let (event, uid) = gained(&workplace).await;
    let approve = |event: &str| {
        let arguments = [&["approve", event, "--ticket", "CHG-1", "--json"], &WHO[..]].concat();
        workplace.run(&arguments)
    };
    let unknown = approve("evt-none").ends_with(1);
    assert!(unknown.stderr.contains("scopewarden diff --json"), "{}", unknown.stderr);
    let done = approve(&event[..14]).ends_with(0).json();
    let id = done["id"].as_str().unwrap().to_owned();
    // All that the change opened, and nothing else.
    let closed = done["closed"].as_array().unwrap().clone();
    assert!(closed.contains(&json!(uid)) && closed.len() < findings(&workplace, &[]).len(), "{closed:?}");
    let twice = approve(&event).ends_with(1);
    assert!(twice.stderr.contains("approved already") && twice.stderr.contains(&id), "{}", twice.stderr);
    let approved = finding(&workplace, &uid);
    assert_eq!((&approved["approved"], &approved["muted"]), (&json!(true), &json!(false)));
    assert_eq!(approved["decisions"][0]["ticket"], "CHG-1");
    let list = workplace.run(&["approvals", "list", "--json"]).ends_with(0).json();
    assert_eq!((&list[0]["event"], &list[0]["covering"]), (&json!(event), &json!(closed.len())));
    let text = workplace.run(&["approvals", "list"]).ends_with(0).stdout;
    assert!(text.contains("directory:user:delete") && text.contains("CHG-1"), "{text}");
    let csv = workplace.run(&["approvals", "export", "--format", "csv"]).ends_with(0).stdout;
    assert!(
        csv.starts_with("org,id,kind,") && csv.contains(&uid) && csv.lines().count() == 1 + closed.len(),
        "{csv}"
    );
    let lines = workplace.run(&["approvals", "export"]).ends_with(0).json_lines();
    assert!(lines[0]["covers"].as_array().unwrap().iter().any(|cover| cover["uid"] == uid), "{lines:?}");

    // Another change is another matter, and the same one after a revert too.
    workplace.extend_role(ROLE, "directory", "user", "setPassword").await;
    audit(&workplace);
    assert_eq!(finding(&workplace, &uid)["approved"], true);
    take_back(&workplace).await;
    audit(&workplace);
    let ended = workplace.run(&["approvals", "list", "--all", "--json"]).ends_with(0).json();
    assert_eq!(ended[0]["ended"]["why"], "reverted");
    let gone = approve(&event).ends_with(1);
    assert!(gone.stderr.contains("was reverted since"), "{}", gone.stderr);
    workplace.extend_role(ROLE, "directory", "user", "delete").await;
    audit(&workplace);
    let again = finding(&workplace, &uid);
    assert_eq!((&again["approved"], &again["decisions"]), (&json!(false), &Value::Null));
    let alerts: Vec<(String, String)> = told(&receiver)
        .await
        .into_iter()
        .filter(|one| one.2.contains(&uid))
        .map(|one| (one.0, one.1))
        .collect();
    let expected =
        [("finding.opened", ""), ("finding.resolved", "approved"), ("finding.reopened", "failed_again")];
    assert_eq!(alerts, expected.map(|(kind, reason)| (kind.to_owned(), reason.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_can_be_revoked() {
    let workplace = Workplace::new().await;
    let (event, uid) = gained(&workplace).await;
    let id = workplace
        .run(&[&["approve", &event, "--ticket", "CHG-1", "--json"], &WHO[..]].concat())
        .ends_with(0)
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let unknown = workplace.run(&["approvals", "revoke", "dec-none"]).ends_with(1);
    assert!(unknown.stderr.contains("approvals list --all"), "{}", unknown.stderr);
    let done = workplace.run(&["approvals", "revoke", &id[..8], "--json"]).ends_with(0).json();
    assert!(done["reopened"].as_array().unwrap().contains(&json!(uid)), "{done}");
    assert_eq!(finding(&workplace, &uid)["approved"], false);
    assert_eq!(workplace.run(&["approvals", "list", "--json"]).ends_with(0).json(), json!([]));
    let text = workplace.run(&["approvals", "list"]).ends_with(0).stdout;
    assert_eq!(text, "no approval stands\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_takes_in_what_is_open_and_nothing_that_comes_later() {
    let workplace = Workplace::new().await;
    let receiver = receiver(&workplace).await;
    audit(&workplace);
    let due = findings(&workplace, &["--due"]).len();
    assert!(due > 1);
    let terms = [&["baseline", "--reason", "as found"], &WHO[..]].concat();
    let dry = workplace.run(&[&terms[..], &["--dry-run", "--json"]].concat()).ends_with(0).json();
    assert_eq!(dry["findings"].as_array().unwrap().len(), due);
    assert_eq!(findings(&workplace, &["--due"]).len(), due, "nothing was decided");
    let text = workplace.run(&terms).ends_with(0).stdout;
    assert!(text.contains(&format!("baseline of {due} finding")), "{text}");
    assert!(findings(&workplace, &["--due"]).is_empty());
    workplace.run(&["audit", "--fail-on", "info"]).ends_with(0);
    let empty = workplace.run(&terms).ends_with(1);
    assert!(empty.stderr.contains("a baseline would hold nothing"), "{}", empty.stderr);

    workplace.extend_role(ROLE, "directory", "user", "delete").await;
    workplace.run(&["audit", "--fail-on", "high"]).ends_with(2);
    let alerts = told(&receiver).await;
    assert_eq!((alerts[0].0.as_str(), alerts[0].1.as_str()), ("finding.resolved", "muted"));
    assert!(alerts.iter().any(|one| one.0 == "finding.opened" || one.1 == "content_changed"), "{alerts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_works_on_a_finding_until_it_is_gone() {
    let workplace = Workplace::new().await;
    let (_, uid) = gained(&workplace).await;
    workplace.run(&["findings", "ack", &uid, "--owner", "jo", "--note", "role is being split"]).ends_with(0);
    let known = finding(&workplace, &uid);
    assert_eq!((&known["acknowledged"], &known["muted"]), (&json!(true), &json!(false)));
    workplace.run(&["audit", "--fail-on", "high"]).ends_with(2);
    take_back(&workplace).await;
    audit(&workplace);
    workplace.extend_role(ROLE, "directory", "user", "delete").await;
    audit(&workplace);
    assert_eq!(finding(&workplace, &uid)["acknowledged"], false);
    let unknown = workplace.run(&["findings", "history", "ffffffff"]).ends_with(1);
    assert!(unknown.stderr.contains("never had a finding"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_that_cannot_be_meant_are_explained() {
    let workplace = Workplace::new().await;
    let early = [&["findings", "mute", "abcd", "--reason", "x"], &WHO[..]].concat();
    let ran = workplace.run(&early).ends_with(1);
    assert!(ran.stderr.contains("scopewarden audit"), "{}", ran.stderr);
    assert!(!workplace.path("record.db").exists(), "nobody made a record");

    audit(&workplace);
    let uid = findings(&workplace, &["--due"])[0]["uid"].as_str().unwrap().to_owned();
    for (arguments, code, words) in [
        (vec!["--reason", "x", "--expires", "30d"], 64, "--owner"),
        (vec!["--owner", "ops", "--expires", "30d"], 64, "--reason"),
        (vec!["--owner", "ops", "--reason", "x"], 64, "--expires"),
        (vec!["--owner", "ops", "--reason", "x", "--expires", "soon"], 64, "30d, 12h"),
        (vec!["--owner", "ops", "--reason", "x", "--expires", "400d"], 64, "more than a year"),
        (vec!["--owner", "ops", "--reason", "x", "--expires", "2020-01-01"], 64, "not in the future"),
        (vec!["--owner", " ", "--reason", "x", "--expires", "30d"], 64, "--owner: is empty"),
    ] {
        let ran = workplace.run(&[&["findings", "mute", &uid], &arguments[..]].concat()).ends_with(code);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
    let ran =
        workplace.run(&[&["findings", "mute", "zzzz", "--reason", "x"], &WHO[..]].concat()).ends_with(1);
    assert!(ran.stderr.contains("scopewarden findings --json"), "{}", ran.stderr);
    let ran = workplace.run(&["findings", "unmute", &uid]).ends_with(1);
    assert!(ran.stderr.contains("is not muted"), "{}", ran.stderr);
    assert_eq!(findings(&workplace, &["--due"]).iter().filter(|one| one["uid"] == uid).count(), 1);
}
