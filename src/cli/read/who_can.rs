//! `who-can`: which clients hold a permission, or may call an operation.

use std::{collections::BTreeSet, io};

use clap::Args;

use super::{
    access::read_at,
    words::{count, division_name, given_by, some_of},
};
use crate::cli::{
    Exit,
    arguments::{FormatArgs, OrgArgs, Usage},
    output::{Column, Output, Table},
};
use crate::domain::{
    DivisionRef, Fact,
    access::{
        Access, Authority, Granted,
        who::{Asked, Can, Holder, Holders, Unknown},
    },
    catalogue::Mode,
    snapshot::Snapshot,
};

/// Clients named in one sentence.
const NAMED: usize = 10;

/// Shows which clients hold a permission or may call an operation, and the roles and divisions that give it
///
/// From the last recorded audit. A `*` in any part of a permission asks for the clients that hold at least one of those
/// that it covers. An operation is answered by its rule: all of its permissions, or any one of them. Clients that act as
/// their user are listed apart: what they can do is their user's matter, so they are an upper bound. JSON unless stdout is
/// a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden who-can directory:user:delete\n         scopewarden who-can 'directory:user:*'\n         scopewarden who-can \"DELETE /api/v2/users/{userId}\"\n         scopewarden who-can oauth:client:edit --json | jq -r '.[] | select(.authority == \"roles\") | .client.name'"
)]
pub(in crate::cli) struct Arguments {
    /// domain:entity:action, any part of it `*`; a general permission; or "METHOD /path"
    #[arg(value_name = "PERMISSION|\"METHOD /path\"")]
    what: String,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store, last) = arguments.org.open_last().await?;
    let turns = store.turns(&org).await?;
    let access = Access::new(&last.snapshot);
    let asked = Asked::read(&access, &arguments.what)
        .map_err(|unknown| refused(&access, arguments.what.trim(), &unknown))?;
    let holders = Holders::new(&access).answer(&asked, |client| read_at(&last, &turns, client));
    let mut out = Output::new();
    if arguments.format.wants_json(out.is_terminal()) {
        out.json(&holders)?;
    } else {
        tell(&mut out, &access, &asked, &holders)?;
        for gap in last.gaps.iter().filter(|gap| gap.fact != Fact::ClientGrants) {
            let fact = gap.fact.as_str().replace('_', " ");
            out.note(format_args!("the audit did not see everything ({fact}): {}", gap.detail))?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn refused(access: &Access<'_>, what: &str, unknown: &Unknown) -> Usage {
    let near: Vec<String> = unknown.near.iter().map(|name| format!("{name:?}")).collect();
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
    Usage(match unknown.kind {
        "operation" => format!(
            "{what:?} is no operation of {}; write the method, a space, and the path with its \
             parameters in braces{hint}",
            access.operations.title()
        ),
        "pattern" => format!("{what:?} covers no permission that the platform or a role names{hint}"),
        _ => format!("{what:?} is no permission that the platform or a role names{hint}"),
    })
}

fn tell(out: &mut Output, access: &Access<'_>, asked: &Asked, holders: &[Holder]) -> io::Result<()> {
    question(out, access, asked)?;
    let group = |authority, unknown| {
        let of = move |holder: &&Holder| {
            holder.authority == authority && (holder.granted == Can::NotKnown) == unknown
        };
        holders.iter().filter(of).collect::<Vec<_>>()
    };
    let undeclared = holders.iter().any(|holder| holder.granted == Can::By(Granted::Undeclared));
    let by_roles = group(Authority::Roles, false);
    if undeclared && is_unclear(access, asked) {
        out.note("so nobody can say which client may: try it with `scopewarden probe`")?;
    } else if undeclared {
        out.note(
            "it declares no permission: no role grants it and none refuses it, so every client that gets a token may \
             try (its scopes count where the organisation enforces them)",
        )?;
    } else if by_roles.is_empty() {
        out.note("no client can by its roles")?;
    } else {
        let whose = if by_roles.len() == 1 { "its" } else { "their" };
        out.note(format_args!("{} can by {whose} roles", count(by_roles.len(), "client")))?;
        out.line("")?;
        out.table(&table(access.snapshot, asked, &by_roles))?;
        out.line("")?;
    }
    let unclear = group(Authority::Roles, true);
    if !unclear.is_empty() {
        out.note(format_args!(
            "not known of {}, whose grants or roles could not be read: {}",
            count(unclear.len(), "client"),
            names(&unclear)
        ))?;
    }
    let users = group(Authority::User, false);
    if !users.is_empty() && !undeclared {
        out.note(format_args!(
            "as their user (an upper bound: it depends on who signs in), {}: {}",
            count(users.len(), "client"),
            names(&users)
        ))?;
    }
    Ok(())
}

/// Whether an operation is asked for whose rule was not understood.
fn is_unclear(access: &Access<'_>, asked: &Asked) -> bool {
    let Asked::Operation(at) = asked else { return false };
    access.operations.get(*at).is_some_and(|operation| operation.mode == Mode::Unknown)
}

fn names(holders: &[&Holder]) -> String {
    some_of(holders.iter().map(|holder| holder.client.name.as_str()), NAMED)
}

/// What is asked, in full.
fn question(out: &mut Output, access: &Access<'_>, asked: &Asked) -> io::Result<()> {
    match asked {
        Asked::Permissions(numbers) => match numbers.as_slice() {
            [only] => {
                let name = access.universe.name(*only);
                let known = access.known.contains(*only) || !name.contains(':');
                let note = if known { "" } else { " (the organisation's catalogue does not list it)" };
                out.line(format_args!("{name}{note}"))
            }
            several => {
                let all = several.iter().map(|at| access.universe.name(*at));
                out.line(format_args!("any of {} permissions: {}", several.len(), some_of(all, NAMED)))
            }
        },
        Asked::Operation(at) => {
            let Some(operation) = access.operations.get(*at) else { return Ok(()) };
            let effect = if access.scopes.reads(*at) { "reads" } else { "writes" };
            out.line(format_args!("{}, which {effect}", operation.name))?;
            let list = |names: Vec<&str>| names.join(", ");
            let permissions = list(operation.permissions().collect());
            match operation.mode {
                Mode::All => out.note(format_args!("needs all of {permissions}"))?,
                Mode::Any => out.note(format_args!("needs any of {permissions}"))?,
                Mode::Unknown => out.note("its rule in the platform's definition is not understood")?,
                Mode::None => {}
            }
            match list(operation.scopes().collect()) {
                scopes if scopes.is_empty() => out.note("no scope is declared for it"),
                scopes => out.note(format_args!("any of these scopes lets it through: {scopes}")),
            }
        }
    }
}

fn table(snapshot: &Snapshot, asked: &Asked, holders: &[&Holder]) -> Table {
    let several = match asked {
        Asked::Permissions(numbers) => numbers.len() > 1,
        Asked::Operation(_) => true,
    };
    let mut table = Table::new([
        Column::new("client"),
        Column::new("id").extra(),
        Column::prose("holds"),
        Column::prose("given by"),
        Column::new("in scope"),
        Column::prose("note"),
    ]);
    for holder in holders {
        let holds = holder.permissions.iter().map(String::as_str);
        let mut notes: Vec<String> = Vec::new();
        notes.extend(holder.conditional.then(|| "conditional".to_owned()));
        notes.extend(places(snapshot, holder));
        notes.extend((holder.state != "active").then(|| holder.state.clone()));
        table.row([
            holder.client.name.as_str().into(),
            holder.client.id.as_str().into(),
            if several { some_of(holds, NAMED) } else { String::new() }.into(),
            given_by(snapshot, holder.via.iter().map(|way| &way.via)).into(),
            if holder.in_scope { "yes" } else { "no" }.into(),
            notes.join(", ").into(),
        ]);
    }
    table
}

/// Where it counts, if that is not simply where the roles are granted.
fn places(snapshot: &Snapshot, holder: &Holder) -> Option<String> {
    let granted: BTreeSet<&DivisionRef> = holder.via.iter().map(|way| &way.via.division).collect();
    let counts: BTreeSet<&DivisionRef> = holder.divisions.iter().collect();
    if counts == granted || granted.contains(&DivisionRef::All) && counts.contains(&DivisionRef::All) {
        return None;
    }
    if counts.is_empty() {
        return Some("in no division all at once".to_owned());
    }
    let names: Vec<String> = counts.iter().map(|division| division_name(snapshot, division)).collect();
    Some(format!("counts in {}", names.join(", ")))
}
