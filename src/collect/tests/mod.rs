//! The collector against real sockets: what it reads, what it survives, and what it never says.
//!
//! `answers`: answers that are right. `audit_log`: who changed what. `broken`: every way to be wrong. `calls`: token, retries, rate limit, connection.
//! `definition`: what is too large for memory. `listings`: pages, and pages that move. `observed`: grants from the clients'
//! side, and their calls. `secrets`: nothing leaks.

mod answers;
mod audit_log;
mod broken;
mod calls;
mod definition;
mod listings;
mod observed;
mod probes;
mod secrets;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

use super::{Collector, Endpoint, Error, Limits};
use crate::{
    config::{Org, SecretUrl},
    domain::{
        ScopeEnforcement,
        facts::{Facts, Known},
    },
    telemetry::Metrics,
};

const TOKEN: &str = include_str!("../../../tests/fixtures/api/token.json");
const CLIENTS: &str = include_str!("../../../tests/fixtures/api/clients.json");
const ROLES: &str = include_str!("../../../tests/fixtures/api/roles.json");
const DIVISIONS: &str = include_str!("../../../tests/fixtures/api/divisions.json");
const PERMISSIONS: &str = include_str!("../../../tests/fixtures/api/permissions.json");
const SUBJECT: &str = include_str!("../../../tests/fixtures/api/subject.json");
const ORGANISATION: &str = include_str!("../../../tests/fixtures/api/organisation.json");

/// Generous where a slow machine needs it, short where a test waits.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    request: Duration::from_secs(30),
    call: Duration::from_mins(1),
    body: 1 << 20,
    attempts: 4,
    backoff: Duration::from_millis(1),
    longest_wait: Duration::from_secs(3),
};

fn now() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// A platform that answers every call well; a test overrides what it is about.
struct Platform {
    server: MockServer,
}

impl Platform {
    async fn start() -> Self {
        let platform = Self { server: MockServer::start().await };
        for (endpoint, body) in [
            (Endpoint::Token, TOKEN),
            (Endpoint::Clients, CLIENTS),
            (Endpoint::Roles, ROLES),
            (Endpoint::Divisions, DIVISIONS),
            (Endpoint::Permissions, PERMISSIONS),
            (Endpoint::OwnSubject, SUBJECT),
            (Endpoint::Organisation, ORGANISATION),
        ] {
            mock(endpoint).respond_with(ok(body)).with_priority(9).mount(&platform.server).await;
        }
        platform
    }

    /// From now on, `endpoint` answers so. A later override wins over an earlier one.
    async fn answer(
        &self,
        endpoint: Endpoint,
        respond: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
    ) {
        mock(endpoint).respond_with(respond).with_priority(2).mount(&self.server).await;
    }

    /// The next `times` calls of `endpoint` are answered so.
    async fn answer_times(&self, endpoint: Endpoint, times: u64, template: ResponseTemplate) {
        mock(endpoint).respond_with(template).up_to_n_times(times).with_priority(1).mount(&self.server).await;
    }

    fn collector(&self) -> Collector {
        collector(&self.server.uri(), LIMITS)
    }

    async fn gather(&self) -> Result<Facts, Error> {
        self.collector().gather(&Known::default(), now()).await
    }

    /// Requests that `endpoint` received, oldest first.
    async fn received(&self, endpoint: Endpoint) -> Vec<Request> {
        let mut requests = self.server.received_requests().await.unwrap();
        requests.retain(|request| request.url.path() == endpoint.path());
        requests
    }
}

fn org(base: &str) -> Org {
    Org {
        name: "acme".to_owned(),
        region: "custom".to_owned(),
        login_url: base.parse().unwrap(),
        api_url: base.parse().unwrap(),
        client_id: "auditor-id".to_owned(),
        client_secret: "canary-auditor-secret".to_owned().into(),
        scope_enforcement: ScopeEnforcement::Unknown,
        contracts: crate::config::Contracts::default(),
        proxy: None,
        probes: Vec::new(),
    }
}

fn collector(base: &str, limits: Limits) -> Collector {
    Collector::with_limits(&org(base), Duration::from_hours(1), Arc::new(Metrics::default()), limits).unwrap()
}

fn mock(endpoint: Endpoint) -> wiremock::MockBuilder {
    let verb = if endpoint == Endpoint::Token { "POST" } else { "GET" };
    Mock::given(method(verb)).and(path(endpoint.path()))
}

fn ok(body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.into(), "application/json")
}

/// The platform's form of an error.
fn refusal(status: u16, code: &str, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"code": code, "message": message, "status": status}))
}

/// A client record that is complete and dull.
fn client_record(id: &str) -> Value {
    json!({"id": id, "name": format!("Client {id}"), "authorizedGrantType": "CODE"})
}

fn number_in_query(request: &Request, key: &str) -> Option<usize> {
    let (_, value) = request.url.query_pairs().find(|(name, _)| name == key)?;
    value.parse().ok()
}
