//! Single calls: the token, retries, the rate limit, and connections that misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{secrets::Capture, *};

#[tokio::test]
async fn the_token_is_asked_for_as_documented_and_sent_with_each_call() {
    let platform = Platform::start().await;
    platform.gather().await.unwrap();
    let [request] = &platform.received(Endpoint::Token).await[..] else { panic!("one token, please") };
    // auditor-id:canary-auditor-secret
    assert_eq!(request.headers["authorization"], "Basic YXVkaXRvci1pZDpjYW5hcnktYXVkaXRvci1zZWNyZXQ=");
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(request.body, b"grant_type=client_credentials");
    let [request] = &platform.received(Endpoint::Clients).await[..] else { panic!("one call, please") };
    assert_eq!(request.headers["authorization"], "Bearer canary-token-c2Vzc2lvbg");
    assert_eq!(request.headers["user-agent"], concat!("scopewarden/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_token_serves_until_a_minute_before_its_end() {
    let platform = Platform::start().await;
    let mut collector = platform.collector();
    // The token of the fixture lasts 86,399 seconds.
    for (advance_s, tokens) in [(0, 1), (86_399 - 120, 1), (61, 2), (1, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(advance_s)).await;
        tokio::time::resume();
        collector.gather(&Known::default(), now()).await.unwrap();
        assert_eq!(platform.received(Endpoint::Token).await.len(), tokens, "after {advance_s} s more");
    }
}

#[tokio::test]
async fn a_token_that_ends_at_once_is_renewed_for_each_call() {
    let platform = Platform::start().await;
    platform.answer(Endpoint::Token, |_| ok(r#"{"access_token":"t","expires_in":0}"#)).await;
    platform.gather().await.unwrap();
    assert_eq!(platform.received(Endpoint::Token).await.len(), 5);
}

#[tokio::test]
async fn an_absurd_lifetime_is_capped() {
    let platform = Platform::start().await;
    let eternal = format!(r#"{{"access_token":"t","expires_in":{}}}"#, i64::MAX);
    platform.answer(Endpoint::Token, move |_| ok(eternal.clone())).await;
    platform.gather().await.unwrap();
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_audit_goes_on() {
    for endpoint in [Endpoint::Clients, Endpoint::Roles, Endpoint::OwnSubject] {
        let platform = Platform::start().await;
        platform
            .answer_times(endpoint, 1, refusal(401, "bad.credentials", "Invalid login credentials."))
            .await;
        let facts = platform.gather().await.unwrap();
        assert_eq!(platform.received(Endpoint::Token).await.len(), 2);
        assert_eq!(facts.api_calls, 8, "six, the refused one and the second token");
    }
}

#[tokio::test]
async fn a_token_refused_twice_is_no_loop() {
    let platform = Platform::start().await;
    platform.answer(Endpoint::Clients, |_| refusal(401, "bad.credentials", "no")).await;
    let mut collector = platform.collector();
    for audit in 1..=2 {
        let error = collector.gather(&Known::default(), now()).await.unwrap_err();
        assert_eq!((error.reason(), error.is_retryable()), ("auth", false));
        assert_eq!(platform.received(Endpoint::Token).await.len(), 2 * audit);
        assert_eq!(platform.received(Endpoint::Clients).await.len(), 2 * audit);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_four_times() {
    for endpoint in [Endpoint::Token, Endpoint::Clients] {
        for status in [408, 429, 500, 502, 503, 504] {
            let platform = Platform::start().await;
            platform.answer_times(endpoint, 3, refusal(status, "canary", "canary")).await;
            platform.gather().await.unwrap();
            assert_eq!(platform.received(endpoint).await.len(), 4, "{endpoint} {status}");

            platform.answer(endpoint, move |_| refusal(status, "canary", "canary")).await;
            let error = platform.gather().await.unwrap_err();
            let reason = if status == 429 { "rate_limited" } else { "server" };
            assert_eq!((error.reason(), error.is_retryable()), (reason, true), "{endpoint} {status}");
            assert_eq!(platform.received(endpoint).await.len(), 8, "{endpoint} {status}");
        }
    }
}

#[tokio::test]
async fn what_will_not_pass_is_tried_once() {
    for endpoint in [Endpoint::Token, Endpoint::Roles] {
        for status in [400, 403, 404, 409, 413, 422, 501] {
            let platform = Platform::start().await;
            platform.answer(endpoint, move |_| refusal(status, "canary", "canary")).await;
            assert!(!platform.gather().await.unwrap_err().is_retryable());
            assert_eq!(platform.received(endpoint).await.len(), 1, "{endpoint} {status}");
        }
    }
}

#[tokio::test]
async fn an_optional_call_that_fails_for_good_leaves_the_rest() {
    let platform = Platform::start().await;
    platform.answer(Endpoint::Divisions, |_| ResponseTemplate::new(503)).await;
    let facts = platform.gather().await.unwrap();
    let crate::domain::facts::Reading::Gap(gap) = facts.divisions else { panic!("{:?}", facts.divisions) };
    assert_eq!(gap.reason, "server");
    assert_eq!(
        gap.detail,
        "GET /api/v2/authorization/divisions: the platform failed with status 503; the next audit asks again"
    );
    assert_eq!((facts.clients.len(), facts.roles.len(), facts.api_calls), (6, 2, 9));
}

#[tokio::test]
async fn the_rate_limit_is_waited_out_as_told() {
    let limited = |name: &'static str, value: &str| {
        refusal(429, "too.many.requests.retry.after", "canary").insert_header(name, value)
    };
    for (template, pause) in [
        (limited("retry-after", "1"), "pause_ms=1000"),
        (limited("retry-after", "0"), "pause_ms=0"),
        (limited("inin-ratelimit-reset", "0"), "pause_ms=1000"),
        (
            limited("retry-after", "Tue, 24 Nov 2026 12:00:01 GMT")
                .insert_header("date", "Tue, 24 Nov 2026 12:00:00 GMT"),
            "pause_ms=1000",
        ),
    ] {
        let capture = Capture::start();
        let platform = Platform::start().await;
        platform.answer_times(Endpoint::Roles, 1, template).await;
        platform.gather().await.unwrap();
        let log = capture.text();
        assert!(log.contains(pause) && log.contains("cause=\"http_429\""), "{pause} not in {log}");
    }
}

#[tokio::test]
async fn a_wait_longer_than_an_audit_waits_fails_at_once() {
    for seconds in ["4", "18446744073709551615"] {
        let platform = Platform::start().await;
        let limited =
            refusal(429, "too.many.requests.retry.after", "canary").insert_header("retry-after", seconds);
        platform.answer(Endpoint::Clients, move |_| limited.clone()).await;
        let error = platform.gather().await.unwrap_err();
        assert_eq!(platform.received(Endpoint::Clients).await.len(), 1);
        let text = error.to_string();
        assert!(
            text.starts_with("GET /api/v2/oauth/clients: the rate limit asks for a wait of ")
                && text.ends_with(", more than the 3s that an audit waits"),
            "{text}"
        );
    }
}

/// What a misbehaving platform does with a call, after it has read it.
#[derive(Clone)]
enum Act {
    /// Sends this and closes.
    Send(Vec<u8>),
    /// Sends this and resets the connection.
    Reset(Vec<u8>),
    /// Sends this and then nothing, for ever.
    Hang(Vec<u8>),
    /// Sends this and then one byte every few milliseconds, for ever.
    Trickle(Vec<u8>),
    /// Sends this and then chunks of spaces, for ever.
    Flood(Vec<u8>),
}

/// A platform that issues tokens and answers the calls for the clients with the `acts`, the last one for ever.
/// Returns its address and how many of these calls it saw.
async fn rude(acts: Vec<Act>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, acts.clone(), Arc::clone(&count)));
        }
    });
    (base, seen)
}

async fn serve(mut stream: TcpStream, acts: Vec<Act>, count: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let token_form = b"grant_type=client_credentials";
    while !request.ends_with(b"\r\n\r\n") && !request.ends_with(token_form) {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    if request.starts_with(b"POST ") {
        if !request.ends_with(token_form) {
            let mut rest = vec![0; token_form.len()];
            stream.read_exact(&mut rest).await?;
        }
        return stream.write_all(&answer(TOKEN)).await;
    }
    let act = acts[count.fetch_add(1, Ordering::SeqCst).min(acts.len() - 1)].clone();
    let (Act::Send(bytes) | Act::Reset(bytes) | Act::Hang(bytes) | Act::Trickle(bytes) | Act::Flood(bytes)) =
        &act;
    stream.write_all(bytes).await?;
    match act {
        Act::Send(_) => {}
        Act::Reset(_) => stream.set_zero_linger()?,
        Act::Hang(_) => std::future::pending().await,
        Act::Trickle(_) => loop {
            stream.write_all(b" ").await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        },
        Act::Flood(_) => {
            let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
    }
    Ok(())
}

fn answer(body: &str) -> Vec<u8> {
    head(body.len()).into_iter().chain(body.bytes()).collect()
}

fn head(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

fn half() -> Vec<u8> {
    let whole = answer(CLIENTS);
    whole[..whole.len() / 2].to_vec()
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    for act in [Act::Send(half()), Act::Reset(half()), Act::Send(Vec::new()), Act::Reset(Vec::new())] {
        let (base, seen) =
            rude(vec![act.clone(), act.clone(), Act::Send(answer(r#"{"entities":[]}"#))]).await;
        // The roles are answered by the same last act; the optional calls leave gaps.
        let facts = collector(&base, LIMITS).gather(&Known::default(), now()).await.unwrap();
        assert!(facts.clients.is_empty());
        assert!(seen.load(Ordering::SeqCst) >= 4);

        let (base, seen) = rude(vec![act]).await;
        let error = collector(&base, LIMITS).gather(&Known::default(), now()).await.unwrap_err();
        assert_eq!((error.reason(), error.is_retryable()), ("network", true));
        assert!(
            error.to_string().starts_with("GET /api/v2/oauth/clients: the connection broke: "),
            "{error}"
        );
        assert_eq!(seen.load(Ordering::SeqCst), 4);
    }
}

#[tokio::test]
async fn a_whole_answer_with_half_a_document_is_not_tried_again() {
    let cut = &CLIENTS[..CLIENTS.len() / 2];
    let (base, seen) = rude(vec![Act::Send(answer(cut))]).await;
    let error = collector(&base, LIMITS).gather(&Known::default(), now()).await.unwrap_err();
    assert_eq!(error.reason(), "invalid_response");
    assert!(error.to_string().contains("the body is cut off at line"), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up() {
    let limits = Limits { request: Duration::from_millis(150), attempts: 2, ..LIMITS };
    let hanging =
        [Act::Hang(Vec::new()), Act::Hang(head(1000)), Act::Hang(half()), Act::Trickle(head(1 << 30))];
    for act in hanging {
        // A length beyond the limit would be refused before any time is lost.
        let limits = Limits { body: usize::MAX, ..limits };
        let (base, seen) = rude(vec![act]).await;
        let error = collector(&base, limits).gather(&Known::default(), now()).await.unwrap_err();
        assert_eq!(error.to_string(), "GET /api/v2/oauth/clients: no complete answer within 150ms");
        assert_eq!((error.reason(), error.is_retryable()), ("network", true));
        assert_eq!(seen.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn all_attempts_together_have_a_limit() {
    let limits = Limits { call: Duration::from_millis(100), ..LIMITS };
    let (base, _) = rude(vec![Act::Hang(Vec::new())]).await;
    let error = collector(&base, limits).gather(&Known::default(), now()).await.unwrap_err();
    assert_eq!(error.to_string(), "GET /api/v2/oauth/clients: no answer within 100ms, all attempts together");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_without_being_kept() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let announced = head(100 << 20);
    let unannounced = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    for (act, limit) in [
        (Act::Flood(announced), Limits::default().body),
        (Act::Flood(chunked), Limits::default().body),
        (Act::Flood(unannounced), 1 << 20),
    ] {
        let (base, seen) = rude(vec![act]).await;
        let limits = Limits { body: limit, ..LIMITS };
        let error = collector(&base, limits).gather(&Known::default(), now()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("GET /api/v2/oauth/clients: the body is larger than {limit} bytes")
        );
        assert_eq!(seen.load(Ordering::SeqCst), 1, "it is not asked for again");
    }
}

#[tokio::test]
async fn a_flood_behind_a_refusal_is_not_read() {
    let flood = b"HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let (base, _) = rude(vec![Act::Flood(flood)]).await;
    let error = collector(&base, LIMITS).gather(&Known::default(), now()).await.unwrap_err();
    assert_eq!(error.reason(), "forbidden");
}

#[tokio::test]
async fn nobody_at_the_address_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = collector(&base, LIMITS).gather(&Known::default(), now()).await.unwrap_err();
    assert_eq!(error.reason(), "network");
    assert!(error.to_string().starts_with("POST /oauth/token: cannot connect: "), "{error}");
}

#[tokio::test]
async fn an_audit_can_be_a_task_of_its_own() {
    let platform = Platform::start().await;
    let mut collector = platform.collector();
    let task = tokio::spawn(async move { collector.gather(&Known::default(), now()).await });
    assert_eq!(task.await.unwrap().unwrap().clients.len(), 6);
}
