//! ★ Where drift is computed: what changed between two snapshots, why, and which clients it reaches.
//!
//! Enters: two snapshots of one organisation. Leaves: one [`Event`] for each subject that changed, sorted by
//! subject, each with its whole delta (`causes`) and the power that clients gained or lost by it (`effects`).
//! Must never: report what a gap hides (snapshots carry the last value forward, so a gap is no change), or give an
//! event to a client that only suffers the effect.
//!
//! - `causes` compares entity by entity. - `platform` tells the platform's own additions from role edits.
//! - `effects` compares client by client, and finds for each net gain the causes that opened a way to it.

mod causes;
mod effects;
mod platform;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::json;

use super::{
    ClientId, DivisionId, RoleId, Severity,
    access::Access,
    catalogue::Catalogue,
    event::{Affected, Cause, CauseKind, Event},
    evidence::{Digester, Hash},
    permission::Universe,
    snapshot::Snapshot,
};

/// The thing that changed; also what an effect is attributed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum SubjectKey {
    Catalogue,
    Client(ClientId),
    Division(DivisionId),
    Role(RoleId),
    Settings,
}

/// Two snapshots, numbered alike so that their powers can be compared bit by bit.
struct Pair<'a> {
    before: Access<'a>,
    after: Access<'a>,
}

impl<'a> Pair<'a> {
    fn new(before: &'a Snapshot, after: &'a Snapshot) -> Self {
        // A catalogue that was read for the first time is knowledge gained, not a change: both sides are then seen
        // in its light.
        let (old, new) = match (&before.catalogue, &after.catalogue) {
            (Some(old), Some(new)) => (old, new),
            (Some(only), None) | (None, Some(only)) => (only, only),
            (None, None) => (Catalogue::compiled_in(), Catalogue::compiled_in()),
        };
        let roles = before.roles.values().chain(after.roles.values());
        let universe = Arc::new(Universe::new([old, new], roles));
        let before = Access::within(before, Cow::Borrowed(old), Arc::clone(&universe));
        let after = Access::within(after, Cow::Borrowed(new), universe);
        Self { before, after }
    }
}

/// Everything that changed from one snapshot to the next. `org` is the organisation's configured name, `audit` the
/// id of the audit that saw `after`; both only name the events.
pub fn between(org: &str, audit: &str, before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    if before.digest() == after.digest() {
        return Vec::new();
    }
    let pair = Pair::new(before, after);
    let causes = causes::find(&pair);
    let changed: BTreeSet<&SubjectKey> = causes.keys().collect();
    let mut effects = effects::find(&pair, &changed);
    let events = causes
        .into_iter()
        .map(|(subject, cause)| {
            let effect = effects.remove(&subject).unwrap_or_default();
            let severity = severity(&cause).max(effect.worst_gain.unwrap_or(Severity::Info));
            event(org, audit, severity, cause, effect.clients)
        })
        .collect();
    debug_assert!(effects.is_empty(), "an effect without a cause: {:?}", effects.keys());
    events
}

/// How bad a change is by itself, before what anybody gained by it is looked at.
fn severity(cause: &Cause) -> Severity {
    let of_kind = |kind: &CauseKind| match kind {
        CauseKind::ClientGrantTypeChanged
        | CauseKind::ClientRedirectUrisChanged
        | CauseKind::ScopeEnforcementChanged => Severity::Medium,
        CauseKind::ClientScopesChanged => match cause.details.get("scopes") {
            Some(scopes) if scopes["added"].as_array().is_some_and(|added| added.contains(&json!("all"))) => {
                Severity::High
            }
            Some(scopes) if scopes["added"].as_array().is_some_and(|added| !added.is_empty()) => {
                Severity::Medium
            }
            _ => Severity::Info,
        },
        CauseKind::ClientAdded
        | CauseKind::ClientGrantsChanged
        | CauseKind::ClientStateChanged
        | CauseKind::ClientTokenLifetimeChanged
        | CauseKind::RolePermissionsChanged
        | CauseKind::RoleConditionsLoosened
        | CauseKind::CatalogueChanged => Severity::Low,
        CauseKind::ClientRemoved
        | CauseKind::ClientNameChanged
        | CauseKind::ClientDescriptionChanged
        | CauseKind::RoleAdded
        | CauseKind::RoleRemoved
        | CauseKind::RoleConditionsTightened
        | CauseKind::RoleRenamed
        | CauseKind::RoleDescriptionChanged
        | CauseKind::DivisionAdded
        | CauseKind::DivisionRemoved
        | CauseKind::DivisionRenamed => Severity::Info,
    };
    cause.kinds.iter().map(of_kind).max().unwrap_or(Severity::Info)
}

fn event(org: &str, audit: &str, severity: Severity, cause: Cause, clients: Vec<Affected>) -> Event {
    let mut event =
        Event { id: String::new(), delta: String::new(), org: org.to_owned(), severity, cause, clients };
    event.delta = Hash::of(event.pack().as_bytes()).to_string();
    let mut occurrence = Digester::default();
    occurrence.part(audit.as_bytes()).part(event.delta.as_bytes());
    event.id = format!("evt-{}", &occurrence.finish().to_string()[..24]);
    event
}

/// Causes by subject, in the order in which events are listed.
type Causes = BTreeMap<SubjectKey, Cause>;

#[cfg(test)]
mod tests;
