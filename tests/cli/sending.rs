//! Alerts, and the outbox that they wait in.

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::workplace::Workplace;

async fn receiver(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
    server
}

fn configure(workplace: &Workplace, receiver: &MockServer) {
    let sections = [workplace.org("acme"), workplace.receiver(&format!("{}/hook", receiver.uri()))];
    workplace.configure(&sections.concat());
}

fn outbox(workplace: &Workplace, arguments: &[&str]) -> Vec<Value> {
    let ran = workplace.run(&[&["outbox", "list", "--json"], arguments].concat()).ends_with(0);
    ran.json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_delivers_what_it_has_to_tell() {
    let workplace = Workplace::new().await;
    let receiver = receiver(204).await;
    configure(&workplace, &receiver);
    let text = workplace.run(&["audit"]).ends_with(0).stdout;
    assert!(text.contains("Alerts: 1 delivered, 0 to be tried again, 0 given up"), "{text}");
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    workplace.run(&["audit"]).ends_with(0);

    let requests = receiver.received_requests().await.unwrap();
    let types: Vec<String> = requests
        .iter()
        .map(|request| request.body_json::<Value>().unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types[0], "baseline.recorded");
    assert_eq!(types[1], "drift.detected");
    let rows = outbox(&workplace, &["--state", "delivered"]);
    assert_eq!(rows.len(), requests.len());
    let oldest = rows.last().unwrap();
    assert_eq!(oldest["receiver"], "secops");
    assert_eq!(oldest["type"], "baseline.recorded");
    assert_eq!(oldest["id"].as_str().unwrap(), requests[0].headers["webhook-id"].to_str().unwrap());
    for field in ["severity", "order_key", "state", "created", "settled"] {
        assert!(oldest[field].is_string(), "{field}: {oldest}");
    }
    assert!(outbox(&workplace, &["--state", "pending"]).is_empty());
    assert!(outbox(&workplace, &["--receiver", "nobody"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_message_is_sent_again_or_taken_out_by_hand() {
    let workplace = Workplace::new().await;
    let refusing = receiver(410).await;
    configure(&workplace, &refusing);
    let text = workplace.run(&["audit"]).ends_with(0).stdout;
    assert!(text.contains("1 given up") && text.contains("scopewarden outbox list"), "{text}");
    let dead = outbox(&workplace, &["--state", "dead"]);
    let [message] = dead.as_slice() else { panic!("{dead:?}") };
    assert!(message["detail"].as_str().unwrap().contains("410"), "{message}");
    let table = workplace.run(&["outbox", "list"]).ends_with(0).stdout;
    assert!(table.contains("secops") && table.contains("dead"), "{table}");

    let unknown = workplace.run(&["outbox", "retry", "msg-none"]).ends_with(1);
    assert!(unknown.stderr.contains("outbox list"), "{}", unknown.stderr);
    let accepting = receiver(200).await;
    configure(&workplace, &accepting);
    assert_eq!(
        workplace.run(&["outbox", "retry", "--all", "--json"]).ends_with(0).json(),
        json!({ "retried": 1 })
    );
    assert_eq!(outbox(&workplace, &["--state", "pending"]).len(), 1);
    workplace.run(&["audit"]).ends_with(0);
    assert_eq!(accepting.received_requests().await.unwrap().len(), 1);

    configure(&workplace, &refusing);
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    workplace.run(&["audit"]).ends_with(0);
    let dead = outbox(&workplace, &["--state", "dead"]);
    let id = dead[0]["id"].as_str().unwrap();
    assert_eq!(workplace.run(&["outbox", "purge", id]).ends_with(0).stdout, "purged 1 message\n");
    workplace.run(&["outbox", "purge", "--dead"]).ends_with(0);
    assert!(outbox(&workplace, &["--state", "dead"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_says_what_to_do_about_the_dead_and_about_receivers_that_are_no_more() {
    let workplace = Workplace::new().await;
    let refusing = receiver(410).await;
    configure(&workplace, &refusing);
    workplace.run(&["audit"]).ends_with(0);
    let text = workplace.run(&["outbox", "list"]).ends_with(0).stdout;
    assert!(text.contains("outbox retry --all") && !text.contains("not configured"), "{text}");

    workplace.configure(&workplace.org("acme"));
    let text = workplace.run(&["outbox", "list"]).ends_with(0).stdout;
    assert!(text.contains("secops (not configured)"), "{text}");
    assert!(text.contains("outbox purge --undelivered --receiver secops"), "{text}");
    assert_eq!(outbox(&workplace, &[])[0]["receiver_configured"], false);
    // What is to be deleted is named exactly.
    for vague in [
        &["outbox", "purge"][..],
        &["outbox", "purge", "--undelivered"],
        &["outbox", "purge", "--dead", "--undelivered", "--receiver", "secops"],
    ] {
        workplace.run(vague).ends_with(64);
    }
    let purged = workplace.run(&["outbox", "purge", "--undelivered", "--receiver", "secops"]).ends_with(0);
    assert_eq!(purged.stdout, "purged 1 message\n");
    assert!(outbox(&workplace, &[]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_waits_and_is_sent_by_the_next_audit() {
    let workplace = Workplace::new().await;
    configure(&workplace, &receiver(400).await);
    let text = workplace.run(&["audit"]).ends_with(0).stdout;
    assert!(text.contains("Alerts: 0 delivered, 1 to be tried again, 0 given up"), "{text}");
    configure(&workplace, &receiver(200).await);
    workplace.run(&["audit"]).ends_with(0);
    assert_eq!(outbox(&workplace, &["--state", "delivered"]).len(), 1);
}
