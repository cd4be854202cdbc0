//! A verified copy of the database, made while others read and write it.
//!
//! Enters: where it is to go. Leaves: one file that was opened, checked and verified before it got its name.
//! Must never: overwrite anything, leave a copy behind that did not pass, remove a file that is not named as ours are,
//! or blame the database for the disk of its backup.

use std::{
    io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDateTime, Utc};
use tracing::warn;
use uuid::Uuid;

use super::{
    Store,
    error::{Error, Problem},
    health::Integrity,
    open,
};

/// How scheduled backups are named: sorted by name they are sorted by time.
const NAME: &str = "scopewarden-%Y%m%dT%H%M%SZ.db";

/// The end of the name of a copy that was not checked yet.
const UNCHECKED: &str = ".unchecked";

/// A copy that was checked and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Organisations in it.
    pub orgs: u64,
    /// Audits in it.
    pub audits: u64,
    /// Older scheduled backups that were removed for it, oldest first.
    pub removed: Vec<PathBuf>,
}

/// The last audit of each organisation as its chain hash, and the number of audits.
struct Heads {
    audits: i64,
    heads: Vec<(String, Vec<u8>)>,
}

impl Store {
    /// Copies the database to `to`, which must not exist, and verifies the copy: its structure, its references, and the
    /// record of every organisation, whose last audit must be one that this database has. Works beside a running daemon,
    /// and on a database opened for reading only. On failure nothing of it is left.
    pub async fn backup(&self, to: &Path) -> Result<Backup, Error> {
        self.named(self.copy(to).await)
    }

    /// As [`Store::backup`], into `folder`, named after `now`; then removes all but the newest `keep` of the backups in
    /// that folder that are named so. One that cannot be removed is logged, for the new one is good all the same.
    pub async fn scheduled_backup(
        &self,
        folder: &Path,
        keep: u32,
        now: DateTime<Utc>,
    ) -> Result<Backup, Error> {
        let made = async {
            let mut backup = self.copy(&folder.join(now.format(NAME).to_string())).await?;
            let unwritable = |error: io::Error| unwritable(&backup.path, &error);
            let all = backups(folder).await.map_err(unwritable)?;
            let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
            for (_, path) in &all[..all.len().saturating_sub(keep)] {
                match tokio::fs::remove_file(path).await {
                    Ok(()) => backup.removed.push(path.clone()),
                    Err(error) => warn!("an old backup, {}, cannot be removed: {error}", path.display()),
                }
            }
            Ok(backup)
        };
        self.named(made.await)
    }

    async fn copy(&self, to: &Path) -> Result<Backup, Problem> {
        // Absolute, so that SQLite never takes it for a URI.
        let to = &std::path::absolute(to).map_err(|error| unwritable(to, &error))?;
        if tokio::fs::symlink_metadata(to).await.is_ok() {
            return Err(Problem::BackupExists(to.clone()));
        }
        let unchecked = unchecked(to);
        let copied = self.copy_unchecked(to, &unchecked).await;
        if copied.is_err() {
            // If it was never made, or went with its disk, there is nothing to remove.
            let _ = tokio::fs::remove_file(&unchecked).await;
        }
        copied
    }

    /// Copies to `unchecked`, checks that, and gives it its name.
    async fn copy_unchecked(&self, to: &Path, unchecked: &Path) -> Result<Backup, Problem> {
        let Some(name) = unchecked.to_str() else {
            let reason = "SQLite takes only names in UTF-8".to_owned();
            return Err(Problem::BackupUnwritable { to: to.to_owned(), reason });
        };
        // It is private before the first byte is in it; SQLite writes into a file that is there and empty.
        open::make_private(unchecked).await.map_err(|problem| match problem {
            Problem::Unopenable(reason) => Problem::BackupUnwritable { to: to.to_owned(), reason },
            other => other,
        })?;
        let before = self.heads().await?;
        let mut reader = self.readers.acquire().await?;
        sqlx::query("VACUUM INTO $1")
            .bind(name)
            .execute(&mut *reader)
            .await
            .map_err(|error| of_target(error.into(), to))?;
        drop(reader);
        let mut backup = self.check(to, unchecked, &before).await?;
        let unwritable = |error: io::Error| unwritable(to, &error);
        let file = tokio::fs::File::open(unchecked).await.map_err(unwritable)?;
        file.sync_all().await.map_err(unwritable)?;
        backup.bytes = file.metadata().await.map_err(unwritable)?.len();
        if tokio::fs::symlink_metadata(to).await.is_ok() {
            return Err(Problem::BackupExists(to.to_owned()));
        }
        tokio::fs::rename(unchecked, to).await.map_err(unwritable)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = tokio::fs::File::open(folder).await.map_err(unwritable)?;
        folder.sync_all().await.map_err(unwritable)?;
        Ok(backup)
    }

    /// Whether the copy is sound, consistent, and of this database, with all that was in it `before`.
    async fn check(&self, to: &Path, copy: &Path, before: &Heads) -> Result<Backup, Problem> {
        let unsound = |reason: String| Problem::BackupUnsound { to: to.to_owned(), reason };
        let copy = Self::open_read_only(copy).await.map_err(|error| unsound(error.problem.to_string()))?;
        let checked = async {
            if let Integrity::Damaged(complaints) = copy.full_check().await? {
                return Err(unsound(complaints.join("; ")));
            }
            let copied = copy.heads().await?;
            let lost = before.audits - copied.audits;
            if lost > 0 {
                return Err(unsound(format!("it has {lost} audits less than the database")));
            }
            for (org, head) in &before.heads {
                if !copy.has_audit(org, head).await? {
                    return Err(unsound(format!("the last audit of {org} is not in it")));
                }
            }
            for (org, head) in &copied.heads {
                if !self.has_audit(org, head).await? {
                    return Err(unsound(format!("its last audit of {org} is not one of the database")));
                }
                let verified = copy.verify(org).await.map_err(|error| error.problem)?;
                if let Some(problem) = verified.problems.first() {
                    return Err(unsound(format!("the record of {org} is not consistent: {problem}")));
                }
            }
            Ok(Backup {
                path: to.to_owned(),
                bytes: 0,
                orgs: copied.heads.len() as u64,
                audits: u64::try_from(copied.audits).unwrap_or(0),
                removed: Vec::new(),
            })
        };
        let checked = checked.await;
        copy.close().await;
        checked
    }

    async fn heads(&self) -> Result<Heads, Problem> {
        let mut transaction = self.readers.begin().await?;
        let audits = sqlx::query_scalar("SELECT COUNT(*) FROM audit").fetch_one(&mut *transaction).await?;
        let heads = sqlx::query_as(
            "SELECT o.name, a.chain FROM org o
             JOIN audit a ON a.seq = (SELECT MAX(seq) FROM audit WHERE org = o.id) ORDER BY o.name",
        )
        .fetch_all(&mut *transaction)
        .await?;
        Ok(Heads { audits, heads })
    }

    async fn has_audit(&self, org: &str, chain: &[u8]) -> Result<bool, Problem> {
        let found: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM audit a JOIN org o ON o.id = a.org WHERE o.name = $1 AND a.chain = $2",
        )
        .bind(org)
        .bind(chain)
        .fetch_one(&self.readers)
        .await?;
        Ok(found > 0)
    }
}

/// When the newest of the scheduled backups in `folder` was made; `None`: there is none. Fails if it cannot be read.
pub async fn newest_backup(folder: &Path) -> io::Result<Option<DateTime<Utc>>> {
    Ok(backups(folder).await?.last().map(|(at, _)| *at))
}

/// The scheduled backups in `folder`, oldest first: the files that are named exactly as ours are.
async fn backups(folder: &Path) -> io::Result<Vec<(DateTime<Utc>, PathBuf)>> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Ok(at) = NaiveDateTime::parse_from_str(name, NAME) else { continue };
        let at = at.and_utc();
        if at.format(NAME).to_string() == name && entry.file_type().await?.is_file() {
            found.push((at, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A name beside `to` that nobody else uses.
fn unchecked(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}{UNCHECKED}", Uuid::new_v4().simple()));
    name.into()
}

/// Whose trouble a failed copy is: damage can only be the database's; all else is laid to the side that is written.
fn of_target(problem: Problem, to: &Path) -> Problem {
    let to = to.to_owned();
    match problem {
        Problem::Full => Problem::BackupFull(to),
        Problem::Io(reason) | Problem::Unopenable(reason) => Problem::BackupUnwritable { to, reason },
        Problem::ReadOnly => Problem::BackupUnwritable { to, reason: "it is read-only".to_owned() },
        other => other,
    }
}

fn unwritable(to: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::BackupFull(to.to_owned()),
        _ => Problem::BackupUnwritable { to: to.to_owned(), reason: error.to_string() },
    }
}
