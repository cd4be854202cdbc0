//! Strict reading of the fields that we use, blind to all others.
//!
//! Enters: the bytes of an answer. Leaves: the asked-for values, or a [`Mismatch`] that names the field and the
//! JSON type found. Must never: repeat a value in an error, or decode a field that nobody asked for. An object is
//! kept as slices of the body, so a client's `secret` is never turned into a string of ours.
//!
//! Written by hand because `serde_json`'s own messages quote the offending value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::value::RawValue;

/// A field that is not what the platform documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::collect) struct Mismatch {
    /// `entities[3].roleDivisions[0].roleId`; empty for the whole body.
    path: String,
    problem: String,
}

impl Mismatch {
    pub(in crate::collect) fn new(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into() }
    }

    /// The same problem, seen from the object that holds the field.
    pub(in crate::collect) fn in_field(self, key: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{key}{dot}{}", self.path), ..self }
    }

    fn in_item(self, index: usize) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("[{index}]{dot}{}", self.path), ..self }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the body" } else { &self.path };
        write!(f, "{path} {}", self.problem)
    }
}

/// The whole body, checked to be one JSON document.
pub(in crate::collect) fn document(body: &[u8]) -> Result<&RawValue, Mismatch> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Mismatch::new("is empty"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Mismatch::new(if error.is_eof() {
            format!("is cut off at line {line}, column {column}")
        } else {
            format!("is not JSON at line {line}, column {column}")
        })
    })
}

/// An object whose fields are still undecoded slices.
pub(in crate::collect) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Decodes a field; absent and `null` are the same.
    pub(in crate::collect) fn optional<T>(
        &self,
        key: &str,
        decode: impl FnOnce(&'a RawValue) -> Result<T, Mismatch>,
    ) -> Result<Option<T>, Mismatch> {
        match self.0.get(key) {
            Some(raw) if raw.get() != "null" => {
                decode(raw).map(Some).map_err(|mismatch| mismatch.in_field(key))
            }
            _ => Ok(None),
        }
    }

    /// Decodes a field that must be there.
    pub(in crate::collect) fn required<T>(
        &self,
        key: &str,
        decode: impl FnOnce(&'a RawValue) -> Result<T, Mismatch>,
    ) -> Result<T, Mismatch> {
        self.optional(key, decode)?.ok_or_else(|| Mismatch::new("is missing").in_field(key))
    }

    /// Every field, by name.
    pub(in crate::collect) fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, raw)| (key.as_str(), *raw))
    }
}

pub(in crate::collect) fn object(raw: &RawValue) -> Result<Object<'_>, Mismatch> {
    expect(raw, "an object", "an object")?;
    serde_json::from_str(raw.get()).map(Object).map_err(|_| Mismatch::new("is not a readable object"))
}

/// A list, each item decoded alike. A `null` item is refused: it would be an entity that is not seen.
pub(in crate::collect) fn list<'a, T, C: FromIterator<T>>(
    item: impl Fn(&'a RawValue) -> Result<T, Mismatch>,
) -> impl Fn(&'a RawValue) -> Result<C, Mismatch> {
    move |raw| {
        expect(raw, "a list", "a list")?;
        let items: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| Mismatch::new("is not a readable list"))?;
        items
            .into_iter()
            .enumerate()
            .map(|(index, raw)| item(raw).map_err(|mismatch| mismatch.in_item(index)))
            .collect()
    }
}

/// A list of strings, as a set.
pub(in crate::collect) fn words(raw: &RawValue) -> Result<BTreeSet<String>, Mismatch> {
    list(text)(raw)
}

pub(in crate::collect) fn text(raw: &RawValue) -> Result<String, Mismatch> {
    expect(raw, "a string", "a string")?;
    serde_json::from_str(raw.get()).map_err(|_| Mismatch::new("is a string with a broken escape"))
}

/// A string that names something, so it may not be empty.
pub(in crate::collect) fn identifier(raw: &RawValue) -> Result<String, Mismatch> {
    let text = text(raw)?;
    if text.is_empty() { Err(Mismatch::new("is an empty string")) } else { Ok(text) }
}

pub(in crate::collect) fn flag(raw: &RawValue) -> Result<bool, Mismatch> {
    expect(raw, "true or false", "a boolean")?;
    Ok(raw.get() == "true")
}

pub(in crate::collect) fn whole(raw: &RawValue) -> Result<i64, Mismatch> {
    expect(raw, "a whole number", "a number")?;
    raw.get().parse().map_err(|_| Mismatch::new("is not a whole number of at most 64 bits"))
}

/// A whole number of zero or more.
pub(in crate::collect) fn count(raw: &RawValue) -> Result<u64, Mismatch> {
    u64::try_from(whole(raw)?).map_err(|_| Mismatch::new("is a negative number"))
}

fn expect(raw: &RawValue, wanted: &str, kind: &str) -> Result<(), Mismatch> {
    let found = kind_of(raw);
    if found == kind { Ok(()) } else { Err(Mismatch::new(format!("should be {wanted}, is {found}"))) }
}

/// The JSON type, from the first byte: `document` has checked that the rest fits it.
fn kind_of(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
