//! Several organisations in one process: the trouble of one is not another's.

use std::time::Duration;

use serde_json::json;

use crate::{
    live::{
        organisation::Organisation,
        process::Daemon,
        wire::{Phase, Point},
        within,
    },
    stage::{LIMIT, Stage},
};

/// Waits until this organisation has `count` audits recorded by this daemon.
async fn audits(daemon: &Daemon, org: &str, count: usize) {
    within(&format!("{count} audits of {org}"), LIMIT, async || {
        let lines = daemon.log_lines();
        let recorded = lines.iter().filter(|line| line["message"] == "audit recorded" && line["org"] == org);
        (recorded.count() >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_and_one_that_fails_delay_no_other() {
    let stage = Stage::set().await;
    let failing = Organisation::start().await;
    let faults = json!([{ "match": "GET /api/v2/oauth/clients", "kind": "500", "count": -1 }]);
    failing.call(reqwest::Method::PUT, "/_simulator/faults", Some(&faults)).await;
    // The same client of the same organisation, so the same secret serves all.
    let failing = failing.section("failing", &failing.announcement().url);
    let sections = [stage.usual(), stage.other("globex"), stage.other("initech"), failing].concat();
    stage.home.configure("", &sections);

    let reached = stage.gate.traps.arm(Point { target: "/oauth/clients", after: 0, phase: Phase::Half });
    let mut daemon = stage.home.start();
    let _held = tokio::time::timeout(LIMIT, reached).await.unwrap().unwrap();
    let url = daemon.url().await;
    for org in ["globex", "initech"] {
        audits(&daemon, org, 4).await;
        let missed =
            daemon.metric(&url, "scopewarden_scheduler_missed_runs_total", &format!("org=\"{org}\"")).await;
        // Jitter and a busy machine may cost one; an organisation that waits for another misses all.
        assert!(missed.is_none_or(|missed| missed <= 3.0), "{org} missed {missed:?}");
        assert_eq!(daemon.metric(&url, "scopewarden_up", &format!("org=\"{org}\"")).await, Some(1.0));
    }
    within("the failure", LIMIT, async || {
        daemon.metric(&url, "scopewarden_up", "org=\"failing\"").await.filter(|up| *up < 0.5)
    })
    .await;
    let failures = daemon.metric(&url, "scopewarden_audit_failures_total", "org=\"failing\"").await;
    assert!(failures.is_some_and(|failures| failures >= 1.0), "{failures:?}");
    assert_eq!(
        daemon.metric(&url, "scopewarden_up", "org=\"acme\"").await,
        None,
        "its first audit is not over"
    );
    assert_eq!(daemon.get(&format!("{url}/readyz")).await.unwrap().0, 200);
    daemon.signal("TERM");
    assert_eq!(daemon.end(Duration::from_secs(45)).await.code(), Some(0));
}
