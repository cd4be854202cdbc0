//! `[[receiver]]`: where alerts are sent, and as what.
//!
//! Enters: a section. Leaves: a [`Receiver`]. Must never: show more of its URL than the origin, or accept a key that
//! means nothing to its kind.

mod target;

use std::path::Path;

pub use self::target::{Access, Target};
use super::{
    Receiver,
    org::{Names, unique_name},
    problem::{Refusal, did_you_mean},
    proxy,
    section::Section,
};
use crate::domain::{Severity, route::Route};

impl Receiver {
    pub(super) fn read(section: &mut Section<'_, '_>, names: &mut Names, directory: &Path) -> Option<Self> {
        let name = unique_name(section, names);
        let Some(kind) = section.required("kind", "write kind = \"webhook\"", kind) else {
            // What the other keys should be depends on the kind.
            section.ignore_rest();
            return None;
        };
        target::refuse_keys_of_others(section, kind);
        let is_networked = kind != "ocsf-file";
        let deny_private = is_networked && section.flag("deny_private").unwrap_or(false);
        let target = Target::read(section, kind, directory, deny_private);
        let proxy = if is_networked { proxy::read(section, directory) } else { None };
        let min_severity = section.text("min_severity", severity);
        Some(Self {
            name: name?,
            target: target?,
            route: Route { min_severity: min_severity.unwrap_or(Severity::Info) },
            deny_private,
            proxy,
        })
    }
}

fn kind(kind: &str) -> Result<&'static str, Refusal> {
    let known = Target::KINDS.into_iter().find(|known| *known == kind);
    known.ok_or_else(|| {
        let hint = did_you_mean(kind, Target::KINDS);
        let hint = if hint.is_empty() { format!("; known are {}", Target::KINDS.join(", ")) } else { hint };
        Refusal::of(kind, format!("is not a kind of receiver{hint}"))
    })
}

fn severity(word: &str) -> Result<Severity, Refusal> {
    Severity::parse(word).ok_or_else(|| {
        let words = Severity::ALL.map(Severity::as_str);
        Refusal::of(word, format!("is not one of {}{}", words.join(", "), did_you_mean(word, words)))
    })
}
