//! Drift on random organisations: against a slow and obvious reference, and against the same reckoning without
//! anything left out.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use proptest::prelude::*;

use super::*;
use crate::domain::catalogue::{Mode, Operation, Operations};

const ACTIONS: [&str; 3] = ["view", "edit", "all"];

fn names() -> Vec<String> {
    let mut names = Vec::new();
    for domain in ["routing", "wfm"] {
        for entity in ["queue", "skill"] {
            names.extend(ACTIONS.map(|action| format!("{domain}:{entity}:{action}")));
        }
    }
    names
}

fn any_role(id: usize) -> impl Strategy<Value = Role> {
    let pattern = prop_oneof![
        6 => prop::sample::select(names()),
        2 => prop::sample::select(vec![
            "routing:*:*", "routing:queue:*", "*:*:view", "*:queue:edit", "unknown:thing:view",
        ]).prop_map(str::to_owned),
    ];
    let policy = (pattern, prop::option::weighted(0.3, prop::sample::select(vec!["{1}", "{2}"])));
    (prop::collection::vec(policy, 0..5), prop::bool::weighted(0.1), prop::bool::weighted(0.2)).prop_map(
        move |(policies, admin, shipped)| {
            let mut made = role(&format!("r{id}"));
            for (pattern, condition) in policies {
                made = match condition {
                    Some(condition) => made.can_if(&pattern, condition),
                    None => made.can(&pattern),
                };
            }
            made.is_default = shipped;
            if admin { made.general("admin") } else { made }
        },
    )
}

fn any_client(id: usize) -> impl Strategy<Value = Client> {
    let grant = (0..5_usize, prop::sample::select(vec!["*", "d1", "d2", "unknown"]));
    (
        prop::collection::vec(grant, 0..4),
        prop::collection::btree_set(prop::sample::select(vec!["routing", "all", "users"]), 0..2),
        prop::sample::select(vec!["CLIENT-CREDENTIALS", "CLIENT-CREDENTIALS", "CLIENT-CREDENTIALS", "CODE"]),
    )
        .prop_map(move |(grants, scopes, grant_type)| {
            let mut made = client(&format!("c{id}")).of_type(grant_type);
            for (role, division) in grants {
                made = made.grant(&format!("r{role}"), division);
            }
            for scope in scopes {
                made = made.scope(scope);
            }
            made
        })
}

prop_compose! {
    fn any_organisation()(
        roles in (0..4_usize, 0..4_usize).prop_flat_map(|(from, count)| {
            (from..from + count).map(any_role).collect::<Vec<_>>()
        }),
        clients in (0..3_usize, 0..5_usize).prop_flat_map(|(from, count)| {
            (from..from + count).map(any_client).collect::<Vec<_>>()
        }),
        known in prop::collection::vec((prop::sample::select(names()), prop::bool::weighted(0.3)), 1..12),
        enforced in prop::bool::weighted(0.3),
        defined in 0..2_usize,
        observed in prop::collection::vec((0..7_usize, 0..5_usize, prop::sample::select(vec!["*", "d1"])), 0..3),
    ) -> Snapshot {
        let mut snapshot = fixtures::snapshot(clients, roles);
        snapshot.operations = Some(Arc::clone(&DEFINITIONS[defined]));
        for (client, role, division) in observed {
            let (client, role) = (format!("c{client}"), format!("r{role}"));
            snapshot = snapshot.observing(&client, &[(&role, division)]);
        }
        snapshot.grants.retain(|id, _| snapshot.clients.contains_key(id));
        let known: Vec<String> =
            known.into_iter().map(|(name, org_wide)| if org_wide { name + "!" } else { name }).collect();
        snapshot.catalogue = Some(catalogue(known.iter().map(String::as_str)));
        if enforced {
            snapshot.settings.scope_enforcement = ScopeEnforcement::AllGrants;
        }
        snapshot.seal()
    }
}

/// Two definitions of the platform. The second lets the scope `users` through to what `routing` alone reached.
static DEFINITIONS: LazyLock<[Arc<Operations>; 2]> = LazyLock::new(|| {
    let listed = |scopes: &[&str]| {
        let permissions = ["routing:queue:view", "wfm:skill:edit"].map(Box::from).to_vec();
        let scopes = scopes.iter().map(|&scope| Box::from(scope)).collect();
        vec![Operation { mode: Mode::Any, name: "GET /api/v2/x".into(), permissions, scopes }]
    };
    [&["routing"][..], &["routing", "users"]].map(|scopes| Arc::new(Operations::defined(listed(scopes))))
});

type KeySet = BTreeSet<(String, String, String, bool)>;

/// Slow and obvious: what every client holds, as (client, permission, division, conditional).
fn held(snapshot: &Snapshot, other: &Snapshot) -> KeySet {
    let known = &snapshot.catalogue.as_ref().expect("has one").permissions;
    let mut keys = KeySet::new();
    for client in snapshot.clients.values() {
        if client.grant_type.as_str() != "CLIENT-CREDENTIALS" {
            continue;
        }
        let mut mine: BTreeSet<(String, String, bool)> = BTreeSet::new();
        for grant in client.grants().chain(observed(snapshot, client, other)) {
            let Some(role) = snapshot.roles.get(&grant.role) else { continue };
            // A role lists what the catalogue knows, and what it names itself.
            let mut names: BTreeSet<String> = known.keys().cloned().collect();
            names.extend(patterns(role).filter(|(p, _)| !p.is_wildcard()).map(|(p, _)| p.to_string()));
            for (pattern, condition) in patterns(role) {
                for name in names.iter().filter(|name| pattern.matches(name)) {
                    let aware = known.get(name).is_none_or(|facts| facts.division_aware);
                    let place = if aware { grant.division.as_str() } else { "*" };
                    mine.insert((name.clone(), place.to_owned(), condition.is_some()));
                }
            }
        }
        if snapshot.settings.scope_enforcement == ScopeEnforcement::AllGrants {
            mine.retain(|(name, _, _)| scope_lets_through(snapshot, client, name));
        }
        for key in &mine {
            let (name, place, conditional) = key;
            let stronger = mine.iter().any(|other| {
                other != key
                    && other.0 == *name
                    && (other.1 == *place || other.1 == "*")
                    && (!other.2 || *conditional)
            });
            if !stronger {
                keys.insert((client.id.to_string(), name.clone(), place.clone(), *conditional));
            }
        }
    }
    keys
}

/// What was seen beside a client's record; where only the other side looked, what it saw beside both records.
fn observed<'a>(snapshot: &'a Snapshot, client: &Client, other: &'a Snapshot) -> Vec<&'a Grant> {
    if let Some(seen) = snapshot.grants.get(&client.id) {
        return seen.own.iter().collect();
    }
    let (Some(seen), Some(twin)) = (other.grants.get(&client.id), other.clients.get(&client.id)) else {
        return Vec::new();
    };
    let recorded = |grant: &&Grant| client.grants().chain(twin.grants()).any(|known| known == *grant);
    seen.own.iter().filter(|grant| !recorded(grant)).collect()
}

fn scope_lets_through(snapshot: &Snapshot, client: &Client, permission: &str) -> bool {
    let operations = snapshot.operations.as_ref().expect("has some");
    let mut naming = operations
        .iter()
        .filter(|operation| operation.permissions().any(|name| name == permission))
        .peekable();
    client.scopes.contains("all")
        || naming.peek().is_none()
        || naming.any(|operation| {
            operation.scopes.is_empty() || operation.scopes().any(|scope| client.scopes.contains(scope))
        })
}

fn listed(events: &[Event], which: impl Fn(&crate::domain::event::Affected) -> &[Gain]) -> KeySet {
    let mut keys = KeySet::new();
    for client in events.iter().flat_map(|event| &event.clients) {
        for gain in which(client) {
            for division in &gain.divisions {
                keys.insert((
                    client.id.to_string(),
                    gain.permission.clone(),
                    division.to_string(),
                    gain.conditional,
                ));
            }
        }
    }
    keys
}

/// Everything compared with everything: every entity, every client on its own, with the power of every role.
fn unrestricted(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    fn ids<'a, K: Ord + std::borrow::Borrow<str>, V>(
        old: &'a BTreeMap<K, V>,
        new: &'a BTreeMap<K, V>,
    ) -> BTreeSet<&'a str> {
        old.keys().chain(new.keys()).map(std::borrow::Borrow::borrow).collect()
    }
    let none = BTreeMap::new();
    let [old, new] = [before, after].map(|side| side.divisions.as_ref().unwrap_or(&none));
    let changed = Changed {
        clients: ids(&before.clients, &after.clients),
        roles: ids(&before.roles, &after.roles),
        divisions: ids(old, new),
        catalogue: true,
        operations: true,
        settings: true,
        contracts: ids(&before.contracts, &after.contracts),
    };
    let reached = Reached::by(&changed, before, after);
    assert!(reached.same.is_empty());
    let pair = Pair::new(before, after, |_| true);
    super::super::events("acme", "x", causes::find(&pair, &changed), effects::find(&pair, &reached))
        .into_iter()
        .map(|(event, _)| event)
        .collect()
}

/// An organisation and what a few edits make of it: most of it stays, as from one audit to the next.
fn edited() -> impl Strategy<Value = (Snapshot, Snapshot)> {
    let edits = (
        prop::option::weighted(0.7, any_role(1)),
        prop::option::weighted(0.3, (0..6_usize).prop_flat_map(any_client)),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.2, prop::sample::select(names())),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.2, 0..2_usize),
    );
    (any_organisation(), edits).prop_map(
        |(before, (role, client, gone, renamed, known, enforced, unread, defined))| {
            let mut after = before.clone();
            if let Some(role) = role {
                after.roles.insert(role.id.clone(), role);
            }
            if let Some(client) = client {
                after.clients.insert(client.id.clone(), client);
            }
            if gone {
                after.roles.pop_last();
            }
            if renamed && let Some(mut role) = after.roles.first_entry() {
                role.get_mut().name.push_str(" (old)");
            }
            if let Some(name) = known {
                after.catalogue =
                    Some(catalogue(before.catalogue.iter().flat_map(|known| {
                        known.permissions.keys().map(String::as_str).chain([name.as_str()])
                    })));
            }
            if enforced {
                after.settings.scope_enforcement = ScopeEnforcement::AllGrants;
            }
            if unread {
                after.catalogue = None;
            }
            if let Some(defined) = defined {
                after.operations = Some(Arc::clone(&DEFINITIONS[defined]));
            }
            (before, after.seal())
        },
    )
}

proptest! {
    /// What is left out makes no difference: the same causes, effects, order and ids.
    #[test]
    fn looking_only_at_what_is_reached_tells_the_same(
        (before, after) in prop_oneof![3 => edited(), 1 => (any_organisation(), any_organisation())],
    ) {
        prop_assert_eq!(between("acme", "x", &before, &after), unrestricted(&before, &after));
        prop_assert_eq!(between("acme", "x", &after, &before), unrestricted(&after, &before));
    }
}

proptest! {
    #[test]
    fn drift_applied_to_before_gives_after(before in any_organisation(), after in any_organisation()) {
        let events = between("acme", "x", &before, &after);
        let (gained, lost) = (listed(&events, |c| &c.gained), listed(&events, |c| &c.lost));
        let (old, new) = (held(&before, &after), held(&after, &before));
        prop_assert_eq!(&gained, &new.difference(&old).cloned().collect::<KeySet>());
        prop_assert_eq!(&lost, &old.difference(&new).cloned().collect::<KeySet>());
    }

    #[test]
    fn no_change_is_no_event_and_every_change_is_one(before in any_organisation(), after in any_organisation()) {
        prop_assert!(between("acme", "x", &before, &before.clone()).is_empty());
        let subjects: BTreeSet<(String, String)> = between("acme", "x", &before, &after)
            .into_iter()
            .map(|event| (event.cause.subject.kind, event.cause.subject.id))
            .collect();
        for change in after.changes_since(Some(&before)) {
            let kind = change.key.kind.as_str().to_owned();
            if ["client", "division"].contains(&kind.as_str()) {
                prop_assert!(subjects.contains(&(kind, change.key.id)));
            }
        }
    }

    #[test]
    fn what_one_cause_did_is_not_shared_and_what_two_did_is(
        before in any_organisation(),
        after in any_organisation(),
    ) {
        let events = between("acme", "x", &before, &after);
        for event in &events {
            for client in &event.clients {
                for gain in client.gained.iter() {
                    let others = events.iter().filter(|other| other.id != event.id).any(|other| {
                        other.clients.iter().any(|one| {
                            one.id == client.id && one.gained.iter().any(|same| {
                                same.permission == gain.permission
                                    && same.conditional == gain.conditional
                                    && same.divisions.iter().any(|place| gain.divisions.contains(place))
                            })
                        })
                    });
                    prop_assert_eq!(gain.shared, others, "{:?} of {}", gain, client.id);
                }
            }
        }
    }

    #[test]
    fn an_edit_of_one_role_is_the_only_cause(before in any_organisation(), new in any_role(1)) {
        let mut after = before.clone();
        if let Some(role) = after.roles.get_mut("r1") {
            let shipped = role.is_default;
            *role = new;
            role.is_default = shipped;
        }
        let after = after.seal();
        let events = between("acme", "x", &before, &after);
        prop_assert!(events.len() <= 1);
        for event in events {
            prop_assert_eq!(event.cause.subject.id, "r1");
            for client in &event.clients {
                prop_assert!(client.gained.iter().chain(client.lost.iter()).all(|gain| !gain.shared));
            }
        }
    }

    #[test]
    fn the_stored_form_loses_nothing(before in any_organisation(), after in any_organisation()) {
        for event in between("acme", "x", &before, &after) {
            prop_assert_eq!(Event::unpack(&event.pack()).unwrap(), event);
        }
    }
}
