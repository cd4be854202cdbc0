//! What one client holds by its roles, division by division.
//!
//! Enters: a client and what its roles give. Leaves: a [`Power`] in normal form. Must never: show a permission in
//! one division when it is held everywhere, or lose a way to it.

use std::collections::BTreeMap;

use super::{Access, acts_by_roles};
use crate::domain::{DivisionRef, RoleId, inventory::Client, permission::PermissionSet};

/// What is held in one division.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Held without a condition.
    pub firm: PermissionSet,
    /// Held only under a condition. Disjoint from `firm`.
    pub conditional: PermissionSet,
}

/// What a client holds, in normal form: what is held in all divisions is not repeated in single ones (unless it is
/// firm there and only conditional everywhere), and a permission that no division restricts is held in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// By division; divisions in which nothing is held of their own are left out.
    pub divisions: BTreeMap<DivisionRef, Held>,
    /// Roles that the client is granted and the audit did not see: what they give is unknown.
    pub unseen_roles: Vec<RoleId>,
}

impl Power {
    /// Every (permission number, division, conditional) that is held.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &DivisionRef, bool)> {
        self.divisions.iter().flat_map(|(division, held)| {
            let firm = held.firm.ones().map(move |at| (at, division, false));
            firm.chain(held.conditional.ones().map(move |at| (at, division, true)))
        })
    }

    /// Everything held anywhere, conditional or not.
    pub fn anywhere(&self, access: &Access<'_>) -> PermissionSet {
        let mut set = access.universe.none();
        for held in self.divisions.values() {
            set.union_with(&held.firm);
            set.union_with(&held.conditional);
        }
        set
    }

    /// Whether (permission, division, conditional) is within this power: the same or a weaker form of what is held.
    pub fn covers(&self, permission: usize, division: &DivisionRef, conditional: bool) -> bool {
        let within = |held: &Held| {
            held.firm.contains(permission) || (conditional && held.conditional.contains(permission))
        };
        [&DivisionRef::All, division].into_iter().any(|place| self.divisions.get(place).is_some_and(within))
    }
}

/// What a client holds. Where the organisation enforces scopes for every grant, only what they let through.
pub(super) fn of(access: &Access<'_>, client: &Client) -> Power {
    let mut power = Power::default();
    if !acts_by_roles(client) {
        return power;
    }
    let in_scope = access.scopes_bind_roles().then(|| access.scopes.permissions(&client.scopes));
    for grant in access.granted(client) {
        let Some(role) = access.role(&grant.role) else {
            if !power.unseen_roles.contains(&grant.role) {
                power.unseen_roles.push(grant.role.clone());
            }
            continue;
        };
        let mut listed = role.listed.clone();
        if let Some(in_scope) = &in_scope {
            listed.intersect_with(in_scope);
        }
        let mut local = listed.clone();
        local.intersect_with(&access.division_aware);
        let mut everywhere = listed;
        everywhere.difference_with(&access.division_aware);
        for (division, set) in [(&grant.division, &local), (&DivisionRef::All, &everywhere)] {
            if set.is_clear() {
                continue;
            }
            let held = power.divisions.entry(division.clone()).or_insert_with(|| Held {
                firm: access.universe.none(),
                conditional: access.universe.none(),
            });
            let mut firm = set.clone();
            firm.intersect_with(&role.firm);
            held.firm.union_with(&firm);
            held.conditional.union_with(set);
        }
    }
    normalise(&mut power.divisions);
    power
}

fn normalise(divisions: &mut BTreeMap<DivisionRef, Held>) {
    for held in divisions.values_mut() {
        held.conditional.difference_with(&held.firm);
    }
    if let Some(all) = divisions.get(&DivisionRef::All).cloned() {
        for (division, held) in divisions.iter_mut() {
            if *division != DivisionRef::All {
                held.firm.difference_with(&all.firm);
                held.conditional.difference_with(&all.firm);
                held.conditional.difference_with(&all.conditional);
            }
        }
    }
    divisions.retain(|_, held| !held.firm.is_clear() || !held.conditional.is_clear());
}
