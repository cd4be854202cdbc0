//! What holds for every request and every answer.
//!
//! Enters: a request before its handler. Leaves: a refusal, or the handler's answer with the headers that keep
//! browsers strict. Must never: let a request change anything, or last.

use std::time::Duration;

use axum::{
    body::HttpBody,
    extract::Request,
    http::{HeaderName, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// The longest that one request may take.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Sent with every answer. Nothing but the page's own style sheet may load, nothing may frame it or keep a copy.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Adds [`HEADERS`].
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

/// Refuses what is not a plain reading request, and stops what takes too long.
pub(super) async fn limits(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        let words = "This server only answers GET. Decisions are made with the scopewarden command.\n";
        return (StatusCode::METHOD_NOT_ALLOWED, allow, words).into_response();
    }
    if !request.body().is_end_stream() {
        // The body stays unread, so nothing else can follow on this connection.
        let close = [(header::CONNECTION, "close")];
        return (StatusCode::PAYLOAD_TOO_LARGE, close, "Requests have no body here.\n").into_response();
    }
    let path = request.uri().path().to_owned();
    let Ok(response) = tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await else {
        tracing::warn!(path, limit_s = REQUEST_LIMIT.as_secs(), "a request took too long and was given up");
        return (StatusCode::SERVICE_UNAVAILABLE, "This took too long. Try again in a moment.\n")
            .into_response();
    };
    response
}
