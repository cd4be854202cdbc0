//! The ways in which permissions make a client stronger.
//!
//! Enters: the curated table in `data/escalations.tsv`. Leaves: each way with what it asks for, what it opens, and how
//! sure that is. Must never: guess. What the platform's definition or help does not say is `assumed`, with its reason.

use std::sync::LazyLock;

/// How sure a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The platform's definition or help says so.
    Stated,
    /// It is likely, or depends on something that an audit does not read.
    Assumed,
}

/// What a way opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// Everything that the platform can do.
    Everything,
    /// What all roles of the organisation give together.
    EveryRole,
    /// Acting as any user, an administrator among them.
    User,
    /// Acting as another client, of which every role is held already.
    Client,
}

/// One way to become stronger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Its short name.
    pub name: &'static str,
    /// Permissions that it asks for, all of them.
    pub permissions: Vec<&'static str>,
    /// What it opens.
    pub opens: Opens,
    /// How sure that is.
    pub certainty: Certainty,
    /// "may …": what the holder may do.
    pub words: &'static str,
    /// What has to be so beside the permissions.
    pub needs: &'static str,
    /// Where this is known from.
    pub source: &'static str,
}

/// The whole table, in its order: of ways that are equally short and sure, the first is told.
pub fn table() -> &'static [Way] {
    static TABLE: LazyLock<Vec<Way>> = LazyLock::new(|| {
        include_str!("../../data/escalations.tsv").lines().skip(1).filter_map(read).collect()
    });
    &TABLE
}

fn read(line: &'static str) -> Option<Way> {
    let mut cells = line.split('\t');
    Some(Way {
        name: cells.next()?,
        permissions: cells.next()?.split(',').collect(),
        opens: match cells.next()? {
            "everything" => Opens::Everything,
            "every-role" => Opens::EveryRole,
            "user" => Opens::User,
            "client" => Opens::Client,
            _ => return None,
        },
        certainty: match cells.next()? {
            "stated" => Certainty::Stated,
            "assumed" => Certainty::Assumed,
            _ => return None,
        },
        words: cells.next()?,
        needs: cells.next()?,
        source: cells.next()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::catalogue::{Operation, Operations};

    #[test]
    fn every_way_is_whole_and_rests_on_permissions_and_operations_that_exist() {
        let known: BTreeSet<&str> =
            Operations::compiled_in().iter().flat_map(Operation::permissions).collect();
        let lines = include_str!("../../data/escalations.tsv").lines().count();
        assert_eq!(table().len(), lines - 1, "a row of escalations.tsv cannot be read");
        let mut names = BTreeSet::new();
        for way in table() {
            assert!(names.insert(way.name), "{} is there twice", way.name);
            assert!(way.words.starts_with("may "), "{}", way.name);
            assert!(!way.needs.is_empty() && way.source.contains("/api/v2/"), "{}", way.name);
            for permission in &way.permissions {
                assert!(known.contains(permission), "{}: {permission} is named by no operation", way.name);
            }
        }
    }
}
