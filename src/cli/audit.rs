//! `audit`: one audit now.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    Exit,
    arguments::{OrgArgs, Usage, severity},
    decide::findings,
    output::Output,
    read::diff,
};
use crate::{
    audit::{Auditor, Report, Stage},
    daemon::{
        clock,
        delivery::{self, Flushed},
        lock,
    },
    domain::{
        Severity,
        finding::Finding,
        message::Letterhead,
        ocsf::{self, Activity},
    },
    store::Store,
    telemetry::Metrics,
};

/// How long delivery may take before the rest is left to the next audit or the daemon.
const DELIVERY_LIMIT: Duration = Duration::from_secs(30);
/// Findings listed before the rest is only counted.
const LISTED: usize = 30;

/// Audits an organisation once, records it, and delivers what is to be told
///
/// Takes the same lock as `run`, so it is refused while a daemon audits this database.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden audit --org acme --fail-on high\n         scopewarden audit --json | jq '.events[].cause.kind'\n         scopewarden audit --format ocsf >> siem.jsonl\n\nExit codes: 2 if a finding at or above --fail-on is open, else 1 if the audit is not complete or failed, else 0."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    /// What to print
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// End with exit code 2 if a finding of this severity or worse is open (fails, not muted)
    #[arg(long, value_name = "SEVERITY", value_parser = severity())]
    fail_on: Option<Severity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// OCSF 1.8.0, one object a line: what changed, what is open, what was resolved
    Ocsf,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, anyhow::Error> {
    let format = if arguments.json { Format::Json } else { arguments.format };
    let (config, org) = arguments.org.load()?;
    let receivers = delivery::receivers(&config).map_err(|error| Usage(error.to_string()))?;
    let metrics = Arc::new(Metrics::new());

    let _lock = lock::acquire(&config.storage.path)?;
    let store = Store::open(&config.storage.path).await?;
    let mut auditor = Auditor::new(&config, &org, store.clone(), Arc::clone(&metrics))?;

    let progress = Progress::begin();
    let watch = |stage| progress.show(doing(stage));
    let audited = auditor.audit(config.audit.timeout, &watch, clock::now()).await;
    progress.show("delivering alerts");
    let flushed = delivery::flush(&store, &receivers, &metrics, DELIVERY_LIMIT).await;
    progress.end();
    store.close().await;

    let mut out = Output::new();
    let report = match audited {
        Ok(report) => report,
        Err(error) => {
            let (reason, detail) = (error.reason(), error.to_string());
            match format {
                Format::Text => {}
                Format::Json => {
                    let error = json!({ "reason": reason, "detail": detail });
                    out.json(&json!({ "org": org.name, "error": error }))?;
                }
                Format::Ocsf => out.json(&ocsf::of_failure(&org.name, reason, &detail, clock::now()))?,
            }
            out.flush()?;
            return Err(anyhow::Error::new(error).context(format!("the audit of {} failed", org.name)));
        }
    };
    match format {
        Format::Text => {
            tell(&mut out, &report)?;
            if let Ok(flushed) = &flushed {
                tell_delivery(&mut out, *flushed)?;
            }
        }
        Format::Json => out.json(&report)?,
        Format::Ocsf => tell_ocsf(&mut out, &report, config.server.external_url.as_str())?,
    }
    out.flush()?;
    flushed.context("the audit is recorded, but its alerts could not be delivered")?;
    Ok(judge(&report, arguments.fail_on))
}

fn judge(report: &Report, fail_on: Option<Severity>) -> Exit {
    let counts = |finding: &Arc<Finding>| finding.is_due();
    let is_bad = |finding: &&Arc<Finding>| fail_on.is_some_and(|least| finding.severity >= least);
    if report.findings.iter().filter(|finding| counts(finding)).any(|finding| is_bad(&finding)) {
        Exit::Findings
    } else if report.complete {
        Exit::Fine
    } else {
        Exit::Failed
    }
}

/// A spinner with what is being done, on stderr and only if that is a terminal.
struct Progress(ProgressBar);

impl Progress {
    fn begin() -> Self {
        let bar = if io::IsTerminal::is_terminal(&io::stderr()) {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    fn show(&self, what: &'static str) {
        self.0.set_message(what);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Recall => "reading the last audit",
        Stage::Collect => "asking the platform",
        Stage::Analyse => "comparing and judging",
        Stage::Attribute => "asking who made the changes",
        Stage::Record => "recording",
    }
}

/// What changed, what is open, and what was resolved, one object each.
fn tell_ocsf(out: &mut Output, report: &Report, link: &str) -> io::Result<()> {
    let Report { org, audit, chain_head, at, .. } = report;
    let head = Letterhead { org, audit, chain_head: *chain_head, at: *at, link };
    for event in &report.events {
        out.json(&ocsf::of_event(&head, event))?;
    }
    for finding in &report.findings {
        let is_new = finding.first_seen == report.at;
        let activity = if is_new { Activity::Create } else { Activity::Update };
        out.json(&ocsf::of_finding(&head, activity, finding))?;
    }
    for finding in &report.resolved {
        out.json(&ocsf::of_finding(&head, Activity::Close, finding))?;
    }
    Ok(())
}

fn tell(out: &mut Output, report: &Report) -> io::Result<()> {
    let Report { org, audit, clients, api_calls, timings_ms: time, .. } = report;
    let verdict = if report.complete { "complete" } else { "NOT complete" };
    let at = report.at.format("%Y-%m-%d %H:%M:%S UTC");
    out.line(format_args!("{org}: audit {audit} at {at}, {verdict}, {clients} clients"))?;

    if !report.gaps.is_empty() {
        out.line("")?;
        out.line("Not seen:")?;
        for gap in &report.gaps {
            let subject = gap.subject.as_ref().map(|subject| format!(" of {subject}")).unwrap_or_default();
            out.line(format_args!("  {}{subject} ({}): {}", gap.fact.as_str(), gap.reason, gap.detail))?;
        }
    }

    out.line("")?;
    if report.baseline {
        out.line("The first audit of this organisation: later ones tell what changed.")?;
    } else {
        out.line("What changed since the audit before:")?;
        diff::tell(out, &report.events)?;
    }

    out.line("")?;
    tell_findings(out, &report.findings)?;

    out.line("")?;
    out.line(format_args!(
        "{api_calls} API calls; collect {} ms, analyse {} ms, record {} ms; chain head {}",
        time.collect, time.analyse, time.record, report.chain_head
    ))
}

fn tell_findings(out: &mut Output, findings: &[Arc<Finding>]) -> io::Result<()> {
    if findings.is_empty() {
        return out.line("No open findings.");
    }
    let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.severity).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().rev().map(|(severity, count)| format!("{count} {severity}")).collect();
    out.line(format_args!("Open findings: {}", counts.join(", ")))?;
    let mut sorted: Vec<&Finding> = findings.iter().map(Arc::as_ref).collect();
    findings::worst_first(&mut sorted);
    out.table(&findings::table(sorted.iter().copied().take(LISTED)))?;
    if sorted.len() > LISTED {
        out.line(format_args!("… and {} more: scopewarden findings", sorted.len() - LISTED))?;
    }
    Ok(())
}

fn tell_delivery(out: &mut Output, flushed: Flushed) -> io::Result<()> {
    let Flushed { delivered, failed, dead } = flushed;
    if flushed == Flushed::default() {
        return Ok(());
    }
    out.line(format_args!("Alerts: {delivered} delivered, {failed} to be tried again, {dead} given up"))?;
    if failed + dead > 0 {
        out.line("Why: scopewarden outbox list")?;
    }
    Ok(())
}
