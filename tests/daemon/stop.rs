//! SIGTERM in every phase: an orderly end within 45 s, and nothing recorded by half.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::{
    live::{
        process::Daemon,
        wire::{Held, Phase, Point},
    },
    stage::{LIMIT, Stage},
};

/// What the service manager waits before it kills.
const MANAGERS_PATIENCE: Duration = Duration::from_secs(45);

impl Stage {
    /// Starts the daemon; returns when the platform's call to `target` is held, half answered.
    async fn start_and_hold(&self, target: &'static str) -> (Daemon, Held) {
        let reached = self.gate.traps.arm(Point { target, after: 0, phase: Phase::Half });
        let daemon = self.home.start();
        let held = timeout(LIMIT, reached).await.unwrap().unwrap();
        (daemon, held)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_ends_in_time_is_recorded() {
    for target in ["/oauth/token", "/oauth/clients", "/permissions?"] {
        let stage = Stage::set().await;
        let (mut daemon, held) = stage.start_and_hold(target).await;
        daemon.signal("TERM");
        daemon.logs("stopping", LIMIT).await;
        drop(held);
        let status = daemon.end(LIMIT).await;
        assert_eq!(status.code(), Some(0), "{target}: {}", daemon.log());
        assert_eq!(stage.audits("acme"), 1, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_hangs_is_abandoned_whole() {
    let stage = Stage::set().await;
    let (mut daemon, _held) = stage.start_and_hold("/oauth/clients").await;
    let asked = Instant::now();
    daemon.signal("TERM");
    let url = daemon.url().await;
    daemon.logs("stopping", LIMIT).await;
    let ready = daemon.get(&format!("{url}/readyz")).await.unwrap();
    assert_eq!(ready.0, 503, "{}", ready.1);
    assert_eq!(
        daemon.get(&format!("{url}/metrics")).await.unwrap().0,
        200,
        "metrics stay up while it drains"
    );
    let status = daemon.end(MANAGERS_PATIENCE).await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(asked.elapsed() < MANAGERS_PATIENCE);
    daemon.logs("abandoned", LIMIT).await;
    assert_eq!(stage.audits("acme"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let stage = Stage::set().await;
    let (mut daemon, _held) = stage.start_and_hold("/oauth/clients").await;
    daemon.signal("TERM");
    daemon.logs("stopping", LIMIT).await;
    daemon.signal("TERM");
    let status = daemon.end(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(1), "{}", daemon.log());
    assert_eq!(stage.audits("acme"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_under_way_is_settled_and_not_sent_twice() {
    let stage = Stage::set().await;
    let reached = stage.receiver.traps.arm(Point { target: "/hook", after: 0, phase: Phase::Asked });
    let mut daemon = stage.home.start();
    let held = timeout(LIMIT, reached).await.unwrap().unwrap();
    daemon.signal("TERM");
    daemon.logs("stopping", LIMIT).await;
    drop(held);
    assert_eq!(daemon.end(LIMIT).await.code(), Some(0), "{}", daemon.log());

    let daemon = stage.home.start();
    daemon.logs("audit recorded", LIMIT).await;
    daemon.stop(LIMIT).await;
    let alerts = stage.receiver.alerts();
    assert_eq!(
        alerts.len(),
        1,
        "one baseline: {:?}",
        alerts.iter().map(|alert| &alert.id).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_hangs_is_kept() {
    let stage = Stage::set().await;
    let reached = stage.receiver.traps.arm(Point { target: "/hook", after: 0, phase: Phase::Asked });
    let mut daemon = stage.home.start();
    let held = timeout(LIMIT, reached).await.unwrap().unwrap();
    daemon.signal("TERM");
    assert_eq!(daemon.end(MANAGERS_PATIENCE).await.code(), Some(0), "{}", daemon.log());
    drop(held);
    let pending = stage.home.run(&["outbox", "list", "--state", "pending", "--json"]).json();
    assert_eq!(pending.as_array().unwrap().len(), 1, "{pending}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_daemon_stops_at_once() {
    let stage = Stage::set().await;
    stage.home.configure("", &format!("[audit]\nschedule = \"0 0 0 1 1 *\"\n{}", stage.usual()));
    let mut daemon = stage.home.start();
    daemon.logs("alert delivered", LIMIT).await;
    daemon.signal("TERM");
    assert_eq!(daemon.end(Duration::from_secs(10)).await.code(), Some(0), "{}", daemon.log());
    assert!(!stage.home.path("record.db-wal").exists(), "the log is folded into the file");
    assert_eq!(stage.audits("acme"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_has_hardly_started_stops() {
    let stage = Stage::set().await;
    for pause in [0, 3, 10, 20, 40, 80] {
        let mut daemon = stage.home.start();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        daemon.signal("TERM");
        let status = daemon.end(LIMIT).await;
        // Before it listens for signals the system ends it (143 for a shell), as any program.
        let orderly = status.code() == Some(0);
        assert!(orderly || status.code().is_none(), "after {pause} ms: {status}\n{}", daemon.log());
        stage.audits("acme");
    }
}
