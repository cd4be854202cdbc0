//! Whether the story came true.
//!
//! Enters: both acts, the changes that were made, and who holds the widened role by the organisation's own records.
//! Leaves: every promise that was not kept. Must never: take an audit's word for what the organisation is.

use std::collections::BTreeSet;

use super::{act::Act, administrator::Change};
use crate::domain::{
    event::{CauseKind, Event},
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
