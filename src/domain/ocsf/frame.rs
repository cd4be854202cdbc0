//! What every OCSF object of ours has: class, activity, severity, status, time, metadata, finding.
//!
//! Enters: a message's head, a class, a severity. Leaves: a JSON object to which a class adds its own. Must never: write
//! a number of an enumeration without the word that belongs to it, or an attribute that is empty.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::domain::{Severity, evidence::Digester, message::Letterhead};

/// The version of the schema that objects are written by.
pub const VERSION: &str = "1.8.0";

/// The name of the program, which is also the vendor's.
const PRODUCT: &str = "scopewarden";

/// Longest text of one attribute, in characters. Evidence is a few sentences; a name may be as long as somebody likes.
const TEXT: usize = 4_000;

/// What happened to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It opened.
    Create,
    /// It is still open.
    Update,
    /// It is over.
    Close,
}

impl Activity {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Close];

    fn number(self) -> u32 {
        match self {
            Self::Create => 1,
            Self::Update => 2,
            Self::Close => 3,
        }
    }

    /// The word for it in OCSF.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Close => "Close",
        }
    }
}

/// A class of OCSF's category 2, Findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Compliance,
    Detection,
    IamAnalysis,
}

impl Class {
    fn number(self) -> u32 {
        match self {
            Self::Compliance => 2003,
            Self::Detection => 2004,
            Self::IamAnalysis => 2008,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Compliance => "Compliance Finding",
            Self::Detection => "Detection Finding",
            Self::IamAnalysis => "IAM Analysis Finding",
        }
    }
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    New,
    Suppressed,
    Resolved,
}

impl Standing {
    fn pair(self) -> (u32, &'static str) {
        match self {
            Self::New => (1, "New"),
            Self::Suppressed => (3, "Suppressed"),
            Self::Resolved => (4, "Resolved"),
        }
    }
}

/// What a message says of itself.
#[derive(Clone, Debug)]
pub(super) struct Letter<'a> {
    pub(super) org: &'a str,
    pub(super) audit: &'a str,
    pub(super) chain_head: String,
    pub(super) at: DateTime<Utc>,
    pub(super) link: &'a str,
    /// The type of the message.
    pub(super) code: &'a str,
}

impl<'a> Letter<'a> {
    /// The head of a message that is not made.
    pub(super) fn of(head: &Letterhead<'a>, code: &'a str) -> Self {
        let Letterhead { org, audit, chain_head, at, link } = *head;
        Self { org, audit, chain_head: chain_head.to_string(), at, link, code }
    }

    /// Reads the head of a message's body.
    pub(super) fn read(body: &'a Value) -> Option<Self> {
        let code = body["type"].as_str()?;
        let at = DateTime::parse_from_rfc3339(body["timestamp"].as_str()?).ok()?.to_utc();
        let word = |name: &str| body["data"][name].as_str().unwrap_or_default();
        let (org, audit, chain_head) = (word("org"), word("audit"), word("chain_head").to_owned());
        Some(Self { org, audit, chain_head, at, link: word("link"), code })
    }

    /// The same for the same parts in the same organisation and audit, whoever asks.
    pub(super) fn uid(&self, parts: &[&str]) -> String {
        let mut digester = Digester::default();
        for part in [self.org, self.audit].iter().chain(parts) {
            digester.part(part.as_bytes());
        }
        digester.finish().to_string()[..32].to_owned()
    }
}

/// What distinguishes one object from another of its class.
pub(super) struct Frame<'a> {
    pub(super) class: Class,
    pub(super) activity: Activity,
    pub(super) severity: Option<Severity>,
    pub(super) standing: Standing,
    /// This object's own id.
    pub(super) uid: String,
    pub(super) title: &'a str,
}

impl Frame<'_> {
    /// The object with everything but what its class adds. `info`: more of the finding; its `uid` is its identity.
    pub(super) fn object(&self, letter: &Letter<'_>, mut info: Value) -> Map<String, Value> {
        let (class, activity) = (self.class, self.activity);
        let (severity_id, severity) = severity(self.severity);
        let (status_id, status) = self.standing.pair();
        info["title"] = text(self.title);
        info["data_sources"] = json!(["Genesys Cloud"]);
        if letter.link.starts_with("https://") || letter.link.starts_with("http://") {
            info["src_url"] = json!(letter.link);
        }
        let object = json!({
            "category_uid": 2,
            "category_name": "Findings",
            "class_uid": class.number(),
            "class_name": class.name(),
            "activity_id": activity.number(),
            "activity_name": activity.as_str(),
            "type_uid": class.number() * 100 + activity.number(),
            "type_name": format!("{}: {}", class.name(), activity.as_str()),
            "severity_id": severity_id,
            "severity": severity,
            "status_id": status_id,
            "status": status,
            "time": letter.at.timestamp_millis(),
            "message": text(self.title),
            "metadata": self.metadata(letter),
            "finding_info": info,
        });
        match object {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn metadata(&self, letter: &Letter<'_>) -> Value {
        let mut metadata = json!({
            "version": VERSION,
            "product": { "name": PRODUCT, "vendor_name": PRODUCT, "version": env!("CARGO_PKG_VERSION") },
            "uid": self.uid,
            "event_code": letter.code,
            "log_name": PRODUCT,
            "original_time": letter.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        for (name, value) in [("tenant_uid", letter.org), ("correlation_uid", letter.audit)] {
            if !value.is_empty() {
                metadata[name] = json!(value);
            }
        }
        if !letter.chain_head.is_empty() {
            metadata["tags"] = json!([{ "name": "chain_head", "value": letter.chain_head }]);
        }
        metadata
    }
}

/// The number and the word of a severity.
pub(super) fn severity(severity: Option<Severity>) -> (u32, &'static str) {
    match severity {
        None => (0, "Unknown"),
        Some(Severity::Info) => (1, "Informational"),
        Some(Severity::Low) => (2, "Low"),
        Some(Severity::Medium) => (3, "Medium"),
        Some(Severity::High) => (4, "High"),
        Some(Severity::Critical) => (5, "Critical"),
    }
}

/// A text, cut if somebody made it very long.
pub(super) fn text(text: &str) -> Value {
    match text.char_indices().nth(TEXT) {
        None => json!(text),
        Some((end, _)) => json!(format!("{}\u{2026}", &text[..end])),
    }
}

/// Something that a finding is about; `None` without id and name.
pub(super) fn resource(
    kind: &str,
    id: &str,
    name: &str,
    org: &str,
    (role_id, role): (u32, &str),
) -> Option<Value> {
    let mut resource = json!({ "type": kind, "role_id": role_id, "role": role });
    if id.is_empty() && name.is_empty() {
        return None;
    }
    for (attribute, value) in [("uid", id), ("name", name), ("namespace", org)] {
        if !value.is_empty() {
            resource[attribute] = text(value);
        }
    }
    Some(resource)
}

/// What the finding is about.
pub(super) const AFFECTED: (u32, &str) = (3, "Affected");
/// What was changed.
pub(super) const TARGET: (u32, &str) = (1, "Target");

/// The ids of resources, for those who search by them.
pub(super) fn observables(resources: &[Value]) -> Vec<Value> {
    let ids = resources.iter().filter_map(|resource| resource["uid"].as_str());
    ids.map(|id| json!({ "name": "resources[].uid", "type_id": 10, "type": "Resource UID", "value": id }))
        .collect()
}
