//! The page of metrics as numbers, to compare two moments.
//!
//! Enters: the text that Prometheus scrapes. Leaves: values by series. Must never: compute a metric of its own.

use std::collections::{BTreeMap, BTreeSet};

/// Values by `name{labels}`, as the page spells them.
pub(super) type Values = BTreeMap<String, f64>;

/// A series that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moved<'a> {
    /// The family's name.
    pub(super) family: &'a str,
    /// The labels without their braces; may be empty.
    pub(super) labels: &'a str,
    /// `None`: the series is new.
    pub(super) before: Option<f64>,
    /// `None`: the series is gone.
    pub(super) after: Option<f64>,
}

/// Reads a page. What belongs to the process and not to audits, and the buckets of histograms, are left out.
pub(super) fn read(page: &str) -> Values {
    let samples = page.lines().filter(|line| line.starts_with("scopewarden_"));
    let numbers = samples.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    });
    numbers.filter(|(series, _): &(String, f64)| !split(series).0.ends_with("_bucket")).collect()
}

/// What moved in some families, in their order.
pub(super) fn moved<'a>(before: &'a Values, after: &'a Values, families: &[&str]) -> Vec<Moved<'a>> {
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let compare = |series: &'a String| {
        let (family, labels) = split(series);
        Moved { family, labels, before: before.get(series).copied(), after: after.get(series).copied() }
    };
    let moved = all.into_iter().map(compare).filter(|series| series.before != series.after);
    let place = |series: &Moved<'_>| families.iter().position(|family| *family == series.family);
    let mut told: Vec<Moved<'_>> = moved.filter(|series| place(series).is_some()).collect();
    told.sort_by_key(place);
    told
}

fn split(series: &str) -> (&str, &str) {
    match series.split_once('{') {
        Some((family, labels)) => (family, labels.trim_end_matches('}')),
        None => (series, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
# HELP scopewarden_a_total A.
# TYPE scopewarden_a_total counter
scopewarden_a_total{cause=\"x y\",org=\"o\"} 0
scopewarden_gone 3
scopewarden_steady 1
scopewarden_wait_bucket{le=\"0.5\"} 7
process_threads 9
";

    #[test]
    fn a_page_is_read_without_buckets_and_process() {
        let names: Vec<String> = read(BEFORE).into_keys().collect();
        let expected =
            ["scopewarden_a_total{cause=\"x y\",org=\"o\"}", "scopewarden_gone", "scopewarden_steady"];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_moved_is_in_the_order_of_the_families() {
        let before = read(BEFORE);
        let after = read("scopewarden_a_total{cause=\"x y\",org=\"o\"} 1\nscopewarden_steady 1\n");
        let families = ["scopewarden_gone", "scopewarden_steady", "scopewarden_a_total"];
        let moved = moved(&before, &after, &families);
        let gone = Moved { family: "scopewarden_gone", labels: "", before: Some(3.0), after: None };
        let labels = "cause=\"x y\",org=\"o\"";
        let grown = Moved { family: "scopewarden_a_total", labels, before: Some(0.0), after: Some(1.0) };
        assert_eq!(moved, [gone, grown]);
    }
}
