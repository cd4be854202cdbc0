//! Roles that the platform ships and changes by itself.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "default-role",
    title: "Client holds only roles made for it, none that the platform ships",
    severity: Severity::Medium,
    rationale: "The platform may add permissions to the roles that it ships, so such a client grows without \
        anybody deciding it; and the roles are made for people, not for programs.",
    remediation: "Create a role with the permissions that the client uses, grant it, then remove the shipped role.",
    references: References {
        nist: &["AC-6", "CM-6"],
        cis: &["4.7", "6.8"],
        iso: &["A.5.15", "A.5.18"],
        soc2: &["CC6.3"],
        pci: &["7.2.5", "2.2.1"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = &subject.client.name;
    (subject.roles.iter())
        .filter(|held| held.facts.role.is_default)
        .map(|held| {
            let role = held.facts.role;
            Failure {
                key: role.id.to_string(),
                title: format!("{client} holds {}, a role that the platform ships", role.name),
                evidence: format!(
                    "{} It gives {} permissions today, and the platform may add to it.",
                    facts.grant_sentence(subject, held),
                    held.facts.power.listed.count_ones(..)
                ),
                next_step: format!(
                    "Create a role for {client} with the permissions of {} that it uses, grant it, then remove {}.",
                    role.name, role.name
                ),
                rests_on: &[],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, keys},
        finding::Status,
        fixtures::{client, role, snapshot},
    };

    #[test]
    fn only_the_shipped_role_is_reported() {
        let holder = client("c").grant("own", "*").grant("shipped", "home").grant("shipped", "d1");
        let org = snapshot([holder], [role("own"), role("shipped").shipped().can("routing:queue:view")]);
        assert_eq!(keys(&audit(&org, &[]), "default-role"), [("c", "shipped", Status::Fail)]);
    }

    #[test]
    fn a_role_that_was_not_seen_may_be_a_shipped_one() {
        let org = snapshot([client("c").grant("gone", "*")], []);
        assert_eq!(keys(&audit(&org, &[]), "default-role"), [("c", "", Status::Unknown)]);
    }
}
