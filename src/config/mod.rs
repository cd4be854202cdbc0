//! File and environment → a checked [`Config`]. Nothing later can be "invalid config".
//!
//! Enters: a TOML file, `SCOPEWARDEN_…` variables, secret files. Leaves: a `Config`, or every problem at once.
//! Must never: open a port or the database, print a secret, or leave a default for somebody else to apply.

pub mod address;
mod check;
mod contract;
mod describe;
mod environment;
mod file;
mod org;
mod problem;
mod proxy;
mod receiver;
mod region;
mod route;
mod secret;
mod section;
mod settings;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use url::Url;

pub use self::{
    contract::{Contracts, Draft, read_list},
    describe::describe,
    environment::Environment,
    problem::{Problem, Problems},
    receiver::{Access, Target},
    route::unheard,
    secret::{Secret, read_again},
};
use self::{org::Names, problem::Refusal, section::Section};
use crate::domain::{
    ScopeEnforcement, Severity,
    checks::{
        CHECKS,
        custom::{self, CustomCheck},
    },
    contract::companion::{Companion, Companions},
    route::Route,
};

/// The most organisations; each is a value of a metric label.
const MOST_ORGS: usize = 100;

/// The most receivers.
const MOST_RECEIVERS: usize = 10;

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
    /// How long the content of snapshots is kept.
    pub retention: Retention,
    /// When backups are made and where they go; `None`: only by hand.
    pub backup: Option<Backup>,
    /// What is told together.
    pub alerts: Alerts,
    /// When and how much clients are probed, if any are.
    pub probe: Probe,
    /// The audited organisations, at least one, names unique.
    pub orgs: Vec<Org>,
    /// Where alerts go; may be empty. Names unique.
    pub receivers: Vec<Receiver>,
    /// Permissions that others are of little use without, beside those that are known already.
    pub companions: Vec<Companion>,
    /// Checks of the user's own, each with an id of its own.
    pub checks: Arc<[CustomCheck]>,
}

impl Config {
    /// Reads `file` (default: `$SCOPEWARDEN_CONFIG`, then `./scopewarden.toml`), the variables of this process and
    /// the secrets that they name. The error is every problem at once.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        Self::load_in(file, &Environment::of_process())
    }

    /// As [`Config::load`], with the environment given.
    pub fn load_in(file: Option<&Path>, environment: &Environment) -> Result<Self, Problems> {
        let (file, table) = file::open(file, environment)?;
        let (config, problems) = section::read_root(table, environment, |root| Self::read(root, file));
        Problems::unless_empty(problems, config)
    }

    /// `None` only beside a problem that says why.
    fn read(root: &mut Section<'_, '_>, file: PathBuf) -> Option<Self> {
        let directory = file.parent().unwrap_or(Path::new("")).to_owned();
        let storage = root.table("storage", |section| Storage::read(section, &directory));
        let server = root.table("server", Server::read);
        let audit = root.table("audit", Audit::read);
        let retention = root.table("retention", Retention::read);
        let backup = root.optional_table("backup", |section| Backup::read(section, &directory));
        let alerts = root.table("alerts", Alerts::read);
        let probe = root.table("probe", |section| Probe::read(section, &directory, &storage.path));
        let mut names = Names::new();
        let orgs = root.tables("org", MOST_ORGS, |section| Org::read(section, &mut names, &directory));
        if orgs.as_ref().is_some_and(Vec::is_empty) {
            root.refuse("org", Refusal::hidden("is missing: add an [[org]] for each organisation to audit"));
        }
        let mut own = BTreeSet::new();
        let checks = root.tables("check", custom::MOST_CHECKS, |section| check::read(section, &mut own));
        let ids: Vec<&str> =
            CHECKS.iter().map(|check| check.id).chain(own.iter().map(String::as_str)).collect();
        let mut names = Names::new();
        let receivers = root.tables("receiver", MOST_RECEIVERS, |section| {
            Receiver::read(section, &mut names, &ids, &directory)
        });
        let names: Vec<&str> = orgs.iter().flatten().flatten().map(|org| org.name.as_str()).collect();
        let routes: Vec<Option<&Route>> = (receivers.iter().flatten())
            .map(|receiver| receiver.as_ref().map(|receiver| &receiver.route))
            .collect();
        if orgs.iter().flatten().all(Option::is_some) {
            route::refuse_unknown(root, &routes, &names);
        }
        let companions = root.tables("companion", contract::companion::MOST, contract::companion::read);
        Some(Self {
            storage,
            server: server?,
            audit,
            retention,
            backup: match backup {
                Some(backup) => Some(backup?),
                None => None,
            },
            alerts,
            probe,
            orgs: orgs?.into_iter().collect::<Option<_>>()?,
            receivers: receivers?.into_iter().collect::<Option<_>>()?,
            companions: companions?.into_iter().collect::<Option<_>>()?,
            checks: checks?.into_iter().collect::<Option<_>>()?,
            file,
        })
    }

    /// Every check that audits ask: the built-in ones, then those of `[[check]]`.
    pub fn every_check(&self) -> impl Iterator<Item = (&str, Severity)> {
        let own = self.checks.iter().map(|check| (check.words.id.as_str(), check.words.severity));
        CHECKS.iter().map(|check| (check.id, check.severity)).chain(own)
    }

    /// Every companion: the curated ones, and those of `[[companion]]`.
    pub fn companions(&self) -> Companions {
        Companions::with(&self.companions)
    }
}

/// `[storage]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// The database file.
    pub path: PathBuf,
    /// Audits stop while its file system has less free space than this, in bytes; 0: never. Default 64 MiB.
    pub min_free: u64,
}

/// `[retention]`: which snapshots can be rebuilt. The last one of each month can for ever, and so can those that an
/// open finding needs; that an audit took place, and what it concluded, is never forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long every snapshot is kept. Default 30 days.
    pub keep_all: Duration,
    /// How long the last snapshot of each day (UTC) is kept; at least `keep_all`. Default 365 days.
    pub keep_daily: Duration,
}

/// `[backup]`: verified copies of the database, made while the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Cron expression as in [`Audit::schedule`]. Default `0 30 2 * * *`.
    pub schedule: String,
    /// The folder that they go to.
    pub directory: PathBuf,
    /// How many are kept; the oldest go first. Default 7.
    pub keep: u32,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Address of `/metrics`, health, API and pages. Default `127.0.0.1:9840`.
    pub listen: SocketAddr,
    /// How people reach the pages; links in alerts start with it. Ends with `/`. Default `http://{listen}/`.
    pub external_url: Url,
}

/// `[audit]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Cron expression, seconds first, UTC, already checked (a five-field one was given its `0` second).
    /// A particular year stays as the seventh field.
    pub schedule: String,
    /// An audit that takes longer is abandoned, whole. Default 10 minutes.
    pub timeout: Duration,
    /// How old the permission catalogue may get before it is read again. Default 1 hour.
    pub catalogue_max_age: Duration,
    /// Whether the platform's own API definition is read; if not, the compiled-in table of operations answers. Default
    /// true.
    pub definition: bool,
    /// How old the definition may get before it is asked for again. Default 24 hours.
    pub definition_max_age: Duration,
    /// Calls of an audit that ask what clients are granted from their own side; 0: none. Default (`None`): as many as
    /// look at every client once a day, within bounds (`domain::rotation::Budget`).
    pub grant_calls: Option<u32>,
    /// Whether the platform is asked what clients called. Default true.
    pub usage: bool,
    /// Days that are counted. Default 90, the most that the platform counts.
    pub usage_window_days: u32,
    /// How long one check of the user's own may take over all clients. Default 10 seconds.
    pub check_budget: Duration,
    /// How long all of them may take together. Default 60 seconds.
    pub checks_budget: Duration,
    /// Whether the platform's audit log is read, about once an hour, for new secrets of clients. Default false.
    pub secret_age: bool,
}

/// `[alerts]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// More findings than this that open (or resolve) in one audit are one message; 0: each is always a message of its
    /// own. Default 10.
    pub group_above: u32,
    /// More changes than this in one audit are one message; 0: each is always a message of its own. Default 25.
    pub group_drift_above: u32,
    /// Repeats of what was told already that are told within eight hours, before something is said to flap; 0: all.
    /// Default 4, and not less: what goes back and forth more slowly than it can be called calm is told each time.
    pub flapping_after: u32,
    /// How long a critical finding is open before it is told again, and how often; `None`: never. Default 24 hours.
    pub remind_after: Option<Duration>,
    /// So many due audits in a row without a complete one are told; 0: never. Default 3.
    pub dead_man_intervals: u32,
    /// When receivers that ask for it are told that the daemon lives; `None`: never.
    pub heartbeat: Option<Heartbeat>,
}

/// When the daemon says that it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// So long after the one before.
    Every(Duration),
    /// Cron expression as in [`Audit::schedule`].
    At(String),
}

/// `[probe]`: how the clients of every `[[org.probe]]` are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// False: nothing is ever sent. Default true; without an `[[org.probe]]` there is nothing to send either.
    pub enabled: bool,
    /// Cron expression as in [`Audit::schedule`]. Default `0 40 3 * * *`.
    pub schedule: String,
    /// While this file exists nothing is sent; it is looked for before each request. Default: the database's name
    /// with `.stop-probes`.
    pub stop_file: PathBuf,
    /// Requests for each client in one run, its tokens included; at most 120, of the 300 a minute that a client has.
    /// Default 60.
    pub budget: u32,
    /// Also send creations whose body no validation can accept. Default false.
    pub allow_create_probes: bool,
}

/// One `[[org.probe]]`: a client that is probed with its own credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedClient {
    /// Its name or id.
    pub client: String,
    /// What it signs in with.
    pub credential: Credential,
}

/// What a probed client signs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Its secret; a token is asked for in each run.
    Secret(Secret),
    /// A file that somebody else keeps a short-lived token in; it is read in each run.
    TokenFile(PathBuf),
}

/// One `[[org]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Org {
    /// Alias used everywhere: labels, alerts, `--org`.
    pub name: String,
    /// The platform's domain (`mypurecloud.ie`), or `custom` with explicit URLs. A metric label.
    pub region: String,
    /// Base of the token endpoint; ends with `/`, so relative paths can be joined to it.
    pub login_url: Url,
    /// Base of the API; ends with `/` as well, behind a gateway's path too.
    pub api_url: Url,
    /// The auditor's own OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Whether the organisation enforces scopes.
    pub scope_enforcement: ScopeEnforcement,
    /// What its clients declare that they need.
    pub contracts: Contracts,
    /// Through what the platform is reached; may hold a password. Default: directly.
    pub proxy: Option<SecretUrl>,
    /// The clients that are probed, each named once.
    pub probes: Vec<ProbedClient>,
}

/// One `[[receiver]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name: labels, outbox.
    pub name: String,
    /// What it is, and where.
    pub target: Target,
    /// What it wants to hear. Default: everything.
    pub route: Route,
    /// Refuse loopback and private addresses too. Default false.
    pub deny_private: bool,
    /// Through what it is reached; may hold a password. Default: directly.
    pub proxy: Option<SecretUrl>,
}

/// A URL that prints as its origin only: path and query may carry a token, and a proxy's user a password.
#[derive(Clone, PartialEq)]
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
