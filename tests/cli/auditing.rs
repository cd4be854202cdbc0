//! `audit`: its document, its exit codes, its lock.

use reqwest::Method;
use scopewarden::daemon::lock;
use serde_json::{Value, json};

use crate::workplace::Workplace;

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_the_documented_shape() {
    let workplace = Workplace::new().await;
    let document = workplace.run(&["audit", "--format", "json"]).ends_with(0).json();
    assert_eq!(document["org"], "acme");
    assert!(document["audit"].as_str().is_some_and(|id| id.len() == 36), "{document}");
    assert_eq!(document["complete"], true);
    assert_eq!(document["gaps"], json!([]));
    assert_eq!(document["events"], json!([]));
    assert!(document["api_calls"].as_u64().unwrap() >= 5);
    for stage in ["collect", "analyse", "record"] {
        assert!(document["timings_ms"][stage].is_u64(), "{stage}");
    }
    let findings = document["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        for field in ["uid", "org", "check", "status", "severity", "key", "title", "evidence", "remediation"]
        {
            assert!(finding[field].is_string(), "{field}: {finding}");
        }
        assert!(finding["muted"].is_boolean() && finding["client"]["id"].is_string(), "{finding}");
        assert!(finding["first_seen"].is_string() && finding["last_seen"].is_string(), "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_gains_power_is_an_event_with_every_client_that_gained_by_it() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let document = workplace.run(&["audit", "--json"]).ends_with(0).json();

    let events = document["events"].as_array().unwrap();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event["org"], "acme");
    assert_eq!(event["cause"]["kind"], "role_permissions_changed");
    assert_eq!(event["cause"]["subject"]["type"], "role");
    assert_eq!(event["cause"]["subject"]["name"], "Reporting_Engine_ReadOnly");
    assert_eq!(event["cause"]["permissions"], json!({ "added": ["directory:user:delete"], "removed": [] }));
    assert_eq!(gainers(event), holders(&workplace, &event["cause"]["subject"]["id"]).await);
    for client in event["clients"].as_array().unwrap() {
        assert_eq!(client["lost"], json!([]));
        let gain = &client["gained"][0];
        assert_eq!(gain["permission"], "directory:user:delete");
        assert_eq!((&gain["conditional"], &gain["shared"]), (&json!(false), &json!(false)));
        assert!(gain["divisions"].is_array() && gain["in_scope"].is_boolean(), "{gain}");
    }

    // The same, read again from the record, and for people.
    let diff = workplace.run(&["diff"]).ends_with(0).json();
    assert_eq!(diff["events"][0]["delta"], event["delta"]);
    assert_eq!(diff["events"][0]["cause"], event["cause"]);
    let text = workplace.run(&["diff", "--format", "text"]).ends_with(0).stdout;
    assert!(text.contains("role Reporting_Engine_ReadOnly gained directory:user:delete"), "{text}");

    // Nothing changed since.
    let quiet = workplace.run(&["audit", "--json"]).ends_with(0).json();
    assert_eq!(quiet["events"], json!([]));
    let between = workplace.run(&["diff", "--from", document["audit"].as_str().unwrap()]).ends_with(0).json();
    assert_eq!(between["events"], json!([]));
    assert_eq!(between["from_audit"], document["audit"]);
}

/// Names of the clients that gained by an event.
fn gainers(event: &Value) -> Vec<String> {
    let clients = event["clients"].as_array().unwrap();
    let gained = clients.iter().filter(|client| client["gained"] != json!([]));
    let mut names: Vec<String> = gained.map(|client| client["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert!(!names.is_empty(), "{event}");
    names
}

/// Names of the client-credentials clients that hold a role, as the platform tells.
async fn holders(workplace: &Workplace, role: &Value) -> Vec<String> {
    let clients = workplace.call(Method::GET, "/api/v2/oauth/clients", None).await;
    let holds = |client: &&Value| {
        let by_division = client["roleDivisions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|grant| grant["roleId"] == *role));
        let by_id = client["roleIds"].as_array().is_some_and(|all| all.contains(role));
        client["authorizedGrantType"] == "CLIENT-CREDENTIALS" && (by_division || by_id)
    };
    let entities = clients["entities"].as_array().unwrap();
    let mut names: Vec<String> =
        entities.iter().filter(holds).map(|client| client["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_decide_the_exit_code_only_if_asked() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let ran = workplace.run(&["audit", "--fail-on", "low", "--json"]).ends_with(2);
    let worst = |severity: &str| {
        let document = ran.json();
        document["findings"].as_array().unwrap().iter().any(|finding| {
            finding["severity"] == severity && finding["status"] == "fail" && finding["muted"] == false
        })
    };
    for severity in ["critical", "high"] {
        let expected =
            if severity == "high" { worst("high") || worst("critical") } else { worst("critical") };
        workplace.run(&["audit", "--fail-on", severity]).ends_with(if expected { 2 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_audit_is_recorded_and_ends_with_1() {
    let workplace = Workplace::new().await;
    workplace.fault("GET /api/v2/authorization/divisions", "forbidden").await;
    let document = workplace.run(&["audit", "--json"]).ends_with(1).json();
    assert_eq!(document["complete"], false);
    let gap = &document["gaps"][0];
    assert_eq!((&gap["fact"], &gap["reason"]), (&json!("divisions"), &json!("forbidden")));
    let text = workplace.run(&["audit"]).ends_with(1).stdout;
    assert!(text.contains("NOT complete") && text.contains("divisions (forbidden)"), "{text}");
    // Findings weigh more than gaps.
    workplace.run(&["audit", "--fail-on", "low"]).ends_with(2);
    workplace.run(&["clients"]).ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_audit_says_why_on_both_channels() {
    let workplace = Workplace::new().await;
    workplace.secret("secret", "not-the-secret-of-this-client");
    let ran = workplace.run(&["audit", "--json"]).ends_with(1);
    let document = ran.json();
    assert_eq!(document["org"], "acme");
    assert_eq!(document["error"]["reason"], "auth");
    assert!(document["error"]["detail"].is_string());
    assert!(ran.stderr.contains("the audit of acme failed"), "{}", ran.stderr);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("not-the-secret"));
    let text = workplace.run(&["audit"]).ends_with(1);
    assert_eq!(text.stdout, "");
    workplace.run(&["findings"]).ends_with(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_somebody_audits_nobody_else_does_but_everybody_reads() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let held = lock::acquire(&workplace.path("record.db")).unwrap();
    let refused = workplace.run(&["audit", "--json"]).ends_with(1);
    assert!(refused.stderr.contains("record.db.lock is held"), "{}", refused.stderr);
    workplace.run(&["clients"]).ends_with(0);
    workplace.run(&["verify"]).ends_with(0);
    drop(held);
    workplace.run(&["audit"]).ends_with(0);
}
