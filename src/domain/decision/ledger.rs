//! The state of an organisation's decisions: their entries, replayed.
//!
//! Enters: entries in the order in which they were recorded. Leaves: what stands, by decision and by finding. Must never:
//! look at a clock. What expired stands until an entry says that it ended, so that the end is told once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{Decision, Ending, Entry, Fingerprint, Kind, Mark, Marks, SOON};
use crate::domain::finding::{Finding, Status};

/// A decision with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// As it was made.
    pub decision: Arc<Decision>,
    /// How it ended; `None`: it stands.
    pub ended: Option<Ending>,
    /// Findings that it still covers.
    pub covering: usize,
    mark: Arc<Mark>,
}

/// The cover of one finding by a decision that stands.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    /// Place of the decision.
    at: usize,
    fingerprint: Fingerprint,
}

/// All decisions of an organisation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    decisions: Vec<Standing>,
    places: HashMap<String, usize>,
    covers: HashMap<String, Vec<Held>>,
}

impl Ledger {
    /// Replays entries. What ends something that does not stand is passed over.
    pub fn replay(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.add(entry);
        }
        ledger
    }

    /// One more entry.
    pub fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Made(decision) => self.begin(decision),
            Entry::Ended(ending) => self.end(ending),
        }
    }

    fn begin(&mut self, decision: Box<Decision>) {
        if self.places.contains_key(&decision.id) {
            return;
        }
        let at = self.decisions.len();
        self.places.insert(decision.id.clone(), at);
        for cover in &decision.covers {
            let held = Held { at, fingerprint: cover.fingerprint.clone() };
            self.covers.entry(cover.uid.clone()).or_default().push(held);
        }
        let mark = Arc::new(Mark::of(&decision));
        let covering = decision.covers.len();
        self.decisions.push(Standing { decision: Arc::from(decision), ended: None, covering, mark });
    }

    fn end(&mut self, ending: Ending) {
        let Some(&at) = self.places.get(&ending.decision) else { return };
        if self.decisions[at].ended.is_some() {
            return;
        }
        let decision = Arc::clone(&self.decisions[at].decision);
        if let Some(uid) = &ending.uid {
            if !self.release(uid, at) {
                return;
            }
            self.decisions[at].covering -= 1;
            // An approval is about the change too, whatever its findings do.
            if self.decisions[at].covering > 0 || decision.kind == Kind::Approve {
                return;
            }
        } else {
            for cover in &decision.covers {
                self.release(&cover.uid, at);
            }
            self.decisions[at].covering = 0;
        }
        self.decisions[at].ended = Some(ending);
    }

    fn release(&mut self, uid: &str, at: usize) -> bool {
        let Some(held) = self.covers.get_mut(uid) else { return false };
        let before = held.len();
        held.retain(|one| one.at != at);
        let released = held.len() < before;
        if held.is_empty() {
            self.covers.remove(uid);
        }
        released
    }

    /// The findings that an ending would free of a decision, with that decision's kind. One finding is looked up, however
    /// many the decision covers.
    pub fn released_by<'a>(&'a self, ending: &'a Ending) -> Vec<(&'a str, Kind)> {
        let Some(standing) = self.get(&ending.decision).filter(|one| one.ended.is_none()) else {
            return Vec::new();
        };
        let decision = &standing.decision;
        let holds = |uid: &str| self.covering(uid).any(|(other, _)| other.id == decision.id);
        match &ending.uid {
            Some(uid) if holds(uid) => vec![(uid, decision.kind)],
            Some(_) => Vec::new(),
            None => {
                let uids = decision.covers.iter().map(|cover| cover.uid.as_str());
                uids.filter(|uid| holds(uid)).map(|uid| (uid, decision.kind)).collect()
            }
        }
    }

    /// Every decision, the oldest first.
    pub fn all(&self) -> &[Standing] {
        &self.decisions
    }

    /// Those that stand, the oldest first.
    pub fn standing(&self) -> impl Iterator<Item = &Standing> {
        self.decisions.iter().filter(|one| one.ended.is_none())
    }

    /// A decision by its id.
    pub fn get(&self, id: &str) -> Option<&Standing> {
        self.places.get(id).map(|at| &self.decisions[*at])
    }

    /// What covers a finding: each decision with the fingerprint that it covers.
    pub fn covering(&self, uid: &str) -> impl Iterator<Item = (&Decision, &Fingerprint)> {
        let held = self.covers.get(uid).map_or(&[][..], Vec::as_slice);
        held.iter().map(|held| (&*self.decisions[held.at].decision, &held.fingerprint))
    }

    /// Whether something keeps a finding from being due.
    pub fn silences(&self, uid: &str) -> bool {
        self.covering(uid).any(|(decision, _)| decision.kind.silences())
    }

    /// Uids that something covers.
    pub fn covered(&self) -> impl Iterator<Item = &str> {
        self.covers.keys().map(String::as_str)
    }

    /// Whether anything is covered.
    pub fn covers_nothing(&self) -> bool {
        self.covers.is_empty()
    }

    /// Approvals that stand.
    pub fn approvals(&self) -> impl Iterator<Item = &Decision> {
        self.standing().map(|one| &*one.decision).filter(|decision| decision.kind == Kind::Approve)
    }

    /// Events whose change is approved.
    pub fn approved_events(&self) -> BTreeSet<&str> {
        self.approvals().filter_map(|decision| Some(decision.approved.as_ref()?.event.as_str())).collect()
    }

    /// Shows on a finding what was decided about it. Only a failure can be decided upon.
    pub fn mark(&self, finding: &mut Finding) {
        let held = self.covers.get(&finding.uid).filter(|_| finding.status == Status::Fail);
        let mut marks = Marks::default();
        finding.muted = false;
        for held in held.into_iter().flatten() {
            let standing = &self.decisions[held.at];
            match standing.decision.kind {
                Kind::Acknowledge => marks.acknowledged = true,
                Kind::Mute | Kind::Baseline => finding.muted = true,
                Kind::Approve => marks.approved = true,
            }
            marks.decisions.push(Arc::clone(&standing.mark));
        }
        finding.marks = marks;
    }

    /// When the first of those that stand expires.
    pub fn next_expiry(&self) -> Option<DateTime<Utc>> {
        self.standing().filter_map(|one| one.decision.expires).min()
    }

    /// How many of those that stand expire within [`SOON`].
    pub fn expiring(&self, now: DateTime<Utc>) -> usize {
        self.standing().filter(|one| one.decision.expires.is_some_and(|at| at <= now + SOON)).count()
    }
}
