//! What the platform changed in its own definition: operations that came, went, or have another rule.
//!
//! Enters: both sides of a comparison. Leaves: one cause, with bounded lists and whole counts. Must never: take a
//! definition that was read for the first time (or by a newer release's table) for a change.

use serde_json::{Value, json};

use super::causes::{Draft, LISTED};
use crate::domain::{access::Access, catalogue::Operation, event::CauseKind, evidence::Hash};

/// How the operations of two sides differ; nothing if both saw the same, or one side saw none of its own.
pub(super) fn compare(before: &Access<'_>, after: &Access<'_>) -> Option<Draft> {
    let (Some(old), Some(new)) = (&before.snapshot.operations, &after.snapshot.operations) else {
        return None;
    };
    let difference = new.since(old);
    let names = |list: &[&Operation]| list.iter().map(|operation| json!(operation.name)).collect::<Vec<_>>();
    let changed = difference.changed.iter().map(|(old, new)| {
        let rule = |operation: &Operation| {
            json!({ "mode": operation.mode, "permissions": operation.permissions, "scopes": operation.scopes })
        };
        json!({ "operation": new.name, "from": rule(old), "to": rule(new) })
    });
    let lists = [names(&difference.added), names(&difference.removed), changed.collect()];
    let counts = json!({ "added": lists[0].len(), "removed": lists[1].len(), "changed": lists[2].len() });
    if lists.iter().all(Vec::is_empty) {
        return None;
    }
    let mut draft = Draft::of("catalogue", "operations", "API definition")
        .says(CauseKind::CatalogueChanged)
        .with("counts", counts);
    if lists.iter().any(|list| list.len() > LISTED) {
        // What is left out still makes another change of it: an approval covers one.
        draft = draft.with("digest", json!(Hash::of(json!(lists).to_string().as_bytes())));
    }
    let [added, removed, changed] = lists.map(|mut list: Vec<Value>| {
        list.truncate(LISTED);
        list
    });
    Some(draft.with("operations", json!({ "added": added, "removed": removed, "changed": changed })))
}
