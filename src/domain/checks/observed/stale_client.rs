//! Clients that were used and have stopped.

use chrono::TimeDelta;

use super::MORE_CALLED;
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "stale-client",
    title: "Client that was in use still is",
    severity: Severity::Low,
    rationale: "A client that stopped calling was replaced, broke, or waits for its next quarter. Its secret and its roles \
        live on.",
    remediation: "Ask the owner whether the client was replaced; if so, disable and delete it.",
    references: References {
        nist: &["AC-2(3)", "AC-6(7)"],
        cis: &["5.1", "5.3"],
        iso: &["A.5.16", "A.5.18"],
        soc2: &["CC6.2", "CC6.3"],
        pci: &["7.2.5.1", "8.2.6"],
    },
    needs: &[Fact::Clients, Fact::Usage],
    evaluate,
};

/// Silent for more days than this is stale.
const STALE_DAYS: i64 = 30;

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let Some(usage) = facts.usage else { return Vec::new() };
    let Some(last) = usage.of(&client.id).and_then(|called| called.last) else { return Vec::new() };
    if usage.window.to.date_naive() - last <= TimeDelta::days(STALE_DAYS) {
        return Vec::new();
    }
    let (name, id) = (&client.name, &client.id);
    vec![Failure {
        key: String::new(),
        title: format!("{name} has called nothing since {last}"),
        evidence: format!(
            "Client {name} ({id}) was last seen calling on {last}; since then the platform counted none for more than \
             {STALE_DAYS} days. A job of each quarter looks the same.{}",
            if usage.left_out > 0 { MORE_CALLED } else { "" }
        ),
        next_step: format!(
            "Ask the owner of {name} whether it was replaced; if so, disable it, then delete it."
        ),
        rests_on: &[],
    }]
}
