//! What the daemon costs while it runs: scrapes, memory at rest, a soak, a hundred organisations; and how long it takes
//! from a change to its alert.
//!
//! `cargo bench --bench service [scrapes|idle|soak|organisations|latency]…`; without a name all of them, about
//! twenty minutes.
//! Everything is a process of its own: the daemon, and the simulated organisations. Figures are reported, nothing is
//! asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

mod latency;
mod running;

use std::{
    io::Read as _,
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use running::{Line, Service, Simulated, wait};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

const MEASUREMENTS: [(&str, fn()); 5] = [
    ("scrapes", scrapes),
    ("idle", idle),
    ("soak", soak),
    ("organisations", organisations),
    ("latency", latency::latency),
];

fn main() {
    // reqwest takes the process's provider; the program installs its own, and this is another process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    // cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for (name, measure) in MEASUREMENTS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!("\n{name}\n");
            measure();
        }
    }
}

/// The latency of `/metrics` while 10,000 clients are audited every few seconds.
fn scrapes() {
    const SCRAPES: usize = 6_000;
    const EVERY: Duration = Duration::from_millis(10);
    let simulated = Simulated::start(&["--clients", "10000", "--roles", "500", "--divisions", "50"]);
    let service = Service::start(&simulated, "*/4 * * * * *", &simulated.section("acme"));
    wait("the first audit", 300, || (service.audits() > 0).then_some(()));
    let before = service.audits();
    let mut line = Line::to(&service.address);
    let mut took = Vec::with_capacity(SCRAPES);
    let mut bytes = 0;
    for scrape in 0..SCRAPES {
        if scrape % 1_000 == 500 {
            simulated.edit_a_role();
        }
        let begin = Instant::now();
        let (status, body) = line.get("/metrics");
        took.push(begin.elapsed());
        assert_eq!(status, 200);
        bytes = body.len();
        thread::sleep(EVERY.saturating_sub(begin.elapsed()));
    }
    println!("| clients | scrapes | audits meanwhile | answer | p50 | p99 | max |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    println!(
        "| 10000 | {SCRAPES} | {} | {} KiB | {} | {} | {} |",
        service.audits() - before,
        bytes / 1024,
        ms(quantile(&mut took, 0.5)),
        ms(quantile(&mut took, 0.99)),
        ms(quantile(&mut took, 1.0)),
    );
}

/// Memory of a daemon that waits for its next audit.
fn idle() {
    println!("| clients | RSS at rest | most while it audited |");
    println!("|--:|--:|--:|");
    for sizes in [["20", "12", "4"], ["1000", "500", "50"]] {
        let [clients, roles, divisions] = sizes;
        let options = ["--clients", clients, "--roles", roles, "--divisions", divisions];
        let simulated = Simulated::start(&options);
        // Once a year: after the first one it rests.
        let service = Service::start(&simulated, "0 0 0 1 1 *", &simulated.section("acme"));
        wait("the first audit", 120, || (service.audits() > 0).then_some(()));
        thread::sleep(Duration::from_secs(10));
        println!("| {clients} | {} | {} |", mib(service.memory("VmRSS")), mib(service.memory("VmHWM")));
    }
}

/// Five thousand audits: fifty organisations of 200 clients, each every second. While it warms up a role is edited and
/// edited back now and then; after that nothing changes, so that whatever grows is the cost of the audits themselves.
fn soak() {
    const AUDITS: u64 = 5_000;
    const SAMPLES: u64 = 10;
    const WARM_UP: u64 = 4;
    let simulated = Simulated::start(&["--clients", "200", "--roles", "60", "--divisions", "8"]);
    let receiver = receiver();
    let organisations = (0..50).map(|number| simulated.section(&format!("org-{number}")));
    let sink = format!(
        "[[receiver]]\nname = \"sink\"\nkind = \"webhook\"\nurl = \"{receiver}\"\nsecret_file = \"signing-secret\"\n"
    );
    let sections: String = organisations.chain([sink]).collect();
    let service = Service::start(&simulated, "* * * * * *", &sections);
    println!("| audits | rows | RSS | descriptors | database | its log | minutes |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let begin = Instant::now();
    for sample in 1..=SAMPLES {
        if sample <= WARM_UP {
            simulated.edit_a_role();
        }
        let audits = wait("more audits", 600, || {
            Some(service.audits()).filter(|audits| *audits >= sample * AUDITS / SAMPLES)
        });
        let (database, log) = service.size();
        println!(
            "| {audits} | {} | {} | {} | {} | {} | {:.1} |",
            rows(&service.database()),
            mib(service.memory("VmRSS")),
            service.descriptors(),
            mib(database / 1024),
            mib(log / 1024),
            begin.elapsed().as_secs_f64() / 60.0,
        );
    }
    println!(
        "\nfailed audits: {}, alerts pending: {}",
        service.metric("scopewarden_audit_failures_total"),
        service.metric("scopewarden_outbox_messages")
    );
}

/// A hundred organisations every minute, one of which takes connections and never answers.
fn organisations() {
    const MINUTES: u64 = 4;
    let simulated = Simulated::start(&["--clients", "100", "--roles", "50", "--divisions", "10"]);
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", hanging.local_addr().unwrap());
    let organisations = (1..100).map(|number| simulated.section(&format!("org-{number}")));
    let sections: String = organisations.chain([simulated.section_at("hanging", &address)]).collect();
    let service = Service::start(&simulated, "0 * * * * *", &sections);
    wait("the first audits", 300, || (service.audits() >= 99).then_some(()));
    let (begin, processor) = (Instant::now(), service.processor());
    thread::sleep(Duration::from_mins(MINUTES));
    let (elapsed, processor) = (begin.elapsed(), service.processor().saturating_sub(processor));
    // The first audit of each came at the start; the others were due at a full minute.
    let later =
        "SELECT started_ms % 60000 FROM audit WHERE seq NOT IN (SELECT MIN(seq) FROM audit GROUP BY org)";
    let late = read(&service.database(), later);
    let mut late: Vec<Duration> =
        late.into_iter().map(|ms| Duration::from_millis(ms.unsigned_abs())).collect();
    let audits = late.len();
    println!("| organisations | audits | missed | CPU | RSS | most | started after due: p50 | p99 | max |");
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    println!(
        "| 99 and one that hangs | {audits} | {} | {:.1} % | {} | {} | {} | {} | {} |",
        service.metric("scopewarden_scheduler_missed_runs_total"),
        100.0 * processor.as_secs_f64() / elapsed.as_secs_f64(),
        mib(service.memory("VmRSS")),
        mib(service.memory("VmHWM")),
        ms(quantile(&mut late, 0.5)),
        ms(quantile(&mut late, 0.99)),
        ms(quantile(&mut late, 1.0)),
    );
    println!("\nOrganisations that share this schedule are spread over 3 s behind it, by design.");
    drop(hanging);
}

/// Takes everything with 204.
fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                use std::io::Write as _;
                let (mut buffer, mut text) = (vec![0; 64 * 1024], Vec::new());
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    text.extend_from_slice(&buffer[..length]);
                    let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                    let headers = String::from_utf8_lossy(&text[..head]).to_lowercase();
                    let body = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let whole = head + 4 + body.map_or(0, |length| length.parse().unwrap());
                    if text.len() >= whole {
                        text.drain(..whole);
                        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                            break;
                        }
                    }
                }
            });
        }
    });
    url
}

/// All rows of all tables.
fn rows(database: &Path) -> i64 {
    let tables = ["audit", "object", "version", "finding", "event", "failure", "message", "delivery"];
    let counts: Vec<String> = tables.iter().map(|table| format!("SELECT COUNT(*) FROM {table}")).collect();
    read(database, &counts.join(" UNION ALL ")).into_iter().sum()
}

/// The numbers that a query gives.
fn read(database: &Path, query: &str) -> Vec<i64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(database).read_only(true);
        let mut connection = options.connect().await.unwrap();
        let query = sqlx::AssertSqlSafe(query.to_owned());
        sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
    })
}

fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a few thousand values, and a share between 0 and 1"
    )]
    let place = ((values.len() - 1) as f64 * share).round() as usize;
    values[place]
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}
