//! Least privilege for one client, in the JSON shape that users see.
//!
//! Enters: a comparison. Leaves: a [`Proposal`]: what to cut, what is missing, and the least role that would do. Must
//! never: be applied by us.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Choice, Comparison, Declared, Excess, Missing, Places, Unavailable, companion::Companions,
    compare::Implied, need, role::Role,
};
use crate::domain::{
    DivisionRef, RoleId,
    access::{Access, Authority, acts_by_roles},
    finding::ClientRef,
    inventory::Client,
};

/// Least privilege for one client.
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    /// The organisation's configured name.
    pub org: String,
    /// The client.
    pub client: ClientRef,
    /// Whether its power comes from its roles. If not, nothing is known to be missing or too much.
    pub authority: Authority,
    /// The client's grants could not be read: what is called missing may be held.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub grants_unknown: bool,
    /// Granted roles that the audit did not see: what they give is not known either.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen_roles: Vec<RoleId>,
    /// How many operations are declared (that the platform has).
    pub calls: usize,
    /// Declared operations that are refused today.
    pub missing: Vec<Missing>,
    /// What can be cut.
    pub excess: Vec<Excess>,
    /// Permissions without which answers stay ids.
    pub implied: Vec<Implied>,
    /// Declared operations that no role could let through here.
    pub unavailable: Vec<Unavailable>,
    /// Where one of several permissions would do, and which was chosen.
    pub choices: Vec<Choice>,
    /// Declared operations (and permissions) that the platform (or the organisation) does not have.
    pub unknown: Vec<String>,
    /// Declared divisions that the organisation does not have.
    pub unknown_divisions: Vec<String>,
    /// The least role, as `POST /api/v2/authorization/roles` accepts it.
    pub role: Role,
    /// Where it should be granted.
    pub divisions: Vec<DivisionRef>,
    /// The least scopes.
    pub scopes: Vec<String>,
    /// No role that does the same costs less.
    pub minimal: bool,
    /// What the role costs.
    pub cost: Cost,
}

/// What a role costs, as roles are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// The sum of the weights of its permissions.
    pub weight: u32,
    /// How many there are.
    pub permissions: usize,
}

/// What is proposed for one client; with `with_implied`, companions of what is needed are part of the role.
pub fn propose(
    org: &str,
    access: &Access<'_>,
    client: &Client,
    declared: &Declared,
    companions: &Companions,
    with_implied: bool,
) -> Proposal {
    let comparison = Comparison::of(access, client, declared, companions, with_implied);
    let Comparison { need, scopes, missing, excess, implied } = comparison;
    let names = need.permissions.ones().map(|at| access.universe.name(at));
    let cost =
        Cost { weight: names.map(need::weight_of).sum(), permissions: need.permissions.count_ones(..) };
    Proposal {
        org: org.to_owned(),
        client: ClientRef { id: client.id.clone(), name: client.name.clone() },
        authority: if acts_by_roles(client) { Authority::Roles } else { Authority::User },
        grants_unknown: acts_by_roles(client) && client.grants.is_none(),
        unseen_roles: access.power(client).unseen_roles,
        calls: declared.calls.len(),
        missing,
        excess,
        implied,
        unavailable: need.unavailable,
        choices: need.choices,
        unknown: declared.unknown.iter().cloned().chain(unknown_permissions(access, declared)).collect(),
        unknown_divisions: declared.unknown_divisions.clone(),
        role: Role::dedicated(access, client, &need.permissions),
        divisions: divisions(access, client, declared),
        scopes: scopes.scopes,
        minimal: need.proven && scopes.proven,
        cost,
    }
}

/// Permissions that are declared by name and that no role could give here.
pub fn unknown_permissions(access: &Access<'_>, declared: &Declared) -> Vec<String> {
    let given = |name: &str| access.universe.number(name).is_some_and(|at| need::can_be_given(access, at));
    declared.permissions.iter().filter(|name| !given(name)).cloned().collect()
}

/// Where the role should be granted: where it is declared to be needed; if nothing is said, where the client holds its
/// roles now; if it holds none, in the home division.
fn divisions(access: &Access<'_>, client: &Client, declared: &Declared) -> Vec<DivisionRef> {
    match &declared.divisions {
        Places::Everywhere => vec![DivisionRef::All],
        Places::Each(divisions) => divisions.iter().cloned().map(DivisionRef::One).collect(),
        Places::Anywhere => {
            let held: BTreeSet<&DivisionRef> = access
                .granted(client)
                .map(|grant| &grant.division)
                .filter(|division| **division != DivisionRef::Unknown)
                .collect();
            if held.contains(&DivisionRef::All) {
                return vec![DivisionRef::All];
            }
            if !held.is_empty() {
                return held.into_iter().cloned().collect();
            }
            let home = access.snapshot.divisions.iter().flatten().find(|(_, division)| division.home);
            vec![home.map_or(DivisionRef::All, |(id, _)| DivisionRef::One(id.clone()))]
        }
    }
}
