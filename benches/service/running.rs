//! The processes of a measurement: a simulated organisation, a folder, the daemon in it; and what the system says of
//! them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_scopewarden");

/// Ends a process with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulated organisation in a process of its own, without a limit on calls.
pub(crate) struct Simulated {
    _process: Process,
    pub(crate) announced: Value,
}

impl Simulated {
    /// `options`: of `simulate`, beside the address.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut simulator = Command::new(PROGRAM);
        simulator.args(["simulate", "--listen", "127.0.0.1:0"]).args(options).stdout(Stdio::piped());
        let mut simulator = simulator.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(simulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let simulated =
            Self { _process: Process(simulator), announced: serde_json::from_str(&line).unwrap() };
        let settings = json!({ "rate_limit_per_minute": 1_000_000 }).to_string();
        let mut line = Line::to(simulated.address());
        let (status, body) = line.send("PUT", "/_simulator/settings", &settings);
        assert_eq!(status, 200, "{body}");
        simulated
    }

    fn address(&self) -> &str {
        self.announced["url"].as_str().unwrap().strip_prefix("http://").unwrap()
    }

    /// An `[[org]]` that is this organisation.
    pub(crate) fn section(&self, name: &str) -> String {
        let url = self.announced["url"].as_str().unwrap();
        self.section_at(name, url)
    }

    /// The same, reached at another address.
    pub(crate) fn section_at(&self, name: &str, url: &str) -> String {
        format!(
            "[[org]]\nname = \"{name}\"\nlogin_url = \"{url}\"\napi_url = \"{url}\"\nclient_id = {}\n\
             client_secret_file = \"secret\"\n",
            self.announced["client_id"]
        )
    }

    /// Gives a role that somebody holds one more permission, or takes it back at the next call.
    pub(crate) fn edit_a_role(&self) {
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
            let added = json!({ "domain": "directory", "entityName": "user", "actionSet": ["setPassword"] });
            let policies = role["permissionPolicies"].as_array_mut().unwrap();
            let is_added = |policy: &Value| {
                policy["domain"] == "directory" && policy["actionSet"] == json!(["setPassword"])
            };
            let before = policies.len();
            policies.retain(|policy| !is_added(policy));
            if policies.len() == before {
                policies.push(added);
            }
            let path = format!("{roles}/{}", role["id"].as_str().unwrap());
            let answer = http.put(path).bearer_auth(token).json(&role).send().await.unwrap();
            assert!(answer.status().is_success());
        });
    }
}

/// A daemon in a folder of its own.
pub(crate) struct Service {
    process: Process,
    folder: tempfile::TempDir,
    pub(crate) address: String,
}

impl Service {
    /// Starts it and waits until it serves. `sections`: all of the configuration but storage, address and schedule.
    pub(crate) fn start(simulated: &Simulated, schedule: &str, sections: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = [
            ("secret", simulated.announced["client_secret"].as_str().unwrap()),
            ("signing-secret", "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMzQ="),
        ];
        for (name, text) in secrets {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let config = format!(
            "[storage]\nurl = \"sqlite:record.db\"\n[server]\nlisten = \"127.0.0.1:0\"\n\
             [audit]\nschedule = \"{schedule}\"\n{sections}"
        );
        fs::write(folder.path().join("scopewarden.toml"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut daemon = Command::new(PROGRAM);
        daemon.args(["run", "--log-format", "json"]).current_dir(folder.path());
        let process = Process(daemon.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let mut service = Self { process, folder, address: String::new() };
        service.address = wait("an address", 60, || {
            let log = service.log();
            let line = log.lines().find(|line| line.contains("scopewarden runs"))?;
            let line: Value = serde_json::from_str(line).unwrap();
            Some(line["address"].as_str().unwrap().to_owned())
        });
        service
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The sum of a metric over its labels; 0 without any sample.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = Line::to(&self.address).get("/metrics");
        let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        let samples = samples.filter(|(series, _)| series.split('{').next() == Some(name));
        samples.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// Audits that ended, whichever way.
    pub(crate) fn audits(&self) -> u64 {
        let log = self.log();
        log.lines()
            .filter(|line| line.contains("\"audit recorded\"") || line.contains("\"audit failed"))
            .count() as u64
    }

    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("record.db")
    }

    /// Bytes of the database and of its log.
    pub(crate) fn size(&self) -> (u64, u64) {
        let size = |name: &str| fs::metadata(self.folder.path().join(name)).map_or(0, |file| file.len());
        (size("record.db"), size("record.db-wal"))
    }

    /// `VmRSS` or `VmHWM`, in KiB.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.0.id())).unwrap().count()
    }

    /// Time on a processor so far. The system counts in hundredths of a second.
    pub(crate) fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.0.id())).unwrap();
        // Behind the name in parentheses the state is field 3; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// A connection that is kept, as Prometheus keeps its own.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn get(&mut self, path: &str) -> (u16, String) {
        self.send("GET", path, "")
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap();
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

/// Polls until there is something.
pub(crate) fn wait<T>(what: &str, seconds: u64, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {seconds} s");
        thread::sleep(Duration::from_millis(50));
    }
}
