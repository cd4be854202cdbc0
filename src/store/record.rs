//! The one write of an audit.
//!
//! Enters: a [`Record`], or the [`Failure`] of an audit that saw too little. Leaves: one committed transaction.
//! Must never: write a row for something that did not change, or accept an audit that was worked out from a past
//! which is not the last one any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Store,
    attributions::{self, Attributed},
    body::{finding_body, gaps_body},
    decisions::{self, Decided},
    error::{Error, Problem},
    observed::{self, Observations},
    outbox, told,
};
use crate::domain::{
    ClientId, Fact, Gap,
    decision::Entry,
    event::Event,
    evidence::{self, Hash, Link},
    finding::Finding,
    inventory::ObjectCounts,
    message::Message,
    rotation::Turns,
    snapshot::{Change, EntityKind},
    telling::Noted,
    usage::Tally,
};

/// Rows written by one statement: few round trips, and well below `SQLite`'s 32,766 variables.
const BATCH: usize = 500;

/// Failures that are remembered of one organisation.
const FAILURES_KEPT: i64 = 1_000;

/// What an audit hands over.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The organisation's configured name.
    pub org: &'a str,
    /// The audit's id, unique for ever.
    pub audit: &'a str,
    /// When it started.
    pub started: DateTime<Utc>,
    /// The moment that it is recorded under; kept to the millisecond.
    pub at: DateTime<Utc>,
    /// Whether every fact was seen.
    pub complete: bool,
    /// What was not seen.
    pub gaps: &'a [Gap],
    /// The entities that differ from the last audit ([`History::past`](super::History)); all, if there is none.
    pub changes: &'a [Change],
    /// Digest of the whole configuration after the changes.
    pub configuration: Hash,
    /// [`recorded_digest`](super::recorded_digest) of the events and findings below.
    pub recorded: Hash,
    /// [`evidence::chain`] over the last audit's chain hash, with [`gaps_body`] as the text of the gaps.
    pub chain: Hash,
    /// What changed and why.
    pub events: &'a [Event],
    /// Findings that begin; an open version with the same uid ends.
    pub opened: &'a [Arc<Finding>],
    /// Findings with new content; the open version (if any) ends.
    pub updated: &'a [Arc<Finding>],
    /// Findings that end.
    pub closed: &'a [Arc<Finding>],
    /// What is to be sent, in order, with the receivers of each.
    pub messages: &'a [(Message, Vec<String>)],
    /// Objects per division; `None`: not counted this time, the last count stays.
    pub object_counts: Option<&'a ObjectCounts>,
    /// All removals that wait for a second audit to agree.
    pub pending_removals: &'a BTreeSet<(Fact, String)>,
    /// What was observed beside the configuration.
    pub observations: Observations<'a>,
    /// What is to be remembered of having told the messages.
    pub noted: &'a Noted,
    /// What it ends of people's decisions; `recorded` binds these and those that no audit has sealed.
    pub decided: Decided<'a>,
    /// Calls to the platform.
    pub api_calls: u32,
    /// Clients seen.
    pub clients: u32,
    /// Roles seen.
    pub roles: u32,
}

/// An audit that recorded nothing but this.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// The organisation's configured name.
    pub org: &'a str,
    /// The id that the audit would have had.
    pub audit: &'a str,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it gave up.
    pub at: DateTime<Utc>,
    /// A bounded word.
    pub reason: &'a str,
    /// One sentence for a person.
    pub detail: &'a str,
    /// What is to be sent, with the receivers of each.
    pub messages: &'a [(Message, Vec<String>)],
}

impl Store {
    /// Records an audit: versions, events, findings, messages and the audit itself, or nothing.
    /// Fails with [`Problem::Overtaken`] if the chain does not continue the organisation's last audit, and with
    /// [`Problem::Decided`] if somebody decided since that audit was worked out.
    pub async fn record(&self, record: &Record<'_>) -> Result<(), Error> {
        let rows = Rows::from(record);
        self.write(move |connection| Box::pin(async move { rows.write(connection).await })).await
    }

    /// Records that an audit failed, and the messages that say so.
    pub async fn record_failure(&self, failure: &Failure<'_>) -> Result<(), Error> {
        let (org, id) = (failure.org.to_owned(), failure.audit.to_owned());
        let (reason, detail) = (failure.reason.to_owned(), failure.detail.to_owned());
        let (started, at) = (failure.started.timestamp_millis(), failure.at.timestamp_millis());
        let messages = failure.messages.to_vec();
        self.write(move |connection| {
            Box::pin(async move {
                let org = org_number(connection, &org).await?;
                sqlx::query(
                    "INSERT INTO failure (org, after, id, started_ms, at_ms, reason, detail)
                     VALUES ($1, COALESCE((SELECT MAX(seq) FROM audit WHERE org = $1), 0), $2, $3, $4, $5, $6)",
                )
                .bind(org)
                .bind(id)
                .bind(started)
                .bind(at)
                .bind(reason)
                .bind(detail)
                .execute(&mut *connection)
                .await?;
                sqlx::query(
                    "DELETE FROM failure WHERE org = $1 AND seq <=
                     (SELECT seq FROM failure WHERE org = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)",
                )
                .bind(org)
                .bind(FAILURES_KEPT)
                .execute(&mut *connection)
                .await?;
                outbox::forget(connection, at).await?;
                outbox::enqueue(connection, &messages, at).await
            })
        })
        .await
    }
}

/// A record in the form of its rows, owned, so that the transaction can outlive its caller.
struct Rows {
    org: String,
    audit: String,
    started_ms: i64,
    at: DateTime<Utc>,
    complete: bool,
    gaps: String,
    configuration: Hash,
    recorded: Hash,
    chain: Hash,
    counters: [u32; 3],
    changes: Vec<Change>,
    events: Vec<(String, String)>,
    begun: Vec<Arc<Finding>>,
    closed: Vec<String>,
    messages: Vec<(Message, Vec<String>)>,
    object_counts: Option<ObjectCounts>,
    pending_removals: BTreeSet<(Fact, String)>,
    turns: Turns,
    gone: Vec<ClientId>,
    usage: Option<Tally>,
    noted: Noted,
    decided: (i64, Vec<Entry>),
    attributed: Option<Attributed>,
}

impl From<&Record<'_>> for Rows {
    fn from(record: &Record<'_>) -> Self {
        let begun = record.opened.iter().chain(record.updated);
        Self {
            org: record.org.to_owned(),
            audit: record.audit.to_owned(),
            started_ms: record.started.timestamp_millis(),
            at: record.at,
            complete: record.complete,
            gaps: gaps_body(record.gaps),
            configuration: record.configuration,
            recorded: record.recorded,
            chain: record.chain,
            counters: [record.api_calls, record.clients, record.roles],
            changes: record.changes.to_vec(),
            events: record.events.iter().map(|event| (event.id.clone(), event.pack())).collect(),
            begun: begun.cloned().collect(),
            closed: record.closed.iter().map(|finding| finding.uid.clone()).collect(),
            messages: record.messages.to_vec(),
            object_counts: record.object_counts.cloned(),
            pending_removals: record.pending_removals.clone(),
            turns: record.observations.turns.clone(),
            gone: record.observations.gone.to_vec(),
            usage: record.observations.usage.cloned(),
            noted: record.noted.clone(),
            decided: (record.decided.last, record.decided.made.to_vec()),
            attributed: record.observations.attributed.cloned(),
        }
    }
}

impl Rows {
    async fn write(self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let org = org_number(connection, &self.org).await?;
        let seq = self.write_audit(connection, org).await?;
        self.write_versions(connection, org, seq).await?;
        self.write_findings(connection, org, seq).await?;
        self.write_events(connection, seq).await?;
        let (known, made) = &self.decided;
        decisions::seal(connection, (org, &self.org), seq, *known, made).await?;
        self.write_pending_removals(connection, org).await?;
        if let Some(counts) = &self.object_counts {
            write_object_counts(connection, org, counts).await?;
        }
        observed::write_turns(connection, org, &self.turns, &self.gone).await?;
        if let Some(usage) = &self.usage {
            observed::write_usage(connection, org, usage).await?;
        }
        told::write(connection, org, &self.noted, self.complete).await?;
        if let Some(attributed) = &self.attributed {
            attributions::write(connection, org, attributed, self.at).await?;
        }
        outbox::forget(connection, self.at.timestamp_millis()).await?;
        outbox::enqueue(connection, &self.messages, self.at.timestamp_millis()).await
    }

    /// Adds the audit's own row if it continues the chain; its number.
    async fn write_audit(&self, connection: &mut SqliteConnection, org: i64) -> Result<i64, Problem> {
        let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE id = $1")
            .bind(&self.audit)
            .fetch_one(&mut *connection)
            .await?;
        if known > 0 {
            return Err(Problem::Duplicate(self.audit.clone()));
        }
        let before: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT chain FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1")
                .bind(org)
                .fetch_optional(&mut *connection)
                .await?;
        let before = before.map_or(Ok(Hash::GENESIS), |bytes| super::hash(&bytes))?;
        let link = Link {
            org: &self.org,
            audit: &self.audit,
            at: self.at,
            complete: self.complete,
            gaps: &self.gaps,
            configuration: self.configuration,
            recorded: self.recorded,
        };
        if evidence::chain(before, &link) != self.chain {
            return Err(Problem::Overtaken { org: self.org.clone() });
        }
        let [api_calls, clients, roles] = self.counters;
        let seq = sqlx::query_scalar(
            "INSERT INTO audit (org, id, started_ms, at_ms, complete, gaps, configuration, recorded, chain,
                                api_calls, clients, roles)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING seq",
        )
        .bind(org)
        .bind(&self.audit)
        .bind(self.started_ms)
        .bind(self.at.timestamp_millis())
        .bind(i64::from(self.complete))
        .bind(&self.gaps)
        .bind(self.configuration.as_bytes().as_slice())
        .bind(self.recorded.as_bytes().as_slice())
        .bind(self.chain.as_bytes().as_slice())
        .bind(api_calls)
        .bind(clients)
        .bind(roles)
        .fetch_one(connection)
        .await?;
        Ok(seq)
    }

    /// Ends the versions of every changed entity and begins those that have new content.
    async fn write_versions(
        &self,
        connection: &mut SqliteConnection,
        org: i64,
        seq: i64,
    ) -> Result<(), Problem> {
        for kind in EntityKind::ALL {
            let of_kind = || self.changes.iter().filter(move |change| change.key.kind == kind);
            let replaced: Vec<&str> = of_kind()
                .filter(|change| change.now.is_some())
                .map(|change| change.key.id.as_str())
                .collect();
            let removed: Vec<&str> = of_kind()
                .filter(|change| change.now.is_none())
                .map(|change| change.key.id.as_str())
                .collect();
            let open = Open { table: "version", column: "id", kind: Some(kind), org };
            open.end(connection, seq, &replaced).await?;
            let ended = open.end(connection, seq, &removed).await?;
            all_were_open(kind.as_str(), &removed, ended)?;
        }
        let begun: Vec<_> =
            self.changes.iter().filter_map(|change| Some((&change.key, change.now.as_ref()?))).collect();
        for batch in begun.chunks(BATCH) {
            let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO object (hash, body) ");
            insert.push_values(batch, |mut row, (_, version)| {
                row.push_bind(version.hash.as_bytes().as_slice()).push_bind(&version.body);
            });
            // Content that retention forgot is stored again when it comes back.
            insert.push(
                " ON CONFLICT (hash) DO UPDATE SET body = excluded.body, forgotten_ms = NULL
                 WHERE object.forgotten_ms IS NOT NULL",
            );
            insert.build().execute(&mut *connection).await?;

            let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO version (org, since, kind, id, hash) ");
            insert.push_values(batch, |mut row, (key, version)| {
                row.push_bind(org).push_bind(seq).push_bind(key.kind.as_str()).push_bind(&key.id);
                row.push_bind(version.hash.as_bytes().as_slice());
            });
            insert.build().execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn write_findings(
        &self,
        connection: &mut SqliteConnection,
        org: i64,
        seq: i64,
    ) -> Result<(), Problem> {
        let replaced: Vec<&str> = self.begun.iter().map(|finding| finding.uid.as_str()).collect();
        let closed: Vec<&str> = self.closed.iter().map(String::as_str).collect();
        let open = Open { table: "finding", column: "uid", kind: None, org };
        open.end(connection, seq, &replaced).await?;
        let ended = open.end(connection, seq, &closed).await?;
        all_were_open("findings", &closed, ended)?;
        for batch in self.begun.chunks(BATCH) {
            let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO finding (org, since, uid, body) ");
            insert.push_values(batch, |mut row, finding| {
                row.push_bind(org).push_bind(seq).push_bind(&finding.uid).push_bind(finding_body(finding));
            });
            insert.build().execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn write_events(&self, connection: &mut SqliteConnection, seq: i64) -> Result<(), Problem> {
        for (ord, (id, body)) in (0_i64..).zip(&self.events) {
            sqlx::query("INSERT INTO event (audit, ord, id, body) VALUES ($1, $2, $3, $4)")
                .bind(seq)
                .bind(ord)
                .bind(id)
                .bind(body)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    async fn write_pending_removals(
        &self,
        connection: &mut SqliteConnection,
        org: i64,
    ) -> Result<(), Problem> {
        let before = super::past::pending_removals(connection, org).await?;
        for (fact, subject) in before.difference(&self.pending_removals) {
            sqlx::query("DELETE FROM pending_removal WHERE org = $1 AND fact = $2 AND subject = $3")
                .bind(org)
                .bind(fact.as_str())
                .bind(subject)
                .execute(&mut *connection)
                .await?;
        }
        for (fact, subject) in self.pending_removals.difference(&before) {
            sqlx::query("INSERT INTO pending_removal (org, fact, subject) VALUES ($1, $2, $3)")
                .bind(org)
                .bind(fact.as_str())
                .bind(subject)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// The rows of one table that still hold, of one organisation (and kind).
struct Open {
    table: &'static str,
    column: &'static str,
    kind: Option<EntityKind>,
    org: i64,
}

impl Open {
    /// Ends those with these names with audit `seq`; how many there were.
    async fn end(&self, connection: &mut SqliteConnection, seq: i64, names: &[&str]) -> Result<u64, Problem> {
        let mut ended = 0;
        for batch in names.chunks(BATCH) {
            let mut update = QueryBuilder::<Sqlite>::new("UPDATE ");
            update.push(self.table).push(" SET until = ").push_bind(seq);
            update.push(" WHERE until IS NULL AND org = ").push_bind(self.org);
            if let Some(kind) = self.kind {
                update.push(" AND kind = ").push_bind(kind.as_str());
            }
            update.push(" AND ").push(self.column).push(" IN (");
            let mut list = update.separated(", ");
            for name in batch {
                list.push_bind(*name);
            }
            ended += update.push(")").build().execute(&mut *connection).await?.rows_affected();
        }
        Ok(ended)
    }
}

fn all_were_open(what: &'static str, names: &[&str], ended: u64) -> Result<(), Problem> {
    match (names.len() as u64).saturating_sub(ended) {
        0 => Ok(()),
        missing => Err(Problem::NotOpen { what, missing }),
    }
}

/// Writes only the counts that differ from the stored ones.
async fn write_object_counts(
    connection: &mut SqliteConnection,
    org: i64,
    counts: &ObjectCounts,
) -> Result<(), Problem> {
    let mut before = BTreeMap::new();
    for (division, kinds) in super::audits::object_counts(connection, org).await? {
        for (kind, count) in kinds {
            before.insert((division.clone(), kind), count);
        }
    }
    for (division, kinds) in counts {
        for (kind, count) in kinds {
            if before.remove(&(division.clone(), kind.clone())) == Some(*count) {
                continue;
            }
            sqlx::query(
                "INSERT INTO object_count (org, division, kind, count) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (org, division, kind) DO UPDATE SET count = excluded.count",
            )
            .bind(org)
            .bind(division.as_str())
            .bind(kind)
            .bind(count)
            .execute(&mut *connection)
            .await?;
        }
    }
    for (division, kind) in before.into_keys() {
        sqlx::query("DELETE FROM object_count WHERE org = $1 AND division = $2 AND kind = $3")
            .bind(org)
            .bind(division.as_str())
            .bind(kind)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The number that stands for an organisation's name, given out at its first audit.
pub(super) async fn org_number(connection: &mut SqliteConnection, name: &str) -> Result<i64, Problem> {
    if let Some(number) = super::past::org_number(connection, name).await? {
        return Ok(number);
    }
    Ok(sqlx::query_scalar("INSERT INTO org (name) VALUES ($1) RETURNING id")
        .bind(name)
        .fetch_one(connection)
        .await?)
}
