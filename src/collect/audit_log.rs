//! The platform's own audit log: who changed what.
//!
//! Enters: spans of time, each with the query that serves it. Leaves: entries, which spans were read, and why others were
//! not. Must never: keep an audit waiting beyond the limit that it is given, read without a bound, or fail anything: what is
//! not read is said so.
//!
//! Two queries exist. The realtime one answers at once, but only for some services and the last 14 days. The other one is
//! begun by one audit and collected by a later one. Which serves what is asked of the platform once a process, and again
//! where that failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;
use url::Url;

use super::{
    Endpoint, Error,
    api::{Api, Moment, Request},
    invalid,
    transport::Delivery,
    wire::log as wire,
};
use crate::domain::attribution::{Entry, Read, Span, written};

/// The service whose entries tell of clients, roles and grants.
const SERVICE: &str = "PeoplePermissions";
/// How far the realtime query looks back, less an hour for clocks that differ.
const REALTIME: TimeDelta = TimeDelta::hours(14 * 24 - 1);
/// Entries of a page.
const PAGE: usize = 200;
/// Pages of one span.
const MOST_PAGES: usize = 3;
/// Calls of one reading.
const CALLS: u32 = 12;
/// Queries that are under way.
const MOST_JOBS: usize = 8;
/// A query that takes longer is forgotten and asked anew.
const LONGEST_JOB: TimeDelta = TimeDelta::hours(2);
/// Waits between two looks at a query, within one audit.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];
/// After a refusal nothing is asked for so long: an administrator takes longer to grant a permission.
const AFTER_REFUSAL: TimeDelta = TimeDelta::minutes(15);

/// Which query tells of a kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The one that answers at once.
    Realtime,
    /// The one that takes its time.
    Later,
}

/// What the log covers, by the platform's own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    realtime: BTreeSet<String>,
    later: BTreeSet<String>,
}

impl Served {
    /// These types by each query.
    #[cfg(test)]
    pub(crate) fn of(realtime: &[&str], later: &[&str]) -> Self {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { realtime: set(realtime), later: set(later) }
    }

    /// How to ask about things of these types from so far back; `None`: the log does not cover them.
    pub fn mode(&self, entity_types: &[&str], from: DateTime<Utc>, now: DateTime<Utc>) -> Option<Mode> {
        let has = |set: &BTreeSet<String>| entity_types.iter().any(|name| set.contains(*name));
        if has(&self.realtime) && now - from < REALTIME {
            Some(Mode::Realtime)
        } else if has(&self.later) {
            Some(Mode::Later)
        } else {
            None
        }
    }
}

/// What became of a reading.
#[derive(Debug, Default)]
pub struct LogRead {
    /// Entries, in no order; those of two spans may repeat.
    pub entries: Vec<Entry>,
    /// The spans that were read, and how far.
    pub read: BTreeMap<Span, Read>,
    /// Why the rest was not.
    pub problem: Option<Error>,
}

/// What is kept between two readings.
#[derive(Debug, Default)]
pub(super) struct AuditLog {
    served: Option<Served>,
    jobs: BTreeMap<Span, Job>,
    refused: Option<(DateTime<Utc>, Error)>,
}

#[derive(Debug)]
struct Job {
    id: String,
    begun: DateTime<Utc>,
}

/// One reading: what it may still cost.
struct Reader<'a> {
    api: &'a mut Api,
    moment: Moment,
    until: Instant,
    calls: u32,
}

impl AuditLog {
    /// What the log covers. Asked once; a failure is not remembered.
    pub(super) async fn served(
        &mut self,
        api: &mut Api,
        limit: Duration,
        moment: Moment,
    ) -> Result<Served, Error> {
        if let Some((since, error)) = &self.refused {
            if moment.now() - *since < AFTER_REFUSAL {
                return Err(error.clone());
            }
            self.refused = None;
        }
        if let Some(served) = &self.served {
            return Ok(served.clone());
        }
        let mut reader = Reader { api, moment, until: Instant::now() + limit, calls: 0 };
        let served = async {
            let realtime = reader.mapping(Endpoint::AuditRealtimeMapping).await?;
            Ok(Served { realtime, later: reader.mapping(Endpoint::AuditMapping).await? })
        };
        let served: Result<Served, Error> = served.await;
        match &served {
            Ok(found) => self.served = Some(found.clone()),
            Err(error) => self.remember(error, moment),
        }
        served
    }

    /// Reads these spans (`only`: of things of one type, by the realtime query), as many as `limit` and the bound of calls allow. Must be within what [`AuditLog::served`] says.
    pub(super) async fn read(
        &mut self,
        api: &mut Api,
        spans: &[(Span, Mode)],
        only: Option<&str>,
        limit: Duration,
        moment: Moment,
    ) -> LogRead {
        let mut found = LogRead::default();
        let mut reader = Reader { api, moment, until: Instant::now() + limit, calls: 0 };
        self.jobs.retain(|_, job| (moment.now() - job.begun).abs() < LONGEST_JOB);
        for (span, mode) in spans {
            let read = match mode {
                Mode::Realtime => {
                    reader.realtime(*span, only, &mut found.entries).await.map(|read| Some((*span, read)))
                }
                Mode::Later => self.later(&mut reader, *span, &mut found.entries).await,
            };
            match read {
                Ok(Some((span, read))) => drop(found.read.insert(span, read)),
                Ok(None) => {}
                Err(error) => {
                    info!(reason = error.reason(), "the platform's audit log was not read: {error}");
                    self.remember(&error, moment);
                    found.problem = Some(error);
                    break;
                }
            }
        }
        found
    }

    fn remember(&mut self, error: &Error, moment: Moment) {
        if matches!(error, Error::Forbidden { .. }) {
            self.served = None;
            self.refused = Some((moment.now(), error.clone()));
        }
    }

    /// Begins a query, or goes on with it: what it covers, which of a day that was not over is a part; `None`: it is not
    /// finished.
    async fn later(
        &mut self,
        reader: &mut Reader<'_>,
        span: Span,
        entries: &mut Vec<Entry>,
    ) -> Result<Option<(Span, Read)>, Error> {
        if !self.jobs.contains_key(&span) {
            if self.jobs.len() == MOST_JOBS {
                return Ok(None);
            }
            let begun = reader.moment.now();
            let body = reader.post(Endpoint::AuditQuery, &asked(until(span, begun))).await?;
            let id = wire::query_id(&body).map_err(|mismatch| invalid(Endpoint::AuditQuery, &mismatch))?;
            self.jobs.insert(span, Job { id, begun });
        }
        let Some(job) = self.jobs.get(&span) else { return Ok(None) };
        let (id, covered) = (job.id.clone(), until(span, job.begun));
        let mut pauses = PAUSES.iter();
        loop {
            let endpoint = Endpoint::AuditQueryStatus;
            let url = reader.api.url_of(endpoint, &id);
            let state = match reader.get(endpoint, &url).await {
                Ok(body) => wire::query_state(&body).map_err(|mismatch| invalid(endpoint, &mismatch)),
                Err(error) => Err(error),
            };
            match state {
                Ok(wire::State::Done) => break,
                Ok(wire::State::Pending) => {}
                Ok(wire::State::Failed) => {
                    self.jobs.remove(&span);
                    let detail = "the platform gave the query up; it is asked anew".to_owned();
                    return Err(Error::InvalidResponse { endpoint, detail });
                }
                Err(error) => {
                    if !error.is_retryable() {
                        self.jobs.remove(&span);
                    }
                    return Err(error);
                }
            }
            match pauses.next().filter(|pause| Instant::now() + **pause < reader.until) {
                Some(pause) => sleep(*pause).await,
                None => return Ok(None),
            }
        }
        self.jobs.remove(&span);
        reader.results(&id, entries).await.map(|read| Some((covered, read)))
    }
}

impl Reader<'_> {
    async fn mapping(&mut self, endpoint: Endpoint) -> Result<BTreeSet<String>, Error> {
        let url = self.api.url(endpoint);
        let body = self.get(endpoint, &url).await?;
        wire::served(&body, SERVICE).map_err(|mismatch| invalid(endpoint, &mismatch))
    }

    async fn realtime(
        &mut self,
        span: Span,
        only: Option<&str>,
        entries: &mut Vec<Entry>,
    ) -> Result<Read, Error> {
        let endpoint = Endpoint::AuditRealtime;
        let mut seen = 0;
        for number in 1..=MOST_PAGES {
            let mut question = asked(span);
            question["pageSize"] = json!(PAGE);
            question["pageNumber"] = json!(number);
            if let Some(only) = only {
                question["filters"] = json!([{ "property": "EntityType", "value": only }]);
            }
            let body = self.post(endpoint, &question).await?;
            let page = wire::page(&body).map_err(|mismatch| invalid(endpoint, &mismatch))?;
            let count = page.count;
            seen += count;
            entries.extend(page.entries);
            // Without a total, a page that is not full is the last.
            let is_last = page.total.map_or(count < PAGE, |total| seen as u64 >= total);
            if is_last || count == 0 {
                return Ok(Read::Whole);
            }
        }
        Ok(Read::Partly)
    }

    async fn results(&mut self, id: &str, entries: &mut Vec<Entry>) -> Result<Read, Error> {
        let endpoint = Endpoint::AuditQueryResults;
        let first = self.api.url_of(endpoint, id);
        let mut cursor: Option<String> = None;
        let mut followed = BTreeSet::new();
        for _ in 0..MOST_PAGES {
            let mut url = first.clone();
            url.query_pairs_mut().append_pair("pageSize", "500").append_pair("expand", "user");
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let body = self.get(endpoint, &url).await?;
            let page = wire::page(&body).map_err(|mismatch| invalid(endpoint, &mismatch))?;
            entries.extend(page.entries);
            match page.cursor {
                None => return Ok(Read::Whole),
                Some(next) if followed.insert(next.clone()) => cursor = Some(next),
                Some(_) => {
                    let detail = "a page leads back to one that was read".to_owned();
                    return Err(Error::InvalidResponse { endpoint, detail });
                }
            }
        }
        Ok(Read::Partly)
    }

    async fn get(&mut self, endpoint: Endpoint, url: &Url) -> Result<Vec<u8>, Error> {
        self.call(endpoint, url, None).await
    }

    async fn post(&mut self, endpoint: Endpoint, question: &Value) -> Result<Vec<u8>, Error> {
        let mut url = self.api.url(endpoint);
        if endpoint == Endpoint::AuditRealtime {
            url.query_pairs_mut().append_pair("expand", "user");
        }
        self.call(endpoint, &url, Some(question)).await
    }

    async fn call(
        &mut self,
        endpoint: Endpoint,
        url: &Url,
        question: Option<&Value>,
    ) -> Result<Vec<u8>, Error> {
        let late = || Error::Network {
            endpoint,
            detail: "the audit log did not answer within the time that an audit waits for it".to_owned(),
        };
        let left = self.until.saturating_duration_since(Instant::now());
        if self.calls == CALLS || left.is_zero() {
            return Err(late());
        }
        self.calls += 1;
        let request = self.api.transport.limits.request.min(left);
        let delivery = Delivery { spool: None, request, call: left };
        let request = Request { endpoint, url, question, unless: None, delivery };
        let answer = timeout(left, self.api.answer(request, self.moment)).await.map_err(|_| late())??;
        Ok(answer.body)
    }
}

/// A day that is not over, as far as it went.
fn until(span: Span, now: DateTime<Utc>) -> Span {
    Span { to: span.to.min(now), ..span }
}

fn asked(Span { from, to }: Span) -> Value {
    // The end of an interval is not part of it; that of a span is.
    let to = to + TimeDelta::milliseconds(1);
    json!({
        "interval": format!("{}/{}", written(from), written(to)),
        "serviceName": SERVICE,
        "sort": [{ "name": "Timestamp", "sortOrder": "descending" }],
    })
}
