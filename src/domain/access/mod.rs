//! What each client can do: roles × divisions, wildcards, conditions, scopes.
//!
//! A client's grants are those of its own record and those last observed from its side, together. Nothing is taken
//! away because only one of the two shows it.
//!
//! Enters: a [`Snapshot`]. Leaves: an [`Access`], computed once for the snapshot, that answers for each client.
//! Must never: treat a conditional permission as absent, a gap as an empty set, or a scope as a refusal unless the
//! organisation is configured to enforce scopes for every grant.
//!
//! - `role`: what one role gives. - `power`: what one client holds, by division.
//! - `scope`: what scopes would let through. - `report`: the answer in the JSON shape that users see.
//! - `who`: the question the other way round. - `enforced`: what scopes would take away.
//! - `escalation`: how a client can become stronger.

mod enforced;
pub mod escalation;
mod power;
mod report;
mod role;
mod scope;
pub mod who;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

pub use enforced::{Enforced, Enforcement};
pub use power::{Held, Power};
pub use report::{
    AccessReport, Authority, DomainAccess, Granted, ObservedAt, OperationAccess, PermissionAccess, Reachable,
    UpperBound, Via,
};
pub use role::RolePower;
pub use scope::{ALL_SCOPES, Scopes, lets_through};

use chrono::{DateTime, Utc};

use super::{
    ClientId, RoleId, ScopeEnforcement,
    catalogue::{Catalogue, Mode, Operation, Operations},
    inventory::{Client, Grant, GrantType, Role},
    permission::{PermissionSet, Universe},
    snapshot::Snapshot,
};

/// Everything about access that is the same for all clients of a snapshot.
#[derive(Debug)]
pub struct Access<'a> {
    /// The snapshot that it was computed from.
    pub snapshot: &'a Snapshot,
    /// The catalogue that wildcards are expanded against: the organisation's, else the compiled-in one.
    pub catalogue: &'a Catalogue,
    /// Every operation of the platform: as its own definition has them, else the compiled-in table.
    pub operations: &'a Operations,
    /// When the platform's definition was last seen, where the audit that made the snapshot could not read it.
    pub operations_seen: Option<DateTime<Utc>>,
    /// The numbering of permissions.
    pub universe: Arc<Universe>,
    /// Permissions that the catalogue knows.
    pub known: PermissionSet,
    /// Permissions that a grant's division restricts. Those that the catalogue does not know count as restricted:
    /// nothing says that they reach further than their grant.
    pub division_aware: PermissionSet,
    /// What scopes let through.
    pub scopes: Arc<Scopes>,
    roles: HashMap<&'a RoleId, Arc<RolePower>>,
    /// Grants that the snapshot does not show and that are taken to have been there ([`Access::assume`]).
    assumed: HashMap<&'a ClientId, Vec<&'a Grant>>,
    /// For each operation the permissions that it names; filled when operations are first asked for.
    needs: OnceLock<Vec<Vec<usize>>>,
}

impl<'a> Access<'a> {
    /// Computes what the roles of a snapshot give.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let catalogue = snapshot.catalogue.as_ref().unwrap_or_else(|| Catalogue::compiled_in());
        let operations = snapshot.operations.as_deref().unwrap_or_else(|| Operations::compiled_in());
        let universe = Arc::new(Universe::new([catalogue], [operations], snapshot.roles.values()));
        let scopes = Arc::new(Scopes::new(&universe, operations));
        let mut access = Self::numbered(snapshot, (catalogue, operations), universe, scopes);
        for (id, role) in &snapshot.roles {
            access.work_out(id, role);
        }
        access
    }

    /// Two snapshots, each with its catalogue, numbered alike so that they can be compared bit by bit. Only what the
    /// `needed` roles give is worked out, once where it is the same on both sides: to ask for another role, or for the
    /// power of a client that holds one, is an error, for the answer is that of a role which the audit did not see.
    ///
    /// What a role gives does not depend on which others are numbered: it is bounded by the catalogue and by what the
    /// role itself names ([`RolePower::listed`]).
    pub fn pair(
        (before, old): (&'a Snapshot, &'a Catalogue),
        (after, new): (&'a Snapshot, &'a Catalogue),
        needed: impl Fn(&RoleId) -> bool,
    ) -> [Self; 2] {
        let in_before = before.roles.iter().filter(|(id, _)| needed(id));
        let (same, in_after): (Vec<_>, Vec<_>) = (after.roles.iter().filter(|(id, _)| needed(id)))
            .partition(|(id, role)| before.roles.get(*id) == Some(*role));
        let roles = in_before.clone().chain(in_after.iter().copied()).map(|(_, role)| role);
        let [older, newer] = operations_of(before, after);
        let universe = Arc::new(if std::ptr::eq(older, newer) {
            Universe::new([old, new], [newer], roles)
        } else {
            Universe::new([old, new], [older, newer], roles)
        });
        let scopes = Arc::new(Scopes::new(&universe, newer));
        let scopes_before =
            if older == newer { Arc::clone(&scopes) } else { Arc::new(Scopes::new(&universe, older)) };
        let mut before = Self::numbered(before, (old, older), Arc::clone(&universe), scopes_before);
        let mut after = Self::numbered(after, (new, newer), universe, scopes);
        for (id, role) in in_before {
            before.work_out(id, role);
        }
        for (id, role) in in_after {
            after.work_out(id, role);
        }
        let same_catalogue = before.known == after.known;
        for (id, role) in same {
            match before.roles.get(id) {
                Some(power) if same_catalogue => drop(after.roles.insert(id, Arc::clone(power))),
                _ => after.work_out(id, role),
            }
        }
        [before, after]
    }

    /// A snapshot of which no role is worked out yet.
    fn numbered(
        snapshot: &'a Snapshot,
        (catalogue, operations): (&'a Catalogue, &'a Operations),
        universe: Arc<Universe>,
        scopes: Arc<Scopes>,
    ) -> Self {
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
        Self {
            snapshot,
            catalogue,
            operations,
            operations_seen: None,
            universe,
            known,
            division_aware,
            scopes,
            roles: HashMap::new(),
            assumed: HashMap::new(),
            needs: OnceLock::new(),
        }
    }

    fn work_out(&mut self, id: &'a RoleId, role: &Role) {
        self.roles.insert(id, Arc::new(RolePower::of(role, &self.universe, &self.known)));
    }

    /// What a role gives; `None` if the audit did not see the role.
    pub fn role(&self, id: &RoleId) -> Option<&RolePower> {
        self.roles.get(id).map(Arc::as_ref)
    }

    /// Whether scopes really bound what client credentials reach, by the organisation's configuration.
    pub fn scopes_bind_roles(&self) -> bool {
        self.snapshot.settings.scope_enforcement == ScopeEnforcement::AllGrants
    }

    /// Takes it that a client held a grant which this snapshot does not show: it was seen later, and nobody looked then.
    pub fn assume(&mut self, client: &'a ClientId, grant: &'a Grant) {
        self.assumed.entry(client).or_default().push(grant);
    }

    /// Everything that a client is granted, each grant once.
    pub fn granted<'b>(&'b self, client: &'b Client) -> impl Iterator<Item = &'b Grant> {
        let assumed = self.assumed.get(&client.id).into_iter().flatten().copied();
        self.snapshot.granted(client).chain(assumed)
    }

    /// What a client holds by its roles, division by division. Empty for clients that act as a user.
    pub fn power(&self, client: &Client) -> Power {
        power::of(self, client)
    }

    /// Every operation with whether a client may call it (`None`: it states no rule, or none that was understood); `held`
    /// is its [`Access::reach`].
    pub fn may_call<'b>(
        &'b self,
        held: &'b PermissionSet,
    ) -> impl Iterator<Item = (&'b Operation, Option<bool>)> + 'b {
        self.operations
            .iter()
            .zip(self.needs())
            .map(|(operation, needs)| (operation, suffice(operation.mode, needs, held)))
    }

    /// Whether permissions suffice for the operation at a place of the table; `None`: it declares none, or there is no
    /// such operation.
    pub fn allows(&self, at: usize, held: &PermissionSet) -> Option<bool> {
        suffice(self.operations.get(at)?.mode, self.needs_of(at), held)
    }

    /// The permissions that the operation at a place of the table names.
    pub fn needs_of(&self, at: usize) -> &[usize] {
        self.needs().get(at).map_or(&[], Vec::as_slice)
    }

    /// For each operation, in their order, the permissions that it names.
    pub fn needs(&self) -> &[Vec<usize>] {
        let number = |operation: &Operation| {
            operation.permissions().filter_map(|name| self.universe.number(name)).collect()
        };
        self.needs.get_or_init(|| self.operations.iter().map(number).collect())
    }

    /// Whether a client's scopes would let it through to an operation, if they were enforced. An operation that is not
    /// there asks for none.
    pub fn in_scope(&self, client: &Client, operation: usize) -> bool {
        let operation = self.operations.get(operation);
        operation.is_none_or(|operation| scope::lets_through(&client.scopes, operation))
    }

    /// Everything that a client's roles match, in any division, whether or not the catalogue lists it: what
    /// decides about operations. (A wildcard also covers what this organisation's catalogue does not list.)
    pub fn reach(&self, client: &Client) -> PermissionSet {
        let mut reach = self.universe.none();
        if acts_by_roles(client) {
            for role in self.granted(client).filter_map(|grant| self.role(&grant.role)) {
                reach.union_with(&role.matched);
            }
        }
        reach
    }
}

fn suffice(mode: Mode, needs: &[usize], held: &PermissionSet) -> Option<bool> {
    match mode {
        Mode::All => Some(needs.iter().all(|&at| held.contains(at))),
        Mode::Any => Some(needs.iter().any(|&at| held.contains(at))),
        Mode::None | Mode::Unknown => None,
    }
}

/// The operations of each of two snapshots. A definition that was read for the first time (or is not read any more) is
/// knowledge gained (or lost), not a change: both sides are then seen in its light.
pub fn operations_of<'a>(before: &'a Snapshot, after: &'a Snapshot) -> [&'a Operations; 2] {
    match (before.operations.as_deref(), after.operations.as_deref()) {
        (Some(old), Some(new)) => [old, new],
        (Some(only), None) | (None, Some(only)) => [only, only],
        (None, None) => [Operations::compiled_in(), Operations::compiled_in()],
    }
}

/// Whether a client's power comes from its own roles. Other grant types act as their user.
pub fn acts_by_roles(client: &Client) -> bool {
    client.grant_type == GrantType::ClientCredentials
}

#[cfg(test)]
mod tests;
