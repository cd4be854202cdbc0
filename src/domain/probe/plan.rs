//! What is sent for one client, in which order, and what is not sent and why.
//!
//! Enters: what the client declares, what is predicted, the rules of this run, and a source of random ids. Leaves: a
//! list of [`Planned`] probes. Must never: name an operation outside the curated table in something that is sent, use
//! an id that the inventory has, or plan more than the budget.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Class, Expectation, Forecast, Origin, Prediction, SafeOperation, safe_operations, safety};
use crate::domain::{
    DivisionId, Severity,
    access::{ALL_SCOPES, Access},
    catalogue::{Mode, Operation, Operations},
    inventory::Division,
    privilege,
};

/// Operations that the analysis adds for each client.
pub const NEAREST: usize = 10;

/// A random id that turns out to be known is drawn again, so often at most.
const DRAWS: usize = 8;

/// What a client declares that it needs, as places in the list of operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// What it calls.
    pub calls: Vec<usize>,
    /// What it must not be able to do.
    pub must_be_denied: Vec<usize>,
    /// The scopes that it asks for at the token endpoint.
    pub token_scopes: Vec<String>,
    /// The divisions that it works in; none: nobody said.
    pub divisions: BTreeSet<DivisionId>,
}

impl Declared {
    /// From what a contract names: operations by their names (parameters may be called otherwise), divisions by name or
    /// id, `*` for all that there are. What the organisation does not know is left out; that it is unknown is for others
    /// to say.
    pub fn named<'a>(
        access: &Access<'_>,
        calls: impl IntoIterator<Item = &'a str>,
        must_be_denied: impl IntoIterator<Item = &'a str>,
        token_scopes: impl IntoIterator<Item = &'a str>,
        divisions: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let find = |name| access.operations.find(name);
        let known = access.snapshot.divisions.iter().flat_map(|divisions| divisions.values());
        let meant = |wanted: &'a str| {
            let is_meant =
                move |one: &&Division| wanted == "*" || one.id.as_str() == wanted || one.name == wanted;
            known.clone().filter(is_meant).map(|division| division.id.clone())
        };
        Self {
            calls: calls.into_iter().filter_map(find).collect(),
            must_be_denied: must_be_denied.into_iter().filter_map(find).collect(),
            token_scopes: token_scopes.into_iter().map(str::to_owned).collect(),
            divisions: divisions.into_iter().flat_map(meant).collect(),
        }
    }
}

/// What bounds a run.
pub struct Rules<'a> {
    /// Probes that may be sent for one client.
    pub budget: usize,
    /// Also creations whose body must fail validation.
    pub allow_create: bool,
    /// Operations that answered 2xx or 409 to a negative test and that nobody has cleared since, each with the day.
    pub blocked: &'a dyn Fn(&str) -> Option<String>,
    /// When a probe was last tried: those that waited longest come first.
    pub last_tried: &'a dyn Fn(&str, Expectation) -> Option<DateTime<Utc>>,
    /// Whether an id is one of the inventory.
    pub is_known: &'a dyn Fn(&str) -> bool,
}

/// One probe of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The operation's template, as the list of operations has it.
    pub operation: String,
    /// What should happen.
    pub expectation: Expectation,
    /// Why it is probed.
    pub origin: Origin,
    /// What the analysis predicts.
    pub predicted: Prediction,
    /// The permissions that the operation declares.
    pub needs: Vec<String>,
    /// What is done.
    pub action: Action,
}

/// What is done about a planned probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is sent.
    Send {
        /// The path, with a fresh random id in each place.
        path: String,
        /// The row that says why it is safe.
        safe: &'static SafeOperation,
    },
    /// It is not, and why.
    Hold(String),
}

impl Planned {
    /// The HTTP method.
    pub fn method(&self) -> &str {
        self.operation.split_once(' ').map_or("", |(method, _)| method)
    }

    /// The path template.
    pub fn template(&self) -> &str {
        self.operation.split_once(' ').map_or("", |(_, path)| path)
    }

    /// Why sending it could change nothing; `None`: it is not sent, and no row says so.
    pub fn safe_because(&self) -> Option<&'static str> {
        match &self.action {
            Action::Send { safe, .. } => Some(safe.why),
            Action::Hold(_) => None,
        }
    }
}

/// Plans one client's probes.
pub fn of(
    operations: &Operations,
    declared: &Declared,
    forecast: &Forecast<'_>,
    rules: &Rules<'_>,
    fresh: &mut dyn FnMut() -> Uuid,
) -> Vec<Planned> {
    let mut wanted = Vec::new();
    let mut seen = HashSet::new();
    let mut want = |at: usize, expectation, origin| {
        if seen.insert(at) {
            wanted.push((at, expectation, origin));
        }
    };
    for at in &declared.must_be_denied {
        want(*at, Expectation::Deny, Origin::MustBeDenied);
    }
    for at in &declared.calls {
        let is_read = operations.get(*at).is_some_and(|operation| operation.method() == "GET");
        if is_read {
            want(*at, Expectation::Allow, Origin::Declared);
        }
    }
    // What a client says that it calls is never a negative test, unless it says both.
    let calls: BTreeSet<usize> = declared.calls.iter().copied().collect();
    let restricted = safe_operations().iter().filter(|row| row.restricted && may_send(row, rules));
    for at in restricted.filter_map(|row| operations.find(row.operation)).filter(|at| !calls.contains(at)) {
        want(at, Expectation::Deny, Origin::Restricted);
    }
    let taken: BTreeSet<usize> = wanted.iter().map(|(at, ..)| *at).chain(calls).collect();
    for at in nearest(operations, forecast, rules, &taken) {
        wanted.push((at, Expectation::Deny, Origin::Nearest));
    }
    // Who waited longest comes first whatever it is from: otherwise a long contract would keep the rest waiting for ever.
    wanted.sort_by_cached_key(|(at, expectation, origin)| {
        let name = operations.get(*at).map_or("", |operation| &operation.name);
        ((rules.last_tried)(name, *expectation), *origin, *at)
    });
    let mut left = rules.budget;
    wanted
        .into_iter()
        .filter_map(|(at, expectation, origin)| {
            let operation = operations.get(at)?;
            let action = match act(operation, expectation, rules, fresh) {
                Action::Send { .. } if left == 0 => Action::Hold(format!(
                    "the budget of {} probes for each client and run is used up (probe.budget); it comes first next \
                     time",
                    rules.budget
                )),
                send @ Action::Send { .. } => {
                    left -= 1;
                    send
                }
                hold @ Action::Hold(_) => hold,
            };
            Some(Planned {
                operation: operation.name.to_string(),
                expectation,
                origin,
                predicted: forecast.of_operation(at),
                needs: operation.permissions().map(str::to_owned).collect(),
                action,
            })
        })
        .collect()
}

/// A reading that the client's roles allow and `scopes` do not cover, to be asked with two tokens; `None`: there is none.
pub fn outside_scopes(
    operations: &Operations,
    forecast: &Forecast<'_>,
    scopes: &[String],
    rules: &Rules<'_>,
    fresh: &mut dyn FnMut() -> Uuid,
) -> Option<Planned> {
    if scopes.is_empty() || scopes.iter().any(|scope| scope == ALL_SCOPES) {
        return None;
    }
    let is_outside = |operation: &Operation| {
        !operation.scopes.is_empty() && operation.scopes().all(|one| scopes.iter().all(|scope| scope != one))
    };
    let (_, operation) = safe_operations()
        .iter()
        .filter(|row| row.class == Class::Read)
        .filter_map(|row| operations.find(row.operation))
        .filter_map(|at| operations.get(at).map(|operation| (at, operation)))
        .find(|(at, operation)| forecast.of_operation(*at) == Prediction::Granted && is_outside(operation))?;
    Some(Planned {
        operation: operation.name.to_string(),
        expectation: Expectation::Allow,
        origin: Origin::Nearest,
        predicted: Prediction::Granted,
        needs: operation.permissions().map(str::to_owned).collect(),
        action: act(operation, Expectation::Allow, rules, fresh),
    })
}

fn may_send(row: &SafeOperation, rules: &Rules<'_>) -> bool {
    row.class != Class::Create || rules.allow_create
}

/// What the client would reach by one more permission, the most dangerous first, of what the table lets us send and the
/// analysis predicts to be refused.
fn nearest(
    operations: &Operations,
    forecast: &Forecast<'_>,
    rules: &Rules<'_>,
    taken: &BTreeSet<usize>,
) -> Vec<usize> {
    let mut near: Vec<_> = safe_operations()
        .iter()
        .filter(|row| may_send(row, rules) && row.class != Class::List)
        .filter_map(|row| operations.find(row.operation))
        .filter(|at| !taken.contains(at) && forecast.of_operation(*at) == Prediction::Refused)
        .filter_map(|at| operations.get(at).map(|operation| (at, operation)))
        .map(|(at, operation)| {
            let tier = operation.permissions().filter_map(privilege::of).map(|row| row.tier).max();
            (forecast.distance(operation), std::cmp::Reverse(tier.unwrap_or(Severity::Info)), at)
        })
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, _, at)| at).take(NEAREST).collect()
}

fn act(
    operation: &Operation,
    expectation: Expectation,
    rules: &Rules<'_>,
    fresh: &mut dyn FnMut() -> Uuid,
) -> Action {
    let Some(safe) = safety::of(&operation.name) else { return Action::Hold(not_listed(operation)) };
    if !may_send(safe, rules) {
        return Action::Hold(
            "it would create something if its body were valid; probe.allow_create_probes is false".to_owned(),
        );
    }
    if expectation == Expectation::Deny && safe.class == Class::List {
        return Action::Hold(
            "if it is not refused it hands over a list of real objects: only readings of one object are negative tests"
                .to_owned(),
        );
    }
    if expectation == Expectation::Deny && operation.mode == Mode::None {
        return Action::Hold(
            "it declares no permission, so a refusal would prove nothing about the client's roles".to_owned(),
        );
    }
    if expectation == Expectation::Allow && !safe.class.is_read() {
        return Action::Hold("only reads are tried as positive tests".to_owned());
    }
    if let Some(day) = (rules.blocked)(&operation.name) {
        return Action::Hold(format!(
            "it was not refused in a negative test on {day} and is not sent again until somebody has looked: \
             scopewarden probe clear \"{}\"",
            operation.name
        ));
    }
    match concrete(operation.path(), rules, fresh) {
        Some(path) => Action::Send { path, safe },
        None => Action::Hold("no id could be drawn that the inventory does not have".to_owned()),
    }
}

/// The path with a fresh random id for each parameter.
fn concrete(template: &str, rules: &Rules<'_>, fresh: &mut dyn FnMut() -> Uuid) -> Option<String> {
    let mut path = String::new();
    for (at, segment) in template.split('/').enumerate() {
        if at > 0 {
            path.push('/');
        }
        if segment.contains(['{', '}']) {
            let id = std::iter::repeat_with(&mut *fresh).take(DRAWS).map(|id| id.to_string());
            path.push_str(&id.into_iter().find(|id| !(rules.is_known)(id))?);
        } else {
            path.push_str(segment);
        }
    }
    Some(path)
}

/// Why an operation is not in the table, as far as its name tells.
fn not_listed(operation: &Operation) -> String {
    let segment = |word: &str| operation.path().split('/').any(|part| part == word);
    let why = match operation.method() {
        "PUT" => "a PUT may create what it does not find",
        _ if segment("me") => "it is about the caller itself, so no id in it can be random",
        _ if segment("bulk") || segment("publish") => "it means more than one object, or publishes",
        "POST" => "a POST may create or change something",
        "DELETE" | "PATCH" if !operation.path().ends_with('}') => {
            "it does not mean a single object by its id"
        }
        _ => "nobody has reviewed it",
    };
    format!("{why}: it is not in the table of operations that are safe to probe")
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
