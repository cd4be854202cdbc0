//! Declared × observed × granted: what follows for one operation of one client.
//!
//! Enters: three answers, any of which may be missing. Leaves: a [`Cell`] with its advice in words.
//! Must never: advise to cut what a contract declares, however long it was not called, or take a missing contract for
//! one that declares nothing.

use serde::{Serialize, Serializer};

use super::{Calls, Window};

/// One of the eight cells of *declared × observed × granted*; the four without a contract; and operations for which the
/// platform declares no permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the three answers in order")]
pub enum Cell {
    DeclaredObservedGranted,
    DeclaredObservedRefused,
    DeclaredUnusedGranted,
    DeclaredUnusedRefused,
    UndeclaredObservedGranted,
    UndeclaredObservedRefused,
    UndeclaredUnusedGranted,
    UndeclaredUnusedRefused,
    ObservedGranted,
    ObservedRefused,
    UnusedGranted,
    UnusedRefused,
    /// The platform declares no permission for the operation (or nobody knows it), so roles neither give nor take it.
    Open,
}

impl Cell {
    /// Every cell.
    pub const ALL: [Self; 13] = [
        Self::DeclaredObservedGranted,
        Self::DeclaredObservedRefused,
        Self::DeclaredUnusedGranted,
        Self::DeclaredUnusedRefused,
        Self::UndeclaredObservedGranted,
        Self::UndeclaredObservedRefused,
        Self::UndeclaredUnusedGranted,
        Self::UndeclaredUnusedRefused,
        Self::ObservedGranted,
        Self::ObservedRefused,
        Self::UnusedGranted,
        Self::UnusedRefused,
        Self::Open,
    ];

    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeclaredObservedGranted => "declared_observed_granted",
            Self::DeclaredObservedRefused => "declared_observed_not_granted",
            Self::DeclaredUnusedGranted => "declared_unused_granted",
            Self::DeclaredUnusedRefused => "declared_unused_not_granted",
            Self::UndeclaredObservedGranted => "undeclared_observed_granted",
            Self::UndeclaredObservedRefused => "undeclared_observed_not_granted",
            Self::UndeclaredUnusedGranted => "undeclared_unused_granted",
            Self::UndeclaredUnusedRefused => "undeclared_unused_not_granted",
            Self::ObservedGranted => "observed_granted",
            Self::ObservedRefused => "observed_not_granted",
            Self::UnusedGranted => "unused_granted",
            Self::UnusedRefused => "unused_not_granted",
            Self::Open => "open",
        }
    }

    /// What to do, in one sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::DeclaredObservedGranted => "keep: agreed, used and granted",
            Self::DeclaredObservedRefused => {
                "grant what it lacks: agreed and tried, and nothing that is seen grants it"
            }
            Self::DeclaredUnusedGranted => "keep: agreed and not called yet, it may be the quarterly job",
            Self::DeclaredUnusedRefused => {
                "grant it before it is needed, or take it out of the contract: the first call would be refused"
            }
            Self::UndeclaredObservedGranted => {
                "ask the owner: the contract does not name it, so it is out of date or the client is abused"
            }
            Self::UndeclaredObservedRefused => {
                "look into it: neither agreed nor granted, and tried: a leftover, a mistake or somebody feeling around"
            }
            Self::UndeclaredUnusedGranted => "cut: granted, and neither agreed nor used",
            Self::UndeclaredUnusedRefused | Self::UnusedRefused => "nothing to do",
            Self::ObservedGranted => "keep: used; a contract would say whether that is agreed",
            Self::ObservedRefused => {
                "look into it: tried, and nothing that is seen grants it: a missing permission or a leftover"
            }
            Self::UnusedGranted => {
                "ask the owner, then cut: not called in this time; without a contract nobody knows of a quarterly job"
            }
            Self::Open => "nothing to cut: no permission is declared for it; only scopes bound it",
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The three answers for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The client's contract names it; `None`: it has no contract.
    pub declared: Option<bool>,
    /// What was counted.
    pub calls: Calls,
    /// Its roles give what it needs; `None`: it declares no permission.
    pub granted: Option<bool>,
}

impl Verdict {
    /// Where it stands.
    pub fn cell(&self) -> Cell {
        let Some(granted) = self.granted else { return Cell::Open };
        let observed = self.calls.total() > 0;
        match (self.declared, observed, granted) {
            (Some(true), true, true) => Cell::DeclaredObservedGranted,
            (Some(true), true, false) => Cell::DeclaredObservedRefused,
            (Some(true), false, true) => Cell::DeclaredUnusedGranted,
            (Some(true), false, false) => Cell::DeclaredUnusedRefused,
            (Some(false), true, true) => Cell::UndeclaredObservedGranted,
            (Some(false), true, false) => Cell::UndeclaredObservedRefused,
            (Some(false), false, true) => Cell::UndeclaredUnusedGranted,
            (Some(false), false, false) => Cell::UndeclaredUnusedRefused,
            (None, true, true) => Cell::ObservedGranted,
            (None, true, false) => Cell::ObservedRefused,
            (None, false, true) => Cell::UnusedGranted,
            (None, false, false) => Cell::UnusedRefused,
        }
    }

    /// What the count cannot show here, if anything.
    pub fn doubt(&self, window: &Window, any_of_several: bool) -> Option<String> {
        let Calls { ok, denied, throttled, failed, .. } = self.calls;
        if ok > 0 && self.granted == Some(false) {
            return Some(
                "it succeeded although nothing that is seen grants it: a grant was taken away since, or there is a way \
                 that is not seen"
                    .to_owned(),
            );
        }
        if ok > 0 && any_of_several {
            return Some(
                "one of several permissions is enough, so a success proves only one of them".to_owned(),
            );
        }
        if ok == 0 && denied > 0 {
            return Some(
                "attempted only: 4xx stands for a missing permission, an unknown id and a bad request alike"
                    .to_owned(),
            );
        }
        if ok == 0 && throttled + failed > 0 {
            return Some("never answered with success: nothing shows whether it would be allowed".to_owned());
        }
        (ok == 0).then(|| format!("{} days say nothing of a job that runs less often", window.days()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::fixtures::when;

    fn calls(ok: u64, denied: u64) -> Calls {
        Calls { ok, denied, ..Calls::default() }
    }

    #[test]
    fn each_cell_has_its_advice() {
        let (used, tried, nothing) = (calls(3, 0), calls(0, 2), calls(0, 0));
        for (declared, calls, granted, cell, advice) in [
            (Some(true), used, true, "declared_observed_granted", "keep: agreed, used"),
            (Some(true), tried, false, "declared_observed_not_granted", "grant what it lacks"),
            (
                Some(true),
                nothing,
                true,
                "declared_unused_granted",
                "keep: agreed and not called yet, it may be the quarterly",
            ),
            (Some(true), nothing, false, "declared_unused_not_granted", "grant it before it is needed"),
            (
                Some(false),
                used,
                true,
                "undeclared_observed_granted",
                "ask the owner: the contract does not name it",
            ),
            (
                Some(false),
                tried,
                false,
                "undeclared_observed_not_granted",
                "look into it: neither agreed nor granted",
            ),
            (Some(false), nothing, true, "undeclared_unused_granted", "cut: granted"),
            (Some(false), nothing, false, "undeclared_unused_not_granted", "nothing to do"),
            (None, used, true, "observed_granted", "keep: used"),
            (None, tried, false, "observed_not_granted", "look into it: tried"),
            (None, nothing, true, "unused_granted", "ask the owner, then cut"),
            (None, nothing, false, "unused_not_granted", "nothing to do"),
        ] {
            let found = Verdict { declared, calls, granted: Some(granted) }.cell();
            assert_eq!(found.as_str(), cell);
            assert!(found.advice().starts_with(advice), "{}", found.advice());
            let open = Verdict { declared, calls, granted: None }.cell();
            assert_eq!(open, Cell::Open);
        }
        let words: BTreeSet<&str> = Cell::ALL.map(Cell::as_str).into();
        assert_eq!(words.len(), Cell::ALL.len());
    }

    #[test]
    fn what_is_declared_is_never_cut() {
        for cell in Cell::ALL.into_iter().filter(|cell| cell.as_str().starts_with("declared")) {
            assert!(!cell.advice().contains("cut"), "{cell:?}");
        }
    }

    #[test]
    fn what_a_count_cannot_show_is_said() {
        let window = Window::last(90, when());
        let doubt = |calls, granted, any| Verdict { declared: None, calls, granted }.doubt(&window, any);
        assert_eq!(doubt(calls(1, 0), Some(true), false), None);
        assert!(doubt(calls(1, 0), Some(true), true).unwrap().contains("proves only one"));
        assert!(doubt(calls(0, 1), Some(true), true).unwrap().starts_with("attempted only"));
        assert!(doubt(calls(1, 1), Some(false), false).unwrap().starts_with("it succeeded although"));
        assert_eq!(
            doubt(calls(0, 0), Some(true), false).unwrap(),
            "90 days say nothing of a job that runs less often"
        );
        let throttled = Calls { throttled: 2, ..Calls::default() };
        assert!(doubt(throttled, Some(true), false).unwrap().starts_with("never answered with success"));
    }
}
