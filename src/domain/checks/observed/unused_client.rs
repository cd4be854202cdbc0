//! Clients that called nothing in all the time that was counted.

use chrono::DateTime;

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "unused-client",
    title: "Client is used",
    severity: Severity::Medium,
    rationale: "A client that nobody uses is a door that nobody watches: its secret lies somewhere, and a call with it \
        would surprise no one.",
    remediation: "Ask the owner, then disable the client; delete it when nobody has missed it.",
    references: References {
        nist: &["AC-2(3)", "AC-6(7)"],
        cis: &["5.1", "5.3"],
        iso: &["A.5.16", "A.5.18"],
        soc2: &["CC6.2", "CC6.3"],
        pci: &["7.2.5.1", "8.2.6"],
    },
    needs: &[Fact::Clients, Fact::Usage],
    evaluate,
};

/// A client that is younger may not have begun its work yet.
const YOUNG_DAYS: i64 = 30;

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let Some(usage) = facts.usage.filter(|usage| usage.of(&client.id).is_none()) else { return Vec::new() };
    let created = client.date_created.as_deref().and_then(|date| DateTime::parse_from_rfc3339(date).ok());
    if created.is_some_and(|created| (facts.now - created.to_utc()).num_days() < YOUNG_DAYS) {
        return Vec::new();
    }
    let (name, id, days) = (&client.name, &client.id, usage.window.days());
    vec![Failure {
        key: String::new(),
        title: format!("{name} called nothing in {days} days"),
        evidence: format!(
            "The platform counted no call of client {name} ({id}) in {days} days, neither a successful nor a refused one. \
             A client that works once a quarter or once a year looks the same."
        ),
        next_step: format!(
            "Ask the owner of {name} whether it is still needed; if not, disable it, then delete it."
        ),
        rests_on: &[],
    }]
}
