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
    /// first, and for an unknown organisation.
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
    let query = match at {
        None => {
            "SELECT seq, id, at_ms, complete, gaps, chain FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1"
        }
        Some(_) => {
            "SELECT seq, id, at_ms, complete, gaps, chain FROM audit WHERE org = $1 AND at_ms <= $2
             ORDER BY at_ms DESC, seq DESC LIMIT 1"
        }
    };
    let mut query = sqlx::query_as::<_, (i64, String, i64, bool, String, Vec<u8>)>(query).bind(org);
    if let Some(at) = at {
        query = query.bind(at.timestamp_millis());
    }
    let Some((seq, audit, at_ms, complete, gaps, chain)) = query.fetch_optional(&mut *connection).await?
    else {
        return Ok(None);
    };
    let past = Past {
        audit,
        at: time(at_ms)?,
        snapshot: snapshot(connection, org, seq).await?,
        gaps: serde_json::from_str(&gaps).map_err(|error| Problem::unreadable("list of gaps", error))?,
        complete,
        chain: hash(&chain)?,
    };
    Ok(Some((seq, past)))
}

/// The configuration that audit number `seq` saw: every version that began up to it and had not ended by then.
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
