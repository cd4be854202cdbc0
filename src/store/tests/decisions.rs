//! Decisions on real files: the same as in memory, sealed by audits, and found out when tampered with.

use std::sync::Mutex;

use proptest::prelude::*;
use sqlx::{AssertSqlSafe, sqlite::SqliteConnectOptions};

use super::*;
use crate::{
    domain::decision::{
        Ledger,
        desk::{Asked, Refusal, Step, Terms},
        history,
        tests::laws::{Act, Machine, Says, acts, ask, conclude, found, uid},
    },
    store::{Problem, decisions::Outcome},
};

/// Asks for something by the same words as the laws do, and tells what opens and closes.
async fn decide(store: &Store, act: &Act, number: usize, now: DateTime<Utc>) -> Vec<(String, bool)> {
    let last = store.audits(Some("acme"), 1).await.unwrap().remove(0).audit;
    let opened = store.opened_in("acme", &last).await.unwrap();
    let act = act.clone();
    let done = store.decide("acme", now, move |desk, place| {
        assert_eq!(place.audit, last);
        let Step { entries, closed, reopened } =
            ask(&act, &desk, &opened, number, now).unwrap_or_else(|| Ok(Step::default()))?;
        let told = closed.iter().map(|(_, finding)| (finding.uid.clone(), false));
        let told = told.chain(reopened.iter().map(|(_, finding)| (finding.uid.clone(), true))).collect();
        Ok(Outcome { entries, messages: Vec::new(), answer: told })
    });
    done.await.unwrap().unwrap_or_default()
}

async fn audit(
    store: &Store,
    n: i64,
    says: [Says; 3],
    reverted: bool,
    now: DateTime<Utc>,
) -> Vec<(String, bool)> {
    let history = store.history("acme").await.unwrap();
    let nobody = BTreeSet::new();
    let (life, mut settled) =
        conclude(history.findings, history.book.ledger, found(says), reverted, &nobody, now);
    let uids: Vec<&str> = settled.opened.iter().map(|finding| finding.uid.as_str()).collect();
    let failed = store.failed_before("acme", &uids).await.unwrap();
    settled.failed_before(&failed);
    let own = |list: &[Arc<Finding>]| list.iter().map(|finding| (**finding).clone()).collect();
    let record = Audit {
        seconds: (now - at(0)).num_seconds(),
        opened: own(&life.opened),
        updated: own(&life.updated),
        closed: life.resolved.iter().chain(&life.dropped).map(|finding| (**finding).clone()).collect(),
        endings: settled.endings,
        ..Audit::new(n, &snapshot(&["a", "b", "c"]))
    };
    record.record(store).await.unwrap();
    let told = settled.opened.iter().map(|finding| (finding.uid.clone(), true));
    let told = told.chain(settled.reopened.iter().map(|(_, finding)| (finding.uid.clone(), true)));
    told.chain(settled.resolved.iter().map(|finding| (finding.uid.clone(), false))).collect()
}

/// Both, side by side.
async fn side_by_side(acts: Vec<Act>) {
    let (_folder, store) = store().await;
    let mut machine = Machine::new();
    let mut told = Vec::new();
    let first = Act::Audit([Says::Fails(0), Says::Pass, Says::Gap], 0, false);
    for act in std::iter::once(first).chain(acts) {
        machine.act(&act);
        let number = machine.acted;
        told.extend(match act {
            Act::Audit(says, _, reverted) => {
                audit(&store, i64::try_from(number).unwrap(), says, reverted, machine.now).await
            }
            act => decide(&store, &act, number, machine.now).await,
        });
        let seen = |finding: &Finding| Finding { last_seen: at(0), ..finding.clone() };
        let stored = store.findings(Some("acme")).await.unwrap();
        assert_eq!(
            stored.iter().map(seen).collect::<Vec<_>>(),
            machine.desk.findings.iter().map(seen).collect::<Vec<_>>()
        );
        assert_eq!(store.decisions("acme").await.unwrap().ledger, machine.desk.ledger);
        assert_eq!(told, machine.told);
    }
    let verification = store.verify("acme").await.unwrap();
    assert!(verification.is_consistent(), "{:?}", verification.problems);
}

#[test]
fn random_lives_are_the_same_on_disk_as_in_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&acts(), |acts| {
            runtime.block_on(side_by_side(acts));
            Ok(())
        })
        .unwrap();
}

fn terms(id: &str, hours: i64) -> Terms {
    Terms {
        id: id.to_owned(),
        owner: "ops".to_owned(),
        reason: "known".to_owned(),
        ticket: None,
        expires: Some(at(3_600 * hours)),
    }
}

/// One finding, muted between two audits, and un-muted after them.
async fn muted() -> (TempDir, Store) {
    let (folder, store) = store().await;
    let one = finding("c1", "one");
    Audit { opened: vec![one.clone()], ..Audit::new(1, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    let uids = vec![one.uid.clone()];
    let mute = store.decide("acme", at(90), move |desk, _| {
        let step = desk.mute(&uids, terms("dec-1", 5), at(90))?;
        Ok(Outcome { entries: step.entries, messages: Vec::new(), answer: () })
    });
    mute.await.unwrap().unwrap();
    Audit::new(2, &snapshot(&["c1"])).record(&store).await.unwrap();
    let unmute = store.decide("acme", at(150), move |desk, _| {
        let step = desk.unmute(&[one.uid], Some("ops"), at(150))?;
        Ok(Outcome { entries: step.entries, messages: Vec::new(), answer: () })
    });
    unmute.await.unwrap().unwrap();
    (folder, store)
}

async fn tamper(store: &Store, statement: &str) {
    let options = SqliteConnectOptions::new().filename(store.path()).foreign_keys(false);
    let intruder = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let changed = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&intruder).await.unwrap();
    assert!(changed.rows_affected() > 0, "{statement} changed nothing");
    intruder.close().await;
}

#[tokio::test]
async fn whoever_changes_a_sealed_decision_is_found_out() {
    let (_folder, store) = muted().await;
    assert!(store.verify("acme").await.unwrap().is_consistent());
    assert_eq!(store.decisions("acme").await.unwrap().unsealed.len(), 1);
    Audit::new(3, &snapshot(&["c1"])).record(&store).await.unwrap();
    assert!(store.verify("acme").await.unwrap().is_consistent());
    assert_eq!(store.decisions("acme").await.unwrap().unsealed, []);
    for (statement, expected) in [
        (
            "UPDATE decision_entry SET body = replace(body, '\"ops\"', '\"eve\"') WHERE seq = 1",
            "audit audit-2: an entry about decision dec-1 has hash",
        ),
        ("UPDATE decision_entry SET hash = x'00' WHERE seq = 1", "dec-1 has no hash"),
        ("UPDATE decision_entry SET decision = 'dec-2' WHERE seq = 1", "filed under a name"),
        ("DELETE FROM decision_entry WHERE seq = 1", "audit audit-2: the digest of its 0 events"),
        ("UPDATE decision_entry SET audit = 3 WHERE seq = 1", "audit audit-2: the digest of its"),
        ("UPDATE decision_entry SET audit = NULL WHERE seq = 2", "audit audit-3: the digest of its"),
        (
            "UPDATE decision_entry SET body = '' WHERE seq = 2",
            "decision dec-1: an entry about it has no text any more",
        ),
        (
            "UPDATE decision_entry SET audit = 77 WHERE seq = 2",
            "decisions are sealed with an audit that is not",
        ),
        (
            "INSERT INTO decision_entry (org, audit, decision, at_ms, hash, body)
             SELECT org, 2, decision, at_ms, hash, body FROM decision_entry WHERE seq = 2",
            "audit audit-2: the digest of its",
        ),
    ] {
        let (_folder, store) = muted().await;
        Audit::new(3, &snapshot(&["c1"])).record(&store).await.unwrap();
        tamper(&store, statement).await;
        let problems = store.verify("acme").await.unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{statement}: {problems:#?}");
    }
}

#[tokio::test]
async fn an_audit_that_did_not_know_of_a_decision_is_not_recorded() {
    let (_folder, store) = muted().await;
    let stale = Mutex::new(store.decisions("acme").await.unwrap());
    let uid = finding("c1", "one").uid;
    let again = store.decide("acme", at(160), move |desk, _| {
        let step = desk.mute(&[uid], terms("dec-9", 5), at(160))?;
        Ok(Outcome { entries: step.entries, messages: Vec::new(), answer: () })
    });
    again.await.unwrap().unwrap();
    let stale = stale.into_inner().unwrap();
    let past = store.history("acme").await.unwrap().past.unwrap();
    let recorded = evidence::with_decisions(recorded_digest(&[], &[], &[], &[]), &stale.unsealed);
    let link = Link {
        org: "acme",
        audit: "audit-3",
        at: at(180),
        complete: true,
        gaps: "[]",
        configuration: past.snapshot.digest(),
        recorded,
    };
    let record = Record {
        org: "acme",
        audit: "audit-3",
        started: at(180),
        at: at(180),
        complete: true,
        gaps: &[],
        changes: &[],
        configuration: link.configuration,
        recorded,
        chain: evidence::chain(past.chain, &link),
        events: &[],
        opened: &[],
        updated: &[],
        closed: &[],
        messages: &[],
        object_counts: None,
        pending_removals: &BTreeSet::new(),
        observations: Observations::NONE,
        noted: &crate::domain::telling::Noted::default(),
        decided: Decided { last: stale.last, made: &[] },
        api_calls: 8,
        clients: 1,
        roles: 1,
    };
    let error = store.record(&record).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Decided { .. }) && error.is_retryable(), "{error}");
    assert_eq!(store.audits(Some("acme"), 9).await.unwrap().len(), 2, "nothing of it is recorded");
}

#[tokio::test]
async fn what_ended_long_ago_is_only_a_hash() {
    let (_folder, store) = muted().await;
    Audit::new(3, &snapshot(&["c1"])).record(&store).await.unwrap();
    assert_eq!(store.forget_decisions(at(86_400 * 399)).await.unwrap(), 0);
    assert_eq!(store.forget_decisions(at(86_400 * 401)).await.unwrap(), 2);
    assert_eq!(store.decisions("acme").await.unwrap().ledger, Ledger::default());
    let verification = store.verify("acme").await.unwrap();
    assert!(verification.is_consistent(), "{:?}", verification.problems);
}

#[tokio::test]
async fn a_finding_tells_its_life() {
    let (_folder, store) = muted().await;
    let one = finding("c1", "one");
    Audit { closed: vec![one.clone()], ..Audit::new(3, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    Audit { opened: vec![one.clone()], ..Audit::new(4, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    let (versions, entries) = store.finding_history("acme", &one.uid[..8], 100).await.unwrap();
    let turns = history::of(&one.uid, &versions, &entries);
    let told: Vec<(&str, &str, i64)> = turns
        .iter()
        .map(|turn| (turn.what.as_str(), turn.by.as_str(), (turn.at - at(0)).num_seconds()))
        .collect();
    assert_eq!(
        told,
        [
            ("opened", "audit-1", 60),
            ("muted", "dec-1", 90),
            ("muted ended", "dec-1", 150),
            ("resolved", "audit-3", 180),
            ("reopened", "audit-4", 240),
        ]
    );
    assert_eq!((turns[2].who.as_deref(), turns[2].why.as_str()), (Some("ops"), "withdrawn"));
    assert_eq!(store.failed_before("acme", &[&one.uid, "f"]).await.unwrap(), BTreeSet::from([one.uid]));
}

#[tokio::test]
async fn nothing_is_decided_before_the_first_audit_and_nothing_of_what_is_refused() {
    let (_folder, store) = store().await;
    let ask = |store: Store| async move {
        let uids = vec![uid(0)];
        let asked = store.decide("acme", at(1), move |desk, _| {
            let step = desk.mute(&uids, terms("dec-1", 5), at(1))?;
            Ok(Outcome { entries: step.entries, messages: Vec::new(), answer: () })
        });
        asked.await
    };
    let error = ask(store.clone()).await.unwrap_err();
    assert!(matches!(error.problem, Problem::NothingRecorded { .. }), "{error}");
    Audit::new(1, &snapshot(&["c1"])).record(&store).await.unwrap();
    let refusal = ask(store.clone()).await.unwrap().unwrap_err();
    assert!(matches!(refusal, Refusal::NoSuchFinding { .. }), "{refusal}");
    assert_eq!(store.last_decision("acme").await.unwrap(), 0);
}

#[tokio::test]
async fn a_file_of_version_5_is_brought_up_to_date_and_still_verifies() {
    let (_folder, store) = store().await;
    Audit { opened: vec![finding("c1", "one")], ..Audit::new(1, &snapshot(&["c1"])) }
        .record(&store)
        .await
        .unwrap();
    store.close().await;
    let options = SqliteConnectOptions::new().filename(store.path());
    let old = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for statement in [
        "DROP TABLE decision_entry",
        "DROP INDEX finding_by_uid",
        "DROP TABLE attribution",
        "DROP TABLE attribution_pending",
        "DROP TABLE secret_log",
        "DROP TABLE secret_issued",
        "DROP TABLE told",
        "DROP TABLE told_thing",
        "DROP TABLE told_dead",
        "DROP INDEX audit_complete",
        "DROP INDEX delivery_untold",
        "ALTER TABLE delivery DROP COLUMN death_told",
        "DELETE FROM _sqlx_migrations WHERE version >= 6",
    ] {
        sqlx::query(statement).execute(&old).await.unwrap();
    }
    old.close().await;
    let store = Store::open(store.path()).await.unwrap();
    assert!(store.verify("acme").await.unwrap().is_consistent());
    let one = finding("c1", "one");
    let mute = store.decide("acme", at(90), move |desk, _| {
        let step = desk.mute(&[one.uid], terms("dec-1", 5), at(90))?;
        Ok(Outcome { entries: step.entries, messages: Vec::new(), answer: () })
    });
    mute.await.unwrap().unwrap();
    Audit::new(2, &snapshot(&["c1"])).record(&store).await.unwrap();
    assert!(store.verify("acme").await.unwrap().is_consistent());
}

#[tokio::test]
async fn what_stands_leaves_out_what_somebody_answers_for() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    Audit::new(1, &seen).record(&store).await.unwrap();
    let (muted, due) = (finding("c1", "one"), finding("c2", "two"));
    let (opened, events) = (vec![muted.clone(), due.clone()], vec![event("e1"), event("e2")]);
    Audit { events, opened, ..Audit::new(2, &seen) }.record(&store).await.unwrap();
    let decide = store.decide("acme", at(130), move |desk, _| {
        let asked = Asked { event: event("e1"), opened: Vec::new(), stands: true };
        let agreed = Terms { ticket: Some("T-1".to_owned()), ..terms("dec-1", 5) };
        let mut entries = desk.approve(&asked, agreed, at(130))?.entries;
        entries.extend(desk.mute(&[muted.uid], terms("dec-2", 5), at(130))?.entries);
        Ok(Outcome { entries, messages: Vec::new(), answer: () })
    });
    decide.await.unwrap().unwrap();
    let standing = store.standing("acme", at(0), at(0), 10).await.unwrap();
    let due: Vec<&str> =
        standing.open.iter().filter(|one| one.is_due()).map(|one| one.client.id.as_str()).collect();
    let changes: Vec<&str> = standing.changes.iter().map(|(_, event)| event.id.as_str()).collect();
    assert_eq!((due, changes), (vec!["c2"], vec!["e2"]));
}
