//! Checks of the user's own, through the commands: their tests, their findings, and their end.

use super::workplace::Workplace;

const CHECK: &str = "[[check]]\nid = \"acme-deletes-users\"\nseverity = \"high\"\n\
    expression = \"client.holds('directory:user:delete') || client.holds('admin')\"\n\
    title = \"Client cannot delete people\"\nremediation = \"Ask the service desk.\"\n";

const NOWHERE: &str = "http://127.0.0.1:9/hook";

fn test(name: &str, expect: &str, rest: &str) -> String {
    format!("[[check.test]]\nname = \"{name}\"\nexpect = \"{expect}\"\n{rest}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn check_config_runs_the_tests_of_checks_and_names_each_that_fails() {
    let workplace = Workplace::new().await;
    let good = test("may", "fail", "permissions = [\"directory:*:*\"]") + &test("may not", "pass", "");
    // As deep as it may be.
    let (open, close) = ("(".repeat(16), ")".repeat(16));
    let deep = format!(
        "[[check]]\nid = \"acme-deep\"\nseverity = \"low\"\nexpression = \"{open}client.acts_by_roles{close}\"\n"
    );
    workplace.configure(&format!("{}{CHECK}{good}{deep}", workplace.org("acme")));
    let text = workplace.run(&["check-config"]).ends_with(0).stdout;
    assert!(text.contains("id = \"acme-deletes-users\"") && text.contains("# tests: 2"), "{text}");

    let bad = test("wrong", "pass", "permissions = [\"admin\"]")
        + &test("a gap", "pass", "unknown = [\"permissions\"]")
        + &test("right", "unknown", "unknown = [\"permissions\"]");
    workplace.configure(&format!("{}{CHECK}{bad}", workplace.org("acme")));
    let ran = workplace.run(&["check-config"]).ends_with(64);
    let expected = [
        "check[0].test[0]: \"wrong\" of acme-deletes-users fails: expected \"pass\", and it says \"fail\"",
        "check[0].test[1]: \"a gap\" of acme-deletes-users fails: expected \"pass\", and it says \"unknown\": The test says \
         that it is not known.",
    ];
    for line in expected {
        assert!(ran.stderr.contains(line), "{line}\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("right"), "{}", ran.stderr);
    let json = workplace.run(&["check-config", "--json"]).ends_with(64).json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["problems"].as_array().unwrap().len(), 2);
    assert_eq!(json["problems"][0]["field"], "check[0].test[0]");
    // What a test says stops no audit.
    workplace.run(&["audit"]).ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_with_a_mistake_stops_the_program_before_it_begins() {
    let workplace = Workplace::new().await;
    let check = CHECK.replace("client.holds('admin')", "client.nmae == ''");
    workplace.configure(&format!("{}{check}", workplace.org("acme")));
    for command in ["check-config", "audit"] {
        let ran = workplace.run(&[command]).ends_with(64);
        let line =
            "check[0].expression: line 1, column 48: client has no field \"nmae\"; did you mean \"name\"?";
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
    assert!(!workplace.path("record.db").exists(), "nothing was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_of_a_check_of_ones_own_are_like_others_and_end_with_it() {
    let workplace = Workplace::new().await;
    let with = format!("{}{}{CHECK}", workplace.org("acme"), workplace.receiver(NOWHERE));
    workplace.configure(&with);
    let report = workplace.run(&["audit", "--format", "json"]).ends_with(0).json();
    let own = |report: &serde_json::Value| {
        let findings = report["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["check"] == "acme-deletes-users").cloned().collect::<Vec<_>>()
    };
    let found = own(&report);
    assert!(!found.is_empty(), "somebody in the story may delete people");
    for finding in &found {
        assert_eq!((&finding["status"], &finding["severity"]), (&"fail".into(), &"high".into()), "{finding}");
        assert_eq!((&finding["key"], &finding["remediation"]), (&"".into(), &"Ask the service desk.".into()));
        assert!(finding["title"].as_str().unwrap().ends_with("does not pass “Client cannot delete people”"));
    }
    let asked = ["findings", "--check", "acme-deletes-users", "--json"];
    let listed = workplace.run(&asked).ends_with(0).json();
    assert_eq!(listed.as_array().unwrap().len(), found.len());
    let unknown = workplace.run(&["findings", "--check", "acme-deletes-user"]).ends_with(64);
    assert!(unknown.stderr.contains("did you mean \"acme-deletes-users\"?"), "{}", unknown.stderr);

    // The check goes. Nobody saw its clients pass, which the message says that closes their alerts.
    workplace.configure(&format!("{}{}", workplace.org("acme"), workplace.receiver(NOWHERE)));
    let report = workplace.run(&["audit", "--format", "json"]).ends_with(0).json();
    assert!(own(&report).is_empty());
    let outbox = workplace.run(&["outbox", "list", "--json"]).ends_with(0).stdout;
    assert!(outbox.contains("baseline.recorded"), "{outbox}");
    assert!(outbox.contains("finding.resolved"), "{outbox}");
    assert_eq!(report["resolved"], serde_json::json!([]), "they are not resolved");
    workplace.run(&["verify"]).ends_with(0);
}
