//! `simulate`: an organisation to rehearse with.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, output::Output};
use crate::{
    daemon::clock,
    simulator::{Options, Simulator},
};

/// Serves a simulated Genesys Cloud organisation until it is stopped
///
/// Prints one line of JSON as soon as it listens: its URL, and the credentials of two clients. The first holds what
/// an audit needs, the second may change everything. The same options give the same organisation.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden simulate --listen 127.0.0.1:9850 --clients 200 --roles 40 --seed 7"
)]
pub(super) struct Arguments {
    /// Address and port to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// OAuth clients, the two announced ones included
    #[arg(long, value_name = "N", default_value_t = Options::default().clients, value_parser = at_most(100_000))]
    clients: usize,
    /// Roles, those of the announced clients included
    #[arg(long, value_name = "N", default_value_t = Options::default().roles, value_parser = at_most(10_000))]
    roles: usize,
    /// Divisions, Home included
    #[arg(long, value_name = "N", default_value_t = Options::default().divisions, value_parser = at_most(10_000))]
    divisions: usize,
    /// Decides everything that is random
    #[arg(long, value_name = "N", default_value_t = Options::default().seed)]
    seed: u64,
    /// Answer 404 and 400 before 403, as parts of the platform do
    #[arg(long)]
    lookup_first: bool,
}

/// Reads a number up to `most`: beyond that the organisation no longer fits any machine that one rehearses on.
fn at_most(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("is not a number from 0 to {most}")),
    }
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let options = Options {
        clients: arguments.clients,
        roles: arguments.roles,
        divisions: arguments.divisions,
        seed: arguments.seed,
        lookup_first: arguments.lookup_first,
        started: clock::now(),
        ..Options::default()
    };
    let waiting = "signals cannot be waited for";
    let mut interrupt = signal(SignalKind::interrupt()).context(waiting)?;
    let mut terminate = signal(SignalKind::terminate()).context(waiting)?;
    let mut simulator = Simulator::start(arguments.listen, &options).await?;
    let mut out = Output::new();
    out.json(simulator.announcement())?;
    out.flush()?;
    tokio::select! {
        _ = interrupt.recv() => Ok(Exit::Fine),
        _ = terminate.recv() => Ok(Exit::Fine),
        () = simulator.stopped() => anyhow::bail!("the simulator stopped by itself"),
    }
}
