//! `access`: what clients can do.

mod tell;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::{
    Exit,
    arguments::{FormatArgs, OrgArgs, Usage, did_you_mean},
    output::Output,
};
use crate::{
    domain::{ClientId, Fact, access::Access, inventory::Client, snapshot::Snapshot},
    store::Past,
};

/// Shows what a client can do: permissions by division, the roles they come from, and whether its scopes cover them
///
/// From the last recorded audit. What roles grant and what scopes would let through are two columns: the platform's
/// API does not tell whether an organisation enforces scopes. JSON, one line a client, unless stdout is a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden access Reporting_Engine_ReadOnly\n         scopewarden access --all --operations | jq -r 'select(.operations[] | .operation == \"DELETE /api/v2/users/{userId}\" and .granted == true) | .client.name'"
)]
pub(in crate::cli) struct Arguments {
    /// The client, by name or id
    #[arg(value_name = "CLIENT", required_unless_present = "all")]
    client: Option<String>,
    /// Every client
    #[arg(long, conflicts_with = "client")]
    all: bool,
    /// Also every operation of the platform's API: granted, not granted, or undeclared
    #[arg(long)]
    operations: bool,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, _store, last) = arguments.org.open_last().await?;
    let snapshot = &last.snapshot;
    let clients: Vec<&Client> = match &arguments.client {
        Some(wanted) => vec![find(snapshot, wanted)?],
        None => snapshot.clients.values().collect(),
    };
    let mut access = Access::new(snapshot);
    let stale = last.gaps.iter().find(|gap| gap.fact == Fact::Operations).and_then(|gap| gap.stale_since);
    access.operations_seen = Some(stale.unwrap_or(last.at));
    let mut out = Output::new();
    let as_json = arguments.format.wants_json(out.is_terminal());
    for client in clients {
        let report = access.report(&org, client, arguments.operations, read_at(&last, &client.id));
        if as_json {
            out.json(&report)?;
        } else {
            tell::tell(&mut out, snapshot, client, &report)?;
        }
        if out.is_closed() {
            break;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// The client that a person means, by id or by name.
fn find<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<&'a Client, Usage> {
    if let Some(client) = snapshot.clients.get(wanted) {
        return Ok(client);
    }
    let named: Vec<&Client> = snapshot.clients.values().filter(|client| client.name == wanted).collect();
    match named.as_slice() {
        [client] => Ok(client),
        [] => {
            let hint = did_you_mean(wanted, snapshot.clients.values().map(|client| client.name.as_str()));
            Err(Usage(format!(
                "no client has the name or id {wanted:?}{hint}; `scopewarden clients` lists them"
            )))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|client| client.id.as_str()).collect();
            Err(Usage(format!("{} clients are named {wanted:?}; give an id: {}", ids.len(), ids.join(", "))))
        }
    }
}

/// When a client's grants were read: with the audit, unless the audit had to carry them forward.
fn read_at(last: &Past, client: &ClientId) -> DateTime<Utc> {
    let gap = last
        .gaps
        .iter()
        .find(|gap| gap.fact == Fact::ClientGrants && gap.subject.as_deref() == Some(client.as_str()));
    gap.and_then(|gap| gap.stale_since).unwrap_or(last.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures;

    #[test]
    fn a_client_is_found_by_id_and_by_a_name_that_only_it_has() {
        let mut clients = ["c1", "c2", "c3"].map(fixtures::client);
        clients[1].name = "Twin".to_owned();
        clients[2].name = "Twin".to_owned();
        let snapshot = fixtures::snapshot(clients, []);
        assert_eq!(find(&snapshot, "c2").unwrap().id.as_str(), "c2");
        assert_eq!(find(&snapshot, "Client c1").unwrap().id.as_str(), "c1");
        let twins = find(&snapshot, "Twin").unwrap_err().to_string();
        assert_eq!(twins, "2 clients are named \"Twin\"; give an id: c2, c3");
        let unknown = find(&snapshot, "client C1x").unwrap_err().to_string();
        assert!(unknown.contains("did you mean \"Client c1\""), "{unknown}");
    }
}
