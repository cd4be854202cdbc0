//! Refusals that do not say for want of what.

use super::{failure, proven};
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "refusal-unexplained",
    title: "Client's refusals name what is missing",
    severity: Severity::Low,
    rationale: "A refusal for another reason than a permission, as a product that is off today, protects only until \
        that reason goes away.",
    remediation: "Find out whether the product is part of the organisation; count on the role, not on this refusal.",
    references: References {
        nist: &["AC-3", "CA-8"],
        cis: &["18.2"],
        iso: &["A.8.29"],
        soc2: &["CC4.1"],
        pci: &["11.4.2"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    proven(facts, subject)
        .filter(|(_, proven)| proven.unexplained)
        .map(|(standing, proven)| {
            let next_step = "Ask whether the product behind it is switched on; a role decides only then.";
            failure(subject, standing, proven, "is refused without a reason", next_step.to_owned())
        })
        .collect()
}
