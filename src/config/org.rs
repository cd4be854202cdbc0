//! `[[org]]`: one audited organisation, where it is and how to sign in.
//!
//! Enters: a section. Leaves: an [`Org`] whose URLs and secret are ready for use.
//! Must never: take a secret from the file itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use secrecy::SecretString;
use url::Url;

use super::{
    Credential, Org, ProbedClient, address,
    contract::Contracts,
    problem::{Refusal, did_you_mean},
    proxy, region, secret,
    section::Section,
};
use crate::domain::ScopeEnforcement;

/// `region` of an organisation with explicit URLs.
const CUSTOM_REGION: &str = "custom";

/// The most probed clients of one organisation.
const MOST_PROBED: usize = 100;

/// Names given so far, each with the section that has it.
pub(super) type Names = BTreeMap<String, String>;

impl Org {
    pub(super) fn read(section: &mut Section<'_, '_>, names: &mut Names, directory: &Path) -> Option<Self> {
        let name = unique_name(section, names);
        let endpoints = endpoints(section);
        let client_id = section.required(
            "client_id",
            "the id of the OAuth client that scopewarden signs in with",
            client_id,
        );
        let client_secret = client_secret(section, directory);
        let proxy = proxy::read(section, directory);
        let scope_enforcement = section.text("scope_enforcement", scope_enforcement);
        let contracts = contracts(section, directory);
        let mut taken = BTreeSet::new();
        let probes = section
            .tables("probe", MOST_PROBED, |section| ProbedClient::read(section, &mut taken, directory))
            .and_then(|probes| probes.into_iter().collect::<Option<Vec<_>>>());
        let (region, login_url, api_url) = endpoints?;
        Some(Self {
            name: name?,
            region,
            login_url,
            api_url,
            client_id: client_id?,
            client_secret: client_secret?.into(),
            scope_enforcement: scope_enforcement.unwrap_or_default(),
            contracts,
            proxy,
            probes: probes?,
        })
    }
}

impl ProbedClient {
    /// `None` only beside a problem that says why.
    fn read(section: &mut Section<'_, '_>, taken: &mut BTreeSet<String>, directory: &Path) -> Option<Self> {
        let client = section.required(
            "client",
            "the client's name or id, as `scopewarden clients` shows it",
            |text| {
                let is_name = (1..=500).contains(&text.len()) && !text.chars().any(char::is_control);
                if is_name {
                    Ok(text.to_owned())
                } else {
                    Err(Refusal::of(text, "is not a client's name or id"))
                }
            },
        );
        if let Some(client) = &client
            && !taken.insert(client.clone())
        {
            section.refuse("client", Refusal::of(client, "has an [[org.probe]] already"));
        }
        let credential = credential(section, directory);
        Some(Self { client: client?, credential: credential? })
    }
}

fn credential(section: &mut Section<'_, '_>, directory: &Path) -> Option<Credential> {
    const PLACES: [&str; 3] = ["client_secret_file", "client_secret_env", "client_secret_credential"];
    let inline = "a token is never written into the configuration; put it into a file of mode 0440 and name that with \
                  token_file";
    let is_inline = section.forbid("token", inline);
    let has_secret = PLACES.map(|key| section.holds(key)).contains(&true);
    if !section.holds("token_file") {
        if is_inline && !has_secret {
            return None;
        }
        let key = secret::place(section, "client_secret", PLACES)?;
        return secret::fetch(section, key, directory).map(|secret| Credential::Secret(secret.into()));
    }
    if has_secret {
        section.complain("token_file and client_secret_… exclude each other: keep one");
        return None;
    }
    // The file is read when it is needed: whoever keeps the token may write it later, and again.
    section.text("token_file", |text| {
        let is_path = !text.is_empty() && !text.chars().any(char::is_control);
        if is_path {
            Ok(Credential::TokenFile(directory.join(text)))
        } else {
            Err(Refusal::hidden("names no file"))
        }
    })
}

/// The section's `name`, which no section before it has. It becomes a metric label and a part of ids.
pub(super) fn unique_name(section: &mut Section<'_, '_>, names: &mut Names) -> Option<String> {
    let name = section.required("name", "a short name in lower case, as \"acme\"", |name| {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if (1..=63).contains(&name.len()) && name.chars().all(is_allowed) {
            Ok(name.to_owned())
        } else {
            Err(Refusal::of(name, "is not a name: 1 to 63 of a-z, 0-9, - and _"))
        }
    })?;
    if let Some(other) = names.get(&name) {
        let refusal = Refusal::of(&name, format!("is the name of {other} already"));
        section.refuse("name", refusal);
        return None;
    }
    names.insert(name.clone(), section.path().to_owned());
    Some(name)
}

/// Region label, base of the token endpoint, base of the API.
fn endpoints(section: &mut Section<'_, '_>) -> Option<(String, Url, Url)> {
    let has_urls = section.holds("login_url") || section.holds("api_url");
    if !has_urls {
        let what = "the region, as \"mypurecloud.ie\" or \"eu-west-1\" (or set login_url and api_url)";
        let domain = section.required("region", what, region::domain)?;
        let url = |host: &str| Url::parse(&format!("https://{host}.{domain}/"));
        return Some((domain.to_owned(), url("login").ok()?, url("api").ok()?));
    }
    if section.holds("region") {
        section.complain("region and login_url, api_url exclude each other: keep the region or both URLs");
        section.text("region", region::domain);
    }
    let login = section.required("login_url", "api_url needs it", address::platform_url);
    let api = section.required("api_url", "login_url needs it", address::platform_url);
    Some((CUSTOM_REGION.to_owned(), login?, api?))
}

/// The id becomes the user name of HTTP basic authentication, which ends at the first colon.
fn client_id(id: &str) -> Result<String, Refusal> {
    if (1..=200).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic() && c != ':') {
        Ok(id.to_owned())
    } else {
        Err(Refusal::of(id, "is not the id of an OAuth client; copy it from Admin > Integrations > OAuth"))
    }
}

fn client_secret(section: &mut Section<'_, '_>, directory: &Path) -> Option<SecretString> {
    let places = ["client_secret_file", "client_secret_env", "client_secret_credential"];
    let key = secret::place(section, "client_secret", places)?;
    secret::fetch(section, key, directory)
}

/// Those of the folder that `contracts` names; none if there is no such key, or beside the problems that say why.
fn contracts(section: &mut Section<'_, '_>, directory: &Path) -> Contracts {
    let folder = section.text("contracts", |text| {
        let is_path = !text.is_empty() && !text.chars().any(char::is_control);
        if is_path { Ok(directory.join(text)) } else { Err(Refusal::of(text, "names no folder")) }
    });
    let Some(folder) = folder else { return Contracts::default() };
    let mut problems = Vec::new();
    let loaded = Contracts::load(&folder, &mut |problem| problems.push(problem));
    section.report(problems);
    section.accept("contracts", loaded).unwrap_or_default()
}

fn scope_enforcement(word: &str) -> Result<ScopeEnforcement, Refusal> {
    ScopeEnforcement::parse(word).ok_or_else(|| {
        let words = ScopeEnforcement::ALL.map(ScopeEnforcement::as_str);
        Refusal::of(word, format!("is not one of {}{}", words.join(", "), did_you_mean(word, words)))
    })
}
