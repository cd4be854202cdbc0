//! What holds for all checks together: the list, its documentation, gaps, bounds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use proptest::prelude::*;

use super::*;
use crate::domain::{
    catalogue::{Operation, Operations},
    contract::{Contract, pin},
    finding::Status,
    fixtures::{catalogue, client, role, snapshot, when},
    privilege,
    snapshot::Snapshot,
};

/// All findings of an organisation called `acme`.
pub(super) fn audit(snapshot: &Snapshot, gaps: &[Gap]) -> Vec<Finding> {
    audit_counted(snapshot, gaps, None)
}

/// The same, where the objects in the divisions were counted.
pub(super) fn audit_counted(
    snapshot: &Snapshot,
    gaps: &[Gap],
    object_counts: Option<&ObjectCounts>,
) -> Vec<Finding> {
    let access = Access::new(snapshot);
    evaluate(&Context { object_counts, ..context(&access, gaps) }).flatten().collect()
}

/// What the checks look at where nothing was observed beside the record, nor is asked for.
pub(super) fn context<'a>(access: &'a Access<'a>, gaps: &'a [Gap]) -> Context<'a> {
    static COMPANIONS: LazyLock<Companions> = LazyLock::new(|| Companions::with(&[]));
    let (turns, usage, counts_usage, declared, object_counts) = (None, None, false, None, None);
    let (now, companions) = (when(), &*COMPANIONS);
    Context {
        org: "acme",
        access,
        gaps,
        now,
        probes: None,
        companions,
        object_counts,
        turns,
        usage,
        counts_usage,
        declared,
        custom: None,
    }
}

/// A contract of the client with this id.
pub(super) fn contract(client: &str, calls: &[&str]) -> Contract {
    let calls = calls.iter().map(|&call| call.to_owned()).collect();
    Contract { client: client.to_owned(), calls, ..Contract::default() }
}

/// An organisation to which contracts were added, none of which matched before.
pub(super) fn with_contracts(org: Snapshot, contracts: impl IntoIterator<Item = Contract>) -> Snapshot {
    let contracts: Vec<Contract> = contracts.into_iter().collect();
    let contracts = pin(&contracts, &org.clients, &BTreeMap::new());
    Snapshot { contracts, ..org }.seal()
}

/// The findings of one check.
pub(super) fn of_check<'a>(findings: &'a [Finding], check: &str) -> Vec<&'a Finding> {
    assert!(CHECKS.iter().any(|known| known.id == check), "there is no check {check}");
    findings.iter().filter(|finding| finding.check == check).collect()
}

/// (client, key, status) of the findings of one check.
pub(super) fn keys<'a>(findings: &'a [Finding], check: &str) -> Vec<(&'a str, &'a str, Status)> {
    of_check(findings, check)
        .into_iter()
        .map(|finding| (finding.client.id.as_str(), finding.key.as_str(), finding.status))
        .collect()
}

pub(super) fn gap(fact: Fact, subject: Option<&str>) -> Gap {
    Gap {
        fact,
        subject: subject.map(str::to_owned),
        reason: "forbidden".to_owned(),
        detail: "The auditor's role lacks a permission; add it.".to_owned(),
        stale_since: Some(when()),
    }
}

pub(super) fn catalogue_gap() -> Gap {
    gap(Fact::Catalogue, None)
}

#[test]
fn the_list_is_well_formed_and_most_severe_first() {
    let ids: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), CHECKS.len(), "two checks share an id");
    assert!(CHECKS.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
    for check in CHECKS {
        assert!(check.id.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{}", check.id);
        assert!(check.title.starts_with("Client"), "{}", check.title);
        assert!(check.needs.contains(&Fact::Clients), "{}", check.id);
        let references = check.references;
        for list in [references.nist, references.cis, references.iso, references.soc2, references.pci] {
            assert!(!list.is_empty(), "{}", check.id);
        }
    }
}

#[test]
fn the_documentation_has_every_check_as_it_is() {
    let page = include_str!("../../../docs/checks.md");
    for Check { id, severity, title, rationale, remediation, references, .. } in CHECKS {
        let what = format!("| `{id}` | {severity} | {title} | {rationale} | {remediation} |");
        let References { nist, cis, iso, soc2, pci } = references;
        let lists = [nist, cis, iso, soc2, pci].map(|list| list.join(", ")).join(" | ");
        for row in [what, format!("| `{id}` | {lists} |")] {
            assert!(page.contains(&row), "docs/checks.md lacks this row:\n{row}");
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, 2 * CHECKS.len(), "docs/checks.md has rows of checks that do not exist");
}

#[test]
fn a_good_client_has_no_findings() {
    let known =
        catalogue(["routing:queue:view", "routing:queue:edit", "users:user:view", "oauth:client:view"]);
    let good = client("c").grant("r", "d1").scope("routing:readonly");
    let org = Snapshot { catalogue: Some(known), ..snapshot([good], [role("r").can("routing:queue:view")]) };
    assert_eq!(audit(&org.seal(), &[]), []);
}

#[test]
fn grants_that_were_not_read_are_one_unknown_for_each_check_that_needs_them() {
    let org = snapshot(
        [client("c").grant("r", "*"), client("d").grant("s", "d1")],
        [role("r").general("admin").shipped(), role("s").can("oauth:client:add")],
    );
    let found = audit(&org, &[gap(Fact::ClientGrants, Some("c"))]);
    for check in CHECKS {
        let of_c: Vec<_> = keys(&found, check.id).into_iter().filter(|key| key.0 == "c").collect();
        let is_asked = ![Fact::Grants, Fact::Usage].iter().any(|fact| check.needs.contains(fact));
        let expected = if is_asked && check.needs.contains(&Fact::ClientGrants) {
            vec![("c", "", Status::Unknown)]
        } else {
            Vec::new()
        };
        assert_eq!(of_c, expected, "{}", check.id);
    }
    assert!(keys(&found, "high-privilege-permission").contains(&("d", "oauth:client:add", Status::Fail)));
    let evidence = &of_check(&found, "admin-role")[0].evidence;
    assert_eq!(
        evidence,
        "This audit could not read the client grants (forbidden): The auditor's role lacks a permission; add it. \
         The last value read is from 2026-09-21 14:13 UTC."
    );
}

#[test]
fn the_grants_of_all_clients_may_be_a_gap() {
    let org =
        snapshot([client("c").grant("r", "*"), client("u").of_type("CODE")], [role("r").general("admin")]);
    let found = audit(&org, &[gap(Fact::ClientGrants, None)]);
    assert_eq!(keys(&found, "admin-role"), [("c", "", Status::Unknown)], "a user's client holds no grants");
}

#[test]
fn a_role_that_was_not_read_leaves_open_what_it_gives_beside_what_is_seen() {
    let holder = client("c").grant("gone", "*").grant("r", "*");
    let org = snapshot([holder], [role("r").general("admin")]);
    let found = audit(&org, &[]);
    assert_eq!(keys(&found, "admin-role"), [("c", "r", Status::Fail), ("c", "", Status::Unknown)]);
    assert!(of_check(&found, "admin-role")[1].evidence.ends_with("is not known: gone."));
    assert!(keys(&found, "shared-role").is_empty(), "sharing does not depend on what a role gives");
}

#[test]
fn a_role_that_is_carried_forward_shows_what_it_gave_and_is_not_taken_as_read() {
    let org = snapshot([client("c").grant("r", "*")], [role("r").general("admin")]);
    let found = audit(&org, &[gap(Fact::Roles, Some("r"))]);
    assert_eq!(keys(&found, "admin-role"), [("c", "r", Status::Fail), ("c", "", Status::Unknown)]);
}

#[test]
fn a_record_that_is_carried_forward_fails_nothing() {
    let holder = client("c").of_type("TOKEN").scope("all");
    let found = audit(&snapshot([holder], []), &[gap(Fact::Clients, Some("c"))]);
    assert_eq!(keys(&found, "broad-scopes"), [("c", "", Status::Unknown)]);
    assert!(found.iter().all(|finding| finding.status == Status::Unknown));
}

#[test]
fn the_privileges_are_well_formed_and_exist() {
    let known: BTreeSet<&str> = Operations::compiled_in().iter().flat_map(Operation::permissions).collect();
    let table = privilege::table();
    let lines = include_str!("../data/privileges.tsv").lines().count();
    assert_eq!(table.len(), lines - 1, "a row of privileges.tsv cannot be read");
    let names: BTreeSet<&str> = table.iter().map(|row| row.permission).collect();
    assert_eq!(names.len(), table.len(), "a permission is listed twice");
    for row in table {
        assert!(known.contains(row.permission), "{} is named by no operation", row.permission);
        let weights = match row.tier {
            Severity::Critical => 80..=100,
            Severity::High => 40..=79,
            Severity::Medium => 1..=39,
            Severity::Low | Severity::Info => panic!("{}: a low tier is no privilege", row.permission),
        };
        assert!(weights.contains(&row.weight), "{}: {} does not fit its tier", row.permission, row.weight);
        assert!(row.reason.len() > 10 && !row.reason.ends_with('.'), "{}", row.permission);
        assert_eq!(privilege::of(row.permission), Some(row));
    }
    assert_eq!(privilege::of("routing:queue:view"), None);
}

fn organisation() -> impl Strategy<Value = Snapshot> {
    let permission = prop::sample::select(vec![
        "*:*:*",
        "routing:*:*",
        "routing:queue:view",
        "routing:queue:edit",
        "oauth:client:add",
        "oauth:*:*",
        "directory:user:delete",
        "routing:queues:view",
        "telephony:plugin:all",
    ]);
    let roles = prop::collection::vec(
        (prop::collection::vec((permission, any::<bool>()), 0..4), any::<bool>(), prop::bool::weighted(0.1)),
        1..5,
    );
    let grant = (0..6_usize, prop::sample::select(vec!["*", "home", "d1", "unknown"]));
    let clients = prop::collection::vec(
        (
            prop::collection::vec(grant, 0..5),
            prop::sample::select(vec!["CLIENT-CREDENTIALS", "CODE", "TOKEN"]),
            any::<bool>(),
            any::<bool>(),
        ),
        0..6,
    );
    (roles, clients, any::<bool>()).prop_map(|(roles, clients, catalogued)| {
        let roles = roles.into_iter().enumerate().map(|(at, (permissions, shipped, admin))| {
            let mut made =
                permissions.into_iter().fold(role(&format!("r{at}")), |role, (name, conditional)| {
                    if conditional { role.can_if(name, "{}") } else { role.can(name) }
                });
            made.is_default = shipped;
            if admin { made.general("admin") } else { made }
        });
        let clients = clients.into_iter().enumerate().map(|(at, (grants, grant_type, described, unread))| {
            let made = client(&format!("c{at}")).of_type(grant_type);
            let mut made = grants
                .into_iter()
                .fold(made, |made, (role, division)| made.grant(&format!("r{role}"), division));
            if !described {
                made.description.clear();
            }
            if unread && at % 3 == 0 {
                made.grants = None;
            }
            made
        });
        let mut org = snapshot(clients, roles);
        org.catalogue =
            catalogued.then(|| catalogue(["routing:queue:view", "routing:queue:edit", "oauth:client:add"]));
        org.seal()
    })
}

proptest! {
    #[test]
    fn findings_are_bounded_distinct_and_never_a_pass(org in organisation()) {
        let found = audit(&org, &[]);
        let uids: BTreeSet<&str> = found.iter().map(|finding| finding.uid.as_str()).collect();
        prop_assert_eq!(uids.len(), found.len());
        for finding in &found {
            prop_assert_ne!(finding.status, Status::Pass);
            prop_assert!(!finding.evidence.is_empty() && !finding.remediation.is_empty());
        }
        for check in CHECKS {
            for id in org.clients.keys() {
                let of_client = keys(&found, check.id).into_iter().filter(|key| key.0 == id.as_str()).count();
                prop_assert!(of_client <= 2 * FINDINGS_LIMIT);
            }
        }
    }

    #[test]
    fn a_gap_takes_no_answer_for_granted(org in organisation(), fact in 0..3_usize) {
        let fact = [Fact::Catalogue, Fact::Divisions, Fact::ClientGrants][fact];
        let subjects = |found: &[Finding]| -> BTreeSet<(String, String)> {
            found.iter().map(|finding| (finding.check.clone(), finding.client.id.to_string())).collect()
        };
        let (without, with) = (audit(&org, &[]), audit(&org, &[gap(fact, None)]));
        // Whoever did not pass before the gap does not pass in it (it fails, or is not known).
        let missing: Vec<_> = subjects(&without).difference(&subjects(&with)).cloned().collect();
        prop_assert!(missing.is_empty(), "{:?} passes by a gap: {:?}", fact, missing);
        // Nothing is said to fail that did not fail without it.
        for finding in with.iter().filter(|finding| finding.status == Status::Fail) {
            let failed = |other: &Finding| other.uid == finding.uid && other.status == Status::Fail;
            prop_assert!(without.iter().any(failed), "{:?}", finding);
        }
    }
}
