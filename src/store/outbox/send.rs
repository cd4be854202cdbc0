//! The way of a message: made with its audit, claimed, settled, forgotten.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    super::{
        Store,
        error::{Error, Problem},
        time,
    },
    Delivery, KEPT, KEPT_UNDELIVERED, LEASE, Outcome, Settled, read_kind, read_severity,
};
use crate::domain::message::Message;

/// Rows named in one statement.
const BATCH: usize = 500;

/// What is due for a receiver. One behind a message of its order key that is not due (claimed, or to be tried later)
/// is not due either. The condition says `>` for a reason: among due ones the order of the list is enough, and a
/// queue of a single order key then costs no more than any other.
const CLAIM: &str =
    "SELECT d.message, m.id, m.kind, m.severity, d.order_key, m.body, m.created_ms, d.queued_ms, d.attempt
     FROM delivery d JOIN message m ON m.seq = d.message
     WHERE d.receiver = $1 AND d.state = 'pending' AND d.next_ms <= $2 AND NOT EXISTS
       (SELECT 1 FROM delivery e WHERE e.receiver = d.receiver AND e.order_key = d.order_key
        AND e.state = 'pending' AND e.message < d.message AND e.next_ms > $2)
     ORDER BY d.message LIMIT $3";

const SETTLE: &str = "UPDATE delivery SET state = $3, attempt = attempt + 1, next_ms = $4, settled_ms = $5, reason = $6, detail = $7
     WHERE message = (SELECT seq FROM message WHERE id = $1) AND receiver = $2 AND state = 'pending'";

const RELEASE: &str = "UPDATE delivery SET next_ms = $3
     WHERE message = (SELECT seq FROM message WHERE id = $1) AND receiver = $2 AND state = 'pending'";

const HASTEN: &str =
    "UPDATE delivery SET next_ms = $2 WHERE receiver = $1 AND state = 'pending' AND next_ms > $2";

const EXPIRE: &str = "UPDATE delivery SET state = 'dead', next_ms = NULL, settled_ms = $3,
       reason = COALESCE(reason, 'expired'),
       detail = COALESCE('not delivered within seven days; the last attempt: ' || detail,
                         'not delivered within seven days, and never tried: the receiver took nothing')
     WHERE receiver = $1 AND state = 'pending' AND queued_ms < $2";

/// What a round of deliveries runs.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [CLAIM, SETTLE, RELEASE, HASTEN, EXPIRE, RETRIED];

/// Only a person's retry gives a delivery another date than its message, an earlier one if the clock was set back.
const RETRIED: &str = "SELECT EXISTS
       (SELECT 1 FROM delivery d JOIN message m ON m.seq = d.message
        WHERE d.receiver = $1 AND d.state = 'pending' AND d.queued_ms > $2 AND d.queued_ms <= $3
          AND m.created_ms <> d.queued_ms)";

/// Adds messages, in order, for each of their receivers, due at once. One without receivers is not kept.
pub(in crate::store) async fn enqueue(
    connection: &mut SqliteConnection,
    messages: &[(Message, Vec<String>)],
    now_ms: i64,
) -> Result<(), Problem> {
    for (message, receivers) in messages {
        if receivers.is_empty() {
            continue;
        }
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO message (id, kind, severity, body, created_ms) VALUES ($1, $2, $3, $4, $5) RETURNING seq",
        )
        .bind(&message.id)
        .bind(message.kind.as_str())
        .bind(message.severity.as_str())
        .bind(&message.body)
        .bind(now_ms)
        .fetch_one(&mut *connection)
        .await?;
        for receiver in receivers {
            sqlx::query(
                "INSERT INTO delivery (message, receiver, order_key, state, attempt, queued_ms, next_ms)
                 VALUES ($1, $2, $3, 'pending', 0, $4, $4)",
            )
            .bind(seq)
            .bind(receiver)
            .bind(&message.order_key)
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}

/// Forgets messages that are too old (see the bounds above), with their deliveries. An undelivered one is as old as the
/// last time it was queued: what a person sent again is not taken from under its receiver.
pub(in crate::store) async fn forget(connection: &mut SqliteConnection, now_ms: i64) -> Result<(), Problem> {
    sqlx::query(
        "DELETE FROM message WHERE created_ms < $1 AND NOT EXISTS
           (SELECT 1 FROM delivery d
            WHERE d.message = message.seq AND d.state <> 'delivered' AND d.queued_ms >= $2)",
    )
    .bind(now_ms - KEPT.num_milliseconds())
    .bind(now_ms - KEPT_UNDELIVERED.num_milliseconds())
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Takes up to `limit` due messages for a receiver, oldest first, for the next minute.
    pub async fn claim(
        &self,
        receiver: &str,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<Delivery>, Error> {
        type Row = (i64, String, String, String, String, String, i64, i64, u32);
        let receiver = receiver.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                let rows: Vec<Row> = sqlx::query_as(CLAIM)
                    .bind(&receiver)
                    .bind(now.timestamp_millis())
                    .bind(limit)
                    .fetch_all(&mut *connection)
                    .await?;
                let taken: Vec<i64> = rows.iter().map(|row| row.0).collect();
                for batch in taken.chunks(BATCH) {
                    let mut update = QueryBuilder::<Sqlite>::new("UPDATE delivery SET next_ms = ");
                    update.push_bind((now + LEASE).timestamp_millis());
                    update.push(" WHERE receiver = ").push_bind(&receiver).push(" AND message IN (");
                    let mut list = update.separated(", ");
                    for message in batch {
                        list.push_bind(*message);
                    }
                    update.push(")").build().execute(&mut *connection).await?;
                }
                rows.into_iter()
                    .map(|(_, id, kind, severity, order_key, body, created, queued, attempt)| {
                        Ok(Delivery {
                            id,
                            receiver: receiver.clone(),
                            kind: read_kind(&kind)?,
                            severity: read_severity(&severity)?,
                            order_key,
                            body,
                            created: time(created)?,
                            queued: time(queued)?,
                            attempt,
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// Says what became of claimed messages. One that is no longer pending (another process settled it after the
    /// lease ran out, or a person purged it) stays as it is.
    pub async fn settle(&self, settled: &[Settled], now: DateTime<Utc>) -> Result<(), Error> {
        let settled = settled.to_vec();
        self.write(move |connection| {
            Box::pin(async move {
                for one in settled {
                    let (state, next_at, reason, detail) = match one.outcome {
                        Outcome::Delivered => ("delivered", None, None, None),
                        Outcome::Dead { reason, detail } => ("dead", None, Some(reason), Some(detail)),
                        Outcome::Retry { next_at, reason, detail } => {
                            ("pending", Some(next_at), Some(reason), Some(detail))
                        }
                        Outcome::Released => {
                            sqlx::query(RELEASE)
                                .bind(one.id)
                                .bind(one.receiver)
                                .bind(now.timestamp_millis())
                                .execute(&mut *connection)
                                .await?;
                            continue;
                        }
                    };
                    sqlx::query(SETTLE)
                        .bind(one.id)
                        .bind(one.receiver)
                        .bind(state)
                        .bind(next_at.map(|at| at.timestamp_millis()))
                        .bind(next_at.is_none().then_some(now.timestamp_millis()))
                        .bind(reason)
                        .bind(detail)
                        .execute(&mut *connection)
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Makes everything that waits for a receiver due now, and says how much of it was not. For a receiver that is
    /// well again, and for a process that has just begun to send to it: what an earlier one had claimed is free.
    pub async fn hasten(&self, receiver: &str, now: DateTime<Utc>) -> Result<u64, Error> {
        let receiver = receiver.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                let hastened = sqlx::query(HASTEN)
                    .bind(&receiver)
                    .bind(now.timestamp_millis())
                    .execute(&mut *connection)
                    .await?;
                Ok(hastened.rows_affected())
            })
        })
        .await
    }

    /// Gives up what has waited for a receiver since before `queued_before`, tried or not; how many there were.
    pub async fn expire(
        &self,
        receiver: &str,
        queued_before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let receiver = receiver.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                let expired = sqlx::query(EXPIRE)
                    .bind(&receiver)
                    .bind(queued_before.timestamp_millis())
                    .bind(now.timestamp_millis())
                    .execute(&mut *connection)
                    .await?;
                Ok(expired.rows_affected())
            })
        })
        .await
    }

    /// Whether a person sent a message for a receiver back to the queue after `since`, and not later than `now`: what is
    /// dated later was, before somebody set the clock back, heard already.
    pub async fn retried_between(
        &self,
        receiver: &str,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let found = sqlx::query_scalar(RETRIED)
            .bind(receiver)
            .bind(since.timestamp_millis())
            .bind(now.timestamp_millis());
        self.named(found.fetch_one(&self.readers).await.map_err(Problem::from))
    }
}
