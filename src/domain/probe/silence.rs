//! What an empty list means, judged with what the divisions hold.
//!
//! Enters: the kind of objects that was listed, the object counts of the divisions as last counted, where the client's
//! grant counts, where it is meant to work. Leaves: a [`Silence`]. Must never: call a list really empty while a
//! division that the client may see holds something.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{DivisionId, DivisionRef, inventory::ObjectCounts};

/// Why a list came back empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// The division that the grant is in holds nothing of this kind.
    DivisionHoldsNothing,
    /// There are such objects, in a division that the grant does not reach.
    GrantElsewhere,
    /// The whole organisation has none.
    ReallyEmpty,
    /// Nothing was counted, or the client should have seen something.
    CannotTell,
}

impl Silence {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DivisionHoldsNothing => "division_holds_nothing",
            Self::GrantElsewhere => "grant_elsewhere",
            Self::ReallyEmpty => "really_empty",
            Self::CannotTell => "cannot_tell",
        }
    }

    /// As a person would say it.
    pub fn words(self) -> &'static str {
        match self {
            Self::DivisionHoldsNothing => {
                "The list is empty because the division holds nothing of this kind."
            }
            Self::GrantElsewhere => {
                "The list is empty because the grant is in another division than the objects: the client sees \
                 nothing and is not told so."
            }
            Self::ReallyEmpty => "The list is really empty: no division holds anything of this kind.",
            Self::CannotTell => "The list is empty, and the object counts cannot tell why.",
        }
    }
}

/// Judges an empty list of objects of one kind. `granted`: where the client holds the permission. `meant`: the
/// divisions that it is meant to work in; none: nobody said.
pub fn judge_empty(
    kind: Option<&str>,
    counts: &ObjectCounts,
    granted: &BTreeSet<DivisionRef>,
    meant: &BTreeSet<DivisionId>,
) -> Silence {
    let Some(kind) = kind else { return Silence::CannotTell };
    // A kind that no division counts was not counted; zero is a count.
    if granted.contains(&DivisionRef::Unknown) || !counts.values().any(|kinds| kinds.contains_key(kind)) {
        return Silence::CannotTell;
    }
    let holds = |division: &DivisionId| {
        counts.get(division).and_then(|kinds| kinds.get(kind)).is_some_and(|count| *count > 0)
    };
    let reached = |division: &DivisionId| {
        granted.contains(&DivisionRef::All) || granted.contains(&DivisionRef::One(division.clone()))
    };
    if !counts.keys().any(holds) {
        return Silence::ReallyEmpty;
    }
    if counts.keys().any(|division| reached(division) && holds(division)) {
        return Silence::CannotTell;
    }
    let elsewhere = if meant.is_empty() {
        true
    } else {
        meant.iter().any(|division| !reached(division) && holds(division))
    };
    if elsewhere { Silence::GrantElsewhere } else { Silence::DivisionHoldsNothing }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn counts(rows: &[(&str, i64)]) -> ObjectCounts {
        rows.iter()
            .map(|(division, count)| ((*division).into(), BTreeMap::from([("USER".to_owned(), *count)])))
            .collect()
    }

    fn divisions(ids: &[&str]) -> BTreeSet<DivisionRef> {
        ids.iter().map(|id| DivisionRef::from((*id).to_owned())).collect()
    }

    #[test]
    fn each_silence_has_its_reason() {
        let rows = counts(&[("home", 0), ("north", 7), ("south", 0)]);
        for (kind, granted, meant, expected) in [
            (Some("USER"), &["home"][..], &[][..], Silence::GrantElsewhere),
            (Some("USER"), &["home"], &["north"], Silence::GrantElsewhere),
            (Some("USER"), &["home"], &["home"], Silence::DivisionHoldsNothing),
            (Some("USER"), &["home"], &["south"], Silence::DivisionHoldsNothing),
            (Some("USER"), &["home", "north"], &[], Silence::CannotTell),
            (Some("USER"), &["*"], &[], Silence::CannotTell),
            (Some("QUEUE"), &["home"], &[], Silence::CannotTell),
            (None, &["home"], &[], Silence::CannotTell),
        ] {
            let meant = meant.iter().map(|id| DivisionId::from(*id)).collect();
            assert_eq!(
                judge_empty(kind, &rows, &divisions(granted), &meant),
                expected,
                "{kind:?} {granted:?}"
            );
        }
        let none = counts(&[("home", 0), ("north", 0)]);
        assert_eq!(
            judge_empty(Some("USER"), &none, &divisions(&["*"]), &BTreeSet::new()),
            Silence::ReallyEmpty
        );
        let unknown = BTreeSet::from([DivisionRef::Unknown]);
        assert_eq!(judge_empty(Some("USER"), &rows, &unknown, &BTreeSet::new()), Silence::CannotTell);
    }

    proptest! {
        #[test]
        fn a_list_is_called_empty_only_if_nothing_was_counted_anywhere(
            rows in prop::collection::btree_map("[a-d]", 0_i64..3, 0..4),
            granted in prop::collection::btree_set("[a-d*]", 0..4),
            meant in prop::collection::btree_set("[a-d]", 0..3),
        ) {
            let total: i64 = rows.values().sum();
            let rows: Vec<(&str, i64)> = rows.iter().map(|(id, count)| (id.as_str(), *count)).collect();
            let ids: Vec<&str> = granted.iter().map(String::as_str).collect();
            let meant = meant.iter().map(|id| DivisionId::from(id.clone())).collect();
            let silence = judge_empty(Some("USER"), &counts(&rows), &divisions(&ids), &meant);
            prop_assert_eq!(silence == Silence::ReallyEmpty, total == 0 && !rows.is_empty());
        }
    }
}
