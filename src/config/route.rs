//! What a receiver wants to hear, and whether anything is left that nobody would.
//!
//! Enters: the routing keys of a `[[receiver]]`; the whole configuration. Leaves: a [`Route`], and warnings. Must never:
//! accept a check or an organisation that there is none of: such a route would be silent.

use std::collections::BTreeSet;

use super::{
    Config,
    problem::{Refusal, did_you_mean},
    section::Section,
};
use crate::domain::{
    Severity,
    message::MessageKind,
    route::{Concern, Route, Topic, fits},
};

/// The most entries of one list.
const MOST: usize = 100;
/// Names that one warning lists.
const LISTED: usize = 5;

/// Reads the routing keys; `known`: the ids of all checks. Whether its organisations exist is for [`refuse_unknown`] to say, when all are read.
pub(super) fn read(section: &mut Section<'_, '_>, known: &[&str]) -> Route {
    Route {
        min_severity: section.text("min_severity", severity).unwrap_or(Severity::Info),
        checks: section.list("checks", MOST, |pattern| check(pattern, known)).unwrap_or_default(),
        orgs: section.list("orgs", MOST, |name| Ok(name.to_owned())).unwrap_or_default(),
        owners: section.list("owners", MOST, |pattern| Ok(pattern.to_owned())).unwrap_or_default(),
        topics: section.list("topics", Topic::ALL.len(), topic).unwrap_or_default(),
        heartbeat: section.flag("heartbeat").unwrap_or(false),
    }
}

/// Refuses organisations that the configuration does not have. `routes`: one for each `[[receiver]]`, in order.
pub(super) fn refuse_unknown(root: &mut Section<'_, '_>, routes: &[Option<&Route>], orgs: &[&str]) {
    for (index, route) in routes.iter().enumerate() {
        for name in route.iter().flat_map(|route| &route.orgs).filter(|name| !orgs.contains(&name.as_str())) {
            let hint = did_you_mean(name, orgs.iter().copied());
            root.refuse_at(
                format!("receiver[{index}].orgs"),
                Refusal::of(name, format!("is not the name of an [[org]]{hint}")),
            );
        }
    }
}

/// One entry of `checks`: the id of a check, or a pattern that fits one at least.
fn check(pattern: &str, known: &[&str]) -> Result<String, Refusal> {
    if known.iter().any(|id| fits(pattern, id)) {
        return Ok(pattern.to_owned());
    }
    let reason = if pattern.contains('*') {
        "fits the id of no check; docs/checks.md lists them".to_owned()
    } else {
        format!("is not the id of a check{}", did_you_mean(pattern, known.iter().copied()))
    };
    Err(Refusal::of(pattern, reason))
}

fn topic(word: &str) -> Result<Topic, Refusal> {
    let words = Topic::ALL.map(Topic::as_str);
    Topic::parse(word).ok_or_else(|| {
        Refusal::of(word, format!("is not one of {}{}", words.join(", "), did_you_mean(word, words)))
    })
}

/// One of the five words.
pub(super) fn severity(word: &str) -> Result<Severity, Refusal> {
    Severity::parse(word).ok_or_else(|| {
        let words = Severity::ALL.map(Severity::as_str);
        Refusal::of(word, format!("is not one of {}{}", words.join(", "), did_you_mean(word, words)))
    })
}

/// What nobody would be told, and what no contract answers to: one sentence each.
pub fn unheard(config: &Config) -> Vec<String> {
    let routes: Vec<&Route> = config.receivers.iter().map(|receiver| &receiver.route).collect();
    if routes.is_empty() {
        return vec!["there is no [[receiver]]: nobody is told of anything".to_owned()];
    }
    let mut warnings = Vec::new();
    let mut owned = BTreeSet::new();
    for org in &config.orgs {
        let owners = org.contracts.list.iter().map(|contract| contract.owner.clone());
        let owners: BTreeSet<String> = owners.filter(|owner| !owner.is_empty()).collect();
        owned.extend(owners.iter().cloned());
        let heard = |kind, severity, check, owners: &BTreeSet<String>| {
            let concern = Concern { org: Some(&org.name), severity, check, owners };
            routes.iter().any(|route| route.wants(kind, &concern))
        };
        let nobody = BTreeSet::new();
        let each =
            owners.iter().map(|owner| (format!("clients of {owner}"), BTreeSet::from([owner.clone()])));
        for (whose, owners) in std::iter::once(("clients without an owner".to_owned(), nobody)).chain(each) {
            let severity = Severity::Critical;
            if !heard(MessageKind::DriftDetected, severity, None, &owners) {
                warnings.push(format!("{}: nobody is told of critical changes to {whose}", org.name));
            }
            let silent: Vec<&str> = (config.every_check())
                .filter(|(_, severity)| *severity >= Severity::High)
                .filter(|(id, severity)| !heard(MessageKind::FindingOpened, *severity, Some(id), &owners))
                .map(|(id, _)| id)
                .collect();
            if let [first, ..] = silent[..] {
                let listed = if silent.len() > LISTED {
                    format!("{} checks, {first} one of them", silent.len())
                } else {
                    silent.join(", ")
                };
                warnings
                    .push(format!("{}: nobody is told what these find about {whose}: {listed}", org.name));
            }
        }
        if !routes.iter().any(|route| route.hears_of(&org.name)) {
            warnings.push(format!("{}: nobody is told when its audits fail", org.name));
        }
    }
    for receiver in &config.receivers {
        for pattern in
            receiver.route.owners.iter().filter(|pattern| !owned.iter().any(|owner| fits(pattern, owner)))
        {
            warnings
                .push(format!("receiver {}: owners: {pattern:?} is the owner in no contract", receiver.name));
        }
    }
    if config.alerts.heartbeat.is_some() && !routes.iter().any(|route| route.heartbeat) {
        warnings.push("alerts.heartbeat: no receiver has heartbeat = true".to_owned());
    }
    if config.alerts.heartbeat.is_none() && routes.iter().any(|route| route.heartbeat) {
        warnings.push("a receiver has heartbeat = true, and alerts.heartbeat is not set".to_owned());
    }
    warnings
}
