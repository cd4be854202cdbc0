//! What the platform knows: every permission (from the organisation's own catalogue) and every operation
//! (compiled in).
//!
//! Enters: the organisation's permission catalogue, decoded; the table in `data/operations.tsv`.
//! Leaves: lookups. Must never: decide what a client may do (that is `access`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use super::permission;

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
                Operations::compiled_in().iter().flat_map(Operation::permissions).collect();
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
    pub name: Box<str>,
    /// How `permissions` combine.
    pub mode: Mode,
    /// The permissions it names, as the definition spells them.
    pub permissions: Vec<Box<str>>,
    /// Any one of these scopes lets it through; empty: no scope is declared.
    pub scopes: Vec<Box<str>>,
}

impl Operation {
    /// The HTTP method.
    pub fn method(&self) -> &str {
        self.name.split_once(' ').map_or("", |(method, _)| method)
    }

    /// The path template.
    pub fn path(&self) -> &str {
        self.name.split_once(' ').map_or("", |(_, path)| path)
    }

    /// The permissions that it names.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.permissions.iter().map(AsRef::as_ref)
    }

    /// The scopes that let it through.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(AsRef::as_ref)
    }
}

/// Every operation of the platform's API, as of some day.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The day (`YYYY-MM-DD`) on which the definition was read.
    pub as_of: String,
    /// Sorted by path, then method.
    list: Vec<Operation>,
    /// By [`normalised`] name.
    index: HashMap<String, usize>,
}

impl Operations {
    /// Some operations. Of two that differ only in the names of path parameters the first is kept.
    pub fn new(as_of: String, mut list: Vec<Operation>) -> Self {
        list.sort_by(|one, other| (one.path(), one.method()).cmp(&(other.path(), other.method())));
        let mut index = HashMap::with_capacity(list.len());
        list.retain(|operation| {
            let at = index.len();
            match index.entry(normalised(&operation.name)) {
                Entry::Vacant(entry) => {
                    entry.insert(at);
                    true
                }
                Entry::Occupied(_) => false,
            }
        });
        Self { as_of, list, index }
    }

    /// The table that is compiled in, for as long as the platform's own definition has not been read.
    pub fn compiled_in() -> &'static Self {
        static OPERATIONS: LazyLock<Operations> =
            LazyLock::new(|| Operations::parse(OPERATIONS_AS_OF, include_str!("data/operations.tsv")));
        &OPERATIONS
    }

    /// Reads a table with a head line and the columns method, path, mode, permissions (by commas), scopes (by spaces).
    fn parse(as_of: &str, table: &str) -> Self {
        let words = |cell: &str, separator: char| {
            cell.split(separator).filter(|word| !word.is_empty()).map(Box::from).collect()
        };
        let list = table.lines().skip(1).filter_map(|line| {
            let mut cells = line.split('\t');
            let (method, path, mode) = (cells.next()?, cells.next()?, cells.next()?);
            Some(Operation {
                name: format!("{method} {path}").into_boxed_str(),
                mode: match mode {
                    "all" => Mode::All,
                    "any" => Mode::Any,
                    _ => Mode::None,
                },
                permissions: words(cells.next()?, ','),
                scopes: words(cells.next()?, ' '),
            })
        });
        Self::new(as_of.to_owned(), list.collect())
    }

    /// All of them, by path, then method.
    pub fn iter(&self) -> std::slice::Iter<'_, Operation> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The place of an operation in the list, by its name (`GET /api/v2/users/{userId}`). The names of path parameters
    /// do not matter, nor does the method's case.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(&normalised(name)).copied()
    }

    /// Up to `limit` operations of the same method that are spelt most like an unknown one, nearest first.
    pub fn nearest(&self, unknown: &str, limit: usize) -> Vec<&str> {
        let normal = normalised(unknown);
        let (method, path) = normal.split_once(' ').unwrap_or((&normal, ""));
        // All paths begin alike, which says nothing.
        let own = |path: &str| path.strip_prefix("/api/v2/").unwrap_or(path).to_owned();
        let by_path: BTreeMap<String, &str> = (self.iter())
            .filter(|operation| operation.method() == method)
            .map(|operation| {
                let normal = normalised(&operation.name);
                (own(normal.split_once(' ').map_or("", |(_, path)| path)), &*operation.name)
            })
            .collect();
        let near = permission::nearest(&own(path), by_path.keys().map(String::as_str), limit);
        near.into_iter().map(|path| by_path[path]).collect()
    }

    /// The operation at a place of the list.
    pub fn get(&self, at: usize) -> Option<&Operation> {
        self.list.get(at)
    }
}

impl<'a> IntoIterator for &'a Operations {
    type Item = &'a Operation;
    type IntoIter = std::slice::Iter<'a, Operation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An operation's name with an upper-case method and every path parameter written `{}`: what stays the same where one
/// source says `{id}` and another `{userId}`.
pub fn normalised(name: &str) -> String {
    let (method, path) = name.trim().split_once(char::is_whitespace).unwrap_or((name, ""));
    let mut text = method.to_ascii_uppercase();
    for (at, segment) in path.trim().split('/').enumerate() {
        text.push(if at == 0 { ' ' } else { '/' });
        // A parameter may be a part of a segment (`{id}.json`).
        let mut rest = segment;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            text.push_str("{}");
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        text.push_str(rest);
    }
    text
}

/// When the compiled-in table of operations was taken from the platform's definition.
pub const OPERATIONS_AS_OF: &str = "2026-08-15";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_every_operation_with_its_rule() {
        let operations = Operations::compiled_in();
        let count = |mode| operations.iter().filter(|operation| operation.mode == mode).count();
        assert_eq!(operations.len(), 3321);
        assert_eq!((count(Mode::All), count(Mode::Any), count(Mode::None)), (852, 2088, 381));
        for operation in operations {
            assert_eq!(operation.mode == Mode::None, operation.permissions.is_empty(), "{}", operation.name);
        }
    }

    #[test]
    fn an_operation_is_found_whatever_its_parameters_are_called() {
        let operations = Operations::compiled_in();
        let at = operations.find("get  /api/v2/users/{id}").unwrap();
        assert_eq!(&*operations.get(at).unwrap().name, "GET /api/v2/users/{userId}");
        assert_eq!(
            operations.find("GET /api/v2/users/me"),
            None.or(operations.find("GET /api/v2/users/me "))
        );
        assert_ne!(operations.find("GET /api/v2/users/me"), Some(at));
        assert_eq!(operations.find("GET /api/v2/users/{id}/"), None);
        assert_eq!(normalised("get /a/{b}.json/{c"), "GET /a/{}.json/{}");
        for (at, operation) in operations.iter().enumerate() {
            assert_eq!(operations.find(&operation.name), Some(at));
        }
    }

    #[test]
    fn general_permissions_are_not_part_of_the_catalogue() {
        assert!(!Catalogue::compiled_in().permissions.contains_key("admin"));
        assert!(Catalogue::compiled_in().permissions.contains_key("telephony:plugin:all"));
    }
}
