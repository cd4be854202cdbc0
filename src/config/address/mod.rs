//! Which URLs are acceptable: for ourselves, for the platform, for receivers.
//!
//! Enters: text of a configuration. Leaves: a checked URL, or a refusal that shows no credentials.
//! Must never: resolve a name. What a name resolves to is checked with [`refusal`] when it is dialled.

mod reach;

use std::net::Ipv4Addr;

use url::{Host, Url};

pub use self::reach::{host_refusal, refusal};
use super::{
    SecretUrl,
    problem::{Refusal, quoted},
};

/// `[server] external_url`: where people's browsers reach us. Ends with `/`, so that links can be joined to it.
pub(super) fn external_url(text: &str) -> Result<Url, Refusal> {
    web_url(text).and_then(base).map_err(|reason| Refusal { value: shown(text), reason })
}

/// `login_url` and `api_url`: HTTPS, since a secret travels there. Ends with `/`.
pub(super) fn platform_url(text: &str) -> Result<Url, Refusal> {
    web_url(text)
        .and_then(base)
        .and_then(|url| reachable(url, false))
        .map_err(|reason| Refusal { value: shown(text), reason })
}

/// A receiver's URL. Its path and query may be the secret, so that messages show the origin at most.
pub(super) fn receiver_url(text: &str, deny_private: bool) -> Result<SecretUrl, Refusal> {
    let url = web_url(text).map_err(Refusal::hidden)?;
    let origin = url.origin().ascii_serialization();
    reachable(url, deny_private).map(SecretUrl::new).map_err(|reason| Refusal::of(&origin, reason))
}

/// Where an Alertmanager is. In an operator's own network it often speaks plain http, and what it is told is no secret.
pub(super) fn alertmanager_url(text: &str, deny_private: bool) -> Result<Url, Refusal> {
    let url = web_url(text).map_err(Refusal::hidden)?;
    let origin = url.origin().ascii_serialization();
    if url.query().is_some() {
        return Err(Refusal::of(&origin, "must not have a query (the part after ?)"));
    }
    match host_refusal(&url, deny_private) {
        Some(reason) => Err(Refusal::of(&origin, reason)),
        None => Ok(url),
    }
}

/// Whether nobody on the way can read what goes there: HTTPS, or it never leaves this machine.
pub(super) fn is_private_by_transport(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Whether the host is this machine, by its name or its address.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => {
            v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4: Ipv4Addr| v4.is_loopback())
        }
        None => false,
    }
}

/// A proxy's URL, which may hold a user name and a password; plain http is usual there. Never shown but for its origin.
pub(super) fn proxy_url(text: &str) -> Result<SecretUrl, Refusal> {
    const FORM: &str = "write http://host:port or https://host:port";
    let url = Url::parse(text).map_err(|error| Refusal::hidden(format!("is not a URL ({error}); {FORM}")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Refusal::hidden(format!("is not a proxy over http or https; {FORM}")));
    }
    let origin = url.origin().ascii_serialization();
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::of(&origin, format!("has something behind the port; {FORM}")));
    }
    match host_refusal(&url, false) {
        Some(reason) => Err(Refusal::of(&origin, reason)),
        None => Ok(SecretUrl::new(url)),
    }
}

/// The text, unless it may carry credentials.
fn shown(text: &str) -> Option<String> {
    (!text.contains(['@', '?'])).then(|| quoted(text))
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("is not a URL ({error}); write it whole, as https://host/path"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("has the scheme {}; only https is spoken", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (the part after #)".to_owned());
    }
    Ok(url)
}

fn base(mut url: Url) -> Result<Url, String> {
    if url.query().is_some() {
        return Err("must not have a query (the part after ?)".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Checks how and where `url` goes.
fn reachable(url: Url, deny_private: bool) -> Result<Url, String> {
    if let Some(reason) = host_refusal(&url, deny_private) {
        return Err(reason.to_owned());
    }
    if !is_private_by_transport(&url) {
        return Err("is plain http, which only a loopback host may use; write https://".to_owned());
    }
    Ok(url)
}
