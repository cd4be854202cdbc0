//! A finding: a check that a client does not pass (or that could not be answered), with its life over audits.
//!
//! Enters: what the checks found now, and what was open before. Leaves: what opened, changed and resolved.
//! Must never: open or resolve anything on a fact that was not seen.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ClientId, Severity};

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
    /// Muted by a person.
    pub muted: bool,
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

/// How the findings of an audit relate to those open before it. Each list is sorted by uid.
///
/// For the store: each finding of `opened` and `updated` begins a version (and ends the one of the same uid, if
/// there is one); each of `resolved` and `dropped` ends its version; nothing else is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lifecycle {
    /// All findings open after this audit (fail and unknown).
    pub open: Vec<Finding>,
    /// Newly `fail` in this audit: not open before, or only as `unknown`.
    pub opened: Vec<Finding>,
    /// Failed before, now seen to pass (or its client was seen to be removed).
    pub resolved: Vec<Finding>,
    /// Same uid and still open with other content, or newly `unknown`.
    pub updated: Vec<Finding>,
    /// Unknown before and gone now: answered by a pass, or the client was removed. It was never said to fail, so
    /// there is nothing to resolve.
    pub dropped: Vec<Finding>,
}

/// Gives the findings of an audit their place in time.
///
/// `before` is what was open, `found` what the checks say now, `seen` whether a client is in the snapshot. What
/// failed before and cannot be told now stays open as it was: while anything of a check is unknown for a client,
/// no finding of that check and client is resolved.
pub fn lifecycle(
    before: Vec<Finding>,
    found: Vec<Finding>,
    seen: &dyn Fn(&ClientId) -> bool,
    now: DateTime<Utc>,
) -> Lifecycle {
    let mut before = one_each(before);
    let found = one_each(found);
    let open_questions: HashSet<(String, ClientId)> = (found.values())
        .filter(|finding| finding.status == Status::Unknown)
        .map(|finding| (finding.check.clone(), finding.client.id.clone()))
        .collect();
    let mut life = Lifecycle::default();
    for (uid, mut finding) in found {
        (finding.first_seen, finding.last_seen) = (now, now);
        let begun = match before.remove(&uid) {
            Some(earlier) if (earlier.status, finding.status) == (Status::Fail, Status::Unknown) => {
                life.open.push(earlier);
                continue;
            }
            Some(earlier) => {
                finding.first_seen = earlier.first_seen;
                finding.muted = earlier.muted;
                let last_seen = earlier.last_seen;
                let same = earlier == Finding { last_seen, ..finding.clone() };
                if earlier.status == Status::Unknown && finding.status == Status::Fail {
                    Some(&mut life.opened)
                } else {
                    (!same).then_some(&mut life.updated)
                }
            }
            None if finding.status == Status::Fail => Some(&mut life.opened),
            None => Some(&mut life.updated),
        };
        if let Some(list) = begun {
            list.push(finding.clone());
        }
        life.open.push(finding);
    }
    for earlier in before.into_values() {
        let asked = (earlier.check.clone(), earlier.client.id.clone());
        let in_doubt = seen(&earlier.client.id) && open_questions.contains(&asked);
        match earlier.status {
            Status::Fail if in_doubt => life.open.push(earlier),
            Status::Fail => life.resolved.push(earlier),
            Status::Unknown | Status::Pass => life.dropped.push(earlier),
        }
    }
    life.open.sort_unstable_by(|one, other| one.uid.cmp(&other.uid));
    life
}

/// By uid. Of two with one uid a failure is kept rather than a doubt, and otherwise the first by content, so that
/// the order in which they come does not matter. A pass is no finding.
fn one_each(findings: Vec<Finding>) -> BTreeMap<String, Finding> {
    let rank = |finding: &Finding| (finding.status, finding.evidence.clone(), finding.title.clone());
    let mut by_uid: BTreeMap<String, Finding> = BTreeMap::new();
    for finding in findings.into_iter().filter(|finding| finding.status != Status::Pass) {
        match by_uid.entry(finding.uid.clone()) {
            Entry::Vacant(place) => {
                place.insert(finding);
            }
            Entry::Occupied(mut place) if rank(&finding) < rank(place.get()) => {
                place.insert(finding);
            }
            Entry::Occupied(_) => {}
        }
    }
    by_uid
}

#[cfg(test)]
mod tests;
