//! Grants in all divisions, present and future.

use crate::domain::{
    DivisionRef, Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "every-division-grant",
    title: "Client holds no role in every division",
    severity: Severity::Medium,
    rationale: "A grant in all divisions also covers those created later. Divisions separate access only if \
        clients are held to the ones they work in.",
    remediation: "Grant the role in the divisions that the client works in, then remove the grant in all.",
    references: References {
        nist: &["AC-3", "AC-6"],
        cis: &["3.3", "6.8"],
        iso: &["A.5.15", "A.8.3"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.1", "7.2.2"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let divisions = facts.access.snapshot.divisions.as_ref().map_or(0, std::collections::BTreeMap::len);
    let several = divisions > 1 || facts.gap(Fact::Divisions, subject).is_some();
    let catalogue_gap = facts.gap(Fact::Catalogue, subject).is_some();
    let client = &subject.client.name;
    let mut failures = Vec::new();
    for held in &subject.roles {
        let (role, power) = (held.facts.role, held.facts.power);
        // Where no permission of a role is restricted by its division, all divisions mean no more than one.
        let restricted = held.facts.division_aware || (catalogue_gap && !power.listed.is_clear());
        if !several || !restricted || !held.divisions.contains(&&DivisionRef::All) {
            continue;
        }
        failures.push(Failure {
            key: role.id.to_string(),
            title: format!("{client} holds the role {} in every division", role.name),
            evidence: format!(
                "{} The organisation has {divisions} divisions; the grant also covers those added later.",
                facts.grant_sentence(subject, held)
            ),
            next_step: format!(
                "Grant {} to {client} in the divisions that it works in, then remove the grant in all divisions.",
                role.name
            ),
            rests_on: &[Fact::Divisions, Fact::Catalogue],
        });
    }
    failures
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, catalogue_gap, gap, keys},
        finding::Status,
        fixtures::{catalogue, client, role, snapshot},
        snapshot::Snapshot,
        {Fact, Gap},
    };

    fn found(permission: &str, division: &str, divisions: usize, gaps: &[Gap]) -> Vec<Status> {
        let known =
            catalogue(["routing:queue:view", "routing:queue:edit", "audits:audit:view!", "users:user:view"]);
        let mut org = Snapshot {
            catalogue: Some(known),
            ..snapshot([client("c").grant("r", division)], [role("r").can(permission)])
        };
        org.divisions = org.divisions.map(|all| all.into_iter().take(divisions).collect());
        keys(&audit(&org.seal(), gaps), "every-division-grant").iter().map(|key| key.2).collect()
    }

    #[test]
    fn a_grant_in_all_divisions_fails_where_there_are_several() {
        assert_eq!(found("routing:queue:view", "*", 2, &[]), [Status::Fail]);
        assert!(found("routing:queue:view", "*", 1, &[]).is_empty());
        assert!(found("routing:queue:view", "d1", 2, &[]).is_empty());
    }

    #[test]
    fn a_permission_that_no_division_restricts_is_no_wider_in_all() {
        assert!(found("audits:audit:view", "*", 2, &[]).is_empty());
    }

    #[test]
    fn without_the_divisions_or_the_catalogue_it_is_not_known() {
        for gaps in [[gap(Fact::Divisions, None)], [catalogue_gap()]] {
            assert_eq!(found("routing:queue:view", "*", 2, &gaps), [Status::Unknown]);
            assert!(found("routing:queue:view", "d1", 2, &gaps).is_empty(), "one division is one division");
        }
        assert_eq!(found("routing:queue:view", "*", 1, &[gap(Fact::Divisions, None)]), [Status::Unknown]);
        assert_eq!(found("audits:audit:view", "*", 2, &[catalogue_gap()]), [Status::Unknown]);
    }
}
