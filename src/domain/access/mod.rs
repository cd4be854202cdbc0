//! What each client can do: roles × divisions, wildcards, conditions, scopes.
//!
//! Enters: a [`Snapshot`]. Leaves: an [`Access`], computed once for the snapshot, that answers for each client.
//! Must never: treat a conditional permission as absent, a gap as an empty set, or a scope as a refusal unless the
//! organisation is configured to enforce scopes for every grant.
//!
//! - `role`: what one role gives. - `power`: what one client holds, by division.
//! - `scope`: what scopes would let through. - `report`: the answer in the JSON shape that users see.

mod power;
mod report;
mod role;
mod scope;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

pub use power::{Held, Power};
pub use report::{AccessReport, Authority, Granted, OperationAccess, PermissionAccess, UpperBound, Via};
pub use role::RolePower;
pub use scope::{ALL_SCOPES, Scopes};

use super::{
    RoleId, ScopeEnforcement,
    catalogue::{Catalogue, Mode, Operation, operations},
    inventory::{Client, GrantType},
    permission::{PermissionSet, Universe},
    snapshot::Snapshot,
};

/// Everything about access that is the same for all clients of a snapshot.
#[derive(Debug)]
pub struct Access<'a> {
    /// The snapshot that it was computed from.
    pub snapshot: &'a Snapshot,
    /// The catalogue that wildcards are expanded against: the organisation's, else the compiled-in one.
    pub catalogue: Cow<'a, Catalogue>,
    /// The numbering of permissions.
    pub universe: Arc<Universe>,
    /// Permissions that the catalogue knows.
    pub known: PermissionSet,
    /// Permissions that a grant's division restricts. Those that the catalogue does not know count as restricted:
    /// nothing says that they reach further than their grant.
    pub division_aware: PermissionSet,
    /// What scopes let through.
    pub scopes: Scopes,
    roles: HashMap<&'a RoleId, RolePower>,
    needs: Vec<Vec<usize>>,
}

impl<'a> Access<'a> {
    /// Computes what the roles of a snapshot give.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let catalogue = snapshot.catalogue.as_ref().unwrap_or_else(|| Catalogue::compiled_in());
        let universe = Arc::new(Universe::new([catalogue], snapshot.roles.values()));
        Self::within(snapshot, Cow::Borrowed(catalogue), universe)
    }

    /// The same with a given catalogue and numbering, so that two snapshots can be compared bit by bit.
    pub fn within(snapshot: &'a Snapshot, catalogue: Cow<'a, Catalogue>, universe: Arc<Universe>) -> Self {
        let known = universe.set(catalogue.permissions.keys().map(String::as_str));
        let mut division_aware = universe.none();
        division_aware.insert_range(..);
        for (name, facts) in &catalogue.permissions {
            if !facts.division_aware
                && let Some(at) = universe.number(name)
            {
                division_aware.remove(at);
            }
        }
        let roles =
            snapshot.roles.iter().map(|(id, role)| (id, RolePower::of(role, &universe, &known))).collect();
        let needs = operations()
            .iter()
            .map(|operation| operation.permissions.iter().filter_map(|name| universe.number(name)).collect())
            .collect();
        let scopes = Scopes::new(&universe);
        Self { snapshot, catalogue, universe, known, division_aware, scopes, roles, needs }
    }

    /// What a role gives; `None` if the audit did not see the role.
    pub fn role(&self, id: &RoleId) -> Option<&RolePower> {
        self.roles.get(id)
    }

    /// Whether scopes really bound what client credentials reach, by the organisation's configuration.
    pub fn scopes_bind_roles(&self) -> bool {
        self.snapshot.settings.scope_enforcement == ScopeEnforcement::AllGrants
    }

    /// What a client holds by its roles, division by division. Empty for clients that act as a user.
    pub fn power(&self, client: &Client) -> Power {
        power::of(self, client)
    }

    /// Every operation with whether a client may call it; `held` is its [`Access::reach`].
    pub fn operations<'b>(
        &'b self,
        held: &'b PermissionSet,
    ) -> impl Iterator<Item = (&'static Operation, Option<bool>)> + 'b {
        operations().iter().zip(&self.needs).map(|(operation, needs)| {
            let granted = match operation.mode {
                Mode::All => Some(needs.iter().all(|&at| held.contains(at))),
                Mode::Any => Some(needs.iter().any(|&at| held.contains(at))),
                Mode::None => None,
            };
            (operation, granted)
        })
    }

    /// Everything that a client's roles match, in any division, whether or not the catalogue lists it: what
    /// decides about operations. (A wildcard also covers what this organisation's catalogue does not list.)
    pub fn reach(&self, client: &Client) -> PermissionSet {
        let mut reach = self.universe.none();
        if acts_by_roles(client) {
            for role in client.grants().filter_map(|grant| self.role(&grant.role)) {
                reach.union_with(&role.matched);
            }
        }
        reach
    }
}

/// Whether a client's power comes from its own roles. Other grant types act as their user.
pub fn acts_by_roles(client: &Client) -> bool {
    client.grant_type == GrantType::ClientCredentials
}

#[cfg(test)]
mod tests;
