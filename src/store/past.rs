//! What was: the last audit, or the one at any moment, rebuilt from versions.
//!
//! Enters: an organisation and a time. Leaves: a [`Past`], and with it the [`History`] that the next audit needs.
//! Must never: mix two moments. Everything here is read within one transaction.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error as WordError},
};
use sqlx::SqliteConnection;

use super::{
    Store, body,
    decisions::{self, Book},
    decoded::Decoded,
    error::{Error, Problem},
    hash, observed, time, told,
};
use crate::domain::{
    Fact, Gap,
    catalogue::Operations,
    evidence::Hash,
    finding::Finding,
    rotation::Turns,
    snapshot::{Change, EntityKey, EntityKind, RestoreError, Snapshot, Version},
    telling::Told,
    usage::Tally,
};

/// Findings read by one query.
const BATCH: u32 = 1_000;

/// One recorded audit with the configuration that it saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The audit's id.
    pub audit: String,
    /// When it was recorded, to the millisecond.
    pub at: DateTime<Utc>,
    /// What it saw.
    pub snapshot: Snapshot,
    /// What it did not see.
    pub gaps: Vec<Gap>,
    /// Whether it saw every fact.
    pub complete: bool,
    /// The chain hash up to it.
    pub chain: Hash,
    /// The audit that was asked for, if retention forgot what that one saw. This one is then the last before it that
    /// can be rebuilt.
    pub instead_of: Option<Unavailable>,
}

/// An audit whose snapshot cannot be rebuilt any more. Its row, its events and its findings are still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The audit's id.
    pub audit: String,
    /// When it was recorded.
    pub at: DateTime<Utc>,
}

/// What an audit has to know of the ones before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The last recorded audit; `None`: there was none.
    pub past: Option<Past>,
    /// Open findings (fail and unknown), sorted by uid.
    pub findings: Vec<Finding>,
    /// Removals that wait for a second audit to agree: which list, whose id.
    pub pending_removals: BTreeSet<(Fact, String)>,
    /// The latest attempt failed.
    pub failing: bool,
    /// When each client's grants were last asked for.
    pub turns: Turns,
    /// What clients called, as last counted.
    pub usage: Option<Tally>,
    /// What was told lately.
    pub told: Told,
    /// What people decided. The findings above do not show it.
    pub book: Book,
}

impl Store {
    /// What the next audit of an organisation has to know; empty before the first.
    pub async fn history(&self, org: &str) -> Result<History, Error> {
        let history = async {
            let mut transaction = self.readers.begin().await?;
            let Some(org) = org_number(&mut transaction, org).await? else {
                return Ok(History::default());
            };
            let past = past(&mut transaction, &self.decoded, org, None).await?;
            let findings = match &past {
                Some((_, past)) => open_findings(&mut transaction, org, past.at).await?,
                None => Vec::new(),
            };
            let last = past.as_ref().map_or(0, |(seq, _)| *seq);
            let failures: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM failure WHERE org = $1 AND after = $2")
                    .bind(org)
                    .bind(last)
                    .fetch_one(&mut *transaction)
                    .await?;
            Ok(History {
                past: past.map(|(_, past)| past),
                findings,
                pending_removals: pending_removals(&mut transaction, org).await?,
                failing: failures > 0,
                turns: observed::read_turns(&mut transaction, org).await?,
                usage: observed::read_usage(&mut transaction, org).await?,
                told: told::read(&mut transaction, org).await?,
                book: decisions::read(&mut transaction, org).await?,
            })
        };
        self.named(history.await)
    }

    /// The last audit recorded at or before `at` (`None`: the last of all) with its snapshot; `None` before the
    /// first, and for an unknown organisation. Where retention forgot that snapshot, the last one before it that is
    /// whole answers, and says so ([`Past::instead_of`]).
    pub async fn snapshot_at(&self, org: &str, at: Option<DateTime<Utc>>) -> Result<Option<Past>, Error> {
        let found = async {
            let mut transaction = self.readers.begin().await?;
            let Some(org) = org_number(&mut transaction, org).await? else { return Ok(None) };
            Ok(past(&mut transaction, &self.decoded, org, at).await?.map(|(_, past)| past))
        };
        self.named(found.await)
    }

    /// Two recorded audits to compare: the one that [`Store::snapshot_at`] gives for `to`, and before it the one for
    /// `from` (`None`: the last one of an earlier time than that of `to`), which is `None` where `snapshot_at` gives
    /// none. `None` if there is none for `to`.
    ///
    /// Nearly all of two configurations is the same, so only what differs is read twice.
    pub async fn snapshots(
        &self,
        org: &str,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Result<Option<(Option<Past>, Past)>, Error> {
        let found = async {
            let mut transaction = self.readers.begin().await?;
            let connection = &mut *transaction;
            let Some(org) = org_number(connection, org).await? else { return Ok(None) };
            let Some(to) = Found::at(connection, org, to).await? else { return Ok(None) };
            // Recorded times are whole milliseconds.
            let from = from.map_or(to.place.at_ms - 1, |from| from.timestamp_millis());
            let Some(from) = Found::by(connection, org, Some(from)).await? else {
                let snapshot = snapshot(connection, &self.decoded, org, to.place.seq).await?;
                return Ok(Some((None, to.past(connection, snapshot).await?)));
            };
            let before = snapshot(connection, &self.decoded, org, from.place.seq).await?;
            let since = (from.place.seq, &before);
            let after = snapshot_after(connection, &self.decoded, org, since, to.place.seq).await?;
            let from = from.past(connection, before).await?;
            Ok(Some((Some(from), to.past(connection, after).await?)))
        };
        self.named(found.await)
    }
}

pub(super) async fn org_number(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<i64>, Problem> {
    Ok(sqlx::query_scalar("SELECT id FROM org WHERE name = $1").bind(name).fetch_optional(connection).await?)
}

pub(super) async fn pending_removals(
    connection: &mut SqliteConnection,
    org: i64,
) -> Result<BTreeSet<(Fact, String)>, Problem> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT fact, subject FROM pending_removal WHERE org = $1")
            .bind(org)
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|(word, subject)| {
            let fact = Fact::deserialize(IntoDeserializer::<WordError>::into_deserializer(word.as_str()));
            Ok((fact.map_err(|error| Problem::unreadable("pending removal", error))?, subject))
        })
        .collect()
}

/// Open findings, sorted by uid.
pub(super) async fn open_findings(
    connection: &mut SqliteConnection,
    org: i64,
    last_seen: DateTime<Utc>,
) -> Result<Vec<Finding>, Problem> {
    let mut findings: Vec<Finding> = Vec::new();
    // In batches: all texts at once would need as much memory again as the findings do.
    loop {
        let after = findings.last().map_or("", |finding| &finding.uid);
        let bodies: Vec<String> = sqlx::query_scalar(
            "SELECT body FROM finding WHERE org = $1 AND until IS NULL AND uid > $2 ORDER BY uid LIMIT $3",
        )
        .bind(org)
        .bind(after)
        .bind(BATCH)
        .fetch_all(&mut *connection)
        .await?;
        for text in &bodies {
            findings.push(body::finding(text, last_seen)?);
        }
        if bodies.len() < BATCH as usize {
            return Ok(findings);
        }
    }
}

async fn past(
    connection: &mut SqliteConnection,
    decoded: &Decoded,
    org: i64,
    at: Option<DateTime<Utc>>,
) -> Result<Option<(i64, Past)>, Problem> {
    let Some(found) = Found::at(connection, org, at).await? else { return Ok(None) };
    let snapshot = snapshot(connection, decoded, org, found.place.seq).await?;
    Ok(Some((found.place.seq, found.past(connection, snapshot).await?)))
}

/// The audit that answers for a moment.
#[derive(Clone, Copy)]
struct Found {
    place: Place,
    /// The one that would, if its content were all there.
    asked: Place,
}

impl Found {
    async fn at(
        connection: &mut SqliteConnection,
        org: i64,
        at: Option<DateTime<Utc>>,
    ) -> Result<Option<Self>, Problem> {
        Self::by(connection, org, at.map(|at| at.timestamp_millis())).await
    }

    async fn by(
        connection: &mut SqliteConnection,
        org: i64,
        at_ms: Option<i64>,
    ) -> Result<Option<Self>, Problem> {
        let Some(asked) = place(connection, org, at_ms).await? else { return Ok(None) };
        let place = last_whole(connection, org, asked).await?;
        Ok(Some(Self { place, asked }))
    }

    /// Everything that is known of it. `snapshot` is its own.
    async fn past(self, connection: &mut SqliteConnection, snapshot: Snapshot) -> Result<Past, Problem> {
        let (audit, complete, gaps, chain): (String, bool, String, Vec<u8>) =
            sqlx::query_as("SELECT id, complete, gaps, chain FROM audit WHERE seq = $1")
                .bind(self.place.seq)
                .fetch_one(&mut *connection)
                .await?;
        let instead_of = match self.asked {
            asked if asked == self.place => None,
            asked => Some(unavailable(connection, asked).await?),
        };
        Ok(Past {
            audit,
            at: time(self.place.at_ms)?,
            snapshot,
            gaps: serde_json::from_str(&gaps).map_err(|error| Problem::unreadable("list of gaps", error))?,
            complete,
            chain: hash(&chain)?,
            instead_of,
        })
    }
}

/// Where an audit stands in the order of moments: by time, then by number, for a clock may have been set back.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    at_ms: i64,
    seq: i64,
}

/// The last audit at or before a time in milliseconds; without one, the audit recorded last.
async fn place(
    connection: &mut SqliteConnection,
    org: i64,
    at_ms: Option<i64>,
) -> Result<Option<Place>, Problem> {
    let query = match at_ms {
        None => "SELECT at_ms, seq FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1",
        Some(_) => {
            "SELECT at_ms, seq FROM audit WHERE org = $1 AND at_ms <= $2 ORDER BY at_ms DESC, seq DESC LIMIT 1"
        }
    };
    let mut query = sqlx::query_as::<_, (i64, i64)>(query).bind(org);
    if let Some(at_ms) = at_ms {
        query = query.bind(at_ms);
    }
    Ok(query.fetch_optional(connection).await?.map(|(at_ms, seq)| Place { at_ms, seq }))
}

/// The last audit up to `from` of which no content is forgotten.
///
/// The forgotten versions that an audit saw also spoil every audit between the first that saw one of them and the last
/// one before they had all ended: so each step leaves a whole stretch behind, not one audit.
async fn last_whole(connection: &mut SqliteConnection, org: i64, from: Place) -> Result<Place, Problem> {
    let mut place = from;
    while let Some((since, until)) = spoilt_around(connection, org, place.seq).await? {
        let before: Option<(i64, i64)> = sqlx::query_as(
            "SELECT at_ms, seq FROM audit
             WHERE org = $1 AND at_ms <= $2 AND (at_ms < $2 OR seq < $3) AND (seq < $4 OR seq >= $5)
             ORDER BY at_ms DESC, seq DESC LIMIT 1",
        )
        .bind(org)
        .bind(place.at_ms)
        .bind(place.seq)
        .bind(since)
        .bind(until)
        .fetch_optional(&mut *connection)
        .await?;
        // Retention keeps the first audit of all, so only something else can have taken everything.
        let Some((at_ms, seq)) = before else {
            return Err(Problem::unreadable("snapshot", "the content of every audit up to it is gone"));
        };
        place = Place { at_ms, seq };
    }
    Ok(place)
}

/// The stretch of audits around number `seq` that cannot be rebuilt, from its first up to, not including, its end;
/// `None` if `seq` itself can.
async fn spoilt_around(
    connection: &mut SqliteConnection,
    org: i64,
    seq: i64,
) -> Result<Option<(i64, i64)>, Problem> {
    // A version that still holds is never forgotten.
    let (since, until): (Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT MIN(v.since), MAX(v.until) FROM version v JOIN object o ON o.hash = v.hash
         WHERE v.org = $1 AND v.until IS NOT NULL AND v.until > $2 AND v.since <= $2 AND o.forgotten_ms IS NOT NULL",
    )
    .bind(org)
    .bind(seq)
    .fetch_one(connection)
    .await?;
    Ok(since.zip(until))
}

async fn unavailable(connection: &mut SqliteConnection, place: Place) -> Result<Unavailable, Problem> {
    let audit = sqlx::query_scalar("SELECT id FROM audit WHERE seq = $1")
        .bind(place.seq)
        .fetch_one(connection)
        .await?;
    Ok(Unavailable { audit, at: time(place.at_ms)? })
}

/// The configuration that audit number `seq` saw: every version that began up to it and had not ended by then.
///
/// This walks the versions that began up to it by primary key and leaves those that had ended before their content is
/// looked up: with fifteen times as many ended versions as holding ones (a hundred edits a day for a year) that costs a
/// few milliseconds. Asking the index of ended versions instead is no faster now and five times slower for old moments.
async fn snapshot(
    connection: &mut SqliteConnection,
    decoded: &Decoded,
    org: i64,
    seq: i64,
) -> Result<Snapshot, Problem> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT v.kind, v.id, v.hash, CASE WHEN v.kind = 'operations' THEN NULL ELSE o.body END
         FROM version v JOIN object o ON o.hash = v.hash
         WHERE v.org = $1 AND v.since <= $2 AND (v.until IS NULL OR v.until > $2)",
    )
    .bind(org)
    .bind(seq)
    .fetch_all(&mut *connection)
    .await?;
    let (versions, operations) = split(connection, decoded, rows).await?;
    let mut snapshot = Snapshot::restore(versions).map_err(not_an_entity)?;
    if operations.is_some() {
        snapshot.place_operations(operations);
    }
    Ok(snapshot)
}

/// Kind, id, hash and text of a version. The text of operations is large, and left out until it is wanted.
type Row = (String, String, Vec<u8>, Option<String>);

/// The versions that have to be read, and the operations that one of the rows stands for.
async fn split(
    connection: &mut SqliteConnection,
    decoded: &Decoded,
    rows: Vec<Row>,
) -> Result<(Vec<(EntityKey, Version)>, Option<Arc<Operations>>), Problem> {
    let mut versions = Vec::with_capacity(rows.len());
    let mut operations = None;
    for (kind, id, bytes, body) in rows {
        let (key, hash) = (entity(&kind, id)?, hash(&bytes)?);
        if key.kind == EntityKind::Operations {
            operations = Some(operations_of(connection, decoded, hash).await?);
            continue;
        }
        let body = body.ok_or_else(|| Problem::unreadable(format!("{kind} {}", key.id), "it has no text"))?;
        versions.push((key, Version { hash, body }));
    }
    Ok((versions, operations))
}

/// Operations by the hash of their text, decoded once for all who ask.
async fn operations_of(
    connection: &mut SqliteConnection,
    decoded: &Decoded,
    hash: Hash,
) -> Result<Arc<Operations>, Problem> {
    if let Some(operations) = decoded.find(hash) {
        return Ok(operations);
    }
    let body: String = sqlx::query_scalar("SELECT body FROM object WHERE hash = $1")
        .bind(hash.as_bytes().as_slice())
        .fetch_one(connection)
        .await?;
    let operations = Operations::read(&body).map_err(|error| Problem::unreadable("operations", error))?;
    let operations = Arc::new(operations.recorded_as(hash));
    decoded.keep(hash, &operations);
    Ok(operations)
}

/// The configuration that audit number `seq` saw, made from the one that audit number `before` saw by what differs.
async fn snapshot_after(
    connection: &mut SqliteConnection,
    decoded: &Decoded,
    org: i64,
    (before, known): (i64, &Snapshot),
    seq: i64,
) -> Result<Snapshot, Problem> {
    // By time it comes after, by number it need not: a clock may have been set back.
    if seq < before {
        return snapshot(connection, decoded, org, seq).await;
    }
    let ended: Vec<(String, String)> = sqlx::query_as(
        "SELECT kind, id FROM version WHERE org = $1 AND until > $2 AND until <= $3 AND since <= $2",
    )
    .bind(org)
    .bind(before)
    .bind(seq)
    .fetch_all(&mut *connection)
    .await?;
    let begun: Vec<Row> = sqlx::query_as(
        "SELECT v.kind, v.id, v.hash, CASE WHEN v.kind = 'operations' THEN NULL ELSE o.body END
         FROM version v JOIN object o ON o.hash = v.hash
         WHERE v.org = $1 AND v.since > $2 AND v.since <= $3 AND (v.until IS NULL OR v.until > $3)",
    )
    .bind(org)
    .bind(before)
    .bind(seq)
    .fetch_all(&mut *connection)
    .await?;
    let (begun, operations) = split(connection, decoded, begun).await?;
    let mut changes = Vec::with_capacity(ended.len() + begun.len());
    for (kind, id) in ended {
        changes.push(Change { key: entity(&kind, id)?, now: None });
    }
    // After those that ended: most of these stand in for one of them.
    changes.extend(begun.into_iter().map(|(key, version)| Change { key, now: Some(version) }));
    let mut snapshot = known.clone().changed(changes).map_err(not_an_entity)?;
    if operations.is_some() {
        snapshot.place_operations(operations);
    }
    Ok(snapshot)
}

fn entity(kind: &str, id: String) -> Result<EntityKey, Problem> {
    let kind = EntityKind::parse(kind)
        .ok_or_else(|| Problem::unreadable("version", format!("no entity is of kind {kind}")))?;
    Ok(EntityKey { kind, id })
}

fn not_an_entity(error: RestoreError) -> Problem {
    Problem::unreadable(format!("{} {}", error.key.kind.as_str(), error.key.id), error.reason)
}
