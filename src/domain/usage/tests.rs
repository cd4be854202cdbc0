//! Counts, joined and judged.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    access::Access,
    catalogue::{Mode, Operation, Source},
    fixtures::{catalogue, client, role, snapshot, when},
    permission::PermissionSet,
    probe::Sent,
};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn ok(count: u64, last: &str) -> Calls {
    Calls { ok: count, last: Some(day(last)), ..Calls::default() }
}

fn tally() -> Tally {
    Tally::new(Window::last(90, when()))
}

#[test]
fn rows_are_joined_whatever_a_parameter_is_called() {
    let mut tally = tally();
    tally.add("c", "GET", "/api/v2/users/{id}", &ok(2, "2026-09-01"));
    tally.add("c", "get", "/api/v2/users/{userId}", &ok(3, "2026-09-03"));
    tally.add("c", "GET", "/api/v2/no/such/{thing}", &Calls { denied: 1, ..ok(0, "2026-09-05") });
    tally.add("", "GET", "/api/v2/users/{id}", &ok(7, "2026-09-01"));
    let usage = Usage::join(&tally, Operations::compiled_in());
    let at = Operations::compiled_in().find("GET /api/v2/users/{userId}").unwrap();
    let seen = usage.of(&"c".into()).unwrap();
    assert_eq!(seen.operations, [(at, ok(5, "2026-09-03"))].into());
    assert_eq!(seen.unknown.keys().collect::<Vec<_>>(), ["GET /api/v2/no/such/{thing}"]);
    assert_eq!(seen.last, Some(day("2026-09-05")));
    assert_eq!(usage.operations_of(&"c".into()), [at].into());
    assert_eq!(usage.of(&"d".into()), None);
}

#[test]
fn an_attempt_is_not_a_use() {
    let mut tally = tally();
    tally.add("c", "DELETE", "/api/v2/users/{userId}", &Calls { denied: 9, ..ok(0, "2026-09-01") });
    let usage = Usage::join(&tally, Operations::compiled_in());
    assert!(usage.operations_of(&"c".into()).is_empty());
    assert_eq!(usage.of(&"c".into()).unwrap().operations.len(), 1);
}

#[test]
fn what_was_sent_to_probe_a_client_is_no_use_of_it() {
    let mut tally = tally();
    tally.add(
        "c",
        "DELETE",
        "/api/v2/users/{userId}",
        &Calls { denied: 3, throttled: 1, ..ok(0, "2026-09-01") },
    );
    tally.add("c", "GET", "/api/v2/users/{id}", &ok(5, "2026-09-01"));
    let sent = |method: &str, day: &str, status_class, count| Sent {
        client: "c".to_owned(),
        method: method.to_owned(),
        template: "/api/v2/users/{userId}".to_owned(),
        day: day.to_owned(),
        status_class,
        count,
    };
    let inside = tally.window.to.date_naive().to_string();
    let left = tally.clone().without(&[
        sent("DELETE", &inside, 4, 2),
        sent("DELETE", &inside, 4, 2),
        sent("GET", &inside, 0, 1),
        sent("GET", &inside, 2, 2),
        sent("GET", "2020-01-01", 2, 1),
        sent("GET", "no day", 2, 1),
        sent("PATCH", &inside, 4, 1),
    ]);
    let rows: Vec<_> = left.rows().map(|(_, name, calls)| (name.to_owned(), calls.total())).collect();
    assert_eq!(rows, [("GET /api/v2/users/{id}".to_owned(), 3)]);
    let days: Vec<_> = left.last_days().into_iter().map(|(id, day)| (id.as_str(), day)).collect();
    assert_eq!(days, [("c", "2026-09-01".parse().ok())]);
    let nothing = tally.without(&[sent("DELETE", &inside, 4, 99), sent("GET", &inside, 2, 99)]);
    assert_eq!(Usage::join(&nothing, Operations::compiled_in()).of(&"c".into()), None);
    assert!(nothing.last_days().is_empty());
    let mut undated = nothing;
    undated.add("c", "GET", "/api/v2/users", &Calls { ok: 1, ..Calls::default() });
    assert_eq!(undated.last_days().into_values().collect::<Vec<_>>(), [None], "it called, on some day");
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut tally = tally();
    for n in 0..MOST_PAIRS {
        tally.add(&format!("c{}", n / 1000), "GET", &format!("/api/v2/x/{}", n % 1000), &ok(1, "2026-09-01"));
    }
    tally.add("one more", "GET", "/api/v2/x", &ok(1, "2026-09-01"));
    tally.add("c0", "GET", "/api/v2/x/0", &ok(1, "2026-09-02"));
    tally.add("c0", "", "/api/v2/x/0", &ok(1, "2026-09-02"));
    tally.add("c0", "GET", &"x".repeat(400), &ok(1, "2026-09-02"));
    assert_eq!((tally.rows().count(), tally.left_out), (MOST_PAIRS, 3));
    let usage = Usage::join(&tally, Operations::compiled_in());
    let seen = usage.of(&"c0".into()).unwrap();
    assert_eq!((seen.unknown.len(), seen.unknown_left_out), (MOST_UNKNOWN, 1000 - MOST_UNKNOWN));
    assert_eq!(seen.unknown["GET /api/v2/x/0"].ok, 2, "the most called stay");
}

#[test]
fn counts_do_not_overflow() {
    let mut tally = tally();
    let most = Calls { ok: u64::MAX, denied: u64::MAX, throttled: u64::MAX, failed: u64::MAX, last: None };
    tally.add("c", "GET", "/a", &most);
    tally.add("c", "GET", "/a", &most);
    assert_eq!(tally.rows().next().unwrap().2.total(), u64::MAX);
}

#[test]
fn a_window_is_fresh_for_three_days() {
    let window = Window::last(30, when());
    assert_eq!(window.days(), 30);
    assert!(window.is_fresh(when() + chrono::TimeDelta::days(3)));
    assert!(!window.is_fresh(when() + chrono::TimeDelta::days(4)));
}

fn operation(name: &str, mode: Mode, permissions: &[&str]) -> Operation {
    Operation {
        name: name.into(),
        mode,
        permissions: permissions.iter().map(|&name| name.into()).collect(),
        scopes: Vec::new(),
    }
}

#[test]
fn a_success_proves_all_of_all_and_one_of_any() {
    let names = [
        "directory:user:view",
        "directory:user:edit",
        "routing:queue:view",
        "oauth:client:view",
        "ui:page:view",
    ];
    let org = {
        let mut org = snapshot(
            [client("c").grant("r", "*")],
            [names.into_iter().fold(role("r"), crate::domain::inventory::Role::can)],
        );
        org.catalogue = Some(catalogue(names));
        org.seal()
    };
    let table = Operations::new(
        Source::CompiledIn,
        vec![
            operation("GET /both", Mode::All, &["directory:user:view", "directory:user:edit"]),
            operation("GET /either", Mode::Any, &["directory:user:view", "routing:queue:view"]),
            operation("GET /one", Mode::Any, &["routing:queue:view", "not:held:here"]),
            operation("GET /clients", Mode::Any, &["oauth:client:view"]),
        ],
    );
    let mut access = Access::new(&org);
    access.operations = &table;
    let held = access.power(&org.clients["c"]).anywhere(&access);
    let show = |set: &PermissionSet| -> Vec<String> {
        let mut names: Vec<String> = set.ones().map(|at| access.universe.name(at).to_owned()).collect();
        names.sort();
        names
    };
    let judge = |called: &[(&str, Calls)]| {
        let mut tally = tally();
        for (name, calls) in called {
            let (method, path) = name.split_once(' ').unwrap();
            tally.add("c", method, path, calls);
        }
        let usage = Usage::join(&tally, &table);
        let Proof { proven, possible, unused, not_provable } =
            Prover::new(&access).proof(&held, usage.of(&"c".into()));
        assert_eq!(show(&not_provable), ["ui:page:view"]);
        [show(&proven), show(&possible), show(&unused)]
    };
    let used = ok(1, "2026-09-01");
    let tried = Calls { denied: 1, ..Calls::default() };
    let all: Vec<String> = [1, 0, 3, 2].map(|at| names[at].to_owned()).into();
    assert_eq!(judge(&[]), [vec![], vec![], all]);
    let [proven, possible, unused] = judge(&[("GET /both", used)]);
    assert_eq!(proven, ["directory:user:edit", "directory:user:view"]);
    assert_eq!((possible.len(), unused), (0, vec![names[3].to_owned(), names[2].to_owned()]));
    let [proven, possible, _] = judge(&[("GET /either", used)]);
    assert_eq!((proven.len(), possible), (0, vec![names[0].to_owned(), names[2].to_owned()]));
    let [proven, ..] = judge(&[("GET /one", used)]);
    assert_eq!(proven, ["routing:queue:view"], "the only one of the two that it holds");
    let [proven, possible, unused] = judge(&[("GET /clients", tried)]);
    assert_eq!((proven.len(), possible, unused.len()), (0, vec!["oauth:client:view".to_owned()], 3));
}

proptest! {
    #[test]
    fn every_permission_held_is_in_one_set(called in prop::collection::vec((0..3_321_usize, 0..3_u64, 0..2_u64), 0..20)) {
        let org = snapshot(
            [client("c").grant("r", "*")],
            [role("r").can("routing:*:*").can("directory:*:*").can("analytics:*:view").can("made:up:name")],
        );
        let access = Access::new(&org);
        let held = access.power(&org.clients["c"]).anywhere(&access);
        let mut usage = ClientUsage::default();
        for (at, ok, denied) in called {
            usage.operations.insert(at, Calls { ok, denied, ..Calls::default() });
        }
        let Proof { proven, possible, unused, not_provable } = Prover::new(&access).proof(&held, Some(&usage));
        let sets = [&proven, &possible, &unused, &not_provable];
        let sum: usize = sets.iter().map(|set| set.count_ones(..)).sum();
        prop_assert_eq!(sum, held.count_ones(..));
        for set in sets {
            prop_assert!(set.is_subset(&held));
        }
        prop_assert!(not_provable.contains(access.universe.number("made:up:name").unwrap()));
        // More calls never make a permission unused that was not.
        let before = Prover::new(&access).proof(&held, None);
        prop_assert!(unused.is_subset(&before.unused));
    }
}
