//! Changes, the state of the audits themselves, and whatever else is told, as Detection Findings (2004).
//!
//! Enters: the `data` of a message. Leaves: one object each. Must never: name more clients than the message does, or make
//! two findings of one change.

use serde_json::{Value, json};

use super::frame::{AFFECTED, Activity, Class, Frame, Letter, Standing, TARGET, observables, resource, text};
use crate::domain::Severity;

/// Resources of one object.
const RESOURCES: usize = 50;

/// A change of the configuration. Its id is the identity of the finding.
pub(super) fn drift(letter: &Letter<'_>, id: &str, data: &Value) -> Value {
    let uid = data["id"].as_str().unwrap_or(id).to_owned();
    change(letter, Activity::Create, &uid, &uid, data)
}

/// Who made a change that was told before: an update of that finding.
pub(super) fn attributed(letter: &Letter<'_>, id: &str, data: &Value) -> Value {
    change(letter, Activity::Update, id, data["id"].as_str().unwrap_or(id), data)
}

/// `id` is that of the object, `uid` that of the finding.
fn change(letter: &Letter<'_>, activity: Activity, id: &str, uid: &str, data: &Value) -> Value {
    let cause = &data["cause"];
    let kinds = cause["kinds"].as_array().cloned().unwrap_or_default();
    let kind = cause["kind"].as_str().unwrap_or("changed");
    let severity = severity_of(data);
    let title = data["summary"].as_str().unwrap_or(kind);
    let analytic = json!({ "uid": format!("drift:{kind}"), "name": kind.replace('_', " "), "type_id": 1, "type": "Rule" });
    let mut info = json!({ "uid": uid, "analytic": analytic, "created_time": letter.at.timestamp_millis() });
    let types: Vec<Value> = kinds.into_iter().filter(Value::is_string).collect();
    if !types.is_empty() {
        info["types"] = json!(types);
    }
    if let Some(delta) = data["delta"].as_str() {
        info["uid_alt"] = json!(delta);
    }
    let frame = Frame {
        class: Class::Detection,
        activity,
        severity,
        standing: Standing::New,
        uid: id.to_owned(),
        title,
    };
    let mut object = frame.object(letter, info);
    let subject = &cause["subject"];
    let part = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let mut resources: Vec<Value> =
        resource(&part(subject, "type"), &part(subject, "id"), &part(subject, "name"), letter.org, TARGET)
            .into_iter()
            .collect();
    for client in data["clients"].as_array().into_iter().flatten() {
        let of = resource("OAuth client", &part(client, "id"), &part(client, "name"), letter.org, AFFECTED);
        let is_new =
            |one: &Value| one["uid"].is_null() || resources.iter().all(|other| other["uid"] != one["uid"]);
        resources.extend(of.filter(is_new).filter(|_| resources.len() < RESOURCES));
    }
    object.insert("is_alert".to_owned(), json!(true));
    object.insert("evidences".to_owned(), json!([evidence(data)]));
    let found = observables(&resources);
    if !found.is_empty() {
        object.insert("observables".to_owned(), json!(found));
    }
    if !resources.is_empty() {
        object.insert("resources".to_owned(), json!(resources));
    }
    Value::Object(object)
}

/// What happened, whole: the message's `data` without what stands elsewhere; and who did it, where that is known.
fn evidence(data: &Value) -> Value {
    let mut facts = data.clone();
    if let Some(facts) = facts.as_object_mut() {
        for elsewhere in ["org", "audit", "chain_head", "severity", "summary", "link"] {
            facts.remove(elsewhere);
        }
    }
    let mut evidence = json!({ "data": facts });
    if let Some(actor) = actor(&data["actor"]) {
        evidence["actor"] = actor;
    }
    evidence
}

/// Who made a change: a user, or a client (a user of type Service).
fn actor(actor: &Value) -> Option<Value> {
    let mut user = json!({});
    for (attribute, name) in [("uid", "id"), ("name", "name")] {
        if let Some(value) = actor[name].as_str().filter(|value| !value.is_empty()) {
            user[attribute] = text(value);
        }
    }
    if user.as_object().is_none_or(serde_json::Map::is_empty) {
        return None;
    }
    let (number, word) = match actor["type"].as_str() {
        Some("client") => (4, "Service"),
        Some("user") => (1, "User"),
        _ => (0, "Unknown"),
    };
    user["type_id"] = json!(number);
    user["type"] = json!(word);
    Some(json!({ "user": user }))
}

/// Audits began to fail, or none was complete for too long (`overdue`): each is one finding that `audit.recovered` closes.
pub(super) fn failure(letter: &Letter<'_>, reason: &str, detail: &str) -> Value {
    let is_overdue = reason == "overdue";
    let title = if is_overdue {
        format!("No audit of {} was complete for too long", letter.org)
    } else {
        format!("The audit of {} failed ({reason})", letter.org)
    };
    let mut object = audits(letter, Activity::Create, is_overdue, &title);
    object["is_alert"] = json!(true);
    object["status_code"] = json!(reason);
    object["status_detail"] = text(detail);
    object["evidences"] = json!([{ "data": { "reason": reason, "detail": text(detail) } }]);
    object
}

/// Audits are recorded again; `complete`: and with every fact.
pub(super) fn recovery(letter: &Letter<'_>, complete: bool) -> Value {
    let how = if complete { "complete" } else { "recorded" };
    let title = format!("Audits of {} are {how} again", letter.org);
    let mut object = audits(letter, Activity::Close, complete, &title);
    object["is_alert"] = json!(false);
    object
}

/// `complete`: it is about whether audits are complete, not about whether they are recorded.
fn audits(letter: &Letter<'_>, activity: Activity, complete: bool, title: &str) -> Value {
    let whole = Letter { audit: "", ..letter.clone() };
    let (identity, rule, name) = if complete {
        ("complete audits", "audit-complete", "audits are complete")
    } else {
        ("audits", "audit-recorded", "audits are recorded")
    };
    let analytic = json!({ "uid": rule, "name": name, "type_id": 1, "type": "Rule" });
    let info = json!({ "uid": whole.uid(&[identity]), "analytic": analytic });
    let frame = Frame {
        class: Class::Detection,
        activity,
        severity: Some(Severity::High),
        standing: if activity == Activity::Close { Standing::Resolved } else { Standing::New },
        // A failure that is shown at once has no audit; its time tells it from the next.
        uid: letter.uid(&[identity, activity.as_str(), &letter.at.timestamp_millis().to_string()]),
        title,
    };
    Value::Object(frame.object(letter, info))
}

/// Any other message, whole.
pub(super) fn other(letter: &Letter<'_>, id: &str, data: &Value) -> Value {
    let title = data["summary"].as_str().unwrap_or(letter.code);
    let mut object = plain(letter, id, severity_of(data), title);
    let settled = |one: &Value| one["phase"] == "settled";
    object["is_alert"] = json!(match letter.code {
        // Many changes are no less an alert than one, and what was not delivered may have been one.
        "drift.grouped" | "delivery.dead" => true,
        "drift.flapping" => !data["subjects"].as_array().is_some_and(|list| list.iter().all(settled)),
        _ => false,
    });
    object["evidences"] = json!([evidence(data)]);
    object
}

/// The findings that a message counts and does not name.
pub(super) fn rest(letter: &Letter<'_>, id: &str, data: &Value, count: usize) -> Value {
    let word = match (letter.code, data["reason"].as_str()) {
        ("finding.resolved", Some(reason)) => reason,
        ("finding.reminder", _) => "are still open",
        (code, _) => code.trim_start_matches("finding."),
    };
    let title = format!("{count} more findings {word}: `scopewarden export` has them");
    let mut object = plain(letter, id, severity_of(data), &title);
    object["is_alert"] = json!(letter.code != "finding.resolved");
    let counts = ["total", "by_severity", "by_check"].map(|name| (name.to_owned(), data[name].clone()));
    let counts: serde_json::Map<String, Value> =
        counts.into_iter().filter(|(_, value)| !value.is_null()).collect();
    object["evidences"] = json!([{ "data": counts }]);
    object
}

fn plain(letter: &Letter<'_>, id: &str, severity: Option<Severity>, title: &str) -> Value {
    let analytic = json!({ "uid": letter.code, "name": letter.code, "type_id": 1, "type": "Rule" });
    let frame = Frame {
        class: Class::Detection,
        activity: Activity::Create,
        severity,
        standing: Standing::New,
        uid: id.to_owned(),
        title,
    };
    Value::Object(frame.object(letter, json!({ "uid": id, "analytic": analytic })))
}

fn severity_of(data: &Value) -> Option<Severity> {
    data["severity"].as_str().and_then(Severity::parse)
}
