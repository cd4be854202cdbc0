//! Decisions, case by case. As laws, over random lives: `laws`.

pub(crate) mod laws;
mod reverts;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    desk::{Desk, Refusal, Terms},
    *,
};
use crate::domain::{
    Severity,
    checks::CHECKS,
    finding::{self, ClientRef, Finding, Lifecycle, Status},
};

pub(super) fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::hours(hours)
}

pub(super) fn failing(client: &str, evidence: &str) -> Finding {
    Finding {
        uid: finding::uid("acme", "admin-role", &client.into(), "r"),
        org: "acme".to_owned(),
        check: "admin-role".to_owned(),
        status: Status::Fail,
        severity: Severity::High,
        muted: false,
        marks: Marks::default(),
        client: ClientRef { id: client.into(), name: format!("Client {client}") },
        key: "r".to_owned(),
        title: "title".to_owned(),
        evidence: evidence.to_owned(),
        remediation: "remediation".to_owned(),
        first_seen: at(0),
        last_seen: at(0),
    }
}

pub(super) fn terms(id: &str, expires: Option<DateTime<Utc>>) -> Terms {
    Terms { id: id.to_owned(), owner: "ops".to_owned(), reason: "known".to_owned(), ticket: None, expires }
}

fn desk(findings: &[Finding]) -> Desk {
    let mut findings = findings.to_vec();
    findings.sort_by(|one, other| one.uid.cmp(&other.uid));
    Desk { findings, ledger: Ledger::default() }
}

#[test]
fn what_moves_by_itself_is_no_other_content_and_everything_else_is() {
    let one = failing(
        "c",
        "Client Client c (c) is granted role R in A. The role reaches 10 of the 20 permissions.",
    );
    let same = |other: &Finding| fingerprint::of(&one) == fingerprint::of(other);
    let evidence = |text: &str| Finding { evidence: text.to_owned(), ..one.clone() };
    assert!(same(&evidence(
        "Client Client c (c) is granted role R in A. The role reaches 11 of the 21 permissions."
    )));
    let renamed = ClientRef { name: "New".to_owned(), ..one.client.clone() };
    let text = "Client New (c) is granted role R in A. The role reaches 10 of the 20 permissions.";
    assert!(same(&Finding { client: renamed, evidence: text.to_owned(), ..one.clone() }));
    assert!(same(&Finding { title: "other".to_owned(), last_seen: at(9), ..one.clone() }));

    assert!(!same(&evidence(
        "Client Client c (c) is granted role R in A and 1 more divisions. The role reaches 10."
    )));
    assert!(!same(&evidence("Client Client c (c) is granted role R in A. It may do everything.")));
    assert!(!same(&Finding { severity: Severity::Critical, ..one.clone() }));
    // One that sums up many is what it counts.
    let sum = |text: &str| Finding { key: "summary".to_owned(), ..evidence(text) };
    let (ten, eleven) = (sum("a; b; and 10 more."), sum("a; b; and 11 more."));
    assert_ne!(fingerprint::of(&ten), fingerprint::of(&eleven));
}

#[test]
fn sentences_that_are_left_aside_belong_to_checks_that_exist() {
    for (check, aside) in fingerprint::ASIDE {
        assert!(CHECKS.iter().any(|known| known.id == check), "{check}");
        assert!(!aside.is_empty(), "{check}");
    }
}

#[test]
fn terms_that_cannot_be_meant_are_refused_with_the_option_that_is_wrong() {
    let good = terms("d", Some(at(1)));
    assert_eq!(good.check(true, at(0)), Ok(()));
    let wrong = |terms: Terms| terms.check(true, at(0)).unwrap_err().to_string();
    assert!(wrong(Terms { owner: " ".to_owned(), ..good.clone() }).starts_with("--owner: is empty"));
    assert!(wrong(Terms { reason: String::new(), ..good.clone() }).starts_with("--reason: is empty"));
    assert!(wrong(Terms { reason: "x".repeat(TEXT + 1), ..good.clone() }).starts_with("--reason: is longer"));
    assert!(
        wrong(Terms { owner: "a\u{1b}[2J".to_owned(), ..good.clone() }).starts_with("--owner: holds control")
    );
    assert!(wrong(Terms { expires: None, ..good.clone() }).contains("nothing is silent for ever"));
    assert!(wrong(Terms { expires: Some(at(0)), ..good.clone() }).contains("not in the future"));
    assert!(
        wrong(Terms { expires: Some(at(0) + LONGEST + TimeDelta::seconds(1)), ..good }).contains("a year")
    );
}

#[test]
fn uids_are_found_by_their_beginning_and_explained_where_they_are_not() {
    let (one, two) = (failing("c", "e"), failing("d", "e"));
    let doubt = Finding { status: Status::Unknown, ..failing("u", "e") };
    let desk = desk(&[one.clone(), two, doubt.clone()]);
    let mute = |uid: &str| desk.mute(&[uid.to_owned()], terms("d", Some(at(1))), at(0));
    let step = mute(&one.uid[..10]).unwrap();
    assert_eq!(step.made().unwrap().covers.len(), 1);
    assert_eq!(step.made().unwrap().covers[0].uid, one.uid);
    let mut mistyped = one.uid.clone();
    mistyped.pop();
    mistyped.push('x');
    let refusal = mute(&mistyped).unwrap_err();
    assert!(refusal.to_string().contains(&format!("did you mean {:?}", one.uid)), "{refusal}");
    assert!(matches!(mute(""), Err(Refusal::NoSuchFinding { .. })));
    assert_eq!(mute(&doubt.uid), Err(Refusal::Unknown { uid: doubt.uid.clone() }));
    assert_eq!(
        desk.unmute(std::slice::from_ref(&one.uid), None, at(0)),
        Err(Refusal::NotMuted { uid: one.uid })
    );
}

#[test]
fn a_second_mute_replaces_the_first_without_an_alert() {
    let one = failing("c", "e");
    let mut desk = desk(std::slice::from_ref(&one));
    let step = desk.mute(std::slice::from_ref(&one.uid), terms("d1", Some(at(1))), at(0)).unwrap();
    let [(Reason::Muted, closed)] = &step.closed[..] else { panic!("{step:?}") };
    assert!(closed.muted, "whoever hears of it hears who muted it");
    assert_eq!(closed.marks.decisions[0].id, "d1");
    step.entries.into_iter().for_each(|entry| desk.ledger.add(entry));
    desk.ledger.mark(&mut desk.findings[0]);
    let step = desk.mute(std::slice::from_ref(&one.uid), terms("d2", Some(at(5))), at(0)).unwrap();
    assert_eq!((step.closed.len(), step.reopened.len()), (0, 0));
    step.entries.into_iter().for_each(|entry| desk.ledger.add(entry));
    assert_eq!(desk.ledger.get("d1").unwrap().ended.as_ref().unwrap().why, Why::Replaced);
    assert_eq!(desk.expire(at(2)), super::desk::Step::default());
    let step = desk.expire(at(5));
    assert_eq!(step.reopened.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), [Reason::MuteExpired]);
}

#[test]
fn a_mute_holds_over_a_resolve_and_an_acknowledgement_does_not() {
    let one = failing("c", "e");
    let mut desk = desk(std::slice::from_ref(&one));
    let uids = std::slice::from_ref(&one.uid);
    for step in [
        desk.mute(uids, terms("d1", Some(at(9))), at(0)).unwrap(),
        desk.acknowledge(uids, terms("d2", None), at(0)).unwrap(),
    ] {
        step.entries.into_iter().for_each(|entry| desk.ledger.add(entry));
    }
    let mut life = Lifecycle { resolved: vec![Arc::new(one.clone())], ..Lifecycle::default() };
    let settled = settle(desk.ledger, &mut life, &|_| true, at(1));
    assert_eq!(settled.resolved, [], "its alert was closed by the mute");
    let again = Arc::new(one);
    let mut life = Lifecycle { opened: vec![Arc::clone(&again)], open: vec![again], ..Lifecycle::default() };
    let settled = settle(settled.ledger, &mut life, &|_| true, at(2));
    assert_eq!((settled.opened.len(), settled.reopened.len()), (0, 0));
    assert!(life.open[0].muted && !life.open[0].marks.acknowledged);
}

#[test]
fn a_decision_is_taken_back_by_its_name_only() {
    let one = failing("c", "e");
    let mut desk = desk(std::slice::from_ref(&one));
    let step = desk.mute(&[one.uid], terms("dec-1", Some(at(9))), at(0)).unwrap();
    step.entries.into_iter().for_each(|entry| desk.ledger.add(entry));
    assert!(matches!(desk.revoke("", None, at(1)), Err(Refusal::NoSuchDecision { .. })));
    assert_eq!(desk.revoke("dec", None, at(1)).unwrap().reopened.len(), 1);
}

#[test]
fn the_alert_of_a_check_that_is_asked_no_more_closes() {
    let (one, two) = (failing("c", "e"), failing("d", "e"));
    let mut desk = desk(&[one.clone(), two.clone()]);
    let step = desk.mute(std::slice::from_ref(&two.uid), terms("dec-1", Some(at(9))), at(0)).unwrap();
    step.entries.into_iter().for_each(|entry| desk.ledger.add(entry));
    let doubt = Finding { status: Status::Unknown, ..failing("e", "e") };
    let dropped = [&one, &two, &doubt].map(|finding| Arc::new(finding.clone())).to_vec();
    let settled = settle(desk.ledger, &mut Lifecycle { dropped, ..Lifecycle::default() }, &|_| true, at(1));
    assert_eq!(
        settled.unasked,
        [Arc::new(one)],
        "the mute closed the other, and nothing was said of the third"
    );
    assert_eq!(settled.resolved, []);
}

#[test]
fn a_worse_finding_is_told_again() {
    let one = Arc::new(failing("c", "e"));
    let open = || Lifecycle {
        open: vec![Arc::clone(&one)],
        updated: vec![Arc::clone(&one)],
        worsened: vec![Arc::clone(&one)],
        ..Lifecycle::default()
    };
    let settled = settle(Ledger::default(), &mut open(), &|_| true, at(1));
    assert_eq!(settled.reopened, [(Reason::SeverityRose, Arc::clone(&one))]);
}
