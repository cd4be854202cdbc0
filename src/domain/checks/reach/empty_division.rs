//! Grants in a division that holds nothing of what they are for. The platform answers such calls with success and an
//! empty list, so nobody notices.
//!
//! The table `data/objects.tsv` says which permission acts on which kind of object. A permission that it does not
//! name, or a kind that the platform did not count, is not known, and never a finding.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use crate::domain::{
    DivisionId, DivisionRef, Fact, Severity,
    access::{Access, RolePower},
    checks::{Check, Facts, Failure, References, Subject},
    inventory::ObjectCounts,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "empty-division-grant",
    title: "Client holds no role in a division that has nothing for it",
    severity: Severity::Low,
    rationale: "A call that finds nothing because the division is empty is answered with success: a report stays empty, \
        or an export misses everything, and no error says why. The grant also waits for whatever comes there.",
    remediation: "Grant the role in the division where the objects are, or remove the grant.",
    references: References {
        nist: &["AC-6", "AC-3"],
        cis: &["3.3", "6.8"],
        iso: &["A.5.15", "A.5.18"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.1", "7.2.2"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

/// Actions that need no object to be there already.
const CREATES: [&str; 2] = ["add", "create"];
/// Permissions named in one finding.
const NAMED: usize = 5;

/// The kind of object that each `domain:entity` acts on, in the platform's word.
fn table() -> &'static HashMap<&'static str, &'static str> {
    static TABLE: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
        include_str!("../../data/objects.tsv")
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once('\t'))
            .collect()
    });
    &TABLE
}

/// What a role acts on: permissions that a division restricts, with the kind of object.
pub(in crate::domain::checks) fn acts_on(
    power: &RolePower,
    access: &Access<'_>,
) -> Vec<(usize, &'static str)> {
    let aware = power.listed.intersection(&access.division_aware);
    aware
        .filter_map(|at| {
            let (entity, action) = access.universe.name(at).rsplit_once(':')?;
            let kind = table().get(entity)?;
            (!CREATES.contains(&action)).then_some((at, *kind))
        })
        .collect()
}

/// How many objects of each kind there are.
pub(in crate::domain::checks) struct Occupancy<'a> {
    counts: Option<&'a ObjectCounts>,
    /// Kinds that the platform counts: one that a division does not show is 0 there.
    counted: BTreeSet<&'a str>,
}

impl<'a> Occupancy<'a> {
    pub(in crate::domain::checks) fn new(counts: Option<&'a ObjectCounts>) -> Self {
        let kinds = counts.into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
        Self { counts, counted: kinds.map(String::as_str).collect() }
    }

    /// Objects of a kind in a division; `None`: not counted.
    fn of(&self, division: &DivisionId, kind: &str) -> Option<i64> {
        let here = self.counts?.get(division)?;
        here.get(kind).copied().or_else(|| self.counted.contains(kind).then_some(0))
    }
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = &subject.client.name;
    let unread = facts.gap(Fact::Divisions, subject).is_some();
    let mut failures = Vec::new();
    for held in &subject.roles {
        if held.facts.acts_on.is_empty() {
            continue;
        }
        for division in &held.divisions {
            let DivisionRef::One(id) = division else { continue };
            let mut kinds = held.facts.acts_on.iter().map(|(_, kind)| *kind);
            let empty = kinds.all(|kind| facts.occupancy.of(id, kind) == Some(0));
            if !empty && !unread {
                continue;
            }
            let role = held.facts.role;
            let place = facts.access.snapshot.divisions.as_ref().and_then(|all| all.get(id));
            let place = place.map_or(id.as_str(), |division| division.name.as_str());
            let permissions: Vec<&str> = held
                .facts
                .acts_on
                .iter()
                .take(NAMED)
                .map(|(at, _)| facts.access.universe.name(*at))
                .collect();
            let rest = held.facts.acts_on.len().saturating_sub(NAMED);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let kinds: BTreeSet<&str> = held.facts.acts_on.iter().map(|(_, kind)| *kind).collect();
            let kinds: Vec<&str> = kinds.into_iter().collect();
            failures.push(Failure {
                key: format!("{} {id}", role.id),
                title: format!("{client} holds the role {} in {place}, where there is nothing for it", role.name),
                evidence: format!(
                    "{} The division {place} ({id}) holds no {}, so {}{more} find nothing there. What other \
                     permissions of the role would find is not known.",
                    facts.grant_sentence(subject, held),
                    kinds.join(", no "),
                    permissions.join(", "),
                ),
                next_step: format!(
                    "Ask the owner of {client} which division it works in; grant {} there, and remove the grant in {place}.",
                    role.name
                ),
                rests_on: &[Fact::Divisions, Fact::Catalogue],
            });
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::domain::{
        Fact, Gap,
        catalogue::{Operation, Operations},
        checks::tests::{audit_counted, catalogue_gap, gap, keys, of_check},
        finding::{Finding, Status},
        fixtures::{catalogue, client, role, snapshot},
        inventory::{ObjectCounts, Role},
        snapshot::Snapshot,
    };

    const CHECK: &str = "empty-division-grant";

    fn counts(rows: &[(&str, &[(&str, i64)])]) -> ObjectCounts {
        let kinds =
            |kinds: &[(&str, i64)]| kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        rows.iter().map(|(division, row)| ((*division).into(), kinds(row))).collect()
    }

    fn found(role: Role, division: &str, objects: &ObjectCounts, gaps: &[Gap]) -> Vec<Finding> {
        let known = catalogue([
            "routing:queue:view",
            "routing:queue:add",
            "directory:user:view",
            "audits:audit:view!",
            "analytics:conversationDetail:view",
        ]);
        let org = Snapshot { catalogue: Some(known), ..snapshot([client("c").grant("r", division)], [role]) }
            .seal();
        audit_counted(&org, gaps, Some(objects))
    }

    #[test]
    fn a_grant_where_nothing_is_fails_and_says_what_is_missing() {
        let objects = counts(&[("home", &[("QUEUE", 3), ("USER", 9)]), ("d1", &[("QUEUE", 0), ("USER", 0)])]);
        let both = || role("r").can("routing:queue:view").can("directory:user:view");
        let empty = found(both(), "d1", &objects, &[]);
        assert_eq!(keys(&empty, CHECK), [("c", "r d1", Status::Fail)]);
        let evidence = &of_check(&empty, CHECK)[0].evidence;
        assert!(
            evidence.contains("holds no QUEUE, no USER, so directory:user:view, routing:queue:view"),
            "{evidence}"
        );
        assert!(keys(&found(both(), "home", &objects, &[]), CHECK).is_empty());
        assert!(
            keys(&found(both(), "*", &objects, &[]), CHECK).is_empty(),
            "everywhere is not this division"
        );
    }

    #[test]
    fn something_of_one_kind_is_enough() {
        let objects = counts(&[("home", &[("QUEUE", 3)]), ("d1", &[("QUEUE", 0), ("USER", 1)])]);
        let both = role("r").can("routing:queue:view").can("directory:user:view");
        assert!(keys(&found(both, "d1", &objects, &[]), CHECK).is_empty());
    }

    #[test]
    fn what_is_not_known_is_no_finding() {
        let objects = counts(&[("home", &[("QUEUE", 3)]), ("d1", &[("FLOW", 0)])]);
        let here = |role: Role| keys(&found(role, "d1", &objects, &[]), CHECK).len();
        assert_eq!(here(role("r").can("routing:queue:view")), 1, "queues are counted, and not here");
        assert_eq!(here(role("r").can("directory:user:view")), 0, "nobody counted users");
        assert_eq!(here(role("r").can("analytics:conversationDetail:view")), 0, "the table does not say");
        assert_eq!(here(role("r").can("audits:audit:view")), 0, "no division restricts it");
        assert_eq!(here(role("r").can("routing:queue:add")), 0, "adding needs nothing to be there");
        let elsewhere = found(role("r").can("routing:queue:view"), "not-listed", &objects, &[]);
        assert!(keys(&elsewhere, CHECK).is_empty(), "this division was not counted");
    }

    #[test]
    fn without_the_divisions_or_the_catalogue_it_is_not_known() {
        let objects = counts(&[("home", &[("QUEUE", 3)]), ("d1", &[("QUEUE", 0)])]);
        for gap in [gap(Fact::Divisions, None), catalogue_gap()] {
            let found = found(role("r").can("routing:queue:view"), "d1", &objects, &[gap]);
            assert_eq!(keys(&found, CHECK), [("c", "r d1", Status::Unknown)]);
        }
    }

    #[test]
    fn the_table_names_what_exists() {
        let lines = include_str!("../../data/objects.tsv").lines().count();
        assert_eq!(table().len(), lines - 1, "a row of objects.tsv cannot be read, or is there twice");
        for (entity, kind) in table() {
            let of_entity = |name: &str| name.rsplit_once(':').is_some_and(|(known, _)| known == *entity);
            let named = Operations::compiled_in().iter().flat_map(Operation::permissions).any(of_entity);
            assert!(named, "{entity} is named by no operation");
            assert!(kind.chars().all(|letter| letter.is_ascii_uppercase()), "{kind}");
        }
    }
}
