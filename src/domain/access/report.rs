//! The answer to "what can this client do", in the JSON shape that users see.
//!
//! Enters: an [`Access`] and a client. Leaves: an [`AccessReport`]. Must never: show less than what is held; what
//! cannot be known is said (`upper_bound`, `unseen_roles`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::{Access, acts_by_roles, scope::lets_through};
use crate::domain::{
    DivisionRef, RoleId, ScopeEnforcement,
    catalogue::{OPERATIONS_AS_OF, Source},
    finding::ClientRef,
    inventory::Client,
    permission::GENERAL,
};

/// Where a client's power comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// Its own roles.
    Roles,
    /// The user it acts for.
    User,
}

/// What bounds a client that acts for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UpperBound {
    /// Its scopes: the organisation enforces them.
    Scopes,
    /// Nothing: it can do whatever its user can.
    Unbounded,
}

/// One way to a permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Via {
    /// The role's id.
    pub role: RoleId,
    /// The role's name.
    pub role_name: String,
    /// The grant's division, as granted.
    pub division: DivisionRef,
    /// Given under a condition.
    pub conditional: bool,
    /// Where the grant was read: `record` (the client's own record).
    pub source: &'static str,
    /// When.
    pub observed_at: DateTime<Utc>,
}

/// One permission that a client holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PermissionAccess {
    /// `domain:entity:action`, or a general permission.
    pub permission: String,
    /// The organisation's catalogue lists it (or it is a general permission of the platform).
    pub known: bool,
    /// Where it counts; `*` is everywhere.
    pub divisions: Vec<DivisionRef>,
    /// Every way to it has a condition.
    pub conditional: bool,
    /// The client's scopes would let it through if they were enforced.
    pub in_scope: bool,
    /// Every way to it.
    pub via: Vec<Via>,
}

/// Whether a client may call an operation, by the permissions that the operation declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// Its permissions suffice.
    Yes,
    /// They do not.
    No,
    /// The operation declares none (or a rule that was not understood), so nothing can be said.
    Undeclared,
}

impl Serialize for Granted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Undeclared => serializer.serialize_str("undeclared"),
        }
    }
}

/// One operation, and whether a client may call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperationAccess {
    /// `GET /api/v2/users/{userId}`.
    pub operation: Box<str>,
    /// By permissions. For clients that act for a user: the upper bound.
    pub granted: Granted,
    /// By scopes, if they were enforced.
    pub in_scope: bool,
    /// Where its rule comes from, if not from the table that the report names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// What one client can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessReport {
    /// The organisation's configured name.
    pub org: String,
    /// The client.
    pub client: ClientRef,
    /// Where its power comes from.
    pub authority: Authority,
    /// What bounds it, if it acts for a user.
    pub upper_bound: Option<UpperBound>,
    /// What it holds by its roles, sorted by name. Empty if it acts for a user.
    pub permissions: Vec<PermissionAccess>,
    /// Patterns with `*` that its roles hold: they also give what the platform adds tomorrow.
    pub wildcards: Vec<String>,
    /// Granted roles that the audit did not see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen_roles: Vec<RoleId>,
    /// The client's grants could not be read; what is shown is not all it may hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub grants_unknown: bool,
    /// Which table of operations answered.
    pub operations_source: Source,
    /// The day (`YYYY-MM-DD`) of that table: when the platform's definition was last seen to say so, or when the
    /// compiled-in table was made.
    pub operations_as_of: String,
    /// Every operation, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<OperationAccess>>,
}

impl Access<'_> {
    /// What one client can do; `observed_at` is when its record was read.
    pub fn report(
        &self,
        org: &str,
        client: &Client,
        with_operations: bool,
        observed_at: DateTime<Utc>,
    ) -> AccessReport {
        let by_roles = acts_by_roles(client);
        let bound = match self.snapshot.settings.scope_enforcement {
            ScopeEnforcement::UserGrants | ScopeEnforcement::AllGrants => UpperBound::Scopes,
            ScopeEnforcement::Off | ScopeEnforcement::Unknown => UpperBound::Unbounded,
        };
        let power = self.power(client);
        let wildcards: BTreeSet<&String> = if by_roles {
            client
                .grants()
                .filter_map(|grant| self.role(&grant.role))
                .flat_map(|role| &role.wildcards)
                .collect()
        } else {
            BTreeSet::new()
        };
        AccessReport {
            org: org.to_owned(),
            client: ClientRef { id: client.id.clone(), name: client.name.clone() },
            authority: if by_roles { Authority::Roles } else { Authority::User },
            upper_bound: (!by_roles).then_some(bound),
            permissions: if by_roles { self.permissions(client, observed_at) } else { Vec::new() },
            wildcards: wildcards.into_iter().cloned().collect(),
            unseen_roles: power.unseen_roles,
            grants_unknown: by_roles && client.grants.is_none(),
            operations_source: self.operations.source(),
            operations_as_of: match self.operations.source() {
                Source::Definition => {
                    self.operations_seen.unwrap_or(observed_at).format("%Y-%m-%d").to_string()
                }
                Source::CompiledIn => OPERATIONS_AS_OF.to_owned(),
            },
            operations: with_operations.then(|| self.operation_list(client, (!by_roles).then_some(bound))),
        }
    }

    fn permissions(&self, client: &Client, observed_at: DateTime<Utc>) -> Vec<PermissionAccess> {
        let in_scope = self.scopes.permissions(&client.scopes);
        let mut ways: BTreeMap<usize, Vec<Via>> = BTreeMap::new();
        for grant in client.grants() {
            let Some(role) = self.role(&grant.role) else { continue };
            let role_name = self.snapshot.roles.get(&grant.role).map_or("", |role| role.name.as_str());
            for at in role.listed.ones() {
                ways.entry(at).or_default().push(Via {
                    role: grant.role.clone(),
                    role_name: role_name.to_owned(),
                    division: grant.division.clone(),
                    conditional: !role.firm.contains(at),
                    source: "record",
                    observed_at,
                });
            }
        }
        ways.into_iter()
            .map(|(at, via)| PermissionAccess {
                permission: self.universe.name(at).to_owned(),
                known: self.known.contains(at) || GENERAL.contains(&self.universe.name(at)),
                divisions: self.effective_divisions(at, &via),
                conditional: via.iter().all(|way| way.conditional),
                in_scope: in_scope.contains(at),
                via,
            })
            .collect()
    }

    /// The divisions in which some ways to a permission count, in the normal form of [`super::Power`].
    fn effective_divisions(&self, permission: usize, via: &[Via]) -> Vec<DivisionRef> {
        let aware = self.division_aware.contains(permission);
        let place = |way: &Via| if aware { way.division.clone() } else { DivisionRef::All };
        let firm: BTreeSet<DivisionRef> = via.iter().filter(|way| !way.conditional).map(place).collect();
        let mut all: BTreeSet<DivisionRef> = via.iter().map(place).collect();
        if all.contains(&DivisionRef::All) {
            let firm_everywhere = firm.contains(&DivisionRef::All);
            all.retain(|division| {
                *division == DivisionRef::All || (!firm_everywhere && firm.contains(division))
            });
        }
        all.into_iter().collect()
    }

    fn operation_list(&self, client: &Client, bound: Option<UpperBound>) -> Vec<OperationAccess> {
        let reach = self.reach(client);
        self.may_call(&reach)
            .enumerate()
            .map(|(at, (operation, granted))| {
                let source = self.operations.source_of(at);
                let in_scope = lets_through(&client.scopes, operation);
                let by_user = match bound {
                    None => granted,
                    // A user may hold anything; only enforced scopes bound what the client can do as that user.
                    Some(UpperBound::Unbounded) => granted.map(|_| true),
                    Some(UpperBound::Scopes) => granted.map(|_| in_scope),
                };
                OperationAccess {
                    operation: operation.name.clone(),
                    granted: match by_user {
                        Some(true) => Granted::Yes,
                        Some(false) => Granted::No,
                        None => Granted::Undeclared,
                    },
                    in_scope,
                    source: (source != self.operations.source()).then_some(source),
                }
            })
            .collect()
    }
}
