//! Changes of findings and events, page by page.

use super::*;
use crate::{
    domain::attribution::Attribution,
    store::{Attributed, Change, Cursor, Told},
};

async fn all(
    store: &Store,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Vec<(String, Change, Finding)> {
    let mut place = Cursor::default();
    let mut changes = Vec::new();
    loop {
        let page = store.finding_changes("acme", from, to, &mut place).await.unwrap();
        if page.is_empty() {
            return changes;
        }
        changes.extend(page.into_iter().map(|(told, change, finding)| (told.audit, change, finding)));
    }
}

#[tokio::test]
async fn a_finding_opens_changes_ends_and_opens_again() {
    let (_folder, store) = store().await;
    let org = snapshot(&["a", "b"]);
    let (one, two, other) = (finding("a", "one"), finding("a", "two"), finding("b", "else"));
    let audits = [
        Audit { opened: vec![one.clone()], ..Audit::new(0, &org) },
        Audit { updated: vec![two.clone()], opened: vec![other.clone()], ..Audit::new(1, &org) },
        Audit::new(2, &org),
        Audit { closed: vec![two.clone()], ..Audit::new(3, &org) },
        Audit { opened: vec![one.clone()], closed: vec![other.clone()], ..Audit::new(4, &org) },
    ];
    for audit in &audits {
        audit.record(&store).await.unwrap();
    }
    let told = |changes: Vec<(String, Change, Finding)>| -> Vec<(String, Change, String)> {
        changes.into_iter().map(|(audit, change, finding)| (audit, change, finding.evidence)).collect()
    };
    let row = |audit: i64, change, text: &str| (format!("audit-{audit}"), change, text.to_owned());
    let mut want = vec![
        row(0, Change::Opened, "one"),
        row(1, Change::Opened, "else"),
        row(1, Change::Updated, "two"),
        row(3, Change::Ended, "two"),
        row(4, Change::Opened, "one"),
        row(4, Change::Ended, "else"),
    ];
    let sort = |rows: &mut Vec<(String, Change, String)>| {
        rows.sort_by_key(|(audit, _, text)| (audit.clone(), text.clone()));
    };
    let mut got = told(all(&store, None, None).await);
    sort(&mut want);
    sort(&mut got);
    assert_eq!(got, want);

    let ended = all(&store, None, None).await.into_iter().find(|row| row.1 == Change::Ended).unwrap().2;
    assert_eq!(ended.last_seen, at(2 * 60), "the audit that ended it did not see it");
    let span = told(all(&store, Some(at(2 * 60)), Some(at(3 * 60))).await);
    assert_eq!(span, [row(3, Change::Ended, "two")]);
    let mut place = Cursor::default();
    assert!(store.finding_changes("other", None, None, &mut place).await.unwrap().is_empty());
}

#[tokio::test]
async fn pages_are_bounded_and_leave_nothing_out() {
    let (_folder, store) = store().await;
    let org = snapshot(&["a"]);
    let many: Vec<Finding> =
        (0..1_200).map(|n| Finding { uid: format!("uid-{n:05}"), ..finding("a", "e") }).collect();
    let events: Vec<Event> = (0..700).map(|n| event(&format!("event-{n:05}"))).collect();
    Audit { opened: many[..900].to_vec(), events: events[..600].to_vec(), ..Audit::new(0, &org) }
        .record(&store)
        .await
        .unwrap();
    let second = Audit {
        opened: many[900..].to_vec(),
        closed: many[..100].to_vec(),
        events: events[600..].to_vec(),
        ..Audit::new(1, &org)
    };
    second.record(&store).await.unwrap();

    let first = store.finding_changes("acme", None, None, &mut Cursor::default()).await.unwrap();
    assert_eq!(first.len(), 500);
    let changes = all(&store, None, None).await;
    let told: BTreeSet<(String, String)> =
        changes.iter().map(|(audit, _, finding)| (audit.clone(), finding.uid.clone())).collect();
    assert_eq!((changes.len(), told.len()), (1_300, 1_300));

    let mut place = Cursor::default();
    let mut ids = Vec::new();
    loop {
        let page: Vec<(Told, Event)> = store.event_page("acme", None, None, &mut place).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 500);
        ids.extend(page.into_iter().map(|(_, event)| event.id));
    }
    assert_eq!(ids, events.iter().map(|event| event.id.clone()).collect::<Vec<_>>());
    let later = store.event_page("acme", Some(at(60)), None, &mut Cursor::default()).await.unwrap();
    assert_eq!(later.len(), 100);
}

#[tokio::test]
async fn whoever_reads_an_event_reads_who_made_it() {
    let (_folder, store) = store().await;
    let org = snapshot(&["a"]);
    let actor = Attribution::unknown("the log was not to be reached");
    let attributed =
        Attributed { known: vec![("event-1".to_owned(), actor.clone())], ..Attributed::default() };
    let observations = Observations { attributed: Some(&attributed), ..Observations::NONE };
    Audit { events: vec![event("event-0"), event("event-1")], ..Audit::new(0, &org) }
        .record_with("acme", observations, &store)
        .await
        .unwrap();
    let expected = [None, Some(actor)];
    let page = store.event_page("acme", None, None, &mut Cursor::default()).await.unwrap();
    assert_eq!(page.into_iter().map(|(_, event)| event.actor).collect::<Vec<_>>(), expected);
    let standing = store.standing("acme", at(0), at(0), 10).await.unwrap();
    assert_eq!(standing.changes.into_iter().map(|(_, event)| event.actor).collect::<Vec<_>>(), expected);
    let events = store.events(None, None, None, 10).await.unwrap();
    assert_eq!(events.into_iter().map(|(.., event)| event.actor).collect::<Vec<_>>(), expected);
}
