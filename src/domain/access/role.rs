//! What one role gives, as sets of permissions.
//!
//! Enters: a role. Leaves: a [`RolePower`]. Must never: look at who holds it.

use crate::domain::{
    inventory::Role,
    permission::{ADMIN, Pattern, PermissionSet, Universe, patterns},
};

/// What a role gives.
#[derive(Clone, Debug)]
pub struct RolePower {
    /// Everything its patterns match, conditional or not.
    pub matched: PermissionSet,
    /// Of `matched`, what at least one pattern gives without a condition.
    pub unconditional: PermissionSet,
    /// Of `listed`, what is given without a condition by at least one pattern.
    pub firm: PermissionSet,
    /// What is shown to people: the matches that the catalogue knows, and what the role names literally.
    pub listed: PermissionSet,
    /// What it names literally, known or not.
    pub literal: PermissionSet,
    /// Its patterns with a `*`, as written, sorted.
    pub wildcards: Vec<String>,
    /// It holds the general permission `admin`.
    pub admin: bool,
}

impl RolePower {
    /// Computes what a role gives; `known` are the permissions of the catalogue.
    pub fn of(role: &Role, universe: &Universe, known: &PermissionSet) -> Self {
        let mut matched = universe.none();
        let mut unconditional = universe.none();
        let mut literal = universe.none();
        let mut wildcards = Vec::new();
        let mut admin = false;
        for (pattern, condition) in patterns(role) {
            universe.add_matches(&pattern, &mut matched);
            if condition.is_none() {
                universe.add_matches(&pattern, &mut unconditional);
            }
            if pattern.is_wildcard() {
                wildcards.push(pattern.to_string());
            } else {
                literal.extend(universe.number(&pattern.to_string()));
            }
            admin |= pattern == Pattern::General(ADMIN);
        }
        wildcards.sort_unstable();
        wildcards.dedup();
        let mut listed = matched.clone();
        listed.intersect_with(known);
        listed.union_with(&literal);
        let mut firm = unconditional.clone();
        firm.intersect_with(&listed);
        Self { matched, unconditional, firm, listed, literal, wildcards, admin }
    }
}
