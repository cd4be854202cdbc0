//! The configuration of one organisation as an audit saw it, in our own words.
//!
//! Enters: what `collect` decoded. Leaves: plain values, sorted, without anything volatile.
//! Must never: hold a secret, or a field that changes without anybody changing the configuration
//! (`dateModified`, counts): those would make every snapshot differ.
//!
//! The fields of each entity are declared in alphabetical order, because their serialised form *is* the
//! canonical JSON that is hashed (`snapshot`); a test there holds them to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ClientId, DivisionId, DivisionRef, RoleId};

/// How a client obtains tokens. Unknown spellings are kept, not refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum GrantType {
    /// `CLIENT-CREDENTIALS`: the client acts as itself, with its roles.
    ClientCredentials,
    /// `CODE`: acts as the user who logged in (with or without PKCE).
    Code,
    /// `TOKEN`: the implicit grant, being retired by the platform.
    Implicit,
    /// `PASSWORD`: acts as a user whose password it knows.
    Password,
    /// `SAML2-BEARER`: acts as the user of an assertion.
    Saml2Bearer,
    /// A spelling that this version does not know, as received.
    Other(String),
}

impl From<String> for GrantType {
    fn from(text: String) -> Self {
        // Older samples of the platform write underscores.
        match text.to_ascii_uppercase().replace('_', "-").as_str() {
            "CLIENT-CREDENTIALS" => Self::ClientCredentials,
            "CODE" => Self::Code,
            "TOKEN" => Self::Implicit,
            "PASSWORD" => Self::Password,
            "SAML2-BEARER" => Self::Saml2Bearer,
            _ => Self::Other(text),
        }
    }
}

impl GrantType {
    /// The platform's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ClientCredentials => "CLIENT-CREDENTIALS",
            Self::Code => "CODE",
            Self::Implicit => "TOKEN",
            Self::Password => "PASSWORD",
            Self::Saml2Bearer => "SAML2-BEARER",
            Self::Other(text) => text,
        }
    }

    /// One of six words, for metric labels.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Code => "code",
            Self::Implicit => "token",
            Self::Password => "password",
            Self::Saml2Bearer => "saml2_bearer",
            Self::Other(_) => "other",
        }
    }
}

impl From<GrantType> for String {
    fn from(grant_type: GrantType) -> Self {
        grant_type.as_str().to_owned()
    }
}

/// Whether a client may obtain tokens. Unknown spellings are kept, not refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ClientState {
    /// Usable. Also what an absent field means.
    Active,
    /// Tokens are invalid and none are issued.
    Disabled,
    /// No new tokens; the platform will delete it on `date_to_delete`.
    Inactive,
    /// A spelling that this version does not know, as received.
    Other(String),
}

impl From<String> for ClientState {
    fn from(text: String) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "active" => Self::Active,
            "disabled" => Self::Disabled,
            "inactive" => Self::Inactive,
            _ => Self::Other(text),
        }
    }
}

impl ClientState {
    /// The platform's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Inactive => "inactive",
            Self::Other(text) => text,
        }
    }

    /// One of four words, for metric labels.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Inactive => "inactive",
            Self::Other(_) => "other",
        }
    }
}

impl From<ClientState> for String {
    fn from(state: ClientState) -> Self {
        state.as_str().to_owned()
    }
}

/// One role given to a client in one division (or all of them).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// Where it applies.
    pub division: DivisionRef,
    /// What is given.
    pub role: RoleId,
}

/// One OAuth client. The secret that the API may return is dropped while decoding and has no field here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Who created it (a user's or a client's id), if the record says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When it was created, as received (ISO 8601), if the record says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_created: Option<String>,
    /// When the platform will delete it, as received (ISO 8601); set while `state` is inactive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_to_delete: Option<String>,
    /// Free text; empty and absent are the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How it obtains tokens.
    pub grant_type: GrantType,
    /// The record's role grants. `None`: a client-credentials record that carried neither `roleDivisions` nor
    /// `roleIds`, so its grants could not be read (a gap, not an empty set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<BTreeSet<Grant>>,
    /// Its id.
    pub id: ClientId,
    /// Its name.
    pub name: String,
    /// Where codes and tokens may be sent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redirect_uris: BTreeSet<String>,
    /// Scopes it may ask for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// Whether it may obtain tokens.
    pub state: ClientState,
    /// Lifetime of its tokens in seconds, if the record says (the platform's default is 86,400).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_lifetime_s: Option<i64>,
}

impl Client {
    /// The grants that are known; empty where they could not be read.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().flatten()
    }
}

/// What the platform says that one client is granted, asked from the client's side. The client's own record is another
/// source; where they differ, somebody granted behind the record's back, or a group did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObservedGrants {
    /// The client's id.
    pub id: ClientId,
    /// Grants that it has through other subjects (a group), by the other's id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inherited: BTreeMap<String, BTreeSet<Grant>>,
    /// Grants made to the client itself.
    pub own: BTreeSet<Grant>,
}

impl ObservedGrants {
    /// Every grant once, its own ones first.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        let inherited: BTreeSet<&Grant> = self.inherited.values().flatten().collect();
        self.own.iter().chain(inherited.into_iter().filter(|grant| !self.own.contains(*grant)))
    }
}

/// One line of a role: actions on an entity, possibly under a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Policy {
    /// Actions, any of which may be `*`.
    pub actions: BTreeSet<String>,
    /// The condition as canonical JSON (sorted keys and terms, display names left out); `None`: unconditional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The domain, or `*`.
    pub domain: String,
    /// The entity, or `*`.
    pub entity: String,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The short id of the shipped role that it is, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_role_id: Option<String>,
    /// Free text; empty and absent are the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// General permissions (`admin`, …) and any full `domain:entity:action` written among them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub general: BTreeSet<String>,
    /// Its id.
    pub id: RoleId,
    /// Shipped by the platform (`default`), which may add permissions to it by itself.
    pub is_default: bool,
    /// Its name.
    pub name: String,
    /// Its policies.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub policies: BTreeSet<Policy>,
}

/// One division. Its object counts change all the time and are an observation, not configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// The organisation's home division.
    pub home: bool,
    /// Its id.
    pub id: DivisionId,
    /// Its name.
    pub name: String,
}

/// Objects of each kind (`USER`, `QUEUE`, …) in each division, as last counted.
pub type ObjectCounts = BTreeMap<DivisionId, BTreeMap<String, i64>>;

/// What the auditor itself may see: for each permission that an audit's readings rest on, the divisions in which
/// the auditor holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnGrants {
    /// Divisions in which the auditor holds any grant at all (division lists may be filtered to these).
    pub divisions: BTreeSet<DivisionRef>,
    /// Divisions by permission, only for those of [`OwnGrants::required`].
    pub permissions: BTreeMap<String, BTreeSet<DivisionRef>>,
}

/// A permission that the auditor's own client should hold, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// `domain:entity:action`.
    pub permission: &'static str,
    /// What it is read for.
    pub reason: &'static str,
    /// What happens without it.
    pub without: &'static str,
    /// Without it no audit succeeds; if not, something optional is missing.
    pub required: bool,
}

impl OwnGrants {
    /// Everything that the auditor's client should hold, and nothing else: what `doctor` compares, and the role that it
    /// proposes. One line each.
    pub const NEEDS: &'static [Need] = &[
        Need {
            permission: "oauth:client:view",
            reason: "the OAuth clients with their roles and divisions",
            without: "every audit fails with the reason `forbidden`",
            required: true,
        },
        Need {
            permission: "authorization:role:view",
            reason: "the roles with their permissions",
            without: "every audit fails with the reason `forbidden`",
            required: true,
        },
        Need {
            permission: "authorization:grant:view",
            reason: "what clients are granted beside their own records, by groups or from the subject's side",
            without: "role overlap is not seen, and each audit has a gap that says so",
            required: false,
        },
    ];

    /// What the auditor may hold besides. `usage:organization:view` opens the platform's newer usage query; without it the
    /// older one serves, which `oauth:client:view` opens. [`OwnGrants::AUDIT_LOG`] opens the platform's audit log.
    pub const WELCOME: &'static [&'static str] = &["usage:organization:view", Self::AUDIT_LOG];

    /// Without it, nothing says who made a change.
    pub const AUDIT_LOG: &'static str = "audits:audit:view";

    /// The permissions of [`OwnGrants::NEEDS`].
    pub fn needed() -> impl Iterator<Item = &'static str> {
        Self::NEEDS.iter().map(|need| need.permission)
    }

    /// Of these, the ones without which no audit succeeds: what listings rest on.
    pub fn required() -> impl Iterator<Item = &'static str> {
        Self::NEEDS.iter().filter(|need| need.required).map(|need| need.permission)
    }
}
