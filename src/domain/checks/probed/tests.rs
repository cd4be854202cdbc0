//! Findings from where probes stand.

use chrono::TimeDelta;

use crate::domain::{
    Severity,
    access::Access,
    checks::{
        Context, evaluate,
        tests::{context, keys},
    },
    finding::{ClientRef, Finding, Status},
    fixtures::{client, snapshot, when},
    probe::{Expectation, Observation, Origin, Prediction, Silence, Standing, Verdict},
};

const DELETE: &str = "DELETE /api/v2/users/{userId}";

fn observation(expectation: Expectation, verdict: Verdict) -> Observation {
    Observation {
        org: "acme".to_owned(),
        client: ClientRef { id: "c".into(), name: "Client c".to_owned() },
        operation: DELETE.to_owned(),
        expectation,
        origin: Origin::Restricted,
        sent: true,
        status: Some(404),
        code: None,
        verdict,
        permissions: Vec::new(),
        predicted: Prediction::Refused,
        safe_because: None,
        severity: None,
        mismatch: false,
        unexplained: false,
        silence: None,
        explanation: "The platform said so.".to_owned(),
        at: when(),
    }
}

fn audit(standings: &[Standing]) -> Vec<Finding> {
    let org = snapshot([client("c"), client("d")], []);
    let access = Access::new(&org);
    let context = Context { probes: Some(standings), ..context(&access, &[]) };
    evaluate(&context).flatten().collect()
}

fn proven(observation: Observation) -> Standing {
    Standing::after(None, observation)
}

#[test]
fn a_negative_test_that_failed_is_as_bad_as_its_probe() {
    for severity in [Severity::Critical, Severity::High] {
        let failed =
            Observation { severity: Some(severity), ..observation(Expectation::Deny, Verdict::NotRefused) };
        let found = audit(&[proven(failed)]);
        assert_eq!(keys(&found, "negative-test-failed"), [("c", DELETE, Status::Fail)]);
        let finding = found.iter().find(|finding| finding.check == "negative-test-failed").unwrap();
        assert_eq!(finding.severity, severity);
        assert_eq!(finding.title, format!("Client c: {DELETE} was not refused"));
        assert!(finding.evidence.contains("The platform said so. Predicted: refused. So since 2026-09-21"));
    }
}

#[test]
fn what_is_as_it_should_be_is_no_finding() {
    let good = [
        proven(observation(Expectation::Deny, Verdict::Refused)),
        proven(observation(Expectation::Allow, Verdict::Allowed)),
        proven(observation(Expectation::Deny, Verdict::NotSent)),
    ];
    for check in [
        "negative-test-failed",
        "negative-test-inconclusive",
        "positive-test-failed",
        "model-mismatch",
        "refusal-unexplained",
    ] {
        assert!(keys(&audit(&good), check).is_empty(), "{check}");
    }
}

#[test]
fn a_client_that_is_not_probed_any_more_is_let_go_of() {
    let failed = |days| Observation {
        severity: Some(Severity::Critical),
        at: when() - TimeDelta::days(days),
        ..observation(Expectation::Deny, Verdict::NotRefused)
    };
    assert_eq!(keys(&audit(&[proven(failed(90))]), "negative-test-failed").len(), 1);
    assert!(keys(&audit(&[proven(failed(91))]), "negative-test-failed").is_empty());
}

#[test]
fn a_proof_outlives_attempts_that_prove_nothing() {
    let failed = Observation {
        severity: Some(Severity::Critical),
        ..observation(Expectation::Deny, Verdict::NotRefused)
    };
    let mut standing = proven(failed);
    for _ in 0..3 {
        standing = Standing::after(Some(standing), observation(Expectation::Deny, Verdict::Inconclusive));
    }
    let found = audit(&[standing.clone()]);
    assert_eq!(keys(&found, "negative-test-failed").len(), 1);
    assert_eq!(keys(&found, "negative-test-inconclusive"), [("c", DELETE, Status::Fail)]);
    let refused = Standing::after(Some(standing), observation(Expectation::Deny, Verdict::Refused));
    let found = audit(&[refused]);
    assert!(keys(&found, "negative-test-failed").is_empty());
    assert!(keys(&found, "negative-test-inconclusive").is_empty());
}

#[test]
fn a_test_that_proved_nothing_stays_open_while_it_is_not_sent() {
    let mut standing = proven(observation(Expectation::Deny, Verdict::Inconclusive));
    for verdict in [Verdict::Inconclusive, Verdict::NotSent] {
        let latest =
            Observation { sent: verdict != Verdict::NotSent, ..observation(Expectation::Deny, verdict) };
        standing = Standing::after(Some(standing), latest);
        let found = audit(std::slice::from_ref(&standing));
        assert_eq!(keys(&found, "negative-test-inconclusive"), [("c", DELETE, Status::Fail)], "{verdict:?}");
    }
}

#[test]
fn one_night_without_a_result_is_not_told_and_no_token_is_one_matter() {
    let unsent = |operation: &str| Observation {
        sent: false,
        operation: operation.to_owned(),
        ..observation(Expectation::Deny, Verdict::Inconclusive)
    };
    let once: Vec<Standing> = [DELETE, "DELETE /api/v2/flows/{flowId}"].map(unsent).map(proven).into();
    assert!(keys(&audit(&once), "negative-test-inconclusive").is_empty());
    let twice: Vec<Standing> = once
        .into_iter()
        .map(|standing| {
            let again = standing.latest.clone();
            Standing::after(Some(standing), again)
        })
        .collect();
    assert_eq!(keys(&audit(&twice), "negative-test-inconclusive"), [("c", "token", Status::Fail)]);
}

#[test]
fn positive_tests_mismatches_and_unexplained_refusals() {
    let refused = observation(Expectation::Allow, Verdict::Refused);
    assert_eq!(keys(&audit(&[proven(refused)]), "positive-test-failed").len(), 1);
    let silent = Observation {
        silence: Some(Silence::GrantElsewhere),
        ..observation(Expectation::Allow, Verdict::Allowed)
    };
    assert_eq!(keys(&audit(&[proven(silent)]), "positive-test-failed").len(), 1);
    let odd =
        Observation { mismatch: true, unexplained: true, ..observation(Expectation::Deny, Verdict::Refused) };
    let found = audit(&[proven(odd)]);
    assert_eq!(keys(&found, "model-mismatch").len(), 1);
    assert_eq!(keys(&found, "refusal-unexplained").len(), 1);
}

#[test]
fn of_two_expectations_of_one_operation_the_newer_one_speaks() {
    let before = Observation {
        mismatch: true,
        severity: Some(Severity::High),
        ..observation(Expectation::Deny, Verdict::NotRefused)
    };
    let now = Observation {
        mismatch: true,
        at: when() + TimeDelta::minutes(1),
        ..observation(Expectation::Allow, Verdict::Refused)
    };
    let found = audit(&[proven(now), proven(before)]);
    assert_eq!(
        keys(&found, "model-mismatch"),
        [("c", DELETE, Status::Fail)],
        "one finding, not two of one id"
    );
    assert_eq!(keys(&found, "positive-test-failed").len(), 1);
    assert!(keys(&found, "negative-test-failed").is_empty());
}

#[test]
fn since_is_when_the_present_proof_began() {
    let at = |minutes, verdict| Observation {
        at: when() + TimeDelta::minutes(minutes),
        ..observation(Expectation::Deny, verdict)
    };
    let first = proven(at(0, Verdict::NotRefused));
    let same = Standing::after(Some(first), at(1, Verdict::NotRefused));
    assert_eq!(same.since, Some(when()));
    let other = Standing::after(Some(same), at(2, Verdict::Refused));
    assert_eq!(other.since, Some(when() + TimeDelta::minutes(2)));
}
