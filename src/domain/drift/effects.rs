//! The effects: for each client, the net difference of its power, and which causes opened or closed the way.
//!
//! Enters: both sides and the clients whose power can differ (`changed`). Leaves: for each subject the clients that it reaches.
//! Must never: count a permission that is held before and after in the same place and form, or leave a net
//! difference without a cause.
//!
//! A *way* is one grant whose role gives a permission. A gain is listed under every cause that opened a new way to
//! it: the client (it is new, or got the grant), the role (it is new, or gives more), the platform (the catalogue
//! grew under a wildcard), the settings or the definition (scopes stopped hiding it). Losses are the same with the sides
//! swapped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    sync::Arc,
};

use super::{Pair, SubjectKey, changed::Reached, platform::brought};
use crate::domain::{
    ClientId, DivisionRef, Severity,
    access::{Access, Power, acts_by_roles},
    event::{Affected, Gain},
    inventory::{Client, Grant, GrantType},
    permission::{ADMIN, PermissionSet},
    privilege,
};

/// What one cause did.
#[derive(Default)]
pub(super) struct Effect {
    /// Who gained or lost what, sorted by client id.
    pub(super) clients: Vec<Affected>,
    /// The highest tier among the gains that widen somebody's power.
    pub(super) worst_gain: Option<Severity>,
}

/// What decides about a client's power, beside what changed.
type Likeness<'a> = (&'a GrantType, &'a Option<BTreeSet<Grant>>, Vec<&'a Grant>, &'a BTreeSet<String>);

/// What one client gained and lost by each cause.
type Shares = BTreeMap<SubjectKey, Share>;

#[derive(Clone)]
struct Share {
    gained: Arc<[Gain]>,
    lost: Arc<[Gain]>,
    worst_gain: Option<Severity>,
}

pub(super) fn find(pair: &Pair<'_>, reached: &Reached<'_>) -> BTreeMap<SubjectKey, Effect> {
    let (old, new) = (&pair.before.snapshot.clients, &pair.after.snapshot.clients);
    let mut effects: BTreeMap<SubjectKey, Effect> = BTreeMap::new();
    for id in &reached.changed {
        let (before, after) = (old.get(*id), new.get(*id));
        if let Some(client) = after.or(before) {
            add(&mut effects, client, &shares_of(pair, id, before, after));
        }
    }
    // Clients that did not change themselves and hold the same grants and scopes fare alike.
    let mut alike: HashMap<Likeness<'_>, Shares> = HashMap::new();
    for client in &reached.same {
        let beside: Vec<&Grant> = pair.after.snapshot.beside(client).collect();
        let shares = alike
            .entry((&client.grant_type, &client.grants, beside, &client.scopes))
            .or_insert_with(|| shares_of(pair, &client.id, Some(client), Some(client)));
        add(&mut effects, client, shares);
    }
    for effect in effects.values_mut() {
        effect.clients.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    }
    effects
}

fn add(effects: &mut BTreeMap<SubjectKey, Effect>, client: &Client, shares: &Shares) {
    for (subject, share) in shares {
        let effect = effects.entry(subject.clone()).or_default();
        effect.worst_gain = effect.worst_gain.max(share.worst_gain);
        effect.clients.push(Affected {
            id: client.id.clone(),
            name: client.name.clone(),
            gained: Arc::clone(&share.gained),
            lost: Arc::clone(&share.lost),
        });
    }
}

/// One client on one side.
struct View<'a> {
    access: &'a Access<'a>,
    /// The client, if it exists on this side and acts by its roles.
    client: Option<&'a Client>,
    power: Power,
    in_scope: PermissionSet,
}

impl<'a> View<'a> {
    fn new(access: &'a Access<'a>, client: Option<&'a Client>) -> Self {
        let client = client.filter(|client| acts_by_roles(client));
        let power = client.map_or_else(Power::default, |client| access.power(client));
        let in_scope =
            client.map_or_else(|| access.universe.none(), |client| access.scopes.permissions(&client.scopes));
        Self { access, client, power, in_scope }
    }

    /// What is held here and not there, in the same place and form; by division, then permission.
    fn beyond<'b>(&'b self, other: &'b View<'_>) -> impl Iterator<Item = Key<'b>> {
        self.power.divisions.iter().flat_map(|(division, held)| {
            let there = other.power.divisions.get(division);
            let beyond = |here: &PermissionSet, there: Option<&PermissionSet>, conditional: bool| {
                let mut set = here.clone();
                if let Some(there) = there {
                    set.difference_with(there);
                }
                set.into_ones().map(move |at| (at, division, conditional))
            };
            beyond(&held.firm, there.map(|there| &there.firm), false).chain(beyond(
                &held.conditional,
                there.map(|there| &there.conditional),
                true,
            ))
        })
    }

    fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.client.into_iter().flat_map(|client| self.access.granted(client))
    }

    fn holds(&self, grant: &Grant) -> bool {
        self.client.is_some_and(|client| self.access.granted(client).any(|held| held == grant))
    }

    /// Whether a grant's role gives a permission on this side, and if so whether under a condition.
    fn gives(&self, grant: &Grant, permission: usize) -> Option<bool> {
        let role = self.access.role(&grant.role)?;
        role.listed.contains(permission).then(|| !role.firm.contains(permission))
    }

    fn place<'b>(&self, grant: &'b Grant, permission: usize) -> &'b DivisionRef {
        if self.access.division_aware.contains(permission) { &grant.division } else { &DivisionRef::All }
    }

    fn hidden_by_scope(&self, permission: usize) -> bool {
        self.access.scopes_bind_roles() && !self.in_scope.contains(permission)
    }
}

fn shares_of(pair: &Pair<'_>, id: &ClientId, before: Option<&Client>, after: Option<&Client>) -> Shares {
    let before = View::new(&pair.before, before);
    let after = View::new(&pair.after, after);
    let gained = attribute(id, &before, &after);
    let lost = attribute(id, &after, &before);
    let mut shares = Shares::new();
    for (subject, (gains, worst_gain)) in gained {
        shares.insert(subject, Share { gained: gains, lost: Arc::from([]), worst_gain });
    }
    for (subject, (losses, _)) in lost {
        match shares.entry(subject) {
            Entry::Occupied(mut share) => share.get_mut().lost = losses,
            Entry::Vacant(place) => {
                place.insert(Share { gained: Arc::from([]), lost: losses, worst_gain: None });
            }
        }
    }
    shares
}

type Key<'a> = (usize, &'a DivisionRef, bool);

/// Lists what is held on the `to` side and not on the `from` side under every cause that opened a way to it.
fn attribute(
    id: &ClientId,
    from: &View<'_>,
    to: &View<'_>,
) -> BTreeMap<SubjectKey, (Arc<[Gain]>, Option<Severity>)> {
    // Everything that differs between two lists of one gain, in the order in which they are listed.
    type Row = (usize, bool, bool, bool);
    let mut rows: BTreeMap<SubjectKey, BTreeMap<Row, Vec<DivisionRef>>> = BTreeMap::new();
    let mut worst: BTreeMap<SubjectKey, Option<Severity>> = BTreeMap::new();
    for (permission, division, conditional) in to.beyond(from) {
        let mut causes = BTreeSet::new();
        for grant in to.grants() {
            let same_key = to.gives(grant, permission) == Some(conditional)
                && to.place(grant, permission) == division
                && !to.hidden_by_scope(permission);
            if same_key {
                opened(id, from, to, grant, permission, &mut causes);
            }
        }
        if causes.is_empty() {
            // The way was there, hidden behind a wider one that closed (or opened): that one's causes.
            for (one, other) in [(from, to), (to, from)] {
                for grant in other.grants() {
                    if other.gives(grant, permission).is_some() {
                        opened(id, one, other, grant, permission, &mut causes);
                    }
                }
            }
        }
        let widens = !from.power.covers(permission, division, conditional);
        let tier = widens.then(|| tier(to.access.universe.name(permission)));
        let shared = causes.len() > 1;
        for cause in causes {
            let row = (permission, conditional, to.in_scope.contains(permission), shared);
            let worst = worst.entry(cause.clone()).or_default();
            *worst = (*worst).max(tier);
            rows.entry(cause).or_default().entry(row).or_default().push(division.clone());
        }
    }
    let name = |at: usize| to.access.universe.name(at).to_owned();
    rows.into_iter()
        .map(|(subject, rows)| {
            let gains: Arc<[Gain]> = rows
                .into_iter()
                .map(|((at, conditional, in_scope, shared), divisions)| Gain {
                    permission: name(at),
                    divisions,
                    conditional,
                    in_scope,
                    shared,
                })
                .collect();
            let worst = worst.get(&subject).copied().flatten();
            (subject, (gains, worst))
        })
        .collect()
}

/// Adds the causes for which a grant gives a permission on the `to` side and did not, in the same place and form, on
/// the `from` side. Adds nothing if it did.
fn opened(
    id: &ClientId,
    from: &View<'_>,
    to: &View<'_>,
    grant: &Grant,
    permission: usize,
    causes: &mut BTreeSet<SubjectKey>,
) {
    if !from.holds(grant) {
        causes.insert(SubjectKey::Client(id.clone()));
    }
    let gave = from.gives(grant, permission);
    if gave != to.gives(grant, permission) {
        let by_platform = gave.is_none() && brought(from.access, to.access, &grant.role, permission);
        causes.insert(if by_platform { SubjectKey::Catalogue } else { SubjectKey::Role(grant.role.clone()) });
    } else if from.place(grant, permission) != to.place(grant, permission) {
        // The catalogue now says otherwise about whether a division restricts it.
        causes.insert(SubjectKey::Catalogue);
    }
    if from.client.is_some() && from.hidden_by_scope(permission) && !to.hidden_by_scope(permission) {
        if from.access.scopes_bind_roles() != to.access.scopes_bind_roles() {
            causes.insert(SubjectKey::Settings);
        } else if from.client.map(|client| &client.scopes) == to.client.map(|client| &client.scopes) {
            // The same scopes let other operations through.
            causes.insert(SubjectKey::Operations);
        } else {
            causes.insert(SubjectKey::Client(id.clone()));
        }
    }
}

/// How much a gain matters: by the table of privileges, else by whether it only reads.
fn tier(permission: &str) -> Severity {
    match privilege::of(permission) {
        Some(privilege) => privilege.tier,
        None if permission == ADMIN => Severity::Critical,
        None => match permission.rsplit(':').next() {
            Some("view" | "search" | "read" | "viewAll" | "readonly") => Severity::Low,
            _ => Severity::Medium,
        },
    }
}
