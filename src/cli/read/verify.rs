//! `verify`: is the record still what was written?

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{
    Exit,
    arguments::{JsonArgs, OrgArgs, nothing_recorded},
    output::Output,
};
use crate::store::Verification;

/// Checks the record of an organisation against its hashes; exit code 1 if it is not consistent
///
/// Walks every audit: its content, its events and findings, and the chain over all of them. This finds whatever was
/// changed, added or taken away without recomputing every later hash. Somebody who may write the database can do that
/// as well: so compare the chain head with the `chain_head` that receivers got with each alert.
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden verify --json | jq -r .head")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: JsonArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store) = arguments.org.open_record().await?;
    let verified = store.verify(&org).await?;
    if verified.head.is_none() && verified.is_consistent() {
        return Err(nothing_recorded(&org));
    }
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&shape(&verified))?;
    } else {
        tell(&mut out, &verified)?;
    }
    out.flush()?;
    Ok(if verified.is_consistent() { Exit::Fine } else { Exit::Failed })
}

fn shape(verified: &Verification) -> Value {
    json!({
        "org": verified.org,
        "consistent": verified.is_consistent(),
        "audits": verified.audits,
        "objects": verified.objects,
        "forgotten": verified.forgotten,
        "head": verified.head,
        "from": verified.from,
        "to": verified.to,
        "problems": verified.problems,
        "further_problems": verified.further_problems,
    })
}

fn tell(out: &mut Output, verified: &Verification) -> std::io::Result<()> {
    let Verification { org, audits, objects, forgotten, head, from, to, problems, further_problems } =
        verified;
    if verified.is_consistent() {
        out.line(format_args!("{org}: consistent"))?;
    } else {
        let count = problems.len() as u64 + further_problems;
        out.line(format_args!("{org}: NOT consistent, {count} problems"))?;
        for problem in problems {
            out.line(format_args!("  {problem}"))?;
        }
        if *further_problems > 0 {
            out.line(format_args!("  and {further_problems} more"))?;
        }
    }
    out.line(format_args!("checked:    {audits} audits, {objects} contents"))?;
    if *forgotten > 0 {
        out.line(format_args!("forgotten:  {forgotten} contents, by retention; their hashes are checked"))?;
    }
    if let (Some(from), Some(to)) = (from, to) {
        let time = "%Y-%m-%d %H:%M:%S UTC";
        out.line(format_args!("recorded:   {} to {}", from.format(time), to.format(time)))?;
    }
    if let Some(head) = head {
        out.line(format_args!("chain head: {head}"))?;
        out.line("Consistent means: nothing was changed without recomputing every hash after it.")?;
        out.line("It does not prove that nobody did so: compare the chain head with the `chain_head` that receivers")?;
        out.line("got with the alerts of the last audit.")?;
    }
    Ok(())
}
