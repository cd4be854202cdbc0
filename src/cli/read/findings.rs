//! `findings`: what is open.

use std::borrow::Borrow;

use clap::{Args, Subcommand};

use crate::cli::{
    Exit,
    arguments::{JsonArgs, OrgArgs, Usage, did_you_mean, severity},
    output::{Column, Output, Table},
};
use crate::domain::{
    Severity,
    checks::CHECKS,
    finding::{Finding, Status},
};

/// Lists the open findings of the last audit
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example: scopewarden findings --severity high\n         scopewarden findings list --check admin-role --json"
)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
}

/// Lists them (also what `findings` alone does)
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden findings list --severity critical --json")]
struct List {
    #[command(flatten)]
    org: OrgArgs,
    /// Only of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_parser = severity())]
    severity: Option<Severity>,
    /// Only of this check, by its id
    #[arg(long, value_name = "CHECK")]
    check: Option<String>,
    #[command(flatten)]
    format: JsonArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let asked = match &arguments.action {
        Some(Action::List(list)) => list,
        None => &arguments.list,
    };
    if let Some(check) = &asked.check {
        let (config, _) = asked.org.load()?;
        must_exist(check, config.checks.iter().map(|own| own.words.id.as_str()))?;
    }
    let (org, store, last) = asked.org.open_last().await?;
    let mut findings = store.findings(Some(&org)).await?;
    findings.retain(|finding| {
        asked.severity.is_none_or(|least| finding.severity >= least)
            && asked.check.as_ref().is_none_or(|check| finding.check == *check)
    });
    worst_first(&mut findings);
    let mut out = Output::new();
    if asked.format.json {
        out.json(&findings)?;
    } else if findings.is_empty() {
        out.line(format_args!(
            "nothing open at the last audit ({})",
            last.at.format("%Y-%m-%d %H:%M:%S UTC")
        ))?;
    } else {
        out.table(&table(&findings))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn must_exist<'a>(check: &str, own: impl Iterator<Item = &'a str>) -> Result<(), Usage> {
    let names: Vec<&str> = CHECKS.iter().map(|known| known.id).chain(own).collect();
    if names.contains(&check) {
        return Ok(());
    }
    let hint = did_you_mean(check, names.iter().copied());
    Err(Usage(format!("--check: {check:?} is no check; there are {}{hint}", names.join(", "))))
}

/// The worst first, then by client.
pub(in crate::cli) fn worst_first<F: Borrow<Finding>>(findings: &mut [F]) {
    findings.sort_by(|one, other| {
        let (one, other) = (one.borrow(), other.borrow());
        (other.severity.cmp(&one.severity))
            .then_with(|| one.client.name.cmp(&other.client.name))
            .then_with(|| one.uid.cmp(&other.uid))
    });
}

pub(in crate::cli) fn table<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Table {
    let mut table = Table::new([
        Column::new("severity"),
        Column::new("client"),
        Column::prose("finding"),
        Column::new("check").extra(),
        Column::new("since").extra(),
    ]);
    for finding in findings {
        let mark = match (finding.status, finding.muted) {
            (Status::Unknown, _) => " (unknown)",
            (_, true) => " (muted)",
            _ => "",
        };
        table.row([
            finding.severity.into(),
            finding.client.name.as_str().into(),
            format!("{}{mark}", finding.title).into(),
            finding.check.as_str().into(),
            finding.first_seen.format("%Y-%m-%d").to_string().into(),
        ]);
    }
    table
}
