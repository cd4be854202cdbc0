//! What is needed against what a client holds.
//!
//! Enters: an [`Access`], a client, what is declared for it. Leaves: a [`Comparison`]. Must never: count a conditional
//! permission as absent, or a division that the record does not name as one where nothing is held.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Declared, Places,
    companion::{Companion, Companions},
    need::{self, Need},
    scopes::{self, ScopeNeed},
};
use crate::domain::{
    DivisionId, DivisionRef,
    access::{Access, acts_by_roles},
    inventory::Client,
    permission::{ADMIN, PermissionSet},
    privilege,
};

/// What is declared for a client, against what it holds.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What the declared operations need.
    pub need: Need,
    /// The scopes that they need.
    pub scopes: ScopeNeed,
    /// Declared operations that would be refused. Empty for a client that acts as a user.
    pub missing: Vec<Missing>,
    /// What the client holds beyond the need, weightiest first. Empty for a client that acts as a user.
    pub excess: Vec<Excess>,
    /// Companions of what is needed that are not needed themselves.
    pub implied: Vec<Implied>,
}

/// A declared operation that would get 403.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The operation; `None`: a permission that is declared by its own name.
    pub operation: Option<String>,
    /// What has to be granted for it.
    pub permissions: Vec<String>,
    /// Where; `*`: wherever it is to work.
    pub divisions: Vec<DivisionRef>,
    /// Any one of these scopes has to be added (the organisation enforces scopes); empty: no scope is in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Why something is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// `admin` or a wildcard: it also gives what the platform adds tomorrow.
    OpenEnded,
    /// No declared operation needs it.
    NotNeeded,
    /// It is needed, and not in these divisions.
    OtherDivision,
}

/// Something that a client holds beyond its need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excess {
    /// The permission, or the pattern with `*`.
    pub permission: String,
    /// Where it is too much.
    pub divisions: Vec<DivisionRef>,
    /// Why.
    pub why: Why,
    /// What it weighs, by the table of privileges; 0: an ordinary one.
    pub weight: u32,
    /// What whoever holds it can do, for those that weigh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub danger: Option<&'static str>,
    /// Held only under a condition.
    pub conditional: bool,
    /// The roles that give it, by name.
    pub via: Vec<String>,
    /// A declared operation is let through by it now; these have to be granted before it is cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<String>,
    /// It is a companion of these needed permissions (or operations).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub implied_by: Vec<String>,
}

impl Excess {
    /// Whether it is too much beyond doubt: not merely another way to what is needed that weighs no more, nor a
    /// companion of what is needed.
    pub fn is_plain(&self) -> bool {
        let replaced: u32 = self.instead.iter().map(|name| need::weight_of(name)).sum();
        self.implied_by.is_empty() && (self.instead.is_empty() || self.weight > replaced)
    }
}

/// A companion of what is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Implied {
    /// The permission.
    pub permission: String,
    /// What it goes with: permissions and operations.
    pub by: Vec<String>,
    /// Why, one reason for each of `by`.
    pub reasons: Vec<String>,
    /// The client holds it, somewhere.
    pub held: bool,
}

impl Comparison {
    /// Compares. With `with_implied`, companions of what is needed count as needed.
    pub fn of(
        access: &Access<'_>,
        client: &Client,
        declared: &Declared,
        companions: &Companions,
        with_implied: bool,
    ) -> Self {
        let reach = Reach::of(access, client);
        let anywhere = reach.anywhere(access);
        let bare = need::of(access, declared, &access.universe.none());
        let implied = implied(access, declared, &bare, companions, &anywhere);
        let need = if with_implied {
            let also = access.universe.set(implied.iter().map(|one| one.permission.as_str()));
            need::of(access, declared, &also)
        } else {
            bare
        };
        let scopes = scopes::of(access, &declared.calls);
        let (missing, excess) = if acts_by_roles(client) {
            let kept = need::kept(access, &declared.calls, &anywhere);
            let judge = Judge { access, client, declared, need: &need, implied: &implied, kept: &kept };
            (judge.missing(&reach, &scopes), judge.excess(&anywhere))
        } else {
            (Vec::new(), Vec::new())
        };
        Self { need, scopes, missing, excess, implied }
    }
}

/// Companions of what is needed, without those that are needed themselves or that the catalogue does not have.
fn implied(
    access: &Access<'_>,
    declared: &Declared,
    need: &Need,
    companions: &Companions,
    held: &PermissionSet,
) -> Vec<Implied> {
    let needed = need.permissions.ones().map(|at| access.universe.name(at));
    let by_permission = needed.flat_map(|name| companions.of_permission(name));
    let operations = declared.calls.iter().filter_map(|at| access.operations.get(*at));
    let by_operation = operations.flat_map(|operation| companions.of_operation(&operation.name));
    let mut found: BTreeMap<usize, Vec<&Companion>> = BTreeMap::new();
    for companion in by_permission.chain(by_operation) {
        if let Some(at) = access.universe.number(&companion.needs)
            && need::can_be_given(access, at)
            && !need.permissions.contains(at)
        {
            found.entry(at).or_default().push(companion);
        }
    }
    found
        .into_iter()
        .map(|(at, companions)| Implied {
            permission: access.universe.name(at).to_owned(),
            by: companions.iter().map(|companion| companion.when.to_string()).collect(),
            reasons: companions.iter().map(|companion| companion.reason.to_string()).collect(),
            held: held.contains(at),
        })
        .collect()
}

/// What a client's roles match, by the division in which it counts, whether or not the catalogue lists it.
struct Reach(BTreeMap<DivisionRef, PermissionSet>);

impl Reach {
    fn of(access: &Access<'_>, client: &Client) -> Self {
        let mut places: BTreeMap<DivisionRef, PermissionSet> = BTreeMap::new();
        if !acts_by_roles(client) {
            return Self(places);
        }
        for grant in access.granted(client) {
            let Some(role) = access.role(&grant.role) else { continue };
            let mut local = role.matched.clone();
            local.intersect_with(&access.division_aware);
            let mut everywhere = role.matched.clone();
            everywhere.difference_with(&access.division_aware);
            for (place, set) in [(&grant.division, local), (&DivisionRef::All, everywhere)] {
                places.entry(place.clone()).or_insert_with(|| access.universe.none()).union_with(&set);
            }
        }
        Self(places)
    }

    fn anywhere(&self, access: &Access<'_>) -> PermissionSet {
        self.within(access, |_| true)
    }

    fn in_division(&self, access: &Access<'_>, division: &DivisionId) -> PermissionSet {
        self.within(access, |place| match place {
            DivisionRef::All | DivisionRef::Unknown => true,
            DivisionRef::One(id) => id == division,
        })
    }

    fn everywhere(&self, access: &Access<'_>) -> PermissionSet {
        self.within(access, |place| !matches!(place, DivisionRef::One(_)))
    }

    fn within(&self, access: &Access<'_>, counts: impl Fn(&DivisionRef) -> bool) -> PermissionSet {
        let mut set = access.universe.none();
        for (_, held) in self.0.iter().filter(|(place, _)| counts(place)) {
            set.union_with(held);
        }
        set
    }
}

/// Everything that an answer about one client rests on.
struct Judge<'a> {
    access: &'a Access<'a>,
    client: &'a Client,
    declared: &'a Declared,
    need: &'a Need,
    implied: &'a [Implied],
    /// Of what is held, the least that the declared calls rest on now.
    kept: &'a PermissionSet,
}

impl Judge<'_> {
    fn missing(&self, reach: &Reach, scopes: &ScopeNeed) -> Vec<Missing> {
        let access = self.access;
        let places: Vec<(DivisionRef, PermissionSet)> = match &self.declared.divisions {
            Places::Anywhere => vec![(DivisionRef::All, reach.anywhere(access))],
            Places::Everywhere => vec![(DivisionRef::All, reach.everywhere(access))],
            Places::Each(divisions) => divisions
                .iter()
                .map(|id| (DivisionRef::One(id.clone()), reach.in_division(access, id)))
                .collect(),
        };
        let no_role = |at: &usize| self.need.unavailable.iter().any(|operation| operation.at == *at);
        let mut missing: Vec<Missing> = self.named_permissions_missing(&places);
        for at in self.declared.calls.iter().filter(|at| !no_role(at)) {
            let Some(operation) = access.operations.get(*at) else { continue };
            let mut divisions = Vec::new();
            let mut permissions: BTreeSet<usize> = BTreeSet::new();
            for (place, held) in &places {
                if access.allows(*at, held) == Some(false) {
                    divisions.push(place.clone());
                    let needed = access.needs_of(*at).iter().copied();
                    let needed = needed.filter(|at| self.need.permissions.contains(*at));
                    permissions.extend(needed.filter(|at| !held.contains(*at)));
                }
            }
            let out_of_scope = access.scopes_bind_roles() && !access.in_scope(self.client, *at);
            if divisions.is_empty() && !out_of_scope {
                continue;
            }
            let suffices = |scope: &str| scopes.scopes.iter().any(|needed| needed == scope);
            missing.push(Missing {
                operation: Some(operation.name.to_string()),
                permissions: permissions.into_iter().map(|at| access.universe.name(at).to_owned()).collect(),
                divisions,
                scopes: if out_of_scope {
                    operation.scopes().filter(|scope| suffices(scope)).map(str::to_owned).collect()
                } else {
                    Vec::new()
                },
            });
        }
        missing
    }

    /// Permissions that are declared by name, that a role could give, and that are not held.
    fn named_permissions_missing(&self, places: &[(DivisionRef, PermissionSet)]) -> Vec<Missing> {
        let mut missing = Vec::new();
        for name in &self.declared.permissions {
            let Some(at) = self.access.universe.number(name).filter(|at| self.need.permissions.contains(*at))
            else {
                continue;
            };
            let lacking =
                places.iter().filter(|(_, held)| !held.contains(at)).map(|(place, _)| place.clone());
            let divisions: Vec<DivisionRef> = lacking.collect();
            if !divisions.is_empty() {
                let permissions = vec![name.clone()];
                missing.push(Missing { operation: None, permissions, divisions, scopes: Vec::new() });
            }
        }
        missing
    }

    fn excess(&self, anywhere: &PermissionSet) -> Vec<Excess> {
        let mut found = self.open_ended();
        let mut places: BTreeMap<usize, (Vec<DivisionRef>, bool)> = BTreeMap::new();
        for (at, division, conditional) in self.access.power(self.client).keys() {
            let place = places.entry(at).or_insert((Vec::new(), true));
            if !place.0.contains(division) {
                place.0.push(division.clone());
            }
            place.1 &= conditional;
        }
        for (at, (divisions, conditional)) in places {
            if self.access.universe.name(at) == ADMIN {
                continue; // open-ended
            }
            let (why, divisions) = if self.need.permissions.contains(at) {
                (Why::OtherDivision, self.beyond(at, divisions))
            } else if self.rests_on_what_cannot_be_given(at) {
                continue; // said with the operation, which no role of ours could let through
            } else {
                (Why::NotNeeded, divisions)
            };
            if !divisions.is_empty() {
                found.push(self.one(at, divisions, why, conditional, anywhere));
            }
        }
        found.sort_by(|one, other| {
            (one.why, other.weight, &one.permission).cmp(&(other.why, one.weight, &other.permission))
        });
        found
    }

    /// Wildcards and `admin`, as the roles have them.
    fn open_ended(&self) -> Vec<Excess> {
        let mut patterns: BTreeMap<&str, (BTreeSet<&DivisionRef>, BTreeSet<&str>)> = BTreeMap::new();
        for grant in self.access.granted(self.client) {
            let Some(power) = self.access.role(&grant.role) else { continue };
            let name = self.role_name(grant.role.as_str());
            let admin = power.admin.then_some(ADMIN);
            for pattern in power.wildcards.iter().map(String::as_str).chain(admin) {
                let held = patterns.entry(pattern).or_default();
                held.0.insert(&grant.division);
                held.1.insert(name);
            }
        }
        patterns
            .into_iter()
            .map(|(pattern, (divisions, roles))| Excess {
                permission: pattern.to_owned(),
                divisions: divisions.into_iter().cloned().collect(),
                why: Why::OpenEnded,
                weight: need::weight_of(pattern),
                danger: privilege::of(pattern).map(|privilege| privilege.reason),
                conditional: false,
                via: roles.into_iter().map(str::to_owned).collect(),
                instead: Vec::new(),
                implied_by: Vec::new(),
            })
            .collect()
    }

    /// Of the divisions in which a needed permission is held, those in which it is not needed.
    fn beyond(&self, permission: usize, held: Vec<DivisionRef>) -> Vec<DivisionRef> {
        let Places::Each(needed) = &self.declared.divisions else { return Vec::new() };
        if !self.access.division_aware.contains(permission) {
            return Vec::new();
        }
        held.into_iter()
            .filter(|division| match division {
                DivisionRef::All => true,
                DivisionRef::Unknown => false,
                DivisionRef::One(id) => !needed.contains(id),
            })
            .collect()
    }

    /// A general permission that a declared call rests on and that no role of ours would have.
    fn rests_on_what_cannot_be_given(&self, permission: usize) -> bool {
        self.kept.contains(permission)
            && self
                .need
                .unavailable
                .iter()
                .any(|operation| self.access.needs_of(operation.at).contains(&permission))
    }

    fn one(
        &self,
        at: usize,
        divisions: Vec<DivisionRef>,
        why: Why,
        conditional: bool,
        anywhere: &PermissionSet,
    ) -> Excess {
        let permission = self.access.universe.name(at);
        let instead = if why == Why::NotNeeded && self.kept.contains(at) {
            self.instead_of(at, anywhere)
        } else {
            Vec::new()
        };
        let implied_by = (self.implied.iter())
            .find(|one| why == Why::NotNeeded && one.permission == permission)
            .map_or_else(Vec::new, |one| one.by.clone());
        let gives =
            |role: &&str| self.access.role(&(*role).into()).is_some_and(|role| role.listed.contains(at));
        let roles: BTreeSet<&str> =
            self.access.granted(self.client).map(|grant| grant.role.as_str()).collect();
        let privilege = privilege::of(permission);
        Excess {
            permission: permission.to_owned(),
            divisions,
            why,
            weight: privilege.map_or(0, |privilege| privilege.weight),
            danger: privilege.map(|privilege| privilege.reason),
            conditional,
            via: roles.into_iter().filter(gives).map(|role| self.role_name(role).to_owned()).collect(),
            instead,
            implied_by,
        }
    }

    /// What has to be granted before a permission can be cut that declared calls rest on.
    fn instead_of(&self, permission: usize, held: &PermissionSet) -> Vec<String> {
        let resting =
            self.declared.calls.iter().filter(|at| self.access.needs_of(**at).contains(&permission));
        let others: BTreeSet<usize> = resting
            .flat_map(|at| self.access.needs_of(*at).iter().copied())
            .filter(|at| self.need.permissions.contains(*at) && !held.contains(*at))
            .collect();
        others.into_iter().map(|at| self.access.universe.name(at).to_owned()).collect()
    }

    fn role_name(&self, id: &'_ str) -> &str {
        self.access.snapshot.roles.get(id).map_or("", |role| role.name.as_str())
    }
}
