//! Grants beside the record, and calls: every way to differ, and every way not to know.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::domain::{
    ClientId, Fact, Gap,
    access::Access,
    catalogue::Operations,
    checks::{
        evaluate,
        tests::{context, gap, keys, of_check},
    },
    finding::{Finding, Status},
    fixtures::{client, role, snapshot, when},
    inventory::{Client, ClientState},
    rotation::{Turn, Turns},
    snapshot::Snapshot,
    usage::{Calls, Tally, Usage, Window},
};

/// Beside the configuration.
#[derive(Default)]
struct Beside<'a> {
    turns: Option<&'a Turns>,
    usage: Option<&'a Usage>,
    counts_usage: bool,
    declared: Option<&'a BTreeMap<ClientId, BTreeSet<usize>>>,
}

fn audit(org: &Snapshot, gaps: &[Gap], beside: &Beside<'_>) -> Vec<Finding> {
    let access = Access::new(org);
    let Beside { turns, usage, counts_usage, declared } = *beside;
    let context =
        crate::domain::checks::Context { turns, usage, counts_usage, declared, ..context(&access, gaps) };
    evaluate(&context).flatten().collect()
}

fn confirmed(ids: &[&str], hours_ago: i64) -> Turns {
    let at = when() - TimeDelta::hours(hours_ago);
    ids.iter().map(|&id| (id.into(), Turn { asked: at, confirmed: Some(at), due: false })).collect()
}

const OVERLAP: &str = "role-overlap";

fn overlap(org: Snapshot, turns: &Turns) -> Vec<Finding> {
    let found = audit(&org.seal(), &[], &Beside { turns: Some(turns), ..Beside::default() });
    found.into_iter().filter(|finding| finding.check == OVERLAP).collect()
}

fn org(client: Client) -> Snapshot {
    snapshot([client], [role("r").can("routing:queue:view"), role("s").can("directory:user:delete")])
}

#[test]
fn each_way_to_differ_from_the_record_is_one_finding() {
    let turns = confirmed(&["c"], 1);
    let holder = || client("c").grant("r", "d1");
    let same = org(holder()).observing("c", &[("r", "d1")]);
    assert_eq!(overlap(same, &turns), []);

    let behind = overlap(org(holder()).observing("c", &[("r", "d1"), ("s", "*"), ("s", "d1")]), &turns);
    assert_eq!(keys(&behind, OVERLAP), [("c", "granted:s", Status::Fail)]);
    assert_eq!(
        behind[0].evidence,
        "Client Client c (c) is granted role Role s (s) in all divisions, and its record does not name it."
    );

    let elsewhere = overlap(org(holder()).observing("c", &[("r", "home")]), &turns);
    let both = [("c", "granted:r", Status::Fail), ("c", "not-granted:r", Status::Fail)];
    assert_eq!(keys(&elsewhere, OVERLAP), both, "the same role in another division is another grant");

    let inherited =
        org(holder()).observing("c", &[("r", "d1")]).inheriting("c", "g1", &[("s", "d1"), ("r", "d1")]);
    let inherited = overlap(inherited, &turns);
    assert_eq!(keys(&inherited, OVERLAP), [("c", "inherited:s:g1", Status::Fail)]);
    assert!(
        inherited[0].evidence.contains("in Division d1 (d1) through the subject g1"),
        "{}",
        inherited[0].evidence
    );

    let missing = overlap(org(holder()).observing("c", &[]), &turns);
    assert_eq!(keys(&missing, OVERLAP), [("c", "not-granted:r", Status::Fail)]);
    let by_group = overlap(org(holder()).observing("c", &[]).inheriting("c", "g", &[("r", "d1")]), &turns);
    assert_eq!(by_group, [], "it is granted what its record says, wherever that comes from");
}

#[test]
fn a_record_without_divisions_agrees_with_any() {
    let old = org(client("c").grant("r", "unknown")).observing("c", &[("r", "d1"), ("r", "home")]);
    assert_eq!(overlap(old, &confirmed(&["c"], 1)), []);
}

#[test]
fn what_was_not_looked_at_lately_is_unknown() {
    let seen = || org(client("c").grant("r", "d1")).observing("c", &[("s", "*")]);
    let unknown = [("c", "", Status::Unknown)];
    assert_eq!(keys(&overlap(org(client("c")), &Turns::new()), OVERLAP), unknown, "never");
    assert_eq!(keys(&overlap(seen(), &confirmed(&["c"], 73)), OVERLAP), unknown, "too long ago");
    assert_eq!(overlap(seen(), &confirmed(&["c"], 71)).len(), 2);
    // The record changed and no call was left: the look is older than the record.
    let mut turns = confirmed(&["c"], 1);
    turns.get_mut("c").unwrap().due = true;
    let older = overlap(seen(), &turns);
    assert_eq!(keys(&older, OVERLAP), unknown, "an older look");
    assert!(older[0].evidence.contains("changed after"), "{}", older[0].evidence);
    let mut turns = confirmed(&["c"], 5);
    turns.get_mut("c").unwrap().asked = when() - TimeDelta::hours(1);
    let failed = overlap(seen(), &turns);
    assert_eq!(keys(&failed, OVERLAP), unknown, "the last look failed");
    assert!(
        failed[0].evidence.starts_with("What this client is granted could not be read from its own side on")
    );
    // Never asked for by configuration: not judged. Another grant type: its roles do not count.
    assert_eq!(keys(&audit(&seen().seal(), &[], &Beside::default()), OVERLAP), []);
    assert_eq!(overlap(org(client("c").of_type("CODE")), &Turns::new()), []);
}

#[test]
fn a_refusal_for_all_is_unknown_for_all() {
    let org = org(client("c").grant("r", "d1")).observing("c", &[("r", "d1")]).seal();
    let turns = confirmed(&["c"], 1);
    let beside = Beside { turns: Some(&turns), ..Beside::default() };
    let found = audit(&org, &[gap(Fact::Grants, None)], &beside);
    assert_eq!(keys(&found, OVERLAP), [("c", "", Status::Unknown)]);
    assert!(
        of_check(&found, OVERLAP)[0].evidence.starts_with("This audit could not read the grants (forbidden)")
    );
}

#[test]
fn grants_behind_the_record_count_in_every_check() {
    let org = org(client("c").grant("r", "d1")).observing("c", &[("s", "*")]).seal();
    let found = audit(&org, &[], &Beside::default());
    assert_eq!(
        keys(&found, "high-privilege-permission"),
        [("c", "directory:user:delete", Status::Fail)],
        "power is the record and what was observed"
    );
}

/// (client, operation, successes, refusals, days ago).
type Row<'a> = (&'a str, &'a str, u64, u64, i64);

fn usage(rows: &[Row<'_>]) -> Usage {
    let mut tally = Tally::new(Window::last(90, when()));
    for (client, operation, ok, denied, days_ago) in rows {
        let (method, path) = operation.split_once(' ').unwrap();
        let last = Some((when() - TimeDelta::days(*days_ago)).date_naive());
        tally.add(client, method, path, &Calls { ok: *ok, denied: *denied, last, ..Calls::default() });
    }
    Usage::join(&tally, Operations::compiled_in())
}

fn judged(org: &Snapshot, usage: &Usage) -> Vec<Finding> {
    audit(org, &[], &Beside { usage: Some(usage), counts_usage: true, ..Beside::default() })
}

const QUEUES: &str = "GET /api/v2/routing/queues/{queueId}";

#[test]
fn what_is_held_and_not_called_is_one_finding_with_the_weightiest_first() {
    let wide = role("r")
        .can("routing:queue:view")
        .can("oauth:client:add")
        .can("directory:user:delete")
        .can("no:such:thing");
    let org = snapshot([client("c").grant("r", "*")], [wide]);
    let found = judged(&org, &usage(&[("c", QUEUES, 3, 0, 1)]));
    assert_eq!(keys(&found, "unused-permission"), [("c", "", Status::Fail)]);
    let finding = of_check(&found, "unused-permission")[0];
    assert_eq!(finding.title, "Client c holds 2 permissions that it does not use");
    assert_eq!(
        finding.evidence,
        "Of the 4 permissions that client Client c (c) holds by its roles, its calls of 90 days needed 1. No call needed \
         oauth:client:add, directory:user:delete. No operation names 1 of them, so no call can show their use. A job that \
         runs less often than every 90 days does not show."
    );
    assert!(keys(&found, "unused-client").is_empty() && keys(&found, "stale-client").is_empty());
}

#[test]
fn an_attempt_and_one_of_several_prove_nothing_and_excuse() {
    let both = role("r").can("routing:queue:view").can("directory:user:delete");
    let org = snapshot([client("c").grant("r", "*")], [both]);
    let found =
        judged(&org, &usage(&[("c", QUEUES, 1, 0, 1), ("c", "DELETE /api/v2/users/{userId}", 0, 4, 1)]));
    assert!(keys(&found, "unused-permission").is_empty(), "it may be used: {found:?}");
}

#[test]
fn a_client_that_never_called_is_unused_and_one_that_stopped_is_stale() {
    let org = snapshot(
        ["never", "stopped", "works"].map(|id| client(id).grant("r", "*")),
        [role("r").can("routing:queue:view")],
    );
    let found = judged(&org, &usage(&[("stopped", QUEUES, 9, 0, 31), ("works", QUEUES, 1, 0, 30)]));
    assert_eq!(keys(&found, "unused-client"), [("never", "", Status::Fail)]);
    assert_eq!(keys(&found, "stale-client"), [("stopped", "", Status::Fail)]);
    assert_eq!(
        of_check(&found, "stale-client")[0].title,
        "Client stopped has called nothing since 2026-08-21"
    );
    assert!(keys(&found, "unused-permission").is_empty());
}

#[test]
fn a_young_client_and_one_that_cannot_call_are_not_judged() {
    let young = Client { date_created: Some("2026-09-01T00:00:00.000Z".to_owned()), ..client("young") };
    let old = Client { date_created: Some("2026-08-01T00:00:00.000Z".to_owned()), ..client("old") };
    let off = Client { state: ClientState::Disabled, ..client("off") };
    let found = judged(&snapshot([young, old, off], []), &usage(&[]));
    assert_eq!(keys(&found, "unused-client"), [("old", "", Status::Fail)]);
}

#[test]
fn a_users_client_is_judged_by_its_calls_and_not_by_permissions() {
    let found = judged(&snapshot([client("u").of_type("CODE")], []), &usage(&[("u", QUEUES, 1, 0, 40)]));
    assert_eq!(keys(&found, "stale-client"), [("u", "", Status::Fail)]);
    assert!(keys(&found, "unused-permission").is_empty());
}

#[test]
fn without_a_count_of_these_days_nothing_is_said() {
    let org = snapshot([client("c").grant("r", "*")], [role("r").can("routing:queue:view")]);
    let checks = ["unused-permission", "unused-client", "stale-client"];
    let all = |found: &[Finding], status: Option<Status>| {
        for check in checks {
            let expected: Vec<_> = status.map(|status| ("c", "", status)).into_iter().collect();
            assert_eq!(keys(found, check), expected, "{check}");
        }
    };
    // Not counted yet; refused; counted too long ago.
    let counting = Beside { counts_usage: true, ..Beside::default() };
    let found = audit(&org, &[], &counting);
    all(&found, Some(Status::Unknown));
    assert_eq!(
        of_check(&found, "unused-client")[0].evidence,
        "What clients called has not been counted yet."
    );
    let refused = audit(&org, &[gap(Fact::Usage, None)], &counting);
    all(&refused, Some(Status::Unknown));
    assert!(
        of_check(&refused, "unused-client")[0].evidence.starts_with("This audit could not read the usage")
    );
    let mut old = Tally::new(Window::last(90, when() - TimeDelta::days(4)));
    old.add("c", "GET", "/api/v2/x", &Calls { ok: 1, ..Calls::default() });
    let old = Usage::join(&old, Operations::compiled_in());
    all(&judged(&org, &old), Some(Status::Unknown));
    // Counted yesterday and refused today: yesterday's count answers.
    let seen = usage(&[]);
    let beside = Beside { usage: Some(&seen), counts_usage: true, ..Beside::default() };
    let found = audit(&org, &[gap(Fact::Usage, None)], &beside);
    assert_eq!(keys(&found, "unused-client"), [("c", "", Status::Fail)]);
    // Turned off in the configuration, and never counted.
    all(&audit(&org, &[], &Beside::default()), None);
}

#[test]
fn a_count_that_was_cut_short_accuses_nobody() {
    let org = snapshot([client("c"), client("d")], []);
    let mut seen = usage(&[("d", QUEUES, 1, 0, 1)]);
    seen.left_out = 1;
    let found = judged(&org, &seen);
    assert_eq!(keys(&found, "unused-client"), [("c", "", Status::Unknown)]);
    // What is said of one with other calls says that there may be more.
    let org = snapshot([client("d").grant("r", "*")], [role("r").can("directory:user:delete")]);
    let mut seen = usage(&[("d", QUEUES, 1, 0, 40)]);
    for left_out in [0, 1] {
        seen.left_out = left_out;
        let found = judged(&org, &seen);
        for check in ["unused-permission", "stale-client"] {
            let doubted = of_check(&found, check)[0].evidence.contains("may have called more than is known");
            assert_eq!(doubted, left_out > 0, "{check}");
        }
    }
}

#[test]
fn calls_outside_of_a_contract_are_named_and_without_contracts_nothing_is() {
    let org = snapshot([client("c"), client("d")], []);
    let seen = usage(&[
        ("c", QUEUES, 1, 0, 1),
        ("c", "DELETE /api/v2/users/{id}", 0, 2, 1),
        ("c", "GET /api/v2/brand/new", 5, 0, 1),
        ("d", QUEUES, 1, 0, 1),
    ]);
    let queues = Operations::compiled_in().find(QUEUES).unwrap();
    let contracts = |declared: &[usize]| -> BTreeMap<ClientId, BTreeSet<usize>> {
        [("c".into(), declared.iter().copied().collect())].into()
    };
    let check = |declared: Option<&BTreeMap<_, _>>| {
        audit(&org, &[], &Beside { usage: Some(&seen), counts_usage: true, declared, ..Beside::default() })
    };
    let found = check(Some(&contracts(&[queues])));
    assert_eq!(keys(&found, "undeclared-use"), [("c", "", Status::Fail)]);
    assert_eq!(
        of_check(&found, "undeclared-use")[0].evidence,
        "Client Client c (c) called GET /api/v2/brand/new, DELETE /api/v2/users/{userId} (attempted only). Its contract \
         names none of them."
    );
    assert!(keys(&check(None), "undeclared-use").is_empty());
}
