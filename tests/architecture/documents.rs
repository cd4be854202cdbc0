//! Documents against code: each list that users rely on is complete, and names nothing that does not exist.

use std::{collections::BTreeSet, fmt::Debug, fs, path::Path};

use scopewarden::{
    cli,
    domain::{event::CauseKind, message::MessageKind},
    telemetry::{Kind, SERIES},
};

use super::{all_hold, root, source};

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The cells of each table row below the heading `heading` of `page` (up to the next one of its kind), heads and
/// rulers left out.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let start = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading:?} is missing"));
    let section = &page[start + heading.len() + 2..];
    let level = heading.split(' ').next().unwrap();
    let end = section.find(&format!("\n{level} ")).unwrap_or(section.len());
    section[..end]
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn first_cells(page: &str, heading: &str) -> BTreeSet<String> {
    rows(page, heading).into_iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

/// Fails with what only one of two lists has.
fn agree<T: Ord + Debug>(documented: &BTreeSet<T>, real: &BTreeSet<T>, page: &str) {
    let extra = documented.difference(real).map(|name| format!("{name:?} does not exist"));
    let missing = real.difference(documented).map(|name| format!("{name:?} is not documented"));
    all_hold(&format!("{page} and the code differ"), &extra.chain(missing).collect::<Vec<_>>());
}

fn set(names: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_series_is_documented() {
    let documented: BTreeSet<Vec<String>> = rows(&document("docs/metrics.md"), "## Series")
        .into_iter()
        .map(|row| row.into_iter().take(3).collect())
        .collect();
    let real: BTreeSet<Vec<String>> = SERIES
        .iter()
        .map(|series| {
            let kind = match series.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            };
            let labels: Vec<String> = series.labels.iter().map(|label| format!("`{label}`")).collect();
            vec![format!("`{}`", series.name), kind.to_owned(), labels.join(", ")]
        })
        .collect();
    agree(&documented, &real, "docs/metrics.md");
}

#[test]
fn every_message_and_cause_is_documented() {
    let page = document("docs/events.md");
    let types = set(MessageKind::ALL.map(MessageKind::as_str));
    agree(&first_cells(&page, "## Types"), &types, "docs/events.md, Types");
    let causes = set(CauseKind::ALL.map(CauseKind::as_str));
    agree(&first_cells(&page, "## Causes"), &causes, "docs/events.md, Causes");
}

#[test]
fn every_command_is_in_the_readme() {
    let page = document("README.md");
    // A row begins with the whole usage: `access CLIENT|--all [--operations]`.
    let documented: BTreeSet<String> = first_cells(&page, "## Commands")
        .into_iter()
        .filter_map(|usage| usage.split_whitespace().next().map(str::to_owned))
        .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    let real = cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    agree(&documented, &real, "README.md, Commands");
    for command in cli::command().get_subcommands() {
        let rows: Vec<String> = rows(&page, "## Commands").into_iter().map(|row| row[0].clone()).collect();
        let usage = rows.iter().find(|row| row.trim_start_matches('`').starts_with(command.get_name()));
        let options = usage.into_iter().flat_map(|usage| usage.split([' ', '[', ']', '|', '\\', '`']));
        let known: BTreeSet<&str> = command
            .get_arguments()
            .chain(command.get_subcommands().flat_map(clap::Command::get_arguments))
            .filter_map(|argument| argument.get_long())
            .collect();
        for option in options.filter_map(|word| word.strip_prefix("--")) {
            assert!(known.contains(option), "README.md: {} has no option --{option}", command.get_name());
        }
    }
}

#[test]
fn every_setting_of_the_sample_is_in_the_readme() {
    let page = document("README.md");
    let documented = first_cells(&page, "## Configuration");
    let mut sample = BTreeSet::new();
    let mut section = String::new();
    for line in document("deploy/scopewarden.toml").lines() {
        // A section may be an alternative too.
        let line = line.trim_start_matches("# ");
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            sample.insert(format!("{section}.{key}"));
        }
    }
    assert!(sample.len() > 10, "the sample has no settings");
    let missing: Vec<String> = sample.difference(&documented).cloned().collect();
    all_hold("README.md does not explain a setting of deploy/scopewarden.toml", &missing);
}

#[test]
fn every_folder_is_on_the_map() {
    let map = document("ARCHITECTURE.md");
    let mut folders = BTreeSet::new();
    for file in source::files(&root().join("src")) {
        let folder = file.parent().unwrap().strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if !Path::new(&folder).ends_with("tests") {
            folders.insert(folder);
        }
    }
    let missing: Vec<String> =
        folders.into_iter().filter(|folder| !map.contains(&format!("`{folder}/`"))).collect();
    all_hold("ARCHITECTURE.md does not mention a folder of src", &missing);
}

/// The cells of a row, empty ones at its ends included; `\|` is no border.
fn width(row: &str) -> usize {
    row.replace("\\|", "").matches('|').count()
}

#[test]
fn every_row_of_a_table_has_the_columns_of_its_head() {
    let mut pages: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(str::to_owned).into();
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.extend(docs.map(|path| format!("docs/{}", path.file_name().unwrap().to_str().unwrap())));
    let mut wrong = Vec::new();
    for page in &pages {
        let (text, mut head, mut is_code) = (document(page), None, false);
        for (number, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if is_code || !line.starts_with('|') {
                head = None;
            } else if *head.get_or_insert(width(line)) != width(line) {
                wrong.push(format!("{page}:{}: {line}", number + 1));
            }
        }
    }
    all_hold("rows without all columns", &wrong);
}
