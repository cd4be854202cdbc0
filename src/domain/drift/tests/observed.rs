//! Grants that are looked at only now and then.

use super::*;
use crate::domain::fixtures::when;

fn seen(snapshot: Snapshot) -> Snapshot {
    with_catalogue(snapshot, &NAMES)
}

fn organisation(client: Client) -> Snapshot {
    fixtures::snapshot(
        [client],
        [
            role("r").can("routing:queue:view"),
            role("s").can("directory:user:delete").can("routing:queue:view"),
        ],
    )
}

fn holder() -> Client {
    client("c").grant("r", "*")
}

#[test]
fn a_grant_beside_the_record_is_a_gain_of_the_client() {
    let before = seen(organisation(holder()).observing("c", &[("r", "*")]));
    let after =
        seen(organisation(holder()).observing("c", &[("r", "*")]).inheriting("c", "g", &[("s", "d1")]));
    let events = between("acme", "audit-2", &before, &after);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event.cause.kinds, [CauseKind::ClientGrantsChanged]);
    assert_eq!(
        event.cause.details["observed_grants"],
        json!({
            "added": [{ "role": "s", "role_name": "Role s", "division": "d1", "division_name": "Division d1",
                        "inherited_from": "g" }],
            "removed": [],
        })
    );
    assert_eq!(
        event.clients[0].gained.to_vec(),
        [gain("directory:user:delete", &["d1"])],
        "the net of both roles"
    );
    assert_eq!(event.severity, Severity::High);
    let back = between("acme", "audit-3", &after, &before);
    assert_eq!(back[0].clients[0].lost.to_vec(), [gain("directory:user:delete", &["d1"])]);
}

#[test]
fn what_is_seen_for_the_first_time_is_no_change() {
    let before = org([holder()], [role("r"), role("s").can("directory:user:delete")]);
    let after = seen(before.clone().observing("c", &[("r", "*"), ("s", "*")]));
    assert_eq!(told(&before, &after), []);
}

#[test]
fn a_record_that_grows_in_the_audit_of_the_first_look_is_still_a_gain() {
    let before = seen(organisation(holder()));
    let after = seen(organisation(holder().grant("s", "*")).observing("c", &[("r", "*"), ("s", "*")]));
    let gained = vec![gain("directory:user:delete", &["*"])];
    let expected = (CauseKind::ClientGrantsChanged, "c".to_owned(), vec![("c".to_owned(), gained, vec![])]);
    assert_eq!(told(&before, &after), [expected]);
}

#[test]
fn a_change_that_record_and_look_show_is_told_once_by_the_record() {
    let before = seen(organisation(holder()).observing("c", &[("r", "*")]));
    let after = seen(organisation(holder().grant("s", "*")).observing("c", &[("r", "*"), ("s", "*")]));
    let events = between("acme", "audit-2", &before, &after);
    assert!(events[0].cause.details.contains_key("grants"));
    assert!(!events[0].cause.details.contains_key("observed_grants"), "{:?}", events[0].cause);
}

#[test]
fn a_role_that_the_record_loses_and_the_platform_still_grants_is_no_loss() {
    let before = seen(organisation(holder().grant("s", "*")).observing("c", &[("r", "*"), ("s", "*")]));
    let after = seen(organisation(holder()).observing("c", &[("r", "*"), ("s", "*")]));
    let expected = (CauseKind::ClientGrantsChanged, "c".to_owned(), vec![]);
    assert_eq!(told(&before, &after), [expected], "the record changed, the power did not");
}

#[test]
fn a_role_edit_reaches_those_who_hold_it_beside_their_record() {
    let with = |role_s: Role| seen(fixtures::snapshot([client("c")], [role_s]).observing("c", &[("s", "*")]));
    let (before, after) = (with(role("s")), with(role("s").can("directory:user:delete")));
    let events = told(&before, &after);
    assert_eq!(events[0].2[0].1, [gain("directory:user:delete", &["*"])]);
}

#[test]
fn the_looks_are_written_into_the_event_and_not_into_its_delta() {
    let before = seen(organisation(holder()).observing("c", &[("r", "*")]));
    let after = seen(organisation(holder()).observing("c", &[("r", "*"), ("s", "*")]));
    let mut events = between("acme", "audit-2", &before, &after);
    let delta = events[0].delta.clone();
    let window = Window { from: when() - chrono::TimeDelta::hours(3), to: when() };
    date(&mut events, |client| (client.as_str() == "c").then_some(window));
    assert_eq!(
        events[0].cause.details["observed_between"],
        json!({ "from": "2026-09-21T11:13:20Z", "to": "2026-09-21T14:13:20Z" })
    );
    assert_eq!(events[0].delta, delta);
    let renamed = Client { name: "other".to_owned(), ..holder() };
    let mut other =
        between("acme", "audit-3", &before, &seen(organisation(renamed).observing("c", &[("r", "*")])));
    date(&mut other, |_| Some(window));
    assert!(!other[0].cause.details.contains_key("observed_between"), "the record was read at both audits");
}
