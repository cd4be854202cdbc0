//! Order, leases, and what people may do to the queue.

use super::*;
use crate::store::{
    Store,
    tests::{Audit, at, message, snapshot, store, to},
};

/// Records one audit with these messages.
async fn promise(store: &Store, n: i64, messages: &[(&str, &str, &[&str])]) {
    let messages = messages.iter().map(|(id, key, receivers)| to(message(id, key), receivers)).collect();
    Audit { messages, ..Audit::new(n, &snapshot(&["c1"])) }.record(store).await.unwrap();
}

async fn claim(store: &Store, receiver: &str, seconds: i64) -> Vec<String> {
    let taken = store.claim(receiver, 10, at(seconds)).await.unwrap();
    taken.into_iter().map(|delivery| delivery.id).collect()
}

async fn settle(store: &Store, receiver: &str, id: &str, outcome: Outcome, seconds: i64) {
    let settled = [Settled { id: id.to_owned(), receiver: receiver.to_owned(), outcome }];
    store.settle(&settled, at(seconds)).await.unwrap();
}

fn retry(seconds: i64) -> Outcome {
    Outcome::Retry { next_at: at(seconds), reason: "server".to_owned(), detail: "503".to_owned() }
}

fn dead() -> Outcome {
    Outcome::Dead { reason: "http_410".to_owned(), detail: "gone".to_owned() }
}

#[tokio::test]
async fn a_message_goes_to_each_of_its_receivers_with_the_same_bytes() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops", "sec"]), ("m2", "b", &["sec"]), ("m3", "c", &[])]).await;
    assert_eq!(claim(&store, "ops", 1).await, ["m1"]);
    let taken = store.claim("sec", 10, at(1)).await.unwrap();
    assert_eq!(taken.len(), 2);
    let first = &taken[0];
    assert_eq!((first.id.as_str(), first.body.as_str()), ("m1", "{\"id\":\"m1\"}"));
    assert_eq!((first.kind, first.severity), (MessageKind::FindingOpened, Severity::High));
    assert_eq!((first.created, first.queued, first.attempt), (at(0), at(0), 0));
    settle(&store, "sec", "m1", Outcome::Delivered, 2).await;
    // The other receiver's copy is not touched.
    let rows = store.outbox(Some("ops"), None, 10).await.unwrap();
    assert_eq!((rows.len(), rows[0].state), (1, OutboxState::Pending));
    assert!(claim(&store, "nobody", 1).await.is_empty());
}

#[tokio::test]
async fn messages_of_one_order_key_wait_for_each_other() {
    let (_folder, store) = store().await;
    let ops: &[&str] = &["ops"];
    promise(&store, 0, &[("a1", "a", ops), ("a2", "a", ops), ("b1", "b", ops), ("a3", "a", ops)]).await;
    assert_eq!(store.claim("ops", 1, at(1)).await.unwrap().remove(0).id, "a1");
    assert_eq!(claim(&store, "ops", 2).await, ["b1"], "a2 and a3 wait for what is on its way");
    assert!(claim(&store, "ops", 2).await.is_empty());
    settle(&store, "ops", "a1", retry(100), 3).await;
    settle(&store, "ops", "b1", Outcome::Delivered, 3).await;
    assert!(claim(&store, "ops", 50).await.is_empty(), "a2 waits for a1's retry");
    let taken = store.claim("ops", 10, at(100)).await.unwrap();
    assert_eq!((taken[0].id.as_str(), taken[0].attempt), ("a1", 1));
    let taken: Vec<_> = taken.into_iter().map(|one| one.id).collect();
    assert_eq!(taken, ["a1", "a2", "a3"], "all are due: in the order they were made");
    for id in ["a2", "a3"] {
        settle(&store, "ops", id, Outcome::Released, 101).await;
    }
    settle(&store, "ops", "a1", dead(), 101).await;
    assert_eq!(claim(&store, "ops", 102).await, ["a2", "a3"], "a dead one stands in nobody's way");
}

#[tokio::test]
async fn a_claim_is_bounded_and_oldest_first() {
    let (_folder, store) = store().await;
    let ops: &[&str] = &["ops"];
    promise(&store, 0, &[("m1", "a", ops), ("m2", "b", ops), ("m3", "c", ops)]).await;
    let taken = store.claim("ops", 2, at(1)).await.unwrap();
    assert_eq!(taken.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
    assert_eq!(claim(&store, "ops", 1).await, ["m3"]);
}

#[tokio::test]
async fn what_a_crashed_process_claimed_becomes_due_again() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops"])]).await;
    assert_eq!(claim(&store, "ops", 0).await, ["m1"]);
    assert!(claim(&store, "ops", 59).await.is_empty());
    // Another process, later.
    let other = Store::open(store.path()).await.unwrap();
    assert_eq!(claim(&other, "ops", 60).await, ["m1"]);
    settle(&other, "ops", "m1", Outcome::Delivered, 61).await;
    // The first one wakes up and does not know.
    settle(&store, "ops", "m1", retry(99), 62).await;
    let row = &store.outbox(None, None, 10).await.unwrap()[0];
    assert_eq!((row.state, row.settled, row.attempt), (OutboxState::Delivered, Some(at(61)), 1));
    assert!(claim(&other, "ops", 1000).await.is_empty());
}

#[tokio::test]
async fn two_processes_never_claim_the_same() {
    let (_folder, store) = store().await;
    let ids: Vec<String> = (0..40).map(|n| format!("m{n:02}")).collect();
    let messages: Vec<(&str, &str, &[&str])> =
        ids.iter().map(|id| (id.as_str(), id.as_str(), &["ops"][..])).collect();
    promise(&store, 0, &messages).await;
    let claiming = (0..4).map(|_| {
        let path = store.path().to_owned();
        tokio::spawn(async move {
            let store = Store::open(&path).await.unwrap();
            let mut taken = Vec::new();
            for _ in 0..10 {
                taken.extend(store.claim("ops", 3, at(1)).await.unwrap().into_iter().map(|one| one.id));
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for claimant in claiming.collect::<Vec<_>>() {
        taken.extend(claimant.await.unwrap());
    }
    taken.sort_unstable();
    assert_eq!(taken, ids);
}

#[tokio::test]
async fn all_that_waits_can_be_made_due_at_once() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops", "sec"]), ("m2", "a", &["ops"]), ("m3", "b", &["ops"])]).await;
    assert_eq!(claim(&store, "ops", 1).await.len(), 3);
    settle(&store, "ops", "m1", retry(900), 2).await;
    settle(&store, "ops", "m3", dead(), 2).await;
    assert_eq!(claim(&store, "sec", 1).await, ["m1"]);
    assert_eq!(store.hasten("ops", at(3)).await.unwrap(), 2, "what is to be retried, and what is claimed");
    assert_eq!(claim(&store, "ops", 3).await, ["m1", "m2"]);
    assert!(claim(&store, "sec", 3).await.is_empty(), "another receiver's claim holds");
}

#[tokio::test]
async fn what_waited_too_long_dies_tried_or_not() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops", "sec"]), ("m2", "b", &["ops"])]).await;
    promise(&store, 10, &[("m3", "c", &["ops"])]).await;
    assert_eq!(store.claim("ops", 1, at(1)).await.unwrap().len(), 1);
    settle(&store, "ops", "m1", retry(5), 2).await;
    assert_eq!(store.expire("ops", at(0), at(700)).await.unwrap(), 0);
    assert_eq!(store.expire("ops", at(1), at(700)).await.unwrap(), 2);
    let dead = store.outbox(None, Some(OutboxState::Dead), 10).await.unwrap();
    let said: Vec<_> = dead.iter().map(|row| (row.id.as_str(), row.reason.as_deref(), row.settled)).collect();
    assert_eq!(said, [("m2", Some("expired"), Some(at(700))), ("m1", Some("server"), Some(at(700)))]);
    assert!(dead[0].detail.as_deref().unwrap().contains("never tried"));
    assert!(dead[1].detail.as_deref().unwrap().ends_with("the last attempt: 503"));
    assert_eq!(claim(&store, "ops", 701).await, ["m3"]);
    assert_eq!(claim(&store, "sec", 701).await, ["m1"]);
}

#[tokio::test]
async fn a_retry_by_hand_is_noticed_and_a_new_message_is_none() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops", "sec"])]).await;
    settle(&store, "ops", "m1", dead(), 1).await;
    promise(&store, 10, &[("m2", "b", &["ops"])]).await;
    let heard =
        async |receiver, since, now| store.retried_between(receiver, at(since), at(now)).await.unwrap();
    assert!(!heard("ops", 2, 700).await);
    store.outbox_retry(&Which::Dead, None, at(700)).await.unwrap();
    assert!(heard("ops", 699, 700).await);
    assert!(!heard("ops", 700, 701).await);
    assert!(!heard("ops", 2, 699).await, "dated in the future");
    assert!(!heard("sec", 2, 701).await);
}

/// How `SQLite` goes about a statement, a step a line.
async fn plan(store: &Store, statement: &str) -> String {
    let steps: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&store.readers)
            .await
            .unwrap();
    steps.into_iter().map(|(.., step)| step + "\n").collect()
}

#[tokio::test]
async fn no_statement_of_a_round_reads_more_than_it_must() {
    let (_folder, store) = store().await;
    for statement in send::STATEMENTS {
        let plan = plan(&store, statement).await;
        // `SCAN CONSTANT ROW` is a SELECT without a table.
        let scans = plan.lines().any(|step| step.starts_with("SCAN") && step != "SCAN CONSTANT ROW");
        assert!(!scans && !plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
    }
    let plan = plan(&store, tend::COUNTS).await;
    assert_eq!(plan.matches("USING COVERING INDEX delivery_").count(), 2, "{plan}");
    assert!(plan.contains("SEARCH m USING INTEGER PRIMARY KEY"), "{plan}");
}

#[tokio::test]
async fn the_outbox_is_listed_and_counted() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops"]), ("m2", "b", &["ops", "sec"]), ("m3", "c", &["ops"])]).await;
    settle(&store, "ops", "m1", Outcome::Delivered, 1).await;
    settle(&store, "ops", "m2", dead(), 2).await;
    settle(&store, "sec", "m2", Outcome::Delivered, 2).await;
    promise(&store, 1, &[("m4", "a", &["ops"])]).await;

    let counts = store.outbox_counts().await.unwrap();
    let ops = OutboxCounts { pending: 2, dead: 1, oldest_pending: Some(at(0)) };
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("ops".to_owned(), ops)]);

    let ids = async |receiver, state, limit| {
        let rows = store.outbox(receiver, state, limit).await.unwrap();
        rows.into_iter().map(|row| format!("{}>{}", row.id, row.receiver)).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 3).await, ["m4>ops", "m3>ops", "m2>ops"]);
    assert_eq!(ids(Some("sec"), None, 10).await, ["m2>sec"]);
    assert_eq!(ids(None, Some(OutboxState::Delivered), 10).await, ["m2>sec", "m1>ops"]);
    let row = store.outbox(None, Some(OutboxState::Dead), 10).await.unwrap().remove(0);
    assert_eq!((row.reason.as_deref(), row.detail.as_deref()), (Some("http_410"), Some("gone")));
    assert_eq!((row.attempt, row.next_at, row.settled), (1, None, Some(at(2))));
    for state in OutboxState::ALL {
        assert_eq!(OutboxState::parse(state.as_str()), Some(state));
    }
}

#[tokio::test]
async fn a_person_can_send_dead_messages_again() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops", "sec"]), ("m2", "b", &["ops"]), ("m3", "c", &["ops"])]).await;
    for (receiver, id) in [("ops", "m1"), ("sec", "m1"), ("ops", "m2")] {
        settle(&store, receiver, id, dead(), 1).await;
    }
    settle(&store, "ops", "m3", Outcome::Delivered, 1).await;
    let one = Which::Ids(vec!["m1".to_owned(), "m3".to_owned()]);
    assert_eq!(
        store.outbox_retry(&one, Some("ops"), at(500)).await.unwrap(),
        1,
        "what was delivered is not sent again"
    );
    let taken = store.claim("ops", 10, at(500)).await.unwrap();
    assert_eq!((taken.len(), taken[0].attempt), (1, 0));
    assert_eq!((taken[0].created, taken[0].queued), (at(0), at(500)), "its age counts anew");
    assert_eq!(store.outbox_retry(&Which::Dead, None, at(501)).await.unwrap(), 2);
    assert_eq!(claim(&store, "sec", 501).await, ["m1"]);
}

#[tokio::test]
async fn a_person_can_purge() {
    let (_folder, store) = store().await;
    promise(&store, 0, &[("m1", "a", &["ops", "sec"]), ("m2", "b", &["ops"]), ("m3", "c", &["ops"])]).await;
    settle(&store, "ops", "m2", dead(), 1).await;
    settle(&store, "ops", "m3", Outcome::Delivered, 1).await;
    assert_eq!(store.outbox_purge(&Which::Dead, Some("sec")).await.unwrap(), 0);
    assert_eq!(store.outbox_purge(&Which::Dead, None).await.unwrap(), 1);
    let ids = Which::Ids(vec!["m1".to_owned(), "m3".to_owned()]);
    assert_eq!(
        store.outbox_purge(&ids, Some("ops")).await.unwrap(),
        1,
        "a delivered one is history, not queue"
    );
    let left = store.outbox(None, None, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| (row.id.as_str(), row.receiver.as_str())).collect();
    assert_eq!(left, [("m3", "ops"), ("m1", "sec")]);
    assert_eq!(store.outbox_purge(&Which::Undelivered, Some("ops")).await.unwrap(), 0);
    assert_eq!(store.outbox_purge(&Which::Undelivered, Some("sec")).await.unwrap(), 1);
    let none = Which::Ids(Vec::new());
    assert_eq!(store.outbox_purge(&none, None).await.unwrap(), 0);
}

#[tokio::test]
async fn settled_messages_are_forgotten_after_a_week_and_all_after_a_month() {
    let (_folder, store) = store().await;
    let day = 24 * 60;
    promise(&store, 0, &[("done", "a", &["ops"]), ("dead", "b", &["ops"]), ("left", "c", &["gone"])]).await;
    settle(&store, "ops", "done", Outcome::Delivered, 1).await;
    settle(&store, "ops", "dead", dead(), 1).await;
    let ids = async || -> Vec<String> {
        store.outbox(None, None, 10).await.unwrap().into_iter().map(|row| row.id).collect()
    };
    promise(&store, 7 * day, &[]).await;
    assert_eq!(ids().await, ["left", "dead", "done"]);
    promise(&store, 7 * day + 1, &[]).await;
    assert_eq!(ids().await, ["left", "dead"]);
    promise(&store, 30 * day + 1, &[]).await;
    assert!(ids().await.is_empty());
    let messages: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM message").fetch_one(&store.readers).await.unwrap();
    assert_eq!(messages, 0);
}

#[tokio::test]
async fn what_a_person_sent_again_is_as_young_as_that() {
    let (_folder, store) = store().await;
    let (day, seconds) = (24 * 60, 24 * 3_600);
    promise(&store, 0, &[("old", "a", &["ops", "sec"]), ("left", "b", &["ops"])]).await;
    for id in ["old", "left"] {
        settle(&store, "ops", id, dead(), 1).await;
    }
    settle(&store, "sec", "old", dead(), 1).await;
    let old = Which::Ids(vec!["old".to_owned()]);
    assert_eq!(store.outbox_retry(&old, Some("ops"), at(29 * seconds)).await.unwrap(), 1);
    promise(&store, 30 * day + 1, &[]).await;
    assert_eq!(claim(&store, "ops", 31 * seconds).await, ["old"], "it waits for its receiver");
    promise(&store, 59 * day, &[]).await;
    assert_eq!(store.outbox(None, None, 10).await.unwrap().len(), 2);
    promise(&store, 59 * day + 1, &[]).await;
    assert!(store.outbox(None, None, 10).await.unwrap().is_empty());
}
