//! The exact texts that are stored and that hashes rest on.
//!
//! Enters: findings, events, gaps. Leaves: their JSON and the digest over it, the same for `audit`, which makes a
//! record, and for `verify`, which checks it. Must never: write one value in two ways.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::Problem;
use crate::domain::{
    Gap, Severity,
    event::Event,
    evidence::{self, Hash},
    finding::{ClientRef, Finding, Status},
};

/// A finding without what changes while it stays the same: when it was last seen, and whether it is muted.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    org: Cow<'a, str>,
    #[serde(borrow)]
    check: Cow<'a, str>,
    status: Status,
    severity: Severity,
    client: Cow<'a, ClientRef>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    evidence: Cow<'a, str>,
    #[serde(borrow)]
    remediation: Cow<'a, str>,
    first_seen: DateTime<Utc>,
}

/// The stored text of one version of a finding: everything but `last_seen` and `muted`.
///
/// # Panics
/// Never: every part of a finding has a JSON form.
pub fn finding_body(finding: &Finding) -> String {
    let body = Body {
        uid: Cow::Borrowed(&finding.uid),
        org: Cow::Borrowed(&finding.org),
        check: Cow::Borrowed(&finding.check),
        status: finding.status,
        severity: finding.severity,
        client: Cow::Borrowed(&finding.client),
        key: Cow::Borrowed(&finding.key),
        title: Cow::Borrowed(&finding.title),
        evidence: Cow::Borrowed(&finding.evidence),
        remediation: Cow::Borrowed(&finding.remediation),
        first_seen: finding.first_seen,
    };
    // Room for nearly every one of them, so that the text is not copied again and again while it grows.
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, &body).expect("a finding has a JSON form");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Reads what [`finding_body`] wrote; `last_seen` is when an audit of its organisation last recorded.
pub(super) fn finding(body: &str, last_seen: DateTime<Utc>) -> Result<Finding, Problem> {
    let body: Body<'_> = serde_json::from_str(body).map_err(|error| Problem::unreadable("finding", error))?;
    Ok(Finding {
        uid: body.uid.into_owned(),
        org: body.org.into_owned(),
        check: body.check.into_owned(),
        status: body.status,
        severity: body.severity,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client: body.client.into_owned(),
        key: body.key.into_owned(),
        title: body.title.into_owned(),
        evidence: body.evidence.into_owned(),
        remediation: body.remediation.into_owned(),
        first_seen: body.first_seen,
        last_seen,
    })
}

/// The stored text of an audit's gaps, which the chain binds.
///
/// # Panics
/// Never: every gap has a JSON form.
pub fn gaps_body(gaps: &[Gap]) -> String {
    serde_json::to_string(gaps).expect("a gap has a JSON form")
}

/// The digest of what an audit records beside the configuration; `updated` findings begin a new version too.
pub fn recorded_digest(
    events: &[Event],
    opened: &[Arc<Finding>],
    updated: &[Arc<Finding>],
    closed: &[Arc<Finding>],
) -> Hash {
    let mut events: Vec<String> = events.iter().map(Event::pack).collect();
    events.sort_unstable();
    // A body begins with its uid, so this is the order of the bodies, of which only one is held at a time.
    let mut begun: Vec<&Arc<Finding>> = opened.iter().chain(updated).collect();
    begun.sort_by(|one, other| one.uid.cmp(&other.uid));
    let mut ended: Vec<&str> = closed.iter().map(|finding| finding.uid.as_str()).collect();
    ended.sort_unstable();
    evidence::recorded_in_order(&events, begun.into_iter().map(|finding| finding_body(finding)), &ended)
}
