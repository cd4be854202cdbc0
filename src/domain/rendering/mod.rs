//! A message as people read it: what happened, who gained what, why it matters, what to do.
//!
//! Enters: the stored body of a message and its id. Leaves: a [`Story`], and from it what each kind of receiver shows.
//! Must never: depend on anything but those two (the same message is the same bytes at every attempt), need a type of
//! message that it knows, or grow without bound.

pub mod alerts;
pub mod pagerduty;
pub mod slack;
pub mod teams;

use serde::Deserialize as _;
use serde_json::Value;

use super::{Severity, decision::Mark, privilege};

/// Clients or findings that are told of by name.
const NAMED: usize = 8;
/// Permissions of one client that are told of by name.
const PERMISSIONS: usize = 5;
/// Characters of a summary.
const SUMMARY_CHARS: usize = 500;
/// Characters of any other sentence.
const LINE_CHARS: usize = 300;

/// What a message says, in the order in which a person wants to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The message's id.
    pub id: String,
    /// Its type, as `drift.detected`.
    pub kind: String,
    /// When it was written, as RFC 3339; empty if it does not say.
    pub at: String,
    /// How bad.
    pub severity: Severity,
    /// The organisation's configured name; a test has none.
    pub org: Option<String>,
    /// What happened, in one sentence.
    pub summary: String,
    /// Who gained or lost what, or which findings; one a line.
    pub who: Vec<String>,
    /// Why it matters.
    pub why: Vec<String>,
    /// What to do.
    pub advice: Vec<String>,
    /// Who did it, if that is known.
    pub actor: Option<String>,
    /// Where to read more.
    pub link: Option<String>,
    /// If it tells that something is over: the word for it, as `RESOLVED`.
    pub over: Option<&'static str>,
}

impl Story {
    /// Reads a message. What it does not know it leaves out; what is no JSON object is told of by its id alone.
    pub fn of(body: &[u8], id: &str) -> Self {
        Self::read(&serde_json::from_slice(body).unwrap_or_default(), id)
    }

    fn read(body: &Value, id: &str) -> Self {
        let data = &body["data"];
        let kind = text(&body["type"]).unwrap_or("message").to_owned();
        let severity = text(&data["severity"]).and_then(Severity::parse).unwrap_or(Severity::Info);
        let summary = text(&data["summary"])
            .map_or_else(|| kind.replace(['.', '_'], " "), |summary| clip(summary, SUMMARY_CHARS));
        let findings = list(&data["findings"]);
        let who = match findings {
            [] | [_] => of_clients(data).into_iter().chain(of_others(data)).collect(),
            findings => of_findings(data, findings),
        };
        let only = if let [finding] = findings { Some(finding) } else { None };
        Self {
            id: id.to_owned(),
            at: text(&body["timestamp"]).unwrap_or_default().to_owned(),
            severity,
            org: text(&data["org"]).map(str::to_owned),
            summary,
            who: match only {
                Some(finding) => subject(finding).into_iter().chain(who).collect(),
                None => who,
            },
            why: why(&kind, data, only),
            advice: advice(&kind, data, only),
            actor: actor(&data["actor"]).or_else(|| silenced_by(data)),
            link: text(&data["link"]).map(str::to_owned),
            over: over(&kind, data, only),
            kind,
        }
    }

    /// `CRITICAL · acme`: how bad, and where.
    pub fn heading(&self) -> String {
        let word = self.over.map_or_else(|| self.severity.as_str().to_uppercase(), str::to_owned);
        self.org.as_ref().map_or_else(|| word.clone(), |org| format!("{word} · {org}"))
    }

    /// The parts under their headings; empty ones are left out.
    fn parts(&self) -> Vec<(&'static str, Vec<String>)> {
        let actor: Vec<String> = self.actor.iter().cloned().collect();
        [("Who", &self.who), ("Why it matters", &self.why), ("Done by", &actor), ("What to do", &self.advice)]
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .map(|(heading, lines)| (heading, lines.clone()))
            .collect()
    }

    /// What identifies it, for the last line.
    fn footer(&self) -> String {
        let at = if self.at.is_empty() { String::new() } else { format!(" · {}", self.at) };
        format!("scopewarden · {} · {}{at}", self.kind, self.id)
    }
}

/// One line a client that gained or lost something, the weightiest first.
fn of_clients(data: &Value) -> Vec<String> {
    let clients = list(&data["clients"]);
    let mut lines: Vec<String> = clients.iter().take(NAMED).map(of_client).collect();
    let total = count(&data["clients_total"]).unwrap_or(clients.len());
    // The baseline counts clients and names none.
    if !clients.is_empty() && total > lines.len() {
        lines.push(format!("and {} more clients", total - lines.len()));
    }
    lines
}

fn of_client(client: &Value) -> String {
    let name = text(&client["name"]).or_else(|| text(&client["id"])).unwrap_or("a client");
    let mut parts = Vec::new();
    for (verb, key, total) in [("gained", "gained", "gained_total"), ("lost", "lost", "lost_total")] {
        let mut permissions: Vec<&str> =
            list(&client[key]).iter().filter_map(|gain| text(&gain["permission"])).collect();
        permissions.sort_by_key(|permission| {
            std::cmp::Reverse(privilege::of(permission).map_or(0, |privilege| privilege.weight))
        });
        let total = count(&client[total]).unwrap_or(permissions.len());
        if total == 0 {
            continue;
        }
        permissions.truncate(PERMISSIONS);
        let mut named = permissions.join(", ");
        match total - permissions.len().min(total) {
            0 => {}
            more if permissions.is_empty() => named = format!("{more} permissions"),
            more => named = format!("{named} and {more} more"),
        }
        parts.push(format!("{verb} {named}"));
    }
    let what = if parts.is_empty() { "is affected".to_owned() } else { parts.join("; ") };
    clip(&format!("{name} {what}"), LINE_CHARS)
}

fn of_findings(data: &Value, findings: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = findings
        .iter()
        .take(NAMED)
        .map(|finding| {
            let severity = text(&finding["severity"]).unwrap_or("info");
            let title = text(&finding["title"]).unwrap_or("a finding");
            clip(&format!("{severity}: {title}"), LINE_CHARS)
        })
        .collect();
    let total = count(&data["total"]).unwrap_or(findings.len());
    if total > lines.len() {
        lines.push(format!("and {} more findings", total - lines.len()));
    }
    lines
}

/// What a message lists that is neither clients nor findings, one a line: changes, subjects that go back and forth, types of
/// messages that were given up, organisations.
fn of_others(data: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |list: &[Value], noun: &str, line: &dyn Fn(&Value) -> Option<String>| {
        let told: Vec<String> = list.iter().take(NAMED).filter_map(line).collect();
        let left = count(&data["total"]).unwrap_or(list.len()).saturating_sub(told.len());
        lines.extend(told.iter().map(|line| clip(line, LINE_CHARS)));
        if left > 0 && !list.is_empty() {
            lines.push(format!("and {left} more {noun}"));
        }
    };
    tell(list(&data["events"]), "changes", &|event| {
        Some(format!("{}: {}", text(&event["severity"]).unwrap_or("info"), text(&event["summary"])?))
    });
    tell(list(&data["subjects"]), "subjects", &|one| {
        let (subject, changes) = (&one["subject"], one["changes"].as_u64()?);
        let name = text(&subject["name"]).or_else(|| text(&subject["id"]))?;
        let now = if is_settled(one) { "calm now, " } else { "" };
        Some(format!("{} {name}: {now}{changes} changes", text(&subject["type"]).unwrap_or("subject")))
    });
    let orgs = list(&data["orgs"]);
    lines.extend(orgs.iter().take(NAMED).filter_map(|org| {
        let last = text(&org["last_complete"]).unwrap_or("never");
        let state = if org["failing"] == Value::Bool(true) { "audits fail; " } else { "" };
        Some(clip(&format!("{}: {state}last complete audit {last}", text(&org["org"])?), LINE_CHARS))
    }));
    if orgs.len() > NAMED {
        lines.push(format!("and {} more organisations", orgs.len() - NAMED));
    }
    let types = data["by_type"].as_object().into_iter().flatten().take(NAMED);
    lines.extend(
        types.filter_map(|(kind, count)| Some(clip(&format!("{} {kind}", count.as_u64()?), LINE_CHARS))),
    );
    lines
}

/// Whether what goes back and forth has been calm for long.
fn is_settled(flapping: &Value) -> bool {
    flapping["phase"] == "settled"
}

/// The word for something that is over. What a person silenced still fails, and what settled as open is open.
fn over(kind: &str, data: &Value, only: Option<&Value>) -> Option<&'static str> {
    let subjects = list(&data["subjects"]);
    match (kind, text(&data["reason"])) {
        ("finding.resolved", Some("muted")) => Some("MUTED"),
        ("finding.resolved", Some("approved")) => Some("APPROVED"),
        ("drift.flapping", _) if !subjects.is_empty() && subjects.iter().all(is_settled) => {
            Some("CALM AGAIN")
        }
        ("finding.flapping", _) if only.is_some_and(|one| is_settled(&one["flapping"])) => {
            only.filter(|one| one["flapping"]["open"] == Value::Bool(false)).map(|_| "RESOLVED")
        }
        (kind, _) if kind.ends_with(".resolved") || kind.ends_with(".recovered") => Some("RESOLVED"),
        _ => None,
    }
}

/// The client and the check of a finding.
fn subject(finding: &Value) -> Option<String> {
    let client = &finding["client"];
    let name = text(&client["name"]).or_else(|| text(&client["id"]))?;
    let id = text(&client["id"]).unwrap_or_default();
    let check = text(&finding["check"]).map_or_else(String::new, |check| format!(", check {check}"));
    Some(clip(&format!("{name} ({id}){check}"), LINE_CHARS))
}

fn why(kind: &str, data: &Value, only: Option<&Value>) -> Vec<String> {
    if let Some(evidence) = only.and_then(|finding| text(&finding["evidence"])) {
        return vec![clip(evidence, LINE_CHARS)];
    }
    let mut lines = Vec::new();
    // The weightiest permission that anybody gained says why a change matters.
    let gained = list(&data["clients"]).iter().flat_map(|client| list(&client["gained"]));
    let weightiest = gained
        .filter_map(|gain| text(&gain["permission"]))
        .filter_map(|permission| Some((permission, privilege::of(permission)?)))
        .max_by_key(|(_, privilege)| privilege.weight);
    if let Some((permission, privilege)) = weightiest {
        lines.push(clip(&format!("A client that holds {permission} {}.", privilege.reason), LINE_CHARS));
    }
    if let Some(detail) = text(&data["detail"]) {
        lines.push(clip(detail, LINE_CHARS));
    }
    if kind == "audit.failed" {
        lines.push(match text(&data["reason"]) {
            // Audits may well be recorded, each without some fact.
            Some("overdue") => "Until an audit is complete again, what was not read goes unseen.".to_owned(),
            _ => "Until an audit is recorded again, changes go unseen and findings stay as they were."
                .to_owned(),
        });
    }
    let counts: Vec<String> = data["by_severity"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(severity, count)| Some(format!("{} {severity}", count.as_u64()?)))
        .take(Severity::ALL.len())
        .collect();
    if !counts.is_empty() {
        lines.push(format!("By severity: {}", counts.join(", ")));
    }
    lines
}

fn advice(kind: &str, data: &Value, only: Option<&Value>) -> Vec<String> {
    if let Some(remediation) = only.and_then(|finding| text(&finding["remediation"])) {
        return if over(kind, data, only).is_some() {
            Vec::new()
        } else {
            vec![clip(remediation, LINE_CHARS)]
        };
    }
    if let Some(advice) = text(&data["advice"]).or_else(|| text(&data["remediation"])) {
        return vec![clip(advice, LINE_CHARS)];
    }
    let line = match kind {
        "drift.detected" | "drift.attributed" => {
            "If nobody planned this, undo it: the change names the role, client or division to look at."
        }
        "drift.grouped" => {
            "If nobody planned this, find out what made so many changes: `scopewarden diff` shows each of them."
        }
        "drift.flapping" => {
            "Find out who or what changes it back and forth: two tools may be at odds. `scopewarden diff` shows each change."
        }
        "finding.opened" | "finding.reopened" | "finding.reminder" | "finding.flapping" => {
            "Open the link: each finding says what to do."
        }
        "audit.failed" => {
            "Run `scopewarden doctor` where the daemon runs: it says what is wrong and what to do."
        }
        "delivery.dead" => {
            "Run `scopewarden outbox list`, mend the receiver, then `scopewarden outbox retry --all`."
        }
        _ => return Vec::new(),
    };
    vec![line.to_owned()]
}

/// Who did it, as the platform's audit log has it; where it is not certain, who may have, or why nobody knows.
fn actor(actor: &Value) -> Option<String> {
    let words = match text(&actor["certainty"]) {
        Some("within_window") => {
            let candidates = list(&actor["candidates"]);
            let mut named: Vec<String> = Vec::new();
            for name in candidates.iter().filter_map(|one| who(one).map(|(name, details)| name + &details)) {
                if !named.contains(&name) {
                    named.push(name);
                }
            }
            let total = count(&actor["candidates_total"]).unwrap_or(0).max(candidates.len());
            let more = match total - candidates.len() {
                0 => String::new(),
                more => format!(", and {more} more entries"),
            };
            format!("not certain, one of: {}{more}", named.join("; "))
        }
        Some("unknown") => format!("not known: {}", text(&actor["reason"])?),
        certainty => {
            let (name, details) = who(actor)?;
            let certainty = certainty.map_or_else(String::new, |word| format!(", certainty: {word}"));
            name + &details + &certainty
        }
    };
    Some(clip(&words, LINE_CHARS))
}

/// A name with what it is, and when and from where it acted.
fn who(actor: &Value) -> Option<(String, String)> {
    let kind = text(&actor["type"]);
    let name = match (text(&actor["name"]).or_else(|| text(&actor["id"])), kind) {
        (Some(name), Some(kind)) => format!("{name} ({kind})"),
        (Some(name), None) => name.to_owned(),
        (None, Some("platform")) => "the platform".to_owned(),
        (None, Some("configuration")) => "the configuration of scopewarden".to_owned(),
        (None, _) => return None,
    };
    let details = [("at", " at "), ("remote_ip", " from ")];
    let details = details.into_iter().filter_map(|(key, word)| Some(format!("{word}{}", text(&actor[key])?)));
    Some((name, details.collect()))
}

/// Who silenced the findings that a message says are muted or approved, until when and why: one decision did.
fn silenced_by(data: &Value) -> Option<String> {
    text(&data["reason"]).filter(|reason| matches!(*reason, "muted" | "approved"))?;
    let marks = list(&list(&data["findings"]).first()?["decisions"]).iter().rev();
    let silencing =
        marks.filter_map(|mark| Mark::deserialize(mark).ok()).find(|mark| mark.kind.silences())?;
    Some(clip(&silencing.words(), LINE_CHARS))
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|count| usize::try_from(count).ok())
}

/// At most so many characters, on one line.
fn clip(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most + 1).collect();
    match line.char_indices().nth(most) {
        Some(_) => line.chars().take(most - 1).chain(std::iter::once('…')).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests;
