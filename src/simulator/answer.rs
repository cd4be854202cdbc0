//! What the simulator says: answers, refusals in the platform's `ErrorBody`, and listings in pages.
//!
//! No member of any answer is ever null: what is absent is left out, because official SDKs fail on a null enumeration.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::connection::Behaviour;

/// One answer, before the server adds the headers that every answer carries.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) behaviour: Behaviour,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Json(Value),
    /// Anything else: media type and bytes.
    Raw(&'static str, Vec<u8>),
}

impl Answer {
    pub(super) fn json(status: u16, value: Value) -> Self {
        Self { content: Content::Json(value), ..Self::empty(status) }
    }

    pub(super) fn ok(value: impl Into<Value>) -> Self {
        Self::json(200, value.into())
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, content: Content::Empty, headers: Vec::new(), behaviour: Behaviour::Normal }
    }

    pub(super) fn no_content() -> Self {
        Self::empty(204)
    }

    pub(super) fn raw(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        Self { content: Content::Raw(media_type, body), ..Self::empty(status) }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(super) fn with_headers(mut self, headers: Option<(&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// The platform's way to say no: an HTTP status, a stable code and a message.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    limit: Option<(&'static str, u32)>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), limit: None, retry_after: None }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad.request", message)
    }

    pub(super) fn constraint(message: impl Into<String>) -> Self {
        Self::new(400, "constraint.validation", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "not.found", "The requested resource was not found.")
    }

    pub(super) fn conflict() -> Self {
        Self::new(
            409,
            "request.conflict",
            "The request conflicts with the current state of the target resource.",
        )
    }

    pub(super) fn no_token() -> Self {
        let message = "No authentication bearer token specified in authorization header.";
        Self::new(401, "authentication.required", message)
    }

    pub(super) fn bad_credentials() -> Self {
        Self::new(401, "bad.credentials", "Invalid login credentials.")
    }

    pub(super) fn too_large(maximum: usize) -> Self {
        let message = format!("The request is over the size limit. Maximum bytes: {maximum}");
        Self::new(413, "request.entity.too.large", message)
    }

    pub(super) fn missing_all(permissions: &[&str]) -> Self {
        let list = permissions.join(", ");
        Self::new(
            403,
            "missing.permissions",
            format!("{UNABLE} You are missing the following permission(s): [{list}]"),
        )
    }

    pub(super) fn missing_any(permissions: &[&str]) -> Self {
        let list = permissions.join(", ");
        let rule = "You must have at least one of the following permissions assigned:";
        Self::new(403, "missing.any.permissions", format!("{UNABLE} {rule} [{list}]"))
    }

    pub(super) fn missing_in_division(permission: &str) -> Self {
        let rule = "You are missing the following permission";
        let message = format!("{UNABLE} {rule} '{permission}' in the provided division(s).");
        Self::new(403, "missing.division.permission", message)
    }

    pub(super) fn out_of_scope(scopes: &[&str]) -> Self {
        let message = format!("App not authorized to use scope {}", scopes.join(", "));
        Self::new(403, "app.not.authorized.for.scope", message)
    }

    /// The product behind the operation is off.
    pub(super) fn feature_absent() -> Self {
        Self::new(403, "not.authorized", "You are not authorized to perform the requested action.")
    }

    /// Too many requests in this minute; `retry_after` in seconds.
    pub(super) fn too_many(allowed: u32, retry_after: u64) -> Self {
        let message =
            format!("Rate limit exceeded the maximum. Retry the request in [{retry_after}] seconds");
        Self {
            limit: Some(("client.credentials.token.rate.per.minute", allowed)),
            retry_after: Some(retry_after),
            ..Self::new(429, "too.many.requests.retry.after", message)
        }
    }

    /// The answer, with the id under which the platform's support would find this request.
    pub(super) fn into_answer(self, context_id: &str) -> Answer {
        let mut body = Fields::new()
            .put("message", self.message)
            .put("code", self.code)
            .put("status", self.status)
            .put("messageParams", json!({}))
            .put("contextId", context_id)
            .put("details", json!([]))
            .put("errors", json!([]));
        if let Some((key, value)) = self.limit {
            body = body.put("limit", json!({"key": key, "namespace": "platform.api", "value": value}));
        }
        let answer = Answer::json(self.status, body.into());
        match self.retry_after {
            Some(seconds) => answer.with_header("Retry-After", seconds),
            None => answer,
        }
    }
}

const UNABLE: &str = "Unable to perform the requested action.";

/// A JSON object under construction; what is absent is never written.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    pub(super) fn put_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}
