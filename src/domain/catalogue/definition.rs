//! Reading the platform's own API definition (Swagger 2.0): every operation with its rule and its scopes.
//!
//! Enters: a deserializer over the definition, in any size. Leaves: a [`Definition`]: operations, and what could not be
//! understood of them, each with its place. Must never: hold more than the operations' own few words (the rest is skipped
//! where it stands), follow a `$ref`, or guess: an operation of which the rule is not understood has
//! [`Mode::Unknown`], neither granted nor refused.

mod loose;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use self::loose::{Loose, shortened};
use super::{Mode, Operation, normalised};

/// The platform has about 3,300.
pub const MOST_OPERATIONS: usize = 20_000;
/// Problems that are named; the rest is counted.
pub const MOST_PROBLEMS: usize = 100;
/// Longer than the name of any operation or permission.
const LONGEST_NAME: usize = 400;
/// Where an operation says which permissions it needs.
const RULE: &str = "x-inin-requires-permissions";
/// What a path of Swagger may hold beside its methods.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// What a definition says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Every operation that it lists, in its order; no two of one name.
    pub operations: Vec<Operation>,
    /// What could not be understood, at most [`MOST_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many there are, those that are not named included.
    pub problems_total: usize,
}

/// Something in a definition that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `GET /api/v2/users/{userId}`, or a path.
    pub place: String,
    /// The field of it.
    pub field: String,
    /// What is wrong with it, and what follows.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.field, self.what)
    }
}

/// Reads a definition. Fails if the text is not JSON, is cut off, or lists more than [`MOST_OPERATIONS`]. What is JSON
/// and no definition comes out without operations.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Definition, D::Error> {
    let mut reader = Reader::default();
    deserializer.deserialize_any(Root(&mut reader))?;
    Ok(reader.finish())
}

/// Why a definition could not be read, without a word of it.
pub fn explain(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        format!("it is cut off at line {line}, column {column}")
    } else if error.is_data() {
        error.to_string()
    } else if error.is_io() {
        format!("it cannot be read: {error}")
    } else {
        format!("it is not JSON at line {line}, column {column}")
    }
}

/// What is collected on the way.
#[derive(Default)]
struct Reader {
    drafts: Vec<Draft>,
    /// Declared security schemes, with whether they are OAuth.
    schemes: BTreeMap<String, bool>,
    /// What goes for operations that say nothing.
    security: Option<Loose>,
    problems: Vec<Problem>,
    problems_total: usize,
}

/// An operation before the security schemes are known: they may stand behind it.
struct Draft {
    name: String,
    mode: Mode,
    permissions: BTreeSet<String>,
    security: Option<Loose>,
}

impl Reader {
    fn problem(&mut self, place: &str, field: &str, what: impl Into<String>) {
        self.problems_total += 1;
        if self.problems.len() < MOST_PROBLEMS {
            let (place, field) = (shortened(place), shortened(field));
            self.problems.push(Problem { place, field, what: what.into() });
        }
    }

    fn finish(mut self) -> Definition {
        let mut seen = BTreeSet::new();
        let mut operations = Vec::with_capacity(self.drafts.len());
        let common = self.security.take();
        for draft in std::mem::take(&mut self.drafts) {
            if !seen.insert(normalised(&draft.name)) {
                self.problem(&draft.name, "path", "is listed twice; the first one counts");
                continue;
            }
            let Draft { name, mut mode, permissions, security } = draft;
            let (scopes, understood) = match security.as_ref().or(common.as_ref()) {
                Some(security) => self.scopes(&name, security),
                None => (BTreeSet::new(), true),
            };
            // A rule of permissions stands whatever is in front of it; that there is none cannot be believed then.
            if !understood && mode == Mode::None {
                mode = Mode::Unknown;
            }
            let words = |set: BTreeSet<String>| set.into_iter().map(String::into_boxed_str).collect();
            let (permissions, scopes) = (words(permissions), words(scopes));
            operations.push(Operation { name: name.into_boxed_str(), mode, permissions, scopes });
        }
        Definition { operations, problems: self.problems, problems_total: self.problems_total }
    }

    /// The scopes of which one is enough, and whether everything that is said was understood.
    fn scopes(&mut self, name: &str, security: &Loose) -> (BTreeSet<String>, bool) {
        let unknown = "; its scopes are not known";
        let Loose::List(alternatives) = security else {
            self.problem(name, "security", format!("is {}, a list is expected{unknown}", security.kind()));
            return (BTreeSet::new(), false);
        };
        let mut scopes = BTreeSet::new();
        let (mut understood, mut by_oauth, mut without) = (true, false, false);
        for alternative in alternatives {
            let Loose::Map(schemes) = alternative else {
                let what = format!("holds {}, an object is expected{unknown}", alternative.kind());
                self.problem(name, "security", what);
                understood = false;
                continue;
            };
            without |= schemes.is_empty();
            for (scheme, listed) in schemes {
                match self.schemes.get(scheme) {
                    Some(true) => {
                        if let Some(words) = listed.texts() {
                            by_oauth = true;
                            without |= words.is_empty();
                            scopes.extend(words.into_iter().map(str::to_owned));
                        } else {
                            let what = format!("the scopes of {scheme:?} are no list of words{unknown}");
                            self.problem(name, "security", what);
                            understood = false;
                        }
                    }
                    // A token of another kind: nothing that an OAuth client could send.
                    Some(false) => {}
                    None => {
                        let what = format!("the scheme {scheme:?} is not among the securityDefinitions");
                        self.problem(name, "security", what);
                        understood = false;
                    }
                }
            }
        }
        if without {
            scopes.clear();
        }
        (scopes, understood || by_oauth)
    }

    /// The rule that an operation states.
    fn rule(&mut self, name: &str, stated: Option<&Loose>) -> (Mode, BTreeSet<String>) {
        let unknown = (Mode::Unknown, BTreeSet::new());
        let stated = match stated {
            None | Some(Loose::Null) => return (Mode::None, BTreeSet::new()),
            Some(stated) => stated,
        };
        let Loose::Map(_) = stated else {
            let what = format!("is {}, an object is expected; its rule is unknown", stated.kind());
            self.problem(name, RULE, what);
            return unknown;
        };
        let mode = match stated.field("type") {
            Some(Loose::Text(word)) if word.eq_ignore_ascii_case("all") => Mode::All,
            Some(Loose::Text(word)) if word.eq_ignore_ascii_case("any") => Mode::Any,
            other => {
                let found = other.map_or_else(|| "is missing".to_owned(), |found| format!("is {found}"));
                let what = format!("{found}, ALL or ANY is expected; its rule is unknown");
                self.problem(name, &format!("{RULE}.type"), what);
                return unknown;
            }
        };
        let field = format!("{RULE}.permissions");
        let Some(listed) = stated.field("permissions").and_then(Loose::texts) else {
            self.problem(name, &field, "is no list of words; its rule is unknown");
            return unknown;
        };
        if listed.is_empty() {
            self.problem(name, &field, "is empty; its rule is unknown");
            return unknown;
        }
        let mut permissions = BTreeSet::new();
        for permission in listed {
            if let Err(what) = permission_of(permission) {
                self.problem(name, &field, format!("{permission:?} {what}; its rule is unknown"));
                return unknown;
            }
            permissions.insert(permission.to_owned());
        }
        (mode, permissions)
    }
}

/// Whether a word can be a permission: three parts, or one (a general permission); no part is a wildcard.
fn permission_of(name: &str) -> Result<(), &'static str> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    match name.split(':').count() {
        1 | 3 if name.split(':').all(plain) && name.len() <= LONGEST_NAME => Ok(()),
        2 => Err("has two parts, a permission has three (domain:entity:action)"),
        1 | 3 => Err("is no name of a permission"),
        _ => Err("has more than three parts, a permission has three (domain:entity:action)"),
    }
}

/// Skips what it is given, of whatever kind; `$what` is the value of the visitor then.
macro_rules! not_an_object {
    ($what:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($what(self, "true or false"))
        }
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($what(self, "a number"))
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($what(self, "a number"))
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($what(self, "a number"))
        }
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($what(self, "a string"))
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($what(self, "null"))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($what(self, "a list"))
        }
    };
}

/// The whole definition.
struct Root<'r>(&'r mut Reader);

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an API definition")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "paths" => map.next_value_seed(Paths(&mut *self.0))?,
                "security" => self.0.security = Some(map.next_value::<Loose>()?),
                "securityDefinitions" => {
                    if let Loose::Map(schemes) = map.next_value::<Loose>()? {
                        let is_oauth = |scheme: &Loose| matches!(scheme.field("type"), Some(Loose::Text(kind)) if kind == "oauth2");
                        let schemes = schemes.into_iter().map(|(name, scheme)| {
                            let is_oauth = is_oauth(&scheme);
                            (name, is_oauth)
                        });
                        self.0.schemes.extend(schemes);
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    not_an_object!(|root: Root<'_>, kind| root.0.problem(
        "the definition",
        "the whole",
        format!("is {kind}, an object is expected")
    ));
}

/// `paths`.
struct Paths<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Paths<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Paths<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(path) = map.next_key::<String>()? {
            if !path.starts_with('/') || path.len() > LONGEST_NAME || path.contains(char::is_whitespace) {
                self.0.problem(&path, "path", "is no path; what stands there is left out");
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            map.next_value_seed(Path { reader: &mut *self.0, path })?;
        }
        Ok(())
    }

    not_an_object!(|paths: Paths<'_>, kind| paths.0.problem(
        "the definition",
        "paths",
        format!("is {kind}, an object is expected")
    ));
}

/// One path with its methods.
struct Path<'r> {
    reader: &'r mut Reader,
    path: String,
}

impl Path<'_> {
    fn refuse(self, kind: &str) {
        let what = format!("is {kind}, an object is expected; its operations are not known");
        self.reader.problem(&self.path, "path", what);
    }
}

impl<'de> DeserializeSeed<'de> for Path<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Path<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if METHODS.contains(&key.as_str()) {
                if self.reader.drafts.len() >= MOST_OPERATIONS {
                    return Err(A::Error::custom(format!("it lists more than {MOST_OPERATIONS} operations")));
                }
                let name = format!("{} {}", key.to_ascii_uppercase(), self.path);
                map.next_value_seed(Described { reader: &mut *self.reader, name })?;
            } else {
                if key == "$ref" {
                    let what = "is not followed; its operations are not known";
                    self.reader.problem(&self.path, "$ref", what);
                }
                // `parameters`, and what extensions add.
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    not_an_object!(|path: Path<'_>, kind| path.refuse(kind));
}

/// One operation.
struct Described<'r> {
    reader: &'r mut Reader,
    name: String,
}

impl Described<'_> {
    /// It is there; that is all that is known.
    fn refuse(self, kind: &str) {
        let what = format!("is {kind}, an object is expected; its rule is unknown");
        self.reader.problem(&self.name, "operation", what);
        let (mode, permissions) = (Mode::Unknown, BTreeSet::new());
        self.reader.drafts.push(Draft { name: self.name, mode, permissions, security: None });
    }
}

impl<'de> DeserializeSeed<'de> for Described<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Described<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operation")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut stated, mut security, mut elsewhere) = (None, None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                RULE => stated = Some(map.next_value::<Loose>()?),
                "security" => security = Some(map.next_value::<Loose>()?),
                other => {
                    elsewhere |= other == "$ref";
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (mut mode, permissions) = self.reader.rule(&self.name, stated.as_ref());
        if elsewhere {
            self.reader.problem(&self.name, "$ref", "is not followed; its rule is unknown");
            mode = Mode::Unknown;
        }
        let security = security.filter(|security| *security != Loose::Null);
        self.reader.drafts.push(Draft { name: self.name, mode, permissions, security });
        Ok(())
    }

    not_an_object!(|operation: Described<'_>, kind| operation.refuse(kind));
}

#[cfg(test)]
mod tests;
