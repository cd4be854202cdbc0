//! The token endpoint, and what becomes of tokens.

use scopewarden::simulator::Options;
use serde_json::json;

use crate::harness::Rehearsal;

const GRANT: &str = "grant_type=client_credentials";

#[tokio::test]
async fn errors_of_the_token_endpoint_are_oauths() {
    let rehearsal = Rehearsal::start(Options { story: true, ..Options::default() }).await;
    let who = rehearsal.who().clone();
    let secrets = rehearsal.private("GET", "clients", None).await.body;
    let credentials = |name: &str| {
        let client = secrets.as_array().unwrap().iter().find(|client| client["name"] == name).unwrap();
        (client["id"].as_str().unwrap().to_owned(), client["secret"].as_str().unwrap().to_owned())
    };
    let auditor = (who.client_id.clone(), who.client_secret.clone());
    let wrong = (who.client_id.clone(), "wrong".to_owned());
    let unknown = ("unknown".to_owned(), String::new());
    for ((id, secret), form, status, error, description) in [
        (unknown, GRANT, 400, "invalid_client", "client not found"),
        (wrong, GRANT, 401, "invalid_client", "authentication failed"),
        (auditor.clone(), "", 400, "invalid_request", "grant_type is missing"),
        (auditor.clone(), "grant_type=magic", 400, "unsupported_grant_type", "grant type is not supported"),
        (
            credentials("Agent_Desktop"),
            GRANT,
            400,
            "unauthorized_client",
            "client may not use this grant type",
        ),
        (credentials("Test_do_not_use"), GRANT, 400, "unauthorized_client", "client is inactive"),
        (credentials("Migration_2023"), GRANT, 400, "unauthorized_client", "client is disabled"),
        (
            auditor,
            "grant_type=client_credentials&scope=oauth",
            400,
            "invalid_scope",
            "client does not have the scope oauth",
        ),
    ] {
        let reply = rehearsal.log_in(&id, &secret, form).await;
        let expected = json!({"error": error, "error_description": description, "description": description});
        assert_eq!((reply.status, &reply.body), (status, &expected));
    }
}

#[tokio::test]
async fn a_token_lasts_as_long_as_the_client_says_and_credentials_may_be_in_the_form() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let who = rehearsal.who().clone();
    let form = format!("{GRANT}&client_id={}&client_secret={}", who.client_id, who.client_secret);
    let url = format!("{}/oauth/token", who.url);
    let reply = rehearsal.http.post(url).body(form).send().await.unwrap();
    let body = crate::harness::reply(reply).await.body;
    assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(86_400), &json!("bearer")));
    let wrong_method = rehearsal.request("GET", "/oauth/token").send().await.unwrap();
    assert_eq!(wrong_method.status(), 405);
    let none = rehearsal.request("POST", "/oauth/token").body(GRANT).send().await.unwrap();
    assert_eq!(none.status(), 401);
}

#[tokio::test]
async fn a_revoked_token_and_a_disabled_clients_tokens_are_worthless() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let me = "/api/v2/tokens/me";
    let (id, token) = rehearsal.client_with(&["routing:queue:view"], "*").await;
    let status = async |method: &str| rehearsal.call(&token, method, me, None).await.status;
    assert_eq!((status("GET").await, status("HEAD").await), (200, 200));

    let path = format!("/api/v2/oauth/clients/{id}");
    let mut client = rehearsal.get(&path).await.body;
    client["state"] = json!("inactive");
    rehearsal.write("PUT", &path, client.clone()).await;
    assert_eq!(status("GET").await, 200, "an inactive client's tokens live on");
    client["state"] = json!("disabled");
    rehearsal.write("PUT", &path, client).await;
    assert_eq!(rehearsal.call(&token, "GET", me, None).await.code(), (401, "bad.credentials"));

    assert_eq!(rehearsal.call(&rehearsal.auditor, "DELETE", me, None).await.status, 200);
    assert_eq!(rehearsal.call(&rehearsal.auditor, "GET", me, None).await.status, 401);
}

#[tokio::test]
async fn requests_are_counted_by_the_token_and_refused_beyond_the_limit() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let path = "/api/v2/authorization/divisions/home";
    let first = rehearsal.call(&rehearsal.auditor, "GET", path, None).await;
    assert_eq!((first.header("inin-ratelimit-count"), first.header("inin-ratelimit-allowed")), ("1", "300"));
    for _ in 1..300 {
        assert_eq!(rehearsal.call(&rehearsal.auditor, "GET", path, None).await.status, 200);
    }
    let refused = rehearsal.call(&rehearsal.auditor, "GET", path, None).await;
    assert_eq!(refused.code(), (429, "too.many.requests.retry.after"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait) && refused.header("inin-ratelimit-reset") == wait.to_string());
    assert_eq!(refused.header("inin-ratelimit-count"), "301");
    assert_eq!(refused.body["limit"]["value"], 300);
    assert_eq!(rehearsal.get(path).await.status, 200, "another token has a minute of its own");
}

#[tokio::test]
async fn scopes_bind_client_credentials_only_under_all_grants() {
    let rehearsal = Rehearsal::start(Options::default()).await;
    let clients = "/api/v2/oauth/clients";
    for (setting, status) in [("off", 200), ("user-grants", 200), ("all-grants", 403)] {
        rehearsal.set(json!({"scope_enforcement": setting})).await;
        assert_eq!(
            rehearsal.call(&rehearsal.auditor, "GET", clients, None).await.status,
            status,
            "{setting}"
        );
    }
    let refused = rehearsal.call(&rehearsal.auditor, "GET", clients, None).await;
    assert_eq!(refused.code(), (403, "app.not.authorized.for.scope"));
    let virtual_agents = "/api/v2/agentic/virtualagents";
    let unscoped = rehearsal.call(&rehearsal.auditor, "GET", virtual_agents, None).await;
    assert_eq!(unscoped.code(), (403, "missing.permissions"), "no scope is declared, so none is asked for");

    let path = format!("{clients}/{}", rehearsal.who().client_id);
    let mut auditor = rehearsal.get(&path).await.body;
    auditor["scope"] = json!(["oauth:readonly"]);
    rehearsal.write("PUT", &path, auditor).await;
    assert_eq!(rehearsal.call(&rehearsal.auditor, "GET", clients, None).await.status, 200);
}
