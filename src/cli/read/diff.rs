//! `diff`: what changed between two recorded moments, and why.

pub(super) mod moment;
mod tell;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

use self::moment::Moment;
pub(in crate::cli) use self::tell::tell;
use crate::cli::{
    Exit,
    arguments::{FormatArgs, OrgArgs, Usage, nothing_recorded},
    output::Output,
};
use crate::{
    daemon::clock,
    domain::{attribution, drift, event::Event},
    store::{Store, Unavailable},
};

/// Shows what changed between two recorded moments, why, and what clients gained or lost by it
///
/// A moment is an RFC 3339 time, a date (its first moment, UTC), a time ago such as -1h or -7d, or an audit's id;
/// it stands for the last audit recorded by then, or, where retention forgot what that one saw, for the last one before it
/// that is kept, which is then said. JSON unless stdout is a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden diff\n         scopewarden diff --from -7d\n         scopewarden diff --from 2026-09-01 --to 2026-09-15T12:00:00Z --json"
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    /// The earlier moment [default: the audit before --to]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// The later moment [default: the last audit]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    to: Option<Moment>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store) = arguments.org.open_record().await?;
    let now = clock::now();
    let to = time_of(&store, &org, "--to", arguments.to.as_ref(), now).await?;
    let from = time_of(&store, &org, "--from", arguments.from.as_ref(), now).await?;
    let none = |option: &str, at: DateTime<Utc>| {
        anyhow::anyhow!("{option}: no audit of {org} was recorded by {at}; choose a later moment")
    };
    let (from, to) = match (store.snapshots(&org, from, to).await?, from, to) {
        (Some((Some(from), to)), ..) => (from, to),
        (Some((None, to)), None, _) => {
            anyhow::bail!("the audit {} of {org} is the first: there is nothing to compare with", to.audit)
        }
        (Some((None, _)), Some(at), _) => return Err(none("--from", at)),
        (None, _, Some(at)) if !store.audits(Some(&org), 1).await?.is_empty() => {
            return Err(none("--to", at));
        }
        (None, ..) => return Err(nothing_recorded(&org)),
    };
    if from.at > to.at {
        return Err(Usage(format!("--from ({}) is later than --to ({})", from.at, to.at)).into());
    }
    let mut events = drift::between(&org, &to.audit, &from.snapshot, &to.snapshot);
    attribute(&store, &org, (from.at, to.at), &mut events).await?;
    let mut out = Output::new();
    if arguments.format.wants_json(out.is_terminal()) {
        out.json(&json!({
            "org": org,
            "from": from.at,
            "to": to.at,
            "from_audit": from.audit,
            "to_audit": to.audit,
            "from_instead_of": from.instead_of.as_ref().map(unavailable),
            "to_instead_of": to.instead_of.as_ref().map(unavailable),
            "events": events,
        }))?;
    } else {
        let time = "%Y-%m-%d %H:%M:%S UTC";
        out.line(format_args!("{org}, from {} to {}", from.at.format(time), to.at.format(time)))?;
        for (option, past) in [("--from", &from), ("--to", &to)] {
            if let Some(asked) = &past.instead_of {
                out.line(format_args!(
                    "{option}: what the audit {} of {} saw is no longer kept; that of {}, the last one before it \
                     that is, stands in for it",
                    asked.audit,
                    asked.at.format(time),
                    past.at.format(time)
                ))?;
            }
        }
        tell(&mut out, &events)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// Recorded changes that are looked through for who made them.
const CHANGES: u32 = 5_000;

/// Puts to each event who made the changes that it is the sum of, as far as that was recorded.
async fn attribute(
    store: &Store,
    org: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    events: &mut [Event],
) -> Result<(), anyhow::Error> {
    if events.is_empty() {
        return Ok(());
    }
    // Recorded times are whole milliseconds.
    let after = from + TimeDelta::milliseconds(1);
    let mut recorded = store.events(Some(org), Some(after), Some(to), CHANGES).await?;
    if recorded.len() == CHANGES as usize {
        // Who made the older changes is not looked up, so nobody is certain.
        return Ok(());
    }
    recorded.reverse();
    for event in events {
        let subject = &event.cause.subject;
        let same = |other: &Event| {
            (&other.cause.subject.kind, &other.cause.subject.id) == (&subject.kind, &subject.id)
        };
        let changes: Vec<_> = recorded
            .iter()
            .filter(|(.., other)| same(other))
            .map(|(.., other)| other.actor.as_ref())
            .collect();
        event.actor = attribution::combine(&changes);
    }
    Ok(())
}

/// The audit that was asked for where another one answers.
fn unavailable(asked: &Unavailable) -> Value {
    json!({ "audit": asked.audit, "at": asked.at })
}

/// The time that a moment stands for.
pub(super) async fn time_of(
    store: &Store,
    org: &str,
    option: &str,
    moment: Option<&Moment>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, anyhow::Error> {
    Ok(Some(match moment {
        None => return Ok(None),
        Some(Moment::At(at)) => *at,
        Some(Moment::Ago(ago)) => now.checked_sub_signed(*ago).unwrap_or(DateTime::<Utc>::MIN_UTC),
        Some(Moment::Audit(id)) => recorded_at(store, org, id)
            .await?
            .ok_or_else(|| Usage(format!("{option}: no audit {id} of {org} is recorded")))?,
    }))
}

/// When an audit was recorded. Recent audits are the likely ones, so more and more of the past is looked at.
async fn recorded_at(store: &Store, org: &str, id: &str) -> Result<Option<DateTime<Utc>>, anyhow::Error> {
    let mut limit: u32 = 1000;
    loop {
        let audits = store.audits(Some(org), limit).await?;
        if let Some(found) = audits.iter().find(|row| row.audit == id) {
            return Ok(Some(found.at));
        }
        if audits.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        limit = limit.saturating_mul(10);
    }
}
