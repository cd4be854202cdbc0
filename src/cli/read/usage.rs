//! `usage`: what a client really called, and what follows for what it may.

use std::{collections::BTreeSet, io};

use clap::Args;
use serde::Serialize;

use super::{access::find, least_privilege::counted};
use crate::cli::{
    Exit,
    arguments::{FormatArgs, OrgArgs},
    output::{Column, Output, Table},
};
use crate::domain::{
    access::{Access, Granted, acts_by_roles},
    catalogue::Mode,
    contract::Declared,
    finding::ClientRef,
    inventory::Client,
    permission::PermissionSet,
    usage::{Calls, Cell, ClientUsage, Proof, Prover, Usage, Verdict, Window},
};

/// Shows what a client called, by the platform's own count, and what follows for each operation
///
/// From the last count, which audits make once a day. 4xx stands for a missing permission, an unknown id and a bad request
/// alike, so a call that only ended so was attempted, not refused. JSON unless stdout is a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden usage Reporting_Engine\n         scopewarden usage Reporting_Engine --json | jq -r '.permissions.unused[]'"
)]
pub(in crate::cli) struct Arguments {
    /// The client, by name or id
    #[arg(value_name = "CLIENT")]
    client: String,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// One client's calls, in the JSON shape that users see.
#[derive(Serialize)]
struct Told<'a> {
    org: &'a str,
    client: ClientRef,
    window: Span,
    /// Rows of the count that could not be kept: what is not listed may still have been called.
    left_out: u64,
    /// The last day with a call; `None`: there was none.
    last: Option<String>,
    operations: Vec<Called>,
    /// `None`: the client acts as its user, so its calls show nothing of permissions.
    permissions: Option<Permissions>,
}

#[derive(Serialize)]
struct Span {
    #[serde(flatten)]
    window: Window,
    days: i64,
}

/// One operation that was called.
#[derive(Serialize)]
struct Called {
    operation: String,
    /// The table of operations has it.
    known: bool,
    #[serde(flatten)]
    calls: Calls,
    /// By its roles; `None`: it acts as its user, whose permissions decide.
    granted: Option<Granted>,
    verdict: Cell,
    advice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
}

/// What the client holds, by what its calls show.
#[derive(Serialize)]
struct Permissions {
    /// A successful call needed it.
    proven: Vec<String>,
    /// A call may have needed it.
    possible: Vec<String>,
    /// Operations need it, and none of them was called.
    unused: Vec<String>,
    /// No operation names it.
    not_provable: Vec<String>,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store, last) = arguments.org.open_last().await?;
    let client = find(&last.snapshot, &arguments.client)?;
    let tally = counted(&store, &org).await?;
    let access = Access::new(&last.snapshot);
    let usage = Usage::join(&tally, access.operations);
    let told = tell_of(&org, &access, client, &usage);
    let mut out = Output::new();
    if arguments.format.wants_json(out.is_terminal()) {
        out.json(&told)?;
    } else {
        print(&mut out, client, &told)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn tell_of<'a>(org: &'a str, access: &Access<'_>, client: &Client, usage: &Usage) -> Told<'a> {
    let nothing = ClientUsage::default();
    let called = usage.of(&client.id).unwrap_or(&nothing);
    let by_roles = acts_by_roles(client);
    let mut contracts = access.snapshot.contracts.values();
    let contract = contracts.find(|contract| contract.pinned.as_ref() == Some(&client.id));
    let declared = contract.map(|contract| Declared::by_contract(access, contract).calls);
    Told {
        org,
        client: ClientRef { id: client.id.clone(), name: client.name.clone() },
        window: Span { window: usage.window, days: usage.window.days() },
        left_out: usage.left_out,
        last: called.last.map(|day| day.to_string()),
        operations: operations(access, client, called, declared.as_ref(), &usage.window),
        permissions: by_roles.then(|| permissions(access, client, called)),
    }
}

/// What was called, and what the client's contract declares besides. `declared`: places in the table of operations;
/// `None`: it has no contract.
fn operations(
    access: &Access<'_>,
    client: &Client,
    called: &ClientUsage,
    declared: Option<&BTreeSet<usize>>,
    window: &Window,
) -> Vec<Called> {
    let reach = access.reach(client);
    let granted: Vec<Option<bool>> = access.may_call(&reach).map(|(_, granted)| granted).collect();
    // A client that acts as its user may do what that user may, which is not known here.
    let by_roles = acts_by_roles(client);
    let row = |operation: String, at: Option<usize>, calls: Calls, granted: Option<bool>, any: bool| {
        let names = |declared: &BTreeSet<usize>| at.is_some_and(|at| declared.contains(&at));
        let verdict = Verdict { declared: declared.map(names), calls, granted };
        let cell = verdict.cell();
        Called {
            operation,
            known: at.is_some(),
            calls,
            granted: by_roles.then_some(match granted {
                Some(true) => Granted::Yes,
                Some(false) => Granted::No,
                None => Granted::Undeclared,
            }),
            verdict: cell,
            advice: if by_roles { cell.advice() } else { BY_ITS_USER },
            doubt: verdict.doubt(window, any),
        }
    };
    let mut rows = Vec::new();
    let uncalled = declared.into_iter().flatten().filter(|at| !called.operations.contains_key(at));
    let uncalled = uncalled.map(|at| (*at, Calls::default()));
    for (at, calls) in called.operations.iter().map(|(at, calls)| (*at, *calls)).chain(uncalled) {
        let Some(operation) = access.operations.get(at) else { continue };
        let any = operation.mode == Mode::Any && operation.permissions.len() > 1;
        let granted = granted.get(at).copied().flatten().filter(|_| by_roles);
        rows.push(row(operation.name.to_string(), Some(at), calls, granted, any));
    }
    rows.extend(called.unknown.iter().map(|(name, calls)| row(name.clone(), None, *calls, None, false)));
    rows.sort_by(|one, other| {
        (other.calls.total(), &one.operation).cmp(&(one.calls.total(), &other.operation))
    });
    rows
}

fn permissions(access: &Access<'_>, client: &Client, called: &ClientUsage) -> Permissions {
    let held = access.power(client).anywhere(access);
    let Proof { proven, possible, unused, not_provable } = Prover::new(access).proof(&held, Some(called));
    let names = |set: &PermissionSet| {
        let mut names: Vec<String> = set.ones().map(|at| access.universe.name(at).to_owned()).collect();
        names.sort_unstable();
        names
    };
    Permissions {
        proven: names(&proven),
        possible: names(&possible),
        unused: names(&unused),
        not_provable: names(&not_provable),
    }
}

fn print(out: &mut Output, client: &Client, told: &Told<'_>) -> io::Result<()> {
    let (grant_type, state) = (client.grant_type.as_str(), client.state.as_str());
    out.line(format_args!("{} ({}), {grant_type}, {state}", client.name, client.id))?;
    let Window { from, to } = told.window.window;
    out.line(format_args!(
        "  counted from {} to {}, {} days",
        from.format("%Y-%m-%d"),
        to.format("%Y-%m-%d %H:%M UTC"),
        told.window.days
    ))?;
    if told.left_out > 0 {
        out.line(format_args!(
            "  {} rows of the count could not be kept: more may have been called",
            told.left_out
        ))?;
    }
    if told.operations.is_empty() {
        return out.line("  called nothing, neither with success nor in vain");
    }
    out.table(&table(&told.operations))?;
    let Some(permissions) = &told.permissions else {
        return out.line("  acts as its user: its calls show nothing of what roles it needs");
    };
    let Permissions { proven, possible, unused, not_provable } = permissions;
    let total = proven.len() + possible.len() + unused.len() + not_provable.len();
    out.line(format_args!(
        "  of {total} permissions held, {} proven in use, {} possibly, {} unused, {} that no operation names",
        proven.len(),
        possible.len(),
        unused.len(),
        not_provable.len()
    ))?;
    for permission in unused.iter().take(UNUSED_SHOWN) {
        out.line(format_args!("    unused: {permission}"))?;
    }
    if unused.len() > UNUSED_SHOWN {
        out.line(format_args!("    … and {} more: --json lists them", unused.len() - UNUSED_SHOWN))?;
    }
    Ok(())
}

/// What to say of any operation of a client that acts as its user.
const BY_ITS_USER: &str = "its user's permissions decide; only scopes bound the client itself";

/// Unused permissions that are listed for people.
const UNUSED_SHOWN: usize = 20;

fn table(operations: &[Called]) -> Table {
    let mut table = Table::new([
        Column::new("operation"),
        Column::new("ok"),
        Column::new("4xx"),
        Column::new("last day"),
        Column::new("granted"),
        Column::prose("advice"),
        Column::prose("doubt").extra(),
    ]);
    for row in operations {
        let granted = match row.granted {
            Some(Granted::Yes) => "yes",
            Some(Granted::No) => "no",
            _ if !row.known => "unknown operation",
            Some(Granted::Undeclared) => "undeclared",
            None => "as its user",
        };
        table.row([
            row.operation.as_str().into(),
            row.calls.ok.to_string().into(),
            row.calls.denied.to_string().into(),
            row.calls.last.map_or_else(String::new, |day| day.to_string()).into(),
            granted.into(),
            row.advice.into(),
            row.doubt.clone().unwrap_or_default().into(),
        ]);
    }
    table
}
