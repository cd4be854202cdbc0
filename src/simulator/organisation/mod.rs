//! The organisation: everything that its administrators can see and change, and nothing else.
//!
//! Enters: a seed and sizes, then writes. Leaves: plain data for the handlers. It knows no HTTP, no token and no clock:
//! what it calls *now* is the number of writes so far.

pub(super) mod catalogue;
mod generate;
pub(super) mod identity;
pub(super) mod names;
mod shipped;
mod story;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(super) use catalogue::Catalogue;

use super::Options;

/// The division id that means all divisions, present and future.
pub(super) const ALL_DIVISIONS: &str = "*";
/// No kind of thing grows beyond this, whatever is created.
pub(super) const MOST_OF_A_KIND: usize = 100_000;

/// An OAuth client as the organisation stores it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) secret: String,
    /// Whether reading the client shows its secret; what the real platform does is unconfirmed, so it does both.
    pub(super) shows_secret: bool,
    pub(super) description: Option<String>,
    /// Seconds; absent means a day.
    pub(super) token_validity: Option<i64>,
    pub(super) redirect_uris: Option<Vec<String>>,
    pub(super) grant_type: String,
    pub(super) scope: Option<Vec<String>>,
    pub(super) role_divisions: Option<Vec<Grant>>,
    /// The deprecated form: without `role_divisions`, each is a grant in all divisions.
    pub(super) role_ids: Option<Vec<String>>,
    pub(super) state: String,
    pub(super) date_to_delete: Option<String>,
    pub(super) date_created: Option<String>,
    pub(super) date_modified: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) modified_by: Option<String>,
    /// A field that the published definition does not know.
    pub(super) extra: Option<(String, Value)>,
}

/// A role, held in a division.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Grant {
    pub(super) role: String,
    pub(super) division: String,
}

/// A role: general permissions and policies.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) default_role_id: Option<String>,
    pub(super) permissions: Vec<String>,
    pub(super) policies: Vec<Policy>,
    pub(super) extra: Option<(String, Value)>,
}

/// What a role allows on the entities of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Policy {
    pub(super) domain: String,
    pub(super) entity: String,
    pub(super) actions: Vec<String>,
    pub(super) allow_conditions: Option<bool>,
    /// The platform's `resourceConditionNode`, as it was written.
    pub(super) condition: Option<Value>,
}

impl Policy {
    pub(super) fn new(domain: &str, entity: &str, actions: &[&str]) -> Self {
        Self {
            domain: domain.to_owned(),
            entity: entity.to_owned(),
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
            allow_conditions: None,
            condition: None,
        }
    }
}

/// A division, with the counts of the objects that the simulator does not hold one by one.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Division {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) home: bool,
    pub(super) other_objects: BTreeMap<String, i64>,
}

/// A person.
#[derive(Debug, Clone, Serialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) division: String,
    pub(super) department: Option<String>,
    pub(super) title: Option<String>,
    pub(super) state: String,
    pub(super) version: i64,
}

/// A group, which hands the roles that are granted to it on to its members.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) members: BTreeSet<String>,
}

/// A queue.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Queue {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) division: String,
}

/// The whole organisation. Tables are ordered by id, so that every listing is stable.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Organisation {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) auditor: String,
    pub(super) administrator: String,
    pub(super) clients: BTreeMap<String, Client>,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) divisions: BTreeMap<String, Division>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) queues: BTreeMap<String, Queue>,
    /// Whether the platform lets a client be a member is unconfirmed; here it may be, so that grants can be inherited.
    pub(super) groups: BTreeMap<String, Group>,
    /// Grants made from the subject's or the role's side: all that users hold, and what clients hold beyond their record.
    pub(super) grants: BTreeMap<String, BTreeSet<Grant>>,
    pub(super) catalogue: Catalogue,
    seed: u64,
    /// How many writes there were.
    revision: u64,
}

impl Organisation {
    /// The organisation that these options always give.
    pub(super) fn new(options: &Options) -> Self {
        if options.story { story::tell(options.seed) } else { generate::generate(options) }
    }

    fn empty(seed: u64, name: &str) -> Self {
        Self {
            id: identity::id(seed, "organisation", 0),
            name: name.to_owned(),
            auditor: identity::id(seed, "client", 0),
            administrator: identity::id(seed, "client", 1),
            clients: BTreeMap::new(),
            roles: BTreeMap::new(),
            divisions: BTreeMap::new(),
            users: BTreeMap::new(),
            queues: BTreeMap::new(),
            groups: BTreeMap::new(),
            grants: BTreeMap::new(),
            catalogue: catalogue::initial(),
            seed,
            revision: 0,
        }
    }

    /// Counts one write and says when it was.
    pub(super) fn write(&mut self) -> String {
        self.revision += 1;
        identity::moment_of(self.revision)
    }

    /// How many writes there were.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The id of what the current write creates.
    pub(super) fn new_id(&self) -> String {
        identity::id(self.seed, "created", self.revision)
    }

    /// The secret that the current write issues.
    pub(super) fn new_secret(&self) -> String {
        identity::secret(self.seed, "issued secret", self.revision)
    }

    /// SHA-256 over the whole state; every write changes it, even one that is undone by the next.
    pub(super) fn digest(&self) -> Result<String, serde_json::Error> {
        Ok(hex::encode(Sha256::digest(serde_json::to_vec(self)?)))
    }

    /// The division that cannot be deleted.
    pub(super) fn home(&self) -> Option<&Division> {
        self.divisions.values().find(|division| division.home)
    }

    /// Whether this is a division that a grant may name: a known one, or all of them.
    pub(super) fn can_grant_in(&self, division: &str) -> bool {
        division == ALL_DIVISIONS || self.divisions.contains_key(division)
    }

    /// Objects of each type in a division; those held one by one are counted, the others remembered.
    pub(super) fn object_counts(&self, division: &Division) -> BTreeMap<String, i64> {
        let count = |there: usize| i64::try_from(there).unwrap_or(i64::MAX);
        let mut counts = division.other_objects.clone();
        counts
            .insert("USER".into(), count(self.users.values().filter(|u| u.division == division.id).count()));
        counts.insert(
            "QUEUE".into(),
            count(self.queues.values().filter(|q| q.division == division.id).count()),
        );
        counts
    }
}
