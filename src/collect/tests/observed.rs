//! Grants from the clients' own side, and what they called: shapes, and every way to be wrong.

use wiremock::matchers::path_regex;

use super::*;
use crate::domain::{
    ClientId,
    facts::Reading,
    usage::{Tally, Window},
};

async fn answer_subject(platform: &Platform, template: ResponseTemplate) {
    let mock = Mock::given(method("GET")).and(path_regex("^/api/v2/authorization/subjects/c[0-9]*$"));
    mock.respond_with(template).with_priority(3).mount(&platform.server).await;
}

async fn read(platform: &Platform, ids: &[&str]) -> Facts {
    let mut collector = platform.collector();
    let mut facts = collector.gather(&Known::default(), now()).await.unwrap();
    facts.api_calls = 0;
    let ids: Vec<ClientId> = ids.iter().map(|&id| id.into()).collect();
    collector.grants(&ids, ids.len(), &mut facts, now()).await;
    facts
}

#[tokio::test]
async fn grants_are_told_apart_by_the_subject_that_they_are_made_to() {
    let platform = Platform::start().await;
    let body = json!({ "id": "c1", "grants": [
        { "subjectId": "c1", "division": { "id": "*" }, "role": { "id": "r1" } },
        { "division": { "id": "d1" }, "role": { "id": "r2" }, "unheardOf": [1] },
        { "subjectId": "group", "role": { "id": "r1" } },
    ] });
    answer_subject(&platform, ok(body.to_string())).await;
    let facts = read(&platform, &["c1"]).await;
    let seen = &facts.grants.seen["c1"];
    let own: Vec<(&str, &str)> =
        seen.own.iter().map(|grant| (grant.role.as_str(), grant.division.as_str())).collect();
    assert_eq!(own, [("r1", "*"), ("r2", "d1")]);
    assert_eq!(seen.inherited["group"].first().unwrap().division.as_str(), "unknown");
    assert_eq!((facts.grants.gaps.len(), facts.api_calls), (0, 1));
    let requests = platform.server.received_requests().await.unwrap();
    let request = requests.iter().find(|request| request.url.path().ends_with("/c1")).unwrap();
    assert_eq!(request.url.query(), Some("includeDuplicates=true"));
}

#[tokio::test]
async fn an_answer_without_grants_is_not_an_empty_one() {
    let platform = Platform::start().await;
    answer_subject(&platform, ok(r#"{"id":"c1"}"#)).await;
    let facts = read(&platform, &["c1"]).await;
    assert_eq!(facts.grants.seen.len(), 0);
    assert_eq!(facts.grants.gaps[0].subject.as_deref(), Some("c1"));
    assert!(facts.grants.gaps[0].detail.contains("grants is missing"), "{}", facts.grants.gaps[0].detail);
}

#[tokio::test]
async fn unknown_subjects_are_gaps_each_and_a_refusal_ends_the_round() {
    let platform = Platform::start().await;
    answer_subject(&platform, refusal(404, "not.found", "canary")).await;
    let facts = read(&platform, &["c1", "c2", "c3", "c4", "c5"]).await;
    assert_eq!((facts.grants.gaps.len(), facts.api_calls), (5, 5), "not known is no sign of trouble");
    assert!(facts.grants.gaps.iter().all(|gap| gap.reason == "not_found" && gap.subject.is_some()));

    let platform = Platform::start().await;
    let message =
        "You must have at least one of the following permissions assigned: [authorization:grant:view]";
    answer_subject(&platform, refusal(403, "missing.any.permissions", message)).await;
    let facts = read(&platform, &["c1", "c2"]).await;
    assert_eq!((facts.grants.gaps.len(), facts.api_calls), (1, 1));
    assert!(facts.grants.gaps[0].detail.contains("`authorization:grant:view`"));
    assert_eq!(facts.grants.gaps[0].subject, None);
}

#[tokio::test]
async fn what_need_not_be_asked_is_not_waited_for() {
    let platform = Platform::start().await;
    answer_subject(&platform, ok(r#"{"grants":[]}"#)).await;
    let mut collector = platform.collector();
    let mut facts = collector.gather(&Known::default(), now()).await.unwrap();
    let ids: Vec<ClientId> = (0..40).map(|n| format!("c{n}").into()).collect();
    collector.grants(&ids, 3, &mut facts, now()).await;
    // Twenty calls are free at once, five of which the audit had made; some become free meanwhile.
    let asked = facts.grants.seen.len();
    assert!((15..30).contains(&asked), "{asked}");
    collector.grants(&ids, 1, &mut facts, now()).await;
    let asked = facts.grants.seen.len();
    assert!((1..15).contains(&asked), "the first one waits, the others do not: {asked}");
}

fn window() -> Window {
    Window::last(90, now())
}

/// Asks until there is an answer, as many audits as it takes.
async fn count(platform: &Platform) -> (Reading<Tally>, u32) {
    let mut collector = platform.collector();
    let mut facts = collector.gather(&Known::default(), now()).await.unwrap();
    facts.api_calls = 0;
    collector.usage(window(), &mut facts, now()).await;
    (facts.usage, facts.api_calls)
}

async fn post(platform: &Platform, endpoint: Endpoint, template: ResponseTemplate) {
    let mock = Mock::given(method("POST")).and(path(endpoint.path()));
    mock.respond_with(template).with_priority(2).mount(&platform.server).await;
}

async fn results(platform: &Platform, pattern: &'static str, template: ResponseTemplate) {
    let mock = Mock::given(method("GET")).and(path_regex(pattern));
    mock.respond_with(template).with_priority(2).mount(&platform.server).await;
}

const JOBS: &str = "^/api/v2/usage/aggregates/query/jobs/j1$";
const QUERIES: &str = "^/api/v2/usage/query/e1/results$";

#[tokio::test]
async fn the_newer_query_is_asked_as_documented() {
    let platform = Platform::start().await;
    post(&platform, Endpoint::UsageJob, ResponseTemplate::new(202).set_body_json(json!({ "id": "j1" })))
        .await;
    let body = json!({ "queryStatus": "Succeeded", "entities": [
        { "date": "2026-11-01", "httpMethod": "GET", "templateUri": "/api/v2/users/{id}", "requestCount": 9,
          "status200": 4, "status300": 1, "status400": 3, "status429": 2, "status500": 1,
          "oauthClient": { "id": "c1", "selfUri": "/x" }, "platform": "" },
        { "date": "2026-11-01", "httpMethod": "GET", "templateUri": "/api/v2/users/me", "status200": 4, "user": { "id": "u" } },
    ] });
    results(&platform, JOBS, ok(body.to_string())).await;
    let (Reading::Seen(tally), calls) = count(&platform).await else { panic!("it is there") };
    assert_eq!(calls, 2);
    let rows: Vec<_> = tally.rows().collect();
    let [(client, operation, counted)] = &rows[..] else {
        panic!("people's calls are none of ours: {rows:?}")
    };
    assert_eq!((client.as_str(), *operation), ("c1", "GET /api/v2/users/{id}"));
    assert_eq!((counted.ok, counted.denied, counted.throttled, counted.failed), (5, 1, 2, 1));
    let sent = platform.received(Endpoint::UsageJob).await;
    let sent: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(sent["interval"], "2026-08-27T00:00:00Z/2026-11-24T12:00:00Z");
    assert_eq!(sent["groupBy"], json!(["OauthClientId", "HttpMethod", "TemplateUri"]));
}

#[tokio::test]
async fn the_older_query_serves_and_its_cursor_is_followed() {
    let platform = Platform::start().await;
    post(&platform, Endpoint::UsageJob, refusal(403, "missing.any.permissions", "[usage:organization:view]"))
        .await;
    post(&platform, Endpoint::UsageQuery, ok(r#"{"executionId":"e1"}"#)).await;
    let example = json!({ "results": [
        { "clientId": "c1", "clientName": "n", "organizationId": "", "userId": "", "templateUri": "/api/v2/routing/queues",
          "httpMethod": "GET", "status200": 240, "status300": 0, "status400": 2, "status500": 0, "status429": 2,
          "requests": 242, "date": "2026-11-01T00:00:00Z" },
    ], "queryStatus": "Complete" });
    let mut first = example.clone();
    first["cursors"] = json!({ "after": "more" });
    let page = Mock::given(method("GET"))
        .and(path_regex(QUERIES))
        .and(wiremock::matchers::query_param("after", "more"));
    page.respond_with(ok(example.to_string())).with_priority(1).mount(&platform.server).await;
    results(&platform, QUERIES, ok(first.to_string())).await;
    let (Reading::Seen(tally), calls) = count(&platform).await else { panic!("it is there") };
    assert_eq!(calls, 4);
    let (_, _, counted) = tally.rows().next().unwrap();
    assert_eq!((counted.ok, counted.denied, counted.throttled), (480, 0, 4));
    let sent: Value = serde_json::from_slice(&platform.received(Endpoint::UsageQuery).await[0].body).unwrap();
    assert_eq!(sent["groupBy"], json!(["OAuthClientId", "HttpMethod", "TemplateUri"]));
}

#[tokio::test]
async fn a_count_that_fails_or_runs_in_circles_is_a_gap() {
    for (body, detail) in [
        (json!({ "queryStatus": "Failed" }), "did not count what clients called (Failed)"),
        (json!({ "queryStatus": "Cancelled" }), "(Cancelled)"),
        (json!({ "queryStatus": "Pondering" }), "a word that this version does not know"),
        (json!({ "queryStatus": 7 }), "queryStatus should be a string"),
        (json!({ "entities": [] }), "queryStatus is missing"),
        (
            json!({ "queryStatus": "Succeeded", "entities": [{ "status200": "many" }] }),
            "entities[0].status200",
        ),
        (json!({ "queryStatus": "Succeeded", "entities": [{ "status200": -1 }] }), "negative"),
        (
            json!({ "queryStatus": "Succeeded", "entities": [], "nextUri": "/api/v2/usage/aggregates/query/jobs/j1" }),
            "leads back",
        ),
        (
            json!({ "queryStatus": "Succeeded", "entities": [], "nextUri": "https://evil.example/x" }),
            "not the API's host",
        ),
    ] {
        let platform = Platform::start().await;
        post(&platform, Endpoint::UsageJob, ok(r#"{"id":"j1"}"#)).await;
        results(&platform, JOBS, ok(body.to_string())).await;
        let (Reading::Gap(gap), calls) = count(&platform).await else { panic!("{body}") };
        assert!(gap.detail.contains(detail), "{body}: {}", gap.detail);
        assert!(calls <= 3 && gap.reason == "invalid_response", "{body}: {calls} {}", gap.reason);
    }
}

#[tokio::test]
async fn the_calls_for_a_count_are_bounded() {
    let platform = Platform::start().await;
    post(&platform, Endpoint::UsageJob, ok(r#"{"id":"j1"}"#)).await;
    let pages = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let endless = move |_: &Request| {
        let page = pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let next = format!("/api/v2/usage/aggregates/query/jobs/j1?after={page}");
        ok(json!({ "queryStatus": "Succeeded", "entities": [], "nextUri": next }).to_string())
    };
    Mock::given(method("GET")).and(path_regex(JOBS)).respond_with(endless).mount(&platform.server).await;
    let (reading, calls) = count(&platform).await;
    assert_eq!((reading, calls), (Reading::NotDue, 25), "the question and its pages together");
}
