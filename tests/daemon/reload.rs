//! SIGHUP: the new configuration as a whole, or the old one.

use serde_json::Value;
use tokio::time::timeout;

use crate::{
    live::{
        process::Daemon,
        receiver::{Alert, Receiver},
        wire::{Phase, Point},
        within,
    },
    stage::{LIMIT, Stage},
};

const SUCCESSFUL: &str = "scopewarden_config_last_reload_successful";
const SUCCESS_TIME: &str = "scopewarden_config_last_reload_success_timestamp_seconds";

/// Waits until audits of an organisation are recorded beyond those so far.
async fn audits_go_on(daemon: &Daemon, org: &str) {
    let recorded = |line: &Value| line["message"] == "audit recorded" && line["org"] == org;
    let count = || daemon.log_lines().iter().filter(|line| recorded(line)).count();
    let before = count();
    within(&format!("another audit of {org}"), LIMIT, async || (count() > before).then_some(())).await;
}

/// Waits until the metric of the last reload is this.
async fn reload_is(daemon: &Daemon, url: &str, successful: f64) {
    within("the reload", LIMIT, async || {
        daemon.metric(url, SUCCESSFUL, "").await.filter(|value| (value - successful).abs() < 0.5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_keeps_the_old_one_and_says_why() {
    let stage = Stage::set().await;
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    audits_go_on(&daemon, "acme").await;
    assert_eq!(daemon.metric(&url, SUCCESSFUL, "").await, Some(1.0));
    let since = daemon.metric(&url, SUCCESS_TIME, "").await.unwrap();

    stage.home.configure("", &stage.usual().replace("client_id", "client_identity"));
    daemon.signal("HUP");
    reload_is(&daemon, &url, 0.0).await;
    let problem = |line: &Value| line.to_string().contains("client_identity");
    assert!(daemon.log_lines().iter().any(problem), "the log names the problem:\n{}", daemon.log());
    assert_eq!(daemon.metric(&url, SUCCESS_TIME, "").await, Some(since));
    audits_go_on(&daemon, "acme").await;
    assert_eq!(daemon.get(&format!("{url}/livez")).await.unwrap().0, 200);

    stage.home.configure("", &stage.usual());
    daemon.signal("HUP");
    reload_is(&daemon, &url, 1.0).await;
    assert!(daemon.metric(&url, SUCCESS_TIME, "").await.unwrap() >= since);
    audits_go_on(&daemon, "acme").await;
    daemon.stop(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn organisations_and_receivers_come_and_go_while_others_keep_running() {
    let stage = Stage::set().await;
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    audits_go_on(&daemon, "acme").await;

    let second = Receiver::start("second").await;
    stage.home.configure("", &[stage.usual(), stage.other("globex"), second.section()].concat());
    daemon.signal("HUP");
    audits_go_on(&daemon, "globex").await;
    audits_go_on(&daemon, "acme").await;
    // Both hear of the newcomer, the new receiver of nothing else: it was not there for acme's baseline.
    within("the new organisation's baseline at both receivers", LIMIT, async || {
        let told = |receiver: &Receiver| {
            receiver.alerts().iter().any(|alert| alert.json()["data"]["org"] == "globex")
        };
        (told(&stage.receiver) && told(&second)).then_some(())
    })
    .await;
    assert!(second.alerts().iter().all(|alert| alert.json()["data"]["org"] == "globex"));
    assert_eq!(daemon.metric(&url, "scopewarden_up", "org=\"globex\"").await, Some(1.0));
    let page = daemon.get(&format!("{url}/api/v1/orgs")).await.unwrap().1;
    assert!(page.contains("globex"), "{page}");

    stage.home.configure("", &stage.usual());
    daemon.signal("HUP");
    within("the end of globex", LIMIT, async || {
        let page = daemon.get(&format!("{url}/api/v1/orgs")).await.unwrap().1;
        (!page.contains("globex")).then_some(())
    })
    .await;
    let heard = second.alerts().len();
    let audits = stage.audits("acme");
    stage.organisation.edit("narrow", &[]).await;
    audits_go_on(&daemon, "acme").await;
    within("the drift", LIMIT, async || {
        let is_drift = |alert: &Alert| alert.json()["type"] == "drift.detected";
        stage.receiver.alerts().iter().any(is_drift).then_some(())
    })
    .await;
    assert_eq!(second.alerts().len(), heard, "a receiver that is gone gets nothing");
    // Its last audit may have ended after it left; the supervisor looks round every five seconds.
    within("the end of its gauges", LIMIT, async || {
        let shown = daemon.metric(&url, "scopewarden_up", "org=\"globex\"").await;
        shown.is_none().then_some(())
    })
    .await;
    daemon.stop(LIMIT).await;
    assert!(stage.audits("acme") > audits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_schedule_holds_at_once() {
    let stage = Stage::set().await;
    let rarely = format!("[audit]\nschedule = \"0 0 0 1 1 *\"\n{}", stage.usual());
    stage.home.configure("", &rarely);
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    daemon.logs("audit recorded", LIMIT).await;
    let interval = daemon.metric(&url, "scopewarden_audit_interval_seconds", "").await.unwrap();
    assert!(interval > 1e6, "{interval}");

    stage.home.configure("", &stage.usual());
    daemon.signal("HUP");
    audits_go_on(&daemon, "acme").await;
    audits_go_on(&daemon, "acme").await;
    assert_eq!(daemon.metric(&url, "scopewarden_audit_interval_seconds", "").await, Some(1.0));

    stage.home.configure("", &rarely);
    daemon.signal("HUP");
    within("the slow schedule", LIMIT, async || {
        let interval = daemon.metric(&url, "scopewarden_audit_interval_seconds", "").await;
        interval.filter(|interval| *interval > 1e6)
    })
    .await;
    daemon.stop(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_refused_with_a_sentence() {
    let stage = Stage::set().await;
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    for (setting, name) in [
        ("[server]\nlisten = \"127.0.0.1:1\"\n", "server.listen"),
        ("[server]\nlisten = \"[::1]:0\"\n", "server.listen"),
    ] {
        stage.home.configure("", &format!("{setting}{}", stage.usual()));
        daemon.signal("HUP");
        reload_is(&daemon, &url, 0.0).await;
        let line = daemon.logs(name, LIMIT).await;
        assert!(line["message"].as_str().unwrap().contains("restart"), "{line}");
        audits_go_on(&daemon, "acme").await;
        stage.home.configure("", &stage.usual());
        daemon.signal("HUP");
        reload_is(&daemon, &url, 1.0).await;
    }
    daemon.stop(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_during_an_audit_ends_neither() {
    let stage = Stage::set().await;
    let reached = stage.gate.traps.arm(Point { target: "/oauth/clients", after: 0, phase: Phase::Half });
    let mut daemon = stage.home.start();
    let held = timeout(LIMIT, reached).await.unwrap().unwrap();
    let url = daemon.url().await;
    stage.home.configure("", &[stage.usual(), stage.other("globex")].concat());
    daemon.signal("HUP");
    // The newcomer is not kept waiting by the one that hangs.
    audits_go_on(&daemon, "globex").await;
    drop(held);
    audits_go_on(&daemon, "acme").await;
    let failures = daemon.metric(&url, "scopewarden_audit_failures_total", "org=\"acme\"").await;
    assert_eq!(failures, Some(0.0), "{}", daemon.log());
    daemon.stop(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_while_it_still_leaves_is_there_once() {
    let stage = Stage::set().await;
    let reached = stage.gate.traps.arm(Point { target: "/oauth/clients", after: 0, phase: Phase::Half });
    let mut daemon = stage.home.start();
    let held = timeout(LIMIT, reached).await.unwrap().unwrap();
    let url = daemon.url().await;
    for organisations in [stage.other("globex"), [stage.other("globex"), stage.usual()].concat()] {
        stage.home.configure("", &organisations);
        daemon.signal("HUP");
        reload_is(&daemon, &url, 1.0).await;
        audits_go_on(&daemon, "globex").await;
    }
    drop(held);
    audits_go_on(&daemon, "acme").await;
    let failures = daemon.metric(&url, "scopewarden_audit_failures_total", "org=\"acme\"").await;
    assert_eq!(failures, Some(0.0), "{}", daemon.log());
    daemon.stop(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_are_taken_up_by_a_reload_whole_or_not_at_all() {
    let stage = Stage::set().await;
    let mut daemon = stage.home.start();
    let url = daemon.url().await;
    audits_go_on(&daemon, "acme").await;

    let folder = stage.home.path("contracts");
    std::fs::create_dir(&folder).unwrap();
    let write = |text: &str| std::fs::write(folder.join("narrow.toml"), text).unwrap();
    write("client = \"narrow-0\"\ncalls = [\"GET /api/v2/users/{userId}\"]\n");
    let with_contracts = stage.usual().replacen("[[org]]\n", "[[org]]\ncontracts = \"contracts\"\n", 1);
    stage.home.configure("", &with_contracts);
    daemon.signal("HUP");
    let told = async |what: &str| {
        within(what, LIMIT, async || {
            let is_it = |alert: &Alert| {
                let alert = alert.json();
                alert["data"]["cause"]["kind"] == "contract_changed" && alert.to_string().contains(what)
            };
            stage.receiver.alerts().iter().any(is_it).then_some(())
        })
        .await;
    };
    told("GET /api/v2/users/{userId}").await;

    // A contract changes without a word of the configuration itself; a broken one keeps the old.
    write("client = \"narrow-0\"\ncalls = [\"users\"]\n");
    daemon.signal("HUP");
    reload_is(&daemon, &url, 0.0).await;
    let problem = |line: &Value| line.to_string().contains("narrow.toml: calls[0]");
    assert!(daemon.log_lines().iter().any(problem), "the log names the file:\n{}", daemon.log());
    audits_go_on(&daemon, "acme").await;
    write("client = \"narrow-0\"\ncalls = [\"GET /api/v2/groups\"]\n");
    daemon.signal("HUP");
    reload_is(&daemon, &url, 1.0).await;
    told("GET /api/v2/groups").await;
    daemon.stop(LIMIT).await;
}
