//! The metrics as the rest of the program sees them: one struct, one method an occurrence.
//!
//! Enters: occurrences, and values that replace earlier ones. Leaves: the text page that Prometheus scrapes.
//! Must never: label by anything unbounded. Labels are names from the configuration, enums, or words written in
//! this program (`&'static str`).

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGauge, Registry, TextEncoder};

use super::{
    gauges::{AuditGauges, FindingGauges, Gauges, OrgValues, Queue, Values},
    series,
};
use crate::domain::{
    Severity,
    attribution::Certainty,
    event::CauseKind,
    message::MessageKind,
    probe::{Expectation, Prediction, Verdict},
};

/// Content type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why an audit was not committed: the values of `reason` in `scopewarden_audit_failures_total`.
pub const AUDIT_FAILURE_REASONS: [&str; 8] =
    ["auth", "forbidden", "rate_limited", "server", "network", "invalid_response", "inconsistent", "storage"];

/// Why a call was repeated: the values of `cause` in `scopewarden_api_retries_total`.
pub const API_RETRY_CAUSES: [&str; 5] = ["http_429", "http_5xx", "timeout", "connect", "token"];

/// Why a delivery failed: the values of `reason` in `scopewarden_delivery_failures_total`.
pub const DELIVERY_FAILURE_REASONS: [&str; 9] =
    ["network", "timeout", "address", "redirect", "throttled", "server", "rejected", "gone", "storage"];

/// Why a scheduled audit did not start on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedRun {
    /// The one before was still running.
    Overlap,
    /// The program was not running.
    Downtime,
    /// The clock jumped, or ticks stopped.
    Clock,
}

impl MissedRun {
    /// All causes.
    pub const ALL: [Self; 3] = [Self::Overlap, Self::Downtime, Self::Clock];

    /// The word in the `cause` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Downtime => "downtime",
            Self::Clock => "clock",
        }
    }
}

/// What the platform did about a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// It refused.
    Refused,
    /// It let the client through.
    LetThrough,
    /// Neither is proven.
    Inconclusive,
}

impl ProbeAnswer {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Refused, Self::LetThrough, Self::Inconclusive];

    /// The word in the `answer` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::LetThrough => "let_through",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The labels of `scopewarden_probes_total` beside the organisation.
fn probe_labels() -> impl Iterator<Item = [&'static str; 2]> {
    let each =
        |expectation: Expectation| Verdict::ALL.map(|verdict| [expectation.as_str(), verdict.as_str()]);
    Expectation::ALL.into_iter().flat_map(each)
}

/// The labels of `scopewarden_probe_predictions_total` beside the organisation.
fn prediction_labels() -> impl Iterator<Item = [&'static str; 2]> {
    let each = |predicted: Prediction| ProbeAnswer::ALL.map(|answer| [predicted.as_str(), answer.as_str()]);
    Prediction::ALL.into_iter().flat_map(each)
}

/// A file of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbFile {
    /// The database itself.
    Main,
    /// Its write-ahead log.
    Wal,
}

impl DbFile {
    /// The word in the `file` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Wal => "wal",
        }
    }
}

/// Every series of the program, on a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    audit_runs: IntCounterVec,
    audit_failures: IntCounterVec,
    drift_events: IntCounterVec,
    attributions: IntCounterVec,
    api_requests: HistogramVec,
    api_retries: IntCounterVec,
    probes: IntCounterVec,
    probe_predictions: IntCounterVec,
    alerts_unheard: IntCounterVec,
    delivery_attempts: IntCounterVec,
    delivery_failures: IntCounterVec,
    missed_runs: IntCounterVec,
    gauges: Gauges,
    /// What `gauges` is rewritten from. Held for the whole of a scrape, so that a page shows one moment.
    values: Mutex<Values>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every series, with nothing counted yet.
    ///
    /// # Panics
    /// If two series have one name or a name is malformed: a mistake in `series.rs` that any test would show.
    pub fn new() -> Self {
        Self::register().expect("the list of series is well formed")
    }

    fn register() -> prometheus::Result<Self> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let counter = |series: series::Series| {
            let counter = IntCounterVec::new(series.opts(), series.labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let build_info = GaugeVec::new(series::BUILD_INFO.opts(), series::BUILD_INFO.labels)?;
        build_info
            .with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                option_env!("BUILD_REVISION").unwrap_or("unknown"),
                option_env!("BUILD_RUSTC").unwrap_or("unknown"),
            ])
            .set(1.0);
        registry.register(Box::new(build_info))?;
        let leader = IntGauge::with_opts(series::LEADER.opts())?;
        leader.set(1);
        registry.register(Box::new(leader))?;
        let api_requests = HistogramVec::new(
            series::API_REQUEST_DURATION.histogram_opts(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0]),
            series::API_REQUEST_DURATION.labels,
        )?;
        registry.register(Box::new(api_requests.clone()))?;
        Ok(Self {
            audit_runs: counter(series::AUDIT_RUNS)?,
            audit_failures: counter(series::AUDIT_FAILURES)?,
            drift_events: counter(series::DRIFT_EVENTS)?,
            attributions: counter(series::ATTRIBUTIONS)?,
            api_requests,
            api_retries: counter(series::API_RETRIES)?,
            probes: counter(series::PROBES)?,
            probe_predictions: counter(series::PROBE_PREDICTIONS)?,
            alerts_unheard: counter(series::ALERTS_UNHEARD)?,
            delivery_attempts: counter(series::DELIVERY_ATTEMPTS)?,
            delivery_failures: counter(series::DELIVERY_FAILURES)?,
            missed_runs: counter(series::SCHEDULER_MISSED_RUNS)?,
            gauges: Gauges::register(&registry)?,
            values: Mutex::default(),
            registry,
        })
    }

    /// Shows every counter and queue that the configuration can bring forth at 0: `increase()` does not see a
    /// series that is born at 1. `checks` also bounds the `check` label; their findings show at 0 from an
    /// organisation's first committed audit on, because before it nothing is known.
    pub fn preset(&self, orgs: &[String], receivers: &[String], checks: &[(&str, Severity)]) {
        for org in orgs {
            self.audit_runs.with_label_values(&[org]);
            for reason in AUDIT_FAILURE_REASONS {
                self.audit_failures.with_label_values(&[org.as_str(), reason]);
            }
            for cause in CauseKind::ALL {
                self.drift_events.with_label_values(&[org.as_str(), cause.as_str()]);
            }
            for certainty in Certainty::ALL {
                self.attributions.with_label_values(&[org.as_str(), certainty.as_str()]);
            }
            for cause in MissedRun::ALL {
                self.missed_runs.with_label_values(&[org.as_str(), cause.as_str()]);
            }
            for [expectation, verdict] in probe_labels() {
                self.probes.with_label_values(&[org.as_str(), expectation, verdict]);
            }
            for [predicted, answer] in prediction_labels() {
                self.probe_predictions.with_label_values(&[org.as_str(), predicted, answer]);
            }
        }
        for receiver in receivers {
            self.delivery_attempts.with_label_values(&[receiver]);
            for reason in DELIVERY_FAILURE_REASONS {
                self.delivery_failures.with_label_values(&[receiver.as_str(), reason]);
            }
        }
        for kind in MessageKind::ALL {
            self.alerts_unheard.with_label_values(&[kind.as_str()]);
        }
        for cause in API_RETRY_CAUSES {
            self.api_retries.with_label_values(&[cause]);
        }
        let mut values = self.values();
        for receiver in receivers {
            values.receivers.entry(receiver.clone()).or_default();
        }
        values.checks = checks.iter().map(|(check, severity)| ((*check).to_owned(), *severity)).collect();
    }

    /// Forgets organisations and receivers that left the configuration, with all their series.
    pub fn keep_only(&self, orgs: &[String], receivers: &[String]) {
        let mut values = self.values();
        let gone: Vec<String> = values.orgs.keys().filter(|org| !orgs.contains(org)).cloned().collect();
        for org in &gone {
            values.orgs.remove(org);
            let _ = self.audit_runs.remove_label_values(&[org]);
            for reason in AUDIT_FAILURE_REASONS {
                let _ = self.audit_failures.remove_label_values(&[org.as_str(), reason]);
            }
            for cause in CauseKind::ALL {
                let _ = self.drift_events.remove_label_values(&[org.as_str(), cause.as_str()]);
            }
            for certainty in Certainty::ALL {
                let _ = self.attributions.remove_label_values(&[org.as_str(), certainty.as_str()]);
            }
            for cause in MissedRun::ALL {
                let _ = self.missed_runs.remove_label_values(&[org.as_str(), cause.as_str()]);
            }
            for [expectation, verdict] in probe_labels() {
                let _ = self.probes.remove_label_values(&[org.as_str(), expectation, verdict]);
            }
            for [predicted, answer] in prediction_labels() {
                let _ = self.probe_predictions.remove_label_values(&[org.as_str(), predicted, answer]);
            }
        }
        let gone: Vec<String> =
            values.receivers.keys().filter(|receiver| !receivers.contains(receiver)).cloned().collect();
        for receiver in &gone {
            values.receivers.remove(receiver);
            let _ = self.delivery_attempts.remove_label_values(&[receiver]);
            for reason in DELIVERY_FAILURE_REASONS {
                let _ = self.delivery_failures.remove_label_values(&[receiver.as_str(), reason]);
            }
        }
    }

    /// Which organisation of the platform `org` turned out to be.
    pub fn org_info(&self, org: &str, org_id: &str, region: &str) {
        self.org(org, |values| values.info = Some((org_id.to_owned(), region.to_owned())));
    }

    /// An audit begins.
    pub fn audit_started(&self, org: &str, now: DateTime<Utc>) {
        self.audit_runs.with_label_values(&[org]).inc();
        self.org(org, |values| values.last_attempt = Some(now));
    }

    /// The last committed audit was read back from the store; `failing`: later ones were not committed. How long it took
    /// is not known.
    pub fn audit_recalled(&self, org: &str, audit: &AuditGauges, failing: bool) {
        self.org(org, |values| {
            values.up = Some(!failing);
            values.audit = Some(audit.clone());
        });
    }

    /// An audit was committed: its values replace all earlier ones.
    pub fn audit_recorded(&self, org: &str, audit: &AuditGauges) {
        self.org(org, |values| {
            values.up = Some(true);
            values.duration_s = Some(audit.duration_s);
            values.audit = Some(audit.clone());
        });
    }

    /// Somebody decided about the findings of the audit that ended at `of`. Another one that is shown meanwhile is left as it
    /// is, and the answer is no.
    pub fn findings_decided(&self, org: &str, of: DateTime<Utc>, findings: FindingGauges) -> bool {
        let mut is_shown = false;
        self.org(org, |values| {
            if let Some(audit) = values.audit.as_mut().filter(|audit| audit.finished_at == of) {
                audit.findings = findings;
                is_shown = true;
            }
        });
        is_shown
    }

    /// An audit ended after `duration_s` seconds without being committed, for one of [`AUDIT_FAILURE_REASONS`].
    /// What the last committed one saw stays.
    pub fn audit_failed(&self, org: &str, reason: &'static str, duration_s: f64) {
        self.audit_failures.with_label_values(&[org, reason]).inc();
        self.org(org, |values| {
            values.up = Some(false);
            values.duration_s = Some(duration_s);
        });
    }

    /// When the schedule starts the next audit.
    pub fn next_run(&self, org: &str, at: DateTime<Utc>) {
        self.org(org, |values| values.next_run = Some(at));
    }

    /// The longest time between two scheduled audits.
    pub fn interval(&self, org: &str, seconds: f64) {
        self.org(org, |values| values.interval_s = Some(seconds));
    }

    /// A scheduled audit did not start on time.
    pub fn missed_run(&self, org: &str, cause: MissedRun) {
        self.missed_runs.with_label_values(&[org, cause.as_str()]).inc();
    }

    /// A drift event was recorded.
    pub fn drift(&self, org: &str, cause: CauseKind) {
        self.drift_events.with_label_values(&[org, cause.as_str()]).inc();
    }

    /// It was asked who made a change, and how sure the answer is; of a change that was unknown at first, once more when it
    /// is known.
    pub fn attributed(&self, org: &str, certainty: Certainty) {
        self.attributions.with_label_values(&[org, certainty.as_str()]).inc();
    }

    /// One call to the platform: `endpoint` is one of `collect`'s bounded names, `seconds` its latency.
    pub fn api_request(&self, endpoint: &'static str, seconds: f64) {
        self.api_requests.with_label_values(&[endpoint]).observe(seconds);
    }

    /// A repeated call, for one of [`API_RETRY_CAUSES`].
    pub fn api_retry(&self, cause: &'static str) {
        self.api_retries.with_label_values(&[cause]).inc();
    }

    /// One probe, sent or not.
    pub fn probe(&self, org: &str, expectation: Expectation, verdict: Verdict) {
        self.probes.with_label_values(&[org, expectation.as_str(), verdict.as_str()]).inc();
    }

    /// What was predicted of a probe that was sent, and what the platform did.
    pub fn probe_prediction(&self, org: &str, predicted: Prediction, answer: ProbeAnswer) {
        self.probe_predictions.with_label_values(&[org, predicted.as_str(), answer.as_str()]).inc();
    }

    /// The probes of an organisation's clients ended.
    pub fn probes_run(&self, org: &str, at: DateTime<Utc>) {
        self.org(org, |values| values.probes_run = Some(at));
    }

    /// The cached access token's expiry.
    pub fn token_expires(&self, org: &str, at: DateTime<Utc>) {
        self.org(org, |values| values.token_expires = Some(at));
    }

    /// What the outbox holds, by receiver: the whole of it. A receiver that is not named has nothing waiting; one that
    /// is not configured is not shown.
    pub fn outbox(&self, queues: impl IntoIterator<Item = (String, Queue)>) {
        let mut values = self.values();
        for receiver in values.receivers.values_mut() {
            receiver.queue = Queue::default();
        }
        for (receiver, queue) in queues {
            if let Some(receiver) = values.receivers.get_mut(&receiver) {
                receiver.queue = queue;
            }
        }
    }

    /// Whether a receiver is left alone: it rests after failures, or is disabled.
    pub fn circuit(&self, receiver: &str, is_open: bool) {
        self.values().receivers.entry(receiver.to_owned()).or_default().circuit_open = is_open;
    }

    /// So many things of a kind were to be told, and no receiver wanted them.
    pub fn alerts_unheard(&self, kind: MessageKind, count: u64) {
        self.alerts_unheard.with_label_values(&[kind.as_str()]).inc_by(count);
    }

    /// One attempt to deliver.
    pub fn delivery_attempt(&self, receiver: &str) {
        self.delivery_attempts.with_label_values(&[receiver]).inc();
    }

    /// One failed attempt, for one of [`DELIVERY_FAILURE_REASONS`].
    pub fn delivery_failure(&self, receiver: &str, reason: &'static str) {
        self.delivery_failures.with_label_values(&[receiver, reason]).inc();
    }

    /// The size of a file of the database.
    pub fn db_size(&self, file: DbFile, bytes: u64) {
        self.values().db_bytes.insert(file.as_str(), i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Space left on the database's file system.
    pub fn db_free(&self, bytes: u64) {
        self.values().program.db_free = Some(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Whether the database takes writes.
    pub fn db_writable(&self, writable: bool) {
        self.values().program.db_writable = Some(writable);
    }

    /// What the last check of the database file found.
    pub fn db_sound(&self, sound: bool) {
        self.values().program.db_sound = Some(sound);
    }

    /// When the newest verified backup was made.
    pub fn backup_made(&self, at: DateTime<Utc>) {
        self.values().program.backup_success = Some(at);
    }

    /// The longest time between two scheduled backups; `None`: none are scheduled.
    pub fn backup_interval(&self, seconds: Option<f64>) {
        self.values().program.backup_interval_s = seconds;
    }

    /// The configuration was read and is in use since `now`.
    pub fn config_loaded(&self, now: DateTime<Utc>) {
        let program = &mut self.values().program;
        (program.reload_successful, program.reload_success) = (Some(true), Some(now));
    }

    /// The configuration was read again and refused; the one before stays in use.
    pub fn config_refused(&self) {
        self.values().program.reload_successful = Some(false);
    }

    /// The page for Prometheus, text format 0.0.4.
    ///
    /// # Panics
    /// Never: writing to a string does not fail, and gathering leaves out families that are empty.
    pub fn render(&self) -> String {
        let values = self.values();
        self.gauges.rewrite(&values);
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("gathered families have a text form")
    }

    fn org(&self, org: &str, change: impl FnOnce(&mut OrgValues)) {
        let mut values = self.values();
        let orgs: &mut BTreeMap<String, OrgValues> = &mut values.orgs;
        change(orgs.entry(org.to_owned()).or_default());
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        // Each change is a few plain assignments: a panic elsewhere cannot leave the values half made.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
