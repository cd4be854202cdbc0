//! A small JSON value of any shape, with bounds: the few fields of a definition that are looked at.
//!
//! Enters: any JSON value. Leaves: its words. Must never: fail because something has another type than it should, or
//! hold more of it than a rule could need.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Lists in objects in lists.
const DEEPEST: usize = 4;
/// No rule names more permissions, no operation more scopes.
const MOST_ENTRIES: usize = 200;
/// Characters of a word.
const LONGEST: usize = 400;

/// A value, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loose {
    /// Nothing.
    Null,
    /// A word.
    Text(String),
    /// Values in order.
    List(Vec<Loose>),
    /// Values by name, in order.
    Map(Vec<(String, Loose)>),
    /// Something of which only the kind is known.
    Other(&'static str),
}

impl Loose {
    /// The JSON type in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
            Self::Other(kind) => kind,
        }
    }

    /// A field of an object.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The words of a list of nothing else.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        let Self::List(values) = self else { return None };
        values
            .iter()
            .map(|value| match value {
                Self::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            other => f.write_str(other.kind()),
        }
    }
}

/// The beginning of a text, as long as a message may show it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Depth(DEEPEST).deserialize(deserializer)
    }
}

/// How deep it may go on.
#[derive(Clone, Copy)]
struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Loose;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose, D::Error> {
        if self.0 == 0 {
            deserializer.deserialize_ignored_any(IgnoredAny)?;
            return Ok(Loose::Other("nested too deeply"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::Other("true or false"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other("a number"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Other("a number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other("a number"))
    }

    fn visit_unit<E: Error>(self) -> Result<Loose, E> {
        Ok(Loose::Null)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Loose, E> {
        Ok(if text.chars().nth(LONGEST).is_some() {
            Loose::Other("a text of more than 400 characters")
        } else {
            Loose::Text(text.to_owned())
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Depth(self.0 - 1))? {
            if values.len() == MOST_ENTRIES {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Loose::Other("a list of more than 200 entries"));
            }
            values.push(value);
        }
        Ok(Loose::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Depth(self.0 - 1))?;
            if fields.len() == MOST_ENTRIES {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Loose::Other("an object of more than 200 fields"));
            }
            fields.push((key, value));
        }
        Ok(Loose::Map(fields))
    }
}
