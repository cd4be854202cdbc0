//! What the checks rest on: each held role once, each gap once, each client's roles together.
//!
//! Enters: the context. Leaves: lookups that cost next to nothing for each client.
//! Must never: decide whether a client passes.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Check, Context,
    reach::empty_division::{self, Occupancy},
    roles::{
        admin::{self, Everything},
        high_privilege::{self, Risk},
        shared_role, unknown_permission,
        wildcard::{self, Wide},
    },
};
use crate::domain::{
    ClientId, DivisionRef, Fact, Gap, RoleId,
    access::{Access, RolePower, acts_by_roles, escalation::Escalation},
    contract::{Comparison, Contract, Declared, companion::Companions},
    inventory::{Client, ClientState, Role},
    permission::{PermissionSet, nearest},
    probe::Standing,
    usage::{Prover, Usage},
};

/// A look at a client's grants that is older says nothing of today. A client's turn comes once a day.
const CONFIRMED_WITHIN: TimeDelta = TimeDelta::days(3);

const CUT_SHORT: &str = "The platform counted more calls than are kept, so this client may have made some that are not \
    listed.";

/// A probe that was last tried longer ago says nothing of today: its client is not probed any more.
const PROBES_COUNT: TimeDelta = TimeDelta::days(90);

/// Divisions named in one sentence.
const DIVISIONS_NAMED: usize = 5;

/// Everything that the checks look things up in.
pub(super) struct Facts<'a> {
    pub(super) org: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) access: &'a Access<'a>,
    /// Permissions that others are of little use without, of those that the catalogue has.
    pub(super) companions: Vec<Pair<'a>>,
    all_companions: &'a Companions,
    /// Clients by name; filled when a contract first asks.
    names: OnceCell<HashMap<&'a str, Vec<&'a Client>>>,
    /// How clients can become stronger.
    pub(super) escalation: Escalation<'a>,
    /// What the divisions hold.
    pub(super) occupancy: Occupancy<'a>,
    roles: HashMap<&'a RoleId, RoleFacts<'a>>,
    pub(super) prover: Prover<'a>,
    pub(super) usage: Option<&'a Usage>,
    pub(super) declared: Option<&'a BTreeMap<ClientId, BTreeSet<usize>>>,
    judges_grants: bool,
    judges_usage: bool,
    /// For each unknown permission, the known names nearest to it.
    pub(super) suggestions: HashMap<usize, Vec<&'a str>>,
    gaps: Gaps<'a>,
    probes: HashMap<&'a str, Vec<&'a Standing>>,
}

/// A permission and one that it is of little use without, by their numbers.
pub(super) struct Pair<'a> {
    pub(super) when: usize,
    pub(super) needs: usize,
    pub(super) reason: &'a str,
}

/// What is the same for every client that holds a role.
pub(super) struct RoleFacts<'a> {
    pub(super) role: &'a Role,
    pub(super) power: &'a RolePower,
    /// How it allows everything, if it does.
    pub(super) everything: Option<Everything>,
    /// Wildcards, written or in effect.
    pub(super) wide: Vec<Wide>,
    /// Dangerous permissions that it gives.
    pub(super) risks: Vec<Risk>,
    /// Permissions that it names and nobody knows.
    pub(super) unknown: Vec<usize>,
    /// It gives a permission that a division restricts.
    pub(super) division_aware: bool,
    /// Permissions of it that a division restricts, with the kind of object that each acts on, where that is known.
    pub(super) acts_on: Vec<(usize, &'static str)>,
    /// Who holds it, if more than one client does.
    pub(super) shared: Option<String>,
}

/// A role that a client holds, and where.
pub(super) struct Held<'b> {
    pub(super) facts: &'b RoleFacts<'b>,
    pub(super) divisions: Vec<&'b DivisionRef>,
    sentence: OnceCell<String>,
}

/// One client with everything that the checks ask of it.
pub(super) struct Subject<'b> {
    pub(super) client: &'b Client,
    /// Its roles, by id; none if it acts as a user.
    pub(super) roles: Vec<Held<'b>>,
    /// Roles that it is granted and this audit did not read.
    pub(super) unseen: Vec<&'b RoleId>,
    /// What its scopes let through, where the organisation enforces scopes for every grant.
    pub(super) in_scope: Option<PermissionSet>,
    /// What is declared for it, if anything is.
    pub(super) contract: Option<&'b Contract>,
    comparison: OnceCell<Comparison>,
}

impl Subject<'_> {
    /// Whether it can do anything, as far as its grants are known. Clients that act as a user can do what that
    /// user can; a grant of a role that was not read counts.
    pub(super) fn has_power(&self) -> bool {
        !acts_by_roles(self.client)
            || !self.unseen.is_empty()
            || self.roles.iter().any(|held| !held.facts.power.listed.is_clear())
    }
}

impl<'a> Facts<'a> {
    pub(super) fn gather(context: &Context<'a>) -> Self {
        let access = context.access;
        let snapshot = access.snapshot;
        let gaps = Gaps::of(context, access);
        let mut holders: HashMap<&RoleId, Vec<&Client>> = HashMap::new();
        for client in snapshot.clients.values().filter(|client| acts_by_roles(client)) {
            for grant in access.granted(client) {
                let held_by = holders.entry(&grant.role).or_default();
                // A client's grants are visited together, so it can only repeat itself at the end.
                if held_by.last().is_none_or(|last| last.id != client.id) {
                    held_by.push(client);
                }
            }
        }
        let catalogue_gap = gaps.catalogue.is_some();
        let index = wildcard::Index::new(access);
        let roles: HashMap<_, _> = holders
            .iter()
            .filter_map(|(id, held_by)| {
                let role = snapshot.roles.get(*id)?;
                let power = access.role(&role.id)?;
                let everything = admin::how(power, access, catalogue_gap);
                let facts = RoleFacts {
                    role,
                    power,
                    wide: wildcard::of(power, everything, &index, catalogue_gap),
                    everything,
                    risks: high_privilege::of(power, access),
                    unknown: unknown_permission::of(power, access),
                    division_aware: !power.listed.is_disjoint(&access.division_aware),
                    acts_on: empty_division::acts_on(power, access),
                    shared: shared_role::holders(role, held_by),
                };
                Some((&role.id, facts))
            })
            .collect();
        let suggestions = if catalogue_gap {
            HashMap::new()
        } else {
            unknown_permission::suggestions(roles.values().flat_map(|role| &role.unknown), access)
        };
        let mut probes: HashMap<&str, Vec<&Standing>> = HashMap::new();
        let counts = |standing: &&Standing| context.now - standing.latest.at <= PROBES_COUNT;
        for standing in context.probes.into_iter().flatten().filter(counts) {
            probes.entry(standing.latest.client.id.as_str()).or_default().push(standing);
        }
        for standings in probes.values_mut() {
            // A run that was cut short leaves what was expected of an operation before beside what is expected now, and a
            // finding is about an operation: the newer one speaks.
            standings.sort_by(|one, other| {
                let (one, other) = (&one.latest, &other.latest);
                one.operation.cmp(&other.operation).then(other.at.cmp(&one.at))
            });
            standings.dedup_by(|older, newer| older.latest.operation == newer.latest.operation);
        }
        let escalation = Escalation::new(access);
        let occupancy = Occupancy::new(context.object_counts);
        Self {
            org: context.org,
            now: context.now,
            access,
            companions: pairs(access, context.companions),
            all_companions: context.companions,
            names: OnceCell::new(),
            escalation,
            occupancy,
            prover: Prover::new(access),
            usage: context.usage,
            declared: context.declared,
            judges_grants: context.turns.is_some(),
            judges_usage: context.counts_usage || context.usage.is_some(),
            roles,
            suggestions,
            gaps,
            probes,
        }
    }

    /// What is declared for a client, against what it holds; worked out once. `None`: nothing is declared.
    pub(super) fn comparison<'b>(&self, subject: &'b Subject<'_>) -> Option<(&'b Contract, &'b Comparison)> {
        let contract = subject.contract?;
        let comparison = subject.comparison.get_or_init(|| {
            let declared = Declared::by_contract(self.access, contract);
            Comparison::of(self.access, subject.client, &declared, self.all_companions, false)
        });
        Some((contract, comparison))
    }

    /// The clients of a name.
    pub(super) fn named(&self, name: &str) -> &[&'a Client] {
        let names = self.names.get_or_init(|| {
            let mut names: HashMap<&str, Vec<&Client>> = HashMap::new();
            for client in self.access.snapshot.clients.values() {
                names.entry(&client.name).or_default().push(client);
            }
            names
        });
        names.get(name).map_or(&[], Vec::as_slice)
    }

    /// The name of a client that is spelt most like an unknown one.
    pub(super) fn nearest_client(&self, unknown: &str) -> Option<&'a str> {
        let names = self.access.snapshot.clients.values().map(|client| client.name.as_str());
        nearest(unknown, names, 1).first().copied()
    }

    /// The operation that is spelt most like an unknown one.
    pub(super) fn nearest_operation(&self, unknown: &str) -> Option<&'a str> {
        self.access.operations.nearest(unknown, 1).first().copied()
    }

    /// Why the list of clients may lack some, if it may.
    pub(super) fn clients_in_doubt(&self) -> Option<&str> {
        self.gaps.all_clients.as_deref()
    }

    /// Where the probes of a client stand; none if it is not probed.
    pub(super) fn probes_of(&self, client: &Client) -> impl Iterator<Item = &'a Standing> {
        self.probes.get(client.id.as_str()).into_iter().flatten().copied()
    }

    /// One client with its roles.
    pub(super) fn subject<'b>(&'b self, client: &'b Client) -> Subject<'b> {
        let mut subject = Subject {
            client,
            roles: Vec::new(),
            unseen: Vec::new(),
            in_scope: None,
            contract: self.access.snapshot.contracts.get(client.id.as_str()),
            comparison: OnceCell::new(),
        };
        if !acts_by_roles(client) {
            return subject;
        }
        for grant in self.access.granted(client) {
            // A role that was carried forward is shown as it was, and is still not one that was read.
            if (self.gaps.roles.contains(grant.role.as_str()) || !self.roles.contains_key(&grant.role))
                && !subject.unseen.contains(&&grant.role)
            {
                subject.unseen.push(&grant.role);
            }
            let Some(facts) = self.roles.get(&grant.role) else { continue };
            match subject.roles.iter_mut().find(|held| held.facts.role.id == grant.role) {
                Some(held) => held.divisions.push(&grant.division),
                None => subject.roles.push(Held {
                    facts,
                    divisions: vec![&grant.division],
                    sentence: OnceCell::new(),
                }),
            }
        }
        subject.roles.sort_unstable_by(|one, other| one.facts.role.id.cmp(&other.facts.role.id));
        subject.in_scope =
            self.access.scopes_bind_roles().then(|| self.access.scopes.permissions(&client.scopes));
        subject
    }

    /// Whether a check is asked about a client at all.
    pub(super) fn judges(&self, check: &Check, subject: &Subject<'_>) -> bool {
        let needs = |fact| check.needs.contains(&fact);
        if needs(Fact::Grants) && !(self.judges_grants && acts_by_roles(subject.client)) {
            return false;
        }
        // Calls say nothing of the permissions of a user's client.
        let by_calls = acts_by_roles(subject.client) || !needs(Fact::Roles);
        !needs(Fact::Usage) || (by_calls && self.counts_calls(subject.client))
    }

    /// Whether a client's calls are counted. One that can get no token makes none.
    pub(super) fn counts_calls(&self, client: &Client) -> bool {
        self.judges_usage && client.state == ClientState::Active
    }

    /// Whether what a client is granted was read from its own side, and lately.
    pub(super) fn confirms_grants(&self, subject: &Subject<'_>) -> bool {
        self.judges_grants && acts_by_roles(subject.client) && self.gap(Fact::Grants, subject).is_none()
    }

    /// Why what a client is granted may be more than its record says; `None` too where nobody is to look.
    pub(super) fn gap_of_grants(&self, subject: &Subject<'_>) -> Option<&str> {
        if self.judges_grants { self.gap(Fact::Grants, subject) } else { None }
    }

    /// The sentence on a fact that was not read and that an answer about this client would rest on.
    ///
    /// A listing of clients or roles as a whole that is in doubt says that entries are missing. Those that are
    /// there were read now, or are carried forward and give the answer they gave before; so only a gap that names
    /// the client counts here, and one that names a role makes that role unseen.
    pub(super) fn gap(&self, fact: Fact, subject: &Subject<'_>) -> Option<&str> {
        match fact {
            Fact::Catalogue => self.gaps.catalogue.as_deref(),
            Fact::Divisions => self.gaps.divisions.as_deref(),
            Fact::Clients => self.gaps.clients.get(subject.client.id.as_str()).map(String::as_str),
            Fact::ClientGrants if !acts_by_roles(subject.client) => None,
            Fact::ClientGrants => (self.gaps.grants_of.get(subject.client.id.as_str()))
                .or(self.gaps.grants.as_ref())
                .map(String::as_str)
                .or_else(|| subject.client.grants.is_none().then_some(NO_GRANTS)),
            Fact::Grants => (self.gaps.observed.as_deref())
                .or_else(|| self.gaps.observed_of.get(subject.client.id.as_str()).map(String::as_str)),
            Fact::Usage => match self.usage {
                Some(usage) if usage.left_out > 0 && usage.of(&subject.client.id).is_none() => {
                    Some(CUT_SHORT)
                }
                _ => self.gaps.usage.as_deref(),
            },
            // Where the definition was not read the last one or the compiled-in table answers, with its day: older, not
            // unknown.
            Fact::Roles | Fact::OwnGrants | Fact::Operations => None,
        }
    }

    /// "Client A (id) is granted role B (id) in division C (id)."
    pub(super) fn grant_sentence<'c>(&self, subject: &Subject<'_>, held: &'c Held<'_>) -> &'c str {
        held.sentence.get_or_init(|| {
            let (client, role) = (subject.client, held.facts.role);
            let places = self.places(&held.divisions);
            format!(
                "Client {} ({}) is granted role {} ({}) {places}.",
                client.name, client.id, role.name, role.id
            )
        })
    }

    pub(super) fn places(&self, divisions: &[&DivisionRef]) -> String {
        if divisions.contains(&&DivisionRef::All) {
            return "in all divisions".to_owned();
        }
        let mut names: Vec<String> =
            divisions.iter().take(DIVISIONS_NAMED).map(|division| self.division_name(division)).collect();
        if divisions.len() > DIVISIONS_NAMED {
            names.push(format!("{} more divisions", divisions.len() - DIVISIONS_NAMED));
        }
        format!("in {}", names.join(", "))
    }

    /// "North America (id)".
    pub(super) fn division_name(&self, division: &DivisionRef) -> String {
        let known = self.access.snapshot.divisions.as_ref();
        match division {
            DivisionRef::One(id) => match known.and_then(|known| known.get(id)) {
                Some(division) => format!("{} ({id})", division.name),
                None => id.to_string(),
            },
            DivisionRef::All | DivisionRef::Unknown => "a division that the record does not name".to_owned(),
        }
    }
}

/// The companions of which the catalogue has both sides.
fn pairs<'a>(access: &Access<'_>, companions: &'a Companions) -> Vec<Pair<'a>> {
    let known = |name: &str| access.universe.number(name).filter(|at| access.known.contains(*at));
    let mut pairs = Vec::new();
    for (permission, list) in companions.permissions() {
        let Some(when) = known(permission) else { continue };
        pairs.extend(list.iter().filter_map(|companion| {
            Some(Pair { when, needs: known(&companion.needs)?, reason: &companion.reason })
        }));
    }
    pairs
}

const NO_GRANTS: &str = "The client's record names no roles at all, neither with divisions nor without, so what it \
    is granted is not known.";

/// What was not read, each as the sentence that findings quote.
struct Gaps<'a> {
    catalogue: Option<String>,
    divisions: Option<String>,
    grants: Option<String>,
    grants_of: HashMap<&'a str, String>,
    clients: HashMap<&'a str, String>,
    /// The list of clients as a whole.
    all_clients: Option<String>,
    roles: HashSet<&'a str>,
    observed: Option<String>,
    observed_of: HashMap<&'a str, String>,
    usage: Option<String>,
}

impl<'a> Gaps<'a> {
    fn of(context: &Context<'a>, access: &Access<'a>) -> Self {
        let never = |what: &str| format!("The {what} of this organisation were never read.");
        let mut all = Self {
            catalogue: access.snapshot.catalogue.is_none().then(|| never("permissions")),
            divisions: access.snapshot.divisions.is_none().then(|| never("divisions")),
            grants: None,
            grants_of: HashMap::new(),
            clients: HashMap::new(),
            all_clients: None,
            roles: HashSet::new(),
            observed: None,
            observed_of: unconfirmed(context, access),
            usage: None,
        };
        for gap in context.gaps {
            match (gap.fact, gap.subject.as_deref()) {
                (Fact::Catalogue, _) => all.catalogue = Some(sentence(gap)),
                (Fact::Divisions, _) => all.divisions = Some(sentence(gap)),
                (Fact::ClientGrants, None) => all.grants = Some(sentence(gap)),
                (Fact::ClientGrants, Some(client)) => {
                    all.grants_of.insert(client, sentence(gap));
                }
                (Fact::Clients, Some(client)) => {
                    all.clients.insert(client, sentence(gap));
                }
                (Fact::Roles, Some(role)) => {
                    all.roles.insert(role);
                }
                (Fact::Clients, None) => all.all_clients = Some(sentence(gap)),
                (Fact::Grants, None) => all.observed = Some(sentence(gap)),
                (Fact::Grants, Some(client)) => {
                    all.observed_of.insert(client, sentence(gap));
                }
                (Fact::Usage, _) => all.usage = Some(sentence(gap)),
                (Fact::Roles, None) | (Fact::OwnGrants | Fact::Operations, _) => {}
            }
        }
        // A count that is a few days old still answers, whether or not it could be repeated.
        match context.usage {
            Some(usage) if usage.window.is_fresh(context.now) => all.usage = None,
            Some(usage) => {
                let until = usage.window.to.format("%Y-%m-%d");
                all.usage.get_or_insert_with(|| format!("What clients called is only known up to {until}."));
            }
            None => {
                all.usage.get_or_insert_with(|| "What clients called has not been counted yet.".to_owned());
            }
        }
        all
    }
}

/// Clients whose grants are not known as of a few days ago, each with the sentence that says so.
fn unconfirmed<'a>(context: &Context<'a>, access: &Access<'a>) -> HashMap<&'a str, String> {
    let Some(turns) = context.turns else { return HashMap::new() };
    let limit = context.now - CONFIRMED_WITHIN;
    let clients = access.snapshot.clients.values().filter(|client| acts_by_roles(client));
    let doubtful = clients.filter_map(|client| {
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
        let turn = turns.get(&client.id);
        let text = match turn.and_then(|turn| Some((turn.asked, turn.confirmed?))) {
            None => "What this client is granted has not been read from its own side yet.".to_owned(),
            Some((asked, confirmed)) if asked > confirmed => format!(
                "What this client is granted could not be read from its own side on {}; it was last read on {}.",
                day(asked),
                day(confirmed)
            ),
            Some((_, confirmed)) if turn.is_some_and(|turn| turn.due) => format!(
                "This client changed after what it is granted was last read from its own side, on {}; it is asked again \
                 as soon as there is a call for it.",
                day(confirmed)
            ),
            Some((_, confirmed)) if confirmed < limit => {
                format!("What this client is granted was last read from its own side on {}.", day(confirmed))
            }
            Some(_) => return None,
        };
        Some((client.id.as_str(), text))
    });
    doubtful.collect()
}

fn sentence(gap: &Gap) -> String {
    let age = match gap.stale_since {
        Some(since) => format!(" The last value read is from {}.", since.format("%Y-%m-%d %H:%M UTC")),
        None => String::new(),
    };
    let what = gap.fact.as_str().replace('_', " ");
    format!("This audit could not read the {what} ({}): {}{age}", gap.reason, gap.detail)
}

/// "A (id), B (id) and 3 more", in the order given.
pub(super) fn list<'c>(
    clients: impl ExactSizeIterator<Item = (&'c str, &'c ClientId)>,
    limit: usize,
) -> String {
    let total = clients.len();
    let mut names: Vec<String> = clients.take(limit).map(|(name, id)| format!("{name} ({id})")).collect();
    if total > limit {
        names.push(format!("and {} more", total - limit));
    }
    names.join(", ")
}
