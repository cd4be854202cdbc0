//! Operations that a contract says must be denied, and that the client may call.

use super::{owner, some};
use crate::domain::{
    Fact, Severity,
    access::acts_by_roles,
    catalogue::Mode,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "contract-denied-operation",
    title: "Client cannot call what its contract says must be denied",
    severity: Severity::High,
    rationale: "Somebody wrote down that this client must never be able to do this. That it can is a broken promise, \
        whether or not it was used.",
    remediation: "Take the permission that lets it through out of the client's roles.",
    references: References {
        nist: &["AC-3", "AC-6"],
        cis: &["3.3", "6.8"],
        iso: &["A.5.15", "A.8.3"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.1", "7.2.2", "7.2.5"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let access = facts.access;
    let client = subject.client;
    let Some(contract) = subject.contract.filter(|_| acts_by_roles(client)) else { return Vec::new() };
    let held = access.reach(client);
    let mut failures = Vec::new();
    for name in &contract.must_be_denied {
        let Some(at) = access.operations.find(name) else { continue };
        let out_of_scope = access.scopes_bind_roles() && !access.in_scope(client, at);
        let (how, next_step) = match access.allows(at, &held) {
            Some(false) => continue,
            _ if out_of_scope => continue,
            Some(true) => {
                let through =
                    access.needs_of(at).iter().copied().filter(|permission| held.contains(*permission));
                let through: Vec<usize> = through.collect();
                let roles: Vec<&str> = (subject.roles.iter())
                    .filter(|role| through.iter().any(|at| role.facts.power.matched.contains(*at)))
                    .map(|role| role.facts.role.name.as_str())
                    .collect();
                let names: Vec<&str> = through.iter().map(|at| access.universe.name(*at)).collect();
                (
                    format!("{} lets it through, by {}", some(names.iter().copied()), some(roles.iter().copied())),
                    "Take what lets it through out of the roles of",
                )
            }
            None if access.operations.get(at).is_some_and(|operation| operation.mode == Mode::Unknown) => {
                (
                    "the platform's definition states a rule for it that could not be understood, so nothing says that \
                     it is denied"
                        .to_owned(),
                    "`scopewarden catalogue` names the rule; try the operation with a token of",
                )
            }
            None => {
                (
                    "the operation declares no permission, so no role can keep anybody from calling it".to_owned(),
                    "Take it out of the contract, or, where the organisation enforces scopes, out of the scopes of",
                )
            }
        };
        failures.push(Failure {
            key: name.clone(),
            title: format!("{} can call {name}, which its contract says must be denied", client.name),
            evidence: format!(
                "The contract of client {} ({}) denies it {name}; {how}.",
                client.name, client.id
            ),
            next_step: format!("{next_step} {}, and tell {}.", client.name, owner(contract)),
            rests_on: &[],
        });
    }
    failures
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::domain::{
        Fact, ScopeEnforcement,
        catalogue::{Mode, Operation, Operations},
        checks::tests::{audit, contract, gap, keys, of_check, with_contracts},
        contract::Contract,
        finding::Status,
        fixtures::{client, role, snapshot},
        inventory::Role,
        snapshot::{Settings, Snapshot},
    };

    const CHECK: &str = "contract-denied-operation";
    const DELETE: &str = "DELETE /api/v2/users/{userId}";

    fn org(role: Role) -> Snapshot {
        let declared = Contract { must_be_denied: [DELETE.to_owned()].into(), ..contract("c", &[]) };
        with_contracts(snapshot([client("c").grant("r", "d1")], [role]), [declared])
    }

    #[test]
    fn what_must_be_denied_and_is_granted_fails() {
        assert!(keys(&audit(&org(role("r").can("directory:user:view")), &[]), CHECK).is_empty());
        for role in [
            role("r").can("directory:user:delete"),
            role("r").can_if("directory:*:*", "{}"),
            role("r").general("admin"),
        ] {
            let found = audit(&org(role), &[]);
            assert_eq!(keys(&found, CHECK), [("c", DELETE, Status::Fail)]);
            assert!(of_check(&found, CHECK)[0].evidence.ends_with("lets it through, by Role r."));
        }
    }

    #[test]
    fn scopes_deny_only_where_they_bind_clients() {
        for scope_enforcement in ScopeEnforcement::ALL {
            let org = org(role("r").can("directory:user:delete"));
            let found = audit(&Snapshot { settings: Settings { scope_enforcement }, ..org }.seal(), &[]);
            assert_eq!(keys(&found, CHECK).is_empty(), scope_enforcement == ScopeEnforcement::AllGrants);
        }
    }

    #[test]
    fn an_operation_without_a_permission_is_denied_by_scopes_alone() {
        let name = "GET /api/v2/oauth/scopes";
        let declared = Contract { must_be_denied: [name.to_owned()].into(), ..contract("c", &[]) };
        let holder = client("c").grant("r", "d1").scope("routing");
        let org = with_contracts(snapshot([holder], [role("r")]), [declared]);
        for scope_enforcement in ScopeEnforcement::ALL {
            let org = Snapshot { settings: Settings { scope_enforcement }, ..org.clone() }.seal();
            let binds = scope_enforcement == ScopeEnforcement::AllGrants;
            assert_eq!(keys(&audit(&org, &[]), CHECK).is_empty(), binds, "{scope_enforcement:?}");
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_is_not_called_no_rule() {
        let unclear = Operation {
            mode: Mode::Unknown,
            name: DELETE.into(),
            permissions: Vec::new(),
            scopes: Vec::new(),
        };
        let org =
            Snapshot { operations: Some(Arc::new(Operations::defined(vec![unclear]))), ..org(role("r")) };
        let found = audit(&org.seal(), &[]);
        assert_eq!(keys(&found, CHECK), [("c", DELETE, Status::Fail)]);
        let finding = of_check(&found, CHECK)[0];
        assert!(finding.evidence.contains("could not be understood"), "{}", finding.evidence);
        assert!(finding.remediation.contains("scopewarden catalogue"), "{}", finding.remediation);
    }

    #[test]
    fn grants_that_were_not_read_leave_it_open() {
        let found = audit(&org(role("r")), &[gap(Fact::ClientGrants, Some("c"))]);
        assert_eq!(keys(&found, CHECK), [("c", "", Status::Unknown)]);
    }
}
