//! Names in a contract that this organisation does not have.

use super::some;
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    contract::{Declared, unknown_permissions},
    permission::nearest,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "contract-unknown-name",
    title: "Client's contract names only operations, permissions and divisions that exist",
    severity: Severity::Low,
    rationale: "A misspelt operation is not compared with anything, and one whose permission the organisation does not \
        have (a licence) cannot be granted by any role. The contract then says less than it seems to.",
    remediation: "Correct the name, or take it out of the contract.",
    references: References {
        nist: &["CM-6", "AC-6"],
        cis: &["4.1", "6.8"],
        iso: &["A.8.9", "A.5.18"],
        soc2: &["CC6.3", "CC8.1"],
        pci: &["7.2.1", "7.2.5.1"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let access = facts.access;
    let client = &subject.client.name;
    let Some(contract) = subject.contract else { return Vec::new() };
    let Some((_, comparison)) = facts.comparison(subject) else { return Vec::new() };
    let failure = |key: &str, what: &str, evidence: String, next_step: String, rests_on| Failure {
        key: key.to_owned(),
        title: format!(
            "The contract of {client} names {what} that {}",
            if rests_on == [Fact::Catalogue] { "no role can allow here" } else { "is not known" }
        ),
        evidence,
        next_step,
        rests_on,
    };
    let mut failures = Vec::new();
    let declared = Declared::by_contract(access, contract);
    let denied = contract.must_be_denied.iter().filter(|name| access.operations.find(name).is_none());
    for name in declared.unknown.iter().chain(denied) {
        let near = facts.nearest_operation(name);
        failures.push(failure(
            name,
            &format!("the operation {name}"),
            format!("No operation {name} is in {}.", access.operations.title()),
            near.map_or_else(
                || CHECK.remediation.to_owned(),
                |near| format!("Correct it; did you mean {near:?}?"),
            ),
            &[],
        ));
    }
    for name in unknown_permissions(access, &declared) {
        let known = access.catalogue.permissions.keys().map(String::as_str);
        let near = nearest(&name, known, 1);
        failures.push(failure(
            &name,
            &format!("the permission {name}"),
            format!("The organisation's catalogue has no permission {name}."),
            near.first().map_or_else(
                || CHECK.remediation.to_owned(),
                |near| format!("Correct it; did you mean {near:?}?"),
            ),
            &[Fact::Catalogue],
        ));
    }
    for name in &declared.unknown_divisions {
        let known = access.snapshot.divisions.iter().flatten().map(|(_, division)| division.name.as_str());
        let near = nearest(name, known, 1);
        failures.push(failure(
            name,
            &format!("the division {name}"),
            format!(
                "No division of the organisation has the name or id {name}, so nothing is compared there."
            ),
            near.first().map_or_else(
                || CHECK.remediation.to_owned(),
                |near| format!("Correct it; did you mean {near:?}?"),
            ),
            &[Fact::Divisions],
        ));
    }
    for one in &comparison.need.unavailable {
        failures.push(failure(
            &one.operation,
            &format!("the operation {}", one.operation),
            format!("It needs {}: {}.", some(one.permissions.iter().map(String::as_str)), one.reason),
            "Take the call out of the contract, or have the product enabled.".to_owned(),
            &[Fact::Catalogue],
        ));
    }
    failures
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact,
        checks::tests::{audit, catalogue_gap, contract, gap, keys, of_check, with_contracts},
        contract::Contract,
        finding::Status,
        fixtures::{catalogue, client, role, snapshot},
        snapshot::Snapshot,
    };

    const CHECK: &str = "contract-unknown-name";
    const VIEW: &str = "GET /api/v2/routing/queues/{queueId}";

    fn org(contract: Contract) -> Snapshot {
        let org = snapshot([client("c").grant("r", "*")], [role("r").can("routing:queue:view")]);
        with_contracts(Snapshot { catalogue: Some(catalogue(["routing:queue:view"])), ..org }, [contract])
    }

    #[test]
    fn an_operation_that_nobody_knows_is_named_with_the_nearest() {
        assert!(keys(&audit(&org(contract("c", &[VIEW])), &[]), CHECK).is_empty());
        let misspelt = "GET /api/v2/routing/queue/{queueId}";
        for declared in [
            contract("c", &[misspelt]),
            Contract { must_be_denied: [misspelt.to_owned()].into(), ..contract("c", &[]) },
        ] {
            let found = audit(&org(declared), &[]);
            assert_eq!(keys(&found, CHECK), [("c", misspelt, Status::Fail)]);
            let remediation = &of_check(&found, CHECK)[0].remediation;
            assert!(
                remediation.contains("did you mean \"GET /api/v2/routing/queues/{queueId}\"?"),
                "{remediation}"
            );
        }
    }

    #[test]
    fn an_operation_whose_permission_the_organisation_lacks_is_unavailable() {
        let skill = "GET /api/v2/routing/skills/{skillId}";
        let org = org(contract("c", &[VIEW, skill]));
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, CHECK), [("c", skill, Status::Fail)]);
        assert!(keys(&found, "contract-broken").is_empty(), "no role could mend it");
        assert_eq!(keys(&audit(&org, &[catalogue_gap()]), CHECK), [("c", skill, Status::Unknown)]);
    }

    #[test]
    fn a_division_that_is_not_there_is_named_unless_the_list_was_not_read() {
        let mut declared = contract("c", &[VIEW]);
        declared.divisions = ["Division d2".to_owned()].into();
        let org = org(declared);
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, CHECK), [("c", "Division d2", Status::Fail)]);
        assert!(of_check(&found, CHECK)[0].remediation.contains("did you mean \"Division"));
        let found = audit(&org, &[gap(Fact::Divisions, None)]);
        assert_eq!(keys(&found, CHECK), [("c", "Division d2", Status::Unknown)]);
    }
}
