//! Which requirements of a framework the checks serve, and what they answer: met, failed, unknown.
//!
//! Enters: the last audit's snapshot, gaps and findings, and what was looked at beside. Leaves: a [`Report`] with the
//! evidence of each requirement. Must never: call met what was not answered for every client, count a gap as a pass, or
//! claim more of a requirement than the checks see of it.
//!
//! - `framework`: the catalogues and the titles. - `asked`: whether a check was asked about a client. - `report`: the
//!   shape that users see.

mod asked;
mod framework;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use self::asked::Asked;
pub use self::{
    asked::Lack,
    framework::Framework,
    report::{CheckAnswer, Counts, Evidence, NOTE, NotAsked, Report, Requirement, Verdict},
};
use super::{
    ClientId, Fact, Gap,
    checks::{CHECKS, Check},
    evidence::Hash,
    finding::{Finding, Status},
    probe::Expectation,
    snapshot::Snapshot,
};

/// Findings of one check that a report names; the rest is counted.
const NAMED: usize = 50;

/// What a report rests on: the last audit, and what is known of those after it.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The organisation's configured name.
    pub org: &'a str,
    /// The audit's id.
    pub audit: &'a str,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// The chain hash up to it.
    pub chain: Hash,
    /// What it saw.
    pub snapshot: &'a Snapshot,
    /// What it did not see.
    pub gaps: &'a [Gap],
    /// What was open after it.
    pub findings: &'a [Finding],
    /// Clients of which some probe of either kind stands proven.
    pub probed: &'a BTreeSet<(ClientId, Expectation)>,
    /// Clients' grants are asked for from their own side.
    pub sees_grants: bool,
    /// Clients' calls are counted.
    pub sees_usage: bool,
    /// Audits after it failed.
    pub failing: bool,
    /// An audit that is older than this says little of today.
    pub stale_after: TimeDelta,
}

/// What the checks answer of one framework.
pub fn assess(framework: Framework, basis: &Basis<'_>, now: DateTime<Utc>) -> Report {
    let mut by_check: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in basis.findings {
        by_check.entry(&finding.check).or_default().push(finding);
    }
    let mut answers: BTreeMap<&str, CheckAnswer> = BTreeMap::new();
    let mut requirements = Vec::new();
    for (number, title) in framework.requirements() {
        let serving = CHECKS.iter().filter(|check| framework.of(&check.references).contains(&number));
        let checks: Vec<CheckAnswer> = serving
            .map(|check| {
                let answer = answers.entry(check.id).or_insert_with(|| {
                    let found = by_check.get(check.id).map(Vec::as_slice).unwrap_or_default();
                    answer(check, found, basis)
                });
                answer.clone()
            })
            .collect();
        // What applies to nobody decides nothing; if nothing applies, nothing is known.
        let verdict = checks.iter().filter_map(|check| check.verdict).max().unwrap_or(Verdict::Unknown);
        requirements.push(Requirement { requirement: number, title, verdict, checks });
    }
    let mut summary: BTreeMap<Verdict, usize> =
        Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
    for requirement in &requirements {
        *summary.entry(requirement.verdict).or_default() += 1;
    }
    Report {
        org: basis.org.to_owned(),
        framework: framework.as_str(),
        name: framework.name(),
        note: NOTE,
        audit: basis.audit.to_owned(),
        at: basis.at,
        chain_head: basis.chain,
        complete: basis.gaps.is_empty(),
        gaps: basis.gaps.to_vec(),
        stale: now - basis.at > basis.stale_after,
        failing: basis.failing,
        clients: basis.snapshot.clients.len(),
        summary,
        requirements,
    }
}

/// What one check answers of all clients.
fn answer(check: &'static Check, found: &[&Finding], basis: &Basis<'_>) -> CheckAnswer {
    let mut of_client: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in found {
        of_client.entry(finding.client.id.as_str()).or_default().push(finding);
    }
    let mut counts = Counts::default();
    let mut lacks: BTreeMap<Lack, usize> = BTreeMap::new();
    for client in basis.snapshot.clients.values() {
        let findings = of_client.remove(client.id.as_str()).unwrap_or_default();
        if findings.is_empty() {
            match asked::of(check, client, basis) {
                Asked::Yes => counts.passed += 1,
                Asked::DoesNotApply => counts.not_applicable += 1,
                Asked::No(lack) => {
                    counts.not_asked += 1;
                    *lacks.entry(lack).or_default() += 1;
                }
            }
            continue;
        }
        *counts.of(worst(&findings)) += 1;
    }
    // Findings about what is no client of the snapshot: a contract of nobody, a client that was just carried forward.
    let elsewhere = of_client.values().map(|findings| worst(findings)).max();
    let gaps: BTreeSet<Fact> =
        basis.gaps.iter().map(|gap| gap.fact).filter(|fact| concerns(check, *fact)).collect();
    let in_clients = counts.verdict();
    let verdict = match in_clients.max(elsewhere) {
        // Nothing was found, and something was not seen.
        Some(Verdict::Met | Verdict::Excepted) if !gaps.is_empty() => Some(Verdict::Unknown),
        verdict => verdict,
    };
    let mut named: Vec<&Finding> = found.to_vec();
    named.sort_by(|one, other| {
        let rank = |finding: &'_ Finding| worst(&[finding]);
        (rank(other).cmp(&rank(one)))
            .then_with(|| other.severity.cmp(&one.severity))
            .then_with(|| (&one.client.name, &one.uid).cmp(&(&other.client.name, &other.uid)))
    });
    CheckAnswer {
        check: check.id,
        title: check.title,
        severity: check.severity,
        verdict,
        clients: counts,
        not_asked: lacks.into_iter().map(|(reason, clients)| NotAsked { reason, clients }).collect(),
        gaps: gaps.into_iter().collect(),
        findings_total: named.len(),
        findings: named.into_iter().take(NAMED).map(Evidence::of).collect(),
    }
}

/// The worst that is found of one client.
fn worst(findings: &[&Finding]) -> Verdict {
    let of = |finding: &&Finding| match (finding.status, finding.is_accepted()) {
        (Status::Fail, false) => Verdict::Failed,
        (Status::Fail, true) => Verdict::Excepted,
        (Status::Unknown, _) => Verdict::Unknown,
        (Status::Pass, _) => Verdict::Met,
    };
    findings.iter().map(of).max().unwrap_or(Verdict::Met)
}

/// Whether what a check says is in doubt while a fact was not seen. Without all clients, all roles, or all that the auditor
/// may see, nothing is said of everybody. An older table of operations is older, not unknown.
fn concerns(check: &Check, fact: Fact) -> bool {
    match fact {
        Fact::Clients | Fact::Roles | Fact::OwnGrants => true,
        Fact::Operations => false,
        _ => check.needs.contains(&fact),
    }
}
