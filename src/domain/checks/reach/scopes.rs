//! Scopes and roles that do not fit each other: a scope without a permission behind it, a permission that no scope
//! lets through, a scope that writes where nothing granted does.
//!
//! Only of clients that act by their roles: what the user of another client may do is not known.

use crate::domain::{
    Fact, ScopeEnforcement, Severity,
    access::{ALL_SCOPES, acts_by_roles},
    checks::{Check, FINDINGS_LIMIT, Facts, Failure, References, Subject},
    permission::PermissionSet,
};

const NEEDS: &[Fact] = &[Fact::Clients, Fact::Roles, Fact::ClientGrants];

const REFERENCES: References = References {
    nist: &["AC-6", "AC-3"],
    cis: &["6.8", "3.3"],
    iso: &["A.5.15", "A.5.18"],
    soc2: &["CC6.3"],
    pci: &["7.2.1", "7.2.5"],
};

pub(in crate::domain::checks) const UNREACHED: Check = Check {
    id: "permission-out-of-scope",
    title: "Client's scopes let through every permission that its roles give",
    severity: Severity::Low,
    rationale: "Where scopes bind, what they do not let through is refused whatever the roles say: either the client \
        fails at it, or it does not need it.",
    remediation: "Take the permission out of the role if the client does not use it, else add the scope.",
    references: REFERENCES,
    needs: NEEDS,
    evaluate: unreached,
};

pub(in crate::domain::checks) const USELESS: Check = Check {
    id: "useless-scope",
    title: "Client asks only for scopes that its permissions can use",
    severity: Severity::Low,
    rationale: "A scope with no permission behind it does nothing today, and opens a door on the day that a role gains \
        the permission.",
    remediation: "Remove the scope from the client.",
    references: REFERENCES,
    needs: NEEDS,
    evaluate: useless,
};

pub(in crate::domain::checks) const WRITING: Check = Check {
    id: "write-scope",
    title: "Client asks for read-only scopes where it only reads",
    severity: Severity::Low,
    rationale: "The scope lets writing through, and no role of the client writes there: its read-only form does the \
        same, and stays narrow when a role grows.",
    remediation: "Replace the scope by its :readonly form.",
    references: REFERENCES,
    needs: NEEDS,
    evaluate: writing,
};

/// What a client may call, if its scopes can be judged: all its roles were read, and it has scopes.
fn reach(facts: &Facts<'_>, subject: &Subject<'_>) -> Option<PermissionSet> {
    let client = subject.client;
    // That nothing is granted cannot be said while a role is unread; the answer is then unknown.
    let judged = acts_by_roles(client) && subject.unseen.is_empty() && !client.scopes.is_empty();
    judged.then(|| facts.access.reach(client))
}

/// How a client can use one of its scopes.
struct Use<'s> {
    scope: &'s str,
    /// Operations behind it that its roles grant.
    granted: usize,
    /// Operations behind it that name a permission.
    declared: usize,
    /// Operations behind it that name none: they may be what it is there for.
    undeclared: usize,
    /// There is a form of the scope that only reads, and it would let through all that the client may call.
    reads: bool,
}

/// The scopes of a client that operations name.
fn uses<'s>(
    facts: &'s Facts<'_>,
    subject: &'s Subject<'_>,
    reach: &'s PermissionSet,
) -> impl Iterator<Item = Use<'s>> {
    let access = facts.access;
    subject.client.scopes.iter().filter_map(move |scope| {
        let form = access.scopes.read_only_form(scope);
        let mut found = Use { scope, granted: 0, declared: 0, undeclared: 0, reads: form.is_some() };
        for &at in access.scopes.operations(scope)? {
            let granted = access.allows(at, reach);
            match granted {
                Some(granted) => {
                    found.declared += 1;
                    found.granted += usize::from(granted);
                }
                None => found.undeclared += 1,
            }
            found.reads &= granted == Some(false)
                || access
                    .operations
                    .get(at)
                    .is_some_and(|known| known.scopes().any(|scope| Some(scope) == form));
        }
        Some(found)
    })
}

/// Where most operations behind a scope name no permission, nothing can be said.
fn useless(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let Some(reach) = reach(facts, subject) else { return Vec::new() };
    let client = subject.client;
    let unused = uses(facts, subject, &reach).filter(|one| one.granted == 0 && one.declared > one.undeclared);
    unused
        .map(|Use { scope, declared, undeclared, .. }| {
            let doubt = match undeclared {
                0 => String::new(),
                1 => " One more names no permission; it may be what the scope is for.".to_owned(),
                count => format!(" {count} more name no permission; one of them may be what the scope is for."),
            };
            Failure {
                key: scope.to_owned(),
                title: format!("{} has the scope {scope}, and no permission behind it", client.name),
                evidence: format!(
                    "Client {} ({}) has the scope {scope}. Its roles grant none of the {declared} operations behind it \
                     that name a permission.{doubt}{}",
                    client.name,
                    client.id,
                    note(facts)
                ),
                next_step: format!("Remove {scope} from the scopes of {}.", client.name),
                rests_on: &[],
            }
        })
        .collect()
}

fn writing(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let Some(reach) = reach(facts, subject) else { return Vec::new() };
    let client = subject.client;
    let wide = uses(facts, subject, &reach).filter(|one| one.granted > 0 && one.reads);
    wide.map(|Use { scope, .. }| Failure {
        key: scope.to_owned(),
        title: format!("{} has the scope {scope}, and only reads there", client.name),
        evidence: format!(
            "Client {} ({}) has the scope {scope}. Every operation behind it that its roles grant is let through by \
             {scope}:readonly as well.{}",
            client.name,
            client.id,
            note(facts)
        ),
        next_step: format!("Replace {scope} by {scope}:readonly in the scopes of {}.", client.name),
        rests_on: &[],
    })
    .collect()
}

/// Where scopes bind client credentials; where nobody said, only of clients whose record has scopes: somebody meant them.
fn unreached(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let asked = match facts.access.snapshot.settings.scope_enforcement {
        ScopeEnforcement::AllGrants => true,
        ScopeEnforcement::Unknown => !client.scopes.is_empty(),
        ScopeEnforcement::Off | ScopeEnforcement::UserGrants => false,
    };
    if !asked || !acts_by_roles(client) || client.scopes.contains(ALL_SCOPES) {
        return Vec::new();
    }
    let mut outside = facts.access.universe.none();
    for held in &subject.roles {
        outside.union_with(&held.facts.power.listed);
    }
    outside.difference_with(&facts.access.scopes.permissions(&client.scopes));
    let count = outside.count_ones(..);
    if count == 0 {
        return Vec::new();
    }
    let mut names: Vec<&str> =
        outside.ones().take(FINDINGS_LIMIT).map(|at| facts.access.universe.name(at)).collect();
    let rest = format!("and {} more", count.saturating_sub(FINDINGS_LIMIT));
    if count > FINDINGS_LIMIT {
        names.push(&rest);
    }
    let what = if count == 1 { "a permission" } else { "permissions" };
    vec![Failure {
        key: String::new(),
        title: format!("{} holds {what} that its scopes do not let through ({count})", client.name),
        evidence: format!(
            "Client {} ({}) holds by its roles, and outside its scopes: {}.{}",
            client.name,
            client.id,
            names.join(", "),
            note(facts)
        ),
        next_step: format!(
            "Find out which of them {} uses: add their scopes, and take the others out of its role.",
            client.name
        ),
        rests_on: &[],
    }]
}

/// What is known of whether scopes bind such a client.
fn note(facts: &Facts<'_>) -> &'static str {
    match facts.access.snapshot.settings.scope_enforcement {
        ScopeEnforcement::AllGrants => {
            " The organisation is configured to enforce scopes for every grant type."
        }
        ScopeEnforcement::Unknown => {
            " It acts by its own roles; whether scopes bind such clients depends on the organisation, and \
             scope_enforcement is not configured."
        }
        ScopeEnforcement::Off | ScopeEnforcement::UserGrants => {
            " It acts by its own roles, and the organisation is configured not to enforce scopes for such clients."
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        Fact, Gap, ScopeEnforcement,
        checks::tests::{audit, gap, keys, of_check},
        finding::{Finding, Status},
        fixtures::{client, role, snapshot},
        inventory::Client,
        snapshot::{Settings, Snapshot},
    };

    fn found(holder: Client, permissions: &[&str], scope_enforcement: ScopeEnforcement) -> Vec<Finding> {
        found_with(holder, permissions, scope_enforcement, &[])
    }

    fn found_with(
        holder: Client,
        permissions: &[&str],
        scope_enforcement: ScopeEnforcement,
        gaps: &[Gap],
    ) -> Vec<Finding> {
        let role = permissions.iter().fold(role("r"), |role, name| role.can(name));
        let org = snapshot([holder.grant("r", "*")], [role]);
        audit(&Snapshot { settings: Settings { scope_enforcement }, ..org }.seal(), gaps)
    }

    fn failed<'a>(findings: &'a [Finding], check: &str) -> Vec<&'a str> {
        keys(findings, check).into_iter().map(|(_, key, _)| key).collect()
    }

    #[test]
    fn a_scope_without_a_permission_behind_it_is_useless() {
        let holder = client("c").scope("outbound").scope("routing:readonly").scope("openid").scope("all");
        let found = found(holder, &["routing:queue:view"], ScopeEnforcement::Unknown);
        assert_eq!(
            failed(&found, "useless-scope"),
            ["outbound"],
            "a name that no operation has is not judged"
        );
    }

    #[test]
    fn a_scope_for_what_declares_no_permission_is_not_judged() {
        let holder = client("c").scope("greetings").scope("notifications").scope("outbound");
        let found = found(holder, &[], ScopeEnforcement::Off);
        assert_eq!(
            failed(&found, "useless-scope"),
            ["outbound"],
            "nearly all of the others names no permission"
        );
        let evidence = &of_check(&found, "useless-scope")[0].evidence;
        assert!(
            evidence.contains("172 operations") && evidence.contains(" 2 more name no permission"),
            "{evidence}"
        );
    }

    #[test]
    fn a_write_scope_where_nothing_writes_is_too_wide() {
        let holder = || client("c").scope("routing");
        let reads = found(holder(), &["routing:queue:view"], ScopeEnforcement::Unknown);
        assert_eq!(failed(&reads, "write-scope"), ["routing"]);
        let finding = of_check(&reads, "write-scope")[0];
        assert!(finding.remediation.contains("routing:readonly"), "{}", finding.remediation);
        let writes = found(holder(), &["routing:queue:edit"], ScopeEnforcement::Unknown);
        assert!(failed(&writes, "write-scope").is_empty());
        let query = found(
            client("c").scope("analytics"),
            &["analytics:conversationDetail:view"],
            ScopeEnforcement::Unknown,
        );
        assert_eq!(failed(&query, "write-scope"), ["analytics"], "a query by POST only reads");
        let already =
            found(client("c").scope("routing:readonly"), &["routing:queue:view"], ScopeEnforcement::Off);
        assert!(failed(&already, "write-scope").is_empty());
    }

    #[test]
    fn a_permission_that_no_scope_lets_through_matters_where_scopes_bind_or_may() {
        for (setting, with_scopes, without) in [
            (ScopeEnforcement::AllGrants, 1, 1),
            (ScopeEnforcement::Unknown, 1, 0),
            (ScopeEnforcement::UserGrants, 0, 0),
            (ScopeEnforcement::Off, 0, 0),
        ] {
            let permissions = ["oauth:client:view", "routing:queue:view"];
            let some = found(client("c").scope("routing:readonly"), &permissions, setting);
            assert_eq!(failed(&some, "permission-out-of-scope").len(), with_scopes, "{setting:?}");
            if with_scopes == 1 {
                let evidence = &of_check(&some, "permission-out-of-scope")[0].evidence;
                assert!(evidence.contains("outside its scopes: oauth:client:view."), "{evidence}");
            }
            let none = found(client("c"), &permissions, setting);
            assert_eq!(failed(&none, "permission-out-of-scope").len(), without, "{setting:?}");
            let all = found(client("c").scope("all"), &permissions, setting);
            assert!(failed(&all, "permission-out-of-scope").is_empty());
        }
    }

    #[test]
    fn scopes_of_clients_that_act_as_a_user_are_not_held_against_roles() {
        let user = client("c").of_type("CODE").scope("outbound");
        let found = found(user, &["routing:queue:view"], ScopeEnforcement::AllGrants);
        for check in ["useless-scope", "write-scope", "permission-out-of-scope"] {
            assert!(failed(&found, check).is_empty(), "{check}");
        }
    }

    #[test]
    fn with_a_role_unread_a_scope_is_not_called_useless() {
        let holder = client("c").scope("outbound").scope("routing");
        let gaps = [gap(Fact::Roles, Some("r"))];
        let found = found_with(holder, &["routing:queue:view"], ScopeEnforcement::Unknown, &gaps);
        for check in ["useless-scope", "write-scope"] {
            assert_eq!(keys(&found, check), [("c", "", Status::Unknown)], "{check}");
        }
    }
}
