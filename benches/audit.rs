//! What an audit costs, for 100, 1,000 and 10,000 clients: API calls, where the time goes, disk, memory.
//!
//! `cargo bench --bench audit` (needs nothing but the built program). Each size gets a simulated organisation in a
//! process of its own, and four audits, each in a process of its own as `scopewarden audit` runs: the first, an
//! unchanged one, one after one role was edited, an unchanged one. Figures are reported, nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scopewarden");

fn main() {
    // reqwest takes the process's provider; the program installs its own, and this is another process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    println!(
        "| clients | audit | API calls | waiting on HTTP | analysis | storing | past | growth | peak RSS |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|--:|");
    for clients in [100, 1_000, 10_000] {
        let organisation = Organisation::start(clients);
        let mut before = 0;
        for name in ["first", "unchanged", "one role edited", "unchanged"] {
            if name == "one role edited" {
                organisation.edit_a_role();
            }
            let (report, peak_kib) = organisation.audit();
            let size = organisation.size();
            let ms = |stage: &str| report["timings_ms"][stage].as_u64().unwrap();
            println!(
                "| {clients} | {name} | {} | {} ms | {} ms | {} ms | {} ms | {} KiB | {} MiB |",
                report["api_calls"],
                ms("collect"),
                ms("analyse"),
                ms("record"),
                ms("recall"),
                size.saturating_sub(before) / 1024,
                peak_kib / 1024,
            );
            before = size;
        }
    }
}

/// A simulated organisation and an auditor's folder.
struct Organisation {
    simulator: Child,
    announced: Value,
    folder: tempfile::TempDir,
}

impl Drop for Organisation {
    fn drop(&mut self) {
        self.simulator.kill().unwrap();
        self.simulator.wait().unwrap();
    }
}

impl Organisation {
    fn start(clients: u32) -> Self {
        let mut simulator = Command::new(PROGRAM)
            .args(["simulate", "--listen", "127.0.0.1:0", "--roles", "500", "--divisions", "50"])
            .args(["--clients", &clients.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(simulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, announced["client_secret"].as_str().unwrap()).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let url = announced["url"].as_str().unwrap();
        let config = format!(
            "[storage]\nurl = \"sqlite:audit.db\"\n[[org]]\nname = \"acme\"\nlogin_url = \"{url}\"\n\
             api_url = \"{url}\"\nclient_id = {}\nclient_secret_file = \"secret\"\n",
            announced["client_id"]
        );
        fs::write(folder.path().join("scopewarden.toml"), config).unwrap();
        Self { simulator, announced, folder }
    }

    /// One audit as a process: its report, and the most memory that it held at once (KiB).
    fn audit(&self) -> (Value, u64) {
        let mut audit = Command::new(PROGRAM)
            .args(["audit", "--format", "json"])
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = audit.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let status = format!("/proc/{}/status", audit.id());
        let mut peak = 0;
        while audit.try_wait().unwrap().is_none() {
            // The system keeps the high-water mark; the last look before the end is close enough.
            peak = peak.max(high_water_mark(&status));
            thread::sleep(Duration::from_millis(2));
        }
        (serde_json::from_str(&reader.join().unwrap()).unwrap(), peak)
    }

    /// Bytes of the database and its log. (The last connection folds the log into the file when it closes.)
    fn size(&self) -> u64 {
        let size = |name: &str| fs::metadata(self.folder.path().join(name)).map_or(0, |file| file.len());
        size("audit.db") + size("audit.db-wal")
    }

    /// Gives one more permission to a role that clients hold.
    fn edit_a_role(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let text = |field: &str| self.announced[field].as_str().unwrap().to_owned();
            let url = text("url");
            let login = http
                .post(format!("{url}/oauth/token"))
                .basic_auth(text("admin_client_id"), Some(text("admin_client_secret")))
                .form(&[("grant_type", "client_credentials")]);
            let token: Value = login.send().await.unwrap().json().await.unwrap();
            let token = token["access_token"].as_str().unwrap();
            let roles = format!("{url}/api/v2/authorization/roles");
            let list = http.get(format!("{roles}?pageSize=100")).bearer_auth(token);
            let list: Value = list.send().await.unwrap().json().await.unwrap();
            let custom = |role: &&Value| role["default"] != true && role["name"] != "scopewarden auditor";
            let mut role = list["entities"].as_array().unwrap().iter().rev().find(custom).unwrap().clone();
            role["permissionPolicies"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "domain": "directory", "entityName": "user", "actionSet": ["setPassword"] }));
            let path = format!("{roles}/{}", role["id"].as_str().unwrap());
            let answer = http.put(path).bearer_auth(token).json(&role).send().await.unwrap();
            assert!(answer.status().is_success());
        });
    }
}

fn high_water_mark(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
