//! What vanishes, and what only was not seen.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    facts::DivisionsSeen,
    fixtures::{self, catalogue, client, role},
};

fn facts(clients: &[&str], roles: &[&str]) -> Facts {
    Facts {
        clients: clients.iter().map(|id| client(id).grant("r1", "*")).collect(),
        roles: roles.iter().map(|id| role(id)).collect(),
        divisions: Reading::Seen(DivisionsSeen::default()),
        catalogue: Reading::Seen(catalogue(["routing:queue:view"])),
        operations: None,
        own_grants: Reading::Seen(grants("*")),
        grants: GrantsSeen::default(),
        usage: Reading::NotDue,
        gaps: Vec::new(),
        api_calls: 5,
    }
}

fn grants(division: &str) -> OwnGrants {
    let divisions = BTreeSet::from([DivisionRef::from(division.to_owned())]);
    OwnGrants {
        permissions: OwnGrants::required().map(|name| (name.to_owned(), divisions.clone())).collect(),
        divisions,
    }
}

fn gap(fact: Fact) -> Gap {
    Gap {
        fact,
        subject: None,
        reason: "server".to_owned(),
        detail: "it failed".to_owned(),
        stale_since: None,
    }
}

/// Runs audits one after the other, a minute apart.
fn run(audits: impl IntoIterator<Item = Facts>) -> Vec<Observed> {
    let mut seen: Vec<Observed> = Vec::new();
    for (number, facts) in (0..).zip(audits) {
        let before = seen.last().map(|past| Before {
            at: DateTime::from_timestamp(60 * (number - 1), 0).unwrap(),
            snapshot: &past.snapshot,
            gaps: &past.gaps,
            pending_removals: &past.pending_removals,
        });
        seen.push(snapshot(facts, Settings::default(), &[], before));
    }
    seen
}

fn clients(observed: &Observed) -> Vec<&str> {
    observed.snapshot.clients.keys().map(ClientId::as_str).collect()
}

#[test]
fn what_is_not_listed_is_gone() {
    let seen = run([facts(&["a", "b", "c"], &["r1"]), facts(&["a", "b"], &["r1"])]);
    assert_eq!(clients(&seen[1]), ["a", "b"]);
    assert!(seen[1].gaps.is_empty());
}

#[test]
fn a_listing_that_halves_is_believed_when_the_next_audit_agrees() {
    let all = ["a", "b", "c", "d"];
    let seen = run([facts(&all, &["r1"]), facts(&["a"], &["r1"]), facts(&["a"], &["r1"])]);
    assert_eq!(clients(&seen[1]), all);
    assert_eq!(seen[1].gaps[0].reason, "unconfirmed_drop");
    assert_eq!(
        seen[1].gaps[0].detail,
        "the list of clients has 1 where it had 4; 3 kept as last seen: a listing that halves is believed when the \
         next audit agrees"
    );
    assert_eq!(clients(&seen[2]), ["a"]);
    assert!(seen[2].gaps.is_empty() && seen[2].pending_removals.is_empty());
}

#[test]
fn an_empty_listing_that_was_a_hiccup_changes_nothing() {
    let all = ["a", "b", "c", "d"];
    let seen = run([facts(&all, &["r1"]), facts(&[], &[]), facts(&all, &["r1"])]);
    assert_eq!(seen[1].snapshot, seen[0].snapshot);
    assert_eq!(seen[1].gaps.len(), 2, "clients and roles");
    assert_eq!(seen[2].snapshot, seen[0].snapshot);
    assert!(seen[2].gaps.is_empty());
}

#[test]
fn only_what_both_short_listings_lack_is_gone() {
    let seen = run([facts(&["a", "b", "c", "d"], &["r1"]), facts(&["a"], &["r1"]), facts(&["b"], &["r1"])]);
    // c and d were missing twice; a is missing for the first time, in a listing that is still short.
    assert_eq!(clients(&seen[2]), ["a", "b"]);
    assert_eq!(seen[2].pending_removals, BTreeSet::from([(Fact::Clients, "a".to_owned())]));
}

#[test]
fn an_optional_fact_that_fails_is_carried_forward_since_it_was_last_seen() {
    let failing = || Facts {
        catalogue: Reading::Gap(gap(Fact::Catalogue)),
        divisions: Reading::Gap(gap(Fact::Divisions)),
        ..facts(&["a"], &["r1"])
    };
    let seen = run([facts(&["a"], &["r1"]), failing(), failing()]);
    assert_eq!(seen[2].snapshot, seen[0].snapshot);
    assert_eq!(seen[2].gaps.len(), 2);
    for gap in &seen[2].gaps {
        assert_eq!(gap.stale_since, DateTime::from_timestamp(0, 0), "{gap:?}");
    }
    assert_eq!(seen[2].object_counts, None);
}

#[test]
fn a_fact_that_was_never_read_has_no_stale_value() {
    let seen = run([Facts { catalogue: Reading::Gap(gap(Fact::Catalogue)), ..facts(&["a"], &["r1"]) }]);
    assert_eq!(seen[0].snapshot.catalogue, None);
    assert_eq!(seen[0].gaps[0].stale_since, None);
}

#[test]
fn a_catalogue_that_is_not_due_is_no_gap() {
    let seen = run([facts(&["a"], &["r1"]), Facts { catalogue: Reading::NotDue, ..facts(&["a"], &["r1"]) }]);
    assert_eq!(seen[1].snapshot, seen[0].snapshot);
    assert!(seen[1].gaps.is_empty());
}

#[test]
fn what_an_auditor_with_less_power_does_not_see_is_not_gone() {
    let blind =
        |clients: &[&str]| Facts { own_grants: Reading::Seen(grants("d1")), ..facts(clients, &["r1"]) };
    let all = ["a", "b", "c", "d"];
    let seen = run([
        facts(&all, &["r1"]),
        blind(&["a", "b", "c"]),
        blind(&["a", "b"]),
        facts(&["a", "b", "c"], &["r1"]),
    ]);
    assert_eq!(clients(&seen[1]), all);
    assert_eq!(clients(&seen[2]), all);
    assert_eq!(seen[2].gaps[0].fact, Fact::OwnGrants);
    assert!(seen[2].gaps[0].detail.contains("oauth:client:view"), "{}", seen[2].gaps[0].detail);
    // Power is back: now the listing counts.
    assert_eq!(clients(&seen[3]), ["a", "b", "c"]);
    assert!(seen[3].gaps.is_empty());
}

#[test]
fn an_auditor_that_gave_up_power_it_does_not_need_sees_no_less() {
    let mut broad = grants("*");
    broad.divisions.insert(DivisionRef::One("d1".into()));
    let seen = run([
        Facts { own_grants: Reading::Seen(broad), ..facts(&["a", "b", "c"], &["r1"]) },
        facts(&["a", "b"], &["r1"]),
    ]);
    assert_eq!(clients(&seen[1]), ["a", "b"]);
    assert!(seen[1].gaps.is_empty());
}

#[test]
fn grants_that_a_record_did_not_carry_are_those_last_seen() {
    let mut bare = facts(&["a"], &["r1"]);
    bare.clients[0].grants = None;
    bare.gaps.push(Gap { subject: Some("a".to_owned()), ..gap(Fact::ClientGrants) });
    let seen = run([facts(&["a"], &["r1"]), bare]);
    assert_eq!(seen[1].snapshot, seen[0].snapshot);
    assert_eq!(seen[1].gaps.len(), 1);
}

fn seen(client: &str, role: &str) -> (ClientId, ObservedGrants) {
    let grant = crate::domain::inventory::Grant { division: DivisionRef::All, role: role.into() };
    let grants = ObservedGrants { id: client.into(), inherited: BTreeMap::new(), own: [grant].into() };
    (client.into(), grants)
}

#[test]
fn what_a_client_was_seen_to_be_granted_stays_until_the_next_look() {
    let look = |grants: &[(&str, &str)], gap: Option<Gap>| Facts {
        grants: GrantsSeen {
            seen: grants.iter().map(|(client, role)| seen(client, role)).collect(),
            gaps: gap.into_iter().collect(),
        },
        ..facts(&["a", "b", "c"], &["r1"])
    };
    let failed = Gap { subject: Some("a".to_owned()), ..gap(Fact::Grants) };
    let runs = run([
        look(&[("a", "r1"), ("b", "r1")], None),
        look(&[("b", "r2")], Some(failed.clone())),
        facts(&["a", "b", "c"], &["r1"]),
        facts(&["b", "c"], &["r1"]),
    ]);
    let role = |run: &Observed, client: &str| {
        run.snapshot.grants.get(client).map(|seen| seen.own.first().unwrap().role.to_string())
    };
    assert_eq!(role(&runs[1], "a").as_deref(), Some("r1"), "a look that failed shows no empty set");
    assert_eq!(role(&runs[1], "b").as_deref(), Some("r2"));
    assert_eq!(runs[1].gaps, [failed], "with the time that it came with");
    assert_eq!(runs[2].snapshot.digest(), runs[1].snapshot.digest(), "no look, no change");
    assert!(runs[2].gaps.is_empty());
    assert_eq!(role(&runs[3], "a"), None, "it goes with its client");
}

#[test]
fn a_client_that_begins_to_act_as_its_user_takes_its_observed_grants_along() {
    let mut user = facts(&["a"], &["r1"]);
    user.clients[0].grant_type = "CODE".to_owned().into();
    let first = Facts {
        grants: GrantsSeen { seen: [seen("a", "r1")].into(), gaps: [].into() },
        ..facts(&["a"], &["r1"])
    };
    let runs = run([first, user]);
    assert_eq!((runs[0].snapshot.grants.len(), runs[1].snapshot.grants.len()), (1, 0));
}

proptest! {
    #[test]
    fn the_order_of_what_arrives_does_not_matter(
        ids in prop::collection::btree_set("[a-z]{1,3}", 0..12).prop_map(|ids| ids.into_iter().collect::<Vec<_>>()),
        seed in any::<u64>(),
    ) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let sorted = run([facts(&ids, &ids)]).remove(0).snapshot;
        let mut shuffled = ids.clone();
        shuffled.sort_by_key(|id| {
            super::super::evidence::Hash::of(format!("{seed}{id}").as_bytes())
        });
        let other = run([facts(&shuffled, &shuffled)]).remove(0).snapshot;
        prop_assert_eq!(sorted.digest(), other.digest());
    }

    #[test]
    fn nothing_leaves_before_it_was_missing_twice_or_a_listing_was_credible(
        first in prop::collection::btree_set(0..12_u8, 1..12),
        second in prop::collection::btree_set(0..12_u8, 0..12),
    ) {
        let names = |ids: &BTreeSet<u8>| ids.iter().map(|id| format!("c{id:02}")).collect::<Vec<_>>();
        let (first, second) = (names(&first), names(&second));
        let listed = |names: &[String]| facts(&names.iter().map(String::as_str).collect::<Vec<_>>(), &["r1"]);
        let seen = run([listed(&first), listed(&second), listed(&second)]);
        let credible = second.len() * 2 > first.len();
        for id in &first {
            let kept = seen[1].snapshot.clients.contains_key(id.as_str());
            prop_assert_eq!(kept, second.contains(id) || !credible);
        }
        // Agreed twice: the snapshot is what is listed.
        prop_assert_eq!(clients(&seen[2]), second.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(seen[2].gaps.is_empty());
    }
}

#[test]
fn the_collector_is_told_what_was_known() {
    let snapshot = {
        let mut snapshot = fixtures::snapshot([client("a")], [role("r1").can("routing:queue:fly")]);
        snapshot.catalogue = Some(catalogue(["routing:queue:view"]));
        snapshot.seal()
    };
    let told = known(Some(&snapshot));
    assert_eq!(told.clients.len() + told.roles.len(), 2);
    assert_eq!(told.divisions.len(), 2);
    assert_eq!(told.unknown_permissions, BTreeSet::from(["routing:queue:fly".to_owned()]));
    assert_eq!(known(None), Known::default());
}
