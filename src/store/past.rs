//! What was: the last audit, or the one at any moment, rebuilt from versions.
//!
//! Enters: an organisation and a time. Leaves: a [`Past`], and with it the [`History`] that the next audit needs.
//! Must never: mix two moments. Everything here is read within one transaction.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error as WordError},
};
use sqlx::SqliteConnection;

use super::{
    Store, body,
    error::{Error, Problem},
    hash, time,
};
use crate::domain::{
    Fact, Gap,
    evidence::Hash,
    finding::Finding,
    snapshot::{EntityKey, EntityKind, Snapshot, Version},
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
}

impl Store {
    /// What the next audit of an organisation has to know; empty before the first.
    pub async fn history(&self, org: &str) -> Result<History, Error> {
        let history = async {
            let mut transaction = self.readers.begin().await?;
            let Some(org) = org_number(&mut transaction, org).await? else {
                return Ok(History::default());
            };
            let past = past(&mut transaction, org, None).await?;
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
            Ok(past(&mut transaction, org, at).await?.map(|(_, past)| past))
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
    org: i64,
    at: Option<DateTime<Utc>>,
) -> Result<Option<(i64, Past)>, Problem> {
    let Some(asked) = place(connection, org, at).await? else { return Ok(None) };
    let found = last_whole(connection, org, asked).await?;
    let (audit, complete, gaps, chain): (String, bool, String, Vec<u8>) =
        sqlx::query_as("SELECT id, complete, gaps, chain FROM audit WHERE seq = $1")
            .bind(found.seq)
            .fetch_one(&mut *connection)
            .await?;
    let instead_of = if found == asked { None } else { Some(unavailable(connection, asked).await?) };
    let past = Past {
        audit,
        at: time(found.at_ms)?,
        snapshot: snapshot(connection, org, found.seq).await?,
        gaps: serde_json::from_str(&gaps).map_err(|error| Problem::unreadable("list of gaps", error))?,
        complete,
        chain: hash(&chain)?,
        instead_of,
    };
    Ok(Some((found.seq, past)))
}

/// Where an audit stands in the order of moments: by time, then by number, for a clock may have been set back.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    at_ms: i64,
    seq: i64,
}

/// The last audit at or before `at`; `None` for `at`: the one recorded last.
async fn place(
    connection: &mut SqliteConnection,
    org: i64,
    at: Option<DateTime<Utc>>,
) -> Result<Option<Place>, Problem> {
    let query = match at {
        None => "SELECT at_ms, seq FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1",
        Some(_) => {
            "SELECT at_ms, seq FROM audit WHERE org = $1 AND at_ms <= $2 ORDER BY at_ms DESC, seq DESC LIMIT 1"
        }
    };
    let mut query = sqlx::query_as::<_, (i64, i64)>(query).bind(org);
    if let Some(at) = at {
        query = query.bind(at.timestamp_millis());
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
async fn snapshot(connection: &mut SqliteConnection, org: i64, seq: i64) -> Result<Snapshot, Problem> {
    let rows: Vec<(String, String, Vec<u8>, String)> = sqlx::query_as(
        "SELECT v.kind, v.id, v.hash, o.body FROM version v JOIN object o ON o.hash = v.hash
         WHERE v.org = $1 AND v.since <= $2 AND (v.until IS NULL OR v.until > $2)",
    )
    .bind(org)
    .bind(seq)
    .fetch_all(connection)
    .await?;
    let mut versions = Vec::with_capacity(rows.len());
    for (kind, id, bytes, body) in rows {
        let kind = EntityKind::parse(&kind)
            .ok_or_else(|| Problem::unreadable("version", format!("no entity is of kind {kind}")))?;
        versions.push((EntityKey { kind, id }, Version { hash: hash(&bytes)?, body }));
    }
    Snapshot::restore(versions).map_err(|error| {
        Problem::unreadable(format!("{} {}", error.key.kind.as_str(), error.key.id), error.reason)
    })
}
