//! Which operations may be sent at all, and why a granted call could change nothing.
//!
//! Enters: the curated table in `data/probes.tsv`, written and reviewed by people. Leaves: its rows.
//! Must never: be widened by a rule. An operation that is not in the table is not sent, whatever it looks like.
//!
//! A row is a deletion, a change or a reading of single objects (or a reading of what stands below one) by ids in the
//! path, each of which will be a fresh random one; or a reading of a list, of which only the emptiness is kept; or, only
//! if the configuration asks for it, a creation with a body that no validation can accept. No PUT (many create what they
//! do not find), nothing that publishes, nothing in bulk, nothing about the caller itself, nothing that writes grants.

use std::{collections::HashMap, sync::LazyLock};

/// How an operation is made harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Deletes one object by ids that nothing has.
    Delete,
    /// Changes one object by ids that nothing has, with a body that names no field.
    Patch,
    /// Reads one object by ids that nothing has; the body is thrown away.
    Read,
    /// Reads a list; of the body only whether it is empty is kept.
    List,
    /// Would create something, if its body were not a list where an object is required.
    Create,
}

impl Class {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "delete" => Some(Self::Delete),
            "patch" => Some(Self::Patch),
            "read" => Some(Self::Read),
            "list" => Some(Self::List),
            "create" => Some(Self::Create),
            _ => None,
        }
    }

    /// What is sent as the body, if anything.
    pub fn body(self) -> Option<&'static str> {
        match self {
            Self::Delete | Self::Read | Self::List => None,
            Self::Patch => Some("{}"),
            Self::Create => Some("[]"),
        }
    }

    /// It only reads.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::List)
    }
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeOperation {
    /// `DELETE /api/v2/users/{userId}`.
    pub operation: &'static str,
    /// How it is made harmless.
    pub class: Class,
    /// It is in the built-in list of what hardly any client should perform.
    pub restricted: bool,
    /// What a division's object counts call the objects that it lists.
    pub counted_as: Option<&'static str>,
    /// Why a granted call changes nothing.
    pub why: &'static str,
    /// Where that is from.
    pub source: &'static str,
}

/// The whole table.
pub fn safe_operations() -> &'static [SafeOperation] {
    static TABLE: LazyLock<Vec<SafeOperation>> = LazyLock::new(|| {
        include_str!("../data/probes.tsv")
            .lines()
            .skip(1)
            .filter_map(|line| {
                let mut cells = line.split('\t');
                Some(SafeOperation {
                    operation: cells.next()?,
                    class: Class::parse(cells.next()?)?,
                    restricted: cells.next()? == "yes",
                    counted_as: cells.next().filter(|kind| *kind != "-"),
                    why: cells.next()?,
                    source: cells.next()?,
                })
            })
            .collect()
    });
    &TABLE
}

/// The row of an operation; `None`: it may not be sent. A path parameter that is called otherwise makes it another
/// operation: what was reviewed was an id, and what is named anew may be something else.
pub(super) fn of(operation: &str) -> Option<&'static SafeOperation> {
    static INDEX: LazyLock<HashMap<&'static str, &'static SafeOperation>> =
        LazyLock::new(|| safe_operations().iter().map(|row| (row.operation, row)).collect());
    INDEX.get(operation).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::catalogue::{Mode, Operations, normalised};

    #[test]
    fn every_row_is_read_and_no_operation_stands_twice() {
        let lines = include_str!("../data/probes.tsv").lines().skip(1).count();
        assert_eq!(safe_operations().len(), lines);
        let names: BTreeSet<String> = safe_operations().iter().map(|row| normalised(row.operation)).collect();
        assert_eq!(names.len(), lines);
        assert!(safe_operations().iter().filter(|row| row.restricted).count() >= 10);
    }

    #[test]
    fn every_row_keeps_the_rules_of_the_table() {
        let operations = Operations::compiled_in();
        for row in safe_operations() {
            let SafeOperation { operation, class, .. } = row;
            assert!(operations.find(operation).is_some(), "{operation} is no operation of the platform");
            let (method, path) = operation.split_once(' ').unwrap();
            let wanted = match class {
                Class::Delete => "DELETE",
                Class::Patch => "PATCH",
                Class::Read | Class::List => "GET",
                Class::Create => "POST",
            };
            assert_eq!(method, wanted, "{operation}");
            let ids: Vec<&str> = path.split('/').filter(|part| part.contains('{')).collect();
            let by_id = !matches!(class, Class::List | Class::Create);
            assert_eq!(by_id, !ids.is_empty(), "{operation}");
            for id in ids {
                // Names, codes, keys and dates may exist without anybody having chosen them at random.
                assert!(
                    id.starts_with('{') && (id.ends_with("Id}") || id.ends_with("LimitsId}")),
                    "{operation}"
                );
            }
            if matches!(class, Class::Delete | Class::Patch) {
                assert!(path.ends_with('}'), "{operation} means more than one object");
            }
            let rule = operations.get(operations.find(operation).unwrap()).unwrap();
            if !class.is_read() {
                // Who owns something decides there, and nothing says what a refusal would have to look like.
                assert_ne!(rule.mode, Mode::None, "{operation} declares no permission");
            }
            if *class == Class::Create {
                let grants = rule.permissions().any(|name| name.starts_with("authorization:grant:"));
                assert!(!grants, "{operation} writes grants");
            }
            for word in [
                "me", "mine", "current", "default", "bulk", "batch", "publish", "jobs", "export", "all",
                "query", "search", "upload", "delete", "tokens",
            ] {
                let is_job = word == "jobs" && path.ends_with("/jobs/{jobId}");
                assert!(is_job || path.split('/').all(|part| part != word), "{operation} has {word}");
            }
            assert!(!path.contains("grants") || class.is_read(), "{operation} may write grants");
            assert!(row.why.ends_with('.') && row.source.len() > 20, "{operation}");
        }
    }
}
