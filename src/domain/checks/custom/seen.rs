//! What an audit saw of one client, as expressions see it.
//!
//! Enters: [`Facts`] and one client of them. Leaves: a [`Sheet`]. Must never: fill in what rests on a gap. What each field
//! rests on is what the built-in checks rest on: the record of the client, its grants by that record, the roles that it
//! holds, the catalogue, the count of calls. Only `grants` rests on the client's own side as well.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::{
    model::Entity,
    program::Program,
    sample::overlap,
    sheet::{Known, Sheet},
    typing::Part,
    value::{Datum, List, Meter, Thing},
};
use crate::domain::{
    Fact,
    access::{Access, acts_by_roles, lets_through},
    catalogue::Operation,
    checks::{Facts, Subject},
    inventory::{Client, Grant},
    permission::{GENERAL, Pattern, PermissionSet},
    privilege,
    usage::Calls,
};

/// What is the same for all clients of an audit.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    parts: BTreeSet<Part>,
    patterns: Vec<Asked<'a>>,
    operations: Vec<(&'a str, Known<usize>)>,
    meter: Arc<Meter>,
}

/// A pattern that some check asks of.
#[derive(Debug)]
struct Asked<'a> {
    text: &'a str,
    pattern: Pattern<'a>,
    /// The permissions that it matches.
    matched: PermissionSet,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(access: &Access<'_>, programs: impl Iterator<Item = &'a Program> + Clone) -> Self {
        let patterns: BTreeSet<&str> =
            programs.clone().flat_map(|program| &program.reading.patterns).map(String::as_str).collect();
        let operations: BTreeSet<&str> =
            programs.clone().flat_map(|program| &program.reading.operations).map(String::as_str).collect();
        let asked = |text: &'a str| {
            let pattern = Pattern::parse(text);
            let mut matched = access.universe.none();
            match &pattern {
                // As a question it is this one permission, not everything that it gives.
                Pattern::General(name) => matched.extend(access.universe.number(name)),
                pattern @ Pattern::Parts { .. } => access.universe.add_matches(pattern, &mut matched),
            }
            Asked { text, pattern, matched }
        };
        let place = |text: &'a str| (text, find(access, text));
        Self {
            parts: programs.flat_map(|program| &program.reading.parts).copied().collect(),
            patterns: patterns.into_iter().map(asked).collect(),
            operations: operations.into_iter().map(place).collect(),
            meter: Arc::new(Meter::new(super::MOST_STEPS)),
        }
    }

    /// One client. Lists that no check looks at stay empty.
    pub(super) fn sheet<'b>(&'b self, facts: &'b Facts<'_>, subject: &'b Subject<'_>) -> Sheet<'b> {
        let meter = &self.meter;
        let granted = granted(facts, subject);
        let whole = granted.as_ref().map_err(Arc::clone).and_then(|()| all_roles(subject));
        let asks = |part: Part| self.parts.contains(&part);
        let empty = || List::of([], meter);
        let listed = |part: Part, list: &dyn Fn() -> List<'b>| {
            if asks(part) { whole.clone().map(|()| list()) } else { Ok(empty()) }
        };
        let catalogue = facts.gap(Fact::Catalogue, subject).map_or(Ok(()), |gap| Err(Arc::from(gap)));
        let permissions = if asks(Part::Permissions) {
            catalogue
                .clone()
                .and_then(|()| listed(Part::Permissions, &|| permissions(facts, subject.client, meter)))
        } else {
            Ok(empty())
        };
        let reach = if asks(Part::Operations) || !self.operations.is_empty() {
            facts.access.reach(subject.client)
        } else {
            facts.access.universe.none()
        };
        let holds = self.patterns.iter().map(|asked| {
            let known = granted.clone().and_then(|()| {
                if holds(subject, asked) { Ok(true) } else { all_roles(subject).map(|()| false) }
            });
            (asked.text, known)
        });
        let can = self.operations.iter().map(|(text, place)| {
            let known = granted.clone().and_then(|()| {
                let at = place.clone()?;
                if may_call(facts.access, subject.client, &reach, text, at)? {
                    Ok(true)
                } else {
                    all_roles(subject).map(|()| false)
                }
            });
            (*text, known)
        });
        Sheet {
            client: client(facts, subject, meter),
            contract: contract(facts, subject, asks(Part::Comparison), whole.clone().and(catalogue), meter),
            usage: usage(facts, subject, asks(Part::Usage), meter),
            grants: if asks(Part::Grants) { grants(facts, subject, &granted, meter) } else { Ok(empty()) },
            permissions,
            operations: listed(Part::Operations, &|| operations(facts.access, subject.client, &reach, meter)),
            now: facts.now,
            holds: holds.collect::<HashMap<_, _>>(),
            can: can.collect(),
            meter: Arc::clone(meter),
        }
    }
}

/// The place of an operation in the platform's table.
fn find(access: &Access<'_>, text: &str) -> Known<usize> {
    access.operations.find(text).ok_or_else(|| {
        let near = access.operations.nearest(text, 1);
        let hint = near.first().map_or_else(String::new, |name| format!(" Did you mean {name:?}?"));
        Arc::from(format!("The platform's definition has no operation {text:?}.{hint}"))
    })
}

/// Whether what the client is granted by its record was read.
fn granted(facts: &Facts<'_>, subject: &Subject<'_>) -> Known<()> {
    let gap = facts.gap(Fact::Clients, subject).or_else(|| facts.gap(Fact::ClientGrants, subject));
    gap.map_or(Ok(()), |gap| Err(Arc::from(gap)))
}

/// Whether every role that it is granted was read.
fn all_roles(subject: &Subject<'_>) -> Known<()> {
    if subject.unseen.is_empty() {
        Ok(())
    } else {
        Err(Arc::from(super::super::answer::unseen_roles(subject)))
    }
}

fn holds(subject: &Subject<'_>, asked: &Asked<'_>) -> bool {
    subject.roles.iter().any(|held| {
        let power = held.facts.power;
        let matches = match &subject.in_scope {
            None => !power.matched.is_disjoint(&asked.matched),
            Some(in_scope) => {
                let mut both = power.matched.clone();
                both.intersect_with(&asked.matched);
                !both.is_disjoint(in_scope)
            }
        };
        // A wildcard also gives what nobody has named yet.
        let overlaps = || {
            power.admin || power.wildcards.iter().any(|wide| overlap(&asked.pattern, &Pattern::parse(wide)))
        };
        matches || (asked.matched.is_clear() && overlaps())
    })
}

fn may_call(
    access: &Access<'_>,
    client: &Client,
    reach: &PermissionSet,
    text: &str,
    at: usize,
) -> Known<bool> {
    if !acts_by_roles(client) {
        return Ok(false);
    }
    let allowed = access.allows(at, reach).ok_or_else(|| {
        Arc::from(format!("The platform declares no permission for {text}, so who may call it is not known."))
    })?;
    Ok(allowed && (!access.scopes_bind_roles() || access.in_scope(client, at)))
}

fn client<'b>(facts: &Facts<'_>, subject: &'b Subject<'_>, meter: &Arc<Meter>) -> Thing<'b> {
    let of = subject.client;
    if let Some(gap) = facts.gap(Fact::Clients, subject) {
        return Thing::unknown(Entity::Client, [Datum::Text(of.id.as_str())], &Arc::from(gap));
    }
    let created =
        Datum::optional(of.date_created.as_deref(), |text| match DateTime::parse_from_rfc3339(text) {
            Ok(at) => Datum::Moment(at.to_utc()),
            Err(_) => Datum::Unknown(Arc::from(format!("When it was created ({text:?}) is not understood."))),
        });
    Thing::new(
        Entity::Client,
        [
            Datum::Text(of.id.as_str()),
            Datum::Text(&of.name),
            Datum::Text(&of.description),
            Datum::Text(of.state.as_str()),
            Datum::Text(of.grant_type.as_str()),
            Datum::Flag(acts_by_roles(of)),
            Datum::texts(of.scopes.iter().map(String::as_str), meter),
            Datum::texts(of.redirect_uris.iter().map(String::as_str), meter),
            Datum::optional(of.token_lifetime_s, Datum::Number),
            created,
            Datum::optional(of.created_by.as_deref(), Datum::Text),
            Datum::Flag(facts.confirms_grants(subject)),
        ],
    )
}

fn grants<'b>(
    facts: &'b Facts<'_>,
    subject: &'b Subject<'_>,
    granted: &Known<()>,
    meter: &Arc<Meter>,
) -> Known<List<'b>> {
    granted.clone()?;
    if !acts_by_roles(subject.client) {
        return Ok(List::of([], meter));
    }
    if let Some(gap) = facts.gap_of_grants(subject) {
        return Err(Arc::from(gap));
    }
    let rows = facts.access.granted(subject.client).map(|grant| grant_row(facts, subject, grant));
    Ok(List::of(rows, meter))
}

fn grant_row<'b>(facts: &'b Facts<'_>, subject: &'b Subject<'_>, grant: &'b Grant) -> Thing<'b> {
    let snapshot = facts.access.snapshot;
    let client = subject.client;
    let role =
        subject.unseen.iter().all(|unseen| **unseen != grant.role).then(|| snapshot.roles.get(&grant.role));
    let role_name = match role.flatten() {
        Some(role) => Datum::Text(&role.name),
        None => Datum::Unknown(Arc::from(format!("The role {} could not be read.", grant.role))),
    };
    let division = grant.division.as_str();
    let named = snapshot.divisions.as_ref().and_then(|known| known.get(division));
    let division_name = match (named, facts.gap(Fact::Divisions, subject)) {
        _ if division == "*" => Datum::Text("*"),
        (_, Some(gap)) => Datum::Unknown(Arc::from(gap)),
        (Some(named), None) => Datum::Text(&named.name),
        (None, None) => Datum::Unknown(Arc::from(format!("The division {division} is not in the list."))),
    };
    let by_record = client.grants.as_ref().is_some_and(|record| record.contains(grant));
    let seen = snapshot.grants.get(&client.id).filter(|seen| !by_record && !seen.own.contains(grant));
    let from = seen.and_then(|seen| seen.inherited.iter().find(|(_, grants)| grants.contains(grant)));
    Thing::new(
        Entity::Grant,
        [
            Datum::Text(grant.role.as_str()),
            role_name,
            Datum::Text(division),
            division_name,
            Datum::Text(if by_record { "record" } else { "subject" }),
            Datum::Text(from.map_or("", |(subject, _)| subject)),
        ],
    )
}

fn permissions<'b>(facts: &'b Facts<'_>, client: &'b Client, meter: &Arc<Meter>) -> List<'b> {
    let access = facts.access;
    let power = access.power(client);
    let in_scope = access.scopes.permissions(&client.scopes);
    let mut held: BTreeMap<usize, (Vec<&'b str>, bool)> = BTreeMap::new();
    for (at, division, conditional) in power.keys() {
        let division = match division.as_str() {
            "*" => "*",
            "unknown" => "unknown",
            // The power is gone when this returns; the grant that named the division stays.
            id => access
                .granted(client)
                .map(|grant| grant.division.as_str())
                .find(|own| *own == id)
                .unwrap_or("unknown"),
        };
        let entry = held.entry(at).or_insert_with(|| (Vec::new(), true));
        entry.0.push(division);
        entry.1 &= conditional;
    }
    let rows = held.into_iter().map(|(at, (divisions, conditional))| {
        let name = access.universe.name(at);
        let tier = privilege::of(name).map_or("", |privilege| privilege.tier.as_str());
        Thing::new(
            Entity::Permission,
            [
                Datum::Text(name),
                Datum::Flag(access.known.contains(at) || GENERAL.contains(&name)),
                Datum::texts(divisions, meter),
                Datum::Flag(conditional),
                Datum::Flag(in_scope.contains(at)),
                Datum::Text(tier),
            ],
        )
    });
    List::of(rows, meter)
}

fn operations<'b>(
    access: &'b Access<'_>,
    client: &'b Client,
    reach: &PermissionSet,
    meter: &Arc<Meter>,
) -> List<'b> {
    if !acts_by_roles(client) {
        return List::of([], meter);
    }
    let row = |(at, operation): (usize, &'b Operation)| {
        let in_scope = lets_through(&client.scopes, operation);
        let bound = access.scopes_bind_roles() && !in_scope;
        let granted = match access.allows(at, reach) {
            Some(true) if !bound => "yes",
            Some(_) => "no",
            None => "undeclared",
        };
        let name = Datum::Text(&operation.name);
        Thing::new(
            Entity::Operation,
            [name, Datum::Text(granted), Datum::Flag(in_scope), Datum::Flag(access.scopes.reads(at))],
        )
    };
    List::of(access.operations.iter().enumerate().map(row), meter)
}

fn contract<'b>(
    facts: &Facts<'_>,
    subject: &'b Subject<'_>,
    compares: bool,
    known: Known<()>,
    meter: &Arc<Meter>,
) -> Thing<'b> {
    let contract = subject.contract;
    let texts = |list: Option<&'b BTreeSet<String>>| {
        Datum::texts(list.into_iter().flatten().map(String::as_str), meter)
    };
    let none = || Datum::texts([], meter);
    let [missing, excess] = match (contract, known) {
        (None, _) => [none(), none()],
        (Some(_), Err(why)) => [Datum::Unknown(Arc::clone(&why)), Datum::Unknown(why)],
        (Some(_), Ok(())) if !compares => [none(), none()],
        (Some(_), Ok(())) => match facts.comparison(subject) {
            None => [none(), none()],
            Some((_, comparison)) => {
                let missing = comparison.missing.iter().flat_map(|one| match &one.operation {
                    Some(operation) => std::slice::from_ref(operation),
                    None => one.permissions.as_slice(),
                });
                let excess =
                    comparison.excess.iter().filter(|one| one.is_plain()).map(|one| one.permission.as_str());
                [Datum::texts(missing.map(String::as_str), meter), Datum::texts(excess, meter)]
            }
        },
    };
    Thing::new(
        Entity::Contract,
        [
            Datum::Flag(contract.is_some()),
            Datum::Text(contract.map_or("", |contract| &contract.owner)),
            Datum::Text(contract.map_or("", |contract| &contract.purpose)),
            texts(contract.map(|contract| &contract.divisions)),
            texts(contract.map(|contract| &contract.token_scopes)),
            texts(contract.map(|contract| &contract.calls)),
            texts(contract.map(|contract| &contract.must_be_denied)),
            missing,
            excess,
        ],
    )
}

fn usage<'b>(facts: &'b Facts<'_>, subject: &'b Subject<'_>, asked: bool, meter: &Arc<Meter>) -> Thing<'b> {
    const NOT_COUNTED: &str = "The calls of this client are not counted.";
    let unknown = |why: &str| Thing::unknown(Entity::Usage, [Datum::Flag(false)], &Arc::from(why));
    if !asked || !facts.counts_calls(subject.client) {
        return unknown(NOT_COUNTED);
    }
    if let Some(gap) = facts.gap(Fact::Usage, subject) {
        return unknown(gap);
    }
    let Some(usage) = facts.usage else { return unknown(NOT_COUNTED) };
    let of = usage.of(&subject.client.id);
    let number = |count: u64| Datum::Number(i64::try_from(count).unwrap_or(i64::MAX));
    let row = |name: &'b str, calls: &Calls| {
        Thing::new(
            Entity::Call,
            [
                Datum::Text(name),
                number(calls.ok),
                number(calls.denied),
                number(calls.total()),
                Datum::optional(calls.last, |day| Datum::Moment(midnight(day))),
            ],
        )
    };
    let named = of
        .into_iter()
        .flat_map(|of| &of.operations)
        .filter_map(|(at, calls)| Some(row(&facts.access.operations.get(*at)?.name, calls)));
    let unknown_to_us = of.into_iter().flat_map(|of| &of.unknown).map(|(name, calls)| row(name, calls));
    let all = of.into_iter().flat_map(|of| of.operations.values().chain(of.unknown.values()));
    let total = all.map(Calls::total).fold(0, u64::saturating_add);
    Thing::new(
        Entity::Usage,
        [
            Datum::Flag(true),
            Datum::Number(usage.window.days()),
            number(total),
            Datum::optional(of.and_then(|of| of.last), |day| Datum::Moment(midnight(day))),
            Datum::List(List::of(named.chain(unknown_to_us), meter)),
        ],
    )
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
