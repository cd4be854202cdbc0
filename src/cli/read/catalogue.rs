//! `catalogue`: which operations the platform has, by a file, or by the definition that the last audit knew.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::{
    Exit,
    arguments::{JsonArgs, OrgArgs},
    output::Output,
};
use crate::domain::{
    Fact,
    catalogue::{
        Mode, OPERATIONS_AS_OF, Operation, Operations, Source,
        definition::{self, Definition},
    },
};

/// Names of each list that a person is shown.
const SHOWN: usize = 20;

/// Counts the platform's operations and says how they differ from the compiled-in table
///
/// With FILE: an API definition (Swagger 2.0, as GET /api/v2/docs/swagger gives it), whatever organisation it is from;
/// no configuration is read. Without: what the last audit knew.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  scopewarden catalogue swagger.json\n  gunzip -c swagger.json.gz | scopewarden catalogue \
                  - --json | jq .problems"
)]
pub(in crate::cli) struct Arguments {
    /// An API definition in JSON; -: from standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: JsonArgs,
}

/// The answer, in the JSON shape that users see.
#[derive(Debug, Serialize)]
struct Report {
    /// `file`, `definition` or `compiled-in`.
    source: &'static str,
    /// The day of the table; absent for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    operations: Counts,
    permissions: usize,
    scopes: usize,
    problems: Vec<String>,
    problems_total: usize,
    compiled_in: Against,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    total: usize,
    all: usize,
    any: usize,
    none: usize,
    unknown: usize,
}

/// How it differs from the table that is compiled in.
#[derive(Debug, Serialize)]
struct Against {
    as_of: &'static str,
    only_here: Vec<Box<str>>,
    only_compiled_in: Vec<Box<str>>,
    different: Vec<Changed>,
}

#[derive(Debug, Serialize)]
struct Changed {
    operation: Box<str>,
    here: Rule,
    compiled_in: Rule,
}

#[derive(Debug, Serialize)]
struct Rule {
    mode: Mode,
    permissions: Vec<Box<str>>,
    scopes: Vec<Box<str>>,
}

impl From<&Operation> for Rule {
    fn from(operation: &Operation) -> Self {
        let Operation { mode, permissions, scopes, .. } = operation.clone();
        Self { mode, permissions, scopes }
    }
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let report = match &arguments.file {
        Some(file) => of_file(file)?,
        None => of_record(&arguments.org).await?,
    };
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&report)?;
    } else {
        tell(&mut out, &report)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn of_file(file: &Path) -> Result<Report, anyhow::Error> {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let read = if file == Path::new("-") {
        parse(io::stdin().lock())
    } else {
        parse(File::open(file).with_context(|| format!("{name} cannot be opened"))?)
    };
    let read = read.map_err(|error| anyhow::anyhow!("{name}: {}", definition::explain(&error)))?;
    let Definition { operations, problems, problems_total } = read;
    if operations.is_empty() {
        let first = problems.first().map(|problem| format!(" ({problem})")).unwrap_or_default();
        anyhow::bail!(
            "{name} lists no operation{first}: an API definition has them under `paths`, as GET /api/v2/docs/swagger gives it"
        );
    }
    let problems = problems.iter().map(ToString::to_string).collect();
    Ok(Report { problems, problems_total, ..compare("file", None, &Operations::defined(operations)) })
}

fn parse(reader: impl Read) -> Result<Definition, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, reader));
    let read = definition::read(&mut deserializer)?;
    deserializer.end().map(|()| read)
}

async fn of_record(org: &OrgArgs) -> Result<Report, anyhow::Error> {
    let (_, _, last) = org.open_last().await?;
    let Some(operations) = &last.snapshot.operations else {
        return Ok(compare(
            Source::CompiledIn.as_str(),
            Some(OPERATIONS_AS_OF.to_owned()),
            Operations::compiled_in(),
        ));
    };
    let stale = last.gaps.iter().find(|gap| gap.fact == Fact::Operations).and_then(|gap| gap.stale_since);
    let day = stale.unwrap_or(last.at).format("%Y-%m-%d").to_string();
    let report = compare(Source::Definition.as_str(), Some(day), operations);
    let unknown = operations.listed().filter(|operation| operation.mode == Mode::Unknown);
    let problems: Vec<String> =
        unknown.map(|operation| format!("{}: its rule was not understood", operation.name)).collect();
    Ok(Report { problems_total: problems.len(), problems, ..report })
}

fn compare(source: &'static str, as_of: Option<String>, operations: &Operations) -> Report {
    let mut counts = Counts { total: operations.listed_len(), ..Counts::default() };
    let (mut permissions, mut scopes) = (BTreeSet::new(), BTreeSet::new());
    for operation in operations.listed() {
        *match operation.mode {
            Mode::All => &mut counts.all,
            Mode::Any => &mut counts.any,
            Mode::None => &mut counts.none,
            Mode::Unknown => &mut counts.unknown,
        } += 1;
        permissions.extend(operation.permissions());
        scopes.extend(operation.scopes());
    }
    let difference = operations.since(Operations::compiled_in());
    let names = |list: &[&Operation]| list.iter().map(|operation| operation.name.clone()).collect();
    let different = difference.changed.iter().map(|(compiled_in, here)| Changed {
        operation: here.name.clone(),
        here: Rule::from(*here),
        compiled_in: Rule::from(*compiled_in),
    });
    Report {
        source,
        as_of,
        operations: counts,
        permissions: permissions.len(),
        scopes: scopes.len(),
        problems: Vec::new(),
        problems_total: 0,
        compiled_in: Against {
            as_of: OPERATIONS_AS_OF,
            only_here: names(&difference.added),
            only_compiled_in: names(&difference.removed),
            different: different.collect(),
        },
    }
}

fn tell(out: &mut Output, report: &Report) -> io::Result<()> {
    let Report { source, as_of, operations, permissions, scopes, problems, problems_total, compiled_in } =
        report;
    let Counts { total, all, any, none, unknown } = operations;
    let from = match *source {
        "file" => "this file",
        "definition" => "the platform's definition",
        _ => "the compiled-in table",
    };
    let day = as_of.as_ref().map(|day| format!(", {day}")).unwrap_or_default();
    out.line(format_args!("{total} operations ({from}{day})"))?;
    out.line(format_args!("  {any} need one of their permissions, {all} need all of them"))?;
    out.line(format_args!("  {none} state no permission, {unknown} a rule that was not understood"))?;
    out.line(format_args!("{permissions} permissions and {scopes} scopes are named"))?;
    list(out, "not understood", problems, *problems_total)?;
    let Against { as_of, only_here, only_compiled_in, different } = compiled_in;
    if *source == Source::CompiledIn.as_str() {
        return out
            .line("The platform's definition was not read; see audit.definition in the configuration.");
    }
    out.line(format_args!("Against the compiled-in table of {as_of}:"))?;
    list(out, "only here", only_here, only_here.len())?;
    list(out, "only in the table (kept beside it, with its day)", only_compiled_in, only_compiled_in.len())?;
    let named: Vec<&str> = different.iter().map(|changed| &*changed.operation).collect();
    list(out, "with another rule or other scopes", &named, named.len())
}

fn list(out: &mut Output, what: &str, names: &[impl AsRef<str>], total: usize) -> io::Result<()> {
    out.line(format_args!("  {total} {what}"))?;
    for name in names.iter().take(SHOWN) {
        out.line(format_args!("    {}", name.as_ref()))?;
    }
    match total.saturating_sub(names.len().min(SHOWN)) {
        0 => Ok(()),
        more => out.line(format_args!("    and {more} more (--json lists them)")),
    }
}
