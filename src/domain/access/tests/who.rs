//! The question the other way round gives the same answers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::organisation::organisation;
use crate::domain::{
    DivisionRef,
    access::{
        Access, Authority, Granted, UpperBound,
        who::{Asked, Can, Holders, Unknown},
    },
    fixtures::{catalogue, client, role, snapshot, when},
    snapshot::Snapshot,
};

fn org() -> Snapshot {
    let known = catalogue([
        "routing:queue:view",
        "routing:queue:edit",
        "routing:skill:view",
        "directory:user:delete",
        "authorization:grant:view",
        "recording:recording:view",
        "recording:job:view!",
    ]);
    let org = snapshot(
        [
            client("a").grant("queues", "d1").scope("routing:readonly"),
            client("b").grant("boss", "*"),
            client("c").grant("if", "d1").grant("if", "home"),
            client("d"),
            client("lost").grant("gone", "*"),
            client("u").of_type("CODE").scope("users"),
        ],
        [
            role("queues").can("routing:queue:*"),
            role("boss").general("admin"),
            role("if").can_if("routing:queue:view", "{}"),
        ],
    );
    Snapshot { catalogue: Some(known), ..org }.seal()
}

fn names(org: &Snapshot, question: &str) -> Vec<String> {
    let access = Access::new(org);
    let asked = Asked::read(&access, question).unwrap();
    Holders::new(&access)
        .answer(&asked, |_| when().into())
        .into_iter()
        .map(|holder| holder.client.id.to_string())
        .collect()
}

#[test]
fn holders_come_first_then_what_is_not_known_then_who_acts_as_a_user() {
    let org = org();
    assert_eq!(names(&org, "routing:queue:view"), ["a", "b", "c", "lost", "u"]);
    assert_eq!(names(&org, "directory:user:delete"), ["b", "lost", "u"]);
    assert_eq!(names(&org, "routing:*:*"), ["a", "b", "c", "lost", "u"]);
    assert_eq!(names(&org, "admin"), ["b", "lost", "u"]);
    assert_eq!(names(&org, "DELETE /api/v2/users/{any}"), ["b", "lost", "u"]);
}

#[test]
fn each_holder_comes_with_its_ways() {
    let org = org();
    let access = Access::new(&org);
    let asked = Asked::read(&access, "routing:queue:*").unwrap();
    let found = Holders::new(&access).answer(&asked, |_| when().into());
    let [a, b, c, lost, u] = &found[..] else { panic!("{found:?}") };
    assert_eq!(a.permissions, ["routing:queue:edit", "routing:queue:view"]);
    assert_eq!(a.divisions, [DivisionRef::One("d1".into())]);
    assert!(a.in_scope && !a.conditional);
    assert_eq!((a.via.len(), a.via[0].via.role.as_str()), (2, "queues"));
    assert_eq!(b.divisions, [DivisionRef::All]);
    assert_eq!(c.permissions, ["routing:queue:view"]);
    assert!(c.conditional && c.divisions.len() == 2 && c.via.len() == 2);
    assert_eq!((lost.granted, lost.via.len()), (Can::NotKnown, 0));
    assert_eq!((u.authority, u.upper_bound), (Authority::User, Some(UpperBound::Unbounded)));
    let shown = serde_json::to_value(lost).unwrap();
    assert_eq!((&shown["granted"], &shown["upper_bound"]), (&"unknown".into(), &serde_json::Value::Null));
    let shown = serde_json::to_value(a).unwrap();
    assert_eq!(shown["granted"], true);
    assert_eq!(shown["via"][0]["permission"], "routing:queue:edit");
    assert_eq!(shown["via"][0]["role_name"], "Role queues");
}

#[test]
fn an_operation_that_needs_all_of_several_permissions_counts_where_all_are_held() {
    let name = "POST /api/v2/orgauthorization/trustees";
    let needs = ["authorization:orgTrustee:add", "authorization:orgTrusteeUser:add"];
    let known = catalogue(needs);
    let ask = |places: [&str; 2]| {
        let holder = client("c").grant("r0", places[0]).grant("r1", places[1]);
        let org = snapshot([holder], [role("r0").can(needs[0]), role("r1").can(needs[1])]);
        let org = Snapshot { catalogue: Some(known.clone()), ..org }.seal();
        let access = Access::new(&org);
        let asked = Asked::read(&access, name).unwrap();
        let found = Holders::new(&access).answer(&asked, |_| when().into());
        found[0].divisions.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(ask(["*", "d1"]), ["d1"]);
    assert_eq!(ask(["d1", "d1"]), ["d1"]);
    assert_eq!(ask(["*", "*"]), ["*"]);
    assert!(ask(["home", "d1"]).is_empty(), "it holds both, and nowhere together");
}

#[test]
fn an_operation_that_declares_nothing_is_said_to_be_undeclared() {
    let org = org();
    let access = Access::new(&org);
    let asked = Asked::read(&access, "GET /api/v2/authorization/divisions").unwrap();
    let holders = Holders::new(&access);
    let found = holders.answer(&asked, |_| when().into());
    assert_eq!(found.len(), org.clients.len());
    assert!(found.iter().all(|holder| holder.granted == Can::By(Granted::Undeclared)));
    let Asked::Operation(at) = asked else { panic!("{asked:?}") };
    assert_eq!(holders.of_operation(at), None);
}

#[test]
fn unknown_names_bring_the_nearest_known_ones() {
    let org = org();
    let access = Access::new(&org);
    for (question, kind, near) in [
        ("routing:queue:veiw", "permission", "routing:queue:view"),
        ("routing:queues:*", "pattern", "routing:queue:*"),
        ("GET /api/v2/routing/queue", "operation", "GET /api/v2/routing/queues"),
        ("/api/v2/users/{userId}", "operation", ""),
        ("zzz", "permission", ""),
    ] {
        let Unknown { kind: found, near: names } = Asked::read(&access, question).unwrap_err();
        assert_eq!(found, kind, "{question}");
        assert!(near.is_empty() || names.iter().any(|name| name == near), "{question}: {names:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn who_can_is_access_turned_round(org in organisation()) {
        let access = Access::new(&org);
        let holders = Holders::new(&access);
        let reports: Vec<_> =
            org.clients.values().map(|client| access.report("acme", client, true, when())).collect();
        for at in 0..access.universe.len() {
            let name = access.universe.name(at);
            let holding: BTreeSet<usize> = reports.iter().enumerate()
                .filter(|(_, report)| report.permissions.iter().any(|held| held.permission == name))
                .map(|(client, _)| client)
                .collect();
            let turned: BTreeSet<usize> = holders.of_permission(at).ones().collect();
            prop_assert_eq!(&turned, &holding, "{}", name);
            // The ways and divisions are those of the report.
            if !holding.is_empty() {
                let answer = holders.answer(&Asked::Permissions(vec![at]), |_| when().into());
                let by_roles: Vec<_> = answer.iter().filter(|holder| !holder.via.is_empty()).collect();
                prop_assert_eq!(by_roles.len(), holding.len());
                for holder in by_roles {
                    let report = reports.iter().find(|report| report.client == holder.client).unwrap();
                    let held = report.permissions.iter().find(|held| held.permission == name).unwrap();
                    prop_assert_eq!(&holder.divisions, &held.divisions);
                    prop_assert_eq!((holder.conditional, holder.in_scope), (held.conditional, held.in_scope));
                    prop_assert!(holder.via.iter().map(|way| &way.via).eq(&held.via));
                }
            }
        }
        for (at, operation) in access.operations.iter().enumerate() {
            let turned = holders.of_operation(at);
            for (client, report) in reports.iter().enumerate() {
                if report.authority == Authority::User {
                    continue;
                }
                let told = &report.operations.as_ref().unwrap()[at];
                let expected = match told.granted {
                    Granted::Yes => Some(true),
                    Granted::No => Some(false),
                    Granted::Undeclared => None,
                };
                let found = turned.as_ref().map(|set| set.contains(client));
                prop_assert_eq!(found, expected, "{}", operation.name);
            }
        }
    }
}
