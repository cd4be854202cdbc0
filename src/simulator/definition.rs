//! The API definition that the simulator publishes at `GET /api/v2/docs/swagger`, made from the table of operations.
//!
//! Enters: what somebody added, took away and how large it shall be. Leaves: text, made once for all who ask. It is a
//! document and nothing more: what the simulator serves and refuses is decided by the table alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::operations::{self, Mode, Operation};

/// Larger ones are refused, and so is a request for one.
pub(super) const LARGEST: usize = 128 * 1024 * 1024;
/// Operations that may be added, and names taken away.
const MOST_CHANGES: usize = 10_000;

/// What differs from the table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Operations that the table does not have, or has otherwise.
    #[serde(default)]
    add: Vec<Added>,
    /// `GET /api/v2/users/{userId}`.
    #[serde(default)]
    remove: Vec<String>,
}

/// An operation as somebody adds it: anything goes, so that odd definitions can be published too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    /// `GET /api/v2/tomorrow`.
    operation: String,
    /// What stands under its method.
    describe: Value,
}

/// The definition as it is published.
#[derive(Debug, Default)]
pub(super) struct Published {
    change: Change,
    /// At least this many bytes; 0: as small as it comes.
    bytes: usize,
    text: Option<(Arc<[u8]>, String)>,
}

impl Published {
    /// Replaces what differs from the table, or says what is wrong with it.
    pub(super) fn change(&mut self, change: Change) -> Result<(), String> {
        if change.add.len().max(change.remove.len()) > MOST_CHANGES {
            return Err(format!("more than {MOST_CHANGES} changes"));
        }
        let names = change.add.iter().map(|added| &added.operation).chain(&change.remove);
        for name in names {
            if name.split_once(' ').is_none_or(|(_, path)| !path.starts_with('/')) {
                return Err(format!("{name:?}: METHOD /path is expected"));
            }
        }
        self.change = change;
        self.text = None;
        Ok(())
    }

    pub(super) fn difference(&self) -> &Change {
        &self.change
    }

    /// Asks for a size.
    pub(super) fn resize(&mut self, bytes: usize) {
        if self.bytes != bytes {
            self.bytes = bytes;
            self.text = None;
        }
    }

    /// The text and its `ETag`.
    pub(super) fn text(&mut self) -> (Arc<[u8]>, String) {
        let (change, bytes) = (&self.change, self.bytes);
        let (text, etag) = self.text.get_or_insert_with(|| {
            let text: Arc<[u8]> = swagger(change, bytes).into_bytes().into();
            let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&text)[..16]));
            (text, etag)
        });
        (Arc::clone(text), etag.clone())
    }
}

/// Swagger 2.0: every path and method, with the scopes and permissions that each needs; in shape and, if asked for, in
/// size like the platform's own.
fn swagger(change: &Change, bytes: usize) -> String {
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for operation in operations::all() {
        let name = format!("{} {}", operation.method, operation.path);
        if !change.remove.contains(&name) {
            let methods = paths.entry(operation.path).or_default();
            methods.insert(operation.method.to_lowercase(), describe(operation));
        }
    }
    for added in &change.add {
        if let Some((method, path)) = added.operation.split_once(' ') {
            paths.entry(path).or_default().insert(method.to_lowercase(), added.describe.clone());
        }
    }
    let count: usize = paths.values().map(BTreeMap::len).sum();
    // Of the real one, about four fifths are what operations say of their answers.
    let answers = responses((bytes * 4 / 5).saturating_sub(1_500_000) / count.max(1));
    let head = json!({
        "swagger": "2.0",
        "info": {"title": "Genesys Cloud Platform API (simulated)", "version": "v2"},
        "schemes": ["http"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "PureCloud OAuth": {
                "type": "oauth2",
                "flow": "implicit",
                "authorizationUrl": "https://login.mypurecloud.com/authorize",
                "scopes": {"all": "All the scopes"},
            },
            "Guest Chat JWT": {"type": "apiKey", "name": "Authorization", "in": "header"},
        },
    });
    let mut text = head.to_string();
    text.pop();
    text.push_str(",\"paths\":{");
    for (at, (path, methods)) in paths.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{comma}{}:{{", json!(path));
        for (at, (method, description)) in methods.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let mut description = description.to_string();
            if description.ends_with('}') && description.len() > 2 && bytes > 0 {
                description.pop();
                let _ = write!(description, ",\"responses\":{answers}}}");
            }
            let _ = write!(text, "{comma}{}:{description}", json!(method));
        }
        text.push('}');
    }
    text.push_str("},\"definitions\":{\"ErrorBody\":{\"$ref\":\"#/definitions/ErrorBody\"}");
    let mut number = 0;
    while text.len() + 2 < bytes {
        number += 1;
        // Each refers to the next, and to itself.
        let next = number + 1;
        let _ = write!(
            text,
            ",\"Model{number}\":{{\"type\":\"object\",\"required\":[\"id\"],\"properties\":{{\"id\":{{\"type\":\
             \"string\",\"description\":\"The globally unique identifier for the object.\",\"readOnly\":true}},\
             \"parent\":{{\"$ref\":\"#/definitions/Model{number}\"}},\"next\":{{\"$ref\":\"#/definitions/Model{next}\"}},\
             \"selfUri\":{{\"type\":\"string\",\"format\":\"uri\",\"description\":\"The URI for this object\"}}}}}}"
        );
    }
    text.push_str("}}");
    text
}

/// What an operation says of its answers, in about as many bytes.
fn responses(bytes: usize) -> String {
    let mut text =
        "{\"200\":{\"description\":\"successful operation\",\"schema\":{\"$ref\":\"#/definitions/Model1\"}}"
            .to_owned();
    let mut status = 400;
    while text.len() + 300 < bytes {
        let _ = write!(
            text,
            ",\"{status}\":{{\"description\":\"The request could not be understood by the server due to malformed syntax.\
             \",\"schema\":{{\"$ref\":\"#/definitions/ErrorBody\"}},\"x-inin-error-codes\":{{\"bad.request\":\"The request \
             could not be understood by the server due to malformed syntax.\"}}}}"
        );
        status += 1;
    }
    text.push('}');
    text
}

fn describe(operation: &Operation) -> Value {
    let names = operation.path.split('/').filter_map(operations::parameter_name);
    let parameters: Vec<Value> =
        names.map(|name| json!({"name": name, "in": "path", "required": true, "type": "string"})).collect();
    let mut description = json!({ "operationId": operation_id(operation), "parameters": parameters });
    if !operation.scopes.is_empty() {
        description["security"] = json!([{"PureCloud OAuth": operation.scopes}]);
    }
    let kind = match operation.mode {
        Mode::All => "ALL",
        Mode::Any => "ANY",
        Mode::None => return description,
    };
    description["x-inin-requires-permissions"] = json!({"type": kind, "permissions": operation.permissions});
    description
}

/// Unique, and stable between versions of the table: the method and the words of the path.
fn operation_id(operation: &Operation) -> String {
    let words =
        operation.path.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let path: Vec<&str> = words.skip(2).collect();
    format!("{}_{}", operation.method.to_lowercase(), path.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(change: Change, bytes: usize) -> (Value, usize) {
        let mut published = Published::default();
        published.change(change).unwrap();
        published.resize(bytes);
        let (text, etag) = published.text();
        assert_eq!(published.text().1, etag, "it is made once");
        (serde_json::from_slice(&text).unwrap(), text.len())
    }

    #[test]
    fn the_definition_has_every_operation_under_an_id_of_its_own() {
        let (definition, _) = published(Change::default(), 0);
        let paths = definition["paths"].as_object().unwrap();
        let operations: Vec<&Value> =
            paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
        assert_eq!(operations.len(), 3321);
        let mut ids: Vec<&str> = operations.iter().map(|one| one["operationId"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3321);
        assert_eq!(
            paths["/api/v2/oauth/clients"]["get"],
            json!({
                "operationId": "get_oauth_clients",
                "parameters": [],
                "security": [{"PureCloud OAuth": ["oauth", "oauth:readonly"]}],
                "x-inin-requires-permissions": {"type": "ANY", "permissions": ["oauth:client:view"]},
            })
        );
        assert!(paths["/api/v2/oauth/scopes"]["get"].get("x-inin-requires-permissions").is_none());
    }

    #[test]
    fn it_is_as_large_as_asked_for_and_says_the_same() {
        let (definition, length) = published(Change::default(), 4_000_000);
        assert!((4_000_000..4_100_000).contains(&length), "{length}");
        let paths = definition["paths"].as_object().unwrap();
        assert!(paths["/api/v2/oauth/clients"]["get"]["responses"]["200"].is_object());
        assert!(definition["definitions"]["Model1"].is_object());
    }

    #[test]
    fn operations_come_and_go() {
        let change = json!({
            "add": [{ "operation": "GET /api/v2/tomorrow", "describe": { "x": 1 } }],
            "remove": ["GET /api/v2/oauth/scopes"],
        });
        let (definition, _) = published(serde_json::from_value(change).unwrap(), 0);
        assert_eq!(definition["paths"]["/api/v2/tomorrow"]["get"], json!({ "x": 1 }));
        assert_eq!(definition["paths"].get("/api/v2/oauth/scopes"), None);
        let wrong: Change = serde_json::from_value(json!({ "remove": ["nonsense"] })).unwrap();
        assert!(Published::default().change(wrong).unwrap_err().contains("nonsense"));
    }
}
