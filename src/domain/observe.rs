//! From what an audit read to the snapshot it stands for: what could not be read, or cannot be believed yet, is
//! carried forward from the audit before and named as a gap.
//!
//! Enters: [`Facts`], and the audit before. Leaves: a sealed [`Snapshot`] with its gaps.
//! Must never: let something vanish because it was not seen. An entity leaves the snapshot only when a complete
//! listing, read with no less power than before, did not have it; and if a listing halves or vanishes, only when
//! the next audit agrees.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    ClientId, DivisionRef, Fact, Gap,
    access::acts_by_roles,
    contract::{self, Contract},
    facts::{Facts, GrantsSeen, Known, KnownOperations, Reading, unknown_permissions},
    inventory::{Client, ObjectCounts, ObservedGrants, OwnGrants},
    snapshot::{Settings, Snapshot},
};

/// The audit before.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What it saw.
    pub snapshot: &'a Snapshot,
    /// What it could not see.
    pub gaps: &'a [Gap],
    /// Entities that its suddenly short listings lacked and it did not yet believe gone.
    pub pending_removals: &'a BTreeSet<(Fact, String)>,
}

/// What an audit saw.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The configuration.
    pub snapshot: Snapshot,
    /// What could not be read, or is not believed yet. None: the audit is complete.
    pub gaps: Vec<Gap>,
    /// To be handed to the next audit as [`Before::pending_removals`].
    pub pending_removals: BTreeSet<(Fact, String)>,
    /// Objects in each division, if the divisions were read.
    pub object_counts: Option<ObjectCounts>,
}

/// What the collector should know of the audit before.
pub fn known(before: Option<&Snapshot>) -> Known {
    let Some(before) = before else { return Known::default() };
    let permissions: Option<BTreeSet<String>> =
        before.catalogue.as_ref().map(|catalogue| catalogue.permissions.keys().cloned().collect());
    let roles: Vec<_> = before.roles.values().cloned().collect();
    Known {
        clients: before.clients.keys().cloned().collect(),
        roles: before.roles.keys().cloned().collect(),
        divisions: before.divisions.iter().flatten().map(|(id, _)| id.clone()).collect(),
        unknown_permissions: permissions
            .as_ref()
            .map(|permissions| unknown_permissions(&roles, permissions))
            .unwrap_or_default(),
        permissions,
        operations: (before.operations.as_ref())
            .map(|operations| KnownOperations { count: operations.listed_len(), hash: operations.hash() }),
    }
}

/// The snapshot that some facts stand for, with the `contracts` of the configuration.
pub fn snapshot(
    facts: Facts,
    settings: Settings,
    contracts: &[Contract],
    before: Option<Before<'_>>,
) -> Observed {
    let mut memory = Memory { before, gaps: Vec::new(), pending: BTreeSet::new(), shrank: false };

    let own_grants = match facts.own_grants {
        Reading::Seen(now) => Some(memory.own_grants(now)),
        Reading::NotDue => memory.carry(None, |past| past.own_grants.clone()),
        Reading::Gap(gap) => memory.carry(Some(gap), |past| past.own_grants.clone()),
    };
    let mut clients: BTreeMap<ClientId, Client> =
        facts.clients.into_iter().map(|client| (client.id.clone(), client)).collect();
    memory.keep_missing(Fact::Clients, &mut clients, |past| Some(&past.clients));
    let mut roles = facts.roles.into_iter().map(|role| (role.id.clone(), role)).collect();
    memory.keep_missing(Fact::Roles, &mut roles, |past| Some(&past.roles));

    let mut object_counts = None;
    let divisions = match facts.divisions {
        Reading::Seen(seen) => {
            object_counts = Some(seen.object_counts);
            let mut divisions =
                seen.divisions.into_iter().map(|division| (division.id.clone(), division)).collect();
            memory.keep_missing(Fact::Divisions, &mut divisions, |past| past.divisions.as_ref());
            Some(divisions)
        }
        Reading::NotDue => memory.carry(None, |past| past.divisions.clone()),
        Reading::Gap(gap) => memory.carry(Some(gap), |past| past.divisions.clone()),
    };
    let catalogue = match facts.catalogue {
        Reading::Seen(catalogue) => Some(catalogue),
        Reading::NotDue => memory.carry(None, |past| past.catalogue.clone()),
        Reading::Gap(gap) => memory.carry(Some(gap), |past| past.catalogue.clone()),
    };
    let operations = match facts.operations {
        Some(Reading::Seen(operations)) => Some(operations),
        Some(Reading::NotDue) => memory.carry(None, |past| past.operations.clone()),
        Some(Reading::Gap(gap)) => memory.carry(Some(gap), |past| past.operations.clone()),
        None => None,
    };
    for gap in facts.gaps {
        memory.keep_grants(&gap, &mut clients);
        memory.note(gap);
    }
    let none = BTreeMap::new();
    let pinned_before = before.map_or(&none, |before| &before.snapshot.contracts);
    let contracts = contract::pin(contracts, &clients, pinned_before);
    let grants = memory.grants(facts.grants, &clients);
    if let Reading::Gap(gap) = facts.usage {
        memory.gaps.push(gap);
    }
    let snapshot = Snapshot {
        clients,
        roles,
        divisions,
        catalogue,
        operations,
        own_grants,
        settings,
        contracts,
        grants,
        ..Snapshot::default()
    };
    Observed { snapshot: snapshot.seal(), gaps: memory.gaps, pending_removals: memory.pending, object_counts }
}

/// The audit before, and what this one adds to be remembered.
struct Memory<'a> {
    before: Option<Before<'a>>,
    gaps: Vec<Gap>,
    pending: BTreeSet<(Fact, String)>,
    /// The auditor may see less than it did.
    shrank: bool,
}

impl<'a> Memory<'a> {
    /// Notes a gap, with the time since when the value in its place is stale.
    fn note(&mut self, mut gap: Gap) {
        gap.stale_since = self.before.map(|before| {
            let same = |old: &&Gap| old.fact == gap.fact && old.subject == gap.subject;
            before.gaps.iter().find(same).and_then(|old| old.stale_since).unwrap_or(before.at)
        });
        self.gaps.push(gap);
    }

    /// The value of the audit before, for a fact that this one did not read.
    fn carry<V>(&mut self, gap: Option<Gap>, value: impl FnOnce(&Snapshot) -> Option<V>) -> Option<V> {
        let value = self.before.and_then(|before| value(before.snapshot));
        if let Some(gap) = gap {
            self.note(gap);
            if value.is_none()
                && let Some(gap) = self.gaps.last_mut()
            {
                gap.stale_since = None;
            }
        }
        value
    }

    /// Compares what the auditor may see with what it could. If it may see less, what it could see before stays the
    /// measure until it may see that again.
    fn own_grants(&mut self, now: OwnGrants) -> OwnGrants {
        let Some(past) = self.before.and_then(|before| before.snapshot.own_grants.as_ref()) else {
            return now;
        };
        let mut lost = Vec::new();
        for (permission, divisions) in &past.permissions {
            let held = now.permissions.get(permission);
            if divisions.iter().any(|division| !held.is_some_and(|held| reaches(held, division))) {
                lost.push(permission.as_str());
            }
        }
        if lost.is_empty() && past.divisions.iter().all(|division| reaches(&now.divisions, division)) {
            return now;
        }
        self.shrank = true;
        let what = if lost.is_empty() { "grants in fewer divisions".to_owned() } else { lost.join(", ") };
        self.note(Gap {
            fact: Fact::OwnGrants,
            subject: None,
            reason: "own_grants_shrank".to_owned(),
            detail: format!(
                "the auditor's own OAuth client may see less than before ({what}); what its listings no longer show \
                 is kept as last seen until its roles are given back in the same divisions"
            ),
            stale_since: None,
        });
        past.clone()
    }

    /// Puts back what a listing lacks and should not be believed to be gone.
    fn keep_missing<K: Ord + Clone + ToString + 'a, V: Clone + 'a>(
        &mut self,
        fact: Fact,
        now: &mut BTreeMap<K, V>,
        past: impl FnOnce(&'a Snapshot) -> Option<&'a BTreeMap<K, V>>,
    ) {
        let Some(before) = self.before else { return };
        let Some(past) = past(before.snapshot) else { return };
        let missing: Vec<&K> = past.keys().filter(|id| !now.contains_key(*id)).collect();
        let fell = now.len() * 2 <= past.len();
        let (seen, was) = (now.len(), past.len());
        let mut kept = 0;
        for id in missing {
            let key = (fact, id.to_string());
            let doubtful = fell && !before.pending_removals.contains(&key);
            if !self.shrank && !doubtful {
                continue;
            }
            if let Some(value) = past.get(id) {
                now.insert(id.clone(), value.clone());
                kept += 1;
            }
            if doubtful {
                self.pending.insert(key);
            }
        }
        if kept == 0 {
            return;
        }
        let (reason, detail) = if self.shrank {
            let detail = "the auditor's own grants shrank, so these may still exist unseen";
            ("own_grants_shrank", detail)
        } else {
            let detail = "a listing that halves is believed when the next audit agrees";
            ("unconfirmed_drop", detail)
        };
        let name = fact.as_str();
        self.note(Gap {
            fact,
            subject: None,
            reason: reason.to_owned(),
            detail: format!(
                "the list of {name} has {seen} where it had {was}; {kept} kept as last seen: {detail}"
            ),
            stale_since: None,
        });
    }

    /// What clients were last seen to be granted: now, or by an earlier audit. Only those whose power comes from roles are
    /// asked about, and only those that still are.
    fn grants(
        &mut self,
        facts: GrantsSeen,
        clients: &BTreeMap<ClientId, Client>,
    ) -> BTreeMap<ClientId, ObservedGrants> {
        let mut grants = self.before.map(|before| before.snapshot.grants.clone()).unwrap_or_default();
        grants.extend(facts.seen);
        grants.retain(|id, _| clients.get(id).is_some_and(acts_by_roles));
        // Each was last seen at a time of its own, which its gap says already.
        self.gaps.extend(facts.gaps);
        grants
    }

    /// Gives a client whose record did not carry its grants those of the audit before.
    fn keep_grants(&self, gap: &Gap, clients: &mut BTreeMap<ClientId, Client>) {
        if gap.fact != Fact::ClientGrants {
            return;
        }
        let Some(id) = gap.subject.as_deref() else { return };
        let past = self.before.and_then(|before| before.snapshot.clients.get(id));
        if let (Some(client), Some(past)) = (clients.get_mut(id), past) {
            client.grants.clone_from(&past.grants);
        }
    }
}

fn reaches(held: &BTreeSet<DivisionRef>, division: &DivisionRef) -> bool {
    held.contains(&DivisionRef::All) || held.contains(division)
}

#[cfg(test)]
mod tests;
