//! Answers that are wrong: what is said of each, and that none is quoted or panics.

use proptest::prelude::*;

use super::*;
use crate::{
    collect::{
        refusal as refusals,
        wire::{self, json as decoding},
    },
    domain::facts::Reading,
};

/// A broken answer, and exactly what is said of it. Mandatory facts fail the audit, optional ones leave a gap.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn every_broken_answer_has_its_message() {
    use Endpoint::{Clients, Divisions, OwnSubject, Permissions, Roles, Token};
    let entity = |record: Value| json!({"entities": [record]}).to_string();
    let client = |key: &str, value: Value| {
        let mut record = client_record("c1");
        record[key] = value;
        entity(record)
    };
    let policy = |policy: Value| entity(json!({"id": "r1", "permissionPolicies": [policy]}));
    let condition = |node: Value| {
        policy(json!({"domain": "d", "entityName": "e", "actionSet": ["a"], "resourceConditionNode": node}))
    };
    let deep = (0..200).fold(json!("end"), |inner, _| json!({"terms": [inner]}));
    let cases: Vec<(Endpoint, String, &str)> = vec![
        (Token, String::new(), "the body is empty"),
        (Token, "<html>".to_owned(), "the body is not JSON at line 1, column 1"),
        (Token, "{}".to_owned(), "access_token is missing"),
        (Token, r#"{"access_token":17}"#.to_owned(), "access_token should be a string, is a number"),
        (Token, r#"{"access_token":""}"#.to_owned(), "access_token is an empty string"),
        (
            Token,
            r#"{"access_token":"a\nb"}"#.to_owned(),
            "access_token holds a character that a header cannot carry",
        ),
        (
            Token,
            r#"{"access_token":"t","expires_in":"1h"}"#.to_owned(),
            "expires_in should be a whole number, is a string",
        ),
        (Token, r#"{"access_token":"t","expires_in":-1}"#.to_owned(), "expires_in is a negative number"),
        (Clients, " \n".to_owned(), "the body is empty"),
        (Clients, "null".to_owned(), "the body should be an object, is null"),
        (Clients, "[]".to_owned(), "the body should be an object, is a list"),
        (Clients, "{}".to_owned(), "entities is missing"),
        (Clients, r#"{"entities":null}"#.to_owned(), "entities is missing"),
        (Clients, r#"{"entities":{}}"#.to_owned(), "entities should be a list, is an object"),
        (Clients, r#"{"entities":[null]}"#.to_owned(), "entities[0] should be an object, is null"),
        (Clients, r#"{"entities":["#.to_owned(), "the body is cut off at line 1, column 13"),
        (Clients, r#"{"entities":[]} x"#.to_owned(), "the body is not JSON at line 1, column 17"),
        (Clients, r#"{"entities":[],"total":"3"}"#.to_owned(), "total should be a whole number, is a string"),
        (Clients, r#"{"entities":[],"pageCount":-1}"#.to_owned(), "pageCount is a negative number"),
        (
            Clients,
            r#"{"entities":[],"pageNumber":1.5}"#.to_owned(),
            "pageNumber is not a whole number of at most 64 bits",
        ),
        (Clients, r#"{"entities":[],"nextUri":true}"#.to_owned(), "nextUri should be a string, is a boolean"),
        (Clients, client("id", Value::Null), "entities[0].id is missing"),
        (Clients, client("id", json!("")), "entities[0].id is an empty string"),
        (Clients, client("id", json!(7)), "entities[0].id should be a string, is a number"),
        (Clients, client("name", Value::Null), "entities[0].name is missing"),
        (Clients, client("name", json!({})), "entities[0].name should be a string, is an object"),
        (Clients, client("authorizedGrantType", Value::Null), "entities[0].authorizedGrantType is missing"),
        (Clients, client("scope", json!("all")), "entities[0].scope should be a list, is a string"),
        (Clients, client("scope", json!(["a", 1])), "entities[0].scope[1] should be a string, is a number"),
        (Clients, client("state", json!(false)), "entities[0].state should be a string, is a boolean"),
        (
            Clients,
            client("accessTokenValiditySeconds", json!(1e300)),
            "entities[0].accessTokenValiditySeconds is not a whole number of at most 64 bits",
        ),
        (
            Clients,
            client("roleDivisions", json!([{"divisionId": "*"}])),
            "entities[0].roleDivisions[0].roleId is missing",
        ),
        (
            Clients,
            client("roleDivisions", json!(["r1"])),
            "entities[0].roleDivisions[0] should be an object, is a string",
        ),
        (Clients, client("roleIds", json!([null])), "entities[0].roleIds[0] should be a string, is null"),
        (Clients, client("createdBy", json!("me")), "entities[0].createdBy should be an object, is a string"),
        (
            Clients,
            r#"{"entities":[{"id":"\ud800"}]}"#.to_owned(),
            "entities[0].authorizedGrantType is missing",
        ),
        (
            Clients,
            r#"{"entities":[{"id":"\ud800","name":"n","authorizedGrantType":"CODE"}]}"#.to_owned(),
            "entities[0].id is a string with a broken escape",
        ),
        (Roles, entity(json!({"name": "no id"})), "entities[0].id is missing"),
        (
            Roles,
            entity(json!({"id": "r1", "default": "yes"})),
            "entities[0].default should be true or false, is a string",
        ),
        (
            Roles,
            entity(json!({"id": "r1", "permissions": {}})),
            "entities[0].permissions should be a list, is an object",
        ),
        (Roles, policy(json!({"entityName": "e"})), "entities[0].permissionPolicies[0].domain is missing"),
        (Roles, policy(json!({"domain": "d"})), "entities[0].permissionPolicies[0].entityName is missing"),
        (
            Roles,
            policy(json!({"domain": "d", "entityName": "e", "actionSet": [null]})),
            "entities[0].permissionPolicies[0].actionSet[0] should be a string, is null",
        ),
        (
            Roles,
            condition(json!("always")),
            "entities[0].permissionPolicies[0].resourceConditionNode should be an object, is a string",
        ),
        (
            Roles,
            condition(deep),
            "entities[0].permissionPolicies[0].resourceConditionNode is nested too deeply to be read",
        ),
        (Divisions, entity(json!({"name": "no id"})), "entities[0].id is missing"),
        (Divisions, entity(json!({"id": "*"})), "entities[0].id is `*`, which stands for all divisions"),
        (
            Divisions,
            entity(json!({"id": "d", "objectCounts": {"USER": "many"}})),
            "entities[0].objectCounts.* should be a whole number, is a string",
        ),
        (Permissions, entity(json!({"permissionMap": {}})), "entities[0].domain is missing"),
        (Permissions, entity(json!({"domain": "d"})), "entities[0].permissionMap is missing"),
        (
            Permissions,
            entity(json!({"domain": "d", "permissionMap": {"e": [{"label": "View"}]}})),
            "entities[0].permissionMap.*[0].action is missing",
        ),
        (OwnSubject, r#"{"id":"me"}"#.to_owned(), "grants is missing"),
        (OwnSubject, r#"{"grants":[7]}"#.to_owned(), "grants[0] should be an object, is a number"),
        (
            OwnSubject,
            r#"{"grants":[{"role":{"policies":[{"actions":"*"}]}}]}"#.to_owned(),
            "grants[0].role.policies[0].actions should be a list, is a string",
        ),
    ];
    assert!(cases.len() >= 40, "{} cases", cases.len());
    for (endpoint, body, detail) in cases {
        let platform = Platform::start().await;
        let answer = ok(body.clone());
        platform.answer(endpoint, move |_| answer.clone()).await;
        let expected = format!("{endpoint}: {detail}");
        assert_eq!(said(&platform, endpoint).await, ("invalid_response".to_owned(), expected), "{body}");
    }
}

/// Reason and message of what went wrong with one endpoint.
async fn said(platform: &Platform, endpoint: Endpoint) -> (String, String) {
    let outcome = platform.gather().await;
    let gap = match (endpoint, outcome) {
        (Endpoint::Token | Endpoint::Clients | Endpoint::Roles, Err(error)) => {
            return (error.reason().to_owned(), error.to_string());
        }
        (Endpoint::Divisions, Ok(Facts { divisions: Reading::Gap(gap), .. }))
        | (Endpoint::Permissions, Ok(Facts { catalogue: Reading::Gap(gap), .. }))
        | (Endpoint::OwnSubject, Ok(Facts { own_grants: Reading::Gap(gap), .. })) => gap,
        (_, outcome) => panic!("{endpoint} was believed: {outcome:?}"),
    };
    assert_eq!(gap.stale_since, None);
    (gap.reason, gap.detail)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn every_refusal_says_what_to_do() {
    use Endpoint::{Clients, Divisions, Roles, Token};
    let listed = "You must have at least one of the following permissions assigned: ";
    let html = |status| ResponseTemplate::new(status).set_body_raw("<html>canary</html>", "text/html");
    let oauth = |status, body: Value| ResponseTemplate::new(status).set_body_json(body);
    let cases = [
        (
            Token,
            oauth(400, json!({"error": "invalid_client", "description": "client not found"})),
            "auth",
            "the platform knows no client `auditor-id` (invalid_client): check `client_id` and `region`",
        ),
        (
            Token,
            oauth(401, json!({"error": "invalid_client", "error_description": "authentication failed"})),
            "auth",
            "the platform refused the secret of client `auditor-id` (invalid_client): check the client's secret and \
             `region`",
        ),
        (
            Token,
            oauth(400, json!({"error": "unauthorized_client"})),
            "auth",
            "client `auditor-id` may not use client credentials: give the auditor a client of that grant type",
        ),
        (
            Token,
            html(400),
            "auth",
            "the platform refused client `auditor-id` (400): check that it is active, and `region`",
        ),
        (
            Token,
            html(404),
            "invalid_response",
            "answered 404: `region` or `login_url` is not the login host's",
        ),
        (
            Token,
            ResponseTemplate::new(302).insert_header("location", "https://evil.example/"),
            "invalid_response",
            "answered with a redirect (302), which is never followed: `region` or `login_url` is not the login \
             host's",
        ),
        (
            Clients,
            refusal(401, "bad.credentials", "Invalid login credentials."),
            "auth",
            "the platform refused the access token (401): check that the auditor's client is active and that \
             `region` is its organisation's",
        ),
        (
            Clients,
            refusal(401, "ip.not.authorized", "canary"),
            "auth",
            "this machine's IP address is not in the organisation's allow list (ip.not.authorized)",
        ),
        (
            Clients,
            refusal(403, "missing.any.permissions", &format!("{listed}[oauth:client:view]")),
            "forbidden",
            "permission `oauth:client:view` is missing (403): add it to a role of the auditor's client",
        ),
        (
            Roles,
            refusal(403, "missing.any.permissions", &format!("{listed}[a:b:c, d:e:f, not one, <b>:x:y]")),
            "forbidden",
            "one of the permissions `a:b:c`, `d:e:f` is missing (403): add it to a role of the auditor's client",
        ),
        (
            Divisions,
            refusal(403, "app.not.authorized.for.scope", "App not authorized to use scope authorization"),
            "forbidden",
            "the auditor's client lacks a scope (app.not.authorized.for.scope): add `authorization:readonly` to it",
        ),
        (
            Divisions,
            refusal(403, "authz.policy.denied", "canary"),
            "forbidden",
            "an access policy of the organisation denies it (authz.policy.denied): exempt the auditor's client",
        ),
        (
            Divisions,
            html(403),
            "forbidden",
            "refused (403) without naming a permission: the product may be off in this organisation",
        ),
        (Clients, html(404), "invalid_response", "answered 404: `region` or `api_url` is not the API's"),
        (
            Clients,
            ResponseTemplate::new(307).insert_header("location", "https://evil.example/"),
            "invalid_response",
            "answered with a redirect (307), which is never followed: `region` or `api_url` is not the API's",
        ),
        (Clients, html(204), "invalid_response", "answered 204, which this call does not document"),
        (Clients, html(413), "invalid_response", "answered 413, which this call does not document"),
        (Clients, html(501), "server", "the platform failed with status 501; the next audit asks again"),
    ];
    for (endpoint, template, reason, detail) in cases {
        let platform = Platform::start().await;
        platform.answer(endpoint, move |_| template.clone()).await;
        let expected = (reason.to_owned(), format!("{endpoint}: {detail}"));
        assert_eq!(said(&platform, endpoint).await, expected);
    }
}

/// JSON that looks like the platform's: its field names, with anything inside.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("canary-value".to_owned()),
        Just("*".to_owned()),
        Just(String::new()),
        Just("canary:a:b".to_owned())
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "entities",
        "total",
        "pageCount",
        "pageNumber",
        "nextUri",
        "id",
        "name",
        "authorizedGrantType",
        "scope",
        "state",
        "secret",
        "roleDivisions",
        "roleIds",
        "roleId",
        "divisionId",
        "createdBy",
        "permissions",
        "permissionPolicies",
        "domain",
        "entityName",
        "actionSet",
        "resourceConditionNode",
        "terms",
        "operands",
        "variableName",
        "objectCounts",
        "permissionMap",
        "action",
        "grants",
        "division",
        "role",
        "policies",
        "actions",
        "access_token",
        "expires_in",
        "code",
        "message",
        "error",
        "description",
    ]);
    leaf.prop_recursive(6, 96, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What every decoder says of a body; only complaints.
fn complaints(body: &[u8]) -> Vec<String> {
    let complaint =
        |outcome: Result<(), decoding::Mismatch>| outcome.err().map(|mismatch| mismatch.to_string());
    let mut said: Vec<String> = [
        wire::page(body, wire::client).map(drop),
        wire::page(body, wire::role).map(drop),
        wire::page(body, wire::division).map(drop),
        wire::page(body, wire::domain_permissions).map(drop),
        decoding::document(body).and_then(wire::client).map(drop),
        decoding::document(body).and_then(wire::role).map(drop),
        decoding::document(body).and_then(wire::division).map(drop),
        decoding::document(body).and_then(wire::domain_permissions).map(drop),
        wire::own_grants(body).map(drop),
        wire::organisation(body).map(drop),
        wire::token(body).map(drop),
    ]
    .into_iter()
    .filter_map(complaint)
    .collect();
    for status in [204, 302, 400, 401, 403, 404, 500] {
        said.push(refusals::of_call(Endpoint::Clients, status, body).to_string());
        said.push(refusals::of_token("auditor-id", status, body).to_string());
    }
    said
}

proptest! {
    #[test]
    fn no_json_panics_a_decoder_or_is_quoted_by_it(value in any_json()) {
        for complaint in complaints(value.to_string().as_bytes()) {
            prop_assert!(!complaint.contains("canary"), "{complaint}");
        }
    }

    #[test]
    fn no_bytes_panic_a_decoder(body in prop::collection::vec(any::<u8>(), 0..200)) {
        complaints(&body);
    }
}
