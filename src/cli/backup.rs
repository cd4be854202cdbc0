//! `backup`: a verified copy of the database.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{
    Exit,
    arguments::{ConfigArgs, JsonArgs},
    output::Output,
};
use crate::store::{Backup, Store};

/// Copies the database of every organisation to a new file, and verifies the copy
///
/// Works beside the running daemon. The file must not exist; only you may read it. It gets its name once its structure
/// is checked and the record of each organisation is verified in it; on failure nothing of it is left.
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden backup /mnt/backups/before-upgrade.db\n\n\
                  To restore: stop the daemon, put the file in the database's place, remove the database's -wal and \
                  -shm files, run `scopewarden verify`, start the daemon.")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    /// The new file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    format: JsonArgs,
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let config = arguments.config.load()?;
    let store = Store::open_read_only(&config.storage.path).await?;
    let Backup { path, bytes, orgs, audits, .. } = store.backup(&arguments.path).await?;
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&json!({ "path": path, "bytes": bytes, "orgs": orgs, "audits": audits }))?;
    } else {
        out.line(format_args!("{}: {bytes} bytes, {audits} audits of {orgs} organisations", path.display()))?;
        out.line("verified: its structure is sound, and the record of each organisation is consistent")?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}
