//! Permission algebra: patterns, and the numbered universe of permissions that they are matched against.
//!
//! Enters: a catalogue, and the policies of roles. Leaves: sets of permissions as bits of one [`Universe`].
//! Must never: fold case, trim, or guess. `telephony:plugin:all` is a literal action called `all`; only `*` is a
//! wildcard, and only as a whole part.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use fixedbitset::FixedBitSet;

use super::{
    catalogue::{Catalogue, Operation, Operations},
    inventory::{Policy, Role},
};

/// The general permission that allows everything.
pub const ADMIN: &str = "admin";

/// General permissions (not `domain:entity:action`) that the platform is known to have: two are named by
/// operations, `group_creation` is met in roles.
pub const GENERAL: [&str; 3] = [ADMIN, "content_management_user", "group_creation"];

/// One thing that a role gives: a general permission, or a pattern of three parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern<'a> {
    /// A general permission, matched literally.
    General(&'a str),
    /// Three parts, each literal or `*`.
    Parts {
        /// The domain or `*`.
        domain: &'a str,
        /// The entity or `*`.
        entity: &'a str,
        /// The action or `*`.
        action: &'a str,
    },
}

impl<'a> Pattern<'a> {
    /// Reads `domain:entity:action`; anything without three parts is a general permission.
    /// Further colons belong to the action.
    pub fn parse(text: &'a str) -> Self {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(domain), Some(entity), Some(action)) => Self::Parts { domain, entity, action },
            _ => Self::General(text),
        }
    }

    /// Whether any part is `*`.
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::General(_) => false,
            Self::Parts { domain, entity, action } => [domain, entity, action].contains(&&"*"),
        }
    }

    /// Whether it gives `permission` (a full name, no pattern). `admin` gives everything.
    pub fn matches(&self, permission: &str) -> bool {
        let fits = |pattern: &str, part: &str| pattern == "*" || pattern == part;
        match (self, Pattern::parse(permission)) {
            (Self::General(ADMIN), _) => true,
            (Self::General(name), Pattern::General(permission)) => *name == permission,
            (
                Self::Parts { domain, entity, action },
                Pattern::Parts { domain: in_domain, entity: on_entity, action: does },
            ) => fits(domain, in_domain) && fits(entity, on_entity) && fits(action, does),
            _ => false,
        }
    }
}

impl std::fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::General(name) => f.write_str(name),
            Self::Parts { domain, entity, action } => write!(f, "{domain}:{entity}:{action}"),
        }
    }
}

/// Every pattern of a role with the condition it is under, policies first.
pub fn patterns(role: &Role) -> impl Iterator<Item = (Pattern<'_>, Option<&str>)> {
    role.policies
        .iter()
        .flat_map(of_policy)
        .chain(role.general.iter().map(|text| (Pattern::parse(text), None)))
}

fn of_policy(policy: &Policy) -> impl Iterator<Item = (Pattern<'_>, Option<&str>)> {
    policy.actions.iter().map(|action| {
        let pattern = Pattern::Parts { domain: &policy.domain, entity: &policy.entity, action };
        (pattern, policy.condition.as_deref())
    })
}

/// A set of permissions, as bits of a [`Universe`].
pub type PermissionSet = FixedBitSet;

/// Every permission that anything at hand could mean, sorted and numbered: those of a catalogue, those that
/// operations name, and those that roles name literally.
#[derive(Debug)]
pub struct Universe {
    names: Vec<Arc<str>>,
    index: HashMap<Arc<str>, usize>,
}

impl Universe {
    /// Numbers the permissions of some catalogues, operations and roles (two snapshots share a universe when compared).
    pub fn new<'a>(
        catalogues: impl IntoIterator<Item = &'a Catalogue>,
        operations: impl IntoIterator<Item = &'a Operations>,
        roles: impl IntoIterator<Item = &'a Role>,
    ) -> Self {
        let mut names: BTreeSet<&str> =
            operations.into_iter().flatten().flat_map(Operation::permissions).collect();
        names.insert(ADMIN);
        for catalogue in catalogues {
            names.extend(catalogue.permissions.keys().map(String::as_str));
        }
        let mut literals = BTreeSet::new();
        for role in roles {
            for (pattern, _) in patterns(role) {
                if !pattern.is_wildcard() {
                    literals.insert(pattern.to_string());
                }
            }
        }
        names.extend(literals.iter().map(String::as_str));
        let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        let index = names.iter().enumerate().map(|(at, name)| (Arc::clone(name), at)).collect();
        Self { names, index }
    }

    /// How many permissions there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: the operations name some.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a permission by its number.
    ///
    /// # Panics
    /// If the number is not of this universe.
    pub fn name(&self, at: usize) -> &str {
        &self.names[at]
    }

    /// The number of a permission, if anything named it.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The empty set.
    pub fn none(&self) -> PermissionSet {
        FixedBitSet::with_capacity(self.len())
    }

    /// The set of some names; names outside the universe are left out.
    pub fn set<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> PermissionSet {
        let mut set = self.none();
        set.extend(names.into_iter().filter_map(|name| self.number(name)));
        set
    }

    /// Adds everything that a pattern gives.
    pub fn add_matches(&self, pattern: &Pattern<'_>, set: &mut PermissionSet) {
        match *pattern {
            Pattern::General(ADMIN) => set.insert_range(..),
            Pattern::Parts { domain, entity, action } if pattern.is_wildcard() => {
                // Sorted names put a literal domain (and entity) in one run; only the rest is compared.
                let run = match (domain, entity) {
                    ("*", _) => 0..self.len(),
                    (_, "*") => self.with_prefix(&format!("{domain}:")),
                    _ => self.with_prefix(&format!("{domain}:{entity}:")),
                };
                let pattern = Pattern::Parts { domain, entity, action };
                set.extend(run.filter(|&at| pattern.matches(&self.names[at])));
            }
            _ => set.extend(self.number(&pattern.to_string())),
        }
    }

    fn with_prefix(&self, prefix: &str) -> Range<usize> {
        let from = self.names.partition_point(|name| &**name < prefix);
        let length = self.names[from..].partition_point(|name| name.starts_with(prefix));
        from..from + length
    }
}

/// Up to `limit` known names nearest to an unknown one, nearest first: for "did you mean".
/// Names that share nothing with it (similarity below 0.8 by Jaro-Winkler) are not offered.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    let lower = unknown.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    scored.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    scored.into_iter().take(limit).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests;
