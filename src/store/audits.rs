//! Lists of what was recorded: audits, failures, events, open findings, object counts.
//!
//! Enters: an organisation (or all), a span of time, a limit. Leaves: values for people, pages and metrics.
//! Must never: be unbounded where the record is. Audits and events grow for ever, so their lists take a limit.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    Store, attributions, body, decisions,
    error::{Error, Problem},
    hash, past, time,
};
use crate::domain::{
    Gap,
    event::Event,
    evidence::Hash,
    finding::Finding,
    inventory::ObjectCounts,
    rendering::alerts::{Failing, Standing},
};

/// One recorded audit, without what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// The organisation's configured name.
    pub org: String,
    /// The audit's id.
    pub audit: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// Whether it saw every fact.
    pub complete: bool,
    /// What it did not see.
    pub gaps: Vec<Gap>,
    /// Digest of the whole configuration.
    pub configuration: Hash,
    /// Digest of what was recorded with it.
    pub recorded: Hash,
    /// The chain hash up to it.
    pub chain: Hash,
    /// Calls to the platform.
    pub api_calls: u32,
    /// Clients seen.
    pub clients: u32,
    /// Roles seen.
    pub roles: u32,
}

/// One audit that recorded nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    /// The organisation's configured name.
    pub org: String,
    /// The id that the audit would have had.
    pub audit: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it gave up.
    pub at: DateTime<Utc>,
    /// A bounded word.
    pub reason: String,
    /// One sentence for a person.
    pub detail: String,
}

impl Store {
    /// Recorded audits of one organisation or all, newest first.
    pub async fn audits(&self, org: Option<&str>, limit: u32) -> Result<Vec<AuditRow>, Error> {
        type Row = (String, String, i64, i64, bool, String, Vec<u8>, Vec<u8>, Vec<u8>, u32, u32, u32);
        let audits = async {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT o.name, a.id, a.started_ms, a.at_ms, a.complete, a.gaps, a.configuration, a.recorded,
                        a.chain, a.api_calls, a.clients, a.roles
                 FROM audit a JOIN org o ON o.id = a.org
                 WHERE $1 IS NULL OR o.name = $1 ORDER BY a.seq DESC LIMIT $2",
            )
            .bind(org)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
            rows.into_iter()
                .map(|row| {
                    Ok(AuditRow {
                        org: row.0,
                        audit: row.1,
                        started: time(row.2)?,
                        at: time(row.3)?,
                        complete: row.4,
                        gaps: serde_json::from_str(&row.5)
                            .map_err(|error| Problem::unreadable("list of gaps", error))?,
                        configuration: hash(&row.6)?,
                        recorded: hash(&row.7)?,
                        chain: hash(&row.8)?,
                        api_calls: row.9,
                        clients: row.10,
                        roles: row.11,
                    })
                })
                .collect()
        };
        self.named(audits.await)
    }

    /// Audits that failed, of one organisation or all, newest first.
    pub async fn failures(&self, org: Option<&str>, limit: u32) -> Result<Vec<FailureRow>, Error> {
        let failures = async {
            let rows: Vec<(String, String, i64, i64, String, String)> = sqlx::query_as(
                "SELECT o.name, f.id, f.started_ms, f.at_ms, f.reason, f.detail
                 FROM failure f JOIN org o ON o.id = f.org
                 WHERE $1 IS NULL OR o.name = $1 ORDER BY f.seq DESC LIMIT $2",
            )
            .bind(org)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
            rows.into_iter()
                .map(|(org, audit, started, at, reason, detail)| {
                    Ok(FailureRow { org, audit, started: time(started)?, at: time(at)?, reason, detail })
                })
                .collect()
        };
        self.named(failures.await)
    }

    /// Events of audits recorded in `from..=to`, each with its audit and that audit's time; the newest audit first,
    /// within an audit in the order in which they were recorded.
    pub async fn events(
        &self,
        org: Option<&str>,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<(String, DateTime<Utc>, Event)>, Error> {
        let events = async {
            let rows: Vec<(String, i64, String, Option<String>)> = sqlx::query_as(
                "SELECT a.id, a.at_ms, e.body, t.body
                 FROM event e JOIN audit a ON a.seq = e.audit JOIN org o ON o.id = a.org
                 LEFT JOIN attribution t ON t.event = e.id
                 WHERE ($1 IS NULL OR o.name = $1) AND ($2 IS NULL OR a.at_ms >= $2) AND ($3 IS NULL OR a.at_ms <= $3)
                 ORDER BY e.audit DESC, e.ord LIMIT $4",
            )
            .bind(org)
            .bind(from.map(|from| from.timestamp_millis()))
            .bind(to.map(|to| to.timestamp_millis()))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
            rows.into_iter()
                .map(|(audit, at, body, actor)| {
                    let mut event =
                        Event::unpack(&body).map_err(|error| Problem::unreadable("event", error))?;
                    attributions::put(&mut event, actor.as_deref())?;
                    Ok((audit, time(at)?, event))
                })
                .collect()
        };
        self.named(events.await)
    }

    /// What somebody has to know of an organisation now: what is open, what ended since `since`, whether its audits fail,
    /// the newest `most_events` changes since `changes_since`. Read within one transaction. Nothing at all for an
    /// organisation that was never audited.
    pub async fn standing(
        &self,
        org: &str,
        since: DateTime<Utc>,
        changes_since: DateTime<Utc>,
        most_events: u32,
    ) -> Result<Standing, Error> {
        let standing = async {
            let mut transaction = self.readers.begin().await?;
            let mut standing = Standing { org: org.to_owned(), ..Standing::default() };
            let Some(number) = past::org_number(&mut transaction, org).await? else { return Ok(standing) };
            let last: Option<(i64, i64)> =
                sqlx::query_as("SELECT seq, at_ms FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1")
                    .bind(number)
                    .fetch_optional(&mut *transaction)
                    .await?;
            let (last_audit, at) = last.unwrap_or((0, 0));
            standing.open = past::open_findings(&mut transaction, number, time(at)?).await?;
            let ledger = decisions::read(&mut transaction, number).await?.ledger;
            standing.open.iter_mut().for_each(|finding| ledger.mark(finding));
            standing.ended = ended(&mut transaction, number, since).await?;
            standing.failing = failing(&mut transaction, number, last_audit).await?;
            standing.recovered = recovered(&mut transaction, number, since).await?;
            standing.changes = changes(&mut transaction, number, changes_since, most_events).await?;
            // Somebody answers for what is approved.
            let approved = ledger.approved_events();
            standing.changes.retain(|(_, event)| !approved.contains(event.id.as_str()));
            Ok(standing)
        };
        self.named(standing.await)
    }

    /// Open findings of one organisation or all, by organisation and uid, with what was decided about them; `last_seen` is
    /// the organisation's last audit's time.
    pub async fn findings(&self, org: Option<&str>) -> Result<Vec<Finding>, Error> {
        let findings = async {
            let mut transaction = self.readers.begin().await?;
            let orgs: Vec<(i64, i64)> = sqlx::query_as(
                "SELECT o.id, a.at_ms FROM org o
                 JOIN audit a ON a.seq = (SELECT MAX(seq) FROM audit WHERE org = o.id)
                 WHERE $1 IS NULL OR o.name = $1 ORDER BY o.name",
            )
            .bind(org)
            .fetch_all(&mut *transaction)
            .await?;
            let mut findings = Vec::new();
            for (org, at) in orgs {
                let ledger = decisions::read(&mut transaction, org).await?.ledger;
                let mut open = past::open_findings(&mut transaction, org, time(at)?).await?;
                for finding in &mut open {
                    ledger.mark(finding);
                }
                findings.append(&mut open);
            }
            Ok(findings)
        };
        self.named(findings.await)
    }

    /// Objects per division as last counted; empty if they never were.
    pub async fn object_counts(&self, org: &str) -> Result<ObjectCounts, Error> {
        let counts = async {
            let mut transaction = self.readers.begin().await?;
            match past::org_number(&mut transaction, org).await? {
                Some(org) => object_counts(&mut transaction, org).await,
                None => Ok(ObjectCounts::new()),
            }
        };
        self.named(counts.await)
    }
}

pub(super) async fn object_counts(
    connection: &mut SqliteConnection,
    org: i64,
) -> Result<ObjectCounts, Problem> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT division, kind, count FROM object_count WHERE org = $1")
            .bind(org)
            .fetch_all(connection)
            .await?;
    let mut counts = ObjectCounts::new();
    for (division, kind, count) in rows {
        counts.entry(division.into()).or_default().insert(kind, count);
    }
    Ok(counts)
}

/// The most versions of findings that ended and are told of.
const MOST_ENDED: u32 = 2_000;

/// Versions of findings that ended in audits since then, with when; the newest first.
async fn ended(
    connection: &mut SqliteConnection,
    org: i64,
    since: DateTime<Utc>,
) -> Result<Vec<(Finding, DateTime<Utc>)>, Problem> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT f.body, a.at_ms FROM audit a JOIN finding f ON f.org = a.org AND f.until = a.seq
         WHERE a.org = $1 AND a.at_ms >= $2 ORDER BY a.seq DESC, f.uid LIMIT $3",
    )
    .bind(org)
    .bind(since.timestamp_millis())
    .bind(MOST_ENDED)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(text, at)| {
            let at = time(at)?;
            Ok((body::finding(&text, at)?, at))
        })
        .collect()
}

/// Since when audits fail, if the latest did, and the latest reason.
async fn failing(
    connection: &mut SqliteConnection,
    org: i64,
    last_audit: i64,
) -> Result<Option<Failing>, Problem> {
    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "SELECT at_ms, reason, detail FROM failure WHERE org = $1 AND after = $2 ORDER BY seq",
    )
    .bind(org)
    .bind(last_audit)
    .fetch_all(connection)
    .await?;
    let (Some((first, ..)), Some((_, reason, detail))) = (rows.first(), rows.last()) else { return Ok(None) };
    Ok(Some(Failing { since: time(*first)?, reason: reason.clone(), detail: detail.clone() }))
}

/// From when to when audits failed, each time that they were recorded again since then.
async fn recovered(
    connection: &mut SqliteConnection,
    org: i64,
    since: DateTime<Utc>,
) -> Result<Vec<(DateTime<Utc>, DateTime<Utc>)>, Problem> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT MIN(f.at_ms), a.at_ms FROM audit a JOIN failure f ON f.org = a.org
            AND f.after = COALESCE((SELECT MAX(b.seq) FROM audit b WHERE b.org = a.org AND b.seq < a.seq), 0)
         WHERE a.org = $1 AND a.at_ms >= $2 GROUP BY a.seq, a.at_ms ORDER BY a.seq DESC LIMIT 100",
    )
    .bind(org)
    .bind(since.timestamp_millis())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|(from, to)| Ok((time(from)?, time(to)?))).collect()
}

/// What changed since then, the newest first.
async fn changes(
    connection: &mut SqliteConnection,
    org: i64,
    since: DateTime<Utc>,
    most: u32,
) -> Result<Vec<(DateTime<Utc>, Event)>, Problem> {
    let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(
        "SELECT a.at_ms, e.body, t.body FROM event e JOIN audit a ON a.seq = e.audit
         LEFT JOIN attribution t ON t.event = e.id
         WHERE a.org = $1 AND a.at_ms >= $2 ORDER BY e.audit DESC, e.ord LIMIT $3",
    )
    .bind(org)
    .bind(since.timestamp_millis())
    .bind(most)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(at, text, actor)| {
            let mut event = Event::unpack(&text).map_err(|error| Problem::unreadable("event", error))?;
            attributions::put(&mut event, actor.as_deref())?;
            Ok((time(at)?, event))
        })
        .collect()
}
