//! `[[receiver]]`: where alerts are sent, and with which signature.
//!
//! Enters: a section. Leaves: a [`Receiver`]. Must never: show more of its URL than the origin.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::{
    Receiver, SecretUrl, address,
    org::{Names, unique_name},
    problem::{Refusal, did_you_mean},
    proxy, route, secret,
    section::Section,
};

/// The kinds that there will be; only the first is there yet.
const KINDS: [&str; 6] = ["webhook", "alertmanager", "slack", "teams", "pagerduty", "ocsf-file"];

impl Receiver {
    /// `checks`: the ids that a route may name.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        names: &mut Names,
        checks: &[&str],
        directory: &Path,
    ) -> Option<Self> {
        let name = unique_name(section, names);
        if section.required("kind", "write kind = \"webhook\"", kind).is_none() {
            // What the other keys should be depends on the kind.
            section.ignore_rest();
            return None;
        }
        let deny_private = section.flag("deny_private").unwrap_or(false);
        let url = url(section, directory, deny_private);
        let proxy = proxy::read(section, directory);
        let secret = signing_secret(section, directory);
        let route = route::read(section, checks);
        Some(Self { name: name?, url: url?, secret: secret?.into(), route, deny_private, proxy })
    }
}

fn kind(kind: &str) -> Result<(), Refusal> {
    if kind == KINDS[0] {
        Ok(())
    } else if KINDS.contains(&kind) {
        Err(Refusal::of(kind, "is not available in this version; only \"webhook\" is"))
    } else {
        Err(Refusal::of(kind, format!("is not a kind of receiver{}", did_you_mean(kind, KINDS))))
    }
}

fn url(section: &mut Section<'_, '_>, directory: &Path, deny_private: bool) -> Option<SecretUrl> {
    let key = section.exactly_one(&["url", "url_file", "url_env", "url_credential"])?;
    let parse = |text: &str| address::receiver_url(text, deny_private);
    if key == "url" {
        return section.text(key, parse);
    }
    let text = secret::fetch(section, key, directory)?;
    section.accept(key, parse(text.expose_secret()))
}

fn signing_secret(section: &mut Section<'_, '_>, directory: &Path) -> Option<SecretString> {
    let key = secret::place(section, "secret", ["secret_file", "secret_env", "secret_credential"])?;
    let secret = secret::fetch(section, key, directory)?;
    section.accept(key, secret::signing_secret(secret))
}
