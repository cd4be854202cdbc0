//! The page at `/`: organisations, what failed, open findings, recent changes.
//!
//! Enters: what the store recorded. Leaves: HTML, filled from `pages/dashboard.html`, which escapes every value.
//! Must never: show more rows than its limits, or a gap as if nothing were wrong.

use askama::Template;
use axum::{
    extract::{RawQuery, State as From},
    response::{Html, IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use url::form_urlencoded;

use super::{OrgLine, State, api::weight, error::Error, query::Query, words::Moment};
use crate::{
    domain::{
        Gap, Severity,
        decision::Kind,
        event::Event,
        finding::{Finding, Status},
        message,
    },
    store::{AuditRow, FailureRow},
};

/// Findings listed, the worst first.
const FINDINGS: usize = 200;

/// Drift events listed, the newest first.
const EVENTS: u32 = 20;

pub(super) async fn page(From(state): From<State>, RawQuery(query): RawQuery) -> Response {
    answer(&state, query.as_deref()).await.unwrap_or_else(Error::in_words)
}

async fn answer(state: &State, query: Option<&str>) -> Result<Response, Error> {
    let query = Query::read(query, &["org"])?;
    let page = Page::read(state, query.org(&state.orgs)?).await?;
    let html = page.render().map_err(|error| Error::Unwritable(error.to_string()))?;
    Ok(Html(html).into_response())
}

/// Open findings in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) critical: u64,
    pub(super) high: u64,
    pub(super) medium: u64,
    pub(super) low: u64,
    pub(super) info: u64,
    /// Could not be answered, of any severity; in none of the numbers above.
    pub(super) unknown: u64,
    /// Muted by a person, of any severity; in none of the numbers above.
    pub(super) muted: u64,
    /// Approved and not muted, of any severity; in none of the numbers above.
    pub(super) approved: u64,
    /// Somebody works on them; they are counted above too, if they are due.
    pub(super) acknowledged: u64,
}

impl Tally {
    pub(super) fn of<'a>(findings: impl Iterator<Item = &'a Finding>) -> Self {
        let mut tally = Self::default();
        for finding in findings {
            tally.acknowledged += u64::from(finding.marks.acknowledged);
            *match (finding.muted, finding.status, finding.severity) {
                (true, ..) => &mut tally.muted,
                _ if finding.marks.approved => &mut tally.approved,
                (_, Status::Unknown, _) => &mut tally.unknown,
                (.., Severity::Critical) => &mut tally.critical,
                (.., Severity::High) => &mut tally.high,
                (.., Severity::Medium) => &mut tally.medium,
                (.., Severity::Low) => &mut tally.low,
                (.., Severity::Info) => &mut tally.info,
            } += 1;
        }
        tally
    }

    /// The numbers that are not 0, each with its word, the worst first.
    fn parts(self) -> Vec<(u64, &'static str)> {
        let all = [
            (self.critical, "critical"),
            (self.high, "high"),
            (self.medium, "medium"),
            (self.low, "low"),
            (self.info, "info"),
            (self.unknown, "unknown"),
        ];
        all.into_iter().filter(|(number, _)| *number > 0).collect()
    }
}

#[derive(Template)]
#[template(path = "dashboard.html", config = "src/web/askama.toml")]
struct Page<'a> {
    version: &'static str,
    drawn: Moment,
    /// The organisation that everything below is about; `None`: all.
    only: Option<&'a str>,
    /// `?org=…` for links, or nothing.
    filter: String,
    choices: Vec<Choice<'a>>,
    orgs: Vec<OrgRow<'a>>,
    /// More than one organisation is shown, so each row says which it is of.
    many: bool,
    /// At least one of them was audited, so no finding means none.
    audited: bool,
    failures: Vec<FailedRow>,
    tally: Vec<(u64, &'static str)>,
    /// Those that nobody has to act on, and those that somebody acts on.
    decided: Vec<(u64, &'static str)>,
    open: usize,
    findings: Vec<FindingRow>,
    events: Vec<EventRow>,
}

/// A link that filters by organisation.
struct Choice<'a> {
    name: &'a str,
    href: String,
    chosen: bool,
}

struct OrgRow<'a> {
    name: &'a str,
    region: &'a str,
    /// `None`: not audited yet.
    last: Option<LastAudit>,
    failing: bool,
    tally: Vec<(u64, &'static str)>,
}

struct LastAudit {
    at: Moment,
    overdue: bool,
    complete: bool,
    gaps: Vec<GapLine>,
    clients: u32,
    roles: u32,
}

struct GapLine {
    what: String,
    detail: String,
    stale_since: Option<Moment>,
}

struct FailedRow {
    org: String,
    at: Moment,
    reason: String,
    detail: String,
    /// No audit was recorded since.
    lasting: bool,
}

struct FindingRow {
    finding: Finding,
    first_seen: Moment,
}

impl FindingRow {
    /// What was decided about it, each in one word and in a sentence.
    fn decisions(&self) -> Vec<(&'static str, String)> {
        let word = |kind| match kind {
            Kind::Acknowledge => "acknowledged",
            Kind::Mute | Kind::Baseline => "muted",
            Kind::Approve => "approved",
        };
        self.finding.marks.decisions.iter().map(|mark| (word(mark.kind), mark.words())).collect()
    }

    fn is_unknown(&self) -> bool {
        self.finding.status == Status::Unknown
    }
}

struct EventRow {
    org: String,
    severity: Severity,
    sentence: String,
    at: Moment,
}

impl<'a> Page<'a> {
    async fn read(state: &'a State, only: Option<&'a str>) -> Result<Self, Error> {
        let now = (state.now)();
        let mut findings = state.store.findings(only).await?;
        // What an organisation that is no longer configured left behind stays in the record, not on the page.
        findings.retain(|finding| state.orgs.iter().any(|org| org.name == finding.org));
        let (mut orgs, mut failures) = (Vec::new(), Vec::new());
        for org in state.orgs.iter().filter(|org| only.is_none_or(|only| org.name == only)) {
            let last = state.store.audits(Some(&org.name), 1).await?.pop();
            let failure = state.store.failures(Some(&org.name), 1).await?.pop();
            let lasting =
                failure.as_ref().is_some_and(|failure| last.as_ref().is_none_or(|last| failure.at > last.at));
            let tally = Tally::of(findings.iter().filter(|finding| finding.org == org.name)).parts();
            orgs.push(OrgRow::of(org, last, lasting, tally, state, now));
            failures.extend(failure.map(|failure| (failure.at, FailedRow::of(failure, lasting, now))));
        }
        failures.sort_by_key(|(at, _)| std::cmp::Reverse(*at));

        let tally = Tally::of(findings.iter());
        // What nobody has to act on comes last.
        findings.sort_by(|one, other| {
            let silenced = |finding: &Finding| finding.muted || finding.marks.approved;
            silenced(one).cmp(&silenced(other)).then_with(|| weight(one).cmp(&weight(other)))
        });
        let open = findings.len();
        findings.truncate(FINDINGS);
        let events = state.store.events(only, None, None, EVENTS).await?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            drawn: Moment::seen_from(now, now),
            only,
            filter: only.map_or_else(String::new, filter),
            choices: choices(&state.orgs, only),
            many: orgs.len() > 1,
            audited: orgs.iter().any(|org| org.last.is_some()),
            orgs,
            failures: failures.into_iter().map(|(_, row)| row).collect(),
            tally: tally.parts(),
            decided: [
                (tally.muted, "muted"),
                (tally.approved, "approved"),
                (tally.acknowledged, "acknowledged"),
            ]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .collect(),
            open,
            findings: findings.into_iter().map(|finding| FindingRow::of(finding, now)).collect(),
            events: events.iter().map(|(_, at, event)| EventRow::of(event, *at, now)).collect(),
        })
    }
}

impl<'a> OrgRow<'a> {
    fn of(
        org: &'a OrgLine,
        last: Option<AuditRow>,
        failing: bool,
        tally: Vec<(u64, &'static str)>,
        state: &State,
        now: DateTime<Utc>,
    ) -> Self {
        let last = last.map(|audit| LastAudit {
            at: Moment::seen_from(now, audit.at),
            overdue: now - audit.at > state.stale_after,
            complete: audit.complete,
            gaps: audit.gaps.iter().map(|gap| GapLine::of(gap, now)).collect(),
            clients: audit.clients,
            roles: audit.roles,
        });
        Self { name: &org.name, region: &org.region, last, failing, tally }
    }
}

impl GapLine {
    fn of(gap: &Gap, now: DateTime<Utc>) -> Self {
        let fact = gap.fact.as_str().replace('_', " ");
        Self {
            what: match &gap.subject {
                Some(subject) => format!("{fact} of {subject}"),
                None => fact,
            },
            detail: gap.detail.clone(),
            stale_since: gap.stale_since.map(|since| Moment::seen_from(now, since)),
        }
    }
}

impl FailedRow {
    fn of(failure: FailureRow, lasting: bool, now: DateTime<Utc>) -> Self {
        Self {
            org: failure.org,
            at: Moment::seen_from(now, failure.at),
            reason: failure.reason,
            detail: failure.detail,
            lasting,
        }
    }
}

impl FindingRow {
    fn of(finding: Finding, now: DateTime<Utc>) -> Self {
        Self { first_seen: Moment::seen_from(now, finding.first_seen), finding }
    }
}

impl EventRow {
    fn of(event: &Event, at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            org: event.org.clone(),
            severity: event.severity,
            sentence: message::sentence(event),
            at: Moment::seen_from(now, at),
        }
    }
}

/// Nothing to choose from if there is one organisation.
fn choices<'a>(orgs: &'a [OrgLine], only: Option<&str>) -> Vec<Choice<'a>> {
    if orgs.len() < 2 {
        return Vec::new();
    }
    let all = Choice { name: "All organisations", href: "./".to_owned(), chosen: only.is_none() };
    let each = orgs.iter().map(|org| Choice {
        name: &org.name,
        href: format!("./{}", filter(&org.name)),
        chosen: only == Some(&org.name),
    });
    std::iter::once(all).chain(each).collect()
}

fn filter(org: &str) -> String {
    format!("?{}", form_urlencoded::Serializer::new(String::new()).append_pair("org", org).finish())
}
