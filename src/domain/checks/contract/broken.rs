//! Calls that a contract declares and that the platform would refuse.

use super::{owner, places, some};
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "contract-broken",
    title: "Client holds what the calls of its contract need",
    severity: Severity::Medium,
    rationale: "A call that is declared and not permitted fails with 403, perhaps only at the end of a quarter. \
        Whoever repairs it in a hurry grants too much.",
    remediation: "Grant the missing permission in the division that the contract names, or take the call out of the \
        contract.",
    references: References {
        nist: &["AC-6", "CM-6"],
        cis: &["4.1", "6.8"],
        iso: &["A.5.18", "A.8.9"],
        soc2: &["CC6.3", "CC8.1"],
        pci: &["7.2.1", "7.2.5"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    // A role that was not read may give what seems to be missing.
    if !subject.unseen.is_empty() {
        return Vec::new();
    }
    let Some((contract, comparison)) = facts.comparison(subject) else { return Vec::new() };
    let client = subject.client;
    let missing = comparison.missing.iter().map(|missing| {
        let place = places(&missing.divisions, |division| facts.division_name(division));
        let (what, next_step) = if missing.permissions.is_empty() {
            let scopes = some(missing.scopes.iter().map(String::as_str));
            (
                format!("none of its scopes lets it through, and the organisation enforces scopes ({scopes} would)"),
                format!("Add the scope {scopes} to {}, or take the call out of its contract.", client.name),
            )
        } else {
            let permissions = some(missing.permissions.iter().map(String::as_str));
            (
                format!("it needs {permissions}{place}, which no role of the client gives there"),
                format!(
                    "Grant {permissions}{place} by a role of {} alone (`scopewarden least-privilege` proposes one), or \
                     agree with {} to take the call out of the contract.",
                    client.name,
                    owner(contract)
                ),
            )
        };
        let (key, title) = if let Some(operation) = &missing.operation {
            (operation.clone(), format!("{} cannot call {operation}, which its contract declares", client.name))
        } else {
            let permission = missing.permissions.join(", ");
            (permission.clone(), format!("{} lacks {permission}, which its contract declares", client.name))
        };
        Failure {
            evidence: format!("The contract of client {} ({}) declares {key}; {what}.", client.name, client.id),
            key,
            title,
            next_step,
            rests_on: if place.is_empty() { &[] } else { &[Fact::Divisions, Fact::Catalogue] },
        }
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact, ScopeEnforcement,
        checks::tests::{audit, contract, gap, keys, of_check, with_contracts},
        finding::Status,
        fixtures::{client, role, snapshot},
        snapshot::{Settings, Snapshot},
    };

    const CHECK: &str = "contract-broken";
    const VIEW: &str = "GET /api/v2/routing/queues/{queueId}";

    #[test]
    fn a_declared_call_that_would_be_refused_fails() {
        let holder = client("c").grant("r", "d1");
        let declared = contract("c", &[VIEW, "GET /api/v2/users/{userId}"]);
        let with = |permission| {
            let org = snapshot([holder.clone()], [role("r").can(permission)]);
            audit(&with_contracts(org, [declared.clone()]), &[])
        };
        assert!(keys(&with("routing:queue:view"), CHECK).is_empty());
        assert!(keys(&with("routing:*:*"), CHECK).is_empty());
        let found = with("routing:skill:view");
        assert_eq!(keys(&found, CHECK), [("c", VIEW, Status::Fail)]);
        let finding = of_check(&found, CHECK)[0];
        assert!(
            finding.evidence.contains("it needs routing:queue:view, which no role"),
            "{}",
            finding.evidence
        );
    }

    #[test]
    fn the_wrong_division_is_as_good_as_none() {
        let org = |place| snapshot([client("c").grant("r", place)], [role("r").can("routing:queue:view")]);
        let mut declared = contract("c", &[VIEW]);
        declared.divisions.insert("Division d1".to_owned());
        let with = |place| with_contracts(org(place), [declared.clone()]);
        for place in ["d1", "*", "unknown"] {
            assert!(keys(&audit(&with(place), &[]), CHECK).is_empty(), "{place}");
        }
        // Whether a division restricts the permission is for the catalogue to say, which was never read.
        assert_eq!(keys(&audit(&with("home"), &[]), CHECK), [("c", VIEW, Status::Unknown)]);
        let known = |name| Some(crate::domain::fixtures::catalogue([name]));
        let aware = Snapshot { catalogue: known("routing:queue:view"), ..with("home") }.seal();
        let found = audit(&aware, &[]);
        assert_eq!(keys(&found, CHECK), [("c", VIEW, Status::Fail)]);
        assert!(of_check(&found, CHECK)[0].evidence.contains("routing:queue:view in Division d1 (d1)"));
        let unaware = Snapshot { catalogue: known("routing:queue:view!"), ..with("home") }.seal();
        assert!(keys(&audit(&unaware, &[]), CHECK).is_empty());
        assert_eq!(
            keys(&audit(&aware, &[gap(Fact::Divisions, None)]), CHECK),
            [("c", VIEW, Status::Unknown)]
        );
    }

    #[test]
    fn scopes_break_a_contract_only_where_they_bind_clients() {
        let holder = client("c").grant("r", "*").scope("users:readonly");
        let org = with_contracts(
            snapshot([holder], [role("r").can("routing:queue:view")]),
            [contract("c", &[VIEW])],
        );
        for scope_enforcement in ScopeEnforcement::ALL {
            let org = Snapshot { settings: Settings { scope_enforcement }, ..org.clone() }.seal();
            let found = audit(&org, &[]);
            assert_eq!(!keys(&found, CHECK).is_empty(), scope_enforcement == ScopeEnforcement::AllGrants);
        }
    }

    #[test]
    fn what_an_unread_role_may_give_is_not_called_missing() {
        let org = with_contracts(snapshot([client("c").grant("gone", "*")], []), [contract("c", &[VIEW])]);
        assert_eq!(keys(&audit(&org, &[]), CHECK), [("c", "", Status::Unknown)]);
    }

    #[test]
    fn a_client_that_acts_as_its_user_may_hold_anything() {
        let org = with_contracts(snapshot([client("c").of_type("CODE")], []), [contract("c", &[VIEW])]);
        assert!(keys(&audit(&org, &[]), CHECK).is_empty());
    }
}
