mod paths;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::SecretString;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use url::Url;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;
use crate::{config::Target, domain::route::Route, notify::Blame, telemetry::DELIVERY_FAILURE_REASONS};

/// Its bytes spell out what they are; nothing of it may show up anywhere.
const SECRET: &str = "whsec_Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0";
/// The last is the base64 of a proxy's credentials.
const CANARIES: [&str; 6] = ["canary", "Y2FuYXJ5", "T0KEN", "path-", "query-", "Y2FuYXJ5OmNhbmFyeQ"];
const BODY: &[u8] =
    "{\"type\":\"drift.detected\",\"data\":{\"name\":\"Zoë \\u0000\",  \"n\":1}}\n".as_bytes();

fn target(url: &str, secret: &str) -> Target {
    let url = SecretUrl::new(Url::parse(url).unwrap());
    Target::Webhook { url, secret: SecretString::from(secret).into(), previous: None }
}

fn webhook(receiver: &Receiver) -> Result<Webhook, Error> {
    with(receiver, LIMITS, System)
}

fn with(receiver: &Receiver, limits: Limits, resolver: impl Resolve + 'static) -> Result<Webhook, Error> {
    let Target::Webhook { url, secret, previous } = &receiver.target else { panic!("no webhook") };
    Webhook::with(receiver, url, [Some(secret), previous.as_ref()], limits, resolver)
}

fn receiver(url: &str) -> Receiver {
    Receiver {
        name: "secops".to_owned(),
        target: target(url, SECRET),
        route: Route::ALL,
        deny_private: false,
        proxy: None,
    }
}

fn quick(url: &str) -> Webhook {
    let total = Duration::from_millis(300);
    with(&receiver(url), Limits { connect: total, total, ..LIMITS }, System).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// The verifier of the library reads the wall clock, so what it shall accept is signed at it.
#[expect(clippy::disallowed_methods, reason = "the peer's verifier compares with the wall clock")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(template).mount(&server).await;
    server
}

/// One attempt at a receiver that answers like this.
async fn outcome(template: ResponseTemplate) -> Outcome {
    let server = answering(template).await;
    webhook(&receiver(&server.uri())).unwrap().deliver("msg_1", BODY, at(784_111_777)).await
}

/// A socket that treats each connection as `serve` says, once the request's head is there.
async fn raw<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> (String, JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            serve(stream).await;
        }
    });
    (url, task)
}

#[tokio::test]
async fn a_delivery_verifies_and_a_forgery_does_not() {
    let server = answering(ResponseTemplate::new(202)).await;
    let webhook = self::webhook(&receiver(&server.uri())).unwrap();
    let now = wall_clock();
    assert_eq!(webhook.deliver("msg_1", BODY, now).await, Outcome::Delivered);
    let old = now - chrono::TimeDelta::minutes(6);
    assert_eq!(webhook.deliver("msg_1", BODY, old).await, Outcome::Delivered);

    let requests = server.received_requests().await.unwrap();
    let (sent, late) = (&requests[0], &requests[1]);
    let peer = Signer::new(SECRET).unwrap();
    peer.verify(&sent.body, &sent.headers).unwrap();

    for index in [0, BODY.len() / 2, BODY.len() - 1] {
        let mut forged = sent.body.clone();
        forged[index] ^= 1;
        assert!(peer.verify(&forged, &sent.headers).is_err(), "byte {index} flipped");
    }
    let mut renamed = sent.headers.clone();
    renamed.insert(HEADER_WEBHOOK_ID, HeaderValue::from_static("msg_2"));
    assert!(peer.verify(&sent.body, &renamed).is_err(), "another id");
    let mut postdated = late.headers.clone();
    postdated.insert(HEADER_WEBHOOK_TIMESTAMP, HeaderValue::from(now.timestamp()));
    assert!(peer.verify(&late.body, &postdated).is_err(), "another timestamp");
    assert!(peer.verify(&late.body, &late.headers).is_err(), "an old message, replayed");
    let stranger = Signer::new("whsec_c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXI=").unwrap();
    assert!(stranger.verify(&sent.body, &sent.headers).is_err(), "another secret");
}

#[tokio::test]
async fn while_secrets_are_changed_either_verifies() {
    let server = answering(ResponseTemplate::new(202)).await;
    let before = "whsec_YmVmb3JlLWJlZm9yZS1iZWZvcmUtYmVmb3Jl";
    let Target::Webhook { url, secret, .. } = target(&server.uri(), SECRET) else { panic!("no webhook") };
    let previous = Some(SecretString::from(before).into());
    let receiver = Receiver { target: Target::Webhook { url, secret, previous }, ..receiver(&server.uri()) };
    let now = wall_clock();
    assert_eq!(webhook(&receiver).unwrap().deliver("msg_1", BODY, now).await, Outcome::Delivered);
    let sent = &server.received_requests().await.unwrap()[0];
    let signature = sent.headers[HEADER_WEBHOOK_SIGNATURE].to_str().unwrap();
    let parts: Vec<&str> = signature.split(' ').collect();
    assert!(parts.len() == 2 && parts.iter().all(|part| part.starts_with("v1,")), "{signature}");
    for secret in [SECRET, before] {
        Signer::new(secret).unwrap().verify(&sent.body, &sent.headers).unwrap();
    }
    let stranger = Signer::new("whsec_c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXI=").unwrap();
    assert!(stranger.verify(&sent.body, &sent.headers).is_err());
}

#[tokio::test]
async fn every_attempt_sends_the_same_id_and_bytes_and_its_own_time() {
    let server = answering(ResponseTemplate::new(503)).await;
    let webhook = self::webhook(&receiver(&format!("{}/path-x?query-y=1", server.uri()))).unwrap();
    for attempt in 1..=3 {
        let outcome = webhook.deliver("msg_1", BODY, at(1000 * attempt)).await;
        assert_eq!(outcome.reason(), Some("server"));
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    for (request, timestamp) in requests.iter().zip(["1000", "2000", "3000"]) {
        assert_eq!(request.method.as_str(), "POST");
        assert_eq!((request.url.path(), request.url.query()), ("/path-x", Some("query-y=1")));
        assert_eq!(request.body, BODY);
        assert_eq!(request.headers[HEADER_WEBHOOK_ID], "msg_1");
        assert_eq!(request.headers[HEADER_WEBHOOK_TIMESTAMP], timestamp);
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["user-agent"], concat!("scopewarden/", env!("CARGO_PKG_VERSION")));
        let signature = request.headers[HEADER_WEBHOOK_SIGNATURE].to_str().unwrap();
        assert!(signature.starts_with("v1,") && !signature.contains(' '), "{signature}");
    }
    assert_ne!(requests[0].headers[HEADER_WEBHOOK_SIGNATURE], requests[1].headers[HEADER_WEBHOOK_SIGNATURE]);
}

#[tokio::test]
async fn each_status_has_its_outcome() {
    #[derive(Debug, PartialEq)]
    enum Kind {
        Delivered,
        Retry,
        Refused(Blame),
        Disabled,
    }
    use Blame::{Message, Sender};
    use Kind::{Delivered, Disabled, Refused, Retry};
    let table = [
        (200, Delivered, None),
        (202, Delivered, None),
        (204, Delivered, None),
        (304, Retry, Some("redirect")),
        (400, Refused(Message), Some("rejected")),
        (401, Refused(Sender), Some("rejected")),
        (403, Refused(Sender), Some("rejected")),
        (404, Refused(Sender), Some("rejected")),
        (402, Refused(Sender), Some("rejected")),
        (405, Refused(Sender), Some("rejected")),
        (406, Refused(Sender), Some("rejected")),
        (407, Refused(Sender), Some("rejected")),
        (408, Retry, Some("timeout")),
        (409, Retry, Some("rejected")),
        (410, Disabled, Some("gone")),
        (413, Refused(Message), Some("rejected")),
        (415, Refused(Message), Some("rejected")),
        (418, Refused(Sender), Some("rejected")),
        (422, Refused(Message), Some("rejected")),
        (424, Refused(Sender), Some("rejected")),
        (425, Retry, Some("rejected")),
        (429, Retry, Some("throttled")),
        (430, Refused(Sender), Some("rejected")),
        (451, Refused(Sender), Some("rejected")),
        (499, Refused(Sender), Some("rejected")),
        (500, Retry, Some("server")),
        (502, Retry, Some("server")),
        (503, Retry, Some("server")),
        (504, Retry, Some("server")),
        (599, Retry, Some("server")),
    ];
    for (status, want, reason) in table {
        let outcome = outcome(ResponseTemplate::new(status)).await;
        let got = match &outcome {
            Outcome::Delivered => Delivered,
            Outcome::Retry { detail, .. } => {
                assert!(detail.contains(&status.to_string()), "{detail}");
                Retry
            }
            Outcome::Refused { blames, detail } => {
                assert!(detail.contains(&status.to_string()), "{detail}");
                Refused(*blames)
            }
            Outcome::Dead { .. } => panic!("{status}: no answer is the end of a message"),
            Outcome::Disabled { detail } => {
                assert!(detail.contains("410"), "{detail}");
                Disabled
            }
        };
        assert_eq!((got, outcome.reason()), (want, reason), "{status}");
        assert!(reason.is_none_or(|reason| DELIVERY_FAILURE_REASONS.contains(&reason)), "{reason:?}");
    }
}

#[tokio::test]
async fn retry_after_is_passed_on_where_it_means_something() {
    for (status, header, want) in [
        (429, "17", Some(17)),
        (503, "Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        (502, "999999", Some(3600)),
        (504, "0", Some(0)),
        (429, "soon", None),
        (500, "17", None),
        (409, "17", None),
    ] {
        let outcome = outcome(ResponseTemplate::new(status).insert_header("retry-after", header)).await;
        let Outcome::Retry { after, .. } = outcome else { panic!("{status}: {outcome:?}") };
        assert_eq!(after, want.map(Duration::from_secs), "{status}, {header}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = answering(ResponseTemplate::new(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let outcome =
            outcome(ResponseTemplate::new(status).insert_header("location", elsewhere.uri().as_str())).await;
        assert_eq!(outcome.reason(), Some("redirect"), "{status}");
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up() {
    let (url, server) = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    assert_eq!(quick(&url).deliver("msg_1", BODY, at(1)).await.reason(), Some("timeout"));
    server.abort();
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_given_up() {
    let (url, server) = raw(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(quick(&url).deliver("msg_1", BODY, at(1)).await.reason(), Some("timeout"));
    server.abort();
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let written = Arc::new(Mutex::new(None));
    let report = Arc::clone(&written);
    let (url, server) = raw(move |mut stream| {
        let report = Arc::clone(&report);
        async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n").await.unwrap();
            let mut total = 0_usize;
            while let Ok(count) = stream.write(&[b'x'; 16 * 1024]).await {
                total += count;
            }
            *report.lock().unwrap() = Some(total);
        }
    })
    .await;
    let webhook = self::webhook(&receiver(&url)).unwrap();
    assert_eq!(webhook.deliver("msg_1", BODY, at(1)).await, Outcome::Delivered);
    let closed = async {
        loop {
            let total = *written.lock().unwrap();
            if let Some(total) = total {
                return total;
            }
            tokio::task::yield_now().await;
        }
    };
    let total =
        tokio::time::timeout(Duration::from_secs(10), closed).await.expect("the connection stays open");
    // What the kernel buffers on both sides comes on top of the 64 KiB.
    assert!(total < 32 * 1024 * 1024, "{total} bytes were taken");
    server.abort();
}

#[tokio::test]
async fn an_accepted_message_whose_answer_breaks_or_drips_is_delivered() {
    for end in ["break", "drip"] {
        let (url, server) = raw(move |mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx").await.unwrap();
            if end == "drip" {
                std::future::pending::<()>().await;
            }
        })
        .await;
        assert_eq!(quick(&url).deliver("msg_1", BODY, at(1)).await, Outcome::Delivered, "{end}");
        server.abort();
    }
}

#[tokio::test]
async fn broken_connections_are_tried_again() {
    let (closing, server) = raw(|stream| async move { drop(stream) }).await;
    let (babbling, other) = raw(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    })
    .await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [
        closing.clone(),
        closing.replace("http:", "https:"),
        babbling,
        format!("http://{unused}"),
        "http://no-such-name.invalid".to_owned(),
    ] {
        let outcome = quick(&url).deliver("msg_1", BODY, at(1)).await;
        assert!(matches!(outcome, Outcome::Retry { .. }), "{url}: {outcome:?}");
        assert!(matches!(outcome.reason(), Some("network" | "timeout")), "{url}: {outcome:?}");
    }
    server.abort();
    other.abort();
}

#[tokio::test]
async fn an_address_is_refused_as_a_literal_and_behind_a_name() {
    for url in ["http://169.254.169.254/path-T0KEN", "http://[::ffff:a9fe:a9fe]/?query-canary"] {
        let error = webhook(&receiver(url)).unwrap_err().to_string();
        assert!(error.contains("\"secops\"") && error.contains("metadata"), "{error}");
        assert!(CANARIES.iter().all(|canary| !error.contains(canary)), "{error}");
    }

    let server = answering(ResponseTemplate::new(200)).await;
    let port = server.address().port();
    let strict = |url: &str| webhook(&Receiver { deny_private: true, ..receiver(url) });
    for literal in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]"] {
        assert!(strict(&format!("http://{literal}:{port}")).is_err(), "{literal}");
    }
    assert!(strict(&format!("http://localhost:{port}/path-T0KEN")).is_err());
    assert!(server.received_requests().await.unwrap().is_empty(), "it was dialled all the same");
    let allowed = webhook(&receiver(&format!("http://localhost:{port}/path-T0KEN"))).unwrap();
    assert_eq!(allowed.deliver("msg_1", BODY, at(1)).await, Outcome::Delivered);
}

#[tokio::test]
async fn what_cannot_be_signed_is_not_sent() {
    let server = answering(ResponseTemplate::new(200)).await;
    let webhook = self::webhook(&receiver(&server.uri())).unwrap();
    for (id, body) in
        [("", BODY), ("a.b", BODY), ("a b", BODY), ("a\r\nx: y", BODY), ("msg_1", b"\xff\xfe".as_slice())]
    {
        let outcome = webhook.deliver(id, body, at(1)).await;
        assert!(matches!(outcome, Outcome::Dead { reason: "rejected", .. }), "{id:?}: {outcome:?}");
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let page = Page::default();
    let writer = page.clone();
    // Everything at trace, dependencies too: harsher than what the program's own log set-up lets through.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let mut shown = Vec::new();
    let echo = ResponseTemplate::new(400).set_body_json(json!({"echo": "canary"}));
    let server = answering(echo).await;
    let (closing, closer) = raw(|stream| async move { drop(stream) }).await;
    let tail = "/path-T0KEN?query-T0KEN=canary#canary";
    for base in [
        server.uri(),
        server.uri().replace("http://", "http://user:canary@"),
        closing.clone(),
        closing.replace("http:", "https:"),
        "http://no-such-name.invalid".to_owned(),
    ] {
        let webhook = quick(&format!("{base}{tail}"));
        shown.push(format!("{webhook:?}"));
        shown.push(format!("{:?}", webhook.deliver("msg_1", BODY, at(1)).await));
    }
    for proxy in [server.uri(), closing.clone()] {
        let proxy = SecretUrl::new(Url::parse(&proxy.replace("http://", "http://canary:canary@")).unwrap());
        for target in ["http://hooks.test", "https://hooks.test"] {
            let receiver = Receiver { proxy: Some(proxy.clone()), ..receiver(&format!("{target}{tail}")) };
            let webhook = self::webhook(&receiver).unwrap();
            shown.push(format!("{receiver:?} {webhook:?} {:?}", webhook.deliver("msg_1", BODY, at(1)).await));
        }
    }
    closer.abort();
    let bad = Receiver { target: target(&server.uri(), "whsec_canary!canary"), ..receiver(&server.uri()) };
    let error = webhook(&bad).unwrap_err();
    shown.push(format!("{error} {error:?}"));
    tracing::trace!("the log is on");
    shown.push(String::from_utf8(page.0.lock().unwrap().clone()).unwrap());

    assert!(shown.last().is_some_and(|log| log.contains("the log is on")));
    for text in shown {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}
