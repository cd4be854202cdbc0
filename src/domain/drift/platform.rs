//! What the platform changed by itself: a permission new in (or gone from) the catalogue, which roles took along
//! without anybody editing them.
//!
//! Enters: both sides of a comparison. Leaves: whether an addition to a role is the platform's doing.
//! Must never: excuse a permission that the catalogue knew before.

use crate::domain::{
    RoleId,
    access::Access,
    permission::{Pattern, PermissionSet},
};

/// Whether a role came to give `permission` between `old` and `new` because the platform brought it: it is new in
/// the catalogue, and the role is a shipped one, matched it already by a wildcard, or covered everything there was
/// around it (a wildcard that the API shows expanded). With the sides swapped: whether the platform took it away.
pub(super) fn brought(old: &Access<'_>, new: &Access<'_>, role: &RoleId, permission: usize) -> bool {
    if old.known.contains(permission) || !new.known.contains(permission) {
        return false;
    }
    let (Some(power), Some(role)) = (old.role(role), old.snapshot.roles.get(role)) else { return false };
    role.is_default || power.matched.contains(permission) || covered(old, &power.matched, permission)
}

/// Whether `held` includes everything that the catalogue knew around a permission: all of its entity; if that is
/// new too, all of its domain; if that is new too, everything.
fn covered(old: &Access<'_>, held: &PermissionSet, permission: usize) -> bool {
    let Pattern::Parts { domain, entity, .. } = Pattern::parse(old.universe.name(permission)) else {
        return false;
    };
    for around in [
        Pattern::Parts { domain, entity, action: "*" },
        Pattern::Parts { domain, entity: "*", action: "*" },
        Pattern::Parts { domain: "*", entity: "*", action: "*" },
    ] {
        let mut neighbours = old.universe.none();
        old.universe.add_matches(&around, &mut neighbours);
        neighbours.intersect_with(&old.known);
        if !neighbours.is_clear() {
            return neighbours.is_subset(held);
        }
    }
    false
}
