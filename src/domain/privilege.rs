//! Which permissions are dangerous, how much, and why.
//!
//! Enters: the curated table in `data/privileges.tsv`. Leaves: the tier, weight and reason of a permission.
//! Must never: be consulted to decide what is granted; it only says how much that matters.

use std::{collections::HashMap, sync::LazyLock};

use super::Severity;

/// What the table says of one permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// The permission.
    pub permission: &'static str,
    /// How bad it is in the wrong hands.
    pub tier: Severity,
    /// Cost when roles are compared; the sum over a role is its weight.
    pub weight: u32,
    /// What the holder can do with it, as the end of "a client that holds it …".
    pub reason: &'static str,
}

/// The whole table, in its order.
pub fn table() -> &'static [Privilege] {
    static TABLE: LazyLock<Vec<Privilege>> = LazyLock::new(|| {
        include_str!("data/privileges.tsv")
            .lines()
            .skip(1)
            .filter_map(|line| {
                let mut cells = line.split('\t');
                Some(Privilege {
                    permission: cells.next()?,
                    tier: Severity::parse(cells.next()?)?,
                    weight: cells.next()?.parse().ok()?,
                    reason: cells.next()?,
                })
            })
            .collect()
    });
    &TABLE
}

/// What the table says of a permission; `None`: it is an ordinary one.
pub fn of(permission: &str) -> Option<&'static Privilege> {
    static INDEX: LazyLock<HashMap<&'static str, &'static Privilege>> =
        LazyLock::new(|| table().iter().map(|row| (row.permission, row)).collect());
    INDEX.get(permission).copied()
}
