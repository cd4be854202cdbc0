//! What the analysis predicts of each operation for one client.
//!
//! Enters: an [`Access`] and a client. Leaves: a [`Prediction`] an operation, and what lies next to what the client
//! holds. Must never: predict a refusal where what the client holds is not known.

use std::collections::BTreeSet;

use super::Prediction;
use crate::domain::{
    DivisionRef,
    access::{ALL_SCOPES, Access, acts_by_roles},
    catalogue::Operation,
    inventory::Client,
    permission::PermissionSet,
};

/// Where a client holds a permission, without a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Not at all, as far as is seen.
    Nowhere,
    /// In some division.
    Somewhere,
    /// In every division, or no division restricts it.
    Everywhere,
}

/// What is predicted for one client.
#[derive(Debug)]
pub struct Forecast<'a> {
    access: &'a Access<'a>,
    /// By the operation's place in the list.
    predictions: Vec<Prediction>,
    /// Held without a condition, somewhere.
    firm: PermissionSet,
    /// The same, in every division (or no division restricts it).
    everywhere: PermissionSet,
    domains: BTreeSet<&'a str>,
    /// `domain:entity`.
    entities: BTreeSet<&'a str>,
}

impl<'a> Forecast<'a> {
    /// Works it out.
    pub fn of(access: &'a Access<'a>, client: &Client) -> Self {
        let by_roles = acts_by_roles(client);
        let (mut reach, mut firm) = (access.universe.none(), access.universe.none());
        let mut everywhere = access.universe.none();
        for grant in access.granted(client).filter(|_| by_roles) {
            let Some(role) = access.role(&grant.role) else { continue };
            reach.union_with(&role.matched);
            // What a role matches beyond its listed permissions, this catalogue says nothing about.
            let mut conditional = role.listed.clone();
            conditional.difference_with(&role.firm);
            let mut without = role.matched.clone();
            without.difference_with(&conditional);
            firm.union_with(&without);
            if grant.division != DivisionRef::All {
                without.difference_with(&access.division_aware);
            }
            everywhere.union_with(&without);
        }
        let is_known = by_roles && client.grants.is_some() && access.power(client).unseen_roles.is_empty();
        let bound = access.scopes_bind_roles();
        let firmly = access.may_call(&firm).map(|(_, granted)| granted == Some(true));
        let predictions = access.may_call(&reach).zip(firmly).map(|((operation, granted), firmly)| {
            let hidden = bound && !in_scope(client, operation);
            match granted {
                None if !hidden => Prediction::Undeclared,
                _ if !by_roles => Prediction::Unknown,
                _ if hidden => Prediction::Refused,
                Some(true) if firmly => Prediction::Granted,
                Some(true) => Prediction::Conditional,
                Some(false) | None if is_known => Prediction::Refused,
                Some(false) | None => Prediction::Unknown,
            }
        });
        let predictions = predictions.collect();
        let names = || reach.ones().map(|at| access.universe.name(at));
        let domains = names().filter_map(|name| name.split_once(':')).map(|(domain, _)| domain).collect();
        let entities = names().filter_map(|name| name.rsplit_once(':')).map(|(entity, _)| entity).collect();
        Self { access, predictions, firm, everywhere, domains, entities }
    }

    /// What is predicted of the operation at a place of the list.
    pub fn of_operation(&self, at: usize) -> Prediction {
        self.predictions.get(at).copied().unwrap_or(Prediction::Unknown)
    }

    /// Where the client holds a permission without a condition.
    pub fn held(&self, permission: &str) -> Held {
        match self.access.universe.number(permission) {
            Some(at) if self.everywhere.contains(at) => Held::Everywhere,
            Some(at) if self.firm.contains(at) => Held::Somewhere,
            _ => Held::Nowhere,
        }
    }

    /// How far an operation is from what the client holds: 0, it holds another action on the same entity; 1, something
    /// in the same domain; 2, nothing near.
    pub fn distance(&self, operation: &Operation) -> u8 {
        let nearest = operation.permissions().map(|name| {
            let entity = name.rsplit_once(':').map(|(entity, _)| entity);
            if entity.is_some_and(|entity| self.entities.contains(entity)) {
                0
            } else if name.split_once(':').is_some_and(|(domain, _)| self.domains.contains(domain)) {
                1
            } else {
                2
            }
        });
        nearest.min().unwrap_or(2)
    }
}

fn in_scope(client: &Client, operation: &Operation) -> bool {
    operation.scopes.is_empty()
        || client.scopes.contains(ALL_SCOPES)
        || operation.scopes().any(|scope| client.scopes.contains(scope))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ScopeEnforcement,
        catalogue::Operations,
        fixtures::{client, role, snapshot},
        snapshot::{Settings, Snapshot},
    };

    fn predicted(snapshot: &Snapshot, operation: &str) -> Prediction {
        let access = Access::new(snapshot);
        let forecast = Forecast::of(&access, &snapshot.clients["c"]);
        forecast.of_operation(Operations::compiled_in().find(operation).unwrap())
    }

    const DELETE: &str = "DELETE /api/v2/authorization/roles/{roleId}";

    #[test]
    fn each_kind_of_knowledge_is_its_own_prediction() {
        let holder = || client("c").grant("r", "*");
        let all = |role| snapshot([holder()], [role]);
        assert_eq!(predicted(&all(role("r").can("authorization:role:delete")), DELETE), Prediction::Granted);
        assert_eq!(predicted(&all(role("r").general("admin")), DELETE), Prediction::Granted);
        let conditional = role("r").can_if("authorization:role:delete", "{}");
        assert_eq!(predicted(&all(conditional), DELETE), Prediction::Conditional);
        assert_eq!(predicted(&all(role("r")), DELETE), Prediction::Refused);
        assert_eq!(predicted(&all(role("r")), "GET /api/v2/oauth/scopes"), Prediction::Undeclared);
        // A role that was not read may give anything.
        assert_eq!(predicted(&snapshot([holder()], []), DELETE), Prediction::Unknown);
        assert_eq!(
            predicted(&snapshot([holder().of_type("CODE")], [role("r")]), DELETE),
            Prediction::Unknown
        );
    }

    #[test]
    fn a_role_granted_behind_the_record_is_predicted_too() {
        let org =
            snapshot([client("c").grant("r", "*")], [role("r"), role("b").can("authorization:role:delete")]);
        assert_eq!(predicted(&org, DELETE), Prediction::Refused);
        assert_eq!(predicted(&org.observing("c", &[("b", "d1")]).seal(), DELETE), Prediction::Granted);
    }

    #[test]
    fn enforced_scopes_are_predicted_as_a_refusal() {
        let org = |scope_enforcement| {
            let holder = client("c").grant("r", "*").scope("routing");
            let snapshot = snapshot([holder], [role("r").general("admin")]);
            Snapshot { settings: Settings { scope_enforcement }, ..snapshot }.seal()
        };
        assert_eq!(predicted(&org(ScopeEnforcement::Unknown), DELETE), Prediction::Granted);
        assert_eq!(predicted(&org(ScopeEnforcement::AllGrants), DELETE), Prediction::Refused);
        // Also where no permission is declared.
        assert_eq!(
            predicted(&org(ScopeEnforcement::AllGrants), "GET /api/v2/oauth/scopes"),
            Prediction::Refused
        );
    }

    #[test]
    fn the_distance_counts_shared_entities_and_domains() {
        let org = snapshot([client("c").grant("r", "*")], [role("r").can("authorization:role:view")]);
        let access = Access::new(&org);
        let forecast = Forecast::of(&access, &org.clients["c"]);
        let distance = |name| {
            let operations = Operations::compiled_in();
            forecast.distance(operations.get(operations.find(name).unwrap()).unwrap())
        };
        assert_eq!(distance(DELETE), 0);
        assert_eq!(distance("DELETE /api/v2/authorization/divisions/{divisionId}"), 1);
        assert_eq!(distance("DELETE /api/v2/flows/{flowId}"), 2);
        assert_eq!(forecast.held("authorization:role:view"), Held::Everywhere);
        assert_eq!(forecast.held("authorization:role:delete"), Held::Nowhere);
    }

    #[test]
    fn a_grant_in_one_division_holds_somewhere_what_divisions_restrict() {
        let known = crate::domain::fixtures::catalogue(["routing:queue:view", "audits:audit:view!"]);
        let org = snapshot(
            [client("c").grant("r", "d1")],
            [role("r").can("routing:queue:view").can("audits:audit:view")],
        );
        let org = Snapshot { catalogue: Some(known), ..org }.seal();
        let access = Access::new(&org);
        let forecast = Forecast::of(&access, &org.clients["c"]);
        assert_eq!(forecast.held("routing:queue:view"), Held::Somewhere);
        assert_eq!(forecast.held("audits:audit:view"), Held::Everywhere, "no division restricts it");
    }
}
