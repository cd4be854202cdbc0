//! What the platform knows: every permission (from the organisation's own catalogue) and every operation (from the
//! platform's own definition, and from a table that is compiled in).
//!
//! Enters: the organisation's permission catalogue and the operations of the definition, decoded; the table in
//! `data/operations.tsv`. Leaves: lookups. Must never: decide what a client may do (that is `access`).
//!
//! Once the definition was read, it answers for every operation that it lists. What only the table knows is kept beside
//! it, with the table's own day: a definition leaves out what is not published (or not published yet), and an operation
//! that is served and not shown would be power that nobody sees. The price is that one which the platform took away stays
//! listed until the next release. `definition`: how the definition is read.

pub mod definition;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{LazyLock, OnceLock},
};

use serde::{Deserialize, Serialize};

use super::{evidence::Hash, permission};

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
    /// The definition states a rule that could not be understood: neither granted nor refused.
    Unknown,
}

/// One operation of the platform's API. Its fields stand in the order of their names, for its JSON form is evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// How `permissions` combine.
    pub mode: Mode,
    /// `GET /api/v2/users/{userId}`.
    pub name: Box<str>,
    /// The permissions it names, as the definition spells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Box<str>>,
    /// Any one of these scopes lets it through; empty: no scope is declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

    /// Whether another one states the same rule and the same scopes, in whatever order.
    fn asks_the_same(&self, other: &Self) -> bool {
        let same = |one: &[Box<str>], other: &[Box<str>]| {
            one == other || one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
        };
        self.mode == other.mode
            && same(&self.permissions, &other.permissions)
            && same(&self.scopes, &other.scopes)
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

/// Where a table of operations comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The platform's own definition, as an audit read it.
    Definition,
    /// The table that is compiled in, of [`OPERATIONS_AS_OF`].
    CompiledIn,
}

impl Source {
    /// The word in JSON and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::CompiledIn => "compiled-in",
        }
    }
}

/// Every operation of the platform's API.
#[derive(Clone, Debug)]
pub struct Operations {
    source: Source,
    /// Sorted by path, then method.
    list: Vec<Operation>,
    /// By [`normalised`] name.
    index: HashMap<String, usize>,
    /// Places of those that the compiled-in table adds to a definition, sorted.
    added: Vec<usize>,
    /// Of the JSON form.
    hash: OnceLock<Hash>,
}

/// Equal if they list the same.
impl PartialEq for Operations {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.list == other.list && self.added == other.added
    }
}

impl Eq for Operations {}

/// How two tables differ in what each of them lists itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Only in the newer one.
    pub added: Vec<&'a Operation>,
    /// Only in the older one.
    pub removed: Vec<&'a Operation>,
    /// In both, with another rule or other scopes: the older, the newer.
    pub changed: Vec<(&'a Operation, &'a Operation)>,
}

impl Operations {
    /// Of two operations that differ only in the names of path parameters the first is kept.
    pub(super) fn new(source: Source, list: Vec<Operation>) -> Self {
        let mut seen = HashSet::with_capacity(list.len());
        let rows = list.into_iter().filter(|operation| seen.insert(normalised(&operation.name)));
        Self::of_rows(source, rows.map(|operation| (operation, source)).collect())
    }

    /// No two rows may be of one name.
    fn of_rows(source: Source, mut rows: Vec<(Operation, Source)>) -> Self {
        rows.sort_by(|(one, _), (other, _)| (one.path(), one.method()).cmp(&(other.path(), other.method())));
        let index = rows.iter().enumerate().map(|(at, (operation, _))| (normalised(&operation.name), at));
        let index = index.collect();
        let foreign = rows.iter().enumerate().filter(|(_, (_, from))| *from != source);
        let added = foreign.map(|(at, _)| at).collect();
        let list = rows.into_iter().map(|(operation, _)| operation).collect();
        Self { source, list, index, added, hash: OnceLock::new() }
    }

    /// What a definition lists, and beside it what only the compiled-in table knows.
    pub fn defined(listed: Vec<Operation>) -> Self {
        let listed = Self::new(Source::Definition, listed);
        let only_compiled_in = (Self::compiled_in().iter())
            .filter(|operation| listed.find(&operation.name).is_none())
            .map(|operation| (operation.clone(), Source::CompiledIn))
            .collect::<Vec<_>>();
        let rows = listed.list.into_iter().map(|operation| (operation, Source::Definition));
        Self::of_rows(Source::Definition, rows.chain(only_compiled_in).collect())
    }

    /// Reads what [`Operations::body`] writes. Fails on any other text.
    pub fn read(body: &str) -> Result<Self, serde_json::Error> {
        Ok(Self::defined(serde_json::from_str(body)?))
    }

    /// The same, recorded under a hash that is trusted.
    #[must_use]
    pub fn recorded_as(mut self, hash: Hash) -> Self {
        self.hash = OnceLock::from(hash);
        self
    }

    /// What the definition lists, as canonical JSON.
    ///
    /// # Panics
    /// Never: operations have a JSON form.
    pub fn body(&self) -> String {
        serde_json::to_string(&self.listed().collect::<Vec<_>>()).expect("operations have a JSON form")
    }

    /// The hash of [`Operations::body`], worked out once.
    pub fn hash(&self) -> Hash {
        *self.hash.get_or_init(|| Hash::of(self.body().as_bytes()))
    }

    /// Where it comes from; what [`Operations::source_of`] one operation says may differ.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Where the operation at a place of the list comes from.
    pub fn source_of(&self, at: usize) -> Source {
        if self.added.binary_search(&at).is_ok() { Source::CompiledIn } else { self.source }
    }

    /// Those that its own source lists: all, but for what the compiled-in table adds to a definition.
    pub fn listed(&self) -> impl Iterator<Item = &Operation> {
        let own = |(at, operation)| (self.source_of(at) == self.source).then_some(operation);
        self.list.iter().enumerate().filter_map(own)
    }

    /// How many its own source lists.
    pub fn listed_len(&self) -> usize {
        self.list.len() - self.added.len()
    }

    /// What this table lists otherwise than an older one, by path, then method.
    pub fn since<'a>(&'a self, older: &'a Self) -> Difference<'a> {
        let of = |table: &'a Self, operation: &Operation| {
            let at = table.find(&operation.name)?;
            (table.source_of(at) == table.source).then(|| &table.list[at])
        };
        let mut difference = Difference::default();
        for operation in self.listed() {
            match of(older, operation) {
                None => difference.added.push(operation),
                Some(old) if !old.asks_the_same(operation) => difference.changed.push((old, operation)),
                Some(_) => {}
            }
        }
        difference.removed.extend(older.listed().filter(|operation| of(self, operation).is_none()));
        difference
    }

    /// The table that is compiled in, for as long as the platform's own definition has not been read.
    pub fn compiled_in() -> &'static Self {
        static OPERATIONS: LazyLock<Operations> =
            LazyLock::new(|| Operations::parse(include_str!("data/operations.tsv")));
        &OPERATIONS
    }

    /// Reads a table with a head line and the columns method, path, mode, permissions (by commas), scopes (by spaces).
    fn parse(table: &str) -> Self {
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
        Self::new(Source::CompiledIn, list.collect())
    }

    /// Which table it is, in words.
    pub fn title(&self) -> String {
        match self.source {
            Source::Definition => "the platform's definition".to_owned(),
            Source::CompiledIn => format!("the compiled-in table of {OPERATIONS_AS_OF}"),
        }
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

    fn operation(name: &str, mode: Mode, permissions: &[&str]) -> Operation {
        let permissions = permissions.iter().map(|&permission| Box::from(permission)).collect();
        Operation { name: name.into(), mode, permissions, scopes: Vec::new() }
    }

    #[test]
    fn a_definition_wins_for_what_it_lists_and_hides_nothing_else() {
        let listed = vec![
            operation("GET /api/v2/users/{id}", Mode::All, &["directory:user:list"]),
            operation("GET /api/v2/tomorrow", Mode::Any, &["tomorrow:thing:view"]),
        ];
        let operations = Operations::defined(listed.clone());
        assert_eq!(operations.len(), Operations::compiled_in().len() + 1);
        assert_eq!((operations.source(), operations.listed_len()), (Source::Definition, 2));
        let at = operations.find("GET /api/v2/users/{userId}").unwrap();
        assert_eq!((operations.get(at), operations.source_of(at)), (Some(&listed[0]), Source::Definition));
        let at = operations.find("DELETE /api/v2/users/{userId}").unwrap();
        assert_eq!(operations.source_of(at), Source::CompiledIn);
        for (at, operation) in operations.iter().enumerate() {
            assert_eq!(operations.find(&operation.name), Some(at));
        }
        let read = Operations::read(&operations.body()).unwrap();
        assert_eq!((&read, read.hash()), (&operations, operations.hash()));
        assert_eq!(operations.listed().count(), 2);
    }

    #[test]
    fn the_difference_is_of_what_each_lists_itself() {
        let old = Operations::defined(vec![
            operation("GET /api/v2/users/{id}", Mode::Any, &["directory:user:view", "a:b:c"]),
            operation("GET /api/v2/gone", Mode::None, &[]),
            operation("GET /api/v2/stays", Mode::All, &["a:b:c"]),
        ]);
        let new = Operations::defined(vec![
            operation("GET /api/v2/users/{userId}", Mode::Any, &["a:b:c", "directory:user:view"]),
            operation("GET /api/v2/stays", Mode::Any, &["a:b:c"]),
            // The compiled-in table knew it all the time, the platform's definition did not.
            operation("DELETE /api/v2/users/{userId}", Mode::Any, &["admin"]),
        ]);
        let names = |list: &[&Operation]| list.iter().map(|one| one.name.to_string()).collect::<Vec<_>>();
        let difference = new.since(&old);
        assert_eq!(names(&difference.added), ["DELETE /api/v2/users/{userId}"]);
        assert_eq!(names(&difference.removed), ["GET /api/v2/gone"]);
        let [(before, after)] = difference.changed[..] else { panic!("{:?}", difference.changed) };
        assert_eq!((before.mode, after.mode), (Mode::All, Mode::Any));
        assert_eq!(old.since(&old), Difference::default());
    }

    #[test]
    fn general_permissions_are_not_part_of_the_catalogue() {
        assert!(!Catalogue::compiled_in().permissions.contains_key("admin"));
        assert!(Catalogue::compiled_in().permissions.contains_key("telephony:plugin:all"));
    }
}
