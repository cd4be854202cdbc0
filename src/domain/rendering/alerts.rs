//! What stands now, as alerts of an Alertmanager.
//!
//! Enters: what is open and what ended lately, of each organisation, and `now`. Leaves: alerts. Must never: put what
//! may change (a title, a name, a reason) into a label. The labels are an alert's identity, and with another label it
//! is another alert.
//!
//! | `alertname` | Fires | Ends |
//! |---|---|---|
//! | `ScopewardenFinding` | while somebody has to act on a finding | when an audit saw that it is over |
//! | `ScopewardenOrgNotAudited` | while audits of an organisation fail | when one is recorded |
//! | `ScopewardenDrift` | for an hour after a change was seen, unless it is approved | by itself: a change does not end |
//! | `ScopewardenAlertsLeftOut` | while there are more alerts than are sent | when there are not |

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Serialize, Serializer};

use super::clip;
use crate::domain::{
    ClientId, Severity,
    event::Event,
    finding::Finding,
    message::{self, MessageKind},
    route::{Concern, Route},
};

/// How long a firing alert lasts unless it is told again, which is done every minute.
pub const LIFE: TimeDelta = TimeDelta::minutes(4);
/// How long an ended alert is told of.
pub const AFTERLIFE: TimeDelta = TimeDelta::minutes(15);
/// How long a change is an alert.
pub const CHANGE_LIFE: TimeDelta = TimeDelta::hours(1);
/// The most alerts that are told of, firing and ended each.
pub const MOST: usize = 2_000;
/// Characters of an annotation.
const ANNOTATION_CHARS: usize = 1_000;

/// What stands in one organisation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Its configured name.
    pub org: String,
    /// Who answers for each client, by its contract; may be left empty for a receiver that does not choose by owner.
    pub owners: BTreeMap<ClientId, BTreeSet<String>>,
    /// Every open finding.
    pub open: Vec<Finding>,
    /// Versions of findings that ended lately, and when; the newest first.
    pub ended: Vec<(Finding, DateTime<Utc>)>,
    /// Its audits fail.
    pub failing: Option<Failing>,
    /// From when to when they failed, if that ended lately.
    pub recovered: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// What changed lately and is not approved, and when that was seen; the newest first.
    pub changes: Vec<(DateTime<Utc>, Event)>,
}

/// Audits fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The first that did.
    pub since: DateTime<Utc>,
    /// The latest reason, a bounded word.
    pub reason: String,
    /// The latest reason as a sentence.
    pub detail: String,
}

/// One alert, in the shape of Alertmanager's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// What it is.
    pub labels: BTreeMap<&'static str, String>,
    /// What is said of it.
    pub annotations: BTreeMap<&'static str, String>,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    pub starts_at: DateTime<Utc>,
    /// Until when: in the past if it is over.
    #[serde(serialize_with = "rfc3339")]
    pub ends_at: DateTime<Utc>,
    /// Where people read more.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
}

fn rfc3339<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// What a receiver is told, the worst first, what is over last. `route` says what it wants to hear of; that audits fail
/// is told of every organisation that it hears of.
pub fn alerts(standings: &[Standing], route: &Route, link: &str, now: DateTime<Utc>) -> Vec<Alert> {
    let mut firing: Vec<(Severity, Alert)> = Vec::new();
    let mut ended: Vec<Alert> = Vec::new();
    for standing in standings.iter().filter(|standing| route.hears_of(&standing.org)) {
        let wants = |one: &Finding| {
            let owners = owned_by(standing, [&one.client.id]);
            let (org, check) = (Some(standing.org.as_str()), Some(one.check.as_str()));
            let concern = Concern { org, severity: one.severity, check, owners: &owners };
            one.is_due() && route.wants(MessageKind::FindingOpened, &concern)
        };
        let wants_change = |event: &Event| {
            let owners = owned_by(standing, concerned(event).iter());
            let concern =
                Concern { org: Some(&standing.org), severity: event.severity, check: None, owners: &owners };
            route.wants(MessageKind::DriftDetected, &concern)
        };
        let due = standing.open.iter().filter(|finding| wants(finding));
        firing.extend(due.map(|one| (one.severity, finding(one, now + LIFE, link))));
        for (one, at) in standing.ended.iter().filter(|(one, _)| wants(one)) {
            ended.push(finding(one, *at, link));
        }
        if let Some(reason) = &standing.failing {
            firing.push((Severity::High, failing(&standing.org, reason, link, now)));
        }
        for (since, until) in &standing.recovered {
            ended.push(recovered(&standing.org, *since, *until, link));
        }
        for (at, event) in standing.changes.iter().filter(|(_, event)| wants_change(event)) {
            let alert = change(event, *at, link);
            if alert.ends_at > now { firing.push((event.severity, alert)) } else { ended.push(alert) }
        }
    }
    firing.sort_by(|(one, a), (other, b)| other.cmp(one).then_with(|| a.labels.cmp(&b.labels)));
    let left_out = firing.split_off(firing.len().min(MOST));
    let mut alerts: Vec<Alert> = firing.into_iter().map(|(_, alert)| alert).collect();
    if !left_out.is_empty() {
        alerts.insert(0, told_of_in_part(left_out.len(), link, now));
    }
    // What fires again is not over, and of two ends of one alert the newer one counts.
    let mut told: BTreeSet<BTreeMap<&'static str, String>> =
        alerts.iter().map(|alert| alert.labels.clone()).collect();
    told.extend(left_out.into_iter().map(|(_, alert)| alert.labels));
    ended.sort_by_key(|alert| std::cmp::Reverse(alert.ends_at));
    ended.retain(|alert| told.insert(alert.labels.clone()));
    ended.truncate(MOST);
    alerts.extend(ended);
    alerts
}

/// The clients that a change concerns: who gained or lost, and the one that changed itself.
fn concerned(event: &Event) -> Vec<ClientId> {
    let subject = &event.cause.subject;
    let itself =
        matches!(subject.kind.as_str(), "client" | "contract").then(|| ClientId::from(subject.id.clone()));
    event.clients.iter().map(|client| client.id.clone()).chain(itself).collect()
}

fn owned_by<'a>(standing: &Standing, clients: impl IntoIterator<Item = &'a ClientId>) -> BTreeSet<String> {
    clients.into_iter().filter_map(|client| standing.owners.get(client)).flatten().cloned().collect()
}

/// An alert that somebody asked for, to see whether they arrive. It ends by itself.
pub fn test(receiver: &str, number: &str, link: &str, now: DateTime<Utc>) -> Alert {
    let summary = format!("a test by `scopewarden doctor --send-test`: receiver {receiver} is reached");
    Alert {
        labels: labels("ScopewardenTest", Severity::Info, [("test", number.to_owned())]),
        annotations: BTreeMap::from([("summary", summary)]),
        starts_at: now,
        ends_at: now + LIFE,
        generator_url: link.to_owned(),
    }
}

fn finding(finding: &Finding, ends_at: DateTime<Utc>, link: &str) -> Alert {
    let annotations = [
        ("summary", finding.title.as_str()),
        ("description", finding.evidence.as_str()),
        ("remediation", finding.remediation.as_str()),
        ("client", finding.client.name.as_str()),
    ];
    let identity = [
        ("org", finding.org.clone()),
        ("check", finding.check.clone()),
        ("client_id", finding.client.id.to_string()),
        ("uid", finding.uid.clone()),
    ];
    Alert {
        labels: labels("ScopewardenFinding", finding.severity, identity),
        annotations: annotated(annotations),
        // An alert that ends before it begins is refused.
        starts_at: finding.first_seen.min(ends_at),
        ends_at,
        generator_url: link.to_owned(),
    }
}

fn failing(org: &str, failing: &Failing, link: &str, now: DateTime<Utc>) -> Alert {
    let summary = format!("audits of {org} fail ({}): {}", failing.reason, failing.detail);
    let advice = "run `scopewarden doctor` where the daemon runs";
    Alert {
        labels: labels("ScopewardenOrgNotAudited", Severity::High, [("org", org.to_owned())]),
        annotations: annotated([("summary", &summary), ("remediation", advice)]),
        starts_at: failing.since.min(now),
        ends_at: now + LIFE,
        generator_url: link.to_owned(),
    }
}

fn recovered(org: &str, since: DateTime<Utc>, until: DateTime<Utc>, link: &str) -> Alert {
    Alert {
        labels: labels("ScopewardenOrgNotAudited", Severity::High, [("org", org.to_owned())]),
        annotations: annotated([("summary", &format!("audits of {org} are recorded again"))]),
        starts_at: since.min(until),
        ends_at: until,
        generator_url: link.to_owned(),
    }
}

fn change(event: &Event, at: DateTime<Utc>, link: &str) -> Alert {
    let identity = [
        ("org", event.org.clone()),
        ("cause", event.cause.kind.as_str().to_owned()),
        ("event", event.id.clone()),
    ];
    Alert {
        labels: labels("ScopewardenDrift", event.severity, identity),
        annotations: annotated([("summary", &message::sentence(event))]),
        starts_at: at,
        ends_at: at + CHANGE_LIFE,
        generator_url: link.to_owned(),
    }
}

fn told_of_in_part(left_out: usize, link: &str, now: DateTime<Utc>) -> Alert {
    let summary =
        format!("{left_out} more alerts are open than the {MOST} that are sent; the worst ones are sent");
    Alert {
        labels: labels("ScopewardenAlertsLeftOut", Severity::High, []),
        annotations: annotated([("summary", &summary)]),
        starts_at: now,
        ends_at: now + LIFE,
        generator_url: link.to_owned(),
    }
}

fn labels<const N: usize>(
    name: &str,
    severity: Severity,
    identity: [(&'static str, String); N],
) -> BTreeMap<&'static str, String> {
    let common = [("alertname", name.to_owned()), ("severity", severity.as_str().to_owned())];
    common.into_iter().chain(identity).filter(|(_, value)| !value.is_empty()).collect()
}

fn annotated<const N: usize>(annotations: [(&'static str, &str); N]) -> BTreeMap<&'static str, String> {
    let told = annotations.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| (name, clip(text, ANNOTATION_CHARS))).collect()
}
