//! What the platform knows: every permission (from the organisation's own catalogue) and every operation
//! (compiled in).
//!
//! Enters: the organisation's permission catalogue, decoded; the table in `data/operations.tsv`.
//! Leaves: lookups. Must never: decide what a client may do (that is `access`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

/// What the catalogue says of one permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PermissionFacts {
    /// A role may attach a condition to it.
    pub allows_conditions: bool,
    /// A grant's division restricts it. If not, it reaches the whole organisation from any division.
    pub division_aware: bool,
}

/// The organisation's permission catalogue. Which permissions exist depends on its products and licences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// By `domain:entity:action`.
    pub permissions: BTreeMap<String, PermissionFacts>,
}

impl Catalogue {
    /// The catalogue to use until an organisation's own has been read: every permission that an operation names.
    /// Nothing is known of divisions and conditions then, so a grant's division is taken at its word.
    pub fn compiled_in() -> &'static Self {
        static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
            let names: BTreeSet<&str> =
                operations().iter().flat_map(|operation| operation.permissions.iter().copied()).collect();
            let facts = PermissionFacts { allows_conditions: true, division_aware: true };
            Catalogue {
                permissions: names
                    .into_iter()
                    .filter(|name| name.contains(':'))
                    .map(|name| (name.to_owned(), facts))
                    .collect(),
            }
        });
        &CATALOGUE
    }
}

/// How an operation combines the permissions it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every permission is needed.
    All,
    /// One permission is enough.
    Any,
    /// No permission is declared: neither granted nor refused by role.
    None,
}

/// One operation of the platform's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `GET /api/v2/users/{userId}`.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path template.
    pub path: &'static str,
    /// How `permissions` combine.
    pub mode: Mode,
    /// The permissions it names, as the definition spells them.
    pub permissions: Vec<&'static str>,
    /// Any one of these scopes lets it through; empty: no scope is declared.
    pub scopes: Vec<&'static str>,
}

/// When the compiled-in table of operations was taken from the platform's definition.
pub const OPERATIONS_AS_OF: &str = "2026-08-15";

/// Every operation that this version knows, in the order of the table (by path, then method).
pub fn operations() -> &'static [Operation] {
    static OPERATIONS: LazyLock<Vec<Operation>> =
        LazyLock::new(|| parse_operations(include_str!("data/operations.tsv")));
    &OPERATIONS
}

fn parse_operations(table: &'static str) -> Vec<Operation> {
    let words = |cell: &'static str, separator: char| {
        cell.split(separator).filter(|word| !word.is_empty()).collect::<Vec<_>>()
    };
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split('\t');
            let (method, path, mode) = (cells.next()?, cells.next()?, cells.next()?);
            Some(Operation {
                // The table is compiled in, so each name is made once for the life of the process.
                name: Box::leak(format!("{method} {path}").into_boxed_str()),
                method,
                path,
                mode: match mode {
                    "all" => Mode::All,
                    "any" => Mode::Any,
                    _ => Mode::None,
                },
                permissions: words(cells.next()?, ','),
                scopes: words(cells.next()?, ' '),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_every_operation_with_its_rule() {
        let count = |mode| operations().iter().filter(|operation| operation.mode == mode).count();
        assert_eq!(operations().len(), 3321);
        assert_eq!((count(Mode::All), count(Mode::Any), count(Mode::None)), (852, 2088, 381));
        for operation in operations() {
            assert_eq!(operation.mode == Mode::None, operation.permissions.is_empty(), "{}", operation.name);
        }
    }

    #[test]
    fn general_permissions_are_not_part_of_the_catalogue() {
        assert!(!Catalogue::compiled_in().permissions.contains_key("admin"));
        assert!(Catalogue::compiled_in().permissions.contains_key("telephony:plugin:all"));
    }
}
