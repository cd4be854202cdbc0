//! What is wrong with a configuration: a list of fields, each with its value (if it may be shown) and the reason.
//!
//! Enters: refusals from the readers. Leaves: text for the user, one problem a line.
//! Must never: hold a secret. Whoever refuses a value decides how much of it is shown.

use std::fmt;

/// How much of a refused value is quoted.
const SHOWN: usize = 100;

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Full path of the field, with the variable that overrode it, if one did.
    pub field: String,
    /// The refused value as the file would write it, unless it is or may hold a secret.
    pub value: Option<String>,
    /// What is wrong with it and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {value} {}", self.field, self.reason),
            None => write!(f, "{}: {}", self.field, self.reason),
        }
    }
}

/// Everything that must be corrected before the program can run; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `value` if nothing is wrong.
    pub(super) fn unless_empty<T>(problems: Vec<Problem>, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(Self(problems)),
        }
    }

    /// Each problem, in the order of the file's documentation.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Why a value is refused, by somebody who does not know which field it stands in.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) value: Option<String>,
    pub(super) reason: String,
}

impl Refusal {
    /// Refuses `value` and shows it.
    pub(super) fn of(value: &str, reason: impl Into<String>) -> Self {
        Self { value: Some(quoted(value)), reason: reason.into() }
    }

    /// Refuses a value that is, or may hold, a secret.
    pub(super) fn hidden(reason: impl Into<String>) -> Self {
        Self { value: None, reason: reason.into() }
    }
}

/// `text` in quotes, escaped, cut when long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `; did you mean "x"?` for the candidate that a slip of the keys explains best, or nothing.
pub(super) fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, candidates).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// The candidate nearest to `text`, the first of equals, if at most a third of its letters differ.
fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs the product of the lengths, and nothing that long is a slip.
    if text.len() > SHOWN {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
