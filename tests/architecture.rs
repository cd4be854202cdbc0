//! The rules of the house, read off the sources: who may import whom, what stays pure, what is documented.
//!
//! ARCHITECTURE.md says why each rule is there. A rule that has to bend is changed here, with its reason.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]

#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/source.rs"]
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use source::{Source, Word};

/// Each module of the root with those that it may import. What a module is not listed with, it never sees.
const MAY_IMPORT: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain", "config"]),
    ("collect", &["domain", "config", "telemetry"]),
    ("store", &["domain", "config", "telemetry"]),
    ("notify", &["domain", "config", "telemetry"]),
    ("audit", &["domain", "config", "telemetry", "collect", "store", "notify"]),
    ("probe", &["domain", "config", "telemetry", "collect", "store"]),
    ("web", &["domain", "config", "telemetry", "store"]),
    ("daemon", &["domain", "config", "telemetry", "collect", "store", "notify", "audit", "probe", "web"]),
    ("simulator", &[]),
    // `doctor` asks the platform and the receivers by themselves, so that the trouble of one edge hides no other.
    (
        "cli",
        &[
            "domain",
            "config",
            "telemetry",
            "collect",
            "store",
            "notify",
            "audit",
            "probe",
            "daemon",
            "simulator",
        ],
    ),
];

/// Libraries that reach outside, each with the only modules that may use it.
const HOMES: [(&str, &[&str]); 6] = [
    ("sqlx", &["store"]),
    // The demo changes its organisation as a stranger would, with a client of its own; `healthcheck` is a client.
    ("reqwest", &["collect", "notify", "cli"]),
    ("axum", &["web", "daemon", "simulator", "cli"]),
    ("prometheus", &["telemetry"]),
    ("tokio_cron_scheduler", &["daemon"]),
    // The log format is a word of the command line.
    ("clap", &["cli", "telemetry"]),
];

/// What the core never says: it is plain functions over plain values.
const IMPURE: [&str; 10] =
    ["async", "await", "axum", "prometheus", "reqwest", "sqlx", "tokio", "tracing", "SystemTime", "Instant"];

/// Longest file, in lines.
const LINES: usize = 600;

/// Most modules and folders in one folder: what a reader takes in at a glance.
const ENTRIES: usize = 13;

/// Folders that hold more, with how many and why.
const LARGER: [(&str, usize, &str); 8] = [
    ("src", 14, "one module a stage, the two ways to run them (audit, probe), and where the program begins"),
    ("src/config", 15, "one table of the file each, and how tables are read, refused and shown"),
    ("src/collect", 15, "one call or one step of a reading each, probes, and the shapes on the wire"),
    ("src/cli", 14, "one file a command, and folders for those that belong together"),
    ("src/daemon", 15, "one file a loop of the long life, and what wires, reloads and ends them"),
    ("src/store", 18, "one file a thing that is kept, and what keeps it"),
    (
        "src/simulator",
        14,
        "one part of a platform each: the door, its checks, its state, its clock, its faults",
    ),
    ("src/domain", 30, "one file a word of the vocabulary; the words are explained in its mod.rs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| source::all(&root().join("src")));
    assert!(SOURCES.len() > 20, "the sources are not where they were");
    &SOURCES
}

fn all_hold(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Imports of `source` that [`MAY_IMPORT`] does not allow.
fn forbidden_imports(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, word) in source::paths(source) {
        let (Some(from), Some(to)) = (word.module.first(), path.first()) else { continue };
        let allowed = MAY_IMPORT.iter().find(|(module, _)| module == from).map_or(&[][..], |(_, to)| to);
        if from != to && !allowed.contains(&to.as_str()) {
            broken.push(format!("{}: {from} names {}", source.path, path.join("::")));
        }
    }
    broken
}

#[test]
fn imports_go_one_way() {
    let sources = sources();
    let broken: Vec<String> = sources.iter().flat_map(forbidden_imports).collect();
    all_hold("a module names another that it must not see (MAY_IMPORT)", &broken);
    let known: BTreeSet<&str> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    let unlisted: Vec<String> = sources
        .iter()
        .filter_map(|source| source.words.first()?.module.first().cloned())
        .filter(|module| !known.contains(module.as_str()))
        .collect();
    all_hold("a module of the root is not listed in MAY_IMPORT", &unlisted);
}

#[test]
fn libraries_stay_in_their_homes() {
    let mut broken = Vec::new();
    for source in sources() {
        let spoken = source.words.iter().filter(|word| !word.is_test());
        for (word, (library, homes)) in
            spoken.filter_map(|word| Some((word, HOMES.iter().find(|(library, _)| *library == word.text)?)))
        {
            if word.module.first().is_some_and(|module| !homes.contains(&module.as_str())) {
                broken.push(format!("{}: {library} belongs to {}", source.path, homes.join(", ")));
            }
        }
    }
    all_hold("a library is used outside its home (HOMES)", &broken);
}

/// Words of `source`, a file of the core, that the core never says.
fn impure_words(source: &Source) -> Vec<String> {
    let impure = source.words.iter().filter(|word| IMPURE.contains(&word.text.as_str()));
    impure.map(|word| format!("{}: {}", source.path, word.text)).chain(reads_of_the_clock(source)).collect()
}

/// Places in `source` that read the wall clock.
fn reads_of_the_clock(source: &Source) -> Vec<String> {
    let spoken: Vec<&Word> = source.words.iter().filter(|word| !word.is_test()).collect();
    let reads = spoken.windows(4).filter(|window| {
        let [clock, first, second, now] = window else { return false };
        ["Utc", "Local", "SystemTime"].contains(&clock.text.as_str())
            && (first.text.as_str(), second.text.as_str(), now.text.as_str()) == (":", ":", "now")
    });
    reads.map(|window| format!("{}: {}::now", source.path, window[0].text)).collect()
}

#[test]
fn the_core_is_pure() {
    let sources = sources();
    let core = sources.iter().filter(|source| source.path.starts_with("src/domain/"));
    let broken: Vec<String> = core.flat_map(impure_words).collect();
    all_hold("the domain does no I/O, reads no clock and logs nothing", &broken);
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    let sources = sources();
    let elsewhere = sources.iter().filter(|source| source.path != "src/daemon/clock.rs");
    let broken: Vec<String> = elsewhere.flat_map(reads_of_the_clock).collect();
    all_hold("only daemon/clock.rs reads the wall clock; take `now`", &broken);
}

#[test]
fn every_module_says_what_it_is() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! ") && !source.words.iter().all(Word::is_test))
        .map(|source| source.path.clone())
        .collect();
    all_hold(
        "a module starts with `//!`: what it is, what enters, what leaves, what it must never do",
        &broken,
    );
}

#[test]
fn files_stay_short() {
    let broken: Vec<String> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LINES)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    all_hold("a file has one subject and at most 600 lines", &broken);
}

#[test]
fn folders_stay_small() {
    // `drift.rs` and `drift/` are one entry; `mod.rs` and tests are not counted.
    let mut entries: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let mut path = PathBuf::from(&source.path).with_extension("");
        while path.parent().is_some_and(|parent| !parent.as_os_str().is_empty()) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            path.pop();
            if name != "mod" && !name.ends_with("tests") {
                entries.entry(path.clone()).or_default().insert(name);
            }
        }
    }
    let mut broken = Vec::new();
    for (folder, names) in &entries {
        let folder = folder.to_str().unwrap();
        let most = LARGER.iter().find(|(larger, ..)| *larger == folder).map_or(ENTRIES, |(_, most, _)| *most);
        if names.len() > most {
            broken.push(format!("{folder}: {} entries, {most} allowed", names.len()));
        }
    }
    for (folder, most, _) in LARGER {
        let count = entries.get(Path::new(folder)).map_or(0, BTreeSet::len);
        if count < most {
            broken.push(format!(
                "{folder} has {count} entries now: lower its number in LARGER, or take it out"
            ));
        }
    }
    all_hold("a folder holds about a dozen things", &broken);
}

/// The rules themselves can fail: each of these breaks one.
#[test]
fn violations_are_noticed() {
    let read = |path: &str, module: &[&str], text: &str| {
        let module = module.iter().map(|name| (*name).to_owned()).collect();
        Source { path: path.to_owned(), text: text.to_owned(), words: source::words(text, module) }
    };
    for (module, text, broken) in [
        (&["domain", "drift"][..], "use crate::store::Store;", 1),
        (&["domain", "drift"], "use crate::{domain::Gap, store::{Store, Error}, web};", 2),
        (&["domain", "drift"], "fn f() { super::super::collect::gather() }", 1),
        (&["domain", "drift"], "mod tests { use super::super::super::collect; use super::*; }", 1),
        (&["collect", "api"], "pub(crate) fn f(a: &crate::store::Store, b: crate::web::State) {}", 2),
        (&["simulator"], "use super::domain::Gap;", 1),
        (&["web"], "use crate::*;", 1),
        (&["web"], "// use crate::notify;\nconst A: &str = \"crate::notify\"; use crate::store::Store;", 0),
        (&["store", "past"], "use super::{Store, error::Error}; use crate::{config::Config, domain};", 0),
        (&["store"], "mod rows { use super::super::domain::Gap; } use self::rows;", 0),
    ] {
        let found = forbidden_imports(&read("here", module, text));
        assert_eq!(found.len(), broken, "{text}: {found:?}");
    }
    for (text, broken) in [
        ("async fn f() { tokio::spawn(g()).await }", 3),
        ("fn f() -> DateTime<Utc> { Utc::now() }", 1),
        ("fn f(now: DateTime<Utc>) { 'a'; \"tokio\"; /* sqlx */ }", 0),
    ] {
        let found = impure_words(&read("here", &["domain"], text));
        assert_eq!(found.len(), broken, "{text}: {found:?}");
    }
}
