//! How a client can become stronger than its roles: the shortest way, and how many clients it could become.
//!
//! Enters: an [`Access`]. Leaves: a [`Standing`] for each client. Must never: count an assumed way as a stated one, or
//! say that there is no way where a role was not read.
//!
//! Nodes are a client's roles, all roles of the organisation together, and everything. An edge asks for permissions
//! (`ways`), of which there are few: so what a role gives here is a handful of bits, and clients with the same roles
//! are worked out once.

mod tell;
pub mod ways;

use std::{cell::RefCell, collections::HashMap};

use fixedbitset::FixedBitSet;

pub use self::tell::Path;
use self::ways::{Certainty, Opens, Way};
use super::{ALL_SCOPES, Access, RolePower, acts_by_roles};
use crate::domain::{
    RoleId,
    inventory::{Client, Role},
};

/// Permissions that some way asks for, one bit each.
type Mask = u32;

/// What a role gives of those permissions.
#[derive(Clone, Copy, Debug, Default)]
struct Gives {
    any: Mask,
    firm: Mask,
    /// It allows everything.
    everything: bool,
}

/// Where a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// Everything that the platform can do.
    Everything,
    /// What all roles give together, which is not everything.
    EveryRole,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The way taken.
    pub way: &'static Way,
    /// A permission that it asks for is held only under a condition.
    pub conditional: bool,
}

/// The steps of a path, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    steps: Vec<Step>,
    goal: Goal,
    certainty: Certainty,
}

/// What can become of one client.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    /// It acts as its user: its own roles decide nothing, and what its user could become is not known.
    pub as_user: bool,
    /// It can do everything already.
    pub has_everything: bool,
    /// The shortest way by what is stated.
    pub stated: Option<Path<'a>>,
    /// The shortest way that rests on something assumed, if none is stated.
    pub assumed: Option<Path<'a>>,
    /// Further ways that would do as well, by name.
    pub others: Vec<&'static str>,
    /// Other clients that it could act as, by a new secret for each: assumed.
    pub could_become: usize,
}

/// What is the same for all clients that hold the same roles.
#[derive(Clone, Debug, Default)]
struct Worked {
    has_everything: bool,
    stated: Option<Route>,
    assumed: Option<Route>,
    others: Vec<&'static str>,
    could_become: usize,
}

/// The graph, worked out once for a snapshot.
#[derive(Debug)]
pub struct Escalation<'a> {
    access: &'a Access<'a>,
    /// The permissions behind the bits of a [`Mask`], by number.
    asked: Vec<usize>,
    ways: Vec<(Mask, &'static Way)>,
    roles: HashMap<&'a RoleId, Gives>,
    /// A role that allows everything.
    everything: Option<&'a Role>,
    /// What all roles give together.
    every_role: Gives,
    /// Every set of roles that clients hold, and how many do.
    held: Vec<(FixedBitSet, usize)>,
    /// Clients that act by their roles.
    clients: usize,
    /// The bit of each role in those sets.
    number: HashMap<&'a RoleId, usize>,
    known: RefCell<HashMap<(FixedBitSet, Mask), Worked>>,
}

impl<'a> Escalation<'a> {
    /// Works out what each role opens.
    pub fn new(access: &'a Access<'a>) -> Self {
        let mut asked: Vec<usize> = Vec::new();
        let mut bit = |name: &str| -> Mask {
            // A permission that no operation, role or catalogue names is held by nobody: a bit of its own, never set.
            let at = access.universe.number(name).unwrap_or(usize::MAX);
            let place = asked.iter().position(|known| *known == at).unwrap_or_else(|| {
                asked.push(at);
                asked.len() - 1
            });
            1 << place
        };
        let ways = ways::table()
            .iter()
            .map(|way| (way.permissions.iter().map(|name| bit(name)).fold(0, |mask, bit| mask | bit), way))
            .collect();
        let mut roles = HashMap::new();
        let mut every_role = Gives::default();
        let mut everything: Option<&Role> = None;
        for (id, role) in &access.snapshot.roles {
            let Some(power) = access.role(id) else { continue };
            let gives = Gives { everything: allows_everything(access, power), ..gives(power, &asked) };
            every_role.any |= gives.any;
            every_role.firm |= gives.firm;
            roles.insert(id, gives);
            // One that says so in so many words is the better example.
            if gives.everything && everything.is_none_or(|_| power.admin) {
                everything = Some(role);
            }
        }
        let mut graph = Self {
            access,
            asked,
            ways,
            roles,
            everything,
            every_role,
            held: Vec::new(),
            clients: 0,
            number: HashMap::new(),
            known: RefCell::default(),
        };
        graph.count();
        graph
    }

    /// Counts the clients that hold the same roles, whether or not those roles were read.
    fn count(&mut self) {
        let clients = || self.access.snapshot.clients.values().filter(|client| acts_by_roles(client));
        let mut number = HashMap::new();
        for grant in clients().flat_map(|client| self.access.granted(client)) {
            let next = number.len();
            number.entry(&grant.role).or_insert(next);
        }
        let mut held: HashMap<FixedBitSet, usize> = HashMap::new();
        let mut count = 0;
        for client in clients() {
            count += 1;
            *held.entry(roles_of(self.access, client, &number)).or_default() += 1;
        }
        self.clients = count;
        self.held = held.into_iter().collect();
        self.number = number;
    }

    /// What can become of a client.
    pub fn of<'c>(&'c self, client: &'c Client) -> Standing<'c> {
        let as_user = !acts_by_roles(client);
        let Worked { has_everything, stated, assumed, others, could_become } =
            if as_user { Worked::default() } else { self.worked(client) };
        let path = |route: Route| Path::new(self, client, route);
        Standing {
            as_user,
            has_everything,
            stated: stated.map(path),
            assumed: assumed.map(path),
            others,
            could_become,
        }
    }

    fn worked(&self, client: &Client) -> Worked {
        // Most clients hold nothing that a way asks for.
        let own = self.own(client, Mask::MAX);
        if !own.everything && self.ways.iter().all(|(mask, _)| own.any & mask != *mask) {
            return Worked::default();
        }
        let held = roles_of(self.access, client, &self.number);
        let visible = self.visible(client);
        let key = (held, visible);
        if let Some(worked) = self.known.borrow().get(&key) {
            return worked.clone();
        }
        let worked = self.work_out(client, &key.0, visible);
        self.known.borrow_mut().insert(key, worked.clone());
        worked
    }

    /// The permissions that the client's scopes let through, where the organisation enforces them for every grant.
    fn visible(&self, client: &Client) -> Mask {
        if !self.access.scopes_bind_roles() || client.scopes.contains(ALL_SCOPES) {
            return Mask::MAX;
        }
        let in_scope = self.access.scopes.permissions(&client.scopes);
        mask(&self.asked, |at| in_scope.contains(at))
    }

    /// What a client's roles give together, as far as it is visible.
    fn own(&self, client: &Client, visible: Mask) -> Gives {
        let mut own = Gives::default();
        for gives in self.access.granted(client).filter_map(|grant| self.roles.get(&grant.role)) {
            own.any |= gives.any & visible;
            own.firm |= gives.firm & visible;
            own.everything |= gives.everything;
        }
        own
    }

    fn work_out(&self, client: &Client, held: &FixedBitSet, visible: Mask) -> Worked {
        let own = self.own(client, visible);
        let has_everything = visible == Mask::MAX && own.everything;
        let mut routes: Vec<Route> = Vec::new();
        if !has_everything {
            for (mask, way) in &self.ways {
                if let Some(step) = step(own, *mask, way) {
                    routes.extend(self.route(step));
                }
            }
        }
        // The table's order decides between routes that are equally good.
        routes.sort_by_key(|route| (route.certainty, route.goal, route.steps.len()));
        let best = routes.first().cloned();
        let others = routes.iter().skip(1).map(|route| route.steps[0].way.name).collect();
        let (stated, assumed) = match best {
            Some(route) if route.certainty == Certainty::Stated => (Some(route), None),
            other => (None, other),
        };
        let could_become = self.could_become(held, own, has_everything, stated.as_ref());
        Worked { has_everything, stated, assumed, others, could_become }
    }

    /// A first step and what follows from it; `None` if it leads nowhere that is new.
    fn route(&self, step: Step) -> Option<Route> {
        let certainty = certainty(&[step]);
        match step.way.opens {
            Opens::Client => None,
            Opens::Everything | Opens::User => {
                Some(Route { steps: vec![step], goal: Goal::Everything, certainty })
            }
            Opens::EveryRole if self.everything.is_some() => {
                Some(Route { steps: vec![step], goal: Goal::Everything, certainty })
            }
            Opens::EveryRole => {
                let onward =
                    self.ways.iter().filter(|(_, way)| matches!(way.opens, Opens::Everything | Opens::User));
                let next = onward.filter_map(|(mask, way)| self::step(self.every_role, *mask, way));
                let best = next.min_by_key(certainty_of);
                Some(match best {
                    // A sure end at all roles is told before an unsure one at everything.
                    Some(next) if certainty_of(&next) <= certainty => {
                        let steps = vec![step, next];
                        Route { certainty: self::certainty(&steps), steps, goal: Goal::Everything }
                    }
                    _ => Route { steps: vec![step], goal: Goal::EveryRole, certainty },
                })
            }
        }
    }

    /// How many other clients it could act as.
    fn could_become(
        &self,
        held: &FixedBitSet,
        own: Gives,
        has_everything: bool,
        stated: Option<&Route>,
    ) -> usize {
        let others = self.clients.saturating_sub(1);
        let new_secret = |gives: Gives| {
            self.ways.iter().any(|(mask, way)| way.opens == Opens::Client && gives.any & mask == *mask)
        };
        match stated.map(|route| route.goal) {
            _ if has_everything => others,
            Some(Goal::Everything) => others,
            Some(Goal::EveryRole) if new_secret(own) || new_secret(self.every_role) => others,
            _ if !new_secret(own) => 0,
            _ => {
                let within = self.held.iter().filter(|(other, _)| other.is_subset(held));
                within.map(|(_, count)| count).sum::<usize>().saturating_sub(1)
            }
        }
    }
}

/// A way as a step, if what is held allows it.
fn step(held: Gives, mask: Mask, way: &'static Way) -> Option<Step> {
    (held.any & mask == mask).then_some(Step { way, conditional: held.firm & mask != mask })
}

fn certainty_of(step: &Step) -> Certainty {
    if step.conditional { Certainty::Assumed } else { step.way.certainty }
}

fn certainty(steps: &[Step]) -> Certainty {
    steps.iter().map(certainty_of).max().unwrap_or(Certainty::Stated)
}

fn mask(asked: &[usize], holds: impl Fn(usize) -> bool) -> Mask {
    let bits = asked.iter().enumerate().filter(|(_, at)| **at != usize::MAX && holds(**at));
    bits.fold(0, |mask, (bit, _)| mask | 1 << bit)
}

fn gives(power: &RolePower, asked: &[usize]) -> Gives {
    Gives {
        any: mask(asked, |at| power.matched.contains(at)),
        firm: mask(asked, |at| power.unconditional.contains(at)),
        everything: false,
    }
}

/// By the general permission, by a policy on everything, or by adding up to all that the catalogue knows.
fn allows_everything(access: &Access<'_>, power: &RolePower) -> bool {
    power.admin
        || power.wildcards.iter().any(|pattern| pattern == "*:*:*")
        || (!access.known.is_clear() && access.known.is_subset(&power.matched))
}

fn roles_of(access: &Access<'_>, client: &Client, number: &HashMap<&RoleId, usize>) -> FixedBitSet {
    let mut set = FixedBitSet::with_capacity(number.len());
    set.extend(access.granted(client).filter_map(|grant| number.get(&grant.role).copied()));
    set
}

#[cfg(test)]
mod tests;
