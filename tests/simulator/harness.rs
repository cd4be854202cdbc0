//! A running simulator, and an HTTP client that nobody of ours wrote.

use reqwest::{Method, header::HeaderMap};
use scopewarden::simulator::{Announcement, Options, Simulator};
use serde_json::{Value, json};

/// A simulator with the tokens of its two announced clients.
pub(crate) struct Rehearsal {
    pub(crate) simulator: Simulator,
    pub(crate) http: reqwest::Client,
    pub(crate) auditor: String,
    pub(crate) admin: String,
}

/// An answer, read whole; a body that is not JSON is null.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Reply {
    /// The code of a refusal.
    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn entities(&self) -> &Vec<Value> {
        self.body["entities"].as_array().unwrap_or_else(|| panic!("no listing: {}", self.text))
    }
}

impl Rehearsal {
    pub(crate) async fn start(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), &options).await.unwrap();
        let timeout = std::time::Duration::from_secs(30);
        let http = reqwest::Client::builder().timeout(timeout).build().unwrap();
        let mut rehearsal = Self { simulator, http, auditor: String::new(), admin: String::new() };
        let who = rehearsal.who().clone();
        rehearsal.auditor = rehearsal.token(&who.client_id, &who.client_secret).await;
        rehearsal.admin = rehearsal.token(&who.admin_client_id, &who.admin_client_secret).await;
        rehearsal
    }

    pub(crate) fn who(&self) -> &Announcement {
        self.simulator.announcement()
    }

    pub(crate) async fn log_in(&self, id: &str, secret: &str, form: &str) -> Reply {
        let request = self
            .http
            .post(format!("{}/oauth/token", self.who().url))
            .basic_auth(id, Some(secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        reply(request.send().await.unwrap()).await
    }

    pub(crate) async fn token(&self, id: &str, secret: &str) -> String {
        let reply = self.log_in(id, secret, "grant_type=client_credentials").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.who().url))
    }

    pub(crate) async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.request(method, path).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        reply(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(&self.admin, "GET", path, None).await
    }

    pub(crate) async fn write(&self, method: &str, path: &str, body: Value) -> Reply {
        let reply = self.call(&self.admin, method, path, Some(body)).await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.text);
        reply
    }

    pub(crate) async fn private(&self, method: &str, name: &str, body: Option<Value>) -> Reply {
        self.call("", method, &format!("/_simulator/{name}"), body).await
    }

    pub(crate) async fn set(&self, settings: Value) {
        assert_eq!(self.private("PUT", "settings", Some(settings)).await.status, 200);
    }

    pub(crate) async fn digest(&self) -> String {
        self.private("GET", "digest", None).await.body["digest"].as_str().unwrap().to_owned()
    }

    /// A role with these permissions, and the token of a client that holds it in this division.
    pub(crate) async fn client_with(&self, permissions: &[&str], division: &str) -> (String, String) {
        let policy = |permission: &&str| {
            let parts: Vec<&str> = permission.split(':').collect();
            json!({"domain": parts[0], "entityName": parts[1], "actionSet": [parts[2]]})
        };
        let policies: Value = permissions.iter().map(policy).collect();
        let role =
            json!({"name": format!("role {permissions:?} {division}"), "permissionPolicies": policies});
        let role = self.write("POST", "/api/v2/authorization/roles", role).await.body["id"].clone();
        let client = json!({
            "name": "made for a test",
            "authorizedGrantType": "CLIENT-CREDENTIALS",
            "roleDivisions": [{"roleId": role, "divisionId": division}],
        });
        let client = self.write("POST", "/api/v2/oauth/clients", client).await.body;
        let id = client["id"].as_str().unwrap().to_owned();
        let token = self.token(&id, client["secret"].as_str().unwrap()).await;
        (id, token)
    }
}

pub(crate) async fn reply(response: reqwest::Response) -> Reply {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Reply { status, headers, text, body }
}
