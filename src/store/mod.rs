//! The record: what audits saw, what they concluded, and what is still to be sent. All SQL of the program is here.
//!
//! Enters: one [`Record`] (or [`Failure`]) an audit, one transaction each. Leaves: the past, as values of the domain.
//! Must never: wait for the network inside a transaction, commit a part of an audit, or change what was recorded
//! (retention takes old content away, and the row says so).
//!
//! - `open`: the file, its settings, its schema. `error`: what can go wrong with it.
//! - `record`: the one write of an audit. `body`: the texts that its hashes rest on.
//! - `probes`: what live tests proved, and what they sent.
//! - `decisions`: what people decided about findings.
//! - `attributions`: who made changes, as far as it is known.
//! - `observed`: what is kept beside the configuration: turns and calls.
//! - `past`: a snapshot at any moment (`decoded`: what of it is held). `audits`: lists of what was recorded. `verify`: is it
//!   still what it was?
//! - `export`: changes of findings and events, page by page.
//! - `outbox`: messages on their way to receivers.
//! - `retain`: what is forgotten. `backup`: a verified copy. `health`: are file and disk well?
//!
//! One connection writes, always under `BEGIN IMMEDIATE`; four others only read. Statements stay within what
//! `PostgreSQL` understands too, except for schema and settings.

mod attributions;
mod audits;
mod backup;
mod body;
mod decisions;
mod decoded;
mod error;
mod export;
mod health;
mod observed;
mod open;
mod outbox;
mod past;
mod probes;
mod record;
mod retain;
#[cfg(test)]
mod tests;
mod told;
mod verify;

use std::{
    path::{Path, PathBuf},
    pin::Pin,
};

use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, SqlitePool};

pub use attributions::{Attributed, Inquiries};
pub use audits::{AuditRow, FailureRow};
pub use backup::{Backup, newest_backup};
pub use body::{finding_body, gaps_body, recorded_digest};
pub use decisions::{Book, Decided, Outcome as Decision, Place, entry_hash};
pub use error::{Error, Fault, Problem};
pub use export::{Change, Cursor, Told};
pub use health::Integrity;
pub use observed::Observations;
pub use open::SCHEMA;
pub use outbox::{Delivery, OutboxCounts, OutboxRow, OutboxState, Outcome, Settled, Which};
pub use past::{History, Past, Unavailable};
pub use probes::Extent;
pub use record::{Failure, Record};
pub use retain::Forgotten;
pub use verify::Verification;

use self::decoded::Decoded;
use crate::domain::evidence::Hash;

/// The database. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
    decoded: Decoded,
}

/// How large the database is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The file, in bytes.
    pub main: u64,
    /// Its write-ahead log, in bytes; 0 if there is none.
    pub wal: u64,
}

/// Work inside one transaction.
type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'c>>;

impl Store {
    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How large the database is on disk. Fails if the file is gone.
    pub async fn sizes(&self) -> Result<Sizes, Error> {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let main = tokio::fs::metadata(&self.path).await;
        let wal = tokio::fs::metadata(wal).await;
        self.named(match main {
            Ok(main) => Ok(Sizes { main: main.len(), wal: wal.map_or(0, |wal| wal.len()) }),
            Err(error) => Err(Problem::Unopenable(error.to_string())),
        })
    }

    /// Does `work` in one write transaction that commits whole or not at all. It runs in a task of its own, so that
    /// a caller who stops waiting leaves no connection with half a transaction behind; one that cannot be rolled back
    /// (see `open`) is not used again.
    async fn write<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    ) -> Result<T, Error> {
        let writer = self.writer.clone();
        let task = tokio::spawn(async move {
            let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
            let value = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(value)
        });
        self.named(task.await.unwrap_or_else(|error| Err(Problem::Unexpected(error.to_string()))))
    }

    /// Puts the file's name to a problem.
    fn named<T>(&self, result: Result<T, Problem>) -> Result<T, Error> {
        result.map_err(|problem| Error::new(&self.path, problem))
    }
}

/// The moment behind a stored number of milliseconds.
fn time(ms: i64) -> Result<DateTime<Utc>, Problem> {
    DateTime::from_timestamp_millis(ms)
        .ok_or_else(|| Problem::unreadable("time", format!("{ms} ms is out of range")))
}

/// The hash behind stored bytes.
fn hash(bytes: &[u8]) -> Result<Hash, Problem> {
    Hash::try_from(bytes).map_err(|error| Problem::unreadable("hash", error))
}
