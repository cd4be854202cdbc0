//! The life of findings, case by case, then as properties.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A [`Lifecycle`] whose findings can be compared and changed one by one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Life {
    open: Vec<Finding>,
    opened: Vec<Finding>,
    resolved: Vec<Finding>,
    updated: Vec<Finding>,
    dropped: Vec<Finding>,
}

/// With everything found in one batch, which may be of many clients in any order.
fn lifecycle(
    before: Vec<Finding>,
    found: Vec<Finding>,
    seen: &dyn Fn(&ClientId) -> bool,
    now: DateTime<Utc>,
) -> Life {
    apart(super::lifecycle(before, [found], seen, now))
}

fn apart(life: Lifecycle) -> Life {
    let Lifecycle { open, opened, resolved, updated, dropped, worsened } = life;
    // Each is told with its update.
    assert!(worsened.iter().all(|worse| updated.contains(worse)));
    let [open, opened, resolved, updated, dropped] = [open, opened, resolved, updated, dropped]
        .map(|list| list.into_iter().map(Arc::unwrap_or_clone).collect());
    Life { open, opened, resolved, updated, dropped }
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + 60 * minute, 0).unwrap()
}

fn finding(client: &str, key: &str, status: Status) -> Finding {
    Finding {
        uid: uid("acme", "admin-role", &client.into(), key),
        org: "acme".to_owned(),
        check: "admin-role".to_owned(),
        status,
        severity: Severity::Critical,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client: ClientRef { id: client.into(), name: client.to_owned() },
        key: key.to_owned(),
        title: "title".to_owned(),
        evidence: "evidence".to_owned(),
        remediation: "remediation".to_owned(),
        first_seen: at(0),
        last_seen: at(0),
    }
}

fn fail(client: &str, key: &str) -> Finding {
    finding(client, key, Status::Fail)
}

fn unknown(client: &str, key: &str) -> Finding {
    finding(client, key, Status::Unknown)
}

fn everybody(_: &ClientId) -> bool {
    true
}

fn keys(findings: &[Finding]) -> Vec<(&str, &str)> {
    findings.iter().map(|finding| (finding.client.id.as_str(), finding.key.as_str())).collect()
}

#[test]
fn a_new_failure_opens_and_begins_its_life_now() {
    let life = lifecycle(vec![], vec![fail("c", "r")], &everybody, at(5));
    assert_eq!(life.opened, [Finding { first_seen: at(5), last_seen: at(5), ..fail("c", "r") }]);
    assert_eq!(life.open, life.opened);
    assert_eq!((life.resolved, life.updated, life.dropped), (vec![], vec![], vec![]));
}

#[test]
fn the_same_failure_goes_on_with_its_first_time_and_its_mute() {
    let muted = Finding { muted: true, ..fail("c", "r") };
    let life = lifecycle(vec![muted.clone()], vec![fail("c", "r")], &everybody, at(5));
    assert_eq!(life, Life { open: vec![Finding { last_seen: at(5), ..muted }], ..Life::default() });
}

#[test]
fn other_content_updates() {
    for changed in [
        Finding { evidence: "other".to_owned(), ..fail("c", "r") },
        Finding { severity: Severity::Low, ..fail("c", "r") },
        Finding { client: ClientRef { id: "c".into(), name: "renamed".to_owned() }, ..fail("c", "r") },
    ] {
        let life = lifecycle(vec![fail("c", "r")], vec![changed.clone()], &everybody, at(5));
        assert_eq!(life.updated, [Finding { last_seen: at(5), ..changed }]);
        assert_eq!((life.opened, life.resolved), (vec![], vec![]));
    }
}

#[test]
fn a_failure_that_is_gone_is_resolved_and_a_doubt_leaves_silently() {
    let life = lifecycle(vec![fail("c", "r"), unknown("d", "r")], vec![], &everybody, at(5));
    assert_eq!(life.resolved, [fail("c", "r")]);
    assert_eq!(life.dropped, [unknown("d", "r")]);
    assert_eq!(life.open, []);
}

#[test]
fn a_failure_that_cannot_be_told_now_stays_as_it_was() {
    let life = lifecycle(vec![fail("c", "r")], vec![unknown("c", "r")], &everybody, at(5));
    assert_eq!(life, Life { open: vec![fail("c", "r")], ..Life::default() });
}

#[test]
fn a_doubt_about_one_key_resolves_no_other_of_that_check_and_client() {
    let before = vec![fail("c", "r"), fail("d", "r")];
    let life = lifecycle(before, vec![unknown("c", "")], &everybody, at(5));
    assert_eq!(keys(&life.resolved), [("d", "r")]);
    assert_eq!(keys(&life.updated), [("c", "")]);
    assert_eq!(life.open.len(), 2);

    let other_check = Finding { check: "shared-role".to_owned(), ..unknown("c", "") };
    let life = lifecycle(vec![fail("c", "r")], vec![other_check], &everybody, at(5));
    assert_eq!(keys(&life.resolved), [("c", "r")]);
}

#[test]
fn a_doubt_that_turns_out_to_be_a_failure_opens_and_keeps_its_first_time() {
    let life = lifecycle(vec![unknown("c", "r")], vec![fail("c", "r")], &everybody, at(5));
    assert_eq!(life.opened, [Finding { last_seen: at(5), ..fail("c", "r") }]);
    assert_eq!((life.updated, life.dropped), (vec![], vec![]));
}

#[test]
fn the_findings_of_a_removed_client_are_resolved() {
    let life =
        lifecycle(vec![fail("c", "r"), unknown("c", "s")], vec![], &|client| client.as_str() != "c", at(5));
    assert_eq!((keys(&life.resolved), keys(&life.dropped)), (vec![("c", "r")], vec![("c", "s")]));
}

#[test]
fn a_uid_depends_on_every_part_and_on_where_they_end() {
    let uids: BTreeSet<String> =
        [("a", "b", "c", "d"), ("ab", "", "c", "d"), ("a", "bc", "", "d"), ("a", "b", "cd", "")]
            .map(|(org, check, client, key)| uid(org, check, &client.into(), key))
            .into();
    assert_eq!(uids.len(), 4);
    assert!(uids.iter().all(|uid| uid.len() == 24));
}

fn findings() -> impl Strategy<Value = Vec<Finding>> {
    let one = (0..3_u8, 0..3_u8, any::<bool>(), 0..2_u8, any::<bool>()).prop_map(
        |(client, key, fails, text, muted)| {
            let status = if fails { Status::Fail } else { Status::Unknown };
            Finding {
                evidence: format!("evidence {text}"),
                muted,
                ..finding(&format!("c{client}"), &format!("r{key}"), status)
            }
        },
    );
    prop::collection::vec(one, 0..12)
}

/// What a store holds: one finding a uid.
fn stored() -> impl Strategy<Value = Vec<Finding>> {
    findings().prop_map(one_each)
}

fn found() -> impl Strategy<Value = Vec<Finding>> {
    findings().prop_map(|all| all.into_iter().map(|finding| Finding { muted: false, ..finding }).collect())
}

proptest! {
    #[test]
    fn finding_the_same_again_changes_nothing(before in stored(), found in found()) {
        let once = lifecycle(before, found.clone(), &everybody, at(5));
        let again = lifecycle(once.open.clone(), found, &everybody, at(6));
        prop_assert_eq!(
            (&again.opened, &again.resolved, &again.updated, &again.dropped),
            (&vec![], &vec![], &vec![], &vec![])
        );
        let first = |life: &Life| -> Vec<_> {
            life.open.iter().map(|finding| (finding.uid.clone(), finding.first_seen)).collect()
        };
        prop_assert_eq!(first(&once), first(&again));
    }

    #[test]
    fn every_uid_has_one_place(before in stored(), found in found()) {
        let life = lifecycle(before.clone(), found.clone(), &everybody, at(5));
        let uids = |list: &[Finding]| list.iter().map(|finding| finding.uid.clone()).collect::<Vec<_>>();
        for list in [&life.open, &life.opened, &life.updated, &life.resolved, &life.dropped] {
            let (sorted, distinct) = (uids(list), uids(list).into_iter().collect::<BTreeSet<_>>());
            prop_assert_eq!(sorted, distinct.into_iter().collect::<Vec<_>>());
        }
        // What was open or is found is now open or ended, and never both.
        let ended: BTreeSet<String> = uids(&life.resolved).into_iter().chain(uids(&life.dropped)).collect();
        let open: BTreeSet<String> = uids(&life.open).into_iter().collect();
        let all: BTreeSet<String> = uids(&before).into_iter().chain(uids(&found)).collect();
        prop_assert!(ended.is_disjoint(&open));
        prop_assert_eq!(&ended | &open, all);
        // What is written begins something that is open.
        let written: BTreeSet<String> = uids(&life.opened).into_iter().chain(uids(&life.updated)).collect();
        prop_assert!(written.is_subset(&open));
        prop_assert!(uids(&life.opened).iter().all(|uid| !uids(&life.updated).contains(uid)));
    }

    #[test]
    fn a_gap_resolves_nothing(before in stored(), clients in prop::collection::btree_set(0..3_u8, 0..3)) {
        let found = clients.iter().map(|client| unknown(&format!("c{client}"), "")).collect();
        let life = lifecycle(before, found, &everybody, at(5));
        let in_doubt: BTreeSet<String> = clients.iter().map(|client| format!("c{client}")).collect();
        for finding in &life.resolved {
            prop_assert!(!in_doubt.contains(finding.client.id.as_str()));
        }
        prop_assert_eq!(life.opened, vec![]);
    }

    #[test]
    fn what_is_found_may_come_client_by_client(before in stored(), found in found()) {
        let mut by_client: BTreeMap<ClientId, Vec<Finding>> = BTreeMap::new();
        for finding in &found {
            by_client.entry(finding.client.id.clone()).or_default().push(finding.clone());
        }
        let apart = apart(super::lifecycle(before.clone(), by_client.into_values(), &everybody, at(5)));
        prop_assert_eq!(apart, lifecycle(before, found, &everybody, at(5)));
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(before in stored(), found in found()) {
        let reversed = |list: &[Finding]| list.iter().rev().cloned().collect::<Vec<_>>();
        prop_assert_eq!(
            lifecycle(before.clone(), found.clone(), &everybody, at(5)),
            lifecycle(reversed(&before), reversed(&found), &everybody, at(5))
        );
    }
}
