//! `probe`: asks the platform, with the own tokens of clients, whether it refuses what it should.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Exit,
    arguments::{JsonArgs, OrgArgs, Usage},
    output::{Cell, Column, Output, Table},
};
use crate::{
    config::Org,
    daemon::{clock, lock},
    domain::{
        Severity,
        probe::{Observation, Verdict, plan::Action, token::TokenCheck},
    },
    probe::{ClientNote, ClientPlan, Declarations, Error, Inspector, Report},
    store::Store,
    telemetry::Metrics,
};

/// Clients without credentials that are named before the rest is only counted.
const NAMED: usize = 5;

/// Proves with clients' own tokens that the platform refuses what it should, and allows what it should
///
/// Only clients with an `[[org.probe]]` are probed; what is sent is planned from the last recorded audit. Every request
/// is one of a curated table, with fresh random ids, so that a granted one can change nothing. Works beside the daemon.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example: scopewarden probe Reporting_Engine --dry-run\n         scopewarden probe --json | jq '.[] | select(.verdict == \"not_refused\")'\n\nExit codes: 2 if a negative test failed, else 1 if something could not be tried, else 0."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Act>,
    #[command(flatten)]
    probe: Probe,
}

#[derive(Debug, Subcommand)]
enum Act {
    Clear(Clear),
    History(History),
}

/// Lists the answers of earlier probes, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden probe history --client Reporting_Engine --json")]
struct History {
    /// Only of this client, by its id or the name that it had then
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: JsonArgs,
}

#[derive(Debug, Args)]
struct Probe {
    /// Only this client, by name or id
    #[arg(value_name = "CLIENT")]
    client: Option<String>,
    /// Print the plan as curl lines (the token as $TOKEN), and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: JsonArgs,
}

/// Lets an operation be sent again that once answered 2xx or 409 to a negative test
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden probe clear \"DELETE /api/v2/flows/{flowId}\"")]
struct Clear {
    /// The operation, as the plan names it
    #[arg(value_name = "OPERATION")]
    operation: String,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: JsonArgs,
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    match &arguments.action {
        Some(Act::Clear(clear)) => allow_again(clear).await,
        Some(Act::History(history)) => show_history(history).await,
        None if arguments.probe.dry_run => show_plan(&arguments.probe).await,
        None => probe(&arguments.probe).await,
    }
}

async fn allow_again(clear: &Clear) -> Result<Exit, anyhow::Error> {
    let (config, org) = clear.org.load()?;
    let store = open_for_writing(&config.storage.path).await?;
    let blocked = store.probe_blocks(&org.name).await?;
    let was_blocked = store.clear_probe_block(&org.name, &clear.operation).await?;
    store.close().await;
    if !was_blocked {
        let others: Vec<&str> = blocked.keys().map(String::as_str).collect();
        let others = if others.is_empty() {
            "no operation is".to_owned()
        } else {
            format!("what is: {}", others.join(", "))
        };
        anyhow::bail!("{:?} is not blocked; {others}", clear.operation);
    }
    let mut out = Output::new();
    if clear.format.json {
        out.json(&json!({ "cleared": clear.operation }))?;
    } else {
        out.line(format_args!("{} is sent again from the next run on", clear.operation))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

async fn show_history(history: &History) -> Result<Exit, anyhow::Error> {
    let (org, store) = history.org.open_record().await?;
    let mut answers = store.probe_answers(&org, history.client.as_deref(), history.limit).await?;
    let mut out = Output::new();
    if history.format.json {
        out.json(&answers)?;
    } else if answers.is_empty() {
        out.line("no such answers")?;
    } else {
        let mut table = Table::new([
            Column::new("at"),
            Column::new("client"),
            Column::new("operation"),
            Column::new("verdict"),
            Column::new("answer"),
        ]);
        for one in answers.drain(..) {
            table.row([
                one.at.format("%Y-%m-%d %H:%M:%S").to_string().into(),
                one.client.name.as_str().into(),
                one.operation.as_str().into(),
                one.verdict.as_str().replace('_', " ").into(),
                answer(&one).into(),
            ]);
        }
        out.table(&table)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// The status and code of an answer, as far as there was one.
fn answer(one: &Observation) -> String {
    match (one.status, &one.code) {
        (Some(status), Some(code)) => format!("{status} {code}"),
        (Some(status), None) => status.to_string(),
        (None, Some(code)) => code.clone(),
        (None, None) => "-".to_owned(),
    }
}

async fn show_plan(probe: &Probe) -> Result<Exit, anyhow::Error> {
    let (config, org) = probe.org.load()?;
    let store = Store::open_read_only(&config.storage.path).await?;
    let inspector = Inspector::new(&config, &org, store, Arc::new(Metrics::new()));
    let (plans, report) =
        inspector.plan(probe.client.as_deref(), &Declarations::new()).await.map_err(as_usage)?;
    let mut out = Output::new();
    if probe.format.json {
        let rows: Vec<Value> = plans.iter().flat_map(|plan| plan_shape(&org, plan)).collect();
        out.json(&rows)?;
    } else {
        for plan in &plans {
            tell_plan(&mut out, &org, plan)?;
        }
    }
    tell_rest(&mut out, probe, &report)?;
    out.flush()?;
    Ok(if report.problems.is_empty() { Exit::Fine } else { Exit::Failed })
}

async fn probe(probe: &Probe) -> Result<Exit, anyhow::Error> {
    let (config, org) = probe.org.load()?;
    let store = open_for_writing(&config.storage.path).await?;
    let _lock = lock::acquire_for_probes(&config.storage.path)?;
    let inspector = Inspector::new(&config, &org, store.clone(), Arc::new(Metrics::new()));
    let stop = CancellationToken::new();
    let told = stop.clone();
    let listening = tokio::spawn(async move {
        // The request that is on its way is the last, and what was proven until then is recorded.
        if tokio::signal::ctrl_c().await.is_ok() {
            told.cancel();
        }
    });
    let declared = Declarations::new();
    let run = inspector.run(probe.client.as_deref(), &declared, &stop, &|_| {}, clock::now());
    let report = run.await.map_err(as_usage);
    listening.abort();
    store.close().await;
    let report = report?;
    let mut out = Output::new();
    if probe.format.json {
        let observations: Result<Vec<Value>, _> =
            report.observations.iter().map(serde_json::to_value).collect();
        let mut rows = observations.context("an observation has no JSON form")?;
        rows.extend(report.tokens.iter().map(|note| token_shape(&org, note)));
        out.json(&rows)?;
    } else {
        tell(&mut out, &report)?;
    }
    tell_rest(&mut out, probe, &report)?;
    out.flush()?;
    let is_open = report.observations.iter().any(|one| one.verdict == Verdict::Inconclusive);
    Ok(match report.has_failed() {
        true => Exit::Findings,
        false if is_open || !report.problems.is_empty() => Exit::Failed,
        false => Exit::Fine,
    })
}

/// A record that exists. To make one, or to bring it up to date beside a running daemon, is not for us.
async fn open_for_writing(path: &Path) -> Result<Store, anyhow::Error> {
    Store::open_read_only(path).await?.close().await;
    Ok(Store::open(path).await?)
}

fn as_usage(error: Error) -> anyhow::Error {
    match error {
        Error::NoSuchClient(detail) => Usage(detail).into(),
        error => error.into(),
    }
}

/// A note on a token, in the shape of a probe.
fn token_shape(org: &Org, ClientNote { client, note }: &ClientNote) -> Value {
    let is_outside = note.check == TokenCheck::ScopesOutside;
    let verdict = match note.status {
        Some(200..=299) if is_outside => Verdict::NotRefused,
        Some(200..=299) => Verdict::Allowed,
        Some(403) => Verdict::Refused,
        // What the token endpoint says; of an operation a 401 says nothing, and a 400 not that it was refused.
        Some(400 | 401) if note.operation.is_none() => Verdict::Refused,
        _ => Verdict::Inconclusive,
    };
    json!({
        "org": org.name,
        "client": client,
        "operation": note.operation.as_deref().unwrap_or("POST /oauth/token"),
        "token_check": note.check,
        "expectation": if is_outside { "deny" } else { "allow" },
        "sent": true,
        "status": note.status,
        "code": note.code,
        "verdict": verdict,
        "permissions": [],
        "predicted": "undeclared",
        "safe_because": match note.operation {
            Some(_) => "One object is read by an id that nothing has.",
            None => "A token is issued, and nothing else happens.",
        },
        "scopes": note.scopes,
        "lifetime_s": note.lifetime_s,
        "token_bytes": note.token_bytes,
        "explanation": note.explanation,
    })
}

fn plan_shape<'a>(org: &'a Org, plan: &'a ClientPlan) -> impl Iterator<Item = Value> + 'a {
    let mut curl = plan.curl(&org.api_url).into_iter();
    plan.planned.iter().map(move |planned| {
        let (line, why) = match &planned.action {
            Action::Send { .. } => (curl.next(), None),
            Action::Hold(why) => (None, Some(why)),
        };
        json!({
            "org": org.name,
            "client": plan.client,
            "operation": planned.operation,
            "expectation": planned.expectation,
            "origin": planned.origin,
            "sent": false,
            "status": null,
            "code": null,
            "verdict": Verdict::NotSent,
            "permissions": planned.needs,
            "predicted": planned.predicted,
            "safe_because": planned.safe_because(),
            "curl": line,
            "explanation": why,
        })
    })
}

fn tell_plan(out: &mut Output, org: &Org, plan: &ClientPlan) -> io::Result<()> {
    out.line(format_args!("# {} ({})", plan.client.name, plan.client.id))?;
    let mut curl = plan.curl(&org.api_url).into_iter();
    for planned in &plan.planned {
        let name = &planned.operation;
        match &planned.action {
            Action::Send { safe, .. } => {
                out.line(format_args!("# {} {name}: {}", planned.expectation.as_str(), safe.why))?;
                if let Some(line) = curl.next() {
                    out.line(line)?;
                }
            }
            Action::Hold(why) => out.line(format_args!("# not sent: {name}: {why}"))?,
        }
    }
    Ok(())
}

fn tell(out: &mut Output, report: &Report) -> io::Result<()> {
    let mut table = Table::new([
        Column::new("client"),
        Column::new("operation"),
        Column::new("expected").extra(),
        Column::new("verdict"),
        Column::new("answer"),
        Column::new("severity"),
        Column::prose("what it means"),
    ]);
    // A client without a token is one line, not one for each thing that was not asked.
    let (unasked, mut rows): (Vec<&Observation>, Vec<&Observation>) =
        report.observations.iter().partition(|one| one.verdict == Verdict::Inconclusive && !one.sent);
    let mut without_token: BTreeMap<&str, (&Observation, usize)> = BTreeMap::new();
    for one in unasked {
        without_token.entry(one.client.id.as_str()).or_insert((one, 0)).1 += 1;
    }
    rows.sort_by_key(|one| (std::cmp::Reverse(one.severity), one.client.name.clone(), one.verdict));
    for one in rows {
        table.row([
            one.client.name.as_str().into(),
            one.operation.as_str().into(),
            one.expectation.as_str().into(),
            one.verdict.as_str().replace('_', " ").into(),
            answer(one).into(),
            one.severity.map_or_else(|| Cell::from(""), |severity: Severity| severity.into()),
            one.explanation.as_str().into(),
        ]);
    }
    for (one, count) in without_token.into_values() {
        table.row([
            one.client.name.as_str().into(),
            format!("{count} operations").into(),
            "".into(),
            one.verdict.as_str().into(),
            answer(one).into(),
            "".into(),
            one.explanation.as_str().into(),
        ]);
    }
    if !report.observations.is_empty() {
        out.table(&table)?;
    }
    for ClientNote { client, note } in &report.tokens {
        out.line(format_args!("{}, token: {}", client.name, note.explanation))?;
    }
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for one in &report.observations {
        *counts.entry(one.verdict).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(verdict, count)| format!("{count} {}", verdict.as_str().replace('_', " ")))
        .collect();
    if counts.is_empty() { Ok(()) } else { out.line(format_args!("Probes: {}", counts.join(", "))) }
}

/// What could not be probed, and who was not.
fn tell_rest(out: &mut Output, probe: &Probe, report: &Report) -> io::Result<()> {
    for problem in &report.problems {
        super::output::complain(&anyhow::anyhow!("{}", problem.detail));
    }
    if probe.format.json || report.not_probed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = report.not_probed.iter().take(NAMED).map(|client| client.name.as_str()).collect();
    let rest = report.not_probed.len() - names.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    out.line(format_args!(
        "Not probed, for want of an [[org.probe]] with credentials: {}{more}",
        names.join(", ")
    ))
}
