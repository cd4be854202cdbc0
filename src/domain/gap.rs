//! A gap: a fact that an audit needed and could not read.
//!
//! Enters: a refused or failed reading. Leaves: a value that is recorded, shown, and makes checks answer
//! *unknown*. Must never: be dropped on the way. An audit with a gap is not complete.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A kind of fact that an audit reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The OAuth clients.
    Clients,
    /// The roles.
    Roles,
    /// The divisions and their object counts.
    Divisions,
    /// The organisation's permission catalogue.
    Catalogue,
    /// The operations of the platform's own definition.
    Operations,
    /// The auditor's own grants.
    OwnGrants,
    /// The role grants of one client (the gap's `subject`), by its own record.
    ClientGrants,
    /// What the platform says that clients are granted; with a `subject`, that one.
    Grants,
    /// What clients called.
    Usage,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Self; 8] = [
        Self::Clients,
        Self::Roles,
        Self::Divisions,
        Self::Catalogue,
        Self::OwnGrants,
        Self::ClientGrants,
        Self::Grants,
        Self::Usage,
    ];

    /// The word used in JSON and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Roles => "roles",
            Self::Divisions => "divisions",
            Self::Catalogue => "catalogue",
            Self::Operations => "operations",
            Self::OwnGrants => "own_grants",
            Self::ClientGrants => "client_grants",
            Self::Grants => "grants",
            Self::Usage => "usage",
        }
    }
}

/// What could not be read, why, and how old the value is that stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which fact.
    pub fact: Fact,
    /// The entity concerned, if it is not the whole fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A bounded word: `forbidden`, `server`, `network`, `rate_limited`, `invalid_response`, `inconsistent`,
    /// `auth`, `not_found`, `not_returned`, `unconfirmed_drop`, `own_grants_shrank`, `unfinished`, `too_large`, `storage`.
    pub reason: String,
    /// One sentence for a person: what failed and what to do.
    pub detail: String,
    /// Since when the carried-forward value is stale; `None`: there is no earlier value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<DateTime<Utc>>,
}
