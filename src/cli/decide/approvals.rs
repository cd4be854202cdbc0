//! `approvals`: what was decided, taken back, exported.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{decide, tell};
use crate::{
    audit::deciding::Request,
    cli::{
        Exit,
        arguments::{JsonArgs, OrgArgs},
        output::{Column, Output, Table},
    },
    domain::decision::{Kind, Standing},
};

/// Lists, takes back and exports decisions: approvals, mutes, baselines, acknowledgements
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden approvals list --all\n         scopewarden approvals revoke dec-0a1b2c\n         scopewarden approvals export --format csv"
)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Revoke(Revoke),
    Export(Export),
}

/// Lists the approvals that stand; with --all every decision, also those that ended
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden approvals list --all --json")]
struct List {
    #[command(flatten)]
    org: OrgArgs,
    /// Every decision, of each kind, also those that ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: JsonArgs,
}

/// Takes a decision back, whatever its kind: what it covered is due at once
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden approvals revoke dec-0a1b2c --owner sec@example.com")]
struct Revoke {
    #[command(flatten)]
    org: OrgArgs,
    /// The decision, by its id or the beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// Who takes it back
    #[arg(long, value_name = "WHO")]
    owner: Option<String>,
    #[command(flatten)]
    format: JsonArgs,
}

/// Prints every decision with each finding that it covered
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden approvals export --format csv > decisions.csv")]
struct Export {
    #[command(flatten)]
    org: OrgArgs,
    /// One JSON object a decision, or one CSV line a decision and finding
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Form,
    /// Print JSON lines; the same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON lines
    Jsonl,
    /// Comma-separated values, with a header
    Csv,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    match &arguments.action {
        Action::List(asked) => list(asked).await,
        Action::Revoke(revoke) => {
            let request = Request::Revoke(revoke.id.clone(), revoke.owner.clone());
            tell(&decide(&revoke.org, request).await?, "revoked", revoke.format.json)
        }
        Action::Export(asked) => export(asked).await,
    }
}

async fn list(asked: &List) -> Result<Exit, anyhow::Error> {
    let (org, store) = asked.org.open_record().await?;
    let book = store.decisions(&org).await?;
    let is_meant = |one: &&Standing| asked.all || (one.decision.kind == Kind::Approve && one.ended.is_none());
    let rows: Vec<&Standing> = book.ledger.all().iter().filter(is_meant).collect();
    let mut out = Output::new();
    if asked.format.json {
        out.json(&rows.iter().map(|one| shape(&org, one, false)).collect::<Vec<_>>())?;
    } else if rows.is_empty() {
        out.line(if asked.all { "nothing was decided so far" } else { "no approval stands" })?;
    } else {
        out.table(&table(&rows))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn shape(org: &str, standing: &Standing, whole: bool) -> Value {
    let Standing { decision, ended, covering, .. } = standing;
    let mut shape = json!({
        "org": org,
        "id": decision.id,
        "kind": decision.kind,
        "owner": decision.owner,
        "reason": decision.reason,
        "ticket": decision.ticket,
        "at": decision.at,
        "expires": decision.expires,
        "event": decision.approved.as_ref().map(|approved| &approved.event),
        "delta": decision.approved.as_ref().map(|approved| &approved.delta),
        "change": decision.approved.as_ref().map(|approved| &approved.summary),
        "findings": decision.covers.len(),
        "covering": covering,
        "ended": ended.as_ref().map(|ended| json!({ "at": ended.at, "why": ended.why, "by": ended.by })),
    });
    if whole {
        shape["covers"] = json!(decision.covers);
        shape["cause"] = json!(decision.approved.as_ref().map(|approved| &approved.cause));
    }
    shape
}

fn table(rows: &[&Standing]) -> Table {
    let mut table = Table::new([
        Column::new("id"),
        Column::new("kind"),
        Column::new("owner"),
        Column::new("ticket").extra(),
        Column::new("made").extra(),
        Column::new("until"),
        Column::new("findings").extra(),
        Column::prose("what"),
    ]);
    for Standing { decision, ended, covering, .. } in rows {
        let until = match (ended, decision.expires) {
            (Some(ended), _) => format!("{} {}", ended.why.as_str(), ended.at.format("%Y-%m-%d")),
            (None, Some(at)) => at.format("%Y-%m-%d %H:%M").to_string(),
            (None, None) => "resolved".to_owned(),
        };
        let change = decision.approved.as_ref().map(|approved| approved.summary.as_str());
        table.row([
            decision.id.as_str().into(),
            decision.kind.as_str().into(),
            decision.owner.as_str().into(),
            decision.ticket.as_deref().unwrap_or_default().into(),
            decision.at.format("%Y-%m-%d").to_string().into(),
            until.into(),
            format!("{covering} of {}", decision.covers.len()).into(),
            change.unwrap_or(&decision.reason).into(),
        ]);
    }
    table
}

async fn export(asked: &Export) -> Result<Exit, anyhow::Error> {
    let (org, store) = asked.org.open_record().await?;
    let book = store.decisions(&org).await?;
    let mut out = Output::new();
    if asked.format == Form::Csv {
        out.line(CSV_HEAD)?;
    }
    for standing in book.ledger.all() {
        match asked.format {
            Form::Jsonl => out.line(shape(&org, standing, true))?,
            Form::Csv => {
                for line in csv(&org, standing) {
                    out.line(line)?;
                }
            }
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

const CSV_HEAD: &str =
    "org,id,kind,owner,reason,ticket,at,expires,event,delta,uid,fingerprint,ended_at,ended_why,ended_by";

/// One line for each finding; one without, if there is none.
fn csv(org: &str, standing: &Standing) -> Vec<String> {
    let Standing { decision, ended, .. } = standing;
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let approved = decision.approved.as_ref();
    let line = |uid: &str, fingerprint: &str| {
        let cells = [
            org.to_owned(),
            decision.id.clone(),
            decision.kind.as_str().to_owned(),
            decision.owner.clone(),
            decision.reason.clone(),
            decision.ticket.clone().unwrap_or_default(),
            time(decision.at),
            decision.expires.map(time).unwrap_or_default(),
            approved.map(|approved| approved.event.clone()).unwrap_or_default(),
            approved.map(|approved| approved.delta.clone()).unwrap_or_default(),
            uid.to_owned(),
            fingerprint.to_owned(),
            ended.as_ref().map(|ended| time(ended.at)).unwrap_or_default(),
            ended.as_ref().map(|ended| ended.why.as_str().to_owned()).unwrap_or_default(),
            ended.as_ref().and_then(|ended| ended.by.clone()).unwrap_or_default(),
        ];
        cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",")
    };
    if decision.covers.is_empty() {
        return vec![line("", "")];
    }
    decision.covers.iter().map(|cover| line(&cover.uid, &cover.fingerprint.to_string())).collect()
}

/// A cell by RFC 4180. One that a spreadsheet would take for a formula is made a text.
fn quoted(cell: &str) -> Cow<'_, str> {
    let is_formula = cell.starts_with(['=', '+', '-', '@']);
    if !is_formula && !cell.contains([',', '"', '\n', '\r']) {
        return Cow::Borrowed(cell);
    }
    let guard = if is_formula { "'" } else { "" };
    Cow::Owned(format!("\"{guard}{}\"", cell.replace('"', "\"\"")))
}
