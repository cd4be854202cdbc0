//! `findings`: what is open, and what is decided about it.

use std::borrow::Borrow;

use clap::{Args, Subcommand};

use super::{decide, history, tell, terms::Silencing};
use crate::{
    audit::deciding::{self, Request},
    cli::{
        Exit,
        arguments::{JsonArgs, OrgArgs, Usage, did_you_mean, severity},
        output::{Column, Output, Table},
    },
    domain::{
        Severity,
        decision::desk::Terms,
        finding::{Finding, Status},
    },
};

/// Lists the open findings of the last audit; mutes, acknowledges, tells their history
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
    Mute(Mute),
    Unmute(Unmute),
    Ack(Acknowledge),
    History(History),
}

/// Silences findings until a date, as long as they say the same
///
/// A muted finding stays in every list, and is neither counted nor alerted. It is due again, with an alert, when the mute
/// expires, is taken back, or the finding says something else than now.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden findings mute 3f9c01 --owner bi@example.com --reason \"moves in Q1\" --expires 30d"
)]
struct Mute {
    #[command(flatten)]
    org: OrgArgs,
    /// Findings, by uid or its beginning
    #[arg(value_name = "UID", required = true)]
    uids: Vec<String>,
    #[command(flatten)]
    terms: Silencing,
    #[command(flatten)]
    format: JsonArgs,
}

/// Takes mutes back: the findings are due at once
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden findings unmute 3f9c01 --owner bi@example.com")]
struct Unmute {
    #[command(flatten)]
    org: OrgArgs,
    /// Findings, by uid or its beginning
    #[arg(value_name = "UID", required = true)]
    uids: Vec<String>,
    /// Who takes them back
    #[arg(long, value_name = "WHO")]
    owner: Option<String>,
    #[command(flatten)]
    format: JsonArgs,
}

/// Notes that somebody works on findings; their alerts stay open
///
/// It ends when the finding is resolved or says something else than now.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden findings ack 3f9c01 --owner jo@example.com --note \"role is being split\""
)]
struct Acknowledge {
    #[command(flatten)]
    org: OrgArgs,
    /// Findings, by uid or its beginning
    #[arg(value_name = "UID", required = true)]
    uids: Vec<String>,
    /// Who works on it
    #[arg(long, value_name = "WHO")]
    owner: String,
    /// What is being done
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    format: JsonArgs,
}

/// Shows the life of a finding: every turn with its audit or decision, when, why and who
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden findings history 3f9c01")]
struct History {
    #[command(flatten)]
    org: OrgArgs,
    /// The finding, by uid or its beginning; it need not be open any more
    #[arg(value_name = "UID")]
    uid: String,
    #[command(flatten)]
    format: JsonArgs,
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
    /// Only those that somebody has to act on: not unknown, not muted, not approved
    #[arg(long)]
    due: bool,
    #[command(flatten)]
    format: JsonArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    match &arguments.action {
        None => list(&arguments.list).await,
        Some(Action::List(asked)) => list(asked).await,
        Some(Action::Mute(mute)) => {
            let request = Request::Mute(mute.uids.clone(), mute.terms.terms()?);
            tell(&decide(&mute.org, request).await?, "muted", mute.format.json)
        }
        Some(Action::Unmute(unmute)) => {
            let request = Request::Unmute(unmute.uids.clone(), unmute.owner.clone());
            tell(&decide(&unmute.org, request).await?, "un-muted", unmute.format.json)
        }
        Some(Action::Ack(ack)) => {
            let terms = Terms {
                id: deciding::new_id(),
                owner: ack.owner.clone(),
                reason: ack.note.clone(),
                ticket: None,
                expires: None,
            };
            let request = Request::Acknowledge(ack.uids.clone(), terms);
            tell(&decide(&ack.org, request).await?, "acknowledged", ack.format.json)
        }
        Some(Action::History(asked)) => history::show(&asked.org, &asked.uid, asked.format.json).await,
    }
}

async fn list(asked: &List) -> Result<Exit, anyhow::Error> {
    if let Some(check) = &asked.check {
        let (config, _) = asked.org.load()?;
        must_exist(check, config.every_check().map(|(id, _)| id))?;
    }
    let (org, store, last) = asked.org.open_last().await?;
    let mut findings = store.findings(Some(&org)).await?;
    findings.retain(|finding| {
        asked.severity.is_none_or(|least| finding.severity >= least)
            && asked.check.as_ref().is_none_or(|check| finding.check == *check)
            && (!asked.due || finding.is_due())
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

fn must_exist<'a>(check: &str, known: impl Iterator<Item = &'a str>) -> Result<(), Usage> {
    let names: Vec<&str> = known.collect();
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
        Column::new("uid").extra(),
        Column::new("severity"),
        Column::new("client"),
        Column::prose("finding"),
        Column::new("check").extra(),
        Column::new("since").extra(),
    ]);
    for finding in findings {
        let words: Vec<String> = finding.marks.decisions.iter().map(|mark| mark.words()).collect();
        let mark = match finding.status {
            Status::Unknown => " (unknown)".to_owned(),
            _ if words.is_empty() => String::new(),
            _ => format!(" ({})", words.join("; ")),
        };
        table.row([
            finding.uid.as_str().into(),
            finding.severity.into(),
            finding.client.name.as_str().into(),
            format!("{}{mark}", finding.title).into(),
            finding.check.as_str().into(),
            finding.first_seen.format("%Y-%m-%d").to_string().into(),
        ]);
    }
    table
}
