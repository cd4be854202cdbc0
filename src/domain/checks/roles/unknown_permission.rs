//! Permissions that a role names and the catalogue does not know: a slip of the pen, or something withdrawn.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::{
    Fact, Severity,
    access::{Access, RolePower},
    checks::{Check, FINDINGS_LIMIT, Facts, Failure, References, Subject, facts::Held},
    permission::{GENERAL, Pattern, nearest},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "unknown-permission",
    title: "Client's roles name only permissions that the platform knows",
    severity: Severity::Medium,
    rationale: "A permission that the catalogue does not list does nothing today: the client lacks what was \
        meant. If the platform brings a permission of that name, the client gains it without anybody deciding.",
    remediation: "Correct the name, or take it out of the role.",
    references: References {
        nist: &["AC-6", "CM-6"],
        cis: &["4.1", "6.8"],
        iso: &["A.5.18", "A.8.9"],
        soc2: &["CC6.3", "CC8.1"],
        pci: &["7.2.1", "7.2.5.1"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

/// Names offered for an unknown one.
const SUGGESTIONS: usize = 3;

/// Unknown permissions that suggestions are looked for; more are no slip of the pen, and each costs a comparison
/// with the whole catalogue.
const LOOKED_UP: usize = 40;

/// What a role names and nobody knows.
pub(in crate::domain::checks) fn of(power: &RolePower, access: &Access<'_>) -> Vec<usize> {
    (power.literal.difference(&access.known))
        .filter(|&at| !GENERAL.contains(&access.universe.name(at)))
        .collect()
}

/// For each unknown permission, the known names nearest to it.
pub(in crate::domain::checks) fn suggestions<'a, 'b>(
    unknown: impl Iterator<Item = &'b usize>,
    access: &'a Access<'_>,
) -> HashMap<usize, Vec<&'a str>> {
    let unknown: BTreeSet<usize> = unknown.copied().collect();
    let known: Vec<&str> = access.known.ones().map(|at| access.universe.name(at)).chain(GENERAL).collect();
    let parsed: Vec<Pattern<'_>> = known.iter().map(|name| Pattern::parse(name)).collect();
    let suggest = |unknown: &str| {
        let pattern = Pattern::parse(unknown);
        let related = parsed.iter().zip(&known).filter(|(other, _)| related(&pattern, other));
        let related: Vec<&str> = related.map(|(_, name)| *name).collect();
        let candidates = if related.is_empty() { &known } else { &related };
        nearest(unknown, candidates.iter().copied(), SUGGESTIONS)
    };
    unknown.into_iter().take(LOOKED_UP).map(|at| (at, suggest(access.universe.name(at)))).collect()
}

/// Whether two names agree in the domain or the entity but for case: a slip is mostly in one part, and comparing a
/// name with the whole catalogue is dear.
fn related(one: &Pattern<'_>, other: &Pattern<'_>) -> bool {
    match (one, other) {
        (
            Pattern::Parts { domain, entity, .. },
            Pattern::Parts { domain: other_domain, entity: other_entity, .. },
        ) => domain.eq_ignore_ascii_case(other_domain) || entity.eq_ignore_ascii_case(other_entity),
        (Pattern::General(_), Pattern::General(_)) => true,
        _ => false,
    }
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let mut named: BTreeMap<usize, Vec<&Held<'_>>> = BTreeMap::new();
    for held in &subject.roles {
        for &permission in &held.facts.unknown {
            named.entry(permission).or_default().push(held);
        }
    }
    let client = &subject.client.name;
    (named.into_iter())
        .map(|(at, held)| {
            let permission = facts.access.universe.name(at);
            let roles: Vec<&str> =
                held.iter().take(FINDINGS_LIMIT).map(|held| held.facts.role.name.as_str()).collect();
            let roles = roles.join(", ");
            let near = facts.suggestions.get(&at).map_or(&[][..], Vec::as_slice).join(", ");
            let hint = if near.is_empty() {
                "No known name is near to it.".to_owned()
            } else {
                format!("Known names near to it: {near}.")
            };
            let mut evidence: Vec<&str> =
                held.iter().take(FINDINGS_LIMIT).map(|held| facts.grant_sentence(subject, held)).collect();
            let unknown = format!("{permission} is not in the catalogue. {hint}");
            evidence.push(&unknown);
            Failure {
                key: permission.to_owned(),
                title: format!("{client} holds {permission} by {roles}, which the platform does not know"),
                evidence: evidence.join(" "),
                next_step: format!("Correct {permission} in {roles}, or remove it."),
                // A name that a newer catalogue may list is no mistake yet.
                rests_on: &[Fact::Catalogue],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Gap,
        checks::tests::{audit, catalogue_gap, keys, of_check},
        finding::{Finding, Status},
        fixtures::{catalogue, client, role, snapshot},
        inventory::Role,
        snapshot::Snapshot,
    };

    const CHECK: &str = "unknown-permission";

    fn found(role: Role, gaps: &[Gap]) -> Vec<Finding> {
        let known =
            catalogue(["routing:queue:view", "routing:queue:edit", "oauth:client:view", "users:user:view"]);
        let org =
            Snapshot { catalogue: Some(known), ..snapshot([client("c").grant("r", "*")], [role]) }.seal();
        audit(&org, gaps)
    }

    #[test]
    fn a_slip_is_reported_with_the_names_nearest_to_it() {
        let found = found(role("r").can("routing:queues:view").can("routing:queue:edit"), &[]);
        assert_eq!(keys(&found, CHECK), [("c", "routing:queues:view", Status::Fail)]);
        let evidence = &of_check(&found, CHECK)[0].evidence;
        assert!(
            evidence.contains("Known names near to it: routing:queue:view, routing:queue:edit"),
            "{evidence}"
        );
    }

    #[test]
    fn known_general_and_wildcard_names_pass() {
        let fine = role("r").can("routing:queue:view").can("never:*:*").general("group_creation");
        assert!(keys(&found(fine, &[]), CHECK).is_empty());
    }

    #[test]
    fn case_counts_and_so_does_a_general_permission_of_nobody() {
        let found = found(role("r").can("Routing:queue:view").general("group_creatoin"), &[]);
        let names: Vec<&str> = keys(&found, CHECK).iter().map(|key| key.1).collect();
        assert_eq!(names, ["Routing:queue:view", "group_creatoin"]);
        assert!(of_check(&found, CHECK)[1].evidence.contains("group_creation"));
    }

    #[test]
    fn with_a_gap_in_the_catalogue_it_may_be_new() {
        let found = found(role("r").can("routing:queues:view"), &[catalogue_gap()]);
        assert_eq!(keys(&found, CHECK), [("c", "routing:queues:view", Status::Unknown)]);
    }
}
