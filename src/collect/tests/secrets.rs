//! Nothing leaks: not the auditor's secret, not the token, not a client's `secret`, not a word of a body.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Everything that this thread logs, down to TRACE, ours and our dependencies'.
pub(super) struct Capture {
    log: Log,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Capture {
    pub(super) fn start() -> Self {
        // A thread without a subscriber that is the first to reach a log line would switch it off for every thread.
        // With this one, which prints nothing, there is no such thread. A second attempt fails, and need not succeed.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        Self { log, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Every canary of these tests contains the word; base64 of the auditor's credentials is the last one.
const CANARIES: [&str; 2] = ["canary", "YXVkaXRvci1pZDpjYW5hcnktYXVkaXRvci1zZWNyZXQ"];

fn assert_silent(what: &str, text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {what}: {text}");
    }
}

#[tokio::test]
async fn a_good_audit_tells_no_secret() {
    let capture = Capture::start();
    let platform = Platform::start().await;
    let mut collector = platform.collector();
    let facts = collector.gather(&Known::default(), now()).await.unwrap();
    assert_silent("the facts", &format!("{facts:?}"));
    assert_silent("a client", &serde_json::to_string(&facts.clients).unwrap());
    assert_silent("the collector", &format!("{collector:?}"));
    let log = capture.text();
    assert!(log.contains("called the platform") && log.contains("oauth_clients_list"), "{log}");
    assert_silent("the log", &log);
}

#[tokio::test]
async fn a_bad_audit_tells_no_secret() {
    let echo = r#"{"message":"canary [canary]","code":"canary","error":"canary","description":"canary"}"#;
    let answers = [
        ok("{\"entities\":[{\"id\":7,\"name\":\"canary\",\"secret\":\"canary\"}]}"),
        ok("{\"entities\":[{\"id\":{\"canary\":1}}]}"),
        ok("canary"),
        ResponseTemplate::new(400).set_body_string(echo),
        ResponseTemplate::new(401).set_body_string(echo),
        ResponseTemplate::new(403).set_body_string(echo),
        ResponseTemplate::new(418).set_body_string(echo),
        ResponseTemplate::new(429).set_body_string(echo).insert_header("retry-after", "canary"),
        ResponseTemplate::new(500).set_body_string(echo).insert_header("inin-correlation-id", "canary"),
        ResponseTemplate::new(302).insert_header("location", "https://canary.example/?canary"),
    ];
    for template in answers {
        for endpoint in [Endpoint::Token, Endpoint::Clients, Endpoint::Divisions] {
            let capture = Capture::start();
            let platform = Platform::start().await;
            let answer = template.clone();
            platform.answer(endpoint, move |_| answer.clone()).await;
            let mut collector = platform.collector();
            let outcome = collector.gather(&Known::default(), now()).await;
            let text = match &outcome {
                Ok(facts) => format!("{:?}", facts.divisions),
                Err(error) => format!("{error} {error:?} {}", error.reason()),
            };
            assert_silent("the outcome", &text);
            assert_silent("the collector", &format!("{collector:?}"));
            assert_silent("the log", &capture.text());
        }
    }
}

#[tokio::test]
async fn a_proxy_carries_every_call_and_nobody_tells_its_password() {
    let capture = Capture::start();
    let platform = Platform::start().await;
    let proxy = platform.server.uri().replace("http://", "http://proxy-user:canary@");
    // The name exists for the proxy only, which here answers by itself.
    let through =
        Org { proxy: Some(SecretUrl::new(proxy.parse().unwrap())), ..org("http://platform.invalid") };
    let metrics = Arc::new(Metrics::default());
    let mut collector = Collector::with_limits(&through, Duration::from_hours(1), metrics, LIMITS).unwrap();
    collector.gather(&Known::default(), now()).await.unwrap();
    for endpoint in [Endpoint::Token, Endpoint::Clients] {
        let request = &platform.received(endpoint).await[0];
        assert_eq!(request.headers["proxy-authorization"], "Basic cHJveHktdXNlcjpjYW5hcnk=");
        assert_eq!(request.headers["host"], "platform.invalid");
    }
    assert_silent("the settings", &format!("{through:?}"));
    assert_silent("the collector", &format!("{collector:?}"));
    let log = capture.text();
    assert_silent("the log", &log);
    assert!(!log.contains("cHJveHktdXNlcjpjYW5hcnk"), "{log}");
}
