//! `outbox`: alerts on their way, and those that did not arrive.

use std::path::Path;

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser as _};
use serde_json::{Value, json};

use super::{
    Exit,
    arguments::{ConfigArgs, JsonArgs},
    output::{Column, Output, Table},
};
use crate::{
    daemon::clock,
    store::{OutboxRow, OutboxState, Store, Which},
};

/// Shows alerts on their way to receivers; sends dead ones again or takes them out
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden outbox list --state dead\n         scopewarden outbox retry --all"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Retry(Retry),
    Purge(Purge),
}

/// Lists messages, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden outbox list --receiver secops --state dead --json")]
struct List {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only those for this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = state())]
    state: Option<OutboxState>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
    #[command(flatten)]
    format: JsonArgs,
}

/// Sends messages again: due at once, attempts counted anew
///
/// The running daemon notices within seconds; without one, the next `scopewarden audit` delivers them.
#[derive(Debug, Args)]
#[command(after_help = "Example: scopewarden outbox retry --all --receiver secops")]
struct Retry {
    #[command(flatten)]
    config: ConfigArgs,
    /// Every dead message
    #[arg(long, conflicts_with = "ids", required_unless_present = "ids")]
    all: bool,
    /// Messages, by id
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only for this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    #[command(flatten)]
    format: JsonArgs,
}

/// Takes undelivered messages out for good
#[derive(Debug, Args)]
#[command(after_help = "Examples: scopewarden outbox purge --dead\n          \
                        scopewarden outbox purge --undelivered --receiver former")]
struct Purge {
    #[command(flatten)]
    config: ConfigArgs,
    /// Every dead message
    #[arg(long, conflicts_with_all = ["ids", "undelivered"], required_unless_present_any = ["ids", "undelivered"])]
    dead: bool,
    /// Every message that one receiver did not get, pending or dead: for a receiver that is no more
    #[arg(long, conflicts_with = "ids", requires = "receiver")]
    undelivered: bool,
    /// Messages, by id
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only for this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    #[command(flatten)]
    format: JsonArgs,
}

fn state() -> impl clap::builder::TypedValueParser<Value = OutboxState> {
    PossibleValuesParser::new(OutboxState::ALL.map(OutboxState::as_str))
        .try_map(|word| OutboxState::parse(&word).ok_or("is no state"))
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    match &arguments.action {
        Action::List(list) => show(list).await,
        Action::Retry(Retry { config, ids, receiver, format, .. }) => {
            let store = open_for_writing(&config.load()?.storage.path).await?;
            let count = store.outbox_retry(&which(ids), receiver.as_deref(), clock::now()).await?;
            store.close().await;
            settle(count, ids, "retried", format.json)
        }
        Action::Purge(Purge { config, undelivered, ids, receiver, format, .. }) => {
            let store = open_for_writing(&config.load()?.storage.path).await?;
            let which = if *undelivered { Which::Undelivered } else { which(ids) };
            let count = store.outbox_purge(&which, receiver.as_deref()).await?;
            store.close().await;
            settle(count, ids, "purged", format.json)
        }
    }
}

/// Opens a record that exists. To make one, or to bring it up to date beside a running daemon, is not for us.
async fn open_for_writing(path: &Path) -> Result<Store, anyhow::Error> {
    Store::open_read_only(path).await?.close().await;
    Ok(Store::open(path).await?)
}

/// The messages with these ids; without any: all dead ones.
fn which(ids: &[String]) -> Which {
    if ids.is_empty() { Which::Dead } else { Which::Ids(ids.to_vec()) }
}

fn settle(count: u64, ids: &[String], verb: &str, as_json: bool) -> Result<Exit, anyhow::Error> {
    if count == 0 && !ids.is_empty() {
        anyhow::bail!("no undelivered message has such an id; `scopewarden outbox list` shows them");
    }
    let mut out = Output::new();
    if as_json {
        out.json(&json!({ verb: count }))?;
    } else {
        let noun = if count == 1 { "message" } else { "messages" };
        out.line(format_args!("{verb} {count} {noun}"))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

async fn show(list: &List) -> Result<Exit, anyhow::Error> {
    let config = list.config.load()?;
    let store = Store::open_read_only(&config.storage.path).await?;
    let rows = store.outbox(list.receiver.as_deref(), list.state, list.limit).await?;
    let is_configured = |row: &OutboxRow| {
        let mut those = config.receivers.iter().filter(|receiver| receiver.target.takes_messages());
        those.any(|receiver| receiver.name == row.receiver)
    };
    let mut out = Output::new();
    if list.format.json {
        out.json(&rows.iter().map(|row| shape(row, is_configured(row))).collect::<Vec<_>>())?;
    } else if rows.is_empty() {
        out.line("no such messages")?;
    } else {
        out.table(&table(&rows, is_configured))?;
        advise(&mut out, &rows, is_configured)?;
        if rows.len() == usize::try_from(list.limit).unwrap_or(usize::MAX) {
            out.line(format_args!("there may be more: these are the newest {}, see --limit", list.limit))?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// What a person can do about messages that are not delivered by themselves.
fn advise(
    out: &mut Output,
    rows: &[OutboxRow],
    is_configured: impl Fn(&OutboxRow) -> bool,
) -> Result<(), anyhow::Error> {
    if rows.iter().any(|row| row.state == OutboxState::Dead && is_configured(row)) {
        out.line(
            "dead messages are not tried again: when their cause is gone, `scopewarden outbox retry --all` \
             (or an ID) sends them, `scopewarden outbox purge --dead` (or an ID) takes them out",
        )?;
    }
    let retired = rows.iter().find(|row| row.state != OutboxState::Delivered && !is_configured(row));
    if let Some(row) = retired {
        out.line(format_args!(
            "receiver {name} is not in the configuration, so nothing is sent to it; `scopewarden outbox purge \
             --undelivered --receiver {name}` takes its messages out, after 30 days they are forgotten",
            name = row.receiver
        ))?;
    }
    Ok(())
}

fn shape(row: &OutboxRow, is_configured: bool) -> Value {
    json!({
        "id": row.id,
        "receiver": row.receiver,
        "receiver_configured": is_configured,
        "type": row.kind.as_str(),
        "severity": row.severity,
        "order_key": row.order_key,
        "state": row.state.as_str(),
        "attempts": row.attempt,
        "created": row.created,
        "next_at": row.next_at,
        "settled": row.settled,
        "reason": row.reason,
        "detail": row.detail,
    })
}

fn table(rows: &[OutboxRow], is_configured: impl Fn(&OutboxRow) -> bool) -> Table {
    let mut table = Table::new([
        Column::new("id"),
        Column::new("receiver"),
        Column::new("type").extra(),
        Column::new("severity").extra(),
        Column::new("state"),
        Column::new("attempts").extra(),
        Column::new("created").extra(),
        Column::prose("last failure"),
    ]);
    for row in rows {
        table.row([
            row.id.as_str().into(),
            if is_configured(row) {
                row.receiver.as_str().into()
            } else {
                format!("{} (not configured)", row.receiver).into()
            },
            row.kind.as_str().into(),
            row.severity.into(),
            row.state.as_str().into(),
            row.attempt.into(),
            row.created.format("%Y-%m-%d %H:%M:%S").to_string().into(),
            row.detail.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
