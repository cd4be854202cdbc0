//! Which entries explain what, and that no order and no stranger makes it surer.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{
    drift,
    event::Event,
    fixtures::{self, client, role},
    message,
};

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_700_000 + minute * 60, 0).unwrap()
}

fn window() -> Span {
    Span { from: at(0), to: at(15) }
}

fn event() -> Event {
    let clients = || [client("a").grant("r", "*")];
    let before = fixtures::snapshot(clients(), [role("r")]);
    let after = fixtures::snapshot(clients(), [role("r").can("directory:user:delete")]);
    drift::between("acme", "a-1", &before, &after).remove(0)
}

fn question() -> Question {
    static QUESTION: LazyLock<Question> = LazyLock::new(made);
    QUESTION.clone()
}

fn made() -> Question {
    let event = event();
    match ask(&event, message::sentence(&event), window()) {
        Asked::Log(question) => *question,
        Asked::Nobody(_) => panic!("a role is edited by somebody"),
    }
}

fn person(name: &str) -> Actor {
    let id = Some(format!("u-{name}"));
    Actor { kind: ActorKind::User, id, name: Some(name.to_owned()) }
}

fn entry(minute: i64, who: &str, property: &str, old: &[&str], new: &[&str]) -> Entry {
    let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
    Entry {
        at: at(minute),
        id: format!("e-{minute}-{who}"),
        actor: Some(person(who)),
        remote_ip: Some("203.0.113.7".to_owned()),
        action: "Update".to_owned(),
        entity_type: "Role".to_owned(),
        entities: BTreeSet::from(["r".to_owned()]),
        changes: vec![Change { property: property.to_owned(), old: owned(old), new: owned(new) }],
    }
}

const POWER: &str = "permission_policies";
const DELETE: &str = "directory:user:delete";

#[test]
fn the_entry_with_the_same_delta_is_who_did_it() {
    let entries = [
        entry(3, "Bob", "description", &["a"], &["b"]),
        entry(5, "Ada", POWER, &["x:y:z"], &["x:y:z", DELETE]),
    ];
    let found = answer(&question(), &entries, Read::Whole).unwrap();
    assert_eq!((found.certainty, found.name.as_deref()), (Certainty::Exact, Some("Ada")));
    assert_eq!(found.changes, [Change { property: POWER.into(), old: vec![], new: vec![DELETE.into()] }]);
    assert_eq!(found.words(), ", edited by Ada (user) from 203.0.113.7 at 10:05:00Z");
    let shown = json!(found);
    assert_eq!((&shown["type"], &shown["certainty"]), (&json!("user"), &json!("exact")));
}

#[test]
fn two_who_touched_the_same_property_cannot_be_told_apart() {
    let entries = [
        entry(3, "Bob", POWER, &[], &[DELETE]),
        entry(5, "Ada", POWER, &[], &[DELETE]),
        entry(6, "Ada", POWER, &[DELETE], &[DELETE, "x:y:z"]),
    ];
    let found = answer(&question(), &entries, Read::Whole).unwrap();
    assert_eq!((found.certainty, found.id, found.candidates_total), (Certainty::WithinWindow, None, 3));
    assert_eq!(found.candidates[0].name.as_deref(), Some("Ada"));
    let alone = answer(&question(), &entries[1..], Read::Whole).unwrap();
    assert_eq!((alone.certainty, alone.candidates_total), (Certainty::Exact, 2));
}

#[test]
fn who_did_only_the_opposite_did_not_do_it() {
    let entries = [entry(3, "Bob", POWER, &[DELETE], &[]), entry(5, "Ada", POWER, &[], &[DELETE])];
    let found = answer(&question(), &entries, Read::Whole).unwrap();
    assert_eq!((found.certainty, found.name.as_deref()), (Certainty::Exact, Some("Ada")));
    // Nobody is seen to have done it: then the opposite is all that there is to look at.
    let found = answer(&question(), &entries[..1], Read::Whole).unwrap();
    assert_eq!((found.certainty, found.candidates_total), (Certainty::WithinWindow, 1));
    let more = [entry(3, "Bob", POWER, &[DELETE], &["x:y:z"]), entries[1].clone()];
    assert_eq!(answer(&question(), &more, Read::Whole).unwrap().certainty, Certainty::WithinWindow);
}

#[test]
fn the_only_entry_is_exact_unless_it_tells_of_something_else() {
    for (property, values, certainty) in [
        ("permissionPolicies", &["{\"unread\":1}"][..], Certainty::Exact),
        ("something", &[DELETE], Certainty::Exact),
        ("description", &["new"], Certainty::WithinWindow),
    ] {
        let found = answer(&question(), &[entry(5, "Ada", property, &[], values)], Read::Whole).unwrap();
        assert_eq!(found.certainty, certainty, "{property}");
    }
    let silent = Entry { changes: Vec::new(), ..entry(5, "Ada", "", &[], &[]) };
    assert_eq!(answer(&question(), &[silent], Read::Whole).unwrap().certainty, Certainty::Exact);
}

#[test]
fn what_was_not_read_whole_is_never_exact() {
    let entries = [entry(5, "Ada", POWER, &[], &[DELETE])];
    let found = answer(&question(), &entries, Read::Partly).unwrap();
    assert_eq!(found.certainty, Certainty::WithinWindow);
    assert_eq!(found.words(), ", edited by one of: Ada (user)");
}

#[test]
fn another_subject_another_time_or_another_kind_of_action_is_no_answer() {
    let right = entry(5, "Ada", POWER, &[], &[DELETE]);
    let wrong = [
        Entry { at: at(0), ..right.clone() },
        Entry { at: at(16), ..right.clone() },
        Entry { entities: BTreeSet::from(["s".to_owned()]), ..right.clone() },
        Entry { action: "Delete".to_owned(), ..right.clone() },
        Entry { action: "Authorize".to_owned(), ..right.clone() },
    ];
    assert_eq!(answer(&question(), &wrong, Read::Whole), None);
    let edge = Entry { at: at(15), ..right };
    assert!(answer(&question(), &[edge], Read::Whole).is_some());
}

#[test]
fn the_platform_and_our_own_configuration_have_no_entry() {
    for (kind, actor) in [
        (crate::domain::event::CauseKind::CatalogueChanged, ActorKind::Platform),
        (crate::domain::event::CauseKind::ContractChanged, ActorKind::Configuration),
    ] {
        let mut event = event();
        event.cause.kind = kind;
        let Asked::Nobody(found) = ask(&event, String::new(), window()) else { panic!("asked") };
        assert_eq!((found.certainty, found.kind), (Certainty::Exact, Some(actor)));
        assert_eq!(found.words(), "");
    }
}

#[test]
fn grants_that_were_seen_late_may_be_as_old_as_the_look_before() {
    let mut event = event();
    let observed = json!({ "from": at(-600), "to": at(14) });
    event.cause.details.insert("observed_between".to_owned(), observed);
    let Asked::Log(question) = ask(&event, String::new(), window()) else { panic!("not asked") };
    assert_eq!(question.window, Span { from: at(-600), to: at(15) });
}

#[test]
fn several_changes_have_one_actor_only_if_all_of_them_do() {
    let by =
        |minute, who| answer(&question(), &[entry(minute, who, POWER, &[], &[DELETE])], Read::Whole).unwrap();
    let (ada, again, bob) = (by(1, "Ada"), by(5, "Ada"), by(3, "Bob"));
    assert_eq!(combine(&[]), None);
    assert_eq!(combine(&[None]), None);
    assert_eq!(combine(&[Some(&bob)]).unwrap(), bob);
    assert_eq!(combine(&[Some(&ada), Some(&again)]).unwrap(), again);
    let unknown = Attribution::unknown("nobody knows");
    for (changes, named) in [
        (&[Some(&ada), Some(&bob), Some(&again)][..], 3),
        (&[Some(&ada), None], 1),
        (&[Some(&unknown), Some(&ada)], 1),
    ] {
        let all = combine(changes).unwrap();
        assert_eq!((all.certainty, all.candidates_total), (Certainty::WithinWindow, named), "{changes:?}");
    }
    assert_eq!(combine(&[None, Some(&unknown)]).unwrap().certainty, Certainty::Unknown);
}

#[test]
fn spans_cover_their_windows_within_days_and_without_overlap() {
    let windows = [
        Span { from: at(0), to: at(15) },
        Span { from: at(10), to: at(20) },
        Span { from: at(600), to: at(15 * 60) },
    ];
    let found = spans(windows);
    assert_eq!(found.last().unwrap(), &Span { from: at(0), to: at(20) });
    assert_eq!(found.len(), 3, "{found:?}");
    for pair in found.windows(2) {
        assert!(pair[1].to <= pair[0].from);
    }
    for span in &found {
        assert!(
            (span.to - TimeDelta::milliseconds(1)).date_naive()
                == (span.from + TimeDelta::milliseconds(1)).date_naive()
        );
    }
    let day = whole_days(windows[0]);
    assert_eq!(spans([day]), [day]);
    assert!(day.holds(at(0)) && day.holds(at(15)));
}

#[test]
fn pauses_grow_and_stay_below_a_few_hours() {
    let pauses: Vec<i64> = (0..10).map(|attempts| pause(attempts).num_minutes()).collect();
    assert_eq!(pauses[..4], [1, 2, 4, 8]);
    assert!(pauses.is_sorted() && pauses[9] == 128);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let property = prop_oneof![Just(POWER), Just("description"), Just("")];
    let values = prop_oneof![Just(&[DELETE][..]), Just(&["b"][..]), Just(&[][..])];
    let action = prop_oneof![4 => Just("Update"), 1 => Just("Delete"), 1 => Just("Authorize")];
    let actor = prop_oneof![3 => Just(Some("Ada")), 3 => Just(Some("Bob")), 1 => Just(None)];
    (-3_i64..19, actor, property, values.clone(), values, action, any::<bool>()).prop_map(
        |(minute, actor, property, old, new, action, about)| {
            let mut entry = entry(minute, actor.unwrap_or("nobody"), property, old, new);
            entry.action = action.to_owned();
            if actor.is_none() {
                entry.actor = None;
            }
            if property.is_empty() {
                entry.changes.clear();
            }
            if !about {
                entry.entities = BTreeSet::from(["other".to_owned()]);
            }
            entry
        },
    )
}

proptest! {
    #[test]
    fn the_order_of_entries_does_not_matter(
        (entries, shuffled) in prop::collection::vec(any_entry(), 0..8)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))
    ) {
        prop_assert_eq!(
            answer(&question(), &entries, Read::Whole),
            answer(&question(), &shuffled, Read::Whole)
        );
    }

    /// Exact means that every entry which changed the same property of the same thing within the window has one actor.
    #[test]
    fn exact_has_one_possible_actor_within_the_window(entries in prop::collection::vec(any_entry(), 0..8)) {
        let question = question();
        if let Some(found) = answer(&question, &entries, Read::Whole) {
            let seen = found.at.into_iter().chain(found.candidates.iter().map(|candidate| candidate.at));
            for at in seen {
                prop_assert!(question.window.holds(at));
            }
            if found.certainty == Certainty::Exact {
                for entry in &entries {
                    let could = entry.entities.contains("r")
                        && question.window.holds(entry.at)
                        && entry.action == "Update"
                        && entry.changes.iter().all(|change| change.property == POWER)
                        && !entry.changes.iter().any(|change| change.old == [DELETE] && change.new.is_empty());
                    let same = entry.actor.as_ref().is_some_and(|actor| actor.id == found.id);
                    prop_assert!(!could || same, "{entry:?} could be it too");
                }
            }
        }
    }

    /// Strangers to the window or the subject change nothing.
    #[test]
    fn what_lies_outside_is_as_good_as_absent(entries in prop::collection::vec(any_entry(), 0..8)) {
        let question = question();
        let inside: Vec<Entry> = entries
            .iter()
            .filter(|entry| question.window.holds(entry.at) && entry.entities.contains("r"))
            .cloned()
            .collect();
        prop_assert_eq!(
            answer(&question, &entries, Read::Whole),
            answer(&question, &inside, Read::Whole)
        );
    }
}
