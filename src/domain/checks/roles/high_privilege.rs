//! Dangerous permissions, by the curated table of privileges.

use std::collections::BTreeMap;

use super::admin::Everything;
use crate::domain::{
    Fact, Severity,
    access::{Access, RolePower},
    checks::{Check, FINDINGS_LIMIT, Facts, Failure, References, Subject, facts::Held},
    privilege::{self, Privilege},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "high-privilege-permission",
    title: "Client holds no high-privilege permission",
    severity: Severity::High,
    rationale: "Some permissions lead to more power, to customers' data in bulk, or to an outage. Each one that \
        an integration holds must be there on purpose.",
    remediation: "Confirm with the owner that the client needs it, else take it out of the role or split the role.",
    references: References {
        nist: &["AC-6(1)", "AC-6(5)", "AC-6(7)"],
        cis: &["5.4", "6.8"],
        iso: &["A.8.2", "A.5.18"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.2", "7.2.5", "7.2.5.1"],
    },
    needs: &[Fact::Clients, Fact::Roles, Fact::ClientGrants],
    evaluate,
};

/// A dangerous permission that a role gives.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain::checks) struct Risk {
    permission: usize,
    privilege: &'static Privilege,
    conditional: bool,
}

/// The dangerous permissions of a role. Those of the medium tier weigh in comparisons and are no finding alone.
pub(in crate::domain::checks) fn of(power: &RolePower, access: &Access<'_>) -> Vec<Risk> {
    (privilege::table().iter())
        .filter(|row| row.tier >= Severity::High)
        .filter_map(|row| {
            let permission = access.universe.number(row.permission)?;
            let conditional = !power.firm.contains(permission);
            power.listed.contains(permission).then_some(Risk { permission, privilege: row, conditional })
        })
        .collect()
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    // An administrator holds all of them, and is reported as that.
    if subject.roles.iter().any(|held| held.facts.everything.is_some_and(Everything::was_seen)) {
        return Vec::new();
    }
    let mut ways: BTreeMap<usize, (&Privilege, bool, Vec<&Held<'_>>)> = BTreeMap::new();
    for held in &subject.roles {
        for risk in &held.facts.risks {
            if subject.in_scope.as_ref().is_some_and(|in_scope| !in_scope.contains(risk.permission)) {
                continue;
            }
            let way = ways.entry(risk.permission).or_insert((risk.privilege, true, Vec::new()));
            way.1 &= risk.conditional;
            way.2.push(held);
        }
    }
    ways.into_values().map(|way| failure(facts, subject, &way)).collect()
}

fn failure(facts: &Facts<'_>, subject: &Subject<'_>, way: &(&Privilege, bool, Vec<&Held<'_>>)) -> Failure {
    let (privilege, conditional, held) = way;
    let client = &subject.client.name;
    let Privilege { permission, tier, reason, .. } = privilege;
    let roles: Vec<&str> =
        held.iter().take(FINDINGS_LIMIT).map(|held| held.facts.role.name.as_str()).collect();
    let mut evidence: Vec<&str> =
        held.iter().take(FINDINGS_LIMIT).map(|held| facts.grant_sentence(subject, held)).collect();
    let danger = format!("{permission} is of the {tier} tier: a client that holds it {reason}.");
    evidence.push(&danger);
    if *conditional {
        evidence.push("It is given only under a condition.");
    }
    Failure {
        key: (*permission).to_owned(),
        title: format!("{client} holds {permission} by {}", roles.join(", ")),
        evidence: evidence.join(" "),
        next_step: format!(
            "Ask the owner of {client} whether it needs {permission}; if not, take it out of its role."
        ),
        rests_on: &[],
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        ScopeEnforcement,
        checks::tests::{audit, keys, of_check},
        finding::Status,
        fixtures::{client, role, snapshot},
        inventory::Role,
        privilege,
        snapshot::{Settings, Snapshot},
    };

    const CHECK: &str = "high-privilege-permission";

    fn org(roles: Vec<Role>) -> Snapshot {
        let holder = roles.iter().fold(client("c"), |client, role| client.grant(role.id.as_str(), "d1"));
        snapshot([holder], roles)
    }

    #[test]
    fn each_permission_is_one_finding_whatever_the_number_of_roles() {
        let roles = vec![role("r1").can("oauth:client:*"), role("r2").can_if("oauth:client:add", "{}")];
        let found = audit(&org(roles), &[]);
        let permissions: Vec<&str> = keys(&found, CHECK).iter().map(|key| key.1).collect();
        assert_eq!(
            permissions,
            ["oauth:client:add", "oauth:client:authorize", "oauth:client:delete", "oauth:client:edit"]
        );
        let add = of_check(&found, CHECK)[0];
        assert_eq!(add.title, "Client c holds oauth:client:add by Role r1, Role r2");
        assert!(add.evidence.contains("critical tier: a client that holds it can issue new credentials."));
        assert!(add.evidence.contains("in Division d1 (d1)"), "{}", add.evidence);
        assert!(
            !add.evidence.contains("condition"),
            "one way to it is without a condition: {}",
            add.evidence
        );
    }

    #[test]
    fn a_conditional_permission_counts_and_is_said_to_be_one() {
        let found = audit(&org(vec![role("r").can_if("recording:recording:view", "{}")]), &[]);
        assert!(of_check(&found, CHECK)[0].evidence.ends_with("It is given only under a condition."));
    }

    #[test]
    fn ordinary_and_medium_permissions_pass() {
        let found = audit(&org(vec![role("r").can("routing:queue:view").can("audits:audit:view")]), &[]);
        assert!(keys(&found, CHECK).is_empty());
    }

    #[test]
    fn an_administrator_is_not_reported_for_each() {
        let found = audit(&org(vec![role("r").general("admin"), role("s").can("oauth:client:add")]), &[]);
        assert!(keys(&found, CHECK).is_empty());
    }

    #[test]
    fn above_ten_there_is_one_that_sums_up() {
        let dangerous = |count| {
            privilege::table()[1..=count].iter().fold(role("r"), |role, row| role.can(row.permission))
        };
        assert_eq!(keys(&audit(&org(vec![dangerous(10)]), &[]), CHECK).len(), 10);
        let found = audit(&org(vec![dangerous(11)]), &[]);
        assert_eq!(keys(&found, CHECK), [("c", "summary", Status::Fail)]);
        assert!(of_check(&found, CHECK)[0].evidence.ends_with("; and 1 more."));
    }

    #[test]
    fn scopes_hide_nothing_unless_they_bind_every_grant() {
        let with = |scope_enforcement| {
            let holder = client("c").grant("r", "*").scope("routing");
            let snapshot = snapshot([holder], [role("r").can("oauth:client:add")]);
            audit(&Snapshot { settings: Settings { scope_enforcement }, ..snapshot }.seal(), &[])
        };
        for setting in ScopeEnforcement::ALL {
            let hidden = keys(&with(setting), CHECK).is_empty();
            assert_eq!(hidden, setting == ScopeEnforcement::AllGrants, "{setting:?}");
        }
    }
}
