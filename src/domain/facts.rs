//! What one audit read of an organisation, before anybody judges it.
//!
//! Enters: what `collect` decoded, and what the previous audit knew. Leaves: plain values, sorted by id, each
//! optional fact as a [`Reading`]. Must never: hold a fact that was not read in this audit. Carrying an earlier
//! value forward is the snapshot's work, and visible there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use super::{
    ClientId, DivisionId, Gap, RoleId,
    catalogue::{Catalogue, Operations},
    evidence::Hash,
    inventory::{Client, Division, ObjectCounts, ObservedGrants, OwnGrants, Role},
    usage::Tally,
};

/// What the previous audit knew. It decides whether a listing must be read twice before a removal is believed,
/// and whether the catalogue must be read now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every client.
    pub clients: BTreeSet<ClientId>,
    /// Every role.
    pub roles: BTreeSet<RoleId>,
    /// Every division.
    pub divisions: BTreeSet<DivisionId>,
    /// Every permission of the last catalogue; `None`: none was ever read.
    pub permissions: Option<BTreeSet<String>>,
    /// The operations of the last definition; `None`: none was read.
    pub operations: Option<KnownOperations>,
    /// What [`unknown_permissions`] found with that catalogue: asking the platform again would not help.
    pub unknown_permissions: BTreeSet<String>,
}

/// What the previous audit recorded of the platform's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownOperations {
    /// How many operations it listed.
    pub count: usize,
    /// Which they are.
    pub hash: Hash,
}

/// Everything that one audit read.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Every client, sorted by id.
    pub clients: Vec<Client>,
    /// Every role, sorted by id.
    pub roles: Vec<Role>,
    /// The divisions and what they hold.
    pub divisions: Reading<DivisionsSeen>,
    /// The organisation's permission catalogue.
    pub catalogue: Reading<Catalogue>,
    /// The operations of the platform's own definition; `None`: not to be asked for, the compiled-in table answers.
    pub operations: Option<Reading<Arc<Operations>>>,
    /// What the auditor itself may see.
    pub own_grants: Reading<OwnGrants>,
    /// What some clients are granted, asked from their own side.
    pub grants: GrantsSeen,
    /// What clients called.
    pub usage: Reading<Tally>,
    /// Gaps of single clients: a record that did not carry its grants.
    pub gaps: Vec<Gap>,
    /// HTTP requests that the audit sent, token and retries included.
    pub api_calls: u32,
}

/// What one audit read of clients' grants: of those whose turn it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsSeen {
    /// By client.
    pub seen: BTreeMap<ClientId, ObservedGrants>,
    /// Clients that were asked about in vain (with a `subject`), or why nobody could be asked (without). `stale_since`
    /// is left open.
    pub gaps: Vec<Gap>,
}

impl GrantsSeen {
    /// Everybody who was asked about, each with whether the platform answered.
    pub fn asked(&self) -> BTreeMap<ClientId, bool> {
        let refused = self.gaps.iter().filter_map(|gap| gap.subject.as_deref());
        let refused = refused.map(|id| (ClientId::from(id), false));
        refused.chain(self.seen.keys().map(|id| (id.clone(), true))).collect()
    }
}

/// An optional fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// Read in this audit.
    Seen(T),
    /// Not asked for: the last value is recent enough.
    NotDue,
    /// Asked for and not read. `stale_since` is left open: only the store knows the last good reading.
    Gap(Gap),
}

/// The divisions, and how many objects each held when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DivisionsSeen {
    /// Every division, sorted by id.
    pub divisions: Vec<Division>,
    /// Objects by division and kind; a division whose counts were not returned is absent.
    pub object_counts: ObjectCounts,
}

/// What the roles name and the catalogue does not have: permissions as `domain:entity:action`, and wildcards that
/// match nothing. General permissions without colons are no part of a catalogue and never listed.
pub fn unknown_permissions(roles: &[Role], catalogue: &BTreeSet<String>) -> BTreeSet<String> {
    let mut unknown = BTreeSet::new();
    // A large organisation names the same few hundred permissions in hundreds of roles: one buffer serves all.
    let mut name = String::new();
    for role in roles {
        for policy in &role.policies {
            for action in &policy.actions {
                name.clear();
                // Writing to a `String` cannot fail.
                let _ = write!(name, "{}:{}:{action}", policy.domain, policy.entity);
                if !has(catalogue, &name) && !unknown.contains(&name) {
                    unknown.insert(name.clone());
                }
            }
        }
        let full = role.general.iter().filter(|name| name.contains(':') && !has(catalogue, name));
        unknown.extend(full.cloned());
    }
    unknown
}

fn has(catalogue: &BTreeSet<String>, name: &str) -> bool {
    if !name.split(':').any(|segment| segment == "*") {
        return catalogue.contains(name);
    }
    let pattern: Vec<&str> = name.split(':').collect();
    catalogue.iter().any(|permission| {
        let mut segments = permission.split(':');
        pattern
            .iter()
            .all(|wanted| segments.next().is_some_and(|segment| *wanted == "*" || *wanted == segment))
            && segments.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::Policy;

    fn role(policies: &[(&str, &str, &[&str])], general: &[&str]) -> Role {
        Role {
            default_role_id: None,
            description: String::new(),
            general: general.iter().map(|&name| name.to_owned()).collect(),
            id: "r1".into(),
            is_default: false,
            name: "Role".to_owned(),
            policies: policies
                .iter()
                .map(|(domain, entity, actions)| Policy {
                    actions: actions.iter().map(|&action| action.to_owned()).collect(),
                    condition: None,
                    domain: (*domain).to_owned(),
                    entity: (*entity).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn only_what_the_catalogue_lacks_is_unknown() {
        let catalogue: BTreeSet<String> =
            ["routing:queue:view", "telephony:plugin:all"].map(String::from).into();
        let cases: [(Role, &[&str]); 9] = [
            (role(&[("routing", "queue", &["view"])], &[]), &[]),
            (role(&[("routing", "queue", &["view", "fly"])], &[]), &["routing:queue:fly"]),
            (role(&[("routing", "*", &["*"])], &[]), &[]),
            (role(&[("*", "*", &["*"])], &[]), &[]),
            (role(&[("rowting", "*", &["*"])], &[]), &["rowting:*:*"]),
            (role(&[("routing", "*", &["fly"])], &[]), &["routing:*:fly"]),
            (role(&[("telephony", "plugin", &["all"])], &[]), &[]),
            (role(&[], &["admin", "group_creation"]), &[]),
            (role(&[], &["routing:queue:view", "routing:queue:gone"]), &["routing:queue:gone"]),
        ];
        for (role, expected) in cases {
            let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(unknown_permissions(std::slice::from_ref(&role), &catalogue), expected, "{role:?}");
        }
    }
}
