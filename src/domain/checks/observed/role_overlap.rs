//! Where the two sources of a client's grants differ: its own record, and what the platform says of it as a subject.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    DivisionRef, Fact, RoleId, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    inventory::Grant,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "role-overlap",
    title: "Client is granted what its record says, no more and no less",
    severity: Severity::Medium,
    rationale: "Roles can be given to a client from the role's, the group's or the subject's side, and its record does \
        not show it. Whoever reviews the record alone does not see what the client can do.",
    remediation: "Take the grant away where it was made, or bring it into the client's record, so that one place says \
        what the client holds.",
    references: References {
        nist: &["AC-2", "AC-6(7)"],
        cis: &["5.1", "6.8"],
        iso: &["A.5.15", "A.5.18"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.5", "7.2.5.1"],
    },
    needs: &[Fact::Clients, Fact::ClientGrants, Fact::Grants],
    evaluate,
};

/// How a grant differs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way<'a> {
    /// Granted, and not in the record.
    Behind,
    /// The same, through another subject.
    Inherited(&'a str),
    /// In the record, and not granted.
    Missing,
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let Some(seen) = facts.access.snapshot.grants.get(&client.id) else { return Vec::new() };
    let recorded = |grant: &Grant| client.grants().any(|known| alike(known, grant));
    let mut differing: BTreeMap<(Way<'_>, &RoleId), BTreeSet<&DivisionRef>> = BTreeMap::new();
    for grant in seen.own.iter().filter(|grant| !recorded(grant)) {
        differing.entry((Way::Behind, &grant.role)).or_default().insert(&grant.division);
    }
    for (other, grants) in &seen.inherited {
        for grant in grants.iter().filter(|grant| !recorded(grant) && !seen.own.contains(*grant)) {
            differing.entry((Way::Inherited(other), &grant.role)).or_default().insert(&grant.division);
        }
    }
    for grant in client.grants().filter(|grant| !seen.grants().any(|real| alike(real, grant))) {
        differing.entry((Way::Missing, &grant.role)).or_default().insert(&grant.division);
    }
    differing
        .into_iter()
        .map(|((way, role), divisions)| failure(facts, subject, &way, role, &divisions))
        .collect()
}

/// The same grant, as far as both say: the old form of a record names roles without divisions.
fn alike(one: &Grant, other: &Grant) -> bool {
    one.role == other.role
        && (one.division == other.division
            || [one, other].iter().any(|grant| grant.division == DivisionRef::Unknown))
}

fn failure(
    facts: &Facts<'_>,
    subject: &Subject<'_>,
    way: &Way<'_>,
    role: &RoleId,
    divisions: &BTreeSet<&DivisionRef>,
) -> Failure {
    let (name, id) = (&subject.client.name, &subject.client.id);
    let role_name = facts.access.snapshot.roles.get(role).map_or(role.as_str(), |role| role.name.as_str());
    let divisions: Vec<&DivisionRef> = divisions.iter().copied().collect();
    let place = facts.places(&divisions);
    match way {
        Way::Behind => Failure {
            key: format!("granted:{role}"),
            title: format!("{name} holds {role_name} behind its record's back"),
            evidence: format!(
                "Client {name} ({id}) is granted role {role_name} ({role}) {place}, and its record does not name it."
            ),
            next_step: format!(
                "Ask who granted {role_name} to {name}: take the grant away, or add the role to the client's record."
            ),
            rests_on: &[],
        },
        Way::Inherited(other) => Failure {
            key: format!("inherited:{role}:{other}"),
            title: format!("{name} inherits {role_name} from another subject"),
            evidence: format!(
                "Client {name} ({id}) has role {role_name} ({role}) {place} through the subject {other} (a group), and \
                 its record does not name it."
            ),
            next_step: format!("Take {name} out of {other}, or the role from {other}."),
            rests_on: &[],
        },
        Way::Missing => Failure {
            key: format!("not-granted:{role}"),
            title: format!("{name} has {role_name} in its record and is not granted it"),
            evidence: format!(
                "The record of client {name} ({id}) names role {role_name} ({role}) {place}, and the platform lists no \
                 such grant of it."
            ),
            next_step: format!(
                "Save the client {name} again in the platform's administration, or take {role_name} out of its record."
            ),
            rests_on: &[],
        },
    }
}
