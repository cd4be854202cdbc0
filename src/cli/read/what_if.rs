//! `what-if`: what would change if a role, a client or a Terraform plan were applied.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::diff::tell;
use crate::cli::{
    Exit,
    arguments::{FormatArgs, OrgArgs, Usage, severity},
    output::Output,
};
use crate::{
    audit::proposal,
    domain::{Severity, drift},
};

/// The largest file that is read.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Shows what clients would gain or lose if a role, a client or a Terraform plan were applied
///
/// FILE is a role or an OAuth client as the platform's API returns or accepts it (matched by its id, else by its name; new
/// otherwise), or what `terraform show -json PLAN` prints (`genesyscloud_auth_role` and `genesyscloud_oauth_client`; other
/// resources are counted and left alone). It is compared with the last recorded audit, as the next audit would. Nothing
/// is called and nothing is written. JSON unless stdout is a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden what-if role.json\n         terraform show -json plan.bin | scopewarden what-if - --fail-on high"
)]
pub(in crate::cli) struct Arguments {
    /// The file; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Exit with 2 if anybody would gain something of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_parser = severity())]
    fail_on: Option<Severity>,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let text = read(&arguments.file)?;
    let (org, _store, last) = arguments.org.open_last().await?;
    let file = arguments.file.display();
    let proposal =
        proposal::read(&last.snapshot, &text).map_err(|error| Usage(format!("{file}: {error}")))?;
    let (events, gains): (Vec<_>, Vec<_>) =
        drift::with_gains(&org, "what-if", &last.snapshot, &proposal.after).into_iter().unzip();
    let worst = gains.into_iter().flatten().max();
    let mut out = Output::new();
    if arguments.format.wants_json(out.is_terminal()) {
        out.json(&json!({
            "org": org,
            "from": last.at,
            "from_audit": last.audit,
            "worst_gain": worst,
            "events": events,
            "gaps": last.gaps,
            "notes": proposal.notes,
            "ignored": proposal.ignored,
        }))?;
    } else {
        let time = last.at.format("%Y-%m-%d %H:%M:%S UTC");
        out.line(format_args!("{org}, as audited at {time}, if {file} were applied"))?;
        tell(&mut out, &events)?;
        for gap in &last.gaps {
            let fact = gap.fact.as_str().replace('_', " ");
            out.note(format_args!("note: the audit did not see everything ({fact}): {}", gap.detail))?;
        }
        for note in &proposal.notes {
            out.note(format_args!("note: {note}"))?;
        }
        if proposal.ignored > 0 {
            out.note(format_args!("{} other changes of the plan are not looked at", proposal.ignored))?;
        }
    }
    out.flush()?;
    let fails = arguments.fail_on.is_some_and(|least| worst.is_some_and(|worst| worst >= least));
    Ok(if fails { Exit::Findings } else { Exit::Fine })
}

/// The whole file, if it is not too large.
fn read(file: &Path) -> Result<Vec<u8>, Usage> {
    let failed = |error: io::Error| Usage(format!("{} cannot be read: {error}", file.display()));
    let mut text = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut text).map_err(failed)?;
    } else {
        File::open(file).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut text).map_err(failed)?;
    }
    if text.len() as u64 > LARGEST {
        return Err(Usage(format!(
            "{} is larger than {} MiB; of a plan, give only the resource_changes of roles and clients",
            file.display(),
            LARGEST / 1024 / 1024
        )));
    }
    Ok(text)
}
