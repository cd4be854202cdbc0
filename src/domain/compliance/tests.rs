//! What may be called met, and what may not.

use std::{fmt::Write as _, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::domain::{
    Severity,
    contract::{Contract, pin},
    finding::{ClientRef, uid},
    fixtures::{client, role, snapshot, when},
};

/// Two clients that hold something, both with a contract, both probed.
static ORG: LazyLock<Snapshot> = LazyLock::new(|| {
    let org = snapshot(
        [client("a").grant("r", "*"), client("b").grant("r", "*")],
        [role("r").can("routing:queue:view")],
    );
    let contracts = ["a", "b"].map(|id| Contract { client: id.to_owned(), ..Contract::default() });
    let contracts = pin(&contracts, &org.clients, &BTreeMap::new());
    Snapshot { contracts, ..org }.seal()
});

static PROBED: LazyLock<BTreeSet<(ClientId, Expectation)>> = LazyLock::new(|| {
    ["a", "b"].iter().flat_map(|&id| Expectation::ALL.map(|kind| (ClientId::from(id), kind))).collect()
});

fn basis<'a>(findings: &'a [Finding], gaps: &'a [Gap]) -> Basis<'a> {
    Basis {
        org: "acme",
        audit: "a-1",
        at: when(),
        chain: Hash::GENESIS,
        snapshot: &ORG,
        gaps,
        findings,
        probed: &PROBED,
        sees_grants: true,
        sees_usage: true,
        failing: false,
        stale_after: TimeDelta::days(1),
    }
}

fn finding(check: &str, client: &str, status: Status, muted: bool) -> Finding {
    let client = ClientRef { id: client.into(), name: format!("Client {client}") };
    Finding {
        uid: uid("acme", check, &client.id, ""),
        org: "acme".to_owned(),
        check: check.to_owned(),
        status,
        severity: Severity::High,
        muted,
        marks: crate::domain::decision::Marks::default(),
        client,
        key: String::new(),
        title: "a title".to_owned(),
        evidence: "evidence".to_owned(),
        remediation: "remediation".to_owned(),
        first_seen: when(),
        last_seen: when(),
    }
}

fn gap(fact: Fact) -> Gap {
    Gap {
        fact,
        subject: None,
        reason: "forbidden".to_owned(),
        detail: "a role lacks a permission".to_owned(),
        stale_since: None,
    }
}

fn verdict(report: &Report, number: &str) -> Verdict {
    report.requirements.iter().find(|requirement| requirement.requirement == number).unwrap().verdict
}

fn check<'a>(report: &'a Report, id: &str) -> &'a CheckAnswer {
    report
        .requirements
        .iter()
        .flat_map(|requirement| &requirement.checks)
        .find(|one| one.check == id)
        .unwrap()
}

#[test]
fn everything_answered_and_nothing_found_is_met() {
    for framework in Framework::ALL {
        let report = assess(framework, &basis(&[], &[]), when());
        assert!(report.requirements.iter().all(|one| one.verdict == Verdict::Met), "{framework:?}");
        assert_eq!(report.summary[&Verdict::Met], report.requirements.len());
        assert!(report.complete && !report.stale);
    }
}

#[test]
fn one_failure_fails_what_its_check_serves_and_nothing_else() {
    let found = [finding("token-lifetime", "a", Status::Fail, false)];
    let report = assess(Framework::Nist, &basis(&found, &[]), when());
    for requirement in &report.requirements {
        let served = requirement.checks.iter().any(|check| check.check == "token-lifetime");
        let want = if served { Verdict::Failed } else { Verdict::Met };
        assert_eq!(requirement.verdict, want, "{}", requirement.requirement);
    }
    let answer = check(&report, "token-lifetime");
    assert_eq!((answer.clients.passed, answer.clients.failed), (1, 1));
    assert_eq!((&answer.findings[0].uid, answer.findings_total), (&found[0].uid, 1));
}

#[test]
fn an_unknown_is_no_pass_and_a_failure_beats_it() {
    let doubt = finding("token-lifetime", "a", Status::Unknown, false);
    let report = assess(Framework::Nist, &basis(std::slice::from_ref(&doubt), &[]), when());
    assert_eq!(verdict(&report, "AC-12"), Verdict::Unknown);
    assert_eq!(check(&report, "token-lifetime").clients.unknown, 1);
    let both = [doubt, finding("token-lifetime", "b", Status::Fail, false)];
    assert_eq!(verdict(&assess(Framework::Nist, &basis(&both, &[]), when()), "AC-12"), Verdict::Failed);
}

#[test]
fn what_a_person_accepted_is_an_exception_and_is_shown() {
    let found = [finding("token-lifetime", "a", Status::Fail, true)];
    let report = assess(Framework::Nist, &basis(&found, &[]), when());
    assert_eq!(verdict(&report, "AC-12"), Verdict::Excepted);
    let answer = check(&report, "token-lifetime");
    assert_eq!((answer.clients.excepted, answer.findings[0].accepted), (1, true));
}

#[test]
fn a_gap_makes_unknown_what_rests_on_it() {
    for (fact, requirement, want) in [
        (Fact::Usage, "AC-2(3)", Verdict::Unknown),
        (Fact::Usage, "AC-12", Verdict::Met),
        (Fact::Operations, "AC-6", Verdict::Met),
        (Fact::Clients, "AC-12", Verdict::Unknown),
        (Fact::OwnGrants, "AC-12", Verdict::Unknown),
    ] {
        let report = assess(Framework::Nist, &basis(&[], &[gap(fact)]), when());
        assert_eq!(verdict(&report, requirement), want, "{fact:?} {requirement}");
        assert!(!report.complete);
    }
    let found = [finding("token-lifetime", "a", Status::Fail, false)];
    let report = assess(Framework::Nist, &basis(&found, &[gap(Fact::Clients)]), when());
    assert_eq!(verdict(&report, "AC-12"), Verdict::Failed, "what failed was seen");
}

#[test]
fn what_nobody_asked_is_unknown_with_its_reason() {
    let nobody = BTreeSet::new();
    let report = assess(Framework::Soc2, &Basis { probed: &nobody, ..basis(&[], &[]) }, when());
    assert_eq!(verdict(&report, "CC4.1"), Verdict::Unknown);
    assert_eq!(
        check(&report, "model-mismatch").not_asked,
        [NotAsked { reason: Lack::NotProbed, clients: 2 }]
    );
    // Positive tests prove nothing of what is refused.
    let positive = BTreeSet::from(["a", "b"].map(|id| (ClientId::from(id), Expectation::Allow)));
    let report = assess(Framework::Soc2, &Basis { probed: &positive, ..basis(&[], &[]) }, when());
    assert_eq!(check(&report, "negative-test-failed").not_asked[0].clients, 2);
    assert_eq!(check(&report, "positive-test-failed").clients.passed, 2);
    let no_usage = Basis { sees_usage: false, ..basis(&[], &[]) };
    let report = assess(Framework::Nist, &no_usage, when());
    assert_eq!(verdict(&report, "AC-2(3)"), Verdict::Unknown);
    assert_eq!(check(&report, "stale-client").not_asked[0].reason, Lack::CallsNotCounted);
    let no_grants = Basis { sees_grants: false, ..basis(&[], &[]) };
    let report = assess(Framework::Nist, &no_grants, when());
    assert_eq!(check(&report, "role-overlap").not_asked[0].reason, Lack::GrantsNotRead);

    let org = snapshot([client("a").grant("r", "*")], [role("r").can("routing:queue:view")]);
    let report = assess(Framework::Nist, &Basis { snapshot: &org, ..basis(&[], &[]) }, when());
    for id in asked::BY_CONTRACT.iter().chain(&["no-contract"]) {
        assert_eq!(check(&report, id).not_asked[0].reason, Lack::NoContract, "{id}");
    }
}

#[test]
fn a_check_that_does_not_apply_is_neither_a_pass_nor_a_doubt() {
    let org = snapshot([client("a").of_type("CODE"), client("b").grant("r", "*")], [role("r")]);
    let report = assess(Framework::Nist, &Basis { snapshot: &org, ..basis(&[], &[]) }, when());
    let answer = check(&report, "admin-role");
    assert_eq!((answer.clients.passed, answer.clients.not_applicable), (1, 1));
    assert_eq!(answer.verdict, Some(Verdict::Met));
    let nobody = snapshot([], []);
    let report = assess(Framework::Nist, &Basis { snapshot: &nobody, ..basis(&[], &[]) }, when());
    assert!(report.requirements.iter().all(|one| one.verdict == Verdict::Unknown), "nobody was looked at");
}

#[test]
fn a_contract_of_nobody_fails_without_a_client() {
    let found = [finding("contract-client", "", Status::Fail, false)];
    let report = assess(Framework::Nist, &basis(&found, &[]), when());
    assert_eq!(verdict(&report, "CM-8"), Verdict::Failed);
    assert_eq!(check(&report, "contract-client").clients.passed, 2);
}

#[test]
fn an_old_audit_and_failing_ones_are_said() {
    let now = when() + TimeDelta::days(2);
    let report = assess(Framework::Pci, &Basis { failing: true, ..basis(&[], &[]) }, now);
    assert!(report.stale && report.failing);
}

#[test]
fn families_name_checks_that_exist() {
    for id in asked::BY_CONTRACT.iter().chain(asked::BY_PROBES.iter().map(|(id, _)| id)) {
        assert!(CHECKS.iter().any(|check| check.id == *id), "{id}");
    }
}

/// The lists of `docs/compliance.md`, below the heading of each framework.
fn documented() -> String {
    let mut text = String::new();
    for framework in Framework::ALL {
        let (name, word) = (framework.name(), framework.as_str());
        let _ = write!(text, "## {name}\n\n`scopewarden compliance {word}`\n\n");
        text.push_str("| Requirement | Title | Checks |\n|---|---|---|\n");
        for (number, title) in framework.requirements() {
            let checks: Vec<String> = CHECKS
                .iter()
                .filter(|check| framework.of(&check.references).contains(&number))
                .map(|check| format!("`{}`", check.id))
                .collect();
            let _ = writeln!(text, "| {number} | {title} | {} |", checks.join(", "));
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_documentation_lists_every_requirement_with_its_checks() {
    let page = include_str!("../../../docs/compliance.md");
    let documented = documented();
    let lists = page.lines().skip_while(|line| !line.starts_with("## NIST"));
    for (line, want) in lists.zip(documented.lines()) {
        assert_eq!(line, want, "docs/compliance.md");
    }
    assert!(page.trim_end().ends_with(documented.trim_end()), "docs/compliance.md ends with these lists");
}

fn findings() -> impl Strategy<Value = Vec<Finding>> {
    let ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    let one = (prop::sample::select(ids), prop::sample::select(vec!["a", "b", ""]), 0..3_u8).prop_map(
        |(check, client, kind)| {
            let status = if kind == 0 { Status::Unknown } else { Status::Fail };
            finding(check, client, status, kind == 2)
        },
    );
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn each_client_is_counted_once_and_nothing_met_has_a_failure(
        found in findings(), gaps in prop::collection::vec(prop::sample::select(Fact::ALL.to_vec()), 0..3),
    ) {
        let gaps: Vec<Gap> = gaps.into_iter().map(gap).collect();
        for framework in Framework::ALL {
            let report = assess(framework, &basis(&found, &gaps), when());
            let with_less = assess(framework, &basis(&found, &[]), when());
            for (requirement, less) in report.requirements.iter().zip(&with_less.requirements) {
                for check in &requirement.checks {
                    let Counts { passed, failed, excepted, unknown, not_asked, not_applicable } = check.clients;
                    prop_assert_eq!(passed + failed + excepted + unknown + not_asked + not_applicable, 2);
                    prop_assert!(check.findings.len() <= 50 && check.findings.len() <= check.findings_total);
                    let is_bad = |one: &Finding| one.check == check.check && one.status == Status::Fail && !one.muted;
                    prop_assert_eq!(check.verdict == Some(Verdict::Failed), found.iter().any(is_bad));
                    if requirement.verdict == Verdict::Met {
                        prop_assert_eq!((failed, excepted, unknown, not_asked), (0, 0, 0, 0));
                    }
                }
                prop_assert!(requirement.verdict >= less.verdict, "a gap makes nothing better");
            }
        }
    }
}
