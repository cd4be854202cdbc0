//! `who-can`, `what-if`, and what `access` says of enforced scopes and of more power.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

async fn audited() -> Workplace {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    workplace
}

fn names(list: &Value, authority: &str) -> Vec<String> {
    let of = |holder: &&Value| holder["authority"] == authority;
    let holders = list.as_array().unwrap().iter().filter(of);
    holders.map(|holder| holder["client"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_is_the_reverse_of_access() {
    let workplace = audited().await;
    let all = workplace.run(&["access", "--all", "--operations"]).ends_with(0).json_lines();
    for permission in ["directory:user:view", "authorization:grant:add", "oauth:client:view", "admin"] {
        let found = workplace.run(&["who-can", permission]).ends_with(0).json();
        let holds = |line: &&Value| {
            line["permissions"].as_array().unwrap().iter().any(|held| held["permission"] == permission)
        };
        let mut expected: Vec<String> = all
            .iter()
            .filter(holds)
            .map(|line| line["client"]["name"].as_str().unwrap().to_owned())
            .collect();
        expected.sort();
        assert_eq!(names(&found, "roles"), expected, "{permission}");
        for holder in found.as_array().unwrap().iter().filter(|holder| holder["authority"] == "roles") {
            let line = all.iter().find(|line| line["client"] == holder["client"]).unwrap();
            let held = line["permissions"].as_array().unwrap();
            let held = held.iter().find(|held| held["permission"] == permission).unwrap();
            assert_eq!(
                (&holder["divisions"], &holder["conditional"]),
                (&held["divisions"], &held["conditional"])
            );
            assert_eq!(holder["via"][0]["role"], held["via"][0]["role"]);
        }
    }
    let operation = "DELETE /api/v2/users/{userId}";
    let found = workplace.run(&["who-can", "delete /api/v2/users/{id}"]).ends_with(0).json();
    let can = |line: &&Value| {
        let told = line["operations"].as_array().unwrap().iter();
        told.filter(|told| told["operation"] == operation).any(|told| told["granted"] == true)
    };
    let mut expected: Vec<&Value> = all.iter().filter(can).map(|line| &line["client"]["id"]).collect();
    let mut ids: Vec<&Value> =
        found.as_array().unwrap().iter().map(|holder| &holder["client"]["id"]).collect();
    expected.sort_by_key(ToString::to_string);
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, expected);
    assert!(!names(&found, "user").is_empty(), "whoever acts as a user is an upper bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_tells_people_the_rule_and_the_way() {
    let workplace = audited().await;
    let text = |what: &str| workplace.run(&["who-can", what, "--format", "text"]).ends_with(0).stdout;
    let told = text("authorization:grant:add");
    assert!(
        told.contains("HR_Provisioning") && told.contains("Identity provisioning in all divisions"),
        "{told}"
    );
    assert!(told.contains("as their user (an upper bound"), "{told}");
    let told = text("DELETE /api/v2/users/{userId}");
    assert!(
        told.contains("which writes")
            && told.contains("needs any of admin, directory:organization:admin, directory:user:delete"),
        "{told}"
    );
    let told = text("POST /api/v2/analytics/conversations/details/query");
    assert!(told.contains("which reads"), "{told}");
    let told = text("outbound:campaign:*");
    assert!(
        told.contains("permissions: outbound:campaign:") && told.contains("dialer-outbound-east"),
        "{told}"
    );
    let told = text("GET /api/v2/authorization/divisions");
    assert!(told.contains("declares no permission"), "{told}");
    let undeclared = workplace.run(&["who-can", "GET /api/v2/authorization/divisions"]).ends_with(0).json();
    assert!(undeclared.as_array().unwrap().iter().all(|holder| holder["granted"] == "undeclared"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_refuses_what_nobody_knows_with_what_is_near() {
    let workplace = audited().await;
    for (what, near) in [
        ("directory:user:delte", "did you mean \"directory:user:delete\""),
        ("directory:usr:*", "did you mean \"directory:user:*\""),
        ("GET /api/v2/routing/queue", "did you mean \"GET /api/v2/routing/queues\""),
        ("/api/v2/users", "write the method, a space, and the path"),
        ("", "is no permission"),
    ] {
        let refused = workplace.run(&["who-can", what]).ends_with(64);
        assert!(refused.stderr.contains(near) && refused.stdout.is_empty(), "{what}: {}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_says_how_a_client_could_become_stronger_and_what_it_would_lose() {
    let workplace = audited().await;
    let line = workplace.run(&["access", "HR_Provisioning"]).ends_with(0).json();
    let stated = line["escalation"]["stated"].as_str().unwrap();
    assert!(
        stated.contains("may give any role to anybody")
            && stated.ends_with("the role Admin allows everything")
    );
    assert!(line["escalation"]["could_become"].as_u64() > Some(3), "{line}");
    assert!(line["reachable"]["reads"].as_u64() > Some(0) && line["reachable"]["writes"].as_u64() > Some(0));
    let text = workplace.run(&["access", "HR_Provisioning", "--format", "text"]).ends_with(0).stdout;
    assert!(text.contains("can become stronger: HR_Provisioning holds authorization:grant:add"), "{text}");
    assert!(text.contains("Identity provisioning in all divisions") && text.contains("READS"), "{text}");

    let losers = workplace.run(&["access", "--all", "--if-enforced"]).ends_with(0).json_lines();
    let all = workplace.run(&["access", "--all"]).ends_with(0).json_lines();
    assert!(losers.len() > 5 && losers.len() < all.len(), "the administrator has every scope");
    for loser in &losers {
        let lost = loser["operations"].as_array().unwrap().len() as u64;
        assert_eq!(loser["operations_lost"], lost);
        let line = all.iter().find(|line| line["client"] == loser["client"]).unwrap();
        assert_eq!(line["if_enforced"]["operations_lost"], lost);
        assert_eq!((&line["if_enforced"]["under"], &loser["already"]), (&loser["under"], &json!(false)));
    }
    let text = workplace.run(&["access", "--all", "--if-enforced", "--format", "text"]).ends_with(0).stdout;
    assert!(
        text.contains(&format!("{} of {} clients would lose something", losers.len(), all.len())),
        "{text}"
    );
    let one = workplace
        .run(&["access", "Reporting_Engine", "--if-enforced", "--format", "text"])
        .ends_with(0)
        .stdout;
    assert!(
        one.contains("OPERATION THAT IT WOULD LOSE") && one.contains("GET /api/v2/routing/queues"),
        "{one}"
    );
    workplace.run(&["access", "--all", "--if-enforced", "--operations"]).ends_with(64);
}

/// A role of the story, as the API returns it, with one permission more.
async fn widened(workplace: &Workplace) -> Value {
    let roles = workplace.call(reqwest::Method::GET, "/api/v2/authorization/roles?pageSize=100", None).await;
    let named = |role: &&Value| role["name"] == "Reporting_Engine_ReadOnly";
    let mut role = roles["entities"].as_array().unwrap().iter().find(named).unwrap().clone();
    let policy = json!({ "domain": "directory", "entityName": "user", "actionSet": ["delete"] });
    role["permissionPolicies"].as_array_mut().unwrap().push(policy);
    role
}

fn piped(mut command: Command, input: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_if_shows_the_blast_radius_and_fails_on_a_gain() {
    let workplace = audited().await;
    let role = widened(&workplace).await;
    fs::write(workplace.path("role.json"), role.to_string()).unwrap();
    for (arguments, code) in [
        (&["what-if", "role.json"][..], 0),
        (&["what-if", "role.json", "--fail-on", "critical"], 0),
        (&["what-if", "role.json", "--fail-on", "high"], 2),
        (&["what-if", "role.json", "--fail-on", "low"], 2),
    ] {
        let told = workplace.run(arguments).ends_with(code).json();
        let clients: Vec<&Value> =
            told["events"][0]["clients"].as_array().unwrap().iter().map(|client| &client["name"]).collect();
        assert_eq!(clients.len(), 2, "{told}");
        assert_eq!((told["worst_gain"].as_str(), told["ignored"].as_u64()), (Some("high"), Some(0)));
    }
    let text = workplace.run(&["what-if", "role.json", "--format", "text"]).ends_with(0).stdout;
    assert!(text.contains("if role.json were applied"), "{text}");
    assert!(text.contains("+ Nightly_BI_Export: directory:user:delete (everywhere"), "{text}");

    // By a pipe; and when it is applied, the audit says the same.
    let mut command = workplace.program();
    command.args(["what-if", "-", "--json"]);
    let foreseen = piped(command, &role.to_string()).ends_with(0).json();
    let path = format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap());
    workplace.call(reqwest::Method::PUT, &path, Some(&role)).await;
    let audit = workplace.run(&["audit", "--json"]).ends_with(0).json();
    for part in ["delta", "cause", "clients", "severity"] {
        assert_eq!(foreseen["events"][0][part], audit["events"][0][part], "{part}");
    }
    let nothing =
        workplace.run(&["what-if", "role.json", "--fail-on", "info", "--format", "text"]).ends_with(0);
    assert!(nothing.stdout.contains("nothing changed"), "{}", nothing.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_if_takes_a_plan_and_never_repeats_its_secrets() {
    let workplace = audited().await;
    let role = widened(&workplace).await;
    let plan = include_str!("../fixtures/terraform/plan.json");
    fs::write(workplace.path("plan.json"), plan.replace("{reporting-role}", role["id"].as_str().unwrap()))
        .unwrap();
    let ran = workplace.run(&["what-if", "plan.json", "--fail-on", "high"]).ends_with(2);
    let told = ran.json();
    let subjects: Vec<&str> = (told["events"].as_array().unwrap().iter())
        .map(|event| event["cause"]["subject"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert_eq!(told["ignored"], 1);
    let text = workplace.run(&["what-if", "plan.json", "--format", "text"]).ends_with(0).stdout;
    assert!(text.contains("1 other changes of the plan are not looked at"), "{text}");
    assert!(!text.contains("canary") && !ran.stdout.contains("canary") && !ran.stderr.contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_if_refuses_a_file_that_says_nothing() {
    let workplace = audited().await;
    fs::File::create(workplace.path("huge.json")).unwrap().set_len(65 * 1024 * 1024).unwrap();
    for (name, content, said) in [
        ("empty.json", Some(""), "the file is empty"),
        ("prose.json", Some("please add a permission"), "the file is not JSON at line 1"),
        ("other.json", Some("{\"a\": 1}"), "neither a role"),
        ("huge.json", None, "larger than 64 MiB"),
        ("missing.json", None, "cannot be read"),
        (".", None, "cannot be read"),
    ] {
        if let Some(content) = content {
            fs::write(workplace.path(name), content).unwrap();
        }
        let refused = workplace.run(&["what-if", name]).ends_with(64);
        assert!(refused.stderr.contains(said) && refused.stderr.contains(name), "{name}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{name}");
    }
    let unaudited = Workplace::new().await;
    fs::write(unaudited.path("role.json"), "{\"name\": \"x\", \"permissions\": []}").unwrap();
    let early = unaudited.run(&["what-if", "role.json"]).ends_with(1);
    assert!(early.stderr.contains("scopewarden audit"), "{}", early.stderr);
}
