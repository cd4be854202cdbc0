//! Probes by the schedule: beside audits, and stopped at once.

use std::{fs, time::Duration};

use crate::{
    live::{process::Daemon, within},
    stage::{LIMIT, Stage},
};

async fn metric(daemon: &Daemon, url: &str, name: &str) -> f64 {
    daemon.metric(url, name, "org=\"acme\"").await.unwrap_or_default()
}

/// Waits until so many more audits have begun.
async fn audits(daemon: &Daemon, url: &str, more: f64) {
    let before = metric(daemon, url, "scopewarden_audit_runs_total").await;
    within("more audits", LIMIT, async || {
        (metric(daemon, url, "scopewarden_audit_runs_total").await >= before + more).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_probed_beside_audits_until_the_stop_file_is_there() {
    let stage = Stage::set().await;
    let client = &stage.organisation.announcement().client_id;
    let probe = format!("[[org.probe]]\nclient = \"{client}\"\nclient_secret_file = \"secret\"\n");
    let org = stage.other("acme");
    stage.home.configure("", &format!("[probe]\nschedule = \"* * * * * *\"\nbudget = 20\n{org}{probe}"));
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    within("a run of probes", LIMIT, async || {
        daemon.metric(&url, "scopewarden_probe_last_run_timestamp_seconds", "org=\"acme\"").await
    })
    .await;
    let refused = daemon
        .metric(&url, "scopewarden_probes_total", "expectation=\"deny\",org=\"acme\",verdict=\"refused\"")
        .await;
    assert!(refused.is_some_and(|refused| refused > 0.0), "{refused:?}");
    audits(&daemon, &url, 2.0).await;

    let mut stop = stage.home.database().into_os_string();
    stop.push(".stop-probes");
    fs::write(&stop, "").unwrap();
    daemon.logs("probes are stopped", LIMIT).await;
    let before = metric(&daemon, &url, "scopewarden_probes_total").await;
    audits(&daemon, &url, 8.0).await;
    assert!((metric(&daemon, &url, "scopewarden_probes_total").await - before).abs() < 0.5, "it went on");
    daemon.stop(Duration::from_secs(45)).await;
}
