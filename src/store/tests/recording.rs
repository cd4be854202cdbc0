//! What goes in comes out again, whole or not at all.

use super::*;
use crate::store::{Failure, Problem};

fn gap() -> Gap {
    Gap {
        fact: Fact::Divisions,
        subject: None,
        reason: "forbidden".to_owned(),
        detail: "grant it".to_owned(),
        stale_since: Some(at(0)),
    }
}

#[tokio::test]
async fn there_is_no_history_before_the_first_audit() {
    let (_folder, store) = store().await;
    assert_eq!(store.history("acme").await.unwrap(), crate::store::History::default());
    assert_eq!(store.snapshot_at("acme", None).await.unwrap(), None);
}

#[tokio::test]
async fn history_tells_what_was_recorded() {
    let (_folder, store) = store().await;
    let pending = BTreeSet::from([(Fact::Clients, "c9".to_owned()), (Fact::Roles, "r9".to_owned())]);
    let unknown = Finding { status: Status::Unknown, ..finding("c2", "unseen") };
    let audit = Audit {
        gaps: vec![gap()],
        opened: vec![finding("c1", "seen")],
        updated: vec![unknown.clone()],
        pending_removals: pending.clone(),
        ..Audit::new(1, &snapshot(&["c1", "c2"]))
    };
    audit.record(&store).await.unwrap();

    let history = store.history("acme").await.unwrap();
    let past = history.past.unwrap();
    assert_eq!(past.snapshot, audit.snapshot);
    assert_eq!((past.audit.as_str(), past.at, past.complete), ("audit-1", at(60), false));
    assert_eq!(past.gaps, vec![gap()]);
    assert_eq!(history.pending_removals, pending);
    assert!(!history.failing);
    let mut expected = vec![
        Finding { last_seen: at(60), ..finding("c1", "seen") },
        Finding { last_seen: at(60), ..unknown },
    ];
    expected.sort_by(|one, other| one.uid.cmp(&other.uid));
    assert_eq!(history.findings, expected);
    // Another organisation shares nothing of it.
    assert_eq!(store.history("other").await.unwrap(), crate::store::History::default());
}

#[tokio::test]
async fn a_finding_lives_from_its_opening_to_its_closing() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    let unknown = Finding { status: Status::Unknown, ..finding("c1", "unseen") };
    Audit { updated: vec![unknown], ..Audit::new(1, &seen) }.record(&store).await.unwrap();
    Audit { opened: vec![finding("c1", "one")], ..Audit::new(2, &seen) }.record(&store).await.unwrap();
    Audit { updated: vec![finding("c1", "two")], ..Audit::new(3, &seen) }.record(&store).await.unwrap();
    Audit::new(4, &seen).record(&store).await.unwrap();

    let open = store.findings(Some("acme")).await.unwrap();
    assert_eq!(open, vec![Finding { last_seen: at(240), ..finding("c1", "two") }]);

    Audit { closed: open, ..Audit::new(5, &seen) }.record(&store).await.unwrap();
    assert!(store.findings(None).await.unwrap().is_empty());
    let verification = store.verify("acme").await.unwrap();
    assert_eq!(verification.problems, Vec::<String>::new());
}

#[tokio::test]
async fn pending_removals_come_and_go() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    let pending =
        |ids: &[&str]| ids.iter().map(|id| (Fact::Clients, (*id).to_owned())).collect::<BTreeSet<_>>();
    for (n, ids) in [(1, &["a", "b"][..]), (2, &["b", "c"]), (3, &[])] {
        let audit = Audit { pending_removals: pending(ids), ..Audit::new(n, &seen) };
        audit.record(&store).await.unwrap();
        assert_eq!(store.history("acme").await.unwrap().pending_removals, pending(ids));
    }
}

#[tokio::test]
async fn an_audit_that_cannot_be_recorded_leaves_nothing() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    Audit::new(1, &seen).record(&store).await.unwrap();
    let before = store.history("acme").await.unwrap();
    let full = Audit {
        events: vec![event("e1")],
        opened: vec![finding("c1", "seen")],
        messages: vec![to(message("m1", "k"), &["ops"])],
        pending_removals: BTreeSet::from([(Fact::Clients, "c9".to_owned())]),
        ..Audit::new(2, &snapshot(&["c1", "c2"]))
    };

    let duplicate = Audit { id: "audit-1".to_owned(), ..full.clone() };
    let error = duplicate.record(&store).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Duplicate(_)), "{error}");

    let absent = Audit { closed: vec![finding("c7", "never opened")], ..full.clone() };
    let error = absent.record(&store).await.unwrap_err();
    assert!(error.to_string().contains("the audit ends 1 findings that are not open"), "{error}");

    // The last statement of the transaction fails: two messages with one id.
    let twice = vec![to(message("m1", "k"), &["ops"]), to(message("m1", "k"), &["ops"])];
    let late = Audit { messages: twice, ..full.clone() };
    assert_eq!(late.record(&store).await.unwrap_err().reason(), "internal");

    assert_eq!(store.history("acme").await.unwrap(), before);
    assert!(store.events(None, None, None, 10).await.unwrap().is_empty());
    assert!(store.outbox(None, None, 10).await.unwrap().is_empty());
    full.record(&store).await.unwrap();
}

#[tokio::test]
async fn an_audit_that_was_overtaken_is_refused() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    Audit::new(1, &seen).record(&store).await.unwrap();
    let digest = recorded_digest(&[], &[], &[], &[]);
    let record = Record {
        org: "acme",
        audit: "audit-2",
        started: at(0),
        at: at(0),
        complete: true,
        gaps: &[],
        changes: &[],
        configuration: seen.digest(),
        recorded: digest,
        chain: Hash::of(b"worked out over another row"),
        events: &[],
        opened: &[],
        updated: &[],
        closed: &[],
        messages: &[],
        object_counts: None,
        pending_removals: &BTreeSet::new(),
        observations: Observations::NONE,
        noted: &crate::domain::telling::Noted::default(),
        decided: crate::store::Decided::NONE,
        api_calls: 0,
        clients: 1,
        roles: 1,
    };
    let error = store.record(&record).await.unwrap_err();
    assert!(error.is_retryable() && error.reason() == "conflict", "{error}");
    assert_eq!(store.audits(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failure_counts_until_an_audit_records_again() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    let messages = [to(message("f1", "acme"), &["ops"])];
    let failure = |messages| Failure {
        org: "acme",
        audit: "failed",
        started: at(0),
        at: at(1),
        reason: "auth",
        detail: "the secret is refused",
        messages,
    };
    store.record_failure(&failure(&messages)).await.unwrap();
    assert!(store.history("acme").await.unwrap().failing, "before any audit too");
    assert_eq!(store.outbox(None, None, 10).await.unwrap()[0].id, "f1");
    Audit::new(1, &seen).record(&store).await.unwrap();
    assert!(!store.history("acme").await.unwrap().failing);
    store.record_failure(&failure(&[])).await.unwrap();
    assert!(store.history("acme").await.unwrap().failing);
    Audit::new(2, &seen).record(&store).await.unwrap();
    assert!(!store.history("acme").await.unwrap().failing);

    let failures = store.failures(Some("acme"), 10).await.unwrap();
    assert_eq!(failures.len(), 2);
    assert_eq!((failures[0].reason.as_str(), failures[0].at), ("auth", at(1)));
    assert!(store.failures(Some("other"), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_the_last_thousand_failures_are_kept() {
    let (_folder, store) = store().await;
    let mut transaction = store.writer.begin().await.unwrap();
    sqlx::query("INSERT INTO org (id, name) VALUES (1, 'acme'), (2, 'other')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    for n in 0..1_005 {
        sqlx::query(
            "INSERT INTO failure (org, after, id, started_ms, at_ms, reason, detail) VALUES (1, 0, $1, 0, 0, '', '')",
        )
        .bind(n.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    transaction.commit().await.unwrap();
    for org in ["acme", "other"] {
        let failure = Failure {
            org,
            audit: "last",
            started: at(0),
            at: at(0),
            reason: "auth",
            detail: "",
            messages: &[],
        };
        store.record_failure(&failure).await.unwrap();
    }
    assert_eq!(store.failures(Some("acme"), 5_000).await.unwrap().len(), 1_000);
    assert_eq!(store.failures(Some("acme"), 1).await.unwrap()[0].audit, "last");
    assert_eq!(store.failures(Some("other"), 5_000).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_record_whose_caller_stopped_waiting_is_whole_or_absent() {
    let (_folder, store) = store().await;
    for n in 1..=20 {
        let audit = Audit {
            opened: vec![finding(&format!("c{n}"), "seen")],
            messages: vec![to(message(&format!("m{n}"), "k"), &["ops"])],
            ..Audit::new(n, &snapshot(&["c1", &format!("c{n}")]))
        };
        let writing = tokio::spawn({
            let store = store.clone();
            async move { audit.record(&store).await }
        });
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        writing.abort();
        let _ = writing.await;
        // Waits for the one writing connection, so whatever was begun is finished.
        store.settle(&[], at(0)).await.unwrap();
    }
    let audits = store.audits(None, 100).await.unwrap().len();
    assert_eq!(store.outbox(None, None, 100).await.unwrap().len(), audits);
    assert_eq!(store.findings(None).await.unwrap().len(), audits);
    assert_eq!(store.verify("acme").await.unwrap().problems, Vec::<String>::new());
}
