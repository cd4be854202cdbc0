//! Case by case, then against a slow and obvious reference on random organisations.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    ScopeEnforcement,
    fixtures::{client, role, snapshot},
    permission::patterns,
    snapshot::{Settings, Snapshot},
};

/// The sentence of the stated path of client `c`, the others being there to be reached.
fn path(org: &Snapshot) -> Option<String> {
    let access = Access::new(org);
    let graph = Escalation::new(&access);
    let standing = graph.of(&org.clients["c"]);
    standing.stated.map(|path| path.sentence())
}

#[test]
fn giving_roles_reaches_a_role_that_allows_everything() {
    let org = snapshot(
        [client("c").grant("r", "*")],
        [role("r").can("authorization:grant:add"), role("boss").general("admin")],
    );
    assert_eq!(
        path(&org).unwrap(),
        "Client c holds authorization:grant:add by the role Role r, so it may give any role to anybody, itself \
         included; the role Role boss allows everything"
    );
}

#[test]
fn without_such_a_role_it_goes_on_by_what_the_roles_give() {
    let giver = || role("r").can("authorization:grant:add");
    let onward = snapshot([client("c").grant("r", "*")], [giver(), role("e").can("authorization:role:edit")]);
    let told = path(&onward).unwrap();
    assert!(
        told.ends_with(
            "; the role Role e gives authorization:role:edit, so it then may change the permissions of any role: everything"
        ),
        "{told}"
    );
    let dead_end = snapshot([client("c").grant("r", "*")], [giver(), role("e").can("routing:queue:view")]);
    assert!(path(&dead_end).unwrap().ends_with("though none of them allows everything"));
}

#[test]
fn an_end_at_everything_is_told_before_one_at_all_roles_and_a_stated_one_before_an_assumed_one() {
    let org = snapshot(
        [client("c").grant("r", "*")],
        [role("r")
            .can("authorization:grant:add")
            .can("authorization:orgTrusteeUser:edit")
            .can("directory:user:setPassword")],
    );
    let access = Access::new(&org);
    let graph = Escalation::new(&access);
    let standing = graph.of(&org.clients["c"]);
    let stated = standing.stated.unwrap();
    assert_eq!(stated.permissions(), ["directory:user:setPassword"]);
    assert_eq!(standing.others, ["grant-role", "trusted-user-roles"]);
    assert!(standing.assumed.is_none());
    assert_eq!(stated.provisos(), ["It needs that an administrator may sign in with a password."]);
}

#[test]
fn a_condition_or_an_unread_precondition_makes_a_way_assumed() {
    for role in [
        role("r").can_if("authorization:role:edit", "{}"),
        role("r").can("authorization:orgTrusteeGroup:add"),
    ] {
        let org = snapshot([client("c").grant("r", "*")], [role]);
        let access = Access::new(&org);
        let graph = Escalation::new(&access);
        let standing = graph.of(&org.clients["c"]);
        assert!(standing.stated.is_none());
        let provisos = standing.assumed.unwrap().provisos().join(" ");
        assert!(provisos.contains("assumed"), "{provisos}");
    }
}

#[test]
fn a_new_secret_reaches_only_clients_whose_roles_are_held() {
    let org = snapshot(
        [
            client("c").grant("r", "*").grant("s", "d1"),
            client("same").grant("s", "*"),
            client("none"),
            client("more").grant("s", "*").grant("t", "*"),
            client("user").of_type("CODE"),
        ],
        [role("r").can("oauth:client:edit"), role("s").can("routing:queue:view"), role("t")],
    );
    let access = Access::new(&org);
    let graph = Escalation::new(&access);
    let standing = graph.of(&org.clients["c"]);
    assert!(standing.stated.is_none() && standing.assumed.is_none(), "it reaches only what it holds");
    assert_eq!(standing.could_become, 2);
    assert_eq!(graph.of(&org.clients["same"]).could_become, 0);
    assert!(graph.of(&org.clients["user"]).as_user);
}

#[test]
fn single_divisions_are_said() {
    let catalogue = crate::domain::fixtures::catalogue(["authorization:grant:add", "oauth:client:view!"]);
    let org = |division| {
        let org = snapshot(
            [client("c").grant("r", division)],
            [role("r").can("authorization:grant:add"), role("boss").general("admin")],
        );
        Snapshot { catalogue: Some(catalogue.clone()), ..org }.seal()
    };
    for (division, said) in [("d1", true), ("*", false)] {
        let org = org(division);
        let access = Access::new(&org);
        let graph = Escalation::new(&access);
        let provisos = graph.of(&org.clients["c"]).stated.unwrap().provisos().join(" ");
        assert_eq!(provisos.contains("single divisions"), said, "{provisos}");
    }
}

#[test]
fn scopes_close_a_way_only_where_they_bind_every_grant() {
    for setting in ScopeEnforcement::ALL {
        let org = snapshot(
            [client("c").grant("r", "*").scope("routing")],
            [role("r").can("authorization:role:edit")],
        );
        let org = Snapshot { settings: Settings { scope_enforcement: setting }, ..org }.seal();
        assert_eq!(path(&org).is_none(), setting == ScopeEnforcement::AllGrants, "{setting:?}");
    }
}

/// What a set of roles gives, by name; `firm`: only without a condition.
fn holds(roles: &[&Role], permission: &str, firm: bool) -> bool {
    let gives = |role: &&Role| {
        patterns(role)
            .any(|(pattern, condition)| pattern.matches(permission) && !(firm && condition.is_some()))
    };
    roles.iter().any(gives)
}

fn all_of_it(org: &Snapshot, role: &Role) -> bool {
    let access = Access::new(org);
    let every = access.catalogue.permissions.keys().all(|name| holds(&[role], name, false));
    role.general.contains("admin") || holds(&[role], "a:permission:nobody-knows", false) || every
}

/// Where some roles lead by stated ways: tries every way, then every way after it.
fn leads(org: &Snapshot, roles: &[&Role], again: bool) -> Option<Goal> {
    let mut best: Option<Goal> = None;
    for way in ways::table().iter().filter(|way| way.certainty == Certainty::Stated) {
        if !way.permissions.iter().all(|permission| holds(roles, permission, true)) {
            continue;
        }
        let goal = match way.opens {
            Opens::Client => continue,
            Opens::Everything | Opens::User => Goal::Everything,
            Opens::EveryRole if !again => continue,
            Opens::EveryRole => {
                let every: Vec<&Role> = org.roles.values().collect();
                let strong = every.iter().any(|role| all_of_it(org, role));
                if strong { Goal::Everything } else { leads(org, &every, false).unwrap_or(Goal::EveryRole) }
            }
        };
        best = Some(best.map_or(goal, |known| known.min(goal)));
    }
    best
}

fn organisation() -> impl Strategy<Value = Snapshot> {
    let names = vec![
        "authorization:role:edit",
        "authorization:role:add",
        "authorization:grant:add",
        "authorization:*:*",
        "authorization:*:add",
        "directory:user:setPassword",
        "oauth:client:edit",
        "authorization:orgTrustee:add",
        "authorization:orgTrusteeUser:add",
        "routing:queue:view",
        "routing:queue:edit",
        "*:*:view",
    ];
    let permission = (prop::sample::select(names), prop::bool::weighted(0.2));
    let roles = prop::collection::vec(prop::collection::vec(permission, 0..3), 1..5);
    let clients = prop::collection::vec(prop::collection::btree_set(0..5_usize, 0..4), 1..6);
    (roles, clients, prop::bool::weighted(0.3)).prop_map(|(roles, clients, boss)| {
        let mut made: Vec<Role> = Vec::new();
        for (at, permissions) in roles.into_iter().enumerate() {
            let mut one = role(&format!("r{at}"));
            for (name, conditional) in permissions {
                one = if conditional { one.can_if(name, "{}") } else { one.can(name) };
            }
            made.push(one);
        }
        if boss {
            made.push(role("boss").general("admin"));
        }
        let clients = clients.into_iter().enumerate().map(|(at, roles)| {
            roles
                .into_iter()
                .fold(client(&format!("c{at}")), |client, role| client.grant(&format!("r{role}"), "*"))
        });
        snapshot(clients, made)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_standing_equals_the_reference(org in organisation()) {
        let access = Access::new(&org);
        let graph = Escalation::new(&access);
        let ids = |client: &Client| -> BTreeSet<RoleId> {
            client.grants().map(|grant| grant.role.clone()).collect()
        };
        for client in org.clients.values() {
            let roles: Vec<&Role> = client.grants().filter_map(|grant| org.roles.get(&grant.role)).collect();
            let standing = graph.of(client);
            let everything = roles.iter().any(|role| all_of_it(&org, role));
            prop_assert_eq!(standing.has_everything, everything);
            let expected = if everything { None } else { leads(&org, &roles, true) };
            prop_assert_eq!(standing.stated.as_ref().map(|path| path.goal), expected, "{:?}", client);
            if let Some(path) = &standing.stated {
                prop_assert_eq!(path.certainty, Certainty::Stated);
                let told = path.sentence();
                let named = path.permissions().iter().all(|name| told.contains(name));
                prop_assert!(told.contains(&client.name) && named);
            }
            let others = org.clients.values().filter(|other| other.id != client.id);
            let every: Vec<&Role> = org.roles.values().collect();
            let edits = |roles: &[&Role]| holds(roles, "oauth:client:edit", false);
            let reaches_all = everything || expected == Some(Goal::Everything)
                || (expected == Some(Goal::EveryRole) && edits(&every));
            let count = if reaches_all {
                others.count()
            } else if edits(&roles) {
                others.filter(|other| ids(other).is_subset(&ids(client))).count()
            } else {
                0
            };
            prop_assert_eq!(standing.could_become, count, "{:?}", client);
        }
    }
}
