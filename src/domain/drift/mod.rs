//! ★ Where drift is computed: what changed between two snapshots, why, and which clients it reaches.
//!
//! Enters: two snapshots of one organisation. Leaves: one [`Event`] for each subject that changed, sorted by
//! subject, each with its whole delta (`causes`) and the power that clients gained or lost by it (`effects`).
//! Must never: report what a gap hides (snapshots carry the last value forward, so a gap is no change), or give an
//! event to a client that only suffers the effect.
//!
//! - `changed` names the entities to look at, and the clients whose power can differ.
//! - `causes` compares entity by entity, `definition` the operations of the platform. - `platform` tells the platform's own
//!   additions from role edits. - `observed` knows what follows from grants that are only looked at now and then.
//! - `effects` compares client by client, and finds for each net gain the causes that opened a way to it.

mod causes;
mod changed;
mod definition;
mod effects;
mod observed;
mod platform;

use std::collections::BTreeMap;

use serde_json::json;

use self::{
    changed::{Changed, Reached},
    effects::Effect,
};

pub use observed::{Window, date};

use super::{
    ClientId, DivisionId, RoleId, Severity,
    access::{Access, acts_by_roles},
    catalogue::Catalogue,
    event::{Affected, Cause, CauseKind, Event},
    evidence::{Digester, Hash},
    snapshot::Snapshot,
};

/// The thing that changed; also what an effect is attributed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum SubjectKey {
    Catalogue,
    Client(ClientId),
    /// By its key within a snapshot.
    Contract(String),
    Division(DivisionId),
    Operations,
    Role(RoleId),
    Settings,
}

/// Two snapshots, numbered alike so that their powers can be compared bit by bit.
struct Pair<'a> {
    before: Access<'a>,
    after: Access<'a>,
}

impl<'a> Pair<'a> {
    /// `needed`: the roles whose power will be asked for.
    fn new(before: &'a Snapshot, after: &'a Snapshot, needed: impl Fn(&RoleId) -> bool) -> Self {
        let [old, new] = catalogues(before, after);
        let [mut before, mut after] = Access::pair((before, old), (after, new), needed);
        let (earlier, later) = (before.snapshot, after.snapshot);
        observed::assume(&mut before, later);
        observed::assume(&mut after, earlier);
        Self { before, after }
    }
}

/// The catalogue of each side. One that was read for the first time is knowledge gained, not a change: both sides are
/// then seen in its light.
fn catalogues<'a>(before: &'a Snapshot, after: &'a Snapshot) -> [&'a Catalogue; 2] {
    match (&before.catalogue, &after.catalogue) {
        (Some(old), Some(new)) => [old, new],
        (Some(only), None) | (None, Some(only)) => [only, only],
        (None, None) => [Catalogue::compiled_in(), Catalogue::compiled_in()],
    }
}

/// Everything that changed from one snapshot to the next. `org` is the organisation's configured name, `audit` the
/// id of the audit that saw `after`; both only name the events.
pub fn between(org: &str, audit: &str, before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    with_gains(org, audit, before, after).into_iter().map(|(event, _)| event).collect()
}

/// The same, each event with the worst of what somebody gained by it: the highest tier among the permissions that widen
/// a client's power, and for clients that act as their user what the new scopes are worth. `None`: nobody gained.
pub fn with_gains(
    org: &str,
    audit: &str,
    before: &Snapshot,
    after: &Snapshot,
) -> Vec<(Event, Option<Severity>)> {
    let changed = Changed::between(before, after);
    if changed.is_empty() {
        return Vec::new();
    }
    let reached = Reached::by(&changed, before, after);
    let pair = Pair::new(before, after, |role| reached.needs(role));
    let events = events(org, audit, causes::find(&pair, &changed), effects::find(&pair, &reached));
    events
        .into_iter()
        .map(|(event, gain)| {
            let by_scopes = scopes_gained(&event, after);
            (event, gain.max(by_scopes))
        })
        .collect()
}

/// What new scopes, or a new way to sign in, are worth to a client that acts as its user.
fn scopes_gained(event: &Event, after: &Snapshot) -> Option<Severity> {
    let client = after.clients.get(event.cause.subject.id.as_str())?;
    let is_client = event.cause.subject.kind == "client";
    let scopes = event.cause.details.get("scopes");
    let added = scopes.and_then(|scopes| scopes["added"].as_array()).is_some_and(|added| !added.is_empty());
    let new = event.cause.kinds.contains(&CauseKind::ClientAdded);
    (is_client && !acts_by_roles(client) && (added || new)).then_some(event.severity)
}

/// One event for each cause, with what it did.
fn events(
    org: &str,
    audit: &str,
    causes: Causes,
    mut effects: BTreeMap<SubjectKey, Effect>,
) -> Vec<(Event, Option<Severity>)> {
    let events = causes
        .into_iter()
        .map(|(subject, cause)| {
            let effect = effects.remove(&subject).unwrap_or_default();
            let severity = severity(&cause).max(effect.worst_gain.unwrap_or(Severity::Info));
            (event(org, audit, severity, cause, effect.clients), effect.worst_gain)
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
        | CauseKind::CatalogueChanged
        | CauseKind::ContractChanged => Severity::Low,
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
    let mut event = Event {
        id: String::new(),
        delta: String::new(),
        org: org.to_owned(),
        severity,
        cause,
        clients,
        actor: None,
    };
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
