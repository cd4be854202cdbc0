//! The demonstration's own receiver of alerts: a small web server that trusts nothing without a good signature.
//!
//! Enters: signed POSTs. Leaves: an [`Alert`] each, in order of arrival. Must never: look into a body before its
//! signature was checked, or hold more than [`ROOM`] alerts.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde::{Deserialize, Serialize};
use standardwebhooks::{HEADER_WEBHOOK_ID, Webhook};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::domain::Severity;

/// Alerts that wait to be told; the sender is asked to come again when there are more.
const ROOM: usize = 1024;

/// One alert as it arrived.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Alert {
    /// `drift.detected`, `finding.opened`, …; empty if it was not verified.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The `webhook-id`.
    pub(super) id: String,
    /// The signature was good.
    pub(super) verified: bool,
    /// How bad.
    #[serde(skip)]
    pub(super) severity: Option<Severity>,
    /// One sentence.
    pub(super) summary: String,
}

/// A running receiver. Dropping it stops it.
pub(super) struct Receiver {
    /// Where alerts are to be posted.
    pub(super) url: String,
    arrived: mpsc::Receiver<Alert>,
    _stop: DropGuard,
}

struct Desk {
    signatures: Webhook,
    arrived: mpsc::Sender<Alert>,
}

/// The part of a body that is told.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    severity: Option<Severity>,
    #[serde(default)]
    summary: String,
}

impl Receiver {
    /// Listens on a free port of this machine; `secret` is the `whsec_…` that it shares with the sender.
    pub(super) async fn start(secret: &str) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("no port for the receiver of alerts")?;
        let url = format!("http://{}/alerts", listener.local_addr()?);
        let (sender, arrived) = mpsc::channel(ROOM);
        let signatures = Webhook::new(secret).context("the signing secret made for the receiver")?;
        let desk = Arc::new(Desk { signatures, arrived: sender });
        let service = Router::new().route("/alerts", post(receive)).with_state(desk);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, service).with_graceful_shutdown(stopped).await });
        Ok(Self { url, arrived, _stop: stop.drop_guard() })
    }

    /// What arrived since the last call. An alert that the sender knows to be delivered is among it.
    pub(super) fn drain(&mut self) -> Vec<Alert> {
        std::iter::from_fn(|| self.arrived.try_recv().ok()).collect()
    }

    /// Waits for the next alert.
    pub(super) async fn next(&mut self) -> Option<Alert> {
        self.arrived.recv().await
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(place) = desk.arrived.try_reserve() else { return StatusCode::SERVICE_UNAVAILABLE };
    let id = headers.get(HEADER_WEBHOOK_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let unverified =
        Alert { kind: String::new(), id, verified: false, severity: None, summary: String::new() };
    if desk.signatures.verify(&body, &headers).is_err() {
        place.send(unverified);
        return StatusCode::UNAUTHORIZED;
    }
    match serde_json::from_slice(&body) {
        Ok(Body { kind, data: Data { severity, summary } }) => {
            place.send(Alert { kind, verified: true, severity, summary, ..unverified });
            StatusCode::NO_CONTENT
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standardwebhooks::{HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

    const SECRET: &str = "whsec_ZGVtby1kZW1vLWRlbW8tZGVtby1kZW1vLWRlbW8=";
    const BODY: &str = r#"{"type":"drift.detected","data":{"severity":"high","summary":"role R gained x"}}"#;

    async fn post(receiver: &Receiver, signed: &str, sent: &str) -> u16 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now = crate::daemon::clock::now().timestamp();
        let signature = Webhook::new(SECRET).unwrap().sign("evt-1", now, signed.as_bytes()).unwrap();
        let request = reqwest::Client::builder().build().unwrap().post(&receiver.url);
        let request = request
            .header(HEADER_WEBHOOK_ID, "evt-1")
            .header(HEADER_WEBHOOK_TIMESTAMP, now.to_string())
            .header(HEADER_WEBHOOK_SIGNATURE, signature);
        request.body(sent.to_owned()).send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_good_signature_is_taken_and_the_alert_is_read() {
        let mut receiver = Receiver::start(SECRET).await.unwrap();
        assert_eq!(post(&receiver, BODY, BODY).await, 204);
        let alert = receiver.next().await.unwrap();
        assert!(alert.verified);
        assert_eq!((alert.kind.as_str(), alert.id.as_str()), ("drift.detected", "evt-1"));
        assert_eq!((alert.severity, alert.summary.as_str()), (Some(Severity::High), "role R gained x"));
    }

    #[tokio::test]
    async fn a_changed_body_is_refused_and_not_believed() {
        let mut receiver = Receiver::start(SECRET).await.unwrap();
        assert_eq!(post(&receiver, BODY, &BODY.replace("high", "info")).await, 401);
        let alerts = receiver.drain();
        assert_eq!(alerts.len(), 1);
        assert!(!alerts[0].verified);
        assert!(alerts[0].kind.is_empty() && alerts[0].summary.is_empty());
    }
}
