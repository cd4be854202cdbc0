//! Are the file and its disk well?
//!
//! Enters: nothing but the open database. Leaves: what is wrong, how much space is left, whether a write lasts.
//! Must never: touch evidence, repair anything, or take a write that only the cache saw for one that lasts.

use std::fmt::Display;

use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use super::{
    Store,
    error::{Error, Fault, Problem},
};

/// Complaints of `SQLite` that are listed.
const LISTED: usize = 20;

/// Pages that are given back in one transaction: 1 MiB, so that an audit never waits long.
const STEP: i64 = 256;

/// Whether the file is a sound database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing is wrong with its structure.
    Sound,
    /// It is damaged; the first complaints of `SQLite`.
    Damaged(Vec<String>),
}

impl Store {
    /// Checks the structure of the whole file, not what it says ([`Store::verify`] does). Reads all of it, which takes
    /// about a second for 100 MiB; who stops waiting leaves one of the reading connections busy until it ends.
    pub async fn quick_check(&self) -> Result<Integrity, Error> {
        let complaints = self.named(complaints(&self.readers, "quick_check").await);
        match complaints {
            Ok(complaints) if complaints.is_empty() => Ok(Integrity::Sound),
            Ok(complaints) => Ok(Integrity::Damaged(complaints)),
            // Damage that keeps the check itself from reading.
            Err(error) if error.fault() == Some(Fault::Corrupt) => {
                Ok(Integrity::Damaged(vec![error.problem.to_string()]))
            }
            Err(error) => Err(error),
        }
    }

    /// Checks the structure with every index and every reference: what a copy has to pass.
    pub(super) async fn full_check(&self) -> Result<Integrity, Problem> {
        let mut complaints = complaints(&self.readers, "integrity_check").await?;
        if complaints.is_empty() {
            let strays: Vec<(String, Option<i64>, String, i64)> =
                sqlx::query_as("PRAGMA foreign_key_check").fetch_all(&self.readers).await?;
            let strays = strays.into_iter().take(LISTED);
            complaints
                .extend(strays.map(|(table, _, parent, _)| format!("a row of {table} has no {parent}")));
        }
        Ok(if complaints.is_empty() { Integrity::Sound } else { Integrity::Damaged(complaints) })
    }

    /// Free bytes that this process may use on the database's file system. Fails if its folder cannot be reached.
    pub async fn free_bytes(&self) -> Result<u64, Error> {
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path)).await;
        self.named(match asked {
            Ok(Ok(disk)) => Ok(disk.f_bavail.saturating_mul(disk.f_frsize)),
            Ok(Err(error)) => Err(Problem::Io(error.to_string())),
            Err(error) => Err(unexpected(error)),
        })
    }

    /// Whether the disk takes a write that lasts: replaces the writing connection (one that saw an I/O error proves
    /// nothing), commits one small row that means nothing, and reads it back through a connection that did not write
    /// it.
    pub async fn probe(&self) -> Result<(), Error> {
        let replaced = async {
            let old = self.writer.acquire().await?;
            // It goes whatever it says: the trouble that it may report is the reason why.
            let _ = old.close().await;
            Ok(())
        };
        self.named(replaced.await)?;
        let written: i64 = self.write(|connection| Box::pin(count_up(connection))).await?;
        let read = async {
            let read: i64 = sqlx::query_scalar("SELECT count FROM probe").fetch_one(&self.readers).await?;
            // Two processes may be probing at once.
            if read >= written {
                return Ok(());
            }
            Err(Problem::Io(format!("number {written} was written and {read} is read")))
        };
        self.named(read.await)
    }

    /// Gives unused pages back to the file system, in small transactions; the bytes given back.
    ///
    /// The file itself shrinks when the log is folded into it, which this asks for at the end, without waiting for
    /// readers; the log is cut to its limit when it is next begun anew. (A `TRUNCATE` checkpoint would do both at once,
    /// but holds up writers until the last reader is through.)
    pub async fn release_pages(&self) -> Result<u64, Error> {
        let mut released = 0;
        loop {
            let (pages, size) = self
                .write(|connection| {
                    Box::pin(async move {
                        let before: i64 = pragma(connection, "PRAGMA freelist_count").await?;
                        if before > 0 {
                            // One page a row: it has to be read to the end.
                            let give_back = AssertSqlSafe(format!("PRAGMA incremental_vacuum({STEP})"));
                            sqlx::query(give_back).fetch_all(&mut *connection).await?;
                        }
                        let after: i64 = pragma(connection, "PRAGMA freelist_count").await?;
                        Ok((before - after, pragma(connection, "PRAGMA page_size").await?))
                    })
                })
                .await?;
            released += pages * size;
            if pages < STEP {
                break;
            }
        }
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_all(&self.writer).await;
        self.named(checkpoint.map_err(Problem::from))?;
        Ok(u64::try_from(released).unwrap_or(0))
    }
}

async fn complaints(pool: &SqlitePool, check: &'static str) -> Result<Vec<String>, Problem> {
    let check = AssertSqlSafe(format!("PRAGMA {check}({LISTED})"));
    let mut said: Vec<String> = sqlx::query_scalar(check).fetch_all(pool).await?;
    said.retain(|line| line != "ok");
    Ok(said)
}

async fn count_up(connection: &mut SqliteConnection) -> Result<i64, Problem> {
    Ok(sqlx::query_scalar(
        "INSERT INTO probe (one, count) VALUES (1, 1)
         ON CONFLICT (one) DO UPDATE SET count = probe.count + 1 RETURNING count",
    )
    .fetch_one(connection)
    .await?)
}

async fn pragma(connection: &mut SqliteConnection, query: &'static str) -> Result<i64, Problem> {
    Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
}

fn unexpected(error: impl Display) -> Problem {
    Problem::Unexpected(error.to_string())
}
