//! The store on real files. `Audit` makes a record the way `audit` does: from the history that the store tells.

mod copying;
mod decisions;
mod disk;
mod exporting;
mod growth;
mod observed;
mod probes;
mod reading;
mod recording;
mod retaining;
mod tampering;
mod told;

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use super::{Decided, Error, Observations, Record, Store, entry_hash, gaps_body, recorded_digest};
use crate::domain::{
    Fact, Gap, Severity,
    decision::Entry,
    event::{Cause, CauseKind, Delta, Event, Subject},
    evidence::{self, Hash, Link},
    finding::{self, ClientRef, Finding, Status},
    fixtures,
    inventory::ObjectCounts,
    message::{Message, MessageKind},
    snapshot::Snapshot,
    telling::Noted,
};

pub(super) async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("test.db")).await.unwrap();
    (folder, store)
}

/// That many seconds after the first audit of every test.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
}

#[derive(Clone, Default)]
pub(super) struct Audit {
    pub(super) id: String,
    pub(super) seconds: i64,
    pub(super) snapshot: Snapshot,
    pub(super) gaps: Vec<Gap>,
    pub(super) events: Vec<Event>,
    pub(super) opened: Vec<Finding>,
    pub(super) updated: Vec<Finding>,
    pub(super) closed: Vec<Finding>,
    pub(super) messages: Vec<(Message, Vec<String>)>,
    pub(super) object_counts: Option<ObjectCounts>,
    pub(super) pending_removals: BTreeSet<(Fact, String)>,
    pub(super) noted: Noted,
    /// Decisions that it ends.
    pub(super) endings: Vec<Entry>,
}

impl Audit {
    /// Audit number `n`, `n` minutes after the first, that saw this and nothing else.
    pub(super) fn new(n: i64, snapshot: &Snapshot) -> Self {
        Self { id: format!("audit-{n}"), seconds: n * 60, snapshot: snapshot.clone(), ..Self::default() }
    }

    pub(super) async fn record(&self, store: &Store) -> Result<(), Error> {
        self.record_for("acme", store).await
    }

    pub(super) async fn record_for(&self, org: &str, store: &Store) -> Result<(), Error> {
        self.record_with(org, Observations::NONE, store).await
    }

    pub(super) async fn record_with(
        &self,
        org: &str,
        observations: Observations<'_>,
        store: &Store,
    ) -> Result<(), Error> {
        let history = store.history(org).await?;
        let (past, book) = (history.past, history.book);
        let changes = self.snapshot.changes_since(past.as_ref().map(|past| &past.snapshot));
        let at = at(self.seconds);
        let [opened, updated, closed] = [&self.opened, &self.updated, &self.closed]
            .map(|list| list.iter().cloned().map(Arc::new).collect::<Vec<_>>());
        let recorded = recorded_digest(&self.events, &opened, &updated, &closed);
        let sealed: Vec<Hash> =
            book.unsealed.into_iter().chain(self.endings.iter().map(entry_hash)).collect();
        let recorded = evidence::with_decisions(recorded, &sealed);
        let link = Link {
            org,
            audit: &self.id,
            at,
            complete: self.gaps.is_empty(),
            gaps: &gaps_body(&self.gaps),
            configuration: self.snapshot.digest(),
            recorded,
        };
        let record = Record {
            org,
            audit: &self.id,
            started: at,
            at,
            complete: link.complete,
            gaps: &self.gaps,
            changes: &changes,
            configuration: link.configuration,
            recorded,
            chain: evidence::chain(past.map_or(Hash::GENESIS, |past| past.chain), &link),
            events: &self.events,
            opened: &opened,
            updated: &updated,
            closed: &closed,
            messages: &self.messages,
            object_counts: self.object_counts.as_ref(),
            pending_removals: &self.pending_removals,
            observations,
            noted: &self.noted,
            decided: Decided { last: book.last, made: &self.endings },
            api_calls: 8,
            clients: u32::try_from(self.snapshot.clients.len()).unwrap(),
            roles: u32::try_from(self.snapshot.roles.len()).unwrap(),
        };
        store.record(&record).await
    }
}

/// A snapshot of these clients, with one role.
pub(super) fn snapshot(clients: &[&str]) -> Snapshot {
    fixtures::snapshot(
        clients.iter().map(|id| fixtures::client(id).grant("r1", "*")),
        [fixtures::role("r1").can("routing:queue:view")],
    )
}

pub(super) fn finding(client: &str, evidence: &str) -> Finding {
    Finding {
        uid: finding::uid("acme", "admin-role", &client.into(), "r1"),
        org: "acme".to_owned(),
        check: "admin-role".to_owned(),
        status: Status::Fail,
        severity: Severity::High,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client: ClientRef { id: client.into(), name: format!("Client {client}") },
        key: "r1".to_owned(),
        title: "It holds the Admin role".to_owned(),
        evidence: evidence.to_owned(),
        remediation: "Take the role away".to_owned(),
        first_seen: at(0),
        last_seen: at(0),
    }
}

pub(super) fn event(id: &str) -> Event {
    Event {
        id: id.to_owned(),
        delta: "d".repeat(64),
        org: "acme".to_owned(),
        severity: Severity::Critical,
        cause: Cause {
            kind: CauseKind::RoleRenamed,
            subject: Subject { kind: "role".to_owned(), id: "r1".to_owned(), name: "Role r1".to_owned() },
            kinds: vec![CauseKind::RoleRenamed],
            permissions: Delta::default(),
            details: std::collections::BTreeMap::new(),
        },
        clients: Vec::new(),
        actor: None,
    }
}

pub(super) fn message(id: &str, order_key: &str) -> Message {
    Message {
        id: id.to_owned(),
        kind: MessageKind::FindingOpened,
        severity: Severity::High,
        order_key: order_key.to_owned(),
        body: format!("{{\"id\":\"{id}\"}}"),
    }
}

pub(super) fn to(message: Message, receivers: &[&str]) -> (Message, Vec<String>) {
    (message, receivers.iter().map(|&receiver| receiver.to_owned()).collect())
}
