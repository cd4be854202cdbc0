//! The audit loop of one organisation: it owns overlap, catch-up and the end of an audit at shutdown.
//!
//! Enters: ticks. Leaves: audits, one at a time, each due time claimed at most once. Must never: wait for another
//! organisation, or start an audit after it was told to stop.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{clock, schedule::Schedule};
use crate::{
    audit::{Auditor, Error},
    config::Org,
    telemetry::{Metrics, MissedRun},
    web::{Health, Precondition},
};

/// How long a running audit may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(20);
/// A due time that nobody ticked for this long after it is noticed by the watchdog.
const LATE: TimeDelta = TimeDelta::seconds(30);

/// What one organisation's loop works with.
pub(super) struct Loop {
    pub(super) org: Org,
    pub(super) auditor: Auditor,
    pub(super) schedule: Schedule,
    /// An audit that takes longer is abandoned.
    pub(super) timeout: Duration,
    /// Puts organisations that share a schedule apart; the same after each restart.
    pub(super) jitter: Duration,
    /// When the last audit was recorded, before this process.
    pub(super) last_audit: Option<DateTime<Utc>>,
    pub(super) ticks: mpsc::Receiver<()>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    /// Woken when messages may be waiting.
    pub(super) outbox: Arc<Vec<Arc<Notify>>>,
    pub(super) stop: CancellationToken,
}

impl Loop {
    /// Audits until told to stop.
    pub(super) async fn run(mut self) {
        self.introduce().await;
        // Each due time up to here is claimed, whether it led to an audit or was missed.
        let mut claimed = self.catch_up().await;
        while !self.stop.is_cancelled() {
            let next = self.schedule.next_after(claimed);
            if let Some(next) = next {
                self.metrics.next_run(&self.org.name, next);
            }
            let late = next.map_or(Duration::from_hours(24), |next| {
                (next + LATE - clock::now()).to_std().unwrap_or_default()
            });
            let ticked = tokio::select! {
                () = self.stop.cancelled() => return,
                tick = self.ticks.recv() => tick.is_some(),
                () = tokio::time::sleep(late) => false,
            };
            let now = clock::now();
            let Some((due, count)) = self.schedule.due_between(claimed, now) else {
                // The clock was set back, or the tick came a moment early: this due time was claimed before.
                debug!(org = %self.org.name, "a tick without a due time");
                if !ticked {
                    self.metrics.missed_run(&self.org.name, MissedRun::Clock);
                }
                continue;
            };
            claimed = due;
            if !ticked {
                warn!(org = %self.org.name, %due, "the scheduler did not tick; the watchdog starts the audit");
                self.metrics.missed_run(&self.org.name, MissedRun::Clock);
            }
            self.missed(count - 1, MissedRun::Clock);
            self.audit().await;
            self.skip_overlapped(&mut claimed);
        }
    }

    /// Ticks that came while an audit ran are skipped and counted, not queued.
    fn skip_overlapped(&mut self, claimed: &mut DateTime<Utc>) {
        while self.ticks.try_recv().is_ok() {}
        if let Some((due, count)) = self.schedule.due_between(*claimed, clock::now()) {
            *claimed = due;
            self.missed(count, MissedRun::Overlap);
            warn!(org = %self.org.name, count, "audits were due while another ran; skipped");
        }
    }

    fn missed(&self, count: usize, cause: MissedRun) {
        for _ in 0..count {
            self.metrics.missed_run(&self.org.name, cause);
        }
    }

    /// Audits once if a due time passed since the last recorded audit, or if there is none. Leaves the last due time
    /// that is settled by it.
    async fn catch_up(&mut self) -> DateTime<Utc> {
        let now = clock::now();
        if let Some(last) = self.last_audit {
            let Some((_, count)) = self.schedule.due_between(last, now) else { return now.max(last) };
            info!(org = %self.org.name, missed = count, "audits were due while no daemon ran; one now");
            self.missed(count, MissedRun::Downtime);
        } else {
            info!(org = %self.org.name, "no audit is recorded yet; the first one now");
        }
        self.audit().await;
        let mut claimed = now;
        self.skip_overlapped(&mut claimed);
        claimed
    }

    async fn audit(&mut self) {
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = tokio::time::sleep(self.jitter) => {}
        }
        let work = self.auditor.audit(self.timeout, &|_| {}, clock::now());
        let stop = self.stop.clone();
        let out_of_time = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let result = tokio::select! {
            result = work => result,
            () = out_of_time => {
                warn!(org = %self.org.name, "the running audit was abandoned to stop in time; nothing of it is recorded");
                return;
            }
        };
        match result {
            Ok(_) => self.health.holds(Precondition::Database),
            Err(Error::Store(error)) => self.health.fails(Precondition::Database, error.to_string()),
            Err(_) => {}
        }
        for receiver in self.outbox.iter() {
            receiver.notify_one();
        }
    }

    /// Asks once which organisation this is, for `org_info`. Its failure is no reason to wait: audits do not need it.
    async fn introduce(&mut self) {
        let organisation = tokio::select! {
            () = self.stop.cancelled() => return,
            organisation = self.auditor.organisation(clock::now()) => organisation,
        };
        match organisation {
            Ok(found) => self.metrics.org_info(&self.org.name, &found.id, &self.org.region),
            Err(error) => {
                debug!(org = %self.org.name, "the organisation's id could not be read: {error}");
                self.metrics.org_info(&self.org.name, "", &self.org.region);
            }
        }
    }
}
