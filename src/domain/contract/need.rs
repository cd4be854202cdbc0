//! The permissions that some operations need.
//!
//! Enters: operations, and permissions that will be held anyway. Leaves: a [`Need`]. Must never: choose a general
//! permission, a wildcard, or a permission that the organisation's catalogue does not have.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Declared,
    cover::{self, BUDGET},
};
use crate::domain::{
    access::Access,
    catalogue::Mode,
    permission::{Pattern, PermissionSet},
    privilege,
};

/// What some operations need.
#[derive(Clone, Debug)]
pub struct Need {
    /// The permissions of least cost that let every operation through, but those in `unavailable`.
    pub permissions: PermissionSet,
    /// Nothing less would do.
    pub proven: bool,
    /// Operations that no role could let through here.
    pub unavailable: Vec<Unavailable>,
    /// Where one of several permissions would do, and which was chosen.
    pub choices: Vec<Choice>,
}

/// One permission of several that would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The operation.
    pub operation: String,
    /// What the role has of them.
    pub chosen: Vec<String>,
    /// What would do as well, by name.
    pub others: Vec<String>,
}

/// An operation that no role could let through, because what it needs cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// The operation.
    pub operation: String,
    /// What it needs and cannot be given: all of these (or, if any one would do, these are all that there are).
    pub permissions: Vec<String>,
    /// Why not.
    pub reason: &'static str,
    #[serde(skip)]
    pub(super) at: usize,
}

const NOT_IN_CATALOGUE: &str = "the organisation's catalogue does not have it (a product or a licence that is not \
    there)";
const GENERAL: &str = "a general permission, which no role should hold";

/// What is needed for what is declared, beside the permissions `also`, which are needed anyway.
pub(super) fn of(access: &Access<'_>, declared: &Declared, also: &PermissionSet) -> Need {
    let calls = &declared.calls;
    let mut permissions = also.clone();
    let named = declared.permissions.iter().filter_map(|name| access.universe.number(name));
    permissions.extend(named.filter(|permission| can_be_given(access, *permission)));
    let mut unavailable = Vec::new();
    let mut clauses = Vec::new();
    for &at in calls {
        let Some(operation) = access.operations.get(at) else { continue };
        let (usable, other): (Vec<usize>, Vec<usize>) =
            access.needs_of(at).iter().partition(|permission| can_be_given(access, **permission));
        match operation.mode {
            Mode::None | Mode::Unknown => {}
            Mode::All if other.is_empty() => permissions.extend(usable),
            Mode::Any if !usable.is_empty() => clauses.push(usable.into_iter().collect::<BTreeSet<usize>>()),
            Mode::All | Mode::Any => unavailable.push(Unavailable {
                operation: operation.name.to_string(),
                reason: if other.iter().all(|permission| is_general(access, *permission)) {
                    GENERAL
                } else {
                    NOT_IN_CATALOGUE
                },
                permissions: other
                    .iter()
                    .map(|permission| access.universe.name(*permission).to_owned())
                    .collect(),
                at,
            }),
        }
    }
    clauses.retain(|clause| !clause.iter().any(|permission| permissions.contains(*permission)));
    let weight = |permission: usize| weight_of(access.universe.name(permission));
    let cover = cover::least(clauses, &weight, BUDGET);
    permissions.extend(cover.chosen);
    let choices = choices(access, calls, &permissions);
    Need { permissions, proven: cover.proven, unavailable, choices }
}

fn choices(access: &Access<'_>, calls: &BTreeSet<usize>, needed: &PermissionSet) -> Vec<Choice> {
    let names = |list: Vec<usize>| list.into_iter().map(|at| access.universe.name(at).to_owned()).collect();
    let mut choices = Vec::new();
    for &at in calls {
        let Some(operation) = access.operations.get(at).filter(|operation| operation.mode == Mode::Any)
        else {
            continue;
        };
        let usable =
            access.needs_of(at).iter().copied().filter(|permission| can_be_given(access, *permission));
        let (chosen, others): (Vec<usize>, Vec<usize>) =
            usable.partition(|permission| needed.contains(*permission));
        if !chosen.is_empty() && !others.is_empty() {
            choices.push(Choice {
                operation: operation.name.to_string(),
                chosen: names(chosen),
                others: names(others),
            });
        }
    }
    choices
}

/// Of what is `held`, the least that still lets through every one of `calls` that `held` lets through: the rest can go
/// without breaking one of them.
pub(super) fn kept(access: &Access<'_>, calls: &BTreeSet<usize>, held: &PermissionSet) -> PermissionSet {
    let mut permissions = access.universe.none();
    let mut clauses = Vec::new();
    for &at in calls.iter().filter(|at| access.allows(**at, held) == Some(true)) {
        let here = access.needs_of(at).iter().copied().filter(|permission| held.contains(*permission));
        match access.operations.get(at).map(|operation| operation.mode) {
            Some(Mode::All) => permissions.extend(here),
            Some(Mode::Any) => clauses.push(here.collect::<BTreeSet<usize>>()),
            _ => {}
        }
    }
    clauses.retain(|clause| !clause.iter().any(|permission| permissions.contains(*permission)));
    let weight = |permission: usize| weight_of(access.universe.name(permission));
    permissions.extend(cover::least(clauses, &weight, BUDGET).chosen);
    permissions
}

/// What a permission costs when roles are compared; ordinary ones cost nothing.
pub(super) fn weight_of(permission: &str) -> u32 {
    privilege::of(permission).map_or(0, |privilege| privilege.weight)
}

/// Whether a role of ours may give it.
pub(super) fn can_be_given(access: &Access<'_>, permission: usize) -> bool {
    access.known.contains(permission) && !is_general(access, permission)
}

fn is_general(access: &Access<'_>, permission: usize) -> bool {
    let pattern = Pattern::parse(access.universe.name(permission));
    matches!(pattern, Pattern::General(_)) || pattern.is_wildcard()
}
