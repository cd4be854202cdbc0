//! `export`: what was recorded, for other programs.
//!
//! Enters: what to export, a format, a span of time. Leaves: JSON lines, OCSF lines or CSV, on stdout or in a file that is
//! there whole or not at all. Must never: hold all rows at once, or hand a spreadsheet a cell that it would compute.

mod row;
mod sink;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use self::{
    row::{Line, Rows},
    sink::Sink,
};
use super::{
    access::read_at,
    clients,
    diff::{moment::Moment, time_of},
    least_privilege::own_calls,
};
use crate::{
    cli::{
        Exit,
        arguments::{OrgArgs, Usage, nothing_recorded},
        output,
    },
    daemon::clock,
    domain::access::Access,
    store::{Change, Cursor, Past, Store, Told},
};

/// Exports findings, events, clients or permissions as JSON lines, CSV or OCSF 1.8.0
///
/// One JSON object a line (`json`, `ocsf`), or a table with a head (`csv`). Of findings: what is open after the last audit;
/// with --from or --to: what opened, changed and was resolved in that time, as far as it is recorded. Every organisation of
/// the configuration unless --org names one.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden export --format csv --output findings.csv\n         scopewarden export findings --format ocsf --from -1d\n         scopewarden export events --from 2026-09-01 --to 2026-10-01 --format ocsf\n         scopewarden export permissions --format csv --org acme\n\nIn CSV, a text that a spreadsheet could take for a formula begins with an apostrophe."
)]
pub(in crate::cli) struct Arguments {
    /// What to export
    #[arg(value_enum, value_name = "WHAT", default_value = "findings")]
    what: What,
    /// How
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "json")]
    format: Format,
    /// Only what was recorded from then on: a time, a date, a time ago (-7d), or an audit's id
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Only what was recorded up to then
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    to: Option<Moment>,
    /// Write this file, which is replaced when the new one is whole [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    org: OrgArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// What checks found
    Findings,
    /// What changed, why, and whom it reached
    Events,
    /// Who there is
    Clients,
    /// What each client can do
    Permissions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The JSON of the other commands, one object a line
    Json,
    /// A table by RFC 4180
    Csv,
    /// OCSF 1.8.0, one object a line; findings and events only
    Ocsf,
}

impl Arguments {
    /// Refuses what cannot be meant before anything is opened.
    fn check(&self) -> Result<(), Usage> {
        let is_inventory = matches!(self.what, What::Clients | What::Permissions);
        if is_inventory && self.format == Format::Ocsf {
            return Err(Usage(
                "--format ocsf: only findings and events have a class there; use json or csv for clients and permissions"
                    .to_owned(),
            ));
        }
        if is_inventory && (self.from.is_some() || self.to.is_some()) {
            return Err(Usage(
                "--from and --to: clients and permissions are exported as of the last audit; `scopewarden export events` \
                 tells what changed"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    arguments.check()?;
    let (config, orgs) = arguments.org.load_all()?;
    let store = Store::open_read_only(&config.storage.path).await?;
    let now = clock::now();
    let (mut audited, mut missing) = (Vec::new(), Vec::new());
    for org in orgs.into_iter().map(|org| org.name) {
        match store.audits(Some(&org), 1).await?.pop() {
            None => missing.push(org),
            Some(last) => {
                let to = time_of(&store, &org, "--to", arguments.to.as_ref(), now).await?;
                let from = time_of(&store, &org, "--from", arguments.from.as_ref(), now).await?;
                if let (Some(from), Some(to)) = (from, to)
                    && from > to
                {
                    return Err(Usage(format!("--from ({from}) is later than --to ({to})")).into());
                }
                let last = Told { audit: last.audit, at: last.at, chain: last.chain };
                audited.push(Part { org, last, from, to });
            }
        }
    }
    if let (true, Some(org)) = (audited.is_empty(), missing.first()) {
        return Err(nothing_recorded(org));
    }
    let link = config.server.external_url.to_string();
    let sink = Sink::open(arguments.output.as_deref())?;
    let mut rows = Rows::begin(sink, arguments.what, arguments.format, &link)?;
    for part in &audited {
        part.export(arguments.what, &store, &mut rows).await?;
    }
    rows.finish()?;
    match missing.first() {
        // What there is was exported; that something is not there is said, and is no success.
        Some(org) => Err(nothing_recorded(org)),
        None => Ok(Exit::Fine),
    }
}

/// What is exported of one organisation.
struct Part {
    org: String,
    last: Told,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl Part {
    async fn export(&self, what: What, store: &Store, rows: &mut Rows<'_>) -> Result<(), anyhow::Error> {
        match what {
            What::Findings if self.from.is_some() || self.to.is_some() => self.changes(store, rows).await,
            What::Findings => self.open(store, rows).await,
            What::Events => self.events(store, rows).await,
            What::Clients => self.clients(store, rows).await,
            What::Permissions => self.permissions(store, rows).await,
        }
    }

    async fn open(&self, store: &Store, rows: &mut Rows<'_>) -> Result<(), anyhow::Error> {
        let mut place = Cursor::default();
        loop {
            let page = store.open_page(&self.org, &self.last, &mut place).await?;
            if page.is_empty() || rows.is_closed() {
                return Ok(());
            }
            for finding in &page {
                rows.put(&Line::Finding { told: &self.last, change: None, finding })?;
            }
        }
    }

    async fn changes(&self, store: &Store, rows: &mut Rows<'_>) -> Result<(), anyhow::Error> {
        let mut place = Cursor::default();
        loop {
            let page = store.finding_changes(&self.org, self.from, self.to, &mut place).await?;
            if page.is_empty() || rows.is_closed() {
                return Ok(());
            }
            for (told, change, finding) in &page {
                rows.put(&Line::Finding { told, change: Some(*change), finding })?;
            }
        }
    }

    async fn events(&self, store: &Store, rows: &mut Rows<'_>) -> Result<(), anyhow::Error> {
        let mut place = Cursor::default();
        loop {
            let page = store.event_page(&self.org, self.from, self.to, &mut place).await?;
            if page.is_empty() || rows.is_closed() {
                return Ok(());
            }
            for (told, event) in &page {
                rows.put(&Line::Event { told, event })?;
            }
        }
    }

    async fn clients(&self, store: &Store, rows: &mut Rows<'_>) -> Result<(), anyhow::Error> {
        let last = self.inventory(store).await?;
        let counts = clients::count(&store.findings(Some(&self.org)).await?);
        let tally = own_calls(store, &self.org).await?;
        let secrets = store.secrets(&self.org).await?;
        for row in clients::rows(&self.org, &last.snapshot, &counts, tally.as_ref(), &secrets) {
            rows.put(&Line::Client { told: &told(&last), row: &row })?;
        }
        Ok(())
    }

    async fn permissions(&self, store: &Store, rows: &mut Rows<'_>) -> Result<(), anyhow::Error> {
        let last = self.inventory(store).await?;
        let turns = store.turns(&self.org).await?;
        let access = Access::new(&last.snapshot);
        for client in last.snapshot.clients.values() {
            let report = access.report(&self.org, client, false, read_at(&last, &turns, &client.id));
            rows.put(&Line::Permissions { told: &told(&last), report: &report })?;
            if rows.is_closed() {
                break;
            }
        }
        Ok(())
    }

    /// The last audit with what it saw; what it did not see is said beside the rows.
    async fn inventory(&self, store: &Store) -> Result<Past, anyhow::Error> {
        let last = store.snapshot_at(&self.org, None).await?.ok_or_else(|| nothing_recorded(&self.org))?;
        for gap in &last.gaps {
            let fact = gap.fact.as_str().replace('_', " ");
            output::remark(&format!(
                "note: the audit {} of {} did not see everything ({fact}): {}",
                last.audit, self.org, gap.detail
            ));
        }
        Ok(last)
    }
}

fn told(past: &Past) -> Told {
    Told { audit: past.audit.clone(), at: past.at, chain: past.chain }
}

/// The word for a change in JSON and CSV.
fn word(change: Option<Change>) -> &'static str {
    match change {
        None => "open",
        Some(Change::Opened) => "opened",
        Some(Change::Updated) => "updated",
        Some(Change::Ended) => "resolved",
    }
}
