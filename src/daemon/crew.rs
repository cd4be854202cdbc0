//! Everybody who works by the configuration: one loop an organisation, one a receiver, the keeper, the watchman, the
//! scheduler.
//!
//! Enters: a configuration. Leaves: the loops that it asks for. Must never: change half of them. What can fail is in
//! [`Crew::plan`], which changes nothing; [`Crew::apply`] cannot fail.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use tokio_cron_scheduler::JobScheduler;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Shared, clock,
    delivery::{self, Courier, Herald, HeraldSettings},
    fleet::{Change, Fleet, Life},
    keeping::{Keeper, Policies},
    organisation::{Loop, Settings},
    probing::{self, Probing},
    schedule::Schedule,
    watchman::{self, Watchman},
};
use crate::{
    config::{Config, Receiver},
    notify::{self, Channel},
};

/// The running loops.
pub(super) struct Crew {
    shared: Shared,
    /// The daemon stops.
    stop: CancellationToken,
    orgs: Fleet<Settings>,
    receivers: Fleet<Receiver>,
    heralds: Fleet<HeraldSettings>,
    keeper: Fleet<Policies>,
    probers: Fleet<probing::Settings>,
    watchman: Fleet<watchman::Settings>,
    ticker: Option<Ticker>,
}

/// A started scheduler and what it ticks by.
struct Ticker {
    expression: String,
    scheduler: JobScheduler,
}

/// A change of the whole crew that can no longer fail.
pub(super) struct Plan {
    orgs: Change<Settings>,
    receivers: Change<Receiver>,
    heralds: Change<HeraldSettings>,
    keeper: Change<Policies>,
    probers: Change<probing::Settings>,
    watchman: Change<watchman::Settings>,
    ticker: Option<Ticker>,
}

impl Crew {
    /// Nobody yet; all end when `stop` is cancelled.
    pub(super) fn new(shared: Shared, stop: &CancellationToken) -> Self {
        Self {
            shared,
            stop: stop.clone(),
            orgs: Fleet::new(stop),
            receivers: Fleet::new(stop),
            heralds: Fleet::new(stop),
            keeper: Fleet::new(stop),
            probers: Fleet::new(stop),
            watchman: Fleet::new(stop),
            ticker: None,
        }
    }

    /// Builds whoever is new or changed. Fails with what is wrong, and nothing has changed.
    pub(super) async fn plan(&self, config: &Config) -> anyhow::Result<Plan> {
        let shared = &self.shared;
        let schedule = Schedule::parse(&config.audit.schedule)?;
        let orgs = config.orgs.iter().map(|org| (org.name.clone(), Settings::of(config, org)));
        let orgs = self
            .orgs
            .plan(orgs.collect(), async |settings, stop| {
                let audits = Loop::new(config, settings, shared, stop, self.stop.clone())?;
                Ok(Box::pin(audits.run()) as Life)
            })
            .await?;
        let (couriers, heralds): (Vec<&Receiver>, Vec<&Receiver>) =
            config.receivers.iter().partition(|receiver| receiver.target.takes_messages());
        let receivers = couriers.iter().map(|&one| (one.name.clone(), one.clone()));
        let receivers = self
            .receivers
            .plan(receivers.collect(), async |receiver, stop| {
                let channel = Channel::new(receiver)?.context("a receiver that gets no messages")?;
                let (store, metrics) = (shared.store.clone(), Arc::clone(&shared.metrics));
                let courier = Courier::new(store, Arc::new(channel), metrics);
                let (wake, storage) = (shared.outbox.subscribe(), Arc::clone(&shared.storage));
                Ok(Box::pin(delivery::deliver(courier, wake, storage, stop)) as Life)
            })
            .await?;
        let heralds = heralds.iter().map(|&one| (one.name.clone(), HeraldSettings::of(config, one)));
        let heralds = self
            .heralds
            .plan(heralds.collect(), async |settings, stop| {
                let peers =
                    notify::alertmanager(&settings.receiver)?.context("a receiver that gets messages")?;
                let (store, metrics) = (shared.store.clone(), Arc::clone(&shared.metrics));
                let herald = Herald::new(store, peers, settings.clone(), metrics);
                Ok(Box::pin(herald.run(shared.outbox.subscribe(), stop)) as Life)
            })
            .await?;
        let policies = Policies { retention: config.retention, backup: config.backup.clone() };
        let keeper = self
            .keeper
            .plan(BTreeMap::from([("keeper".to_owned(), policies)]), async |policies, stop| {
                let (store, storage, metrics) = (&shared.store, &shared.storage, &shared.metrics);
                let keeper = Keeper::new(policies, store.clone(), Arc::clone(storage), Arc::clone(metrics))?;
                Ok(Box::pin(keeper.run(stop)) as Life)
            })
            .await?;
        let probed = config.orgs.iter().filter_map(|org| {
            probing::Settings::of(config, org).map(|settings| (org.name.clone(), settings))
        });
        let probers = self
            .probers
            .plan(probed.collect(), async |settings, stop| {
                let probing = Probing::new(config, settings, shared, stop)?;
                Ok(Box::pin(probing.run()) as Life)
            })
            .await?;
        let watchman = self
            .watchman
            .plan(
                BTreeMap::from([("watchman".to_owned(), watchman::Settings::of(config))]),
                async |settings, stop| {
                    let watchman = Watchman::new(settings, shared, clock::now())?;
                    Ok(Box::pin(watchman.run(stop)) as Life)
                },
            )
            .await?;
        let ticks_so = self.ticker.as_ref().is_some_and(|now| now.expression == config.audit.schedule);
        let ticker = if ticks_so { None } else { Some(self.start_ticking(&schedule, config).await?) };
        Ok(Plan { orgs, receivers, heralds, keeper, probers, watchman, ticker })
    }

    async fn start_ticking(&self, schedule: &Schedule, config: &Config) -> anyhow::Result<Ticker> {
        let ticks = self.shared.ticks.clone();
        // Ticks that nobody waited for are one: each loop counts by due times.
        let tick = move || ticks.send_modify(|count| *count += 1);
        let scheduler = schedule.start(tick).await.context("the scheduler cannot start")?;
        Ok(Ticker { expression: config.audit.schedule.clone(), scheduler })
    }

    /// Makes the crew be as planned; who did not change works on undisturbed.
    pub(super) async fn apply(&mut self, plan: Plan) {
        if let Some(ticker) = plan.ticker
            && let Some(before) = self.ticker.replace(ticker)
        {
            stop_ticking(before).await;
        }
        self.receivers.apply(plan.receivers);
        self.heralds.apply(plan.heralds);
        self.orgs.apply(plan.orgs);
        self.keeper.apply(plan.keeper);
        self.probers.apply(plan.probers);
        self.watchman.apply(plan.watchman);
    }

    /// Who ended by itself; nobody should.
    pub(super) fn ended(&self) -> Option<String> {
        let org = self.orgs.ended().map(|name| format!("the audits of {name}"));
        let receiver = || {
            self.receivers
                .ended()
                .or_else(|| self.heralds.ended())
                .map(|name| format!("the deliveries to {name}"))
        };
        let prober = || self.probers.ended().map(|name| format!("the probes of {name}"));
        org.or_else(receiver)
            .or_else(|| self.keeper.ended().map(str::to_owned))
            .or_else(prober)
            .or_else(|| self.watchman.ended().map(str::to_owned))
    }

    /// Waits until all have ended; `stop` should be cancelled.
    pub(super) async fn drain(self) {
        if let Some(ticker) = self.ticker {
            stop_ticking(ticker).await;
        }
        self.orgs.drain().await;
        self.receivers.drain().await;
        self.heralds.drain().await;
        self.keeper.drain().await;
        self.probers.drain().await;
        self.watchman.drain().await;
    }
}

async fn stop_ticking(mut ticker: Ticker) {
    if let Err(error) = ticker.scheduler.shutdown().await {
        warn!("the scheduler did not stop: {error}");
    }
}
