//! Receivers of every kind, from the command line: are they reached, what do they get?

use std::fs;

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use super::workplace::Workplace;

const ROUTING_KEY: &str = "canary7890123456789012345678901x";

/// One server for all, as each vendor answers.
async fn vendors() -> MockServer {
    let server = MockServer::start().await;
    for (place, answer) in [
        ("/services/canary", ResponseTemplate::new(200).set_body_string("ok")),
        ("/workflows/canary", ResponseTemplate::new(202)),
        ("/v2/enqueue", ResponseTemplate::new(202).set_body_json(json!({ "status": "success" }))),
        ("/api/v2/alerts", ResponseTemplate::new(200)),
    ] {
        Mock::given(method("POST")).and(path(place)).respond_with(answer).mount(&server).await;
    }
    server
}

fn configure(workplace: &Workplace, origin: &str) {
    workplace.secret("slack", &format!("{origin}/services/canary"));
    workplace.secret("teams", &format!("{origin}/workflows/canary?sig=canary"));
    workplace.secret("key", ROUTING_KEY);
    let org = workplace.org("acme");
    workplace.configure(&format!(
        "{org}
[[receiver]]
name = \"chat\"
kind = \"slack\"
url_file = \"slack\"
[[receiver]]
name = \"team\"
kind = \"teams\"
url_file = \"teams\"
[[receiver]]
name = \"pager\"
kind = \"pagerduty\"
url = \"{origin}/v2/enqueue\"
routing_key_file = \"key\"
[[receiver]]
name = \"am\"
kind = \"alertmanager\"
url = \"{origin}\"
[[receiver]]
name = \"siem\"
kind = \"ocsf-file\"
path = \"ocsf.jsonl\"
"
    ));
}

async fn bodies(server: &MockServer, place: &str) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let those = requests.iter().filter(|request| request.url.path() == place);
    those.map(|request| request.body_json().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_gets_a_test_that_a_person_can_see() {
    let workplace = Workplace::new().await;
    let server = vendors().await;
    configure(&workplace, &server.uri());
    let quiet = workplace.run(&["doctor", "--json"]);
    assert!(server.received_requests().await.unwrap().is_empty(), "connected to, sent nothing");
    assert!(!workplace.path("ocsf.jsonl").exists(), "looked at, not written");
    let ran = workplace.run(&["doctor", "--send-test", "--json"]);
    for said in [&quiet, &ran] {
        assert!(!said.stdout.contains("canary") && !said.stderr.contains("canary"), "{}", said.stdout);
    }
    let report = ran.json();
    let verdict = |probe: String| {
        let answers = report["answers"].as_array().unwrap();
        answers.iter().find(|answer| answer["probe"] == json!(probe)).map(|answer| answer["verdict"].clone())
    };
    for name in ["chat", "team", "pager", "am", "siem"] {
        assert_eq!(verdict(format!("receiver {name}")), Some(json!("ok")), "{name}: {report}");
        assert_eq!(verdict(format!("test message to {name}")), Some(json!("ok")), "{name}: {report}");
    }
    let said = "a test by `scopewarden doctor --send-test`";
    let [slack] = &bodies(&server, "/services/canary").await[..] else { panic!("not one message") };
    assert!(slack["text"].as_str().unwrap().contains(said), "{slack}");
    let [card] = &bodies(&server, "/workflows/canary").await[..] else { panic!("not one card") };
    assert!(card.to_string().contains("doctor --send-test"), "{card}");
    let [event] = &bodies(&server, "/v2/enqueue").await[..] else { panic!("not one event") };
    assert_eq!((&event["event_action"], &event["payload"]["severity"]), (&json!("trigger"), &json!("info")));
    let [alerts] = &bodies(&server, "/api/v2/alerts").await[..] else { panic!("not one list") };
    assert_eq!(alerts[0]["labels"]["alertname"], "ScopewardenTest");
    let line: Value =
        serde_json::from_str(&fs::read_to_string(workplace.path("ocsf.jsonl")).unwrap()).unwrap();
    assert!(line["message"].as_str().unwrap().contains(said), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_tells_all_but_the_alertmanager_which_is_told_by_the_daemon() {
    let workplace = Workplace::new().await;
    let server = vendors().await;
    configure(&workplace, &server.uri());
    workplace.run(&["audit"]).ends_with(0);
    let rows = workplace.run(&["outbox", "list", "--json"]).ends_with(0).json();
    let receivers: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["receiver"].as_str().unwrap()).collect();
    for name in ["chat", "team", "pager", "siem"] {
        assert_eq!(receivers.iter().filter(|one| **one == name).count(), 1, "{rows}");
    }
    assert!(!receivers.contains(&"am"), "{rows}");
    assert!(!rows.to_string().contains("canary"), "{rows}");
}
