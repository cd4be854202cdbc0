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
    proxy, route,
    section::Section,
};

impl Receiver {
    /// `checks`: the ids that a route may name.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        names: &mut Names,
        checks: &[&str],
        directory: &Path,
    ) -> Option<Self> {
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
        let route = route::read(section, checks);
        Some(Self { name: name?, target: target?, route, deny_private, proxy })
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
