//! Grant types that should not be used any more.

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    inventory::GrantType,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "legacy-grant-type",
    title: "Client uses neither the implicit nor the password grant",
    severity: Severity::High,
    rationale: "The implicit grant puts tokens into addresses, where browsers and proxies keep them, and the \
        platform retires it. The password grant makes a program handle people's passwords and goes around \
        single sign-on and second factors.",
    remediation: "Move to the authorisation code grant with PKCE, or to client credentials if no user is involved.",
    references: References {
        nist: &["IA-5", "IA-9", "SC-23"],
        cis: &["16.10"],
        iso: &["A.8.5", "A.5.17"],
        soc2: &["CC6.1", "CC6.6"],
        pci: &["8.3.2", "6.2.4"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

fn evaluate(_: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    let (grant, why) = match client.grant_type {
        GrantType::Implicit => (
            "implicit",
            "Tokens travel in the address of a redirect, and the platform has announced the end of this grant.",
        ),
        GrantType::Password => ("password", "The program handles the passwords of the users it acts as."),
        GrantType::ClientCredentials | GrantType::Code | GrantType::Saml2Bearer | GrantType::Other(_) => {
            return Vec::new();
        }
    };
    let next_step = format!(
        "Register a client for {} with the grant type CODE, change the application to use it with PKCE, then \
         delete this one.",
        client.name
    );
    vec![Failure {
        key: String::new(),
        title: format!("{} uses the {grant} grant", client.name),
        evidence: format!(
            "Client {} ({}) has the grant type {}. {why}",
            client.name,
            client.id,
            client.grant_type.as_str()
        ),
        next_step,
        rests_on: &[],
    }]
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        checks::tests::{audit, keys},
        fixtures::{client, snapshot},
    };

    #[test]
    fn only_the_two_retired_grants_fail() {
        let cases = [
            ("TOKEN", true),
            ("token", true),
            ("PASSWORD", true),
            ("CODE", false),
            ("CLIENT-CREDENTIALS", false),
            ("CLIENT_CREDENTIALS", false),
            ("SAML2-BEARER", false),
            ("SOMETHING-NEW", false),
        ];
        for (grant_type, fails) in cases {
            let found = audit(&snapshot([client("c").of_type(grant_type)], []), &[]);
            assert_eq!(!keys(&found, "legacy-grant-type").is_empty(), fails, "{grant_type}");
        }
    }
}
