//! Findings of checks as OCSF objects.
//!
//! Enters: a finding, as a value or as the JSON of a message. Leaves: one object: 2008 for checks of excess privilege, 2004
//! for what probes proved, 2003 for every other check, also one that this version does not know. Must never: change the
//! class of a check, or call passed what was not seen to pass.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::frame::{
    AFFECTED, Activity, Class, Frame, Letter, Standing, observables, resource, severity, text,
};
use crate::domain::{
    Severity,
    checks::{CHECKS, Check},
    compliance::Framework,
    finding::{Finding, Status},
};

/// Checks that say that a client holds more than it should.
const EXCESS: [&str; 9] = [
    "admin-role",
    "contract-exceeded",
    "default-role",
    "escalation",
    "every-division-grant",
    "high-privilege-permission",
    "possible-escalation",
    "unused-permission",
    "wildcard-role",
];

/// Of those, the ones whose finding's key begins with the id of the role.
const BY_ROLE: [&str; 4] = ["admin-role", "default-role", "every-division-grant", "wildcard-role"];

/// Checks that say that the platform did not do what it should, as probes proved.
const PROVEN: [&str; 3] = ["model-mismatch", "negative-test-failed", "positive-test-failed"];

/// Permissions of one finding that are listed.
const PERMISSIONS: usize = 40;

/// A finding as it is told; what a version of the program does not know of it is left out.
#[derive(Deserialize)]
pub(super) struct Told {
    uid: String,
    check: String,
    #[serde(default = "failed")]
    status: Status,
    severity: Severity,
    /// Muted by a person, or part of a baseline.
    #[serde(default)]
    muted: bool,
    /// The change that opened it is approved.
    #[serde(default)]
    approved: bool,
    #[serde(default)]
    client: Client,
    #[serde(default)]
    key: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    remediation: String,
    first_seen: Option<DateTime<Utc>>,
    last_seen: Option<DateTime<Utc>>,
}

#[derive(Default, Deserialize)]
struct Client {
    id: String,
    name: String,
}

fn failed() -> Status {
    Status::Fail
}

impl Told {
    pub(super) fn of(finding: &Finding) -> Self {
        let Finding {
            uid,
            check,
            status,
            severity,
            muted,
            marks,
            client,
            key,
            title,
            evidence,
            remediation,
            ..
        } = finding.clone();
        Self {
            uid,
            check,
            status,
            severity,
            muted,
            approved: marks.approved,
            client: Client { id: client.id.to_string(), name: client.name },
            key,
            title,
            evidence,
            remediation,
            first_seen: Some(finding.first_seen),
            last_seen: Some(finding.last_seen),
        }
    }

    /// Reads one of a message's `findings`.
    pub(super) fn read(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }

    /// The same, silenced by a person's decision.
    pub(super) fn silenced(self) -> Self {
        Self { muted: true, ..self }
    }

    fn class(&self) -> Class {
        let check = self.check.as_str();
        if EXCESS.contains(&check) {
            Class::IamAnalysis
        } else if PROVEN.contains(&check) {
            Class::Detection
        } else {
            Class::Compliance
        }
    }

    /// `message`: the id of the message that tells it, where the audit and the activity do not tell its object from others.
    pub(super) fn object(&self, letter: &Letter<'_>, activity: Activity, message: Option<&str>) -> Value {
        let check = CHECKS.iter().find(|check| check.id == self.check);
        let class = self.class();
        let frame = Frame {
            class,
            activity,
            severity: Some(self.severity),
            standing: match activity {
                Activity::Close => Standing::Resolved,
                _ if self.muted || self.approved => Standing::Suppressed,
                _ => Standing::New,
            },
            uid: match message {
                None => letter.uid(&[&self.uid, activity.as_str()]),
                Some(id) => letter.uid(&[&self.uid, activity.as_str(), id]),
            },
            title: &self.title,
        };
        let mut object = frame.object(letter, self.info(letter, check, activity));
        let client = resource("OAuth client", &self.client.id, &self.client.name, letter.org, AFFECTED);
        let resources: Vec<Value> = client.into_iter().collect();
        let mut put = |name: &str, value: Value| {
            object.insert(name.to_owned(), value);
        };
        let observables = observables(&resources);
        if !observables.is_empty() {
            put("observables", json!(observables));
        }
        if !resources.is_empty() {
            put("resources", json!(resources));
        }
        if !self.remediation.is_empty() {
            put("remediation", json!({ "desc": text(&self.remediation) }));
        }
        match class {
            Class::Compliance => put("compliance", self.compliance(check, activity)),
            Class::IamAnalysis => {
                put("permission_analysis_results", json!([self.permissions()]));
                if let Some(user) = self.user(letter) {
                    put("user", user);
                }
            }
            Class::Detection => {
                put("is_alert", json!(activity != Activity::Close && !self.muted && !self.approved));
                put("evidences", json!([self.proof()]));
            }
        }
        Value::Object(object)
    }

    fn info(&self, letter: &Letter<'_>, check: Option<&Check>, activity: Activity) -> Value {
        let mut analytic = json!({ "uid": self.check, "type_id": 1, "type": "Rule" });
        analytic["name"] = json!(check.map_or(self.check.as_str(), |check| check.title));
        let mut info = json!({ "uid": self.uid, "analytic": analytic });
        if !self.evidence.is_empty() {
            info["desc"] = text(&self.evidence);
        }
        if let Some(first) = self.first_seen {
            info["first_seen_time"] = json!(first.timestamp_millis());
            info["created_time"] = json!(first.timestamp_millis());
        }
        if let Some(last) = self.last_seen {
            info["last_seen_time"] = json!(last.timestamp_millis());
        }
        if activity != Activity::Create {
            info["modified_time"] = json!(letter.at.timestamp_millis());
        }
        info
    }

    fn compliance(&self, check: Option<&Check>, activity: Activity) -> Value {
        let (status_id, status) = match (activity, self.status) {
            (Activity::Close, _) | (_, Status::Pass) => (1, "Pass"),
            (_, Status::Fail) => (3, "Fail"),
            (_, Status::Unknown) => (0, "Unknown"),
        };
        let details = match activity {
            Activity::Close => {
                vec![json!("The check does not fail for this client any more, or the client is gone.")]
            }
            _ if self.evidence.is_empty() => Vec::new(),
            _ => vec![text(&self.evidence)],
        };
        let (severity_id, severity) = severity(Some(self.severity));
        let mut one = json!({
            "uid": self.check,
            "name": check.map_or(self.check.as_str(), |check| check.title),
            "severity_id": severity_id,
            "severity": severity,
            "status_id": status_id,
            "status": status,
        });
        let mut compliance = json!({
            "control": check.map_or(self.check.as_str(), |check| check.title),
            "status_id": status_id,
            "status": status,
        });
        if !details.is_empty() {
            compliance["status_details"] = json!(details);
        }
        if let Some(check) = check {
            let served =
                Framework::ALL.into_iter().map(|framework| (framework, framework.of(&check.references)));
            let served: Vec<_> = served.filter(|(_, list)| !list.is_empty()).collect();
            let standards: Vec<&str> = served.iter().map(|(framework, _)| framework.name()).collect();
            let requirements: Vec<String> = (served.iter())
                .flat_map(|(framework, list)| list.iter().map(|one| format!("{} {one}", framework.name())))
                .collect();
            one["desc"] = json!(check.remediation);
            one["standards"] = json!(standards);
            compliance["desc"] = json!(check.rationale);
            compliance["standards"] = json!(standards);
            compliance["requirements"] = json!(requirements);
        }
        compliance["checks"] = json!([one]);
        compliance
    }

    /// What the finding names of roles and permissions: the role by its key, the permissions by its key and its text.
    fn permissions(&self) -> Value {
        let mut policy = json!({ "type": "role" });
        let mut words: Vec<&str> = self.key.split_whitespace().collect();
        if BY_ROLE.contains(&self.check.as_str()) && self.key != "summary" && !words.is_empty() {
            policy["uid"] = text(words.remove(0));
        }
        let text_words = [&self.title, &self.evidence].into_iter().flat_map(|text| text.split_whitespace());
        let mut named: Vec<&str> = Vec::new();
        for word in words.into_iter().chain(text_words) {
            let word = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric() && letter != '*');
            if is_permission(word) && !named.contains(&word) && named.len() < PERMISSIONS {
                named.push(word);
            }
        }
        let mut result = json!({ "policy": policy });
        if !named.is_empty() {
            result["granted_privileges"] = json!(named);
        }
        result
    }

    fn user(&self, letter: &Letter<'_>) -> Option<Value> {
        let mut user = json!({ "type_id": 4, "type": "Service" });
        if self.client.id.is_empty() && self.client.name.is_empty() {
            return None;
        }
        for (attribute, value) in [("uid", &self.client.id), ("name", &self.client.name)] {
            if !value.is_empty() {
                user[attribute] = text(value);
            }
        }
        if !letter.org.is_empty() {
            user["org"] = json!({ "name": letter.org });
        }
        Some(user)
    }

    /// What a probe sent and what came of it.
    fn proof(&self) -> Value {
        let mut proof = json!({ "data": { "check": self.check, "evidence": text(&self.evidence) } });
        if self.key.contains(" /api/") {
            proof["api"] =
                json!({ "operation": text(&self.key), "service": { "name": "Genesys Cloud Platform API" } });
        }
        proof
    }
}

/// `domain:entity:action`, with `*` for any of them.
fn is_permission(word: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || "*_-".contains(one))
    };
    let mut parts = word.split(':');
    let three = [parts.next(), parts.next(), parts.next()];
    // No time of day is one.
    parts.next().is_none()
        && three.iter().all(|part| part.is_some_and(is_name))
        && word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_that_has_a_class_of_its_own_exists() {
        for id in EXCESS.iter().chain(&BY_ROLE).chain(&PROVEN) {
            assert!(CHECKS.iter().any(|check| check.id == *id), "{id}");
        }
        assert!(BY_ROLE.iter().all(|id| EXCESS.contains(id)));
    }

    #[test]
    fn permissions_are_told_from_other_words() {
        for word in ["directory:user:delete", "*:*:*", "analytics:conversationDetail:view", "a:b:*"] {
            assert!(is_permission(word), "{word}");
        }
        for word in ["admin", "12:30:00", "a:b", "a:b:c:d", "https://x:1", ":a:b", "a::b"] {
            assert!(!is_permission(word), "{word}");
        }
    }
}
