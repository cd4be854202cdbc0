//! The JSON API.

use serde_json::json;

use super::*;

#[tokio::test]
async fn organisations_come_with_their_last_audit_failure_and_findings() {
    let site = Site::start().await;
    let mut unanswered = finding("acme", "b", "token-lifetime", Severity::Low);
    unanswered.status = Status::Unknown;
    let opened = [finding("acme", "a", "admin-role", Severity::Critical), unanswered];
    site.record("acme", ago(3), &[gap()], &[], &opened).await;
    site.record_failure("north & south", ago(1), "no route to the platform").await;

    let orgs = site.get("/api/v1/orgs").await.json();
    assert_eq!(orgs[0]["name"], "acme");
    assert_eq!(orgs[0]["region"], "mypurecloud.ie");
    assert_eq!(orgs[0]["last_audit"]["complete"], false);
    assert_eq!(orgs[0]["last_audit"]["gaps"][0]["fact"], "divisions");
    assert_eq!(orgs[0]["last_failure"], Value::Null);
    let tally = json!({ "critical": 1, "high": 0, "medium": 0, "low": 0, "info": 0, "unknown": 1, "muted": 0, "approved": 0, "acknowledged": 0 });
    assert_eq!(orgs[0]["findings"], tally);
    assert_eq!(orgs[1]["last_audit"], Value::Null);
    assert_eq!(orgs[1]["last_failure"]["detail"], "no route to the platform");

    let one = site.get("/api/v1/orgs?org=north+%26+south").await.json();
    assert_eq!((one.as_array().unwrap().len(), &one[0]["name"]), (1, &json!("north & south")));
}

#[tokio::test]
async fn audits_are_listed_newest_first_up_to_the_limit() {
    let site = Site::start().await;
    for minutes in [30, 20, 10] {
        site.record("acme", ago(minutes), &[], &[], &[]).await;
    }
    site.record("north & south", ago(5), &[], &[], &[]).await;
    let audits = site.get("/api/v1/audits?org=acme&limit=2").await.json();
    let times: Vec<&Value> = audits.as_array().unwrap().iter().map(|audit| &audit["at"]).collect();
    assert_eq!(times, [&json!(ago(10)), &json!(ago(20))]);
    assert_eq!(audits[0]["chain"].as_str().unwrap().len(), 64);
    assert_eq!(site.get("/api/v1/audits").await.json().as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn findings_are_filtered_and_counted() {
    let site = Site::start().await;
    let opened = [
        finding("acme", "a", "token-lifetime", Severity::Low),
        finding("acme", "b", "admin-role", Severity::Critical),
        finding("acme", "c", "admin-role", Severity::Critical),
    ];
    site.record("acme", ago(3), &[], &[], &opened).await;
    let other = [finding("north & south", "d", "admin-role", Severity::High)];
    site.record("north & south", ago(2), &[], &[], &other).await;
    for (query, names, total) in [
        ("", vec!["b", "c", "d", "a"], "4"),
        ("?org=acme", vec!["b", "c", "a"], "3"),
        ("?severity=critical&limit=1", vec!["b"], "2"),
        ("?check=admin-role&offset=2", vec!["d"], "3"),
        ("?check=no-such-check", vec![], "0"),
    ] {
        let answer = site.get(&format!("/api/v1/findings{query}")).await;
        let findings = answer.json();
        let found: Vec<&str> = findings
            .as_array()
            .unwrap()
            .iter()
            .map(|found| found["client"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, names, "{query}");
        assert_eq!(answer.headers["x-total-count"], total, "{query}");
    }
    let first = &site.get("/api/v1/findings?limit=1").await.json()[0];
    assert_eq!(first, &json!(Finding { last_seen: ago(3), ..opened[1].clone() }));
}

#[tokio::test]
async fn events_come_whole_with_the_audit_that_recorded_them() {
    let site = Site::start().await;
    let event = role_gained("acme", "a-1", 2);
    site.record("acme", ago(3), &[], std::slice::from_ref(&event), &[]).await;
    let events = site.get("/api/v1/events?org=acme").await.json();
    let mut expected = json!(event);
    expected["audit"] = json!(format!("acme-{}", ago(3).timestamp()));
    expected["at"] = json!(ago(3));
    expected["clients_total"] = json!(2);
    expected["approved"] = json!(false);
    assert_eq!(events, json!([expected]));
    assert_eq!(site.get("/api/v1/events?org=north+%26+south").await.json(), json!([]));
}

#[tokio::test]
async fn an_event_too_large_for_its_share_keeps_its_cause_and_says_how_many_it_reached() {
    let site = Site::start().await;
    site.record("acme", ago(3), &[], &[role_gained("acme", "a-1", 300)], &[]).await;
    let crowded = site.get("/api/v1/events?limit=1000").await.json();
    assert_eq!((&crowded[0]["clients"], &crowded[0]["clients_total"]), (&json!([]), &json!(300)));
    assert_eq!(crowded[0]["cause"]["permissions"]["added"], json!(["directory:user:delete"]));
    let roomy = site.get("/api/v1/events?limit=1").await.json();
    assert_eq!(roomy[0]["clients"].as_array().unwrap().len(), 300);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let site = Site::start().await;
    for (target, parameter, reason) in [
        (
            "audits?org=nobody",
            "org",
            "is \"nobody\", which is not a configured organisation; they are acme, north & south",
        ),
        ("audits?limit=0", "limit", "is \"0\"; it takes a whole number from 1 to 1000"),
        ("events?limit=1001", "limit", "is \"1001\"; it takes a whole number from 1 to 1000"),
        ("events?limit=-1", "limit", "is \"-1\"; it takes a whole number from 1 to 1000"),
        ("events?limit=", "limit", "is \"\"; it takes a whole number from 1 to 1000"),
        ("findings?severity=HIGH", "severity", "is \"HIGH\"; it can be info, low, medium, high, critical"),
        ("findings?offset=x", "offset", "is \"x\"; it takes a whole number from 0 to 1000000"),
        ("audits?organisation=acme", "organisation", "is not known here; org, limit can be given"),
        ("orgs?org=acme&org=acme", "org", "is given twice"),
        ("orgs?%FF=1", "\u{fffd}", "is not known here; org can be given"),
    ] {
        let answer = site.get(&format!("/api/v1/{target}")).await;
        assert_eq!(answer.status, 400, "{target}");
        let error = json!({ "error": { "parameter": parameter, "reason": reason } });
        assert_eq!(answer.json(), error, "{target}");
    }
    let long = site.get(&format!("/api/v1/orgs?org={}", "x".repeat(5_000))).await;
    assert!(long.status == 400 && long.body.len() < 300, "{}", long.body);
}
