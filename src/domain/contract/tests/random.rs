//! Whatever is declared over the real table of operations: the role lets every call through, and nothing of it can go.

use proptest::prelude::*;

use super::*;
use crate::domain::{catalogue::Operations, permission::PermissionSet};

fn calls() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..Operations::compiled_in().len(), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_role_suffices_and_every_permission_of_it_is_necessary(places in calls()) {
        let org = holder(&[], "*");
        let operations = Operations::compiled_in();
        let names: Vec<&str> = places.iter().map(|at| &*operations.get(*at).unwrap().name).collect();
        let proposal = proposed(&org, &names, false);
        let unavailable: BTreeSet<&str> = proposal.unavailable.iter().map(|one| one.operation.as_str()).collect();
        prop_assert!(unavailable.len() <= 5 && proposal.unknown.is_empty());
        let permissions = permissions(&proposal.role);
        prop_assert!(permissions.iter().all(|name| !name.contains('*') && name.split(':').count() == 3));
        let refused = |access: &Access<'_>, held: &PermissionSet| {
            let available = names.iter().filter(|name| !unavailable.contains(**name));
            available.filter(|name| access.allows(operations.find(name).unwrap(), held) == Some(false)).count()
        };
        // As a role that the client holds.
        let with = snapshot([client("c").grant("r", "*")], [as_held(&proposal.role)]);
        let access = Access::new(&with);
        prop_assert_eq!(refused(&access, &access.reach(&with.clients["c"])), 0);
        for permission in &permissions {
            let others = permissions.iter().filter(|name| *name != permission);
            let held = access.universe.set(others.map(String::as_str));
            prop_assert!(refused(&access, &held) > 0, "{} can go", permission);
        }
        // As scopes: every call is let through.
        let scoped = proposal.scopes.iter().fold(client("c"), |client, scope| client.scope(scope));
        prop_assert!(places.iter().all(|at| access.in_scope(&scoped, *at)));
    }

    #[test]
    fn what_is_too_much_can_go_without_breaking_a_declared_call(
        places in calls(),
        held in prop::collection::vec(0..Operations::compiled_in().len(), 0..30),
    ) {
        let operations = Operations::compiled_in();
        let held: Vec<&str> = held.iter().flat_map(|at| operations.get(*at).unwrap().permissions()).collect();
        let held: Vec<&str> = held.into_iter().filter(|name| name.split(':').count() == 3).take(40).collect();
        let org = holder(&held, "d1");
        let names: Vec<&str> = places.iter().map(|at| &*operations.get(*at).unwrap().name).collect();
        let proposal = proposed(&org, &names, false);
        let missing: BTreeSet<&str> = proposal.missing.iter().filter_map(|missing| missing.operation.as_deref()).collect();
        let cut: BTreeSet<&str> = (proposal.excess.iter())
            .filter(|excess| excess.instead.is_empty())
            .map(|excess| excess.permission.as_str())
            .collect();
        let left: Vec<&str> = held.iter().copied().filter(|name| !cut.contains(name)).collect();
        let less = holder(&left, "d1");
        let access = Access::new(&less);
        let reach = access.reach(&less.clients["c"]);
        let unavailable: BTreeSet<&str> = proposal.unavailable.iter().map(|one| one.operation.as_str()).collect();
        for name in names.iter().filter(|name| !missing.contains(**name) && !unavailable.contains(**name)) {
            let allowed = access.allows(operations.find(name).unwrap(), &reach);
            prop_assert_ne!(allowed, Some(false), "{} is broken by cutting {:?}", name, cut);
        }
    }
}
