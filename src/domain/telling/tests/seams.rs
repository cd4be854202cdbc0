//! Where what is told meets what people decided, what the audit log says late, and checks that come and go.

use super::*;
use crate::domain::{
    attribution,
    decision::{Cover, Decision, Entry, Kind, fingerprint},
};

#[test]
fn what_is_new_about_a_flap_when_its_summary_is_due_is_one_message() {
    let mut life = Life::new(everyone(), with(&[]));
    let opened = finding("a", "high-privilege", Severity::High, when());
    for minute in 0..10 {
        life.audit(minute, with(&[]), if minute % 2 == 0 { std::slice::from_ref(&opened) } else { &[] });
    }
    let other = Arc::new(Finding { evidence: "more than before".to_owned(), ..(*opened).clone() });
    let messages = life.audit(75, with(&[]), &[other]);
    assert_eq!(kinds(&messages), ["finding.flapping"]);
    let (message, receivers) = &messages[0];
    assert_eq!(receivers, &["ops"], "a receiver gets a message once");
    assert_eq!(body(message)["data"]["findings"][0]["evidence"], "more than before");
}

#[test]
fn a_flap_ends_without_a_word_when_somebody_mutes_it() {
    let mut life = Life::new(everyone(), with(&[]));
    let opened = finding("a", "high-privilege", Severity::High, when());
    for minute in 0..9 {
        life.audit(minute, with(&[]), if minute % 2 == 0 { std::slice::from_ref(&opened) } else { &[] });
    }
    assert!(life.told.things.values().any(|thing| thing.memory.flap.is_some()));
    let cover = Cover { uid: opened.uid.clone(), fingerprint: fingerprint::of(&opened) };
    life.ledger.add(Entry::Made(Box::new(Decision {
        id: "dec-1".to_owned(),
        kind: Kind::Mute,
        owner: "ops".to_owned(),
        reason: "known".to_owned(),
        ticket: None,
        at: when(),
        expires: Some(when() + TimeDelta::days(1)),
        approved: None,
        covers: vec![cover],
    })));
    // Its alert was closed by the mute. That it is gone, that it comes and goes, that it is calm: nobody is to hear.
    for minute in [9, 10, 80, 81, 300] {
        let found = if minute == 10 { std::slice::from_ref(&opened) } else { &[] };
        assert!(life.audit(minute, with(&[]), found).is_empty(), "minute {minute}");
    }
    // Taken back while it passes, it opens like any other.
    life.ledger = Ledger::default();
    assert_eq!(kinds(&life.audit(301, with(&[]), std::slice::from_ref(&opened))), ["finding.opened"]);
    assert_eq!(kinds(&life.audit(302, with(&[]), &[])), ["finding.flapping"]);
}

#[test]
fn who_made_a_change_concerns_the_same_owners_as_the_change() {
    let route = |owner: &str| Route { owners: vec![owner.to_owned()], ..Route::ALL };
    // Both hold the role, but only one gains: the other may do anything already.
    let snapshot = |power: &[&str]| {
        let changed = power.iter().fold(role("r"), |role, permission| role.can(permission));
        let clients = [client("a").grant("r", "*"), client("b").grant("r", "*").grant("all", "*")];
        let mut snapshot = fixtures::snapshot(clients, [changed, role("all").can("directory:user:delete")]);
        for (client, owner) in [("a", "bi@example.com"), ("b", "hr@example.com")] {
            let (client, pinned) = (client.to_owned(), Some(client.into()));
            let contract = Contract { client, owner: owner.to_owned(), pinned, ..Contract::default() };
            snapshot.contracts.insert(contract.key(), contract);
        }
        snapshot.seal()
    };
    let (before, after) = (snapshot(&[]), snapshot(&["directory:user:delete"]));
    let event = drift::between("acme", "a-1", &before, &after).remove(0);
    let window = attribution::Span { from: when(), to: when() };
    let attribution::Asked::Log(question) = attribution::ask(&event, "it changed".to_owned(), window) else {
        panic!("a role is edited by somebody")
    };
    let late = [(*question, Attribution::unknown("nobody knows"))];
    let head =
        Letterhead { org: "acme", audit: "a-2", chain_head: Hash::GENESIS, at: when(), link: "http://x/" };
    let concluded = Concluded {
        head,
        was_failing: false,
        before: Some(&after),
        snapshot: &after,
        gaps: &[],
        events: &[],
        findings: &[],
        reopened: &[],
        unasked: &[],
        late: &late,
        open: &[],
        ledger: &Ledger::default(),
    };
    let audience = audience(&[("bi", route("bi@*")), ("hr", route("hr@*"))]);
    let messages = tell(&audience, &concluded, &Told::default()).messages;
    assert_eq!(kinds(&messages), ["drift.attributed"]);
    assert_eq!(messages[0].1, ["bi"]);
}

#[test]
fn the_alert_of_a_check_that_left_the_configuration_is_closed_with_the_reason() {
    let gone = [finding("a", "acme-own", Severity::High, when())];
    let head =
        Letterhead { org: "acme", audit: "a-1", chain_head: Hash::GENESIS, at: when(), link: "http://x/" };
    let snapshot = with(&[]);
    let concluded = Concluded {
        head,
        was_failing: false,
        before: Some(&snapshot),
        snapshot: &snapshot,
        gaps: &[],
        events: &[],
        findings: &[],
        reopened: &[],
        unasked: &gone,
        late: &[],
        open: &[],
        ledger: &Ledger::default(),
    };
    let messages = tell(&everyone(), &concluded, &Told::default()).messages;
    assert_eq!(kinds(&messages), ["finding.resolved"]);
    let data = &body(&messages[0].0)["data"];
    assert_eq!(
        (&data["reason"], &data["summary"]),
        (&"check_removed".into(), &"check removed: a title".into())
    );
}

#[test]
fn audits_that_record_again_without_some_facts_may_be_overdue_again() {
    let snapshot = with(&[]);
    let gaps = [Gap {
        fact: Fact::Divisions,
        subject: None,
        reason: "server".to_owned(),
        detail: "503".to_owned(),
        stale_since: None,
    }];
    let head =
        Letterhead { org: "acme", audit: "a-1", chain_head: Hash::GENESIS, at: when(), link: "http://x/" };
    for (was_failing, before, recovered) in
        [(true, Some(&snapshot), true), (true, None, true), (false, Some(&snapshot), false)]
    {
        let concluded = Concluded {
            head,
            was_failing,
            before,
            snapshot: &snapshot,
            gaps: &gaps,
            events: &[],
            findings: &[],
            reopened: &[],
            unasked: &[],
            late: &[],
            open: &[],
            ledger: &Ledger::default(),
        };
        let told = Told { overdue: Some(when()), ..Told::default() };
        assert_eq!(tell(&everyone(), &concluded, &told).noted.recovered, recovered);
    }
}
