//! The command line: one file a command.
//!
//! Enters: arguments. Leaves: text or JSON on stdout, complaints on stderr, an [`Exit`]. Must never: conclude anything
//! that the daemon would not, put an escape code into a pipe, or open a port or a file on a bad configuration.
//!
//! `arguments`: what several commands take. `output`: the one way to stdout. `read/`: commands that ask the record and
//! change nothing. `decide/`: findings, and what people decide about them. The rest are the other commands.

mod arguments;
mod audit;
mod backup;
mod check_config;
mod decide;
mod demo;
mod doctor;
mod healthcheck;
mod outbox;
mod output;
mod probe;
mod read;
mod run;
mod simulate;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use self::arguments::Usage;
use crate::{
    config::Problems,
    telemetry::logging::{self, LogFormat},
};

/// What commands that end by themselves log unless told otherwise: everything that they have to say they print.
const QUIET: &str = "error";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// It failed, or the audit is not complete.
    Failed = 1,
    /// There are findings at or above `--fail-on`.
    Findings = 2,
    /// Wrong arguments or a wrong configuration. Nothing was done.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Audits every OAuth client of a Genesys Cloud organisation: what each can do, what changed, and why.
#[derive(Debug, Parser)]
#[command(
    name = "scopewarden",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 fine, 1 failed or audit incomplete, 2 findings at or above --fail-on, 64 bad usage \
                  or configuration.\n\nTo see it work without an organisation: scopewarden demo --once"
)]
struct Cli {
    /// What to log on stderr: a level (error, warn, info, debug, trace) or a list such as "info,sqlx=warn"
    #[arg(long, global = true, env = "SCOPEWARDEN_LOG", value_name = "FILTER", hide_env_values = true)]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Run(run::Arguments),
    Audit(audit::Arguments),
    CheckConfig(check_config::Arguments),
    Doctor(doctor::Arguments),
    Simulate(simulate::Arguments),
    Clients(read::clients::Arguments),
    Access(read::access::Arguments),
    LeastPrivilege(read::least_privilege::Arguments),
    WhoCan(read::who_can::Arguments),
    WhatIf(read::what_if::Arguments),
    Catalogue(read::catalogue::Arguments),
    Usage(read::usage::Arguments),
    Diff(read::diff::Arguments),
    Findings(decide::findings::Arguments),
    Approve(decide::approve::Arguments),
    Approvals(decide::approvals::Arguments),
    Baseline(decide::baseline::Arguments),
    Export(read::export::Arguments),
    Compliance(read::compliance::Arguments),
    Verify(read::verify::Arguments),
    Probe(probe::Arguments),
    Outbox(outbox::Arguments),
    Backup(backup::Arguments),
    Healthcheck(healthcheck::Arguments),
}

/// Everything that can be typed, for whoever documents or checks it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the arguments say; the first is the program's name.
pub fn enter(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(answer) => {
            // A reader who has gone away needs no answer.
            let _ = answer.print();
            return if answer.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    match cli.perform() {
        Ok(exit) => exit,
        Err(error) => {
            output::complain(&error);
            if error.is::<Problems>() || error.is::<Usage>() { Exit::Usage } else { Exit::Failed }
        }
    }
}

impl Cli {
    fn perform(self) -> Result<Exit, anyhow::Error> {
        let (format, quiet) = match &self.command {
            Command::Run(arguments) => (arguments.log_format, None),
            _ => (LogFormat::Text, Some(QUIET)),
        };
        let filter = self.log.as_deref().filter(|filter| !filter.trim().is_empty()).or(quiet);
        logging::init(format, filter).map_err(|error| Usage(error.to_string()))?;
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the threads of the program cannot be started")?
            .block_on(self.command.perform())
    }
}

impl Command {
    async fn perform(self) -> Result<Exit, anyhow::Error> {
        match self {
            Self::Demo(arguments) => demo::run(arguments).await,
            Self::Run(arguments) => run::run(arguments).await,
            Self::Audit(arguments) => audit::run(arguments).await,
            Self::CheckConfig(arguments) => check_config::run(&arguments),
            Self::Doctor(arguments) => doctor::run(&arguments).await,
            Self::Simulate(arguments) => simulate::run(&arguments).await,
            Self::Clients(arguments) => read::clients::run(&arguments).await,
            Self::Access(arguments) => read::access::run(&arguments).await,
            Self::LeastPrivilege(arguments) => read::least_privilege::run(&arguments).await,
            Self::WhoCan(arguments) => read::who_can::run(&arguments).await,
            Self::WhatIf(arguments) => read::what_if::run(&arguments).await,
            Self::Catalogue(arguments) => read::catalogue::run(&arguments).await,
            Self::Usage(arguments) => read::usage::run(&arguments).await,
            Self::Diff(arguments) => read::diff::run(&arguments).await,
            Self::Findings(arguments) => decide::findings::run(&arguments).await,
            Self::Approve(arguments) => decide::approve::run(&arguments).await,
            Self::Approvals(arguments) => decide::approvals::run(&arguments).await,
            Self::Baseline(arguments) => decide::baseline::run(&arguments).await,
            Self::Export(arguments) => read::export::run(&arguments).await,
            Self::Compliance(arguments) => read::compliance::run(&arguments).await,
            Self::Verify(arguments) => read::verify::run(&arguments).await,
            Self::Probe(arguments) => probe::run(&arguments).await,
            Self::Outbox(arguments) => outbox::run(&arguments).await,
            Self::Backup(arguments) => backup::run(&arguments).await,
            Self::Healthcheck(arguments) => healthcheck::run(&arguments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_defined_soundly() {
        super::command().debug_assert();
    }
}
