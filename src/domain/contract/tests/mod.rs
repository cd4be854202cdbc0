//! Needs, comparisons, roles and proposals: by cases, and by properties over the real table of operations.

mod cases;
mod random;

use std::collections::BTreeSet;

use super::*;
use crate::domain::{
    contract::companion::Companions,
    fixtures::{client, role, snapshot},
    inventory,
};

/// What is proposed for the client `c`, for some calls anywhere.
fn proposed(snapshot: &Snapshot, calls: &[&str], with_implied: bool) -> Proposal {
    proposed_in(snapshot, calls, &[], with_implied)
}

fn proposed_in(snapshot: &Snapshot, calls: &[&str], divisions: &[&str], with_implied: bool) -> Proposal {
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let access = Access::new(snapshot);
    let declared = Declared::new(&access, &words(calls), &words(divisions));
    let holder = &snapshot.clients["c"];
    propose("acme", &access, holder, &declared, &Companions::with(&[]), with_implied)
}

/// Every permission of a proposed role, by its full name.
fn permissions(role: &Role) -> BTreeSet<String> {
    let of = |policy: &Policy| {
        let (domain, entity) = (policy.domain.clone(), policy.entity_name.clone());
        policy.action_set.iter().map(move |action| format!("{domain}:{entity}:{action}")).collect::<Vec<_>>()
    };
    role.permission_policies.iter().flat_map(of).collect()
}

/// A client `c` that holds these permissions in a division.
fn holder(held: &[&str], division: &str) -> Snapshot {
    let role = held.iter().fold(role("r"), |role, permission| role.can(permission));
    snapshot([client("c").grant("r", division)], [role])
}

/// A role of the organisation with what a proposed one gives.
fn as_held(proposed: &Role) -> inventory::Role {
    permissions(proposed).into_iter().fold(role("r"), |role, name| role.can(&name))
}
