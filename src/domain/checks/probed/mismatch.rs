//! Where the platform does otherwise than the analysis predicts.

use super::{failure, proven};
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "model-mismatch",
    title: "Client is treated by the platform as the analysis predicts",
    severity: Severity::Medium,
    rationale: "Every other check rests on the analysis. Where the platform disagrees, one of the two is wrong about \
        what this client can do: scopes that are enforced, a policy, a product that is off, a lookup before the \
        permission check, or a role that changed since the audit.",
    remediation: "Read the platform's code in the evidence, set `scope_enforcement` if scopes bind, and audit again.",
    references: References {
        nist: &["CA-7", "RA-3"],
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
        .filter(|(_, proven)| proven.mismatch)
        .map(|(standing, proven)| {
            let next_step =
                "Audit again, then probe again; if it stays, the evidence says which assumption is wrong.";
            failure(subject, standing, proven, "is answered otherwise than predicted", next_step.to_owned())
        })
        .collect()
}
