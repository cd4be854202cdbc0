//! The configuration of an organisation at one moment: canonical, content-addressed, comparable.
//!
//! Enters: an inventory from `collect`, or versions from the store. Leaves: a [`Snapshot`] with a hash for each
//! entity and one digest of the whole, and the [`Change`]s from one snapshot to the next.
//! Must never: contain anything volatile (two readings of an unchanged organisation have one digest).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    ClientId, DivisionId, RoleId, ScopeEnforcement,
    catalogue::{Catalogue, Operations},
    contract::Contract,
    evidence::{Digester, Hash},
    inventory::{Client, Division, Grant, ObservedGrants, OwnGrants, Role},
};

/// What kind of thing an entity of a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// An OAuth client.
    Client,
    /// A role.
    Role,
    /// A division.
    Division,
    /// The permission catalogue (one entity).
    Catalogue,
    /// The operations of the platform's definition (one entity).
    Operations,
    /// The auditor's own grants (one entity).
    OwnGrants,
    /// What the configuration file says of the organisation (one entity).
    Settings,
    /// What a client declares that it needs.
    Contract,
    /// What one client was last seen to be granted; its id is the client's.
    Grants,
}

impl EntityKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Client,
        Self::Role,
        Self::Division,
        Self::Catalogue,
        Self::Operations,
        Self::OwnGrants,
        Self::Settings,
        Self::Contract,
        Self::Grants,
    ];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Role => "role",
            Self::Division => "division",
            Self::Catalogue => "catalogue",
            Self::Operations => "operations",
            Self::OwnGrants => "own_grants",
            Self::Settings => "settings",
            Self::Contract => "contract",
            Self::Grants => "grants",
        }
    }

    /// Reads the word that [`EntityKind::as_str`] writes; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The name of an entity within a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    /// Its kind.
    pub kind: EntityKind,
    /// Its id; for kinds of which there is one, the kind's name.
    pub id: String,
}

/// One entity that differs between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: EntityKey,
    /// Its new content; `None`: it is gone.
    pub now: Option<Version>,
}

/// The content of an entity: canonical JSON and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// SHA-256 of `body`.
    pub hash: Hash,
    /// Canonical JSON: sorted keys, sorted sets, absent instead of null.
    pub body: String,
}

/// What the configuration file says of an organisation and the platform's API does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether scopes count.
    pub scope_enforcement: ScopeEnforcement,
}

/// The configuration at one moment. Optional facts that were never read are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// OAuth clients.
    pub clients: BTreeMap<ClientId, Client>,
    /// Roles.
    pub roles: BTreeMap<RoleId, Role>,
    /// Divisions.
    pub divisions: Option<BTreeMap<DivisionId, Division>>,
    /// The organisation's permission catalogue.
    pub catalogue: Option<Catalogue>,
    /// The operations of the platform's own definition; `None`: the compiled-in table answers.
    pub operations: Option<Arc<Operations>>,
    /// What the auditor may see.
    pub own_grants: Option<OwnGrants>,
    /// What the configuration file says.
    pub settings: Settings,
    /// What clients declare that they need, each by its [`Contract::key`].
    pub contracts: BTreeMap<String, Contract>,
    /// What each client was last seen to be granted; who is missing was never asked about. When each was seen is no
    /// part of the configuration and kept beside it.
    pub grants: BTreeMap<ClientId, ObservedGrants>,
    /// The hash of each entity; kept in step by [`Snapshot::seal`].
    pub(super) hashes: BTreeMap<EntityKey, Hash>,
}

/// Stored text that is not an entity of its kind.
#[derive(Debug, thiserror::Error)]
#[error("the stored {kind} {id} cannot be read: {reason}; the database was changed by something else", kind = .key.kind.as_str(), id = .key.id)]
pub struct RestoreError {
    /// Which entity.
    pub key: EntityKey,
    /// What the decoder said.
    pub reason: String,
}

impl Snapshot {
    /// Who answers for each client, by its contracts.
    pub fn owners(&self) -> BTreeMap<ClientId, BTreeSet<String>> {
        let mut owners: BTreeMap<ClientId, BTreeSet<String>> = BTreeMap::new();
        for contract in self.contracts.values() {
            if let (Some(client), false) = (&contract.pinned, contract.owner.is_empty()) {
                owners.entry(client.clone()).or_default().insert(contract.owner.clone());
            }
        }
        owners
    }

    /// Hashes every entity. Call once after the fields were filled.
    #[must_use]
    pub fn seal(mut self) -> Self {
        let mut hashes = BTreeMap::new();
        self.each(|key, body| {
            hashes.insert(key, Hash::of(body.as_bytes()));
        });
        self.hashes = hashes;
        self.place_operations(self.operations.clone());
        self
    }

    /// Puts operations that somebody holds already in the place of this snapshot's, without reading them again.
    pub fn place_operations(&mut self, operations: Option<Arc<Operations>>) {
        let key = one(EntityKind::Operations);
        match &operations {
            Some(operations) => drop(self.hashes.insert(key, operations.hash())),
            None => drop(self.hashes.remove(&key)),
        }
        self.operations = operations;
    }

    /// Rebuilds a snapshot from stored versions, trusting their hashes (`verify` checks those).
    /// Fails if a body is not an entity of its kind.
    pub fn restore(versions: impl IntoIterator<Item = (EntityKey, Version)>) -> Result<Self, RestoreError> {
        let changes = versions.into_iter().map(|(key, version)| Change { key, now: Some(version) });
        Self::default().changed(changes)
    }

    /// This snapshot after changes: the inverse of [`Snapshot::changes_since`], trusting hashes as
    /// [`Snapshot::restore`] does. Fails if a body is not an entity of its kind.
    pub fn changed(mut self, changes: impl IntoIterator<Item = Change>) -> Result<Self, RestoreError> {
        for Change { key, now } in changes {
            if let Some(version) = now {
                self.put(&key, version.hash, &version.body)?;
                self.hashes.insert(key, version.hash);
            } else {
                self.remove(&key);
                self.hashes.remove(&key);
            }
        }
        Ok(self)
    }

    fn put(&mut self, key: &EntityKey, hash: Hash, body: &str) -> Result<(), RestoreError> {
        match key.kind {
            EntityKind::Client => {
                let client: Client = read(key, body)?;
                self.clients.insert(client.id.clone(), client);
            }
            EntityKind::Role => {
                let role: Role = read(key, body)?;
                self.roles.insert(role.id.clone(), role);
            }
            EntityKind::Division => {
                let division: Division = read(key, body)?;
                self.divisions.get_or_insert_default().insert(division.id.clone(), division);
            }
            EntityKind::Catalogue => self.catalogue = Some(read(key, body)?),
            EntityKind::Operations => {
                let operations = Operations::read(body)
                    .map_err(|error| RestoreError { key: key.clone(), reason: error.to_string() })?;
                self.operations = Some(Arc::new(operations.recorded_as(hash)));
            }
            EntityKind::OwnGrants => self.own_grants = Some(read(key, body)?),
            EntityKind::Settings => self.settings = read(key, body)?,
            EntityKind::Contract => {
                let contract: Contract = read(key, body)?;
                self.contracts.insert(key.id.clone(), contract);
            }
            EntityKind::Grants => {
                let grants: ObservedGrants = read(key, body)?;
                self.grants.insert(grants.id.clone(), grants);
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &EntityKey) {
        match key.kind {
            EntityKind::Client => drop(self.clients.remove(key.id.as_str())),
            EntityKind::Role => drop(self.roles.remove(key.id.as_str())),
            EntityKind::Division => {
                if let Some(divisions) = &mut self.divisions {
                    divisions.remove(key.id.as_str());
                }
                // As it is read back: what has no entity was never read.
                self.divisions = self.divisions.take().filter(|divisions| !divisions.is_empty());
            }
            EntityKind::Catalogue => self.catalogue = None,
            EntityKind::Operations => self.operations = None,
            EntityKind::OwnGrants => self.own_grants = None,
            EntityKind::Settings => self.settings = Settings::default(),
            EntityKind::Contract => drop(self.contracts.remove(&key.id)),
            EntityKind::Grants => drop(self.grants.remove(key.id.as_str())),
        }
    }

    /// Everything that a client is granted: by its record, then what was last observed beside it.
    pub fn granted<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a Grant> {
        client.grants().chain(self.beside(client))
    }

    /// What a client was last observed to be granted and its record does not name.
    pub fn beside<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a Grant> {
        let recorded = |grant: &&Grant| client.grants.as_ref().is_some_and(|record| record.contains(*grant));
        let observed = self.grants.get(&client.id).into_iter().flat_map(ObservedGrants::grants);
        observed.filter(move |grant| !recorded(grant))
    }

    /// The digest of the whole configuration.
    pub fn digest(&self) -> Hash {
        digest_of(&self.hashes)
    }

    /// Every entity that differs between `before` and this snapshot, sorted by key. `None`: everything is new.
    pub fn changes_since(&self, before: Option<&Self>) -> Vec<Change> {
        let empty = BTreeMap::new();
        let old = before.map_or(&empty, |snapshot| &snapshot.hashes);
        let mut changes: Vec<Change> = old
            .keys()
            .filter(|key| !self.hashes.contains_key(*key))
            .map(|key| Change { key: key.clone(), now: None })
            .collect();
        for (key, hash) in &self.hashes {
            if old.get(key) != Some(hash)
                && let Some(body) = self.body(key)
            {
                changes.push(Change { key: key.clone(), now: Some(Version { hash: *hash, body }) });
            }
        }
        changes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        changes
    }

    /// Whether one entity has the same content in both snapshots (absent in both counts as the same).
    pub fn same(&self, other: &Self, key: &EntityKey) -> bool {
        self.hashes.get(key) == other.hashes.get(key)
    }

    fn body(&self, key: &EntityKey) -> Option<String> {
        match key.kind {
            EntityKind::Client => self.clients.get(key.id.as_str()).map(write),
            EntityKind::Role => self.roles.get(key.id.as_str()).map(write),
            EntityKind::Division => self.divisions.as_ref()?.get(key.id.as_str()).map(write),
            EntityKind::Catalogue => self.catalogue.as_ref().map(write),
            EntityKind::Operations => self.operations.as_ref().map(|operations| operations.body()),
            EntityKind::OwnGrants => self.own_grants.as_ref().map(write),
            EntityKind::Settings => Some(write(&self.settings)),
            EntityKind::Contract => self.contracts.get(&key.id).map(write),
            EntityKind::Grants => self.grants.get(key.id.as_str()).map(write),
        }
    }

    /// Every entity but the operations, of which the text is large and the hash known.
    fn each(&self, mut visit: impl FnMut(EntityKey, String)) {
        let key = |kind: EntityKind, id: &str| EntityKey { kind, id: id.to_owned() };
        for (id, client) in &self.clients {
            visit(key(EntityKind::Client, id.as_str()), write(client));
        }
        for (id, role) in &self.roles {
            visit(key(EntityKind::Role, id.as_str()), write(role));
        }
        for (id, division) in self.divisions.iter().flatten() {
            visit(key(EntityKind::Division, id.as_str()), write(division));
        }
        if let Some(catalogue) = &self.catalogue {
            visit(one(EntityKind::Catalogue), write(catalogue));
        }
        if let Some(own_grants) = &self.own_grants {
            visit(one(EntityKind::OwnGrants), write(own_grants));
        }
        visit(one(EntityKind::Settings), write(&self.settings));
        for (id, contract) in &self.contracts {
            visit(key(EntityKind::Contract, id), write(contract));
        }
        for (id, grants) in &self.grants {
            visit(key(EntityKind::Grants, id.as_str()), write(grants));
        }
    }
}

/// The key of the one entity of a kind.
fn one(kind: EntityKind) -> EntityKey {
    EntityKey { kind, id: kind.as_str().to_owned() }
}

/// The digest of a configuration, from the hash of each of its entities.
pub fn digest_of(hashes: &BTreeMap<EntityKey, Hash>) -> Hash {
    let mut digester = Digester::default();
    for (key, hash) in hashes {
        digester.part(key.kind.as_str().as_bytes()).part(key.id.as_bytes()).part(hash.as_bytes());
    }
    digester.finish()
}

fn read<T: DeserializeOwned>(key: &EntityKey, body: &str) -> Result<T, RestoreError> {
    serde_json::from_str(body).map_err(|error| RestoreError { key: key.clone(), reason: error.to_string() })
}

fn write<T: Serialize>(entity: &T) -> String {
    serde_json::to_string(entity).expect("every entity has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        catalogue::{Mode, Operation},
        fixtures::{self, client, role},
    };

    fn snapshot() -> Snapshot {
        let plain = fixtures::snapshot(
            [client("c1").grant("r1", "*"), client("c2").grant("r1", "d1").scope("users:readonly")],
            [role("r1").can("routing:queue:view").can_if("recording:recording:view", "{\"a\":1}")],
        )
        .observing("c1", &[("r1", "*"), ("r2", "d1")])
        .inheriting("c1", "group-1", &[("r3", "*")]);
        let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let whole = Contract {
            calls: set(&["GET /api/v2/users/{userId}"]),
            client: "Client c1".to_owned(),
            divisions: set(&["d1"]),
            must_be_denied: set(&["DELETE /api/v2/users/{userId}"]),
            owner: "bi@example.com".to_owned(),
            permissions: set(&["analytics:conversationDetail:view"]),
            pinned: Some("c1".into()),
            purpose: "reports".to_owned(),
            token_scopes: set(&["users:readonly"]),
        };
        let bare = Contract { client: "Nobody".to_owned(), ..Contract::default() };
        let contracts = [whole, bare].map(|contract| (contract.key(), contract)).into();
        let operation = |name: &str, mode, permissions: &[&str]| Operation {
            mode,
            name: name.into(),
            permissions: permissions.iter().map(|&name| Box::from(name)).collect(),
            scopes: permissions.iter().map(|_| Box::from("users")).collect(),
        };
        let operations = Operations::defined(vec![
            operation("GET /api/v2/b", Mode::Any, &["a:b:c"]),
            operation("GET /api/v2/a", Mode::None, &[]),
        ]);
        Snapshot { contracts, operations: Some(Arc::new(operations)), ..plain }.seal()
    }

    #[test]
    fn the_serialised_form_is_canonical() {
        // Keys sorted: reading it into a sorted map and writing it again changes nothing.
        let snapshot = snapshot();
        for Change { key, now } in snapshot.changes_since(None) {
            let Version { body, hash } = now.unwrap();
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), body, "{key:?}");
            assert!(!body.contains("null"), "{body}");
            assert_eq!(Hash::of(body.as_bytes()), hash, "{key:?}");
        }
    }

    #[test]
    fn a_restored_snapshot_equals_the_original() {
        let original = snapshot();
        let versions = original
            .changes_since(None)
            .into_iter()
            .map(|change| (change.key, change.now.expect("all are new")));
        let restored = Snapshot::restore(versions).unwrap();
        assert_eq!(restored, original);
        assert_eq!(restored.digest(), original.digest());
        assert!(restored.changes_since(Some(&original)).is_empty());
    }

    #[test]
    fn a_body_that_is_not_its_kind_is_named() {
        let key = EntityKey { kind: EntityKind::Client, id: "c1".to_owned() };
        let version = Version { hash: Hash::GENESIS, body: "{}".to_owned() };
        let error = Snapshot::restore([(key, version)]).unwrap_err().to_string();
        assert!(error.starts_with("the stored client c1 cannot be read: missing field"), "{error}");
    }
}
