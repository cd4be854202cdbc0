//! What a client's tokens tell: how long they live, how large they are, what asking for scopes changes.
//!
//! Enters: answers of the token endpoint and of one operation asked with two tokens. Leaves: sentences for a person.
//! Must never: hold a token, or judge a client. What the platform does about scopes of client credentials is not
//! documented, so whatever it does is noted, and nothing of it is a finding.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::inventory::Client;

/// The lifetime of a token whose client names none, in seconds.
const DEFAULT_LIFETIME_S: i64 = 86_400;

/// What was asked of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenCheck {
    /// A token without naming scopes.
    Plain,
    /// A token with scopes that the client has.
    ScopesWithin,
    /// A token with a scope that the client does not have.
    ScopesOutside,
    /// One operation, with a token of all scopes and with one whose scopes do not cover it.
    Narrowed,
}

impl TokenCheck {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::ScopesWithin => "scopes_within",
            Self::ScopesOutside => "scopes_outside",
            Self::Narrowed => "narrowed",
        }
    }
}

/// What came of one check, in the JSON shape that users see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenNote {
    /// What was asked.
    pub check: TokenCheck,
    /// The operation that was asked with two tokens; absent: the token endpoint was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The HTTP status; absent if no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The endpoint's word for a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The scopes that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// How long the token lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<u64>,
    /// Bytes of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_bytes: Option<usize>,
    /// One or two sentences for a person.
    pub explanation: String,
}

/// What is to be asked for beyond the plain token: scopes within, and one outside, where there are any.
pub fn scopes_to_ask(
    client: &Client,
    wanted: &[String],
    all: impl IntoIterator<Item = impl Into<String>>,
) -> (Vec<String>, Option<String>) {
    // A scope holds its read-only form; to ask for that is not to ask for more.
    let whole =
        |scope: &str| scope.strip_suffix(":readonly").is_some_and(|whole| client.scopes.contains(whole));
    let has = |scope: &String| client.scopes.contains(scope) || client.scopes.contains("all") || whole(scope);
    let within: Vec<String> = if wanted.is_empty() {
        client.scopes.iter().filter(|scope| *scope != "all").cloned().collect()
    } else {
        wanted.iter().filter(|scope| has(scope)).cloned().collect()
    };
    // The first that it does not have; nobody can lack a scope who has all of them.
    let names: BTreeSet<String> = all.into_iter().map(Into::into).collect();
    (within, names.into_iter().find(|scope| !has(scope)))
}

/// A token that was issued, against what the client's record says.
pub fn issued(lifetime_s: Option<u64>, configured_s: Option<i64>) -> String {
    let wanted = configured_s.unwrap_or(DEFAULT_LIFETIME_S);
    match lifetime_s {
        None => "The platform issued a token and does not say how long it lives.".to_owned(),
        Some(given) if i64::try_from(given) == Ok(wanted) => {
            format!("The platform issued a token for {given} s, as the client's record says.")
        }
        Some(given) => {
            format!("The platform issued a token for {given} s, where the client's record says {wanted} s.")
        }
    }
}

/// What asking for scopes came to.
pub fn scoped(check: TokenCheck, status: Option<u16>, code: Option<&str>) -> String {
    let said = match (status, code) {
        (Some(status), Some(code)) => format!("{status} {code}"),
        (Some(status), None) => status.to_string(),
        (None, Some(code)) => code.to_owned(),
        (None, None) => "no answer".to_owned(),
    };
    match (check, status) {
        (TokenCheck::ScopesOutside, Some(200)) => {
            "A scope that the client does not have was asked for, and a token was issued all the same: the token \
             endpoint does not hold the client to its scopes."
                .to_owned()
        }
        (TokenCheck::ScopesOutside, Some(400 | 401 | 403)) => {
            format!("A scope that the client does not have was refused at the token endpoint ({said}).")
        }
        (_, Some(200)) => "Scopes that the client has were granted.".to_owned(),
        (_, Some(400 | 401 | 403)) => format!("Scopes that the client has were refused ({said})."),
        _ => format!("The token endpoint said neither yes nor no ({said})."),
    }
}

/// One operation that the client's roles allow, asked with a token of all its scopes (`whole`) and with one whose scopes
/// do not cover it (`narrow`).
pub fn narrowed(whole: Option<u16>, narrow: Option<u16>, code: Option<&str>) -> String {
    match (whole, narrow) {
        (Some(401), _) | (_, Some(401)) => {
            "One of the tokens was not accepted (401), so nothing is known of scopes: a 401 says that the platform does \
             not know who asks, a 403 that it does and refuses."
                .to_owned()
        }
        (Some(403), _) => "The operation was refused with all scopes too, so nothing is known of scopes.".to_owned(),
        (Some(whole), Some(403)) if let_through(whole) => format!(
            "The operation was refused with the narrower token alone (403 {}): scopes bind this client.",
            code.unwrap_or("without a code")
        ),
        (Some(one), Some(other)) if one == other && let_through(one) => {
            format!("Both tokens were answered alike ({one}): scopes do not bind this client.")
        }
        _ => "The two answers do not tell whether scopes bind this client.".to_owned(),
    }
}

/// Whether a status says that the question got past the check of scopes. A limit and a fault say nothing of it.
fn let_through(status: u16) -> bool {
    matches!(status, 200..=299 | 404 | 410)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::client;

    #[test]
    fn scopes_within_and_outside_are_chosen_from_what_the_client_has() {
        let all = ["alerting", "routing", "users"];
        let holder = client("c").scope("routing");
        assert_eq!(
            scopes_to_ask(&holder, &[], all),
            (vec!["routing".to_owned()], Some("alerting".to_owned()))
        );
        // Of what the contract wants, only what the client has is within.
        let wanted = ["users".to_owned(), "routing".to_owned()];
        assert_eq!(scopes_to_ask(&holder, &wanted, all).0, ["routing"]);
        // The read-only form of a scope that it has is within, so it is not what is asked for from outside.
        let forms = ["routing:readonly", "users"];
        let reader = ["routing:readonly".to_owned()];
        assert_eq!(scopes_to_ask(&holder, &reader, forms), (reader.to_vec(), Some("users".to_owned())));
        let everything = client("c").scope("all");
        assert_eq!(scopes_to_ask(&everything, &wanted, all), (wanted.to_vec(), None));
        assert_eq!(scopes_to_ask(&client("c"), &[], all), (Vec::new(), Some("alerting".to_owned())));
    }

    #[test]
    fn whatever_the_endpoint_says_is_noted() {
        assert!(issued(Some(300), Some(300)).ends_with("as the client's record says."));
        assert!(issued(Some(86_400), None).ends_with("as the client's record says."));
        assert!(issued(Some(300), Some(600)).ends_with("says 600 s."));
        let outside = |status, code| scoped(TokenCheck::ScopesOutside, status, code);
        assert!(outside(Some(400), Some("invalid_scope")).contains("(400 invalid_scope)"));
        assert!(outside(Some(401), None).contains("refused at the token endpoint (401)"));
        assert!(outside(Some(200), None).contains("does not hold the client to its scopes"));
        assert!(outside(Some(503), None).contains("neither yes nor no (503)"));
        assert!(scoped(TokenCheck::ScopesWithin, Some(200), None).contains("were granted"));
    }

    #[test]
    fn two_tokens_tell_whether_scopes_bind() {
        assert!(narrowed(Some(404), Some(403), Some("app.not.authorized.for.scope")).contains("scopes bind"));
        assert!(narrowed(Some(404), Some(404), None).contains("do not bind"));
        assert!(narrowed(Some(403), Some(403), None).contains("nothing is known"));
        assert!(narrowed(Some(401), Some(403), None).contains("does not know who asks"));
        assert!(narrowed(Some(404), None, None).contains("do not tell"));
        // A fault that both met, or that the first one met, is no answer.
        for status in [429, 500, 503, 400] {
            assert!(narrowed(Some(status), Some(status), None).contains("do not tell"), "{status}");
            assert!(narrowed(Some(status), Some(403), None).contains("do not tell"), "{status}");
        }
    }
}
