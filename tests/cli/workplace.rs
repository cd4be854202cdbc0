//! A folder with a configuration, the organisation that it names, and the program run in it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::{Client, Method};
use scopewarden::simulator::{Options, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;

/// `whsec_` and the base64 of "canary-canary-canary-canary-1234".
pub(crate) const SIGNING_SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMzQ=";

/// How a run of the program ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Insists on an exit code.
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The JSON documents on stdout, one a line.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program, in a folder, undisturbed by the variables of whoever runs the tests.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scopewarden"));
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SCOPEWARDEN_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().expect("no signal ended it"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An organisation with the demonstration's names and faults, and a folder whose configuration calls it `acme`.
pub(crate) struct Workplace {
    pub(crate) simulator: Simulator,
    folder: TempDir,
    http: Client,
    admin_token: String,
}

impl Workplace {
    pub(crate) async fn new() -> Self {
        let options = Options { story: true, ..Options::default() };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let simulator = Simulator::start(listen, &options).await.unwrap();
        // Whoever was first installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
        let announced = simulator.announcement().clone();
        let mut workplace =
            Self { simulator, folder: TempDir::new().unwrap(), http, admin_token: String::new() };
        workplace.admin_token =
            workplace.token(&announced.admin_client_id, &announced.admin_client_secret).await;
        workplace.secret("secret", &announced.client_secret);
        workplace.configure(&workplace.org("acme"));
        workplace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only we may read.
    pub(crate) fn secret(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// An `[[org]]` that is the simulated organisation.
    pub(crate) fn org(&self, name: &str) -> String {
        let announced = self.simulator.announcement();
        let (url, client) = (&announced.url, &announced.client_id);
        format!(
            "[[org]]\nname = \"{name}\"\nlogin_url = \"{url}\"\napi_url = \"{url}\"\nclient_id = \"{client}\"\n\
             client_secret_file = \"secret\"\n"
        )
    }

    /// A `[[receiver]]` called `secops`.
    pub(crate) fn receiver(&self, url: &str) -> String {
        self.secret("signing-secret", SIGNING_SECRET);
        format!(
            "[[receiver]]\nname = \"secops\"\nkind = \"webhook\"\nurl = \"{url}\"\nsecret_file = \"signing-secret\"\n"
        )
    }

    pub(crate) fn configure(&self, sections: &str) {
        let text = format!("[storage]\nurl = \"sqlite:record.db\"\n{sections}");
        fs::write(self.path("scopewarden.toml"), text).unwrap();
    }

    /// Runs the program here.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.program();
        command.args(arguments);
        run(command)
    }

    /// The program, to be run here.
    pub(crate) fn program(&self) -> Command {
        program(self.folder.path())
    }

    /// A token of the simulated organisation.
    pub(crate) async fn token(&self, id: &str, secret: &str) -> String {
        let url = format!("{}/oauth/token", self.simulator.announcement().url);
        let form = [("grant_type", "client_credentials")];
        let answer = self.http.post(url).basic_auth(id, Some(secret)).form(&form).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// One call as the organisation's administrator.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.simulator.announcement().url);
        let mut request = self.http.request(method, url).bearer_auth(&self.admin_token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Makes some calls of the collector fail.
    pub(crate) async fn fault(&self, endpoint: &str, kind: &str) {
        let faults = json!([{ "match": endpoint, "kind": kind, "count": -1 }]);
        self.call(Method::PUT, "/_simulator/faults", Some(&faults)).await;
    }

    /// Adds a permission to a role, as an administrator does.
    pub(crate) async fn extend_role(&self, name: &str, domain: &str, entity: &str, action: &str) {
        let mut role = self.role(name).await;
        let policy = json!({ "domain": domain, "entityName": entity, "actionSet": [action] });
        role["permissionPolicies"].as_array_mut().unwrap().push(policy);
        let path = format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap());
        self.call(Method::PUT, &path, Some(&role)).await;
    }

    /// Adds a client that holds a role everywhere.
    pub(crate) async fn add_client(&self, name: &str, role: &str) {
        let grant = json!({ "roleId": self.role(role).await["id"], "divisionId": "*" });
        let client = json!({
            "name": name,
            "authorizedGrantType": "CLIENT-CREDENTIALS",
            "roleDivisions": [grant],
        });
        self.call(Method::POST, "/api/v2/oauth/clients", Some(&client)).await;
    }

    async fn role(&self, name: &str) -> Value {
        let roles = self.call(Method::GET, "/api/v2/authorization/roles?pageSize=100", None).await;
        roles["entities"].as_array().unwrap().iter().find(|role| role["name"] == name).unwrap().clone()
    }
}
