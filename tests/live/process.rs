//! The folder with configuration, secrets and database, and the daemon that runs in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::within;

/// `whsec_` and the base64 of "canary-canary-canary-canary-1234".
const SIGNING_SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMzQ=";

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// A folder to run the program in.
pub(crate) struct Home {
    folder: TempDir,
    /// Where the database is: the folder, unless a test has a smaller disk for it.
    disk: PathBuf,
}

impl Home {
    /// `secret`: of the client that audits.
    pub(crate) fn new(secret: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let home = Self { disk: folder.path().to_owned(), folder };
        home.secret("secret", secret);
        home.secret("signing-secret", SIGNING_SECRET);
        home
    }

    /// Puts the database into another folder.
    pub(crate) fn on_disk(self, disk: &Path) -> Self {
        Self { disk: disk.to_owned(), ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.disk.join("record.db")
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the configuration: an audit each second unless `sections` have an `[audit]` of their own. `storage`:
    /// more lines of that section.
    pub(crate) fn configure(&self, storage: &str, sections: &str) {
        let audit = if sections.contains("[audit]") { "" } else { "[audit]\nschedule = \"* * * * * *\"\n" };
        let listen = if sections.contains("[server]") { "" } else { "[server]\nlisten = \"127.0.0.1:0\"\n" };
        // What is edited back and forth each second is to be told each time.
        let alerts = if sections.contains("[alerts]") { "" } else { "[alerts]\nflapping_after = 0\n" };
        let database = self.database();
        let text = format!(
            "[storage]\nurl = \"sqlite://{}\"\n{storage}\n{listen}{audit}{alerts}{sections}",
            database.display()
        );
        // Whole or not at all: a daemon may be reading it.
        fs::write(self.path("new.toml"), text).unwrap();
        fs::rename(self.path("new.toml"), self.path("scopewarden.toml")).unwrap();
    }

    /// The program with arguments, undisturbed by the variables of whoever runs the tests.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_scopewarden"), arguments)
    }

    /// Another program, which may start ours.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        let foreign = |name: &str| {
            name.starts_with("SCOPEWARDEN_") || name == "NOTIFY_SOCKET" || name.starts_with("WATCHDOG_")
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| foreign(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.program(arguments).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts the daemon.
    pub(crate) fn start(&self) -> Daemon {
        self.start_as(self.program(&["run", "--log-format", "json"]))
    }

    /// Starts the daemon by a command of the test's own.
    pub(crate) fn start_as(&self, mut command: Command) -> Daemon {
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let log_from = log.metadata().unwrap().len();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Daemon { child, log: self.path("log"), log_from, http: client() }
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap()
}

/// A running daemon; dropping it kills it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    log_from: u64,
    http: reqwest::Client,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(12).collect();
            eprintln!("the daemon's last lines, the newest first:\n{}", tail.join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as nothing can prevent; what it had logged.
    pub(crate) fn kill(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log_lines()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        within("the end of the daemon", limit, async || child.try_wait().unwrap()).await
    }

    /// Asks it to stop, and insists that it does so in order.
    pub(crate) async fn stop(mut self, limit: Duration) {
        self.signal("TERM");
        let status = self.end(limit).await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// What it has logged since it started.
    pub(crate) fn log(&self) -> String {
        let mut file = File::open(&self.log).unwrap();
        file.seek(SeekFrom::Start(self.log_from)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    /// The log's whole lines. (A killed process may leave a part of one.)
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the log has a line whose message has these words.
    pub(crate) async fn logs(&self, words: &str, limit: Duration) -> Value {
        let said = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(words));
        within(&format!("a line of the log with {words:?}"), limit, async || {
            self.log_lines().into_iter().find(said)
        })
        .await
    }

    /// Where it serves, as soon as it does.
    pub(crate) async fn url(&mut self) -> String {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let line = self.log_lines().into_iter().find(|line| line["message"] == "scopewarden runs");
            if let Some(line) = line {
                return format!("http://{}", line["address"].as_str().unwrap());
            }
            if let Some(status) = self.has_ended() {
                panic!("it ended before it served: {status}\n{}", self.log());
            }
            assert!(std::time::Instant::now() < end, "it does not serve:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A page: its status and text; `None` if nobody answers.
    pub(crate) async fn get(&self, url: &str) -> Option<(u16, String)> {
        let answer = self.http.get(url).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    /// The sum of a metric's samples whose labels contain `labels`; `None` without any.
    pub(crate) async fn metric(&self, url: &str, name: &str, labels: &str) -> Option<f64> {
        let (_, text) = self.get(&format!("{url}/metrics")).await?;
        let samples: Vec<f64> = text
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(labels))
            .map(|(_, value)| value.parse().unwrap())
            .collect();
        (!samples.is_empty()).then(|| samples.iter().sum())
    }
}
