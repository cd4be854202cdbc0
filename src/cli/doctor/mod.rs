//! `doctor`: is everything as it should be, and is the platform what it is believed to be?
//!
//! Enters: the configuration. Leaves: one row for each question, with what to do, and what the platform showed of
//! itself. Must never: write to the platform or to the record, audit, or send a receiver anything but the test that was
//! asked for.
//!
//! `judge` (pure) makes answers of what `collect` examined; `local` looks at the database and the receivers; `role` is
//! the role that the auditor's client should hold.

mod judge;
mod local;
mod role;

use std::io;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{
    Exit,
    arguments::{JsonArgs, OrgArgs},
    output::{Column, Output, Table},
};
use crate::{
    collect::Collector,
    config::{Audit, Config, Org},
    daemon::clock,
    telemetry::Metrics,
};

/// Checks everything that scopewarden rests on, and says what to do
///
/// Per organisation: whether the platform is reached and gives a token, whether the clocks agree, whether the auditor's
/// client holds exactly what it needs in all divisions, what can be read, and how this organisation behaves where the
/// platform's documentation is silent. Then the database and each receiver (connected to, sent nothing). Only reads.
/// Exit code 1: something is broken.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  scopewarden doctor\n  scopewarden doctor --org acme --json | jq '.answers[] | \
                  select(.verdict != \"ok\")'\n  scopewarden doctor --send-test\n  scopewarden doctor --role json > role.json"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    /// Send each receiver a test: a message of type `test`, or (Alertmanager) the alert `ScopewardenTest`
    #[arg(long)]
    send_test: bool,
    /// Print the role that the auditor's client needs, and ask nobody anything
    #[arg(long, value_enum, value_name = "json|terraform", hide_possible_values = true, conflicts_with_all = ["send_test", "json"])]
    role: Option<RoleFormat>,
    #[command(flatten)]
    format: JsonArgs,
}

/// How a role is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleFormat {
    /// The body of POST /api/v2/authorization/roles
    Json,
    /// A resource of the provider of Genesys Cloud
    Terraform,
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Problem,
    /// It could not be found out, which is no pass.
    CannotTell,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "problem",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// One question with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Answer {
    /// The organisation; absent for what serves all.
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    probe: String,
    verdict: Verdict,
    /// What was found.
    detail: String,
    /// What to do; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

impl Answer {
    fn of(probe: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        let (probe, detail) = (probe.into(), detail.into());
        Self { org: None, probe, verdict, detail, advice: String::new() }
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    fn about(self, org: &str) -> Self {
        Self { org: Some(org.to_owned()), ..self }
    }
}

/// Something that is believed of the platform and written nowhere, and what this organisation showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Observation {
    org: String,
    belief: &'static str,
    observed: String,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    answers: Vec<Answer>,
    observed: Vec<Observation>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let mut out = Output::new();
    if let Some(format) = arguments.role {
        match format {
            RoleFormat::Json => out.json(&role::body())?,
            RoleFormat::Terraform => role::terraform().lines().try_for_each(|line| out.line(line))?,
        }
        out.flush()?;
        return Ok(Exit::Fine);
    }
    let (config, orgs) = arguments.org.load_all()?;
    let (mut answers, mut observed) = (Vec::new(), Vec::new());
    for org in &orgs {
        let (found, seen) = examine(&config, org).await;
        answers.extend(found.into_iter().map(|answer| answer.about(&org.name)));
        observed.extend(seen);
    }
    answers.extend(local::database(&config).await);
    for receiver in &config.receivers {
        answers.push(local::reached(receiver).await);
        if arguments.send_test {
            answers.push(local::tested(&config, receiver, clock::now()).await);
        }
    }
    let ok = answers.iter().all(|answer| answer.verdict != Verdict::Problem);
    let report = Report { ok, answers, observed };
    if arguments.format.json {
        out.json(&report)?;
    } else {
        tell(&mut out, &report)?;
    }
    out.flush()?;
    Ok(if ok { Exit::Fine } else { Exit::Failed })
}

async fn examine(config: &Config, org: &Org) -> (Vec<Answer>, Vec<Observation>) {
    let Audit { catalogue_max_age, definition, definition_max_age, timeout, .. } = config.audit;
    let mut collector = match Collector::new(org, catalogue_max_age, Metrics::new().into()) {
        Ok(collector) => collector,
        Err(error) => return (vec![Answer::of("platform", Verdict::Problem, error.to_string())], Vec::new()),
    };
    if definition {
        collector = collector.with_definition(definition_max_age, timeout);
    }
    let seen = collector.examine(clock::now()).await;
    (judge::answers(&seen), judge::observations(&org.name, &seen))
}

fn tell(out: &mut Output, report: &Report) -> io::Result<()> {
    let mut table =
        Table::new([Column::new("org"), Column::new("probe"), Column::new("answer"), Column::prose("found")]);
    for answer in &report.answers {
        table.row([
            answer.org.as_deref().unwrap_or_default().into(),
            answer.probe.as_str().into(),
            answer.verdict.as_str().into(),
            answer.detail.as_str().into(),
        ]);
    }
    out.table(&table)?;
    let to_do: Vec<&Answer> = report.answers.iter().filter(|answer| !answer.advice.is_empty()).collect();
    if !to_do.is_empty() {
        out.line("")?;
        out.line("To do:")?;
    }
    for answer in to_do {
        let org = answer.org.as_ref().map(|org| format!("{org}: ")).unwrap_or_default();
        out.line(format_args!("- {org}{}: {}", answer.probe, answer.advice))?;
    }
    for (at, observation) in report.observed.iter().enumerate() {
        let Observation { org, belief, observed } = observation;
        if at == 0 || report.observed[at - 1].org != *org {
            out.line("")?;
            out.line(format_args!("Observed on {org}:"))?;
        }
        out.line(format_args!("- {belief}: {observed}"))?;
    }
    Ok(())
}
