//! Negative tests that prove nothing, run after run. One that was not sent this time has proven nothing either.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    probe::{Expectation, Standing, Verdict},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "negative-test-inconclusive",
    title: "Client's negative tests prove something",
    severity: Severity::Low,
    rationale: "A test that never comes to a result is not a test that passed. Mostly the credentials that were given \
        for it are out of date.",
    remediation: "Mend what the evidence names: the client's secret or token, its state, the region, or the network.",
    references: References {
        nist: &["CA-8", "SI-6"],
        cis: &["18.2"],
        iso: &["A.8.29"],
        soc2: &["CC4.1"],
        pci: &["11.4.2"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

/// Runs in a row without a result before it is told: one bad night is none.
const RUNS: u32 = 2;

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let open: Vec<&Standing> = facts
        .probes_of(subject.client)
        .filter(|standing| {
            standing.inconclusive >= RUNS
                && standing.latest.expectation == Expectation::Deny
                && matches!(standing.latest.verdict, Verdict::Inconclusive | Verdict::NotSent)
        })
        .collect();
    let client = subject.client;
    // Without a token nothing was sent, and that is one matter.
    let without_token =
        |standing: &&Standing| standing.latest.verdict == Verdict::Inconclusive && !standing.latest.sent;
    let (unsent, sent): (Vec<&Standing>, Vec<&Standing>) = open.into_iter().partition(without_token);
    let token = unsent.first().map(|standing| Failure {
        key: "token".to_owned(),
        title: format!("{} cannot be probed: there is no token to ask with", client.name),
        evidence: format!(
            "{} negative tests of {} ({}) were not made for {RUNS} runs or more. {}",
            unsent.len(),
            client.name,
            client.id,
            standing.latest.explanation
        ),
        next_step: format!("scopewarden probe {:?} says what is wrong with the credentials.", client.name),
        rests_on: &[],
    });
    let single = sent.into_iter().map(|standing| Failure {
        key: standing.latest.operation.clone(),
        title: format!("{}: {} proves nothing", client.name, standing.latest.operation),
        evidence: format!(
            "Probed with the own token of {} ({}) in {RUNS} runs or more without a result. {}",
            client.name, client.id, standing.latest.explanation
        ),
        next_step: format!(
            "Try it by hand: scopewarden probe {:?} --dry-run shows the request.",
            client.name
        ),
        rests_on: &[],
    });
    token.into_iter().chain(single).collect()
}
