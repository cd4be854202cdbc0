//! Whether the story came true.
//!
//! Enters: both acts, the changes that were made, and who holds the widened role by the organisation's own records.
//! Leaves: every promise that was not kept. Must never: take an audit's word for what the organisation is.

use std::collections::BTreeSet;

use super::{act::Act, administrator::Change};
use crate::domain::event::{CauseKind, Event};

/// Everything that did not come true; empty if all is well.
pub(super) fn broken(
    before: &Act,
    after: &Act,
    changes: &[Change],
    holders: &BTreeSet<String>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let mut promise = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    promise(
        before.report.baseline && before.report.events.is_empty(),
        "the first audit is a baseline".to_owned(),
    );
    promise(!after.report.baseline, "the second audit is compared with the first".to_owned());
    let kinds: BTreeSet<&str> = before.alerts.iter().map(|alert| alert.kind.as_str()).collect();
    promise(
        kinds == BTreeSet::from(["baseline.recorded"]),
        "the first audit sends one baseline.recorded".to_owned(),
    );
    for (act, which) in [(before, "first"), (after, "second")] {
        promise(act.report.complete, format!("the {which} audit sees everything"));
        promise(act.undelivered == 0, format!("every alert of the {which} audit is delivered"));
        for alert in &act.alerts {
            promise(alert.verified, format!("the signature of alert {} is good", alert.id));
        }
    }
    let explains = |event: &&Event, change: &Change| {
        event.cause.kind == change.kind && event.cause.subject.id == change.subject
    };
    let events = &after.report.events;
    for change in changes {
        let event = events.iter().find(|event| explains(event, change));
        promise(event.is_some(), format!("the second audit explains this: {}", change.told));
        let Some(event) = event else { continue };
        let alerted = after.alerts.iter().any(|alert| alert.id == event.id && alert.kind == "drift.detected");
        promise(alerted, format!("an alert tells of this: {}", change.told));
        if change.kind == CauseKind::RolePermissionsChanged {
            let gained = event.clients.iter().filter(|client| !client.gained.is_empty());
            let gained: BTreeSet<String> = gained.map(|client| client.id.as_str().to_owned()).collect();
            promise(
                gained == *holders,
                "exactly the clients that hold the widened role gained by it".to_owned(),
            );
        }
    }
    promise(events.len() == changes.len(), format!("nothing else changed ({} events)", events.len()));
    broken
}
