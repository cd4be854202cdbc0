//! From one configuration to the next, and what the rest of the program sees of it.
//!
//! Enters: the configuration in use. Leaves: the one in the file now, or every reason why it cannot be used. Must
//! never: accept a change that only a restart can bring about, and then not bring it about.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::{Shared, clock, schedule::Schedule};
use crate::{
    config::{Config, Problems, unheard},
    telemetry::Metrics,
    web::{self, Health, OrgLine},
};

/// Reads the file that `current` came from, with this process's environment.
pub(super) async fn read(current: &Config) -> anyhow::Result<Config> {
    let file = current.file.clone();
    let config = tokio::task::spawn_blocking(move || Config::load(Some(&file)))
        .await
        .context("the configuration could not be read")??;
    let mut fixed = Vec::new();
    if config.storage.path != current.storage.path {
        fixed.push("storage.url");
    }
    if config.server.listen != current.server.listen {
        fixed.push("server.listen");
    }
    if !fixed.is_empty() {
        bail!("{} cannot change while the daemon runs; restart it", fixed.join(" and "));
    }
    Ok(config)
}

/// The lines of a failure: each problem of a configuration has its own.
pub(super) fn lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}")],
    }
}

/// Shows every series of a configuration that is in use from now on, and says what is odd in it.
pub(super) fn announce(metrics: &Metrics, config: &Config, now: DateTime<Utc>) {
    let checks: Vec<_> = config.every_check().collect();
    metrics.preset(&orgs(config), &receivers(config), &checks);
    metrics.config_loaded(now);
    let seconds = longest_gap(config, now).to_std().unwrap_or_default().as_secs_f64();
    for org in &config.orgs {
        metrics.interval(&org.name, seconds);
    }
    forget_others(metrics, config);
    for warning in unheard(config) {
        warn!("{warning}");
    }
    for org in &config.orgs {
        for warning in &org.contracts.warnings {
            warn!(org = %org.name, "a contract is odd: {warning}");
        }
    }
}

/// Takes back what belongs to no organisation or receiver of the configuration. One that was removed may still have
/// finished an audit, so this is done again and again.
pub(super) fn forget_others(metrics: &Metrics, config: &Config) {
    metrics.keep_only(&orgs(config), &receivers(config));
}

/// What the pages answer from.
pub(super) fn state(config: &Config, shared: &Shared, health: &Arc<Health>) -> web::State {
    let line = |org: &crate::config::Org| OrgLine { name: org.name.clone(), region: org.region.clone() };
    web::State {
        store: shared.store.clone(),
        metrics: Arc::clone(&shared.metrics),
        health: Arc::clone(health),
        orgs: config.orgs.iter().map(line).collect(),
        stale_after: longest_gap(config, clock::now()) * 5 / 2 + TimeDelta::minutes(1),
        now: clock::now,
    }
}

/// One line for the service manager.
pub(super) fn status(config: &Config) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!(
        "Auditing {}, alerting {}",
        count(config.orgs.len(), "organisation"),
        count(config.receivers.len(), "receiver")
    )
}

/// The configuration was checked, so its schedule is one; if not, nothing is ever called overdue.
fn longest_gap(config: &Config, now: DateTime<Utc>) -> TimeDelta {
    Schedule::parse(&config.audit.schedule).map_or(TimeDelta::days(366), |schedule| schedule.longest_gap(now))
}

fn orgs(config: &Config) -> Vec<String> {
    config.orgs.iter().map(|org| org.name.clone()).collect()
}

fn receivers(config: &Config) -> Vec<String> {
    config.receivers.iter().map(|receiver| receiver.name.clone()).collect()
}
