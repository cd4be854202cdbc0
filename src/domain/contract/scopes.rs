//! The scopes that some operations need.
//!
//! Enters: operations. Leaves: the fewest scopes that let all of them through, read-only ones wherever they suffice.
//! Must never: name the scope `all`.

use std::collections::{BTreeMap, BTreeSet};

use super::cover::{self, BUDGET};
use crate::domain::access::Access;

/// What the read-only form of a scope ends with.
const READ_ONLY: &str = ":readonly";

/// The scopes that some operations need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeNeed {
    /// Sorted.
    pub scopes: Vec<String>,
    /// No other choice has fewer that write, nor, with as few, is smaller.
    pub proven: bool,
}

/// The scopes that `calls` (places in [`Access::operations`]) need.
pub(super) fn of(access: &Access<'_>, calls: &BTreeSet<usize>) -> ScopeNeed {
    let lists: Vec<Vec<&str>> = calls
        .iter()
        .filter_map(|at| access.operations.get(*at))
        .map(|operation| operation.scopes().collect())
        .collect();
    // The order of the numbers is that of the names.
    let names: Vec<&str> = lists.iter().flatten().copied().collect::<BTreeSet<&str>>().into_iter().collect();
    let numbers: BTreeMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let clauses = lists.iter().map(|list| list.iter().map(|name| numbers[name]).collect());
    let weight = |at: usize| u32::from(!names[at].ends_with(READ_ONLY));
    let cover = cover::least(clauses, &weight, BUDGET);
    ScopeNeed {
        scopes: cover.chosen.into_iter().map(|at| names[at].to_owned()).collect(),
        proven: cover.proven,
    }
}
