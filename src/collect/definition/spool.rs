//! A body that is too large for memory, on its way: written to a file without a name, and hashed as it comes.
//!
//! Enters: chunks. Leaves: their hash, and the file to read from. Must never: hold more than it was allowed to, or leave
//! a file behind. The file has no name from its first moment (or loses it at once), so the system takes it back however
//! this process ends. It lies in the system's folder for temporary files: the folder of the record may have to be as
//! good as full for audits to be recorded.

use std::{fs::File, io, io::SeekFrom};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::super::{Endpoint, Error};

/// Where a body lies until it is read.
#[derive(Debug)]
pub(in crate::collect) struct Spool {
    file: tokio::fs::File,
    hasher: Sha256,
    bytes: u64,
    limit: u64,
}

/// Why a body could not be kept.
#[derive(Debug, thiserror::Error)]
pub(in crate::collect) enum Trouble {
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl Spool {
    /// An empty file that takes at most `limit` bytes. Fails if there is no room for temporary files at all.
    pub(in crate::collect) fn new(limit: u64) -> io::Result<Self> {
        let file = tokio::fs::File::from_std(tempfile::tempfile()?);
        Ok(Self { file, hasher: Sha256::new(), bytes: 0, limit })
    }

    /// Forgets what came before. `announced` is how much the sender says will come.
    pub(in crate::collect) async fn restart(&mut self, announced: Option<u64>) -> Result<(), Trouble> {
        if announced.is_some_and(|announced| announced > self.limit) {
            return Err(Trouble::TooLarge(self.limit));
        }
        self.file.seek(SeekFrom::Start(0)).await?;
        self.file.set_len(0).await?;
        self.hasher = Sha256::new();
        self.bytes = 0;
        Ok(())
    }

    pub(in crate::collect) async fn write(&mut self, chunk: &[u8]) -> Result<(), Trouble> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.limit {
            return Err(Trouble::TooLarge(self.limit));
        }
        self.hasher.update(chunk);
        Ok(self.file.write_all(chunk).await?)
    }

    /// Everything came: what was written is really there.
    pub(in crate::collect) async fn finish(&mut self) -> Result<(), Trouble> {
        Ok(self.file.flush().await?)
    }

    /// SHA-256 of everything that came.
    pub(in crate::collect) fn hash(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// How much came.
    pub(in crate::collect) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file, at its beginning.
    pub(in crate::collect) async fn into_file(mut self) -> io::Result<File> {
        self.file.seek(SeekFrom::Start(0)).await?;
        Ok(self.file.into_std().await)
    }
}

/// What a call failed of, if its body could not be kept.
pub(in crate::collect) fn explain(endpoint: Endpoint, trouble: Trouble) -> Error {
    match trouble {
        Trouble::TooLarge(_) => Error::InvalidResponse { endpoint, detail: trouble.to_string() },
        Trouble::Disk(error) => no_room(endpoint, &error),
    }
}

/// The system's folder for temporary files does not take it.
pub(in crate::collect) fn no_room(endpoint: Endpoint, error: &io::Error) -> Error {
    let folder = std::env::temp_dir();
    let detail = format!(
        "the answer cannot be kept in {} while it arrives ({error}): make room there, or set TMPDIR to a folder that has it",
        folder.display()
    );
    Error::Storage { endpoint, detail }
}
