//! One process audits, and one probes. Each lock is a file beside the database, held as long as its [`Lock`] lives; the system frees
//! it when the process ends, however it ends.
//!
//! Enters: the database's path. Leaves: the right to audit or to probe, or who else has it. Must never: guard reads or decisions.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The right to audit, or to probe.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why this process may not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the lock.
    #[error(
        "{0} is held: another scopewarden audits this database (`run` or `audit`); stop it or wait for it"
    )]
    Held(PathBuf),
    /// Another process probes.
    #[error("{0} is held: another scopewarden probes these clients (`run` or `probe`); wait for it")]
    Probing(PathBuf),
    /// The lock file cannot be used.
    #[error("{file} cannot be locked: {source}; the folder must exist and be writable")]
    Unusable {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the right to audit a database, without waiting.
pub fn acquire(database: &Path) -> Result<Lock, Error> {
    take(database, ".lock", Error::Held)
}

/// Takes the right to probe the clients that a database knows, without waiting. Audits do not mind.
pub fn acquire_for_probes(database: &Path) -> Result<Lock, Error> {
    take(database, ".probes.lock", Error::Probing)
}

fn take(database: &Path, suffix: &str, held: fn(PathBuf) -> Error) -> Result<Lock, Error> {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    let path = PathBuf::from(name);
    let unusable = |source| Error::Unusable { file: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(held(path)),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_it_is_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let held = acquire(&database).unwrap();
        let refused = acquire(&database).unwrap_err();
        assert!(matches!(refused, Error::Held(_)), "{refused}");
        // Who probes is somebody else.
        let probing = acquire_for_probes(&database).unwrap();
        let refused = acquire_for_probes(&database).unwrap_err();
        assert!(matches!(refused, Error::Probing(_)), "{refused}");
        drop(probing);
        drop(held);
        acquire(&database).unwrap();
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = acquire(Path::new("/nonexistent/a.db")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/a.db.lock"), "{error}");
    }
}
