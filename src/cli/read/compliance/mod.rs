//! `compliance`: which requirements of a framework are met, failed or unknown, with the evidence.
//!
//! Enters: a framework, the last audit. Leaves: text, JSON, CSV or Markdown. Must never: leave out what the report cannot say.

mod tell;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::{
    cli::{
        Exit,
        arguments::{OrgArgs, Usage, did_you_mean, nothing_recorded},
        output::Output,
    },
    config::Config,
    daemon::clock,
    domain::{
        ClientId,
        compliance::{Basis, Framework, Report, assess},
        probe::{Expectation, Standing},
    },
    store::Store,
};

/// What was proven longer ago says nothing of today, as for the checks of probes.
const PROOF_COUNTS: TimeDelta = TimeDelta::days(90);

/// Says which requirements of a framework are met, failed or unknown, as far as the checks see, with the evidence
///
/// Rests on the last audit. A requirement is met only if every check that serves it was answered for every client; a gap, or
/// a check that nobody asked, makes it unknown. It covers OAuth clients only, and an auditor decides.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden compliance nist\n         scopewarden compliance pci --requirement 7.2.5\n         scopewarden compliance soc2 --format markdown > soc2.md\n         scopewarden compliance iso --json | jq '.requirements[] | select(.verdict != \"met\")'"
)]
pub(in crate::cli) struct Arguments {
    /// nist (SP 800-53), cis (Controls 8.1), iso (27001:2022), soc2, pci (DSS 4.0.1)
    #[arg(value_name = "FRAMEWORK", value_parser = framework())]
    framework: Framework,
    /// Only this requirement, by its number
    #[arg(long, value_name = "NUMBER")]
    requirement: Option<String>,
    /// How
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    org: OrgArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One object
    Json,
    /// One row for each requirement and check
    Csv,
    /// For a report
    Markdown,
}

fn framework() -> impl TypedValueParser<Value = Framework> {
    PossibleValuesParser::new(Framework::ALL.map(Framework::as_str))
        .try_map(|word| Framework::parse(&word).ok_or("is no framework"))
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    if let Some(number) = &arguments.requirement {
        must_exist(arguments.framework, number)?;
    }
    let (config, org) = arguments.org.load()?;
    let store = Store::open_read_only(&config.storage.path).await?;
    let mut report = of_org(&config, &store, &org.name, arguments.framework, clock::now()).await?;
    if let Some(number) = &arguments.requirement {
        report.requirements.retain(|one| one.requirement == number);
    }
    let mut out = Output::new();
    match if arguments.json { Format::Json } else { arguments.format } {
        Format::Json => out.json(&report)?,
        Format::Csv => tell::csv(&mut out, &report)?,
        Format::Markdown => tell::markdown(&mut out, &report)?,
        Format::Text => tell::text(&mut out, &report)?,
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn must_exist(framework: Framework, number: &str) -> Result<(), Usage> {
    if framework.requirements().any(|(known, _)| known == number) {
        return Ok(());
    }
    let hint = did_you_mean(number, framework.requirements().map(|(known, _)| known));
    Err(Usage(format!("--requirement: no check serves {number:?} of {}{hint}", framework.name())))
}

async fn of_org(
    config: &Config,
    store: &Store,
    org: &str,
    framework: Framework,
    now: DateTime<Utc>,
) -> Result<Report, anyhow::Error> {
    let history = store.history(org).await?;
    let past = history.past.as_ref().ok_or_else(|| nothing_recorded(org))?;
    let probed = proven(&store.probe_standings(org).await?, now);
    let basis = Basis {
        org,
        audit: &past.audit,
        at: past.at,
        chain: past.chain,
        snapshot: &past.snapshot,
        gaps: &past.gaps,
        findings: &history.findings,
        probed: &probed,
        // As an audit decides it: what was recorded once is judged.
        sees_grants: config.audit.grant_calls != Some(0) || !history.turns.is_empty(),
        sees_usage: config.audit.usage || history.usage.is_some(),
        failing: history.failing,
        stale_after: stale_after(config.audit.runs_a_day()),
    };
    Ok(assess(framework, &basis, now))
}

/// A day, or three intervals of the schedule if they are longer.
fn stale_after(runs_a_day: u32) -> TimeDelta {
    const DAY: Duration = Duration::from_hours(24);
    let three = DAY / runs_a_day.max(1) * 3;
    TimeDelta::from_std(three.max(DAY)).unwrap_or(TimeDelta::days(3))
}

fn proven(standings: &[Standing], now: DateTime<Utc>) -> BTreeSet<(ClientId, Expectation)> {
    let proofs = standings.iter().filter_map(|standing| standing.proven.as_ref());
    let counting = proofs.filter(|proof| now - proof.at <= PROOF_COUNTS);
    counting.map(|proof| (proof.client.id.clone(), proof.expectation)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_old_after_a_day_or_three_intervals() {
        assert_eq!(stale_after(96), TimeDelta::days(1));
        assert_eq!(stale_after(3), TimeDelta::days(1));
        assert_eq!(stale_after(1), TimeDelta::days(3));
        assert_eq!(stale_after(0), TimeDelta::days(3));
    }

    #[test]
    fn a_requirement_that_no_check_serves_is_refused_with_the_nearest() {
        assert!(must_exist(Framework::Nist, "AC-6").is_ok());
        let error = must_exist(Framework::Nist, "ac-6").unwrap_err().to_string();
        assert!(error.contains("did you mean \"AC-6\""), "{error}");
    }
}
