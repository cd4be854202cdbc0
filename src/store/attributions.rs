//! Who made the changes that events tell of, as far as it is known, and the questions that wait for an answer.
//!
//! Enters: [`Attributed`] with an audit. Leaves: attributions by event, pending questions, what is known of secrets. Must
//! never: touch a row of the evidence, or let an unknown answer take the place of a known one.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    Store,
    error::{Error, Problem},
    past, time,
};
use crate::domain::{
    attribution::{Attribution, Pending, Question, Span},
    event::Event,
    secret_age::{Issued, Secrets},
};

/// Questions of one organisation that wait; the oldest are dropped.
const MOST_PENDING: i64 = 200;

/// What an audit learnt about who made changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributed {
    /// By event: of this audit, or of one before.
    pub known: Vec<(String, Attribution)>,
    /// Questions that wait (on).
    pub pending: Vec<Pending>,
    /// Events whose questions wait no more.
    pub settled: Vec<String>,
    /// What is known of clients' secrets now; `None`: nothing new.
    pub secrets: Option<Secrets>,
}

/// What a new audit has to know to find out who made changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inquiries {
    /// When the last recorded audit began.
    pub began: Option<DateTime<Utc>>,
    /// Questions that are due by now, the oldest first.
    pub due: Vec<Pending>,
}

impl Store {
    /// What the next audit of an organisation asks the audit log about beside its own events.
    pub async fn inquiries(&self, org: &str, now: DateTime<Utc>) -> Result<Inquiries, Error> {
        let inquiries = async {
            let mut transaction = self.readers.begin().await?;
            let connection = &mut *transaction;
            let Some(org) = past::org_number(connection, org).await? else { return Ok(Inquiries::default()) };
            let began: Option<i64> =
                sqlx::query_scalar("SELECT started_ms FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1")
                    .bind(org)
                    .fetch_optional(&mut *connection)
                    .await?;
            let rows: Vec<(i64, i64, u32, String)> = sqlx::query_as(
                "SELECT since_ms, next_ms, attempts, question FROM attribution_pending
                 WHERE org = $1 AND next_ms <= $2 ORDER BY since_ms, event",
            )
            .bind(org)
            .bind(now.timestamp_millis())
            .fetch_all(connection)
            .await?;
            let due = rows.into_iter().map(|(since, next, attempts, question)| {
                let question: Question = serde_json::from_str(&question)
                    .map_err(|error| Problem::unreadable("question about an event", error))?;
                Ok(Pending { question, since: time(since)?, next: time(next)?, attempts })
            });
            Ok(Inquiries { began: began.map(time).transpose()?, due: due.collect::<Result<_, Problem>>()? })
        };
        self.named(inquiries.await)
    }

    /// What is known of the secrets of an organisation's clients.
    pub async fn secrets(&self, org: &str) -> Result<Secrets, Error> {
        let secrets = async {
            let mut transaction = self.readers.begin().await?;
            let connection = &mut *transaction;
            let Some(org) = past::org_number(connection, org).await? else { return Ok(Secrets::default()) };
            let read: Option<(i64, i64)> =
                sqlx::query_as("SELECT from_ms, to_ms FROM secret_log WHERE org = $1")
                    .bind(org)
                    .fetch_optional(&mut *connection)
                    .await?;
            let read = read.map(|(from, to)| Ok::<_, Problem>(Span { from: time(from)?, to: time(to)? }));
            let rows: Vec<(String, i64, Option<String>)> =
                sqlx::query_as("SELECT client, at_ms, actor FROM secret_issued WHERE org = $1")
                    .bind(org)
                    .fetch_all(connection)
                    .await?;
            let issued = rows.into_iter().map(|(client, at, actor)| {
                let by = actor.map(|actor| serde_json::from_str(&actor)).transpose();
                let by = by.map_err(|error| Problem::unreadable("actor", error))?;
                Ok((client.into(), Issued { at: time(at)?, by }))
            });
            Ok(Secrets { read: read.transpose()?, issued: issued.collect::<Result<_, Problem>>()? })
        };
        self.named(secrets.await)
    }
}

/// Puts to each event who made the change, if it was asked about.
pub(super) fn put(event: &mut Event, body: Option<&str>) -> Result<(), Problem> {
    if let Some(body) = body {
        let actor = serde_json::from_str(body).map_err(|error| Problem::unreadable("attribution", error))?;
        event.actor = Some(actor);
    }
    Ok(())
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    org: i64,
    attributed: &Attributed,
    at: DateTime<Utc>,
) -> Result<(), Problem> {
    for (event, attribution) in &attributed.known {
        let body =
            serde_json::to_string(attribution).map_err(|error| Problem::unreadable("attribution", error))?;
        sqlx::query(
            "INSERT INTO attribution (event, org, at_ms, certainty, body) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (event) DO UPDATE
             SET at_ms = excluded.at_ms, certainty = excluded.certainty, body = excluded.body
             WHERE attribution.certainty = 'unknown'",
        )
        .bind(event)
        .bind(org)
        .bind(at.timestamp_millis())
        .bind(attribution.certainty.as_str())
        .bind(body)
        .execute(&mut *connection)
        .await?;
    }
    for event in &attributed.settled {
        sqlx::query("DELETE FROM attribution_pending WHERE event = $1")
            .bind(event)
            .execute(&mut *connection)
            .await?;
    }
    for pending in &attributed.pending {
        let question = serde_json::to_string(&pending.question)
            .map_err(|error| Problem::unreadable("question about an event", error))?;
        sqlx::query(
            "INSERT INTO attribution_pending (event, org, since_ms, next_ms, attempts, question)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (event) DO UPDATE SET next_ms = excluded.next_ms, attempts = excluded.attempts",
        )
        .bind(&pending.question.event)
        .bind(org)
        .bind(pending.since.timestamp_millis())
        .bind(pending.next.timestamp_millis())
        .bind(pending.attempts)
        .bind(question)
        .execute(&mut *connection)
        .await?;
    }
    if !attributed.pending.is_empty() {
        sqlx::query(
            "DELETE FROM attribution_pending WHERE org = $1 AND event NOT IN
             (SELECT event FROM attribution_pending WHERE org = $1 ORDER BY since_ms DESC, event LIMIT $2)",
        )
        .bind(org)
        .bind(MOST_PENDING)
        .execute(&mut *connection)
        .await?;
    }
    match &attributed.secrets {
        Some(secrets) => write_secrets(connection, org, secrets).await,
        None => Ok(()),
    }
}

async fn write_secrets(
    connection: &mut SqliteConnection,
    org: i64,
    secrets: &Secrets,
) -> Result<(), Problem> {
    if let Some(read) = secrets.read {
        sqlx::query(
            "INSERT INTO secret_log (org, from_ms, to_ms) VALUES ($1, $2, $3)
             ON CONFLICT (org) DO UPDATE SET from_ms = excluded.from_ms, to_ms = excluded.to_ms",
        )
        .bind(org)
        .bind(read.from.timestamp_millis())
        .bind(read.to.timestamp_millis())
        .execute(&mut *connection)
        .await?;
    }
    for (client, issued) in &secrets.issued {
        let actor = issued.by.as_ref().map(serde_json::to_string).transpose();
        sqlx::query(
            "INSERT INTO secret_issued (org, client, at_ms, actor) VALUES ($1, $2, $3, $4)
             ON CONFLICT (org, client) DO UPDATE SET at_ms = excluded.at_ms, actor = excluded.actor
             WHERE secret_issued.at_ms < excluded.at_ms",
        )
        .bind(org)
        .bind(client.as_str())
        .bind(issued.at.timestamp_millis())
        .bind(actor.map_err(|error| Problem::unreadable("actor", error))?)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query(
        "DELETE FROM secret_issued WHERE org = $1 AND client NOT IN
         (SELECT id FROM version WHERE org = $1 AND kind = 'client' AND until IS NULL)",
    )
    .bind(org)
    .execute(connection)
    .await?;
    Ok(())
}
