//! Clients that can make themselves stronger: by a way that is stated, or by one that is assumed.

use crate::domain::{
    Fact, Severity,
    access::escalation::{Goal, Path, Standing},
    checks::{Check, Facts, Failure, References, Subject},
};

const REFERENCES: References = References {
    nist: &["AC-6(1)", "AC-6(5)", "AC-5"],
    cis: &["5.4", "6.8"],
    iso: &["A.8.2", "A.5.3"],
    soc2: &["CC6.1", "CC6.3"],
    pci: &["7.2.2", "7.2.5"],
};

pub(in crate::domain::checks) const STATED: Check = Check {
    id: "escalation",
    title: "Client cannot make itself stronger than its roles",
    severity: Severity::Critical,
    rationale: "A client that can change roles, give them, or sign in as somebody else is an administrator in all but \
        name: whoever has its secret takes the rest in one or two calls.",
    remediation: "Take the permission out of the client's role; let a person, or a client that does nothing else, do \
        that part.",
    references: REFERENCES,
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate: stated,
};

pub(in crate::domain::checks) const ASSUMED: Check = Check {
    id: "possible-escalation",
    title: "Client has no likely way to make itself stronger than its roles",
    severity: Severity::Medium,
    rationale: "Some permissions make a client stronger where something is so that the platform's interfaces do not \
        show: a trusted organisation, or a condition that is met.",
    remediation: "Find out whether what the finding names is so; if it is, take the permission out of the client's role.",
    references: REFERENCES,
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate: assumed,
};

fn stated(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let standing = facts.escalation.of(subject.client);
    standing.stated.as_ref().map(|path| failure(facts, subject, &standing, path)).into_iter().collect()
}

fn assumed(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let standing = facts.escalation.of(subject.client);
    standing.assumed.as_ref().map(|path| failure(facts, subject, &standing, path)).into_iter().collect()
}

fn failure(facts: &Facts<'_>, subject: &Subject<'_>, standing: &Standing<'_>, path: &Path<'_>) -> Failure {
    let client = &subject.client.name;
    let permissions = path.permissions().join(" and ");
    let end = match path.goal {
        Goal::Everything => "everything",
        Goal::EveryRole => "what all roles give",
    };
    let mut evidence: Vec<String> = (subject.roles.iter())
        .filter(|held| path.roles().any(|role| role == held.facts.role.id.as_str()))
        .take(3)
        .map(|held| facts.grant_sentence(subject, held).to_owned())
        .collect();
    evidence.push(format!("{}.", path.sentence()));
    evidence.extend(path.provisos());
    evidence.push(format!("Known from: {}.", path.source()));
    if !standing.others.is_empty() {
        evidence.push(format!("Other ways: {}.", standing.others.join(", ")));
    }
    match standing.could_become {
        0 => {}
        1 => evidence.push("It could then act as 1 other client.".to_owned()),
        count => evidence.push(format!("It could then act as {count} other clients.")),
    }
    Failure {
        key: String::new(),
        title: format!("{client} can reach {end} by {permissions}"),
        evidence: evidence.join(" "),
        next_step: format!(
            "Ask the owner of {client} whether it needs {permissions}; if not, take it out of its role, else let nothing \
             else have its secret."
        ),
        rests_on: &[],
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact,
        checks::tests::{audit, gap, keys, of_check},
        finding::Status,
        fixtures::{client, role, snapshot},
        inventory::Role,
        snapshot::Snapshot,
    };

    fn org(role: Role) -> Snapshot {
        snapshot(
            [client("c").grant("r", "d1"), client("other").grant("s", "*")],
            [role, crate::domain::fixtures::role("s").can("routing:queue:view")],
        )
    }

    #[test]
    fn a_stated_way_is_one_critical_finding_with_the_path_in_words() {
        let found = audit(&org(role("r").can("authorization:role:edit")), &[]);
        assert_eq!(keys(&found, "escalation"), [("c", "", Status::Fail)]);
        assert!(keys(&found, "possible-escalation").is_empty());
        let finding = of_check(&found, "escalation")[0];
        assert_eq!(finding.title, "Client c can reach everything by authorization:role:edit");
        assert!(
            finding.evidence.contains(
                "Client c holds authorization:role:edit by the role Role r, so it may change the permissions of any \
                 role, Role r included, and thereby give itself everything."
            ),
            "{}",
            finding.evidence
        );
        assert!(finding.evidence.ends_with("It could then act as 1 other client."), "{}", finding.evidence);
    }

    #[test]
    fn an_assumed_way_or_a_condition_is_the_milder_finding() {
        for role in [
            role("r").can("authorization:orgTrusteeUser:edit"),
            role("r").can_if("authorization:role:edit", "{}"),
        ] {
            let found = audit(&org(role), &[]);
            assert!(keys(&found, "escalation").is_empty());
            assert_eq!(keys(&found, "possible-escalation"), [("c", "", Status::Fail)]);
            assert!(of_check(&found, "possible-escalation")[0].evidence.contains("assumed"));
        }
    }

    #[test]
    fn an_ordinary_client_an_administrator_and_a_users_client_pass() {
        let admin = role("r").general("admin").can("authorization:role:edit");
        for role in [admin, role("r").can("oauth:client:edit").can("authorization:role:add"), role("r")] {
            let found = audit(&org(role), &[]);
            assert!(keys(&found, "escalation").is_empty() && keys(&found, "possible-escalation").is_empty());
        }
        let user = snapshot(
            [client("c").of_type("CODE").grant("r", "*").scope("all")],
            [role("r").can("authorization:role:edit")],
        );
        assert!(keys(&audit(&user, &[]), "escalation").is_empty());
    }

    #[test]
    fn what_was_not_read_is_not_a_pass() {
        let org = org(role("r").can("routing:queue:view"));
        for gap in [gap(Fact::ClientGrants, Some("c")), gap(Fact::Roles, Some("r"))] {
            let found = audit(&org, &[gap]);
            for check in ["escalation", "possible-escalation"] {
                assert_eq!(keys(&found, check), [("c", "", Status::Unknown)], "{check}");
            }
        }
    }
}
