//! Tokens that live longer than a day.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "token-lifetime",
    title: "Client's tokens live no longer than a day",
    severity: Severity::Medium,
    rationale: "Whoever copies a token can use it until it ends. A program can get a new one at any time, so \
        nothing is won by a longer life.",
    remediation: "Set the token duration of the client to a day or less.",
    references: References {
        nist: &["AC-12", "IA-5(13)", "SC-23"],
        cis: &["16.10"],
        iso: &["A.5.17", "A.8.5"],
        soc2: &["CC6.1"],
        pci: &["8.6.3"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

/// Seconds. The platform's default, so that it takes a decision to fail; twice that is the most it allows to
/// ordinary clients.
const DAY: i64 = 86_400;
const MOST_FOR_ORDINARY_CLIENTS: i64 = 2 * DAY;

fn evaluate(_: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    // Absent means the platform's default.
    let Some(seconds) = client.token_lifetime_s.filter(|seconds| *seconds > DAY) else {
        return Vec::new();
    };
    let scim = if seconds > MOST_FOR_ORDINARY_CLIENTS {
        " The platform allows that only to clients that provision users (SCIM): whoever copies such a token can \
         change accounts for as long."
    } else {
        ""
    };
    vec![Failure {
        key: String::new(),
        title: format!("Tokens of {} live for {}", client.name, duration(seconds)),
        evidence: format!(
            "Tokens of client {} ({}) are valid for {seconds} seconds; the platform's default is {DAY}.{scim}",
            client.name, client.id
        ),
        next_step: format!("Set the token duration of {} to {DAY} seconds or less.", client.name),
        rests_on: &[],
    }]
}

/// "2 days", or "25 hours" where days would hide what is over.
fn duration(seconds: i64) -> String {
    match seconds {
        _ if seconds % DAY == 0 => format!("{} days", seconds / DAY),
        _ if seconds < MOST_FOR_ORDINARY_CLIENTS => format!("more than {} hours", seconds / 3600),
        _ => format!("more than {} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, of_check},
        fixtures::{client, snapshot},
        inventory::Client,
    };

    fn found(token_lifetime_s: Option<i64>) -> Option<(String, bool)> {
        let found = audit(&snapshot([Client { token_lifetime_s, ..client("c") }], []), &[]);
        let finding = of_check(&found, "token-lifetime").first().copied().cloned()?;
        Some((finding.title, finding.evidence.contains("SCIM")))
    }

    #[test]
    fn a_day_is_fine_and_more_is_not() {
        for fine in [None, Some(300), Some(86_400), Some(0), Some(-1)] {
            assert_eq!(found(fine), None, "{fine:?}");
        }
        let title = |text: &str| format!("Tokens of Client c live for {text}");
        assert_eq!(found(Some(86_401)), Some((title("more than 24 hours"), false)));
        assert_eq!(found(Some(172_800)), Some((title("2 days"), false)));
        assert_eq!(found(Some(38_880_000)), Some((title("450 days"), true)));
        assert_eq!(found(Some(i64::MAX)).map(|found| found.1), Some(true));
    }
}
