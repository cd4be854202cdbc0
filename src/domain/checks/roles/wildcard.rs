//! Wildcards short of everything: written as `*`, or in effect because every action is listed.

use super::admin::Everything;
use crate::domain::{
    Fact, Severity,
    access::{Access, RolePower},
    checks::{Check, Facts, Failure, References, Subject},
    permission::Pattern,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "wildcard-role",
    title: "Client holds no role that covers a whole entity, domain or action by wildcard",
    // What such a role gives today is judged by the other checks; this one is about what it will give tomorrow.
    severity: Severity::Medium,
    rationale: "A wildcard also gives what the platform adds later, so the client gains power without anybody \
        deciding it. A role that lists every action of an entity is one in all but name.",
    remediation: "Replace the wildcard by the actions that the client uses.",
    references: References {
        nist: &["AC-6", "AC-3"],
        cis: &["6.8", "3.3"],
        iso: &["A.5.15", "A.8.3"],
        soc2: &["CC6.3"],
        pci: &["7.2.1", "7.2.5"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

/// An entity with fewer actions is too small for "all of them" to mean much.
const ACTIONS_OF_A_WILDCARD: usize = 3;

/// Actions that change nothing start with one of these.
const READS: [&str; 3] = ["view", "search", "read"];

/// One wildcard of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::checks) struct Wide {
    /// `domain:entity:action` with at least one `*`.
    pattern: String,
    /// Not written in the role: it holds this many of that many permissions.
    de_facto: Option<(usize, usize)>,
}

/// The catalogue's permissions by entity and domain.
pub(in crate::domain::checks) struct Index<'a> {
    /// Of each permission number: its entity, and whether it changes anything.
    entity_of: Vec<Option<(usize, bool)>>,
    entities: Vec<Entity<'a>>,
}

struct Entity<'a> {
    domain: &'a str,
    name: &'a str,
    actions: usize,
}

impl<'a> Index<'a> {
    pub(in crate::domain::checks) fn new(access: &'a Access<'_>) -> Self {
        let mut entities: Vec<Entity<'a>> = Vec::new();
        let mut entity_of = vec![None; access.universe.len()];
        // Names are sorted, so the actions of an entity are neighbours.
        for at in access.known.ones() {
            let Pattern::Parts { domain, entity, action } = Pattern::parse(access.universe.name(at)) else {
                continue;
            };
            match entities.last_mut() {
                Some(last) if (last.domain, last.name) == (domain, entity) => last.actions += 1,
                _ => entities.push(Entity { domain, name: entity, actions: 1 }),
            }
            let writes = !READS.iter().any(|read| action.starts_with(read));
            entity_of[at] = Some((entities.len() - 1, writes));
        }
        Self { entity_of, entities }
    }

    /// Domains and entities of which everything is held, some of it changing something. While the catalogue is a
    /// gap, it may know less than the one at hand, so that part of an entity may be all of it.
    fn covered(&self, power: &RolePower, catalogue_gap: bool) -> Vec<Wide> {
        let mut held = vec![(0, false); self.entities.len()];
        for (entity, writes) in power.matched.ones().filter_map(|at| self.entity_of[at]) {
            held[entity].0 += 1;
            held[entity].1 |= writes;
        }
        let mut wide = Vec::new();
        let mut rest = held.as_slice();
        // The entities of a domain are neighbours as well.
        for domain in self.entities.chunk_by(|one, other| one.domain == other.domain) {
            let (held, others) = rest.split_at(domain.len());
            rest = others;
            let count = held.iter().map(|entity| entity.0).sum();
            let all = domain.iter().map(|entity| entity.actions).sum();
            let writes = held.iter().any(|entity| entity.1);
            if domain.len() > 1 && all >= ACTIONS_OF_A_WILDCARD && count == all && writes {
                wide.push(Wide {
                    pattern: format!("{}:*:*", domain[0].domain),
                    de_facto: Some((count, all)),
                });
                continue;
            }
            for (entity, &(count, writes)) in domain.iter().zip(held) {
                let enough = count >= ACTIONS_OF_A_WILDCARD && (count == entity.actions || catalogue_gap);
                if writes && enough {
                    wide.push(Wide {
                        pattern: format!("{}:{}:*", entity.domain, entity.name),
                        de_facto: Some((count, entity.actions)),
                    });
                }
            }
        }
        wide
    }
}

/// The wildcards of a role: as written, then in effect. None if it allows everything: that is said already.
pub(in crate::domain::checks) fn of(
    power: &RolePower,
    everything: Option<Everything>,
    index: &Index<'_>,
    catalogue_gap: bool,
) -> Vec<Wide> {
    if everything.is_some_and(Everything::was_seen) {
        return Vec::new();
    }
    let written = power.wildcards.iter().map(|pattern| Wide { pattern: pattern.clone(), de_facto: None });
    let in_effect = index.covered(power, catalogue_gap).into_iter().filter(|wide| {
        !power
            .wildcards
            .iter()
            .any(|pattern| includes(&Pattern::parse(pattern), &Pattern::parse(&wide.pattern)))
    });
    written.chain(in_effect).collect()
}

/// Whether everything that `narrow` gives is given by `wide`.
fn includes(wide: &Pattern<'_>, narrow: &Pattern<'_>) -> bool {
    let part = |wide: &str, narrow: &str| wide == "*" || wide == narrow;
    match (wide, narrow) {
        (
            Pattern::Parts { domain, entity, action },
            Pattern::Parts { domain: in_domain, entity: on_entity, action: does },
        ) => part(domain, in_domain) && part(entity, on_entity) && part(action, does),
        _ => false,
    }
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = &subject.client.name;
    let mut failures = Vec::new();
    for held in &subject.roles {
        let role = held.facts.role;
        for Wide { pattern, de_facto } in &held.facts.wide {
            let (how, rests_on): (String, &[Fact]) = match de_facto {
                None => (format!("The role holds the policy {pattern}."), &[]),
                Some((count, all)) => {
                    let how =
                        format!("The role holds {count} of the {all} permissions that {pattern} stands for.");
                    (how, &[Fact::Catalogue])
                }
            };
            failures.push(Failure {
                key: format!("{} {pattern}", role.id),
                title: format!("{client} holds {pattern} by the role {}", role.name),
                evidence: format!("{} {how}", facts.grant_sentence(subject, held)),
                next_step: format!(
                    "In a role of {client}'s own, list the actions of {pattern} that it uses, and drop the rest."
                ),
                rests_on,
            });
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::includes;
    use crate::domain::{
        checks::tests::{audit, catalogue_gap, keys},
        finding::Status,
        fixtures::{catalogue, client, role, snapshot},
        inventory::Role,
        permission::Pattern,
        snapshot::Snapshot,
    };

    fn org(role: Role) -> Snapshot {
        let known = catalogue([
            "routing:queue:add",
            "routing:queue:edit",
            "routing:queue:view",
            "routing:skill:view",
            "reports:daily:read",
            "reports:daily:search",
            "reports:daily:view",
            "oauth:client:add",
            "oauth:client:view",
            "users:user:view",
        ]);
        Snapshot { catalogue: Some(known), ..snapshot([client("c").grant("r", "home")], [role]) }.seal()
    }

    fn found(role: Role, gap: bool) -> Vec<(String, Status)> {
        let gaps = if gap { vec![catalogue_gap()] } else { Vec::new() };
        keys(&audit(&org(role), &gaps), "wildcard-role")
            .into_iter()
            .map(|(_, key, status)| (key.to_owned(), status))
            .collect()
    }

    #[test]
    fn a_star_at_any_position_is_reported_as_written() {
        for pattern in ["routing:queue:*", "routing:*:view", "*:queue:view", "routing:*:*", "*:*:view"] {
            assert_eq!(
                found(role("r").can(pattern), false),
                [(format!("r {pattern}"), Status::Fail)],
                "{pattern}"
            );
        }
    }

    #[test]
    fn listing_every_action_is_a_wildcard_in_effect() {
        let queue = role("r").can("routing:queue:add").can("routing:queue:edit").can("routing:queue:view");
        assert_eq!(found(queue.clone(), false), [("r routing:queue:*".to_owned(), Status::Fail)]);
        let domain = queue.can("routing:skill:view");
        assert_eq!(
            found(domain, false),
            [("r routing:*:*".to_owned(), Status::Fail)],
            "the domain says it all"
        );
    }

    #[test]
    fn too_few_actions_or_only_reading_is_no_wildcard_in_effect() {
        assert!(found(role("r").can("oauth:client:add").can("oauth:client:view"), false).is_empty());
        let reads = role("r").can("reports:daily:read").can("reports:daily:search").can("reports:daily:view");
        assert!(found(reads, false).is_empty());
        assert!(found(role("r").can("telephony:plugin:all"), false).is_empty());
    }

    #[test]
    fn what_a_written_wildcard_covers_is_not_said_twice() {
        let both = role("r").can("routing:*:*").can("routing:queue:add").can("routing:queue:edit");
        assert_eq!(found(both, false).len(), 1);
    }

    #[test]
    fn an_administrator_role_is_reported_as_that_alone() {
        assert!(found(role("r").general("admin").can("routing:*:*"), false).is_empty());
        assert!(found(role("r").can("*:*:*"), true).is_empty());
    }

    #[test]
    fn a_gap_in_the_catalogue_leaves_open_what_may_be_all() {
        let written = role("r").can("users:*:view");
        assert_eq!(found(written, true), [("r users:*:view".to_owned(), Status::Fail)]);
        let listed = role("r").can("routing:queue:add").can("routing:queue:edit").can("routing:queue:view");
        assert_eq!(found(listed, true), [("r routing:queue:*".to_owned(), Status::Unknown)]);
    }

    #[test]
    fn a_pattern_includes_what_is_narrower_in_every_part() {
        let test = |wide, narrow| includes(&Pattern::parse(wide), &Pattern::parse(narrow));
        assert!(test("a:*:*", "a:b:*"));
        assert!(test("*:*:*", "a:*:*"));
        assert!(!test("a:b:*", "a:*:*"));
        assert!(!test("a:*:view", "a:b:*"));
        assert!(!test("admin", "a:b:*"));
    }
}
