//! What an answer proves, by status and code and never by its text.
//!
//! Enters: what was expected, what was predicted, and what the platform answered. Leaves: a [`Judgement`]. Must never:
//! take a silence, a limit or a refused token for a refused operation, or an unnamed 403 for a proof of the model.
//!
//! For a person: a 401 says that the platform does not know who asks, so it tells nothing of what the client may do. A
//! 403 says that it knows, and refuses. A 404 for an id that nothing has says that the question was let through to the
//! place where objects are looked up; some operations look them up before they ask who may do what.

use super::{Class, Expectation, Held, Prediction, Verdict};
use crate::domain::Severity;

/// Codes of a 403 that say by themselves why.
const EXPLAINED: [&str; 2] = ["app.not.authorized.for.scope", "authz.policy.denied"];

/// Codes of a 403 whose text lists permissions that hold in no division at all.
const MISSING_EVERYWHERE: [&str; 2] = ["missing.permissions", "missing.any.permissions"];

/// Codes of a 403 that is about a division.
const MISSING_IN_A_DIVISION: [&str; 2] = ["missing.division.permission", "missing.any.division.permissions"];

/// What came back for one probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status of the operation itself; `None`: no answer came, or there was no token to ask with.
    pub status: Option<u16>,
    /// The platform's code; or our own word, if there was no answer (`timeout`, `network`), or the token endpoint's.
    pub code: Option<String>,
    /// The permissions that the answer names.
    pub permissions: Vec<String>,
    /// A list came back, and whether it was empty.
    pub empty: Option<bool>,
}

/// What an answer proves, and how bad that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it proves.
    pub verdict: Verdict,
    /// How bad; `None`: as it should be.
    pub severity: Option<Severity>,
    /// Prediction and answer disagree.
    pub mismatch: bool,
    /// Refused, without saying for want of what.
    pub unexplained: bool,
    /// One or two sentences for a person.
    pub explanation: String,
}

/// Judges an answer. `class`: what was sent; `needs`: the permissions that the operation declares; `held`: where the
/// client holds one of them, without a condition, by the analysis.
pub fn judge(
    expectation: Expectation,
    predicted: Prediction,
    class: Class,
    needs: &[String],
    held: &dyn Fn(&str) -> Held,
    answer: &Answer,
) -> Judgement {
    let Some(status) = answer.status else { return inconclusive(answer, None) };
    match status {
        403 => refused(expectation, predicted, needs, held, answer),
        200..=299 | 409 => passed(expectation, predicted, status),
        // Our bodies lack what is required or are of the wrong kind, and nothing says what the platform checks first.
        400 if class.body().is_some() && !is_granted(predicted) => inconclusive(answer, Some(status)),
        400 | 404 | 410 => looked_up(expectation, predicted, status),
        _ => inconclusive(answer, Some(status)),
    }
}

/// A code as it is kept: the platform's own words only, small letters between dots or underscores. Whatever else a body
/// may hold in that place is dropped; a token or an id cannot look like this.
pub fn stable_code(code: &str) -> Option<String> {
    let is_word = |word: &str| !word.is_empty() && word.len() <= 24;
    let is_code = (2..=80).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.' || byte == b'_')
        && code.split(['.', '_']).all(is_word);
    is_code.then(|| code.to_owned())
}

fn refused(
    expectation: Expectation,
    predicted: Prediction,
    needs: &[String],
    held: &dyn Fn(&str) -> Held,
    answer: &Answer,
) -> Judgement {
    let code = answer.code.as_deref().unwrap_or_default();
    let is_explained = EXPLAINED.contains(&code) || !answer.permissions.is_empty();
    let mut words = vec![match code {
        "" => "The platform refused (403) without a code.".to_owned(),
        code if answer.permissions.is_empty() => format!("The platform refused (403 {code})."),
        code => format!("The platform refused (403 {code}): it names {}.", answer.permissions.join(", ")),
    }];
    let mut mismatch = false;
    let is_everywhere = |name: &String| held(name) == Held::Everywhere;
    let of_a_division =
        MISSING_IN_A_DIVISION.contains(&code) && !answer.permissions.iter().any(is_everywhere);
    if predicted == Prediction::Granted && is_explained && of_a_division {
        words.push(
            "By its roles the client may do it in other divisions than the one that is asked for.".to_owned(),
        );
    } else if predicted == Prediction::Granted && (is_explained || code == "not.authorized") {
        mismatch = true;
        words.push(match code {
            "app.not.authorized.for.scope" => {
                "By its roles the client may do it: the organisation enforces scopes for client credentials."
                    .to_owned()
            }
            "authz.policy.denied" => {
                "By its roles the client may do it: an access policy denies it.".to_owned()
            }
            "not.authorized" => {
                "By its roles the client may do it: a product or feature may be off in this organisation."
                    .to_owned()
            }
            _ => "By its roles, as last audited, the client may do it.".to_owned(),
        });
    }
    if MISSING_EVERYWHERE.contains(&code) && predicted == Prediction::Refused {
        // An organisation-wide refusal names what is missing, so it must not name anything that is held, nor anything
        // that the operation does not need by its definition.
        let is_held = |name: &&str| held(name) != Held::Nowhere;
        let in_hand: Vec<&str> = answer.permissions.iter().map(String::as_str).filter(is_held).collect();
        let foreign: Vec<&str> = answer
            .permissions
            .iter()
            .map(String::as_str)
            .filter(|name| !needs.is_empty() && needs.iter().all(|needed| needed != name))
            .collect();
        if !in_hand.is_empty() {
            mismatch = true;
            words.push(format!("By its roles the client holds {}.", in_hand.join(", ")));
        }
        if !foreign.is_empty() {
            mismatch = true;
            words.push(format!("The definition of the operation does not name {}.", foreign.join(", ")));
        }
    }
    if !is_explained {
        words.push(
            "It does not say for want of what: a product may be off, or another rule than permissions refused."
                .to_owned(),
        );
    }
    let severity = match expectation {
        Expectation::Allow => Some(Severity::Medium),
        Expectation::Deny if !is_explained => Some(Severity::Low),
        Expectation::Deny if mismatch => Some(Severity::Low),
        Expectation::Deny => None,
    };
    Judgement {
        verdict: Verdict::Refused,
        severity,
        mismatch,
        unexplained: !is_explained,
        explanation: words.join(" "),
    }
}

/// The platform did what it was asked, or says that it would have.
fn passed(expectation: Expectation, predicted: Prediction, status: u16) -> Judgement {
    let mismatch = predicted == Prediction::Refused;
    let seen =
        if mismatch { " The client can do more than its roles, as last audited, explain." } else { "" };
    if expectation == Expectation::Allow {
        return Judgement {
            verdict: Verdict::Allowed,
            severity: mismatch.then_some(Severity::Low),
            mismatch,
            unexplained: false,
            explanation: format!("The platform answered ({status}).{seen}"),
        };
    }
    Judgement {
        verdict: Verdict::NotRefused,
        severity: Some(Severity::Critical),
        mismatch,
        unexplained: false,
        explanation: format!("The platform accepted the operation ({status}) instead of refusing it.{seen}"),
    }
}

/// Whether the roles allow it, be it under a condition.
fn is_granted(predicted: Prediction) -> bool {
    matches!(predicted, Prediction::Granted | Prediction::Conditional)
}

/// The question got as far as the object that does not exist, or the body that is not valid.
fn looked_up(expectation: Expectation, predicted: Prediction, status: u16) -> Judgement {
    let is_granted = is_granted(predicted);
    let how = match status {
        400 => "found fault with the request (400)",
        _ => "looked for the object",
    };
    match expectation {
        Expectation::Allow if status != 400 && is_granted => Judgement {
            verdict: Verdict::Allowed,
            severity: None,
            mismatch: false,
            unexplained: false,
            explanation: format!("The platform {how} and found none ({status}): it let the client through."),
        },
        Expectation::Allow => Judgement {
            verdict: Verdict::Inconclusive,
            severity: None,
            mismatch: false,
            unexplained: false,
            explanation: format!(
                "The platform answered {status} before or after asking whether the client may: nothing is proven."
            ),
        },
        Expectation::Deny if is_granted => Judgement {
            verdict: Verdict::NotRefused,
            severity: Some(Severity::Critical),
            mismatch: false,
            unexplained: false,
            explanation: format!(
                "The platform {how} instead of refusing ({status}), and by its roles the client may do it."
            ),
        },
        Expectation::Deny => Judgement {
            verdict: Verdict::NotRefused,
            severity: Some(Severity::High),
            mismatch: predicted == Prediction::Refused,
            unexplained: false,
            explanation: format!(
                "The platform {how} instead of refusing ({status}): the client's power is broader than we see, or the \
                 platform looks the object up first."
            ),
        },
    }
}

fn inconclusive(answer: &Answer, status: Option<u16>) -> Judgement {
    let code = answer.code.as_deref().unwrap_or_default();
    let with_code = |words: &str| match (status, code) {
        (Some(status), "") => format!("{words} ({status})."),
        (Some(status), code) => format!("{words} ({status} {code})."),
        (None, "") => format!("{words}."),
        (None, code) => format!("{words} ({code})."),
    };
    let explanation = match (status, code) {
        (Some(401), _) => {
            with_code("The platform does not accept the token, so it says nothing of what the client may do")
        }
        (Some(400), _) => with_code(
            "The platform found fault with the body, which says nothing of whether it asked for a permission before",
        ),
        (Some(429), _) => with_code("The client's rate limit is used up"),
        (Some(408 | 500..=599), _) => with_code("The platform could not answer"),
        (Some(300..=399), _) => with_code("The platform redirects, which is never followed"),
        (Some(405), _) => with_code("The platform does not know this method any more"),
        (Some(_), _) => with_code("The answer proves neither a refusal nor a permission"),
        (None, "timeout") => "No answer came in time.".to_owned(),
        (None, "network") => "The connection failed.".to_owned(),
        (None, _) => with_code("There was no token to ask with"),
    };
    Judgement {
        verdict: Verdict::Inconclusive,
        severity: None,
        mismatch: false,
        unexplained: false,
        explanation,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
