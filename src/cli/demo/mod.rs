//! `demo`: a small organisation, audited twice, with four changes in between.
//!
//! Enters: a seed. Leaves: a story on standard output (or one JSON document), and an exit code that says whether all
//! of it came true. Must never: show a result that did not come out of an audit, the outbox or the metrics; leave
//! anything behind.
//!
//! `stage` sets up, `act` audits and delivers, `administrator` makes the changes; `tell` and `explain` write it down
//! on a `page`, and `promises` says whether it came true.

mod act;
mod administrator;
mod explain;
mod page;
mod promises;
mod receiver;
mod series;
mod stage;
mod tell;
mod words;

use std::{io, sync::Arc};

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::{
    act::{Act, Audits},
    administrator::Administrator,
    page::Page,
    receiver::Alert,
    series::Values,
    stage::{ORG, Stage},
    tell::Offer,
};
use super::{Exit, output::Output, run::stop_on_signals};
use crate::{
    audit::Report,
    daemon::{Daemon, clock},
    domain::{event::Event, finding::Finding, probe::Observation},
};

/// The role that silently gives its clients more, and what it gains.
const WIDENED_ROLE: &str = "Reporting_Engine_ReadOnly";
const NEW_PERMISSIONS: [&str; 2] = ["directory:user:delete", "telephony:plugin:all"];
/// The client that may ask for everything.
const EVERY_SCOPE: &str = "Workforce_Dashboard";
/// The client that appears, with the Admin role.
const NEW_ADMIN: &str = "Hotfix_Integration_tmp";
/// The client that goes.
const DELETED: &str = "Test_do_not_use";
/// The role that a person is invited to widen.
const INVITED_ROLE: &str = "Bot author";

/// Shows what it does: a simulated organisation, two audits, and what changed between them
///
/// Nothing else is needed, and nothing leaves this machine. Without --once it stays up after the story, audits every
/// minute, and shows alerts as they arrive.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden demo --once\n         scopewarden demo --json | jq '.events[].cause.kind'\n\nExit codes: 1 if anything of the story did not come true, else 0."
)]
pub(super) struct Arguments {
    /// End once the story is told
    #[arg(long)]
    once: bool,
    /// Print the story as one JSON document, and end
    #[arg(long)]
    json: bool,
    /// Decides ids and secrets of the simulated organisation; names and faults stay the same
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// The story as JSON.
#[derive(Serialize)]
struct Document<'a> {
    org: &'a str,
    audits: [&'a Report; 2],
    events: Vec<&'a Event>,
    findings: &'a [Arc<Finding>],
    alerts: Vec<&'a Alert>,
    metrics: &'a Values,
    probes: &'a [Observation],
}

/// Tells the story; then, unless it was to be told once, stays up until a signal. Fails if a part of it could not be
/// played at all; what was played and did not come true is told, and is exit code 1.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let mut page = if arguments.json { Page::silent() } else { Page::standard_output() };
    let story = async {
        let mut stage = Stage::set(arguments.seed).await?;
        let admin = Administrator::log_in(stage.simulator.announcement()).await?;
        admin.lift_rate_limit().await?;
        let kept = play(&mut stage, &admin, &mut page, arguments.json).await?;
        anyhow::Ok((stage, admin, kept))
    };
    let (stage, admin, kept) = tokio::select! {
        played = story => played?,
        () = stop.cancelled() => return Ok(Exit::Failed),
    };
    if !arguments.once && !arguments.json {
        stay(stage, &admin, &mut page, stop).await?;
    } else if !arguments.json {
        tell::farewell(&mut page, &program())?;
    }
    Ok(if kept { Exit::Fine } else { Exit::Failed })
}

/// Two audits and the changes between them. Returns whether everything came true.
async fn play(stage: &mut Stage, admin: &Administrator, page: &mut Page, json: bool) -> anyhow::Result<bool> {
    let mut audits = Audits::prepare(&stage.config).await?;
    tell::prologue(page)?;
    let before = audits.act(&mut stage.receiver).await?;
    tell::baseline(page, &audits.organisation, &before)?;
    let changes = [
        admin.widen_role(WIDENED_ROLE, &NEW_PERMISSIONS).await?,
        admin.give_every_scope(EVERY_SCOPE).await?,
        admin.create_admin(NEW_ADMIN).await?,
        admin.delete(DELETED).await?,
    ];
    tell::changes(page, &changes)?;
    let after = audits.act(&mut stage.receiver).await?;
    let probes = audits.probe(&stage.config).await?;
    audits.close().await;
    tell::drift(page, &before, &after)?;
    tell::probes(page, &probes)?;
    tell::metrics(page, &before, &after)?;
    if json {
        print(&before, &after, &probes)?;
    }
    let holders = admin.holders(WIDENED_ROLE).await?;
    let mut broken = promises::broken(&before, &after, &changes, &holders);
    broken.extend(promises::unproven(&probes));
    if !broken.is_empty() {
        tell::broken(&mut Page::standard_error(), &broken)?;
    }
    Ok(broken.is_empty())
}

fn print(before: &Act, after: &Act, probes: &[Observation]) -> io::Result<()> {
    let acts = [before, after];
    let mut out = Output::new();
    out.json(&Document {
        org: ORG,
        audits: acts.map(|act| &act.report),
        events: acts.iter().flat_map(|act| &act.report.events).collect(),
        findings: &after.report.findings,
        alerts: acts.iter().flat_map(|act| &act.alerts).collect(),
        metrics: &after.metrics,
        probes,
    })?;
    out.flush()
}

/// Runs the daemon on the stage that was set, and tells of alerts as they arrive, until a signal.
async fn stay(
    mut stage: Stage,
    admin: &Administrator,
    page: &mut Page,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    stage.free_web_address();
    let daemon = Daemon::build(stage.config.clone()).await?;
    let role = admin.role_id(INVITED_ROLE).await?;
    tell::stay(
        page,
        &Offer {
            program: &program(),
            config: &stage.config.file,
            web: daemon.address(),
            platform: &stage.simulator.announcement().url,
            token: admin.token(),
            role: (&role, INVITED_ROLE),
        },
    )?;
    let life = daemon.run(stop, Arc::default());
    tokio::pin!(life);
    loop {
        tokio::select! {
            ended = &mut life => return ended,
            Some(alert) = stage.receiver.next() => tell::live(page, &alert, clock::now())?,
        }
    }
}

/// The program as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}
