//! The alerting rules: complete, tested, explained in the guide, and known to Alertmanager's sample by their names.

use std::collections::BTreeSet;

use crate::{all_hold, query::Query, read};

/// One alerting rule as it is written in `rules.yml`.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) expr: String,
    severity: String,
    summary: String,
    description: String,
    runbook: String,
}

/// The rules, read by their lines: every key stands on a line of its own, an expression of several lines below `|`.
pub(crate) fn shipped() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut in_expr = false;
    for line in read("deploy/prometheus/rules.yml").lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(name) = line.strip_prefix("- alert: ") {
            rules.push(Rule { name: name.to_owned(), ..Rule::default() });
        }
        let Some(rule) = rules.last_mut() else { continue };
        in_expr = in_expr && depth > 8;
        if in_expr {
            rule.expr.push_str(line);
            rule.expr.push('\n');
            continue;
        }
        let Some((key, value)) = line.split_once(": ") else { continue };
        let value = value.trim_matches('"').to_owned();
        match key {
            "expr" if value == "|" => in_expr = true,
            "expr" => rule.expr = value,
            "severity" => rule.severity = value,
            "summary" => rule.summary = value,
            "description" => rule.description = value,
            "runbook" => rule.runbook = value,
            _ => {}
        }
    }
    assert!(rules.len() > 12, "the rules are not read: {rules:?}");
    rules
}

/// Labels that a template names.
fn labels(template: &str) -> Vec<String> {
    let end = |rest: &str| rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let parts = template.split("$labels.").skip(1);
    parts.map(|rest| rest[..end(rest).unwrap_or(rest.len())].to_owned()).collect()
}

#[test]
fn rules_ask_only_for_what_exists() {
    let mut broken = Vec::new();
    for rule in shipped() {
        let query = Query::read(&rule.expr);
        broken.extend(query.problems().into_iter().map(|problem| format!("{}: {problem}", rule.name)));
        let known: BTreeSet<&str> =
            query.selectors.iter().filter_map(|(name, _)| crate::query::labels_of(name)).flatten().collect();
        for label in labels(&rule.summary).into_iter().chain(labels(&rule.description)) {
            if !known.contains(label.as_str()) {
                broken.push(format!("{} speaks of $labels.{label}, which its series do not have", rule.name));
            }
        }
    }
    all_hold("deploy/prometheus/rules.yml", &broken);
}

#[test]
fn each_rule_says_what_is_wrong_how_bad_it_is_and_where_help_is() {
    for rule in shipped() {
        assert!(rule.name.starts_with("Scopewarden"), "{}", rule.name);
        assert!(["critical", "warning", "info"].contains(&rule.severity.as_str()), "{rule:?}");
        assert!(!rule.summary.is_empty() && !rule.description.is_empty(), "{rule:?}");
        assert_eq!(rule.runbook, format!("docs/operations.md#{}", rule.name.to_lowercase()));
    }
}

#[test]
fn each_rule_has_a_test_that_fires_and_a_section_in_the_guide() {
    let names: BTreeSet<String> = shipped().into_iter().map(|rule| rule.name).collect();
    let tests = read("deploy/prometheus/rules_test.yml");
    let fired =
        names.iter().filter(|name| !tests.contains(&format!("alertname=\"{name}\", alertstate=\"firing\"")));
    all_hold("rules_test.yml never sees it fire", &fired.cloned().collect::<Vec<_>>());

    let guide = read("docs/operations.md");
    let sections: BTreeSet<String> = guide
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')))
        .filter(|heading| heading.starts_with("Scopewarden"))
        .map(str::to_owned)
        .collect();
    assert_eq!(sections, names, "the sections of docs/operations.md (left) are the rules (right)");
}

#[test]
fn alertmanager_speaks_of_rules_that_exist() {
    let names: BTreeSet<String> = shipped().into_iter().map(|rule| rule.name).collect();
    let sample = read("deploy/alertmanager/alertmanager.yml");
    let rules = sample.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = rules.flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric()));
    // `Scopewarden.+` is the pattern of all of them.
    let spoken: Vec<&str> =
        words.filter(|word| word.starts_with("Scopewarden") && *word != "Scopewarden").collect();
    assert!(spoken.len() > 5, "{spoken:?}");
    let unknown = spoken.into_iter().filter(|word| !names.contains(*word)).map(str::to_owned);
    all_hold("deploy/alertmanager/alertmanager.yml", &unknown.collect::<Vec<_>>());
}
