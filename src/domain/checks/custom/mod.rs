//! Users' own checks: a condition in CEL over what an audit saw of a client. Where it holds, the client **fails**.
//!
//! Enters: the text of an expression from the configuration; later `Facts` and one client after the other. Leaves: every
//! mistake with its place; later [`Finding`]s like those of the built-in checks, at most one for a check and client (key
//! `""`). Must never: pass a client on what was not seen, was not reached in time, or failed while it was evaluated; or read
//! a clock (whoever audits hands in how much time went by).
//!
//! - `model`: what an expression may look at. - `typing`: reads it before it is evaluated. - `program`: one expression.
//! - `value`: values as the language takes them. - `sheet`: what an expression sees of one client. - `seen`: that, of an
//!   audit. - `sample`: that, of a test.

mod model;
mod program;
mod sample;
mod seen;
mod sheet;
mod typing;
mod value;

use std::{fmt, sync::Arc, time::Duration};

use self::{
    model::Entity,
    program::{Answer, Program},
    seen::Prepared,
    sheet::Sheet,
};
pub use self::{program::Mistaken, sample::Sample};
use super::{Facts, Subject, answer::AFTER_A_GAP};
use crate::domain::{
    Severity,
    access::Access,
    decision::Marks,
    finding::{ClientRef, Finding, Status, uid},
};

/// The most checks of a configuration; each is a value of a metric label.
pub const MOST_CHECKS: usize = 50;
/// The most tests of one check.
pub const MOST_TESTS: usize = 50;
/// Elements of lists that an expression may look at for one client.
const MOST_STEPS: u64 = 1_000_000;
/// Letters of a piece of evidence.
const LONGEST_EVIDENCE: usize = 1_500;
/// Fields and questions that evidence names.
const MOST_NAMED: usize = 8;

/// What a check says beside its expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// Its id: kebab case, not that of a built-in check.
    pub id: String,
    /// How bad it is to fail.
    pub severity: Severity,
    /// The passing case as a sentence about a client; empty: its id stands for it.
    pub title: String,
    /// Why it matters; may be empty.
    pub rationale: String,
    /// What to do; may be empty.
    pub remediation: String,
}

/// One check of a user.
#[derive(Clone, Debug)]
pub struct CustomCheck {
    /// What it is called and says.
    pub words: Words,
    /// The condition as it was written. Where it holds, the client fails.
    pub expression: String,
    /// What its author expects of it.
    pub tests: Vec<Test>,
    program: Arc<Program>,
}

impl PartialEq for CustomCheck {
    fn eq(&self, other: &Self) -> bool {
        (&self.words, &self.expression, &self.tests) == (&other.words, &other.expression, &other.tests)
    }
}

/// What a check is expected to say of a made-up client.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What it is called.
    pub name: String,
    /// The client.
    pub sample: Sample,
    /// The expected answer.
    pub expect: Status,
}

impl CustomCheck {
    /// Compiles the expression and tries it; or everything that is wrong with it.
    pub fn new(words: Words, expression: &str, tests: Vec<Test>) -> Result<Self, Vec<Mistaken>> {
        let program = Arc::new(Program::compile(expression)?);
        Ok(Self { words, expression: expression.to_owned(), tests, program })
    }

    /// Runs its tests: each that failed, with its place among them, what it said instead and why.
    pub fn failed_tests(&self) -> impl Iterator<Item = (usize, &Test, String)> {
        self.tests.iter().enumerate().filter_map(|(at, test)| {
            let (status, why) = match self.program.answer(&test.sample.sheet(&self.program.reading)) {
                Answer::Yes => (Status::Fail, String::new()),
                Answer::No => (Status::Pass, String::new()),
                Answer::Unknown(why) => (Status::Unknown, format!(": {why}")),
            };
            let (got, expected) = (word(status), word(test.expect));
            (status != test.expect)
                .then(|| (at, test, format!("expected {expected:?}, and it says {got:?}{why}")))
        })
    }

    /// How people read of it.
    fn title(&self) -> &str {
        if self.words.title.is_empty() { &self.words.id } else { &self.words.title }
    }

    fn finding(&self, facts: &Facts<'_>, subject: &Subject<'_>, status: Status, said: Said) -> Finding {
        let Words { id, severity, .. } = &self.words;
        let client = subject.client;
        Finding {
            uid: uid(facts.org, id, &client.id, ""),
            org: facts.org.to_owned(),
            check: id.clone(),
            status,
            severity: *severity,
            muted: false,
            marks: Marks::default(),
            client: ClientRef { id: client.id.clone(), name: client.name.clone() },
            key: String::new(),
            title: said.title,
            evidence: cut(said.evidence),
            remediation: said.remediation,
            first_seen: facts.now,
            last_seen: facts.now,
        }
    }

    fn fails(&self, facts: &Facts<'_>, subject: &Subject<'_>, sheet: &Sheet<'_>) -> Finding {
        let Words { id, rationale, remediation, .. } = &self.words;
        let client = subject.client;
        let title = format!("{} does not pass \u{201c}{}\u{201d}", client.name, self.title());
        let why = if rationale.is_empty() { String::new() } else { format!("{} ", rationale.trim_end()) };
        let evidence = format!(
            "{why}The condition of the check {id} holds for {} ({}): {}.",
            client.name,
            client.id,
            self.grounds(sheet)
        );
        let remediation = if remediation.is_empty() {
            format!("Change what the evidence names, or correct the expression of the [[check]] {id}.")
        } else {
            remediation.clone()
        };
        self.finding(facts, subject, Status::Fail, Said { title, evidence, remediation })
    }

    fn open(&self, facts: &Facts<'_>, subject: &Subject<'_>, evidence: String, remediation: &str) -> Finding {
        let title = format!("Not known of {}: \u{201c}{}\u{201d}", subject.client.name, self.title());
        let said = Said { title, evidence, remediation: remediation.to_owned() };
        self.finding(facts, subject, Status::Unknown, said)
    }

    /// The single facts that the condition rests on, as they are.
    fn grounds(&self, sheet: &Sheet<'_>) -> String {
        let reading = &self.program.reading;
        let answer =
            |known: sheet::Known<bool>| known.map_or("not known", |yes| if yes { "yes" } else { "no" });
        let holds = reading
            .patterns
            .iter()
            .map(|pattern| format!("it holds {pattern}: {}", answer(sheet.holds(pattern))));
        let can =
            reading.operations.iter().map(|call| format!("it may call {call}: {}", answer(sheet.can(call))));
        let fields = reading.mentions.iter().filter_map(|(entity, field)| {
            let value = sheet.shown(*entity, field)?;
            // Who it is stands in the sentence already.
            let told = *entity != Entity::Client || !["id", "name"].contains(field);
            told.then(|| format!("{}.{field} is {value}", entity.name()))
        });
        let named: Vec<String> = holds.chain(can).chain(fields).take(MOST_NAMED).collect();
        if named.is_empty() {
            self.expression.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            named.join("; ")
        }
    }
}

/// What a finding says.
struct Said {
    title: String,
    evidence: String,
    remediation: String,
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Fail => "fail",
        Status::Unknown => "unknown",
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST_EVIDENCE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// How long checks may take in one audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Each check, over all clients.
    pub each: Duration,
    /// All checks together, what is prepared for them included.
    pub all: Duration,
}

/// Users' checks for one audit.
#[derive(Clone, Copy)]
pub struct Custom<'a> {
    /// The checks.
    pub checks: &'a [CustomCheck],
    /// How long they may take.
    pub budget: Budget,
    /// How much time has gone by since some moment, by a clock that is never set.
    pub elapsed: &'a dyn Fn() -> Duration,
}

impl fmt::Debug for Custom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom")
            .field("checks", &self.checks.len())
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// One walk of the checks through all clients.
pub(super) struct Walk<'a> {
    custom: Custom<'a>,
    prepared: Prepared<'a>,
    /// Of each check, in their order.
    spent: Vec<Duration>,
    all: Duration,
}

impl<'a> Walk<'a> {
    pub(super) fn new(custom: Custom<'a>, access: &Access<'_>) -> Self {
        let begun = (custom.elapsed)();
        let prepared = Prepared::new(access, custom.checks.iter().map(|check| &*check.program));
        let all = (custom.elapsed)().saturating_sub(begun);
        Self { custom, prepared, spent: vec![Duration::ZERO; custom.checks.len()], all }
    }

    /// Appends what the checks find in one client.
    pub(super) fn answer(&mut self, facts: &Facts<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
        if self.custom.checks.is_empty() {
            return;
        }
        let Budget { each, all } = self.custom.budget;
        let mut before = (self.custom.elapsed)();
        let sheet = (self.all < all).then(|| self.prepared.sheet(facts, subject));
        let mut lap = |all: &mut Duration| {
            let now = (self.custom.elapsed)();
            let took = now.saturating_sub(std::mem::replace(&mut before, now));
            *all = all.saturating_add(took);
            took
        };
        lap(&mut self.all);
        for (check, spent) in self.custom.checks.iter().zip(&mut self.spent) {
            let late = match &sheet {
                Some(_) if self.all < all && *spent < each => None,
                Some(_) if self.all < all => Some((each, "this check", "audit.check_budget")),
                _ => Some((all, "all checks of your own together", "audit.checks_budget")),
            };
            let (Some(sheet), None) = (&sheet, late) else {
                let (limit, whose, key) =
                    late.unwrap_or((all, "all checks of your own together", "audit.checks_budget"));
                let limit = humantime::format_duration(limit);
                let evidence = format!(
                    "The time for {whose} ({key} = {limit}) was over before this client's turn came."
                );
                findings.push(check.open(facts, subject, evidence, OVER_TIME));
                continue;
            };
            match check.program.answer(sheet) {
                Answer::No => {}
                Answer::Yes => findings.push(check.fails(facts, subject, sheet)),
                Answer::Unknown(why) => findings.push(check.open(facts, subject, why, AFTER_A_GAP)),
            }
            *spent = spent.saturating_add(lap(&mut self.all));
        }
    }
}

const OVER_TIME: &str = "Make the expression look at less (client.holds and client.can cost next to nothing, loops over \
    operations the most), or raise the budget.";

#[cfg(test)]
mod tests;
