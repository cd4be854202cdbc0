//! The probe loop of one organisation, beside its audits.
//!
//! Enters: the schedule of `[probe]`, whether the record can be written. Leaves: probe runs, one at a time, which the
//! next audit judges. Must never: wait for an audit or make one wait, send anything while the record cannot be written
//! (what cannot be recorded is not sent), or run at once because the program was started for the first time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Shared, clock, lock, schedule::Schedule, storage::Storage};
use crate::{
    config::{Config, Org, Probe},
    probe::{Declarations, Error, Inspector},
    store::Store,
};

/// Whether a run is due is asked this often.
const TURN: Duration = Duration::from_secs(5);

/// What a loop cannot change while it lives; if it changes, the loop is replaced.
#[derive(Clone, PartialEq)]
pub(super) struct Settings {
    org: Org,
    probe: Probe,
}

impl Settings {
    /// Those of `org`; `None`: nobody is to be probed there.
    pub(super) fn of(config: &Config, org: &Org) -> Option<Self> {
        let is_wanted = config.probe.enabled && !org.probes.is_empty();
        is_wanted.then(|| Self { org: org.clone(), probe: config.probe.clone() })
    }
}

/// One organisation's loop.
pub(super) struct Probing {
    inspector: Inspector,
    schedule: Schedule,
    store: Store,
    storage: Arc<Storage>,
    stop: CancellationToken,
}

impl Probing {
    /// Connects to nothing yet. Fails if the schedule is not understood.
    pub(super) fn new(
        config: &Config,
        settings: &Settings,
        shared: &Shared,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (store, metrics) = (shared.store.clone(), Arc::clone(&shared.metrics));
        Ok(Self {
            inspector: Inspector::new(config, &settings.org, store.clone(), metrics),
            schedule: Schedule::parse(&settings.probe.schedule)?,
            store,
            storage: Arc::clone(&shared.storage),
            stop,
        })
    }

    /// Probes when it is due, until told to stop; then the request that is on its way is the last.
    pub(super) async fn run(self) {
        let mut done = clock::now();
        // A run that was due while nobody was there is made up for, once.
        if let Ok(Some(last)) = self.store.last_probe_run(self.inspector.org()).await {
            done = last.min(done);
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(TURN) => {}
            }
            let now = clock::now();
            // A clock set back makes nothing due; a gap is one run.
            let Some((due, _)) = self.schedule.due_between(done.min(now), now) else { continue };
            if self.storage.blocked().is_some() {
                continue;
            }
            // Somebody probes by hand: the run comes after.
            let Ok(_lock) = lock::acquire_for_probes(self.store.path()) else { continue };
            done = due;
            self.probe(now).await;
        }
    }

    async fn probe(&self, now: DateTime<Utc>) {
        let org = self.inspector.org();
        match self.inspector.run(None, &Declarations::new(), &self.stop, &|_| {}, now).await {
            Ok(_) => {}
            Err(Error::Store(error)) => {
                warn!(org = %org, "the probes ended: {error}");
                self.storage.report(&error);
            }
            Err(error @ Error::Stopped(_)) => info!(org = %org, "{error}"),
            Err(error) => warn!(org = %org, "no probes, the next run is tried as scheduled: {error}"),
        }
    }
}
