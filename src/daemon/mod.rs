//! The long life around audits: wiring, schedule, delivery, health, an orderly end.
//!
//! Enters: a checked configuration. Leaves: nothing but what audits record. Must never: decide what an audit finds, or
//! let one organisation's trouble reach another.
//!
//! [`Daemon::build`] takes what can fail at once (lock, database, address); [`Daemon::run`] is the long life.

pub mod clock;
pub mod delivery;
pub mod lock;
mod organisation;
pub mod schedule;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    audit::{self, Auditor},
    config::{Audit, Config, Org},
    domain::{checks::CHECKS, evidence::Hash},
    store::Store,
    telemetry::{DbFile, Metrics},
    web::{self, Health, OrgLine, Precondition},
};
use lock::Lock;
use organisation::Loop;
use schedule::Schedule;

/// The supervisor looks round this often: heart beat, size of the database.
const ROUND: Duration = Duration::from_secs(5);
/// From the first signal to the end, whatever hangs. Less than the 45 s that the service manager is told.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);
/// Organisations that share a schedule start within this time of it.
const MAX_JITTER: Duration = Duration::from_secs(30);

/// A daemon that holds its lock, its database and its port, and has not begun.
pub struct Daemon {
    config: Config,
    schedule: Schedule,
    listener: TcpListener,
    address: SocketAddr,
    receivers: delivery::Receivers,
    store: Store,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    _lock: Lock,
}

impl Daemon {
    /// Takes the lock, opens and migrates the database, binds the port. Fails with what to do if any is not to be had.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let schedule = Schedule::parse(&config.audit.schedule)?;
        let receivers = delivery::receivers(&config)?;
        let lock = lock::acquire(&config.storage.path)?;
        let store = Store::open(&config.storage.path).await?;
        let listener = TcpListener::bind(config.server.listen).await.with_context(|| {
            format!(
                "server.listen {}: the address cannot be used; choose another or stop what uses it",
                config.server.listen
            )
        })?;
        let address = listener.local_addr().context("server.listen: the bound address cannot be read")?;
        let metrics = Arc::new(Metrics::new());
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
        let checks: Vec<_> = CHECKS.iter().map(|check| (check.id, check.severity)).collect();
        metrics.preset(
            &names(config.orgs.iter().map(|org| &org.name).collect()),
            &names(config.receivers.iter().map(|receiver| &receiver.name).collect()),
            &checks,
        );
        let health = Arc::new(Health::default());
        health.holds(Precondition::Configuration);
        health.holds(Precondition::Database);
        Ok(Self { config, schedule, listener, address, receivers, store, metrics, health, _lock: lock })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Audits, delivers and serves until `stop`, then drains. Fails if a part of it ends by itself.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let now = clock::now();
        let gap = self.schedule.longest_gap(now);
        let mut tasks: JoinSet<&'static str> = JoinSet::new();

        let (_writable, writable) = watch::channel(true);
        let wakes: Arc<Vec<Arc<Notify>>> = Arc::new(self.receivers.iter().map(|_| Arc::default()).collect());
        for (receiver, wake) in self.receivers.iter().zip(wakes.iter()) {
            let (receiver, metrics) = (Arc::clone(receiver), Arc::clone(&self.metrics));
            let courier = delivery::Courier::new(self.store.clone(), receiver, metrics);
            let delivery =
                delivery::deliver(courier, Arc::clone(wake), writable.clone(), |_| {}, stop.child_token());
            tasks.spawn(async move {
                delivery.await;
                "delivery"
            });
        }

        let mut ticks = Vec::new();
        for org in &self.config.orgs {
            let (sender, receiver) = mpsc::channel(1);
            ticks.push(sender);
            let audits = self.audit_loop(org, gap, receiver, &wakes, &stop).await?;
            tasks.spawn(async move {
                audits.run().await;
                "audits"
            });
        }
        let mut scheduler = self
            .schedule
            .start(move || {
                for organisation in &ticks {
                    // Full: a tick waits already, and the loop counts by due times, not by ticks.
                    let _ = organisation.try_send(());
                }
            })
            .await
            .context("the scheduler cannot start")?;

        let state = web::State {
            store: self.store.clone(),
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
            orgs: self
                .config
                .orgs
                .iter()
                .map(|org| OrgLine { name: org.name.clone(), region: org.region.clone() })
                .collect(),
            stale_after: gap * 5 / 2 + TimeDelta::minutes(1),
            now: clock::now,
        };
        // Pages and metrics stay up while audits and deliveries drain.
        let drained = CancellationToken::new();
        let server = web::serve(self.listener, web::router(state), drained.clone().cancelled_owned());
        let mut server = tokio::spawn(server);
        info!(address = %self.address, orgs = self.config.orgs.len(), "scopewarden runs");

        let ended = loop {
            self.health.beat(clock::now());
            if let Ok(sizes) = self.store.sizes().await {
                self.metrics.db_size(DbFile::Main, sizes.main);
                self.metrics.db_size(DbFile::Wal, sizes.wal);
            }
            tokio::select! {
                // First: what ends because it was told to stop did not end by itself.
                biased;
                () = stop.cancelled() => break None,
                ended = tasks.join_next(), if !tasks.is_empty() => break Some(describe(ended)),
                ended = &mut server => break Some(format!("the server ended: {ended:?}")),
                () = tokio::time::sleep(ROUND) => {}
            }
        };

        self.health.drain();
        stop.cancel();
        info!("stopping: no new audits; what runs is finished");
        if let Err(error) = scheduler.shutdown().await {
            warn!("the scheduler did not stop: {error}");
        }
        let drain = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_LIMIT, drain).await.is_err() {
            warn!("something hung for {} s and was left; nothing of it is recorded", DRAIN_LIMIT.as_secs());
        }
        drained.cancel();
        if !server.is_finished() && tokio::time::timeout(Duration::from_secs(3), &mut server).await.is_err() {
            server.abort();
        }
        self.store.close().await;
        info!("stopped");
        match ended {
            None => Ok(()),
            Some(what) => bail!("a part of the daemon ended by itself ({what}); the log above says why"),
        }
    }

    /// The loop of one organisation, its gauges as they were last recorded.
    async fn audit_loop(
        &self,
        org: &Org,
        gap: TimeDelta,
        ticks: mpsc::Receiver<()>,
        wakes: &Arc<Vec<Arc<Notify>>>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Loop> {
        let Audit { timeout, .. } = self.config.audit;
        let auditor = Auditor::new(&self.config, org, self.store.clone(), Arc::clone(&self.metrics))?;
        let history = self.store.history(&org.name).await?;
        let last_audit = history.past.as_ref().map(|past| past.at);
        if let Some(past) = history.past {
            let gauges = audit::gauges(&past.snapshot, &history.findings, &past.gaps, past.at);
            self.metrics.audit_recorded(&org.name, &gauges);
        }
        let seconds = gap.to_std().unwrap_or_default().as_secs_f64();
        self.metrics.interval(&org.name, seconds);
        Ok(Loop {
            org: org.clone(),
            auditor,
            schedule: self.schedule.clone(),
            timeout,
            jitter: jitter(&org.name, self.config.orgs.len(), gap),
            last_audit,
            ticks,
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
            outbox: Arc::clone(wakes),
            stop: stop.child_token(),
        })
    }
}

/// How long after a due time an organisation starts: none if it is alone, else somewhere in a twentieth of the
/// interval (at most 30 s), by its name, so that a restart changes nothing.
fn jitter(org: &str, orgs: usize, gap: TimeDelta) -> Duration {
    let span = gap.to_std().unwrap_or_default().checked_div(20).unwrap_or_default().min(MAX_JITTER);
    if orgs < 2 || span.is_zero() {
        return Duration::ZERO;
    }
    let hash = Hash::of(org.as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    span.mul_f64(f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX))
}

fn describe(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> String {
    match ended {
        Some(Ok(what)) => what.to_owned(),
        Some(Err(error)) => error.to_string(),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_steady_bounded_and_none_for_one_alone() {
        let minute = TimeDelta::minutes(1);
        assert_eq!(jitter("acme", 1, minute), Duration::ZERO);
        assert_eq!(jitter("acme", 2, minute), jitter("acme", 9, minute));
        for org in ["a", "b", "c", "acme"] {
            assert!(jitter(org, 2, minute) <= Duration::from_secs(3));
            assert!(jitter(org, 2, TimeDelta::days(7)) <= MAX_JITTER);
        }
    }
}
