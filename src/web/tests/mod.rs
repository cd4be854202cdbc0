//! The server as a visitor meets it: over a socket, in front of a database file.

mod api;
mod health;
mod limits;
mod page;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    domain::{
        Fact, Gap, Severity, drift,
        event::Event,
        evidence::{self, Hash, Link},
        finding::{ClientRef, Finding, Status, uid},
        fixtures::{self, client, role},
    },
    store::{Failure, Record, gaps_body, recorded_digest},
};

/// The server's present: 2026-06-01 12:00 UTC.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_315_200, 0).unwrap()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes)
}

/// A running server; it and its database end with the value.
struct Site {
    address: SocketAddr,
    state: State,
    folder: TempDir,
    stop: CancellationToken,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Site {
    /// Two organisations, nothing recorded.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let org = |name: &str, region: &str| OrgLine { name: name.to_owned(), region: region.to_owned() };
        let state = State {
            store: Store::open(&folder.path().join("record.db")).await.unwrap(),
            metrics: Arc::new(Metrics::new()),
            health: Arc::new(Health::default()),
            orgs: [org("acme", "mypurecloud.ie"), org("north & south", "usw2.pure.cloud")].into(),
            stale_after: TimeDelta::hours(1),
            now,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(
            listener,
            router(watch::channel(state.clone()).1),
            stop.clone().cancelled_owned(),
        ));
        Self { address, state, folder, stop }
    }

    async fn get(&self, target: &str) -> Answer {
        self.send(&format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    /// The answer to a request as written.
    async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    /// Records an audit at `at` that ended in these events and opened these findings; its id is that moment.
    async fn record(&self, org: &str, at: DateTime<Utc>, gaps: &[Gap], events: &[Event], opened: &[Finding]) {
        let before = self.state.store.audits(Some(org), 1).await.unwrap().pop();
        let audit = format!("{org}-{}", at.timestamp());
        let configuration = Hash::of(b"configuration");
        let opened: Vec<Arc<Finding>> = opened.iter().cloned().map(Arc::new).collect();
        let recorded = recorded_digest(events, &opened, &[], &[]);
        let gaps_text = gaps_body(gaps);
        let link = Link {
            org,
            audit: &audit,
            at,
            complete: gaps.is_empty(),
            gaps: &gaps_text,
            configuration,
            recorded,
        };
        let record = Record {
            org,
            audit: &audit,
            started: at,
            at,
            complete: gaps.is_empty(),
            gaps,
            changes: &[],
            configuration,
            recorded,
            chain: evidence::chain(before.map_or(Hash::GENESIS, |audit| audit.chain), &link),
            events,
            opened: &opened,
            updated: &[],
            closed: &[],
            messages: &[],
            object_counts: None,
            pending_removals: &BTreeSet::new(),
            observations: crate::store::Observations::NONE,
            noted: &crate::domain::telling::Noted::default(),
            decided: crate::store::Decided::NONE,
            api_calls: 8,
            clients: 21,
            roles: 12,
        };
        self.state.store.record(&record).await.unwrap();
    }

    async fn record_failure(&self, org: &str, at: DateTime<Utc>, detail: &str) {
        let audit = format!("failed-{}", at.timestamp());
        let failure =
            Failure { org, audit: &audit, started: at, at, reason: "network", detail, messages: &[] };
        self.state.store.record_failure(&failure).await.unwrap();
    }
}

/// What came back.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        Self {
            status,
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

fn finding(org: &str, name: &str, check: &str, severity: Severity) -> Finding {
    let client = ClientRef { id: format!("id-of-{name}").into(), name: name.to_owned() };
    Finding {
        uid: uid(org, check, &client.id, ""),
        org: org.to_owned(),
        check: check.to_owned(),
        status: Status::Fail,
        severity,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client,
        key: String::new(),
        title: format!("{name} fails {check}"),
        evidence: "what was seen".to_owned(),
        remediation: "what to do".to_owned(),
        first_seen: ago(90),
        last_seen: ago(3),
    }
}

/// A role of `clients` clients gains the right to delete users.
fn role_gained(org: &str, audit: &str, clients: usize) -> Event {
    let clients = || (0..clients).map(|number| client(&format!("c{number}")).grant("r", "*"));
    let before = fixtures::snapshot(clients(), [role("r")]);
    let after = fixtures::snapshot(clients(), [role("r").can("directory:user:delete")]);
    drift::between(org, audit, &before, &after).remove(0)
}

fn gap() -> Gap {
    Gap {
        fact: Fact::Divisions,
        subject: None,
        reason: "forbidden".to_owned(),
        detail: "The auditor may not list divisions; grant it authorization:division:view.".to_owned(),
        stale_since: Some(ago(180)),
    }
}
