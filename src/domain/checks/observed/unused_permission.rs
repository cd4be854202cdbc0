//! Permissions that a client holds and that none of its calls needed.

use super::MORE_CALLED;
use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    permission::{ADMIN, PermissionSet},
    privilege,
    usage::Proof,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "unused-permission",
    title: "Client uses the permissions that it holds",
    severity: Severity::Medium,
    rationale: "What a client holds and never uses helps nobody but whoever steals its secret. It is what a least-privilege \
        role leaves out.",
    remediation: "Ask the owner what the client does in a whole year, then take out of its role what that does not need.",
    references: References {
        nist: &["AC-6", "AC-6(7)"],
        cis: &["5.4", "6.8"],
        iso: &["A.5.15", "A.5.18", "A.8.2"],
        soc2: &["CC6.3"],
        pci: &["7.2.1", "7.2.5"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants, Fact::Usage],
    evaluate,
};

/// Permissions that one finding names.
const NAMED: usize = 8;

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    // One that called nothing at all is the matter of another check.
    let Some((usage, called)) = facts.usage.and_then(|usage| Some((usage, usage.of(&client.id)?))) else {
        return Vec::new();
    };
    let mut held = facts.access.universe.none();
    for role in &subject.roles {
        held.union_with(&role.facts.power.listed);
    }
    if let Some(in_scope) = &subject.in_scope {
        held.intersect_with(in_scope);
    }
    let Proof { proven, possible, unused, not_provable } = facts.prover.proof(&held, Some(called));
    let count = |set: &PermissionSet| set.count_ones(..);
    if unused.is_clear() {
        return Vec::new();
    }
    let (name, id, days) = (&client.name, &client.id, usage.window.days());
    let weightiest = weightiest(facts, &unused);
    let more = count(&unused).saturating_sub(weightiest.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let mut doubts = Vec::new();
    if !possible.is_clear() {
        doubts.push(format!(
            " {} more may have been needed: a call that any one of several permissions opens proves only one of them, \
             and one that was not answered with success proves none.",
            count(&possible)
        ));
    }
    if !not_provable.is_clear() {
        let them = count(&not_provable);
        doubts.push(format!(" No operation names {them} of them, so no call can show their use."));
    }
    if usage.left_out > 0 {
        doubts.push(MORE_CALLED.to_owned());
    }
    let doubts = doubts.concat();
    let title = format!("{name} holds {} permissions that it does not use", count(&unused));
    vec![Failure {
        key: String::new(),
        title: if count(&unused) == 1 {
            format!("{name} holds a permission that it does not use")
        } else {
            title
        },
        evidence: format!(
            "Of the {} permissions that client {name} ({id}) holds by its roles, its calls of {days} days needed {}. No \
             call needed {}{more}.{doubts} A job that runs less often than every {days} days does not show.",
            count(&held),
            count(&proven),
            weightiest.join(", "),
        ),
        next_step: format!(
            "`scopewarden usage {name:?}` lists what {name} called; agree with its owner on a contract, and take the rest \
             out of its role."
        ),
        rests_on: &[],
    }]
}

/// The names of the most dangerous, then the first by name.
fn weightiest<'a>(facts: &Facts<'a>, set: &PermissionSet) -> Vec<&'a str> {
    let mut names: Vec<(u32, &str)> = set
        .ones()
        .map(|at| {
            let name = facts.access.universe.name(at);
            let weight = privilege::of(name).map_or(0, |row| row.weight);
            (if name == ADMIN { u32::MAX } else { weight }, name)
        })
        .collect();
    names.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    names.into_iter().take(NAMED).map(|(_, name)| name).collect()
}
