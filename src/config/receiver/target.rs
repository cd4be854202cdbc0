//! What a receiver is: its kind, and what that kind has to know.
//!
//! Enters: a section whose kind is known. Leaves: a [`Target`]. Must never: take a secret from the file itself (and the
//! URLs of Slack and Teams are secrets), or a URL that is known to be dead.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::super::{Secret, SecretUrl, address, problem::Refusal, secret, section::Section, settings::size};

/// The most peers of one Alertmanager.
const MOST_PEERS: usize = 10;
/// Where `PagerDuty` takes events, unless told otherwise.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// What is added to the address of an Alertmanager.
const ALERTS_PATH: &str = "api/v2/alerts";
/// A file of less than this would rotate at nearly each message, bytes.
const LEAST_ROTATE: u64 = 64 * 1024;
/// More than anybody reads, bytes.
const MOST_ROTATE: u64 = 100 << 30;
/// What a file may grow to unless told otherwise, bytes.
const ROTATE: u64 = 64 << 20;

/// What a receiver is, and where.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Signed messages by Standard Webhooks.
    Webhook {
        /// Where to post; may itself be a secret, so it is never logged whole.
        url: SecretUrl,
        /// The signing secret, `whsec_…`.
        secret: Secret,
        /// While secrets are changed: the one before, which signs as well.
        previous: Option<Secret>,
    },
    /// What is open, told again and again to each peer of an Alertmanager.
    Alertmanager {
        /// Where each peer takes alerts (`…/api/v2/alerts`); at least one.
        peers: Vec<SecretUrl>,
        /// How to sign in.
        access: Access,
    },
    /// A Slack incoming webhook.
    Slack {
        /// Where to post; the URL is the secret.
        url: SecretUrl,
    },
    /// A workflow of Microsoft Teams that posts what it gets.
    Teams {
        /// Where to post; the URL holds the secret.
        url: SecretUrl,
    },
    /// `PagerDuty`'s Events API, version 2.
    PagerDuty {
        /// Where to post.
        url: SecretUrl,
        /// The integration's key.
        routing_key: Secret,
    },
    /// A file of OCSF events, one JSON object a line.
    OcsfFile {
        /// The file.
        path: PathBuf,
        /// It is set aside before it grows beyond this, bytes.
        rotate_bytes: u64,
        /// How many that were set aside are kept.
        keep: u32,
    },
}

/// How to sign in at an Alertmanager (at the proxy before it, most often).
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Nobody asks.
    Open,
    /// With a user name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// With a token.
    Bearer(Secret),
}

impl Target {
    /// Every kind, as `kind` spells it.
    pub const KINDS: [&str; 6] = ["webhook", "alertmanager", "slack", "teams", "pagerduty", "ocsf-file"];

    /// Its kind, as `kind` spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Alertmanager { .. } => "alertmanager",
            Self::Slack { .. } => "slack",
            Self::Teams { .. } => "teams",
            Self::PagerDuty { .. } => "pagerduty",
            Self::OcsfFile { .. } => "ocsf-file",
        }
    }

    /// Whether it gets each message once, from the outbox. An Alertmanager does not: it is told what is open.
    pub fn takes_messages(&self) -> bool {
        !matches!(self, Self::Alertmanager { .. })
    }

    pub(super) fn read(
        section: &mut Section<'_, '_>,
        kind: &str,
        directory: &Path,
        deny_private: bool,
    ) -> Option<Self> {
        match kind {
            "webhook" => webhook(section, directory, deny_private),
            "alertmanager" => alertmanager(section, directory, deny_private),
            "slack" => {
                let url = secret_url(section, directory, deny_private, slack_url)?;
                Some(Self::Slack { url })
            }
            "teams" => {
                let url = secret_url(section, directory, deny_private, teams_url)?;
                Some(Self::Teams { url })
            }
            "pagerduty" => pagerduty(section, directory, deny_private),
            _ => ocsf_file(section, directory),
        }
    }
}

/// Keys that belong to some kinds only, and to which.
const KEYS: [(&str, &[&str]); 33] = [
    ("url", &["webhook", "alertmanager", "slack", "teams", "pagerduty"]),
    ("url_file", &["webhook", "slack", "teams"]),
    ("url_env", &["webhook", "slack", "teams"]),
    ("url_credential", &["webhook", "slack", "teams"]),
    ("urls", &["alertmanager"]),
    ("secret", &["webhook"]),
    ("secret_file", &["webhook"]),
    ("secret_env", &["webhook"]),
    ("secret_credential", &["webhook"]),
    ("previous_secret", &["webhook"]),
    ("previous_secret_file", &["webhook"]),
    ("previous_secret_env", &["webhook"]),
    ("previous_secret_credential", &["webhook"]),
    ("username", &["alertmanager"]),
    ("password_file", &["alertmanager"]),
    ("password_env", &["alertmanager"]),
    ("password_credential", &["alertmanager"]),
    ("token_file", &["alertmanager"]),
    ("token_env", &["alertmanager"]),
    ("token_credential", &["alertmanager"]),
    ("routing_key", &["pagerduty"]),
    ("routing_key_file", &["pagerduty"]),
    ("routing_key_env", &["pagerduty"]),
    ("routing_key_credential", &["pagerduty"]),
    ("path", &["ocsf-file"]),
    ("rotate_bytes", &["ocsf-file"]),
    ("keep", &["ocsf-file"]),
    // An Alertmanager gets no messages.
    ("heartbeat", &["webhook", "slack", "teams", "pagerduty", "ocsf-file"]),
    ("deny_private", &["webhook", "alertmanager", "slack", "teams", "pagerduty"]),
    ("proxy", &["webhook", "alertmanager", "slack", "teams", "pagerduty"]),
    ("proxy_file", &["webhook", "alertmanager", "slack", "teams", "pagerduty"]),
    ("proxy_env", &["webhook", "alertmanager", "slack", "teams", "pagerduty"]),
    ("proxy_credential", &["webhook", "alertmanager", "slack", "teams", "pagerduty"]),
];

/// A key of another kind is refused with the kinds that it belongs to.
pub(super) fn refuse_keys_of_others(section: &mut Section<'_, '_>, kind: &str) {
    for (key, kinds) in KEYS {
        if !kinds.contains(&kind) {
            let belongs = kinds.join(", ");
            section.forbid(key, &format!("means nothing to kind = \"{kind}\"; it belongs to {belongs}"));
        }
    }
}

fn webhook(section: &mut Section<'_, '_>, directory: &Path, deny_private: bool) -> Option<Target> {
    let url = plain_or_secret_url(section, directory, deny_private);
    let secret =
        signing_secret(section, "secret", ["secret_file", "secret_env", "secret_credential"], directory);
    let places = ["previous_secret_file", "previous_secret_env", "previous_secret_credential"];
    let is_rotating =
        section.holds("previous_secret") || places.map(|key| section.holds(key)).contains(&true);
    let previous = if is_rotating {
        Some(signing_secret(section, "previous_secret", places, directory)?.into())
    } else {
        None
    };
    Some(Target::Webhook { url: url?, secret: secret?.into(), previous })
}

fn plain_or_secret_url(
    section: &mut Section<'_, '_>,
    directory: &Path,
    deny_private: bool,
) -> Option<SecretUrl> {
    let key = section.exactly_one(&["url", "url_file", "url_env", "url_credential"])?;
    let parse = |text: &str| address::receiver_url(text, deny_private);
    if key == "url" {
        return section.text(key, parse);
    }
    let text = secret::fetch(section, key, directory)?;
    section.accept(key, parse(text.expose_secret()))
}

fn signing_secret(
    section: &mut Section<'_, '_>,
    inline: &'static str,
    places: [&'static str; 3],
    directory: &Path,
) -> Option<SecretString> {
    let key = secret::place(section, inline, places)?;
    let secret = secret::fetch(section, key, directory)?;
    section.accept(key, secret::signing_secret(secret))
}

/// A URL that is a secret: from a file, a variable or a credential.
fn secret_url(
    section: &mut Section<'_, '_>,
    directory: &Path,
    deny_private: bool,
    judge: fn(SecretUrl) -> Result<SecretUrl, Refusal>,
) -> Option<SecretUrl> {
    let key = secret::place(section, "url", ["url_file", "url_env", "url_credential"])?;
    let text = secret::fetch(section, key, directory)?;
    section.accept(key, address::receiver_url(text.expose_secret(), deny_private).and_then(judge))
}

/// Whoever knows the path may post, so it is more than an origin. Other hosts speak Slack's language too.
fn slack_url(url: SecretUrl) -> Result<SecretUrl, Refusal> {
    if url.expose().path() == "/" {
        return Err(Refusal::of(
            &url.to_string(),
            "has no path; an incoming webhook of Slack is https://hooks.slack.com/services/…",
        ));
    }
    Ok(url)
}

fn teams_url(url: SecretUrl) -> Result<SecretUrl, Refusal> {
    let host = url.expose().host_str().unwrap_or_default().trim_end_matches('.').to_owned();
    let is_under = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    if is_under("webhook.office.com") || is_under("outlook.office.com") || is_under("outlook.office365.com") {
        return Err(Refusal::of(
            &url.to_string(),
            "is an Office 365 connector, which Microsoft has retired; in the channel's Workflows choose \"Post to a \
             channel when a webhook request is received\" and use the URL that it gives",
        ));
    }
    let is_expected = is_under("logic.azure.com") || is_under("environment.api.powerplatform.com");
    if is_expected || address::is_loopback(url.expose()) {
        return Ok(url);
    }
    Err(Refusal::of(
        &url.to_string(),
        "is not the address of a workflow; its host ends with .logic.azure.com or .environment.api.powerplatform.com",
    ))
}

fn alertmanager(section: &mut Section<'_, '_>, directory: &Path, deny_private: bool) -> Option<Target> {
    let peers = match section.exactly_one(&["url", "urls"]) {
        Some("url") => section.text("url", |text| peer(text, deny_private)).map(|peer| vec![peer]),
        Some(_) => section.texts("urls", MOST_PEERS, |text| peer(text, deny_private)).and_then(|peers| {
            let is_empty = peers.is_empty();
            let reason = "is empty; name each Alertmanager, as [\"https://am-1.example.com:9093\"]";
            section.accept("urls", if is_empty { Err(Refusal::hidden(reason)) } else { Ok(peers) })
        }),
        None => None,
    };
    let access = access(section, directory)?;
    let peers = peers?;
    if access != Access::Open
        && let Some(plain) = peers.iter().find(|peer| !address::is_private_by_transport(peer.expose()))
    {
        section
            .complain(format!("{plain} is plain http, and a password or a token goes there; write https://"));
        return None;
    }
    Some(Target::Alertmanager { peers, access })
}

/// The address of an Alertmanager, with a path if it was given a prefix.
fn peer(text: &str, deny_private: bool) -> Result<SecretUrl, Refusal> {
    let mut url: Url = address::alertmanager_url(text, deny_private)?;
    if !url.path().ends_with(ALERTS_PATH) {
        let path = format!("{}/{ALERTS_PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(SecretUrl::new(url))
}

fn access(section: &mut Section<'_, '_>, directory: &Path) -> Option<Access> {
    section.forbid(
        "password",
        "a password is never written into the configuration; name a file with password_file",
    );
    section.forbid("token", "a token is never written into the configuration; name a file with token_file");
    let username = section.text("username", |name| {
        let is_usable = !name.is_empty() && !name.contains(':') && !name.chars().any(char::is_control);
        if is_usable {
            Ok(name.to_owned())
        } else {
            Err(Refusal::of(name, "is no user name (it must not be empty or hold a colon)"))
        }
    });
    let keys = [
        "password_file",
        "password_env",
        "password_credential",
        "token_file",
        "token_env",
        "token_credential",
    ];
    let has_username = section.holds("username");
    let Some(key) = section.at_most_one(&keys) else {
        if has_username {
            section.complain("username needs password_file, password_env or password_credential");
            return None;
        }
        // Several are a problem already.
        return (!keys.map(|key| section.holds(key)).contains(&true)).then_some(Access::Open);
    };
    let secret: Secret = secret::fetch(section, key, directory)?.into();
    match (key.starts_with("password"), has_username) {
        (true, true) => Some(Access::Basic { username: username?, password: secret }),
        (false, false) => Some(Access::Bearer(secret)),
        (true, false) => {
            section.complain(format!("{key} needs username"));
            None
        }
        (false, true) => {
            section.complain(format!("username and {key} exclude each other: keep one"));
            None
        }
    }
}

fn pagerduty(section: &mut Section<'_, '_>, directory: &Path, deny_private: bool) -> Option<Target> {
    let url = if section.holds("url") {
        section.text("url", |text| address::receiver_url(text, deny_private))
    } else {
        address::receiver_url(PAGERDUTY, deny_private).ok()
    };
    let places = ["routing_key_file", "routing_key_env", "routing_key_credential"];
    let key = secret::place(section, "routing_key", places)
        .and_then(|key| Some((key, secret::fetch(section, key, directory)?)))
        .and_then(|(key, secret)| section.accept(key, routing_key(secret)));
    Some(Target::PagerDuty { url: url?, routing_key: key?.into() })
}

fn routing_key(key: SecretString) -> Result<SecretString, Refusal> {
    let text = key.expose_secret();
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(key)
    } else {
        Err(Refusal::hidden(
            "what it holds is not an integration key of PagerDuty's Events API v2: 32 letters and digits",
        ))
    }
}

fn ocsf_file(section: &mut Section<'_, '_>, directory: &Path) -> Option<Target> {
    let path = section.required("path", "the file that events are appended to", |path| {
        if path.is_empty() || path.ends_with('/') {
            return Err(Refusal::of(path, "is not the name of a file"));
        }
        let path = directory.join(path);
        if path.is_dir() {
            return Err(Refusal::of(&path.to_string_lossy(), "is a folder; name a file in it"));
        }
        Ok(path)
    });
    let rotate_bytes = section.text("rotate_bytes", |text| {
        let bytes = size(text)?;
        if (LEAST_ROTATE..=MOST_ROTATE).contains(&bytes) {
            Ok(bytes)
        } else {
            Err(Refusal::of(text, "is out of range: 64KiB to 100GiB are allowed"))
        }
    });
    let keep = section.number("keep", 1..=1000);
    Some(Target::OcsfFile {
        path: path?,
        rotate_bytes: rotate_bytes.unwrap_or(ROTATE),
        keep: keep.unwrap_or(10),
    })
}
