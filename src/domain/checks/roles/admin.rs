//! Administrator roles: by the general permission, by a policy on everything, or by adding up to everything.

use crate::domain::{
    Fact, Severity,
    access::{Access, RolePower},
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "admin-role",
    title: "Client does not hold an administrator role",
    severity: Severity::Critical,
    rationale: "An administrator role lets whoever has the client's secret do everything, create further \
        credentials included. No integration needs everything.",
    remediation: "Create a role with the permissions that the client uses, grant it, then take the \
        administrator role away.",
    references: References {
        nist: &["AC-6", "AC-6(1)", "AC-6(5)"],
        cis: &["5.4", "6.8"],
        iso: &["A.8.2", "A.5.15"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.2", "7.2.5"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

/// How a role allows everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain::checks) enum Everything {
    /// The general permission `admin`.
    General,
    /// The policy `*:*:*`.
    Policy,
    /// It adds up to what the catalogue knows, or may do so.
    DeFacto {
        /// Permissions of the catalogue that it reaches.
        reached: usize,
        /// It reaches all of the organisation's own catalogue, as it was last read.
        whole: bool,
    },
}

impl Everything {
    /// Whether it is so as far as anybody has seen. Then the role is reported as an administrator's and for nothing
    /// less; a gap must not change that, or the lesser findings would come and go with it.
    pub(in crate::domain::checks) fn was_seen(self) -> bool {
        match self {
            Self::General | Self::Policy => true,
            Self::DeFacto { whole, .. } => whole,
        }
    }
}

/// How a role allows everything, if it does. Conditions are no way out: they bound when, not what.
///
/// While the catalogue is a gap, a role that reaches a quarter of the one at hand *may* reach all of the real one
/// (an organisation with few products has a small catalogue); that answer rests on the gap.
pub(in crate::domain::checks) fn how(
    power: &RolePower,
    access: &Access<'_>,
    catalogue_gap: bool,
) -> Option<Everything> {
    if power.admin {
        return Some(Everything::General);
    }
    if power.wildcards.iter().any(|pattern| pattern == "*:*:*") {
        return Some(Everything::Policy);
    }
    let known = access.known.count_ones(..);
    let reached = power.matched.intersection_count(&access.known);
    let enough = if catalogue_gap { known.div_ceil(4) } else { known };
    let whole = reached == known && access.snapshot.catalogue.is_some();
    (known > 0 && reached >= enough).then_some(Everything::DeFacto { reached, whole })
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for held in &subject.roles {
        let Some(everything) = held.facts.everything else { continue };
        let (client, role) = (&subject.client.name, &held.facts.role.name);
        let (how, rests_on): (String, &[Fact]) = match everything {
            Everything::General => {
                ("The role holds the general permission admin, which allows everything.".to_owned(), &[])
            }
            Everything::Policy => {
                ("The role holds the policy *:*:*, which covers everything.".to_owned(), &[])
            }
            Everything::DeFacto { reached, .. } => {
                let known = facts.access.known.count_ones(..);
                let how = format!("The role reaches {reached} of the {known} permissions of the catalogue.");
                (how, &[Fact::Catalogue])
            }
        };
        failures.push(Failure {
            key: held.facts.role.id.to_string(),
            title: format!("{client} holds the role {role}, which allows everything"),
            evidence: format!("{} {how}", facts.grant_sentence(subject, held)),
            next_step: format!(
                "Create a role with only the permissions that {client} uses, grant it, then remove the role \
                 {role} from the client."
            ),
            rests_on,
        });
    }
    failures
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, catalogue_gap, keys},
        finding::Status,
        fixtures::{catalogue, client, role, snapshot},
        snapshot::Snapshot,
    };

    fn org(role: crate::domain::inventory::Role) -> Snapshot {
        let known =
            catalogue(["routing:queue:view", "routing:queue:edit", "users:user:view", "oauth:client:view"]);
        Snapshot { catalogue: Some(known), ..snapshot([client("c").grant("r", "home")], [role]) }.seal()
    }

    #[test]
    fn every_way_to_allow_everything_fails() {
        let everything = [
            role("r").general("admin"),
            role("r").can("*:*:*"),
            role("r").can_if("*:*:*", "{}"),
            role("r").can("routing:*:*").can("users:user:view").can("oauth:client:view"),
            role("r").can("routing:queue:*").can("*:*:view"),
        ];
        for role in everything {
            let found = audit(&org(role.clone()), &[]);
            assert_eq!(keys(&found, "admin-role"), [("c", "r", Status::Fail)], "{role:?}");
        }
    }

    #[test]
    fn less_than_everything_passes() {
        let less = [
            role("r"),
            role("r").can("admin:*:*"),
            role("r").can("*:*:view"),
            role("r").general("Admin"),
            role("r").general("content_management_user"),
        ];
        for role in less {
            let found = audit(&org(role.clone()), &[]);
            assert!(keys(&found, "admin-role").is_empty(), "{role:?}");
        }
    }

    #[test]
    fn a_gap_in_the_catalogue_leaves_open_only_what_the_catalogue_decides() {
        let gaps = [catalogue_gap()];
        let status = |role| keys(&audit(&org(role), &gaps), "admin-role").first().map(|key| key.2);
        assert_eq!(status(role("r").general("admin")), Some(Status::Fail));
        assert_eq!(status(role("r").can("*:*:*")), Some(Status::Fail));
        assert_eq!(status(role("r").can("*:*:view")), Some(Status::Unknown));
        assert_eq!(
            status(role("r")),
            None,
            "a role that gives nothing is no administrator under any catalogue"
        );
    }

    #[test]
    fn a_client_that_acts_as_a_user_has_no_roles_of_its_own() {
        let snapshot = snapshot([client("c").of_type("CODE").grant("r", "*")], [role("r").general("admin")]);
        assert!(keys(&audit(&snapshot, &[]), "admin-role").is_empty());
    }
}
