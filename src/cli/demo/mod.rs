//! `demo`: a small organisation, audited four times, with four changes, two decisions and a remedy in between.
//!
//! Enters: a seed. Leaves: a story on standard output (or one JSON document), and an exit code that says whether all
//! of it came true. Must never: show a result that did not come out of an audit, the outbox or the metrics; leave
//! anything behind.
//!
//! `stage` sets up, `act` audits, decides and delivers, `administrator` makes the changes; `tell` and `explain` write it
//! down on a `page`, and `promises` says whether it came true.

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

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::{
    act::{Act, Audits, Decided, Reasons},
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
    domain::{
        decision::Decision,
        event::{CauseKind, Event},
        finding::Finding,
        probe::Observation,
    },
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
/// Who makes the four changes, and from where.
const BUSY: (&str, &str) = ("Ada Miller", "203.0.113.7");
/// Who takes one of them back.
const CAREFUL: (&str, &str) = ("Sam Okafor", "198.51.100.24");
/// Why one change is accepted, and one finding is not to be heard of for a while.
const APPROVAL: Reasons =
    Reasons { owner: "workforce@contoso.example", reason: "", ticket: Some("CHG-1042"), days: 90 };
const MUTE: Reasons =
    Reasons { owner: "secops@contoso.example", reason: "the vendor writes it", ticket: None, days: 14 };
/// The check whose finding is muted, of the client that appeared.
const MUTED_CHECK: &str = "missing-description";
/// The role that a person is invited to widen.
const INVITED_ROLE: &str = "Bot author";

/// Shows what it does: a simulated organisation, four audits, what changed between them, and what people decide
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
    audits: [&'a Report; 4],
    events: Vec<&'a Event>,
    findings: &'a [Arc<Finding>],
    decisions: &'a [Decision],
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

/// Four audits, and what is changed and decided between them. Returns whether everything came true.
async fn play(stage: &mut Stage, admin: &Administrator, page: &mut Page, json: bool) -> anyhow::Result<bool> {
    let mut audits = Audits::prepare(&stage.config).await?;
    tell::prologue(page)?;
    let before = audits.act(&mut stage.receiver).await?;
    tell::baseline(page, &audits.organisation, &before)?;
    admin.act_as(BUSY).await?;
    let changes = [
        admin.widen_role(WIDENED_ROLE, &NEW_PERMISSIONS).await?,
        admin.give_every_scope(EVERY_SCOPE).await?,
        admin.create_admin(NEW_ADMIN).await?,
        admin.delete(DELETED).await?,
    ];
    tell::changes(page, &changes)?;
    let after = audits.act(&mut stage.receiver).await?;
    tell::drift(page, &before, &after)?;
    let holders = admin.holders(WIDENED_ROLE).await?;
    let probes = audits.probe(&stage.config).await?;
    tell::probes(page, &probes)?;

    let (event, finding) = (accepted(&after)?, muted(&after)?);
    let (approval, mute) = ((event, &APPROVAL), (finding, &MUTE));
    let decided = audits.decide(&stage.config, &after.report, approval, mute, &mut stage.receiver).await?;
    admin.act_as(CAREFUL).await?;
    let remedy = admin.narrow_role(WIDENED_ROLE, &NEW_PERMISSIONS).await?;
    let mended = audits.act(&mut stage.receiver).await?;
    let again = audits.probe(&stage.config).await?;
    let end = audits.act(&mut stage.receiver).await?;
    audits.close().await;
    tell::decisions(page, (event, finding), &decided)?;
    tell::remedy(page, &remedy, (&after, &mended))?;
    tell::proven(page, &again, (&mended, &end))?;
    tell::metrics(page, &before, &end)?;
    if json {
        print([&before, &after, &mended, &end], &decided, &probes)?;
    }
    let mut broken = promises::broken(&before, &after, &changes, &holders);
    broken.extend(promises::unproven(&probes));
    broken.extend(promises::unattributed(&after, BUSY.0));
    broken.extend(promises::undecided((event, finding), &decided, &end));
    broken.extend(promises::unresolved(&after, &mended, &remedy, CAREFUL.0));
    broken.extend(promises::unrefused(&probes, &again, &end));
    if !broken.is_empty() {
        tell::broken(&mut Page::standard_error(), &broken)?;
    }
    Ok(broken.is_empty())
}

/// The change that is approved.
fn accepted(after: &Act) -> anyhow::Result<&Event> {
    let found = after.report.events.iter().find(|event| event.cause.kind == CauseKind::ClientScopesChanged);
    found.context("the second audit saw no client's scopes change")
}

/// The finding that is muted.
fn muted(after: &Act) -> anyhow::Result<&Finding> {
    let mut findings = after.report.findings.iter().map(Arc::as_ref);
    let found = findings.find(|finding| finding.check == MUTED_CHECK && finding.client.name == NEW_ADMIN);
    found.with_context(|| format!("{MUTED_CHECK} does not fail {NEW_ADMIN}"))
}

fn print(acts: [&Act; 4], decided: &Decided, probes: &[Observation]) -> io::Result<()> {
    let [before, after, mended, end] = acts;
    let sent = [&before.alerts, &after.alerts, &decided.alerts, &mended.alerts, &end.alerts];
    let mut out = Output::new();
    out.json(&Document {
        org: ORG,
        audits: acts.map(|act| &act.report),
        events: acts.iter().flat_map(|act| &act.report.events).collect(),
        findings: &end.report.findings,
        decisions: &decided.decisions,
        alerts: sent.into_iter().flatten().collect(),
        metrics: &end.metrics,
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
