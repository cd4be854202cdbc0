//! Large content that was decoded once and is asked for again and again: the operations of the platform.
//!
//! Enters: content by its hash. Leaves: the same values, shared. Must never: give a value for any other hash than its
//! own, or hold more than a few.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{catalogue::Operations, evidence::Hash};

/// Each organisation has one at a time, nearly always the same; `diff` wants two.
const MOST: usize = 4;

/// Operations by the hash of their text, those used last at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded(Arc<Mutex<Vec<Entry>>>);

/// A hash, and what its text came to.
type Entry = (Hash, Arc<Operations>);

impl Decoded {
    /// Those of a hash, if they are held.
    pub(super) fn find(&self, hash: Hash) -> Option<Arc<Operations>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = held.iter().position(|(known, _)| *known == hash)?;
        let entry = held.remove(at);
        let operations = Arc::clone(&entry.1);
        held.push(entry);
        Some(operations)
    }

    /// Holds them for the next who asks.
    pub(super) fn keep(&self, hash: Hash, operations: &Arc<Operations>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(known, _)| *known != hash);
        if held.len() >= MOST {
            held.remove(0);
        }
        held.push((hash, Arc::clone(operations)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_held_and_no_more() {
        let decoded = Decoded::default();
        let operations = Arc::new(Operations::compiled_in().clone());
        let hashes: Vec<Hash> = (0..6_u8).map(|number| Hash::of(&[number])).collect();
        for hash in &hashes[..4] {
            decoded.keep(*hash, &operations);
        }
        assert!(decoded.find(hashes[0]).is_some(), "the first is used again");
        decoded.keep(hashes[4], &operations);
        decoded.keep(hashes[4], &operations);
        assert!(decoded.find(hashes[1]).is_none(), "the one not used for longest went");
        for at in [0, 2, 3, 4] {
            assert!(decoded.find(hashes[at]).is_some_and(|held| Arc::ptr_eq(&held, &operations)), "{at}");
        }
        assert!(decoded.find(hashes[5]).is_none());
    }
}
