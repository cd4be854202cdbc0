//! What a refusal by the platform means for the person who runs the auditor.
//!
//! Enters: status and body of an answer that is final. Leaves: an [`Error`] that says what to do next.
//! Must never: repeat text of the body. Only words that this file lists, and permission names, pass.

use serde_json::value::RawValue;

use super::{
    Endpoint, Error,
    wire::json::{Mismatch, document, object, text},
};
use crate::domain::permission::GENERAL;

/// A call to the API that was answered with anything but 200.
pub(super) fn of_call(endpoint: Endpoint, status: u16, body: &[u8]) -> Error {
    let code = field(body, "code").unwrap_or_default();
    match (status, code.as_str()) {
        (401, "ip.not.authorized") => Error::Auth {
            endpoint,
            detail: "this machine's IP address is not in the organisation's allow list (ip.not.authorized)".to_owned(),
        },
        (401, _) => Error::Auth {
            endpoint,
            detail: "the platform refused the access token (401): check that the auditor's client is active and \
                     that `region` is its organisation's"
                .to_owned(),
        },
        (403, "app.not.authorized.for.scope") => Error::Forbidden {
            endpoint,
            detail: format!(
                "the auditor's client lacks a scope (app.not.authorized.for.scope): add `{}` to it",
                endpoint.scope()
            ),
        },
        (403, "authz.policy.denied") => Error::Forbidden {
            endpoint,
            detail: "an access policy of the organisation denies it (authz.policy.denied): exempt the auditor's client"
                .to_owned(),
        },
        (403, _) => Error::Forbidden { endpoint, detail: missing_permissions(body) },
        (300..=399, _) => Error::InvalidResponse {
            endpoint,
            detail: format!(
                "answered with a redirect ({status}), which is never followed: `region` or `api_url` is not the API's"
            ),
        },
        (404, _) if endpoint == Endpoint::Definition => Error::InvalidResponse {
            endpoint,
            detail: "answered 404: this API does not publish its definition; with `definition = false` in [audit] the \
                     compiled-in table answers and this is no gap"
                .to_owned(),
        },
        (404, _) if endpoint == Endpoint::Subject => Error::NotFound {
            endpoint,
            detail: "the platform knows no such subject (404), although it lists the client".to_owned(),
        },
        (404, _) if endpoint.is_usage() => Error::NotFound {
            endpoint,
            detail: "answered 404: the platform does not offer this query here, or has dropped it".to_owned(),
        },
        (404, _) if endpoint.is_audit_log() => Error::NotFound {
            endpoint,
            detail: "answered 404: the platform does not offer this query here, or has dropped it".to_owned(),
        },
        (404, _) => Error::InvalidResponse {
            endpoint,
            detail: "answered 404: `region` or `api_url` is not the API's".to_owned(),
        },
        (500..=599, _) => Error::Server { endpoint, status },
        _ => Error::InvalidResponse { endpoint, detail: format!("answered {status}, which this call does not document") },
    }
}

fn missing_permissions(body: &[u8]) -> String {
    let permissions: Vec<String> = named_permissions(body).iter().map(|name| format!("`{name}`")).collect();
    match permissions.as_slice() {
        [] => "refused (403) without naming a permission: the product may be off in this organisation"
            .to_owned(),
        [one] => format!("permission {one} is missing (403): add it to a role of the auditor's client"),
        many => format!(
            "one of the permissions {} is missing (403): add it to a role of the auditor's client",
            many.join(", ")
        ),
    }
}

/// The permissions that a refusal names, at most ten: in brackets, or in quotes where it is about a division. Only the
/// message is sure to name them.
pub(super) fn named_permissions(body: &[u8]) -> Vec<String> {
    let message = field(body, "message").unwrap_or_default();
    let between = |open: char, close: char| {
        message.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map_or("", |(list, _)| list)
    };
    let in_brackets = between('[', ']');
    let listed = if in_brackets.is_empty() { between('\'', '\'') } else { in_brackets };
    let names = listed.split(',').map(str::trim).filter(|name| is_permission(name));
    names.take(10).map(str::to_owned).collect()
}

/// `domain:entity:action` or a general permission that is known, and nothing that could carry anything else.
fn is_permission(name: &str) -> bool {
    if GENERAL.contains(&name) {
        return true;
    }
    name.len() <= 100
        && name.split(':').count() == 3
        && name.split(':').all(|segment| !segment.is_empty())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-*".contains(&byte))
}

/// A token request that was answered with anything but 200. The answer is OAuth's own form, the platform's, or a
/// gateway's page.
pub(super) fn of_token(client_id: &str, status: u16, body: &[u8]) -> Error {
    let endpoint = Endpoint::Token;
    let described =
        field(body, "description").or_else(|| field(body, "error_description")).unwrap_or_default();
    let error = field(body, "error").unwrap_or_default();
    let detail = match (status, error.as_str(), described.as_str()) {
        (400 | 401 | 403, "invalid_client", "client not found") => format!(
            "the platform knows no client `{client_id}` (invalid_client): check `client_id` and `region`"
        ),
        (400 | 401 | 403, "invalid_client", _) => format!(
            "the platform refused the secret of client `{client_id}` (invalid_client): check the client's secret \
             and `region`"
        ),
        (400 | 401 | 403, "unauthorized_client" | "unsupported_grant_type", _) => format!(
            "client `{client_id}` may not use client credentials: give the auditor a client of that grant type"
        ),
        (400 | 401 | 403, _, _) => format!(
            "the platform refused client `{client_id}` ({status}): check that it is active, and `region`"
        ),
        (300..=399, _, _) => {
            let detail = format!(
                "answered with a redirect ({status}), which is never followed: `region` or `login_url` is not the \
                 login host's"
            );
            return Error::InvalidResponse { endpoint, detail };
        }
        (500..=599, _, _) => return Error::Server { endpoint, status },
        _ => {
            let detail = format!("answered {status}: `region` or `login_url` is not the login host's");
            return Error::InvalidResponse { endpoint, detail };
        }
    };
    Error::Auth { endpoint, detail }
}

/// A string of the body's top level; a body of another form has none.
pub(super) fn field(body: &[u8], key: &str) -> Option<String> {
    let read = |raw: &RawValue| -> Result<Option<String>, Mismatch> { object(raw)?.optional(key, text) };
    document(body).and_then(read).ok().flatten()
}
