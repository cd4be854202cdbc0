//! Whether a check was asked about a client, which a pass does not tell: it leaves no finding, and neither does a check that
//! nobody asked.
//!
//! Enters: a check, a client, what was looked at. Leaves: asked, not asked and why, or does not apply. Must never: take a
//! check for asked that had nothing to look at.

use serde::Serialize;

use super::Basis;
use crate::domain::{
    Fact,
    access::acts_by_roles,
    checks::Check,
    inventory::{Client, ClientState},
    probe::Expectation,
};

/// Checks that compare a client with its contract.
pub(super) const BY_CONTRACT: [&str; 7] = [
    "contract-broken",
    "contract-client",
    "contract-denied-operation",
    "contract-exceeded",
    "contract-token-scopes",
    "contract-unknown-name",
    "undeclared-use",
];

/// Checks of what probes proved, each with the kinds of probes that it looks at.
pub(super) const BY_PROBES: [(&str, &[Expectation]); 5] = [
    ("model-mismatch", &[Expectation::Deny, Expectation::Allow]),
    ("negative-test-failed", &[Expectation::Deny]),
    ("negative-test-inconclusive", &[Expectation::Deny]),
    ("positive-test-failed", &[Expectation::Allow]),
    ("refusal-unexplained", &[Expectation::Deny]),
];

/// Why a check was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// The client has no contract.
    NoContract,
    /// No probe of the client proved anything.
    NotProbed,
    /// Nobody asks what clients are granted from their own side.
    GrantsNotRead,
    /// Nobody counts what clients call.
    CallsNotCounted,
}

impl Lack {
    /// What to say, after "not asked of 3 clients: ".
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoContract => "they have no contract",
            Self::NotProbed => "no probe of them proved anything",
            Self::GrantsNotRead => {
                "what clients are granted is not read from their own side (audit.grant_calls is 0)"
            }
            Self::CallsNotCounted => "what clients call is not counted (audit.usage)",
        }
    }
}

pub(super) enum Asked {
    Yes,
    /// It says nothing of such a client: one that acts as its user has no roles of its own, one that is off calls nothing.
    DoesNotApply,
    No(Lack),
}

pub(super) fn of(check: &Check, client: &Client, basis: &Basis<'_>) -> Asked {
    let needs = |fact| check.needs.contains(&fact);
    let by_roles = acts_by_roles(client);
    let contracts = &basis.snapshot.contracts;
    if !by_roles && [Fact::Roles, Fact::ClientGrants, Fact::Grants].into_iter().any(needs) {
        return Asked::DoesNotApply;
    }
    let kinds = BY_PROBES.iter().find(|(id, _)| *id == check.id).map(|(_, kinds)| *kinds);
    let is_probed = |kind: &Expectation| basis.probed.contains(&(client.id.clone(), *kind));
    if kinds.is_some_and(|kinds| !kinds.iter().any(is_probed)) {
        return Asked::No(Lack::NotProbed);
    }
    let by_contract = BY_CONTRACT.contains(&check.id);
    if (by_contract && !contracts.contains_key(client.id.as_str()))
        || (check.id == "no-contract" && contracts.is_empty())
    {
        return Asked::No(Lack::NoContract);
    }
    if needs(Fact::Usage) || check.id == "undeclared-use" {
        if client.state != ClientState::Active {
            return Asked::DoesNotApply;
        }
        if !basis.sees_usage {
            return Asked::No(Lack::CallsNotCounted);
        }
    }
    if needs(Fact::Grants) && !basis.sees_grants {
        return Asked::No(Lack::GrantsNotRead);
    }
    Asked::Yes
}
