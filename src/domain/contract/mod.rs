//! What a client declares that it needs, against what it holds: the need, what is missing, what is too much, and the
//! least role that would do.
//!
//! Enters: contracts from the configuration, an [`Access`]. Leaves: pinned [`Contract`]s for the snapshot, comparisons
//! for the checks, a [`Proposal`] for people. Must never: choose a general permission or a wildcard, call a permission
//! excess that the last way to a declared call rests on without saying so, or move a contract to another client of the
//! same name.
//!
//! Any source of declared operations fits: a contract, a list in a file, and what was observed all become a
//! [`Declared`], and everything below works from that.
//!
//! - `need`: the permissions that some operations need. - `cover`: the least choice among alternatives, exactly.
//! - `scopes`: the scopes that they need. - `companion`: permissions without which answers stay ids.
//! - `compare`: need against holding. - `role`: the need as a role. - `proposal`: all of it, as users see it.

pub mod companion;
mod compare;
mod cover;
mod need;
mod proposal;
mod role;
mod scopes;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, Excess, Missing, Why};
pub use need::{Choice, Need, Unavailable};
pub use proposal::{Cost, Proposal, propose, unknown_permissions};
pub use role::{Policy, Role};
pub use scopes::ScopeNeed;

use super::{ClientId, DivisionId, access::Access, inventory::Client, snapshot::Snapshot};

/// Stands for every division, present and future, in a contract's `divisions`.
pub const EVERYWHERE: &str = "*";

/// What the key of a contract starts with that no client is pinned to.
const UNMATCHED: &str = "unmatched:";

/// What one client declares that it needs. The fields are in alphabetical order, see [`super::inventory`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Operations that it calls (`GET /api/v2/users/{userId}`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub calls: BTreeSet<String>,
    /// The client, as the file names it: its name or its id.
    pub client: String,
    /// Divisions that it works in, by name or id; `*`: all of them; none: nothing is said.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub divisions: BTreeSet<String>,
    /// Operations that it must not be able to call.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub must_be_denied: BTreeSet<String>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Permissions that it needs whatever the calls declare: where an alternative would pass and answer too little, or an
    /// operation declares none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub permissions: BTreeSet<String>,
    /// The client that it first matched, and belongs to from then on. `None`: it matched none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<ClientId>,
    /// What the client is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// What the application asks for at the token endpoint; nothing: everything that its client has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub token_scopes: BTreeSet<String>,
}

impl Contract {
    /// Its name within a snapshot: the id of its client, or what the file says if it has none.
    pub fn key(&self) -> String {
        match &self.pinned {
            Some(id) => id.to_string(),
            None => format!("{UNMATCHED}{}", self.client),
        }
    }
}

/// Gives each contract its client. A name that matched before keeps the client that it matched then, whatever that is
/// called now and whoever has the name now. Of two contracts that lead to one client, the one that names its id wins,
/// then the first by name; the other stays without.
pub fn pin(
    declared: &[Contract],
    clients: &BTreeMap<ClientId, Client>,
    before: &BTreeMap<String, Contract>,
) -> BTreeMap<String, Contract> {
    if declared.is_empty() {
        return BTreeMap::new();
    }
    let pins: HashMap<&str, &ClientId> = before
        .values()
        .filter_map(|contract| Some((contract.client.as_str(), contract.pinned.as_ref()?)))
        .collect();
    let names = by_name(clients);
    let mut sorted: Vec<&Contract> = declared.iter().collect();
    sorted.sort_by_key(|contract| (!clients.contains_key(contract.client.as_str()), &contract.client));
    let mut pinned = BTreeMap::new();
    for contract in sorted {
        let text = contract.client.as_str();
        let by_id = clients.get_key_value(text).map(|(id, _)| id);
        let by_name = || match names.get(text).map(Vec::as_slice) {
            Some([client]) => Some(&client.id),
            _ => None,
        };
        let id = by_id.or_else(|| pins.get(text).copied()).or_else(by_name);
        let id = id.filter(|id| !pinned.contains_key(id.as_str())).cloned();
        let contract = Contract { pinned: id, ..contract.clone() };
        pinned.insert(contract.key(), contract);
    }
    pinned
}

fn by_name(clients: &BTreeMap<ClientId, Client>) -> HashMap<&str, Vec<&Client>> {
    let mut names: HashMap<&str, Vec<&Client>> = HashMap::new();
    for client in clients.values() {
        names.entry(&client.name).or_default().push(client);
    }
    names
}

/// Whom a contract is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// This client.
    Client(&'a Client),
    /// A client that it matched once and that is not there any more.
    Gone(&'a ClientId),
    /// No client has the name or id.
    Nobody,
    /// Several clients have the name, and it matched none of them when only one had.
    Several(Vec<&'a Client>),
    /// The one client that it names has another contract.
    Taken(&'a Client),
}

impl Contract {
    /// Whom it is about, in a snapshot that holds it.
    pub fn matched<'a>(&'a self, snapshot: &'a Snapshot) -> Match<'a> {
        if let Some(id) = &self.pinned {
            return snapshot.clients.get(id).map_or(Match::Gone(id), Match::Client);
        }
        if let Some(client) = snapshot.clients.get(self.client.as_str()) {
            return Match::Taken(client);
        }
        let named: Vec<&Client> =
            snapshot.clients.values().filter(|client| client.name == self.client).collect();
        match named[..] {
            [] => Match::Nobody,
            [client] => Match::Taken(client),
            _ => Match::Several(named),
        }
    }
}

/// Operations that somebody says are needed, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The operations, by their place in [`Access::operations`].
    pub calls: BTreeSet<usize>,
    /// Permissions that are needed whatever the operations declare.
    pub permissions: BTreeSet<String>,
    /// Operations that the platform's definition does not have.
    pub unknown: Vec<String>,
    /// Where they are needed.
    pub divisions: Places,
    /// Divisions that this organisation does not have (or whose list was never read).
    pub unknown_divisions: Vec<String>,
}

/// In which divisions something is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// Nothing is said: anywhere will do.
    #[default]
    Anywhere,
    /// In all divisions, present and future.
    Everywhere,
    /// In each of these.
    Each(BTreeSet<DivisionId>),
}

impl Declared {
    /// What a contract declares.
    pub fn by_contract(access: &Access<'_>, contract: &Contract) -> Self {
        let permissions = contract.permissions.clone();
        Self { permissions, ..Self::new(access, &contract.calls, &contract.divisions) }
    }

    /// Some operations by name, in some divisions by name or id.
    pub fn new<'a>(
        access: &Access<'_>,
        calls: impl IntoIterator<Item = &'a String>,
        divisions: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let mut declared = Self::default();
        for name in calls {
            match access.operations.find(name) {
                Some(at) => drop(declared.calls.insert(at)),
                None => declared.unknown.push(name.clone()),
            }
        }
        let known = access.snapshot.divisions.as_ref();
        let mut each = BTreeSet::new();
        for text in divisions {
            if text == EVERYWHERE {
                declared.divisions = Places::Everywhere;
                continue;
            }
            let named = |id: &DivisionId, name: &str| id.as_str() == text || name == text;
            let found = known.and_then(|known| known.iter().find(|(id, division)| named(id, &division.name)));
            match found {
                Some((id, _)) => drop(each.insert(id.clone())),
                None => declared.unknown_divisions.push(text.clone()),
            }
        }
        if declared.divisions == Places::Anywhere && !each.is_empty() {
            declared.divisions = Places::Each(each);
        }
        declared
    }
}

#[cfg(test)]
mod tests;
