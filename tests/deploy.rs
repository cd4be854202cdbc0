//! The files of `deploy/` against the program and against each other: each series, label, option, credential, alert and
//! permission that they name exists. What only their own programs can judge (promtool, systemd, a real Prometheus…)
//! is in `tests/peers/`.
//!
//! - `query`: which series and labels a `PromQL` query names.
//! - `rules`: alerting rules, their tests, the guide's sections, Alertmanager's sample.
//! - `commands`: command lines in the unit, the image and the guide.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]

#[path = "deploy/commands.rs"]
mod commands;
#[path = "deploy/query.rs"]
mod query;
#[path = "deploy/rules.rs"]
mod rules;

use std::{collections::BTreeSet, fs, path::Path};

use scopewarden::telemetry::{Kind, SERIES};
use serde_json::Value;

use query::Query;

/// Series that neither a rule nor the dashboard uses, each with the reason.
const UNWATCHED: [(&str, &str); 3] = [
    ("scopewarden_leader", "always 1 with SQLite: there is nothing to see"),
    (
        "scopewarden_attributions_total",
        "an answer beside each alert: nothing is to be done about one that is unknown",
    ),
    (
        "scopewarden_alerts_unheard_total",
        "routes leave out what they are told to; check-config warns of more",
    ),
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn all_hold(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/scopewarden.json")).unwrap()
}

/// Each query of the dashboard, beside the place where it stands.
fn dashboard_queries() -> Vec<(String, String)> {
    fn collect(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => {
                let title = members.get("title").or_else(|| members.get("name")).and_then(Value::as_str);
                let place = title.unwrap_or(place);
                if let Some(query) = members.get("expr").and_then(Value::as_str) {
                    found.push((place.to_owned(), query.to_owned()));
                }
                members.values().for_each(|member| collect(member, place, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, place, found)),
            _ => {}
        }
    }
    let (dashboard, mut found) = (dashboard(), Vec::new());
    collect(&dashboard, "", &mut found);
    // `label_values(SERIES, LABEL)`: its label must be one of the series.
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let (series, label) =
                query.strip_prefix("label_values(").unwrap().trim_end_matches(')').rsplit_once(", ").unwrap();
            found.push((variable["name"].to_string(), format!("sum by ({label}) ({series})")));
        }
    }
    found
}

#[test]
fn the_dashboard_asks_only_for_what_exists() {
    let queries = dashboard_queries();
    assert!(queries.len() > 30, "{} queries", queries.len());
    let problems = queries.iter().flat_map(|(place, text)| {
        Query::read(text).problems().into_iter().map(move |problem| format!("{place}: {problem}"))
    });
    all_hold("deploy/grafana/scopewarden.json", &problems.collect::<Vec<_>>());
}

#[test]
fn the_dashboard_is_bound_to_no_installation() {
    fn sources(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("datasource").cloned());
                members.values().for_each(|member| sources(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| sources(item, found)),
            _ => {}
        }
    }
    let dashboard = dashboard();
    let mut found = Vec::new();
    sources(&dashboard, &mut found);
    assert!(found.len() > 30 && found.iter().all(|source| source["uid"] == "${datasource}"), "{found:?}");
    let names: Vec<&Value> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| &variable["name"])
        .collect();
    assert_eq!(names, ["datasource", "job", "org"]);

    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    // Panels overlap if two of them cover one cell of the 24 columns.
    let mut cells = BTreeSet::new();
    for panel in panels {
        let side = |name: &str| panel["gridPos"][name].as_i64().unwrap();
        assert!(side("x") + side("w") <= 24, "{}", panel["title"]);
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(cells.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn every_series_is_watched_or_there_is_a_reason() {
    let rules = rules::shipped();
    let texts =
        dashboard_queries().into_iter().map(|(_, text)| text).chain(rules.into_iter().map(|rule| rule.expr));
    let used: BTreeSet<String> =
        texts.flat_map(|text| Query::read(&text).selectors).map(|(name, _)| name).collect();
    let mut broken = Vec::new();
    for series in SERIES {
        let is_used = match series.kind {
            Kind::Histogram => used.contains(&format!("{}_bucket", series.name)),
            Kind::Gauge | Kind::Counter => used.contains(series.name),
        };
        match (is_used, UNWATCHED.iter().find(|(name, _)| *name == series.name)) {
            (false, None) => broken.push(format!("{} is on no dashboard and in no rule", series.name)),
            (true, Some(_)) => broken.push(format!("{} is watched; take it out of UNWATCHED", series.name)),
            _ => {}
        }
    }
    all_hold("a series that nobody sees", &broken);
}

/// The anchor that a heading gets, as Git hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_of_the_guides_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut broken, mut seen) = (Vec::new(), 0);
    for page in ["docs/operations.md", "docs/metrics.md", "deploy/README.md", "tests/peers/README.md"] {
        let text = read(page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { root.join(page) } else { root.join(page).parent().unwrap().join(file) };
            let is_there = if section.is_empty() {
                file.exists()
            } else {
                let text = fs::read_to_string(&file).unwrap_or_default();
                text.lines()
                    .any(|line| line.starts_with('#') && anchor(line.trim_matches(['#', ' '])) == section)
            };
            if !is_there {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(seen > 30, "{seen} links");
    all_hold("a link leads nowhere", &broken);
}

#[test]
fn the_role_is_the_same_in_json_and_in_terraform() {
    let role: Value = serde_json::from_str(&read("deploy/genesys/auditor-role.json")).unwrap();
    let mut json = BTreeSet::new();
    for policy in role["permissionPolicies"].as_array().unwrap() {
        let part = |name: &str| policy[name].as_str().unwrap().to_owned();
        for action in policy["actionSet"].as_array().unwrap() {
            json.insert([part("domain"), part("entityName"), action.as_str().unwrap().to_owned()].join(":"));
        }
    }
    let text = read("deploy/genesys/auditor-role.tf");
    let terraform: BTreeSet<String> = text
        .split("permission_policies {")
        .skip(1)
        .map(|block| {
            let value = |key: &str| {
                let line = block.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
                line.split_once('=').unwrap().1.trim().trim_matches(['[', ']']).trim_matches('"').to_owned()
            };
            [value("domain"), value("entity_name"), value("action_set")].join(":")
        })
        .collect();
    assert_eq!(json, terraform);
    assert!(text.contains(&format!("name        = {}", role["name"])), "the same name");
    // The README and the guide tell people to click the same.
    for page in ["README.md", "docs/operations.md"] {
        let page_text = read(page);
        for permission in &json {
            assert!(page_text.contains(&format!("| `{permission}` |")), "{page} does not name {permission}");
        }
    }
}

#[test]
fn the_sample_contract_is_one() {
    let draft = scopewarden::config::read_list(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/contracts/reporting-engine.toml"),
    )
    .unwrap();
    let contract = draft.contract;
    assert_eq!((contract.client.as_str(), draft.warnings.len()), ("Reporting_Engine", 0));
    assert!(
        ![
            &contract.calls,
            &contract.permissions,
            &contract.must_be_denied,
            &contract.divisions,
            &contract.token_scopes
        ]
        .iter()
        .any(|list| list.is_empty())
    );
    assert!(!contract.owner.is_empty() && !contract.purpose.is_empty(), "it shows every key");
}
