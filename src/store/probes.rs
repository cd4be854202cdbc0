//! What probes proved, what they sent, and what is not to be sent again.
//!
//! Enters: one observation at a time, in its own transaction, as soon as it is made. Leaves: where each probe stands,
//! its history, and how many requests were ours. Must never: forget a proof because a later attempt proved nothing, or
//! lift a block by itself.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::SqliteConnection;

use super::{
    Store,
    error::{Error, Problem},
    past, time,
};
use crate::domain::{
    ClientId,
    probe::{Expectation, Observation, Sent, Standing, token::TokenNote},
};

/// Answers that are kept of each probe.
const KEPT_ANSWERS: i64 = 50;

/// How long it is known which requests were ours: longer than the platform remembers them.
const KEPT_SENT: TimeDelta = TimeDelta::days(400);

/// Whom a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One client that somebody named: of the others it says nothing.
    One,
    /// Everybody, but for some that are configured and could not be told. It counts as the schedule's last run, and what
    /// stands of others stays.
    Most,
    /// Everybody that is configured. It counts as the schedule's last run, and what stands of others goes.
    All,
}

type StandingRow = (Option<String>, Option<i64>, String, u32);

impl Store {
    /// Records what became of one probe. Fails if the organisation was never audited.
    pub async fn record_probe(&self, run: &str, observation: &Observation) -> Result<(), Error> {
        let (run, observation) = (run.to_owned(), observation.clone());
        self.write(move |connection| Box::pin(async move { record(connection, &run, &observation).await }))
            .await
    }

    /// Records a request of ours with a client's token that was no probe.
    pub async fn note_sent(
        &self,
        org: &str,
        client: &ClientId,
        operation: &str,
        status: Option<u16>,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (org, client, operation) = (org.to_owned(), client.to_string(), operation.to_owned());
        self.write(move |connection| {
            Box::pin(async move {
                let org = number(connection, &org).await?;
                count_sent(connection, org, &client, &operation, status, at).await
            })
        })
        .await
    }

    /// Records what a client's token told; the last note of each check is kept.
    pub async fn record_token_note(
        &self,
        org: &str,
        client: &ClientId,
        note: &TokenNote,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (org, client, note) = (org.to_owned(), client.to_string(), note.clone());
        self.write(move |connection| {
            Box::pin(async move {
                let org = number(connection, &org).await?;
                let body =
                    serde_json::to_string(&note).map_err(|error| Problem::unreadable("token note", error))?;
                sqlx::query(
                    "INSERT INTO probe_token (org, client, token_check, at_ms, body) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (org, client, token_check) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body",
                )
                .bind(org)
                .bind(&client)
                .bind(note.check.as_str())
                .bind(at.timestamp_millis())
                .bind(body)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// What the tokens of an organisation's clients last told, by client.
    pub async fn token_notes(&self, org: &str) -> Result<Vec<(ClientId, DateTime<Utc>, TokenNote)>, Error> {
        let notes = async {
            let rows: Vec<(String, i64, String)> = sqlx::query_as(
                "SELECT t.client, t.at_ms, t.body FROM probe_token t JOIN org o ON o.id = t.org
                 WHERE o.name = $1 ORDER BY t.client, t.token_check",
            )
            .bind(org)
            .fetch_all(&self.readers)
            .await?;
            let read = |(client, at_ms, body): (String, i64, String)| {
                let note =
                    serde_json::from_str(&body).map_err(|error| Problem::unreadable("token note", error))?;
                Ok((ClientId::from(client), time(at_ms)?, note))
            };
            rows.into_iter().map(read).collect()
        };
        self.named(notes.await)
    }

    /// Ends a run for these clients: what it did not plan stands no more, and `extent` says what becomes of the others.
    pub async fn end_probe_run(
        &self,
        org: &str,
        run: &str,
        clients: &[ClientId],
        extent: Extent,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (org, run) = (org.to_owned(), run.to_owned());
        let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
        self.write(move |connection| {
            Box::pin(async move { end_run(connection, &org, &run, &clients, extent, at).await })
        })
        .await
    }

    /// Where every probe of an organisation stands, by client and operation.
    pub async fn probe_standings(&self, org: &str) -> Result<Vec<Standing>, Error> {
        let standings = async {
            let rows: Vec<StandingRow> = sqlx::query_as(
                "SELECT s.proven, s.since_ms, s.latest, s.inconclusive FROM probe_standing s JOIN org o ON o.id = s.org
                 WHERE o.name = $1 ORDER BY s.client, s.operation, s.expectation",
            )
            .bind(org)
            .fetch_all(&self.readers)
            .await?;
            rows.into_iter().map(standing).collect()
        };
        self.named(standings.await)
    }

    /// When each probe of a client was last really tried.
    pub async fn probes_tried(
        &self,
        org: &str,
        client: &ClientId,
    ) -> Result<BTreeMap<(String, Expectation), DateTime<Utc>>, Error> {
        let tried = async {
            let rows: Vec<(String, String, i64)> = sqlx::query_as(
                "SELECT s.operation, s.expectation, s.tried_ms FROM probe_standing s JOIN org o ON o.id = s.org
                 WHERE o.name = $1 AND s.client = $2 AND s.tried_ms IS NOT NULL",
            )
            .bind(org)
            .bind(client.as_str())
            .fetch_all(&self.readers)
            .await?;
            let read = |(operation, expectation, at_ms): (String, String, i64)| {
                let expectation = Expectation::parse(&expectation)
                    .ok_or_else(|| Problem::unreadable("probe", format!("expectation {expectation}")))?;
                Ok(((operation, expectation), time(at_ms)?))
            };
            rows.into_iter().map(read).collect()
        };
        self.named(tried.await)
    }

    /// The answers of an organisation's probes, newest first; of one client (by its id, or its name then) or all.
    pub async fn probe_answers(
        &self,
        org: &str,
        client: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Observation>, Error> {
        let answers = async {
            let bodies: Vec<String> = sqlx::query_scalar(
                "SELECT a.body FROM probe_answer a JOIN org o ON o.id = a.org
                 WHERE o.name = $1 AND ($2 IS NULL OR a.client = $2 OR a.client_name = $2)
                 ORDER BY a.seq DESC LIMIT $3",
            )
            .bind(org)
            .bind(client)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
            bodies.iter().map(|body| observation(body)).collect()
        };
        self.named(answers.await)
    }

    /// Operations that are not sent again until a person clears them, each with when it was not refused.
    pub async fn probe_blocks(&self, org: &str) -> Result<BTreeMap<String, DateTime<Utc>>, Error> {
        let blocks = async {
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "SELECT b.operation, b.at_ms FROM probe_block b JOIN org o ON o.id = b.org WHERE o.name = $1",
            )
            .bind(org)
            .fetch_all(&self.readers)
            .await?;
            rows.into_iter().map(|(operation, at_ms)| Ok((operation, time(at_ms)?))).collect()
        };
        self.named(blocks.await)
    }

    /// A person looked: the operation may be sent again. Whether it was blocked.
    pub async fn clear_probe_block(&self, org: &str, operation: &str) -> Result<bool, Error> {
        let (org, operation) = (org.to_owned(), operation.to_owned());
        self.write(move |connection| {
            Box::pin(async move {
                let Some(org) = past::org_number(connection, &org).await? else { return Ok(false) };
                let done = sqlx::query("DELETE FROM probe_block WHERE org = $1 AND operation = $2")
                    .bind(org)
                    .bind(&operation)
                    .execute(connection)
                    .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Requests that were ours, on the days `from..=to` (UTC), by client and operation.
    pub async fn probes_sent(
        &self,
        org: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<Sent>, Error> {
        let sent = async {
            let rows: Vec<(String, String, String, String, u8, i64)> = sqlx::query_as(
                "SELECT p.client, p.method, p.template, p.day, p.status_class, p.count
                 FROM probe_sent p JOIN org o ON o.id = p.org
                 WHERE o.name = $1 AND p.day >= $2 AND p.day <= $3
                 ORDER BY p.client, p.method, p.template, p.day, p.status_class",
            )
            .bind(org)
            .bind(day(from))
            .bind(day(to))
            .fetch_all(&self.readers)
            .await?;
            let read = |(client, method, template, day, status_class, count): (_, _, _, _, _, i64)| Sent {
                client,
                method,
                template,
                day,
                status_class,
                count: u64::try_from(count).unwrap_or(0),
            };
            Ok(rows.into_iter().map(read).collect())
        };
        self.named(sent.await)
    }

    /// When the schedule last had the clients of an organisation probed.
    pub async fn last_probe_run(&self, org: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let last = async {
            let at: Option<i64> = sqlx::query_scalar(
                "SELECT r.at_ms FROM probe_run r JOIN org o ON o.id = r.org WHERE o.name = $1",
            )
            .bind(org)
            .fetch_optional(&self.readers)
            .await?;
            at.map(time).transpose()
        };
        self.named(last.await)
    }
}

async fn number(connection: &mut SqliteConnection, org: &str) -> Result<i64, Problem> {
    past::org_number(connection, org)
        .await?
        .ok_or_else(|| Problem::unreadable("organisation", format!("{org} was never audited")))
}

async fn record(connection: &mut SqliteConnection, run: &str, latest: &Observation) -> Result<(), Problem> {
    let org = number(connection, &latest.org).await?;
    let client = latest.client.id.as_str();
    let expectation = latest.expectation.as_str();
    let before: Option<(StandingRow, Option<i64>)> =
        sqlx::query_as::<_, (Option<String>, Option<i64>, String, u32, Option<i64>)>(
            "SELECT proven, since_ms, latest, inconclusive, tried_ms FROM probe_standing
         WHERE org = $1 AND client = $2 AND operation = $3 AND expectation = $4",
        )
        .bind(org)
        .bind(client)
        .bind(&latest.operation)
        .bind(expectation)
        .fetch_optional(&mut *connection)
        .await?
        .map(|row| ((row.0, row.1, row.2, row.3), row.4));
    let (before, tried_ms) = match before {
        Some((row, tried_ms)) => (Some(standing(row)?), tried_ms),
        None => (None, None),
    };
    let tried_ms = if latest.sent { Some(latest.at.timestamp_millis()) } else { tried_ms };
    let now = Standing::after(before, latest.clone());
    let body = |observation: &Observation| {
        serde_json::to_string(observation).map_err(|error| Problem::unreadable("probe", error))
    };
    let proven = now.proven.as_ref().map(body).transpose()?;
    sqlx::query(
        "INSERT INTO probe_standing (org, client, operation, expectation, run, proven, since_ms, latest, inconclusive,
                                     tried_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (org, client, operation, expectation) DO UPDATE SET
             run = excluded.run, proven = excluded.proven, since_ms = excluded.since_ms, latest = excluded.latest,
             inconclusive = excluded.inconclusive, tried_ms = excluded.tried_ms",
    )
    .bind(org)
    .bind(client)
    .bind(&latest.operation)
    .bind(expectation)
    .bind(run)
    .bind(proven)
    .bind(now.since.map(|since| since.timestamp_millis()))
    .bind(body(latest)?)
    .bind(now.inconclusive)
    .bind(tried_ms)
    .execute(&mut *connection)
    .await?;
    if latest.sent {
        keep_answer(connection, org, latest, &body(latest)?).await?;
        count_sent(connection, org, client, &latest.operation, latest.status, latest.at).await?;
    }
    if let Some(status) = latest.must_not_be_repeated() {
        sqlx::query(
            "INSERT INTO probe_block (org, operation, at_ms, client, status) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (org, operation) DO NOTHING",
        )
        .bind(org)
        .bind(&latest.operation)
        .bind(latest.at.timestamp_millis())
        .bind(client)
        .bind(status)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn keep_answer(
    connection: &mut SqliteConnection,
    org: i64,
    answer: &Observation,
    body: &str,
) -> Result<(), Problem> {
    let (client, expectation) = (answer.client.id.as_str(), answer.expectation.as_str());
    sqlx::query(
        "INSERT INTO probe_answer (org, client, client_name, operation, expectation, at_ms, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(org)
    .bind(client)
    .bind(&answer.client.name)
    .bind(&answer.operation)
    .bind(expectation)
    .bind(answer.at.timestamp_millis())
    .bind(body)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM probe_answer WHERE org = $1 AND client = $2 AND operation = $3 AND expectation = $4
         AND seq NOT IN (SELECT seq FROM probe_answer
                         WHERE org = $1 AND client = $2 AND operation = $3 AND expectation = $4
                         ORDER BY seq DESC LIMIT $5)",
    )
    .bind(org)
    .bind(client)
    .bind(&answer.operation)
    .bind(expectation)
    .bind(KEPT_ANSWERS)
    .execute(connection)
    .await?;
    Ok(())
}

async fn count_sent(
    connection: &mut SqliteConnection,
    org: i64,
    client: &str,
    operation: &str,
    status: Option<u16>,
    at: DateTime<Utc>,
) -> Result<(), Problem> {
    let (method, template) = operation.split_once(' ').unwrap_or(("", operation));
    sqlx::query(
        "INSERT INTO probe_sent (org, day, client, method, template, status_class, count)
         VALUES ($1, $2, $3, $4, $5, $6, 1)
         ON CONFLICT (org, day, client, method, template, status_class) DO UPDATE SET count = probe_sent.count + 1",
    )
    .bind(org)
    .bind(day(at))
    .bind(client)
    .bind(method)
    .bind(template)
    .bind(status.map_or(0, |status| (status / 100).min(5)))
    .execute(connection)
    .await?;
    Ok(())
}

async fn end_run(
    connection: &mut SqliteConnection,
    org: &str,
    run: &str,
    clients: &[String],
    extent: Extent,
    at: DateTime<Utc>,
) -> Result<(), Problem> {
    let org = number(connection, org).await?;
    for client in clients {
        sqlx::query("DELETE FROM probe_standing WHERE org = $1 AND client = $2 AND run <> $3")
            .bind(org)
            .bind(client)
            .bind(run)
            .execute(&mut *connection)
            .await?;
    }
    if extent == Extent::One {
        return Ok(());
    }
    let tables: &[&str] =
        if extent == Extent::All { &["probe_standing", "probe_answer", "probe_token"] } else { &[] };
    for table in tables {
        let known: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT DISTINCT client FROM {table} WHERE org = $1"
        )))
        .bind(org)
        .fetch_all(&mut *connection)
        .await?;
        for client in known.iter().filter(|client| !clients.contains(client)) {
            sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE org = $1 AND client = $2")))
                .bind(org)
                .bind(client)
                .execute(&mut *connection)
                .await?;
        }
    }
    sqlx::query("DELETE FROM probe_sent WHERE org = $1 AND day < $2")
        .bind(org)
        .bind(day(at - KEPT_SENT))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO probe_run (org, at_ms) VALUES ($1, $2) ON CONFLICT (org) DO UPDATE SET at_ms = excluded.at_ms",
    )
    .bind(org)
    .bind(at.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}

fn standing((proven, since_ms, latest, inconclusive): StandingRow) -> Result<Standing, Problem> {
    Ok(Standing {
        proven: proven.as_deref().map(observation).transpose()?,
        since: since_ms.map(time).transpose()?,
        latest: observation(&latest)?,
        inconclusive,
    })
}

fn observation(body: &str) -> Result<Observation, Problem> {
    serde_json::from_str(body).map_err(|error| Problem::unreadable("probe", error))
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}
