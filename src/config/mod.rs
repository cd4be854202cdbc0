//! File and environment → a checked [`Config`]. Nothing later can be "invalid config".
//!
//! Enters: a TOML file, `SCOPEWARDEN_…` variables, secret files. Leaves: a `Config`, or every problem at once.
//! Must never: open a port or the database, print a secret, or leave a default for somebody else to apply.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

use crate::domain::{ScopeEnforcement, Severity};

/// Everything that the program can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where snapshots are kept.
    pub storage: Storage,
    /// The daemon's own HTTP server.
    pub server: Server,
    /// When and how audits run.
    pub audit: Audit,
    /// The audited organisations, at least one, names unique.
    pub orgs: Vec<Org>,
    /// Where alerts go; may be empty. Names unique.
    pub receivers: Vec<Receiver>,
}

/// `[storage]`.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The `SQLite` file.
    pub path: PathBuf,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address of `/metrics`, health, API and pages. Default `127.0.0.1:9840`.
    pub listen: SocketAddr,
    /// How people reach the pages; links in alerts start with it. Default `http://{listen}`.
    pub external_url: Url,
}

/// `[audit]`.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Cron expression, seconds first, UTC, already checked (a five-field one was given its `0` second).
    pub schedule: String,
    /// An audit that takes longer is abandoned, whole. Default 10 minutes.
    pub timeout: Duration,
    /// How old the permission catalogue may get before it is read again. Default 1 hour.
    pub catalogue_max_age: Duration,
}

/// One `[[org]]`.
#[derive(Clone, Debug)]
pub struct Org {
    /// Alias used everywhere: labels, alerts, `--org`.
    pub name: String,
    /// The platform's domain (`mypurecloud.ie`), or `custom` with explicit URLs. A metric label.
    pub region: String,
    /// Base of the token endpoint.
    pub login_url: Url,
    /// Base of the API.
    pub api_url: Url,
    /// The auditor's own OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Whether the organisation enforces scopes.
    pub scope_enforcement: ScopeEnforcement,
}

/// One `[[receiver]]` of kind `webhook`.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name: labels, outbox.
    pub name: String,
    /// Where to post; may itself be a secret, so it is never logged whole.
    pub url: SecretUrl,
    /// The signing secret, `whsec_…`.
    pub secret: SecretString,
    /// Alerts below it are not sent here. Default `info` (everything).
    pub min_severity: Severity,
    /// Refuse loopback and private addresses too. Default false.
    pub deny_private: bool,
}

/// A URL that prints as its origin only: path and query may carry a token.
#[derive(Clone)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// Wraps a URL.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The whole URL, for the one place that connects to it.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}
