//! Which entries explain a change, and how surely.
//!
//! Enters: a question, entries in any order, and what of the log was read. Leaves: an answer, or `None` if the log has
//! nothing (yet).
//!
//! An entry *agrees* if its old and new values hold the whole delta, *may* be it if it tells no values, some of them, or
//! names a property like the one that changed, and is *another* change otherwise; one that only did the opposite *opposes*
//! it. Where one agrees, entries that oppose it are no candidates (who added cannot have removed), nor are those about
//! other properties than its own, and than what changed. What is left is exact if it has one actor and none was missed.

use std::collections::BTreeSet;

use super::{
    Actor, Attribution, CANDIDATES, CHANGES, Candidate, Certainty, Change, Entry, Question, VALUES, short,
};
use crate::domain::event::CauseKind;

/// How much of the log within the window was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// All that it shows.
    Whole,
    /// There was more than is read.
    Partly,
}

/// How well an entry explains the delta.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Opposes,
    Another,
    May,
    Agrees,
}

/// Who made the change, by these entries; `None`: none of them is about it.
pub fn answer(question: &Question, entries: &[Entry], read: Read) -> Option<Attribution> {
    let about: BTreeSet<&Entry> = entries
        .iter()
        .filter(|entry| question.window.holds(entry.at) && entry.entities.contains(&question.subject.id))
        .filter(|entry| can_be(question.kind, &entry.action))
        .collect();
    let mut possible: Vec<(Fit, &Entry)> = about.iter().map(|entry| (fit(question, entry), *entry)).collect();
    let settled: BTreeSet<String> = possible
        .iter()
        .filter(|(fit, _)| *fit == Fit::Agrees)
        .flat_map(|(_, entry)| entry.changes.iter().map(|change| plain(&change.property)))
        .collect();
    if !settled.is_empty() {
        possible.retain(|(fit, entry)| {
            let same = |change: &Change| {
                settled.contains(&plain(&change.property))
                    || is_like(&change.property, &question.terms.fields)
            };
            *fit != Fit::Opposes && (entry.changes.is_empty() || entry.changes.iter().any(same))
        });
    }
    // The last writer that explains it best.
    let (fit, best) = possible.iter().max_by_key(|(fit, entry)| (*fit, *entry)).copied()?;
    let one_actor = best.actor.as_ref().filter(|actor| {
        possible.iter().all(|(_, entry)| entry.actor.as_ref().is_some_and(|other| other.is(actor)))
    });
    let mut candidates: Vec<&Entry> = possible.iter().map(|(_, entry)| *entry).collect();
    candidates.sort_unstable();
    candidates.reverse();
    let total = candidates.len();
    let listed: Vec<Candidate> = candidates.into_iter().take(CANDIDATES).map(candidate).collect();
    Some(match one_actor {
        Some(actor) if fit > Fit::Another && read == Read::Whole => Attribution {
            certainty: Certainty::Exact,
            kind: Some(actor.kind),
            id: actor.id.clone(),
            name: actor.name.clone(),
            at: Some(best.at),
            remote_ip: best.remote_ip.clone(),
            action: Some(best.action.clone()),
            changes: told(&best.changes),
            candidates: if total > 1 { listed } else { Vec::new() },
            candidates_total: total,
            reason: None,
        },
        _ => {
            let reason = match (read, total) {
                (Read::Partly, _) => "the audit log holds more entries of this time than are read",
                (_, 1) => "the only entry about it does not tell of this change",
                _ => "several entries about it cannot be told apart",
            };
            Attribution {
                certainty: Certainty::WithinWindow,
                action: Some(best.action.clone()),
                candidates: listed,
                candidates_total: total,
                ..Attribution::unknown(reason)
            }
        }
    })
}

/// Whether an action of the platform can bring about a change of this kind.
fn can_be(kind: CauseKind, action: &str) -> bool {
    let made = ["Create", "Add"].contains(&action);
    let gone = ["Delete", "Remove"].contains(&action);
    match kind {
        CauseKind::ClientAdded | CauseKind::RoleAdded | CauseKind::DivisionAdded => made,
        CauseKind::ClientRemoved | CauseKind::RoleRemoved | CauseKind::DivisionRemoved => gone,
        // Grants are added and removed too.
        CauseKind::ClientGrantsChanged => !is_idle(action),
        _ => !["Create", "Delete"].contains(&action) && !is_idle(action),
    }
}

/// Actions that leave what an audit reads as it is.
fn is_idle(action: &str) -> bool {
    ["View", "Read", "Download", "Authorize", "Deauthorize", "Revoke", "LicenseUpdate"].contains(&action)
}

fn fit(question: &Question, entry: &Entry) -> Fit {
    let came_or_went = matches!(
        question.kind,
        CauseKind::ClientAdded
            | CauseKind::ClientRemoved
            | CauseKind::RoleAdded
            | CauseKind::RoleRemoved
            | CauseKind::DivisionAdded
            | CauseKind::DivisionRemoved
    );
    if came_or_went || entry.changes.is_empty() {
        return Fit::May;
    }
    let (mut added, mut removed): (BTreeSet<&str>, BTreeSet<&str>) = (BTreeSet::new(), BTreeSet::new());
    for change in &entry.changes {
        added.extend(change.new.iter().filter(|value| !change.old.contains(value)).map(String::as_str));
        removed.extend(change.old.iter().filter(|value| !change.new.contains(value)).map(String::as_str));
    }
    let (wanted_in, wanted_out) = (&question.terms.added, &question.terms.removed);
    let known = !wanted_in.is_empty() || !wanted_out.is_empty();
    let has = |list: &BTreeSet<&str>, term: &String| list.contains(term.as_str());
    if known
        && wanted_in.iter().all(|term| has(&added, term))
        && wanted_out.iter().all(|term| has(&removed, term))
    {
        return Fit::Agrees;
    }
    let opposite = |values: &BTreeSet<&str>, wanted: &BTreeSet<String>| {
        values.iter().all(|value| wanted.contains(*value))
    };
    if known
        && opposite(&added, wanted_out)
        && opposite(&removed, wanted_in)
        && added.len() + removed.len() > 0
    {
        return Fit::Opposes;
    }
    let some = wanted_in.iter().any(|term| has(&added, term))
        || wanted_out.iter().any(|term| has(&removed, term))
        || entry.changes.iter().any(|change| is_like(&change.property, &question.terms.fields));
    if some { Fit::May } else { Fit::Another }
}

/// Whether a property of the log is named like one of the fields that changed: `permission_policies` and `permissions`,
/// `role_divisions` and `grants`.
fn is_like(property: &str, fields: &BTreeSet<String>) -> bool {
    let property = plain(property);
    fields.iter().any(|field| {
        let words: &[&str] = match field.as_str() {
            "permissions" | "conditions_loosened" | "conditions_tightened" => &["permission", "polic"],
            "grants" | "observed_grants" => &["role", "grant", "division"],
            "scopes" => &["scope"],
            "redirect_uris" => &["redirect"],
            "token_lifetime_s" => &["validity", "lifetime", "duration"],
            "date_to_delete" | "state" => &["state", "delete"],
            "grant_type" => &["granttype"],
            "description" => &["description"],
            "name" => &["name"],
            _ => &[],
        };
        words.iter().any(|word| property.contains(word)) || property == plain(field)
    })
}

/// `permission_policies`, `permissionPolicies` and `PermissionPolicies` are one name.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn candidate(entry: &Entry) -> Candidate {
    let actor: Option<&Actor> = entry.actor.as_ref();
    Candidate {
        kind: actor.map(|actor| actor.kind),
        id: actor.and_then(|actor| actor.id.clone()),
        name: actor.and_then(|actor| actor.name.clone()),
        at: entry.at,
        remote_ip: entry.remote_ip.clone(),
        action: entry.action.clone(),
    }
}

/// The changes as they are told: only what differs of each property, and not more than a person reads.
fn told(changes: &[Change]) -> Vec<Change> {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|value| !other.contains(value)).take(VALUES).map(|value| short(value)).collect()
    };
    let tell = |change: &Change| Change {
        property: short(&change.property),
        old: only(&change.old, &change.new),
        new: only(&change.new, &change.old),
    };
    changes.iter().take(CHANGES).map(tell).collect()
}
