//! Redirect addresses that somebody else could receive codes and tokens at.

use url::{Host, Url};

use crate::domain::{
    Fact, Severity,
    checks::{Check, Facts, Failure, References, Subject},
    inventory::GrantType,
};

pub(in crate::domain::checks) const CHECK: Check = Check {
    id: "insecure-redirect-uri",
    title: "Client's redirect addresses are exact https addresses",
    severity: Severity::High,
    rationale: "Codes and tokens are sent to the redirect address. Without TLS, with a wildcard, or with a scheme \
        that any program can claim, somebody else can receive them.",
    remediation: "Register exact https addresses with a host name; for local development, loopback is fine.",
    references: References {
        nist: &["SC-8", "SC-23", "IA-5"],
        cis: &["3.10", "16.10"],
        iso: &["A.8.26", "A.8.24"],
        soc2: &["CC6.6", "CC6.7"],
        pci: &["4.2.1", "8.3.2", "6.2.4"],
    },
    needs: &[Fact::Clients],
    evaluate,
};

/// What is wrong with a redirect address; `None`: nothing. Loopback stays on the machine, so it may do without TLS.
fn fault(uri: &str) -> Option<&'static str> {
    if uri.contains('*') {
        return Some("contains a wildcard, so it matches addresses that nobody registered");
    }
    let Ok(url) = Url::parse(uri) else {
        return Some("is not an absolute address");
    };
    if url.fragment().is_some() {
        return Some("has a fragment, which OAuth 2.0 forbids in a redirect address");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("carries a user name or password");
    }
    let (loopback, bare_address) = match url.host() {
        Some(Host::Domain(name)) => (name == "localhost" || name.ends_with(".localhost"), false),
        Some(Host::Ipv4(address)) => (address.is_loopback(), true),
        Some(Host::Ipv6(address)) => (address.is_loopback(), true),
        None => (false, false),
    };
    match url.scheme() {
        "http" | "https" if loopback => None,
        "http" => Some("is not encrypted (http)"),
        "https" if bare_address => {
            Some("names an IP address instead of a host, which may pass to somebody else")
        }
        "https" => None,
        _ => Some("has a scheme other than https, which any program on the device can claim"),
    }
}

fn evaluate(_: &Facts<'_>, subject: &Subject<'_>) -> Vec<Failure> {
    let client = subject.client;
    match client.grant_type {
        GrantType::Code | GrantType::Implicit | GrantType::Other(_) => {}
        GrantType::ClientCredentials | GrantType::Password | GrantType::Saml2Bearer => return Vec::new(),
    }
    (client.redirect_uris.iter())
        .filter_map(|uri| {
            let fault = fault(uri)?;
            Some(Failure {
                key: uri.clone(),
                title: format!("{} may send codes or tokens to {uri}", client.name),
                evidence: format!(
                    "Redirect address {uri} of client {} ({}) {fault}.",
                    client.name, client.id
                ),
                next_step: format!(
                    "Replace {uri} by the exact https address of {}, or remove it.",
                    client.name
                ),
                rests_on: &[],
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fault;
    use crate::domain::{
        checks::tests::{audit, keys},
        finding::Status,
        fixtures::{client, snapshot},
    };

    #[test]
    fn exact_https_and_loopback_are_fine() {
        let fine = [
            "https://app.example.com/callback",
            "https://app.example.com:8443/cb?x=1",
            "HTTPS://APP.EXAMPLE.COM/",
            "http://localhost:3000/cb",
            "http://127.0.0.1:8080/",
            "http://127.8.9.1/",
            "http://[::1]:9000/cb",
            "https://127.0.0.1/",
        ];
        for uri in fine {
            assert_eq!(fault(uri), None, "{uri}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        let faults = [
            ("http://app.example.com/cb", "is not encrypted"),
            ("http://localhost.example.com/", "is not encrypted"),
            ("http://127.0.0.1.example.com/", "is not encrypted"),
            ("http://192.168.0.10/", "is not encrypted"),
            ("https://*.example.com/cb", "contains a wildcard"),
            ("https://app.example.com/*", "contains a wildcard"),
            ("https://app.example.com/#/cb", "has a fragment"),
            ("https://user:pw@app.example.com/", "carries a user name"),
            ("https://203.0.113.7/cb", "names an IP address"),
            ("https://[2001:db8::1]/", "names an IP address"),
            ("com.example.app:/cb", "has a scheme other than https"),
            ("javascript:alert(1)", "has a scheme other than https"),
            ("urn:ietf:wg:oauth:2.0:oob", "has a scheme other than https"),
            ("/callback", "is not an absolute address"),
            ("", "is not an absolute address"),
            ("app.example.com", "is not an absolute address"),
        ];
        for (uri, expected) in faults {
            assert!(fault(uri).unwrap_or_default().starts_with(expected), "{uri}: {:?}", fault(uri));
        }
    }

    #[test]
    fn only_grants_that_redirect_are_looked_at() {
        for (grant_type, fails) in
            [("CODE", true), ("TOKEN", true), ("NEW", true), ("CLIENT-CREDENTIALS", false)]
        {
            let mut holder = client("c").of_type(grant_type);
            holder.redirect_uris = ["http://a.example/", "https://b.example/"].map(str::to_owned).into();
            let found = audit(&snapshot([holder], []), &[]);
            let expected = if fails { vec![("c", "http://a.example/", Status::Fail)] } else { Vec::new() };
            assert_eq!(keys(&found, "insecure-redirect-uri"), expected, "{grant_type}");
        }
    }
}
