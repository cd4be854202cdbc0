//! What is asked, and what follows from every kind of answer.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    collect::{Endpoint, Error},
    domain::{
        attribution::{Actor, ActorKind, Entry},
        drift,
        fixtures::{self, client, role},
    },
};

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_700_000 + minute * 60, 0).unwrap()
}

fn snapshot(can: &str) -> Snapshot {
    fixtures::snapshot([client("a").grant("r", "*"), client("admin")], [role("r").can(can)])
}

fn events() -> Vec<Event> {
    drift::between("acme", "a-1", &snapshot("x:y:z"), &snapshot("directory:user:delete"))
}

fn served() -> Served {
    Served::of(&["Role", "OAuthClient"], &["Role", "OAuthClient", "Division"])
}

fn entry() -> Entry {
    Entry {
        at: at(5),
        id: "e".to_owned(),
        actor: Some(Actor { kind: ActorKind::User, id: Some("admin".to_owned()), name: None }),
        remote_ip: None,
        action: "Update".to_owned(),
        entity_type: "Role".to_owned(),
        entities: BTreeSet::from(["r".to_owned()]),
        changes: Vec::new(),
    }
}

fn begin(events: &mut [Event], due: Vec<Pending>) -> Inquiry {
    let doubts = Doubts::of(&History::default());
    Inquiry::begin(events, Inquiries { began: Some(at(0)), due }, &doubts, at(15))
}

fn whole(inquiry: &Inquiry, entries: Vec<Entry>) -> LogRead {
    let read = inquiry.spans(&served(), at(15)).into_iter().map(|(span, _)| (span, Read::Whole));
    LogRead { entries, read: read.collect(), problem: None }
}

#[test]
fn a_change_is_asked_about_from_the_last_audits_beginning_and_named_from_the_snapshot() {
    let mut events = events();
    let inquiry = begin(&mut events, Vec::new());
    let spans = inquiry.spans(&served(), at(15));
    assert_eq!(spans, [(Span { from: at(0) - SKEW, to: at(15) + SKEW }, Mode::Realtime)]);
    let log = whole(&inquiry, vec![entry()]);
    let answers =
        inquiry.conclude(&mut events, Ok((&served(), &log)), &snapshot("directory:user:delete"), at(15));
    let actor = events[0].actor.as_ref().unwrap();
    // The log called it a user; its id is a client's.
    assert_eq!((actor.kind, actor.name.as_deref()), (Some(ActorKind::Client), Some("Client admin")));
    assert_eq!(answers.attributed.known[0].0, events[0].id);
    assert!(answers.attributed.pending.is_empty() && answers.late.is_empty());
}

#[test]
fn what_the_log_does_not_show_yet_waits_and_is_told_late() {
    let mut events = events();
    let inquiry = begin(&mut events, Vec::new());
    let log = whole(&inquiry, Vec::new());
    let after = snapshot("directory:user:delete");
    let answers = inquiry.conclude(&mut events, Ok((&served(), &log)), &after, at(15));
    assert_eq!(events[0].actor.as_ref().unwrap().certainty, Certainty::Unknown);
    let [pending] = &answers.attributed.pending[..] else {
        panic!("{answers:?}", answers = answers.attributed)
    };
    assert_eq!(pending.next, at(16));

    let inquiry = begin(&mut [], vec![pending.clone()]);
    let log = whole(&inquiry, vec![entry()]);
    let answers = inquiry.conclude(&mut [], Ok((&served(), &log)), &after, at(16));
    let [(question, actor)] = &answers.late[..] else { panic!("not told") };
    assert_eq!((&question.event, actor.certainty), (&events[0].id, Certainty::Exact));
    assert_eq!(answers.attributed.settled, [events[0].id.clone()]);

    // In vain for a day.
    let old = Pending { since: at(16 - 24 * 60), ..pending.clone() };
    let inquiry = begin(&mut [], vec![old]);
    let log = whole(&inquiry, Vec::new());
    let answers = inquiry.conclude(&mut [], Ok((&served(), &log)), &after, at(16));
    assert!(answers.late.is_empty() && answers.attributed.pending.is_empty());
    assert!(answers.attributed.known[0].1.reason.as_ref().unwrap().ends_with("given up after a day"));
}

#[test]
fn a_refusal_is_the_end_of_it_and_trouble_is_not() {
    let endpoint = Endpoint::AuditRealtime;
    let refused =
        Error::Forbidden { endpoint, detail: "permission `audits:audit:view` is missing".to_owned() };
    let broken = Error::Server { endpoint, status: 500 };
    for (error, waits) in [(refused, 0), (broken, 1)] {
        let mut events = events();
        let inquiry = begin(&mut events, Vec::new());
        let answers = inquiry.conclude(&mut events, Err(&error), &snapshot("x:y:z"), at(15));
        assert_eq!(answers.attributed.pending.len(), waits, "{error}");
        let reason = events[0].actor.as_ref().unwrap().reason.clone().unwrap();
        assert!(reason.contains(&error.to_string()), "{reason}");
    }
}

#[test]
fn what_only_the_slow_query_covers_is_left_to_a_later_audit() {
    let mut events = events();
    let inquiry = begin(&mut events, Vec::new());
    let slow = Served::of(&[], &["Role"]);
    assert!(inquiry.spans(&slow, at(15)).is_empty());
    let log = LogRead::default();
    let answers = inquiry.conclude(&mut events, Ok((&slow, &log)), &snapshot("x:y:z"), at(15));
    let pending = answers.attributed.pending;
    let inquiry = begin(&mut [], pending);
    let spans = inquiry.spans(&slow, at(20));
    let [(day, Mode::Later)] = spans[..] else { panic!("{spans:?}") };
    assert_eq!(day.to - day.from, TimeDelta::days(1));
    let log = LogRead { entries: vec![entry()], read: BTreeMap::from([(day, Read::Whole)]), problem: None };
    assert_eq!(inquiry.conclude(&mut [], Ok((&slow, &log)), &snapshot("x:y:z"), at(20)).late.len(), 1);

    let mut events = self::events();
    let inquiry = begin(&mut events, Vec::new());
    let nothing = Served::default();
    let read = LogRead::default();
    let answers = inquiry.conclude(&mut events, Ok((&nothing, &read)), &snapshot("x:y:z"), at(15));
    assert!(answers.attributed.pending.is_empty());
}

#[test]
fn a_part_of_the_window_is_not_enough() {
    let mut events = events();
    let inquiry = begin(&mut events, Vec::new());
    let part = Span { from: at(3), to: at(20) };
    let log = LogRead { entries: vec![entry()], read: BTreeMap::from([(part, Read::Whole)]), problem: None };
    inquiry.conclude(&mut events, Ok((&served(), &log)), &snapshot("x:y:z"), at(15));
    assert_eq!(events[0].actor.as_ref().unwrap().certainty, Certainty::Unknown);
}
