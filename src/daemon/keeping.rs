//! What the record needs beside audits: checks of its file, retention, backups.
//!
//! Enters: the configured policies. Leaves: findings about the file, space, verified copies. Must never: hold up an
//! audit for longer than one small transaction, or write while the storage is blocked.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{clock, schedule::Schedule, storage::Storage};
use crate::{
    config::{Backup, Retention},
    store::{self, Integrity, Store},
    telemetry::Metrics,
    web::{Health, Precondition},
};

/// Whether something is due is asked this often.
const TURN: Duration = Duration::from_secs(15);
/// The file is checked this often; the first time is at the start.
const CHECK_EVERY: TimeDelta = TimeDelta::days(7);
/// Retention runs this often.
const FORGET_EVERY: TimeDelta = TimeDelta::days(1);
/// After a start, audits go first.
const FORGET_FIRST: TimeDelta = TimeDelta::minutes(5);

/// What is to be kept, and how; a reload replaces the whole.
#[derive(Clone, PartialEq)]
pub(super) struct Policies {
    pub(super) retention: Retention,
    pub(super) backup: Option<Backup>,
}

/// The loop that keeps the record.
pub(super) struct Keeper {
    store: Store,
    storage: Arc<Storage>,
    metrics: Arc<Metrics>,
    retention: Retention,
    backup: Option<(Backup, Schedule)>,
}

impl Keeper {
    /// Fails if the schedule of backups is not understood.
    pub(super) fn new(
        policies: &Policies,
        store: Store,
        storage: Arc<Storage>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let backup = match &policies.backup {
            Some(backup) => Some((backup.clone(), Schedule::parse(&backup.schedule)?)),
            None => None,
        };
        Ok(Self { store, storage, metrics, retention: policies.retention, backup })
    }

    /// Checks, forgets and copies when each is due, until `stop`. What it is doing then is left: a copy that is not
    /// whole has no name yet, and retention goes by small transactions.
    pub(super) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.turns() => {}
        }
    }

    async fn turns(self) {
        let begun = clock::now();
        let mut check = begun + CHECK_EVERY;
        let mut forget = begun + FORGET_FIRST;
        // A backup that was due while nobody was there is made up for.
        let mut copied = self.show_backups(begun).await.unwrap_or(begun);
        loop {
            tokio::time::sleep(TURN).await;
            let now = clock::now();
            if self.storage.blocked().is_some() {
                continue;
            }
            if due(&mut check, CHECK_EVERY, now) {
                check_file(&self.store, &self.storage, &self.metrics).await;
            }
            if due(&mut forget, FORGET_EVERY, now) {
                self.forget(now).await;
            }
            if let Some((backup, schedule)) = &self.backup
                && let Some((last, _)) = schedule.due_between(copied.min(now), now)
            {
                copied = last;
                self.copy(backup, now).await;
            }
        }
    }

    async fn forget(&self, now: DateTime<Utc>) {
        let work = async {
            let forgotten = self.store.forget(&self.retention, now).await?;
            let decisions = self.store.forget_decisions(now).await?;
            let bytes = self.store.release_pages().await?;
            info!(?forgotten, decisions, bytes, "retention: what no kept snapshot needs is forgotten");
            Ok::<_, store::Error>(())
        };
        if let Err(error) = work.await {
            warn!("retention did not finish, and tries again tomorrow: {error}");
            self.storage.report(&error);
        }
    }

    async fn copy(&self, backup: &Backup, now: DateTime<Utc>) {
        match self.store.scheduled_backup(&backup.directory, backup.keep, now).await {
            Ok(made) => {
                info!(file = %made.path.display(), bytes = made.bytes, audits = made.audits, "backup made and verified");
                self.metrics.backup_made(now);
            }
            Err(error) => {
                warn!("the backup failed; the next one is tried as scheduled: {error}");
                // The folder may be on another disk, whose trouble is none of the record's, and is no fault here.
                self.storage.report(&error);
            }
        }
    }

    /// After a restart the metrics know of backups what the folder shows: when the newest was made.
    async fn show_backups(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let gap = self.backup.as_ref().map(|(_, schedule)| schedule.longest_gap(now));
        self.metrics.backup_interval(gap.and_then(|gap| gap.to_std().ok()).map(|gap| gap.as_secs_f64()));
        let (backup, _) = self.backup.as_ref()?;
        match store::newest_backup(&backup.directory, now).await {
            Ok(newest) => {
                if let Some(at) = newest {
                    self.metrics.backup_made(at);
                }
                newest
            }
            Err(error) => {
                warn!("backup.directory {}: {error}", backup.directory.display());
                None
            }
        }
    }
}

/// Whether `next` has come; if so, it moves on. A clock set back by more than a turn moves it back as well.
fn due(next: &mut DateTime<Utc>, every: TimeDelta, now: DateTime<Utc>) -> bool {
    if *next - now > every {
        *next = now + every;
    }
    let is_due = *next <= now;
    if is_due {
        *next = now + every;
    }
    is_due
}

/// The check at the start: until it ends, but no longer than this, nothing else begins.
pub(super) const FIRST_CHECK_LIMIT: Duration = Duration::from_secs(30);

/// Checks the file as a whole, and says what was found.
pub(super) async fn check_file(store: &Store, storage: &Storage, metrics: &Metrics) {
    match store.quick_check().await {
        Ok(Integrity::Sound) => metrics.db_sound(true),
        Ok(Integrity::Damaged(problems)) => {
            let first = problems.first().map_or("", String::as_str);
            storage.damaged(format!(
                "the database file is damaged ({} problems, the first: {first}); stop scopewarden and restore a backup",
                problems.len()
            ));
        }
        Err(error) => {
            warn!("the database file could not be checked: {error}");
            storage.report(&error);
        }
    }
}

/// [`check_file`] before anything else, within [`FIRST_CHECK_LIMIT`]; a large file is checked on beside the audits.
pub(super) async fn check_at_start(
    store: &Store,
    storage: &Arc<Storage>,
    metrics: &Arc<Metrics>,
    health: &Health,
) {
    let check = {
        let (store, storage, metrics) = (store.clone(), Arc::clone(storage), Arc::clone(metrics));
        tokio::spawn(async move { check_file(&store, &storage, &metrics).await })
    };
    if tokio::time::timeout(FIRST_CHECK_LIMIT, check).await.is_err() {
        warn!(
            "the check of the database file takes longer than {} s; audits begin meanwhile",
            FIRST_CHECK_LIMIT.as_secs()
        );
    }
    match storage.blocked() {
        Some(blocked) if blocked.fault == store::Fault::Corrupt => {
            health.fails(Precondition::Database, blocked.reason);
        }
        _ => health.holds(Precondition::Database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_moves_on_and_a_clock_set_back_does_not_stall_it() {
        let start = DateTime::from_timestamp(1_780_315_200, 0).unwrap();
        let hour = TimeDelta::hours(1);
        let mut next = start + hour;
        assert!(!due(&mut next, hour, start));
        assert!(due(&mut next, hour, start + hour));
        assert!(!due(&mut next, hour, start + hour));
        // Three days of sleep are one run.
        assert!(due(&mut next, hour, start + TimeDelta::days(3)));
        assert!(!due(&mut next, hour, start + TimeDelta::days(3)));
        let back = start - TimeDelta::days(300);
        assert!(!due(&mut next, hour, back));
        assert!(due(&mut next, hour, back + hour));
    }
}
