//! Contracts that are about no client, or about another one than their text suggests.

use super::some;
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    contract::{Contract, Match},
    finding::{ClientRef, Finding, Status, uid},
    inventory::Client,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "contract-client",
    title: "Client that a contract names is there, and the only one that it can mean",
    severity: Severity::Medium,
    rationale: "A contract that is about nobody protects nobody. One whose client was renamed, or shares its name, is \
        easily read as being about somebody else.",
    remediation: "Write the client's id into the contract, or remove the contract of a client that is gone for good.",
    references: References {
        nist: &["AC-2", "CM-8"],
        cis: &["5.1", "5.5"],
        iso: &["A.5.9", "A.5.16"],
        soc2: &["CC6.1", "CC6.2"],
        pci: &["7.2.5.1", "12.5.1"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

/// A client whose contract names it otherwise than it is called, or by a name that others have as well.
fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let Some(contract) = subject.contract else { return Vec::new() };
    let named = &contract.client;
    if *named == *client.id.as_str() {
        return Vec::new();
    }
    let others: Vec<&str> = facts
        .named(named)
        .iter()
        .filter(|other| other.id != client.id)
        .map(|other| other.id.as_str())
        .collect();
    let what = match (client.name == *named, others.is_empty()) {
        (true, true) => return Vec::new(),
        (true, false) => format!("{} has that name too", some(others.iter().copied())),
        (false, true) => format!("that client is called {} now", client.name),
        (false, false) => format!(
            "that client is called {} now, and {} has its name",
            client.name,
            some(others.iter().copied())
        ),
    };
    vec![Failure {
        key: String::new(),
        title: format!("The contract of {} names {named}, which may be read as another client", client.name),
        evidence: format!(
            "The contract that names {named} first matched client {} and stays with it; {what}.",
            client.id
        ),
        next_step: format!(
            "Write client = \"{}\" (or the id of the client that is meant) into the contract.",
            client.id
        ),
        rests_on: &[],
    }]
}

/// Findings of the contracts that are about no client.
pub(in crate::domain::checks) fn orphans(facts: &Facts<'_>) -> Vec<Finding> {
    let snapshot = facts.access.snapshot;
    let mut findings = Vec::new();
    for contract in snapshot.contracts.values() {
        let named = &contract.client;
        let (what, next_step) = match contract.matched(snapshot) {
            Match::Client(_) => continue,
            Match::Gone(id) => {
                let heir: Vec<&str> = facts.named(named).iter().map(|client| client.id.as_str()).collect();
                let heir = match heir.first() {
                    Some(heir) => {
                        format!(" A client {heir} has that name now; if it is the successor, write its id.")
                    }
                    None => String::new(),
                };
                (
                    format!("it belongs to client {id}, which is not there any more"),
                    format!("Remove the contract.{heir}"),
                )
            }
            Match::Nobody => {
                let near = facts.nearest_client(named);
                let near = near.map_or_else(String::new, |near| format!(" Did you mean {near:?}?"));
                (
                    "no client has that name or id".to_owned(),
                    format!("Correct the name, or remove the contract.{near}"),
                )
            }
            Match::Several(clients) => {
                let ids = some(clients.iter().map(|client: &&Client| client.id.as_str()));
                (
                    format!("several clients have that name: {ids}"),
                    "Write the id of the one that is meant.".to_owned(),
                )
            }
            Match::Taken(client) => (
                format!("client {} has another contract", client.id),
                "Keep one contract for each client.".to_owned(),
            ),
        };
        findings.push(finding(facts, contract, &what, next_step));
    }
    findings
}

fn finding(facts: &Facts<'_>, contract: &Contract, what: &str, next_step: String) -> Finding {
    let named = &contract.client;
    // While the list of clients is in doubt, nobody can say that a client is not there.
    let doubt = facts.clients_in_doubt();
    let client = ClientRef { id: contract.pinned.clone().unwrap_or_else(|| "".into()), name: named.clone() };
    Finding {
        uid: uid(facts.org, CHECK.id, &client.id, named),
        org: facts.org.to_owned(),
        check: CHECK.id.to_owned(),
        status: if doubt.is_some() { Status::Unknown } else { Status::Fail },
        severity: CHECK.severity,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client,
        key: named.clone(),
        title: format!("The contract that names {named} is about no client"),
        evidence: match doubt {
            Some(gap) => format!("{gap} By what was known before: {what}."),
            None => format!("A contract names {named}; {what}."),
        },
        remediation: next_step,
        first_seen: facts.now,
        last_seen: facts.now,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact,
        checks::tests::{audit, contract, gap, keys, of_check, with_contracts},
        contract::Contract,
        finding::Status,
        fixtures::{client, snapshot},
        snapshot::Snapshot,
    };

    const CHECK: &str = "contract-client";
    const CALL: &str = "GET /api/v2/users/{userId}";

    fn named(name: &str) -> Contract {
        Contract { client: name.to_owned(), ..contract("", &[CALL]) }
    }

    #[test]
    fn a_contract_of_one_client_passes_by_name_and_by_id() {
        for text in ["Client c", "c"] {
            let org = with_contracts(snapshot([client("c"), client("d")], []), [named(text)]);
            assert!(keys(&audit(&org, &[]), CHECK).is_empty(), "{text}");
            assert_eq!(org.contracts["c"].pinned.as_ref().unwrap().as_str(), "c");
        }
    }

    #[test]
    fn a_contract_that_is_about_nobody_is_a_finding_without_a_client() {
        let org = with_contracts(snapshot([client("c")], []), [named("Klient c")]);
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, CHECK), [("", "Klient c", Status::Fail)]);
        let finding = of_check(&found, CHECK)[0];
        assert!(finding.evidence.ends_with("no client has that name or id."), "{}", finding.evidence);
        assert!(finding.remediation.ends_with("Did you mean \"Client c\"?"), "{}", finding.remediation);
        let doubted = audit(&org, &[gap(Fact::Clients, None)]);
        assert_eq!(keys(&doubted, CHECK), [("", "Klient c", Status::Unknown)]);
        assert_eq!(of_check(&doubted, CHECK)[0].uid, finding.uid, "it stays the same finding");
    }

    #[test]
    fn a_name_that_several_have_is_not_guessed() {
        let mut twin = client("d");
        twin.name = "Client c".to_owned();
        let found = audit(&with_contracts(snapshot([client("c"), twin], []), [named("Client c")]), &[]);
        assert_eq!(keys(&found, CHECK), [("", "Client c", Status::Fail)]);
        assert!(of_check(&found, CHECK)[0].evidence.ends_with("several clients have that name: c, d."));
    }

    #[test]
    fn two_contracts_of_one_client_leave_one_without() {
        let org = with_contracts(snapshot([client("c")], []), [named("Client c"), named("c")]);
        assert_eq!(org.contracts["c"].client, "c", "the one that names the id wins");
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, CHECK), [("", "Client c", Status::Fail)]);
    }

    /// The same organisation later, with the pins of the audit before.
    fn later(
        before: &Snapshot,
        clients: Vec<crate::domain::inventory::Client>,
        contracts: &[Contract],
    ) -> Snapshot {
        let mut org = snapshot(clients, []);
        org.contracts = crate::domain::contract::pin(contracts, &org.clients, &before.contracts);
        org.seal()
    }

    #[test]
    fn a_contract_stays_with_the_client_that_it_first_matched() {
        let contracts = [named("Client c")];
        let first = with_contracts(snapshot([client("c")], []), contracts.clone());
        let mut renamed = client("c");
        renamed.name = "Renamed".to_owned();
        let mut heir = client("d");
        heir.name = "Client c".to_owned();

        let org = later(&first, vec![renamed.clone()], &contracts);
        assert_eq!(keys(&audit(&org, &[]), CHECK), [("c", "", Status::Fail)]);
        let org = later(&org, vec![renamed, heir.clone()], &contracts);
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, CHECK), [("c", "", Status::Fail)]);
        assert!(of_check(&found, CHECK)[0].evidence.ends_with("is called Renamed now, and d has its name."));
        let org = later(&org, vec![heir.clone()], &contracts);
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, CHECK), [("c", "Client c", Status::Fail)]);
        assert!(of_check(&found, CHECK)[0].remediation.contains("A client d has that name now"));
        // The id moves it.
        let org = later(&org, vec![heir], &[named("d")]);
        assert!(keys(&audit(&org, &[]), CHECK).is_empty());
    }
}
