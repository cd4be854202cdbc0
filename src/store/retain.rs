//! What is forgotten: the content of entities that only snapshots saw which nobody keeps.
//!
//! Enters: how long snapshots are kept, and `now`. Leaves: less content, and how much less.
//! Must never: take a row of the evidence, content that a kept snapshot of any organisation needs, or so much at once
//! that an audit has to wait.
//!
//! What is kept: the snapshots that [`retention`](crate::domain::retention) chooses, the newest and the oldest of each
//! organisation, and those that an open finding was first seen in. What goes is text only. Audits, versions (which say
//! when an entity changed, and its hash), events and findings stay for ever: they are the evidence, and `verify` computes
//! the digest of every audit's configuration from those hashes, kept snapshot or not. So an entity can be proven to have
//! been what somebody has a copy of, long after its text went. The price is one small row a change.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::SqliteConnection;

use super::{
    Store,
    error::{Error, Problem},
    hash, time,
};
use crate::{
    config,
    domain::{
        evidence::Hash,
        retention::{Choice, Policy},
    },
};

/// Contents that are forgotten in one transaction.
const BATCH: usize = 200;

/// Rows that are read at a time.
const STEP: i64 = 10_000;

/// What one round of retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Audits looked at.
    pub audits: u64,
    /// Those whose snapshot is kept.
    pub kept: u64,
    /// Contents that were forgotten.
    pub contents: u64,
    /// Their size in bytes. [`Store::release_pages`] gives the space back.
    pub bytes: u64,
}

/// What may go, as of one moment of the record.
pub(super) struct Plan {
    /// The last audit that it knows of.
    upto: i64,
    contents: Vec<Hash>,
    done: Forgotten,
}

impl Store {
    /// Forgets what no kept snapshot needs, in small transactions; doing it again changes nothing. A failure leaves a
    /// part of it for the next time, and no snapshot that is kept is ever short of anything.
    ///
    /// Ages count up to `now` or to the newest audit of the record, whichever is earlier: a clock that jumps ahead makes
    /// nothing old until audits were recorded by it, and a record that nobody adds to keeps what it has.
    pub async fn forget(&self, policy: &config::Retention, now: DateTime<Utc>) -> Result<Forgotten, Error> {
        let plan = self.plan_forgetting(policy, now).await?;
        self.carry_out(plan, now).await
    }

    /// Finds what may go. Only reads.
    pub(super) async fn plan_forgetting(
        &self,
        policy: &config::Retention,
        now: DateTime<Utc>,
    ) -> Result<Plan, Error> {
        let span = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let policy = Policy { keep_all: span(policy.keep_all), keep_daily: span(policy.keep_daily) };
        let planned = async {
            let mut transaction = self.readers.begin().await?;
            plan(&mut transaction, policy, now).await
        };
        self.named(planned.await)
    }

    /// Forgets what was found, whatever was recorded since.
    pub(super) async fn carry_out(&self, plan: Plan, now: DateTime<Utc>) -> Result<Forgotten, Error> {
        let Plan { upto, contents, mut done } = plan;
        for batch in contents.chunks(BATCH) {
            let batch = batch.to_vec();
            let (contents, bytes) = self
                .write(move |connection| {
                    Box::pin(async move { forget_contents(connection, &batch, upto, now).await })
                })
                .await?;
            done.contents += contents;
            done.bytes += bytes;
        }
        Ok(done)
    }
}

async fn plan(
    connection: &mut SqliteConnection,
    policy: Policy,
    now: DateTime<Utc>,
) -> Result<Plan, Problem> {
    let upto =
        sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM audit").fetch_one(&mut *connection).await?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT MAX(at_ms) FROM audit").fetch_one(&mut *connection).await?;
    let now = newest.map(time).transpose()?.map_or(now, |newest| newest.min(now));
    let orgs: Vec<i64> = sqlx::query_scalar("SELECT id FROM org").fetch_all(&mut *connection).await?;
    let mut done = Forgotten::default();
    let (mut unneeded, mut needed) = (HashSet::new(), HashSet::new());
    for org in orgs {
        let kept = kept(connection, org, policy, now, &mut done).await?;
        sort_contents(connection, org, &kept, &mut unneeded, &mut needed).await?;
    }
    let contents = unneeded.difference(&needed).copied().collect();
    Ok(Plan { upto, contents, done })
}

/// The numbers of the audits of an organisation whose snapshots are kept, sorted.
async fn kept(
    connection: &mut SqliteConnection,
    org: i64,
    policy: Policy,
    now: DateTime<Utc>,
    done: &mut Forgotten,
) -> Result<Vec<i64>, Problem> {
    // The one recorded last, whatever the clock said then, and the one that every earlier moment leads back to.
    let ends: [Option<i64>; 2] = [
        sqlx::query_scalar("SELECT MAX(seq) FROM audit WHERE org = $1")
            .bind(org)
            .fetch_one(&mut *connection)
            .await?,
        sqlx::query_scalar("SELECT seq FROM audit WHERE org = $1 ORDER BY at_ms, seq LIMIT 1")
            .bind(org)
            .fetch_optional(&mut *connection)
            .await?,
    ];
    let mut kept: Vec<i64> = ends.into_iter().flatten().collect();
    let mut choice = Choice::new(policy, cited(connection, org).await?, now);
    let mut from = (i64::MAX, i64::MAX);
    loop {
        let audits: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT at_ms, seq FROM audit WHERE org = $1 AND at_ms <= $2 AND (at_ms < $2 OR seq < $3)
             ORDER BY at_ms DESC, seq DESC LIMIT $4",
        )
        .bind(org)
        .bind(from.0)
        .bind(from.1)
        .bind(STEP)
        .fetch_all(&mut *connection)
        .await?;
        let Some(last) = audits.last() else { break };
        from = *last;
        done.audits += audits.len() as u64;
        for (at_ms, seq) in audits {
            if choice.keeps(time(at_ms)?) {
                kept.push(seq);
            }
        }
    }
    kept.sort_unstable();
    kept.dedup();
    done.kept += kept.len() as u64;
    Ok(kept)
}

/// When the open findings of an organisation were first seen.
async fn cited(connection: &mut SqliteConnection, org: i64) -> Result<BTreeSet<DateTime<Utc>>, Problem> {
    #[derive(Deserialize)]
    struct Seen {
        first_seen: DateTime<Utc>,
    }
    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM finding WHERE org = $1 AND until IS NULL")
        .bind(org)
        .fetch_all(connection)
        .await?;
    bodies
        .iter()
        .map(|body| {
            let seen: Seen =
                serde_json::from_str(body).map_err(|error| Problem::unreadable("finding", error))?;
            Ok(seen.first_seen)
        })
        .collect()
}

/// Sorts the contents of an organisation's versions into those that a kept snapshot needs and those that only others do.
async fn sort_contents(
    connection: &mut SqliteConnection,
    org: i64,
    kept: &[i64],
    unneeded: &mut HashSet<Hash>,
    needed: &mut HashSet<Hash>,
) -> Result<(), Problem> {
    let holding: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM version WHERE org = $1 AND until IS NULL")
            .bind(org)
            .fetch_all(&mut *connection)
            .await?;
    for bytes in holding {
        needed.insert(hash(&bytes)?);
    }
    let ended: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT v.since, v.until, v.hash FROM version v JOIN object o ON o.hash = v.hash
         WHERE v.org = $1 AND v.until IS NOT NULL AND o.forgotten_ms IS NULL",
    )
    .bind(org)
    .fetch_all(connection)
    .await?;
    for (since, until, bytes) in ended {
        let first = kept.partition_point(|seq| *seq < since);
        let is_needed = kept.get(first).is_some_and(|seq| *seq < until);
        if is_needed { &mut *needed } else { &mut *unneeded }.insert(hash(&bytes)?);
    }
    Ok(())
}

/// Forgets these contents, but none that an audit after number `upto` brought back; how many, and their bytes.
async fn forget_contents(
    connection: &mut SqliteConnection,
    contents: &[Hash],
    upto: i64,
    now: DateTime<Utc>,
) -> Result<(u64, u64), Problem> {
    let recent: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT v.hash FROM org o JOIN version v ON v.org = o.id AND v.since > $1")
            .bind(upto)
            .fetch_all(&mut *connection)
            .await?;
    let recent: HashSet<&[u8]> = recent.iter().map(Vec::as_slice).collect();
    let mut done = (0, 0);
    for content in contents.iter().filter(|content| !recent.contains(content.as_bytes().as_slice())) {
        let bytes: Option<i64> = sqlx::query_scalar(
            "SELECT LENGTH(CAST(body AS BLOB)) FROM object WHERE hash = $1 AND forgotten_ms IS NULL",
        )
        .bind(content.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(bytes) = bytes else { continue };
        sqlx::query("UPDATE object SET body = '', forgotten_ms = $1 WHERE hash = $2")
            .bind(now.timestamp_millis())
            .bind(content.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
        done.0 += 1;
        done.1 += u64::try_from(bytes).unwrap_or(0);
    }
    Ok(done)
}
