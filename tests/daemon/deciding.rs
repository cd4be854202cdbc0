//! What people decide in another process: the daemon notices at once, without an audit.

use std::time::Duration;

use crate::{
    live::{process::Daemon, within},
    stage::{LIMIT, Stage},
};

async fn metric(daemon: &Daemon, url: &str, name: &str, labels: &str) -> f64 {
    daemon.metric(url, name, labels).await.unwrap_or_default()
}

/// Waits until a gauge is as expected.
async fn becomes(daemon: &Daemon, url: &str, (name, labels): (&str, &str), expected: f64) {
    within(&format!("{name} of {expected}"), LIMIT, async || {
        ((metric(daemon, url, name, labels).await - expected).abs() < 0.5).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_and_an_unmute_in_another_process_act_without_an_audit() {
    let stage = Stage::set().await;
    // One audit at the start, and none for the rest of the test.
    let rare = format!("[audit]\nschedule = \"0 0 0 1 1 *\"\n{}", stage.usual());
    stage.home.configure("", &rare);
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    let muted = ("scopewarden_findings_decided", "decision=\"muted\",org=\"acme\"");
    within("the first audit", LIMIT, async || daemon.metric(&url, muted.0, muted.1).await).await;
    let audits = metric(&daemon, &url, "scopewarden_audit_runs_total", "org=\"acme\"").await;

    let due = stage.home.run(&["findings", "--due", "--json"]).json();
    let uid = due[0]["uid"].as_str().unwrap().to_owned();
    let mute = ["findings", "mute", &uid, "--owner", "ops", "--reason", "known", "--expires", "3d", "--json"];
    assert_eq!(stage.home.run(&mute).json()["closed"][0], uid);
    becomes(&daemon, &url, muted, 1.0).await;
    becomes(&daemon, &url, ("scopewarden_decisions_expiring", "org=\"acme\""), 1.0).await;

    assert_eq!(stage.home.run(&["findings", "unmute", &uid, "--json"]).json()["reopened"][0], uid);
    becomes(&daemon, &url, muted, 0.0).await;
    let came = |kind: &'static str, reason: &'static str| {
        let (receiver, uid) = (&stage.receiver, uid.clone());
        async move {
            within(&format!("{kind} ({reason})"), LIMIT, async || {
                let alerts = receiver.alerts();
                let fits = alerts.iter().any(|alert| {
                    let json = alert.json();
                    json["type"] == kind
                        && json["data"]["reason"] == reason
                        && alert.findings() == [uid.clone()]
                });
                fits.then_some(())
            })
            .await;
        }
    };
    came("finding.resolved", "muted").await;
    came("finding.reopened", "unmuted").await;

    // One that runs out between two audits is ended by the daemon itself.
    let short =
        ["findings", "mute", &uid, "--owner", "ops", "--reason", "known", "--expires", "3s", "--json"];
    assert_eq!(stage.home.run(&short).json()["closed"][0], uid);
    came("finding.reopened", "mute_expired").await;
    becomes(&daemon, &url, muted, 0.0).await;
    let now = metric(&daemon, &url, "scopewarden_audit_runs_total", "org=\"acme\"").await;
    assert!((now - audits).abs() < 0.5, "no audit was needed");
    daemon.stop(Duration::from_secs(45)).await;
    assert_eq!(stage.audits("acme"), 1);
}
