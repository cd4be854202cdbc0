//! A change stands in what it led to, and not in what was before it.

use proptest::prelude::*;

use super::super::revert::stands;
use crate::domain::{
    ScopeEnforcement, drift,
    fixtures::{self, client, role},
    inventory::{Client, Role},
    snapshot::{Settings, Snapshot},
};

fn holds(before: &Snapshot, after: &Snapshot) {
    let events = drift::between("acme", "a", before, after);
    assert!(!events.is_empty());
    for event in &events {
        assert!(stands(&event.cause, after), "{:?} stands after it", event.cause);
        assert!(!stands(&event.cause, before), "{:?} does not stand before it", event.cause);
    }
}

fn org(clients: Vec<Client>, roles: Vec<Role>) -> Snapshot {
    fixtures::snapshot(clients, roles)
}

#[test]
fn any_part_that_is_taken_back_is_a_revert_and_what_comes_beside_it_is_none() {
    let with = |permissions: &[&str]| {
        let role = permissions.iter().fold(role("r"), |role, name| role.can(name));
        org(vec![client("c").grant("r", "*")], vec![role])
    };
    let (before, after) = (with(&["a:b:old"]), with(&["a:b:one", "a:b:two"]));
    let events = drift::between("acme", "a", &before, &after);
    let cause = &events[0].cause;
    assert!(stands(cause, &after));
    assert!(stands(cause, &with(&["a:b:one", "a:b:two", "x:y:z"])), "more is another change");
    assert!(!stands(cause, &with(&["a:b:one"])), "a part of what it added is gone");
    assert!(!stands(cause, &with(&["a:b:one", "a:b:two", "a:b:old"])), "what it removed is back");
    assert!(!stands(cause, &org(vec![], vec![])), "the role is gone");
}

#[test]
fn a_third_value_is_a_revert_and_what_was_not_read_is_none() {
    let named = |name: &str| Client { name: name.to_owned(), ..client("c").grant("r", "*") };
    let of = |name: &str| org(vec![named(name)], vec![role("r").can("a:b:c")]);
    let events = drift::between("acme", "a", &of("one"), &of("two"));
    assert!(stands(&events[0].cause, &of("two")));
    assert!(!stands(&events[0].cause, &of("three")));

    let base = org(vec![client("c")], vec![role("r").can("a:b:c")]);
    let granted = org(vec![client("c").grant("r", "*")], vec![role("r").can("a:b:c")]);
    let events = drift::between("acme", "a", &base, &granted);
    let unread = org(vec![Client { grants: None, ..client("c") }], vec![role("r").can("a:b:c")]);
    assert!(stands(&events[0].cause, &unread), "a record that does not say its grants lacks none");
    assert!(!stands(&events[0].cause, &base));
}

#[test]
fn settings_stand_as_they_were_set() {
    let with = |scope_enforcement| {
        Snapshot { settings: Settings { scope_enforcement }, ..org(vec![client("c")], vec![]) }.seal()
    };
    holds(&with(ScopeEnforcement::Off), &with(ScopeEnforcement::AllGrants));
}

fn clients() -> impl Strategy<Value = Vec<Client>> {
    let one = |id: &'static str| {
        let parts = (any::<bool>(), 0..4_u8, 0..4_u8, 0..2_u8, any::<bool>());
        parts.prop_map(move |(there, grants, scopes, name, on)| {
            let mut one = client(id);
            for (bit, division) in [(1, "*"), (2, "d1")] {
                if grants & bit != 0 {
                    one = one.grant("r1", division);
                }
            }
            for (bit, scope) in [(1, "users"), (2, "routing")] {
                if scopes & bit != 0 {
                    one = one.scope(scope);
                }
            }
            one.name = format!("Client {id} {name}");
            one.description = if on { "what for".to_owned() } else { String::new() };
            // The old form of the record, without divisions, is another matter.
            one.grants.get_or_insert_default();
            there.then_some(one)
        })
    };
    (one("c1"), one("c2")).prop_map(|(one, two)| one.into_iter().chain(two).collect())
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    let one = |id: &'static str| {
        (any::<bool>(), 0..8_u8, 0..3_u8).prop_map(move |(there, mask, condition)| {
            let mut one = role(id);
            for (bit, name) in [(1, "a:b:c"), (2, "a:b:d"), (4, "x:*:*")] {
                if mask & bit != 0 {
                    one = one.can(name);
                }
            }
            one = match condition {
                0 => one.can("e:f:g"),
                1 => one.can_if("e:f:g", "{\"a\":1}"),
                _ => one.can_if("e:f:g", "{\"a\":2}"),
            };
            there.then_some(one)
        })
    };
    (one("r1"), one("r2")).prop_map(|(one, two)| one.into_iter().chain(two).collect())
}

proptest! {
    #[test]
    fn every_change_stands_after_it_and_not_before(
        before in (clients(), roles()),
        after in (clients(), roles()),
    ) {
        let (before, after) = (org(before.0, before.1), org(after.0, after.1));
        for event in drift::between("acme", "a", &before, &after) {
            prop_assert!(stands(&event.cause, &after), "{:?} stands after it", event.cause);
            prop_assert!(!stands(&event.cause, &before), "{:?} does not stand before it", event.cause);
        }
    }
}
