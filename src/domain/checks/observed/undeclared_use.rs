//! Calls that a client's contract does not name.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "undeclared-use",
    title: "Client with a contract calls only what its contract names",
    severity: Severity::Medium,
    rationale: "A contract is what was agreed. Calls outside of it mean that it is out of date, or that somebody else uses \
        the client.",
    remediation: "Ask the owner: add the call to the contract if it is meant, else find out who makes it and change the \
        client's secret.",
    references: References {
        nist: &["AC-2(12)", "AC-6", "SI-4"],
        cis: &["6.8", "8.11"],
        iso: &["A.5.15", "A.8.16"],
        soc2: &["CC6.3", "CC7.2"],
        pci: &["7.2.5.1", "10.4.1"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

/// Operations that one finding names.
const NAMED: usize = 8;

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let declared = facts.declared.and_then(|declared| declared.get(&client.id));
    let Some(declared) = declared.filter(|_| facts.counts_calls(client)) else { return Vec::new() };
    let (name, id) = (&client.name, &client.id);
    if facts.gap(Fact::Usage, subject).is_some() {
        return vec![Failure {
            key: String::new(),
            title: String::new(),
            evidence: format!("no call of client {name} ({id}) outside of its contract was seen."),
            next_step: String::new(),
            rests_on: &[Fact::Usage],
        }];
    }
    let Some(called) = facts.usage.and_then(|usage| usage.of(&client.id)) else { return Vec::new() };
    let mut outside: Vec<(String, bool)> = (called.operations.iter())
        .filter(|(at, _)| !declared.contains(at))
        .filter_map(|(at, calls)| {
            let operation = facts.access.operations.get(*at)?;
            Some((operation.name.to_string(), calls.ok > 0))
        })
        .chain(called.unknown.iter().map(|(name, calls)| (name.clone(), calls.ok > 0)))
        .collect();
    if outside.is_empty() {
        return Vec::new();
    }
    // By name, not by count: the text must not change with every call.
    outside.sort_unstable_by(|one, other| (!one.1, &one.0).cmp(&(!other.1, &other.0)));
    let named: Vec<String> = (outside.iter().take(NAMED))
        .map(|(operation, ok)| if *ok { operation.clone() } else { format!("{operation} (attempted only)") })
        .collect();
    let total = outside.len() + called.unknown_left_out;
    let more = total - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    vec![Failure {
        key: String::new(),
        title: match total {
            1 => format!("{name} calls an operation that its contract does not name"),
            _ => format!("{name} calls {total} operations that its contract does not name"),
        },
        evidence: format!(
            "Client {name} ({id}) called {}{more}. Its contract names none of them.",
            named.join(", ")
        ),
        next_step: format!(
            "Ask the owner of {name}: extend the contract, or find out who makes these calls and issue a new secret."
        ),
        rests_on: &[],
    }]
}
