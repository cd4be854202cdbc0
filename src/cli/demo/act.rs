//! One act of the story: an audit, its alerts sent out, and what the metrics show after it; or what people decide.
//!
//! Enters: the stage's configuration. Leaves: an [`Act`] for each audit, a [`Decided`] for decisions. Must never: audit or
//! decide by other means than the daemon and the commands do; only the schedule is missing here.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::{
    receiver::{Alert, Receiver},
    series::{self, Values},
};
use crate::{
    audit::{
        Addressing, Auditor, Report,
        deciding::{self, Request},
    },
    config::Config,
    daemon::{clock, delivery, lock},
    domain::{
        decision::{Decision, desk::Terms},
        event::Event,
        finding::Finding,
        probe::Observation,
    },
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

/// What people decided, and what came of it.
pub(super) struct Decided {
    /// In order.
    pub(super) decisions: Vec<Decision>,
    /// What the receiver got.
    pub(super) alerts: Vec<Alert>,
}

/// Who decides in the story, why, and for how long.
pub(super) struct Reasons {
    pub(super) owner: &'static str,
    pub(super) reason: &'static str,
    pub(super) ticket: Option<&'static str>,
    pub(super) days: i64,
}

impl Reasons {
    fn terms(&self, now: DateTime<Utc>) -> Terms {
        Terms {
            id: deciding::new_id(),
            owner: self.owner.to_owned(),
            reason: self.reason.to_owned(),
            ticket: self.ticket.map(str::to_owned),
            expires: Some(now + TimeDelta::days(self.days)),
        }
    }
}

impl Audits {
    /// Takes the lock, opens the database, and asks the platform which organisation this is.
    pub(super) async fn prepare(config: &Config) -> anyhow::Result<Self> {
        let org = config.orgs.first().context("the configuration names no organisation")?;
        let lock = lock::acquire(&config.storage.path)?;
        let store = Store::open(&config.storage.path).await?;
        let metrics = Arc::new(Metrics::new());
        let receivers: Vec<String> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let checks: Vec<_> = config.every_check().collect();
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

    /// Approves a change and mutes a finding, as `approve` and `findings mute` do, and sends what is to be sent.
    pub(super) async fn decide(
        &self,
        config: &Config,
        report: &Report,
        (event, approval): (&Event, &Reasons),
        (finding, mute): (&Finding, &Reasons),
        receiver: &mut Receiver,
    ) -> anyhow::Result<Decided> {
        let (store, org) = (&self.store, report.org.as_str());
        let addressing = Addressing::of(config);
        let now = clock::now();
        let asked = deciding::asked(store, org, &report.audit, event.clone()).await?;
        let requests = [
            Request::Approve(Box::new(asked), approval.terms(now)),
            Request::Mute(vec![finding.uid.clone()], mute.terms(now)),
        ];
        let mut decisions = Vec::new();
        for request in requests {
            decisions.extend(deciding::decide(store, &addressing, org, request, now).await?.decision);
        }
        delivery::flush(store, &self.receivers, &self.metrics, DELIVERY_LIMIT).await?;
        Ok(Decided { decisions, alerts: receiver.drain() })
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
