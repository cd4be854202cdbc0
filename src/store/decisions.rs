//! What people decided, and how it ended.
//!
//! Enters: entries, each in the transaction of whoever makes it: a person's command, or an audit. Leaves: the ledger of an
//! organisation, the history of a finding. Must never: change an entry. Retention empties the text of what ended long ago,
//! and leaves its hash.
//!
//! An entry is *sealed* by the first audit that is recorded after it: the audit's digest binds the entry's hash.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Store, body,
    error::{Error, Problem},
    hash, outbox, past, time,
};
use crate::domain::{
    decision::{
        Entry, Ledger,
        desk::{Desk, Refusal},
        fingerprint::{self, Fingerprint},
        history::Recorded,
    },
    event::Event,
    evidence::Hash,
    finding::Status,
    message::Message,
};

/// How long the text of a decision that ended is kept.
const KEPT: TimeDelta = TimeDelta::days(400);

/// Rows named in one statement.
const BATCH: usize = 500;

/// What an audit does about decisions.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The last entry that it knew of ([`Book::last`]).
    pub last: i64,
    /// What it ends.
    pub made: &'a [Entry],
}

impl Decided<'static> {
    /// There never was a decision.
    pub const NONE: Self = Self { last: 0, made: &[] };
}

/// The decisions of an organisation, as an audit or a page needs them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// Their state.
    pub ledger: Ledger,
    /// The hashes of entries that no audit has sealed yet.
    pub unsealed: Vec<Hash>,
    /// The number of the last entry; 0: there is none.
    pub last: i64,
}

/// Where the record stands for a person who decides.
#[derive(Clone, Debug)]
pub struct Place {
    /// The last audit.
    pub audit: String,
    /// The chain hash after it.
    pub chain: Hash,
}

/// What a decision came to: what is to be recorded and sent with it, and what its maker is told.
#[derive(Debug)]
pub struct Outcome<T> {
    /// New entries.
    pub entries: Vec<Entry>,
    /// What is to be sent, with the receivers of each.
    pub messages: Vec<(Message, Vec<String>)>,
    /// For whoever asked.
    pub answer: T,
}

/// The text of an entry, on which its hash rests.
fn entry_body(entry: &Entry) -> Result<String, Problem> {
    serde_json::to_string(entry).map_err(|error| Problem::unreadable("decision", error))
}

/// The hash by which an audit's digest binds an entry.
///
/// # Panics
/// Never: every entry has a JSON form.
pub fn entry_hash(entry: &Entry) -> Hash {
    Hash::of(serde_json::to_string(entry).expect("an entry has a JSON form").as_bytes())
}

impl Store {
    /// Decides in one transaction: `decide` sees the state as it is now, and what it answers is recorded whole. Nothing is
    /// if it refuses. Fails with [`Problem::NothingRecorded`] before the organisation's first audit.
    pub async fn decide<T: Send + 'static>(
        &self,
        org: &str,
        now: DateTime<Utc>,
        decide: impl FnOnce(Desk, &Place) -> Result<Outcome<T>, Refusal> + Send + 'static,
    ) -> Result<Result<T, Refusal>, Error> {
        let org = org.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                let nothing = || Problem::NothingRecorded { org: org.clone() };
                let number = past::org_number(connection, &org).await?.ok_or_else(nothing)?;
                let last: Option<(String, i64, Vec<u8>)> = sqlx::query_as(
                    "SELECT id, at_ms, chain FROM audit WHERE org = $1 ORDER BY seq DESC LIMIT 1",
                )
                .bind(number)
                .fetch_optional(&mut *connection)
                .await?;
                let (audit, at_ms, chain) = last.ok_or_else(nothing)?;
                let mut findings = past::open_findings(connection, number, time(at_ms)?).await?;
                let ledger = read(connection, number).await?.ledger;
                for finding in &mut findings {
                    ledger.mark(finding);
                }
                let place = Place { audit, chain: hash(&chain)? };
                let outcome = match decide(Desk { findings, ledger }, &place) {
                    Ok(outcome) => outcome,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                write(connection, number, None, &outcome.entries).await?;
                outbox::enqueue(connection, &outcome.messages, now.timestamp_millis()).await?;
                Ok(Ok(outcome.answer))
            })
        })
        .await
    }

    /// The decisions of an organisation; empty if there never were any.
    pub async fn decisions(&self, org: &str) -> Result<Book, Error> {
        let book = async {
            let mut transaction = self.readers.begin().await?;
            match past::org_number(&mut transaction, org).await? {
                Some(org) => read(&mut transaction, org).await,
                None => Ok(Book::default()),
            }
        };
        self.named(book.await)
    }

    /// The number of the last entry of an organisation's decisions; 0: there is none. Cheap: it is asked again and again.
    pub async fn last_decision(&self, org: &str) -> Result<i64, Error> {
        let last = sqlx::query_scalar(
            "SELECT COALESCE(MAX(d.seq), 0) FROM decision_entry d JOIN org o ON o.id = d.org WHERE o.name = $1",
        )
        .bind(org)
        .fetch_one(&self.readers)
        .await;
        self.named(last.map_err(Problem::from))
    }

    /// Which of these findings failed in an earlier life.
    pub async fn failed_before(&self, org: &str, uids: &[&str]) -> Result<BTreeSet<String>, Error> {
        let failed = async {
            let mut transaction = self.readers.begin().await?;
            let mut found = BTreeSet::new();
            let Some(org) = past::org_number(&mut transaction, org).await? else { return Ok(found) };
            for batch in uids.chunks(BATCH) {
                let mut query = QueryBuilder::<Sqlite>::new("SELECT DISTINCT uid FROM finding WHERE org = ");
                query
                    .push_bind(org)
                    .push(" AND until IS NOT NULL AND body LIKE '%\"status\":\"fail\"%' AND uid IN (");
                let mut list = query.separated(", ");
                for uid in batch {
                    list.push_bind(*uid);
                }
                let uids: Vec<String> =
                    query.push(")").build_query_scalar().fetch_all(&mut *transaction).await?;
                found.extend(uids);
            }
            Ok(found)
        };
        self.named(failed.await)
    }

    /// Recorded events whose id begins with `prefix`, each with its audit and that audit's time, the newest first.
    pub async fn events_called(
        &self,
        org: &str,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, DateTime<Utc>, Event)>, Error> {
        let events = async {
            // No letter of an id has a meaning in LIKE but these.
            let pattern = format!("{}%", prefix.replace(['%', '_', '\\'], "?"));
            let rows: Vec<(String, i64, String)> = sqlx::query_as(
                "SELECT a.id, a.at_ms, e.body FROM event e JOIN audit a ON a.seq = e.audit JOIN org o ON o.id = a.org
                 WHERE o.name = $1 AND e.id LIKE $2 ORDER BY e.audit DESC, e.ord LIMIT $3",
            )
            .bind(org)
            .bind(pattern)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
            let read = |(audit, at_ms, body): (String, i64, String)| {
                let event = Event::unpack(&body).map_err(|error| Problem::unreadable("event", error))?;
                Ok((audit, time(at_ms)?, event))
            };
            rows.into_iter().map(read).collect()
        };
        self.named(events.await)
    }

    /// What failed newly in an audit, as it was then, sorted by uid.
    pub async fn opened_in(&self, org: &str, audit: &str) -> Result<Vec<(String, Fingerprint)>, Error> {
        let opened = async {
            let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(
                "SELECT a.at_ms, f.body, p.body FROM finding f
                 JOIN audit a ON a.seq = f.since AND a.org = f.org JOIN org o ON o.id = f.org
                 LEFT JOIN finding p ON p.org = f.org AND p.uid = f.uid AND p.until = f.since
                 WHERE o.name = $1 AND a.id = $2 ORDER BY f.uid",
            )
            .bind(org)
            .bind(audit)
            .fetch_all(&self.readers)
            .await?;
            let mut opened = Vec::new();
            for (at_ms, now, before) in rows {
                let finding = body::finding(&now, time(at_ms)?)?;
                let failed = match before {
                    Some(before) => body::finding(&before, time(at_ms)?)?.status == Status::Fail,
                    None => false,
                };
                if finding.status == Status::Fail && !failed {
                    let fingerprint = fingerprint::of(&finding);
                    opened.push((finding.uid, fingerprint));
                }
            }
            Ok(opened)
        };
        self.named(opened.await)
    }

    /// Every recorded version of the findings whose uid begins with `prefix`, by uid and age, at most `limit`; and every
    /// entry about decisions whose text is kept.
    pub async fn finding_history(
        &self,
        org: &str,
        prefix: &str,
        limit: u32,
    ) -> Result<(Vec<Recorded>, Vec<Entry>), Error> {
        type Row = (String, String, i64, Option<String>, Option<i64>);
        let history = async {
            let mut transaction = self.readers.begin().await?;
            let Some(org) = past::org_number(&mut transaction, org).await? else {
                return Ok((Vec::new(), Vec::new()));
            };
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT f.body, s.id, s.at_ms, u.id, u.at_ms FROM finding f
                 JOIN audit s ON s.seq = f.since LEFT JOIN audit u ON u.seq = f.until
                 WHERE f.org = $1 AND f.uid >= $2 AND f.uid < $2 || 'g' ORDER BY f.uid, f.since LIMIT $3",
            )
            .bind(org)
            .bind(prefix)
            .bind(limit)
            .fetch_all(&mut *transaction)
            .await?;
            let mut versions = Vec::with_capacity(rows.len());
            for (text, since, since_ms, until, until_ms) in rows {
                let until = until.zip(until_ms.map(time).transpose()?);
                let seen = until.as_ref().map_or(time(since_ms)?, |(_, at)| *at);
                let finding = body::finding(&text, seen)?;
                versions.push(Recorded { since: (since, time(since_ms)?), until, finding });
            }
            Ok((versions, entries(&mut transaction, org).await?))
        };
        self.named(history.await)
    }

    /// Empties the text of decisions that ended long before `now`; how many entries.
    pub async fn forget_decisions(&self, now: DateTime<Utc>) -> Result<u64, Error> {
        self.write(move |connection| {
            Box::pin(async move {
                let orgs: Vec<i64> =
                    sqlx::query_scalar("SELECT id FROM org").fetch_all(&mut *connection).await?;
                let mut forgotten = 0;
                for org in orgs {
                    let ledger = Ledger::replay(entries(connection, org).await?);
                    let is_over = |at: DateTime<Utc>| at < now - KEPT;
                    let over = ledger.all().iter().filter(|one| one.ended.as_ref().is_some_and(|end| is_over(end.at)));
                    for standing in over {
                        forgotten += sqlx::query(
                            "UPDATE decision_entry SET body = '' WHERE org = $1 AND decision = $2 AND audit IS NOT NULL",
                        )
                        .bind(org)
                        .bind(&standing.decision.id)
                        .execute(&mut *connection)
                        .await?
                        .rows_affected();
                    }
                }
                Ok(forgotten)
            })
        })
        .await
    }
}

/// All decisions of an organisation.
pub(super) async fn read(connection: &mut SqliteConnection, org: i64) -> Result<Book, Problem> {
    let entries = entries(connection, org).await?;
    let unsealed: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM decision_entry WHERE org = $1 AND audit IS NULL ORDER BY seq")
            .bind(org)
            .fetch_all(&mut *connection)
            .await?;
    let last = last(connection, org).await?;
    let unsealed = unsealed.iter().map(|bytes| hash(bytes)).collect::<Result<_, _>>()?;
    Ok(Book { ledger: Ledger::replay(entries), unsealed, last })
}

async fn last(connection: &mut SqliteConnection, org: i64) -> Result<i64, Problem> {
    Ok(sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM decision_entry WHERE org = $1")
        .bind(org)
        .fetch_one(connection)
        .await?)
}

async fn entries(connection: &mut SqliteConnection, org: i64) -> Result<Vec<Entry>, Problem> {
    let bodies: Vec<String> =
        sqlx::query_scalar("SELECT body FROM decision_entry WHERE org = $1 AND body <> '' ORDER BY seq")
            .bind(org)
            .fetch_all(connection)
            .await?;
    let read =
        |body: &String| serde_json::from_str(body).map_err(|error| Problem::unreadable("decision", error));
    bodies.iter().map(read).collect()
}

/// Seals what no audit has sealed yet with audit `seq`, and adds the audit's own. Fails with [`Problem::Decided`] if
/// somebody decided since the audit looked.
pub(super) async fn seal(
    connection: &mut SqliteConnection,
    (org, name): (i64, &str),
    seq: i64,
    known: i64,
    made: &[Entry],
) -> Result<(), Problem> {
    if last(connection, org).await? != known {
        return Err(Problem::Decided { org: name.to_owned() });
    }
    sqlx::query("UPDATE decision_entry SET audit = $2 WHERE org = $1 AND audit IS NULL")
        .bind(org)
        .bind(seq)
        .execute(&mut *connection)
        .await?;
    write(connection, org, Some(seq), made).await
}

async fn write(
    connection: &mut SqliteConnection,
    org: i64,
    audit: Option<i64>,
    entries: &[Entry],
) -> Result<(), Problem> {
    for batch in entries.chunks(BATCH) {
        let mut rows = Vec::with_capacity(batch.len());
        for entry in batch {
            let body = entry_body(entry)?;
            rows.push((entry, Hash::of(body.as_bytes()), body));
        }
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO decision_entry (org, audit, decision, at_ms, hash, body) ",
        );
        insert.push_values(rows, |mut row, (entry, hash, body)| {
            row.push_bind(org).push_bind(audit).push_bind(entry.decision().to_owned());
            row.push_bind(entry.at().timestamp_millis()).push_bind(hash.as_bytes().to_vec()).push_bind(body);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}
