//! Answers that are right: every field in our own words.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::{
    DivisionRef, Fact,
    facts::Reading,
    inventory::{ClientState, Grant, GrantType, Policy},
};

const ADMIN: &str = "b1a7f0de-93d5-4a0e-b1d4-54c3c6f0aa11";
const CURATOR: &str = "c2b8a1ef-04e6-4b1f-a2e5-65d4d7a1bb22";
const SOUTH: &str = "5e1c4b3a-7a2b-4c8d-9e0f-112233445566";
const HOME: &str = "4d0b3a29-6b1a-4b7c-8d9e-001122334455";

fn grant(role: &str, division: DivisionRef) -> Grant {
    Grant { division, role: role.into() }
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[tokio::test]
async fn clients_are_read_as_recorded() {
    let facts = Platform::start().await.gather().await.unwrap();
    let clients = facts.clients;
    let first = &clients[0];
    assert_eq!(first.id.as_str(), "0b6d9c52-5f0e-4f57-8a52-1d0e3c1f7a02");
    assert_eq!(
        (first.name.as_str(), first.description.as_str()),
        ("Dialer feed", "Loads call lists every morning")
    );
    assert_eq!(first.grant_type, GrantType::ClientCredentials);
    assert_eq!(first.token_lifetime_s, Some(3600));
    assert_eq!(first.created_by.as_deref(), Some("9f8e7d6c-0000-4000-8000-00000000abcd"));
    assert_eq!(first.date_created.as_deref(), Some("2023-01-17T06:15:00.000Z"));
    let expected = [
        grant(ADMIN, DivisionRef::All),
        grant(CURATOR, DivisionRef::One(SOUTH.into())),
        grant("d3c9b2fa-15f7-4c2a-93f6-76e5e8b2cc33", DivisionRef::Unknown),
    ];
    assert_eq!(first.grants, Some(expected.into()));

    let second = &clients[1];
    assert_eq!((&second.grant_type, &second.state), (&GrantType::Code, &ClientState::Active));
    assert_eq!(second.scopes, set(&["routing", "users:readonly"]));
    assert_eq!(second.redirect_uris, set(&["https://panel.example.org/back"]));
    assert_eq!(second.grants, Some(BTreeSet::new()));
    assert_eq!((second.description.as_str(), second.token_lifetime_s), ("", None));

    assert_eq!(clients[2].state, ClientState::Inactive);
    assert_eq!(clients[2].date_to_delete.as_deref(), Some("2026-12-01T00:00:00.000Z"));
    assert_eq!(clients[3].grants, Some([grant(ADMIN, DivisionRef::Unknown)].into()));
    assert_eq!(clients[5].grant_type, GrantType::Other("DEVICE-CODE".to_owned()));
    assert_eq!(clients[5].state, ClientState::Other("quarantined".to_owned()));
}

#[tokio::test]
async fn a_record_without_its_grants_is_a_gap_and_not_powerless() {
    let facts = Platform::start().await.gather().await.unwrap();
    assert_eq!(facts.clients[4].grants, None);
    let [gap] = facts.gaps.as_slice() else { panic!("{:?}", facts.gaps) };
    assert_eq!((gap.fact, gap.reason.as_str()), (Fact::ClientGrants, "not_returned"));
    assert_eq!(gap.subject.as_deref(), Some("4fab3a96-9d4c-4d9b-8e96-5b4c7a5dbe46"));
}

#[tokio::test]
async fn roles_are_merged_by_condition() {
    let roles = Platform::start().await.gather().await.unwrap().roles;
    assert_eq!(roles[0].id.as_str(), ADMIN);
    assert_eq!((roles[0].is_default, roles[0].default_role_id.as_deref()), (true, Some("admin")));
    assert_eq!(roles[0].general, set(&["admin"]));

    let condition = r#"{"conjunction":"AND","terms":[{"operands":[{"queue":{"id":"77aa0000-0000-4000-8000-000000000001"},"type":"QUEUE"}],"operator":"EQ","variableName":"Conversation.queues"}]}"#;
    let policy = |domain: &str, entity: &str, actions: &[&str], condition: Option<&str>| Policy {
        actions: set(actions),
        condition: condition.map(str::to_owned),
        domain: domain.to_owned(),
        entity: entity.to_owned(),
    };
    let expected = [
        policy("recording", "recording", &["delete", "view"], Some(condition)),
        policy("recording", "recording", &["export"], None),
        policy("routing", "queue", &["search", "view"], None),
    ];
    assert_eq!(roles[1].policies, expected.into());
    assert_eq!(roles[1].general, set(&["group_creation"]));
}

#[tokio::test]
async fn optional_facts_are_read() {
    let facts = Platform::start().await.gather().await.unwrap();
    let Reading::Seen(divisions) = facts.divisions else { panic!("{:?}", facts.divisions) };
    let seen: Vec<_> =
        divisions.divisions.iter().map(|division| (division.id.as_str(), division.home)).collect();
    assert_eq!(seen, [(HOME, true), (SOUTH, false)]);
    let counts = [("USER".to_owned(), 12), ("QUEUE".to_owned(), 3)].into();
    assert_eq!(divisions.object_counts, BTreeMap::from([(SOUTH.into(), counts)]));

    let Reading::Seen(catalogue) = facts.catalogue else { panic!("{:?}", facts.catalogue) };
    let names: Vec<_> = catalogue.permissions.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "authorization:role:view",
            "recording:recording:delete",
            "recording:recording:export",
            "recording:recording:view",
            "routing:queue:search",
            "routing:queue:view"
        ]
    );
    let view = catalogue.permissions["recording:recording:view"];
    assert!(view.allows_conditions && view.division_aware);
    assert!(!catalogue.permissions["recording:recording:export"].division_aware);

    let Reading::Seen(own) = facts.own_grants else { panic!("{:?}", facts.own_grants) };
    let south = DivisionRef::One(SOUTH.into());
    assert_eq!(own.divisions, [DivisionRef::All, DivisionRef::Unknown, south.clone()].into());
    assert_eq!(own.permissions["oauth:client:view"], [DivisionRef::All].into());
    assert_eq!(own.permissions["authorization:role:view"], [south].into());
    assert_eq!(facts.api_calls, 6);
}

#[tokio::test]
async fn the_organisation_names_itself() {
    let platform = Platform::start().await;
    let organisation = platform.collector().organisation(now()).await.unwrap();
    assert_eq!(organisation.id, "0a0a0a0a-0000-4000-8000-00000000beef");
    assert_eq!(organisation.name, "Acme Contact Ltd");
}
