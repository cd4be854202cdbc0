//! The parameters of a URL.
//!
//! Enters: the text after the question mark. Leaves: checked values, or the name of the parameter that is wrong.
//! Must never: ignore a parameter. A filter that was mistyped would silently show everything.

use url::form_urlencoded;

use super::{OrgLine, error::Error};
use crate::domain::Severity;

/// Entries of one answer, at most.
pub(super) const MOST: u32 = 1_000;

/// Characters of a visitor's value that an answer repeats.
const SHOWN: usize = 40;

/// Parameters that are known and occur once each.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes the text apart; only parameters called as in `known` are accepted.
    pub(super) fn read(text: Option<&str>, known: &[&str]) -> Result<Self, Error> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let reason = format!("is not known here; {} can be given", known.join(", "));
                return Err(Error::parameter(shown(&name), reason));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Error::parameter(name, "is given twice"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// `org`, if it is one of those configured.
    pub(super) fn org(&self, orgs: &[OrgLine]) -> Result<Option<&str>, Error> {
        let Some(name) = self.text("org") else { return Ok(None) };
        if orgs.iter().any(|org| org.name == name) {
            return Ok(Some(name));
        }
        let names: Vec<&str> = orgs.iter().map(|org| org.name.as_str()).collect();
        let reason = format!(
            "is {:?}, which is not a configured organisation; they are {}",
            shown(name),
            names.join(", ")
        );
        Err(Error::parameter("org", reason))
    }

    /// `severity`.
    pub(super) fn severity(&self) -> Result<Option<Severity>, Error> {
        let Some(word) = self.text("severity") else { return Ok(None) };
        let severity = Severity::parse(word).ok_or_else(|| {
            let words = Severity::ALL.map(Severity::as_str).join(", ");
            Error::parameter("severity", format!("is {:?}; it can be {words}", shown(word)))
        })?;
        Ok(Some(severity))
    }

    /// `limit`: 1 to [`MOST`].
    pub(super) fn limit(&self, default: u32) -> Result<u32, Error> {
        self.number("limit", default, 1, MOST)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&self, name: &str, default: u32, least: u32, most: u32) -> Result<u32, Error> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => {
                let reason = format!("is {:?}; it takes a whole number from {least} to {most}", shown(text));
                Err(Error::parameter(name, reason))
            }
        }
    }
}

/// The beginning of a visitor's text.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
