//! What a decision about a finding covers: the hash of what is material in it.
//!
//! Enters: a finding. Leaves: a [`Fingerprint`]. Must never: be the same for two findings of which one says that the client
//! can do more, or move with what nobody changed.
//!
//! Covered are the severity and the evidence; uid, and with it check, client and key, stands beside the fingerprint. Not
//! covered are:
//! - the client's name (who is renamed is no other client), and with it title and remediation, which repeat it;
//! - times of first and last sight;
//! - sentences of the evidence that move although nobody changed this client: counts of calls and of days, how large the
//!   catalogue or the organisation is, how many others there are, whether a probe's latest attempt proved anything. They
//!   are named in [`ASIDE`]; a check that writes such a number belongs there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{evidence::Digester, finding::Finding};

/// What is material in a finding, as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For each check whose evidence holds such sentences, how they begin. An empty text: the whole evidence.
pub const ASIDE: [(&str, &[&str]); 15] = [
    // Counts of calls and of days: they move with every day.
    ("unused-permission", &[""]),
    ("unused-client", &[""]),
    // How large the catalogue is, and how much of it a role reaches. Which pattern it is stands in the key.
    ("admin-role", &["The role reaches "]),
    ("wildcard-role", &["The role holds "]),
    ("default-role", &["It gives "]),
    // How large the organisation is.
    ("every-division-grant", &["The organisation has "]),
    // Others: who else holds the role, and whom the client could become.
    ("shared-role", &[""]),
    ("escalation", &["It could then act as "]),
    ("possible-escalation", &["It could then act as "]),
    // Whether the latest attempt proved anything, in what way not, and since when it is so.
    ("negative-test-failed", PROBED),
    ("positive-test-failed", PROBED),
    ("model-mismatch", PROBED),
    ("refusal-unexplained", PROBED),
    ("negative-test-inconclusive", &[""]),
    // The date of the last call, which the key and the check say enough about.
    ("stale-client", &[""]),
];

const PROBED: &[&str] = &["So since ", "Later attempts proved nothing"];

/// The fingerprint of a finding.
pub fn of(finding: &Finding) -> Fingerprint {
    let aside = ASIDE.iter().find(|(check, _)| *check == finding.check).map_or(&[][..], |(_, aside)| aside);
    let mut digest = Digester::default();
    digest.part(finding.severity.as_str().as_bytes());
    for sentence in sentences(&finding.evidence) {
        // One that sums up many failures says nothing else than how many and which.
        let is_aside = finding.key != "summary" && aside.iter().any(|start| sentence.starts_with(start));
        if !is_aside {
            let text = match finding.client.name.as_str() {
                "" => sentence.to_owned(),
                name => sentence.replace(name, "\u{0}"),
            };
            digest.part(text.as_bytes());
        }
    }
    let mut text = digest.finish().to_string();
    text.truncate(32);
    Fingerprint(text)
}

/// The text in pieces, each of which begins after a full stop and a space.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(". ").map(str::trim_end)
}
