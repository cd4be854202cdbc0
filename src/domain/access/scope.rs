//! What OAuth scopes let through: operations, and by them permissions.
//!
//! Enters: a client's scopes. Leaves: sets of permissions, a yes or no for an operation, and whether an operation only
//! reads. Must never: decide that a permission is not granted. Scopes are a second column beside roles.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{
    catalogue::{Operation, Operations},
    permission::{PermissionSet, Universe},
};

/// The scope that lets everything through.
pub const ALL_SCOPES: &str = "all";

/// What the form of a scope that only reads ends with.
const READ_ONLY: &str = ":readonly";

/// What one scope lets through.
#[derive(Debug)]
struct Opened {
    /// The permissions of those operations.
    permissions: PermissionSet,
    /// The operations, by their place in the table.
    operations: Vec<usize>,
}

/// For each scope, the operations that it lets through.
#[derive(Debug)]
pub struct Scopes {
    by_scope: HashMap<Box<str>, Opened>,
    /// Permissions that some operation without a scope needs, or that no operation names: no scope is known to
    /// stand in front of them.
    free: PermissionSet,
    everything: PermissionSet,
    /// Of each operation of the table, whether it only reads.
    reads: Vec<bool>,
}

impl Scopes {
    pub(super) fn new(universe: &Universe, operations: &Operations) -> Self {
        let mut everything = universe.none();
        everything.insert_range(..);
        let mut free = everything.clone();
        let mut by_scope: HashMap<Box<str>, Opened> = HashMap::new();
        for (at, operation) in operations.iter().enumerate() {
            if operation.scopes.is_empty() {
                continue;
            }
            let needs = universe.set(operation.permissions());
            free.difference_with(&needs);
            for scope in &operation.scopes {
                let opened = by_scope
                    .entry(scope.clone())
                    .or_insert_with(|| Opened { permissions: universe.none(), operations: Vec::new() });
                opened.permissions.union_with(&needs);
                opened.operations.push(at);
            }
        }
        for operation in operations.iter().filter(|operation| operation.scopes.is_empty()) {
            free.union_with(&universe.set(operation.permissions()));
        }
        let reads =
            operations.iter().map(|operation| only_reads(operation, |scope| by_scope.contains_key(scope)));
        let reads = reads.collect();
        Self { by_scope, free, everything, reads }
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
        for opened in scopes.iter().filter_map(|scope| self.by_scope.get(scope.as_str())) {
            set.union_with(&opened.permissions);
        }
        set
    }

    /// The places in the table of the operations that name a scope; `None` if no operation does.
    pub fn operations(&self, scope: &str) -> Option<&[usize]> {
        self.by_scope.get(scope).map(|opened| opened.operations.as_slice())
    }

    /// The form of a scope that only reads, if the platform has one and this is not it.
    pub fn read_only_form(&self, scope: &str) -> Option<&str> {
        let form = format!("{scope}{READ_ONLY}");
        self.by_scope.get_key_value(form.as_str()).map(|(name, _)| name.as_ref())
    }

    /// Whether the operation at a place of the table only reads.
    pub fn reads(&self, at: usize) -> bool {
        self.reads.get(at).is_some_and(|reads| *reads)
    }
}

/// An operation only reads if it accepts a scope that only reads. The method does not tell (hundreds of queries are
/// POSTs); it is asked only where the operation's scopes have no such form.
fn only_reads(operation: &Operation, exists: impl Fn(&str) -> bool) -> bool {
    if operation.scopes().any(|scope| scope.ends_with(READ_ONLY)) {
        return true;
    }
    let told = operation.scopes().any(|scope| exists(&format!("{scope}{READ_ONLY}")));
    !told && matches!(operation.method(), "GET" | "HEAD")
}

/// Whether a client with these scopes would be let through to an operation if scopes were enforced.
pub fn lets_through(scopes: &BTreeSet<String>, operation: &Operation) -> bool {
    operation.scopes.is_empty()
        || scopes.contains(ALL_SCOPES)
        || operation.scopes.iter().any(|scope| scopes.contains(&**scope))
}

#[cfg(test)]
mod tests {
    use crate::domain::{access::Access, fixtures::snapshot};

    #[test]
    fn reading_and_writing_are_told_apart_by_scope() {
        let org = snapshot([], []);
        let access = Access::new(&org);
        let reads = |name: &str| access.scopes.reads(access.operations.find(name).unwrap());
        assert!(reads("GET /api/v2/users/{userId}"));
        assert!(reads("POST /api/v2/analytics/conversations/details/query"), "a query, whatever the method");
        assert!(!reads("DELETE /api/v2/users/{userId}"));
        assert!(reads("GET /api/v2/users/me"), "its scope has no form that only reads: the method tells");
        assert!(!reads("DELETE /api/v2/tokens/me"));
        let posts = access.operations.iter().enumerate();
        let queries = posts.filter(|(at, operation)| operation.method() != "GET" && access.scopes.reads(*at));
        assert!(queries.count() >= 244);
    }

    #[test]
    fn a_scope_knows_the_form_of_it_that_only_reads() {
        let org = snapshot([], []);
        let access = Access::new(&org);
        assert_eq!(access.scopes.read_only_form("users"), Some("users:readonly"));
        for none in ["users:readonly", "notifications", "all", "openid"] {
            assert_eq!(access.scopes.read_only_form(none), None, "{none}");
        }
        assert!(access.scopes.operations("users:readonly").unwrap().len() > 10);
        assert!(access.scopes.operations("openid").is_none());
    }
}
