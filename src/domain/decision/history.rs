//! The life of one finding, as a person reads it.
//!
//! Enters: the recorded versions of a finding, and the entries of decisions. Leaves: its [`Turn`]s in the order of time.
//! Must never: leave one out.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Entry, Kind};
use crate::domain::{
    Severity,
    finding::{Finding, Status},
};

/// A recorded version of a finding: what it said, from one audit until another.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The audit that it began with.
    pub since: (String, DateTime<Utc>),
    /// The audit that it ended with; `None`: it still holds.
    pub until: Option<(String, DateTime<Utc>)>,
    /// What it said.
    pub finding: Finding,
}

/// One turn in the life of a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// When.
    pub at: DateTime<Utc>,
    /// What happened: `opened`, `reopened`, `updated`, `resolved`, `unknown`, `answered`; or the decision's word:
    /// `acknowledged`, `muted`, `approved`, `baseline`, and `… ended`.
    pub what: String,
    /// The audit, or the decision.
    pub by: String,
    /// The finding's severity then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Why: its evidence, or the decision's reason.
    pub why: String,
    /// Who, of a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// The life of the finding `uid`. `versions` in the order in which they began.
pub fn of(uid: &str, versions: &[Recorded], entries: &[Entry]) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut failed = false;
    for (at, version) in versions.iter().enumerate() {
        let (audit, begun) = &version.since;
        let before = at.checked_sub(1).map(|at| &versions[at]);
        // A version that follows at once on another one is the same life.
        let goes_on = before.filter(|before| before.until.as_ref().is_some_and(|(until, _)| until == audit));
        let fails = version.finding.status == Status::Fail;
        let what = match (fails, goes_on.map(|before| before.finding.status)) {
            (true, Some(Status::Fail)) => "updated",
            (true, _) if failed => "reopened",
            (true, _) => "opened",
            (false, _) => "unknown",
        };
        failed |= fails;
        let turn = |what: &str, audit: &str, at, why: &str| Turn {
            at,
            what: what.to_owned(),
            by: audit.to_owned(),
            severity: Some(version.finding.severity),
            why: why.to_owned(),
            who: None,
        };
        turns.push(turn(what, audit, *begun, &version.finding.evidence));
        let next = versions.get(at + 1);
        if let Some((audit, ended)) = &version.until
            && next.is_none_or(|next| next.since.0 != *audit)
        {
            let what = if fails { "resolved" } else { "answered" };
            turns.push(turn(
                what,
                audit,
                *ended,
                "The check passes, the client is gone, or the check is asked no more.",
            ));
        }
    }
    turns.extend(decisions(uid, entries));
    turns.sort_by_key(|turn| turn.at);
    turns
}

fn decisions(uid: &str, entries: &[Entry]) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut held: Vec<(&str, Kind)> = Vec::new();
    let word = |kind: Kind| match kind {
        Kind::Acknowledge => "acknowledged",
        Kind::Mute => "muted",
        Kind::Approve => "approved",
        Kind::Baseline => "baseline",
    };
    for entry in entries {
        match entry {
            Entry::Made(decision) if decision.covers.iter().any(|cover| cover.uid == uid) => {
                held.push((&decision.id, decision.kind));
                turns.push(Turn {
                    at: decision.at,
                    what: word(decision.kind).to_owned(),
                    by: decision.id.clone(),
                    severity: None,
                    why: super::Mark::of(decision).words(),
                    who: Some(decision.owner.clone()),
                });
            }
            Entry::Ended(ending) if ending.uid.as_ref().is_none_or(|one| one == uid) => {
                let Some(at) = held.iter().position(|(id, _)| *id == ending.decision) else { continue };
                let (_, kind) = held.remove(at);
                turns.push(Turn {
                    at: ending.at,
                    what: format!("{} ended", word(kind)),
                    by: ending.decision.clone(),
                    severity: None,
                    why: ending.why.as_str().to_owned(),
                    who: ending.by.clone(),
                });
            }
            Entry::Made(_) | Entry::Ended(_) => {}
        }
    }
    turns
}
