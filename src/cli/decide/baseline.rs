//! `baseline`: take in all that is open today.

use clap::Args;
use serde_json::json;

use super::{as_usage, decide, findings, tell, terms::Silencing};
use crate::{
    audit::deciding::{self, Request},
    cli::{
        Exit,
        arguments::{JsonArgs, OrgArgs},
        output::Output,
    },
    daemon::clock,
};

/// Accepts all findings that are due today, until one date: for a start with an organisation that has many
///
/// Each is listed, and is due again by itself when it says something else than today.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden baseline --owner sec@example.com --reason \"as found\" --expires 90d --dry-run"
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    terms: Silencing,
    /// Only list what it would take in
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: JsonArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let terms = arguments.terms.terms()?;
    let (org, store, _) = arguments.org.open_last().await?;
    let held = deciding::preview(&store, &org, terms.clone(), clock::now()).await;
    store.close().await;
    let mut held = held.map_err(as_usage)?;
    findings::worst_first(&mut held);
    let mut out = Output::new();
    if !arguments.format.json {
        out.table(&findings::table(&held))?;
    }
    if arguments.dry_run {
        if arguments.format.json {
            out.json(&json!({ "dry_run": true, "findings": held }))?;
        } else {
            out.line(format_args!("{} findings; nothing was decided (--dry-run)", held.len()))?;
        }
        out.flush()?;
        return Ok(Exit::Fine);
    }
    out.flush()?;
    tell(&decide(&arguments.org, Request::Baseline(terms)).await?, "baseline of", arguments.format.json)
}
