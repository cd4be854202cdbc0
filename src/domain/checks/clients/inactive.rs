//! Clients that cannot be used, or soon will not exist.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    inventory::ClientState,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "inactive-client",
    title: "Client is in use: not about to be deleted, nor disabled with power left",
    severity: Severity::Low,
    rationale: "A client that is about to be deleted may still be needed by somebody. One that is disabled and \
        keeps its power is one click away from being used again.",
    remediation: "Delete what is not needed; take the roles of what is only parked; restore what is needed.",
    references: References {
        nist: &["AC-2", "AC-2(3)"],
        cis: &["5.3", "5.5"],
        iso: &["A.5.16", "A.5.18"],
        soc2: &["CC6.2", "CC6.3"],
        pci: &["8.2.4", "8.2.6"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let (name, id) = (&client.name, &client.id);
    let nothing: &[Fact] = &[];
    let (title, evidence, next_step, rests_on) = match &client.state {
        ClientState::Active => return Vec::new(),
        ClientState::Inactive => {
            let when = match &client.date_to_delete {
                Some(date) => format!("on {date}"),
                None => "at a date that the record does not say".to_owned(),
            };
            (
                format!("{name} is about to be deleted"),
                format!(
                    "Client {name} ({id}) is inactive: it gets no tokens, and the platform deletes it {when}."
                ),
                format!(
                    "Ask the owner of {name} whether it is still needed, and restore it before that date if so."
                ),
                nothing,
            )
        }
        ClientState::Disabled => {
            let grants_unread = facts.gap(Fact::ClientGrants, subject).is_some();
            if !subject.has_power() && !grants_unread {
                return Vec::new();
            }
            (
                format!("{name} is disabled and keeps its power"),
                format!(
                    "Client {name} ({id}) is disabled and still has its power ({}, {} roles): enabling it is all \
                     it takes.",
                    client.grant_type.as_str(),
                    subject.roles.len() + subject.unseen.len()
                ),
                format!("Delete {name}, or remove its roles and scopes while it is parked."),
                &[Fact::ClientGrants][..],
            )
        }
        ClientState::Other(word) => (
            format!("{name} is in the state {word}"),
            format!(
                "Client {name} ({id}) is in the state {word}, which is neither active nor one that is known."
            ),
            format!("Look at {name} in the platform's administration and decide whether it is still needed."),
            nothing,
        ),
    };
    vec![Failure { key: String::new(), title, evidence, next_step, rests_on }]
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, keys, of_check},
        finding::{Finding, Status},
        fixtures::{client, role, snapshot},
        inventory::{Client, ClientState},
    };

    const CHECK: &str = "inactive-client";

    fn found(state: &str, client: Client) -> Vec<Finding> {
        let client = Client { state: ClientState::from(state.to_owned()), ..client };
        audit(&snapshot([client], [role("r").can("routing:queue:view")]), &[])
    }

    #[test]
    fn a_client_about_to_be_deleted_is_reported_with_the_date() {
        let going = Client { date_to_delete: Some("2026-12-01T00:00:00Z".to_owned()), ..client("c") };
        let found = found("inactive", going);
        assert!(of_check(&found, CHECK)[0].evidence.ends_with("deletes it on 2026-12-01T00:00:00Z."));
    }

    #[test]
    fn a_disabled_client_matters_while_it_holds_power() {
        assert_eq!(keys(&found("disabled", client("c").grant("r", "*")), CHECK), [("c", "", Status::Fail)]);
        assert_eq!(keys(&found("disabled", client("c").of_type("CODE")), CHECK), [("c", "", Status::Fail)]);
        assert!(keys(&found("disabled", client("c")), CHECK).is_empty());
        let unread = Client { grants: None, ..client("c") };
        assert_eq!(keys(&found("disabled", unread), CHECK), [("c", "", Status::Unknown)]);
    }

    #[test]
    fn active_passes_and_a_new_word_does_not() {
        assert!(keys(&found("active", client("c").grant("r", "*")), CHECK).is_empty());
        let unread = Client { grants: None, ..client("c") };
        assert!(keys(&found("active", unread), CHECK).is_empty(), "whatever it holds, it is in use");
        let found = found("deleted", client("c"));
        assert_eq!(of_check(&found, CHECK)[0].title, "Client c is in the state deleted");
    }
}
