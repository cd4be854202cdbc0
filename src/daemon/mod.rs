//! The long life around audits: wiring, schedule, delivery, keeping, health, reloads, an orderly end.
//!
//! Enters: a checked configuration, and the wish to read it again. Leaves: nothing but what audits record. Must never:
//! decide what an audit finds, or let one organisation's or receiver's trouble reach another.
//!
//! [`Daemon::build`] takes what can fail at once (lock, database, address); [`Daemon::run`] is the long life. Who works
//! by the configuration is in `crew`; `storage` says whether anything can be recorded.

mod claims;
pub mod clock;
mod crew;
mod decisions;
pub mod delivery;
mod fleet;
mod keeping;
pub mod lock;
mod organisation;
mod probing;
mod reload;
pub mod schedule;
mod service;
mod storage;
mod watchman;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{
    crew::{Crew, Plan},
    decisions::Watched,
    lock::Lock,
    organisation::Surroundings,
    storage::Storage,
};
use crate::{
    audit::Addressing,
    config::Config,
    store::Store,
    telemetry::{DbFile, Metrics},
    web::{self, Health},
};

/// The supervisor looks round at least this often: heart beat, size of the database, who is still there.
const ROUND: Duration = Duration::from_secs(5);
/// From the first signal to the end of all audits and deliveries, whatever hangs. With what follows it is less than
/// the 45 s that the service manager is told.
const DRAIN_LIMIT: Duration = Duration::from_secs(38);
/// For the last answers of the server, and for folding the write-ahead log into the file.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// What all who work have in common. Cheap to clone.
#[derive(Clone)]
struct Shared {
    store: Store,
    metrics: Arc<Metrics>,
    storage: Arc<Storage>,
    /// Counts the scheduler's ticks.
    ticks: watch::Sender<u64>,
    /// Counts the audits after which messages may be waiting.
    outbox: watch::Sender<u64>,
    surroundings: watch::Sender<Surroundings>,
}

/// A daemon that holds its lock, its database and its port, and has not begun.
pub struct Daemon {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    shared: Shared,
    health: Arc<Health>,
    crew: Crew,
    plan: Plan,
    /// Ends all who work.
    work: CancellationToken,
    _lock: Lock,
}

impl Daemon {
    /// Takes the lock, opens and migrates the database, binds the port. Fails with what to do if any is not to be had.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
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
        reload::announce(&metrics, &config, clock::now());
        let health = Arc::new(Health::default());
        let storage =
            Storage::new(store.clone(), config.storage.min_free, Arc::clone(&metrics), Arc::clone(&health));
        let shared = Shared {
            store,
            metrics,
            storage: Arc::new(storage),
            ticks: watch::Sender::new(0),
            outbox: watch::Sender::new(0),
            surroundings: watch::Sender::new(Surroundings::of(&config)),
        };
        let work = CancellationToken::new();
        let crew = Crew::new(shared.clone(), &work);
        let plan = crew.plan(&config).await?;
        for org in &config.orgs {
            organisation::show_last(&org.name, &shared).await;
        }
        Ok(Self { config, listener, address, shared, health, crew, plan, work, _lock: lock })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Audits, delivers and serves until `stop`, then drains. Each notice of `reload` reads the configuration again.
    /// Fails if a part of it ends by itself.
    pub async fn run(self, stop: CancellationToken, reload: Arc<Notify>) -> anyhow::Result<()> {
        let Self { config, listener, address, shared, health, mut crew, plan, work, _lock } = self;
        let states = watch::Sender::new(reload::state(&config, &shared, &health));
        // Pages and metrics come first and go last.
        let drained = CancellationToken::new();
        let router = web::router(states.subscribe());
        let mut server = tokio::spawn(web::serve(listener, router, drained.clone().cancelled_owned()));

        let begin = async {
            keeping::check_at_start(&shared.store, &shared.storage, &shared.metrics, &health).await;
            crew.apply(plan).await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = begin => {}
        }
        let mut space = tokio::spawn(Arc::clone(&shared.storage).watch(work.child_token()));
        let watched = Watched::default();
        let mut supervisor = Supervisor { config, address, shared, health, states, crew, watched };
        let ended = supervisor.supervise(&stop, &reload, &mut server, &mut space).await;

        let Supervisor { shared, health, crew, .. } = supervisor;
        health.drain();
        service::stopping();
        work.cancel();
        info!("stopping: no new audits; what runs is finished");
        let drain = async {
            crew.drain().await;
            if !space.is_finished() {
                let _ = space.await;
            }
        };
        if tokio::time::timeout(DRAIN_LIMIT, drain).await.is_err() {
            warn!("something hung for {} s and was left; nothing of it is recorded", DRAIN_LIMIT.as_secs());
        }
        drained.cancel();
        if !server.is_finished() && tokio::time::timeout(CLOSE_LIMIT, &mut server).await.is_err() {
            server.abort();
        }
        if tokio::time::timeout(CLOSE_LIMIT, shared.store.close()).await.is_err() {
            warn!("the database is still busy; its log is folded into the file at the next start");
        }
        info!("stopped");
        match ended {
            None => Ok(()),
            Some(what) => bail!("a part of the daemon ended by itself ({what}); the log above says why"),
        }
    }
}

/// What looks after the crew while it works.
struct Supervisor {
    config: Config,
    address: SocketAddr,
    shared: Shared,
    health: Arc<Health>,
    states: watch::Sender<web::State>,
    crew: Crew,
    watched: Watched,
}

impl Supervisor {
    /// Looks round until `stop`, or until a part ends by itself: then which.
    async fn supervise(
        &mut self,
        stop: &CancellationToken,
        reload: &Notify,
        server: &mut JoinHandle<std::io::Result<()>>,
        space: &mut JoinHandle<()>,
    ) -> Option<String> {
        // Three signs of life in the time that the service manager waits for one.
        let round = service::watchdog().map_or(ROUND, |limit| ROUND.min(limit / 3));
        let work = async {
            self.look_round().await;
            info!(address = %self.address, orgs = self.config.orgs.len(), "scopewarden runs");
            service::ready(&reload::status(&self.config));
            loop {
                tokio::select! {
                    () = reload.notified() => self.reload().await,
                    () = tokio::time::sleep(round) => {}
                }
                self.look_round().await;
                if let Some(who) = self.crew.ended() {
                    return who;
                }
            }
        };
        tokio::select! {
            // First: what ends because it was told to stop did not end by itself. It is heard in the middle of a look
            // round or a reload too.
            biased;
            () = stop.cancelled() => None,
            ended = &mut *server => Some(format!("the server: {ended:?}")),
            ended = &mut *space => Some(format!("the watch over the storage: {ended:?}")),
            who = work => Some(who),
        }
    }

    /// The sign of life comes after the database was read: a disk that hangs must not look alive. One that fails
    /// must: to start again would not mend it.
    async fn look_round(&mut self) {
        let orgs = self.config.orgs.iter().map(|org| org.name.as_str());
        self.watched.look(orgs, &self.shared, &Addressing::of(&self.config)).await;
        let Shared { store, metrics, .. } = &self.shared;
        if let Ok(sizes) = store.sizes().await {
            metrics.db_size(DbFile::Main, sizes.main);
            metrics.db_size(DbFile::Wal, sizes.wal);
        }
        delivery::refresh(store, metrics).await;
        reload::forget_others(metrics, &self.config);
        self.health.beat(clock::now());
        service::alive();
    }

    /// Reads the configuration again. What is wrong with it is said, and the one before stays in use.
    async fn reload(&mut self) {
        service::reloading();
        match self.read_again().await {
            Ok(()) => info!(orgs = self.config.orgs.len(), "the configuration was read again and is in use"),
            Err(error) => {
                self.shared.metrics.config_refused();
                for problem in reload::lines(&error) {
                    error!("the configuration was refused, the one before stays in use: {problem}");
                }
            }
        }
        service::ready(&reload::status(&self.config));
    }

    async fn read_again(&mut self) -> anyhow::Result<()> {
        let config = reload::read(&self.config).await?;
        let plan = self.crew.plan(&config).await?;
        self.shared.surroundings.send_replace(Surroundings::of(&config));
        self.crew.apply(plan).await;
        self.shared.storage.require(config.storage.min_free);
        let before = std::mem::replace(&mut self.config, config);
        reload::announce(&self.shared.metrics, &self.config, clock::now());
        for org in &self.config.orgs {
            if before.orgs.iter().all(|known| known.name != org.name) {
                organisation::show_last(&org.name, &self.shared).await;
            }
        }
        self.states.send_replace(reload::state(&self.config, &self.shared, &self.health));
        Ok(())
    }
}
