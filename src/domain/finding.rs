//! A finding: a check that a client does not pass (or that could not be answered), with its life over audits.
//!
//! Enters: what the checks found now, and what was open before. Leaves: what opened, changed and resolved.
//! Must never: open or resolve anything on a fact that was not seen.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ClientId, Severity};

/// The answer of a check. A pass leaves no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The client passes.
    Pass,
    /// The client does not pass.
    Fail,
    /// A fact that the check needs is a gap.
    Unknown,
}

/// Which client a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRef {
    /// Its id.
    pub id: ClientId,
    /// Its name when last seen.
    pub name: String,
}

/// One finding, in the JSON shape that users see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Identity over time: from organisation, check, client and key (see [`uid`]).
    pub uid: String,
    /// The organisation's configured name.
    pub org: String,
    /// The check's id.
    pub check: String,
    /// `fail` or `unknown`.
    pub status: Status,
    /// The check's severity.
    pub severity: Severity,
    /// Muted by a person.
    pub muted: bool,
    /// The client.
    pub client: ClientRef,
    /// What tells two findings of one check and client apart (a role's id, a permission…); may be empty.
    pub key: String,
    /// One sentence: what is wrong.
    pub title: String,
    /// The facts it rests on, in a few sentences.
    pub evidence: String,
    /// What to do.
    pub remediation: String,
    /// When an audit first saw it (start of its current life).
    pub first_seen: DateTime<Utc>,
    /// When an audit last saw it.
    pub last_seen: DateTime<Utc>,
}

/// The identity of a finding: 24 hex digits of SHA-256 over organisation, check, client id and key.
pub fn uid(org: &str, check: &str, client: &ClientId, key: &str) -> String {
    let mut hash = Sha256::new();
    for part in [org, check, client.as_str(), key] {
        // Length first, so that no two different tuples read alike.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..12])
}

/// How the findings of an audit relate to those open before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lifecycle {
    /// All findings open after this audit (fail and unknown), sorted by uid.
    pub open: Vec<Finding>,
    /// Newly `fail` in this audit.
    pub opened: Vec<Finding>,
    /// Open before, now seen to pass (or its client was seen to be removed).
    pub resolved: Vec<Finding>,
    /// Content changed (evidence, severity, status), still open; or newly `unknown`.
    pub updated: Vec<Finding>,
}
