//! Operations that the platform should refuse to a client, and does not.

use super::{failure, proven};
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    probe::{Expectation, Verdict},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "negative-test-failed",
    title: "Client is refused what it must not do, as tried with its own token",
    severity: Severity::Critical,
    rationale: "A configuration is a claim; a refusal is a proof. Where the platform let the client through, the claim \
        is wrong, whatever the roles say. (High instead of critical where only a missing object was reported.)",
    remediation: "Find the role that gives the permission (`scopewarden access CLIENT --operations`) and take it away; \
        if the client needs the operation, declare it.",
    references: References {
        nist: &["AC-3", "AC-6", "CA-8"],
        cis: &["6.8", "18.2"],
        iso: &["A.5.15", "A.8.29"],
        soc2: &["CC4.1", "CC6.1"],
        pci: &["7.3.2", "11.4.2"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    proven(facts, subject)
        .filter(|(_, proven)| {
            proven.expectation == Expectation::Deny && proven.verdict == Verdict::NotRefused
        })
        .map(|(standing, proven)| {
            let next_step = format!(
                "Look who gives it: scopewarden access {:?} --operations; then probe again: scopewarden probe {:?}",
                subject.client.name, subject.client.name
            );
            failure(subject, standing, proven, "was not refused", next_step)
        })
        .collect()
}
