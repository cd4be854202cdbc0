//! Permissions whose answers stay ids, because the permission that resolves them is not held.

use super::some;
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "implied-permission-missing",
    title: "Client holds the permissions that resolve the ids it can read",
    severity: Severity::Low,
    rationale: "An answer that names people or queues by id only is of little use to a client that cannot look them up. \
        When somebody notices, far more than the one missing permission is often granted.",
    remediation: "Grant the companion if the client has to show names; mute the finding if it does not.",
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
    // A role that was not read may give it.
    if !subject.unseen.is_empty() {
        return Vec::new();
    }
    let holds =
        |permission: usize| subject.roles.iter().any(|held| held.facts.power.matched.contains(permission));
    let lacking: Vec<_> = (facts.companions.iter())
        .filter(|companion| holds(companion.when) && !holds(companion.needs))
        .collect();
    let Some(first) = lacking.first() else { return Vec::new() };
    let mut names: Vec<&str> =
        lacking.iter().map(|companion| facts.access.universe.name(companion.needs)).collect();
    names.sort_unstable();
    names.dedup();
    let client = subject.client;
    let when = facts.access.universe.name(first.when);
    vec![Failure {
        key: String::new(),
        title: format!(
            "{} reads ids that it cannot resolve: it lacks {}",
            client.name,
            some(names.iter().copied())
        ),
        evidence: format!(
            "Client {} ({}) holds {when} without {}: {}.",
            client.name,
            client.id,
            facts.access.universe.name(first.needs),
            first.reason
        ),
        next_step: format!(
            "Ask the owner of {} whether it has to show names; if so, grant {}.",
            client.name,
            some(names.iter().copied())
        ),
        rests_on: &[Fact::Catalogue],
    }]
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, catalogue_gap, keys, of_check},
        finding::Status,
        fixtures::{catalogue, client, role, snapshot},
        inventory::Role,
        snapshot::Snapshot,
    };

    const CHECK: &str = "implied-permission-missing";

    fn org(role: Role) -> Snapshot {
        let known = catalogue(["analytics:userDetail:view", "directory:user:view", "audits:audit:view"]);
        let org = snapshot([client("c").grant("r", "*")], [role]);
        Snapshot { catalogue: Some(known), ..org }.seal()
    }

    #[test]
    fn ids_that_cannot_be_resolved_are_one_finding() {
        let found = audit(&org(role("r").can("analytics:userDetail:view").can("audits:audit:view")), &[]);
        assert_eq!(keys(&found, CHECK), [("c", "", Status::Fail)]);
        let finding = of_check(&found, CHECK)[0];
        assert_eq!(finding.title, "Client c reads ids that it cannot resolve: it lacks directory:user:view");
        assert!(
            finding.evidence.contains("holds analytics:userDetail:view without directory:user:view: POST")
        );
    }

    #[test]
    fn whoever_holds_the_companion_passes() {
        for role in [
            role("r").can("analytics:userDetail:view").can("directory:user:view"),
            role("r").can("analytics:*:*").can("directory:*:view"),
            role("r").general("admin"),
            role("r").can("directory:user:view"),
        ] {
            assert!(keys(&audit(&org(role), &[]), CHECK).is_empty());
        }
    }

    #[test]
    fn a_companion_that_the_organisation_lacks_is_not_asked_for() {
        // Presences: the catalogue has no permission for them.
        let found = audit(&org(role("r").can("analytics:userDetail:view").can("directory:user:view")), &[]);
        assert!(keys(&found, CHECK).is_empty());
    }

    #[test]
    fn without_the_catalogue_and_with_an_unread_role_it_is_open() {
        let org = org(role("r").can("analytics:userDetail:view"));
        assert_eq!(keys(&audit(&org, &[catalogue_gap()]), CHECK), [("c", "", Status::Unknown)]);
        let holder = client("c").grant("r", "*").grant("gone", "*");
        let org = Snapshot { clients: [(holder.id.clone(), holder)].into(), ..org }.seal();
        assert_eq!(keys(&audit(&org, &[]), CHECK), [("c", "", Status::Unknown)]);
    }
}
