//! Grants as they were observed: each client is asked about only now and then, so a difference says that something
//! changed between two looks, not when.
//!
//! Enters: both sides; the times of the looks. Leaves: what the older side is taken to have held; causes that say their
//! window. Must never: call what is seen for the first time a change (nobody looked before, so it is knowledge gained),
//! or let the times into an event's `delta` (the same change twice has one).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::{
    ClientId,
    access::Access,
    event::{CauseKind, Event},
    inventory::{Client, Grant, ObservedGrants},
    snapshot::Snapshot,
};

/// The field of a cause that holds what changed in the observed grants.
pub(super) const FIELD: &str = "observed_grants";

/// Between which two looks a change took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When the client's grants were observed before.
    pub from: DateTime<Utc>,
    /// When they were observed to differ.
    pub to: DateTime<Utc>,
}

/// Lets one side hold what only the other looked at. Grants that either record names are left to the records: those were
/// looked at every time.
pub(super) fn assume<'a>(side: &mut Access<'a>, other: &'a Snapshot) {
    for (id, seen) in &other.grants {
        if side.snapshot.grants.contains_key(id) {
            continue;
        }
        let (Some(one), Some(two)) = (side.snapshot.clients.get(id), other.clients.get(id)) else { continue };
        let recorded = |grant: &&Grant| {
            [one, two].iter().any(|client| client.grants.as_ref().is_some_and(|all| all.contains(*grant)))
        };
        for grant in seen.grants().filter(|grant| !recorded(grant)) {
            side.assume(id, grant);
        }
    }
}

/// What changed between two looks at one client's grants, beyond what its record tells; `None` if there were not two, or
/// they saw the same.
pub(super) fn difference(
    before: (&Snapshot, &Client),
    after: (&Snapshot, &Client),
    show: impl Fn(&Snapshot, &Grant) -> Value,
) -> Option<Value> {
    let (old, new) = (before.0.grants.get(&before.1.id)?, after.0.grants.get(&after.1.id)?);
    let missing =
        |one: (&Snapshot, &Client), (seen, other): (&ObservedGrants, &ObservedGrants)| -> Vec<Value> {
            let others: BTreeSet<&Grant> = other.grants().collect();
            // A grant that the record shows to have come or gone is told with the record.
            let told = |grant: &Grant| {
                let holds = |client: &Client| client.grants.as_ref().is_some_and(|all| all.contains(grant));
                holds(before.1) != holds(after.1)
            };
            let only_here = seen.grants().filter(|grant| !others.contains(*grant) && !told(grant));
            only_here.map(|grant| with_source(show(one.0, grant), seen, grant)).collect()
        };
    let (added, removed) = (missing(after, (new, old)), missing(before, (old, new)));
    (!added.is_empty() || !removed.is_empty()).then(|| json!({ "added": added, "removed": removed }))
}

/// The grant, with the subject that it comes from if that is not the client itself.
fn with_source(mut value: Value, seen: &ObservedGrants, grant: &Grant) -> Value {
    if !seen.own.contains(grant)
        && let Some((subject, _)) = seen.inherited.iter().find(|(_, grants)| grants.contains(grant))
    {
        value["inherited_from"] = json!(subject);
    }
    value
}

/// Writes into the events of an audit between which looks each change of observed grants took place.
pub fn date(events: &mut [Event], window: impl Fn(&ClientId) -> Option<Window>) {
    for event in events.iter_mut().filter(|event| event.cause.kinds.contains(&CauseKind::ClientGrantsChanged))
    {
        if !event.cause.details.contains_key(FIELD) {
            continue;
        }
        if let Some(Window { from, to }) = window(&event.cause.subject.id.as_str().into()) {
            event.cause.details.insert("observed_between".to_owned(), json!({ "from": from, "to": to }));
        }
    }
}
