//! Probes against real sockets: where the token goes, what is read of an answer, and that nothing is repeated.

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{secrets::Capture, *};
use crate::{
    collect::probe::{ProbeToken, Prober},
    config::Secret,
    domain::probe::{Answer, Class},
};

const TOKEN_CANARY: &str = "canary-of-the-probed-client";

struct Scene {
    server: MockServer,
    prober: Prober,
    token: ProbeToken,
}

async fn scene() -> Scene {
    let server = MockServer::start().await;
    let limits = Limits { request: Duration::from_millis(400), attempts: 1, ..LIMITS };
    let prober = Prober::with_limits(&org(&server.uri()), Arc::new(Metrics::new()), limits).unwrap();
    let token = ProbeToken::kept(&Secret::from(TOKEN_CANARY.to_owned()));
    Scene { server, prober, token }
}

impl Scene {
    async fn answers(&self, template: ResponseTemplate) {
        Mock::given(wiremock::matchers::any()).respond_with(template).mount(&self.server).await;
    }

    async fn ask(&self, method: &str, class: Class) -> Answer {
        self.prober
            .ask(&self.token, method, "/api/v2/users/7b0c8d5e-9f3a-4a51-8a5e-3f0e6d1c2b4a", class)
            .await
    }

    async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

#[tokio::test]
async fn the_token_goes_to_the_api_host_and_never_after_a_redirect() {
    let capture = Capture::start();
    let (scene, elsewhere) = (scene().await, MockServer::start().await);
    scene
        .answers(ResponseTemplate::new(302).insert_header("location", format!("{}/x", elsewhere.uri())))
        .await;
    let answer = scene.ask("DELETE", Class::Delete).await;
    assert_eq!((answer.status, answer.code), (Some(302), None));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
    let [request] = &scene.requests().await[..] else { panic!("one request") };
    assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN_CANARY}"));
    assert!(request.body.is_empty() && request.url.query().is_none());
    for text in [capture.text(), format!("{:?} {:?}", scene.prober, scene.token)] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_refusal_gives_its_code_and_the_permissions_that_it_names() {
    for (message, code, permissions) in [
        (
            "You are missing the following permission(s): [directory:user:delete]",
            "missing.permissions",
            &["directory:user:delete"][..],
        ),
        (
            "You are missing the following permission 'routing:queue:delete' in the provided division(s).",
            "missing.division.permission",
            &["routing:queue:delete"],
        ),
        ("No. [https://evil.example/canary, a b c]", "not.authorized", &[]),
    ] {
        let scene = scene().await;
        let body = json!({ "status": 403, "code": code, "message": message });
        scene.answers(ResponseTemplate::new(403).set_body_json(body)).await;
        let answer = scene.ask("DELETE", Class::Delete).await;
        assert_eq!((answer.status, answer.code.as_deref()), (Some(403), Some(code)));
        assert_eq!(answer.permissions, permissions);
    }
    // A code that is none is not kept, whatever it holds.
    let scene = scene().await;
    let body = json!({ "code": TOKEN_CANARY, "message": TOKEN_CANARY });
    scene.answers(ResponseTemplate::new(403).set_body_json(body)).await;
    let answer = scene.ask("DELETE", Class::Delete).await;
    assert_eq!(answer, Answer { status: Some(403), ..Answer::default() });
}

#[tokio::test]
async fn nothing_is_repeated_and_a_slow_answer_is_no_answer() {
    for status in [429_u16, 500, 503] {
        let scene = scene().await;
        scene.answers(ResponseTemplate::new(status)).await;
        assert_eq!(scene.ask("PATCH", Class::Patch).await.status, Some(status));
        let requests = scene.requests().await;
        assert_eq!(requests.len(), 1, "{status}");
        assert_eq!(requests[0].body, b"{}");
    }
    let scene = scene().await;
    scene.answers(ResponseTemplate::new(204).set_delay(Duration::from_secs(5))).await;
    let answer = scene.ask("DELETE", Class::Delete).await;
    assert_eq!((answer.status, answer.code.as_deref()), (None, Some("timeout")));
}

#[tokio::test]
async fn of_a_list_only_its_emptiness_is_kept() {
    let long = json!({ "entities": vec!["x".repeat(1_000); 400] });
    for (body, empty) in [
        (json!({ "entities": [] }), Some(true)),
        (json!({ "entities": [{ "id": 1 }] }), Some(false)),
        (json!({ "id": "no list" }), None),
        (long, Some(false)),
    ] {
        let scene = scene().await;
        scene.answers(ResponseTemplate::new(200).set_body_json(body)).await;
        let answer = scene.ask("GET", Class::List).await;
        assert_eq!(answer, Answer { status: Some(200), empty, ..Answer::default() });
    }
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_says_whose_credentials_and_what_to_do() {
    for (status, body, words) in [
        (400, json!({ "error": "invalid_client", "description": "client not found" }), "another region"),
        (
            401,
            json!({ "error": "invalid_client", "error_description": "authentication failed" }),
            "regenerated",
        ),
        (400, json!({ "error": "unauthorized_client" }), "disabled"),
        (401, json!({ "error": "invalid_scope" }), "invalid_scope"),
        (503, json!("busy"), "tried again later"),
        (302, json!({}), "never followed"),
    ] {
        let scene = scene().await;
        scene.answers(ResponseTemplate::new(status).set_body_json(body)).await;
        let secret = Secret::from("canary-secret".to_owned());
        let why = scene.prober.sign_in("c", &secret, &[]).await.unwrap_err();
        assert_eq!(why.status, Some(status));
        assert!(why.detail.contains(words), "{why:?}");
        assert!(!format!("{why:?}").contains("canary"));
        assert_eq!(secret.expose_secret(), "canary-secret");
    }
}
