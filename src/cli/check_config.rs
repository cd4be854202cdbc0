//! `check-config`: is the configuration right, and what does it come to?

use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    arguments::{ConfigArgs, JsonArgs},
    output::Output,
};
use crate::config::{Config, Problem, Problems, describe, unheard};

/// Checks the configuration and shows what it comes to, secrets redacted
///
/// Reads the file, the environment and the secret files, and opens nothing else. Every problem is listed with its
/// field, its value and the reason; the exit code is then 64. So is every test of a check of your own that fails.
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden check-config --config /etc/scopewarden/scopewarden.toml")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    format: JsonArgs,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let mut out = Output::new();
    let loaded = arguments.config.load().and_then(|config| match failed_tests(&config) {
        failed if failed.is_empty() => Ok(config),
        failed => Err(Problems::from(failed)),
    });
    match loaded {
        Ok(config) if arguments.format.json => {
            out.json(&json!({
                "ok": true,
                "file": config.file,
                "effective": describe(&config),
                "warnings": unheard(&config),
                "problems": [],
            }))?;
        }
        Ok(config) => {
            for line in describe(&config).lines() {
                out.line(line)?;
            }
            out.line("")?;
            out.line("ok")?;
        }
        Err(problems) => {
            if arguments.format.json {
                out.json(&json!({ "ok": false, "problems": list(&problems) }))?;
                out.flush()?;
            }
            return Err(problems.into());
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// Runs every `[[check.test]]`.
fn failed_tests(config: &Config) -> Vec<Problem> {
    let mut failed = Vec::new();
    for (index, check) in config.checks.iter().enumerate() {
        failed.extend(check.failed_tests().map(|(at, test, reason)| Problem {
            field: format!("check[{index}].test[{at}]"),
            value: Some(format!("{:?} of {}", test.name, check.words.id)),
            reason: format!("fails: {reason}"),
        }));
    }
    failed
}

fn list(problems: &Problems) -> Vec<Value> {
    problems
        .iter()
        .map(|problem| json!({ "field": problem.field, "value": problem.value, "reason": problem.reason }))
        .collect()
}
