//! What clients called: one count for the whole organisation, made by the platform while we do other things.
//!
//! Enters: the span to count. Leaves: a [`Tally`], a gap, or nothing yet: the count goes on and a later audit collects it.
//! Must never: keep an audit waiting, read without a bound, or take a part of a count for the whole.
//!
//! Two queries exist. The newer one needs `usage:organization:view`; the older one is also opened by `oauth:client:view`,
//! which an auditor has anyway. The newer is tried first; where it is refused or missing, the older one serves.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use url::Url;

use super::{
    Endpoint, Error,
    api::{Api, Moment},
    invalid,
    wire::{self, UsagePage, UsageState},
};
use crate::domain::{
    Fact, Gap,
    facts::Reading,
    usage::{Tally, Window},
};

/// Calls of one audit.
pub(super) const CALLS: u32 = 25;
/// How long an audit waits for a count, all its waits together.
const PATIENCE: Duration = Duration::from_secs(4);
/// The first wait; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A count that takes longer is given up and begun anew.
const LONGEST_COUNT: chrono::TimeDelta = chrono::TimeDelta::hours(2);
/// Rows of a page; the platform gives no more.
const PAGE_SIZE: &str = "1000";
/// Pages of a count.
const MOST_PAGES: u32 = 1_000;

/// Which of the platform's two queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Newer,
    Older,
}

/// The count that is under way, and what was learnt of the platform.
#[derive(Debug, Default)]
pub(super) struct Usage {
    job: Option<Job>,
    /// The newer query was refused; the older one is asked at once.
    only_older: bool,
}

/// One count on its way.
#[derive(Debug)]
struct Job {
    family: Family,
    begun: DateTime<Utc>,
    /// Where its next page is.
    next: Url,
    /// Cursors and addresses already followed.
    followed: BTreeSet<String>,
    pages: u32,
    tally: Tally,
}

/// What became of one call.
enum Step {
    /// It is not made yet.
    Wait,
    /// There is another page.
    More,
    Done,
}

/// Begins a count of `window`, or goes on with the one that is under way.
pub(super) async fn read(state: &mut Usage, api: &mut Api, window: Window, moment: Moment) -> Reading<Tally> {
    if state.job.as_ref().is_some_and(|job| window.to - job.begun > LONGEST_COUNT || job.begun > window.to) {
        state.job = None;
        return gap(
            "unfinished",
            "the platform did not finish counting within two hours; it is asked anew".to_owned(),
        );
    }
    let mut calls = 0;
    if state.job.is_none() {
        match begin(state, api, window, moment, &mut calls).await {
            Ok(job) => state.job = Some(job),
            Err(error) => return failed(&error),
        }
    }
    let (mut pause, patient_until) = (FIRST_PAUSE, Instant::now() + PATIENCE);
    while let Some(job) = &mut state.job {
        if calls == CALLS {
            break;
        }
        calls += 1;
        match go_on(job, api, moment).await {
            Ok(Step::Done) => {
                return state.job.take().map_or(Reading::NotDue, |job| Reading::Seen(job.tally));
            }
            Ok(Step::More) => {}
            Ok(Step::Wait) => {
                if Instant::now() + pause > patient_until {
                    break;
                }
                sleep(pause).await;
                pause *= 2;
            }
            Err(error) => {
                // What may pass is asked again by the next audit; anything else spoils the whole count.
                if !error.is_retryable() {
                    state.job = None;
                }
                return failed(&error);
            }
        }
    }
    info!("the platform is still counting what clients called; a later audit collects it");
    Reading::NotDue
}

async fn begin(
    state: &mut Usage,
    api: &mut Api,
    window: Window,
    moment: Moment,
    calls: &mut u32,
) -> Result<Job, Error> {
    if !state.only_older {
        *calls += 1;
        match begin_with(Family::Newer, api, window, moment).await {
            Err(error @ (Error::Forbidden { .. } | Error::NotFound { .. })) => {
                info!(reason = error.reason(), "the newer usage query is not open to the auditor: {error}");
            }
            other => return other,
        }
    }
    *calls += 1;
    let job = begin_with(Family::Older, api, window, moment).await?;
    state.only_older = true;
    Ok(job)
}

async fn begin_with(family: Family, api: &mut Api, window: Window, moment: Moment) -> Result<Job, Error> {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let interval = format!("{}/{}", at(window.from), at(window.to));
    let (endpoint, results, client) = match family {
        Family::Newer => (Endpoint::UsageJob, Endpoint::UsageJobResults, "OauthClientId"),
        Family::Older => (Endpoint::UsageQuery, Endpoint::UsageQueryResults, "OAuthClientId"),
    };
    let question: Value = json!({
        "interval": interval,
        "granularity": "Day",
        "groupBy": [client, "HttpMethod", "TemplateUri"],
    });
    let body = api.ask(endpoint, &question, moment).await?;
    let id = wire::usage_id(&body).map_err(|mismatch| invalid(endpoint, &mismatch))?;
    let mut next = api.url_of(results, &id);
    if family == Family::Newer {
        next.query_pairs_mut().append_pair("pageSize", PAGE_SIZE);
    }
    let (followed, tally) = (BTreeSet::new(), Tally::new(window));
    Ok(Job { family, begun: window.to, next, followed, pages: 0, tally })
}

/// Asks for the next page of a count.
async fn go_on(job: &mut Job, api: &mut Api, moment: Moment) -> Result<Step, Error> {
    let endpoint = match job.family {
        Family::Newer => Endpoint::UsageJobResults,
        Family::Older => Endpoint::UsageQueryResults,
    };
    let broken = |detail: String| Error::InvalidResponse { endpoint, detail };
    let body = api.get(endpoint, &job.next, moment).await?;
    let page = wire::usage_page(&body).map_err(|mismatch| invalid(endpoint, &mismatch))?;
    drop(body);
    let UsagePage { state, rows, next_uri, after } = page;
    match state {
        UsageState::Pending => return Ok(Step::Wait),
        UsageState::Failed(word) => {
            return Err(broken(format!("the platform did not count what clients called ({word})")));
        }
        UsageState::Done => {}
    }
    job.pages += 1;
    for row in &rows {
        job.tally.add(&row.client, &row.method, &row.path, &row.calls);
    }
    let Some(cursor) = next_uri.clone().or(after) else { return Ok(Step::Done) };
    if !job.followed.insert(cursor.clone()) {
        return Err(broken(format!("page {} leads back to a page already read", job.pages)));
    }
    if job.pages >= MOST_PAGES {
        return Err(broken(format!("has more than {MOST_PAGES} pages: set a shorter audit.usage_window")));
    }
    job.next = if next_uri.is_some() {
        api.follow(endpoint, &cursor)?
    } else {
        let mut url = job.next.clone();
        url.query_pairs_mut().clear().append_pair("after", &cursor);
        url
    };
    Ok(Step::More)
}

fn failed(error: &Error) -> Reading<Tally> {
    warn!(fact = Fact::Usage.as_str(), reason = error.reason(), %error, "a fact could not be read");
    gap(error.reason(), error.to_string())
}

fn gap(reason: &str, detail: String) -> Reading<Tally> {
    let reason = reason.to_owned();
    Reading::Gap(Gap { fact: Fact::Usage, subject: None, reason, detail, stale_since: None })
}
