//! `probe`: its plan, its table, its document, its exit codes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::workplace::Workplace;

const CLIENT: &str = "Reporting_Engine";

/// A workplace that is audited and has the credentials of one client.
async fn with_credentials(name: &str) -> Workplace {
    let workplace = Workplace::new().await;
    let clients = workplace.call(Method::GET, "/_simulator/clients", None).await;
    let client = clients.as_array().unwrap().iter().find(|client| client["name"] == name).unwrap();
    workplace.secret("probed-secret", client["secret"].as_str().unwrap());
    let org = workplace.org("acme");
    workplace.configure(&format!(
        "[probe]\nbudget = 40\n{org}[[org.probe]]\nclient = \"{name}\"\nclient_secret_file = \"probed-secret\"\n"
    ));
    workplace.run(&["audit"]).ends_with(0);
    workplace
}

async fn digest(workplace: &Workplace) -> Value {
    workplace.call(Method::GET, "/_simulator/digest", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_proven_and_told() {
    let workplace = with_credentials(CLIENT).await;
    let before = digest(&workplace).await;
    let text = workplace.run(&["probe"]).ends_with(0).stdout;
    assert!(
        text.contains("DELETE /api/v2/users/{userId}") && text.contains("missing.any.permissions"),
        "{text}"
    );
    assert!(text.contains("Not probed, for want of an [[org.probe]]"), "{text}");
    assert!(text.contains("token: The platform issued a token for"), "{text}");
    let rows = workplace.run(&["probe", CLIENT, "--json"]).ends_with(0).json();
    let rows = rows.as_array().unwrap();
    for row in rows {
        for field in
            ["org", "client", "operation", "expectation", "sent", "verdict", "permissions", "predicted"]
        {
            assert!(!row[field].is_null(), "{field}: {row}");
        }
    }
    let delete = rows.iter().find(|row| row["operation"] == "DELETE /api/v2/users/{userId}").unwrap();
    assert_eq!((&delete["verdict"], &delete["status"]), (&json!("refused"), &json!(403)));
    assert_eq!((&delete["predicted"], &delete["sent"]), (&json!("refused"), &json!(true)));
    assert!(delete["permissions"].as_array().unwrap().contains(&json!("directory:user:delete")), "{delete}");
    assert!(delete["safe_because"].as_str().unwrap().contains("random id"));
    assert!(rows.iter().any(|row| row["token_check"] == "plain"));
    assert_eq!(digest(&workplace).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_not_refused_ends_with_2_and_becomes_a_finding() {
    let workplace = with_credentials(CLIENT).await;
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    workplace.run(&["audit"]).ends_with(0);
    let before = digest(&workplace).await;
    let rows = workplace.run(&["probe", "--json"]).ends_with(2).json();
    let delete = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["operation"] == "DELETE /api/v2/users/{userId}")
        .cloned()
        .unwrap();
    assert_eq!((&delete["verdict"], &delete["status"]), (&json!("not_refused"), &json!(404)));
    assert_eq!(delete["severity"], "critical");
    assert_eq!(digest(&workplace).await, before);
    workplace.run(&["audit"]).ends_with(0);
    let found = workplace.run(&["findings", "--check", "negative-test-failed", "--json"]).ends_with(0).json();
    assert_eq!(found[0]["key"], "DELETE /api/v2/users/{userId}");
    assert_eq!(found[0]["severity"], "critical");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_requests_and_sends_none() {
    let workplace = with_credentials(CLIENT).await;
    // Whatever is sent now would fail.
    workplace.fault("POST /oauth/token", "503").await;
    let text = workplace.run(&["probe", "--dry-run"]).ends_with(0).stdout;
    let curl: Vec<&str> = text.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(curl.len() > 10, "{text}");
    for line in &curl {
        assert!(line.contains("Bearer $TOKEN") && line.contains("/api/v2/"), "{line}");
        assert!(!line.contains('{') || line.contains("%{http_code}"), "{line}");
    }
    let rows = workplace.run(&["probe", "--dry-run", "--json"]).ends_with(0).json();
    assert!(rows.as_array().unwrap().iter().all(|row| row["sent"] == false && row["verdict"] == "not_sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_ends_with_1() {
    let workplace = with_credentials(CLIENT).await;
    let unknown = workplace.run(&["probe", "Nobody"]).ends_with(64);
    assert!(unknown.stderr.contains("no client of the name or id \"Nobody\""), "{}", unknown.stderr);
    workplace.secret("probed-secret", "canary-of-another-client");
    let wrong = workplace.run(&["probe"]).ends_with(1);
    assert!(wrong.stderr.contains(&format!("{CLIENT} (")), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("does not have this secret"), "{}", wrong.stderr);
    assert!(!format!("{}{}", wrong.stdout, wrong.stderr).contains("canary"));
    workplace.secret("record.db.stop-probes", "");
    let stopped = workplace.run(&["probe"]).ends_with(1);
    assert!(stopped.stderr.contains("record.db.stop-probes exists; remove it"), "{}", stopped.stderr);
    let nothing = workplace.run(&["probe", "clear", "DELETE /api/v2/flows/{flowId}"]).ends_with(1);
    assert!(nothing.stderr.contains("is not blocked"), "{}", nothing.stderr);
    workplace.run(&["audit"]).ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nobody_is_probed() {
    let workplace = Workplace::new().await;
    workplace.run(&["probe"]).ends_with(1);
    workplace.run(&["audit"]).ends_with(0);
    let text = workplace.run(&["probe"]).ends_with(0).stdout;
    assert!(text.starts_with("Not probed, for want of an [[org.probe]] with credentials: "), "{text}");
    // One that was asked for by name and is not probed has not passed.
    for more in [&[][..], &["--json"], &["--dry-run"]] {
        let one = workplace.run(&[&["probe", CLIENT], more].concat()).ends_with(1);
        assert!(one.stderr.contains(&format!("\"{CLIENT}\" was not probed")), "{}", one.stderr);
        assert!(one.stderr.contains("[[org.probe]]"), "{}", one.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_says_what_must_be_refused_and_what_must_not() {
    let workplace = with_credentials(CLIENT).await;
    std::fs::create_dir(workplace.path("contracts")).unwrap();
    let contract = format!(
        "client = \"{CLIENT}\"\nowner = \"bi@example.com\"\npurpose = \"reports\"\n\
         calls = [\"GET /api/v2/users\", \"GET /api/v2/analytics/conversations/{{id}}/details\"]\n\
         must_be_denied = [\"PUT /api/v2/authorization/roles/{{roleId}}\", \"DELETE /api/v2/routing/skills/{{id}}\"]\n"
    );
    std::fs::write(workplace.path("contracts/reporting.toml"), contract).unwrap();
    let org = workplace.org("acme");
    workplace.configure(&format!(
        "[probe]\nbudget = 40\n{org}contracts = \"contracts\"\n[[org.probe]]\nclient = \"{CLIENT}\"\n\
         client_secret_file = \"probed-secret\"\n"
    ));
    workplace.run(&["audit"]).ends_with(0);
    let rows = workplace.run(&["probe", "--json"]).json();
    let row = |operation: &str| {
        let found = rows.as_array().unwrap().iter().find(|row| row["operation"] == operation);
        found.unwrap_or_else(|| panic!("{operation} is not in {rows}")).clone()
    };
    let put = row("PUT /api/v2/authorization/roles/{roleId}");
    assert_eq!((&put["verdict"], &put["origin"]), (&json!("not_sent"), &json!("must_be_denied")));
    assert!(put["explanation"].as_str().unwrap().contains("a PUT may create"), "{put}");
    let skill = row("DELETE /api/v2/routing/skills/{skillId}");
    assert_eq!((&skill["verdict"], &skill["origin"]), (&json!("refused"), &json!("must_be_denied")));
    let users = row("GET /api/v2/users");
    assert_eq!((&users["expectation"], &users["verdict"]), (&json!("allow"), &json!("allowed")));
}
