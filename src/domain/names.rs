//! Identifiers and the few closed vocabularies that every other module speaks.
//!
//! Enters: text decoded at an edge. Leaves: values that cannot be confused with each other.
//! Must never: normalise case or trim an id. The platform compares ids literally, so do we.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as the platform writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

id!(
    /// An OAuth client's id, which is also its `client_id` at the token endpoint.
    ClientId
);
id!(
    /// A role's id.
    RoleId
);
id!(
    /// A division's id. The literal `*` is not one: see [`DivisionRef::All`].
    DivisionId
);

/// Where a grant applies.
///
/// Written as `"*"`, `"unknown"` or the division's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DivisionRef {
    /// All divisions, present and future.
    All,
    /// The record names a role without a division (the old `roleIds`), so where it applies is not known.
    Unknown,
    /// One division, whether or not it is in the list of divisions.
    One(DivisionId),
}

impl DivisionRef {
    /// The division as it is written in records and in JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::Unknown => "unknown",
            Self::One(id) => id.as_str(),
        }
    }
}

impl From<String> for DivisionRef {
    fn from(text: String) -> Self {
        match text.as_str() {
            "*" => Self::All,
            "unknown" => Self::Unknown,
            _ => Self::One(text.into()),
        }
    }
}

impl From<DivisionRef> for String {
    fn from(division: DivisionRef) -> Self {
        division.as_str().to_owned()
    }
}

impl fmt::Display for DivisionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad a finding or an event is; ordered, `Info` lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// Tidy up when convenient.
    Low,
    /// Plan a fix.
    Medium,
    /// Fix this week.
    High,
    /// Fix now.
    Critical,
}

impl Severity {
    /// All severities, lowest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word used in JSON, metrics and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads the word that [`Severity::as_str`] writes; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the organisation makes OAuth scopes count. The platform's API does not tell, so the operator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeEnforcement {
    /// Nobody said: scopes are shown but hide nothing.
    #[default]
    Unknown,
    /// Scopes are not enforced.
    Off,
    /// Scopes bound the grant types that act as a user.
    UserGrants,
    /// Scopes bound every grant type, client credentials included.
    AllGrants,
}

impl ScopeEnforcement {
    /// All settings, in the order the documentation lists them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Off, Self::UserGrants, Self::AllGrants];

    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Off => "off",
            Self::UserGrants => "user-grants",
            Self::AllGrants => "all-grants",
        }
    }

    /// Reads the word that [`ScopeEnforcement::as_str`] writes; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.as_str() == word)
    }
}
