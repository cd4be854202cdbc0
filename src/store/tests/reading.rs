//! Time travel, lists, and readers beside a writer.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::Problem;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever came, went, came back or changed: every moment is as it was.
    #[test]
    fn every_moment_can_be_rebuilt(steps in proptest::collection::vec(
        (proptest::collection::btree_map(0_u8..6, 0_u8..3, 0..6), 1_i64..100), 1..12))
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = store().await;
            let mut recorded: Vec<(i64, Snapshot)> = Vec::new();
            let mut seconds = 0;
            for (n, (clients, pause)) in steps.iter().enumerate() {
                seconds += pause;
                let clients = clients.iter().map(|(id, variant)| {
                    fixtures::client(&format!("c{id}")).grant(&format!("r{variant}"), "*")
                });
                let snapshot = fixtures::snapshot(clients, [fixtures::role("r1").can("a:b:c")]);
                let audit = Audit { id: format!("a{n}"), seconds, ..Audit::new(0, &snapshot) };
                audit.record(&store).await.unwrap();
                recorded.push((seconds, snapshot));
            }
            for moment in -1..=seconds + 1 {
                let expected = recorded.iter().rev().find(|(at, _)| *at <= moment).map(|(_, snapshot)| snapshot);
                let past = store.snapshot_at("acme", Some(at(moment))).await.unwrap();
                assert_eq!(past.as_ref().map(|past| &past.snapshot), expected, "at {moment}");
            }
            for later in recorded.iter().map(|(seconds, _)| *seconds) {
                let past = store.snapshot_at("acme", Some(at(later))).await.unwrap();
                for earlier in [-1, later / 2, later - 1, later] {
                    let before = store.snapshot_at("acme", Some(at(earlier))).await.unwrap();
                    let both = store.snapshots("acme", Some(at(earlier)), Some(at(later))).await.unwrap();
                    assert_eq!(both, past.clone().map(|past| (before, past)), "{earlier} and {later}");
                }
            }
            let last = store.snapshot_at("acme", None).await.unwrap().unwrap();
            assert_eq!(last.snapshot.digest(), recorded.last().unwrap().1.digest());
            let verification = store.verify("acme").await.unwrap();
            assert!(verification.is_consistent(), "{:?}", verification.problems);
            assert_eq!(verification.audits, steps.len() as u64);
            assert_eq!(verification.head, Some(last.chain));
        });
    }
}

#[tokio::test]
async fn audits_are_listed_newest_first() {
    let (_folder, store) = store().await;
    for n in 1..=3 {
        Audit::new(n, &snapshot(&["c1"])).record(&store).await.unwrap();
    }
    Audit::new(4, &snapshot(&["x"])).record_for("other", &store).await.unwrap();
    let audits = store.audits(Some("acme"), 2).await.unwrap();
    assert_eq!(audits.iter().map(|row| row.audit.as_str()).collect::<Vec<_>>(), ["audit-3", "audit-2"]);
    let row = &audits[0];
    assert_eq!((row.at, row.api_calls, row.clients, row.roles), (at(180), 8, 1, 1));
    assert_eq!(row.configuration, snapshot(&["c1"]).digest());
    assert_eq!(store.audits(None, 10).await.unwrap()[0].org, "other");
}

#[tokio::test]
async fn events_are_found_by_organisation_and_time() {
    let (_folder, store) = store().await;
    for n in 1..=3 {
        let events = vec![event(&format!("e{n}-b")), event(&format!("e{n}-a"))];
        Audit { events, ..Audit::new(n, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    }
    let list = async |org, from: Option<i64>, to: Option<i64>, limit| {
        let events = store.events(org, from.map(at), to.map(at), limit).await.unwrap();
        events.into_iter().map(|(audit, _, event)| format!("{audit} {}", event.id)).collect::<Vec<_>>()
    };
    // Within an audit, in the order of recording.
    assert_eq!(list(Some("acme"), Some(120), Some(120), 10).await, ["audit-2 e2-b", "audit-2 e2-a"]);
    assert_eq!(list(None, None, None, 3).await, ["audit-3 e3-b", "audit-3 e3-a", "audit-2 e2-b"]);
    assert_eq!(list(None, Some(121), None, 10).await.len(), 2);
    assert!(list(Some("other"), None, None, 10).await.is_empty());
    assert_eq!(store.events(None, None, None, 1).await.unwrap()[0].2, event("e3-b"));
}

#[tokio::test]
async fn object_counts_are_replaced_not_added_to() {
    let (_folder, store) = store().await;
    let counts = |list: &[(&str, &str, i64)]| {
        let mut counts = ObjectCounts::new();
        for (division, kind, count) in list {
            counts.entry((*division).into()).or_default().insert((*kind).to_owned(), *count);
        }
        counts
    };
    let first = counts(&[("d1", "USER", 3), ("d1", "QUEUE", 4), ("d2", "USER", 1)]);
    let second = counts(&[("d1", "USER", 5), ("d1", "QUEUE", 4), ("d3", "USER", 9)]);
    for (n, counted, expected) in [(1, Some(&first), &first), (2, Some(&second), &second), (3, None, &second)]
    {
        let audit = Audit { object_counts: counted.cloned(), ..Audit::new(n, &snapshot(&["c1"])) };
        audit.record(&store).await.unwrap();
        assert_eq!(&store.object_counts("acme").await.unwrap(), expected);
    }
    assert_eq!(store.object_counts("other").await.unwrap(), BTreeMap::new());
}

#[tokio::test]
async fn a_reader_sees_only_whole_audits_while_another_handle_writes() {
    let (_folder, store) = store().await;
    Audit { opened: vec![finding("c0", "x")], ..Audit::new(0, &snapshot(&["c0"])) }
        .record(&store)
        .await
        .unwrap();
    let reader = Store::open_read_only(store.path()).await.unwrap();
    let writing = tokio::spawn(async move {
        for n in 1..=30 {
            let client = format!("c{n}");
            let audit = Audit {
                opened: vec![finding(&client, "x")],
                closed: vec![finding(&format!("c{}", n - 1), "x")],
                ..Audit::new(n, &snapshot(&[&client]))
            };
            audit.record(&store).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let history = reader.history("acme").await.unwrap();
        let snapshot = history.past.unwrap().snapshot;
        assert_eq!(snapshot.clients.keys().next(), Some(&history.findings[0].client.id));
        assert_eq!((snapshot.clients.len(), history.findings.len()), (1, 1));
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    Audit::new(1, &seen).record(&store).await.unwrap();
    store.close().await;
    let reader = Store::open_read_only(store.path()).await.unwrap();
    assert_eq!(reader.snapshot_at("acme", None).await.unwrap().unwrap().snapshot, seen);
    let error = Audit::new(2, &seen).record(&reader).await.unwrap_err();
    assert!(matches!(error.problem, Problem::ReadOnly), "{error}");
}

#[tokio::test]
async fn opening_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let message = |result: Result<Store, Error>| result.map(|_| ()).unwrap_err().to_string();
    let file = folder.path().join("none.db");
    let missing = message(Store::open_read_only(&file).await);
    assert!(missing.contains("none.db") && missing.contains("`scopewarden audit`"), "{missing}");
    assert!(!file.exists(), "a reader makes no file");

    let lost = message(Store::open(&folder.path().join("no/such/x.db")).await);
    assert!(lost.contains("no/such does not exist; make it"), "{lost}");

    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is not a database, however long it may be ".repeat(100)).unwrap();
    let error = Store::open(&text).await.unwrap_err();
    assert_eq!(error.reason(), "corrupt", "{error}");

    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let error = Store::open_read_only(&empty).await.unwrap_err();
    assert_eq!(error.reason(), "schema", "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = store().await;
    Audit::new(1, &snapshot(&["c1"])).record(&store).await.unwrap();
    for name in ["test.db", "test.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_stands_is_told_with_what_ended_lately() {
    let (_folder, store) = store().await;
    let nothing = store.standing("acme", at(0), at(0), 10).await.unwrap();
    assert_eq!((nothing.org.as_str(), nothing.open.len(), nothing.failing), ("acme", 0, None));

    let seen = snapshot(&["c1", "c2"]);
    let failure = |seconds: i64, audit: &'static str| crate::store::Failure {
        org: "acme",
        audit,
        started: at(seconds),
        at: at(seconds),
        reason: "network",
        detail: "no route",
        messages: &[],
    };
    let (one, two) = (finding("c1", "as it was"), finding("c2", "as it was"));
    Audit { opened: vec![one.clone(), two.clone()], ..Audit::new(1, &seen) }.record(&store).await.unwrap();
    store.record_failure(&failure(70, "f1")).await.unwrap();
    store.record_failure(&failure(80, "f2")).await.unwrap();
    let failing = store.standing("acme", at(0), at(0), 10).await.unwrap().failing.unwrap();
    assert_eq!((failing.since, failing.reason.as_str()), (at(70), "network"));

    let other = finding("c2", "in other words");
    let events = vec![event("e1")];
    Audit { updated: vec![other.clone()], closed: vec![one.clone()], events, ..Audit::new(2, &seen) }
        .record(&store)
        .await
        .unwrap();
    let standing = store.standing("acme", at(100), at(100), 10).await.unwrap();
    assert_eq!(standing.open.iter().map(|one| one.evidence.as_str()).collect::<Vec<_>>(), ["in other words"]);
    let mut ended: Vec<_> = standing.ended.iter().map(|(one, at)| (one.uid.clone(), *at)).collect();
    ended.sort();
    let mut want = vec![(one.uid, at(120)), (two.uid, at(120))];
    want.sort();
    assert_eq!(ended, want);
    assert_eq!((standing.failing, standing.recovered), (None, vec![(at(70), at(120))]));
    assert_eq!(
        standing.changes.iter().map(|(at, event)| (*at, event.id.as_str())).collect::<Vec<_>>(),
        [(at(120), "e1")]
    );

    let later = store.standing("acme", at(121), at(121), 10).await.unwrap();
    assert_eq!(
        (later.open.len(), later.ended.len(), later.recovered.len(), later.changes.len()),
        (1, 0, 0, 0)
    );
}
