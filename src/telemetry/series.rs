//! The list of metric series: the only place that holds a name, a label or a help text.
//!
//! Enters: nothing. Leaves: [`SERIES`], from which the registry is built and with which the documentation is
//! compared. Must never: list a series that nothing fills.

use prometheus::{HistogramOpts, Opts};

/// How a series behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value as of now.
    Gauge,
    /// Only grows; starts at 0 with the process.
    Counter,
    /// A distribution; its `_count` is the number of observations.
    Histogram,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Full name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Label names, in the order in which the code gives their values.
    pub labels: &'static [&'static str],
    /// One line.
    pub help: &'static str,
}

impl Series {
    const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    pub(super) fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    pub(super) fn histogram_opts(&self, buckets: &[f64]) -> HistogramOpts {
        HistogramOpts::from(self.opts()).buckets(buckets.to_vec())
    }
}

/// Every series that the program exposes, besides the `process_*` ones of the Prometheus library.
pub const SERIES: &[Series] = &[
    BUILD_INFO,
    ORG_INFO,
    UP,
    AUDIT_RUNS,
    AUDIT_FAILURES,
    AUDIT_LAST_SUCCESS,
    AUDIT_LAST_ATTEMPT,
    AUDIT_NEXT_RUN,
    AUDIT_INTERVAL,
    AUDIT_LAST_DURATION,
    AUDIT_GAPS,
    OAUTH_CLIENTS,
    FINDINGS_OPEN,
    FINDINGS_DECIDED,
    DECISIONS_EXPIRING,
    GRANTS_CONFIRMED,
    USAGE_UNTIL,
    DRIFT_EVENTS,
    ATTRIBUTIONS,
    API_REQUEST_DURATION,
    API_RETRIES,
    API_TOKEN_EXPIRY,
    PROBES,
    PROBE_PREDICTIONS,
    PROBE_LAST_RUN,
    ALERTS_UNHEARD,
    OUTBOX_MESSAGES,
    OUTBOX_OLDEST_PENDING,
    DELIVERY_ATTEMPTS,
    DELIVERY_FAILURES,
    RECEIVER_CIRCUIT_OPEN,
    SCHEDULER_MISSED_RUNS,
    CONFIG_RELOAD_SUCCESSFUL,
    CONFIG_RELOAD_SUCCESS,
    DB_SIZE,
    DB_FREE,
    DB_WRITABLE,
    DB_INTEGRITY,
    DB_BACKUP_SUCCESS,
    DB_BACKUP_INTERVAL,
    LEADER,
];

pub(super) const BUILD_INFO: Series = Series::gauge(
    "scopewarden_build_info",
    &["version", "revision", "rustc"],
    "Always 1; the labels say which build is running.",
);
pub(super) const ORG_INFO: Series = Series::gauge(
    "scopewarden_org_info",
    &["org", "org_id", "genesys_region"],
    "Always 1; the audited organisation's platform id and region.",
);
pub(super) const UP: Series = Series::gauge(
    "scopewarden_up",
    &["org"],
    "Whether the most recent audit was committed (1) or failed (0); absent before the first.",
);
pub(super) const AUDIT_RUNS: Series =
    Series::counter("scopewarden_audit_runs_total", &["org"], "Audits started.");
pub(super) const AUDIT_FAILURES: Series = Series::counter(
    "scopewarden_audit_failures_total",
    &["org", "reason"],
    "Audits that ended without being committed.",
);
pub(super) const AUDIT_LAST_SUCCESS: Series = Series::gauge(
    "scopewarden_audit_last_success_timestamp_seconds",
    &["org"],
    "Unix time at which the last committed audit ended.",
);
pub(super) const AUDIT_LAST_ATTEMPT: Series = Series::gauge(
    "scopewarden_audit_last_attempt_timestamp_seconds",
    &["org"],
    "Unix time at which an audit was last started.",
);
pub(super) const AUDIT_NEXT_RUN: Series = Series::gauge(
    "scopewarden_audit_next_run_timestamp_seconds",
    &["org"],
    "Unix time at which the schedule starts the next audit.",
);
pub(super) const AUDIT_INTERVAL: Series = Series::gauge(
    "scopewarden_audit_interval_seconds",
    &["org"],
    "Longest time between two scheduled audits.",
);
pub(super) const AUDIT_LAST_DURATION: Series = Series::gauge(
    "scopewarden_audit_last_duration_seconds",
    &["org"],
    "How long the last audit took, committed or failed.",
);
pub(super) const AUDIT_GAPS: Series = Series::gauge(
    "scopewarden_audit_gaps",
    &["org", "fact"],
    "Facts that could not be read, as of the last committed audit.",
);
pub(super) const OAUTH_CLIENTS: Series = Series::gauge(
    "scopewarden_oauth_clients",
    &["org", "grant_type", "state"],
    "OAuth clients, as of the last committed audit.",
);
pub(super) const FINDINGS_OPEN: Series = Series::gauge(
    "scopewarden_findings_open",
    &["org", "check", "severity"],
    "Findings that fail and are neither muted nor approved, as of the last committed audit or decision.",
);
pub(super) const FINDINGS_DECIDED: Series = Series::gauge(
    "scopewarden_findings_decided",
    &["org", "decision"],
    "Findings that fail and somebody decided about, as of the last committed audit or decision.",
);
pub(super) const DECISIONS_EXPIRING: Series = Series::gauge(
    "scopewarden_decisions_expiring",
    &["org"],
    "Mutes, baselines and approvals that expire within seven days, as of the last committed audit or decision.",
);
pub(super) const GRANTS_CONFIRMED: Series = Series::gauge(
    "scopewarden_grants_oldest_confirmation_timestamp_seconds",
    &["org"],
    "Unix time at which the client that has waited longest was last seen with its grants; absent until all were.",
);
pub(super) const USAGE_UNTIL: Series = Series::gauge(
    "scopewarden_usage_window_end_timestamp_seconds",
    &["org"],
    "Unix time up to which clients' calls are counted; absent before the first count.",
);
pub(super) const DRIFT_EVENTS: Series =
    Series::counter("scopewarden_drift_events_total", &["org", "cause"], "Drift events recorded.");
pub(super) const ATTRIBUTIONS: Series = Series::counter(
    "scopewarden_attributions_total",
    &["org", "certainty"],
    "Answers to who made a change, by certainty.",
);
pub(super) const API_REQUEST_DURATION: Series = Series {
    name: "scopewarden_api_request_duration_seconds",
    kind: Kind::Histogram,
    labels: &["endpoint"],
    help: "Latency of calls to the Genesys Cloud API, retried ones included.",
};
pub(super) const API_RETRIES: Series = Series::counter(
    "scopewarden_api_retries_total",
    &["cause"],
    "Calls to the Genesys Cloud API that were repeated.",
);
pub(super) const API_TOKEN_EXPIRY: Series = Series::gauge(
    "scopewarden_api_token_expiry_timestamp_seconds",
    &["org"],
    "Unix time at which the cached access token expires.",
);
pub(super) const PROBES: Series = Series::counter(
    "scopewarden_probes_total",
    &["org", "expectation", "verdict"],
    "Probes, by what should have happened and what was proven.",
);
pub(super) const PROBE_PREDICTIONS: Series = Series::counter(
    "scopewarden_probe_predictions_total",
    &["org", "predicted", "answer"],
    "Probes that were sent, by what the analysis predicted and what the platform did.",
);
pub(super) const PROBE_LAST_RUN: Series = Series::gauge(
    "scopewarden_probe_last_run_timestamp_seconds",
    &["org"],
    "Unix time at which the probes of an organisation's clients last ended.",
);
pub(super) const ALERTS_UNHEARD: Series = Series::counter(
    "scopewarden_alerts_unheard_total",
    &["kind"],
    "Things to be told that the routes of all receivers left out, by the type of message that would have told them.",
);
pub(super) const OUTBOX_MESSAGES: Series =
    Series::gauge("scopewarden_outbox_messages", &["receiver", "state"], "Alerts held for a receiver.");
pub(super) const OUTBOX_OLDEST_PENDING: Series = Series::gauge(
    "scopewarden_outbox_oldest_pending_timestamp_seconds",
    &["receiver"],
    "Unix time at which the oldest pending alert was recorded; absent when none is pending.",
);
pub(super) const DELIVERY_ATTEMPTS: Series =
    Series::counter("scopewarden_delivery_attempts_total", &["receiver"], "Attempts to deliver an alert.");
pub(super) const DELIVERY_FAILURES: Series = Series::counter(
    "scopewarden_delivery_failures_total",
    &["receiver", "reason"],
    "Attempts to deliver an alert that failed.",
);
pub(super) const RECEIVER_CIRCUIT_OPEN: Series = Series::gauge(
    "scopewarden_receiver_circuit_open",
    &["receiver"],
    "Whether a receiver rests after failures or is disabled (1), or gets alerts as they come (0).",
);
pub(super) const SCHEDULER_MISSED_RUNS: Series = Series::counter(
    "scopewarden_scheduler_missed_runs_total",
    &["org", "cause"],
    "Scheduled audits that did not start on time.",
);
pub(super) const DB_SIZE: Series =
    Series::gauge("scopewarden_db_size_bytes", &["file"], "Size of the database's files.");
pub(super) const DB_FREE: Series = Series::gauge(
    "scopewarden_db_free_bytes",
    &[],
    "Space left for this program on the database's file system.",
);
pub(super) const DB_WRITABLE: Series = Series::gauge(
    "scopewarden_db_writable",
    &[],
    "Whether audits and deliveries can be recorded (1), or the disk keeps them from it (0).",
);
pub(super) const DB_INTEGRITY: Series = Series::gauge(
    "scopewarden_db_integrity_ok",
    &[],
    "Whether the last check of the database file found it sound; absent before the first.",
);
pub(super) const DB_BACKUP_SUCCESS: Series = Series::gauge(
    "scopewarden_db_backup_last_success_timestamp_seconds",
    &[],
    "Unix time of the newest verified backup that the schedule made; absent before the first.",
);
pub(super) const DB_BACKUP_INTERVAL: Series = Series::gauge(
    "scopewarden_db_backup_interval_seconds",
    &[],
    "Longest time between two scheduled backups; absent if none are scheduled.",
);
pub(super) const CONFIG_RELOAD_SUCCESSFUL: Series = Series::gauge(
    "scopewarden_config_last_reload_successful",
    &[],
    "Whether the configuration that was read last is in use (1), or was refused (0).",
);
pub(super) const CONFIG_RELOAD_SUCCESS: Series = Series::gauge(
    "scopewarden_config_last_reload_success_timestamp_seconds",
    &[],
    "Unix time at which the configuration in use was read.",
);
pub(super) const LEADER: Series = Series::gauge(
    "scopewarden_leader",
    &[],
    "Whether this process is the one that audits; always 1 with SQLite.",
);
