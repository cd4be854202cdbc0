//! The audit loop of one organisation: it owns overlap, catch-up and the end of an audit at shutdown.
//!
//! Enters: ticks, and whether the record can be written. Leaves: audits, one at a time, each due time claimed at most
//! once. Must never: wait for another organisation, or start an audit after it was told to stop.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Shared,
    claims::{Claims, Start},
    clock,
    schedule::Schedule,
    storage::Blocked,
};
use crate::{
    audit::{self, Addressing, Auditor, Error, Seen},
    config::{Audit, Config, Org},
    domain::{checks::custom::CustomCheck, contract::companion::Companion, evidence::Hash},
    store,
    telemetry::MissedRun,
};

/// How long a running audit may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(20);
/// A due time that nobody ticked for this long after it is noticed by the watchdog.
const LATE: TimeDelta = TimeDelta::seconds(30);
/// How long the platform may take to say which organisation it is.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// A record that could not be read is read again after this.
const RECALL_AGAIN: Duration = Duration::from_secs(30);
/// Organisations that share a schedule start within this time of it.
const MAX_JITTER: Duration = Duration::from_secs(30);

/// What a loop cannot change while it lives; if it changes, the loop is replaced. What can is in [`Surroundings`].
#[derive(Clone, PartialEq)]
pub(super) struct Settings {
    org: Org,
    audit: Audit,
    companions: Vec<Companion>,
    checks: Arc<[CustomCheck]>,
}

impl Settings {
    /// Those of `org`.
    pub(super) fn of(config: &Config, org: &Org) -> Self {
        // Credentials of probes are none of an audit's: its loop outlives their change.
        let org = Org { probes: Vec::new(), ..org.clone() };
        let (companions, checks) = (config.companions.clone(), Arc::clone(&config.checks));
        Self { org, audit: config.audit.clone(), companions, checks }
    }
}

/// What loops look at anew before each audit.
#[derive(Clone)]
pub(super) struct Surroundings {
    addressing: Arc<Addressing>,
    /// How many organisations share the schedule.
    orgs: usize,
}

impl Surroundings {
    /// As configured.
    pub(super) fn of(config: &Config) -> Self {
        Self { addressing: Arc::new(Addressing::of(config)), orgs: config.orgs.len() }
    }

    /// Nobody listens and nothing is audited.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { addressing: Arc::default(), orgs: 0 }
    }
}

/// One organisation's loop.
pub(super) struct Loop {
    settings: Settings,
    auditor: Auditor,
    schedule: Schedule,
    shared: Shared,
    ticks: watch::Receiver<u64>,
    blocked: watch::Receiver<Option<Blocked>>,
    /// This loop is to end: it was replaced, or the daemon stops.
    stop: CancellationToken,
    /// The daemon stops: a running audit has [`DRAIN`] left. (One that is merely replaced has its own time.)
    end: CancellationToken,
    /// The longest time between two due times.
    gap: TimeDelta,
    /// The platform's id of the organisation was told.
    introduced: bool,
    /// An audit was due while the record could not be written.
    owed: bool,
}

/// What woke the loop.
enum Woken {
    Tick,
    Late,
    StorageBack,
}

impl Loop {
    /// Connects to nothing yet. Fails if the schedule is not understood or TLS cannot be set up.
    pub(super) fn new(
        config: &Config,
        settings: &Settings,
        shared: &Shared,
        stop: CancellationToken,
        end: CancellationToken,
    ) -> anyhow::Result<Self> {
        let schedule = Schedule::parse(&settings.audit.schedule)?;
        Ok(Self {
            auditor: Auditor::new(config, &settings.org, shared.store.clone(), shared.metrics.clone())?,
            gap: schedule.longest_gap(clock::now()),
            schedule,
            settings: settings.clone(),
            ticks: shared.ticks.subscribe(),
            blocked: shared.storage.subscribe(),
            shared: shared.clone(),
            stop,
            end,
            introduced: false,
            owed: false,
        })
    }

    /// Audits until told to stop.
    pub(super) async fn run(mut self) {
        let Some(last_attempt) = self.recall().await else { return };
        let (mut claims, start) = Claims::resume(self.schedule.clone(), last_attempt, clock::now());
        // Nobody sets this clock: however the other one jumps, an audit is never later than this.
        let longest = (self.gap + LATE).to_std().unwrap_or(Duration::from_hours(24));
        self.show_next(&claims);
        match start {
            Start::First => info!(org = %self.name(), "no audit is recorded yet; the first one now"),
            Start::CatchUp { missed } => {
                info!(org = %self.name(), missed, "audits were due and none began; one now");
                self.missed(missed, MissedRun::Downtime);
            }
            Start::Wait => {}
        }
        if start != Start::Wait {
            self.audit().await;
            self.skip_overlapped(&mut claims);
        }
        let mut last_turn = Instant::now();
        while !self.stop.is_cancelled() {
            self.show_next(&claims);
            let Some(woken) = self.wait(&claims, last_turn + longest).await else { return };
            let claim = claims.claim(clock::now());
            match (&woken, claim) {
                (Woken::StorageBack, _) => {
                    info!(org = %self.name(), "the record can be written again; the audit that is owed now");
                }
                (_, Some(claim)) => {
                    if matches!(woken, Woken::Late) {
                        warn!(org = %self.name(), due = %claim.due, "the scheduler did not tick; the watchdog starts the audit");
                    }
                    let late = usize::from(matches!(woken, Woken::Late));
                    self.missed(claim.missed + late, MissedRun::Clock);
                }
                (_, None) if last_turn.elapsed() >= longest => {
                    warn!(org = %self.name(), "no audit was due for too long, the clock was set back; one now");
                    self.missed(1, MissedRun::Clock);
                }
                (_, None) => {
                    debug!(org = %self.name(), "a tick without a due time");
                    continue;
                }
            }
            self.audit().await;
            self.skip_overlapped(&mut claims);
            // From its end: an audit that takes longer than the interval is no reason to begin the next one early.
            last_turn = Instant::now();
        }
    }

    fn name(&self) -> &str {
        &self.settings.org.name
    }

    /// Until a tick, until one is overdue by either clock, or until the storage is back; `None`: stop.
    async fn wait(&mut self, claims: &Claims, latest: Instant) -> Option<Woken> {
        let late = claims.next().map_or(Duration::from_hours(24), |next| {
            (next + LATE - clock::now()).to_std().unwrap_or_default()
        });
        let late = latest.min(Instant::now() + late);
        let owed = self.owed;
        let Self { stop, ticks, blocked, .. } = self;
        tokio::select! {
            () = stop.cancelled() => None,
            tick = ticks.changed() => tick.is_ok().then_some(Woken::Tick),
            back = blocked.wait_for(Option::is_none), if owed => back.is_ok().then_some(Woken::StorageBack),
            () = tokio::time::sleep_until(late) => Some(Woken::Late),
        }
    }

    fn show_next(&self, claims: &Claims) {
        if let Some(next) = claims.next() {
            self.shared.metrics.next_run(self.name(), next);
        }
    }

    /// Ticks that came while an audit ran are skipped and counted, not queued.
    fn skip_overlapped(&mut self, claims: &mut Claims) {
        self.ticks.mark_unchanged();
        if let Some(claim) = claims.claim(clock::now()) {
            let count = claim.missed + 1;
            self.missed(count, MissedRun::Overlap);
            warn!(org = %self.name(), count, "audits were due while another ran; skipped");
        }
    }

    fn missed(&self, count: usize, cause: MissedRun) {
        for _ in 0..count {
            self.shared.metrics.missed_run(self.name(), cause);
        }
    }

    /// When an audit was last recorded, as one or as a failure; `None`: told to stop before that could be read.
    async fn recall(&mut self) -> Option<Option<DateTime<Utc>>> {
        loop {
            let store = &self.shared.store;
            let last = async {
                let audit = store.audits(Some(self.name()), 1).await?.first().map(|audit| audit.at);
                let failure = store.failures(Some(self.name()), 1).await?.first().map(|failure| failure.at);
                // Without any audit, a failure is no reason to wait for the next due time.
                Ok::<_, store::Error>(audit.map(|audit| failure.map_or(audit, |failure| failure.max(audit))))
            };
            match last.await {
                Ok(last) => return Some(last),
                Err(error) => {
                    warn!(org = %self.name(), "the last audit cannot be read; once more in a moment: {error}");
                    self.shared.storage.report(&error);
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(RECALL_AGAIN) => {}
            }
        }
    }

    async fn audit(&mut self) {
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = tokio::time::sleep(self.jitter()) => {}
        }
        self.owed = false;
        self.auditor.address_to(Arc::clone(&self.shared.surroundings.borrow().addressing));
        if let Some(blocked) = self.shared.storage.blocked() {
            warn!(org = %self.name(), "no audit, since nothing can be recorded: {}", blocked.reason);
            self.shared.metrics.audit_started(self.name(), clock::now());
            self.shared.metrics.audit_failed(self.name(), "storage", 0.0);
            self.owed = true;
            return;
        }
        let work = self.auditor.audit(self.settings.audit.timeout, &|_| {}, clock::now());
        let end = self.end.clone();
        let out_of_time = async {
            end.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let result = tokio::select! {
            result = work => result,
            () = out_of_time => {
                warn!(org = %self.name(), "the running audit was abandoned to stop in time; unless it was being written, nothing of it is recorded");
                return;
            }
        };
        // Neither written, or not even its failure.
        let trouble = self.auditor.take_trouble();
        let unwritten = if let Err(Error::Store(error)) = &result { Some(error) } else { None };
        for error in unwritten.into_iter().chain(&trouble) {
            self.shared.storage.report(error);
            self.owed |= error.fault().is_some();
        }
        self.shared.outbox.send_modify(|round| *round += 1);
        if result.is_ok() && !self.introduced {
            self.introduce().await;
        }
    }

    /// Asks which organisation this is, for `org_info`, after an audit: audits do not need it. If it fails, the next
    /// audit is followed by another try.
    async fn introduce(&mut self) {
        let organisation = tokio::select! {
            () = self.stop.cancelled() => return,
            () = tokio::time::sleep(INTRODUCTION) => return,
            organisation = self.auditor.organisation(clock::now()) => organisation,
        };
        let Org { name, region, .. } = &self.settings.org;
        self.introduced = organisation.is_ok();
        match organisation {
            Ok(found) => self.shared.metrics.org_info(name, &found.id, region),
            Err(error) => {
                warn!(org = %name, "the organisation's id could not be read: {error}");
                self.shared.metrics.org_info(name, "", region);
            }
        }
    }

    fn jitter(&self) -> Duration {
        jitter(self.name(), self.shared.surroundings.borrow().orgs, self.gap)
    }
}

/// The gauges of the last recorded audit, before anybody asks for them. A record that cannot be read shows none.
pub(super) async fn show_last(org: &str, shared: &Shared) {
    match shared.store.history(org).await {
        Ok(mut history) => {
            let seen = Seen::of(&history);
            if let Some(past) = history.past {
                let ledger = &history.book.ledger;
                history.findings.iter_mut().for_each(|finding| ledger.mark(finding));
                let shown = audit::shown(&history.findings, ledger, clock::now());
                let gauges = audit::gauges(&past.snapshot, shown, &past.gaps, seen, past.at);
                shared.metrics.audit_recalled(org, &gauges, history.failing);
            }
        }
        Err(error) => {
            warn!(org = %org, "the last audit cannot be shown: {error}");
            shared.storage.report(&error);
        }
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
