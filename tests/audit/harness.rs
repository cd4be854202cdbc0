//! An organisation (simulated), its auditor, and an administrator who changes things.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use scopewarden::{
    audit::{Auditor, Error, Report},
    config::{Config, Environment},
    simulator::{Options, Simulator},
    store::Store,
    telemetry::Metrics,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The webhook secret that every harness configures; tests look for it where it must not be.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwY2FuYXJ5";

pub(crate) struct Harness {
    pub(crate) simulator: Simulator,
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) config: Config,
    pub(crate) auditor: Auditor,
    pub(crate) folder: TempDir,
    http: reqwest::Client,
    admin_token: String,
    now: DateTime<Utc>,
}

impl Harness {
    pub(crate) async fn start(options: Options) -> Self {
        Self::with(options, "").await
    }

    /// With another section of the configuration.
    pub(crate) async fn configured(options: Options, section: &str) -> Self {
        Self::made(options, "", section).await
    }

    /// With more lines in the organisation's part of the configuration.
    pub(crate) async fn with(options: Options, org: &str) -> Self {
        Self::made(options, org, "").await
    }

    async fn made(options: Options, org: &str, section: &str) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let simulator = Simulator::start(address, &options).await.unwrap();
        let announced = simulator.announcement();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scopewarden.toml");
        let url = &announced.url;
        let text = format!(
            "[storage]\nurl = \"sqlite:test.db\"\n{section}\
             [[org]]\nname = \"acme\"\nlogin_url = \"{url}\"\napi_url = \"{url}\"\nclient_id = \"{}\"\n\
             client_secret_env = \"AUDITOR_SECRET\"\n{org}\n\
             [[receiver]]\nname = \"secops\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/hook?token=url-canary\"\n\
             secret_env = \"HOOK_SECRET\"\n",
            announced.client_id
        );
        std::fs::write(&file, text).unwrap();
        let environment: Environment =
            [("AUDITOR_SECRET", announced.client_secret.as_str()), ("HOOK_SECRET", WEBHOOK_SECRET)]
                .into_iter()
                .collect();
        let config = Config::load_in(Some(&file), &environment).unwrap();
        let store = Store::open(&config.storage.path).await.unwrap();
        let metrics = Arc::new(Metrics::new());
        let auditor = Auditor::new(&config, &config.orgs[0], store.clone(), Arc::clone(&metrics)).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let admin = (announced.admin_client_id.clone(), announced.admin_client_secret.clone());
        let admin_token = token(&http, url, &admin.0, &admin.1).await;
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let harness = Self { simulator, store, metrics, config, auditor, folder, http, admin_token, now };
        harness.settings(json!({ "rate_limit_per_minute": 1_000_000 })).await;
        harness
    }

    pub(crate) fn url(&self) -> &str {
        &self.simulator.announcement().url
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.config.storage.path.clone()
    }

    /// The time of the last audit.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Sets the clock of the platform's audit log to half a minute before the next audit.
    pub(crate) async fn clock(&self) {
        let time = self.now + TimeDelta::seconds(30);
        self.settings(json!({ "audit_time": time.to_rfc3339() })).await;
    }

    /// Lets time pass before the next audit.
    pub(crate) fn pass(&mut self, time: TimeDelta) {
        self.now += time;
    }

    /// One audit, a minute after the one before.
    pub(crate) async fn try_audit(&mut self) -> Result<Report, Error> {
        self.now += TimeDelta::minutes(1);
        self.auditor.audit(Duration::from_mins(2), &|_| {}, self.now).await
    }

    pub(crate) async fn audit(&mut self) -> Report {
        self.try_audit().await.unwrap()
    }

    /// A second auditor on the same store, as after a restart.
    pub(crate) fn restart(&mut self) {
        self.auditor =
            Auditor::new(&self.config, &self.config.orgs[0], self.store.clone(), Arc::clone(&self.metrics))
                .unwrap();
    }

    pub(crate) async fn token_of(&self, id: &str, secret: &str) -> String {
        token(&self.http, self.url(), id, secret).await
    }

    /// A call with a token; the status and the body (null if it is not JSON).
    pub(crate) async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.url())).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// A call of the administrator that must succeed.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(&self.admin_token, method, path, body.as_ref()).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    pub(crate) async fn settings(&self, settings: Value) {
        self.private("settings", settings).await;
    }

    pub(crate) async fn faults(&self, faults: Value) {
        self.private("faults", faults).await;
    }

    pub(crate) async fn private(&self, what: &str, body: Value) {
        let url = format!("{}/_simulator/{what}", self.url());
        let answer = self.http.put(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.text().await.unwrap());
    }

    /// What the simulator's private surface says: `GET`, or `POST` with a body.
    pub(crate) async fn ask(&self, what: &str, body: Option<&Value>) -> Value {
        let url = format!("{}/_simulator/{what}", self.url());
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Every client's id, name and secret.
    pub(crate) async fn clients(&self) -> Vec<(String, String, String)> {
        let url = format!("{}/_simulator/clients", self.url());
        let list: Vec<Value> = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let text = |client: &Value, field: &str| client[field].as_str().unwrap_or_default().to_owned();
        list.iter().map(|client| (text(client, "id"), text(client, "name"), text(client, "secret"))).collect()
    }

    /// A role by its name, as the platform shows it.
    pub(crate) async fn role(&self, name: &str) -> Value {
        let list = self.admin("GET", "/api/v2/authorization/roles?pageSize=100&pageNumber=1", None).await;
        let roles = list["entities"].as_array().unwrap();
        roles.iter().find(|role| role["name"] == name).unwrap_or_else(|| panic!("no role {name}")).clone()
    }

    /// Adds one permission to a role, as an administrator would.
    pub(crate) async fn give(&self, role: &str, domain: &str, entity: &str, action: &str) -> Value {
        let mut role = self.role(role).await;
        let policy = json!({ "domain": domain, "entityName": entity, "actionSet": [action] });
        role["permissionPolicies"].as_array_mut().unwrap().push(policy);
        let path = format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap());
        self.admin("PUT", &path, Some(role.clone())).await;
        role
    }
}

async fn token(http: &reqwest::Client, url: &str, id: &str, secret: &str) -> String {
    let request = http
        .post(format!("{url}/oauth/token"))
        .basic_auth(id, Some(secret))
        .form(&[("grant_type", "client_credentials")]);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "token of {id}: {}", answer.text().await.unwrap());
    let body: Value = answer.json().await.unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

/// The demo's organisation.
pub(crate) fn story() -> Options {
    Options { story: true, ..Options::default() }
}
