//! Where an export goes: stdout, or a file that gets its name when it is whole.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::cli::output::Output;

pub(super) enum Sink {
    Stdout(Output),
    File { to: BufWriter<NamedTempFile>, path: PathBuf },
}

impl Sink {
    /// Only the owner may read the file: it says who can do what.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, anyhow::Error> {
        let Some(path) = path else { return Ok(Self::Stdout(Output::new())) };
        let folder = folder_of(path);
        let file = NamedTempFile::new_in(folder)
            .with_context(|| format!("--output: no file can be written in {}", folder.display()))?;
        Ok(Self::File { to: BufWriter::new(file), path: path.to_owned() })
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), anyhow::Error> {
        match self {
            Self::Stdout(out) => Ok(out.bytes(bytes)?),
            Self::File { to, path } => {
                to.write_all(bytes).with_context(|| format!("{} cannot be written", path.display()))
            }
        }
    }

    /// Nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Stdout(out) if out.is_closed())
    }

    /// Hands over the rest; a file is durable and has its name then.
    pub(super) fn finish(self) -> Result<(), anyhow::Error> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File { to, path } => {
                let failed = || format!("{} cannot be written; nothing of it is left", path.display());
                let file =
                    to.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
                file.as_file().sync_all().with_context(failed)?;
                file.persist(&path).map_err(|error| error.error).with_context(failed)?;
                // The name too is to outlive a power cut.
                File::open(folder_of(&path)).and_then(|folder| folder.sync_all()).with_context(|| {
                    format!("{} is written, but its folder cannot be synced", path.display())
                })
            }
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
