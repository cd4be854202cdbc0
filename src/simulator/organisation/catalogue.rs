//! The organisation's permission catalogue: which permissions exist, and which of them know divisions and conditions.
//!
//! It starts as every permission that an operation names, and changes only through the private surface.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::simulator::operations;

/// A permission in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::simulator) struct Entry {
    pub(in crate::simulator) domain: String,
    pub(in crate::simulator) entity: String,
    pub(in crate::simulator) action: String,
    /// Whether the division of a grant restricts it; if not, it holds for the whole organisation.
    pub(in crate::simulator) division_aware: bool,
    pub(in crate::simulator) allows_conditions: bool,
}

/// All permissions by their name `domain:entity:action`.
pub(in crate::simulator) type Catalogue = BTreeMap<String, Entry>;

impl Entry {
    /// A permission with this simulator's own rule for divisions and conditions; `None` if it is not of three parts.
    pub(in crate::simulator) fn named(permission: &str) -> Option<Self> {
        let (domain, entity, action) = split(permission)?;
        Some(Self {
            domain: domain.to_owned(),
            entity: entity.to_owned(),
            action: action.to_owned(),
            division_aware: is_division_aware(domain, entity),
            allows_conditions: matches!(
                (domain, entity),
                ("recording", "recording" | "screenRecording")
                    | ("analytics", "conversationDetail")
                    | ("quality", "evaluation")
                    | ("routing", "queue")
            ),
        })
    }
}

/// `domain`, `entity` and `action` of a permission; `None` for a general permission such as `admin`.
pub(in crate::simulator) fn split(permission: &str) -> Option<(&str, &str, &str)> {
    let mut parts = permission.split(':');
    let three = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && !three.0.is_empty() && !three.1.is_empty() && !three.2.is_empty())
        .then_some(three)
}

/// Every permission that some operation needs.
pub(in crate::simulator) fn initial() -> Catalogue {
    let named: BTreeSet<&str> =
        operations::all().iter().flat_map(|operation| operation.permissions.iter().copied()).collect();
    named.into_iter().filter_map(|name| Some((name.to_owned(), Entry::named(name)?))).collect()
}

/// The entities whose objects live in divisions.
fn is_division_aware(domain: &str, entity: &str) -> bool {
    match domain {
        "outbound" => true,
        "directory" => entity == "user",
        "routing" => {
            matches!(entity, "queue" | "schedule" | "scheduleGroup" | "emergencyGroup" | "callRoute")
        }
        "architect" => matches!(entity, "flow" | "datatable" | "schedule" | "scheduleGroup"),
        "recording" => matches!(entity, "recording" | "recordingSegment" | "screenRecording"),
        "analytics" => matches!(entity, "conversationDetail" | "conversationAggregate" | "userDetail"),
        "quality" => entity == "evaluation",
        "scripter" => entity == "script",
        "wfm" => matches!(entity, "businessUnit" | "managementUnit" | "agent"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_starts_with_every_permission_of_the_operations_but_the_general_ones() {
        let catalogue = initial();
        assert_eq!(catalogue.len(), 1464);
        assert_eq!(catalogue.values().map(|entry| &entry.domain).collect::<BTreeSet<_>>().len(), 73);
        assert!(catalogue["routing:queue:view"].division_aware);
        assert!(!catalogue["authorization:role:view"].division_aware);
        assert!(!catalogue.contains_key("admin"));
    }

    #[test]
    fn a_permission_has_exactly_three_parts() {
        assert_eq!(split("telephony:plugin:all"), Some(("telephony", "plugin", "all")));
        for wrong in ["admin", "a:b", "a:b:c:d", "a::c", ":b:c", ""] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }
}
