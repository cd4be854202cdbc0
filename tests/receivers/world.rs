//! A configuration, an outbox, one courier, and a clock that the test turns.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use scopewarden::{
    config::{Config, Environment, Receiver},
    daemon::delivery::{Courier, Next},
    domain::{
        Severity,
        decision::Marks,
        evidence::Digester,
        finding::{ClientRef, Finding, Status},
        message::{
            self, Letterhead, Message, MessageKind,
            news::{self, FindingNews},
        },
    },
    notify::Channel,
    store::{Failure, OutboxRow, OutboxState, Store},
    telemetry::Metrics,
};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::vendors::{ROUTING_KEY, SIGNING_SECRET, Vendor};

/// The path of every URL, which must not be shown.
pub(crate) const PATH: &str = "/hook/path-canary?sig=query-canary";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) receiver: Receiver,
    pub(crate) courier: Courier,
    clock: AtomicI64,
    stop: CancellationToken,
    folder: TempDir,
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap()
}

impl World {
    /// One receiver of this kind at this origin.
    pub(crate) async fn new(vendor: Vendor, origin: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let secret = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        };
        secret("client", "client-canary");
        secret("url", &format!("{origin}{PATH}"));
        secret("signing", SIGNING_SECRET);
        secret("key", ROUTING_KEY);
        let section = match vendor {
            Vendor::Webhook => "kind = \"webhook\"\nurl_file = \"url\"\nsecret_file = \"signing\"".to_owned(),
            Vendor::Slack => "kind = \"slack\"\nurl_file = \"url\"".to_owned(),
            Vendor::Teams => "kind = \"teams\"\nurl_file = \"url\"".to_owned(),
            Vendor::PagerDuty => {
                format!("kind = \"pagerduty\"\nurl = \"{origin}{PATH}\"\nrouting_key_file = \"key\"")
            }
        };
        let file = folder.path().join("scopewarden.toml");
        let toml = format!(
            "[[org]]\nname = \"acme\"\nregion = \"mypurecloud.ie\"\nclient_id = \"x\"\nclient_secret_file = \"client\"\n\
             [[receiver]]\nname = \"ops\"\n{section}\n"
        );
        fs::write(&file, toml).unwrap();
        let config = Config::load_in(Some(&file), &Environment::default()).unwrap();
        let receiver = config.receivers[0].clone();
        let store = Store::open(&folder.path().join("outbox.db")).await.unwrap();
        let metrics = Arc::new(Metrics::new());
        metrics.preset(&[], &["ops".to_owned()], &[]);
        let channel = Arc::new(Channel::new(&receiver).unwrap().unwrap());
        let courier = Courier::new(store.clone(), channel, Arc::clone(&metrics));
        let (clock, stop) = (AtomicI64::new(0), CancellationToken::new());
        Self { store, metrics, receiver, courier, clock, stop, folder }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("outbox.db")
    }

    pub(crate) async fn promise(&self, messages: Vec<Message>) {
        let messages: Vec<_> = messages.into_iter().map(|one| (one, vec!["ops".to_owned()])).collect();
        let failure = Failure {
            org: "acme",
            audit: "a-1",
            started: start(),
            at: start(),
            reason: "network",
            detail: "a test",
            messages: &messages,
        };
        self.store.record_failure(&failure).await.unwrap();
    }

    /// Rounds until nothing is due or the receiver is disabled, at most this many. A rest costs no time.
    pub(crate) async fn live(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let clock = &self.clock;
            // Reading the clock takes a millisecond, as it does in life.
            let now = || start() + TimeDelta::milliseconds(clock.fetch_add(1, Ordering::SeqCst));
            match self.courier.round(&now, &self.stop).await.unwrap().next {
                Next::AtOnce => {}
                Next::At(until) => {
                    let until = (until - start()).num_milliseconds();
                    self.clock.fetch_max(until, Ordering::SeqCst);
                }
                Next::WhenWoken | Next::WhenAsked => return,
            }
        }
    }

    pub(crate) async fn rows(&self) -> Vec<OutboxRow> {
        self.store.outbox(Some("ops"), None, 1000).await.unwrap()
    }

    pub(crate) async fn states(&self) -> BTreeMap<String, OutboxState> {
        self.rows().await.into_iter().map(|row| (row.id, row.state)).collect()
    }
}

fn finding(number: usize) -> Finding {
    Finding {
        uid: format!("{number:024x}"),
        org: "acme".to_owned(),
        check: "high-privilege-permission".to_owned(),
        status: Status::Fail,
        severity: Severity::Critical,
        muted: false,
        marks: Marks::default(),
        client: ClientRef { id: "c-1".into(), name: "Reporting <Engine> & co".to_owned() },
        key: "k".to_owned(),
        title: format!("Reporting Engine holds directory:user:delete ({number})"),
        evidence: "漢".repeat(4000),
        remediation: "Take it out of the role. ".repeat(400),
        first_seen: start(),
        last_seen: start(),
    }
}

/// One message of each type that there is, and one of a type that nobody knows yet.
pub(crate) fn messages() -> Vec<Message> {
    let chain_head = Digester::default().finish();
    let link = "https://warden.example.com/";
    let head = Letterhead { org: "acme", audit: "a-1", chain_head, at: start(), link };
    let list: Vec<_> = (0..30).map(|number| FindingNews::of(&Arc::new(finding(number)))).collect();
    let gains: Vec<_> = (0..40)
        .map(|number| json!({ "permission": format!("directory:user:delete{number}"), "divisions": ["*"] }))
        .collect();
    let clients: Vec<_> = (0..40)
        .map(|number| {
            json!({ "id": format!("c-{number}"), "name": "名".repeat(200), "gained": gains, "gained_total": 40,
                    "lost": [], "lost_total": 0 })
        })
        .collect();
    let other = |id: &str, kind: &str, data: serde_json::Value| Message {
        id: id.to_owned(),
        kind: MessageKind::DriftDetected,
        severity: Severity::High,
        order_key: id.to_owned(),
        body: json!({ "type": kind, "timestamp": "2026-11-25T02:15:00.000Z", "data": data }).to_string(),
    };
    let mut messages =
        news::findings(&head, MessageKind::FindingOpened, &list.iter().collect::<Vec<_>>(), 10, "");
    messages.extend(news::findings(&head, MessageKind::FindingResolved, &[&list[0]], 10, ""));
    messages.push(message::failed(&head, "network", "no route to the platform"));
    messages.push(message::recovered(&head, &[]));
    let drift = json!({ "id": "evt-1", "org": "acme", "severity": "critical", "summary": "a role gained power",
                        "clients": clients, "clients_total": 400, "link": link });
    messages.push(other("evt-1", "drift.detected", drift));
    messages.push(other("msg-heartbeat", "heartbeat", json!({ "org": "acme", "summary": "all is well" })));
    messages
}
