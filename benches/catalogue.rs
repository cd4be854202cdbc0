//! What the platform's definition costs, at its real size: to load, to find unchanged, to keep, to read back.
//!
//! `cargo bench --bench catalogue`. A simulated organisation, in a process of its own, publishes a definition of 22.5 MB.
//! Memory and time of loading are those of whole `scopewarden audit` processes, with the definition and without; the rest
//! is measured in this process. Figures are reported, nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use scopewarden::{
    audit::Auditor,
    config::{Config, Environment},
    domain::catalogue::definition,
    store::Store,
    telemetry::Metrics,
};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scopewarden");
/// The real one of July 2026.
const BYTES: usize = 22_540_492;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    // reqwest takes the process's provider; the program installs its own, and this is another process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let organisation = Organisation::start();
    organisation.settings(json!({ "definition_bytes": BYTES, "rate_limit_per_minute": 1_000_000 })).await;
    let text = organisation.definition().await;
    let file = organisation.folder.path().join("swagger.json");
    fs::write(&file, &text).unwrap();
    println!("definition: {} bytes", text.len());

    let began = Instant::now();
    let read = definition::read(&mut serde_json::Deserializer::from_reader(&text[..])).unwrap();
    println!("parsing alone: {} ms, {} operations", began.elapsed().as_millis(), read.operations.len());
    drop((text, read));
    let (_, peak, elapsed) = run(&["catalogue", "swagger.json", "--json"], organisation.folder.path());
    println!("`catalogue FILE`: {} ms, peak {} MiB", elapsed.as_millis(), peak / 1024);

    println!("| audit, a process each | collect | analyse | record | past | peak |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, defined, fresh) in [
        ("without the definition", false, true),
        ("with it, first", true, true),
        ("without the definition, again", false, true),
        ("with it, first, again", true, true),
        ("with it, recorded before", true, false),
    ] {
        organisation.configure(defined);
        if fresh {
            organisation.forget();
        }
        let (report, peak, _) = run(&["audit", "--format", "json"], organisation.folder.path());
        let report: Value = serde_json::from_str(&report).unwrap();
        let ms = |stage: &str| report["timings_ms"][stage].as_u64().unwrap();
        let times = [ms("collect"), ms("analyse"), ms("record"), ms("recall")].map(|ms| format!("{ms} ms"));
        println!("| {name} | {} | {} MiB |", times.join(" | "), peak / 1024);
    }
    organisation.configure(true);
    organisation.forget();
    unchanged(&organisation).await;
    read_back(&organisation).await;
}

/// One auditor that lives on: what it costs to learn that nothing changed.
async fn unchanged(organisation: &Organisation) {
    let config = organisation.config();
    let store = Store::open(&config.storage.path).await.unwrap();
    let metrics = Arc::new(Metrics::new());
    let mut auditor = Auditor::new(&config, &config.orgs[0], store.clone(), metrics).unwrap();
    let mut now: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
    for (name, etag, hours) in [
        ("first", true, 0),
        ("not due", true, 1),
        ("due, ETag: 304", true, 25),
        ("due, no ETag: all bytes, the same hash", false, 25),
        ("due, no ETag: all bytes, the same hash", false, 25),
    ] {
        organisation.settings(json!({ "definition_etag": etag })).await;
        now += TimeDelta::hours(hours);
        let report = auditor.audit(Duration::from_mins(5), &|_| {}, now).await.unwrap();
        println!("{name}: collect {} ms, {} calls", report.timings_ms.collect, report.api_calls);
    }
    store.close().await;
}

/// A snapshot read from the record: with the operations held, and in a process that never saw them.
async fn read_back(organisation: &Organisation) {
    let path = organisation.config().storage.path;
    let time = async |store: &Store| {
        let began = Instant::now();
        drop(store.snapshot_at("acme", None).await.unwrap().unwrap());
        began.elapsed().as_micros()
    };
    let mut cold = Vec::new();
    let mut held = Vec::new();
    for _ in 0..ROUNDS * 4 {
        let store = Store::open_read_only(&path).await.unwrap();
        cold.push(time(&store).await);
        held.push(time(&store).await);
        store.close().await;
    }
    // The same organisation, recorded without a definition.
    organisation.configure(false);
    run(&["audit", "--format", "json"], organisation.folder.path());
    let store = Store::open_read_only(&path).await.unwrap();
    time(&store).await;
    let mut without = Vec::new();
    for _ in 0..ROUNDS * 4 {
        without.push(time(&store).await);
    }
    let middle = |mut times: Vec<u128>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    println!("snapshot_at, median of {}:", ROUNDS * 4);
    println!("  without operations: {} us", middle(without));
    println!("  operations held: {} us", middle(held));
    println!("  operations decoded (first of a process): {} us", middle(cold));
}

/// Runs the program to its end: what it said, the most memory that it held at once (KiB), how long it took.
fn run(arguments: &[&str], folder: &Path) -> (String, u64, Duration) {
    let began = Instant::now();
    let mut child =
        Command::new(PROGRAM).args(arguments).current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        // The system keeps the high-water mark; the last look before the end is close enough.
        peak = peak.max(high_water_mark(&status));
        thread::sleep(Duration::from_millis(2));
    }
    (reader.join().unwrap(), peak, began.elapsed())
}

fn high_water_mark(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A simulated organisation and an auditor's folder.
struct Organisation {
    simulator: Child,
    announced: Value,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl Drop for Organisation {
    fn drop(&mut self) {
        self.simulator.kill().unwrap();
        self.simulator.wait().unwrap();
    }
}

impl Organisation {
    fn start() -> Self {
        let mut simulator = Command::new(PROGRAM)
            .args(["simulate", "--listen", "127.0.0.1:0", "--clients", "100", "--roles", "50"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(simulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, announced, folder: tempfile::tempdir().unwrap(), http }
    }

    fn text(&self, field: &str) -> &str {
        self.announced[field].as_str().unwrap()
    }

    /// Writes a configuration that reads the definition, or does not.
    fn configure(&self, definition: bool) {
        let url = self.text("url");
        let config = format!(
            "[storage]\nurl = \"sqlite:audit.db\"\n[audit]\ndefinition = {definition}\n[[org]]\nname = \"acme\"\n\
             login_url = \"{url}\"\napi_url = \"{url}\"\nclient_id = {}\nclient_secret_file = \"secret\"\n",
            self.announced["client_id"]
        );
        fs::write(self.folder.path().join("scopewarden.toml"), config).unwrap();
        let secret = self.folder.path().join("secret");
        fs::write(&secret, self.text("client_secret")).unwrap();
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn config(&self) -> Config {
        let file = self.folder.path().join("scopewarden.toml");
        let none: Environment = std::iter::empty::<(String, String)>().collect();
        Config::load_in(Some(&file), &none).unwrap()
    }

    /// Removes the record.
    fn forget(&self) {
        for name in ["audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock"] {
            let _ = fs::remove_file(self.folder.path().join(name));
        }
    }

    async fn settings(&self, settings: Value) {
        let url = format!("{}/_simulator/settings", self.text("url"));
        assert!(self.http.put(url).json(&settings).send().await.unwrap().status().is_success());
    }

    async fn definition(&self) -> Vec<u8> {
        let url = self.text("url");
        let login = self
            .http
            .post(format!("{url}/oauth/token"))
            .basic_auth(self.text("client_id"), Some(self.text("client_secret")))
            .form(&[("grant_type", "client_credentials")]);
        let token: Value = login.send().await.unwrap().json().await.unwrap();
        let definition = self.http.get(format!("{url}/api/v2/docs/swagger"));
        let answer = definition.bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap();
        answer.bytes().await.unwrap().to_vec()
    }
}
