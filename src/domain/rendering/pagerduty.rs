//! A message for `PagerDuty`: an event of its Events API, version 2.
//!
//! Enters: a message's body and id. Leaves: one event, or several where one message ends several incidents. Must never:
//! open an incident that nothing can find again. The key is a finding's uid, so that its end meets its beginning.
//!
//! | Message | Event | Key |
//! |---|---|---|
//! | one finding opened, reopened, reminded of, flapping | trigger | its uid |
//! | one finding resolved, muted, approved | resolve | its uid |
//! | several findings in one message | trigger | the message's id: it ends by hand |
//! | several findings resolved in one message | resolve, each that is named | their uids |
//! | several findings reminded of | trigger | `reminder:` and the organisation: it ends by hand |
//! | a change, and who did it | trigger | `drift:` and the event's id: it ends by hand |
//! | a subject goes back and forth, is calm again | trigger, resolve | `flapping:`, the organisation and the subject |
//! | several subjects in one message | as each, those that are named | as each |
//! | audits fail, are recorded again | trigger, resolve | `audit:` and the organisation |
//! | no audit is complete, one is again | trigger, resolve | `overdue:` and the organisation |
//! | anything else | trigger | the message's id: it ends by hand |

use serde_json::{Value, json};

use super::{Story, clip, is_settled, list, text};
use crate::domain::Severity;

/// The most characters of a summary.
pub const SUMMARY_CHARS: usize = 1024;
/// The most characters of a key.
pub const KEY_CHARS: usize = 255;
/// The most events of one message; a message names no more subjects.
const MOST_EVENTS: usize = 20;

/// The events of a message, without the routing key: at least one.
pub fn events(body: &[u8], id: &str) -> Vec<Value> {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let story = Story::read(&parsed, id);
    let data = &parsed["data"];
    let findings = list(&data["findings"]);
    let uid = |finding: &Value| text(&finding["uid"]).map(str::to_owned);
    let org = story.org.as_deref().unwrap_or_default();
    let of_org = |what: &str| format!("{what}:{org}");
    match story.kind.as_str() {
        "finding.resolved" if findings.iter().any(|finding| uid(finding).is_some()) => {
            findings.iter().filter_map(uid).map(|uid| resolve(&uid)).collect()
        }
        "audit.recovered" => {
            // What was recorded with gaps is no complete audit.
            let ends: &[&str] = if data["complete"] == false { &["audit"] } else { &["audit", "overdue"] };
            ends.iter().map(|what| resolve(&of_org(what))).collect()
        }
        "audit.failed" => {
            let what = if data["reason"] == "overdue" { "overdue" } else { "audit" };
            vec![trigger(&story, &parsed, &of_org(what))]
        }
        "finding.reminder" if findings.len() > 1 => vec![trigger(&story, &parsed, &of_org("reminder"))],
        kind if kind.starts_with("finding.") => match findings {
            [finding] => vec![trigger(&story, &parsed, &uid(finding).unwrap_or_else(|| id.to_owned()))],
            _ => vec![trigger(&story, &parsed, id)],
        },
        "drift.flapping" if !list(&data["subjects"]).is_empty() => {
            let of_subject = |one: &Value| {
                let part = |name: &str| text(&one["subject"][name]).unwrap_or_default();
                let key = format!("flapping:{org}:{}:{}", part("type"), part("id"));
                if is_settled(one) { resolve(&key) } else { trigger(&story, &parsed, &key) }
            };
            list(&data["subjects"]).iter().take(MOST_EVENTS).map(of_subject).collect()
        }
        kind if kind.starts_with("drift.") => {
            // What comes later about a change has the id of the change.
            vec![trigger(&story, &parsed, &format!("drift:{}", text(&data["id"]).unwrap_or(id)))]
        }
        _ => vec![trigger(&story, &parsed, id)],
    }
}

fn resolve(key: &str) -> Value {
    json!({ "event_action": "resolve", "dedup_key": clip(key, KEY_CHARS) })
}

fn trigger(story: &Story, body: &Value, key: &str) -> Value {
    let severity = match story.severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Info => "info",
    };
    let mut details = serde_json::Map::new();
    details.insert("id".to_owned(), json!(story.id));
    for (heading, lines) in story.parts() {
        details.insert(heading.to_lowercase().replace(' ', "_"), json!(lines));
    }
    let org = story.org.as_deref();
    let mut payload = json!({
        "summary": clip(&format!("{}: {}", story.heading(), story.summary), SUMMARY_CHARS),
        "source": org.unwrap_or("scopewarden"),
        "severity": severity,
        "class": story.kind,
        "custom_details": details,
    });
    if !story.at.is_empty() {
        payload["timestamp"] = json!(story.at);
    }
    if let [finding] = list(&body["data"]["findings"])
        && let Some(client) = text(&finding["client"]["name"])
    {
        payload["component"] = json!(clip(client, super::LINE_CHARS));
    }
    let mut event = json!({
        "event_action": "trigger",
        "dedup_key": clip(key, KEY_CHARS),
        "client": "scopewarden",
        "payload": payload,
    });
    if let Some(link) = &story.link {
        event["client_url"] = json!(link);
        event["links"] = json!([{ "href": link, "text": "Open scopewarden" }]);
    }
    event
}
