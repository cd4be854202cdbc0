//! A finding: a check that a client does not pass (or that could not be answered), with its life over audits.
//!
//! Enters: what the checks found now, and what was open before. Leaves: what opened, changed and resolved.
//! Must never: open or resolve anything on a fact that was not seen.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ClientId, Severity, decision::Marks};

/// The answer of a check. A pass leaves no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The client passes.
    Pass,
    /// The client does not pass.
    Fail,
    /// A fact that the check needs is a gap.
    Unknown,
}

/// Which client a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRef {
    /// Its id.
    pub id: ClientId,
    /// Its name when last seen.
    pub name: String,
}

/// One finding, in the JSON shape that users see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Identity over time: from organisation, check, client and key (see [`uid`]).
    pub uid: String,
    /// The organisation's configured name.
    pub org: String,
    /// The check's id.
    pub check: String,
    /// `fail` or `unknown`.
    pub status: Status,
    /// The check's severity.
    pub severity: Severity,
    /// Muted by a person, or part of a baseline.
    pub muted: bool,
    /// What else was decided about it.
    #[serde(flatten)]
    pub marks: Marks,
    /// The client.
    pub client: ClientRef,
    /// What tells two findings of one check and client apart (a role's id, a permission…); may be empty.
    pub key: String,
    /// One sentence: what is wrong.
    pub title: String,
    /// The facts it rests on, in a few sentences.
    pub evidence: String,
    /// What to do.
    pub remediation: String,
    /// When an audit first saw it (start of its current life).
    pub first_seen: DateTime<Utc>,
    /// When an audit last saw it.
    pub last_seen: DateTime<Utc>,
}

impl Finding {
    /// Whether somebody has to act on it: it fails, and nobody has decided otherwise.
    pub fn is_due(&self) -> bool {
        self.status == Status::Fail && !self.is_accepted()
    }

    /// Whether somebody decided that it need not be acted on: it is muted, or the change that opened it is approved.
    pub fn is_accepted(&self) -> bool {
        self.muted || self.marks.approved
    }
}

/// The identity of a finding: 24 hex digits of SHA-256 over organisation, check, client id and key.
pub fn uid(org: &str, check: &str, client: &ClientId, key: &str) -> String {
    let mut hash = Sha256::new();
    for part in [org, check, client.as_str(), key] {
        // Length first, so that no two different tuples read alike.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..12])
}

/// How the findings of an audit relate to those open before it. Each list is sorted by uid. What stands in two lists
/// is held once: in a large organisation, the texts of the findings are most of what an audit holds.
///
/// For the store: each finding of `opened` and `updated` begins a version (and ends the one of the same uid, if
/// there is one); each of `resolved` and `dropped` ends its version; nothing else is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lifecycle {
    /// All findings open after this audit (fail and unknown).
    pub open: Vec<Arc<Finding>>,
    /// Newly `fail` in this audit: not open before, or only as `unknown`.
    pub opened: Vec<Arc<Finding>>,
    /// Failed before, now seen to pass (or its client was seen to be removed).
    pub resolved: Vec<Arc<Finding>>,
    /// Same uid and still open with other content, or newly `unknown`.
    pub updated: Vec<Arc<Finding>>,
    /// Of those in `updated`: failed before, and fails now with a higher severity.
    pub worsened: Vec<Arc<Finding>>,
    /// Unknown before and gone now: answered by a pass, or the client was removed. It was never said to fail, so
    /// there is nothing to resolve. The audit adds what was open of checks that left the configuration.
    pub dropped: Vec<Arc<Finding>>,
}

/// Gives the findings of an audit their place in time.
///
/// `before` is what was open, `found` what the checks say now, `seen` whether a client is in the snapshot. What
/// failed before and cannot be told now stays open as it was: while anything of a check is unknown for a client,
/// no finding of that check and client is resolved.
///
/// `found` comes in batches, all findings of a client in one. Each is looked at as it comes, and let go of if it says
/// what is open already: what was open and what is found would not both fit into the memory that an audit should need.
pub fn lifecycle(
    before: Vec<Finding>,
    found: impl IntoIterator<Item = Vec<Finding>>,
    seen: &dyn Fn(&ClientId) -> bool,
    now: DateTime<Utc>,
) -> Lifecycle {
    let mut before: Vec<(Finding, Fate)> =
        one_each(before).into_iter().map(|finding| (finding, Fate::NotFound)).collect();
    let places: HashMap<String, usize> =
        before.iter().enumerate().map(|(at, (finding, _))| (finding.uid.clone(), at)).collect();
    let mut open_questions = HashSet::new();
    let mut life = Lifecycle::default();
    for finding in found.into_iter().flat_map(one_each) {
        if finding.status == Status::Unknown {
            open_questions.insert((finding.check.clone(), finding.client.id.clone()));
        }
        match places.get(&finding.uid) {
            Some(&at) => life.meet(&mut before[at], finding, now),
            None => life.begin(finding.status == Status::Fail, Finding { first_seen: now, ..finding }, now),
        }
    }
    for (earlier, fate) in before {
        match fate {
            Fate::NotFound => life.leave(earlier, seen, &open_questions),
            Fate::GoesOn => life.open.push(Arc::new(earlier)),
            Fate::Replaced => {}
        }
    }
    life.sort();
    life
}

/// What becomes of something that was open.
enum Fate {
    NotFound,
    GoesOn,
    /// A new version of it begins.
    Replaced,
}

impl Lifecycle {
    /// Something found now that was open already.
    fn meet(&mut self, (earlier, fate): &mut (Finding, Fate), mut finding: Finding, now: DateTime<Utc>) {
        *fate = Fate::GoesOn;
        if (earlier.status, finding.status) == (Status::Fail, Status::Unknown) {
            return;
        }
        finding.first_seen = earlier.first_seen;
        finding.last_seen = earlier.last_seen;
        finding.muted = earlier.muted;
        finding.marks = earlier.marks.clone();
        if *earlier == finding {
            earlier.last_seen = now;
            return;
        }
        *fate = Fate::Replaced;
        let is_worse = earlier.status == finding.status && finding.severity > earlier.severity;
        if is_worse && finding.status == Status::Fail {
            let finding = Arc::new(Finding { last_seen: now, ..finding });
            self.worsened.push(Arc::clone(&finding));
            self.updated.push(finding);
            return;
        }
        self.begin(earlier.status == Status::Unknown && finding.status == Status::Fail, finding, now);
    }

    /// A new version: it is news if something fails that did not fail before.
    fn begin(&mut self, is_news: bool, finding: Finding, now: DateTime<Utc>) {
        let list = if is_news { &mut self.opened } else { &mut self.updated };
        list.push(Arc::new(Finding { last_seen: now, ..finding }));
    }

    /// Sorts each list by uid, and adds to what went on what began.
    fn sort(&mut self) {
        self.worsened.sort_by_cached_key(|finding| finding.uid.clone());
        for begun in [&mut self.opened, &mut self.updated] {
            begun.sort_by_cached_key(|finding| finding.uid.clone());
            self.open.extend(begun.iter().cloned());
        }
        // Three sorted runs, which a stable sort only merges; `resolved` and `dropped` are one each.
        self.open.sort_by(|one, other| one.uid.cmp(&other.uid));
    }

    /// Something open before of whose uid nothing is found now.
    fn leave(
        &mut self,
        earlier: Finding,
        seen: &dyn Fn(&ClientId) -> bool,
        open_questions: &HashSet<(String, ClientId)>,
    ) {
        let asked = (earlier.check.clone(), earlier.client.id.clone());
        let in_doubt = seen(&earlier.client.id) && open_questions.contains(&asked);
        match earlier.status {
            Status::Fail if in_doubt => self.open.push(Arc::new(earlier)),
            Status::Fail => self.resolved.push(Arc::new(earlier)),
            Status::Unknown | Status::Pass => self.dropped.push(Arc::new(earlier)),
        }
    }
}

/// Sorted by uid. Of two with one uid a failure is kept rather than a doubt, and otherwise the first by content, so
/// that the order in which they come does not matter. A pass is no finding.
fn one_each(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| finding.status != Status::Pass);
    findings.sort_unstable_by(|one, other| {
        let rank = |finding: &'_ Finding| (finding.status, finding.muted);
        (one.uid.cmp(&other.uid))
            .then_with(|| rank(one).cmp(&rank(other)))
            .then_with(|| one.evidence.cmp(&other.evidence))
            .then_with(|| one.title.cmp(&other.title))
    });
    findings.dedup_by(|later, first| later.uid == first.uid);
    findings
}

#[cfg(test)]
mod tests;
