//! Who reads the output, and what nobody may read in it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use reqwest::Method;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::workplace::{SIGNING_SECRET, Workplace, run};

/// Every command that prints something of an organisation.
const COMMANDS: [&[&str]; 27] = [
    &["audit"],
    &["audit", "--json"],
    &["check-config"],
    &["clients"],
    &["clients", "--json"],
    &["access", "--all", "--operations"],
    &["access", "--all", "--format", "text"],
    &["access", "--all", "--if-enforced"],
    &["access", "--all", "--if-enforced", "--format", "text"],
    &["who-can", "directory:user:view"],
    &["who-can", "directory:user:view", "--format", "text"],
    &["diff"],
    &["diff", "--format", "text"],
    &["findings"],
    &["approvals", "list", "--all"],
    &["approvals", "export", "--format", "csv"],
    &["baseline", "--owner", "o", "--reason", "r", "--expires", "1d", "--dry-run"],
    &["export"],
    &["export", "--format", "ocsf"],
    &["export", "clients"],
    &["export", "permissions", "--format", "csv"],
    &["compliance", "nist"],
    &["compliance", "cis", "--format", "csv"],
    &["compliance", "iso", "--format", "markdown"],
    &["verify"],
    &["outbox", "list"],
    &["outbox", "list", "--json"],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_no_escape_code_whatever_things_are_called() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let name = "\u{1b}[31mRed\u{1b}[0m \u{202e}drawkcab";
    workplace.add_client(name, "Reporting_Engine_ReadOnly").await;
    for arguments in COMMANDS {
        let mut command = workplace.program();
        // Neither may change its mind.
        command
            .args(arguments)
            .env("CLICOLOR_FORCE", "1")
            .env("FORCE_COLOR", "1")
            .env("TERM", "xterm-256color");
        let ran = run(command).ends_with(0);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!text.contains('\u{1b}'), "{arguments:?}: {text:?}");
        assert!(!ran.stdout.is_empty(), "{arguments:?}");
    }
    let text = workplace.run(&["clients"]).ends_with(0).stdout;
    assert!(text.contains("\\u{1b}[31mRed\\u{1b}[0m \\u{202e}drawkcab"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_early_is_no_trouble() {
    let workplace = Workplace::new().await;
    for arguments in
        [&["audit"][..], &["audit", "--json"], &["access", "--all", "--operations"], &["findings"]]
    {
        let mut command = workplace.program();
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        drop(reader);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
        assert!(!line.is_empty(), "{arguments:?}");
    }
    // Nobody reads from the start.
    let mut command = workplace.program();
    let mut child = command.args(["clients"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_token_is_ever_printed() {
    let workplace = Workplace::new().await;
    let announced = workplace.simulator.announcement().clone();
    // Sign-in through a double, so that we know the token too.
    let token = workplace.token(&announced.client_id, &announced.client_secret).await;
    let login = MockServer::start().await;
    let answer = json!({ "access_token": token, "token_type": "bearer", "expires_in": 3600 });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&login).await;
    let receiver = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount(&receiver).await;
    let org = workplace
        .org("acme")
        .replace(&format!("login_url = \"{}\"", announced.url), &format!("login_url = \"{}\"", login.uri()));
    let receiver = workplace.receiver(&format!("{}/path-canary", receiver.uri()));
    workplace.configure(&[org, receiver].concat());

    let clients = workplace.call(Method::GET, "/_simulator/clients", None).await;
    let mut canaries: Vec<String> = clients
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|client| client["secret"].as_str())
        .filter(|secret| secret.len() > 8)
        .map(str::to_owned)
        .collect();
    assert!(canaries.len() > 5);
    let encoded = SIGNING_SECRET.trim_start_matches("whsec_");
    canaries.extend([token, encoded.to_owned(), "canary".to_owned()]);

    let look = |arguments: &[&str], code: i32| {
        let mut command = workplace.program();
        command.args(arguments).env("SCOPEWARDEN_LOG", "trace");
        let ran = run(command).ends_with(code);
        for canary in &canaries {
            for text in [&ran.stdout, &ran.stderr] {
                assert!(!text.contains(canary), "{arguments:?} prints {canary}:\n{text}");
            }
        }
        ran
    };
    let logged = look(&["audit", "--json"], 0).stderr;
    assert!(logged.contains("audit recorded"), "the log is on: {logged}");
    assert_eq!(login.received_requests().await.unwrap().len(), 1, "the double gave the token");
    for arguments in COMMANDS {
        look(arguments, 0);
    }
    // Nor when it goes wrong.
    workplace.fault("GET /api/v2/oauth/clients", "not_json").await;
    look(&["audit", "--json"], 1);
    let _: Vec<Value> = workplace.run(&["access", "--all"]).ends_with(0).json_lines();
}
