//! The shape of a compliance report that users see.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Lack;
use crate::domain::{
    Fact, Gap, Severity,
    evidence::Hash,
    finding::{ClientRef, Finding, Status},
};

/// What no report may leave out.
pub const NOTE: &str = "This covers OAuth clients of Genesys Cloud, and of each requirement only what these checks can see. \
    A requirement that is met here may not be met elsewhere, and an auditor decides.";

/// What is said of a requirement; the larger decides where several are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check that serves it was answered for every client, and passed.
    Met,
    /// So, but for what a person accepted (muted or approved findings).
    Excepted,
    /// Some check was not answered for some client.
    Unknown,
    /// Some check failed for some client.
    Failed,
}

impl Verdict {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Met, Self::Excepted, Self::Unknown, Self::Failed];

    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Excepted => "excepted",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// What the checks answer of one framework in one organisation.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The organisation's configured name.
    pub org: String,
    /// The framework's word.
    pub framework: &'static str,
    /// Its name and edition.
    pub name: &'static str,
    /// [`NOTE`].
    pub note: &'static str,
    /// The audit that it rests on.
    pub audit: String,
    /// When that was recorded.
    pub at: DateTime<Utc>,
    /// The chain hash up to it: with it, `verify` proves that the evidence is unaltered.
    pub chain_head: Hash,
    /// It saw every fact.
    pub complete: bool,
    /// What it did not see.
    pub gaps: Vec<Gap>,
    /// It is too old to say much of today.
    pub stale: bool,
    /// Audits after it failed.
    pub failing: bool,
    /// Clients that it saw.
    pub clients: usize,
    /// How many requirements have each verdict.
    pub summary: BTreeMap<Verdict, usize>,
    /// Every requirement that a check serves.
    pub requirements: Vec<Requirement>,
}

/// One requirement.
#[derive(Clone, Debug, Serialize)]
pub struct Requirement {
    /// Its number in the framework.
    pub requirement: &'static str,
    /// A short title in our words.
    pub title: &'static str,
    /// What is said of it.
    pub verdict: Verdict,
    /// The checks that serve it, most severe first.
    pub checks: Vec<CheckAnswer>,
}

/// What one check answers.
#[derive(Clone, Debug, Serialize)]
pub struct CheckAnswer {
    /// Its id.
    pub check: &'static str,
    /// The passing case.
    pub title: &'static str,
    /// How bad it is not to pass.
    pub severity: Severity,
    /// `None`: it applies to no client here.
    pub verdict: Option<Verdict>,
    /// Clients by what is said of them.
    pub clients: Counts,
    /// Of the clients that it was not asked about, how many for which reason.
    pub not_asked: Vec<NotAsked>,
    /// Facts that the audit did not see and that it needs.
    pub gaps: Vec<Fact>,
    /// What is open of it, worst first, at most fifty.
    pub findings: Vec<Evidence>,
    /// How many there are.
    pub findings_total: usize,
}

/// Clients by what a check says of them; each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Seen to pass.
    pub passed: usize,
    /// Something fails.
    pub failed: usize,
    /// What fails is accepted by a person.
    pub excepted: usize,
    /// A fact was a gap.
    pub unknown: usize,
    /// Nobody asked.
    pub not_asked: usize,
    /// It says nothing of such clients.
    pub not_applicable: usize,
}

impl Counts {
    pub(super) fn of(&mut self, verdict: Verdict) -> &mut usize {
        match verdict {
            Verdict::Met => &mut self.passed,
            Verdict::Excepted => &mut self.excepted,
            Verdict::Unknown => &mut self.unknown,
            Verdict::Failed => &mut self.failed,
        }
    }

    /// What follows; `None` where it applies to nobody.
    pub(super) fn verdict(self) -> Option<Verdict> {
        let Self { passed, failed, excepted, unknown, not_asked, .. } = self;
        [
            (passed, Verdict::Met),
            (excepted, Verdict::Excepted),
            (unknown + not_asked, Verdict::Unknown),
            (failed, Verdict::Failed),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, verdict)| verdict)
        .max()
    }
}

/// Clients that a check was not asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NotAsked {
    /// Why.
    pub reason: Lack,
    /// How many.
    pub clients: usize,
}

/// A finding, as evidence.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// The finding's uid.
    pub uid: String,
    /// The client.
    pub client: ClientRef,
    /// What is wrong.
    pub title: String,
    /// `fail` or `unknown`.
    pub status: Status,
    /// Its severity.
    pub severity: Severity,
    /// Accepted by a person.
    pub accepted: bool,
    /// Since when.
    pub first_seen: DateTime<Utc>,
}

impl Evidence {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            uid: finding.uid.clone(),
            client: finding.client.clone(),
            title: finding.title.clone(),
            status: finding.status,
            severity: finding.severity,
            accepted: finding.is_accepted(),
            first_seen: finding.first_seen,
        }
    }
}
