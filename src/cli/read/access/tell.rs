//! What a client can do, for people: in sentences, by domain, and by entity, actions that are held alike in one row.

use std::{collections::BTreeMap, io};

use crate::{
    cli::{
        output::{Column, Output, Table},
        read::words::{count, given_by, some_of},
    },
    domain::{
        DivisionRef,
        access::{
            AccessReport, Authority, DomainAccess, Enforced, Enforcement, Granted, OperationAccess,
            PermissionAccess, UpperBound,
            escalation::{Path, Standing},
        },
        catalogue::Source,
        inventory::Client,
        snapshot::Snapshot,
    },
};

/// Operations named in one sentence.
const NAMED: usize = 3;

/// Everything that is told of one client.
pub(super) struct Told<'a> {
    pub(super) client: &'a Client,
    pub(super) report: &'a AccessReport,
    pub(super) enforced: &'a Enforced<'a>,
    pub(super) standing: &'a Standing<'a>,
}

/// Tells one client.
pub(super) fn tell(out: &mut Output, snapshot: &Snapshot, told: &Told<'_>) -> io::Result<()> {
    let Told { client, report, enforced, standing } = told;
    head(out, client)?;
    bounds(out, client, report)?;
    if report.grants_unknown {
        out.note("its grants could not be read: it may hold more than is shown")?;
    }
    for role in &report.unseen_roles {
        out.note(format_args!("it holds the role {role}, which the audit did not see"))?;
    }
    if !report.wildcards.is_empty() {
        let all = report.wildcards.join(", ");
        out.note(format_args!("open-ended, so that it also gains what the platform adds: {all}"))?;
    }
    stronger(out, standing)?;
    loses(out, enforced)?;
    if report.permissions.is_empty() {
        if report.authority == Authority::Roles && !report.grants_unknown {
            out.note("holds no permission")?;
        }
    } else {
        out.line("")?;
        out.table(&domains(&report.domains))?;
        out.line("")?;
        out.table(&permissions(snapshot, &report.permissions))?;
    }
    if let Some(list) = &report.operations {
        out.line("")?;
        let from = match report.operations_source {
            Source::Definition => "the platform's definition",
            Source::CompiledIn => "the compiled-in table",
        };
        operations(out, list, &format!("{from}, {}", report.operations_as_of))?;
    }
    out.line("")
}

/// Tells what one client would lose if scopes were enforced.
pub(super) fn tell_enforced(out: &mut Output, client: &Client, enforced: &Enforced<'_>) -> io::Result<()> {
    head(out, client)?;
    loses(out, enforced)?;
    if !enforced.lost.is_empty() {
        let mut table =
            Table::new([Column::new("operation that it would lose"), Column::prose("needs one of")]);
        for operation in &enforced.lost {
            let scopes: Vec<&str> = operation.scopes().collect();
            table.row([(&*operation.name).into(), scopes.join(", ").into()]);
        }
        out.table(&table)?;
    }
    out.line("")
}

/// The same among many clients, without the list.
pub(super) fn tell_loss(out: &mut Output, client: &Client, enforced: &Enforced<'_>) -> io::Result<()> {
    head(out, client)?;
    loses(out, enforced)
}

fn head(out: &mut Output, client: &Client) -> io::Result<()> {
    let (grant_type, state) = (client.grant_type.as_str(), client.state.as_str());
    out.line(format_args!("{} ({}), {grant_type}, {state}", client.name, client.id))
}

fn bounds(out: &mut Output, client: &Client, report: &AccessReport) -> io::Result<()> {
    let reachable = report.reachable;
    let scopes = some_of(client.scopes.iter().map(String::as_str), 20);
    match (report.authority, report.upper_bound) {
        (Authority::Roles, _) => out.note(format_args!(
            "by its roles it may call {} that read and {} that write; {} more declare no permission",
            count(reachable.reads, "operation"),
            reachable.writes,
            reachable.undeclared
        )),
        (Authority::User, Some(UpperBound::Scopes)) => {
            out.note(format_args!("acts as its user: at most what these scopes let through: {scopes}"))?;
            out.note("an application that asks for no scope gets all of them")
        }
        (Authority::User, _) => {
            out.note(
                "acts as its user: it can do whatever that user can, unless the organisation enforces scopes \
                 (scope_enforcement in the configuration)",
            )?;
            let has = if client.scopes.is_empty() {
                "no scopes".to_owned()
            } else {
                format!("the scopes {scopes}")
            };
            out.note(format_args!("its record has {has}; an application that asks for none gets all of them"))
        }
    }
}

fn stronger(out: &mut Output, standing: &Standing<'_>) -> io::Result<()> {
    let path = match (&standing.stated, &standing.assumed) {
        (Some(path), _) => {
            out.note(format_args!("can become stronger: {}", path.sentence()))?;
            Some(path)
        }
        (None, Some(path)) => {
            out.note(format_args!("may be able to become stronger: {}", path.sentence()))?;
            Some(path)
        }
        (None, None) => None,
    };
    for proviso in path.into_iter().flat_map(Path::provisos) {
        out.note(format_args!("  {proviso}"))?;
    }
    if standing.could_become > 0 {
        let clients = count(standing.could_become, "other client");
        out.note(format_args!("could act as {clients} by a new secret (assumed)"))?;
    }
    Ok(())
}

fn loses(out: &mut Output, enforced: &Enforced<'_>) -> io::Result<()> {
    let Enforced { under, already, lost, kept, .. } = enforced;
    let whom = match under {
        Enforcement::UserGrants => "for clients that act as a user",
        Enforcement::AllGrants => "for client credentials too",
    };
    let all = lost.len() + kept;
    let names = some_of(lost.iter().map(|operation| &*operation.name), NAMED);
    let could = if *under == Enforcement::UserGrants { "whatever its user may do, " } else { "" };
    match (lost.len(), already) {
        (0, _) => Ok(()),
        (lost, true) => out.note(format_args!(
            "scopes are enforced {whom}: {could}{lost} of {all} operations are refused: {names}"
        )),
        (lost, false) => out.note(format_args!(
            "if scopes were enforced {whom}: {could}it would lose {lost} of {all} operations: {names}"
        )),
    }
}

fn domains(list: &[DomainAccess]) -> Table {
    let columns = ["domain", "permissions", "reads", "writes"].map(Column::new);
    let mut table = Table::new(columns);
    for domain in list {
        table.row([
            general(&domain.domain).into(),
            domain.permissions.into(),
            domain.reads.into(),
            domain.writes.into(),
        ]);
    }
    table
}

fn general(domain: &str) -> &str {
    if domain.is_empty() { "(general)" } else { domain }
}

/// What must be alike for actions to share a row.
type Alike<'a> = (&'a str, &'a str, String, bool, Vec<&'static str>);

fn permissions(snapshot: &Snapshot, list: &[PermissionAccess]) -> Table {
    let mut rows: BTreeMap<Alike<'_>, Vec<&str>> = BTreeMap::new();
    for held in list {
        let mut parts = held.permission.splitn(3, ':');
        let (domain, entity, action) = match (parts.next(), parts.next(), parts.next()) {
            (Some(domain), Some(entity), Some(action)) => (domain, entity, action),
            _ => ("", "", held.permission.as_str()),
        };
        let everywhere = held.divisions.contains(&DivisionRef::All)
            && held.via.iter().all(|way| way.division != DivisionRef::All);
        let notes = [
            (held.conditional, "conditional"),
            (!held.known, "unknown permission"),
            (everywhere, "counts in all divisions: none restricts it"),
        ];
        let notes = notes.into_iter().filter(|(said, _)| *said).map(|(_, note)| note).collect();
        let alike = (domain, entity, given_by(snapshot, &held.via), held.in_scope, notes);
        rows.entry(alike).or_default().push(action);
    }
    let mut table = Table::new([
        Column::new("domain"),
        Column::new("entity"),
        Column::prose("actions"),
        Column::prose("given by"),
        Column::new("in scope"),
        Column::prose("note"),
    ]);
    for ((domain, entity, given_by, in_scope, notes), actions) in rows {
        table.row([
            general(domain).into(),
            entity.into(),
            actions.join(", ").into(),
            given_by.into(),
            if in_scope { "yes" } else { "no" }.into(),
            notes.join(", ").into(),
        ]);
    }
    table
}

fn operations(out: &mut Output, list: &[OperationAccess], table: &str) -> io::Result<()> {
    let count = |granted: Granted| list.iter().filter(|operation| operation.granted == granted).count();
    let (yes, no, undeclared) = (count(Granted::Yes), count(Granted::No), count(Granted::Undeclared));
    out.line(format_args!(
        "  {} operations ({table}): {yes} granted, {no} not granted, {undeclared} declare no permission",
        list.len()
    ))?;
    let mut table =
        Table::new([Column::new("granted operation"), Column::new("effect"), Column::new("in scope")]);
    for operation in list.iter().filter(|operation| operation.granted == Granted::Yes) {
        table.row([
            (&*operation.operation).into(),
            if operation.reads { "reads" } else { "writes" }.into(),
            if operation.in_scope { "yes" } else { "no" }.into(),
        ]);
    }
    if yes > 0 { out.table(&table) } else { Ok(()) }
}
