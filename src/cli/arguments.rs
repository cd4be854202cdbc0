//! What several commands take: the configuration, the organisation, the output format.
//!
//! Enters: what clap parsed. Leaves: a checked configuration, the one organisation that is meant, an opened record.
//! Must never: guess between two organisations or two clients.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use crate::{
    config::{Config, Org, Problems},
    domain::{Severity, permission},
    store::{Past, Store},
    telemetry::logging::LogFormat,
};

/// Arguments that cannot be meant; ends with exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Where the configuration is.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Where it is; `Config::load` knows the default.
    #[arg(
        long,
        value_name = "FILE",
        help = "Configuration file [default: $SCOPEWARDEN_CONFIG, else ./scopewarden.toml]"
    )]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Reads and checks it. The error is every problem at once.
    pub(super) fn load(&self) -> Result<Config, Problems> {
        Config::load(self.config.as_deref())
    }
}

/// Which organisation of which configuration.
#[derive(Debug, Args)]
pub(super) struct OrgArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The organisation, by its name in the configuration; needed only if there are several
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
}

impl OrgArgs {
    /// The configuration and the organisation that is meant.
    pub(super) fn load(&self) -> Result<(Config, Org), anyhow::Error> {
        let config = self.config.load()?;
        let org = choose(&config.orgs, self.org.as_deref())?.clone();
        Ok((config, org))
    }

    /// The configuration and the organisations that are meant: the named one, else all.
    pub(super) fn load_all(&self) -> Result<(Config, Vec<Org>), anyhow::Error> {
        let config = self.config.load()?;
        let orgs = match &self.org {
            Some(name) => vec![choose(&config.orgs, Some(name))?.clone()],
            None => config.orgs.clone(),
        };
        Ok((config, orgs))
    }

    /// The organisation's name, and the record for reading.
    pub(super) async fn open_record(&self) -> Result<(String, Store), anyhow::Error> {
        let (config, org) = self.load()?;
        Ok((org.name, Store::open_read_only(&config.storage.path).await?))
    }

    /// The organisation's name, the record, and its last audit. Fails if there was none.
    pub(super) async fn open_last(&self) -> Result<(String, Store, Past), anyhow::Error> {
        let (org, store) = self.open_record().await?;
        let last = store.snapshot_at(&org, None).await?.ok_or_else(|| nothing_recorded(&org))?;
        Ok((org, store, last))
    }
}

/// What to say where there is nothing to answer from: no answer is not an empty one.
pub(super) fn nothing_recorded(org: &str) -> anyhow::Error {
    anyhow::anyhow!("no audit of {org} is recorded yet; run `scopewarden audit --org {org}` first")
}

fn choose<'a>(orgs: &'a [Org], name: Option<&str>) -> Result<&'a Org, Usage> {
    let names = || orgs.iter().map(|org| org.name.as_str()).collect::<Vec<_>>();
    match (name, orgs) {
        (None, [only]) => Ok(only),
        (None, _) => {
            Err(Usage(format!("--org is needed: the configuration has several ({})", names().join(", "))))
        }
        (Some(name), _) => orgs.iter().find(|org| org.name == name).ok_or_else(|| {
            let hint = did_you_mean(name, names());
            Usage(format!(
                "--org: {name:?} is not configured; the configuration has {}{hint}",
                names().join(", ")
            ))
        }),
    }
}

/// `; did you mean "x"?`, or nothing.
pub(super) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = permission::nearest(unknown, known, 3);
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.into_iter().map(|name| format!("{name:?}")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}

/// Text for people or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// For commands that speak text unless told otherwise.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// For commands that speak text to a terminal and JSON to a pipe.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FormatArgs {
    /// Text or JSON [default: text on a terminal, JSON anywhere else]
    #[arg(long, value_enum, hide_possible_values = true)]
    format: Option<Format>,
    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    /// Whether JSON is wanted, given whether a person reads.
    pub(super) fn wants_json(self, is_terminal: bool) -> bool {
        match self.format {
            Some(format) => format == Format::Json,
            None => self.json || !is_terminal,
        }
    }
}

/// Reads a severity.
pub(super) fn severity() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(Severity::ALL.map(Severity::as_str))
        .try_map(|word| Severity::parse(&word).ok_or("is no severity"))
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("One line for people"),
            Self::Json => PossibleValue::new("json").help("One JSON object a line, for log stores"),
        })
    }
}
