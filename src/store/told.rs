//! What was told: what flaps, what is overdue, what was reminded of, whose dead messages are known.
//!
//! Enters: what an audit noted, in its own transaction; what the watch tells without one. Leaves: the same at the next
//! audit, also after a restart. Must never: note that something was told in another transaction than the message.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Store,
    error::{Error, Problem},
    outbox, past, record, time,
};
use crate::domain::{
    Gap, Severity,
    message::{Message, news::Dead},
    telling::{Noted, Remembered, Told, watch::Vital},
};

/// Rows written by one statement.
const BATCH: usize = 500;
/// Others are told of one receiver's dead messages once in this time.
const DEAD_EVERY: TimeDelta = TimeDelta::hours(1);
/// Dead messages that one telling counts; what is more is told an hour later.
const COUNTED: u32 = 10_000;
/// Dead messages that are named.
const NAMED: usize = 20;

pub(super) async fn read(connection: &mut SqliteConnection, org: i64) -> Result<Told, Problem> {
    let row: Option<(Option<i64>, Option<i64>)> =
        sqlx::query_as("SELECT overdue_ms, reminded_ms FROM told WHERE org = $1")
            .bind(org)
            .fetch_optional(&mut *connection)
            .await?;
    let (overdue, reminded) = row.unwrap_or_default();
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT thing, body FROM told_thing WHERE org = $1")
        .bind(org)
        .fetch_all(connection)
        .await?;
    let things: Result<BTreeMap<String, Remembered>, Problem> = rows
        .into_iter()
        .map(|(thing, body)| {
            let read = serde_json::from_str(&body);
            Ok((thing, read.map_err(|error| Problem::unreadable("what was told", error))?))
        })
        .collect();
    Ok(Told {
        things: things?,
        overdue: overdue.map(time).transpose()?,
        reminded: reminded.map(time).transpose()?,
    })
}

/// Writes what an audit noted, if anything. One that is complete is overdue no more; where audits only record again, that
/// they are not complete is told once more.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    org: i64,
    noted: &Noted,
    complete: bool,
) -> Result<(), Problem> {
    if complete || noted.recovered {
        sqlx::query("UPDATE told SET overdue_ms = NULL WHERE org = $1 AND overdue_ms IS NOT NULL")
            .bind(org)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(reminded) = noted.reminded {
        sqlx::query(
            "INSERT INTO told (org, reminded_ms) VALUES ($1, $2)
             ON CONFLICT (org) DO UPDATE SET reminded_ms = excluded.reminded_ms",
        )
        .bind(org)
        .bind(reminded.timestamp_millis())
        .execute(&mut *connection)
        .await?;
    }
    for batch in noted.forget.chunks(BATCH) {
        let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM told_thing WHERE org = ");
        delete.push_bind(org).push(" AND thing IN (");
        let mut list = delete.separated(", ");
        for thing in batch {
            list.push_bind(thing);
        }
        delete.push(")").build().execute(&mut *connection).await?;
    }
    for batch in noted.remember.chunks(BATCH) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO told_thing (org, thing, body) ");
        let mut rows = Vec::with_capacity(batch.len());
        for (thing, remembered) in batch {
            let body = serde_json::to_string(remembered);
            rows.push((thing, body.map_err(|error| Problem::unreadable("what was told", error))?));
        }
        insert.push_values(rows, |mut row, (thing, body)| {
            row.push_bind(org).push_bind(thing).push_bind(body);
        });
        insert.push(" ON CONFLICT (org, thing) DO UPDATE SET body = excluded.body");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

impl Store {
    /// How the audits of an organisation fare; nothing is known of one that was never audited.
    pub async fn vital(&self, org: &str) -> Result<Vital, Error> {
        let vital = async {
            let mut transaction = self.readers.begin().await?;
            let connection = &mut *transaction;
            let Some(org) = past::org_number(connection, org).await? else { return Ok(Vital::default()) };
            let overdue: Option<Option<i64>> =
                sqlx::query_scalar("SELECT overdue_ms FROM told WHERE org = $1")
                    .bind(org)
                    .fetch_optional(&mut *connection)
                    .await?;
            let complete: Option<i64> = sqlx::query_scalar(
                "SELECT at_ms FROM audit WHERE org = $1 AND complete = 1 ORDER BY seq DESC LIMIT 1",
            )
            .bind(org)
            .fetch_optional(&mut *connection)
            .await?;
            let last: Option<(i64, i64, String)> =
                sqlx::query_as("SELECT seq, at_ms, gaps FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1")
                    .bind(org)
                    .fetch_optional(&mut *connection)
                    .await?;
            let (seq, recorded, gaps) = match last {
                Some((seq, at_ms, gaps)) => (seq, Some(time(at_ms)?), gaps),
                None => (0, None, "[]".to_owned()),
            };
            let gaps: Vec<Gap> =
                serde_json::from_str(&gaps).map_err(|error| Problem::unreadable("list of gaps", error))?;
            let mut gaps: Vec<String> = gaps.iter().map(|gap| gap.fact.as_str().to_owned()).collect();
            gaps.sort_unstable();
            gaps.dedup();
            let failure: Option<(i64, String)> =
                sqlx::query_as("SELECT after, detail FROM failure WHERE org = $1 ORDER BY seq DESC LIMIT 1")
                    .bind(org)
                    .fetch_optional(&mut *connection)
                    .await?;
            Ok(Vital {
                complete: complete.map(time).transpose()?,
                recorded,
                gaps,
                failure: failure.filter(|(after, _)| *after == seq).map(|(_, detail)| detail),
                overdue: overdue.flatten().map(time).transpose()?,
            })
        };
        self.named(vital.await)
    }

    /// Notes that no audit of an organisation was complete for too long, with the messages that say so.
    pub async fn note_overdue(
        &self,
        org: &str,
        messages: &[(Message, Vec<String>)],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (org, messages) = (org.to_owned(), messages.to_vec());
        let now = now.timestamp_millis();
        self.write(move |connection| {
            Box::pin(async move {
                let org = record::org_number(connection, &org).await?;
                sqlx::query(
                    "INSERT INTO told (org, overdue_ms) VALUES ($1, $2)
                     ON CONFLICT (org) DO UPDATE SET overdue_ms = excluded.overdue_ms",
                )
                .bind(org)
                .bind(now)
                .execute(&mut *connection)
                .await?;
                outbox::enqueue(connection, &messages, now).await
            })
        })
        .await
    }

    /// Puts heartbeats into the outbox, in place of those that did not arrive: an old one says nothing.
    pub async fn beat(&self, messages: &[(Message, Vec<String>)], now: DateTime<Utc>) -> Result<(), Error> {
        let (messages, now) = (messages.to_vec(), now.timestamp_millis());
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM delivery WHERE state = 'pending'
                     AND message IN (SELECT seq FROM message WHERE kind = 'heartbeat')",
                )
                .execute(&mut *connection)
                .await?;
                outbox::enqueue(connection, &messages, now).await
            })
        })
        .await
    }

    /// What was given up for a receiver and not told to others yet, if it is time to: once an hour; with the numbers of
    /// those messages. A message that told of
    /// dead ones counts for nothing, so that two receivers that are both down do not tell each other for ever.
    pub async fn untold_dead(
        &self,
        receiver: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(Dead, Vec<i64>)>, Error> {
        let dead = async {
            let mut transaction = self.readers.begin().await?;
            let connection = &mut *transaction;
            let last: Option<i64> = sqlx::query_scalar("SELECT at_ms FROM told_dead WHERE receiver = $1")
                .bind(receiver)
                .fetch_optional(&mut *connection)
                .await?;
            let last = last.map(time).transpose()?;
            if last.is_some_and(|last| (last..last + DEAD_EVERY).contains(&now)) {
                return Ok(None);
            }
            let rows: Vec<(i64, String, String, String, Option<String>)> = sqlx::query_as(
                "SELECT m.seq, m.id, m.kind, m.severity, d.reason FROM delivery d JOIN message m ON m.seq = d.message
                 WHERE d.receiver = $1 AND d.state = 'dead' AND d.death_told = 0 AND m.kind <> 'delivery.dead'
                 ORDER BY d.message DESC LIMIT $2",
            )
            .bind(receiver)
            .bind(COUNTED)
            .fetch_all(&mut *connection)
            .await?;
            if rows.is_empty() {
                return Ok(None);
            }
            let mut dead = Dead { receiver: receiver.to_owned(), since: last, ..Dead::default() };
            let mut numbers = Vec::with_capacity(rows.len());
            for (number, id, kind, severity, reason) in rows {
                numbers.push(number);
                *dead.by_type.entry(kind).or_default() += 1;
                *dead.by_reason.entry(reason.unwrap_or_default()).or_default() += 1;
                dead.severity = dead.severity.max(Severity::parse(&severity));
                if dead.ids.len() < NAMED {
                    dead.ids.push(id);
                }
            }
            Ok(Some((dead, numbers)))
        };
        self.named(dead.await)
    }

    /// Notes that others were told of these dead messages of a receiver, with the messages that tell them.
    pub async fn note_dead(
        &self,
        receiver: &str,
        numbers: &[i64],
        messages: &[(Message, Vec<String>)],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (receiver, numbers, messages) = (receiver.to_owned(), numbers.to_vec(), messages.to_vec());
        let now = now.timestamp_millis();
        self.write(move |connection| {
            Box::pin(async move {
                for batch in numbers.chunks(BATCH) {
                    let mut update =
                        QueryBuilder::<Sqlite>::new("UPDATE delivery SET death_told = 1 WHERE receiver = ");
                    update.push_bind(&receiver).push(" AND state = 'dead' AND message IN (");
                    let mut list = update.separated(", ");
                    for number in batch {
                        list.push_bind(*number);
                    }
                    update.push(")").build().execute(&mut *connection).await?;
                }
                sqlx::query("DELETE FROM told_dead WHERE receiver = $1 OR at_ms < $2")
                    .bind(&receiver)
                    .bind(now - DEAD_EVERY.num_milliseconds())
                    .execute(&mut *connection)
                    .await?;
                sqlx::query("INSERT INTO told_dead (receiver, at_ms) VALUES ($1, $2)")
                    .bind(&receiver)
                    .bind(now)
                    .execute(&mut *connection)
                    .await?;
                outbox::enqueue(connection, &messages, now).await
            })
        })
        .await
    }
}
