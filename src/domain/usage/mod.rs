//! What clients really called, by the platform's own count.
//!
//! Enters: a [`Tally`] as it was read, and the table of operations. Leaves: a [`Usage`], joined: for each client the
//! operations that it called and how they ended. Must never: take a refused call for a successful one, or drop calls of
//! an operation that nobody knows.
//!
//! The platform counts answers in classes. 4xx stands for everything that the caller did wrong: a missing permission, an
//! unknown id, a malformed body. So 4xx means *attempted*, never *allowed* and never *refused for its permissions*.
//!
//! `verdict`: what follows for one operation. `permissions`: what follows for what a client holds.

mod permissions;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use permissions::{Proof, Prover};
pub use verdict::{Cell, Verdict};

use super::{
    ClientId,
    catalogue::{Operations, normalised},
    probe::Sent,
};

/// Pairs of a client and an operation that are kept of one organisation.
pub const MOST_PAIRS: usize = 100_000;
/// Operations that nobody knows, kept of one client.
const MOST_UNKNOWN: usize = 50;
/// Bytes of an operation's name.
const LONGEST_NAME: usize = 300;
/// A count older than this says nothing of today.
const FRESH_DAYS: u64 = 3;

/// Whether clients' calls should be counted again: the last count is a day old, or there was none. A clock that was set
/// back makes its age unknown.
pub fn is_due(counted: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    counted.is_none_or(|counted| counted > now || counted + TimeDelta::days(1) <= now)
}

/// How often one operation was called, by the class of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// 2xx and 3xx: it was allowed.
    pub ok: u64,
    /// 4xx but 429: it was attempted.
    pub denied: u64,
    /// 429: the caller was too fast; nobody looked at its permissions.
    pub throttled: u64,
    /// 5xx.
    pub failed: u64,
    /// The last day (UTC) with a call.
    pub last: Option<NaiveDate>,
}

impl Calls {
    /// All of them.
    pub fn total(&self) -> u64 {
        [self.ok, self.denied, self.throttled, self.failed].into_iter().fold(0, u64::saturating_add)
    }

    fn add(&mut self, other: &Self) {
        self.ok = self.ok.saturating_add(other.ok);
        self.denied = self.denied.saturating_add(other.denied);
        self.throttled = self.throttled.saturating_add(other.throttled);
        self.failed = self.failed.saturating_add(other.failed);
        self.last = self.last.max(other.last);
    }
}

/// The span of time that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// From then on.
    pub from: DateTime<Utc>,
    /// Up to then; also how old the count is.
    pub to: DateTime<Utc>,
}

impl Window {
    /// The last so many days up to `now`, today included.
    pub fn last(days: u32, now: DateTime<Utc>) -> Self {
        let earlier = Days::new(u64::from(days.saturating_sub(1)));
        let day = now.date_naive().checked_sub_days(earlier).unwrap_or(now.date_naive());
        Self { from: day.and_time(NaiveTime::MIN).and_utc(), to: now }
    }

    /// How many days it touches.
    pub fn days(&self) -> i64 {
        (self.to.date_naive() - self.from.date_naive()).num_days() + 1
    }

    /// Whether it ends near enough to `now` to speak of it.
    pub fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        now.checked_sub_days(Days::new(FRESH_DAYS)).is_none_or(|limit| self.to >= limit)
    }
}

/// A count as the platform gave it and the store keeps it: operations by the platform's spelling of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The span.
    pub window: Window,
    /// By client, then by [`normalised`] operation: the spelling that came first, and the calls.
    calls: BTreeMap<ClientId, BTreeMap<String, (String, Calls)>>,
    pairs: usize,
    /// Rows that did not fit ([`MOST_PAIRS`]) or named no client or operation.
    pub left_out: u64,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(window: Window) -> Self {
        Self { window, calls: BTreeMap::new(), pairs: 0, left_out: 0 }
    }

    /// Adds one row of an answer. Rows without a client (calls of people) are none of ours; rows that name no operation
    /// are counted as left out.
    pub fn add(&mut self, client: &str, method: &str, path: &str, calls: &Calls) {
        let name = format!("{} {}", method.trim(), path.trim());
        let nameless = method.trim().is_empty() || path.trim().is_empty() || name.len() > LONGEST_NAME;
        if client.is_empty() {
            return;
        }
        if nameless {
            self.left_out += 1;
            return;
        }
        let key = normalised(&name);
        let of_client = self.calls.get_mut(client);
        if let Some((_, known)) = of_client.and_then(|operations| operations.get_mut(&key)) {
            known.add(calls);
        } else if self.pairs < MOST_PAIRS {
            self.pairs += 1;
            self.calls.entry(client.into()).or_default().insert(key, (name, *calls));
        } else {
            self.left_out += 1;
        }
    }

    /// The same without what scopewarden itself sent as these clients, to probe them: that is no use of theirs. Of an
    /// operation that was called by both, the last day may be that of a probe.
    #[must_use]
    pub fn without(mut self, sent: &[Sent]) -> Self {
        let days = self.window.from.date_naive()..=self.window.to.date_naive();
        for sent in
            sent.iter().filter(|sent| sent.day.parse().is_ok_and(|day: NaiveDate| days.contains(&day)))
        {
            let Some(operations) = self.calls.get_mut(sent.client.as_str()) else { continue };
            let key = normalised(&format!("{} {}", sent.method, sent.template));
            let Some((_, calls)) = operations.get_mut(&key) else { continue };
            let mut left = sent.count;
            let mut take = |counted: &mut u64| {
                let taken = left.min(*counted);
                (*counted, left) = (*counted - taken, left - taken);
            };
            match sent.status_class {
                2 | 3 => take(&mut calls.ok),
                // What the platform counts as too fast is a 4xx to whoever sent it.
                4 => [&mut calls.denied, &mut calls.throttled].into_iter().for_each(take),
                5 => take(&mut calls.failed),
                // No answer came: nothing says that it was counted.
                _ => {}
            }
            if calls.total() == 0 {
                operations.remove(&key);
            }
        }
        self.calls.retain(|_, operations| !operations.is_empty());
        self
    }

    /// The last day on which each client called anything; `None`: the count told no day. A client that is missing was not
    /// seen to call.
    pub fn last_days(&self) -> BTreeMap<&ClientId, Option<NaiveDate>> {
        let mut days: BTreeMap<&ClientId, Option<NaiveDate>> = BTreeMap::new();
        for (client, _, calls) in self.rows() {
            let day = days.entry(client).or_default();
            *day = (*day).max(calls.last);
        }
        days
    }

    /// Every client, operation (as spelt) and count.
    pub fn rows(&self) -> impl Iterator<Item = (&ClientId, &str, &Calls)> {
        self.calls.iter().flat_map(|(client, operations)| {
            operations.values().map(move |(name, calls)| (client, name.as_str(), calls))
        })
    }
}

/// What one client called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientUsage {
    /// Operations of the table, by their place in it.
    pub operations: BTreeMap<usize, Calls>,
    /// Operations that the table does not have, as the platform spells them; the most called ones.
    pub unknown: BTreeMap<String, Calls>,
    /// How many more of these there were.
    pub unknown_left_out: usize,
    /// The last day with a call of any kind.
    pub last: Option<NaiveDate>,
}

/// A count joined to the operations of the platform.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The span.
    pub window: Window,
    /// Rows that could not be kept: what is not listed may still have been called.
    pub left_out: u64,
    clients: BTreeMap<ClientId, ClientUsage>,
}

impl Usage {
    /// Joins a count to the operations, by method and template. What the auditor sent as a client to probe it is a call like
    /// any other here: [`Tally::without`] takes it off before.
    pub fn join(tally: &Tally, operations: &Operations) -> Self {
        let mut clients: BTreeMap<ClientId, ClientUsage> = BTreeMap::new();
        for (client, called) in &tally.calls {
            let usage = clients.entry(client.clone()).or_default();
            for (key, (name, calls)) in called {
                usage.last = usage.last.max(calls.last);
                match operations.find(key) {
                    Some(at) => usage.operations.entry(at).or_default().add(calls),
                    None => drop(usage.unknown.insert(name.clone(), *calls)),
                }
            }
            bound(usage);
        }
        Self { window: tally.window, left_out: tally.left_out, clients }
    }

    /// What a client called; `None`: nothing at all.
    pub fn of(&self, client: &ClientId) -> Option<&ClientUsage> {
        self.clients.get(client)
    }

    /// The operations that a client called with success, by their place in the table: what its permissions are really
    /// used for.
    pub fn operations_of(&self, client: &ClientId) -> BTreeSet<usize> {
        let called = self.of(client).into_iter().flat_map(|usage| &usage.operations);
        called.filter(|(_, calls)| calls.ok > 0).map(|(at, _)| *at).collect()
    }
}

/// Keeps the most called of the unknown operations.
fn bound(usage: &mut ClientUsage) {
    if usage.unknown.len() <= MOST_UNKNOWN {
        return;
    }
    let mut counts: Vec<(u64, String)> =
        usage.unknown.iter().map(|(name, calls)| (calls.total(), name.clone())).collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    usage.unknown_left_out = counts.len() - MOST_UNKNOWN;
    for (_, name) in &counts[MOST_UNKNOWN..] {
        usage.unknown.remove(name);
    }
}

#[cfg(test)]
mod tests;
