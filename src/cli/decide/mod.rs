//! Commands about findings and what people decide of them.
//!
//! Enters: arguments; the record, opened for reading, or for one short transaction. Leaves: lists, or a decision with the
//! alerts that it opens and closes. Must never: call the platform, or decide without an owner.
//!
//! They work beside the running daemon, which notices within seconds.

pub(in crate::cli) mod approvals;
pub(in crate::cli) mod approve;
pub(in crate::cli) mod baseline;
pub(in crate::cli) mod findings;
mod history;
mod terms;

use serde_json::json;

use super::{Exit, arguments::OrgArgs, output::Output};
use crate::{
    audit::{
        Addressing,
        deciding::{self, Done, Error, Request},
    },
    daemon::clock,
    domain::decision::desk::Refusal,
    store::Store,
};

/// Decides, in one transaction.
async fn decide(org: &OrgArgs, request: Request) -> Result<Done, anyhow::Error> {
    let (config, org) = org.load()?;
    let path = &config.storage.path;
    // A record that exists. To make one, or to bring it up to date beside a running daemon, is not for us.
    Store::open_read_only(path).await?.close().await;
    let store = Store::open(path).await?;
    let done = deciding::decide(&store, &Addressing::of(&config), &org.name, request, clock::now()).await;
    store.close().await;
    done.map_err(as_usage)
}

/// What was typed wrongly is a matter of usage.
fn as_usage(error: Error) -> anyhow::Error {
    match error {
        Error::Refused(refusal @ (Refusal::Text { .. } | Refusal::Expires(_))) => {
            super::arguments::Usage(refusal.to_string()).into()
        }
        error => error.into(),
    }
}

/// Says what was done: `verb` and how many, then what follows.
fn tell(done: &Done, verb: &str, as_json: bool) -> Result<Exit, anyhow::Error> {
    let mut out = Output::new();
    if as_json {
        let mut shape = serde_json::to_value(done)?;
        if let Some(decision) = &done.decision {
            shape["id"] = json!(decision.id);
        }
        out.json(&shape)?;
        out.flush()?;
        return Ok(Exit::Fine);
    }
    let count = |number: usize| format!("{number} finding{}", if number == 1 { "" } else { "s" });
    match &done.decision {
        Some(decision) => {
            let until = decision
                .expires
                .map_or_else(String::new, |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
            out.line(format_args!("{verb} {}{until}: {}", count(decision.covers.len()), decision.id))?;
        }
        None => out.line(format_args!("{verb}; {} due again", count(done.reopened.len())))?,
    }
    if done.messages > 0 {
        let plural = if done.messages == 1 { "" } else { "s" };
        out.line(format_args!(
            "{} alert{plural} queued; a running daemon sends them within seconds, else the next audit",
            done.messages
        ))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}
