//! Operations that a client declares, and that the platform refuses or answers with a misleading silence.

use super::{failure, proven};
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    probe::{Expectation, Silence, Verdict},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "positive-test-failed",
    title: "Client may do what it declares, as tried with its own token",
    severity: Severity::Medium,
    rationale: "A client that is refused what it needs fails at work, and the quick way out is a role that is too wide. \
        An empty list from the wrong division fails without a word.",
    remediation: "Give the client the permission in the division where it works, and no more \
        (`scopewarden access CLIENT`).",
    references: References {
        nist: &["AC-3", "AC-6"],
        cis: &["6.8"],
        iso: &["A.5.15", "A.5.18"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.2", "7.3.2"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let next_step = || {
        format!(
            "Compare what it holds with what it declares: scopewarden access {:?} --operations",
            subject.client.name
        )
    };
    proven(facts, subject)
        .filter(|(_, proven)| proven.expectation == Expectation::Allow)
        .filter_map(|(standing, proven)| match (proven.verdict, proven.silence) {
            (Verdict::Refused, _) => {
                Some(failure(subject, standing, proven, "is declared and refused", next_step()))
            }
            (_, Some(Silence::GrantElsewhere)) => {
                Some(failure(subject, standing, proven, "shows nothing from its division", next_step()))
            }
            _ => None,
        })
        .collect()
}
