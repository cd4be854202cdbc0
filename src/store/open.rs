//! Opening the database: a private file, safe settings, the schema of this program.
//!
//! Enters: a path. Leaves: a [`Store`]. Must never: upgrade a file for a reader, touch one that a later program
//! wrote, or run on an `SQLite` that can corrupt it.

use std::{io, path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection as _, SqlSafeStr, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

use super::{
    Store,
    decoded::Decoded,
    error::{Error, Problem},
};

/// Every step of the schema, oldest first; see `migrations/README.md`.
const STEPS: [(i64, &str, &str); 8] = [
    (1, "initial", include_str!("../../migrations/0001_initial.sql")),
    (2, "retention", include_str!("../../migrations/0002_retention.sql")),
    (3, "dead_letters", include_str!("../../migrations/0003_dead_letters.sql")),
    (4, "observed", include_str!("../../migrations/0004_observed.sql")),
    (5, "probes", include_str!("../../migrations/0005_probes.sql")),
    (6, "decisions", include_str!("../../migrations/0006_decisions.sql")),
    (7, "attributions", include_str!("../../migrations/0007_attributions.sql")),
    (8, "telling", include_str!("../../migrations/0008_telling.sql")),
];

/// The version of the schema that this program reads and writes.
pub const SCHEMA: i64 = STEPS[STEPS.len() - 1].0;

/// The first `SQLite` that cannot corrupt a WAL database which two connections use.
const SAFE_SQLITE: [u32; 3] = [3, 51, 3];

const READERS: u32 = 4;

impl Store {
    /// Opens the database for writing; makes it, or brings it up to date, if need be.
    /// Fails if its folder is missing, it was written by a later program, or is not accessible; and on a full disk, with
    /// a [`fault`](Error::fault) that says so: opening needs some space for the log's index. Then try again later.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let opened = async {
            make_private(path).await?;
            let options = settings(path)
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("journal_size_limit", (64 * 1024 * 1024).to_string());
            let writer = pool(1).connect_with(options).await?;
            refuse_unsafe(&writer).await?;
            migrate(&writer).await?;
            let readers = pool(READERS).connect_lazy_with(settings(path).read_only(true));
            Ok(Self { writer, readers, path: path.to_owned(), decoded: Decoded::default() })
        };
        opened.await.map_err(|problem| Error::new(path, problem))
    }

    /// Opens the database for reading, beside a running daemon or without one. Every write then fails as
    /// read-only. Fails if it does not exist, or its schema is not exactly this program's.
    pub async fn open_read_only(path: &Path) -> Result<Self, Error> {
        let opened = async {
            if !tokio::fs::try_exists(path).await.map_err(|error| Problem::Unopenable(error.to_string()))? {
                return Err(Problem::Missing);
            }
            let readers = pool(READERS).connect_with(settings(path).read_only(true)).await?;
            refuse_unsafe(&readers).await?;
            match schema_of(&readers).await? {
                SCHEMA => Ok(Self {
                    writer: readers.clone(),
                    readers,
                    path: path.to_owned(),
                    decoded: Decoded::default(),
                }),
                found if found > SCHEMA => Err(Problem::NewerSchema { found, known: SCHEMA }),
                found => Err(Problem::OlderSchema { found, known: SCHEMA }),
            }
        };
        opened.await.map_err(|problem| Error::new(path, problem))
    }

    /// Closes every connection; the last one to leave folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn settings(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        // The file is data, not code: no function of a schema that somebody edited runs, torn pages are noticed.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// A full or failing disk makes `SQLite` end a transaction by itself. sqlx goes on counting it as open, and could begin no
/// other (a reader would even hold on to what it saw): such a connection is closed, and a fresh one opened instead.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes an empty file that only its owner may read; `SQLite` gives its log files the same mode.
pub(super) async fn make_private(path: &Path) -> Result<(), Problem> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && matches!(tokio::fs::try_exists(folder).await, Ok(false))
    {
        return Err(Problem::NoFolder(folder.to_owned()));
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Problem::Unopenable(error.to_string())),
    }
}

async fn refuse_unsafe(pool: &SqlitePool) -> Result<(), Problem> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    if is_safe(&version) { Ok(()) } else { Err(Problem::OldSqlite(version)) }
}

fn is_safe(version: &str) -> bool {
    let parts: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    parts.is_ok_and(|parts| parts.as_slice() >= SAFE_SQLITE.as_slice())
}

/// All missing steps in one transaction that excludes other writers: two processes may start at once.
async fn migrate(writer: &SqlitePool) -> Result<(), Problem> {
    let steps = STEPS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    // `run` is this call behind a trait whose lifetimes would make the future of `open` not `Send`.
    Migrator::with_migrations(steps.into()).run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

async fn schema_of(readers: &SqlitePool) -> Result<i64, Problem> {
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(readers)
        .await?;
    if known == 0 {
        return Ok(0);
    }
    Ok(sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
        .fetch_one(readers)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn an_sqlite_that_can_corrupt_a_wal_is_refused() {
        for version in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(is_safe(version), "{version}");
        }
        for version in ["3.51.2", "3.40.1", "3.7.17", "2.9", "", "3.51.x"] {
            assert!(!is_safe(version), "{version}");
        }
    }
}
