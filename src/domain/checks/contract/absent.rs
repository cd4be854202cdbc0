//! Clients without a contract, in an organisation that has contracts.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "no-contract",
    title: "Client with power has a contract, where contracts are kept",
    severity: Severity::Info,
    rationale: "What a client needs is known where it is written down. Of the others nobody can say what is too much.",
    remediation: "Write a contract: the client, its owner, and the operations that it calls.",
    references: References {
        nist: &["AC-2", "AC-6"],
        cis: &["5.1", "6.8"],
        iso: &["A.5.9", "A.5.18"],
        soc2: &["CC6.2", "CC6.3"],
        pci: &["7.2.5.1", "12.5.1"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let are_kept = !facts.access.snapshot.contracts.is_empty();
    if !are_kept || subject.contract.is_some() || !subject.has_power() {
        return Vec::new();
    }
    let client = subject.client;
    vec![Failure {
        key: String::new(),
        title: format!("{} has no contract", client.name),
        evidence: format!(
            "No contract of the configuration is about client {} ({}).",
            client.name, client.id
        ),
        next_step: format!("Ask the owner of {} what it calls, and write its contract.", client.name),
        rests_on: &[],
    }]
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact,
        checks::tests::{audit, contract, gap, keys, with_contracts},
        finding::Status,
        fixtures::{client, role, snapshot},
    };

    const CHECK: &str = "no-contract";

    #[test]
    fn only_where_contracts_are_kept_are_they_missed() {
        let clients = [client("c").grant("r", "*"), client("d").grant("r", "*"), client("idle")];
        let org = snapshot(clients, [role("r").can("routing:queue:view")]);
        assert!(keys(&audit(&org, &[]), CHECK).is_empty());
        let org = with_contracts(org, [contract("c", &["GET /api/v2/users/{userId}"])]);
        assert_eq!(keys(&audit(&org, &[]), CHECK), [("d", "", Status::Fail)]);
        let found = audit(&org, &[gap(Fact::Clients, Some("d"))]);
        assert_eq!(keys(&found, CHECK), [("d", "", Status::Unknown)]);
    }
}
