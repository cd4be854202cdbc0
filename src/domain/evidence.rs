//! Hashes that make the record checkable: of an entity, of a whole configuration, of what was recorded with it,
//! and the chain over audits.
//!
//! Enters: canonical text and ids. Leaves: SHA-256 values. Must never: depend on the order in which facts
//! arrived, or on anything that is not stored (or `verify` could not compute it again).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 value; written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// What stands before the first audit of an organisation.
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The raw 32 bytes, as the store keeps them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = String;

    fn try_from(bytes: &[u8]) -> Result<Self, String> {
        bytes.try_into().map(Self).map_err(|_| format!("a hash has 32 bytes, not {}", bytes.len()))
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = hex::decode(&text).map_err(|error| format!("not a hash in hex: {error}"))?;
        Self::try_from(bytes.as_slice())
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hex::encode(hash.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes a sequence of parts so that no two different sequences read alike: each part's length comes first.
#[derive(Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a named list: its name, how many texts there are, each text.
    fn list<T: AsRef<str>>(
        &mut self,
        name: &str,
        texts: impl IntoIterator<IntoIter: ExactSizeIterator<Item = T>>,
    ) -> &mut Self {
        let texts = texts.into_iter();
        self.part(name.as_bytes()).part(&(texts.len() as u64).to_be_bytes());
        for text in texts {
            self.part(text.as_ref().as_bytes());
        }
        self
    }

    /// The hash of all parts so far.
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

/// The digest of what an audit recorded beside the configuration.
///
/// `events`: packed events; `opened`: JSON of each finding version that began; `closed`: uid of each finding
/// version that ended. Sorted here, so the order in which they are handed over does not matter.
pub fn recorded(events: &[String], opened: &[String], closed: &[String]) -> Hash {
    let [events, opened, closed] = [events, opened, closed].map(|list| {
        let mut list: Vec<&String> = list.iter().collect();
        list.sort_unstable();
        list
    });
    recorded_in_order(events, opened, closed)
}

/// The same for lists that are sorted already, whose texts may be made one by one.
pub fn recorded_in_order<E: AsRef<str>, O: AsRef<str>, C: AsRef<str>>(
    events: impl IntoIterator<IntoIter: ExactSizeIterator<Item = E>>,
    opened: impl IntoIterator<IntoIter: ExactSizeIterator<Item = O>>,
    closed: impl IntoIterator<IntoIter: ExactSizeIterator<Item = C>>,
) -> Hash {
    let mut digester = Digester::default();
    digester.list("events", events).list("opened", opened).list("closed", closed);
    digester.finish()
}

/// The digest of what an audit recorded, with the decisions that it seals (the hash of each entry, in any order). Without
/// any it is the digest itself: audits from before there were decisions stay what they are.
pub fn with_decisions(recorded: Hash, decisions: &[Hash]) -> Hash {
    if decisions.is_empty() {
        return recorded;
    }
    let mut sorted: Vec<String> = decisions.iter().map(ToString::to_string).collect();
    sorted.sort_unstable();
    let mut digester = Digester::default();
    digester.part(recorded.as_bytes()).list("decisions", &sorted);
    digester.finish()
}

/// What one link of the chain binds together: the facts of an audit row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The organisation's configured name.
    pub org: &'a str,
    /// The audit's id.
    pub audit: &'a str,
    /// When it was recorded, to the millisecond.
    pub at: DateTime<Utc>,
    /// Whether every fact was seen.
    pub complete: bool,
    /// Its gaps, as stored JSON.
    pub gaps: &'a str,
    /// Digest of the whole configuration.
    pub configuration: Hash,
    /// Digest of what was recorded with it ([`recorded`], [`with_decisions`]).
    pub recorded: Hash,
}

/// The chain hash of an audit row over the row before it ([`Hash::GENESIS`] for the first).
pub fn chain(before: Hash, link: &Link<'_>) -> Hash {
    let mut digester = Digester::default();
    digester
        .part(before.as_bytes())
        .part(link.org.as_bytes())
        .part(link.audit.as_bytes())
        .part(&link.at.timestamp_millis().to_be_bytes())
        .part(&[u8::from(link.complete)])
        .part(link.gaps.as_bytes())
        .part(link.configuration.as_bytes())
        .part(link.recorded.as_bytes());
    digester.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_shifted_between_each_other() {
        let hash = |parts: &[&str]| {
            let mut digester = Digester::default();
            for part in parts {
                digester.part(part.as_bytes());
            }
            digester.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["ab"]), hash(&["ab", ""]));
    }

    #[test]
    fn the_record_does_not_depend_on_order_but_on_place() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(recorded(&[a.clone(), b.clone()], &[], &[]), recorded(&[b.clone(), a.clone()], &[], &[]));
        assert_ne!(
            recorded(std::slice::from_ref(&a), std::slice::from_ref(&b), &[]),
            recorded(&[b], &[a], &[])
        );
    }

    #[test]
    fn every_field_of_a_link_moves_the_chain() {
        let link = Link {
            org: "acme",
            audit: "1",
            at: DateTime::from_timestamp_millis(1_000).unwrap(),
            complete: true,
            gaps: "[]",
            configuration: Hash::of(b"c"),
            recorded: Hash::of(b"r"),
        };
        let base = chain(Hash::GENESIS, &link);
        let others = [
            chain(Hash::of(b"x"), &link),
            chain(Hash::GENESIS, &Link { org: "other", ..link.clone() }),
            chain(Hash::GENESIS, &Link { audit: "2", ..link.clone() }),
            chain(
                Hash::GENESIS,
                &Link { at: DateTime::from_timestamp_millis(1_001).unwrap(), ..link.clone() },
            ),
            chain(Hash::GENESIS, &Link { complete: false, ..link.clone() }),
            chain(Hash::GENESIS, &Link { gaps: "[{}]", ..link.clone() }),
            chain(Hash::GENESIS, &Link { configuration: Hash::of(b"d"), ..link.clone() }),
            chain(Hash::GENESIS, &Link { recorded: Hash::of(b"s"), ..link }),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
