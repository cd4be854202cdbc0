//! Expressions: which are accepted, what is said of the others, and what they say of a client.

mod audits;
mod expressions;
mod random;

use super::{
    Sample, Words,
    model::{Entity, Kind, VARIABLES},
    program::{Answer, Program},
    *,
};

pub(super) fn words(id: &str) -> Words {
    let none = String::new;
    Words {
        id: id.to_owned(),
        severity: Severity::High,
        title: none(),
        rationale: none(),
        remediation: none(),
    }
}

pub(super) fn check(expression: &str) -> CustomCheck {
    CustomCheck::new(words("acme-check"), expression, Vec::new())
        .unwrap_or_else(|error| panic!("{expression}: {error:?}"))
}

/// What an expression says of a client that a table of a test describes.
pub(super) fn says(expression: &str, sample: &str) -> Answer {
    said(expression, toml::from_str(sample).unwrap_or_else(|error| panic!("{sample}: {error}")))
}

fn said(expression: &str, sample: toml::Table) -> Answer {
    use serde::Deserialize as _;

    let sample = Sample::deserialize(toml::Value::Table(sample)).unwrap_or_else(|error| panic!("{error}"));
    let program = Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error:?}"));
    program.answer(&sample.sheet(&program.reading))
}

#[test]
fn the_documentation_has_every_field_as_it_is() {
    let page = include_str!("../../../../../docs/custom-checks.md");
    let mut rows = 0;
    for entity in Entity::ALL {
        for field in entity.fields() {
            let row =
                format!("| `{}.{}` | {} | {} |", entity.name(), field.name, field.kind.word(), field.what);
            assert!(page.contains(&row), "docs/custom-checks.md lacks this row:\n{row}");
            rows += 1;
        }
    }
    let written =
        page.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 2).count();
    assert_eq!(written, rows, "docs/custom-checks.md has rows of fields that do not exist");
    for name in VARIABLES {
        assert!(page.contains(&format!("`{name}`")), "docs/custom-checks.md does not name {name}");
    }
}

#[test]
fn the_documentation_has_examples_that_pass_their_own_tests() {
    #[derive(serde::Deserialize)]
    struct Example {
        check: Vec<toml::Table>,
    }
    let page = include_str!("../../../../../docs/custom-checks.md");
    let mut tests = 0;
    for block in page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let example: Example = toml::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        for mut table in example.check {
            let expression = table["expression"].as_str().unwrap_or_default().to_owned();
            let listed = table.remove("test").and_then(|tests| tests.as_array().cloned()).unwrap_or_default();
            for test in listed {
                let toml::Value::Table(mut test) = test else { panic!("no table") };
                let (name, expect) = (test.remove("name"), test.remove("expect"));
                let answer = said(&expression, test);
                let got = match answer {
                    Answer::Yes => "fail",
                    Answer::No => "pass",
                    Answer::Unknown(_) => "unknown",
                };
                assert_eq!(
                    expect.as_ref().and_then(toml::Value::as_str),
                    Some(got),
                    "{name:?} of {expression}"
                );
                tests += 1;
            }
            check(&expression);
        }
    }
    assert!(tests >= 4, "the examples have tests");
}

#[test]
fn every_field_of_the_full_client_is_there_and_of_its_type() {
    for (variable, entity) in [
        ("client", Entity::Client),
        ("contract", Entity::Contract),
        ("usage", Entity::Usage),
        ("grants[0]", Entity::Grant),
        ("permissions[0]", Entity::Permission),
        ("operations[0]", Entity::Operation),
        ("usage.calls[0]", Entity::Call),
    ] {
        for field in entity.fields() {
            let path = format!("{variable}.{}", field.name);
            let expression = match field.kind {
                Kind::Text => format!("{path}.size() >= 0"),
                Kind::Number => format!("{path} >= 0 || {path} < 0"),
                Kind::Flag => format!("{path} || !{path}"),
                Kind::Moment => format!("{path} > timestamp('1970-01-01T00:00:00Z')"),
                Kind::Texts => format!("{path}.exists(text, text.size() > 0)"),
                Kind::Calls => format!("{path}.exists(call, call.total > 0)"),
            };
            let program =
                Program::compile(&expression).unwrap_or_else(|error| panic!("{expression}: {error:?}"));
            let full = Sample::full(&program.reading);
            assert_eq!(program.answer(&full.sheet(&program.reading)), Answer::Yes, "{expression}");
        }
    }
}

#[test]
fn a_test_that_fails_says_what_came_instead() {
    let sample: Sample = toml::from_str("unknown = ['permissions']").unwrap();
    let named = |name: &str, expect| Test { name: name.to_owned(), sample: sample.clone(), expect };
    let tests = vec![named("one", Status::Pass), named("two", Status::Unknown)];
    let check = CustomCheck::new(words("acme-check"), "client.holds('oauth:*:*')", tests).unwrap();
    let failed: Vec<_> =
        check.failed_tests().map(|(at, test, reason)| (at, test.name.clone(), reason)).collect();
    let reason = "expected \"pass\", and it says \"unknown\": The test says that it is not known.";
    assert_eq!(failed, [(0, "one".to_owned(), reason.to_owned())]);
}
