//! What is wrong with a client: a closed list of checks, each with a reason and a way out.
//!
//! Enters: what clients can do ([`Access`]), what could not be read ([`Gap`]s). Leaves: [`Finding`]s, `fail` or
//! `unknown`; a pass leaves none. Must never: pass a client on a fact that was not seen, or produce more findings
//! for one client and check than [`FINDINGS_LIMIT`] of each status.
//!
//! To add a check: one file in `roles` (about roles that a client holds), `clients` (about its own record), `contract`
//! (about what its contract declares), `reach` (about what it reaches), `observed` (about what was seen beside the record:
//! grants, calls) or `probed` (about what probes proved), one line in [`CHECKS`], one row in `docs/checks.md` (a test compares).
//!
//! What depends on roles alone is computed once for each role (`facts`); the loop over clients only combines.

mod answer;
mod clients;
mod contract;
pub mod custom;
mod facts;
mod observed;
mod probed;
mod reach;
mod roles;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use self::{
    answer::Failure,
    custom::{Custom, Walk},
    facts::{Facts, Subject},
};
use super::{
    ClientId, Fact, Gap, Severity, access::Access, contract::companion::Companions, finding::Finding,
    inventory::ObjectCounts, probe::Standing, rotation::Turns, usage::Usage,
};

/// Findings of one check and status for one client; beyond that there is one that sums them up.
pub const FINDINGS_LIMIT: usize = 10;

/// What the checks look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The organisation's configured name.
    pub org: &'a str,
    /// What its clients can do, with the snapshot.
    pub access: &'a Access<'a>,
    /// What this audit could not read.
    pub gaps: &'a [Gap],
    /// Permissions that others are of little use without.
    pub companions: &'a Companions,
    /// Objects in each division; `None`: not counted in this audit.
    pub object_counts: Option<&'a ObjectCounts>,
    /// Where probes of clients stand; `None`: nobody asks.
    pub probes: Option<&'a [Standing]>,
    /// The time of the audit.
    pub now: DateTime<Utc>,
    /// When each client's grants were last asked for; `None`: they never are, so what rests on them is not judged.
    pub turns: Option<&'a Turns>,
    /// What clients called; `None`: not known yet.
    pub usage: Option<&'a Usage>,
    /// Whether the platform is asked what clients called; if not, and nothing is known, what rests on it is not judged.
    pub counts_usage: bool,
    /// For each client with a contract, the operations that it declares, by their place in the table.
    pub declared: Option<&'a BTreeMap<ClientId, BTreeSet<usize>>>,
    /// Users' own checks; `None`: there are none.
    pub custom: Option<Custom<'a>>,
}

/// Controls of well-known catalogues that a check serves.
#[derive(Clone, Copy, Debug)]
pub struct References {
    /// NIST SP 800-53 revision 5 controls.
    pub nist: &'static [&'static str],
    /// CIS Controls 8.1 safeguards.
    pub cis: &'static [&'static str],
    /// ISO/IEC 27001:2022 Annex A controls.
    pub iso: &'static [&'static str],
    /// SOC 2 trust services criteria.
    pub soc2: &'static [&'static str],
    /// PCI DSS 4.0.1 requirements.
    pub pci: &'static [&'static str],
}

/// One thing that every client should pass.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name in findings, metrics and configuration; kebab case, never changed once published.
    pub id: &'static str,
    /// The passing case, as a sentence about a client.
    pub title: &'static str,
    /// How bad it is not to pass; the same for all its findings, but for those of probes that say it themselves.
    pub severity: Severity,
    /// Why it matters.
    pub rationale: &'static str,
    /// What to do in general; each finding says it for its client.
    pub remediation: &'static str,
    /// Controls that it serves.
    pub references: References,
    /// Facts without which it has no answer at all. A single failure may rest on more.
    pub needs: &'static [Fact],
    evaluate: fn(&Facts<'_>, &Subject<'_>) -> Vec<Failure>,
}

/// Every check, most severe first. Metrics and documentation follow this order.
pub static CHECKS: &[Check] = &[
    roles::admin::CHECK,
    reach::escalation::STATED,
    probed::negative_failed::CHECK,
    roles::high_privilege::CHECK,
    contract::denied::CHECK,
    clients::broad_scopes::CHECK,
    clients::legacy_grant::CHECK,
    clients::redirect_uri::CHECK,
    roles::wildcard::CHECK,
    roles::every_division::CHECK,
    roles::default_role::CHECK,
    roles::unknown_permission::CHECK,
    observed::role_overlap::CHECK,
    observed::undeclared_use::CHECK,
    observed::unused_permission::CHECK,
    observed::unused_client::CHECK,
    clients::token_lifetime::CHECK,
    contract::exceeded::CHECK,
    contract::broken::CHECK,
    contract::scopes::CHECK,
    contract::client::CHECK,
    reach::escalation::ASSUMED,
    probed::positive_failed::CHECK,
    probed::mismatch::CHECK,
    roles::shared_role::CHECK,
    reach::empty_division::CHECK,
    reach::scopes::UNREACHED,
    reach::scopes::WRITING,
    reach::scopes::USELESS,
    clients::inactive::CHECK,
    probed::negative_inconclusive::CHECK,
    probed::unexplained::CHECK,
    observed::stale_client::CHECK,
    clients::description::CHECK,
    contract::names::CHECK,
    contract::implied::CHECK,
    contract::absent::CHECK,
];

/// Asks every check about every client, one client after the other as the caller goes on: the findings of each, in the
/// order of [`CHECKS`], users' own after them. `finding::lifecycle` gives each finding its place in time.
pub fn evaluate<'a>(context: &Context<'a>) -> impl Iterator<Item = Vec<Finding>> + use<'a> {
    let facts = Facts::gather(context);
    let mut custom = context.custom.map(|custom| Walk::new(custom, context.access));
    let orphans = std::iter::once(contract::client::orphans(&facts));
    let of_clients = context.access.snapshot.clients.values().map(move |client| {
        let subject = facts.subject(client);
        let mut findings = Vec::new();
        for check in CHECKS {
            check.answer(&facts, &subject, &mut findings);
        }
        if let Some(custom) = &mut custom {
            custom.answer(&facts, &subject, &mut findings);
        }
        findings
    });
    // What is about no client comes last, as a batch of its own.
    of_clients.chain(orphans)
}

#[cfg(test)]
mod tests;
