//! What a record costs at length: a year of hourly audits, a day of audits every minute, of 1,000 clients with two role
//! edits a day. How large the database is, how long `diff` between any two moments and `verify` take.
//!
//! `cargo bench --bench keeping` (needs nothing but the built program; about five minutes). Time is given, not waited
//! for. An audit after an edit, and every hundredth of the others, is a whole one: the simulated platform, over HTTP,
//! all of the analysis. The others are recorded as such an audit would be, by the same `Store::record`: nothing changed,
//! so it hands over a row and nothing else (each whole one without an edit proves it). Retention runs once a day.
//! Figures are reported, nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use scopewarden::{
    audit::Auditor,
    config::{Config, Environment},
    domain::{
        drift,
        evidence::{self, Hash, Link},
    },
    simulator::{Options, Simulator},
    store::{Record, Store, gaps_body, recorded_digest},
    telemetry::Metrics,
};
use serde_json::{Value, json};

/// Pairs of moments that are compared.
const DIFFS: usize = 300;

fn main() {
    // reqwest takes the process's provider; the program installs its own, and this is another process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // A shorter year for a first look: `cargo bench --bench keeping -- 30`.
    let days = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(365);
    runtime.block_on(async {
        report(&format!("{days} days, hourly"), days, TimeDelta::hours(1)).await;
        report("1 day, every minute", 1, TimeDelta::minutes(1)).await;
    });
}

async fn report(name: &str, days: i64, step: TimeDelta) {
    let mut replay = Replay::start().await;
    let begun = Instant::now();
    replay.run(days, step).await;
    println!("\n## {name}\n\nreplayed in {} s: {:?}\n", begun.elapsed().as_secs(), replay.done);
    let (database, end) = (replay.database.clone(), replay.now);
    replay.store.close().await;
    println!("database: {} KiB", size(&database) / 1024);
    let store = Store::open_read_only(&database).await.unwrap();
    for (table, rows, bytes) in tables(&database).await {
        println!("  {table}: {rows} pages, {} KiB", bytes / 1024);
    }
    measure_diffs(&store, end, TimeDelta::days(days) - step).await;
    let begun = Instant::now();
    let verified = store.verify("acme").await.unwrap();
    println!(
        "verify: {} ms, {} audits, {} contents, {} forgotten, {} problems",
        begun.elapsed().as_millis(),
        verified.audits,
        verified.objects,
        verified.forgotten,
        verified.problems.len()
    );
    let begun = Instant::now();
    let backup = store.backup(&database.with_extension("copy")).await.unwrap();
    println!("backup: {} ms, {} KiB", begun.elapsed().as_millis(), backup.bytes / 1024);
}

/// Compares random moments of the `span` before `end`.
async fn measure_diffs(store: &Store, end: DateTime<Utc>, span: TimeDelta) {
    let mut random = StdRng::seed_from_u64(1);
    let mut laps: Vec<[Duration; 2]> = Vec::new();
    let mut elsewhere = 0;
    for _ in 0..DIFFS {
        let mut moments =
            [0, 1].map(|_| end - TimeDelta::seconds(random.random_range(0..span.num_seconds())));
        moments.sort_unstable();
        let begun = Instant::now();
        let both = store.snapshots("acme", Some(moments[0]), Some(moments[1])).await.unwrap();
        let (Some(from), to) = both.unwrap() else { panic!("no audit by {}", moments[0]) };
        let read = begun.elapsed();
        let events = drift::between("acme", &to.audit, &from.snapshot, &to.snapshot);
        laps.push([read, begun.elapsed()]);
        std::hint::black_box(events);
        elsewhere += usize::from(from.instead_of.is_some());
    }
    for (index, name) in ["two snapshots", "diff, whole"].into_iter().enumerate() {
        let mut times: Vec<Duration> = laps.iter().map(|lap| lap[index]).collect();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
        println!("{name}: p50 {:.1} ms, p99 {:.1} ms, p100 {:.1} ms", at(50), at(99), at(100));
    }
    println!("  {elsewhere} of {DIFFS} --from were answered by an earlier audit that is kept");
}

/// Bytes of the database and its log.
fn size(database: &Path) -> u64 {
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    size(database.to_owned()) + size(PathBuf::from(format!("{}-wal", database.display())))
}

/// Tables and indexes with their pages and bytes, the largest first.
async fn tables(database: &Path) -> Vec<(String, i64, i64)> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let query = "SELECT name, COUNT(*), SUM(pgsize) FROM dbstat GROUP BY name ORDER BY 3 DESC LIMIT 14";
    sqlx::query_as(query).fetch_all(&pool).await.unwrap_or_default()
}

/// An organisation, its record, and the time that it is there.
struct Replay {
    _simulator: Simulator,
    _folder: tempfile::TempDir,
    admin: Admin,
    auditor: Auditor,
    store: Store,
    config: Config,
    database: PathBuf,
    now: DateTime<Utc>,
    random: StdRng,
    done: Done,
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    audits: u64,
    whole: u64,
    edits: u64,
    events: usize,
    forgotten: u64,
    slowest_forgetting: Duration,
}

impl Replay {
    async fn start() -> Self {
        let options = Options { clients: 1_000, roles: 500, divisions: 50, ..Options::default() };
        let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), &options).await.unwrap();
        let announced = simulator.announcement();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scopewarden.toml");
        let url = &announced.url;
        let text = format!(
            "[storage]\nurl = \"sqlite:record.db\"\n[[org]]\nname = \"acme\"\nlogin_url = \"{url}\"\n\
             api_url = \"{url}\"\nclient_id = \"{}\"\nclient_secret_env = \"AUDITOR_SECRET\"\n",
            announced.client_id
        );
        fs::write(&file, text).unwrap();
        let environment: Environment =
            [("AUDITOR_SECRET", announced.client_secret.as_str())].into_iter().collect();
        let config = Config::load_in(Some(&file), &environment).unwrap();
        let store = Store::open(&config.storage.path).await.unwrap();
        let metrics = Arc::new(Metrics::new());
        let auditor = Auditor::new(&config, &config.orgs[0], store.clone(), metrics).unwrap();
        let admin = Admin::sign_in(url, &announced.admin_client_id, &announced.admin_client_secret).await;
        Self {
            admin,
            auditor,
            database: config.storage.path.clone(),
            store,
            config,
            _simulator: simulator,
            _folder: folder,
            now: "2025-11-24T00:00:00Z".parse().unwrap(),
            random: StdRng::seed_from_u64(4),
            done: Done::default(),
        }
    }

    async fn run(&mut self, days: i64, step: TimeDelta) {
        let per_day = TimeDelta::days(1).num_seconds() / step.num_seconds();
        for _ in 0..days {
            let edits: BTreeSet<i64> = [0, 1].map(|_| self.random.random_range(0..per_day)).into();
            for n in 0..per_day {
                self.now += step;
                self.done.audits += 1;
                if edits.contains(&n) {
                    self.admin.edit_a_role(&mut self.random).await;
                    self.done.edits += 1;
                    self.audit().await;
                } else if self.done.audits % 100 == 1 {
                    self.audit().await;
                } else {
                    self.record_unchanged().await;
                }
            }
            let begun = Instant::now();
            self.done.forgotten +=
                self.store.forget(&self.config.retention, self.now).await.unwrap().contents;
            self.store.release_pages().await.unwrap();
            self.done.slowest_forgetting = self.done.slowest_forgetting.max(begun.elapsed());
        }
    }

    async fn audit(&mut self) {
        let report = self.auditor.audit(Duration::from_mins(5), &|_| {}, self.now).await.unwrap();
        self.done.whole += 1;
        self.done.events += report.events.len();
    }

    /// What an audit that saw no change records.
    async fn record_unchanged(&self) {
        let last = self.store.audits(Some("acme"), 1).await.unwrap().remove(0);
        let recorded = recorded_digest(&[], &[], &[], &[]);
        let audit = uuid::Uuid::now_v7().to_string();
        let link = Link {
            org: "acme",
            audit: &audit,
            at: self.now,
            complete: last.complete,
            gaps: &gaps_body(&last.gaps),
            configuration: last.configuration,
            recorded,
        };
        let chain: Hash = evidence::chain(last.chain, &link);
        let record = Record {
            org: "acme",
            audit: &audit,
            started: self.now,
            at: self.now,
            complete: last.complete,
            gaps: &last.gaps,
            changes: &[],
            configuration: last.configuration,
            recorded,
            chain,
            events: &[],
            opened: &[],
            updated: &[],
            closed: &[],
            messages: &[],
            object_counts: None,
            pending_removals: &BTreeSet::new(),
            observations: scopewarden::store::Observations::NONE,
            decided: scopewarden::store::Decided::NONE,
            noted: &scopewarden::domain::telling::Noted::default(),
            api_calls: last.api_calls,
            clients: last.clients,
            roles: last.roles,
        };
        self.store.record(&record).await.unwrap();
    }
}

/// Somebody who edits roles.
struct Admin {
    http: reqwest::Client,
    url: String,
    token: String,
    /// Ids of the roles that may be edited.
    roles: Vec<String>,
}

impl Admin {
    async fn sign_in(url: &str, id: &str, secret: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let login = http
            .post(format!("{url}/oauth/token"))
            .basic_auth(id, Some(secret))
            .form(&[("grant_type", "client_credentials")]);
        let token: Value = login.send().await.unwrap().json().await.unwrap();
        let settings = http.put(format!("{url}/_simulator/settings"));
        let settings = settings.json(&json!({ "rate_limit_per_minute": 1_000_000 })).send().await.unwrap();
        assert!(settings.status().is_success());
        let token = token["access_token"].as_str().unwrap().to_owned();
        let mut admin = Self { http, url: url.to_owned(), token, roles: Vec::new() };
        for page in 1..=5 {
            let list = admin.get(&format!("?pageSize=100&pageNumber={page}")).await;
            let custom = |role: &&Value| role["default"] != true && role["name"] != "scopewarden auditor";
            let roles = list["entities"].as_array().unwrap().iter().filter(custom);
            admin.roles.extend(roles.map(|role| role["id"].as_str().unwrap().to_owned()));
        }
        admin
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/api/v2/authorization/roles{path}", self.url);
        let answer = self.http.get(url).bearer_auth(&self.token).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Takes one permission from a role, or gives it one back that it did not have.
    async fn edit_a_role(&self, random: &mut StdRng) {
        const ACTIONS: [&str; 6] = ["view", "add", "edit", "delete", "setPassword", "search"];
        let id = &self.roles[random.random_range(0..self.roles.len())];
        let mut role = self.get(&format!("/{id}")).await;
        let policies = role["permissionPolicies"].as_array_mut().unwrap();
        let action = ACTIONS[random.random_range(0..ACTIONS.len())];
        let policy = json!({ "domain": "directory", "entityName": "user", "actionSet": [action] });
        let same = |one: &Value| one["domain"] == "directory" && one["actionSet"] == json!([action]);
        match policies.iter().position(same) {
            Some(index) => drop(policies.remove(index)),
            None => policies.push(policy),
        }
        let url = format!("{}/api/v2/authorization/roles/{id}", self.url);
        let answer = self.http.put(url).bearer_auth(&self.token).json(&role).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}
