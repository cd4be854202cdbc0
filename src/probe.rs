//! One probe run, top to bottom: what the platform refuses to the clients whose credentials we were given.
//!
//! Enters: one organisation's configuration, the store, what clients declare, and `now`. Leaves: observations, each
//! recorded as soon as it is made. Must never: delay an audit, judge by anything but the last recorded audit, send
//! anything while the stop file exists, or stop at one client's trouble.
//!
//! `prepare`: the plan of each client, pure. `dialogue`: the conversation with the platform about one client.

mod dialogue;
mod prepare;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};
use uuid::{NoContext, Timestamp, Uuid};

use self::{dialogue::Dialogue, prepare::Prepared};
use crate::{
    collect,
    config::{Config, Org, Probe as Settings},
    domain::{
        ClientId,
        finding::ClientRef,
        inventory::ObjectCounts,
        probe::{
            Expectation, Observation, Verdict,
            plan::{Action, Declared, Planned},
            token::TokenNote,
        },
    },
    store::{self, Past, Store},
    telemetry::{Metrics, ProbeAnswer},
};

/// What clients declare, by id.
pub type Declarations = BTreeMap<ClientId, Declared>;

/// What probes the clients of one organisation.
#[derive(Clone, Debug)]
pub struct Inspector {
    org: Org,
    settings: Settings,
    store: Store,
    metrics: Arc<Metrics>,
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The organisation's configured name.
    pub org: String,
    /// Every planned probe of every client, sent or not.
    pub observations: Vec<Observation>,
    /// What tokens told.
    pub tokens: Vec<ClientNote>,
    /// Clients that could not be probed as configured, and what to do.
    pub problems: Vec<Problem>,
    /// Clients of the last audit without credentials.
    pub not_probed: Vec<ClientRef>,
}

/// What one client's token told.
#[derive(Clone, Debug, Serialize)]
pub struct ClientNote {
    /// The client.
    pub client: ClientRef,
    /// What was asked and answered.
    #[serde(flatten)]
    pub note: TokenNote,
}

/// Why a configured client could not be probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The client as configured.
    pub client: String,
    /// One sentence that names it and says what to do.
    pub detail: String,
}

/// What would be sent for one client.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// The client.
    pub client: ClientRef,
    /// Its probes.
    pub planned: Vec<Planned>,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to plan from.
    #[error(
        "no audit of {0} is recorded yet, and probes are planned from one; run `scopewarden audit --org {0}` first"
    )]
    NothingRecorded(String),
    /// Nothing was recorded, or the past could not be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// TLS could not be set up.
    #[error(transparent)]
    Collect(#[from] collect::Error),
    /// The plan stopped with a panic.
    #[error("planning stopped unexpectedly: {0}; please report this")]
    Plan(String),
    /// The configuration says so.
    #[error("probes are switched off: probe.enabled is false")]
    SwitchedOff,
    /// Somebody says so.
    #[error("probes are stopped: {} exists; remove it to go on", .0.display())]
    Stopped(PathBuf),
    /// Nobody to probe.
    #[error("{0}")]
    NoSuchClient(String),
}

impl Inspector {
    /// Connects to nothing yet.
    pub fn new(config: &Config, org: &Org, store: Store, metrics: Arc<Metrics>) -> Self {
        Self { org: org.clone(), settings: config.probe.clone(), store, metrics }
    }

    /// The organisation's configured name.
    pub fn org(&self) -> &str {
        &self.org.name
    }

    /// What a run would send; sends nothing. `only`: one client, by its name or id.
    pub async fn plan(
        &self,
        only: Option<&str>,
        declared: &Declarations,
    ) -> Result<(Vec<ClientPlan>, Report), Error> {
        let Preparation { prepared, report, .. } = self.prepare(only, declared).await?;
        let plans =
            prepared.into_iter().map(|one| ClientPlan { client: one.reference(), planned: one.planned });
        Ok((plans.collect(), report))
    }

    /// One run that began at `now`. `stop` ends it before the next request.
    pub async fn run(
        &self,
        only: Option<&str>,
        declared: &Declarations,
        stop: &CancellationToken,
        watch: &(dyn Fn(&Observation) + Sync),
        now: DateTime<Utc>,
    ) -> Result<Report, Error> {
        if !self.settings.enabled {
            return Err(Error::SwitchedOff);
        }
        if self.is_stopped().await {
            return Err(Error::Stopped(self.settings.stop_file.clone()));
        }
        let run = run_id(now);
        let span = info_span!("probes", run_id = %run, org = %self.org.name);
        self.go(only, declared, stop, watch, &run, Clock { started: now, since: Instant::now() })
            .instrument(span)
            .await
    }

    async fn go(
        &self,
        only: Option<&str>,
        declared: &Declarations,
        stop: &CancellationToken,
        watch: &(dyn Fn(&Observation) + Sync),
        run: &str,
        clock: Clock,
    ) -> Result<Report, Error> {
        let Preparation { prepared, counts, mut report } = self.prepare(only, declared).await?;
        let clients: Vec<ClientId> = prepared.iter().map(|one| one.client.id.clone()).collect();
        // Another client's trouble must not make what stands of this one vanish.
        let extent = match only {
            Some(_) => store::Extent::One,
            None if report.problems.is_empty() => store::Extent::All,
            None => store::Extent::Most,
        };
        for problem in &report.problems {
            warn!(client = %problem.client, "not probed: {}", problem.detail);
        }
        for one in prepared {
            let dialogue = Dialogue::begin(self, run, clock, &counts, stop, watch)?;
            dialogue.hold(one, &mut report).await?;
        }
        let is_cut_short = stop.is_cancelled() || self.is_stopped().await;
        if !is_cut_short {
            self.store.end_probe_run(&self.org.name, run, &clients, extent, clock.now()).await?;
            if only.is_none() {
                self.metrics.probes_run(&self.org.name, clock.now());
            }
        }
        let failed = report.observations.iter().filter(|one| one.verdict == Verdict::NotRefused).count();
        info!(probes = report.observations.len(), failed, problems = report.problems.len(), "probes ended");
        Ok(report)
    }

    async fn prepare(&self, only: Option<&str>, declared: &Declarations) -> Result<Preparation, Error> {
        let org = &self.org.name;
        let past = self.store.snapshot_at(org, None).await?;
        let past = past.ok_or_else(|| Error::NothingRecorded(org.clone()))?;
        let counts = self.store.object_counts(org).await?;
        let blocks = self.store.probe_blocks(org).await?;
        let (chosen, mut report) = self.choose(only, &past)?;
        let mut tried = BTreeMap::new();
        for (id, _) in &chosen {
            tried.insert(id.clone(), self.store.probes_tried(org, id).await?);
        }
        report.org.clone_from(org);
        let declared = declared.clone();
        let settings = self.settings.clone();
        // Pure and busy: away from the threads that serve HTTP.
        let prepared = tokio::task::spawn_blocking(move || {
            prepare::all(&past.snapshot, chosen, &declared, &settings, &blocks, &tried)
        });
        let prepared = prepared.await.map_err(|error| Error::Plan(error.to_string()))?;
        Ok(Preparation { prepared, counts, report })
    }

    /// The configured clients that the last audit saw, each once, and a report with the rest.
    fn choose(
        &self,
        only: Option<&str>,
        past: &Past,
    ) -> Result<(Vec<(ClientId, crate::config::Credential)>, Report), Error> {
        let clients = &past.snapshot.clients;
        let find = |wanted: &str| -> Result<&ClientId, String> {
            if let Some((id, _)) = clients.get_key_value(wanted) {
                return Ok(id);
            }
            let named: Vec<&ClientId> =
                clients.values().filter(|client| client.name == wanted).map(|client| &client.id).collect();
            match named[..] {
                [id] => Ok(id),
                [] => Err(format!(
                    "the last audit of {} saw no client of the name or id {wanted:?}: correct `client` of its \
                     [[org.probe]], or run an audit first (`scopewarden clients` lists them)",
                    self.org.name
                )),
                _ => Err(format!(
                    "{} clients are named {wanted:?}: give an id in its [[org.probe]]",
                    named.len()
                )),
            }
        };
        let mut report = Report::default();
        let mut chosen: Vec<(ClientId, crate::config::Credential)> = Vec::new();
        let mut seen = BTreeSet::new();
        for probed in &self.org.probes {
            match find(&probed.client) {
                Ok(id) if seen.insert(id.clone()) => chosen.push((id.clone(), probed.credential.clone())),
                Ok(id) => report.problems.push(Problem {
                    client: probed.client.clone(),
                    detail: format!(
                        "{:?} is client {id}, which has another [[org.probe]]: keep one",
                        probed.client
                    ),
                }),
                Err(detail) => report.problems.push(Problem { client: probed.client.clone(), detail }),
            }
        }
        report.not_probed = clients
            .values()
            .filter(|client| !seen.contains(&client.id))
            .map(|client| ClientRef { id: client.id.clone(), name: client.name.clone() })
            .collect();
        if let Some(wanted) = only {
            let id = find(wanted).map_err(Error::NoSuchClient)?;
            chosen.retain(|(chosen, _)| chosen == id);
            report.not_probed.retain(|client| client.id == *id);
            report.problems.retain(|problem| problem.client == wanted);
            if chosen.is_empty() && report.problems.is_empty() {
                report.problems.push(Problem {
                    client: wanted.to_owned(),
                    detail: format!(
                        "{wanted:?} was not probed: there is no [[org.probe]] with its credentials under the \
                         organisation {}; add one",
                        self.org.name
                    ),
                });
            }
        }
        Ok((chosen, report))
    }

    /// Whether the stop file exists. One that cannot be looked for stops as well.
    async fn is_stopped(&self) -> bool {
        tokio::fs::try_exists(&self.settings.stop_file).await.unwrap_or(true)
    }

    /// Counts an observation.
    fn count(&self, observation: &Observation) {
        self.metrics.probe(&self.org.name, observation.expectation, observation.verdict);
        if observation.sent {
            let answer = match observation.verdict {
                Verdict::Refused => ProbeAnswer::Refused,
                Verdict::NotRefused | Verdict::Allowed => ProbeAnswer::LetThrough,
                Verdict::Inconclusive | Verdict::NotSent => ProbeAnswer::Inconclusive,
            };
            self.metrics.probe_prediction(&self.org.name, observation.predicted, answer);
        }
    }
}

/// Everything that is known before the first request.
struct Preparation {
    prepared: Vec<Prepared>,
    counts: ObjectCounts,
    report: Report,
}

/// The wall clock at the beginning, and what passed since.
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
}

impl Report {
    /// A negative test was not refused.
    pub fn has_failed(&self) -> bool {
        self.observations
            .iter()
            .any(|one| one.expectation == Expectation::Deny && one.verdict == Verdict::NotRefused)
    }
}

impl ClientPlan {
    /// The plan as requests that anybody could make by hand, one a line, the token left out.
    pub fn curl(&self, api_url: &url::Url) -> Vec<String> {
        let base = api_url.as_str().trim_end_matches('/');
        let line = |planned: &Planned| match &planned.action {
            Action::Hold(_) => None,
            Action::Send { path, safe } => {
                let body =
                    safe.class.body().map(|body| format!(" -H 'Content-Type: application/json' -d '{body}'"));
                Some(format!(
                    "curl -sS -o /dev/null -w '%{{http_code}}\\n' -X {} -H \"Authorization: Bearer $TOKEN\"{} '{base}{path}'",
                    planned.method(),
                    body.unwrap_or_default()
                ))
            }
        };
        self.planned.iter().filter_map(line).collect()
    }
}

fn run_id(now: DateTime<Utc>) -> String {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())).to_string()
}
