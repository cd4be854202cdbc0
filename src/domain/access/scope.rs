//! What OAuth scopes let through: operations, and by them permissions.
//!
//! Enters: a client's scopes. Leaves: sets of permissions, and a yes or no for an operation.
//! Must never: decide that a permission is not granted. Scopes are a second column beside roles.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{
    catalogue::{Operation, Operations},
    permission::{PermissionSet, Universe},
};

/// The scope that lets everything through.
pub const ALL_SCOPES: &str = "all";

/// For each scope, the permissions of the operations that it lets through.
#[derive(Debug)]
pub struct Scopes {
    by_scope: HashMap<Box<str>, PermissionSet>,
    /// Permissions that some operation without a scope needs, or that no operation names: no scope is known to
    /// stand in front of them.
    free: PermissionSet,
    everything: PermissionSet,
}

impl Scopes {
    pub(super) fn new(universe: &Universe, operations: &Operations) -> Self {
        let mut everything = universe.none();
        everything.insert_range(..);
        let mut free = everything.clone();
        let mut by_scope: HashMap<Box<str>, PermissionSet> = HashMap::new();
        for operation in operations.iter().filter(|operation| !operation.scopes.is_empty()) {
            let needs = universe.set(operation.permissions());
            free.difference_with(&needs);
            for scope in &operation.scopes {
                by_scope.entry(scope.clone()).or_insert_with(|| universe.none()).union_with(&needs);
            }
        }
        for operation in operations.iter().filter(|operation| operation.scopes.is_empty()) {
            free.union_with(&universe.set(operation.permissions()));
        }
        Self { by_scope, free, everything }
    }

    /// Every scope that an operation names.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_scope.keys().map(AsRef::as_ref)
    }

    /// The permissions that a client with these scopes could use if scopes were enforced: at least one operation
    /// that needs the permission is let through, or no scope is known to stand in front of it.
    pub fn permissions(&self, scopes: &BTreeSet<String>) -> PermissionSet {
        if scopes.contains(ALL_SCOPES) {
            return self.everything.clone();
        }
        let mut set = self.free.clone();
        for permissions in scopes.iter().filter_map(|scope| self.by_scope.get(scope.as_str())) {
            set.union_with(permissions);
        }
        set
    }
}

/// Whether a client with these scopes would be let through to an operation if scopes were enforced.
pub(super) fn lets_through(scopes: &BTreeSet<String>, operation: &Operation) -> bool {
    operation.scopes.is_empty()
        || scopes.contains(ALL_SCOPES)
        || operation.scopes.iter().any(|scope| scopes.contains(&**scope))
}
