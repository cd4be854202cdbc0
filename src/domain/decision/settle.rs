//! What an audit makes of the decisions that stand: which of them end, and what is told therefore.
//!
//! Enters: the ledger before the audit, the life of its findings, and whether approved changes still stand. Leaves: a
//! [`Settled`], with the open findings marked. Must never: end a decision on a fact that was not seen. (What a gap hides
//! stands as it was in the snapshot, and so does a finding that cannot be told.)

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{Ending, Entry, Kind, Ledger, Reason, Why, fingerprint};
use crate::domain::{
    event::Cause,
    finding::{Finding, Lifecycle, Status},
};

/// What becomes of decisions in an audit, and what of its findings is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settled {
    /// Decisions, and covers, that end now.
    pub endings: Vec<Entry>,
    /// The state after them.
    pub ledger: Ledger,
    /// Alerts that open: failed newly, and covered by nothing.
    pub opened: Vec<Arc<Finding>>,
    /// Alerts that open (or grow worse) for another reason, each with it.
    pub reopened: Vec<(Reason, Arc<Finding>)>,
    /// Alerts that close: they were open, and the finding is resolved.
    pub resolved: Vec<Arc<Finding>>,
    /// Alerts that close although nobody saw their findings pass: their check is asked no more.
    pub unasked: Vec<Arc<Finding>>,
}

impl Settled {
    /// Moves those of `opened` that failed in an earlier life to `reopened`.
    pub fn failed_before(&mut self, uids: &BTreeSet<String>) {
        let (again, new) =
            std::mem::take(&mut self.opened).into_iter().partition(|finding| uids.contains(&finding.uid));
        self.opened = new;
        let again: Vec<Arc<Finding>> = again;
        self.reopened.extend(again.into_iter().map(|finding| (Reason::FailedAgain, finding)));
    }
}

/// Settles decisions and marks what is open. `stands`: whether an approved change still stands.
pub fn settle(
    mut ledger: Ledger,
    life: &mut Lifecycle,
    stands: &dyn Fn(&Cause) -> bool,
    now: DateTime<Utc>,
) -> Settled {
    let mut settled = Settled::default();
    let endings = endings(&ledger, life, stands, now);
    let resolved = life.resolved.iter().filter(|finding| !ledger.silences(&finding.uid));
    settled.resolved = resolved.cloned().collect();
    let unasked = life.dropped.iter().filter(|finding| finding.status == Status::Fail);
    settled.unasked = unasked.filter(|finding| !ledger.silences(&finding.uid)).cloned().collect();

    // Why findings are freed of what kept them from being due, as of now.
    let mut freed: HashMap<String, Reason> = HashMap::new();
    for ending in &endings {
        for (uid, kind) in ledger.released_by(ending) {
            if kind.silences() {
                freed.insert(uid.to_owned(), Reason::after(kind, ending.why));
            }
        }
    }
    let worse: Vec<Arc<Finding>> =
        life.worsened.iter().filter(|finding| !ledger.silences(&finding.uid)).cloned().collect();
    for ending in &endings {
        ledger.add(Entry::Ended(ending.clone()));
    }

    for finding in &life.opened {
        if !ledger.silences(&finding.uid) {
            match freed.get(&finding.uid) {
                Some(reason) => settled.reopened.push((*reason, Arc::clone(finding))),
                None => settled.opened.push(Arc::clone(finding)),
            }
        }
    }
    for (uid, reason) in &freed {
        let open = find(&life.open, uid).filter(|finding| finding.status == Status::Fail);
        let is_new = find(&life.opened, uid).is_some();
        if let Some(finding) = open.filter(|_| !is_new && !ledger.silences(uid)) {
            settled.reopened.push((*reason, Arc::clone(finding)));
        }
    }
    settled.reopened.extend(worse.into_iter().map(|finding| (Reason::SeverityRose, finding)));
    settled.reopened.sort_by(|one, other| (one.0, &one.1.uid).cmp(&(other.0, &other.1.uid)));

    if !ledger.covers_nothing() {
        for finding in &mut life.open {
            if ledger.covering(&finding.uid).next().is_some() {
                ledger.mark(Arc::make_mut(finding));
            }
        }
    }
    settled.endings = endings.into_iter().map(Entry::Ended).collect();
    settled.ledger = ledger;
    settled
}

/// A finding by its uid, in a list that is sorted by it.
fn find<'a>(list: &'a [Arc<Finding>], uid: &str) -> Option<&'a Arc<Finding>> {
    list.binary_search_by(|finding| finding.uid.as_str().cmp(uid)).ok().map(|at| &list[at])
}

fn endings(
    ledger: &Ledger,
    life: &Lifecycle,
    stands: &dyn Fn(&Cause) -> bool,
    now: DateTime<Utc>,
) -> Vec<Ending> {
    let mut endings = Vec::new();
    let whole =
        |decision: &str, why| Ending { decision: decision.to_owned(), uid: None, why, at: now, by: None };
    let mut over: HashSet<&str> = HashSet::new();
    for standing in ledger.standing() {
        let decision = &standing.decision;
        let why = if decision.expires.is_some_and(|at| at <= now) {
            Why::Expired
        } else if decision.approved.as_ref().is_some_and(|approved| !stands(&approved.cause)) {
            Why::Reverted
        } else {
            continue;
        };
        over.insert(&decision.id);
        endings.push(whole(&decision.id, why));
    }
    let part = |decision: &str, uid: &str, why| Ending {
        decision: decision.to_owned(),
        uid: Some(uid.to_owned()),
        why,
        at: now,
        by: None,
    };
    for finding in life.opened.iter().chain(&life.updated).filter(|finding| finding.status == Status::Fail) {
        let mut now_is = None;
        for (decision, then) in ledger.covering(&finding.uid) {
            let now_is = now_is.get_or_insert_with(|| fingerprint::of(finding));
            if then != now_is && !over.contains(decision.id.as_str()) {
                endings.push(part(&decision.id, &finding.uid, Why::Changed));
            }
        }
    }
    for finding in life.resolved.iter().chain(&life.dropped) {
        for (decision, _) in ledger.covering(&finding.uid) {
            if decision.kind == Kind::Acknowledge && !over.contains(decision.id.as_str()) {
                endings.push(part(&decision.id, &finding.uid, Why::Resolved));
            }
        }
    }
    endings
}
