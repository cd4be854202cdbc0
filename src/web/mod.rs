//! The daemon's own HTTP server: metrics, health, the JSON API, one page.
//!
//! Enters: GET requests. Leaves: what the store recorded and what the daemon last said of itself.
//! Must never: write, reach the network, read the clock, or show the cause of a fault to a visitor (the log has it).
//!
//! - `serve`: the listener and its limits. `guard`: what holds for every request and every answer.
//! - `health`: `/livez`, `/readyz`. `api`: `/api/v1/…`. `dashboard`: `/`, with its files in `pages/`.
//! - `query`: parameters of a URL. `error`: what a visitor is told when a request cannot be answered.

mod api;
mod dashboard;
mod error;
mod guard;
mod health;
mod query;
mod serve;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State as From},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

pub use health::{Health, Precondition};
pub use serve::serve;

use crate::{
    store::Store,
    telemetry::{self, Metrics},
};

/// What the server answers a request from. Cheap to clone; a reload of the configuration replaces it.
#[derive(Clone, Debug)]
pub struct State {
    /// The record.
    pub store: Store,
    /// The series of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// What the daemon says of itself.
    pub health: Arc<Health>,
    /// The configured organisations, in the order of the configuration.
    pub orgs: Arc<[OrgLine]>,
    /// A last audit older than this is called overdue on the page.
    pub stale_after: TimeDelta,
    /// The present moment; the daemon's clock.
    pub now: fn() -> DateTime<Utc>,
}

/// What the configuration says of an organisation and visitors may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgLine {
    /// Its configured name.
    pub name: String,
    /// The platform's domain, or `custom`.
    pub region: String,
}

/// The state as of the request, whatever is reloaded while it is answered.
impl FromRef<watch::Receiver<State>> for State {
    fn from_ref(states: &watch::Receiver<State>) -> Self {
        states.borrow().clone()
    }
}

/// Every route of the server. Each request is answered from the latest of `states`.
pub fn router(states: watch::Receiver<State>) -> Router {
    Router::new()
        .route("/", get(dashboard::page))
        .route("/style.css", get(style))
        .route("/metrics", get(metrics))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/api/v1/orgs", get(api::orgs))
        .route("/api/v1/audits", get(api::audits))
        .route("/api/v1/findings", get(api::findings))
        .route("/api/v1/events", get(api::events))
        .fallback(nothing_here)
        .layer(middleware::from_fn(guard::limits))
        .layer(middleware::from_fn(guard::headers))
        .with_state(states)
}

async fn metrics(From(state): From<State>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], state.metrics.render())
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("pages/style.css"))
}

async fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing at this address. The start page is /\n").into_response()
}
