//! `least-privilege`: what a client needs, what to cut, and the role that would do.

mod source;
mod tell;
mod terraform;

pub(super) use self::source::{counted, own_calls};

use clap::{Args, ValueEnum};

use super::access::find;
use crate::cli::{
    Exit,
    arguments::{OrgArgs, nothing_recorded},
    output::Output,
};
use crate::{
    domain::{
        access::Access,
        contract::{Declared, propose},
    },
    store::Store,
};

/// Proposes the least role for a client, and says what to cut, what is missing and why
///
/// From the last recorded audit and the operations that the client is declared, or was seen, to call. Nothing
/// is applied: the role is printed as the platform's API takes it, or for Terraform.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: scopewarden least-privilege Reporting_Engine\n          scopewarden least-privilege Reporting_Engine --from calls.txt --output json | jq .role\n          scopewarden least-privilege Reporting_Engine --with-implied --output terraform > reporting.tf"
)]
pub(in crate::cli) struct Arguments {
    /// The client, by name or id
    #[arg(value_name = "CLIENT")]
    client: String,
    /// What it needs: "contract", "usage" (what it was seen to call), or a file: a contract, or a list of operations, one
    /// a line
    #[arg(long, value_name = "SOURCE", default_value = "contract")]
    from: String,
    /// Also the permissions without which the answers stay ids
    #[arg(long)]
    with_implied: bool,
    /// How to print it
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    output: Shape,
    /// Print JSON; the same as --output json
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    org: OrgArgs,
}

/// How to print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// For people
    Text,
    /// For programs; `role` is what the platform's API takes
    Json,
    /// For Terraform: the role and the client
    Terraform,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (config, org) = arguments.org.load()?;
    let store = Store::open_read_only(&config.storage.path).await?;
    let last = store.snapshot_at(&org.name, None).await?.ok_or_else(|| nothing_recorded(&org.name))?;
    let snapshot = &last.snapshot;
    let client = find(snapshot, &arguments.client)?;
    let access = Access::new(snapshot);
    let source = if source::is_usage(&arguments.from) {
        source::seen(&store, &org.name, &access, client).await?
    } else {
        source::read(&arguments.from, &org, snapshot, client)?
    };
    let declared = Declared::by_contract(&access, &source.contract);
    let companions = config.companions();
    let proposal = propose(&org.name, &access, client, &declared, &companions, arguments.with_implied);
    let mut out = Output::new();
    match if arguments.json { Shape::Json } else { arguments.output } {
        Shape::Json => out.json(&proposal)?,
        Shape::Terraform => {
            for line in terraform::file(client, &proposal).lines() {
                out.line(line)?;
            }
        }
        Shape::Text => tell::tell(&mut out, snapshot, client, &source, &proposal)?,
    }
    out.flush()?;
    Ok(Exit::Fine)
}
