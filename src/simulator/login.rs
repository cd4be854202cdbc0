//! The token endpoint, `POST /oauth/token`. Its errors are OAuth's, not the platform's `ErrorBody`.
//!
//! Enters: a client's id and secret, in a Basic header or in the form. Leaves: a token for client credentials.

use std::time::{Duration, Instant};

use serde_json::json;
use url::form_urlencoded;

use super::answer::Answer;
use super::call::Request;
use super::server::World;

/// Grant types that exist on the platform but need a person or an identity provider.
const INTERACTIVE: [&str; 4] =
    ["authorization_code", "refresh_token", "password", "urn:ietf:params:oauth:grant-type:saml2-bearer"];
const A_DAY: u64 = 86_400;

/// Issues a token, or says why not in OAuth's words.
pub(super) fn issue_token(world: &mut World, request: &Request<'_>, now: Instant) -> Answer {
    let form = form_urlencoded::parse(request.body);
    let form: Vec<(String, String)> = form.into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    match field("grant_type").as_deref() {
        None => return refuse(400, "invalid_request", "grant_type is missing"),
        Some("client_credentials") => {}
        Some(kind) if INTERACTIVE.contains(&kind) => {
            return refuse(400, "unsupported_grant_type", "this simulator has nobody who could sign in");
        }
        Some(_) => return refuse(400, "unsupported_grant_type", "grant type is not supported"),
    }
    let Ok(basic) = basic_credentials(request) else {
        return refuse(400, "invalid_request", "the authorization header is malformed");
    };
    let in_form = || Some((field("client_id")?, field("client_secret").unwrap_or_default()));
    let Some((id, secret)) = basic.or_else(in_form) else {
        return refuse(401, "invalid_client", "authentication failed");
    };
    let Some(client) = world.organisation.clients.get(&id) else {
        return refuse(400, "invalid_client", "client not found");
    };
    if client.secret != secret {
        return refuse(401, "invalid_client", "authentication failed");
    }
    if client.grant_type != "CLIENT-CREDENTIALS" {
        return refuse(400, "unauthorized_client", "client may not use this grant type");
    }
    if client.state != "active" {
        return refuse(400, "unauthorized_client", &format!("client is {}", client.state));
    }
    let asked: Option<Vec<String>> =
        field("scope").map(|text| text.split_ascii_whitespace().map(str::to_owned).collect());
    let asked = asked.filter(|scopes| !scopes.is_empty());
    let own = client.scope.clone().unwrap_or_default();
    let everything = own.iter().any(|scope| scope == "all");
    if let Some(scope) = asked.iter().flatten().find(|scope| !everything && !own.contains(scope)) {
        return refuse(
            world.settings.invalid_scope_status,
            "invalid_scope",
            &format!("client does not have the scope {scope}"),
        );
    }
    let seconds = client.token_validity.and_then(|validity| u64::try_from(validity).ok()).unwrap_or(A_DAY);
    let token = world.tokens.issue(&id, asked.clone(), Duration::from_secs(seconds), now);
    let mut body = json!({"access_token": token, "token_type": "bearer", "expires_in": seconds});
    if let Some(scopes) = asked {
        body["scope"] = scopes.join(" ").into();
    }
    Answer::ok(body).with_header("Cache-Control", "no-store")
}

/// OAuth's error; live bodies have been seen with the text under either name, so both are there.
fn refuse(status: u16, error: &str, description: &str) -> Answer {
    let body = json!({"error": error, "description": description, "error_description": description});
    Answer::json(status, body)
}

/// Id and secret of `Authorization: Basic …`; `Ok(None)` without such a header.
fn basic_credentials(request: &Request<'_>) -> Result<Option<(String, String)>, ()> {
    let Some(header) = request.headers.get("authorization") else { return Ok(None) };
    let (scheme, encoded) = header.to_str().map_err(|_| ())?.split_once(' ').ok_or(())?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(());
    }
    let bytes = decode_base64(encoded.trim()).ok_or(())?;
    let text = String::from_utf8(bytes).map_err(|_| ())?;
    let (id, secret) = text.split_once(':').ok_or(())?;
    Ok(Some((id.to_owned(), secret.to_owned())))
}

/// RFC 4648 base64; padding may be left out. `None` for anything else.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode_base64;

    #[test]
    fn base64_of_the_standard_is_understood() {
        // The vectors of RFC 4648, section 10.
        for (encoded, decoded) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYg", "foob"),
        ] {
            assert_eq!(decode_base64(encoded).as_deref(), Some(decoded.as_bytes()), "{encoded}");
        }
        for wrong in ["Zm9v!", "Zm 9v", "Zm=9v", "é"] {
            assert_eq!(decode_base64(wrong), None, "{wrong}");
        }
    }
}
