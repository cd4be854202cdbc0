//! The audit log: shapes, every way to be wrong, and that no secret of it is kept.

use wiremock::matchers::path_regex;

use super::*;
use crate::{
    collect::{LogRead, Mode},
    domain::attribution::{ActorKind, Read, Span},
};

const LIMIT: Duration = Duration::from_secs(20);
const MAPPING: &str = r#"{"services":[
    {"name":"Else","entities":[{"name":"Role","actions":["Update"]}]},
    {"name":"PeoplePermissions","entities":[{"name":"OAuthClient","actions":["Update"]},{"name":"Role"}],"new":1}
]}"#;

fn span() -> Span {
    Span { from: now() - chrono::TimeDelta::minutes(15), to: now() }
}

async fn post(platform: &Platform, template: ResponseTemplate) {
    let mock = Mock::given(method("POST")).and(path_regex("^/api/v2/audits/query"));
    mock.respond_with(template).with_priority(3).mount(&platform.server).await;
}

async fn realtime(body: &str) -> LogRead {
    let platform = Platform::start().await;
    post(&platform, ok(body)).await;
    platform.collector().read_log(&[(span(), Mode::Realtime)], LIMIT, now()).await
}

#[tokio::test]
async fn what_the_log_covers_is_asked_once_a_process() {
    let platform = Platform::start().await;
    platform.answer(Endpoint::AuditMapping, |_| ok(MAPPING)).await;
    platform.answer(Endpoint::AuditRealtimeMapping, |_| ok(r#"{"services":[]}"#)).await;
    let mut collector = platform.collector();
    for _ in 0..3 {
        let served = collector.log_served(LIMIT, now()).await.unwrap();
        assert_eq!(served.mode(&["Role"], span().from, now()), Some(Mode::Later));
        assert_eq!(served.mode(&["Division"], span().from, now()), None);
    }
    assert_eq!(platform.received(Endpoint::AuditMapping).await.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_while_and_names_the_permission() {
    let platform = Platform::start().await;
    let message =
        "Unable to perform the requested action. You must have at least one of: [audits:audit:view]";
    for endpoint in [Endpoint::AuditMapping, Endpoint::AuditRealtimeMapping] {
        platform.answer(endpoint, move |_| refusal(403, "missing.permissions", message)).await;
    }
    let mut collector = platform.collector();
    for minutes in [0, 1, 14, 16] {
        let at = now() + chrono::TimeDelta::minutes(minutes);
        let error = collector.log_served(LIMIT, at).await.unwrap_err();
        assert!(error.to_string().contains("`audits:audit:view`"), "{error}");
    }
    assert_eq!(platform.received(Endpoint::AuditRealtimeMapping).await.len(), 2);
}

#[tokio::test]
async fn an_entry_says_who_and_what_and_never_a_secret() {
    let body = json!({ "total": 4, "pageCount": 1, "entities": [
        { "id": "e1", "eventDate": "2026-11-24T11:50:00Z", "action": "Update", "entityType": "OAuthClient",
          "status": "SUCCESS", "level": "USER", "unheardOf": [1], "message": { "message": "canary-free-text" },
          "user": { "id": "u1", "name": "Ada Admin" }, "client": { "id": "c9" }, "remoteIp": ["203.0.113.7", "x"],
          "entity": { "id": "c1", "name": "One" }, "entityChanges": [{ "entityId": "r1" }],
          "propertyChanges": [
            { "property": "scopes", "oldValues": ["a"], "newValues": ["a", "b"] },
            { "property": "clientSecret", "oldValues": ["canary-old"], "newValues": ["canary-new"] },
            { "property": "access_token_validity_seconds", "oldValues": ["1"], "newValues": ["2"] },
            { "property": "access_token", "newValues": [7] },
          ] },
        { "eventDate": "2026-11-24T11:51:00Z", "client": { "id": "c9" }, "user": null },
        { "eventDate": "2026-11-24T11:52:00Z", "level": "SYSTEM" },
        { "eventDate": "2026-11-24T11:53:00Z", "status": "FAILURE" },
    ] });
    let read = realtime(&body.to_string()).await;
    assert_eq!(read.read.get(&span()), Some(&Read::Whole));
    let [one, by_client, by_platform] = &read.entries[..] else { panic!("{:?}", read.entries) };
    let kinds = [one, by_client, by_platform].map(|entry| entry.actor.as_ref().unwrap().kind);
    assert_eq!(kinds, [ActorKind::User, ActorKind::Client, ActorKind::Platform]);
    assert_eq!(one.remote_ip.as_deref(), Some("203.0.113.7"));
    assert!(one.entities.contains("c1") && one.entities.contains("r1"));
    let values: Vec<_> =
        one.changes.iter().map(|change| (change.property.as_str(), change.new.len())).collect();
    assert_eq!(
        values,
        [("scopes", 2), ("clientSecret", 0), ("access_token_validity_seconds", 1), ("access_token", 0)]
    );
    assert!(!format!("{read:?}").contains("canary"));
}

#[tokio::test]
async fn an_answer_that_is_wrong_is_said_so_and_never_quoted() {
    for (body, problem) in [
        ("", "is empty"),
        ("<html>canary", "is not JSON"),
        ("[1]", "should be an object"),
        (r#"{"entities":"canary"}"#, "entities should be a list"),
        (r#"{"entities":[{"id":"x"}]}"#, "entities[0].eventDate is missing"),
        (r#"{"entities":[{"eventDate":"canary"}]}"#, "entities[0].eventDate is no RFC 3339 time"),
        (
            r#"{"entities":[{"eventDate":"2026-11-24T11:50:00Z","propertyChanges":[{"oldValues":{}}]}]}"#,
            "oldValues",
        ),
    ] {
        let read = realtime(body).await;
        let error = read.problem.expect(body).to_string();
        assert!(error.contains(problem) && !error.contains("canary"), "{body}: {error}");
        assert!(read.entries.is_empty() && read.read.is_empty());
    }
    assert_eq!(realtime("{}").await.read.len(), 1);
}

#[tokio::test]
async fn no_more_than_some_pages_are_read_and_then_it_is_a_part() {
    let platform = Platform::start().await;
    let entry = json!({ "eventDate": "2026-11-24T11:50:00Z" });
    let page = json!({ "total": 100_000, "entities": vec![entry; 200] });
    post(&platform, ok(page.to_string())).await;
    let read = platform.collector().read_log(&[(span(), Mode::Realtime)], LIMIT, now()).await;
    assert_eq!(read.read.get(&span()), Some(&Read::Partly));
    let asked = platform.received(Endpoint::AuditRealtime).await;
    assert_eq!(asked.len(), 3);
    let question: Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(question["interval"], "2026-11-24T11:45:00.000Z/2026-11-24T12:00:00.001Z");
    assert_eq!(question["serviceName"], "PeoplePermissions");
}

#[tokio::test]
async fn a_log_that_does_not_answer_costs_no_more_than_its_limit() {
    let platform = Platform::start().await;
    post(&platform, ok("{}").set_delay(Duration::from_mins(5))).await;
    let limit = Duration::from_millis(300);
    let read = platform.collector().read_log(&[(span(), Mode::Realtime)], limit, now()).await;
    assert_eq!(read.problem.unwrap().reason(), "network");
}

#[tokio::test]
async fn the_slow_query_goes_on_where_the_audit_before_left_it() {
    let platform = Platform::start().await;
    post(&platform, ResponseTemplate::new(202).set_body_string(r#"{"id":"q1","state":"Queued"}"#)).await;
    let status = |state: &str| ok(json!({ "id": "q1", "state": state }).to_string());
    let about = Mock::given(method("GET")).and(path_regex("^/api/v2/audits/query/q1$"));
    about.respond_with(status("Running")).up_to_n_times(3).with_priority(3).mount(&platform.server).await;
    let about = Mock::given(method("GET")).and(path_regex("^/api/v2/audits/query/q1$"));
    about.respond_with(status("Succeeded")).with_priority(4).mount(&platform.server).await;
    let results = Mock::given(method("GET")).and(path_regex("^/api/v2/audits/query/q1/results$"));
    results
        .respond_with(|request: &Request| {
            let has_cursor = request.url.query_pairs().any(|(name, _)| name == "cursor");
            let cursor = (!has_cursor).then_some("next/+=");
            ok(json!({ "cursor": cursor, "entities": [{ "eventDate": "2026-11-24T11:50:00Z" }] }).to_string())
        })
        .mount(&platform.server)
        .await;
    let mut collector = platform.collector();
    // A day that is not over: what comes after the query began is not in it.
    let hour = chrono::TimeDelta::hours(1);
    let day = Span { to: now() + hour, ..span() };
    let first = collector.read_log(&[(day, Mode::Later)], LIMIT, now()).await;
    assert!(first.read.is_empty() && first.problem.is_none());
    let second = collector.read_log(&[(day, Mode::Later)], LIMIT, now() + hour / 2).await;
    assert_eq!(second.entries.len(), 2);
    let [(covered, Read::Whole)] = second.read.into_iter().collect::<Vec<_>>()[..] else { panic!("not one") };
    assert!(covered.from == day.from && covered.to >= now() && covered.to < now() + hour / 2, "{covered:?}");
    assert_eq!(platform.received(Endpoint::AuditQuery).await.len(), 1);
}
