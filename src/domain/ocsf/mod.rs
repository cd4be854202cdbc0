//! What we say, in the words of OCSF 1.8.0 (Open Cybersecurity Schema Framework), for security lakes and SIEMs.
//!
//! Enters: findings and messages, as values or as the JSON of an outgoing message. Leaves: JSON objects of three
//! classes: 2003 Compliance Finding, 2004 Detection Finding, 2008 IAM Analysis Finding. `docs/ocsf.md` has the table.
//! Must never: lose a message, say of a client what its finding does not, or grow beyond what a message may hold.
//!
//! Both doors lead through one mapping: a change is mapped from the message that tells it, and a finding has the same
//! `metadata.uid` whether a receiver or `export` wrote it, so that what comes twice can be told.
//!
//! - `frame`: what every object has. - `finding`: findings of checks. - `detection`: changes, and audits that fail.

mod detection;
mod finding;
mod frame;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use self::frame::{Activity, VERSION};
use self::{finding::Told, frame::Letter};
use super::{
    event::Event,
    finding::Finding,
    message::{self, Letterhead},
};

/// One finding, as of the audit of `head`.
pub fn of_finding(head: &Letterhead<'_>, activity: Activity, finding: &Finding) -> Value {
    let code = match activity {
        Activity::Create => "finding.opened",
        Activity::Update => "finding.updated",
        Activity::Close => "finding.resolved",
    };
    Told::of(finding).object(&Letter::of(head, code), activity, None)
}

/// One change.
pub fn of_event(head: &Letterhead<'_>, event: &Event) -> Value {
    let message = message::drift(head, event);
    let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
    detection::drift(&Letter::of(head, message.kind.as_str()), &message.id, &body["data"])
}

/// An audit that failed, as `audit.failed` tells it.
pub fn of_failure(org: &str, reason: &str, detail: &str, at: DateTime<Utc>) -> Value {
    let letter = Letter { org, audit: "", chain_head: String::new(), at, link: "", code: "audit.failed" };
    detection::failure(&letter, reason, detail)
}

/// The body of an outgoing message (with `id` as its id) as zero or more objects: one for each finding that it names,
/// one for a change, one for anything else, also of a type that this version does not know. None only for what is no
/// message of ours: without a type or a time.
pub fn of_message(body: &Value, id: &str) -> Vec<Value> {
    let Some(letter) = Letter::read(body) else { return Vec::new() };
    let data = &body["data"];
    match letter.code {
        "drift.detected" => vec![detection::drift(&letter, id, data)],
        "drift.attributed" => vec![detection::attributed(&letter, id, data)],
        "audit.failed" => {
            let word = |name: &str| data[name].as_str().unwrap_or_default();
            vec![detection::failure(&letter, word("reason"), word("detail"))]
        }
        // What was recorded with gaps is no complete audit.
        "audit.recovered" if data["complete"] == false => vec![detection::recovery(&letter, false)],
        "audit.recovered" => vec![detection::recovery(&letter, false), detection::recovery(&letter, true)],
        code if code.starts_with("finding.") && data["findings"].is_array() => {
            findings(&letter, activity_of(code, data["reason"].as_str()), data, id)
        }
        _ => vec![detection::other(&letter, id, data)],
    }
}

/// A decision closes nothing here: what it silences is suppressed, and what comes back goes on.
fn activity_of(code: &str, reason: Option<&str>) -> Activity {
    match (code, reason) {
        ("finding.opened", _) | ("finding.reopened", None | Some("failed_again")) => Activity::Create,
        ("finding.resolved", None) => Activity::Close,
        _ => Activity::Update,
    }
}

/// The findings that a message names, and one object for those that it only counts.
fn findings(letter: &Letter<'_>, activity: Activity, data: &Value, id: &str) -> Vec<Value> {
    let listed = data["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = listed.iter().filter_map(Told::read);
    let told: Vec<Told> = match data["reason"].as_str() {
        // Its alert is over by a person's decision, and it still fails.
        Some("muted" | "approved") => told.map(Told::silenced).collect(),
        _ => told.collect(),
    };
    // An export tells of an audit what opened, changed and was resolved in it, each once. Whatever else is told of a finding,
    // perhaps several times between two audits, is an object of its own.
    let of_message = if activity == Activity::Update { Some(id) } else { None };
    let mut objects: Vec<Value> = told.iter().map(|told| told.object(letter, activity, of_message)).collect();
    let total = data["total"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(listed.len());
    if total > told.len() {
        objects.push(detection::rest(letter, id, data, total - told.len()));
    }
    objects
}
