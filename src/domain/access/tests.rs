//! Access against a slow and obvious reference on random organisations, and what must hold of any.

mod cases;
mod organisation;
mod reference;
mod report;
mod who;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use self::organisation::{division, organisation, pattern};
use super::{Access, Authority, Granted};
use crate::domain::{
    DivisionRef, RoleId,
    catalogue::{Catalogue, Operations},
    fixtures::when,
    inventory::{Client, Grant, GrantType},
    snapshot::Snapshot,
};

/// (permission, division, conditional), as words.
type Keys = BTreeSet<(String, String, bool)>;

fn held(access: &Access<'_>, client: &Client) -> Keys {
    let power = access.power(client);
    let name = |(at, division, conditional): (usize, &DivisionRef, bool)| {
        (access.universe.name(at).to_owned(), division.to_string(), conditional)
    };
    power.keys().map(name).collect()
}

proptest! {
    // The reference is slow where it falls back on the compiled-in catalogue and asks for scopes.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn power_equals_the_reference(org in organisation()) {
        let access = Access::new(&org);
        for client in org.clients.values() {
            prop_assert_eq!(held(&access, client), reference::power(&org, client), "{:?}", client);
            let unseen: BTreeSet<RoleId> = access.power(client).unseen_roles.into_iter().collect();
            prop_assert_eq!(unseen, reference::unseen(&org, client));
        }
    }

    #[test]
    fn a_report_shows_what_the_reference_holds_whatever_the_scopes(org in organisation()) {
        let access = Access::new(&org);
        // A report has both columns, so scopes take nothing out of it.
        let unbound = Snapshot { settings: crate::domain::snapshot::Settings::default(), ..org.clone() };
        for client in org.clients.values() {
            let report = access.report("acme", client, false, when());
            let mut shown: BTreeMap<String, (BTreeSet<String>, bool)> = BTreeMap::new();
            for permission in &report.permissions {
                let divisions = permission.divisions.iter().map(ToString::to_string).collect();
                shown.insert(permission.permission.clone(), (divisions, permission.conditional));
                prop_assert_eq!(permission.in_scope, reference::in_scope(client, &permission.permission));
            }
            let mut expected: BTreeMap<String, (BTreeSet<String>, bool)> = BTreeMap::new();
            for (permission, division, conditional) in reference::power(&unbound, client) {
                let entry = expected.entry(permission).or_insert((BTreeSet::new(), true));
                entry.0.insert(division);
                entry.1 &= conditional;
            }
            prop_assert_eq!(shown, expected);
            prop_assert_eq!(report.authority == Authority::Roles, client.grant_type == GrantType::ClientCredentials);
        }
    }

    #[test]
    fn granting_more_never_takes_anything_away(
        org in organisation(),
        more in (pattern(), any::<bool>(), 0..4_usize),
        grant in (0..5_usize, division()),
        scope in prop::sample::select(vec!["routing", "users:readonly", "all", "oauth"]),
    ) {
        let mut richer = org.clone();
        let (text, conditional, at) = more;
        let roles = richer.roles.len();
        if let Some(role) = richer.roles.values_mut().nth(at % roles) {
            *role = organisation::with(role.clone(), &text, conditional);
        }
        for client in richer.clients.values_mut() {
            let added = Grant { division: DivisionRef::from(grant.1.to_owned()), role: format!("r{}", grant.0).into() };
            client.grants.get_or_insert_default().insert(added);
            client.scopes.insert(scope.to_owned());
        }
        let (richer, org) = (richer.seal(), org);
        let catalogue = org.catalogue.clone().unwrap_or_else(|| Catalogue::compiled_in().clone());
        let [before, after] = Access::pair((&org, &catalogue), (&richer, &catalogue), |_| true);
        for (id, client) in &org.clients {
            let power = after.power(&richer.clients[id]);
            for (permission, division, conditional) in before.power(client).keys() {
                prop_assert!(
                    power.covers(permission, division, conditional),
                    "{} in {} is lost", before.universe.name(permission), division
                );
            }
            prop_assert!(before.reach(client).is_subset(&after.reach(&richer.clients[id])));
        }
    }

    #[test]
    fn a_wildcard_shows_the_same_permissions_raw_and_expanded(org in organisation(), text in pattern()) {
        let Some(catalogue) = org.catalogue.clone() else { return Ok(()) };
        // The platform may return either form; only `admin` has no expanded one.
        prop_assume!(text.contains(':'));
        let holder = crate::domain::fixtures::client("c").grant("w", "d1");
        let base = crate::domain::fixtures::role("w");
        let raw = organisation::with(base.clone(), &text, false);
        let expanded = (catalogue.permissions.keys())
            .filter(|name| reference::gives(&text, name))
            .fold(base, |role, name| organisation::with(role, name, false));
        prop_assume!(text.contains('*'));
        let listed = |role| {
            let org = crate::domain::fixtures::snapshot([holder.clone()], [role]);
            let org = Snapshot { catalogue: Some(catalogue.clone()), ..org }.seal();
            held(&Access::new(&org), &holder)
        };
        prop_assert_eq!(listed(raw), listed(expanded));
    }
}

proptest! {
    // Each case walks all operations of the platform twice.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn operations_equal_the_reference(org in organisation()) {
        let access = Access::new(&org);
        for client in org.clients.values() {
            let report = access.report("acme", client, true, when());
            for (shown, operation) in report.operations.unwrap().iter().zip(Operations::compiled_in()) {
                prop_assert_eq!(&shown.operation, &operation.name);
                prop_assert_eq!(shown.in_scope, reference::lets_through(client, operation), "{}", operation.name);
                let expected = match reference::may_call(&org, client, operation) {
                    Some(true) => Granted::Yes,
                    Some(false) => Granted::No,
                    None => Granted::Undeclared,
                };
                prop_assert_eq!(shown.granted, expected, "{}", operation.name);
            }
        }
    }
}
