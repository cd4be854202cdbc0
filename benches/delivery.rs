//! How fast a queue is delivered: 10,000 messages for each of one and three receivers on this machine.
//!
//! `cargo bench --bench delivery` (needs nothing but the built program). A database is filled with messages, then
//! `scopewarden run` is started on it as a process of its own; receivers in this process take each message and answer
//! 204. Figures are reported, nothing is asserted but that every message came once.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::{DateTime, Utc};
use scopewarden::{
    daemon::clock,
    domain::{
        Severity,
        message::{Message, MessageKind},
    },
    store::{Failure, Store},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scopewarden");
const MESSAGES: usize = 10_000;
/// What a finding's message weighs, about.
const BYTES: usize = 1_200;

/// What a receiver got, and when the first and the last of them came.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    times: Option<(Instant, Instant)>,
}

type Shared = Arc<Mutex<Seen>>;

#[tokio::main]
async fn main() {
    println!("| receivers | messages each | delivered, all together | first to last | RSS idle | RSS peak |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for receivers in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let seen = configure(folder.path(), receivers).await;
        let idle = idle_kib(folder.path()).await;
        fill(folder.path(), receivers).await;
        let daemon = Daemon::start(folder.path());
        let all = |seen: &[Shared]| seen.iter().all(|one| one.lock().unwrap().ids.len() >= MESSAGES);
        while !all(&seen) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let peak = daemon.status("VmHWM:");
        drop(daemon);
        let times: Vec<_> = seen.iter().filter_map(|one| one.lock().unwrap().times).collect();
        let first = times.iter().map(|(first, _)| *first).min().unwrap();
        let last = times.iter().map(|(_, last)| *last).max().unwrap();
        let millis = (last - first).as_millis();
        println!(
            "| {receivers} | {MESSAGES} | {} a second | {millis} ms | {} MiB | {} MiB |",
            (receivers * MESSAGES) as u128 * 1000 / millis.max(1),
            idle / 1024,
            peak / 1024
        );
    }
}

/// Starts receivers and writes the configuration that names them. Its organisation answers nobody: this is about
/// delivery.
async fn configure(folder: &Path, receivers: usize) -> Vec<Shared> {
    let secret = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    secret("client", "not-a-secret");
    secret("signing", "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g=");
    let mut config = String::from(
        "[storage]\nurl = \"sqlite:outbox.db\"\n[server]\nlisten = \"127.0.0.1:0\"\n[audit]\n\
         schedule = \"0 0 0 1 1 *\"\n[[org]]\nname = \"acme\"\nlogin_url = \"http://127.0.0.1:9\"\n\
         api_url = \"http://127.0.0.1:9\"\nclient_id = \"c\"\nclient_secret_file = \"client\"\n",
    );
    let mut all = Vec::new();
    for number in 0..receivers {
        let seen = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let section = format!(
            "[[receiver]]\nname = \"r{number}\"\nkind = \"webhook\"\nurl = \"http://{address}/\"\nsecret_file = \"signing\"\n"
        );
        config.push_str(&section);
        let router = Router::new().route("/", post(take)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        all.push(seen);
    }
    fs::write(folder.join("scopewarden.toml"), config).unwrap();
    all
}

async fn take(State(seen): State<Shared>, headers: HeaderMap, _body: axum::body::Bytes) -> StatusCode {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let mut seen = seen.lock().unwrap();
    // The daemon also tells that its organisation cannot be audited.
    if id.starts_with("bench-") {
        let now = Instant::now();
        let (first, _) = seen.times.unwrap_or((now, now));
        seen.times = Some((first, now));
        assert!(seen.ids.insert(id), "sent twice");
    }
    StatusCode::NO_CONTENT
}

/// Puts the messages into the outbox, as one failed audit would.
async fn fill(folder: &Path, receivers: usize) {
    let store = Store::open(&folder.join("outbox.db")).await.unwrap();
    let names: Vec<String> = (0..receivers).map(|number| format!("r{number}")).collect();
    let messages: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let message = Message {
                id: format!("bench-{number}"),
                kind: MessageKind::FindingOpened,
                severity: Severity::High,
                order_key: format!("finding:{number}"),
                body: format!("{{\"filler\":\"{}\"}}", "x".repeat(BYTES)),
            };
            (message, names.clone())
        })
        .collect();
    let at: DateTime<Utc> = clock::now();
    let failure = Failure {
        org: "acme",
        audit: "bench",
        started: at,
        at,
        reason: "network",
        detail: "a benchmark",
        messages: &messages,
    };
    store.record_failure(&failure).await.unwrap();
    store.close().await;
}

/// What the daemon holds when it has nothing to deliver.
async fn idle_kib(folder: &Path) -> u64 {
    let daemon = Daemon::start(folder);
    tokio::time::sleep(Duration::from_secs(2)).await;
    daemon.status("VmRSS:")
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Daemon {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--log", "warn"]).current_dir(folder).stdin(Stdio::null());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// A line of the process's status, in KiB.
    fn status(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }
}
