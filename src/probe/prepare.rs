//! From the last audit and the configuration to what will be asked of the platform for each client. Pure but for the
//! random ids.
//!
//! Enters: a snapshot, the chosen clients, what they declare, what is blocked. Leaves: [`Prepared`] clients. Must never:
//! do I/O.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Declarations;
use crate::{
    config::{Credential, Probe as Settings},
    domain::{
        ClientId, DivisionRef,
        access::Access,
        catalogue::Mode,
        finding::ClientRef,
        inventory::Client,
        probe::{
            Expectation, Forecast, Held,
            plan::{self, Declared, Planned, Rules},
            token,
        },
        snapshot::Snapshot,
    },
};

/// Requests beside the probes: up to three tokens and a fresh one, whose token it is, and one operation with two tokens.
const OTHER_REQUESTS: u32 = 7;

/// When each probe of a client was last tried.
type Tried = BTreeMap<(String, Expectation), DateTime<Utc>>;

/// One client, ready to be probed.
pub(super) struct Prepared {
    pub(super) client: Client,
    pub(super) credential: Credential,
    pub(super) planned: Vec<Planned>,
    /// Requests that this client's run may make.
    pub(super) budget: u32,
    /// Permissions that it holds without a condition, by the analysis, and where.
    pub(super) held: BTreeMap<String, Held>,
    /// For each planned operation that lists counted objects, the kind and where the client may see them.
    pub(super) lists: BTreeMap<String, (&'static str, BTreeSet<DivisionRef>)>,
    /// The divisions that it is meant to work in.
    pub(super) divisions: BTreeSet<crate::domain::DivisionId>,
    /// Scopes to ask for that it has, and one that it does not have.
    pub(super) scopes: (Vec<String>, Option<String>),
    /// A reading outside the scopes above that its roles allow.
    pub(super) outside: Option<Planned>,
}

impl Prepared {
    pub(super) fn reference(&self) -> ClientRef {
        ClientRef { id: self.client.id.clone(), name: self.client.name.clone() }
    }
}

pub(super) fn all(
    snapshot: &Snapshot,
    chosen: Vec<(ClientId, Credential)>,
    declared: &Declarations,
    settings: &Settings,
    blocks: &BTreeMap<String, DateTime<Utc>>,
    tried: &BTreeMap<ClientId, Tried>,
) -> Vec<Prepared> {
    let access = Access::new(snapshot);
    let none = Tried::new();
    chosen
        .into_iter()
        .filter_map(|(id, credential)| {
            let client = snapshot.clients.get(&id)?;
            let tried = tried.get(&id).unwrap_or(&none);
            Some(one(&access, client, credential, declared, settings, blocks, tried))
        })
        .collect()
}

fn one(
    access: &Access<'_>,
    client: &Client,
    credential: Credential,
    declared: &Declarations,
    settings: &Settings,
    blocks: &BTreeMap<String, DateTime<Utc>>,
    tried: &Tried,
) -> Prepared {
    let snapshot = access.snapshot;
    let declared = match declared.get(&client.id) {
        Some(declared) => declared.clone(),
        None => snapshot.contracts.get(client.id.as_str()).map_or_else(Declared::default, |contract| {
            let [calls, denied, scopes, divisions] =
                [&contract.calls, &contract.must_be_denied, &contract.token_scopes, &contract.divisions]
                    .map(|words| words.iter().map(String::as_str));
            Declared::named(access, calls, denied, scopes, divisions)
        }),
    };
    let forecast = Forecast::of(access, client);
    let is_known = |id: &str| {
        snapshot.clients.contains_key(id)
            || snapshot.roles.contains_key(id)
            || snapshot.divisions.as_ref().is_some_and(|divisions| divisions.contains_key(id))
    };
    let rules = Rules {
        budget: settings.budget.saturating_sub(OTHER_REQUESTS).max(1) as usize,
        allow_create: settings.allow_create_probes,
        blocked: &|name| blocks.get(name).map(|at| at.format("%Y-%m-%d").to_string()),
        last_tried: &|name, expectation| tried.get(&(name.to_owned(), expectation)).copied(),
        is_known: &is_known,
    };
    let operations = access.operations;
    let mut fresh = Uuid::new_v4;
    let planned = plan::of(operations, &declared, &forecast, &rules, &mut fresh);
    let scopes = token::scopes_to_ask(client, &declared.token_scopes, access.scopes.names());
    let outside = plan::outside_scopes(operations, &forecast, &scopes.0, &rules, &mut fresh);
    let names = (0..access.universe.len()).map(|at| access.universe.name(at));
    let held = names.map(|name| (name.to_owned(), forecast.held(name)));
    let held = held.filter(|(_, held)| *held != Held::Nowhere).collect();
    let lists = planned.iter().filter_map(|planned| {
        let plan::Action::Send { safe, .. } = &planned.action else { return None };
        let operation = operations.get(operations.find(&planned.operation)?)?;
        Some((
            planned.operation.clone(),
            (safe.counted_as?, reach(access, client, operation.mode, &planned.needs)),
        ))
    });
    Prepared {
        lists: lists.collect(),
        client: client.clone(),
        credential,
        planned,
        budget: settings.budget,
        held,
        divisions: declared.divisions,
        scopes,
        outside,
    }
}

/// The divisions in which a client may see what an operation lists.
fn reach(access: &Access<'_>, client: &Client, mode: Mode, needs: &[String]) -> BTreeSet<DivisionRef> {
    let power = access.power(client);
    // Without a declared permission nothing says which divisions count.
    if !matches!(mode, Mode::All | Mode::Any) || !power.unseen_roles.is_empty() {
        return BTreeSet::from([DivisionRef::Unknown]);
    }
    let needs: Vec<usize> = needs.iter().filter_map(|name| access.universe.number(name)).collect();
    let covers = |division: &&DivisionRef| {
        let mut covered = needs.iter().map(|at| power.covers(*at, division, true));
        if mode == Mode::All { covered.all(|covered| covered) } else { covered.any(|covered| covered) }
    };
    power.divisions.keys().filter(covers).cloned().collect()
}
