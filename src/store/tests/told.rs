//! What was told outlives the process.

use chrono::TimeDelta;

use super::{Audit, at, finding, message, snapshot, store, to};
use crate::{
    domain::{
        Fact, Gap,
        telling::{About, Noted, Remembered, damping::Memory},
    },
    store::{Outcome, Settled, Store, Which},
};

fn thing(seconds: i64) -> Remembered {
    let mut memory = Memory::new(at(seconds));
    for n in 0..3 {
        memory.change(&[n, u64::MAX], crate::domain::Severity::High, 0, true, at(seconds));
    }
    let about = About::Finding { finding: finding("c1", "x").into(), is_open: true, told_open: false };
    Remembered { memory, about, owners: ["bi@example.com".to_owned()].into() }
}

#[tokio::test]
async fn what_was_told_is_there_after_a_restart() {
    let (_folder, store) = store().await;
    let noted = Noted {
        remember: vec![("finding:1".to_owned(), thing(0)), ("role:r".to_owned(), thing(1))],
        forget: Vec::new(),
        reminded: Some(at(7)),
        recovered: false,
    };
    Audit { noted, ..Audit::new(0, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    let noted = Noted {
        remember: vec![("role:r".to_owned(), thing(60))],
        forget: vec!["finding:1".to_owned()],
        reminded: None,
        recovered: false,
    };
    Audit { noted, ..Audit::new(1, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    let again = Store::open(store.path()).await.unwrap();
    let told = again.history("acme").await.unwrap().told;
    assert_eq!(told.things.into_iter().collect::<Vec<_>>(), [("role:r".to_owned(), thing(60))]);
    assert_eq!((told.reminded, told.overdue), (Some(at(7)), None));
}

#[tokio::test]
async fn only_a_complete_audit_ends_what_is_overdue() {
    let (_folder, store) = store().await;
    store.note_overdue("acme", &[to(message("m1", "k"), &["ops"])], at(0)).await.unwrap();
    assert_eq!(store.vital("acme").await.unwrap().overdue, Some(at(0)));
    let gap = Gap {
        fact: Fact::Divisions,
        subject: None,
        reason: "server".to_owned(),
        detail: "503".to_owned(),
        stale_since: None,
    };
    let gaps = vec![gap];
    Audit { gaps: gaps.clone(), ..Audit::new(1, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    let vital = store.vital("acme").await.unwrap();
    assert_eq!((vital.overdue, vital.complete, vital.recorded), (Some(at(0)), None, Some(at(60))));
    assert_eq!(vital.gaps, ["divisions"]);
    Audit::new(2, &snapshot(&["c1"])).record(&store).await.unwrap();
    let vital = store.vital("acme").await.unwrap();
    assert_eq!((vital.overdue, vital.complete, vital.recorded), (None, Some(at(120)), Some(at(120))));
    assert!(vital.gaps.is_empty() && vital.failure.is_none());
    assert_eq!(store.claim("ops", 9, at(0)).await.unwrap().len(), 1, "the message went with the note");

    // Or one that was told as recovered: that it saw too little is news again.
    store.note_overdue("acme", &[], at(130)).await.unwrap();
    let noted = Noted { recovered: true, ..Noted::default() };
    Audit { gaps, noted, ..Audit::new(3, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    assert_eq!(store.vital("acme").await.unwrap().overdue, None);
}

#[tokio::test]
async fn a_message_that_dies_again_is_told_again() {
    let (_folder, store) = store().await;
    let messages = vec![to(message("m1", "k"), &["ops"])];
    Audit { messages, ..Audit::new(0, &snapshot(&["c1"])) }.record(&store).await.unwrap();
    let die = async |seconds| {
        let outcome = Outcome::Dead { reason: "rejected".to_owned(), detail: "400".to_owned() };
        let settled = Settled { id: "m1".to_owned(), receiver: "ops".to_owned(), outcome };
        store.settle(&[settled], at(seconds)).await.unwrap();
    };
    die(1).await;
    let (dead, numbers) = store.untold_dead("ops", at(2)).await.unwrap().unwrap();
    assert_eq!((dead.ids, dead.since), (vec!["m1".to_owned()], None));
    store.note_dead("ops", &numbers, &[], at(2)).await.unwrap();
    let later = at(2) + TimeDelta::hours(1);
    assert_eq!(store.untold_dead("ops", later).await.unwrap(), None);
    store.outbox_retry(&Which::Dead, None, at(10)).await.unwrap();
    die(11).await;
    assert_eq!(store.untold_dead("ops", at(12)).await.unwrap(), None, "once an hour");
    let (dead, _) = store.untold_dead("ops", later).await.unwrap().unwrap();
    assert_eq!(dead.since, Some(at(2)));
}
