//! `doctor`: what is right, what is wrong, and what to do about it.

use std::{fs, path::Path};

use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::workplace::{Ran, SIGNING_SECRET, Workplace, program, run};

fn doctor(workplace: &Workplace, more: &[&str]) -> Ran {
    workplace.run(&[&["doctor", "--json"], more].concat())
}

/// The answers that are not fine, with their verdicts.
fn wrong(report: &Value) -> Vec<(String, String)> {
    let text = |answer: &Value, field: &str| answer[field].as_str().unwrap().to_owned();
    let answers = report["answers"].as_array().unwrap().iter();
    answers
        .filter(|answer| answer["verdict"] != "ok")
        .map(|answer| (text(answer, "probe"), text(answer, "verdict")))
        .collect()
}

fn answer<'a>(report: &'a Value, probe: &str) -> &'a Value {
    let answers = report["answers"].as_array().unwrap();
    answers.iter().find(|answer| answer["probe"] == probe).unwrap_or_else(|| panic!("{probe}: {report}"))
}

fn problem(probe: &str) -> (String, String) {
    (probe.to_owned(), "problem".to_owned())
}

/// The role that the auditor should hold, as the program prints it.
fn enough(workplace: &Workplace) -> Value {
    workplace.run(&["doctor", "--role", "json"]).ends_with(0).json()
}

/// Its policies.
fn policies(role: &mut Value) -> &mut Vec<Value> {
    role["permissionPolicies"].as_array_mut().unwrap()
}

/// Makes the auditor a client that holds a role in a division; what is configured beside the organisation.
async fn hold(workplace: &Workplace, mut role: Value, division: &str, more: &str) {
    role["name"] = json!(format!("auditor {}", uuid::Uuid::new_v4()));
    let role = workplace.call(Method::POST, "/api/v2/authorization/roles", Some(&role)).await;
    let client = json!({
        "name": role["name"],
        "authorizedGrantType": "CLIENT-CREDENTIALS",
        "roleDivisions": [{ "roleId": role["id"], "divisionId": division }],
    });
    let client = workplace.call(Method::POST, "/api/v2/oauth/clients", Some(&client)).await;
    workplace.secret("secret", client["secret"].as_str().unwrap());
    let announced = &workplace.simulator.announcement().client_id;
    let org = workplace.org("acme").replace(announced, client["id"].as_str().unwrap());
    workplace.configure(&format!("{org}{more}"));
}

/// A workplace where all is well.
async fn sound(more: &str) -> Workplace {
    let workplace = Workplace::new().await;
    hold(&workplace, enough(&workplace), "*", more).await;
    workplace
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_it_says_so_and_what_it_saw() {
    let workplace = sound("").await;
    let report = doctor(&workplace, &[]).ends_with(0).json();
    assert_eq!((&report["ok"], wrong(&report)), (&json!(true), vec![]));
    assert!(
        !workplace.path("record.db").exists() && !workplace.path("record.db.lock").exists(),
        "it only reads"
    );
    assert!(answer(&report, "database")["detail"].as_str().unwrap().contains("the first audit makes it"));
    for probe in ["platform", "clock", "read oauth_clients_list", "read docs_swagger", "no more than needed"]
    {
        assert_eq!(answer(&report, probe)["org"], "acme");
    }
    let observed = |belief: &str| {
        let list = report["observed"].as_array().unwrap();
        let one =
            list.iter().find(|one| one["belief"] == belief).unwrap_or_else(|| panic!("{belief}: {report}"));
        one["observed"].as_str().unwrap().to_owned()
    };
    assert!(observed("the client listing comes whole").contains("paging parameters are ignored"));
    // The simulator sends them, as the platform may: that is told, and no secret.
    assert!(observed("client records carry no secret").ends_with(" carry one (it is never kept)"));
    assert!(!report.to_string().contains("\"secret\""), "{report}");
    assert!(observed("answers carry the rate limit of the token").starts_with("300 calls allowed"));
    assert_eq!(observed("GET /api/v2/users/me refuses a client-credentials token with 400"), "status 400");
    assert!(observed("roles show wildcards as written").starts_with("raw in "));
    assert_eq!(observed("the platform's definition lists every operation"), "3321 operations");
    // Another organisation behaves otherwise, and that is what is told.
    let settings = json!({ "expand_wildcards": true, "paged_clients": true });
    workplace.call(Method::PUT, "/_simulator/settings", Some(&settings)).await;
    workplace.run(&["audit"]).ends_with(0);
    let text = workplace.run(&["doctor"]).ends_with(0).stdout;
    assert!(text.contains("pageSize=1 gave one record: paging parameters are honoured"), "{text}");
    assert!(text.contains("none came raw"), "{text}");
    assert!(text.contains("Observed on acme:") && text.contains("PROBE"), "{text}");
    assert!(text.contains("free: no daemon and no audit is running here"), "{text}");
    assert!(!text.contains("To do:"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_auditor_lacks_or_has_too_much_is_named() {
    let workplace = Workplace::new().await;
    let mut lacking = enough(&workplace);
    policies(&mut lacking).retain(|policy| policy["entityName"] != "role");
    hold(&workplace, lacking, "*", "").await;
    let report = doctor(&workplace, &[]).ends_with(1).json();
    assert_eq!(wrong(&report), [problem("read roles_list"), problem("permission authorization:role:view")]);
    let said = answer(&report, "permission authorization:role:view");
    assert!(said["advice"].as_str().unwrap().contains("--role json"), "{said}");

    let mut extra = enough(&workplace);
    policies(&mut extra).extend([
        json!({ "domain": "oauth", "entityName": "client", "actionSet": ["edit"] }),
        json!({ "domain": "authorization", "entityName": "*", "actionSet": ["*"] }),
    ]);
    hold(&workplace, extra, "*", "").await;
    let report = doctor(&workplace, &[]).ends_with(1).json();
    assert_eq!(wrong(&report), [problem("no more than needed")]);
    let detail = answer(&report, "no more than needed")["detail"].as_str().unwrap();
    assert!(detail.contains("oauth:client:edit") && detail.contains("authorization:*:*"), "{detail}");

    let home = workplace.call(Method::GET, "/api/v2/authorization/divisions/home", None).await;
    hold(&workplace, enough(&workplace), home["id"].as_str().unwrap(), "").await;
    let wrong = wrong(&doctor(&workplace, &[]).ends_with(1).json());
    for probe in ["permission oauth:client:view", "permission authorization:role:view", "divisions"] {
        assert!(wrong.contains(&problem(probe)), "{probe}: {wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_and_a_platform_that_refuses_are_told_apart() {
    let workplace = sound("").await;
    let settings = json!({ "date": "Wed, 21 Oct 2020 07:28:00 GMT" });
    workplace.call(Method::PUT, "/_simulator/settings", Some(&settings)).await;
    let report = doctor(&workplace, &[]).ends_with(1).json();
    assert_eq!(wrong(&report), [problem("clock")]);
    let clock = answer(&report, "clock");
    assert!(clock["detail"].as_str().unwrap().contains(" s ahead of the platform's"), "{clock}");
    assert!(clock["advice"].as_str().unwrap().contains("webhook signatures"), "{clock}");

    workplace.secret("secret", "not-the-secret");
    let ran = doctor(&workplace, &[]).ends_with(1);
    assert_eq!(wrong(&ran.json()), [problem("platform")]);
    assert!(!ran.stdout.contains("not-the-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_are_connected_to_and_get_a_test_only_if_asked_for() {
    let workplace = Workplace::new().await;
    let receiver = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
    let alive = workplace.receiver(&format!("{}/hook", receiver.uri()));
    hold(&workplace, enough(&workplace), "*", &alive).await;
    let report = doctor(&workplace, &[]).ends_with(0).json();
    assert_eq!(answer(&report, "receiver secops")["verdict"], "ok");
    assert_eq!(receiver.received_requests().await.unwrap().len(), 0, "connected to, sent nothing");

    let report = doctor(&workplace, &["--send-test"]).ends_with(0).json();
    assert_eq!(answer(&report, "test message to secops")["verdict"], "ok");
    let requests = receiver.received_requests().await.unwrap();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let headers = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    let mut signed = http_headers();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        signed.insert(name, headers(name).parse().unwrap());
    }
    Webhook::new(SIGNING_SECRET).unwrap().verify(&request.body, &signed).unwrap();
    let body: Value = request.body_json().unwrap();
    assert_eq!((&body["type"], &body["data"]["receiver"]), (&json!("test"), &json!("secops")));
    assert!(headers("webhook-id").starts_with("msg-test-"));
    assert!(!workplace.path("record.db").exists(), "a test is not recorded");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = workplace.receiver(&format!("http://{free}/hook?token=canary"));
    hold(&workplace, enough(&workplace), "*", &dead).await;
    let ran = doctor(&workplace, &["--send-test"]).ends_with(1);
    assert_eq!(wrong(&ran.json()), ["receiver secops", "test message to secops"].map(problem));
    assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
}

fn http_headers() -> reqwest::header::HeaderMap {
    reqwest::header::HeaderMap::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_none_or_held_is_told() {
    let workplace = sound("").await;
    workplace.run(&["audit"]).ends_with(0);
    let held = scopewarden::daemon::lock::acquire(&workplace.path("record.db")).unwrap();
    let report = doctor(&workplace, &[]).ends_with(0).json();
    assert!(answer(&report, "lock")["detail"].as_str().unwrap().starts_with("held"));
    drop(held);
    fs::write(workplace.path("record.db"), "this is no database, whatever its name says it is").unwrap();
    let report = doctor(&workplace, &[]).ends_with(1).json();
    assert_eq!(wrong(&report), [problem("database")]);
}

#[test]
fn the_role_that_it_prints_is_the_one_that_is_shipped() {
    let folder = tempfile::TempDir::new().unwrap();
    let print = |format: &str| {
        let mut command = program(folder.path());
        command.args(["doctor", "--role", format]);
        run(command).ends_with(0).stdout
    };
    let shipped = |name: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/genesys").join(name)).unwrap()
    };
    let role: Value = serde_json::from_str(&print("json")).unwrap();
    assert_eq!(role, serde_json::from_str::<Value>(&shipped("auditor-role.json")).unwrap());
    let resource = print("terraform");
    assert!(shipped("auditor-role.tf").contains(&resource), "{resource}");
}
