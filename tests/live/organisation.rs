//! The simulated organisation and the administrator who keeps changing it.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reqwest::{Client, Method};
use scopewarden::simulator::{Announcement, Options, Simulator};
use serde_json::{Value, json};

/// A role that two clients share, and one that as many hold as make a group of findings.
pub(crate) const ROLES: [(&str, usize); 2] = [("narrow", 2), ("wide", 12)];

/// Permissions that make findings where they are given.
pub(crate) const PERMISSIONS: [(&str, &str, &str); 3] =
    [("directory", "user", "delete"), ("directory", "user", "setPassword"), ("telephony", "plugin", "all")];

pub(crate) struct Organisation {
    simulator: Simulator,
    http: Client,
    token: String,
    edits: AtomicU64,
}

impl Organisation {
    /// With so many roles that they come in two pages.
    pub(crate) async fn start() -> Self {
        // Whoever was first installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options { clients: 12, roles: 110, seed: 4, ..Options::default() };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let simulator = Simulator::start(listen, &options).await.unwrap();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut organisation = Self { simulator, http, token: String::new(), edits: AtomicU64::new(0) };
        organisation.log_in().await;
        let settings = json!({ "rate_limit_per_minute": 1_000_000 });
        organisation.call(Method::PUT, "/_simulator/settings", Some(&settings)).await;
        for (role, holders) in ROLES {
            let body = json!({ "name": role, "permissionPolicies": policies(&[]) });
            let id = organisation.call(Method::POST, "/api/v2/authorization/roles", Some(&body)).await["id"]
                .clone();
            for number in 0..holders {
                let client = json!({
                    "name": format!("{role}-{number}"),
                    "authorizedGrantType": "CLIENT-CREDENTIALS",
                    "roleDivisions": [{ "roleId": id, "divisionId": "*" }],
                });
                organisation.call(Method::POST, "/api/v2/oauth/clients", Some(&client)).await;
            }
        }
        organisation
    }

    pub(crate) fn announcement(&self) -> &Announcement {
        self.simulator.announcement()
    }

    /// An `[[org]]` that is reached at `url`.
    pub(crate) fn section(&self, name: &str, url: &str) -> String {
        format!(
            "[[org]]\nname = \"{name}\"\nlogin_url = \"{url}\"\napi_url = \"{url}\"\nclient_id = \"{}\"\n\
             client_secret_file = \"secret\"\n",
            self.announcement().client_id
        )
    }

    async fn log_in(&mut self) {
        let Announcement { url, admin_client_id, admin_client_secret, .. } = self.announcement();
        let login = self
            .http
            .post(format!("{url}/oauth/token"))
            .basic_auth(admin_client_id, Some(admin_client_secret));
        let answer = login.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// One call as the administrator.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request =
            self.http.request(method, format!("{}{path}", self.announcement().url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Replaces what a role permits. The description changes each time, so that no two edits cancel out: whenever an
    /// audit comes, it has something to tell.
    pub(crate) async fn edit(&self, role: &str, permissions: &[(&str, &str, &str)]) {
        let edit = self.edits.fetch_add(1, Ordering::Relaxed);
        let id = self.role(role).await["id"].as_str().unwrap().to_owned();
        let body = json!({
            "name": role,
            "description": format!("edit {edit}"),
            "permissionPolicies": policies(permissions),
        });
        self.call(Method::PUT, &format!("/api/v2/authorization/roles/{id}"), Some(&body)).await;
    }

    /// What a role permits, as the platform shows it.
    pub(crate) async fn permissions(&self, role: &str) -> BTreeSet<String> {
        let role = self.role(role).await;
        let mut permissions = BTreeSet::new();
        for policy in role["permissionPolicies"].as_array().unwrap() {
            for action in policy["actionSet"].as_array().unwrap() {
                let [domain, entity, action] =
                    [&policy["domain"], &policy["entityName"], action].map(|word| word.as_str().unwrap());
                permissions.insert(format!("{domain}:{entity}:{action}"));
            }
        }
        permissions
    }

    /// Gives one holder of the wide role its role again, or takes it away.
    pub(crate) async fn grant_wide(&self, number: usize, granted: bool) {
        let name = format!("wide-{number}");
        let role = self.role("wide").await["id"].as_str().unwrap().to_owned();
        let clients = self.call(Method::GET, "/api/v2/oauth/clients", None).await;
        let client =
            clients["entities"].as_array().unwrap().iter().find(|client| client["name"] == name).unwrap();
        let subject = client["id"].as_str().unwrap();
        let path = format!("/api/v2/authorization/subjects/{subject}/divisions/*/roles/{role}");
        let method = if granted { Method::POST } else { Method::DELETE };
        self.call(method, &path, None).await;
    }

    async fn role(&self, name: &str) -> Value {
        let path = format!("/api/v2/authorization/roles?pageSize=100&name={name}");
        let roles = self.call(Method::GET, &path, None).await;
        roles["entities"].as_array().unwrap().iter().find(|role| role["name"] == name).unwrap().clone()
    }
}

fn policies(permissions: &[(&str, &str, &str)]) -> Value {
    let usual = ("routing", "queue", "view");
    let policy = |(domain, entity, action): &(&str, &str, &str)| json!({ "domain": domain, "entityName": entity, "actionSet": [action] });
    [usual].iter().chain(permissions).map(policy).collect()
}
