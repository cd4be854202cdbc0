//! The answer to "what can this client do", in the JSON shape that users see.
//!
//! Enters: an [`Access`] and a client. Leaves: an [`AccessReport`]. Must never: show less than what is held; what
//! cannot be known is said (`upper_bound`, `unseen_roles`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::{Access, acts_by_roles, lets_through};
use crate::domain::{
    DivisionRef, RoleId, ScopeEnforcement,
    catalogue::{OPERATIONS_AS_OF, Source},
    finding::ClientRef,
    inventory::{Client, Grant},
    permission::{GENERAL, Pattern, PermissionSet},
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
    /// Where the grant was read: `record` (the client's own record), or `subject` (asked from the client's side, and
    /// not in its record).
    pub source: &'static str,
    /// When.
    pub observed_at: DateTime<Utc>,
    /// The other subject (a group) that the client has it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<String>,
}

/// When what is known of one client was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedAt {
    /// Its own record.
    pub record: DateTime<Utc>,
    /// Its grants from its own side; `None`: never.
    pub subject: Option<DateTime<Utc>>,
}

impl From<DateTime<Utc>> for ObservedAt {
    fn from(record: DateTime<Utc>) -> Self {
        Self { record, subject: None }
    }
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
    /// It only reads, by the scopes that it accepts.
    pub reads: bool,
    /// Where its rule comes from, if not from the table that the report names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// How many operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reachable {
    /// Granted, and only reading.
    pub reads: usize,
    /// Granted, and changing something.
    pub writes: usize,
    /// Declaring no permission.
    pub undeclared: usize,
}

/// What a client can do in one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainAccess {
    /// The domain; empty for general permissions.
    pub domain: String,
    /// Permissions that it holds there.
    pub permissions: usize,
    /// Operations that only read, and that it may call by a permission of the domain.
    pub reads: usize,
    /// Operations that change something, likewise.
    pub writes: usize,
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
    /// The same by domain, with the operations that follow.
    pub domains: Vec<DomainAccess>,
    /// Operations that it may call: each once, whatever the number of domains. For clients that act for a user: the upper
    /// bound.
    pub reachable: Reachable,
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
    /// What one client can do; `observed_at` is when its record (and its grants) were read.
    pub fn report(
        &self,
        org: &str,
        client: &Client,
        with_operations: bool,
        observed_at: impl Into<ObservedAt>,
    ) -> AccessReport {
        let observed_at = observed_at.into();
        let by_roles = acts_by_roles(client);
        let bound = self.user_bound();
        let power = self.power(client);
        let reach = self.reach(client);
        let user_bound = (!by_roles).then_some(bound);
        let permissions = if by_roles { self.permissions(client, observed_at) } else { Vec::new() };
        let wildcards: BTreeSet<&String> = if by_roles {
            self.granted(client)
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
            upper_bound: user_bound,
            domains: self.by_domain(&permissions, &reach),
            reachable: self.reachable(client, user_bound, &reach),
            permissions,
            wildcards: wildcards.into_iter().cloned().collect(),
            unseen_roles: power.unseen_roles,
            grants_unknown: by_roles && client.grants.is_none(),
            operations_source: self.operations.source(),
            operations_as_of: match self.operations.source() {
                Source::Definition => {
                    self.operations_seen.unwrap_or(observed_at.record).format("%Y-%m-%d").to_string()
                }
                Source::CompiledIn => OPERATIONS_AS_OF.to_owned(),
            },
            operations: with_operations.then(|| self.operation_list(client, user_bound, &reach)),
        }
    }

    /// What bounds clients that act for a user.
    pub fn user_bound(&self) -> UpperBound {
        match self.snapshot.settings.scope_enforcement {
            ScopeEnforcement::UserGrants | ScopeEnforcement::AllGrants => UpperBound::Scopes,
            ScopeEnforcement::Off | ScopeEnforcement::Unknown => UpperBound::Unbounded,
        }
    }

    fn by_domain(&self, permissions: &[PermissionAccess], reach: &PermissionSet) -> Vec<DomainAccess> {
        let mut domains: BTreeMap<&str, DomainAccess> = BTreeMap::new();
        for held in permissions {
            let domain = domain_of(&held.permission);
            let entry = domains.entry(domain).or_insert_with(|| DomainAccess {
                domain: domain.to_owned(),
                permissions: 0,
                reads: 0,
                writes: 0,
            });
            entry.permissions += 1;
        }
        for (at, (_, granted)) in self.may_call(reach).enumerate() {
            if granted != Some(true) {
                continue;
            }
            let reads = self.scopes.reads(at);
            let held = self.needs_of(at).iter().filter(|&&at| reach.contains(at));
            let by: BTreeSet<&str> = held.map(|&at| domain_of(self.universe.name(at))).collect();
            for domain in by {
                if let Some(entry) = domains.get_mut(domain) {
                    let count = if reads { &mut entry.reads } else { &mut entry.writes };
                    *count += 1;
                }
            }
        }
        domains.into_values().collect()
    }

    fn reachable(&self, client: &Client, bound: Option<UpperBound>, reach: &PermissionSet) -> Reachable {
        let mut reachable = Reachable::default();
        for (at, (operation, granted)) in self.may_call(reach).enumerate() {
            match bounded(granted, bound, || lets_through(&client.scopes, operation)) {
                Granted::Yes if self.scopes.reads(at) => reachable.reads += 1,
                Granted::Yes => reachable.writes += 1,
                Granted::Undeclared => reachable.undeclared += 1,
                Granted::No => {}
            }
        }
        reachable
    }

    fn permissions(&self, client: &Client, observed_at: ObservedAt) -> Vec<PermissionAccess> {
        let in_scope = self.scopes.permissions(&client.scopes);
        let mut ways: BTreeMap<usize, Vec<Via>> = BTreeMap::new();
        for grant in self.granted(client) {
            let Some(role) = self.role(&grant.role) else { continue };
            for at in role.listed.ones() {
                ways.entry(at).or_default().push(self.way(
                    client,
                    grant,
                    !role.firm.contains(at),
                    observed_at,
                ));
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

    /// A grant as a way to a permission that its role gives.
    pub(super) fn way(
        &self,
        client: &Client,
        grant: &Grant,
        conditional: bool,
        observed_at: ObservedAt,
    ) -> Via {
        let by_record = client.grants.as_ref().is_some_and(|record| record.contains(grant));
        let (source, observed_at) = match observed_at.subject {
            _ if by_record => ("record", observed_at.record),
            at => ("subject", at.unwrap_or(observed_at.record)),
        };
        let seen = self.snapshot.grants.get(&client.id);
        let others = seen.filter(|seen| !by_record && !seen.own.contains(grant));
        let inherited_from = others.and_then(|seen| {
            let from = seen.inherited.iter().find(|(_, grants)| grants.contains(grant));
            from.map(|(subject, _)| subject.clone())
        });
        let role_name = self.snapshot.roles.get(&grant.role).map_or("", |role| role.name.as_str());
        Via {
            role: grant.role.clone(),
            role_name: role_name.to_owned(),
            division: grant.division.clone(),
            conditional,
            source,
            observed_at,
            inherited_from,
        }
    }

    /// The divisions in which some ways to a permission count, in the normal form of [`super::Power`].
    pub(super) fn effective_divisions(&self, permission: usize, via: &[Via]) -> Vec<DivisionRef> {
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

    fn operation_list(
        &self,
        client: &Client,
        bound: Option<UpperBound>,
        reach: &PermissionSet,
    ) -> Vec<OperationAccess> {
        self.may_call(reach)
            .enumerate()
            .map(|(at, (operation, granted))| {
                let source = self.operations.source_of(at);
                let in_scope = lets_through(&client.scopes, operation);
                OperationAccess {
                    operation: operation.name.clone(),
                    granted: bounded(granted, bound, || in_scope),
                    in_scope,
                    reads: self.scopes.reads(at),
                    source: (source != self.operations.source()).then_some(source),
                }
            })
            .collect()
    }
}

/// Whether an operation may be called, by roles or by what bounds a client that acts for a user.
fn bounded(granted: Option<bool>, bound: Option<UpperBound>, in_scope: impl FnOnce() -> bool) -> Granted {
    let Some(granted) = granted else { return Granted::Undeclared };
    let yes = match bound {
        None => granted,
        // A user may hold anything; only enforced scopes bound what the client can do as that user.
        Some(UpperBound::Unbounded) => true,
        Some(UpperBound::Scopes) => in_scope(),
    };
    if yes { Granted::Yes } else { Granted::No }
}

/// The domain of a permission; empty for a general one.
fn domain_of(permission: &str) -> &str {
    match Pattern::parse(permission) {
        Pattern::Parts { domain, .. } => domain,
        Pattern::General(_) => "",
    }
}
