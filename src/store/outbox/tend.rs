//! What people and metrics see of the outbox, and what people may do to it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{
    super::{
        Store,
        error::{Error, Problem},
        time,
    },
    OutboxCounts, OutboxRow, OutboxState, Which, read_kind, read_severity,
};

/// From the two partial indexes alone: it is asked every few seconds. Messages are numbered as they are made.
pub(super) const COUNTS: &str = "SELECT c.receiver, c.state, c.number, m.created_ms FROM
       (SELECT receiver, 'pending' AS state, COUNT(*) AS number, MIN(message) AS oldest
        FROM delivery WHERE state = 'pending' GROUP BY receiver
        UNION ALL
        SELECT receiver, 'dead', COUNT(*), MIN(message) FROM delivery WHERE state = 'dead' GROUP BY receiver) c
     JOIN message m ON m.seq = c.oldest";

impl Store {
    /// What is in the outbox, newest first.
    pub async fn outbox(
        &self,
        receiver: Option<&str>,
        state: Option<OutboxState>,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, Error> {
        let listed = async {
            let rows = sqlx::query(
                "SELECT m.id, d.receiver, m.kind, m.severity, d.order_key, d.state, d.attempt, m.created_ms,
                        d.next_ms, d.settled_ms, d.reason, d.detail
                 FROM delivery d JOIN message m ON m.seq = d.message
                 WHERE ($1 IS NULL OR d.receiver = $1) AND ($2 IS NULL OR d.state = $2)
                 ORDER BY d.message DESC, d.receiver LIMIT $3",
            )
            .bind(receiver)
            .bind(state.map(OutboxState::as_str))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
            rows.iter().map(read_row).collect()
        };
        self.named(listed.await)
    }

    /// What waits for each receiver that has anything pending or dead, whether it is configured or not.
    pub async fn outbox_counts(&self) -> Result<BTreeMap<String, OutboxCounts>, Error> {
        let counted = async {
            let rows: Vec<(String, String, u32, i64)> =
                sqlx::query_as(COUNTS).fetch_all(&self.readers).await?;
            let mut counts: BTreeMap<String, OutboxCounts> = BTreeMap::new();
            for (receiver, state, number, oldest) in rows {
                let count = counts.entry(receiver).or_default();
                match OutboxState::read(&state)? {
                    OutboxState::Pending => {
                        (count.pending, count.oldest_pending) = (number.into(), Some(time(oldest)?));
                    }
                    OutboxState::Dead => count.dead = number.into(),
                    OutboxState::Delivered => {}
                }
            }
            Ok(counts)
        };
        self.named(counted.await)
    }

    /// Sends messages back to the queue, due now and with their attempts and age counted anew; how many there were.
    /// `receiver`: only those for it.
    pub async fn outbox_retry(
        &self,
        which: &Which,
        receiver: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let (which, receiver) = (which.clone(), receiver.map(str::to_owned));
        let now = now.timestamp_millis();
        self.write(move |connection| {
            Box::pin(async move {
                let mut update =
                    QueryBuilder::new("UPDATE delivery SET state = 'pending', attempt = 0, queued_ms = ");
                update
                    .push_bind(now)
                    .push(", next_ms = ")
                    .push_bind(now)
                    .push(", settled_ms = NULL, death_told = 0");
                apply(connection, update, &which, receiver.as_deref()).await
            })
        })
        .await
    }

    /// Takes undelivered messages out of the outbox for good; how many there were. `receiver`: only those for it.
    pub async fn outbox_purge(&self, which: &Which, receiver: Option<&str>) -> Result<u64, Error> {
        let (which, receiver) = (which.clone(), receiver.map(str::to_owned));
        self.write(move |connection| {
            Box::pin(async move {
                apply(connection, QueryBuilder::new("DELETE FROM delivery"), &which, receiver.as_deref())
                    .await
            })
        })
        .await
    }
}

/// Runs a statement on the undelivered messages that a person means.
async fn apply(
    connection: &mut SqliteConnection,
    mut statement: QueryBuilder<Sqlite>,
    which: &Which,
    receiver: Option<&str>,
) -> Result<u64, Problem> {
    match which {
        Which::Dead => {
            statement.push(" WHERE state = 'dead'");
        }
        Which::Undelivered => {
            statement.push(" WHERE state <> 'delivered'");
        }
        Which::Ids(ids) => {
            statement
                .push(" WHERE state <> 'delivered' AND message IN (SELECT seq FROM message WHERE id IN (");
            let mut list = statement.separated(", ");
            for id in ids {
                list.push_bind(id);
            }
            statement.push("))");
        }
    }
    if let Some(receiver) = receiver {
        statement.push(" AND receiver = ").push_bind(receiver);
    }
    Ok(statement.build().execute(connection).await?.rows_affected())
}

fn read_row(row: &SqliteRow) -> Result<OutboxRow, Problem> {
    Ok(OutboxRow {
        id: row.try_get(0)?,
        receiver: row.try_get(1)?,
        kind: read_kind(row.try_get(2)?)?,
        severity: read_severity(row.try_get(3)?)?,
        order_key: row.try_get(4)?,
        state: OutboxState::read(row.try_get(5)?)?,
        attempt: row.try_get(6)?,
        created: time(row.try_get(7)?)?,
        next_at: row.try_get::<Option<i64>, _>(8)?.map(time).transpose()?,
        settled: row.try_get::<Option<i64>, _>(9)?.map(time).transpose()?,
        reason: row.try_get(10)?,
        detail: row.try_get(11)?,
    })
}
