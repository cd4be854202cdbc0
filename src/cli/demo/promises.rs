//! Whether the story came true.
//!
//! Enters: the acts, the changes that were made, what was decided, and who holds the widened role by the organisation's own records.
//! Leaves: every promise that was not kept. Must never: take an audit's word for what the organisation is.

use std::collections::BTreeSet;

use super::{
    NEW_PERMISSIONS,
    act::{Act, Decided},
    administrator::Change,
    receiver::Alert,
};
use crate::domain::{
    attribution::Certainty,
    decision::Kind,
    event::{CauseKind, Event},
    finding::Finding,
    probe::{Observation, Verdict},
};

/// Everything that did not come true; empty if all is well.
pub(super) fn broken(
    before: &Act,
    after: &Act,
    changes: &[Change],
    holders: &BTreeSet<String>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let mut promise = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    promise(
        before.report.baseline && before.report.events.is_empty(),
        "the first audit is a baseline".to_owned(),
    );
    promise(!after.report.baseline, "the second audit is compared with the first".to_owned());
    let kinds: Vec<&str> = before.alerts.iter().map(|alert| alert.kind.as_str()).collect();
    promise(kinds == ["baseline.recorded"], "the first audit sends one baseline.recorded".to_owned());
    for (act, which) in [(before, "first"), (after, "second")] {
        promise(act.report.complete, format!("the {which} audit sees everything"));
        promise(act.undelivered == 0, format!("every alert of the {which} audit is delivered"));
        for alert in &act.alerts {
            promise(alert.verified, format!("the signature of alert {} is good", alert.id));
        }
    }
    let explains = |event: &&Event, change: &Change| {
        event.cause.kind == change.kind && event.cause.subject.id == change.subject
    };
    let events = &after.report.events;
    for change in changes {
        let event = events.iter().find(|event| explains(event, change));
        promise(event.is_some(), format!("the second audit explains this: {}", change.told));
        let Some(event) = event else { continue };
        let alerted = after.alerts.iter().any(|alert| alert.id == event.id && alert.kind == "drift.detected");
        promise(alerted, format!("an alert tells of this: {}", change.told));
        if change.kind == CauseKind::RolePermissionsChanged {
            let gained = event.clients.iter().filter(|client| !client.gained.is_empty());
            let gained: BTreeSet<String> = gained.map(|client| client.id.as_str().to_owned()).collect();
            promise(
                gained == *holders,
                "exactly the clients that hold the widened role gained by it".to_owned(),
            );
        }
    }
    promise(events.len() == changes.len(), format!("nothing else changed ({} events)", events.len()));
    broken
}

/// What the probes of a client that gained the power to delete users, and not that to delete roles, did not prove.
pub(super) fn unproven(probes: &[Observation]) -> Vec<String> {
    let promised = [
        ("DELETE /api/v2/users/{userId}", Verdict::NotRefused, "the platform lets the client delete users"),
        (
            "DELETE /api/v2/authorization/roles/{roleId}",
            Verdict::Refused,
            "the platform refuses the client roles",
        ),
    ];
    let is_kept = |operation: &str, verdict| {
        probes.iter().any(|probe| probe.operation == operation && probe.verdict == verdict)
    };
    let broken = promised.into_iter().filter(|(operation, verdict, _)| !is_kept(operation, *verdict));
    broken.map(|(_, _, what)| what.to_owned()).collect()
}

/// Changes that were not put down to the person who made them.
pub(super) fn unattributed(after: &Act, person: &str) -> Vec<String> {
    let is_named = |event: &&Event| {
        event
            .actor
            .as_ref()
            .is_some_and(|actor| actor.certainty == Certainty::Exact && actor.name.as_deref() == Some(person))
    };
    let events = after.report.events.iter().filter(|event| !is_named(event));
    events.map(|event| format!("{person} is named as who did this: {}", event.cause.subject.name)).collect()
}

/// What did not follow from the decisions: an alert that ends for each, and the third audit that heeds them.
pub(super) fn undecided((event, finding): (&Event, &Finding), decided: &Decided, end: &Act) -> Vec<String> {
    let mut broken = Vec::new();
    let mut promise = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    let kinds: Vec<Kind> = decided.decisions.iter().map(|decision| decision.kind).collect();
    promise(kinds == [Kind::Approve, Kind::Mute], "both decisions are recorded".to_owned());
    let is_resolved = |alert: &Alert| alert.kind == "finding.resolved" && alert.verified;
    promise(
        decided.alerts.len() > 1 && decided.alerts.iter().all(is_resolved),
        "what was decided upon ends its alerts".to_owned(),
    );
    let now = end.report.findings.iter().find(|open| open.uid == finding.uid);
    promise(now.is_some_and(|open| open.muted), format!("{} stays open and muted", finding.title));
    let subject = event.cause.subject.id.as_str();
    let covered = end.report.findings.iter().filter(|open| open.client.id.as_str() == subject);
    promise(
        covered.into_iter().any(|open| open.marks.approved && !open.is_due()),
        "the approval covers what the change had opened".to_owned(),
    );
    broken
}

/// What taking the change back did not bring: one event by the person who did it, and the end of each alert.
pub(super) fn unresolved(before: &Act, end: &Act, remedy: &Change, person: &str) -> Vec<String> {
    let mut broken = unattributed(end, person);
    let mut promise = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    let [event] = &end.report.events[..] else {
        promise(false, format!("the third audit explains this alone: {}", remedy.told));
        return broken;
    };
    let is_it = (event.cause.kind, event.cause.subject.id.as_str()) == (remedy.kind, remedy.subject.as_str());
    promise(is_it, format!("the third audit explains this: {}", remedy.told));
    let opened = before.alerts.iter().filter(|alert| alert.kind == "finding.opened");
    let opened = opened.filter(|alert| NEW_PERMISSIONS.iter().any(|gained| alert.summary.contains(gained)));
    let resolved = end.alerts.iter().filter(|alert| alert.kind == "finding.resolved" && alert.verified);
    let (opened, resolved) = (opened.count(), resolved.count());
    promise(opened > 0 && opened == resolved, format!("{opened} alerts were opened and {resolved} end"));
    promise(end.report.complete, "the third audit sees everything".to_owned());
    promise(end.undelivered == 0, "every alert of the third audit is delivered".to_owned());
    broken
}

/// What the probes still let through once the role has lost its power, and alerts of what they had proven that go on.
pub(super) fn unrefused(first: &[Observation], again: &[Observation], end: &Act) -> Vec<String> {
    let is_through = |probe: &&Observation| probe.verdict == Verdict::NotRefused;
    let through = again.iter().filter(is_through);
    let mut broken: Vec<String> =
        through.map(|probe| format!("the platform refuses this again: {}", probe.operation)).collect();
    let opened = first.iter().filter(is_through).count();
    let resolved =
        end.alerts.iter().filter(|alert| alert.kind == "finding.resolved" && alert.verified).count();
    if resolved < opened || !end.report.complete || end.undelivered > 0 {
        broken.push(format!("what {opened} operations proved is resolved ({resolved} alerts)"));
    }
    broken
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        audit::{Report, Timings},
        cli::demo::receiver::Alert,
        daemon::clock,
        domain::{
            DivisionRef, Severity,
            event::{Affected, Cause, Delta, Gain, Subject},
            evidence::Hash,
        },
    };

    fn alert(kind: &str, id: &str) -> Alert {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        Alert { kind, id, verified: true, severity: None, summary: String::new() }
    }

    fn act(baseline: bool, events: Vec<Event>, alerts: Vec<Alert>) -> Act {
        let report = Report {
            org: "o".to_owned(),
            audit: "a".to_owned(),
            at: clock::now(),
            complete: true,
            gaps: Vec::new(),
            api_calls: 4,
            clients: 2,
            baseline,
            chain_head: Hash::GENESIS,
            events,
            findings: Vec::new(),
            resolved: Vec::new(),
            timings_ms: Timings::default(),
        };
        Act { report, roles: 1, alerts, undelivered: 0, metrics: BTreeMap::new() }
    }

    /// A role that was widened, and the clients that gained by it.
    fn widened(role: &str, clients: &[&str]) -> Event {
        let gain = Gain {
            permission: "directory:user:delete".to_owned(),
            divisions: vec![DivisionRef::All],
            conditional: false,
            in_scope: false,
            shared: false,
        };
        let affected = |client: &&str| Affected {
            id: (*client).into(),
            name: (*client).to_owned(),
            gained: Arc::from([gain.clone()]),
            lost: Arc::from([]),
        };
        let kind = CauseKind::RolePermissionsChanged;
        Event {
            id: "evt-1".to_owned(),
            delta: String::new(),
            org: "o".to_owned(),
            severity: Severity::High,
            cause: Cause {
                kind,
                subject: Subject { kind: "role".to_owned(), id: role.to_owned(), name: "R".to_owned() },
                kinds: vec![kind],
                permissions: Delta::default(),
                details: BTreeMap::new(),
            },
            clients: clients.iter().map(affected).collect(),
            actor: None,
        }
    }

    /// What goes wrong: with the first audit, with the second, or with who holds the role.
    type Spoil = fn(&mut Act, &mut Act, &mut BTreeSet<String>);

    /// What is broken of a story in which all is well until `spoil` touches it.
    fn after(spoil: Spoil) -> Vec<String> {
        let mut before = act(true, Vec::new(), vec![alert("baseline.recorded", "msg-1")]);
        let mut after = act(false, vec![widened("r", &["a", "b"])], vec![alert("drift.detected", "evt-1")]);
        let mut holders = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let told = "R gains power.".to_owned();
        let change = Change { told, kind: CauseKind::RolePermissionsChanged, subject: "r".to_owned() };
        spoil(&mut before, &mut after, &mut holders);
        broken(&before, &after, &[change], &holders)
    }

    #[test]
    fn a_true_story_breaks_no_promise() {
        assert_eq!(after(|_, _, _| {}), [""; 0]);
    }

    #[test]
    fn without_probes_nothing_is_proven() {
        assert_eq!(unproven(&[]).len(), 2);
    }

    #[test]
    fn each_thing_that_goes_wrong_is_named() {
        let wrong: [(Spoil, &str); 9] = [
            (|_, after, _| after.alerts[0].verified = false, "the signature of alert evt-1 is good"),
            (|before, _, _| before.alerts.clear(), "the first audit sends one baseline.recorded"),
            (|_, after, _| after.alerts.clear(), "an alert tells of this: R gains power."),
            (|_, after, _| after.undelivered = 1, "every alert of the second audit is delivered"),
            (|before, _, _| before.report.complete = false, "the first audit sees everything"),
            (|_, after, _| after.report.baseline = true, "the second audit is compared with the first"),
            (
                |_, after, _| after.report.events[0] = widened("r", &["a"]),
                "exactly the clients that hold the widened role gained by it",
            ),
            (
                |_, _, holders| holders.extend(["c".to_owned()]),
                "exactly the clients that hold the widened role gained by it",
            ),
            (
                |_, after, _| after.report.events[0] = widened("another", &["a", "b"]),
                "the second audit explains this: R gains power.",
            ),
        ];
        for (spoil, promise) in wrong {
            assert_eq!(after(spoil), [promise]);
        }
        let more = after(|_, after, _| after.report.events.push(widened("another", &[])));
        assert_eq!(more, ["nothing else changed (2 events)"]);
    }
}
