//! What a client can do, for people: by domain and entity, actions that are held alike in one row.

use std::{collections::BTreeMap, io};

use crate::{
    cli::output::{Column, Output, Table},
    domain::{
        DivisionRef,
        access::{AccessReport, Authority, Granted, OperationAccess, PermissionAccess, UpperBound},
        catalogue::Source,
        inventory::Client,
        snapshot::Snapshot,
    },
};

/// Tells one client.
pub(super) fn tell(
    out: &mut Output,
    snapshot: &Snapshot,
    client: &Client,
    report: &AccessReport,
) -> io::Result<()> {
    let (grant_type, state) = (client.grant_type.as_str(), client.state.as_str());
    out.line(format_args!("{} ({}), {grant_type}, {state}", client.name, client.id))?;
    match (report.authority, report.upper_bound) {
        (Authority::Roles, _) => {}
        (Authority::User, Some(UpperBound::Scopes)) => out.line(format_args!(
            "  acts as its user: at most what these scopes let through: {}",
            client.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        ))?,
        (Authority::User, _) => out.line(
            "  acts as its user: it can do whatever that user can, unless the organisation enforces scopes \
             (scope_enforcement in the configuration)",
        )?,
    }
    if report.grants_unknown {
        out.line("  its grants could not be read: it may hold more than is shown")?;
    }
    for role in &report.unseen_roles {
        out.line(format_args!("  it holds the role {role}, which the audit did not see"))?;
    }
    if !report.wildcards.is_empty() {
        let all = report.wildcards.join(", ");
        out.line(format_args!("  open-ended, so that it also gains what the platform adds: {all}"))?;
    }
    if report.permissions.is_empty() {
        if report.authority == Authority::Roles && !report.grants_unknown {
            out.line("  holds no permission")?;
        }
    } else {
        out.table(&permissions(snapshot, &report.permissions))?;
    }
    if let Some(list) = &report.operations {
        let from = match report.operations_source {
            Source::Definition => "the platform's definition",
            Source::CompiledIn => "the compiled-in table",
        };
        operations(out, list, &format!("{from}, {}", report.operations_as_of))?;
    }
    out.line("")
}

/// What must be alike for actions to share a row.
type Alike<'a> = (&'a str, &'a str, Vec<String>, bool, bool, bool, Vec<&'a str>);

fn permissions(snapshot: &Snapshot, list: &[PermissionAccess]) -> Table {
    let mut rows: BTreeMap<Alike<'_>, Vec<&str>> = BTreeMap::new();
    for held in list {
        let mut parts = held.permission.splitn(3, ':');
        let (domain, entity, action) = match (parts.next(), parts.next(), parts.next()) {
            (Some(domain), Some(entity), Some(action)) => (domain, entity, action),
            _ => ("(general)", "", held.permission.as_str()),
        };
        let mut roles: Vec<&str> = held.via.iter().map(|way| way.role_name.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        let divisions = held.divisions.iter().map(|division| division_name(snapshot, division)).collect();
        let alike = (domain, entity, divisions, held.conditional, held.known, held.in_scope, roles);
        rows.entry(alike).or_default().push(action);
    }
    let mut table = Table::new([
        Column::new("domain"),
        Column::new("entity"),
        Column::prose("actions"),
        Column::prose("divisions"),
        Column::new("in scope"),
        Column::prose("via role").extra(),
        Column::prose("note"),
    ]);
    for ((domain, entity, divisions, conditional, known, in_scope, roles), actions) in rows {
        let note = match (conditional, known) {
            (true, true) => "conditional",
            (true, false) => "conditional, unknown permission",
            (false, true) => "",
            (false, false) => "unknown permission",
        };
        table.row([
            domain.into(),
            entity.into(),
            actions.join(", ").into(),
            divisions.join(", ").into(),
            if in_scope { "yes" } else { "no" }.into(),
            roles.join(", ").into(),
            note.into(),
        ]);
    }
    table
}

fn division_name(snapshot: &Snapshot, division: &DivisionRef) -> String {
    match division {
        DivisionRef::All => "all".to_owned(),
        DivisionRef::Unknown => "unknown".to_owned(),
        DivisionRef::One(id) => (snapshot.divisions.as_ref())
            .and_then(|divisions| divisions.get(id))
            .map_or_else(|| id.to_string(), |division| division.name.clone()),
    }
}

fn operations(out: &mut Output, list: &[OperationAccess], table: &str) -> io::Result<()> {
    let count = |granted: Granted| list.iter().filter(|operation| operation.granted == granted).count();
    let (yes, no, undeclared) = (count(Granted::Yes), count(Granted::No), count(Granted::Undeclared));
    out.line(format_args!(
        "  {} operations ({table}): {yes} granted, {no} not granted, {undeclared} declare no permission",
        list.len()
    ))?;
    let mut table = Table::new([Column::new("granted operation"), Column::new("in scope")]);
    for operation in list.iter().filter(|operation| operation.granted == Granted::Yes) {
        table.row([(&*operation.operation).into(), if operation.in_scope { "yes" } else { "no" }.into()]);
    }
    if yes > 0 { out.table(&table) } else { Ok(()) }
}
