//! An event: one subject of the configuration that changed, with its cause and its effects.
//!
//! Enters: the delta that `drift` found. Leaves: a value with the JSON shape that users see, and a compact form
//! for the store. Must never: be one alert a client. The blast radius is in `clients`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{ClientId, DivisionRef, Severity, attribution::Attribution};

/// What kind of change a cause is. The names are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation; README lists them with their meaning")]
pub enum CauseKind {
    ClientAdded,
    ClientRemoved,
    ClientGrantTypeChanged,
    ClientGrantsChanged,
    ClientStateChanged,
    ClientScopesChanged,
    ClientRedirectUrisChanged,
    ClientTokenLifetimeChanged,
    ClientNameChanged,
    ClientDescriptionChanged,
    RoleAdded,
    RoleRemoved,
    RolePermissionsChanged,
    RoleConditionsLoosened,
    RoleConditionsTightened,
    RoleRenamed,
    RoleDescriptionChanged,
    DivisionAdded,
    DivisionRemoved,
    DivisionRenamed,
    CatalogueChanged,
    ScopeEnforcementChanged,
    ContractChanged,
}

impl CauseKind {
    /// Every kind, for metric initialisation and documentation.
    pub const ALL: [Self; 23] = [
        Self::ClientAdded,
        Self::ClientRemoved,
        Self::ClientGrantTypeChanged,
        Self::ClientGrantsChanged,
        Self::ClientStateChanged,
        Self::ClientScopesChanged,
        Self::ClientRedirectUrisChanged,
        Self::ClientTokenLifetimeChanged,
        Self::ClientNameChanged,
        Self::ClientDescriptionChanged,
        Self::RoleAdded,
        Self::RoleRemoved,
        Self::RolePermissionsChanged,
        Self::RoleConditionsLoosened,
        Self::RoleConditionsTightened,
        Self::RoleRenamed,
        Self::RoleDescriptionChanged,
        Self::DivisionAdded,
        Self::DivisionRemoved,
        Self::DivisionRenamed,
        Self::CatalogueChanged,
        Self::ScopeEnforcementChanged,
        Self::ContractChanged,
    ];

    /// The name in JSON and in the `cause` metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientAdded => "client_added",
            Self::ClientRemoved => "client_removed",
            Self::ClientGrantTypeChanged => "client_grant_type_changed",
            Self::ClientGrantsChanged => "client_grants_changed",
            Self::ClientStateChanged => "client_state_changed",
            Self::ClientScopesChanged => "client_scopes_changed",
            Self::ClientRedirectUrisChanged => "client_redirect_uris_changed",
            Self::ClientTokenLifetimeChanged => "client_token_lifetime_changed",
            Self::ClientNameChanged => "client_name_changed",
            Self::ClientDescriptionChanged => "client_description_changed",
            Self::RoleAdded => "role_added",
            Self::RoleRemoved => "role_removed",
            Self::RolePermissionsChanged => "role_permissions_changed",
            Self::RoleConditionsLoosened => "role_conditions_loosened",
            Self::RoleConditionsTightened => "role_conditions_tightened",
            Self::RoleRenamed => "role_renamed",
            Self::RoleDescriptionChanged => "role_description_changed",
            Self::DivisionAdded => "division_added",
            Self::DivisionRemoved => "division_removed",
            Self::DivisionRenamed => "division_renamed",
            Self::CatalogueChanged => "catalogue_changed",
            Self::ScopeEnforcementChanged => "scope_enforcement_changed",
            Self::ContractChanged => "contract_changed",
        }
    }
}

/// The thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `client`, `role`, `division`, `catalogue`, `organisation` or `contract`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name after the change (before it, if it was removed).
    pub name: String,
}

/// Words added and removed, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// In the new, not in the old.
    pub added: Vec<String>,
    /// In the old, not in the new.
    pub removed: Vec<String>,
}

impl Delta {
    /// Nothing added and nothing removed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Why power moved: one subject's whole delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The weightiest kind of change in the delta.
    pub kind: CauseKind,
    /// What changed.
    pub subject: Subject,
    /// Every kind of change in the delta, weightiest first (`kind` is the first).
    pub kinds: Vec<CauseKind>,
    /// Permissions of a role, or of the catalogue; for other subjects empty.
    pub permissions: Delta,
    /// Every other field that changed: `{"scopes": {"added": […], "removed": […]}, "name": {"from", "to"}, …}`.
    #[serde(flatten)]
    pub details: BTreeMap<String, Value>,
}

/// One permission that a client gained or lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gain {
    /// `domain:entity:action`, or a general permission.
    pub permission: String,
    /// Where; `*` is everywhere.
    pub divisions: Vec<DivisionRef>,
    /// Held only under a condition.
    pub conditional: bool,
    /// The client's scopes would let it through if they were enforced.
    pub in_scope: bool,
    /// Another event of the same audit opened (or closed) a way to it too.
    pub shared: bool,
}

/// What one client gained and lost by a cause. Clients with equal effects share one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// The client.
    pub id: ClientId,
    /// Its name.
    pub name: String,
    /// Gained, sorted by permission.
    pub gained: Arc<[Gain]>,
    /// Lost, sorted by permission.
    pub lost: Arc<[Gain]>,
}

/// One change with its cause and effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// This occurrence: derived from the audit and the delta, so that a retry of the same audit names it alike.
    pub id: String,
    /// SHA-256 of the content (cause and effects) without the occurrence: the same change twice has one delta.
    pub delta: String,
    /// The organisation's configured name.
    pub org: String,
    /// How bad: by the highest tier that anybody gained.
    pub severity: Severity,
    /// Why.
    pub cause: Cause,
    /// Who gained or lost what, sorted by client id.
    pub clients: Vec<Affected>,
    /// Who made the change, if that was asked. Not part of `id`, `delta` or the stored form: it may be learnt later.
    pub actor: Option<Attribution>,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("delta", &self.delta)?;
        map.serialize_entry("org", &self.org)?;
        map.serialize_entry("severity", &self.severity)?;
        map.serialize_entry("cause", &self.cause)?;
        if let Some(actor) = &self.actor {
            map.serialize_entry("actor", actor)?;
        }
        map.serialize_entry("clients", &self.clients)?;
        map.end()
    }
}

/// The stored form: each distinct list of gains once. A role edit that reaches a thousand clients in the same
/// divisions stores its gains once, not a thousand times.
#[derive(Serialize, Deserialize)]
struct Packed {
    id: String,
    delta: String,
    org: String,
    severity: Severity,
    cause: Cause,
    lists: Vec<Arc<[Gain]>>,
    clients: Vec<(ClientId, String, usize, usize)>,
}

impl Event {
    /// The compact JSON that the store keeps.
    ///
    /// # Panics
    /// Never: every part of an event has a JSON form.
    pub fn pack(&self) -> String {
        let mut lists: Vec<Arc<[Gain]>> = Vec::new();
        let mut index: BTreeMap<Arc<[Gain]>, usize> = BTreeMap::new();
        let mut place = |list: &Arc<[Gain]>| {
            *index.entry(Arc::clone(list)).or_insert_with(|| {
                lists.push(Arc::clone(list));
                lists.len() - 1
            })
        };
        let clients = self
            .clients
            .iter()
            .map(|client| {
                (client.id.clone(), client.name.clone(), place(&client.gained), place(&client.lost))
            })
            .collect();
        let packed = Packed {
            id: self.id.clone(),
            delta: self.delta.clone(),
            org: self.org.clone(),
            severity: self.severity,
            cause: self.cause.clone(),
            lists,
            clients,
        };
        serde_json::to_string(&packed).expect("an event has a JSON form")
    }

    /// Reads what [`Event::pack`] wrote. Fails on any other text.
    pub fn unpack(text: &str) -> Result<Self, serde_json::Error> {
        let packed: Packed = serde_json::from_str(text)?;
        let list = |index: usize| {
            packed.lists.get(index).map(Arc::clone).ok_or_else(|| {
                <serde_json::Error as serde::de::Error>::custom(format!("no list of gains number {index}"))
            })
        };
        let mut clients = Vec::with_capacity(packed.clients.len());
        for (id, name, gained, lost) in &packed.clients {
            clients.push(Affected {
                id: id.clone(),
                name: name.clone(),
                gained: list(*gained)?,
                lost: list(*lost)?,
            });
        }
        Ok(Self {
            id: packed.id,
            delta: packed.delta,
            org: packed.org,
            severity: packed.severity,
            cause: packed.cause,
            clients,
            actor: None,
        })
    }
}
