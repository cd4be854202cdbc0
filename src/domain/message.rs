//! What leaves for the receivers: the body of each outgoing event, rendered once.
//!
//! Enters: what an audit found. Leaves: messages with fixed bytes, so that every attempt sends the same.
//! Must never: hold a secret, or grow without bound. Long lists are cut, the weightiest entries first, and the
//! totals say what was left out.

pub mod news;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    Gap, Severity,
    attribution::{Attribution, Question},
    event::{Affected, CauseKind, Event, Gain},
    evidence::{Digester, Hash},
    finding::Finding,
    privilege,
};

/// Clients named in one message.
const CLIENTS: usize = 40;
/// Gains and losses named in one message, over all its clients.
const GAINS: usize = 80;
/// Entries of any other list.
const ENTRIES: usize = 40;

/// The type of an outgoing event. The names are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// The configuration changed.
    DriftDetected,
    /// Who made a change that was told already.
    DriftAttributed,
    /// Many subjects changed at once.
    DriftGrouped,
    /// A subject goes back and forth.
    DriftFlapping,
    /// A check failed that did not before.
    FindingOpened,
    /// A finding is due again: it failed before, or what silenced it ended.
    FindingReopened,
    /// A check that failed passes now, or somebody decided that it need not.
    FindingResolved,
    /// A finding comes and goes. It counts as open until it is told as resolved.
    FindingFlapping,
    /// Findings are open for long.
    FindingReminder,
    /// An audit recorded nothing, or none was complete for too long.
    AuditFailed,
    /// Audits record again.
    AuditRecovered,
    /// The first audit of an organisation.
    BaselineRecorded,
    /// Messages for another receiver were given up.
    DeliveryDead,
    /// The daemon lives.
    Heartbeat,
    /// Somebody asked whether the receiver is reached (`doctor --send-test`). It tells of no organisation.
    Test,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::DriftDetected,
        Self::DriftAttributed,
        Self::DriftGrouped,
        Self::DriftFlapping,
        Self::FindingOpened,
        Self::FindingReopened,
        Self::FindingResolved,
        Self::FindingFlapping,
        Self::FindingReminder,
        Self::AuditFailed,
        Self::AuditRecovered,
        Self::BaselineRecorded,
        Self::DeliveryDead,
        Self::Heartbeat,
        Self::Test,
    ];

    /// The `type` on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DriftDetected => "drift.detected",
            Self::DriftAttributed => "drift.attributed",
            Self::DriftGrouped => "drift.grouped",
            Self::DriftFlapping => "drift.flapping",
            Self::FindingOpened => "finding.opened",
            Self::FindingReopened => "finding.reopened",
            Self::FindingResolved => "finding.resolved",
            Self::FindingFlapping => "finding.flapping",
            Self::FindingReminder => "finding.reminder",
            Self::AuditFailed => "audit.failed",
            Self::AuditRecovered => "audit.recovered",
            Self::BaselineRecorded => "baseline.recorded",
            Self::DeliveryDead => "delivery.dead",
            Self::Heartbeat => "heartbeat",
            Self::Test => "test",
        }
    }
}

/// One outgoing event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Constant over all attempts and receivers; becomes `webhook-id`. Holds no dot.
    pub id: String,
    /// Its type.
    pub kind: MessageKind,
    /// How bad.
    pub severity: Severity,
    /// Messages with one order key reach a receiver in the order they were made.
    pub order_key: String,
    /// The JSON body, byte for byte.
    pub body: String,
}

/// What every message of one audit has in common.
#[derive(Clone, Copy, Debug)]
pub struct Letterhead<'a> {
    /// The organisation's configured name.
    pub org: &'a str,
    /// The audit's id.
    pub audit: &'a str,
    /// The chain hash of the audit (for a failed one: of the last that was recorded).
    pub chain_head: Hash,
    /// When it was recorded, or failed.
    pub at: DateTime<Utc>,
    /// Where people read more.
    pub link: &'a str,
}

impl Letterhead<'_> {
    fn message(
        &self,
        kind: MessageKind,
        id: String,
        order_key: String,
        severity: Severity,
        summary: &str,
        mut data: Value,
    ) -> Message {
        data["org"] = json!(self.org);
        data["audit"] = json!(self.audit);
        data["chain_head"] = json!(self.chain_head);
        data["severity"] = json!(severity);
        data["summary"] = json!(summary);
        data["link"] = json!(self.link);
        let body = json!({
            "type": kind.as_str(),
            "timestamp": self.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "data": data,
        });
        Message { id, kind, severity, order_key, body: body.to_string() }
    }

    fn id(&self, kind: MessageKind, key: &str) -> String {
        let mut digester = Digester::default();
        for part in [self.org, self.audit, kind.as_str(), key] {
            digester.part(part.as_bytes());
        }
        format!("msg-{}", &digester.finish().to_string()[..24])
    }
}

/// One change. Its `webhook-id` is the event's id.
pub fn drift(head: &Letterhead<'_>, event: &Event) -> Message {
    let mut cause = json!(event.cause);
    let mut left_out = BTreeMap::new();
    cut(&mut cause, "cause", &mut left_out);
    // What a cause had cut itself it counted first.
    for (path, length) in &mut left_out {
        let list = path.rsplit('.').next().map_or("", |name| if name == "facts" { "changed" } else { name });
        if let Some(count) = event.cause.details.get("counts").and_then(|counts| counts[list].as_u64()) {
            *length = (*length).max(usize::try_from(count).unwrap_or(usize::MAX));
        }
    }
    let mut room = GAINS;
    let mut clients: Vec<&Affected> = event.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse(client.gained.iter().map(weight).max()));
    let named: Vec<Value> = clients
        .iter()
        .take(CLIENTS)
        .map(|client| {
            json!({
                "id": client.id,
                "name": client.name,
                "gained": weightiest(&client.gained, &mut room),
                "gained_total": client.gained.len(),
                "lost": weightiest(&client.lost, &mut room),
                "lost_total": client.lost.len(),
            })
        })
        .collect();
    let mut data = json!({
        "id": event.id,
        "delta": event.delta,
        "cause": cause,
        "clients": named,
        "clients_total": event.clients.len(),
    });
    if let Some(actor) = &event.actor {
        data["actor"] = json!(actor);
    }
    if !left_out.is_empty() {
        data["totals"] = json!(left_out);
    }
    let order_key = format!("drift:{}", event.id);
    let summary = sentence(event);
    head.message(MessageKind::DriftDetected, event.id.clone(), order_key, event.severity, &summary, data)
}

/// Who made a change, learnt after it was told. It names the first message by its `id`, and is ordered behind it.
pub fn attributed(head: &Letterhead<'_>, question: &Question, actor: &Attribution) -> Message {
    let kind = MessageKind::DriftAttributed;
    let summary = format!("{}{}", question.summary, actor.words());
    let data = json!({
        "id": question.event,
        "delta": question.delta,
        "cause": { "kind": question.kind, "subject": question.subject },
        "actor": actor,
    });
    let order_key = format!("drift:{}", question.event);
    head.message(kind, head.id(kind, &question.event), order_key, question.severity, &summary, data)
}

/// The first audit of an organisation: what is there, in counts. Everything later is told as a change of it.
pub fn baseline<'a>(
    head: &Letterhead<'_>,
    clients: usize,
    roles: usize,
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Message {
    let mut by_severity: BTreeMap<Severity, usize> = BTreeMap::new();
    for finding in findings {
        *by_severity.entry(finding.severity).or_default() += 1;
    }
    let total: usize = by_severity.values().sum();
    let worst = by_severity.keys().next_back().copied().unwrap_or(Severity::Info);
    let summary = format!("first audit: {clients} OAuth clients, {roles} roles, {total} findings");
    let data = json!({
        "clients_total": clients,
        "roles_total": roles,
        "findings_total": total,
        "by_severity": by_severity,
    });
    let kind = MessageKind::BaselineRecorded;
    head.message(kind, head.id(kind, ""), order_of(head), worst, &summary, data)
}

/// Audits began to fail. `reason` is the bounded word, `detail` the sentence for a person.
pub fn failed(head: &Letterhead<'_>, reason: &str, detail: &str) -> Message {
    let kind = MessageKind::AuditFailed;
    let summary = format!("the audit failed ({reason}): {detail}");
    let data = json!({ "reason": reason, "detail": detail });
    head.message(kind, head.id(kind, reason), order_of(head), Severity::High, &summary, data)
}

/// Audits are recorded again; complete ones, without `gaps`.
pub fn recovered(head: &Letterhead<'_>, gaps: &[Gap]) -> Message {
    let kind = MessageKind::AuditRecovered;
    let facts: BTreeSet<&str> = gaps.iter().map(|gap| gap.fact.as_str()).collect();
    let summary = if facts.is_empty() {
        "audits are recorded again".to_owned()
    } else {
        let list: Vec<&str> = facts.iter().copied().collect();
        format!("audits are recorded again, without some facts ({})", list.join(", "))
    };
    let data = json!({ "complete": facts.is_empty(), "gaps": facts });
    head.message(kind, head.id(kind, ""), order_of(head), Severity::High, &summary, data)
}

/// Whether a receiver is reached. It is sent at once and never recorded: it says nothing that could be evidence.
/// `number` makes it one of its kind.
pub fn test(receiver: &str, number: &str, link: &str, at: DateTime<Utc>) -> Message {
    let kind = MessageKind::Test;
    let summary = format!("a test by `scopewarden doctor --send-test`: receiver {receiver} is reached");
    let body = json!({
        "type": kind.as_str(),
        "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "data": { "receiver": receiver, "severity": Severity::Info, "summary": summary, "link": link },
    });
    Message {
        id: format!("msg-test-{number}"),
        kind,
        severity: Severity::Info,
        order_key: "test".to_owned(),
        body: body.to_string(),
    }
}

fn order_of(head: &Letterhead<'_>) -> String {
    format!("org:{}", head.org)
}

/// A change in one sentence: what, how many clients it reaches, and who made it, if that is known.
pub fn sentence(event: &Event) -> String {
    let subject = &event.cause.subject;
    let name = &subject.name;
    let delta = &event.cause.permissions;
    let what = match event.cause.kind {
        CauseKind::RolePermissionsChanged => {
            let mut parts = Vec::new();
            for (verb, list) in [("gained", &delta.added), ("lost", &delta.removed)] {
                if !list.is_empty() {
                    parts.push(format!("{verb} {}", some_of(list)));
                }
            }
            format!("role {name} {}", parts.join(" and "))
        }
        CauseKind::CatalogueChanged => {
            let counts = event.cause.details.get("counts");
            let count = |of: &str, listed: usize| {
                counts.map_or_else(|| listed.to_string(), |all| all[of].to_string())
            };
            format!(
                "the platform's {name} changed: {} new, {} gone, {} different",
                count("added", delta.added.len()),
                count("removed", delta.removed.len()),
                count("changed", 0)
            )
        }
        CauseKind::ContractChanged => format!("the contract of {name} changed"),
        kind => format!("{} {name}: {}", subject.kind, kind.as_str().replace('_', " ")),
    };
    let gained: Vec<String> = event
        .clients
        .iter()
        .filter(|client| !client.gained.is_empty())
        .map(|client| client.name.clone())
        .collect();
    let by = event.actor.as_ref().map(Attribution::words).unwrap_or_default();
    if gained.is_empty() {
        format!("{what}{by}")
    } else {
        format!("{what}; {} gained power by it{by}", some_of(&gained))
    }
}

/// The first three of a list, and how many more.
fn some_of(list: &[String]) -> String {
    match list {
        [] => String::new(),
        [only] => only.clone(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, second, third, rest @ ..] => format!("{first}, {second}, {third} and {} more", rest.len()),
    }
}

fn weight(gain: &Gain) -> u32 {
    privilege::of(&gain.permission).map_or(0, |privilege| privilege.weight)
}

/// As many of the weightiest as there is room for, in the order of their names.
fn weightiest<'a>(gains: &'a [Gain], room: &mut usize) -> Vec<&'a Gain> {
    let mut sorted: Vec<&Gain> = gains.iter().collect();
    sorted.sort_by_key(|gain| std::cmp::Reverse(weight(gain)));
    sorted.truncate(*room);
    *room -= sorted.len();
    sorted.sort_unstable();
    sorted
}

/// Cuts every long list in a value, and notes the length that it had under its path.
fn cut(value: &mut Value, path: &str, left_out: &mut BTreeMap<String, usize>) {
    match value {
        Value::Array(list) => {
            if list.len() > ENTRIES {
                left_out.insert(path.to_owned(), list.len());
                list.truncate(ENTRIES);
            }
            for entry in list {
                cut(entry, path, left_out);
            }
        }
        Value::Object(map) => {
            for (name, entry) in map {
                cut(entry, &format!("{path}.{name}"), left_out);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
