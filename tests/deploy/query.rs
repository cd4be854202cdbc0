//! What a `PromQL` query asks for: names of series with the labels that they are selected by, and the labels that it
//! groups by. It reads just as much of the language as that takes; promtool and Prometheus read the rest.

use std::{collections::BTreeSet, sync::LazyLock};

use scopewarden::telemetry::{Kind, Metrics, SERIES};

/// Labels that Prometheus itself puts on each series.
const TARGET: [&str; 2] = ["job", "instance"];

/// Words that are followed by a list of labels.
const GROUPING: [&str; 6] = ["by", "on", "without", "ignoring", "group_left", "group_right"];

#[derive(Debug, Default)]
pub(crate) struct Query {
    /// Series as written, each with its label matchers.
    pub(crate) selectors: Vec<(String, Vec<String>)>,
    /// Labels of `by (…)` and the like.
    pub(crate) grouping: Vec<String>,
}

impl Query {
    pub(crate) fn read(text: &str) -> Self {
        let mut query = Self::default();
        let words = words(text);
        let list = |start: usize, close: &str| -> Vec<String> {
            words[start..].iter().take_while(|word| *word != close).cloned().collect()
        };
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1).map_or("", String::as_str);
            if GROUPING.contains(&word.as_str()) && next == "(" {
                query.grouping.extend(list(at + 2, ")").into_iter().filter(|word| is_name(word)));
            } else if is_series(word) {
                let inside = if next == "{" { list(at + 2, "}") } else { Vec::new() };
                query
                    .selectors
                    .push((word.clone(), inside.into_iter().filter(|word| is_name(word)).collect()));
            }
        }
        query
    }

    /// What is wrong with it, each a sentence.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut known: BTreeSet<&str> = TARGET.into();
        for (name, matched) in &self.selectors {
            let Some(labels) = labels_of(name) else {
                problems.push(format!("{name} does not exist"));
                continue;
            };
            let missing = matched.iter().filter(|label| !labels.contains(&label.as_str()));
            problems.extend(missing.map(|label| format!("{name} has no label {label}")));
            known.extend(labels);
        }
        if self.selectors.is_empty() {
            problems.push("asks for no series".to_owned());
        }
        let unknown = self.grouping.iter().filter(|label| !known.contains(label.as_str()));
        problems.extend(unknown.map(|label| format!("groups by {label}, which none of its series has")));
        problems
    }
}

/// The labels of a series, those of the target included; `None` if there is no such series.
pub(crate) fn labels_of(name: &str) -> Option<Vec<&'static str>> {
    if name == "up" || process().contains(name) {
        return Some(TARGET.to_vec());
    }
    let (series, bucket) =
        SERIES.iter().find_map(|series| match (series.kind, name.strip_prefix(series.name)?) {
            (Kind::Histogram, "_bucket") => Some((series, true)),
            (Kind::Histogram, "_sum" | "_count") | (Kind::Gauge | Kind::Counter, "") => Some((series, false)),
            _ => None,
        })?;
    Some(series.labels.iter().copied().chain(TARGET).chain(bucket.then_some("le")).collect())
}

/// The `process_*` series that the program really exposes.
fn process() -> &'static BTreeSet<String> {
    static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let page = Metrics::new().render();
        let names = page.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name.to_owned());
        names.filter(|name| name.starts_with("process_")).collect()
    });
    assert!(!NAMES.is_empty(), "the program exposes no process_* series");
    &NAMES
}

fn is_series(word: &str) -> bool {
    word == "up" || word.starts_with("scopewarden_") || word.starts_with("process_")
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Names, and every other character by itself. Strings are left out.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    let mut in_name = false;
    for letter in text.chars() {
        if letter == '"' {
            quoted = !quoted;
        }
        let continues = letter.is_ascii_alphanumeric() || letter == '_';
        match words.last_mut() {
            _ if quoted || letter == '"' => {}
            Some(word) if in_name && continues => word.push(letter),
            _ if letter.is_whitespace() => {}
            _ => words.push(letter.to_string()),
        }
        in_name = continues && !quoted;
    }
    words
}

#[test]
fn mistakes_in_queries_are_noticed() {
    for (text, problems) in [
        ("up{job=\"x\"} == 0", 0),
        ("sum by (org, le) (rate(scopewarden_up{org=~\"$org\"}[5m]))", 1),
        (
            "histogram_quantile(0.5, sum by (le) (rate(scopewarden_api_request_duration_seconds_bucket[5m])))",
            0,
        ),
        ("scopewarden_api_request_duration_seconds", 1),
        ("scopewarden_up_total", 1),
        ("scopewarden_up{check=\"org\", org!~\"a b\"} > on (receiver) scopewarden_nothing", 3),
        ("process_start_time_seconds{job=\"$job\"} + process_magic", 1),
        ("vector(1)", 1),
        ("absent(up{job=\"scopewarden_up\"})", 0),
    ] {
        let found = Query::read(text).problems();
        assert_eq!(found.len(), problems, "{text}: {found:?}");
    }
}
