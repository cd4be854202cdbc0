//! `[[companion]]`: a permission that another one is of little use without, in the operator's own words.
//!
//! Enters: a section. Leaves: a [`Companion`]. Must never: accept a pattern. A companion is one permission.

use crate::{
    config::{
        problem::{Refusal, did_you_mean},
        section::Section,
    },
    domain::{
        catalogue::{Catalogue, Operations},
        contract::companion::Companion,
    },
};

/// The most of them.
pub(in crate::config) const MOST: usize = 100;

/// The longest reason, in letters.
const LONGEST: usize = 300;

/// `None` only beside a problem that says why.
pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Option<Companion> {
    let when =
        section.required("permission", "the permission (or operation) whose answers need another", when);
    let needs = section.required("needs", "the permission that it is of little use without", permission);
    let reason = section.required("reason", "why, in one line", |text| {
        let is_line =
            !text.trim().is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
        if is_line {
            Ok(text.to_owned())
        } else {
            Err(Refusal::of(text, format!("is not one line of at most {LONGEST} letters")))
        }
    });
    let (when, needs) = (when?, needs?);
    if when == needs {
        section.complain(format!("{when:?} cannot be a companion of itself"));
        return None;
    }
    Some(Companion { when: when.into(), needs: needs.into(), reason: reason?.into() })
}

fn when(text: &str) -> Result<String, Refusal> {
    if !text.contains('/') {
        return permission(text);
    }
    let operations = Operations::compiled_in();
    match operations.find(text).and_then(|at| operations.get(at)) {
        Some(operation) => Ok(operation.name.to_string()),
        None => Err(Refusal::of(
            text,
            "is not an operation of the platform's API, as \"GET /api/v2/users/{userId}\"",
        )),
    }
}

/// A permission by its full name. It need not be one that operations name: an organisation's catalogue has more.
pub(super) fn permission(text: &str) -> Result<String, Refusal> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_word = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if parts.len() == 3 && parts.iter().all(is_word) {
        return Ok(text.to_owned());
    }
    let hint = did_you_mean(text, Catalogue::compiled_in().permissions.keys().map(String::as_str));
    Err(Refusal::of(text, format!("is not a permission, as \"routing:queue:view\"{hint}")))
}
