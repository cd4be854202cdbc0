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

const BATCH: usize = 500;

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

/// Forgets messages that are too old (see the bounds above), with their deliveries.
pub(in crate::store) async fn forget(connection: &mut SqliteConnection, now_ms: i64) -> Result<(), Problem> {
    sqlx::query(
        "DELETE FROM message WHERE created_ms < $1 AND (created_ms < $2 OR NOT EXISTS
           (SELECT 1 FROM delivery d WHERE d.message = message.seq AND d.state <> 'delivered'))",
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
                let rows: Vec<Row> = sqlx::query_as(
                    "SELECT d.message, m.id, m.kind, m.severity, d.order_key, m.body, m.created_ms, d.queued_ms, d.attempt
                     FROM delivery d JOIN message m ON m.seq = d.message
                     WHERE d.receiver = $1 AND d.state = 'pending' AND d.next_ms <= $2 AND NOT EXISTS
                       (SELECT 1 FROM delivery e WHERE e.receiver = d.receiver AND e.order_key = d.order_key
                        AND e.state = 'pending' AND e.message < d.message)
                     ORDER BY d.message LIMIT $3",
                )
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
                    let update = match one.outcome {
                        Outcome::Delivered => sqlx::query(
                            "UPDATE delivery SET state = 'delivered', attempt = attempt + 1, next_ms = NULL,
                                    settled_ms = $3, reason = NULL, detail = NULL
                             WHERE message = (SELECT seq FROM message WHERE id = $1) AND receiver = $2 AND state = 'pending'",
                        )
                        .bind(one.id)
                        .bind(one.receiver)
                        .bind(now.timestamp_millis()),
                        Outcome::Dead { reason, detail } => sqlx::query(
                            "UPDATE delivery SET state = 'dead', attempt = attempt + 1, next_ms = NULL,
                                    settled_ms = $3, reason = $4, detail = $5
                             WHERE message = (SELECT seq FROM message WHERE id = $1) AND receiver = $2 AND state = 'pending'",
                        )
                        .bind(one.id)
                        .bind(one.receiver)
                        .bind(now.timestamp_millis())
                        .bind(reason)
                        .bind(detail),
                        Outcome::Retry { next_at, reason, detail, attempt } => sqlx::query(
                            "UPDATE delivery SET next_ms = $3, attempt = $4, reason = $5, detail = $6
                             WHERE message = (SELECT seq FROM message WHERE id = $1) AND receiver = $2 AND state = 'pending'",
                        )
                        .bind(one.id)
                        .bind(one.receiver)
                        .bind(next_at.timestamp_millis())
                        .bind(attempt)
                        .bind(reason)
                        .bind(detail),
                    };
                    update.execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// When a message for a receiver may next be claimed; in the past if one is due, `None` if none waits.
    pub async fn next_due(&self, receiver: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let next = async {
            let next: Option<i64> = sqlx::query_scalar(
                "SELECT MIN(d.next_ms) FROM delivery d
                 WHERE d.receiver = $1 AND d.state = 'pending' AND NOT EXISTS
                   (SELECT 1 FROM delivery e WHERE e.receiver = d.receiver AND e.order_key = d.order_key
                    AND e.state = 'pending' AND e.message < d.message)",
            )
            .bind(receiver)
            .fetch_one(&self.readers)
            .await?;
            next.map(time).transpose()
        };
        self.named(next.await)
    }
}
