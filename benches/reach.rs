//! What the questions over all clients cost: who can do what, for every permission and every operation of the platform,
//! and who can become stronger; with 10,000 clients and 500 roles.
//!
//! `cargo bench --bench reach` (needs nothing). An organisation is simulated and audited once; everything after that is
//! measured on the recorded snapshot, in this process, on one core. Figures are reported, nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    fs, hint,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use scopewarden::{
    audit::Auditor,
    config::{Config, Environment},
    domain::{
        access::{
            Access,
            escalation::Escalation,
            who::{Asked, Holders},
        },
        snapshot::Snapshot,
    },
    simulator::{Options, Simulator},
    store::Store,
    telemetry::Metrics,
};

const ROUNDS: usize = 7;

fn main() {
    // reqwest takes the process's provider; the program installs its own, and this is another process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (snapshot, loading) = runtime.block_on(load());
    println!(
        "{} clients, {} roles; reading them back: {} ms\n",
        snapshot.clients.len(),
        snapshot.roles.len(),
        loading.as_millis()
    );
    println!("| what | shortest | median | longest | answers |\n|---|--:|--:|--:|--:|");
    report("what each role gives", || Access::new(&snapshot).universe.len());
    let access = Access::new(&snapshot);
    // The table of what operations need is made when it is first asked for.
    hint::black_box(access.needs());
    report("who holds each role, and by it each permission", || {
        hint::black_box(Holders::new(&access)).users().count_ones(..)
    });
    report("who can, all permissions and all operations, from the start", || {
        let holders = Holders::new(&access);
        let permissions = (0..access.universe.len()).map(|at| holders.of_permission(at).count_ones(..));
        let permissions: usize = permissions.sum();
        let operations = (0..access.operations.len()).filter_map(|at| holders.of_operation(at));
        permissions + operations.map(|set| set.count_ones(..)).sum::<usize>()
    });
    let holders = Holders::new(&access);
    let now: DateTime<Utc> = "2026-11-25T00:00:00Z".parse().unwrap();
    let most = (0..access.universe.len()).max_by_key(|at| holders.of_permission(*at).count_ones(..)).unwrap();
    report("one answer in full: the permission that most clients hold", || {
        holders.answer(&Asked::Permissions(vec![most]), |_| now.into()).len()
    });
    report("one answer in full: directory:*:*", || {
        let asked = Asked::read(&access, "directory:*:*").unwrap();
        holders.answer(&asked, |_| now.into()).len()
    });
    report("escalation of all clients", || {
        let graph = Escalation::new(&access);
        snapshot.clients.values().filter(|client| graph.of(client).stated.is_some()).count()
    });
    report("escalation of all clients, in words", || {
        let graph = Escalation::new(&access);
        let told =
            snapshot.clients.values().filter_map(|client| Some(graph.of(client).stated?.sentence().len()));
        told.sum()
    });
    report("what all clients would lose if scopes were enforced", || {
        snapshot.clients.values().map(|client| access.if_enforced(client).lost.len()).sum()
    });
}

fn report(what: &str, work: impl Fn() -> usize) {
    let mut times: Vec<Duration> = Vec::new();
    let mut answers = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        answers = hint::black_box(work());
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    println!(
        "| {what} | {} | {} | {} | {answers} |",
        ms(times[0]),
        ms(times[ROUNDS / 2]),
        ms(times[ROUNDS - 1])
    );
}

/// One audit of a simulated organisation; its snapshot as the commands read it, and how long reading it took.
async fn load() -> (Snapshot, Duration) {
    let options = Options { clients: 10_000, roles: 500, divisions: 50, ..Options::default() };
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), &options).await.unwrap();
    let announced = simulator.announcement();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, &announced.client_secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let file = folder.path().join("scopewarden.toml");
    let url = &announced.url;
    let text = format!(
        "[storage]\nurl = \"sqlite:record.db\"\n[[org]]\nname = \"acme\"\nlogin_url = \"{url}\"\napi_url = \"{url}\"\n\
         client_id = \"{}\"\nclient_secret_file = \"secret\"\n",
        announced.client_id
    );
    fs::write(&file, text).unwrap();
    let config = Config::load_in(Some(&file), &Environment::default()).unwrap();
    let store = Store::open(&config.storage.path).await.unwrap();
    let mut auditor =
        Auditor::new(&config, &config.orgs[0], store.clone(), Arc::new(Metrics::new())).unwrap();
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    auditor.audit(Duration::from_mins(5), &|_| {}, now).await.unwrap();
    let begun = Instant::now();
    let past = store.snapshot_at("acme", None).await.unwrap().unwrap();
    (past.snapshot, begun.elapsed())
}
