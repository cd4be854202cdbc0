//! `approve`: accept one recorded change.

use clap::Args;

use super::{decide, tell, terms};
use crate::{
    audit::deciding::{self, Request},
    cli::{
        Exit,
        arguments::{JsonArgs, OrgArgs, did_you_mean},
    },
    daemon::clock,
    domain::decision::desk::Terms,
    store::Store,
};

/// Events that are looked at for a hint.
const NEWEST: u32 = 1_000;

/// Accepts one recorded change: what it opened is not due while the change stands and says the same
///
/// It ends when any part of the change is reverted, when it expires, or when it is revoked; then what it covered is due
/// again, with an alert. Another change, or the same one made again after it was reverted, alerts anew.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden approve evt-0a1b2c --owner bi@example.com --ticket CHG-1234 --expires 90d"
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    /// The change, by the id in its alert or in the API (or the beginning of it)
    #[arg(value_name = "EVENT")]
    event: String,
    /// Who answers for it
    #[arg(long, value_name = "WHO")]
    owner: String,
    /// Where it was agreed
    #[arg(long, value_name = "TICKET")]
    ticket: String,
    /// Until when: 30d, a date (2026-12-31), or a time (RFC 3339); a year at most
    #[arg(long, value_name = "WHEN")]
    expires: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    format: JsonArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let terms = Terms {
        id: deciding::new_id(),
        owner: arguments.owner.clone(),
        reason: arguments.reason.clone(),
        ticket: Some(arguments.ticket.clone()),
        expires: Some(terms::until(&arguments.expires, clock::now())?),
    };
    let (org, store) = arguments.org.open_record().await?;
    let asked = asked(&store, &org, &arguments.event).await;
    store.close().await;
    let request = Request::Approve(Box::new(asked?), terms);
    tell(&decide(&arguments.org, request).await?, "approved, with", arguments.format.json)
}

async fn asked(
    store: &Store,
    org: &str,
    event: &str,
) -> Result<crate::domain::decision::desk::Asked, anyhow::Error> {
    // No text begins every id.
    let mut found = if event.is_empty() { Vec::new() } else { store.events_called(org, event, 2).await? };
    let ids: Vec<&str> = found.iter().map(|(_, _, event)| event.id.as_str()).collect();
    if let Some(exact) = ids.iter().position(|id| *id == event) {
        found = vec![found.swap_remove(exact)];
    } else if ids.len() > 1 {
        anyhow::bail!("{event:?}: several recorded changes begin with this; give more of the id");
    }
    let Some((audit, _, event)) = found.pop() else {
        let recent = store.events(Some(org), None, None, NEWEST).await?;
        let hint = did_you_mean(event, recent.iter().map(|(_, _, event)| event.id.as_str()));
        anyhow::bail!(
            "{event:?}: no recorded change of {org} has this id{hint}; it stands in the alert, and `scopewarden diff \
             --json` lists the changes of the last audit"
        );
    };
    Ok(deciding::asked(store, org, &audit, event).await?)
}
