//! Clients that nobody described.

use crate::domain::{
    Fact, Severity,
    access::acts_by_roles,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "missing-description",
    title: "Client with power has a description",
    severity: Severity::Low,
    rationale: "When a client must be judged, changed or cut off in a hurry, the description says what it is for \
        and whom to ask.",
    remediation: "Write what the client is for and who owns it into its description.",
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

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let grants_unread = facts.gap(Fact::ClientGrants, subject).is_some();
    if !client.description.trim().is_empty() || !(subject.has_power() || grants_unread) {
        return Vec::new();
    }
    let power = match acts_by_roles(client) {
        true if grants_unread => "may hold roles".to_owned(),
        true => format!("holds {} roles", subject.roles.len() + subject.unseen.len()),
        false => format!("acts as its users ({})", client.grant_type.as_str()),
    };
    vec![Failure {
        key: String::new(),
        title: format!("{} has no description", client.name),
        evidence: format!("Client {} ({}) {power} and its description is empty.", client.name, client.id),
        next_step: format!("Write what {} is for and who owns it into its description.", client.name),
        rests_on: &[Fact::ClientGrants],
    }]
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, keys},
        finding::Status,
        fixtures::{client, role, snapshot},
        inventory::Client,
    };

    fn found(description: &str, mut client: Client) -> Vec<Status> {
        description.clone_into(&mut client.description);
        let org = snapshot([client], [role("r").can("routing:queue:view"), role("empty")]);
        keys(&audit(&org, &[]), "missing-description").iter().map(|key| key.2).collect()
    }

    #[test]
    fn a_client_with_power_needs_one() {
        assert_eq!(found("", client("c").grant("r", "*")), [Status::Fail]);
        assert_eq!(found(" \n", client("c").grant("r", "*")), [Status::Fail]);
        assert_eq!(found("", client("c").of_type("CODE")), [Status::Fail], "it has the power of its users");
        assert_eq!(found("", client("c").grant("unseen", "*")), [Status::Fail]);
    }

    #[test]
    fn without_power_or_with_a_description_it_passes() {
        assert!(found("reports, bi@example.com", client("c").grant("r", "*")).is_empty());
        assert!(found("", client("c")).is_empty());
        assert!(found("", client("c").grant("empty", "*")).is_empty());
    }

    #[test]
    fn only_an_empty_description_is_left_open_by_unread_grants() {
        let unread = Client { grants: None, ..client("c") };
        assert_eq!(found("", unread.clone()), [Status::Unknown]);
        assert!(found("reports", unread).is_empty());
    }
}
