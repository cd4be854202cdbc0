//! The platform's operations: what each needs, and which one a request means.
//!
//! Enters: the compiled-in table (facts only: method, path, mode, permissions, scopes). Leaves: an [`Operation`] with
//! its path parameters, or why there is none. It never decides whether a caller may perform the operation.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// One row an operation, after a heading: method, path, mode, permissions (commas), scopes (spaces).
const TABLE: &str = include_str!("../domain/data/operations.tsv");

/// How many of an operation's permissions its caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Every one of them.
    All,
    /// At least one of them.
    Any,
    /// The platform declares none: everybody with a token may call it.
    None,
}

/// One operation of the platform.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) mode: Mode,
    pub(super) permissions: Vec<&'static str>,
    /// Any one of them is enough; none declared means that no scope is asked for.
    pub(super) scopes: Vec<&'static str>,
}

/// Why a request means no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoOperation {
    UnknownPath,
    WrongMethod,
}

/// Path parameters by the name that the template gives them, percent-decoded.
pub(super) type Parameters = HashMap<&'static str, String>;

/// The only operation that the table lacks: the API definition itself.
static DEFINITION: Operation = Operation {
    method: "GET",
    path: "/api/v2/docs/swagger",
    mode: Mode::None,
    permissions: Vec::new(),
    scopes: Vec::new(),
};

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| TABLE.lines().skip(1).map(parse).collect());
static PATHS: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node::default();
    for operation in OPERATIONS.iter().chain([&DEFINITION]) {
        root.insert(operation);
    }
    root
});

/// Every operation of the table, in its order.
pub(super) fn all() -> &'static [Operation] {
    &OPERATIONS
}

/// The operation that a request means. A literal segment wins over a parameter, so `/users/me` is never a user id.
pub(super) fn find(method: &str, path: &str) -> Result<(&'static Operation, Parameters), NoOperation> {
    let segments: Vec<&str> = path.split('/').collect();
    let mut path_known = false;
    let mut values = Vec::new();
    let Some(operation) = PATHS.find(method, &segments, &mut values, &mut path_known) else {
        return Err(if path_known { NoOperation::WrongMethod } else { NoOperation::UnknownPath });
    };
    let names = operation.path.split('/').filter_map(parameter_name);
    Ok((operation, names.zip(values.into_iter().map(decode)).collect()))
}

/// `roleId` of the template segment `{roleId}`.
pub(super) fn parameter_name(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn parse(line: &'static str) -> Operation {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let (method, path, mode, permissions, scopes) = (next(), next(), next(), next(), next());
    Operation {
        method,
        path,
        mode: match mode {
            "all" => Mode::All,
            "any" => Mode::Any,
            _ => Mode::None,
        },
        permissions: permissions.split(',').filter(|name| !name.is_empty()).collect(),
        scopes: scopes.split(' ').filter(|name| !name.is_empty()).collect(),
    }
}

/// One segment of the paths: what may follow it, and the operations that end here.
#[derive(Default)]
struct Node {
    literals: HashMap<&'static str, Node>,
    parameter: Option<Box<Node>>,
    operations: BTreeMap<&'static str, &'static Operation>,
}

impl Node {
    fn insert(&mut self, operation: &'static Operation) {
        let mut node = self;
        for segment in operation.path.split('/') {
            node = match parameter_name(segment) {
                Some(_) => node.parameter.get_or_insert_default(),
                None => node.literals.entry(segment).or_default(),
            };
        }
        node.operations.insert(operation.method, operation);
    }

    /// Depth first, literals first; `values` holds what the parameters of the found template matched.
    fn find<'path>(
        &self,
        method: &str,
        segments: &[&'path str],
        values: &mut Vec<&'path str>,
        path_known: &mut bool,
    ) -> Option<&'static Operation> {
        let Some((segment, rest)) = segments.split_first() else {
            *path_known |= !self.operations.is_empty();
            return self.operations.get(method).copied();
        };
        let literal = self.literals.get(segment);
        if let Some(found) = literal.and_then(|node| node.find(method, rest, values, path_known)) {
            return Some(found);
        }
        let parameter = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
        values.push(segment);
        let found = parameter.find(method, rest, values, path_known);
        if found.is_none() {
            values.pop();
        }
        found
    }
}

/// Undoes percent-encoding in one path segment, where `+` is an ordinary character.
fn decode(segment: &str) -> String {
    let pair = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_an_operation_that_its_own_path_finds() {
        assert_eq!(all().len(), 3321);
        for operation in all() {
            let (found, parameters) = find(operation.method, operation.path).unwrap();
            assert_eq!((found.method, found.path), (operation.method, operation.path));
            assert_eq!(parameters.len(), operation.path.matches('{').count(), "{}", operation.path);
            assert_eq!(operation.mode == Mode::None, operation.permissions.is_empty(), "{}", operation.path);
        }
    }

    #[test]
    fn a_literal_segment_wins_over_a_parameter() {
        let found = |method, path| find(method, path).map(|(operation, _)| operation.path);
        assert_eq!(found("GET", "/api/v2/users/me"), Ok("/api/v2/users/me"));
        assert_eq!(found("GET", "/api/v2/users/42"), Ok("/api/v2/users/{userId}"));
        assert_eq!(
            found("GET", "/api/v2/authorization/divisions/home"),
            Ok("/api/v2/authorization/divisions/home")
        );
    }

    #[test]
    fn unknown_paths_and_wrong_methods_are_told_apart() {
        let error = |method, path| find(method, path).err();
        assert_eq!(error("GET", "/api/v2/no/such/thing"), Some(NoOperation::UnknownPath));
        assert_eq!(error("GET", "/api/v2/users/"), Some(NoOperation::UnknownPath));
        assert_eq!(error("PATCH", "/api/v2/oauth/clients"), Some(NoOperation::WrongMethod));
    }

    #[test]
    fn parameters_are_named_by_the_template_and_decoded() {
        let path = "/api/v2/authorization/subjects/s+1/divisions/%2A/roles/r%26";
        let (_, parameters) = find("POST", path).unwrap();
        assert_eq!(parameters["subjectId"], "s+1");
        assert_eq!(parameters["divisionId"], "*");
        assert_eq!(parameters["roleId"], "r&");
    }
}
