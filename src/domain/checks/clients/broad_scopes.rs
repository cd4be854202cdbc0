//! Clients that may ask for all scopes, or nearly all.

use std::collections::BTreeSet;

use crate::domain::{
    Fact, Severity,
    access::{ALL_SCOPES, Scopes, acts_by_roles},
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "broad-scopes",
    title: "Client asks for the scopes that it needs, not for all or nearly all",
    severity: Severity::High,
    rationale: "Scopes are what bounds a client that acts as a user. With all of them, a stolen token is worth \
        as much as the user's own session.",
    remediation: "Keep the scopes of the operations that the client calls and remove the rest.",
    references: References {
        nist: &["AC-6", "AC-3", "SC-23"],
        cis: &["6.8", "3.3"],
        iso: &["A.5.15", "A.8.3"],
        soc2: &["CC6.1", "CC6.3"],
        pci: &["7.2.2", "7.2.5"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

/// From this share of the known scopes on, what is left out bounds nothing.
const NEARLY_ALL_PERCENT: usize = 90;

/// How many of the known scopes some scopes amount to: the bare form of a scope includes its `:readonly` form.
fn amount(known: &Scopes, scopes: &BTreeSet<String>) -> usize {
    let bare = |scope: &str| scope.strip_suffix(":readonly").is_some_and(|bare| scopes.contains(bare));
    known.names().filter(|scope| scopes.contains(*scope) || bare(scope)).count()
}

fn evaluate(facts: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let scopes = &facts.access.scopes;
    let all = client.scopes.contains(ALL_SCOPES);
    // Each scope counts for two at most, so short lists need no counting.
    if !all && client.scopes.len() * 2 * 100 < scopes.names().len() * NEARLY_ALL_PERCENT {
        return Vec::new();
    }
    let (amount, known) = (amount(scopes, &client.scopes), scopes.names().len());
    if !all && amount * 100 < known * NEARLY_ALL_PERCENT {
        return Vec::new();
    }
    let what = if all {
        "the scope all, which stands for every scope".to_owned()
    } else {
        format!("scopes that amount to {amount} of the {known} that exist")
    };
    let note = if acts_by_roles(client) {
        " It acts by its own roles; whether scopes bound them as well depends on the organisation."
    } else {
        " It acts as its user, and its scopes are the only bound it has of its own."
    };
    vec![Failure {
        key: String::new(),
        title: format!("{} may ask for {} scopes", client.name, if all { "all" } else { "nearly all" }),
        evidence: format!("Client {} ({}) has {what}.{note}", client.name, client.id),
        next_step: format!(
            "List the operations that {} calls, keep their scopes, remove the rest.",
            client.name
        ),
        rests_on: &[],
    }]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::domain::{
        catalogue::{Operation, Operations},
        checks::tests::{audit, keys},
        fixtures::{client, snapshot},
        inventory::Client,
    };

    fn fails<'a>(scopes: impl IntoIterator<Item = &'a str>) -> bool {
        let holder = scopes.into_iter().fold(client("c").of_type("CODE"), Client::scope);
        !keys(&audit(&snapshot([holder], []), &[]), "broad-scopes").is_empty()
    }

    fn known() -> BTreeSet<&'static str> {
        Operations::compiled_in().iter().flat_map(Operation::scopes).collect()
    }

    fn bare() -> Vec<&'static str> {
        known().iter().copied().filter(|scope| !scope.ends_with(":readonly")).collect()
    }

    #[test]
    fn all_and_nearly_all_fail() {
        assert!(fails(["all"]));
        assert!(fails(["all", "users:readonly"]));
        assert!(fails(known().iter().copied()));
        assert!(fails(bare()), "the bare forms include the others");
    }

    #[test]
    fn fewer_pass() {
        assert!(!fails([]));
        assert!(!fails(["users", "routing:readonly"]));
        assert!(!fails(known().iter().copied().filter(|scope| scope.ends_with(":readonly"))));
        assert!(!fails(["ALL"]), "scopes are compared as written");
    }

    #[test]
    fn the_line_is_at_nine_tenths() {
        let scopes: Vec<&str> =
            known().iter().copied().filter(|scope| scope.ends_with(":readonly")).collect();
        let others = bare();
        // With every read-only form held, each bare form adds one.
        let line = (known().len() * 90).div_ceil(100) - scopes.len();
        let with = |count: usize| scopes.iter().chain(&others[..count]).copied().collect::<Vec<_>>();
        assert!(fails(with(line)));
        assert!(!fails(with(line - 1)));
    }
}
