//! The bodies of what is told of many things at once, of what goes back and forth, and of what is told without an audit.
//!
//! Enters: what `telling` decided to tell. Leaves: messages, each list cut with its total beside it. Must never: name a
//! thing that the receiver's route does not want; who calls has chosen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{ENTRIES, Letterhead, Message, MessageKind, order_of, sentence, some_of, weight};
use crate::domain::{
    Severity,
    decision::Reason,
    event::{CauseKind, Event, Subject},
    evidence::Digester,
    finding::Finding,
    telling::damping::Flap,
};

/// Things described in one message about many.
const DESCRIBED: usize = ENTRIES / 2;

/// Where something that goes back and forth stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Further changes are not told one by one.
    Began,
    /// Something about it is new.
    Changed,
    /// It goes on.
    Continues,
    /// It was calm for long.
    Settled,
}

/// A finding that is told of, with how it flaps if it does.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingNews {
    /// The finding.
    pub finding: Arc<Finding>,
    /// `phase`, `open`, `since`, `changes`.
    pub flapping: Option<Value>,
    /// Why it is told, if it is not for failing or passing for the first time.
    pub reason: Option<Reason>,
}

impl FindingNews {
    /// A finding that fails or passes for the first time.
    pub fn of(finding: &Arc<Finding>) -> Self {
        Self { finding: Arc::clone(finding), flapping: None, reason: None }
    }

    /// A finding that flaps; `open`: how it is now.
    pub fn flapping(finding: &Arc<Finding>, phase: Phase, open: bool, flap: Flap) -> Self {
        let flapping =
            json!({ "phase": phase, "open": open, "since": time(flap.since), "changes": flap.changes });
        Self { finding: Arc::clone(finding), flapping: Some(flapping), reason: None }
    }

    fn json(&self) -> Value {
        let mut value = json!(*self.finding);
        if let Some(flapping) = &self.flapping {
            value["flapping"] = flapping.clone();
        }
        value
    }
}

/// A subject of the configuration that goes back and forth.
#[derive(Clone, Debug, PartialEq)]
pub struct Flapping {
    /// Which.
    pub subject: Subject,
    /// The last change.
    pub cause: CauseKind,
    /// The event of the last change.
    pub event: String,
    /// The worst of its changes.
    pub severity: Severity,
    /// Where it stands.
    pub phase: Phase,
    /// When it was first said that it flaps.
    pub since: DateTime<Utc>,
    /// Changes since then.
    pub changes: u32,
    /// What changed lately, each with how it is now.
    pub pieces: BTreeMap<String, String>,
    /// There was more than is kept.
    pub more: bool,
}

/// Findings that opened, resolved or flap, all for one reason: each by itself, or all in one message if they are more than
/// `group_above` (0: always each by itself). `salt` tells apart messages of one kind about one finding that are made
/// between two audits; one audit makes only one of each, and needs none.
pub fn findings(
    head: &Letterhead<'_>,
    kind: MessageKind,
    findings: &[&FindingNews],
    group_above: u32,
    salt: &str,
) -> Vec<Message> {
    let reason = findings.first().and_then(|news| news.reason);
    let word = match (kind, reason) {
        (MessageKind::FindingReopened, Some(reason)) => {
            format!("due again ({})", reason.as_str().replace('_', " "))
        }
        (MessageKind::FindingResolved, Some(reason)) => reason.as_str().replace('_', " "),
        _ => kind.as_str().rsplit('.').next().unwrap_or_default().to_owned(),
    };
    let id = |key: &str| match reason {
        Some(reason) => head.id(kind, &format!("{key} {} {salt}", reason.as_str())),
        None => head.id(kind, key),
    };
    if is_few(findings.len(), group_above) {
        let alone = findings.iter().map(|news| {
            let finding = &news.finding;
            let summary = format!("{word}: {}{}", finding.title, note(news));
            let mut data = json!({ "findings": [news.json()], "total": 1 });
            add_reason(&mut data, reason);
            let key = format!("finding:{}", finding.uid);
            head.message(kind, id(&finding.uid), key, finding.severity, &summary, data)
        });
        return alone.collect();
    }
    let all = findings.iter().map(|news| news.finding.as_ref());
    let (mut data, severity) = counts(all.clone());
    data["findings"] = worst_first(findings, |news| &news.finding).iter().map(|news| news.json()).collect();
    add_reason(&mut data, reason);
    let summary = match reason {
        None => format!("{} findings {word} in one audit", findings.len()),
        Some(_) => format!("{} findings {word}", findings.len()),
    };
    let id = id(&group(all.map(|finding| finding.uid.as_str())));
    vec![head.message(kind, id, format!("findings:{}", head.org), severity, &summary, data)]
}

fn add_reason(data: &mut Value, reason: Option<Reason>) {
    if let Some(reason) = reason {
        data["reason"] = json!(reason.as_str());
    }
}

/// Critical findings that are open for long, all in one message.
pub fn reminder(head: &Letterhead<'_>, findings: &[&Finding]) -> Message {
    let kind = MessageKind::FindingReminder;
    let (mut data, severity) = counts(findings.iter().copied());
    data["findings"] = json!(worst_first(findings, |finding| finding));
    data["oldest"] = json!(findings.iter().map(|finding| finding.first_seen).min().map(time));
    let summary = match findings {
        [only] => format!("still open: {}", only.title),
        many => format!("{} critical findings are still open", many.len()),
    };
    let id = head.id(kind, &group(findings.iter().map(|finding| finding.uid.as_str())));
    head.message(kind, id, format!("findings:{}", head.org), severity, &summary, data)
}

/// Many changes of one audit: counts, and the weightiest.
pub fn drift_grouped(head: &Letterhead<'_>, events: &[&Event]) -> Message {
    let kind = MessageKind::DriftGrouped;
    let mut by_severity: BTreeMap<Severity, usize> = BTreeMap::new();
    let mut by_cause: BTreeMap<&str, usize> = BTreeMap::new();
    let mut clients = BTreeSet::new();
    for event in events {
        *by_severity.entry(event.severity).or_default() += 1;
        *by_cause.entry(event.cause.kind.as_str()).or_default() += 1;
        clients.extend(event.clients.iter().map(|client| &client.id));
    }
    let heaviest = |event: &Event| {
        event.clients.iter().flat_map(|client| client.gained.iter().map(weight)).max().unwrap_or(0)
    };
    let mut sorted: Vec<&Event> = events.to_vec();
    sorted.sort_by_cached_key(|event| {
        std::cmp::Reverse((event.severity, heaviest(event), event.clients.len()))
    });
    let severity = by_severity.keys().next_back().copied().unwrap_or(Severity::Info);
    let named: Vec<Value> = sorted.iter().take(DESCRIBED).map(|event| described(event)).collect();
    let summary = format!(
        "{} changes in one audit, the worst: {}",
        events.len(),
        sorted.first().map_or_else(String::new, |event| sentence(event))
    );
    let data = json!({
        "events": named,
        "total": events.len(),
        "by_severity": by_severity,
        "by_cause": by_cause,
        "clients_total": clients.len(),
    });
    let id = head.id(kind, &group(events.iter().map(|event| event.id.as_str())));
    head.message(kind, id.clone(), format!("drift:{id}"), severity, &summary, data)
}

/// One change among many.
fn described(event: &Event) -> Value {
    let gained = event.clients.iter().filter(|client| !client.gained.is_empty()).count();
    json!({
        "id": event.id,
        "delta": event.delta,
        "severity": event.severity,
        "kind": event.cause.kind,
        "subject": event.cause.subject,
        "summary": sentence(event),
        "clients_total": event.clients.len(),
        "clients_gained": gained,
    })
}

/// Subjects that go back and forth: each by itself, or all in one message if they are more than `group_above` (0: always
/// each by itself).
pub fn drift_flapping(head: &Letterhead<'_>, subjects: &[&Flapping], group_above: u32) -> Vec<Message> {
    let kind = MessageKind::DriftFlapping;
    let id = |list: &[&Flapping]| {
        let keys: Vec<String> =
            list.iter().map(|one| format!("{}:{}", one.subject.kind, one.subject.id)).collect();
        head.id(kind, &group(keys.iter().map(String::as_str)))
    };
    if is_few(subjects.len(), group_above) {
        let alone = subjects.iter().map(|one| {
            let Subject { kind: what, id: subject, name } = &one.subject;
            let state = match one.phase {
                Phase::Settled => "has been calm and stays as it is now".to_owned(),
                _ => format!("goes back and forth: {} changes since {}", one.changes, time(one.since)),
            };
            let summary = format!("{what} {name} {state}{}", standing(one));
            let data = json!({ "subjects": [one.json()], "total": 1 });
            head.message(kind, id(&[one]), format!("flapping:{what}:{subject}"), one.severity, &summary, data)
        });
        return alone.collect();
    }
    let mut sorted = subjects.to_vec();
    sorted.sort_by_key(|one| std::cmp::Reverse((one.severity, one.changes)));
    let severity = sorted.first().map_or(Severity::Info, |one| one.severity);
    let named: Vec<Value> = sorted.iter().take(DESCRIBED).map(|one| one.json()).collect();
    let summary = format!("{} subjects go back and forth", subjects.len());
    let data = json!({ "subjects": named, "total": subjects.len() });
    vec![head.message(kind, id(subjects), format!("flapping:{}", head.org), severity, &summary, data)]
}

impl Flapping {
    fn json(&self) -> Value {
        let pieces: BTreeMap<&String, &String> = self.pieces.iter().take(ENTRIES).collect();
        json!({
            "subject": self.subject,
            "phase": self.phase,
            "since": time(self.since),
            "changes": self.changes,
            "severity": self.severity,
            "last": { "kind": self.cause, "event": self.event },
            "now": pieces,
            "now_total": self.pieces.len(),
            "now_complete": !self.more,
        })
    }
}

/// How it stands, in a few words.
fn standing(one: &Flapping) -> String {
    let pieces: Vec<String> = one.pieces.iter().map(|(piece, state)| format!("{piece}: {state}")).collect();
    if pieces.is_empty() { String::new() } else { format!("; {}", some_of(&pieces)) }
}

fn note(news: &FindingNews) -> String {
    let Some(flapping) = &news.flapping else { return String::new() };
    let is_open = if flapping["open"] == json!(true) { "open" } else { "resolved" };
    if flapping["phase"] == json!(Phase::Settled) {
        return format!(" (it came and went, and has been {is_open} for long)");
    }
    format!(" (it comes and goes, {} changes; now {is_open})", flapping["changes"])
}

fn is_few(count: usize, group_above: u32) -> bool {
    group_above == 0 || u32::try_from(count).is_ok_and(|count| count <= group_above)
}

/// How many of each severity and check; the worst severity.
fn counts<'a>(findings: impl Iterator<Item = &'a Finding>) -> (Value, Severity) {
    let mut by_severity: BTreeMap<Severity, usize> = BTreeMap::new();
    let mut by_check: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        *by_severity.entry(finding.severity).or_default() += 1;
        *by_check.entry(&finding.check).or_default() += 1;
    }
    let total: usize = by_severity.values().sum();
    let worst = by_severity.keys().next_back().copied().unwrap_or(Severity::Info);
    (json!({ "total": total, "by_severity": by_severity, "by_check": by_check }), worst)
}

fn worst_first<'a, T>(findings: &[&'a T], finding: impl Fn(&T) -> &Finding) -> Vec<&'a T> {
    let mut sorted = findings.to_vec();
    sorted.sort_by(|one, other| {
        let (one, other) = (finding(one), finding(other));
        other.severity.cmp(&one.severity).then_with(|| one.uid.cmp(&other.uid))
    });
    sorted.truncate(DESCRIBED);
    sorted
}

/// What makes a message about these things another one than a message about others.
fn group<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut sorted: Vec<&str> = ids.into_iter().collect();
    sorted.sort_unstable();
    let mut digester = Digester::default();
    for id in sorted {
        digester.part(id.as_bytes());
    }
    format!("group:{}", digester.finish())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What is known of the audits of one organisation, for those who ask whether the daemon lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The organisation's configured name.
    pub org: String,
    /// When the last complete audit was recorded.
    pub complete: Option<DateTime<Utc>>,
    /// When the last audit was recorded, complete or not.
    pub recorded: Option<DateTime<Utc>>,
    /// The last attempt failed.
    pub failing: bool,
}

/// No audit was complete for too long. `due`: how many should have been; `detail`: what is known of why.
pub fn overdue(head: &Letterhead<'_>, last: Option<DateTime<Utc>>, due: usize, detail: &str) -> Message {
    let kind = MessageKind::AuditFailed;
    let since = last
        .map_or_else(|| "there never was one".to_owned(), |at| format!("the last one was at {}", time(at)));
    let summary = format!("no audit was complete for {due} intervals, {since}: {detail}");
    let data = json!({
        "reason": "overdue",
        "detail": detail,
        "last_complete": last.map(time),
        "intervals": due,
    });
    let key = format!("overdue:{}", time(head.at));
    head.message(kind, head.id(kind, &key), order_of(head), Severity::High, &summary, data)
}

/// The daemon lives. It tells of no audit of its own, so it has neither an audit's id nor a chain head.
pub fn heartbeat(pulses: &[&Pulse], link: &str, at: DateTime<Utc>) -> Message {
    let kind = MessageKind::Heartbeat;
    let orgs: Vec<Value> = pulses
        .iter()
        .map(|pulse| {
            json!({
                "org": pulse.org,
                "last_complete": pulse.complete.map(time),
                "last_recorded": pulse.recorded.map(time),
                "failing": pulse.failing,
            })
        })
        .collect();
    let failing = pulses.iter().filter(|pulse| pulse.failing).count();
    let summary = match failing {
        0 => format!("scopewarden runs; {} organisations are audited", pulses.len()),
        _ => format!("scopewarden runs; audits of {failing} of {} organisations fail", pulses.len()),
    };
    let names = pulses.iter().map(|pulse| pulse.org.as_str());
    let data = json!({ "orgs": orgs, "severity": Severity::Info, "summary": summary, "link": link });
    alone(kind, &[&time(at), &group(names)], Severity::Info, "heartbeat", at, &data)
}

/// What was given up for one receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// The receiver's configured name.
    pub receiver: String,
    /// How many of each type of message.
    pub by_type: BTreeMap<String, u64>,
    /// How many for each reason.
    pub by_reason: BTreeMap<String, u64>,
    /// The worst of them.
    pub severity: Option<Severity>,
    /// Ids of the latest, at most 20.
    pub ids: Vec<String>,
    /// Since when they are counted: what was given up before was told. `None`: nothing was.
    pub since: Option<DateTime<Utc>>,
}

/// Messages for another receiver were given up. It tells of no organisation: whoever hears it may not be the one who may
/// know of theirs.
pub fn delivery_dead(dead: &Dead, link: &str, at: DateTime<Utc>) -> Message {
    let total: u64 = dead.by_type.values().sum();
    let reasons: Vec<String> = dead.by_reason.keys().cloned().collect();
    let summary = format!(
        "{total} alerts for receiver {} were given up ({}); look with `scopewarden outbox list --state dead`",
        dead.receiver,
        some_of(&reasons)
    );
    let data = json!({
        "receiver": dead.receiver,
        "total": total,
        "by_type": dead.by_type,
        "by_reason": dead.by_reason,
        "worst": dead.severity,
        "ids": dead.ids,
        "since": dead.since.map(time),
        "severity": Severity::High,
        "summary": summary,
        "link": link,
    });
    let order = format!("dead:{}", dead.receiver);
    alone(MessageKind::DeliveryDead, &[&dead.receiver, &time(at)], Severity::High, &order, at, &data)
}

/// A message that belongs to no audit.
fn alone(
    kind: MessageKind,
    parts: &[&str],
    severity: Severity,
    order_key: &str,
    at: DateTime<Utc>,
    data: &Value,
) -> Message {
    let mut digester = Digester::default();
    for part in std::iter::once(&kind.as_str()).chain(parts) {
        digester.part(part.as_bytes());
    }
    let body = json!({ "type": kind.as_str(), "timestamp": time(at), "data": data });
    Message {
        id: format!("msg-{}", &digester.finish().to_string()[..24]),
        kind,
        severity,
        order_key: order_key.to_owned(),
        body: body.to_string(),
    }
}
