//! ★ Start here: one audit, top to bottom.
//!
//! Enters: one organisation's connection, the store, and `now`. Leaves: a recorded audit with its events, findings
//! and outgoing messages, or a recorded failure. Must never: record a part, or hold anything between two audits but
//! the connection. The past is read once at the start, and everything is written once at the end.

mod analysis;
pub mod deciding;
mod inquiry;
pub mod proposal;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::Serialize;
use tracing::{Instrument as _, info, info_span, warn};
use uuid::{NoContext, Timestamp, Uuid};

pub use self::analysis::{Seen, gauges, shown};
use self::{
    analysis::{Analysis, Input, Looks},
    inquiry::{Doubts, Inquiry},
};
use crate::{
    collect::{self, Collector, LogRead, Mode, Served},
    config::{self, Config, Org},
    domain::{
        Gap,
        access::acts_by_roles,
        attribution::Certainty,
        checks::custom::{self, CustomCheck},
        contract::{Contract, companion::Companions},
        event::Event,
        evidence::Hash,
        facts::{Facts, Reading},
        finding::Finding,
        message::{self, Letterhead},
        observe,
        rotation::{self, Budget, Round},
        secret_age::{self, Secrets},
        snapshot::Settings,
        telling::{Audience, Telling},
        usage,
    },
    store::{self, Failure, History, Store},
    telemetry::{AuditGauges, Metrics},
};

/// How often an audit is worked out anew because somebody decided about findings while it ran.
const DECIDED_MEANWHILE: usize = 3;

/// The longest span of calls that is looked at; a count may be some days old.
const COUNTED: TimeDelta = TimeDelta::days(100);
/// How long an audit waits for the platform's audit log in all: an alert may not be late for the name of who did it.
const ATTRIBUTION: Duration = Duration::from_secs(5);

/// What audits one organisation, for as long as the process lives.
#[derive(Debug)]
pub struct Auditor {
    org: String,
    settings: Settings,
    contracts: Arc<[Contract]>,
    companions: Arc<Companions>,
    checks: Arc<[CustomCheck]>,
    check_budget: custom::Budget,
    collector: Collector,
    observing: Observing,
    store: Store,
    metrics: Arc<Metrics>,
    addressing: Arc<Addressing>,
    /// Why the last audit's failure could not be recorded, until somebody asks.
    trouble: Option<store::Error>,
}

/// What audits look at beside the configuration, and how much that may cost.
#[derive(Clone, Copy, Debug)]
struct Observing {
    /// As configured; `None`: as many as look at every client once a day.
    grant_calls: Option<u32>,
    runs_a_day: u32,
    usage: bool,
    usage_days: u32,
    secret_age: bool,
}

impl Observing {
    fn of(audit: &config::Audit) -> Self {
        Self {
            grant_calls: audit.grant_calls,
            runs_a_day: audit.runs_a_day(),
            usage: audit.usage,
            usage_days: audit.usage_window_days,
            secret_age: audit.secret_age,
        }
    }

    /// Calls for grants where so many clients take turns.
    fn budget(self, clients: usize) -> Budget {
        self.grant_calls.map_or_else(|| Budget::daily(clients, self.runs_a_day), Budget::fixed)
    }
}

/// Whom audits tell, and how. Unlike the connection, it may change from one audit to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Addressing {
    /// Who listens to what.
    pub audience: Audience,
    /// Where people read more.
    pub link: String,
}

impl Addressing {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        // An Alertmanager is told what stands; nothing waits for it.
        let receivers = config.receivers.iter().filter(|receiver| receiver.target.takes_messages());
        let alerts = &config.alerts;
        let audience = Audience {
            receivers: receivers.map(|receiver| (receiver.name.clone(), receiver.route.clone())).collect(),
            group_above: alerts.group_above,
            group_drift_above: alerts.group_drift_above,
            flapping_after: alerts.flapping_after,
            remind_after: alerts.remind_after.and_then(|after| TimeDelta::from_std(after).ok()),
        };
        Self { audience, link: config.server.external_url.to_string() }
    }

    /// Who listens.
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Where people read more.
    pub fn link(&self) -> &str {
        &self.link
    }
}

/// A recorded audit, in the JSON shape that users see.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The organisation's configured name.
    pub org: String,
    /// The audit's id.
    pub audit: String,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// Every fact was seen.
    pub complete: bool,
    /// What was not seen.
    pub gaps: Vec<Gap>,
    /// HTTP requests to the platform, token and retries included.
    pub api_calls: u32,
    /// Clients in the snapshot.
    pub clients: usize,
    /// The first audit of the organisation: there was nothing to compare with.
    pub baseline: bool,
    /// The chain hash after this audit.
    pub chain_head: Hash,
    /// What changed since the audit before, and why.
    pub events: Vec<Event>,
    /// Everything open now.
    pub findings: Vec<Arc<Finding>>,
    /// What failed before and was seen to pass, or whose client is gone.
    pub resolved: Vec<Arc<Finding>>,
    /// Where the time went.
    pub timings_ms: Timings,
}

/// Milliseconds by stage.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Timings {
    /// Reading the past from the store.
    pub recall: u64,
    /// Waiting for the platform.
    pub collect: u64,
    /// Digest, access, drift, checks.
    pub analyse: u64,
    /// Waiting for the platform's audit log; 0 where nothing changed.
    pub attribute: u64,
    /// Writing the transaction.
    pub record: u64,
}

/// Why an audit recorded nothing but its failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mandatory fact could not be read.
    #[error(transparent)]
    Collect(#[from] collect::Error),
    /// The past could not be read or the audit not written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// It took longer than `audit.timeout`.
    #[error("the audit took longer than audit.timeout ({limit}) and was abandoned; nothing of it was recorded", limit = humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The analysis stopped with a panic.
    #[error("the analysis stopped unexpectedly: {0}; please report this")]
    Analysis(String),
}

impl Error {
    /// What it concluded from is not what people decided any more.
    fn was_decided_meanwhile(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(error.problem, store::Problem::Decided { .. }))
    }

    /// One of `telemetry::AUDIT_FAILURE_REASONS`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Collect(error) => error.reason(),
            Self::Store(_) => "storage",
            Self::TimedOut(_) => "network",
            Self::Analysis(_) => "inconsistent",
        }
    }
}

/// A stage of an audit, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the past.
    Recall,
    /// Asking the platform.
    Collect,
    /// Comparing and judging.
    Analyse,
    /// Asking who made the changes.
    Attribute,
    /// Writing.
    Record,
}

impl Auditor {
    /// Connects to nothing yet. Fails if TLS cannot be set up.
    pub fn new(
        config: &Config,
        org: &Org,
        store: Store,
        metrics: Arc<Metrics>,
    ) -> Result<Self, collect::Error> {
        let config::Audit { catalogue_max_age, definition, definition_max_age, timeout, .. } = config.audit;
        let mut collector = Collector::new(org, catalogue_max_age, Arc::clone(&metrics))?;
        if definition {
            collector = collector.with_definition(definition_max_age, timeout);
        }
        Ok(Self {
            org: org.name.clone(),
            settings: Settings { scope_enforcement: org.scope_enforcement },
            contracts: Arc::clone(&org.contracts.list),
            companions: Arc::new(config.companions()),
            checks: Arc::clone(&config.checks),
            check_budget: custom::Budget { each: config.audit.check_budget, all: config.audit.checks_budget },
            collector,
            observing: Observing::of(&config.audit),
            store,
            metrics,
            addressing: Arc::new(Addressing::of(config)),
            trouble: None,
        })
    }

    /// Tells the audits from now on whom to tell.
    pub fn address_to(&mut self, addressing: Arc<Addressing>) {
        self.addressing = addressing;
    }

    /// The organisation's configured name.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// Asks the platform which organisation this is. Not part of an audit.
    pub async fn organisation(
        &mut self,
        now: DateTime<Utc>,
    ) -> Result<collect::Organisation, collect::Error> {
        self.collector.organisation(now).await
    }

    /// One audit that started at `now` and may take `limit` until it is recorded (that is not broken off: whoever stops
    /// waiting for a commit does not know how it ends). On failure nothing is recorded but the failure itself
    /// ([`Auditor::take_trouble`] says if not even that), and what was gauged stays as it was.
    pub async fn audit(
        &mut self,
        limit: Duration,
        watch: &(dyn Fn(Stage) + Sync),
        now: DateTime<Utc>,
    ) -> Result<Report, Error> {
        let clock = Clock { started: now, since: Instant::now() };
        let audit = audit_id(now);
        let span = info_span!("audit", run_id = %audit, org = %self.org);
        self.trouble = None;
        self.metrics.audit_started(&self.org, now);
        let work = async {
            let mut result = self.stages(&audit, limit, watch, clock).await;
            let mut tries = 0;
            while tries < DECIDED_MEANWHILE && result.as_ref().is_err_and(Error::was_decided_meanwhile) {
                info!("somebody decided about findings meanwhile; the audit is worked out anew");
                tries += 1;
                result = self.stages(&audit, limit, watch, clock).await;
            }
            if let Err(error) = &result {
                self.trouble = self.fail(&audit, error, clock).await.err();
            }
            result
        };
        work.instrument(span).await
    }

    /// Why the failure of the last audit could not be recorded, once. An audit that failed for its own reasons says
    /// nothing of a database that cannot be used; this does.
    pub fn take_trouble(&mut self) -> Option<store::Error> {
        self.trouble.take()
    }

    /// The stages in order; no stage calls another.
    async fn stages(
        &mut self,
        audit: &str,
        limit: Duration,
        watch: &(dyn Fn(Stage) + Sync),
        clock: Clock,
    ) -> Result<Report, Error> {
        let concluded = tokio::time::timeout(limit, self.conclude(audit, watch, clock)).await;
        let Concluded { analysis, telling, at, api_calls, mut timings } =
            concluded.map_err(|_| Error::TimedOut(limit))??;

        watch(Stage::Record);
        let mut lap = Lap(Instant::now());
        self.store.record(&analysis.record(&self.org, audit, clock.started, at, api_calls, &telling)).await?;
        timings.record = lap.ms();

        let gauges = analysis.gauges(at);
        let known = &analysis.answers.attributed.known;
        let certainties = known.iter().map(|(_, actor)| actor.certainty).collect();
        let report = analysis.into_report(self.org.clone(), audit.to_owned(), at, api_calls, timings);
        self.gauge(&report, certainties, gauges, clock);
        for (kind, count) in telling.unheard {
            self.metrics.alerts_unheard(kind, count);
        }
        Ok(report)
    }

    /// Everything up to what is to be recorded.
    async fn conclude(
        &mut self,
        audit: &str,
        watch: &(dyn Fn(Stage) + Sync),
        clock: Clock,
    ) -> Result<Concluded, Error> {
        let mut lap = Lap(Instant::now());

        watch(Stage::Recall);
        let history = self.store.history(&self.org).await?;
        let probes = self.store.probe_standings(&self.org).await?;
        let inquiries = self.store.inquiries(&self.org, clock.started).await?;
        let doubts = Doubts::of(&history);
        let secrets =
            if self.observing.secret_age { self.store.secrets(&self.org).await? } else { Secrets::default() };
        let sent = self.store.probes_sent(&self.org, clock.started - COUNTED, clock.started).await?;
        let recall = lap.ms();

        watch(Stage::Collect);
        let known = observe::known(history.past.as_ref().map(|past| &past.snapshot));
        let mut facts = self.collector.gather(&known, clock.started).await?;
        let round = self.observe(&history, &mut facts, clock.started).await;
        let mut api_calls = facts.api_calls;
        let collect = lap.ms();

        watch(Stage::Analyse);
        let at = clock.now();
        let input = Input {
            org: self.org.clone(),
            audit: audit.to_owned(),
            settings: self.settings,
            contracts: Arc::clone(&self.contracts),
            companions: Arc::clone(&self.companions),
            checks: Arc::clone(&self.checks),
            check_budget: self.check_budget,
            elapsed: Box::new(move || clock.since.elapsed()),
            history,
            facts,
            probes,
            sent,
            round,
            at,
            looks: Looks { grants: self.observing.grant_calls != Some(0), usage: self.observing.usage },
        };
        // Pure and busy: away from the threads that serve HTTP.
        let mut analysis = tokio::task::spawn_blocking(move || analysis::conclude(input))
            .await
            .map_err(|error| Error::Analysis(error.to_string()))?;
        let lived = self.store.failed_before(&self.org, &analysis.opened()).await?;
        analysis.failed_before(&lived);
        let analyse = lap.ms();

        watch(Stage::Attribute);
        let inquiry = Inquiry::begin(&mut analysis.events, inquiries, &doubts, at);
        self.attribute(inquiry, &mut analysis, &lap, at).await;
        if self.observing.secret_age {
            analysis.answers.attributed.secrets = self.new_secrets(&secrets, &lap, at).await;
        }
        api_calls += self.collector.take_calls();
        let attribute = lap.ms();

        let telling = analysis.tell(self.letterhead(audit, analysis.chain, at), &self.addressing.audience);
        let timings = Timings { recall, collect, analyse, attribute, record: 0 };
        Ok(Concluded { analysis, telling, at, api_calls, timings })
    }

    /// Asks what some clients are granted and, once a day, what all of them called: no audit fails by it.
    async fn observe(&mut self, history: &History, facts: &mut Facts, now: DateTime<Utc>) -> Round {
        let before = history.past.as_ref().map(|past| &past.snapshot);
        let clients = facts.clients.iter().filter(|client| acts_by_roles(client)).count();
        let (budget, runs) = (self.observing.budget(clients), self.observing.runs_a_day);
        let round = rotation::round(&facts.clients, &facts.roles, before, &history.turns, budget);
        if let Some(days) = rotation::days_for_all(clients, budget, runs).filter(|days| *days > 1.0) {
            warn!(
                clients,
                grant_calls = budget.share,
                audits_a_day = runs,
                "what clients are granted is confirmed once in {days:.1} days, not once a day: audit more often, or raise \
                 audit.grant_calls"
            );
        }
        if !round.ask.is_empty() {
            // To the first audit everybody is new. It looks at whom it can without waiting, and the next ones go on.
            let is_first = before.is_none() && self.observing.grant_calls.is_none();
            let must = if is_first { 0 } else { round.must };
            self.collector.grants(&round.ask, must, facts, now).await;
        }
        for gap in &mut facts.grants.gaps {
            let turn = gap.subject.as_deref().and_then(|id| history.turns.get(id));
            gap.stale_since = match gap.subject {
                Some(_) => turn.and_then(|turn| turn.confirmed),
                None => rotation::oldest(&round.members, &history.turns),
            };
        }
        let counted = history.usage.as_ref().map(|tally| tally.window.to);
        if self.observing.usage && usage::is_due(counted, now) {
            let window = usage::Window::last(self.observing.usage_days, now);
            self.collector.usage(window, facts, now).await;
            if let Reading::Gap(gap) = &mut facts.usage {
                gap.stale_since = counted;
            }
        }
        round
    }

    /// Asks the platform's audit log who made the changes: a few calls within a few seconds, and only if something changed
    /// or waits for an answer. No audit fails by it, or is less complete.
    async fn attribute(&mut self, inquiry: Inquiry, analysis: &mut Analysis, lap: &Lap, at: DateTime<Utc>) {
        let mut events = std::mem::take(&mut analysis.events);
        analysis.answers = if inquiry.is_empty() {
            inquiry.conclude(
                &mut events,
                Ok((&Served::default(), &LogRead::default())),
                analysis.snapshot(),
                at,
            )
        } else {
            match self.collector.log_served(lap.left(), at).await {
                Ok(served) => {
                    let log = self.collector.read_log(&inquiry.spans(&served, at), lap.left(), at).await;
                    inquiry.conclude(&mut events, Ok((&served, &log)), analysis.snapshot(), at)
                }
                Err(error) => inquiry.conclude(&mut events, Err(&error), analysis.snapshot(), at),
            }
        };
        analysis.events = events;
    }

    /// Reads on in the platform's audit log for new secrets of clients; `None`: it is not due, or nothing was read.
    async fn new_secrets(&mut self, known: &Secrets, lap: &Lap, at: DateTime<Utc>) -> Option<Secrets> {
        let due = known.due(at);
        let first = due.first()?;
        let served = self.collector.log_served(lap.left(), at).await.ok()?;
        if served.mode(&[secret_age::ENTITY], first.from, at) != Some(Mode::Realtime) {
            return None;
        }
        let log = self.collector.read_log_of(secret_age::ENTITY, &due, lap.left(), at).await;
        known.learn(&log.entries, &log.read)
    }

    fn letterhead<'a>(&'a self, audit: &'a str, chain_head: Hash, at: DateTime<Utc>) -> Letterhead<'a> {
        Letterhead { org: &self.org, audit, chain_head, at, link: &self.addressing.link }
    }

    fn gauge(&self, report: &Report, certainties: Vec<Certainty>, gauges: AuditGauges, clock: Clock) {
        for event in &report.events {
            self.metrics.drift(&self.org, event.cause.kind);
        }
        for certainty in certainties {
            self.metrics.attributed(&self.org, certainty);
        }
        let gauges = AuditGauges { duration_s: clock.elapsed_s(), ..gauges };
        self.metrics.audit_recorded(&self.org, &gauges);
        info!(
            complete = report.complete,
            baseline = report.baseline,
            clients = report.clients,
            events = report.events.len(),
            findings = report.findings.len(),
            api_calls = report.api_calls,
            collect_ms = report.timings_ms.collect,
            analyse_ms = report.timings_ms.analyse,
            attribute_ms = report.timings_ms.attribute,
            record_ms = report.timings_ms.record,
            "audit recorded"
        );
        for gap in &report.gaps {
            warn!(fact = gap.fact.as_str(), reason = %gap.reason, "not seen: {}", gap.detail);
        }
    }

    /// Logs that an audit failed, records it, and tells receivers when audits begin to fail. Fails if the store does.
    async fn fail(&self, audit: &str, error: &Error, clock: Clock) -> Result<(), store::Error> {
        let (reason, detail) = (error.reason(), error.to_string());
        self.metrics.audit_failed(&self.org, reason, clock.elapsed_s());
        warn!(reason, "audit failed: {detail}");
        let recorded = self.record_failure(audit, reason, &detail, clock).await;
        recorded.inspect_err(|error| warn!("the failure could not be recorded: {error}"))
    }

    async fn record_failure(
        &self,
        audit: &str,
        reason: &'static str,
        detail: &str,
        clock: Clock,
    ) -> Result<(), store::Error> {
        let (started, at) = (clock.started, clock.now());
        let history = self.store.history(&self.org).await?;
        let messages = if history.failing {
            Vec::new()
        } else {
            let head = history.past.map_or(Hash::GENESIS, |past| past.chain);
            let failed = message::failed(&self.letterhead(audit, head, at), reason, detail);
            self.addressing.audience.address(Some(&self.org), [failed])
        };
        let org = &self.org;
        self.store
            .record_failure(&Failure { org, audit, started, at, reason, detail, messages: &messages })
            .await
    }
}

/// What is to be recorded.
struct Concluded {
    analysis: Analysis,
    telling: Telling,
    at: DateTime<Utc>,
    api_calls: u32,
    timings: Timings,
}

/// Time as an audit sees it: the wall clock once, then what passed since.
#[derive(Clone, Copy)]
struct Clock {
    started: DateTime<Utc>,
    since: Instant,
}

impl Clock {
    /// To the millisecond, which is what the store keeps.
    fn now(&self) -> DateTime<Utc> {
        (self.started + self.since.elapsed()).trunc_subsecs(3)
    }

    fn elapsed_s(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }
}

/// Milliseconds since the last lap.
struct Lap(Instant);

impl Lap {
    fn ms(&mut self) -> u64 {
        let now = Instant::now();
        let passed = now.duration_since(self.0);
        self.0 = now;
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// What is left of [`ATTRIBUTION`].
    fn left(&self) -> Duration {
        ATTRIBUTION.saturating_sub(self.0.elapsed())
    }
}

/// Unique for ever, and sorted by time.
fn audit_id(now: DateTime<Utc>) -> String {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())).to_string()
}
