//! Values as of now: what the last committed audit saw, the schedule, the outbox, the database.
//!
//! Enters: whole replacements for one organisation, receiver or file. Leaves: gauges, rewritten from those values
//! at each scrape, so that a label set which vanished from the values vanishes from the page.
//! Must never: mix two audits, or show a count before anything was counted (0 clients is a statement).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, Registry};

use super::series::{self, Series};
use crate::domain::{Fact, Severity};

/// The facts that show at 0 when nothing is missing.
const FACTS: [Fact; Fact::ALL.len()] = Fact::ALL;

/// What the metrics show of one committed audit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditGauges {
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How long it took.
    pub duration_s: f64,
    /// Clients by `GrantType::label` and `ClientState::label`.
    pub clients: BTreeMap<(&'static str, &'static str), i64>,
    /// Its findings, with what people decided about them.
    pub findings: FindingGauges,
    /// Gaps by the fact that is missing.
    pub gaps: BTreeMap<Fact, i64>,
    /// When the client that has waited longest was last seen with its grants; `None`: some never were.
    pub grants_confirmed: Option<DateTime<Utc>>,
    /// Up to when clients' calls are counted; `None`: they never were.
    pub usage_until: Option<DateTime<Utc>>,
}

/// What the metrics show of open findings. Unlike the rest of an audit, it moves when somebody decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingGauges {
    /// Findings that are due (they fail, and are neither muted nor approved), by check and severity. A check that was not
    /// announced to `Metrics::preset` (it left the configuration) is shown as `other`.
    pub due: BTreeMap<(String, Severity), i64>,
    /// Failing findings that are muted, by themselves or in a baseline.
    pub muted: i64,
    /// Failing findings whose change was approved.
    pub approved: i64,
    /// Failing findings that somebody works on.
    pub acknowledged: i64,
    /// Decisions that expire within a week.
    pub expiring: i64,
}

/// The values behind the gauges.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) checks: BTreeSet<(String, Severity)>,
    pub(super) orgs: BTreeMap<String, OrgValues>,
    pub(super) receivers: BTreeMap<String, ReceiverValues>,
    pub(super) db_bytes: BTreeMap<&'static str, i64>,
    pub(super) program: ProgramValues,
}

/// What the program says of itself; `None` until known.
#[derive(Debug, Default)]
pub(super) struct ProgramValues {
    pub(super) reload_successful: Option<bool>,
    pub(super) reload_success: Option<DateTime<Utc>>,
    pub(super) db_free: Option<i64>,
    pub(super) db_writable: Option<bool>,
    pub(super) db_sound: Option<bool>,
    pub(super) backup_success: Option<DateTime<Utc>>,
    pub(super) backup_interval_s: Option<f64>,
}

/// One organisation's values; `None` until known.
#[derive(Debug, Default)]
pub(super) struct OrgValues {
    pub(super) info: Option<(String, String)>,
    pub(super) up: Option<bool>,
    pub(super) last_attempt: Option<DateTime<Utc>>,
    pub(super) next_run: Option<DateTime<Utc>>,
    pub(super) interval_s: Option<f64>,
    pub(super) duration_s: Option<f64>,
    pub(super) token_expires: Option<DateTime<Utc>>,
    pub(super) probes_run: Option<DateTime<Utc>>,
    pub(super) audit: Option<AuditGauges>,
}

/// What the outbox holds for one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Messages to be sent.
    pub pending: i64,
    /// Messages given up.
    pub dead: i64,
    /// When the oldest pending message was recorded.
    pub oldest: Option<DateTime<Utc>>,
}

/// One receiver's values.
#[derive(Debug, Default)]
pub(super) struct ReceiverValues {
    pub(super) queue: Queue,
    pub(super) circuit_open: bool,
}

/// The registered gauges. Only [`Gauges::rewrite`] writes to them.
#[derive(Debug)]
pub(super) struct Gauges {
    org_info: GaugeVec,
    up: GaugeVec,
    last_success: GaugeVec,
    last_attempt: GaugeVec,
    next_run: GaugeVec,
    interval: GaugeVec,
    last_duration: GaugeVec,
    gaps: GaugeVec,
    clients: GaugeVec,
    findings: GaugeVec,
    decided: GaugeVec,
    expiring: GaugeVec,
    grants_confirmed: GaugeVec,
    usage_until: GaugeVec,
    token_expiry: GaugeVec,
    probe_last_run: GaugeVec,
    outbox_messages: GaugeVec,
    outbox_oldest: GaugeVec,
    circuit_open: GaugeVec,
    db_size: GaugeVec,
    program: [GaugeVec; 7],
}

/// The gauges without labels, in the order of [`ProgramValues`].
const PROGRAM: [Series; 7] = [
    series::CONFIG_RELOAD_SUCCESSFUL,
    series::CONFIG_RELOAD_SUCCESS,
    series::DB_FREE,
    series::DB_WRITABLE,
    series::DB_INTEGRITY,
    series::DB_BACKUP_SUCCESS,
    series::DB_BACKUP_INTERVAL,
];

impl ProgramValues {
    fn each(&self) -> [Option<f64>; 7] {
        let flag = |holds: Option<bool>| holds.map(|holds| if holds { 1.0 } else { 0.0 });
        let time = |at: Option<DateTime<Utc>>| at.map(|at| float(at.timestamp()));
        [
            flag(self.reload_successful),
            time(self.reload_success),
            self.db_free.map(float),
            flag(self.db_writable),
            flag(self.db_sound),
            time(self.backup_success),
            self.backup_interval_s,
        ]
    }
}

impl Gauges {
    /// Registers every gauge. Fails if a name is taken.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |series: Series| {
            let gauge = GaugeVec::new(series.opts(), series.labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let mut program = Vec::with_capacity(PROGRAM.len());
        for series in PROGRAM {
            program.push(gauge(series)?);
        }
        Ok(Self {
            program: program.try_into().expect("one gauge a series"),
            org_info: gauge(series::ORG_INFO)?,
            up: gauge(series::UP)?,
            last_success: gauge(series::AUDIT_LAST_SUCCESS)?,
            last_attempt: gauge(series::AUDIT_LAST_ATTEMPT)?,
            next_run: gauge(series::AUDIT_NEXT_RUN)?,
            interval: gauge(series::AUDIT_INTERVAL)?,
            last_duration: gauge(series::AUDIT_LAST_DURATION)?,
            gaps: gauge(series::AUDIT_GAPS)?,
            clients: gauge(series::OAUTH_CLIENTS)?,
            findings: gauge(series::FINDINGS_OPEN)?,
            decided: gauge(series::FINDINGS_DECIDED)?,
            expiring: gauge(series::DECISIONS_EXPIRING)?,
            grants_confirmed: gauge(series::GRANTS_CONFIRMED)?,
            usage_until: gauge(series::USAGE_UNTIL)?,
            token_expiry: gauge(series::API_TOKEN_EXPIRY)?,
            probe_last_run: gauge(series::PROBE_LAST_RUN)?,
            outbox_messages: gauge(series::OUTBOX_MESSAGES)?,
            outbox_oldest: gauge(series::OUTBOX_OLDEST_PENDING)?,
            circuit_open: gauge(series::RECEIVER_CIRCUIT_OPEN)?,
            db_size: gauge(series::DB_SIZE)?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &GaugeVec> {
        let labelled = [
            &self.org_info,
            &self.up,
            &self.last_success,
            &self.last_attempt,
            &self.next_run,
            &self.interval,
            &self.last_duration,
            &self.gaps,
            &self.clients,
            &self.findings,
            &self.decided,
            &self.expiring,
            &self.grants_confirmed,
            &self.usage_until,
            &self.token_expiry,
            &self.probe_last_run,
            &self.outbox_messages,
            &self.outbox_oldest,
            &self.circuit_open,
            &self.db_size,
        ];
        labelled.into_iter().chain(&self.program)
    }

    /// Makes the gauges say what `values` says and nothing else. The caller keeps others from gathering meanwhile.
    pub(super) fn rewrite(&self, values: &Values) {
        for gauge in self.all() {
            gauge.reset();
        }
        for (org, seen) in &values.orgs {
            self.rewrite_org(org, seen, &values.checks);
        }
        for (receiver, ReceiverValues { queue, circuit_open }) in &values.receivers {
            self.outbox_messages.with_label_values(&[receiver, "pending"]).set(float(queue.pending));
            self.outbox_messages.with_label_values(&[receiver, "dead"]).set(float(queue.dead));
            set_time(&self.outbox_oldest, receiver, queue.oldest);
            set(&self.circuit_open, receiver, Some(if *circuit_open { 1.0 } else { 0.0 }));
        }
        for (file, bytes) in &values.db_bytes {
            self.db_size.with_label_values(&[file]).set(float(*bytes));
        }
        for (gauge, value) in self.program.iter().zip(values.program.each()) {
            if let Some(value) = value {
                gauge.with_label_values::<&str>(&[]).set(value);
            }
        }
    }

    fn rewrite_org(&self, org: &str, seen: &OrgValues, checks: &BTreeSet<(String, Severity)>) {
        if let Some((org_id, region)) = &seen.info {
            self.org_info.with_label_values(&[org, org_id, region]).set(1.0);
        }
        set(&self.up, org, seen.up.map(|up| if up { 1.0 } else { 0.0 }));
        set(&self.interval, org, seen.interval_s);
        set(&self.last_duration, org, seen.duration_s);
        set_time(&self.last_attempt, org, seen.last_attempt);
        set_time(&self.next_run, org, seen.next_run);
        set_time(&self.token_expiry, org, seen.token_expires);
        set_time(&self.probe_last_run, org, seen.probes_run);
        let Some(audit) = &seen.audit else { return };
        set_time(&self.last_success, org, Some(audit.finished_at));
        set_time(&self.grants_confirmed, org, audit.grants_confirmed);
        set_time(&self.usage_until, org, audit.usage_until);
        for fact in FACTS {
            self.gaps.with_label_values(&[org, fact.as_str()]).set(0.0);
        }
        for (fact, count) in &audit.gaps {
            self.gaps.with_label_values(&[org, fact.as_str()]).set(float(*count));
        }
        for ((grant_type, state), count) in &audit.clients {
            self.clients.with_label_values(&[org, grant_type, state]).set(float(*count));
        }
        for (check, severity) in checks {
            self.findings.with_label_values(&[org, check, severity.as_str()]).set(0.0);
        }
        for ((check, severity), count) in &audit.findings.due {
            let known = checks.iter().any(|(name, _)| name == check);
            let check = if known { check } else { "other" };
            self.findings.with_label_values(&[org, check, severity.as_str()]).add(float(*count));
        }
        let FindingGauges { muted, approved, acknowledged, expiring, .. } = &audit.findings;
        for (decision, count) in [("muted", muted), ("approved", approved), ("acknowledged", acknowledged)] {
            self.decided.with_label_values(&[org, decision]).set(float(*count));
        }
        self.expiring.with_label_values(&[org]).set(float(*expiring));
    }
}

fn set(gauge: &GaugeVec, label: &str, value: Option<f64>) {
    if let Some(value) = value {
        gauge.with_label_values(&[label]).set(value);
    }
}

fn set_time(gauge: &GaugeVec, label: &str, at: Option<DateTime<Utc>>) {
    set(gauge, label, at.map(|at| float(at.timestamp())));
}

#[expect(clippy::cast_precision_loss, reason = "Unix seconds, counts and file sizes stay below 2^53")]
fn float(number: i64) -> f64 {
    number as f64
}
