//! What has to be looked at: the entities that changed, the clients whose power can differ by it, and the roles that
//! decide about their power.
//!
//! Enters: both snapshots. Leaves: ids. Must never: leave out a client whose power differs. That costs nothing but the
//! truth, where one client too many costs some time and finds no difference.
//!
//! A client's power is a function (`access::power`) of the client's own entity, of what it was last seen to be granted,
//! of the patterns of these roles, of the catalogue, of whether scopes bind roles, and if they do of the operations that
//! scopes let through. It does not depend on divisions, which are only named by grants, nor on other clients or roles. So
//! the power of a client whose entity and observed grants are the same can differ only if a role that it holds came, went
//! or has other patterns, or if the catalogue, the settings or (where scopes bind) the operations changed, which reach
//! everybody.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use super::catalogues;
use crate::domain::{
    ClientId, RoleId, ScopeEnforcement,
    access::operations_of,
    evidence::Hash,
    inventory::{Client, Role},
    snapshot::{EntityKey, EntityKind, Snapshot},
};

/// The entities of which the content hash differs, or that exist on one side only.
#[derive(Debug, Default)]
pub(super) struct Changed<'a> {
    pub(super) clients: BTreeSet<&'a str>,
    pub(super) roles: BTreeSet<&'a str>,
    pub(super) divisions: BTreeSet<&'a str>,
    pub(super) catalogue: bool,
    pub(super) operations: bool,
    pub(super) settings: bool,
    pub(super) contracts: BTreeSet<&'a str>,
}

impl<'a> Changed<'a> {
    pub(super) fn between(before: &'a Snapshot, after: &'a Snapshot) -> Self {
        let mut changed = Self::default();
        for EntityKey { kind, id } in differing(&before.hashes, &after.hashes) {
            match kind {
                EntityKind::Client | EntityKind::Grants => drop(changed.clients.insert(id)),
                EntityKind::Role => drop(changed.roles.insert(id)),
                EntityKind::Division => drop(changed.divisions.insert(id)),
                EntityKind::Catalogue => changed.catalogue = true,
                EntityKind::Operations => changed.operations = true,
                EntityKind::Settings => changed.settings = true,
                EntityKind::Contract => drop(changed.contracts.insert(id)),
                // What the auditor itself may see is no drift.
                EntityKind::OwnGrants => {}
            }
        }
        changed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.roles.is_empty()
            && self.divisions.is_empty()
            && !self.catalogue
            && !self.operations
            && !self.settings
            && self.contracts.is_empty()
    }
}

/// Whose power can differ, by which roles.
#[derive(Debug)]
pub(super) struct Reached<'a> {
    /// Clients whose own entity or observed grants changed.
    pub(super) changed: BTreeSet<&'a ClientId>,
    /// Clients that are the same on both sides and that something else reaches.
    pub(super) same: Vec<&'a Client>,
    /// The roles of both, and every role that changed.
    roles: HashSet<&'a str>,
}

impl<'a> Reached<'a> {
    pub(super) fn by(changed: &Changed<'a>, before: &'a Snapshot, after: &'a Snapshot) -> Self {
        let [old, new] = catalogues(before, after);
        let [older, newer] = operations_of(before, after);
        let bound = |side: &Snapshot| side.settings.scope_enforcement == ScopeEnforcement::AllGrants;
        let other_scopes = older != newer && (bound(before) || bound(after));
        let everybody = old != new || before.settings != after.settings || other_scopes;
        let gives_other = |id: &&str| match (before.roles.get(*id), after.roles.get(*id)) {
            (Some(old), Some(new)) => !gives_the_same(old, new),
            _ => true,
        };
        let by_role: HashSet<&str> = changed.roles.iter().copied().filter(gives_other).collect();
        let mut roles: HashSet<&str> = changed.roles.iter().copied().collect();
        let mut own = BTreeSet::new();
        for id in &changed.clients {
            for side in [before, after] {
                let Some(client) = side.clients.get(*id) else { continue };
                own.insert(&client.id);
                roles.extend(side.granted(client).map(|grant| grant.role.as_str()));
            }
        }
        let mut same = Vec::new();
        if everybody || !by_role.is_empty() {
            for client in after.clients.values().filter(|client| !own.contains(&client.id)) {
                if everybody || after.granted(client).any(|grant| by_role.contains(grant.role.as_str())) {
                    same.push(client);
                    roles.extend(after.granted(client).map(|grant| grant.role.as_str()));
                }
            }
        }
        Self { changed: own, same, roles }
    }

    /// Whether what a role gives has to be known.
    pub(super) fn needs(&self, role: &RoleId) -> bool {
        self.roles.contains(role.as_str())
    }
}

/// Whether two versions of a role have the same patterns under the same conditions.
fn gives_the_same(old: &Role, new: &Role) -> bool {
    old.policies == new.policies && old.general == new.general
}

/// The keys of which the values differ, and those of one side only. Both maps are sorted alike, so one walk is enough.
fn differing<'a>(
    old: &'a BTreeMap<EntityKey, Hash>,
    new: &'a BTreeMap<EntityKey, Hash>,
) -> impl Iterator<Item = &'a EntityKey> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((before, _)), Some((after, _))) => before.cmp(after),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            match order {
                Ordering::Less => return old.next().map(|(key, _)| key),
                Ordering::Greater => return new.next().map(|(key, _)| key),
                Ordering::Equal => match (old.next(), new.next()) {
                    (Some((_, before)), Some((key, after))) if before != after => return Some(key),
                    _ => {}
                },
            }
        }
    })
}
