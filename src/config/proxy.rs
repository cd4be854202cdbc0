//! `proxy` of an organisation or a receiver: through what it is reached, if not directly.
//!
//! Enters: a section. Leaves: the proxy's URL, credentials included, or nothing. Must never: take a password from the
//! file itself, or a proxy from `HTTP_PROXY` and its like, which nobody wrote for this program.

use std::path::Path;

use secrecy::ExposeSecret;

use super::{SecretUrl, address, problem::Refusal, secret, section::Section};

pub(super) fn read(section: &mut Section<'_, '_>, directory: &Path) -> Option<SecretUrl> {
    let key = section.at_most_one(&["proxy", "proxy_file", "proxy_env", "proxy_credential"])?;
    if key == "proxy" {
        return section.text(key, without_password);
    }
    let text = secret::fetch(section, key, directory)?;
    section.accept(key, address::proxy_url(text.expose_secret()))
}

fn without_password(text: &str) -> Result<SecretUrl, Refusal> {
    let url = address::proxy_url(text)?;
    if url.expose().username().is_empty() && url.expose().password().is_none() {
        return Ok(url);
    }
    Err(Refusal::hidden(
        "a password is never written into the configuration; put the whole URL into a file of mode 0440 and name that \
         with proxy_file (or use proxy_env or proxy_credential)",
    ))
}
