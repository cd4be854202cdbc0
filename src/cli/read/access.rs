//! `access`: what clients can do.

mod tell;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::cli::{
    Exit,
    arguments::{FormatArgs, OrgArgs, Usage, did_you_mean},
    output::Output,
};
use crate::{
    domain::{
        ClientId, Fact,
        access::{
            Access, AccessReport, Authority, Enforced, Enforcement, ObservedAt, acts_by_roles,
            escalation::{Escalation, Path, Standing},
        },
        finding::ClientRef,
        inventory::Client,
        rotation::Turns,
        snapshot::Snapshot,
    },
    store::Past,
};

/// Shows what a client can do: permissions by domain, the roles and divisions that give them, and whether its scopes
/// cover them
///
/// From the last recorded audit. What roles grant and what scopes would let through are two columns: the platform's
/// API does not tell whether an organisation enforces scopes. Whether an operation reads or writes is told by the scopes
/// that it accepts, not by its method. JSON, one line a client, unless stdout is a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden access Reporting_Engine_ReadOnly\n         scopewarden access --all --if-enforced\n         scopewarden access --all --operations | jq -r 'select(.operations[] | .operation == \"DELETE /api/v2/users/{userId}\" and .granted == true) | .client.name'"
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
    /// Only what clients would lose if the organisation enforced scopes; with --all, only the clients that would lose
    /// something
    #[arg(long, conflicts_with = "operations")]
    if_enforced: bool,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// One client, in the JSON shape that users see.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    report: &'a AccessReport,
    if_enforced: Losses,
    escalation: Stronger,
}

/// What enforced scopes would take, in numbers.
#[derive(Serialize)]
struct Losses {
    under: Enforcement,
    already: bool,
    operations_lost: usize,
    operations_kept: usize,
    undeclared_lost: usize,
}

impl Losses {
    fn of(enforced: &Enforced<'_>) -> Self {
        Self {
            under: enforced.under,
            already: enforced.already,
            operations_lost: enforced.lost.len(),
            operations_kept: enforced.kept,
            undeclared_lost: enforced.undeclared_lost,
        }
    }
}

/// How it could become stronger.
#[derive(Serialize)]
struct Stronger {
    /// The shortest way by what is stated, in words.
    stated: Option<String>,
    /// If there is none: one that rests on something assumed.
    assumed: Option<String>,
    /// What either needs beside its permissions.
    provisos: Vec<String>,
    other_ways: Vec<&'static str>,
    /// Other clients that it could act as, by a new secret for each (assumed).
    could_become: usize,
}

impl Stronger {
    fn of(standing: &Standing<'_>) -> Self {
        let path = standing.stated.as_ref().or(standing.assumed.as_ref());
        Self {
            stated: standing.stated.as_ref().map(Path::sentence),
            assumed: standing.assumed.as_ref().map(Path::sentence),
            provisos: path.map(Path::provisos).unwrap_or_default(),
            other_ways: standing.others.clone(),
            could_become: standing.could_become,
        }
    }
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store, last) = arguments.org.open_last().await?;
    let turns = store.turns(&org).await?;
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
    if arguments.if_enforced {
        if_enforced(arguments, &mut out, (&org, &access), &clients, as_json)?;
        out.flush()?;
        return Ok(Exit::Fine);
    }
    let escalation = Escalation::new(&access);
    for client in clients {
        let report = access.report(&org, client, arguments.operations, read_at(&last, &turns, &client.id));
        let enforced = access.if_enforced(client);
        let standing = escalation.of(client);
        if as_json {
            let (if_enforced, escalation) = (Losses::of(&enforced), Stronger::of(&standing));
            out.json(&Row { report: &report, if_enforced, escalation })?;
        } else {
            let told = tell::Told { client, report: &report, enforced: &enforced, standing: &standing };
            tell::tell(&mut out, snapshot, &told)?;
        }
        if out.is_closed() {
            break;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn if_enforced(
    arguments: &Arguments,
    out: &mut Output,
    (org, access): (&str, &Access<'_>),
    clients: &[&Client],
    as_json: bool,
) -> std::io::Result<()> {
    let mut losers: usize = 0;
    for client in clients {
        let enforced = access.if_enforced(client);
        if arguments.all && enforced.lost.is_empty() {
            continue;
        }
        losers += 1;
        if as_json {
            let authority = if acts_by_roles(client) { Authority::Roles } else { Authority::User };
            out.json(&json!({
                "org": org,
                "client": ClientRef { id: client.id.clone(), name: client.name.clone() },
                "authority": authority,
                "under": enforced.under,
                "already": enforced.already,
                "operations_lost": enforced.lost.len(),
                "operations_kept": enforced.kept,
                "undeclared_lost": enforced.undeclared_lost,
                "operations": enforced.lost.iter().map(|operation| &operation.name).collect::<Vec<_>>(),
            }))?;
        } else if arguments.all {
            tell::tell_loss(out, client, &enforced)?;
        } else {
            tell::tell_enforced(out, client, &enforced)?;
        }
        if out.is_closed() {
            return Ok(());
        }
    }
    if !as_json && arguments.all {
        out.line(format_args!("{losers} of {} clients would lose something", clients.len()))?;
    }
    Ok(())
}

/// The client that a person means, by id or by name.
pub(in crate::cli) fn find<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<&'a Client, Usage> {
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

/// When a client's grants were read: its record with the audit, unless the audit had to carry it forward; its own side at
/// its last turn.
pub(super) fn read_at(last: &Past, turns: &Turns, client: &ClientId) -> ObservedAt {
    let gap = last
        .gaps
        .iter()
        .find(|gap| gap.fact == Fact::ClientGrants && gap.subject.as_deref() == Some(client.as_str()));
    ObservedAt {
        record: gap.and_then(|gap| gap.stale_since).unwrap_or(last.at),
        subject: turns.get(client).and_then(|turn| turn.confirmed),
    }
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
