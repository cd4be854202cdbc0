//! What orchestrators and Prometheus ask.

use super::*;

#[tokio::test]
async fn alive_while_the_scheduler_beats() {
    let site = Site::start().await;
    let silent = site.get("/livez").await;
    assert_eq!((silent.status, silent.body.as_str()), (503, "not alive\n- the scheduler has not started\n"));

    site.state.health.beat(now() - TimeDelta::seconds(59));
    let alive = site.get("/livez").await;
    assert_eq!((alive.status, alive.body.as_str()), (200, "alive\n"));
    assert_eq!(alive.headers["content-type"], "text/plain; charset=utf-8");

    site.state.health.beat(now() - TimeDelta::seconds(60));
    let dead = site.get("/livez").await;
    assert_eq!(dead.status, 503);
    assert!(dead.body.contains("60 s ago; the limit is 60 s"), "{}", dead.body);

    site.state.health.beat(now() + TimeDelta::hours(1));
    assert_eq!(site.get("/livez").await.status, 503, "a beat from before the clock was set back");
}

#[tokio::test]
async fn ready_once_every_precondition_holds_until_told_to_stop() {
    let site = Site::start().await;
    let health = &site.state.health;
    let early = site.get("/readyz").await;
    assert_eq!(early.status, 503);
    assert_eq!(early.body, "not ready\n- database: not checked yet\n- storage: not checked yet\n");

    health.holds(Precondition::Database);
    health.fails(Precondition::Storage, "the disk is full");
    let full = site.get("/readyz").await;
    assert_eq!((full.status, full.body.as_str()), (503, "not ready\n- storage: the disk is full\n"));

    health.holds(Precondition::Storage);
    assert_eq!(site.get("/readyz").await.status, 200);

    health.drain();
    let draining = site.get("/readyz").await;
    assert_eq!((draining.status, draining.body.as_str()), (503, "not ready\n- shutting down\n"));
}

#[tokio::test]
async fn metrics_are_served_in_the_format_that_prometheus_reads() {
    let site = Site::start().await;
    site.state.metrics.audit_started("acme", now());
    let answer = site.get("/metrics").await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, telemetry::CONTENT_TYPE));
    assert!(answer.body.contains("scopewarden_audit_runs_total{org=\"acme\"} 1\n"), "{}", answer.body);
}
