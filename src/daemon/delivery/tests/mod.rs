//! Couriers at real sockets, with a real outbox and a clock that the test turns.

mod conduct;
mod heralding;
mod looping;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU16, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::{
    config::{Receiver, SecretUrl, Target},
    domain::{
        Severity,
        message::{Message, MessageKind},
        route::Route,
    },
    store::{Failure, OutboxState, Which},
};

/// What one receiver saw, and how it answers.
#[derive(Default)]
struct Seen {
    /// The status to answer; 0: accept.
    status: AtomicU16,
    /// Answers some messages in another way, by a part of their body.
    unless: Mutex<BTreeMap<&'static str, u16>>,
    /// `Retry-After`, if any.
    asks: Mutex<Option<&'static str>>,
    /// Every request: id, signed second, body, status answered.
    requests: Mutex<Vec<(String, i64, Bytes, u16)>>,
}

impl Seen {
    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Ids of accepted requests, in order.
    fn accepted(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.3 == 200).map(|request| request.0.clone()).collect()
    }

    fn attempts(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn take(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let special =
        seen.unless.lock().unwrap().iter().find(|(part, _)| text.contains(**part)).map(|(_, status)| *status);
    let status = special.unwrap_or_else(|| match seen.status.load(Ordering::SeqCst) {
        0 => 200,
        status => status,
    });
    let signed = header("webhook-timestamp").parse().unwrap();
    seen.requests.lock().unwrap().push((header("webhook-id"), signed, body, status));
    let mut answer = HeaderMap::new();
    if let Some(asks) = *seen.asks.lock().unwrap() {
        answer.insert("retry-after", asks.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), answer)
}

/// An outbox in a file, and a clock.
struct World {
    store: Store,
    metrics: Arc<Metrics>,
    /// Milliseconds since [`start`]. Reading the clock takes one, as it does in life.
    clock: AtomicI64,
    stop: CancellationToken,
    _folder: TempDir,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("outbox.db")).await.unwrap();
        let metrics = Arc::new(Metrics::new());
        metrics.preset(&[], &["ops".to_owned(), "sec".to_owned()], &[]);
        let (clock, stop) = (AtomicI64::new(0), CancellationToken::new());
        Self { store, metrics, clock, stop, _folder: folder }
    }

    fn now(&self) -> DateTime<Utc> {
        start() + TimeDelta::milliseconds(self.clock.fetch_add(1, Ordering::SeqCst))
    }

    fn passed(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.clock.load(Ordering::SeqCst))
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.fetch_add(time.num_milliseconds(), Ordering::SeqCst);
    }

    /// A receiver at a socket of its own, and its courier.
    async fn receiver(&self, name: &str) -> (Arc<Seen>, Courier) {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (seen, self.courier(name, &url))
    }

    fn courier(&self, name: &str, url: &str) -> Courier {
        let receiver = Receiver {
            name: name.to_owned(),
            target: Target::Webhook {
                url: SecretUrl::new(Url::parse(url).unwrap()),
                secret: "whsec_Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0".to_owned().into(),
                previous: None,
            },
            route: Route::ALL,
            deny_private: false,
            proxy: None,
        };
        let channel = Arc::new(Channel::new(&receiver).unwrap().unwrap());
        Courier::new(self.store.clone(), channel, Arc::clone(&self.metrics))
    }

    /// Promises messages `id` of an order key, in this order, to these receivers.
    async fn promise(&self, messages: impl IntoIterator<Item = (String, String)>, receivers: &[&str]) {
        let message = |(id, order_key): (String, String)| Message {
            body: format!("{{\"id\":\"{id}\"}}"),
            id,
            kind: MessageKind::FindingOpened,
            severity: Severity::High,
            order_key,
        };
        let receivers: Vec<String> = receivers.iter().map(|&name| name.to_owned()).collect();
        let messages: Vec<_> = messages.into_iter().map(|one| (message(one), receivers.clone())).collect();
        let at = self.now();
        let audit = format!("a-{}", at.timestamp_millis());
        let failure = Failure {
            org: "acme",
            audit: &audit,
            started: at,
            at,
            reason: "network",
            detail: "a test",
            messages: &messages,
        };
        self.store.record_failure(&failure).await.unwrap();
    }

    async fn round(&self, courier: &mut Courier) -> Round {
        courier.round(&|| self.now(), &self.stop).await.unwrap()
    }

    /// Rounds until nothing is due, or `limit` has passed. A wait costs no time.
    async fn live(&self, courier: &mut Courier, limit: TimeDelta) {
        let end = self.passed() + limit;
        while self.passed() < end {
            match self.round(courier).await.next {
                Next::AtOnce => {}
                Next::At(until) => self.pass((until - start() - self.passed()).max(TimeDelta::zero())),
                Next::WhenWoken | Next::WhenAsked => return,
            }
        }
    }

    async fn states(&self, receiver: &str) -> BTreeMap<String, OutboxState> {
        let rows = self.store.outbox(Some(receiver), None, 20_000).await.unwrap();
        rows.into_iter().map(|row| (row.id, row.state)).collect()
    }

    async fn count(&self, receiver: &str, state: OutboxState) -> usize {
        self.states(receiver).await.values().filter(|one| **one == state).count()
    }

    fn circuit(&self) -> bool {
        self.metrics.render().contains("scopewarden_receiver_circuit_open{receiver=\"ops\"} 1")
    }
}

/// Numbered messages, each with an order key of its own.
fn each(count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("m{n}"), format!("k{n}"))).collect()
}
