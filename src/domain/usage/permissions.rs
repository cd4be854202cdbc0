//! From calls to permissions: which of those that a client holds were really used.
//!
//! Enters: what a client holds and what it called. Leaves: a [`Proof`]. Must never: call a permission unused that some
//! successful or attempted call may have needed, or judge one that no operation names.

use super::ClientUsage;
use crate::domain::{access::Access, catalogue::Mode, permission::PermissionSet};

/// The permissions of one client, each in one of four sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A successful call needed it.
    pub proven: PermissionSet,
    /// A call may have needed it: it was one of several of which one is enough, or the call was only attempted.
    pub possible: PermissionSet,
    /// Operations need it, and none of them was called.
    pub unused: PermissionSet,
    /// No operation names it (the platform's own pages may), so no count of calls can show its use.
    pub not_provable: PermissionSet,
}

/// Sorts what clients hold by what their calls show.
#[derive(Debug)]
pub struct Prover<'a> {
    access: &'a Access<'a>,
    /// Permissions that some operation names.
    named: PermissionSet,
}

impl<'a> Prover<'a> {
    /// For the clients of one snapshot.
    pub fn new(access: &'a Access<'a>) -> Self {
        let mut named = access.universe.none();
        named.extend(access.needs().iter().flatten().copied());
        Self { access, named }
    }

    /// For one client: `held` is everything that its roles give, `usage` what it called.
    pub fn proof(&self, held: &PermissionSet, usage: Option<&ClientUsage>) -> Proof {
        let (mut proven, mut possible) = (self.access.universe.none(), self.access.universe.none());
        for (at, calls) in usage.into_iter().flat_map(|usage| &usage.operations) {
            let Some((operation, needs)) = self.access.operations.get(*at).zip(self.access.needs().get(*at))
            else {
                continue;
            };
            let mine: Vec<usize> = needs.iter().copied().filter(|need| held.contains(*need)).collect();
            match (operation.mode, calls.ok > 0) {
                (Mode::None, _) => {}
                (Mode::All, true) => proven.extend(mine),
                // The only one of the set that the client holds must be the one that let it through.
                (Mode::Any, true) if mine.len() == 1 => proven.extend(mine),
                (Mode::All | Mode::Any | Mode::Unknown, _) => possible.extend(mine),
            }
        }
        possible.difference_with(&proven);
        let mut not_provable = held.clone();
        not_provable.difference_with(&self.named);
        let mut unused = held.clone();
        for known in [&proven, &possible, &not_provable] {
            unused.difference_with(known);
        }
        Proof { proven, possible, unused, not_provable }
    }
}
