//! A proposal for people: what to cut and why, what is missing, and the role that would do.

use std::io;

use super::source::Source;
use crate::{
    cli::output::{Column, Output, Table},
    domain::{
        DivisionRef,
        access::Authority,
        contract::{Excess, Proposal, Why},
        inventory::Client,
        snapshot::Snapshot,
    },
};

/// Permissions of little weight that are named before the rest is only counted.
const SHOWN: usize = 12;
/// Alternatives that are named before the rest is only counted.
const OTHERS: usize = 3;

pub(super) fn tell(
    out: &mut Output,
    snapshot: &Snapshot,
    client: &Client,
    source: &Source,
    proposal: &Proposal,
) -> io::Result<()> {
    out.line(format_args!("{} ({})", client.name, client.id))?;
    let calls = counted(proposal.calls, "call");
    let owner = match source.contract.owner.as_str() {
        "" => String::new(),
        owner => format!(", owned by {owner}"),
    };
    out.line(format_args!("{calls} declared by {}{owner}", source.name))?;
    for warning in &source.warnings {
        out.line(format_args!("odd: {warning}"))?;
    }
    for name in &proposal.unknown {
        out.line(format_args!("not compared: the platform or the organisation has no {name}"))?;
    }
    for name in &proposal.unknown_divisions {
        out.line(format_args!("not compared: the organisation has no division {name}"))?;
    }
    if proposal.grants_unknown {
        out.line("its grants could not be read: it may hold what is called missing, and more")?;
    }
    for role in &proposal.unseen_roles {
        out.line(format_args!("it holds the role {role}, which the audit did not see: it may hold more"))?;
    }
    if proposal.authority == Authority::User {
        out.line("it acts as its user: what it holds, and so what is missing or too much, is not known")?;
    }
    out.line("")?;
    missing(out, snapshot, proposal)?;
    excess(out, snapshot, proposal)?;
    implied(out, proposal)?;
    role(out, snapshot, client, source, proposal)
}

fn missing(out: &mut Output, snapshot: &Snapshot, proposal: &Proposal) -> io::Result<()> {
    for one in &proposal.unavailable {
        let permissions = one.permissions.join(", ");
        out.line(format_args!("Unavailable: {} needs {permissions}: {}", one.operation, one.reason))?;
    }
    if proposal.missing.is_empty() {
        if proposal.authority == Authority::Roles && proposal.calls > proposal.unavailable.len() {
            let every = if proposal.unavailable.is_empty() { "every" } else { "every other" };
            out.line(format_args!("Missing: nothing; {every} declared call is let through today"))?;
        }
        return Ok(());
    }
    out.line(format_args!(
        "Missing: {} would be refused today",
        counted(proposal.missing.len(), "declared call")
    ))?;
    let mut table =
        Table::new([Column::new("operation"), Column::prose("needs"), Column::prose("divisions")]);
    for one in &proposal.missing {
        let needs: Vec<String> = one
            .permissions
            .iter()
            .cloned()
            .chain(one.scopes.iter().map(|scope| format!("scope {scope}")))
            .collect();
        table.row([
            one.operation.as_deref().unwrap_or("(by name)").into(),
            needs.join(", ").into(),
            places(snapshot, &one.divisions).into(),
        ]);
    }
    out.table(&table)
}

fn excess(out: &mut Output, snapshot: &Snapshot, proposal: &Proposal) -> io::Result<()> {
    if proposal.authority == Authority::User {
        return Ok(());
    }
    out.line("")?;
    if proposal.excess.is_empty() {
        return out.line("Cut: nothing; it holds only what is declared");
    }
    let open: Vec<&Excess> = proposal.excess.iter().filter(|excess| excess.why == Why::OpenEnded).collect();
    let rest: Vec<&Excess> = proposal.excess.iter().filter(|excess| excess.why != Why::OpenEnded).collect();
    let weight: u32 =
        rest.iter().filter(|excess| excess.why == Why::NotNeeded).map(|excess| excess.weight).sum();
    out.line(format_args!(
        "Cut: {} (weight {weight}) beyond what is declared",
        counted(rest.len(), "permission")
    ))?;
    let mut table = Table::new([
        Column::new("permission"),
        Column::new("weight"),
        Column::prose("divisions"),
        Column::prose("via role"),
        Column::prose("why"),
    ]);
    // What a declared call rests on is always named: it cannot simply be cut.
    let (resting, others): (Vec<&Excess>, Vec<&Excess>) =
        rest.iter().partition(|excess| !excess.instead.is_empty());
    let shown: Vec<&Excess> = resting.iter().chain(others.iter().take(SHOWN)).copied().collect();
    for excess in open.iter().chain(&shown) {
        table.row([
            excess.permission.as_str().into(),
            (excess.weight as usize).into(),
            places(snapshot, &excess.divisions).into(),
            excess.via.join(", ").into(),
            why(excess).into(),
        ]);
    }
    out.table(&table)?;
    if rest.len() > shown.len() {
        let more = rest.len() - shown.len();
        out.line(format_args!("and {more} more that weigh no more than these (--output json has all)"))?;
    }
    Ok(())
}

fn why(excess: &Excess) -> String {
    if !excess.instead.is_empty() {
        return format!("a declared call rests on it; first grant {}", excess.instead.join(", "));
    }
    if !excess.implied_by.is_empty() {
        return "not called for, but it resolves ids of declared answers (--with-implied keeps it)"
            .to_owned();
    }
    match (excess.why, excess.danger) {
        (Why::OpenEnded, Some(danger)) => danger.to_owned(),
        (Why::OpenEnded, None) => "open-ended: it also gives what the platform adds later".to_owned(),
        (Why::OtherDivision, _) => "needed, but not there".to_owned(),
        (Why::NotNeeded, Some(danger)) => format!("no declared call needs it; {danger}"),
        (Why::NotNeeded, None) => "no declared call needs it".to_owned(),
    }
}

fn implied(out: &mut Output, proposal: &Proposal) -> io::Result<()> {
    if proposal.implied.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line("Implied: without these, answers to declared calls stay ids")?;
    let mut table = Table::new([Column::new("permission"), Column::new("held"), Column::prose("why")]);
    for one in &proposal.implied {
        let reason = one.reasons.first().map_or("", String::as_str);
        table.row([
            one.permission.as_str().into(),
            if one.held { "yes" } else { "no" }.into(),
            reason.into(),
        ]);
    }
    out.table(&table)
}

fn role(
    out: &mut Output,
    snapshot: &Snapshot,
    client: &Client,
    source: &Source,
    proposal: &Proposal,
) -> io::Result<()> {
    let role = &proposal.role;
    out.line("")?;
    let proven = if proposal.minimal { "nothing less would do" } else { "not proven to be the least" };
    let cost = proposal.cost;
    let permissions = counted(cost.permissions, "permission");
    out.line(format_args!("Role {:?}: {permissions}, weight {}; {proven}", role.name, cost.weight))?;
    if role.permission_policies.is_empty() {
        out.line("  no declared call needs a permission")?;
    } else {
        let mut table = Table::new([Column::new("domain"), Column::new("entity"), Column::prose("actions")]);
        for policy in &role.permission_policies {
            let actions = policy.action_set.join(", ");
            table.row([policy.domain.as_str().into(), policy.entity_name.as_str().into(), actions.into()]);
        }
        out.table(&table)?;
    }
    choices(out, source, proposal)?;
    out.line(format_args!("Grant it in: {}", places(snapshot, &proposal.divisions)))?;
    let cut: Vec<&str> = client
        .scopes
        .iter()
        .map(String::as_str)
        .filter(|scope| !proposal.scopes.iter().any(|kept| kept == scope))
        .collect();
    let scopes = if proposal.scopes.is_empty() { "none".to_owned() } else { proposal.scopes.join(", ") };
    let cut =
        if cut.is_empty() { String::new() } else { format!(" (of those it has, cut {})", cut.join(", ")) };
    out.line(format_args!("Scopes that suffice: {scopes}{cut}"))?;
    out.line("")?;
    out.line("Nothing was applied. --output json prints the role as the API takes it, --output terraform for Terraform.")
}

/// Where the lightest of several permissions was chosen. It lets the call through; whether it also shows all that the
/// client wants to see, only its owner knows. What the contract itself decided is not told again.
fn choices(out: &mut Output, source: &Source, proposal: &Proposal) -> io::Result<()> {
    let declared = |name: &String| source.contract.permissions.contains(name);
    for choice in proposal.choices.iter().filter(|choice| !choice.chosen.iter().any(declared)) {
        let others: Vec<&str> = choice.others.iter().take(OTHERS).map(String::as_str).collect();
        let more = match choice.others.len().saturating_sub(OTHERS) {
            0 => String::new(),
            more => format!(" or {more} more"),
        };
        out.line(format_args!("Chosen for {}:", choice.operation))?;
        let (chosen, others) = (choice.chosen.join(", "), others.join(", "));
        out.line(format_args!("  {chosen}, and not {others}{more};"))?;
        out.line("  if it answers too little, name the other one in the contract: permissions = [\"…\"]")?;
    }
    Ok(())
}

fn places(snapshot: &Snapshot, divisions: &[DivisionRef]) -> String {
    let names: Vec<String> = divisions
        .iter()
        .map(|division| match division {
            DivisionRef::All => "all".to_owned(),
            DivisionRef::Unknown => "unknown".to_owned(),
            DivisionRef::One(id) => (snapshot.divisions.as_ref())
                .and_then(|divisions| divisions.get(id))
                .map_or_else(|| id.to_string(), |division| division.name.clone()),
        })
        .collect();
    names.join(", ")
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
