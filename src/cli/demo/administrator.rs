//! The administrator: changes the organisation as people do, through the platform's own endpoints.
//!
//! Enters: the credentials of a client that may write. Leaves: a [`Change`] for each thing done, with what an audit must
//! make of it. Must never: touch anything of scopewarden's.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{domain::event::CauseKind, simulator::Announcement};

/// A client that holds the rights to change things, logged in.
pub(super) struct Administrator {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// Something that was done, and what an audit must make of it.
#[derive(Debug)]
pub(super) struct Change {
    /// Who did what, in one sentence.
    pub(super) told: String,
    /// The cause that must be found.
    pub(super) kind: CauseKind,
    /// The id of the role or client that changed.
    pub(super) subject: String,
}

impl Administrator {
    /// Logs in with client credentials.
    pub(super) async fn log_in(who: &Announcement) -> anyhow::Result<Self> {
        // reqwest takes the process's provider; that another part of the program installed it first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let request = http
            .post(format!("{}/oauth/token", who.url))
            .basic_auth(&who.admin_client_id, Some(&who.admin_client_secret))
            .form(&[("grant_type", "client_credentials")]);
        let body: Value = request.send().await?.error_for_status()?.json().await?;
        let token = body["access_token"].as_str().context("the administrator was given no token")?.to_owned();
        Ok(Self { http, url: who.url.clone(), token })
    }

    /// Lets the organisation be asked faster than the platform could be: nobody should watch a demonstration wait.
    pub(super) async fn lift_rate_limit(&self) -> anyhow::Result<()> {
        let settings = json!({ "rate_limit_per_minute": 6_000 });
        self.call(Method::PUT, "/_simulator/settings", Some(settings)).await?;
        Ok(())
    }

    /// From now on it writes in the name of a person, from where that person sits: the platform's audit log keeps both.
    pub(super) async fn act_as(&self, (name, address): (&str, &str)) -> anyhow::Result<()> {
        let person = json!({ "id": format!("user-{}", name.to_lowercase().replace(' ', "-")), "name": name });
        let settings = json!({ "acting_user": person, "remote_ip": address });
        self.call(Method::PUT, "/_simulator/settings", Some(settings)).await?;
        Ok(())
    }

    /// Its access token: a secret of the simulated organisation, for people who want to try a change themselves.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The id of a role.
    pub(super) async fn role_id(&self, name: &str) -> anyhow::Result<String> {
        Ok(id_of(&self.role(name).await?)?.to_owned())
    }

    async fn role(&self, name: &str) -> anyhow::Result<Value> {
        named(&self.call(Method::GET, "/api/v2/authorization/roles?pageSize=100", None).await?, name)
    }

    async fn client(&self, name: &str) -> anyhow::Result<Value> {
        named(&self.call(Method::GET, "/api/v2/oauth/clients", None).await?, name)
    }

    /// The ids of the clients that hold a role, by the organisation's own records.
    pub(super) async fn holders(&self, role: &str) -> anyhow::Result<BTreeSet<String>> {
        let role = self.role_id(role).await?;
        let clients = self.call(Method::GET, "/api/v2/oauth/clients", None).await?;
        let holds = |client: &&Value| {
            let pairs = client["roleDivisions"].as_array().into_iter().flatten().map(|pair| &pair["roleId"]);
            pairs.chain(client["roleIds"].as_array().into_iter().flatten()).any(|id| *id == role)
        };
        let clients = clients["entities"].as_array().into_iter().flatten().filter(holds);
        clients.map(|client| id_of(client).map(str::to_owned)).collect()
    }

    /// Adds permissions to a role that others hold.
    pub(super) async fn widen_role(&self, name: &str, permissions: &[&str]) -> anyhow::Result<Change> {
        let role = self.role(name).await?;
        let mut policies = role["permissionPolicies"].as_array().cloned().unwrap_or_default();
        for permission in permissions {
            let mut parts = permission.splitn(3, ':');
            policies.push(json!({
                "domain": parts.next(),
                "entityName": parts.next(),
                "actionSet": parts.collect::<Vec<_>>(),
            }));
        }
        let subject = id_of(&role)?.to_owned();
        let path = format!("/api/v2/authorization/roles/{subject}");
        self.call(Method::PATCH, &path, Some(json!({ "permissionPolicies": policies }))).await?;
        let told = format!("The role {name} gains {}.", permissions.join(" and "));
        Ok(Change { told, kind: CauseKind::RolePermissionsChanged, subject })
    }

    /// Takes permissions out of a role again.
    pub(super) async fn narrow_role(&self, name: &str, permissions: &[&str]) -> anyhow::Result<Change> {
        let role = self.role(name).await?;
        let mut policies = role["permissionPolicies"].as_array().cloned().unwrap_or_default();
        policies.retain(|policy| {
            let part = |field: &str| policy[field].as_str().unwrap_or_default().to_owned();
            let actions = policy["actionSet"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let begin = format!("{}:{}", part("domain"), part("entityName"));
            let named: Vec<String> = actions.map(|action| format!("{begin}:{action}")).collect();
            named.iter().any(|permission| !permissions.contains(&permission.as_str()))
        });
        let subject = id_of(&role)?.to_owned();
        let path = format!("/api/v2/authorization/roles/{subject}");
        self.call(Method::PATCH, &path, Some(json!({ "permissionPolicies": policies }))).await?;
        let told = format!("The role {name} loses {} again.", permissions.join(" and "));
        Ok(Change { told, kind: CauseKind::RolePermissionsChanged, subject })
    }

    /// Lets a client ask for every scope that the platform has.
    pub(super) async fn give_every_scope(&self, name: &str) -> anyhow::Result<Change> {
        let scopes = self.call(Method::GET, "/api/v2/oauth/scopes", None).await?;
        let scopes: Vec<&Value> =
            scopes["entities"].as_array().into_iter().flatten().map(|scope| &scope["id"]).collect();
        let client = self.client(name).await?;
        let before = client["scope"].as_array().map_or(0, Vec::len);
        let subject = id_of(&client)?.to_owned();
        self.replace(client, "scope", json!(scopes)).await?;
        let told = format!("{name} asked for {before} scopes; now it may ask for all {}.", scopes.len());
        Ok(Change { told, kind: CauseKind::ClientScopesChanged, subject })
    }

    /// Creates a client that may do everything everywhere.
    pub(super) async fn create_admin(&self, name: &str) -> anyhow::Result<Change> {
        let role = self.role("Admin").await?;
        let client = json!({
            "name": name,
            "authorizedGrantType": "CLIENT-CREDENTIALS",
            "roleDivisions": [{ "roleId": id_of(&role)?, "divisionId": "*" }],
        });
        let created = self.call(Method::POST, "/api/v2/oauth/clients", Some(client)).await?;
        let told = format!("A new client appears: {name}, with the Admin role in every division.");
        Ok(Change { told, kind: CauseKind::ClientAdded, subject: id_of(&created)?.to_owned() })
    }

    /// Deletes a client; the platform wants it inactive first.
    pub(super) async fn delete(&self, name: &str) -> anyhow::Result<Change> {
        let client = self.client(name).await?;
        let subject = id_of(&client)?.to_owned();
        if client["state"] != "inactive" {
            self.replace(client, "state", json!("inactive")).await?;
        }
        self.call(Method::DELETE, &format!("/api/v2/oauth/clients/{subject}"), None).await?;
        let told = format!("{name}, inactive as the platform wants a client to be first, is deleted.");
        Ok(Change { told, kind: CauseKind::ClientRemoved, subject })
    }

    async fn replace(&self, mut client: Value, field: &str, value: Value) -> anyhow::Result<()> {
        let path = format!("/api/v2/oauth/clients/{}", id_of(&client)?);
        client[field] = value;
        self.call(Method::PUT, &path, Some(client)).await?;
        Ok(())
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| what.clone())?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| what.clone())?;
        if !status.is_success() {
            bail!("{what}: the organisation answered {status}: {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| what)
    }
}

/// The entity of this name in a listing.
fn named(listing: &Value, name: &str) -> anyhow::Result<Value> {
    let found = listing["entities"].as_array().into_iter().flatten().find(|entity| entity["name"] == name);
    found.cloned().with_context(|| format!("the organisation has no {name}"))
}

fn id_of(entity: &Value) -> anyhow::Result<&str> {
    entity["id"].as_str().with_context(|| format!("no id in {entity}"))
}
