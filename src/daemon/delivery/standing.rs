//! The herald of one Alertmanager: what stands, told to each peer every minute.
//!
//! Enters: the record. Leaves: alerts, told to every peer. Must never: keep a state of its own. What is open and what
//! ended lately is read from the record each time, so a restart changes nothing, and a peer that was down knows all at
//! the next minute.
//!
//! A firing alert is told with an end four minutes ahead: three rounds may be lost before Alertmanager takes it for
//! resolved. One that ended is told with its true end for fifteen minutes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock;
use crate::{
    config::{Config, Receiver},
    domain::rendering::alerts::{self, AFTERLIFE, Alert, CHANGE_LIFE},
    notify::{Alertmanager, Outcome},
    store::{self, Store},
    telemetry::Metrics,
};

/// Between two rounds, unless an audit was recorded.
const EVERY: Duration = Duration::from_mins(1);
/// The most changes of an organisation that are alerts.
const MOST_CHANGES: u32 = 500;

/// What a herald goes by; another one takes over when it changes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::daemon) struct Settings {
    /// The Alertmanager.
    pub(in crate::daemon) receiver: Receiver,
    orgs: Vec<String>,
    link: String,
}

impl Settings {
    /// As configured.
    pub(in crate::daemon) fn of(config: &Config, receiver: &Receiver) -> Self {
        Self {
            receiver: receiver.clone(),
            orgs: config.orgs.iter().map(|org| org.name.clone()).collect(),
            link: config.server.external_url.to_string(),
        }
    }
}

/// Tells one Alertmanager.
pub(in crate::daemon) struct Herald {
    store: Store,
    peers: Alertmanager,
    settings: Settings,
    metrics: Arc<Metrics>,
    /// What was last wrong with each peer: said once, and once when it is over.
    troubles: BTreeMap<String, String>,
}

impl Herald {
    /// One that has told nothing yet.
    pub(in crate::daemon) fn new(
        store: Store,
        peers: Alertmanager,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { store, peers, settings, metrics, troubles: BTreeMap::new() }
    }

    /// Tells every minute, and after each audit (`wake`), until `stop`. A disk that takes no writes is no hindrance.
    pub(in crate::daemon) async fn run(mut self, mut wake: watch::Receiver<u64>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                told = self.round(clock::now()) => if let Err(error) = told {
                    warn!(receiver = self.peers.name(), "what stands cannot be read: {error}");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = wake.changed() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Tells every peer once. Fails if the record cannot be read.
    pub(super) async fn round(&mut self, now: DateTime<Utc>) -> Result<(), store::Error> {
        let alerts = self.alerts(now).await?;
        let mut is_any_down = false;
        for told in self.peers.tell(&alerts, now).await {
            let name = self.peers.name();
            (0..told.requests).for_each(|_| self.metrics.delivery_attempt(name));
            let Some(trouble) = told.trouble else {
                if self.troubles.remove(&told.peer).is_some() {
                    info!(receiver = name, peer = told.peer, "the peer takes alerts again");
                }
                continue;
            };
            is_any_down = true;
            if let Some(reason) = trouble.reason() {
                self.metrics.delivery_failure(name, reason);
            }
            let detail = detail(trouble);
            if self.troubles.get(&told.peer) != Some(&detail) {
                warn!(
                    receiver = name,
                    peer = told.peer,
                    "alerts not taken, told again in a minute: {detail}"
                );
                self.troubles.insert(told.peer, detail);
            }
        }
        self.metrics.circuit(self.peers.name(), is_any_down);
        Ok(())
    }

    async fn alerts(&self, now: DateTime<Utc>) -> Result<Vec<Alert>, store::Error> {
        let Settings { receiver, orgs, link } = &self.settings;
        let mut standings = Vec::with_capacity(orgs.len());
        for org in orgs {
            let (since, changes) = (now - AFTERLIFE, now - CHANGE_LIFE - AFTERLIFE);
            let mut standing = self.store.standing(org, since, changes, MOST_CHANGES).await?;
            if !receiver.route.owners.is_empty()
                && let Some(past) = self.store.snapshot_at(org, None).await?
            {
                standing.owners = past.snapshot.owners();
            }
            standings.push(standing);
        }
        Ok(alerts::alerts(&standings, &receiver.route, link, now))
    }
}

fn detail(outcome: Outcome) -> String {
    match outcome {
        Outcome::Delivered => String::new(),
        Outcome::Retry { detail, .. }
        | Outcome::Refused { detail, .. }
        | Outcome::Dead { detail, .. }
        | Outcome::Disabled { detail } => detail,
    }
}
