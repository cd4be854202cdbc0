//! The algebra case by case, then against a slow and obvious reference.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    catalogue::Operations,
    fixtures::{catalogue, role},
};

/// (what the role gives, permission asked for, whether it is given)
const CASES: &[(&str, &str, bool)] = &[
    // literal
    ("routing:queue:view", "routing:queue:view", true),
    ("routing:queue:view", "routing:queue:edit", false),
    ("routing:queue:view", "routing:skill:view", false),
    ("routing:queue:view", "outbound:queue:view", false),
    ("routing:queue:view", "routing:queueMember:view", false),
    ("routing:queue:view", "routing:queue:viewAll", false),
    ("routing:queue:viewAll", "routing:queue:view", false),
    // wildcard at each position
    ("routing:queue:*", "routing:queue:view", true),
    ("routing:queue:*", "routing:queue:somethingNew", true),
    ("routing:queue:*", "routing:queueMember:manage", false),
    ("routing:queue:*", "outbound:queue:view", false),
    ("routing:*:view", "routing:queue:view", true),
    ("routing:*:view", "routing:skill:view", true),
    ("routing:*:view", "routing:queue:edit", false),
    ("routing:*:view", "outbound:campaign:view", false),
    ("*:queue:view", "routing:queue:view", true),
    ("*:queue:view", "anything:queue:view", true),
    ("*:queue:view", "routing:skill:view", false),
    ("*:queue:view", "routing:queue:edit", false),
    ("routing:*:*", "routing:queue:delete", true),
    ("routing:*:*", "routing:newEntity:newAction", true),
    ("routing:*:*", "routingX:queue:view", false),
    ("routing:*:*", "outbound:campaign:view", false),
    ("*:queue:*", "routing:queue:delete", true),
    ("*:queue:*", "routing:skill:delete", false),
    ("*:*:view", "recording:recording:view", true),
    ("*:*:view", "recording:recording:delete", false),
    ("*:*:*", "authorization:role:edit", true),
    ("*:*:*", "telephony:plugin:all", true),
    ("*:*:*", "neverHeard:ofThis:before", true),
    // a star is a whole part or nothing
    ("routing:queue:vi*", "routing:queue:view", false),
    ("rout*:queue:view", "routing:queue:view", false),
    ("routing:**:view", "routing:queue:view", false),
    ("routing:queue:vi*", "routing:queue:vi*", true),
    // `all` is an action, not a wildcard
    ("telephony:plugin:all", "telephony:plugin:all", true),
    ("telephony:plugin:all", "telephony:plugin:view", false),
    ("telephony:plugin:all", "telephony:sites:view", false),
    ("telephony:plugin:*", "telephony:plugin:all", true),
    ("telephony:all:all", "telephony:plugin:all", false),
    ("all:all:all", "routing:queue:view", false),
    // general permissions
    ("admin", "admin", true),
    ("admin", "routing:queue:view", true),
    ("admin", "telephony:plugin:all", true),
    ("admin", "content_management_user", true),
    ("admin", "neverHeard:ofThis:before", true),
    ("content_management_user", "content_management_user", true),
    ("content_management_user", "admin", false),
    ("content_management_user", "contentManagement:document:view", false),
    ("group_creation", "directory:group:add", false),
    ("*", "routing:queue:view", false),
    ("*", "admin", false),
    // policies never give a general permission
    ("*:*:*", "admin", false),
    ("*:*:*", "content_management_user", false),
    ("admin:*:*", "admin", false),
    ("admin:*:*", "admin:thing:view", true),
    // case counts
    ("Routing:queue:view", "routing:queue:view", false),
    ("routing:Queue:view", "routing:queue:view", false),
    ("routing:queue:VIEW", "routing:queue:view", false),
    ("Admin", "routing:queue:view", false),
    ("ADMIN", "admin", false),
    ("wfm:shortTermForecast:view", "wfm:shorttermforecast:view", false),
    // odd shapes stay what they are
    ("routing:queue", "routing:queue:view", false),
    ("routing", "routing:queue:view", false),
    ("", "routing:queue:view", false),
    ("", "", true),
    (" routing:queue:view", "routing:queue:view", false),
    ("routing:queue:view ", "routing:queue:view", false),
    ("::", "routing:queue:view", false),
    ("a:b:c:d", "a:b:c:d", true),
    ("a:b:*", "a:b:c:d", true),
    ("a:b:c", "a:b:c:d", false),
    // domains that are prefixes of others, and sort between them
    ("speech:*:*", "speechAndTextAnalytics:topic:view", false),
    ("a:*:*", "a-b:x:view", false),
    ("a:*:*", "aa:x:view", false),
];

/// Slow and obvious: splits both and compares part by part.
fn reference(pattern: &str, permission: &str) -> bool {
    if pattern == "admin" {
        return true;
    }
    let (pattern, permission): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(3, ':').collect(), permission.splitn(3, ':').collect());
    if pattern.len() < 3 || permission.len() < 3 {
        return pattern == permission;
    }
    (0..3).all(|at| pattern[at] == "*" || pattern[at] == permission[at])
}

#[test]
fn each_pattern_gives_exactly_what_it_says() {
    assert!(CASES.len() >= 60, "{} cases", CASES.len());
    for (pattern, permission, given) in CASES {
        assert_eq!(Pattern::parse(pattern).matches(permission), *given, "{pattern:?} for {permission:?}");
        assert_eq!(reference(pattern, permission), *given, "the reference, {pattern:?} for {permission:?}");
    }
}

#[test]
fn a_universe_answers_as_the_pattern_does() {
    let names: BTreeSet<&str> = CASES.iter().map(|(_, permission, _)| *permission).collect();
    for (pattern, permission, given) in CASES {
        let held = role("r").general(permission);
        let universe =
            Universe::new([&catalogue(names.iter().copied())], [Operations::compiled_in()], [&held]);
        let mut set = universe.none();
        universe.add_matches(&Pattern::parse(pattern), &mut set);
        let number = universe.number(permission).unwrap();
        assert_eq!(set.contains(number), *given, "{pattern:?} for {permission:?}");
    }
}

#[test]
fn a_role_gives_its_policies_and_its_general_strings() {
    let held = role("r")
        .can("routing:queue:view")
        .can_if("recording:recording:view", "{}")
        .general("admin")
        .general("wfm:schedule:*");
    let seen: BTreeSet<(String, bool)> =
        patterns(&held).map(|(pattern, condition)| (pattern.to_string(), condition.is_some())).collect();
    let expected = [
        ("admin", false),
        ("recording:recording:view", true),
        ("routing:queue:view", false),
        ("wfm:schedule:*", false),
    ];
    assert_eq!(seen, expected.map(|(name, condition)| (name.to_owned(), condition)).into());
}

#[test]
fn nearest_names_come_first_and_strangers_not_at_all() {
    let known = ["routing:queue:view", "routing:queue:edit", "outbound:campaign:view"];
    assert_eq!(nearest("routing:queues:view", known, 1), ["routing:queue:view"]);
    assert_eq!(nearest("Routing:Queue:View", known, 1), ["routing:queue:view"]);
    assert!(nearest("zzz", known, 3).is_empty());
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "a-b", "ab", "all", "view"]).prop_map(str::to_owned),
        1 => "[a-z:]{0,3}",
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let part = || prop_oneof![3 => part(), 2 => Just("*".to_owned())];
    prop_oneof![
        8 => (part(), part(), part()).prop_map(|(d, e, a)| format!("{d}:{e}:{a}")),
        1 => prop::sample::select(vec!["admin", "content_management_user", "group_creation"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn matching_equals_the_reference(
        given in pattern(),
        names in prop::collection::btree_set((part(), part(), part()), 1..40),
    ) {
        let names: BTreeSet<String> =
            names.into_iter().map(|(d, e, a)| format!("{d}:{e}:{a}")).collect();
        let held = role("r").general(&given);
        let universe = Universe::new([&catalogue(names.iter().map(String::as_str))], [Operations::compiled_in()], [&held]);
        let mut set = universe.none();
        universe.add_matches(&Pattern::parse(&given), &mut set);
        for at in 0..universe.len() {
            let name = universe.name(at);
            prop_assert_eq!(set.contains(at), reference(&given, name), "{} for {}", given, name);
        }
    }
}
