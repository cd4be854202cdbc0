//! One event in words: the cause, who gained and lost what by it, and which findings opened and resolved.
//!
//! Enters: an event and the findings of its clients. Leaves: text on the page. Must never: name a client or a permission
//! that the event does not.

use std::{cmp::Reverse, collections::BTreeSet, io, sync::Arc};

use super::{
    page::{Look, Page},
    words::{count, list, plural, upper},
};
use crate::domain::{
    DivisionRef, Severity,
    attribution::Attribution,
    event::{Affected, CauseKind, Event, Gain},
    finding::Finding,
    message, privilege,
};

/// The column of severities and other labels.
pub(super) const LABELS: usize = 8;
/// Effects, reasons and findings named for one event, each.
const NAMED: usize = 6;
/// From this many permissions on, the weightiest stand for all.
const MANY: usize = 5;

/// Tells an event; `opened` and `resolved` are findings of clients that it concerns.
pub(super) fn event(
    page: &mut Page,
    event: &Event,
    opened: &[&Finding],
    resolved: &[&Finding],
) -> io::Result<()> {
    let severity = page.severity(event.severity);
    let headline = page.paint(Look::Bold, &headline(event));
    page.entry(&severity, LABELS, &headline)?;
    if let Some(words) = event.actor.as_ref().map(Attribution::words).filter(|words| !words.is_empty()) {
        page.entry("", LABELS, &format!("{}.", upper(words.trim_start_matches(", "))))?;
    }
    reasons(page, event)?;
    let mut clients: Vec<&Affected> = event.clients.iter().collect();
    clients.sort_by_key(|client| &client.name);
    for client in clients.iter().take(NAMED) {
        let name = page.paint(Look::Bold, &client.name);
        for (verb, gains) in [("gained", &client.gained), ("lost", &client.lost)] {
            if !gains.is_empty() {
                page.entry("", LABELS, &format!("{name} {verb} {}.", summary(gains)))?;
            }
        }
    }
    if clients.len() > NAMED {
        page.entry("", LABELS, &format!("And {} more.", plural(clients.len() - NAMED, "client")))?;
    }
    findings(page, opened, resolved)
}

/// What happened, in one sentence.
pub(super) fn headline(event: &Event) -> String {
    let (cause, name) = (&event.cause, &event.cause.subject.name);
    match cause.kind {
        CauseKind::RolePermissionsChanged if cause.permissions.removed.is_empty() => {
            let gainers = event.clients.iter().filter(|client| !client.gained.is_empty()).count();
            let added = plural(cause.permissions.added.len(), "permission");
            let clients = plural(gainers, "client");
            format!("The role {name} gained {added}, and with it {clients} that nobody touched.")
        }
        CauseKind::RolePermissionsChanged if cause.permissions.added.is_empty() => {
            let lost = plural(cause.permissions.removed.len(), "permission");
            format!("The role {name} lost {lost}.")
        }
        CauseKind::ClientScopesChanged => {
            let changed = |side: &str| cause.details.get("scopes").and_then(|scopes| scopes[side].as_array());
            let [added, removed] = ["added", "removed"].map(|side| changed(side).map_or(0, Vec::len));
            format!(
                "{name} may ask for {} that it could not before, and {removed} fewer.",
                plural(added, "scope")
            )
            .replace(", and 0 fewer", "")
        }
        CauseKind::ClientAdded => format!("{name} is a client that was not there before."),
        CauseKind::ClientRemoved => format!("{name} is gone."),
        _ => message::sentence(event),
    }
}

/// What the weightiest of the gained permissions are good for.
fn reasons(page: &mut Page, event: &Event) -> io::Result<()> {
    let gained: BTreeSet<&str> = event
        .clients
        .iter()
        .flat_map(|client| client.gained.iter())
        .map(|gain| gain.permission.as_str())
        .collect();
    let mut told: Vec<_> = gained.into_iter().filter_map(privilege::of).collect();
    told.sort_by_key(|privilege| Reverse(privilege.weight));
    for privilege in told.iter().take(2) {
        let permission = page.paint(Look::Severity(privilege.tier), privilege.permission);
        page.entry("", LABELS, &format!("+ {permission}: whoever holds it {}.", privilege.reason))?;
    }
    Ok(())
}

/// `a and b in every division`; of many, how many and the weightiest.
fn summary(gains: &[Gain]) -> String {
    let names =
        |gains: &[&Gain]| list(&gains.iter().map(|gain| gain.permission.as_str()).collect::<Vec<_>>());
    let all: Vec<&Gain> = gains.iter().collect();
    if gains.len() < MANY {
        return format!("{} {}", names(&all), place(gains));
    }
    let mut weightiest = all;
    weightiest.sort_by_key(|gain| Reverse(privilege::of(&gain.permission).map_or(0, |known| known.weight)));
    weightiest.truncate(3);
    let number = count(gains.len());
    format!("{number} permissions {}, {} among them", place(gains), names(&weightiest))
}

fn place(gains: &[Gain]) -> String {
    let places: BTreeSet<&DivisionRef> = gains.iter().flat_map(|gain| &gain.divisions).collect();
    if places.contains(&DivisionRef::All) {
        "in every division".to_owned()
    } else if places.contains(&DivisionRef::Unknown) {
        "in a division that its record does not name".to_owned()
    } else {
        format!("in {}", plural(places.len(), "division"))
    }
}

/// Findings that opened and resolved, the most severe first.
pub(super) fn findings(page: &mut Page, opened: &[&Finding], resolved: &[&Finding]) -> io::Result<()> {
    for (verb, look, findings) in [("opened", Look::Bad, opened), ("resolved", Look::Good, resolved)] {
        let mut sorted = findings.to_vec();
        sorted.sort_by_key(|finding| (Reverse(finding.severity), &finding.title));
        for Finding { severity, title, check, .. } in sorted.iter().take(NAMED) {
            let label = page.paint(look, verb);
            page.entry(&label, LABELS, &format!("{title} ({severity}: {check})"))?;
        }
        if sorted.len() > NAMED {
            page.entry("", LABELS, &format!("and {} more", plural(sorted.len() - NAMED, "finding")))?;
        }
    }
    Ok(())
}

/// Whether an event concerns a client: it is the one that changed, or gained or lost by the change.
pub(super) fn concerns(event: &Event, client: &str) -> bool {
    event.cause.subject.id == client || event.clients.iter().any(|Affected { id, .. }| id.as_str() == client)
}

/// The most severe first; the store's order is by id.
pub(super) fn most_severe_first(events: &[Event]) -> Vec<&Event> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| Reverse((event.severity, event.clients.len())));
    sorted
}

/// `3 critical, 23 high, …`, the worst first.
pub(super) fn by_severity(page: &Page, findings: &[Arc<Finding>]) -> String {
    let count = |severity: &Severity| findings.iter().filter(|finding| finding.severity == *severity).count();
    let all = Severity::ALL.iter().rev().map(|severity| (count(severity), *severity));
    let some = all.filter(|(number, _)| *number > 0);
    some.map(|(number, severity)| format!("{number} {}", page.severity(severity)))
        .collect::<Vec<_>>()
        .join(", ")
}
