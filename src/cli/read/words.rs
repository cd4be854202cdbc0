//! Roles, divisions and counts as people read them.

use std::collections::BTreeMap;

use crate::domain::{DivisionRef, access::Via, snapshot::Snapshot};

/// A division by its name.
pub(super) fn division_name(snapshot: &Snapshot, division: &DivisionRef) -> String {
    match division {
        DivisionRef::All => "all divisions".to_owned(),
        DivisionRef::Unknown => "an unknown division".to_owned(),
        DivisionRef::One(id) => (snapshot.divisions.as_ref())
            .and_then(|divisions| divisions.get(id))
            .map_or_else(|| id.to_string(), |division| division.name.clone()),
    }
}

/// "Queue admin in Home, EMEA; Reader in all divisions": each role once, with the divisions that it is granted in.
pub(super) fn given_by<'a>(snapshot: &Snapshot, ways: impl IntoIterator<Item = &'a Via>) -> String {
    let mut roles: BTreeMap<(&str, &str, bool), Vec<String>> = BTreeMap::new();
    for way in ways {
        let places = roles.entry((&way.role_name, way.role.as_str(), way.source != "record")).or_default();
        let place = division_name(snapshot, &way.division);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let parts = roles.into_iter().map(|((name, _, beside), places)| {
        let note = if beside { " (not in its record)" } else { "" };
        format!("{name} in {}{note}", places.join(", "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// "1 client", "2 clients".
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The first few of some names, and how many more there are.
pub(super) fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>, shown: usize) -> String {
    let total = names.len();
    let mut parts: Vec<String> = names.take(shown).map(str::to_owned).collect();
    if total > shown {
        parts.push(format!("… and {} more", total - shown));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::{self, when};

    #[test]
    fn a_role_is_named_once_with_its_divisions() {
        let snapshot = fixtures::snapshot([], []);
        let way = |role: &str, division: &str| Via {
            role: role.into(),
            role_name: format!("Role {role}"),
            division: DivisionRef::from(division.to_owned()),
            conditional: false,
            source: "record",
            observed_at: when(),
            inherited_from: None,
        };
        let ways = [way("b", "*"), way("a", "d1"), way("a", "gone"), way("a", "d1")];
        assert_eq!(given_by(&snapshot, &ways), "Role a in Division d1, gone; Role b in all divisions");
        let beside = Via { source: "subject", ..way("a", "*") };
        let told = given_by(&snapshot, &[beside, way("a", "d1")]);
        assert_eq!(told, "Role a in Division d1; Role a in all divisions (not in its record)");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some_of(["a", "b"].into_iter(), 2), "a, b");
        assert_eq!(some_of(["a", "b", "c"].into_iter(), 2), "a, b, … and 1 more");
        assert_eq!((count(1, "client"), count(0, "client")), ("1 client".to_owned(), "0 clients".to_owned()));
    }
}
