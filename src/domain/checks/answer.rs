//! From what a check says of a client to findings: fail, unknown, or one that sums up many.
//!
//! Enters: a check's failures and the gaps. Leaves: findings, at most [`FINDINGS_LIMIT`] of each status.
//! Must never: call something failed that rests on a fact that was not seen.

use super::{Check, FINDINGS_LIMIT, Facts, Subject, probed};
use crate::domain::{
    Fact,
    finding::{ClientRef, Finding, Status, uid},
};

/// One way in which a client does not pass, as far as the facts at hand tell.
#[derive(Debug)]
pub(super) struct Failure {
    /// What tells it apart from other failures of the same check and client.
    pub(super) key: String,
    /// One sentence: what is wrong.
    pub(super) title: String,
    /// The facts.
    pub(super) evidence: String,
    /// The next step for this client.
    pub(super) next_step: String,
    /// Facts that it rests on beyond those that its check needs: if one is a gap, it is unknown.
    pub(super) rests_on: &'static [Fact],
}

impl Check {
    /// Appends what this check finds in one client.
    pub(super) fn answer(&self, facts: &Facts<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
        if !facts.judges(self, subject) {
            return;
        }
        // Without these there is nothing to look at. Other facts only make a failure doubtful.
        let all = [Fact::ClientGrants, Fact::Grants, Fact::Usage];
        for fact in all.into_iter().filter(|fact| self.needs.contains(fact)) {
            if let Some(gap) = facts.gap(fact, subject) {
                findings.push(self.unanswered(facts, subject, gap));
                return;
            }
        }
        let mut failed = Vec::new();
        let mut unknown = Vec::new();
        for failure in (self.evaluate)(facts, subject) {
            match self.needs.iter().chain(failure.rests_on).find_map(|fact| facts.gap(*fact, subject)) {
                None => failed.push(failure),
                Some(gap) => unknown.push((failure, gap)),
            }
        }
        if failed.len() > FINDINGS_LIMIT {
            findings.push(self.summary(facts, subject, &failed));
        } else {
            findings.extend(failed.into_iter().map(|failure| self.fail(facts, subject, failure)));
        }
        // What the client holds besides is not known, whatever else was found.
        if self.needs.contains(&Fact::Roles) && !subject.unseen.is_empty() {
            findings.push(self.unanswered(facts, subject, &unseen_roles(subject)));
        } else if unknown.len() > FINDINGS_LIMIT {
            findings.push(self.unanswered(facts, subject, unknown[0].1));
        } else {
            findings
                .extend(unknown.into_iter().map(|(failure, gap)| self.doubt(facts, subject, failure, gap)));
        }
    }

    fn fail(&self, facts: &Facts<'_>, subject: &Subject<'_>, failure: Failure) -> Finding {
        Finding {
            uid: uid(facts.org, self.id, &subject.client.id, &failure.key),
            org: facts.org.to_owned(),
            check: self.id.to_owned(),
            status: Status::Fail,
            severity: probed::severity(facts, subject, self.id, &failure.key).unwrap_or(self.severity),
            muted: false,
            marks: crate::domain::decision::Marks::default(),
            client: ClientRef { id: subject.client.id.clone(), name: subject.client.name.clone() },
            key: failure.key,
            title: failure.title,
            evidence: failure.evidence,
            remediation: failure.next_step,
            first_seen: facts.now,
            last_seen: facts.now,
        }
    }

    /// A failure that may not be one: it keeps its key, so that a finding that was open stays the same finding.
    fn doubt(&self, facts: &Facts<'_>, subject: &Subject<'_>, failure: Failure, gap: &str) -> Finding {
        let evidence = format!("{gap} By what was known before: {}", failure.evidence);
        let open = Failure {
            key: failure.key,
            title: self.question(subject),
            evidence,
            next_step: AFTER_A_GAP.to_owned(),
            rests_on: &[],
        };
        Finding { status: Status::Unknown, ..self.fail(facts, subject, open) }
    }

    fn unanswered(&self, facts: &Facts<'_>, subject: &Subject<'_>, gap: &str) -> Finding {
        let open = Failure {
            key: String::new(),
            title: self.question(subject),
            evidence: gap.to_owned(),
            next_step: AFTER_A_GAP.to_owned(),
            rests_on: &[],
        };
        Finding { status: Status::Unknown, ..self.fail(facts, subject, open) }
    }

    fn summary(&self, facts: &Facts<'_>, subject: &Subject<'_>, failed: &[Failure]) -> Finding {
        let first: Vec<&str> = failed.iter().take(FINDINGS_LIMIT).map(|failure| &*failure.title).collect();
        let name = &subject.client.name;
        let sum = Failure {
            key: "summary".to_owned(),
            title: format!("{name} does not pass \u{201c}{}\u{201d} in {} ways", self.title, failed.len()),
            evidence: format!("{}; and {} more.", first.join("; "), failed.len() - first.len()),
            next_step: self.remediation.to_owned(),
            rests_on: &[],
        };
        self.fail(facts, subject, sum)
    }

    fn question(&self, subject: &Subject<'_>) -> String {
        format!("Not known of {}: \u{201c}{}\u{201d}", subject.client.name, self.title)
    }
}

pub(super) const AFTER_A_GAP: &str = "Make the missing fact readable (the evidence says which and why); \
    the next complete audit answers.";

pub(super) fn unseen_roles(subject: &Subject<'_>) -> String {
    let ids: Vec<&str> = subject.unseen.iter().take(FINDINGS_LIMIT).map(|role| role.as_str()).collect();
    format!(
        "{} of the roles that {} ({}) is granted could not be read, so what they give is not known: {}.",
        subject.unseen.len(),
        subject.client.name,
        subject.client.id,
        ids.join(", "),
    )
}
