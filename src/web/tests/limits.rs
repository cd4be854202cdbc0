//! What holds for every request.

use super::*;

const PATHS: [&str; 10] = [
    "/",
    "/style.css",
    "/metrics",
    "/livez",
    "/readyz",
    "/api/v1/orgs",
    "/api/v1/audits",
    "/api/v1/findings?limit=0",
    "/api/v1/events",
    "/nothing",
];

#[tokio::test]
async fn every_answer_keeps_browsers_strict() {
    let site = Site::start().await;
    for path in PATHS {
        let answer = site.get(path).await;
        assert_eq!(
            answer.headers["content-security-policy"],
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert!(answer.headers.contains_key("content-type"), "{path}");
    }
}

#[tokio::test]
async fn nothing_but_reading_is_answered() {
    let site = Site::start().await;
    for path in PATHS {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer =
                site.send(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
            assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"), "{path}");
            assert_eq!(answer.headers["cache-control"], "no-store", "{method} {path}");
        }
    }
    let head = site.send("HEAD /style.css HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_body_is_refused_unread() {
    let site = Site::start().await;
    for framing in ["content-length: 1000000000", "transfer-encoding: chunked"] {
        let answer = site.send(&format!("GET / HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n")).await;
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (413, "close"), "{framing}");
    }
}

#[tokio::test]
async fn an_unknown_address_is_404() {
    let answer = Site::start().await.get("/api/v2/oauth/clients").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_503_without_the_cause() {
    let site = Site::start().await;
    // The server's reading connections open when first needed, so from here on they find nothing.
    std::fs::rename(site.folder.path().join("record.db"), site.folder.path().join("away.db")).unwrap();
    let page = site.get("/").await;
    let words = "The record cannot be read at the moment. The cause is in the log.";
    assert_eq!((page.status, page.body), (503, format!("{words}\n")));
    for path in ["/api/v1/orgs", "/api/v1/audits", "/api/v1/findings", "/api/v1/events"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.json(), serde_json::json!({ "error": { "reason": words } }), "{path}");
    }
    assert_eq!(site.get("/metrics").await.status, 200, "metrics do not need the record");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_given_up() {
    let app = Router::new()
        .route("/", get(std::future::pending::<()>))
        .layer(middleware::from_fn(guard::limits))
        .layer(middleware::from_fn(guard::headers));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(serve(listener, app, std::future::pending()));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let answer = Answer::parse(&bytes);
    assert_eq!((answer.status, answer.headers["cache-control"].as_str()), (503, "no-store"));
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_never_finishes_asking_is_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(serve(listener, Router::new(), std::future::pending()));
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut bytes = Vec::new();
    // Ends because the server closes; without its limit this would wait for ever.
    let ended = tokio::time::timeout(std::time::Duration::from_mins(5), stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "still open after five minutes");
}

#[tokio::test]
async fn the_server_ends_when_told_to() {
    let site = Site::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(
        listener,
        router(watch::channel(site.state.clone()).1),
        stop.clone().cancelled_owned(),
    ));
    TcpStream::connect(address).await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
