//! `[[check]]`: a check of the user's own, in CEL, with its tests.
//!
//! Enters: a section. Leaves: a compiled [`CustomCheck`], or every mistake with its place in the expression. Must never: run
//! the tests; that a test fails is for `check-config` to say, and stops no audit.

use std::{collections::BTreeSet, thread};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{
    problem::{Refusal, did_you_mean},
    route::severity,
    section::Section,
};
use crate::domain::{
    checks::{
        CHECKS,
        custom::{CustomCheck, MOST_TESTS, Mistaken, Sample, Test, Words},
    },
    finding::Status,
};

/// The longest id, in letters.
const LONGEST_ID: usize = 60;
/// The longest title, rationale or remediation, in letters.
const LONGEST: usize = 500;
/// What the parser may recurse on. It needs a fraction of that where code is optimised.
const STACK: usize = 16 * 1024 * 1024;
/// The keys of a test that say what its client is like.
const SAMPLE: [&str; 8] =
    ["client", "grants", "permissions", "operations", "contract", "usage", "now", "unknown"];

/// `None` only beside a problem that says why.
pub(super) fn read(section: &mut Section<'_, '_>, ids: &mut BTreeSet<String>) -> Option<CustomCheck> {
    let id =
        section.required("id", "its name in findings, metrics and messages, as acme-no-outbound", |text| {
            let id = id(text)?;
            if ids.insert(id.clone()) {
                Ok(id)
            } else {
                Err(Refusal::of(text, "is used twice; each check needs its own"))
            }
        });
    let severity =
        section.required("severity", "how bad it is to fail: critical, high, medium, low or info", severity);
    let title = section.text("title", line);
    let rationale = section.text("rationale", line);
    let remediation = section.text("remediation", line);
    let expression =
        section.required("expression", "what a client that fails has, in CEL", |text| Ok(text.to_owned()));
    let mut names = BTreeSet::new();
    let tests = section.tables("test", MOST_TESTS, |section| test(section, &mut names));
    let words = Words {
        // The expression is looked at even if the check has no name, so that all is said at once.
        id: id.clone().unwrap_or_default(),
        severity: severity.unwrap_or(crate::domain::Severity::Info),
        title: title.unwrap_or_default(),
        rationale: rationale.unwrap_or_default(),
        remediation: remediation.unwrap_or_default(),
    };
    let tests: Option<Vec<Test>> = tests.into_iter().flatten().collect();
    let expression = expression?;
    match compile(words, &expression, tests.clone().unwrap_or_default()) {
        Ok(check) => {
            id?;
            severity?;
            tests?;
            Some(check)
        }
        Err(mistakes) => {
            for mistake in mistakes {
                section.refuse("expression", Refusal::hidden(mistake.to_string()));
            }
            None
        }
    }
}

/// On a stack of its own: a reload comes on a thread whose stack is small.
fn compile(words: Words, expression: &str, tests: Vec<Test>) -> Result<CustomCheck, Vec<Mistaken>> {
    let failed = |reason: String| vec![Mistaken { place: None, reason }];
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let compiled = thread.spawn_scoped(scope, || CustomCheck::new(words, expression, tests));
        match compiled.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => {
                Err(failed("cannot be read by the parser, which stopped; write it otherwise".to_owned()))
            }
            Err(error) => {
                Err(failed(format!("could not be compiled: no thread for it ({error}); try again")))
            }
        }
    })
}

fn id(text: &str) -> Result<String, Refusal> {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if text.len() > LONGEST_ID
        || !text.split('-').all(is_word)
        || !text.starts_with(|c: char| c.is_ascii_lowercase())
    {
        let reason = format!("is not lower-case words with - between them, of at most {LONGEST_ID} letters");
        return Err(Refusal::of(text, reason));
    }
    // What findings that do not belong to a known check are counted under.
    if text == "other" || CHECKS.iter().any(|check| check.id == text) {
        return Err(Refusal::of(
            text,
            "is the name of a built-in check; begin it with your own name, as acme-…",
        ));
    }
    Ok(text.to_owned())
}

fn line(text: &str) -> Result<String, Refusal> {
    let fits =
        !text.trim().is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Refusal::of(text, format!("is not one line of at most {LONGEST} letters")))
    }
}

/// `None` only beside a problem that says why.
fn test(section: &mut Section<'_, '_>, names: &mut BTreeSet<String>) -> Option<Test> {
    let name = section.required("name", "what the client of this test is like", |text| {
        let name = line(text)?;
        if names.insert(name.clone()) {
            Ok(name)
        } else {
            Err(Refusal::of(text, "is used twice in this check"))
        }
    });
    let expect = section.required("expect", "fail, pass or unknown", |text| match text {
        "fail" => Ok(Status::Fail),
        "pass" => Ok(Status::Pass),
        "unknown" => Ok(Status::Unknown),
        _ => {
            let words = ["fail", "pass", "unknown"];
            Err(Refusal::of(text, format!("is not one of {}{}", words.join(", "), did_you_mean(text, words))))
        }
    });
    let given: Table =
        SAMPLE.into_iter().filter_map(|key| Some((key.to_owned(), section.raw(key)?))).collect();
    let sample = match Sample::deserialize(Value::Table(given)) {
        Ok(sample) => Some(sample),
        Err(error) => {
            let text = error.to_string();
            let said: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            section.complain(format!("its client is not understood: {}", said.join("; ")));
            None
        }
    };
    Some(Test { name: name?, sample: sample?, expect: expect? })
}
