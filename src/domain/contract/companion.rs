//! Companions: permissions without which the answers of other permissions stay ids.
//!
//! Enters: the curated table in `data/companions.tsv`, and what the configuration adds. Leaves: for a permission (or an
//! operation that declares none) its companions. Must never: grow by guessing. Each row names the field that carries
//! the id and the operation that resolves it.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use crate::domain::catalogue::normalised;

/// One permission that another one is of little use without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// The permission, or the operation (`GET /api/v2/users/{userId}`), whose answers carry ids.
    pub when: Cow<'static, str>,
    /// The permission that resolves them.
    pub needs: Cow<'static, str>,
    /// Why, as a sentence without its full stop.
    pub reason: Cow<'static, str>,
}

/// Some companions, looked up by what they go with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Companions {
    by_permission: BTreeMap<String, Vec<Companion>>,
    by_operation: BTreeMap<String, Vec<Companion>>,
}

/// A row of the table: what resolves which field of which answer.
struct Row {
    when: &'static str,
    needs: &'static str,
    what: &'static str,
    field: &'static str,
    answer: &'static str,
    resolver: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    include_str!("../data/companions.tsv").lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        Some(Row {
            when: cells.next()?,
            needs: cells.next()?,
            what: cells.next()?,
            field: cells.next()?,
            answer: cells.next()?,
            resolver: cells.next()?,
        })
    })
}

/// The curated table.
pub fn table() -> &'static [Companion] {
    static TABLE: LazyLock<Vec<Companion>> = LazyLock::new(|| {
        rows()
            .map(|Row { when, needs, what, field, answer, resolver }| Companion {
                when: when.into(),
                needs: needs.into(),
                reason: format!("{answer} names {what} by id only ({field}); {resolver} resolves them")
                    .into(),
            })
            .collect()
    });
    &TABLE
}

impl Companions {
    /// The curated table and `more`.
    pub fn with(more: &[Companion]) -> Self {
        let mut all = Self::default();
        for companion in table().iter().chain(more) {
            let (list, key) = if companion.when.contains('/') {
                (&mut all.by_operation, normalised(&companion.when))
            } else {
                (&mut all.by_permission, companion.when.to_string())
            };
            list.entry(key).or_default().push(companion.clone());
        }
        all
    }

    /// The companions of a permission.
    pub fn of_permission(&self, permission: &str) -> &[Companion] {
        self.by_permission.get(permission).map_or(&[], Vec::as_slice)
    }

    /// The companions of an operation.
    pub fn of_operation(&self, operation: &str) -> &[Companion] {
        self.by_operation.get(&normalised(operation)).map_or(&[], Vec::as_slice)
    }

    /// Every permission that has companions, with them.
    pub fn permissions(&self) -> impl Iterator<Item = (&str, &[Companion])> {
        self.by_permission.iter().map(|(permission, list)| (permission.as_str(), list.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{
        catalogue::{Mode, Operation, Operations},
        privilege,
    };

    fn operation(name: &str) -> &'static Operation {
        let operations = Operations::compiled_in();
        operations
            .find(name)
            .and_then(|at| operations.get(at))
            .unwrap_or_else(|| panic!("no operation {name}"))
    }

    #[test]
    fn every_row_is_borne_out_by_the_table_of_operations() {
        let lines = include_str!("../data/companions.tsv").lines().count();
        assert_eq!(rows().count(), lines - 1, "a row of companions.tsv cannot be read");
        assert!((20..=45).contains(&rows().count()), "small and true");
        let mut pairs = BTreeSet::new();
        for row in rows() {
            let answer = operation(row.answer);
            if row.when.contains('/') {
                assert_eq!(
                    (row.when, answer.mode),
                    (row.answer, Mode::None),
                    "an operation that declares none"
                );
            } else {
                assert!(
                    answer.permissions().any(|name| name == row.when),
                    "{} does not open {}",
                    row.when,
                    row.answer
                );
            }
            let resolver = operation(row.resolver);
            assert!(
                resolver.permissions().any(|name| name == row.needs),
                "{} does not open {}",
                row.needs,
                row.resolver
            );
            assert!(pairs.insert((row.when, row.needs)), "{} {} stands there twice", row.when, row.needs);
            assert_ne!(row.when, row.needs);
            assert_eq!(
                privilege::of(row.needs),
                None,
                "{}: an implied permission is an ordinary one",
                row.needs
            );
            assert!(!row.what.is_empty() && !row.field.is_empty());
        }
    }

    #[test]
    fn what_the_configuration_adds_comes_after_the_table() {
        let more = Companion {
            when: "analytics:conversationDetail:view".into(),
            needs: "recording:recording:view".into(),
            reason: "we play them".into(),
        };
        let companions = Companions::with(std::slice::from_ref(&more));
        let list = companions.of_permission("analytics:conversationDetail:view");
        assert_eq!(list.last(), Some(&more));
        assert!(list.iter().any(|companion| companion.needs == "directory:user:view"));
        assert!(
            !companions.of_operation("get /api/v2/users/{id}").is_empty(),
            "whatever the parameter is called"
        );
        assert!(companions.of_permission("no:such:thing").is_empty());
    }
}
