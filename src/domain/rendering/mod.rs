//! A message as people read it: what happened, who gained what, why it matters, what to do.
//!
//! Enters: the stored body of a message and its id. Leaves: a [`Story`], and from it what each kind of receiver shows.
//! Must never: depend on anything but those two (the same message is the same bytes at every attempt), need a type of
//! message that it knows, or grow without bound.

pub mod alerts;
pub mod pagerduty;
pub mod slack;
pub mod teams;

use serde_json::Value;

use super::{Severity, privilege};

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
        let who = if findings.len() > 1 { of_findings(data, findings) } else { of_clients(data) };
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
            actor: actor(data),
            link: text(&data["link"]).map(str::to_owned),
            kind,
        }
    }

    /// Whether it tells that something is over.
    pub fn is_good_news(&self) -> bool {
        self.kind.ends_with(".resolved") || self.kind.ends_with(".recovered")
    }

    /// `CRITICAL · acme`: how bad, and where.
    pub fn heading(&self) -> String {
        let word =
            if self.is_good_news() { "RESOLVED".to_owned() } else { self.severity.as_str().to_uppercase() };
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
        lines.push(
            "Until an audit is recorded again, changes go unseen and findings stay as they were.".to_owned(),
        );
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
        let is_over = kind.ends_with(".resolved");
        return if is_over { Vec::new() } else { vec![clip(remediation, LINE_CHARS)] };
    }
    if let Some(advice) = text(&data["advice"]).or_else(|| text(&data["remediation"])) {
        return vec![clip(advice, LINE_CHARS)];
    }
    let line = match kind {
        "drift.detected" => {
            "If nobody planned this, undo it: the change names the role, client or division to look at."
        }
        "finding.opened" | "finding.reopened" | "finding.reminder" => {
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

/// Who did it: a text, or an object with a name and how certain that is.
fn actor(data: &Value) -> Option<String> {
    let actor = &data["actor"];
    if let Some(name) = text(actor) {
        return Some(clip(name, LINE_CHARS));
    }
    let name = text(&actor["name"]).or_else(|| text(&actor["id"]))?;
    let details = [("type", ""), ("at", "at "), ("remote_ip", "from "), ("certainty", "certainty: ")];
    let details: Vec<String> = details
        .into_iter()
        .filter_map(|(key, word)| {
            let value = text(&actor[key]).or_else(|| text(&data[key]).filter(|_| key == "certainty"))?;
            Some(format!("{word}{value}"))
        })
        .collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    Some(clip(&format!("{name}{details}"), LINE_CHARS))
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
