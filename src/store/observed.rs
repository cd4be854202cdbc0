//! What was observed beside the configuration: when each client's grants were looked at, and what clients called.
//!
//! Enters: [`Observations`] with an audit. Leaves: turns and the last count. Must never: be part of a digest (it changes
//! with every look), or keep a count that another has replaced.

use chrono::{Days, NaiveDate};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Attributed, Store,
    error::{Error, Problem},
    past, time,
};
use crate::domain::{
    ClientId,
    rotation::{Turn, Turns},
    usage::{Calls, Tally, Window},
};

/// Rows written by one statement: `SQLite` takes 32,766 variables.
const BATCH: usize = 500;

/// Client, operation, answers of each class, the last day.
type Row = (String, String, i64, i64, i64, i64, Option<i64>);

/// What an audit observed beside the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'a> {
    /// Turns that are not what they were.
    pub turns: &'a Turns,
    /// Clients that take no turns any more.
    pub gone: &'a [ClientId],
    /// A new count of what clients called; `None`: the last one stays.
    pub usage: Option<&'a Tally>,
    /// Who made changes.
    pub attributed: Option<&'a Attributed>,
}

impl Observations<'static> {
    /// Nothing new.
    pub const NONE: Self = Self { turns: &Turns::new(), gone: &[], usage: None, attributed: None };
}

impl Store {
    /// When each client's grants were last asked for; empty if they never were.
    pub async fn turns(&self, org: &str) -> Result<Turns, Error> {
        let turns = async {
            let mut transaction = self.readers.begin().await?;
            match past::org_number(&mut transaction, org).await? {
                Some(org) => read_turns(&mut transaction, org).await,
                None => Ok(Turns::new()),
            }
        };
        self.named(turns.await)
    }

    /// What clients called, as last counted; `None`: it never was.
    pub async fn usage(&self, org: &str) -> Result<Option<Tally>, Error> {
        let usage = async {
            let mut transaction = self.readers.begin().await?;
            match past::org_number(&mut transaction, org).await? {
                Some(org) => read_usage(&mut transaction, org).await,
                None => Ok(None),
            }
        };
        self.named(usage.await)
    }
}

pub(super) async fn read_turns(connection: &mut SqliteConnection, org: i64) -> Result<Turns, Problem> {
    let rows: Vec<(String, i64, Option<i64>, bool)> =
        sqlx::query_as("SELECT client, asked_ms, confirmed_ms, due FROM grant_turn WHERE org = $1")
            .bind(org)
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|(client, asked, confirmed, due)| {
            let turn = Turn { asked: time(asked)?, confirmed: confirmed.map(time).transpose()?, due };
            Ok((client.into(), turn))
        })
        .collect()
}

pub(super) async fn read_usage(
    connection: &mut SqliteConnection,
    org: i64,
) -> Result<Option<Tally>, Problem> {
    let count: Option<(i64, i64, i64)> =
        sqlx::query_as("SELECT from_ms, to_ms, left_out FROM usage_count WHERE org = $1")
            .bind(org)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((from, to, left_out)) = count else { return Ok(None) };
    let mut tally = Tally::new(Window { from: time(from)?, to: time(to)? });
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT client, operation, ok, denied, throttled, failed, last_day FROM usage_call WHERE org = $1",
    )
    .bind(org)
    .fetch_all(connection)
    .await?;
    for (client, operation, ok, denied, throttled, failed, last) in rows {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let calls = Calls {
            ok: number(ok),
            denied: number(denied),
            throttled: number(throttled),
            failed: number(failed),
            last: last.map(date).transpose()?,
        };
        let (method, path) = operation.split_once(' ').unwrap_or((&operation, ""));
        tally.add(&client, method, path, &calls);
    }
    tally.left_out = u64::try_from(left_out).unwrap_or_default();
    Ok(Some(tally))
}

pub(super) async fn write_turns(
    connection: &mut SqliteConnection,
    org: i64,
    turns: &Turns,
    gone: &[ClientId],
) -> Result<(), Problem> {
    for (client, turn) in turns {
        sqlx::query(
            "INSERT INTO grant_turn (org, client, asked_ms, confirmed_ms, due) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (org, client) DO UPDATE
             SET asked_ms = excluded.asked_ms, confirmed_ms = excluded.confirmed_ms, due = excluded.due",
        )
        .bind(org)
        .bind(client.as_str())
        .bind(turn.asked.timestamp_millis())
        .bind(turn.confirmed.map(|at| at.timestamp_millis()))
        .bind(i64::from(turn.due))
        .execute(&mut *connection)
        .await?;
    }
    for client in gone {
        sqlx::query("DELETE FROM grant_turn WHERE org = $1 AND client = $2")
            .bind(org)
            .bind(client.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Puts a count in the place of the one before.
pub(super) async fn write_usage(
    connection: &mut SqliteConnection,
    org: i64,
    tally: &Tally,
) -> Result<(), Problem> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    sqlx::query("DELETE FROM usage_call WHERE org = $1").bind(org).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO usage_count (org, from_ms, to_ms, left_out) VALUES ($1, $2, $3, $4)
         ON CONFLICT (org) DO UPDATE
         SET from_ms = excluded.from_ms, to_ms = excluded.to_ms, left_out = excluded.left_out",
    )
    .bind(org)
    .bind(tally.window.from.timestamp_millis())
    .bind(tally.window.to.timestamp_millis())
    .bind(number(tally.left_out))
    .execute(&mut *connection)
    .await?;
    let rows: Vec<_> = tally.rows().collect();
    for batch in rows.chunks(BATCH) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO usage_call (org, client, operation, ok, denied, throttled, failed, last_day) ",
        );
        insert.push_values(batch, |mut row, (client, operation, calls)| {
            row.push_bind(org).push_bind(client.as_str()).push_bind(*operation);
            row.push_bind(number(calls.ok)).push_bind(number(calls.denied));
            row.push_bind(number(calls.throttled)).push_bind(number(calls.failed));
            row.push_bind(calls.last.map(|day| (day - NaiveDate::default()).num_days()));
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// The day behind a stored number of days since 1970-01-01.
fn date(days: i64) -> Result<NaiveDate, Problem> {
    let days =
        u64::try_from(days).ok().and_then(|days| NaiveDate::default().checked_add_days(Days::new(days)));
    days.ok_or_else(|| Problem::unreadable("day", "it is out of range"))
}
