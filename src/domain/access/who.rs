//! Who can: the question of `report` the other way round, over all clients at once.
//!
//! Enters: an [`Access`]. Leaves: for each permission and operation the set of clients, and for one question each client
//! with the way it gets there. Must never: go through (client, operation) pairs one by one: who holds a role is a set of
//! clients, and every answer is made of such sets.

use std::collections::BTreeSet;

use fixedbitset::FixedBitSet;
use serde::Serialize;

use super::{
    Access, Authority, Granted, ObservedAt, RolePower, UpperBound, Via, acts_by_roles, lets_through,
};
use crate::domain::{
    ClientId, DivisionRef, RoleId,
    catalogue::Mode,
    finding::ClientRef,
    inventory::Client,
    permission::{Pattern, PermissionSet, nearest},
};

/// A set of clients, as bits: the n-th client of the snapshot is bit n.
pub type ClientSet = FixedBitSet;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Any of these permissions, by number: one, or all that a pattern covers.
    Permissions(Vec<usize>),
    /// The operation at a place of the table.
    Operation(usize),
}

/// Neither a permission nor an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What it was read as: `permission`, `pattern` or `operation`.
    pub kind: &'static str,
    /// Known names that are near.
    pub near: Vec<String>,
}

impl Asked {
    /// Reads `domain:entity:action`, the same with `*` in any part, a general permission, or `METHOD /path`.
    /// Fails for names that neither the platform nor a role knows.
    pub fn read(access: &Access<'_>, text: &str) -> Result<Self, Unknown> {
        let text = text.trim();
        if text.contains('/') || text.contains(char::is_whitespace) {
            let near = || nearest(text, access.operations.iter().map(|operation| &*operation.name), 3);
            return access
                .operations
                .find(text)
                .map(Self::Operation)
                .ok_or_else(|| Unknown { kind: "operation", near: own(near()) });
        }
        let names = (0..access.universe.len()).map(|at| access.universe.name(at));
        let pattern = Pattern::parse(text);
        if !pattern.is_wildcard() {
            let near = || nearest(text, names, 3);
            return access
                .universe
                .number(text)
                .map(|at| Self::Permissions(vec![at]))
                .ok_or_else(|| Unknown { kind: "permission", near: own(near()) });
        }
        let mut covered = access.universe.none();
        access.universe.add_matches(&pattern, &mut covered);
        if covered.is_clear() {
            let entities: BTreeSet<String> = names
                .filter_map(|name| name.rsplit_once(':'))
                .filter(|(entity, _)| entity.contains(':'))
                .map(|(entity, _)| format!("{entity}:*"))
                .collect();
            let near = own(nearest(text, entities.iter().map(String::as_str), 3));
            return Err(Unknown { kind: "pattern", near });
        }
        Ok(Self::Permissions(covered.ones().collect()))
    }
}

fn own(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// One way to a permission that was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The permission.
    pub permission: String,
    /// How it is held.
    #[serde(flatten)]
    pub via: Via,
}

/// Whether a client can, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Can {
    /// It can, or (for one that acts as its user) nothing of its own stops it. Or the operation declares nothing.
    By(Granted),
    /// Its grants, or one of its roles, could not be read.
    #[serde(serialize_with = "unknown")]
    NotKnown,
}

fn unknown<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("unknown")
}

/// One client that can do what was asked, in the JSON shape that users see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The client.
    pub client: ClientRef,
    /// Its state, in the platform's word.
    pub state: String,
    /// `true`, `"undeclared"` or `"unknown"`.
    pub granted: Can,
    /// Where its power comes from.
    pub authority: Authority,
    /// What bounds it, if it acts for a user. It is then listed for what its user may be allowed.
    pub upper_bound: Option<UpperBound>,
    /// Where; `*` is everywhere. Of an operation that needs all of several permissions: where it holds all of them, which
    /// may be nowhere.
    pub divisions: Vec<DivisionRef>,
    /// Only under a condition.
    pub conditional: bool,
    /// Its scopes would let it through if they were enforced.
    pub in_scope: bool,
    /// Those of the asked permissions, or of the operation's, that it holds.
    pub permissions: Vec<String>,
    /// Every way to them.
    pub via: Vec<Way>,
}

/// Who holds what, worked out once for a snapshot.
#[derive(Debug)]
pub struct Holders<'a> {
    access: &'a Access<'a>,
    clients: Vec<&'a Client>,
    roles: Vec<(&'a RoleId, &'a RolePower, ClientSet)>,
    /// For each permission, the clients that a role of theirs allows it, whether or not the catalogue lists it.
    reaching: Vec<ClientSet>,
    users: ClientSet,
    unclear: ClientSet,
}

impl<'a> Holders<'a> {
    /// Turns the grants of all clients round.
    pub fn new(access: &'a Access<'a>) -> Self {
        let clients: Vec<&Client> = access.snapshot.clients.values().collect();
        let none = || ClientSet::with_capacity(clients.len());
        let (mut users, mut unclear) = (none(), none());
        let mut roles: Vec<(&RoleId, &RolePower, ClientSet)> =
            access.snapshot.roles.keys().filter_map(|id| Some((id, access.role(id)?, none()))).collect();
        for (at, client) in clients.iter().enumerate() {
            if !acts_by_roles(client) {
                users.insert(at);
                continue;
            }
            if client.grants.is_none() {
                unclear.insert(at);
            }
            for grant in access.granted(client) {
                // Sorted as the snapshot has them.
                match roles.binary_search_by(|(id, ..)| (*id).cmp(&grant.role)) {
                    Ok(place) => roles[place].2.insert(at),
                    Err(_) => unclear.insert(at),
                }
            }
        }
        let mut reaching = vec![none(); access.universe.len()];
        for (_, power, held_by) in roles.iter().filter(|(.., held_by)| !held_by.is_clear()) {
            for permission in power.matched.ones() {
                reaching[permission].union_with(held_by);
            }
        }
        Self { access, clients, roles, reaching, users, unclear }
    }

    /// The client behind a bit.
    pub fn client(&self, at: usize) -> Option<&'a Client> {
        self.clients.get(at).copied()
    }

    /// Clients that act as their user, for whom no role decides.
    pub fn users(&self) -> &ClientSet {
        &self.users
    }

    /// Clients of which some grant or role could not be read.
    pub fn unclear(&self) -> &ClientSet {
        &self.unclear
    }

    /// The clients that hold a permission by their roles, conditional or not, as `access` shows it: a wildcard gives
    /// what the catalogue lists.
    pub fn of_permission(&self, permission: usize) -> ClientSet {
        if self.access.known.contains(permission) {
            return self.reaching[permission].clone();
        }
        let mut set = ClientSet::with_capacity(self.clients.len());
        for (_, power, held_by) in &self.roles {
            if power.listed.contains(permission) {
                set.union_with(held_by);
            }
        }
        set
    }

    /// The clients whose roles allow the operation at a place of the table; `None`: it declares no permission, or is
    /// no operation.
    pub fn of_operation(&self, at: usize) -> Option<ClientSet> {
        let operation = self.access.operations.get(at)?;
        let mut needs = self.access.needs_of(at).iter().map(|&permission| &self.reaching[permission]);
        match operation.mode {
            Mode::None | Mode::Unknown => None,
            Mode::Any => {
                let mut set = ClientSet::with_capacity(self.clients.len());
                needs.for_each(|other| set.union_with(other));
                Some(set)
            }
            Mode::All => {
                let mut set = needs.next()?.clone();
                needs.for_each(|other| set.intersect_with(other));
                Some(set)
            }
        }
    }

    /// Each client that can do what is asked: by their roles first, then those of which it is not known, then those that
    /// act as their user; each group by name. `read_at` is when a client's record was read.
    pub fn answer(&self, asked: &Asked, read_at: impl Fn(&ClientId) -> ObservedAt) -> Vec<Holder> {
        let mut all: Vec<Holder> = Vec::new();
        let (by_roles, undeclared) = match asked {
            Asked::Permissions(permissions) => {
                let mut set = ClientSet::with_capacity(self.clients.len());
                for &permission in permissions {
                    set.union_with(&self.of_permission(permission));
                }
                (set, false)
            }
            Asked::Operation(at) => match self.of_operation(*at) {
                Some(set) => (set, false),
                None => (ClientSet::with_capacity(self.clients.len()), true),
            },
        };
        for (at, client) in self.clients.iter().enumerate() {
            let granted = if undeclared {
                Can::By(Granted::Undeclared)
            } else if by_roles.contains(at) {
                Can::By(Granted::Yes)
            } else if self.users.contains(at) {
                let bound_by_scopes = self.access.user_bound() == UpperBound::Scopes;
                if bound_by_scopes && !self.in_scope(client, asked) {
                    continue;
                }
                Can::By(Granted::Yes)
            } else if self.unclear.contains(at) {
                Can::NotKnown
            } else {
                continue;
            };
            all.push(self.holder(client, asked, granted, read_at(&client.id)));
        }
        let group = |holder: &Holder| (holder.authority == Authority::User, holder.granted == Can::NotKnown);
        all.sort_by(|one, other| {
            (group(one), &one.client.name, &one.client.id).cmp(&(
                group(other),
                &other.client.name,
                &other.client.id,
            ))
        });
        all
    }

    fn in_scope(&self, client: &Client, asked: &Asked) -> bool {
        match asked {
            Asked::Permissions(permissions) => {
                let in_scope = self.access.scopes.permissions(&client.scopes);
                permissions.iter().any(|&permission| in_scope.contains(permission))
            }
            Asked::Operation(at) => self
                .access
                .operations
                .get(*at)
                .is_some_and(|operation| lets_through(&client.scopes, operation)),
        }
    }

    fn holder(&self, client: &Client, asked: &Asked, granted: Can, read_at: ObservedAt) -> Holder {
        let access = self.access;
        let by_roles = acts_by_roles(client);
        let (wanted, mode): (&[usize], Mode) = match asked {
            Asked::Permissions(permissions) => (permissions, Mode::Any),
            Asked::Operation(at) => (
                access.needs_of(*at),
                access.operations.get(*at).map_or(Mode::None, |operation| operation.mode),
            ),
        };
        let gives = |power: &RolePower, permission: usize| {
            let set: &PermissionSet = match asked {
                Asked::Permissions(_) => &power.listed,
                Asked::Operation(_) => &power.matched,
            };
            set.contains(permission)
        };
        let mut via = Vec::new();
        let mut held: Vec<(usize, Vec<DivisionRef>, bool)> = Vec::new();
        for &permission in wanted.iter().filter(|_| by_roles) {
            let ways: Vec<Via> = access
                .granted(client)
                .filter_map(|grant| Some((grant, access.role(&grant.role)?)))
                .filter(|(_, power)| gives(power, permission))
                .map(|(grant, power)| {
                    access.way(client, grant, !power.unconditional.contains(permission), read_at)
                })
                .collect();
            if !ways.is_empty() {
                let conditional = ways.iter().all(|way| way.conditional);
                held.push((permission, access.effective_divisions(permission, &ways), conditional));
                let name = access.universe.name(permission);
                via.extend(ways.into_iter().map(|via| Way { permission: name.to_owned(), via }));
            }
        }
        let conditional = match mode {
            Mode::All => held.iter().any(|(.., conditional)| *conditional),
            Mode::Any | Mode::None | Mode::Unknown => {
                !held.is_empty() && held.iter().all(|(.., conditional)| *conditional)
            }
        };
        let places: Vec<&[DivisionRef]> = held.iter().map(|(_, divisions, _)| divisions.as_slice()).collect();
        Holder {
            client: ClientRef { id: client.id.clone(), name: client.name.clone() },
            state: client.state.as_str().to_owned(),
            granted,
            authority: if by_roles { Authority::Roles } else { Authority::User },
            upper_bound: (!by_roles).then(|| access.user_bound()),
            divisions: divisions(mode, &places),
            conditional,
            in_scope: match asked {
                Asked::Permissions(_) if !held.is_empty() => {
                    let held = held.iter().map(|(at, ..)| *at).collect();
                    self.in_scope(client, &Asked::Permissions(held))
                }
                _ => self.in_scope(client, asked),
            },
            permissions: held.iter().map(|(at, ..)| access.universe.name(*at).to_owned()).collect(),
            via,
        }
    }
}

/// Where something can be done that needs all, or any, of some permissions, each of which counts in some divisions.
fn divisions(mode: Mode, sets: &[&[DivisionRef]]) -> Vec<DivisionRef> {
    if let [only] = sets {
        return only.to_vec();
    }
    let mut all: BTreeSet<&DivisionRef> = sets.iter().copied().flatten().collect();
    if mode == Mode::All {
        all.retain(|place| sets.iter().all(|set| set.contains(place) || set.contains(&DivisionRef::All)));
    }
    if all.contains(&DivisionRef::All) {
        return vec![DivisionRef::All];
    }
    all.into_iter().cloned().collect()
}
