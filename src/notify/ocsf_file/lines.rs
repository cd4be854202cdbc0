//! A message as OCSF events.
//!
//! Enters: the stored body of a message and its id. Leaves: JSON objects, the same for the same message. Must never:
//! depend on anything else.

use chrono::DateTime;
use serde_json::{Value, json};

/// The version of OCSF that the events are of.
const VERSION: &str = "1.8.0";

/// One base event, which says what the message says. Its id is `metadata.uid`.
pub(super) fn lines(body: &Value, id: &str) -> Vec<Value> {
    let data = &body["data"];
    let time = body["timestamp"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
    // 1 informational, 2 low, 3 medium, 4 high, 5 critical; 0 unknown.
    let severity = ["info", "low", "medium", "high", "critical"]
        .iter()
        .position(|word| data["severity"].as_str() == Some(word))
        .map_or(0, |place| place + 1);
    vec![json!({
        "activity_id": 99,
        "activity_name": body["type"],
        "category_uid": 0,
        "class_uid": 0,
        "type_uid": 99,
        "severity_id": severity,
        "time": time.map_or(0, |time| time.timestamp_millis()),
        "message": data["summary"],
        "metadata": {
            "uid": id,
            "version": VERSION,
            "product": { "name": "scopewarden", "vendor_name": "scopewarden", "version": env!("CARGO_PKG_VERSION") },
        },
        "unmapped": data,
    })]
}
