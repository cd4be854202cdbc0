//! Checks of what probes proved, for clients whose credentials we were given.
//!
//! Each rests on where a probe stands ([`Standing`]): what was last proven, since when, and whether the attempts since
//! then proved anything. A client without probes passes them all, and is shown as not probed elsewhere.

pub(super) mod mismatch;
pub(super) mod negative_failed;
pub(super) mod negative_inconclusive;
pub(super) mod positive_failed;
pub(super) mod unexplained;

use super::{Facts, Failure, Subject};
use crate::domain::{
    Severity,
    probe::{Observation, Standing},
};

/// What stands proven of a client's probes.
fn proven<'a>(
    facts: &'a Facts<'_>,
    subject: &Subject<'_>,
) -> impl Iterator<Item = (&'a Standing, &'a Observation)> {
    facts.probes_of(subject.client).filter_map(|standing| Some((standing, standing.proven.as_ref()?)))
}

/// How bad a single finding of a check is, where the probe says so itself.
pub(super) fn severity(facts: &Facts<'_>, subject: &Subject<'_>, check: &str, key: &str) -> Option<Severity> {
    if check != negative_failed::CHECK.id {
        return None;
    }
    proven(facts, subject).find(|(_, proven)| proven.operation == key).and_then(|(_, proven)| proven.severity)
}

/// A failure about one probe.
fn failure(
    subject: &Subject<'_>,
    standing: &Standing,
    proven: &Observation,
    what: &str,
    next_step: String,
) -> Failure {
    let since = standing
        .since
        .map_or_else(String::new, |since| format!(" So since {}.", since.format("%Y-%m-%d %H:%M UTC")));
    let doubt = if standing.inconclusive > 0 { " Later attempts proved nothing." } else { "" };
    let client = subject.client;
    Failure {
        key: proven.operation.clone(),
        title: format!("{}: {} {what}", client.name, proven.operation),
        evidence: format!(
            "Probed with the own token of {} ({}). {} Predicted: {}.{since}{doubt}",
            client.name,
            client.id,
            proven.explanation,
            proven.predicted.as_str(),
        ),
        next_step,
        rests_on: &[],
    }
}

#[cfg(test)]
mod tests;
