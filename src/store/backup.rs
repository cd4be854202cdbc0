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
use rustix::{
    fs::{CWD, RenameFlags},
    io::Errno,
};
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
    /// that folder that are named so. One named after a later moment (a clock was wrong) neither counts nor goes, so the
    /// new one always stays. One that cannot be removed is logged, for the new one is good all the same.
    pub async fn scheduled_backup(
        &self,
        folder: &Path,
        keep: u32,
        now: DateTime<Utc>,
    ) -> Result<Backup, Error> {
        let made = async {
            // A process that was killed half-way left its copy behind.
            for path in abandoned(folder).await.unwrap_or_default() {
                remove(&path).await;
            }
            let mut backup = self.copy(&folder.join(now.format(NAME).to_string())).await?;
            let unwritable = |error: io::Error| unwritable(&backup.path, &error);
            let all = backups(folder, now).await.map_err(unwritable)?;
            let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
            for (_, path) in &all[..all.len().saturating_sub(keep)] {
                if remove(path).await {
                    backup.removed.push(path.clone());
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
        give_name(unchecked, to).await.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Problem::BackupExists(to.to_owned()),
            _ => unwritable(error),
        })?;
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

/// When the newest of the scheduled backups in `folder` was made, but for those named after a moment later than `now`;
/// `None`: there is none. Fails if the folder cannot be read.
pub async fn newest_backup(folder: &Path, now: DateTime<Utc>) -> io::Result<Option<DateTime<Utc>>> {
    Ok(backups(folder, now).await?.last().map(|(at, _)| *at))
}

/// The scheduled backups in `folder` up to `now`, oldest first: the files that are named exactly as ours are.
async fn backups(folder: &Path, now: DateTime<Utc>) -> io::Result<Vec<(DateTime<Utc>, PathBuf)>> {
    let named = files(folder).await?.into_iter();
    let mut found: Vec<_> = named.filter_map(|(name, path)| Some((made_at(&name)?, path))).collect();
    found.retain(|(at, _)| *at <= now);
    found.sort_unstable();
    Ok(found)
}

/// Copies for scheduled backups that never got their name.
async fn abandoned(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_ours = |name: &str| {
        let target = name.strip_suffix(UNCHECKED).and_then(|name| name.rsplit_once('.'));
        target.is_some_and(|(target, id)| made_at(target).is_some() && Uuid::try_parse(id).is_ok())
    };
    let found = files(folder).await?.into_iter().filter(|(name, _)| is_ours(name));
    Ok(found.map(|(_, path)| path).collect())
}

async fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        if entry.file_type().await?.is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// When a scheduled backup of this name was made; `None`: it is not a name of ours.
fn made_at(name: &str) -> Option<DateTime<Utc>> {
    let at = NaiveDateTime::parse_from_str(name, NAME).ok()?.and_utc();
    (at.format(NAME).to_string() == name).then_some(at)
}

/// Whether a file of ours could be removed; if not, it is logged.
async fn remove(path: &Path) -> bool {
    let removed = tokio::fs::remove_file(path).await;
    if let Err(error) = &removed {
        warn!("{}, which is not needed any more, cannot be removed: {error}", path.display());
    }
    removed.is_ok()
}

/// Renames a file; fails if the new name is taken, though it be only since a moment ago. Where the file system cannot
/// rename so (NFS), a second link does: it is made only if the name is free.
async fn give_name(unchecked: &Path, to: &Path) -> io::Result<()> {
    let (from, new) = (unchecked.to_owned(), to.to_owned());
    let renamed = tokio::task::spawn_blocking(move || {
        rustix::fs::renameat_with(CWD, from, CWD, new, RenameFlags::NOREPLACE)
    });
    match renamed.await? {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            tokio::fs::hard_link(unchecked, to).await?;
            remove(unchecked).await;
            Ok(())
        }
        done => Ok(done?),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_was_taken_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let [made, to] = ["made", "to"].map(|name| folder.path().join(name));
        std::fs::write(&made, "a copy").unwrap();
        std::fs::write(&to, "precious").unwrap();
        let error = give_name(&made, &to).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "precious");

        std::fs::remove_file(&to).unwrap();
        give_name(&made, &to).await.unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "a copy");
        assert!(!made.exists());
    }
}
