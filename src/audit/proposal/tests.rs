//! Files of each kind against a small organisation: what follows, what is said, what is refused.

use serde_json::{Value, json};

use super::*;
use crate::domain::{
    Severity, drift,
    event::{Event, Gain},
    fixtures::{client, role, snapshot},
};

fn org() -> Snapshot {
    let mut org = snapshot(
        [
            client("c1").grant("r1", "*"),
            client("c2").grant("r1", "d1").grant("r2", "d1"),
            client("u").of_type("CODE").scope("users:readonly"),
        ],
        [role("r1").can("routing:queue:view"), role("r2").can("routing:queue:edit")],
    );
    org.clients.get_mut("c1").unwrap().created_by = Some("somebody".to_owned());
    org.seal()
}

fn proposed(file: &Value) -> Proposal {
    read(&org(), file.to_string().as_bytes()).unwrap()
}

fn events(proposal: &Proposal) -> Vec<(Event, Option<Severity>)> {
    drift::with_gains("acme", "what-if", &org(), &proposal.after)
}

/// (client, gained, lost) of the only event.
fn moved(proposal: &Proposal) -> Vec<(String, Vec<String>, Vec<String>)> {
    let found = events(proposal);
    assert_eq!(found.len(), 1, "{found:?}");
    let names = |gains: &[Gain]| gains.iter().map(|gain| gain.permission.clone()).collect::<Vec<_>>();
    let clients = found[0].0.clients.iter();
    clients.map(|client| (client.id.to_string(), names(&client.gained), names(&client.lost))).collect()
}

fn policies(names: &[&str]) -> Value {
    let policy = |name: &&str| {
        let parts: Vec<&str> = name.split(':').collect();
        json!({ "domain": parts[0], "entityName": parts[1], "actionSet": [parts[2]] })
    };
    names.iter().map(policy).collect()
}

#[test]
fn a_role_is_matched_by_its_id_or_its_name_and_replaces_what_was() {
    for who in
        [json!({ "id": "r1" }), json!({ "name": "Role r1" }), json!({ "id": "gone", "name": "Role r1" })]
    {
        let mut file = who.clone();
        file["permissionPolicies"] = policies(&["routing:queue:add"]);
        let proposal = proposed(&file);
        let gained = |client: &str| {
            (client.to_owned(), vec!["routing:queue:add".to_owned()], vec!["routing:queue:view".to_owned()])
        };
        assert_eq!(moved(&proposal), [gained("c1"), gained("c2")], "{file}");
        assert_eq!(proposal.notes.len(), usize::from(who["id"] == "gone"), "{:?}", proposal.notes);
        assert_eq!(events(&proposal)[0].1, Some(Severity::Medium));
    }
}

#[test]
fn a_new_role_reaches_nobody_and_says_that_it_is_new() {
    let proposal =
        proposed(&json!({ "name": "Fresh", "permissionPolicies": policies(&["oauth:client:add"]) }));
    assert_eq!(moved(&proposal), []);
    assert_eq!(proposal.notes, ["the role Fresh is new"]);
    assert_eq!(events(&proposal)[0].1, None, "nobody holds it");
}

#[test]
fn a_client_keeps_what_a_request_cannot_say() {
    let request = json!({
        "name": "Client c1",
        "authorizedGrantType": "CLIENT-CREDENTIALS",
        "description": "a client",
        "roleDivisions": [{ "roleId": "r1", "divisionId": "*" }, { "roleId": "r2", "divisionId": "*" }],
    });
    let proposal = proposed(&request);
    assert_eq!(moved(&proposal), [("c1".to_owned(), vec!["routing:queue:edit".to_owned()], Vec::new())]);
    let kinds = &events(&proposal)[0].0.cause.kinds;
    assert_eq!(kinds.len(), 1, "nothing but its grants: {kinds:?}");
}

#[test]
fn a_new_client_is_one_event_with_all_that_it_gets() {
    let request = json!({
        "name": "Newcomer",
        "authorizedGrantType": "CLIENT_CREDENTIALS",
        "roleIds": ["r2", "no-such-role"],
    });
    let proposal = proposed(&request);
    assert_eq!(
        moved(&proposal),
        [("(new) Newcomer".to_owned(), vec!["routing:queue:edit".to_owned()], Vec::new())]
    );
    assert!(
        proposal.notes.iter().any(|note| note.contains("no-such-role, which is not recorded")),
        "{:?}",
        proposal.notes
    );
}

#[test]
fn new_scopes_of_a_client_that_acts_as_its_user_are_a_gain() {
    let request = |scopes: &[&str]| {
        json!({
            "id": "u", "name": "Client u", "authorizedGrantType": "CODE", "description": "a client", "scope": scopes,
        })
    };
    for (scopes, gain) in [
        (&["users:readonly"][..], None),
        (&[], None),
        (&["users"], Some(Severity::Medium)),
        (&["all"], Some(Severity::High)),
    ] {
        let found = events(&proposed(&request(scopes)));
        assert_eq!(found.iter().filter_map(|(_, gain)| *gain).max(), gain, "{scopes:?}");
    }
}

fn plan() -> Value {
    let text = include_str!("../../../tests/fixtures/terraform/plan.json").replace("{reporting-role}", "r1");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_plan_changes_roles_and_clients_and_finds_the_role_that_it_creates() {
    let proposal = proposed(&plan());
    assert_eq!(proposal.ignored, 1, "a queue is created; what is only read or stays is no change");
    let role = &proposal.after.roles["r1"];
    assert!(role.policies.iter().any(|policy| policy.domain == "directory"));
    let recording = role.policies.iter().find(|policy| policy.domain == "recording").unwrap();
    assert_eq!(
        recording.condition.as_deref(),
        Some(
            r#"{"conjunction":"AND","terms":[{"operands":[{"queue":{"id":"99990000-0000-4000-8000-000000000099"},"type":"QUEUE"}],"operator":"EQ","variableName":"Conversation.queues"}]}"#
        )
    );
    let newcomer = &proposal.after.clients["(new) Surveys_Prod"];
    let grants: Vec<String> =
        newcomer.grants().map(|grant| format!("{} in {}", grant.role, grant.division)).collect();
    assert_eq!(grants, ["(new) surveys-prod in *", "r1 in home"]);
    assert!(proposal.notes.is_empty(), "{:?}", proposal.notes);
    assert!(!format!("{proposal:?}").contains("canary"), "a secret was decoded");
}

#[test]
fn what_is_known_only_after_apply_is_said_and_not_guessed() {
    let mut open = plan();
    open["configuration"] = Value::Null;
    let proposal = proposed(&open);
    assert_eq!(
        proposal.notes,
        ["genesyscloud_oauth_client.surveys: 1 of its roles are known only after apply, and left out"]
    );
    assert_eq!(proposal.after.clients["(new) Surveys_Prod"].grants().count(), 1);

    let mut open = plan();
    let role = &mut open["resource_changes"][0]["change"];
    role["after"].as_object_mut().unwrap().remove("permission_policies");
    role["after_unknown"]["permission_policies"] = json!(true);
    let proposal = proposed(&open);
    assert_eq!(proposal.after.roles["r1"].policies, org().roles["r1"].policies, "as recorded");
    assert!(
        proposal.notes[0].contains("permission_policies is known only after apply; what is recorded stays")
    );

    let mut open = plan();
    open["resource_changes"][0]["change"]["after_unknown"]["permission_policies"][3]["action_set"] =
        json!([true, false]);
    let proposal = proposed(&open);
    assert!(!proposal.after.roles["r1"].policies.iter().any(|policy| policy.domain == "directory"));
    assert!(
        proposal.notes[0].contains("a policy on directory:user is known only after apply"),
        "{:?}",
        proposal.notes
    );
}

#[test]
fn a_client_keeps_what_is_known_only_after_apply() {
    let mut org = org();
    let client = org.clients.get_mut("c1").unwrap();
    client.token_lifetime_s = Some(600);
    client.description = "kept".to_owned();
    let name = client.name.clone();
    let plan = json!({ "resource_changes": [{
        "address": "x.y", "mode": "managed", "type": "genesyscloud_oauth_client",
        "change": {
            "actions": ["update"],
            "before": { "id": "c1" },
            "after": { "id": "c1", "name": name, "authorized_grant_type": "CLIENT-CREDENTIALS", "roles": [] },
            "after_unknown": { "access_token_validity_seconds": true, "description": true },
        },
    }]});
    let proposal = read(&org.seal(), plan.to_string().as_bytes()).unwrap();
    let client = &proposal.after.clients["c1"];
    assert_eq!((client.token_lifetime_s, client.description.as_str()), (Some(600), "kept"));
    for field in ["access_token_validity_seconds", "description"] {
        let said = format!("x.y: {field} is known only after apply; what is recorded stays");
        assert!(proposal.notes.contains(&said), "{:?}", proposal.notes);
    }
}

#[test]
fn what_a_plan_deletes_is_gone_with_its_grants() {
    let delete = |kind: &str, id: &str| {
        json!({ "resource_changes": [{
            "address": "x.y", "mode": "managed", "type": kind,
            "change": { "actions": ["delete"], "before": { "id": id }, "after": null },
        }]})
    };
    let without_role = proposed(&delete("genesyscloud_auth_role", "r1"));
    assert!(!without_role.after.roles.contains_key("r1"));
    assert_eq!(without_role.after.clients["c1"].grants().count(), 0);
    let without_client = proposed(&delete("genesyscloud_oauth_client", "c2"));
    assert_eq!(moved(&without_client)[0].2, ["routing:queue:edit", "routing:queue:view"]);
}

#[test]
fn a_plan_without_roles_and_clients_says_so() {
    let proposal = proposed(&json!({ "resource_changes": [], "planned_values": {} }));
    assert_eq!(
        proposal.notes,
        ["the plan changes no genesyscloud_auth_role and no genesyscloud_oauth_client"]
    );
    assert!(events(&proposal).is_empty());
}

#[test]
fn a_file_that_is_no_proposal_is_refused_with_what_to_do() {
    let mut twins = org();
    let mut twin = role("r9");
    twin.name = "Role r1".to_owned();
    twins.roles.insert(twin.id.clone(), twin);
    for (text, said) in [
        ("", "the file is empty"),
        ("{\"permissions\": [", "the file is cut off at line 1"),
        ("name: role", "the file is not JSON"),
        ("[]", "the file should be an object, is a list"),
        ("{\"name\": \"x\"}", "neither a role"),
        ("{\"@level\": \"info\"}", "terraform show -json PLAN"),
        ("{\"format_version\": \"1.0\", \"values\": {}}", "a Terraform state"),
        ("PK\u{3}\u{4}zip", "Terraform's own form"),
        ("{\"resource_changes\": {}}", "the plan cannot be read"),
        ("{\"resource_changes\": [], \"errored\": true}", "ended with an error"),
        ("{\"name\": \"Role r1\", \"permissions\": []}", "2 roles are named \"Role r1\""),
        ("{\"id\": \"unknown\", \"permissions\": []}", "the role has no name"),
        (
            "{\"name\": \"x\", \"authorizedGrantType\": \"CLIENT-CREDENTIALS\"}",
            "neither roleDivisions nor roleIds",
        ),
        (
            "{\"name\": \"x\", \"authorizedGrantType\": \"CODE\", \"scope\": \"secret-canary\"}",
            "scope should be a list",
        ),
        (
            "{\"resource_changes\": [{\"address\": \"a.b\", \"type\": \"genesyscloud_auth_role\", \"change\": \
             {\"actions\": [\"update\"], \"before\": {\"id\": \"r1\"}, \"after\": {\"name\": 7}}}]}",
            "a.b does not have the fields of genesyscloud_auth_role",
        ),
    ] {
        let error = read(&twins, text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
