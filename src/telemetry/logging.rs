//! The log: lines on stderr, for people or for a log store.
//!
//! Enters: the format and the filter (`SCOPEWARDEN_LOG`, which `config` reads). Leaves: the process-wide
//! subscriber. Must never: let a dependency speak below `info`, whatever the filter says. HTTP libraries print
//! headers and URLs there, and those carry tokens; our own modules do not.

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::{MakeWriter, format::JsonFields},
    layer::SubscriberExt,
};

use super::json_lines::JsonLines;

/// What is logged unless the operator says otherwise.
pub const DEFAULT_FILTER: &str = "info,sqlx=warn,hyper=warn,reqwest=warn,tokio_cron_scheduler=warn";

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: one line, coloured on a terminal.
    #[default]
    Text,
    /// For log stores: one flat JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error(
        "SCOPEWARDEN_LOG = {filter:?} is not a log filter ({reason}): use a level (error, warn, info, debug, \
         trace) or a list such as {DEFAULT_FILTER:?}"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser says.
        reason: String,
    },
    /// The process already has a subscriber.
    #[error("logging is set up already: call `init` once, from the program's entry")]
    AlreadySet,
}

/// Starts logging to stderr for the rest of the process. `filter` is `SCOPEWARDEN_LOG`; `None` or blank means
/// [`DEFAULT_FILTER`]. Fails if the filter does not parse, or on a second call.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), Error> {
    let colour = std::io::stderr().is_terminal();
    let subscriber = subscriber(format, filter, colour, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::AlreadySet)
}

fn subscriber<W>(
    format: LogFormat,
    filter: Option<&str>,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let directives = filter.map(str::trim).filter(|filter| !filter.is_empty()).unwrap_or(DEFAULT_FILTER);
    let chosen = EnvFilter::builder()
        .parse(directives)
        .map_err(|error| Error::Filter { filter: directives.to_owned(), reason: error.to_string() })?;
    let lines = match format {
        LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour).boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(chosen.and(filter_fn(may_speak)))))
}

/// Ours at any level; everybody else's from `info` up.
fn may_speak(metadata: &Metadata<'_>) -> bool {
    let ours = metadata
        .target()
        .strip_prefix(env!("CARGO_CRATE_NAME"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    ours || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
