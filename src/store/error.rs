//! What can go wrong with the database, in words that say what to do.
//!
//! Enters: errors of `SQLite` and of sqlx. Leaves: one [`Error`] that names the file.
//! Must never: show stored content, or call a lasting fault retryable.

use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
#[error("database {}: {problem}", .file.display())]
pub struct Error {
    /// The database file.
    pub file: PathBuf,
    /// What happened.
    pub problem: Problem,
}

/// With fewer free bytes the log's index (`-shm`) cannot grow, which `SQLite` reports as an I/O error.
const INDEX_STEP: u64 = 32 * 1024;

impl Error {
    /// A problem with `file`. An I/O error on a file system that has no space left is put down to that.
    pub(super) fn new(file: &Path, problem: Problem) -> Self {
        let problem = match problem {
            Problem::Io(_) if has_no_space(file) => Problem::Full,
            other => other,
        };
        Self { file: file.to_owned(), problem }
    }

    /// A bounded word for labels and logs.
    pub fn reason(&self) -> &'static str {
        self.problem.reason()
    }

    /// The trouble of the disk behind it; `None`: the disk is not to blame. A backup's own disk is another matter.
    pub fn fault(&self) -> Option<Fault> {
        match self.problem {
            Problem::Full => Some(Fault::Full),
            Problem::Io(_) => Some(Fault::Io),
            Problem::Corrupt(_) => Some(Fault::Corrupt),
            _ => None,
        }
    }

    /// Whether the same call may succeed by itself a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.problem, Problem::Busy | Problem::Overtaken { .. } | Problem::Decided { .. })
    }
}

/// The file itself may not be there: its folder is asked.
fn has_no_space(file: &Path) -> bool {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < INDEX_STEP)
}

/// A trouble of the disk or of the file itself, as opposed to one of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space: reads go on, and writes may once there is some.
    Full,
    /// Reading or writing failed. Whether the disk is back, only a fresh connection tells.
    Io,
    /// The file is damaged: nothing may be written to it any more.
    Corrupt,
}

/// What happened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Opened for reading before anything was recorded.
    #[error("it does not exist yet; `scopewarden audit` or `scopewarden run` makes it")]
    Missing,
    /// The folder is not there.
    #[error("the folder {} does not exist; make it, owned by the user that scopewarden runs as", .0.display())]
    NoFolder(PathBuf),
    /// The operating system refuses to open or make the file.
    #[error("it cannot be opened ({0}); scopewarden's user needs to read and write the file and its folder")]
    Unopenable(String),
    /// The `SQLite` library linked into the program is one that can corrupt a WAL database.
    #[error(
        "SQLite {0} is linked in, which can corrupt databases in WAL mode; use a build with 3.51.3 or later"
    )]
    OldSqlite(String),
    /// Written by a later program.
    #[error(
        "its schema is version {found}, this program knows up to {known}; use the newer scopewarden that wrote it"
    )]
    NewerSchema {
        /// The file's version.
        found: i64,
        /// The program's version.
        known: i64,
    },
    /// Written by an earlier program, and opened for reading only.
    #[error(
        "its schema is version {found}, this program needs {known}; `scopewarden run` or `scopewarden audit` upgrades it"
    )]
    OlderSchema {
        /// The file's version; 0: it has no tables.
        found: i64,
        /// The program's version.
        known: i64,
    },
    /// Its schema has the right number and other content.
    #[error(
        "step {0} of its schema is not the one that this program carries; use the scopewarden that wrote it, or restore a backup"
    )]
    ForeignSchema(i64),
    /// Somebody else holds the write lock.
    #[error("another process has been writing to it for too long; try again, and look for a hanging process")]
    Busy,
    /// No space.
    #[error("the disk is full; nothing was recorded; free some space on its file system")]
    Full,
    /// Not writable, or opened for reading.
    #[error("it is read-only; scopewarden's user needs to write the file and its folder")]
    ReadOnly,
    /// The disk failed.
    #[error("reading or writing failed ({0}); check the disk, then restart scopewarden")]
    Io(String),
    /// The file is damaged or not a database.
    #[error("it is damaged or not a database ({0}); stop scopewarden and restore a backup")]
    Corrupt(String),
    /// A stored value is not what the program wrote.
    #[error("the stored {what} cannot be read: {reason}; `scopewarden verify` shows the extent")]
    Unreadable {
        /// Which value.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody decided about findings while an audit of the organisation ran.
    #[error(
        "somebody decided about findings of {org} while its audit ran; nothing was recorded; audit again"
    )]
    Decided {
        /// The organisation.
        org: String,
    },
    /// There is nothing yet to decide about.
    #[error("no audit of {org} is recorded yet; run `scopewarden audit --org {org}` first")]
    NothingRecorded {
        /// The organisation.
        org: String,
    },
    /// The past that an audit was worked out from is no longer the last one.
    #[error("another audit of {org} was recorded in the meantime; nothing was recorded; audit again")]
    Overtaken {
        /// The organisation.
        org: String,
    },
    /// The audit's id was used before.
    #[error("audit {0} is recorded already; nothing was recorded")]
    Duplicate(String),
    /// An audit ends something that is not there.
    #[error("the audit ends {missing} {what} that are not open in the record; nothing was recorded")]
    NotOpen {
        /// `findings` or the kind of entity.
        what: &'static str,
        /// How many.
        missing: u64,
    },
    /// A backup must not overwrite anything.
    #[error("{} exists already and no backup overwrites anything; name another file", .0.display())]
    BackupExists(PathBuf),
    /// The backup's folder does not take it.
    #[error("the backup {} cannot be written ({reason}); scopewarden's user needs to write its folder", .to.display())]
    BackupUnwritable {
        /// Where it was to go.
        to: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The backup's disk is full.
    #[error(
        "the backup {} does not fit: the disk is full; nothing of it is left; free some space there, or name a file on another disk", .0.display()
    )]
    BackupFull(PathBuf),
    /// The copy is not what the database is.
    #[error(
        "the copy for the backup {} is not sound ({reason}); nothing of it is left; `scopewarden verify` tells whether the database is, else check the backup's disk", .to.display()
    )]
    BackupUnsound {
        /// Where it was to go.
        to: PathBuf,
        /// The first thing that is wrong with it.
        reason: String,
    },
    /// Anything else; a bug of ours.
    #[error("unexpected: {0}")]
    Unexpected(String),
}

impl Problem {
    #[expect(clippy::needless_pass_by_value, reason = "callers give away an error that is of no other use")]
    pub(super) fn unreadable(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unreadable { what: what.into(), reason: reason.to_string() }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Missing | Self::NoFolder(_) => "missing",
            Self::Unopenable(_) | Self::ReadOnly => "permission",
            Self::OldSqlite(_) => "sqlite_version",
            Self::NewerSchema { .. } | Self::OlderSchema { .. } | Self::ForeignSchema(_) => "schema",
            Self::Busy => "busy",
            Self::Full => "disk_full",
            Self::Io(_) => "io",
            Self::Corrupt(_) | Self::Unreadable { .. } => "corrupt",
            Self::Overtaken { .. }
            | Self::Decided { .. }
            | Self::NothingRecorded { .. }
            | Self::Duplicate(_)
            | Self::NotOpen { .. } => "conflict",
            Self::BackupExists(_)
            | Self::BackupUnwritable { .. }
            | Self::BackupFull(_)
            | Self::BackupUnsound { .. } => "backup",
            Self::Unexpected(_) => "internal",
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => Self::Io(text),
            sqlx::Error::ColumnDecode { index, source } => {
                Self::unreadable(format!("column {index}"), source)
            }
            sqlx::Error::Database(error) => {
                // The low byte of an extended result code is its class (https://www.sqlite.org/rescode.html).
                let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
                match code & 0xff {
                    3 | 14 | 23 => Self::Unopenable(text),
                    5 | 6 => Self::Busy,
                    8 => Self::ReadOnly,
                    10 => Self::Io(text),
                    11 | 26 => Self::Corrupt(text),
                    13 => Self::Full,
                    _ => Self::Unexpected(text),
                }
            }
            _ => Self::Unexpected(text),
        }
    }
}

impl From<MigrateError> for Problem {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(found) if found > super::SCHEMA => {
                Self::NewerSchema { found, known: super::SCHEMA }
            }
            MigrateError::VersionMissing(step) | MigrateError::VersionMismatch(step) => {
                Self::ForeignSchema(step)
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Unexpected(other.to_string()),
        }
    }
}
