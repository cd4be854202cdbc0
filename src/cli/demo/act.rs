//! One act of the story: an audit, its alerts sent out, and what the metrics show after it.
//!
//! Enters: the stage's configuration. Leaves: an [`Act`] for each audit. Must never: audit by other means than the
//! daemon does; only the schedule is missing here.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{
    receiver::{Alert, Receiver},
    series::{self, Values},
};
use crate::{
    audit::{Auditor, Report},
    config::Config,
    daemon::{clock, delivery, lock},
    domain::{checks::CHECKS, probe::Observation},
    probe::{Declarations, Inspector},
    store::Store,
    telemetry::Metrics,
};

/// How long the alerts of one audit may take.
const DELIVERY_LIMIT: Duration = Duration::from_secs(5);

/// What audits one organisation, without a schedule.
pub(super) struct Audits {
    /// What the platform calls the organisation.
    pub(super) organisation: String,
    auditor: Auditor,
    limit: Duration,
    store: Store,
    receivers: delivery::Receivers,
    metrics: Arc<Metrics>,
    _lock: lock::Lock,
}

/// An audit and what came of it.
pub(super) struct Act {
    pub(super) report: Report,
    /// Roles in the snapshot.
    pub(super) roles: u32,
    /// What the receiver got.
    pub(super) alerts: Vec<Alert>,
    /// Messages that were not delivered.
    pub(super) undelivered: u64,
    /// The metrics once the alerts were out.
    pub(super) metrics: Values,
}

impl Audits {
    /// Takes the lock, opens the database, and asks the platform which organisation this is.
    pub(super) async fn prepare(config: &Config) -> anyhow::Result<Self> {
        let org = config.orgs.first().context("the configuration names no organisation")?;
        let lock = lock::acquire(&config.storage.path)?;
        let store = Store::open(&config.storage.path).await?;
        let metrics = Arc::new(Metrics::new());
        let receivers: Vec<String> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let checks: Vec<_> = CHECKS.iter().map(|check| (check.id, check.severity)).collect();
        metrics.preset(std::slice::from_ref(&org.name), &receivers, &checks);
        let receivers = delivery::receivers(config)?;
        let mut auditor = Auditor::new(config, org, store.clone(), Arc::clone(&metrics))?;
        let organisation = auditor.organisation(clock::now()).await?;
        metrics.org_info(&org.name, &organisation.id, &org.region);
        let limit = config.audit.timeout;
        let organisation = organisation.name;
        Ok(Self { organisation, auditor, limit, store, receivers, metrics, _lock: lock })
    }

    /// Audits now, and sends what is to be sent.
    pub(super) async fn act(&mut self, receiver: &mut Receiver) -> anyhow::Result<Act> {
        let report = self.auditor.audit(self.limit, &|_| {}, clock::now()).await?;
        delivery::flush(&self.store, &self.receivers, &self.metrics, DELIVERY_LIMIT).await?;
        delivery::refresh(&self.store, &self.metrics).await;
        let outbox = self.store.outbox_counts().await?;
        let row = self.store.audits(Some(&report.org), 1).await?;
        Ok(Act {
            roles: row.first().map_or(0, |row| row.roles),
            alerts: receiver.drain(),
            undelivered: outbox.values().map(|counts| counts.pending + counts.dead).sum(),
            metrics: series::read(&self.metrics.render()),
            report,
        })
    }

    /// Tries out with clients' own tokens what the platform refuses.
    pub(super) async fn probe(&self, config: &Config) -> anyhow::Result<Vec<Observation>> {
        let org = config.orgs.first().context("the configuration names no organisation")?;
        let inspector = Inspector::new(config, org, self.store.clone(), Arc::clone(&self.metrics));
        let stop = CancellationToken::new();
        let report = inspector.run(None, &Declarations::new(), &stop, &|_| {}, clock::now()).await?;
        Ok(report.observations)
    }

    /// Lets go of the database and of the right to audit it.
    pub(super) async fn close(self) {
        self.store.close().await;
    }
}
