//! Power beyond what a contract declares.

use super::{owner, some};
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    contract::{Excess, Why},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "contract-exceeded",
    title: "Client holds nothing beyond its contract",
    severity: Severity::Medium,
    rationale: "What a client holds and does not need serves only whoever steals its secret.",
    remediation: "Give the client the least role (`scopewarden least-privilege`) in place of its roles, or declare the \
        calls that it makes besides.",
    references: References {
        nist: &["AC-6", "AC-6(7)"],
        cis: &["5.4", "6.8"],
        iso: &["A.5.15", "A.5.18"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.2", "7.2.5", "7.2.5.1"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let Some((contract, comparison)) = facts.comparison(subject) else { return Vec::new() };
    let plain: Vec<&Excess> = comparison.excess.iter().filter(|excess| excess.is_plain()).collect();
    let of = |why: Why| plain.iter().filter(move |excess| excess.why == why).copied();
    if plain.is_empty() {
        return Vec::new();
    }
    let client = subject.client;
    let mut evidence = Vec::new();
    let open: Vec<&str> = of(Why::OpenEnded).map(|excess| excess.permission.as_str()).collect();
    if !open.is_empty() {
        evidence.push(format!("It holds {} open-ended", some(open.iter().copied())));
    }
    let more: Vec<&str> = of(Why::NotNeeded).map(|excess| excess.permission.as_str()).collect();
    if !more.is_empty() {
        evidence.push(format!("No declared call needs {}", some(more.iter().copied())));
    }
    let elsewhere: Vec<&str> = of(Why::OtherDivision).map(|excess| excess.permission.as_str()).collect();
    if !elsewhere.is_empty() {
        evidence.push(format!(
            "It holds {} in divisions that the contract does not name",
            some(elsewhere.iter().copied())
        ));
    }
    let weight: u32 = of(Why::NotNeeded).map(|excess| excess.weight).sum();
    let what = match (open.first(), more.len(), elsewhere.len()) {
        (Some(pattern), ..) => format!("holds {pattern}, far beyond its contract"),
        (None, 0, elsewhere) => {
            format!("holds {} in more divisions than its contract names", counted(elsewhere))
        }
        (None, more, _) => format!("holds {} beyond its contract", counted(more)),
    };
    let only_elsewhere = open.is_empty() && more.is_empty();
    vec![Failure {
        key: String::new(),
        title: format!(
            "{} {what}{}",
            client.name,
            if weight > 0 { format!(" (weight {weight})") } else { String::new() }
        ),
        evidence: format!("Client {} ({}) has a contract. {}.", client.name, client.id, evidence.join(". ")),
        next_step: format!(
            "See `scopewarden least-privilege {}` for the whole list and the least role; agree with {} and cut.",
            client.id,
            owner(contract)
        ),
        rests_on: if only_elsewhere { &[Fact::Divisions, Fact::Catalogue] } else { &[] },
    }]
}

fn counted(permissions: usize) -> String {
    if permissions == 1 { "1 permission".to_owned() } else { format!("{permissions} permissions") }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, catalogue_gap, contract, keys, of_check, with_contracts},
        finding::Status,
        fixtures::{catalogue, client, role, snapshot},
        inventory::Role,
        snapshot::Snapshot,
    };

    const CHECK: &str = "contract-exceeded";
    const VIEW: &str = "GET /api/v2/routing/queues/{queueId}";

    fn found(role: Role) -> Vec<crate::domain::finding::Finding> {
        let org = snapshot([client("c").grant("r", "d1")], [role]);
        audit(&with_contracts(org, [contract("c", &[VIEW])]), &[])
    }

    #[test]
    fn exactly_what_is_needed_passes_and_one_more_fails() {
        assert!(keys(&found(role("r").can("routing:queue:view")), CHECK).is_empty());
        let more = found(role("r").can("routing:queue:view").can("directory:user:delete"));
        assert_eq!(keys(&more, CHECK), [("c", "", Status::Fail)]);
        assert_eq!(
            of_check(&more, CHECK)[0].title,
            "Client c holds 1 permission beyond its contract (weight 60)"
        );
    }

    #[test]
    fn open_ended_power_is_named_as_such() {
        let title = |role| of_check(&found(role), CHECK)[0].title.clone();
        assert!(
            title(role("r").general("admin")).starts_with("Client c holds admin, far beyond its contract")
        );
        assert!(
            title(role("r").can("routing:queue:*")).starts_with("Client c holds routing:queue:*, far beyond")
        );
    }

    #[test]
    fn another_way_to_a_declared_call_is_no_excess_unless_it_weighs_more() {
        // Any of the two will do; the first is chosen.
        let declared = contract("c", &["GET /api/v2/externalcontacts/contacts/{contactId}"]);
        let with = |permission| {
            let org = snapshot([client("c").grant("r", "d1")], [role("r").can(permission)]);
            keys(&audit(&with_contracts(org, [declared.clone()]), &[]), CHECK).len()
        };
        assert_eq!(with("relate:contact:view"), 0);
        assert_eq!(with("externalContacts:contact:view"), 1, "it weighs, the other one does not");
    }

    #[test]
    fn a_companion_of_what_is_needed_is_no_excess() {
        let declared = contract("c", &["POST /api/v2/analytics/conversations/details/query"]);
        let holder = role("r").can("analytics:conversationDetail:view").can("directory:user:view");
        let org = snapshot([client("c").grant("r", "d1")], [holder]);
        let found = audit(&with_contracts(org, [declared]), &[]);
        // `agentConversationDetail` weighs less than `conversationDetail`, so that is what is too much.
        assert!(!of_check(&found, CHECK)[0].evidence.contains("directory:user:view"));
    }

    #[test]
    fn broader_divisions_fail_and_wait_for_the_divisions_and_the_catalogue() {
        let mut declared = contract("c", &[VIEW]);
        declared.divisions.insert("d1".to_owned());
        let org = snapshot([client("c").grant("r", "*")], [role("r").can("routing:queue:view")]);
        let org = Snapshot { catalogue: Some(catalogue(["routing:queue:view"])), ..org };
        let org = with_contracts(org, [declared]);
        let found = audit(&org, &[]);
        assert_eq!(
            of_check(&found, CHECK)[0].title,
            "Client c holds 1 permission in more divisions than its contract names"
        );
        assert_eq!(keys(&audit(&org, &[catalogue_gap()]), CHECK), [("c", "", Status::Unknown)]);
    }
}
