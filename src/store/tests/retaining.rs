//! What retention forgets, what it never does, and how the past is told then.

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::{
    config::Retention,
    store::{Forgotten, Past},
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

const POLICY: Retention =
    Retention { keep_all: Duration::from_hours(2 * 24), keep_daily: Duration::from_hours(20 * 24) };

/// One audit a day, each with other scopes of `c1` and nothing else changed.
async fn days(store: &Store, days: i64) -> Vec<Snapshot> {
    let mut seen = Vec::new();
    for n in 0..days {
        let client = fixtures::client("c1").grant("r1", "*").scope(&format!("scope-{n}"));
        let snapshot = fixtures::snapshot([client], [fixtures::role("r1").can("a:b:c")]);
        let audit = Audit { id: format!("audit-{n}"), seconds: n * DAY, ..Audit::new(0, &snapshot) };
        audit.record(store).await.unwrap();
        seen.push(snapshot);
    }
    seen
}

async fn past(store: &Store, seconds: i64) -> Past {
    store.snapshot_at("acme", Some(at(seconds))).await.unwrap().unwrap()
}

async fn number(store: &Store, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&store.readers).await.unwrap()
}

#[tokio::test]
async fn old_content_goes_and_the_evidence_stays() {
    let (_folder, store) = store().await;
    // From 2025-10-09 08:53:20 on.
    let seen = days(&store, 100).await;
    let rows = number(&store, "SELECT COUNT(*) FROM audit JOIN version").await;

    let done = store.forget(&POLICY, at(99 * DAY)).await.unwrap();

    // Of c1: the first, 31 October (n = 22), 30 November (52), 31 December (83), and every one of the last 20 days.
    assert_eq!((done.audits, done.kept, done.contents), (100, 1 + 3 + 20, 100 - 1 - 3 - 20));
    assert!(done.bytes > 0);
    assert_eq!(number(&store, "SELECT COUNT(*) FROM audit JOIN version").await, rows);
    let forgotten = number(&store, "SELECT COUNT(*) FROM object WHERE body = ''").await;
    assert_eq!(u64::try_from(forgotten).unwrap(), done.contents);
    for (asked, answers) in
        [(0, 0), (21, 0), (22, 22), (23, 22), (60, 52), (78, 52), (79, 79), (83, 83), (99, 99)]
    {
        let past = past(&store, asked * DAY).await;
        assert_eq!((past.audit, past.at), (format!("audit-{answers}"), at(answers * DAY)), "{asked}");
        assert_eq!(past.snapshot, seen[usize::try_from(answers).unwrap()], "{asked}");
        let instead = past.instead_of.map(|asked| (asked.audit, asked.at));
        assert_eq!(instead, (asked != answers).then(|| (format!("audit-{asked}"), at(asked * DAY))));
    }
    let verified = store.verify("acme").await.unwrap();
    assert!(verified.is_consistent(), "{:?}", verified.problems);
    assert_eq!((verified.audits, verified.forgotten), (100, done.contents));

    let again = store.forget(&POLICY, at(99 * DAY)).await.unwrap();
    assert_eq!(again, Forgotten { contents: 0, bytes: 0, ..done });
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_nothing_old() {
    let (_folder, store) = store().await;
    days(&store, 3).await;
    let done = store.forget(&POLICY, at(400 * DAY)).await.unwrap();
    assert_eq!((done.kept, done.contents), (3, 0), "no audit is older than two days beside the newest");
    Audit { id: "later".to_owned(), seconds: 400 * DAY, ..Audit::new(0, &snapshot(&["c1"])) }
        .record(&store)
        .await
        .unwrap();
    let done = store.forget(&POLICY, at(400 * DAY)).await.unwrap();
    assert_eq!((done.kept, done.contents), (3, 1), "time passed, and an audit says so");
}

#[tokio::test]
async fn content_that_comes_back_is_stored_again() {
    let (_folder, store) = store().await;
    let seen = days(&store, 60).await;
    store.forget(&POLICY, at(59 * DAY)).await.unwrap();
    let before = number(&store, "SELECT COUNT(*) FROM object WHERE forgotten_ms IS NOT NULL").await;
    assert_eq!(past(&store, 30 * DAY).await.audit, "audit-22");

    let audit = Audit { id: "back".to_owned(), seconds: 60 * DAY, ..Audit::new(0, &seen[30]) };
    audit.record(&store).await.unwrap();

    assert_eq!(
        number(&store, "SELECT COUNT(*) FROM object WHERE forgotten_ms IS NOT NULL").await,
        before - 1
    );
    assert_eq!(past(&store, 60 * DAY).await.snapshot, seen[30]);
    // The old audit that saw it is whole again as well.
    assert_eq!(past(&store, 30 * DAY).await.audit, "audit-30");
    assert!(store.verify("acme").await.unwrap().is_consistent());
}

#[tokio::test]
async fn content_that_comes_back_between_planning_and_forgetting_is_left_alone() {
    let (_folder, store) = store().await;
    let seen = days(&store, 60).await;
    let plan = store.plan_forgetting(&POLICY, at(59 * DAY)).await.unwrap();
    let audit = Audit { id: "back".to_owned(), seconds: 60 * DAY, ..Audit::new(0, &seen[30]) };
    audit.record(&store).await.unwrap();
    let audit = Audit { id: "gone".to_owned(), seconds: 60 * DAY + 1, ..Audit::new(0, &seen[59]) };
    audit.record(&store).await.unwrap();

    store.carry_out(plan, at(59 * DAY)).await.unwrap();

    assert_eq!(past(&store, 60 * DAY).await.snapshot, seen[30]);
    assert_eq!(past(&store, 29 * DAY).await.audit, "audit-22");
    assert!(store.verify("acme").await.unwrap().is_consistent());
}

#[tokio::test]
async fn what_an_open_finding_or_another_organisation_needs_stays() {
    let (_folder, store) = store().await;
    let seen = days(&store, 40).await;
    // Another organisation saw the content of day 5 an hour ago.
    let other = Audit { id: "other".to_owned(), seconds: 200 * DAY - HOUR, ..Audit::new(0, &seen[5]) };
    other.record_for("other", &store).await.unwrap();
    let found = Finding { first_seen: at(10 * DAY), ..finding("c1", "old") };
    let audit = Audit {
        id: "last".to_owned(),
        seconds: 200 * DAY,
        opened: vec![found.clone()],
        ..Audit::new(0, &seen[39])
    };
    audit.record(&store).await.unwrap();

    store.forget(&POLICY, at(200 * DAY)).await.unwrap();
    assert_eq!(past(&store, 5 * DAY).await.snapshot, seen[5]);
    assert_eq!(past(&store, 9 * DAY).await.audit, "audit-5");
    assert_eq!(past(&store, 10 * DAY).await.snapshot, seen[10]);

    // Once the finding is closed, nothing holds it any more.
    let audit = Audit {
        id: "closed".to_owned(),
        seconds: 201 * DAY,
        closed: vec![found],
        ..Audit::new(0, &seen[39])
    };
    audit.record(&store).await.unwrap();
    assert_eq!(store.forget(&POLICY, at(201 * DAY)).await.unwrap().contents, 1);
    assert_eq!(past(&store, 10 * DAY).await.audit, "audit-5");
}

#[tokio::test]
async fn verify_tells_forgetting_from_taking_away() {
    for (statement, expected) in [
        ("UPDATE object SET body = '' WHERE body LIKE '%scope-59%'", "the content of client c1 has hash"),
        (
            "UPDATE object SET body = '', forgotten_ms = 1 WHERE body LIKE '%scope-59%'",
            "is marked as forgotten, but still holds",
        ),
        ("UPDATE object SET forgotten_ms = NULL WHERE body = ''", "has hash e3b0c44298fc"),
        ("DELETE FROM object WHERE body = ''", "is missing"),
        (
            "UPDATE version SET hash = (SELECT hash FROM object WHERE body LIKE '%scope-0%') WHERE since = 9",
            "digest",
        ),
    ] {
        let (_folder, store) = store().await;
        days(&store, 60).await;
        store.forget(&POLICY, at(59 * DAY)).await.unwrap();
        let mut connection = store.writer.acquire().await.unwrap();
        sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.unwrap();
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
        drop(connection);
        let problems = store.verify("acme").await.unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{statement}: {problems:#?}");
    }
}

#[tokio::test]
async fn a_record_whose_content_was_all_taken_away_is_no_snapshot() {
    let (_folder, store) = store().await;
    days(&store, 3).await;
    sqlx::query("UPDATE object SET body = '', forgotten_ms = 1 WHERE body LIKE '%scope-0%'")
        .execute(&store.writer)
        .await
        .unwrap();
    let error = store.snapshot_at("acme", Some(at(0))).await.unwrap_err();
    assert!(error.to_string().contains("verify"), "{error}");
}

#[tokio::test]
async fn space_of_forgotten_content_is_given_back() {
    let (_folder, store) = store().await;
    for (n, day) in (0..40).zip((0..39).chain([300])) {
        let scope = format!("{n:08}").repeat(4_000);
        let snapshot = fixtures::snapshot([fixtures::client("c1").scope(&scope)], []);
        let audit = Audit { id: format!("audit-{n}"), seconds: day * DAY, ..Audit::new(0, &snapshot) };
        audit.record(&store).await.unwrap();
    }
    let pages = |store: Store| async move { number(&store, "PRAGMA page_count").await };
    let before = pages(store.clone()).await;
    let done = store.forget(&POLICY, at(300 * DAY)).await.unwrap();
    assert_eq!(pages(store.clone()).await, before, "forgetting only makes room");

    let released = store.release_pages().await.unwrap();

    assert!(released >= done.bytes / 2 && done.bytes > 32_000 * 30, "{released} of {done:?}");
    let after = pages(store.clone()).await;
    assert_eq!(i64::try_from(released).unwrap(), (before - after) * 4096);
    assert_eq!(store.release_pages().await.unwrap(), 0);
    assert!(store.verify("acme").await.unwrap().is_consistent());
}

/// One thing that happens to a record.
#[derive(Clone, Debug)]
enum Step {
    /// So many hours later, an audit of an organisation sees clients, each with some content; a finding may open (its
    /// number), and one may close.
    Audit { org: u8, hours: i64, clients: BTreeMap<u8, u8>, opens: Option<u8>, closes: Option<u8> },
    /// So many hours later, retention runs.
    Forget { hours: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let clients = proptest::collection::btree_map(0_u8..3, 0_u8..5, 0..3);
    let number = || proptest::option::weighted(0.3, 0_u8..4);
    prop_oneof![
        4 => (0_u8..2, 0_i64..400, clients, number(), number()).prop_map(|(org, hours, clients, opens, closes)| {
            Step::Audit { org, hours, clients, opens, closes }
        }),
        1 => (0_i64..900).prop_map(|hours| Step::Forget { hours }),
    ]
}

/// Everything that was recorded of one organisation, and what is open.
#[derive(Default)]
struct Told {
    audits: Vec<(i64, Snapshot)>,
    open: BTreeMap<String, Finding>,
}

impl Told {
    /// The moments that the rules keep, spelt out.
    fn kept(&self, now: i64) -> Vec<usize> {
        let month = |seconds: i64| at(seconds).format("%Y-%m").to_string();
        let age = |seconds: i64| now - seconds;
        let is_last = |index: usize, of: &dyn Fn(i64) -> String| {
            let own = of(self.audits[index].0);
            self.audits[index + 1..].iter().all(|(later, _)| of(*later) != own)
        };
        let day = |seconds: i64| at(seconds).format("%Y-%m-%d").to_string();
        let is_cited = |index: usize| {
            self.open.values().any(|finding| {
                let by_then = self.audits.iter().filter(|(seconds, _)| at(*seconds) <= finding.first_seen);
                by_then.count() == index + 1
            })
        };
        (0..self.audits.len())
            .filter(|&index| {
                let seconds = self.audits[index].0;
                index == 0
                    || age(seconds) <= 2 * DAY
                    || (age(seconds) <= 20 * DAY && is_last(index, &day))
                    || is_last(index, &month)
                    || is_cited(index)
            })
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened, and whenever retention ran: each snapshot that is kept is what it was, each other moment is
    /// answered by the last one before it that is whole and not by half of anything, and the record is consistent.
    #[test]
    fn what_is_kept_is_what_it_was(steps in proptest::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(&steps));
    }
}

async fn live(steps: &[Step]) {
    let (_folder, store) = store().await;
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut seconds = 0;
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Audit { org, hours, clients, opens, closes } => {
                seconds += hours * HOUR + 1;
                let org = format!("org-{org}");
                let clients = clients
                    .iter()
                    .map(|(id, content)| fixtures::client(&format!("c{id}")).scope(&format!("s{content}")));
                let snapshot = fixtures::snapshot(clients, []);
                let told = told.entry(org.clone()).or_default();
                let open = |number: &u8| {
                    let found = finding(&format!("c{number}"), "x");
                    Finding { first_seen: at(seconds), ..found }
                };
                // One audit does not both end and begin a finding.
                let opens = opens.filter(|number| Some(*number) != *closes);
                let closed: Vec<Finding> =
                    closes.iter().filter_map(|number| told.open.remove(&open(number).uid)).collect();
                let opened: Vec<Finding> =
                    opens.iter().map(open).filter(|found| !told.open.contains_key(&found.uid)).collect();
                for found in &opened {
                    told.open.insert(found.uid.clone(), found.clone());
                }
                let audit =
                    Audit { id: format!("a{n}"), seconds, opened, closed, ..Audit::new(0, &snapshot) };
                audit.record_for(&org, &store).await.unwrap();
                told.audits.push((seconds, snapshot));
            }
            Step::Forget { hours } => {
                seconds += hours * HOUR;
                store.forget(&POLICY, at(seconds)).await.unwrap();
                check(&store, &told, seconds).await;
                assert_eq!(store.forget(&POLICY, at(seconds)).await.unwrap().contents, 0, "twice is once");
                store.release_pages().await.unwrap();
            }
        }
    }
    for org in told.keys() {
        let verified = store.verify(org).await.unwrap();
        assert!(verified.is_consistent(), "{:?}", verified.problems);
    }
}

async fn check(store: &Store, told: &BTreeMap<String, Told>, now: i64) {
    for (org, told) in told {
        let kept = told.kept(now);
        for (index, (seconds, snapshot)) in told.audits.iter().enumerate() {
            let past = store.snapshot_at(org, Some(at(*seconds))).await.unwrap().unwrap();
            let (before, same) = store.snapshots(org, None, Some(at(*seconds))).await.unwrap().unwrap();
            assert_eq!(same, past);
            let earlier = past.at - TimeDelta::milliseconds(1);
            assert_eq!(before, store.snapshot_at(org, Some(earlier)).await.unwrap());
            if past.instead_of.is_none() {
                assert_eq!(&past.snapshot, snapshot, "{org} at {seconds}");
                continue;
            }
            assert!(!kept.contains(&index), "{org} at {seconds} is kept");
            let answers = told.audits.iter().position(|(seconds, _)| at(*seconds) == past.at).unwrap();
            assert_eq!(past.snapshot, told.audits[answers].1);
            // Nothing whole was passed over; what is kept is whole.
            assert!(!kept.iter().any(|kept| (answers + 1..=index).contains(kept)));
        }
        let verified = store.verify(org).await.unwrap();
        assert!(verified.is_consistent(), "{:?}", verified.problems);
    }
}
