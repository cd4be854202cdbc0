//! Verdicts: the table of the platform's answers, and what holds for all of them.

use proptest::prelude::*;

use super::*;

const NEED: &str = "directory:user:delete";

fn answer(status: u16, code: &str, permissions: &[&str]) -> Answer {
    Answer {
        status: Some(status),
        code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        empty: None,
    }
}

fn of(expectation: Expectation, predicted: Prediction, answer: &Answer) -> Judgement {
    by(Class::Delete, expectation, predicted, answer)
}

fn by(class: Class, expectation: Expectation, predicted: Prediction, answer: &Answer) -> Judgement {
    let held = |name: &str| match name {
        "directory:user:view" => Held::Everywhere,
        "routing:queue:edit" => Held::Somewhere,
        _ => Held::Nowhere,
    };
    judge(expectation, predicted, class, &[NEED.to_owned()], &held, answer)
}

#[test]
fn negative_tests_by_status_and_code() {
    use Prediction::{Conditional, Granted, Refused, Undeclared, Unknown};
    use Severity::{Critical, High, Low};
    // Predicted, status, code, permissions named → verdict, severity, mismatch, unexplained.
    let proven = Verdict::Refused;
    let failed = Verdict::NotRefused;
    let open = Verdict::Inconclusive;
    for (predicted, status, code, named, verdict, severity, mismatch, unexplained) in [
        (Refused, 403, "missing.permissions", &[NEED][..], proven, None, false, false),
        (Refused, 403, "missing.any.permissions", &[NEED], proven, None, false, false),
        (Refused, 403, "missing.division.permission", &[NEED], proven, None, false, false),
        (Refused, 403, "missing.any.division.permissions", &[NEED], proven, None, false, false),
        (Refused, 403, "app.not.authorized.for.scope", &[], proven, None, false, false),
        (Refused, 403, "authz.policy.denied", &[], proven, None, false, false),
        (Undeclared, 403, "missing.permissions", &[NEED], proven, None, false, false),
        (Unknown, 403, "missing.permissions", &[NEED], proven, None, false, false),
        (Conditional, 403, "missing.permissions", &[NEED], proven, None, false, false),
        // The platform and the analysis disagree.
        (Granted, 403, "missing.permissions", &[NEED], proven, Some(Low), true, false),
        (Granted, 403, "app.not.authorized.for.scope", &[], proven, Some(Low), true, false),
        (Refused, 403, "missing.permissions", &["directory:user:view"], proven, Some(Low), true, false),
        (
            Refused,
            403,
            "missing.any.permissions",
            &[NEED, "routing:queue:view"],
            proven,
            Some(Low),
            true,
            false,
        ),
        // Held in another division: no disagreement. Held in all of them: one.
        (Granted, 403, "missing.division.permission", &["routing:queue:edit"], proven, None, false, false),
        (
            Granted,
            403,
            "missing.division.permission",
            &["directory:user:view"],
            proven,
            Some(Low),
            true,
            false,
        ),
        // Nothing is named.
        (Refused, 403, "not.authorized", &[], proven, Some(Low), false, true),
        (Refused, 403, "missing.permissions", &[], proven, Some(Low), false, true),
        (Refused, 403, "", &[], proven, Some(Low), false, true),
        (Granted, 403, "not.authorized", &[], proven, Some(Low), true, true),
        // Let through.
        (Refused, 200, "", &[], failed, Some(Critical), true, false),
        (Granted, 204, "", &[], failed, Some(Critical), false, false),
        (Refused, 409, "request.conflict", &[], failed, Some(Critical), true, false),
        (Granted, 404, "not.found", &[], failed, Some(Critical), false, false),
        (Conditional, 404, "not.found", &[], failed, Some(Critical), false, false),
        (Granted, 400, "bad.request", &[], failed, Some(Critical), false, false),
        (Refused, 404, "not.found", &[], failed, Some(High), true, false),
        (Refused, 400, "bad.request", &[], failed, Some(High), true, false),
        (Undeclared, 404, "not.found", &[], failed, Some(High), false, false),
        (Unknown, 404, "not.found", &[], failed, Some(High), false, false),
        // Nothing proven.
        (Refused, 401, "bad.credentials", &[], open, None, false, false),
        (Refused, 401, "authentication.required", &[], open, None, false, false),
        (Granted, 429, "too.many.requests", &[], open, None, false, false),
        (Granted, 500, "internal.server.error", &[], open, None, false, false),
        (Granted, 503, "", &[], open, None, false, false),
        (Granted, 302, "", &[], open, None, false, false),
        (Granted, 405, "method.not.allowed", &[], open, None, false, false),
        (Granted, 408, "client.timeout", &[], open, None, false, false),
    ] {
        let judged = of(Expectation::Deny, predicted, &answer(status, code, named));
        assert_eq!(
            (judged.verdict, judged.severity, judged.mismatch, judged.unexplained),
            (verdict, severity, mismatch, unexplained),
            "{predicted:?} {status} {code} {named:?}: {}",
            judged.explanation
        );
    }
}

#[test]
fn positive_tests_by_status_and_code() {
    use Prediction::{Granted, Refused};
    for (predicted, status, code, verdict, severity, mismatch) in [
        (Granted, 200, "", Verdict::Allowed, None, false),
        (Granted, 404, "not.found", Verdict::Allowed, None, false),
        (Refused, 404, "not.found", Verdict::Inconclusive, None, false),
        (Granted, 400, "bad.request", Verdict::Inconclusive, None, false),
        (Refused, 200, "", Verdict::Allowed, Some(Severity::Low), true),
        (Refused, 403, "missing.permissions", Verdict::Refused, Some(Severity::Medium), false),
        (Granted, 403, "app.not.authorized.for.scope", Verdict::Refused, Some(Severity::Medium), true),
        (Granted, 401, "bad.credentials", Verdict::Inconclusive, None, false),
    ] {
        let named: &[&str] = if code.starts_with("missing") { &[NEED] } else { &[] };
        let judged = of(Expectation::Allow, predicted, &answer(status, code, named));
        assert_eq!(
            (judged.verdict, judged.severity, judged.mismatch),
            (verdict, severity, mismatch),
            "{predicted:?} {status} {code}: {}",
            judged.explanation
        );
    }
}

#[test]
fn no_answer_says_what_was_in_the_way() {
    for (code, words) in [
        ("timeout", "No answer came in time."),
        ("network", "The connection failed."),
        ("invalid_client", "There was no token to ask with (invalid_client)."),
        ("invalid_scope", "There was no token to ask with (invalid_scope)."),
    ] {
        let answer = Answer { code: Some(code.to_owned()), ..Answer::default() };
        let judged = of(Expectation::Deny, Prediction::Granted, &answer);
        assert_eq!((judged.verdict, judged.explanation.as_str()), (Verdict::Inconclusive, words));
    }
}

#[test]
fn a_404_against_the_prediction_is_worded_as_a_doubt() {
    let judged = of(Expectation::Deny, Prediction::Refused, &answer(404, "not.found", &[]));
    assert!(
        judged.explanation.ends_with("broader than we see, or the platform looks the object up first."),
        "{}",
        judged.explanation
    );
}

#[test]
fn a_400_to_a_body_proves_nothing_unless_the_roles_allow_it_anyway() {
    for class in [Class::Patch, Class::Create] {
        for predicted in Prediction::ALL {
            let judged = by(class, Expectation::Deny, predicted, &answer(400, "bad.request", &[]));
            let granted = matches!(predicted, Prediction::Granted | Prediction::Conditional);
            let wanted = if granted { Verdict::NotRefused } else { Verdict::Inconclusive };
            assert_eq!((judged.verdict, judged.severity.is_some()), (wanted, granted), "{predicted:?}");
            assert!(granted || judged.explanation.contains("fault with the body"), "{}", judged.explanation);
        }
        let looked_up = by(class, Expectation::Deny, Prediction::Refused, &answer(404, "not.found", &[]));
        assert_eq!(
            looked_up.verdict,
            Verdict::NotRefused,
            "no object was found: the body was not what it minded"
        );
    }
}

#[test]
fn only_words_of_the_platform_are_kept_as_a_code() {
    for code in ["missing.any.permissions", "invalid_scope", "app.not.authorized.for.scope", "not.found"] {
        assert_eq!(stable_code(code).as_deref(), Some(code));
    }
    for code in [
        "",
        "a",
        "Bearer abc",
        "eyJhbGciOiJ",
        "7b0c8d5e-9f3a",
        "missing..x",
        "UPPER",
        "a\nb",
        &"a".repeat(25),
    ] {
        assert_eq!(stable_code(code), None, "{code}");
    }
}

proptest! {
    /// Whatever comes back: only a 403 is a refusal, only what was let through is a failure, and no text decides.
    #[test]
    fn verdicts_rest_on_the_status(
        status in prop::option::of(100_u16..600),
        code in "[a-z._]{0,30}",
        predicted in prop::sample::select(Prediction::ALL.to_vec()),
        deny: bool,
        class in prop::sample::select(vec![Class::Delete, Class::Patch, Class::Read, Class::List, Class::Create]),
        named in prop::collection::vec("[a-z]{1,5}:[a-z]{1,5}:[a-z]{1,5}", 0..4),
    ) {
        let expectation = if deny { Expectation::Deny } else { Expectation::Allow };
        let answer = Answer { status, code: Some(code), permissions: named, empty: None };
        let judged = by(class, expectation, predicted, &answer);
        prop_assert_eq!(judged.verdict == Verdict::Refused, status == Some(403));
        let granted = matches!(predicted, Prediction::Granted | Prediction::Conditional);
        let minds_the_body = class.body().is_some() && !granted;
        let through = status.is_some_and(|status| {
            matches!(status, 200..=299 | 404 | 409 | 410) || (status == 400 && !minds_the_body)
        });
        prop_assert_eq!(judged.verdict == Verdict::NotRefused, deny && through);
        prop_assert_eq!(
            deny && matches!(judged.severity, Some(Severity::Critical | Severity::High)),
            deny && through
        );
        prop_assert!(status.is_some() || judged.verdict == Verdict::Inconclusive);
        if matches!(predicted, Prediction::Undeclared | Prediction::Unknown) {
            prop_assert!(!judged.mismatch, "nothing was predicted");
        }
        prop_assert!(!judged.explanation.is_empty());
    }
}
