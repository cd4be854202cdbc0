//! Scopes that an application asks for at the token endpoint, against those that its client has.

use super::some;
use crate::domain::{
    Fact, ScopeEnforcement, Severity,
    access::{ALL_SCOPES, acts_by_roles},
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "contract-token-scopes",
    title: "Client has every scope that its application asks for, and they let its calls through",
    severity: Severity::Medium,
    rationale: "An application that asks for a scope which its client does not have gets no token at all, and the \
        answer does not say which scope it was. One that asks for too few is refused later, call by call.",
    remediation: "Ask only for scopes that the client has, or for none: then the token has all of them.",
    references: References {
        nist: &["AC-3", "AC-6"],
        cis: &["4.1", "6.8"],
        iso: &["A.5.15", "A.8.9"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.1", "7.2.5"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let Some(contract) = subject.contract else { return Vec::new() };
    if contract.token_scopes.is_empty() {
        return Vec::new();
    }
    let bare = |scope: &str| scope.strip_suffix(":readonly").is_some_and(|bare| client.scopes.contains(bare));
    let has =
        |scope: &String| client.scopes.contains(ALL_SCOPES) || client.scopes.contains(scope) || bare(scope);
    let mut failures = Vec::new();
    for scope in contract.token_scopes.iter().filter(|scope| !has(scope)) {
        failures.push(Failure {
            key: scope.clone(),
            title: format!("{} asks for the scope {scope}, which it does not have", client.name),
            evidence: format!(
                "The application of client {} ({}) asks for {} at the token endpoint; the client has {}.",
                client.name,
                client.id,
                some(contract.token_scopes.iter().map(String::as_str)),
                if client.scopes.is_empty() {
                    "none".to_owned()
                } else {
                    some(client.scopes.iter().map(String::as_str))
                }
            ),
            next_step: format!("Give {} the scope {scope}, or do not ask for it.", client.name),
            rests_on: &[],
        });
    }
    if enforced(facts, subject) {
        let asked =
            crate::domain::inventory::Client { scopes: contract.token_scopes.clone(), ..client.clone() };
        let refused = contract.calls.iter().filter(|name| {
            facts.access.operations.find(name).is_some_and(|at| !facts.access.in_scope(&asked, at))
        });
        failures.extend(refused.map(|operation| Failure {
            key: operation.clone(),
            title: format!("The tokens of {} do not reach {operation}", client.name),
            evidence: format!(
                "The organisation enforces scopes, and none of {} lets {operation} through, which the contract declares.",
                some(contract.token_scopes.iter().map(String::as_str))
            ),
            next_step: "Ask for one more scope, or for none: then the token has all that the client has.".to_owned(),
            rests_on: &[],
        }));
    }
    failures
}

/// Whether scopes bound this client, by the organisation's configuration.
fn enforced(facts: &Facts<'_>, subject: &Subject<'_>) -> bool {
    match facts.access.snapshot.settings.scope_enforcement {
        ScopeEnforcement::AllGrants => true,
        ScopeEnforcement::UserGrants => !acts_by_roles(subject.client),
        ScopeEnforcement::Off | ScopeEnforcement::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact, ScopeEnforcement,
        checks::tests::{audit, contract, gap, keys, with_contracts},
        contract::Contract,
        finding::{Finding, Status},
        fixtures::{client, snapshot},
        snapshot::{Settings, Snapshot},
    };

    const CHECK: &str = "contract-token-scopes";
    const VIEW: &str = "GET /api/v2/routing/queues/{queueId}";

    fn org(asked: &[&str], has: &[&str], scope_enforcement: ScopeEnforcement) -> Snapshot {
        let token_scopes = asked.iter().map(|&scope| scope.to_owned()).collect();
        let declared = Contract { token_scopes, ..contract("c", &[VIEW]) };
        let holder = has.iter().fold(client("c").of_type("CODE"), |client, scope| client.scope(scope));
        let org = Snapshot { settings: Settings { scope_enforcement }, ..snapshot([holder], []) };
        with_contracts(org, [declared])
    }

    fn found(asked: &[&str], has: &[&str]) -> Vec<Finding> {
        audit(&org(asked, has, ScopeEnforcement::Off), &[])
    }

    #[test]
    fn asking_for_none_or_for_what_the_client_has_passes() {
        for (asked, has) in [
            (&[][..], &[][..]),
            (&["routing:readonly"], &["routing:readonly"]),
            (&["routing:readonly"], &["routing"]),
            (&["routing"], &["all"]),
        ] {
            assert!(keys(&found(asked, has), CHECK).is_empty(), "{asked:?} of {has:?}");
        }
    }

    #[test]
    fn asking_for_more_than_the_client_has_fails() {
        let found = found(&["routing", "users:readonly"], &["routing:readonly"]);
        assert_eq!(
            keys(&found, CHECK),
            [("c", "routing", Status::Fail), ("c", "users:readonly", Status::Fail)]
        );
    }

    #[test]
    fn asking_for_too_few_fails_where_scopes_are_enforced() {
        for enforcement in ScopeEnforcement::ALL {
            let found = audit(&org(&["users"], &["users", "routing"], enforcement), &[]);
            let fails = matches!(enforcement, ScopeEnforcement::UserGrants | ScopeEnforcement::AllGrants);
            assert_eq!(keys(&found, CHECK).len(), usize::from(fails), "{enforcement:?}");
        }
    }

    #[test]
    fn a_record_that_was_not_read_fails_nothing() {
        let org = org(&["routing"], &[], ScopeEnforcement::Off);
        let found = audit(&org, &[gap(Fact::Clients, Some("c"))]);
        assert_eq!(keys(&found, CHECK), [("c", "routing", Status::Unknown)]);
    }
}
