//! Roles that several clients hold.

use crate::domain::{
    Fact, Severity,
    checks::{Check, FINDINGS_LIMIT, Facts, Failure, References, Subject, facts::list},
    inventory::{Client, Role},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "shared-role",
    title: "Client shares no role with another client",
    severity: Severity::Low,
    rationale: "A permission added for one client reaches all that share its role. With a role each, a change \
        reaches the client that it was made for.",
    remediation: "Give each client a role of its own.",
    references: References {
        nist: &["AC-2", "AC-6"],
        cis: &["6.8"],
        iso: &["A.5.15", "A.5.18"],
        soc2: &["CC6.3"],
        pci: &["7.2.5"],
    },
    // Whose grants could not be read is not counted; that client has a finding of its own.
    needs: &[Fact::Clients, Fact::ClientGrants],
    evaluate,
};

/// Who holds a role, if more than one client does: the same sentence for each of them.
pub(in crate::domain::checks) fn holders(role: &Role, held_by: &[&Client]) -> Option<String> {
    (held_by.len() > 1).then(|| {
        let names = list(held_by.iter().map(|client| (client.name.as_str(), &client.id)), FINDINGS_LIMIT);
        format!("Role {} ({}) is held by {} clients: {names}.", role.name, role.id, held_by.len())
    })
}

fn evaluate(_: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = &subject.client.name;
    (subject.roles.iter())
        .filter_map(|held| {
            let role = held.facts.role;
            Some(Failure {
                key: role.id.to_string(),
                evidence: held.facts.shared.clone()?,
                title: format!("{client} shares the role {} with other clients", role.name),
                next_step: format!(
                    "Give {client} a role of its own with the permissions of {} that it uses.",
                    role.name
                ),
                rests_on: &[],
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, keys, of_check},
        finding::Status,
        fixtures::{client, role, snapshot},
    };

    #[test]
    fn every_holder_of_a_shared_role_is_told_who_the_others_are() {
        let clients = (0..12).map(|at| client(&format!("c{at:02}")).grant("r", "home").grant("r", "d1"));
        let org = snapshot(clients.chain([client("own").grant("s", "*")]), [role("r"), role("s")]);
        let found = audit(&org, &[]);
        assert_eq!(keys(&found, "shared-role").len(), 12);
        let evidence = &of_check(&found, "shared-role")[0].evidence;
        assert!(
            evidence.starts_with("Role Role r (r) is held by 12 clients: Client c00 (c00), "),
            "{evidence}"
        );
        assert!(evidence.ends_with("Client c09 (c09), and 2 more."), "{evidence}");
    }

    #[test]
    fn a_role_in_two_divisions_is_not_shared_with_oneself() {
        let org = snapshot(
            [client("c").grant("r", "home").grant("r", "d1").grant("s", "home")],
            [role("r"), role("s")],
        );
        assert!(keys(&audit(&org, &[]), "shared-role").is_empty());
    }

    #[test]
    fn a_client_that_acts_as_a_user_is_no_holder() {
        let user = client("u").of_type("CODE").grant("r", "*");
        let org = snapshot([client("c").grant("r", "*"), user], [role("r")]);
        assert!(keys(&audit(&org, &[]), "shared-role").is_empty());
    }

    #[test]
    fn a_client_whose_grants_were_not_read_may_share() {
        let mut unread = client("c");
        unread.grants = None;
        assert_eq!(keys(&audit(&snapshot([unread], []), &[]), "shared-role"), [("c", "", Status::Unknown)]);
    }
}
