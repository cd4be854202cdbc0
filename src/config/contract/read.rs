//! One contract: a TOML file, or a plain list of operations.
//!
//! Enters: a path. Leaves: a [`Draft`], or every problem with file, field, value and reason. Must never: read more than
//! [`LARGEST`], or guess what an operation is meant to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{ErrorKind, Read as _},
    path::Path,
};

use toml::{Table, Value};

use super::companion::permission;
use crate::{
    config::{
        file::parse,
        problem::{Problem, Problems, did_you_mean, quoted},
    },
    domain::{
        catalogue::{Mode, OPERATIONS_AS_OF, Operation, Operations, normalised},
        contract::Contract,
    },
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;
/// The most entries of one list.
const MOST: usize = 1_000;
/// The longest text of any field, in letters.
const LONGEST: usize = 500;
/// Nearest operations that a message offers.
const OFFERED: usize = 3;

const KEYS: [&str; 8] =
    ["client", "owner", "purpose", "divisions", "token_scopes", "calls", "permissions", "must_be_denied"];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// A contract with what is odd about it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The contract; pinned to nobody yet.
    pub contract: Contract,
    /// Names that the compiled-in tables do not have, and that the organisation's own definition may have.
    pub warnings: Vec<Problem>,
}

/// Reads a contract. Without `whole` it need not say whose it is, and may be a plain list of operations, one a line.
/// Fails with every problem in it.
pub(super) fn read(path: &Path, whole: bool) -> Result<Draft, Problems> {
    let refuse = |reason: String| {
        let problem = Problem { field: path.display().to_string(), value: None, reason };
        Problems::from(vec![problem])
    };
    let text = content(path).map_err(refuse)?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let is_operation =
        |line: &&str| line.split_once(char::is_whitespace).is_some_and(|(method, _)| is_method(method));
    let table = if !whole && !lines.is_empty() && lines.iter().all(is_operation) {
        let calls = lines.into_iter().map(|line| Value::String(line.to_owned())).collect();
        Table::from_iter([("calls".to_owned(), Value::Array(calls))])
    } else {
        parse(path, &text).map_err(Problems::from)?
    };
    let mut reader = Reader { path, table, problems: Vec::new(), warnings: Vec::new() };
    let contract = reader.contract(whole);
    if reader.problems.is_empty() {
        Ok(Draft { contract, warnings: reader.warnings })
    } else {
        Err(Problems::from(reader.problems))
    }
}

fn content(path: &Path) -> Result<String, String> {
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content)).map_err(|error| {
        match error.kind() {
            ErrorKind::NotFound => "does not exist".to_owned(),
            ErrorKind::IsADirectory => "is a folder; a contract is a file".to_owned(),
            ErrorKind::PermissionDenied => {
                "may not be read by the user that scopewarden runs as; check its owner and mode".to_owned()
            }
            _ => format!("cannot be read: {error}"),
        }
    })?;
    if content.len() as u64 > LARGEST {
        return Err("is larger than 256 KiB, which is no contract".to_owned());
    }
    String::from_utf8(content).map_err(|error| {
        format!("is not UTF-8 text: the first bad byte is at offset {}", error.utf8_error().valid_up_to())
    })
}

fn is_method(word: &str) -> bool {
    METHODS.iter().any(|method| method.eq_ignore_ascii_case(word))
}

/// One file being read.
struct Reader<'a> {
    path: &'a Path,
    table: Table,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    fn contract(&mut self, whole: bool) -> Contract {
        let client = self.text("client");
        if whole && client.is_empty() && !self.table.contains_key("client") {
            self.refuse(
                "client",
                None,
                "is missing: the name or the id of the OAuth client that this is about",
            );
        } else if whole && client.is_empty() && self.table["client"].as_str() == Some("") {
            self.refuse("client", Some("\"\"".to_owned()), "names no client");
        }
        let mut seen = BTreeMap::new();
        let contract = Contract {
            client,
            owner: self.text("owner"),
            purpose: self.text("purpose"),
            divisions: self.words("divisions"),
            token_scopes: self.words("token_scopes"),
            calls: self.operations("calls", &mut seen),
            permissions: self.permissions(),
            must_be_denied: self.operations("must_be_denied", &mut seen),
            pinned: None,
        };
        let known: BTreeSet<&str> = Operations::compiled_in().iter().flat_map(Operation::scopes).collect();
        for scope in contract.token_scopes.iter().filter(|scope| !known.contains(scope.as_str())) {
            let hint = did_you_mean(scope, known.iter().copied());
            self.warn(
                "token_scopes",
                scope,
                &format!("is not a scope of the platform as of {OPERATIONS_AS_OF}{hint}"),
            );
        }
        self.refuse_unknown_keys();
        if self.problems.is_empty()
            && [&contract.calls, &contract.permissions, &contract.must_be_denied]
                .iter()
                .all(|list| list.is_empty())
        {
            let reason = "declares nothing: list what the client calls in calls = [\"GET /api/v2/…\"]";
            self.problems.push(Problem {
                field: self.path.display().to_string(),
                value: None,
                reason: reason.to_owned(),
            });
        }
        contract
    }

    /// The text of a key; empty if there is none or it is refused.
    fn text(&mut self, key: &'static str) -> String {
        match self.table.get(key) {
            None => String::new(),
            Some(Value::String(text))
                if text.chars().count() <= LONGEST && !text.chars().any(char::is_control) =>
            {
                text.clone()
            }
            Some(Value::String(text)) => {
                let value = quoted(text);
                self.refuse(key, Some(value), &format!("is not one line of at most {LONGEST} letters"));
                String::new()
            }
            Some(_) => {
                self.refuse(key, None, "is not a string in quotes");
                String::new()
            }
        }
    }

    /// The strings of a list; none if there is no such key or it is refused.
    fn strings(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let Value::Array(values) = value else {
            self.refuse(key, None, "is not a list of strings, as [\"…\", \"…\"]");
            return Vec::new();
        };
        let values = values.clone();
        if values.len() > MOST {
            self.refuse(key, None, &format!("has {} entries; at most {MOST} are allowed", values.len()));
            return Vec::new();
        }
        let mut strings = Vec::with_capacity(values.len());
        for (at, value) in values.into_iter().enumerate() {
            match value {
                Value::String(text) if !text.trim().is_empty() && text.chars().count() <= LONGEST => {
                    strings.push(text);
                }
                Value::String(text) => {
                    let value = quoted(&text);
                    self.refuse(&format!("{key}[{at}]"), Some(value), "is empty, or longer than any name");
                }
                _ => self.refuse(&format!("{key}[{at}]"), None, "is not a string in quotes"),
            }
        }
        strings
    }

    /// A list of words, each once.
    fn words(&mut self, key: &'static str) -> BTreeSet<String> {
        let mut words = BTreeSet::new();
        for (at, word) in self.strings(key).into_iter().enumerate() {
            if words.contains(&word) {
                self.refuse(&format!("{key}[{at}]"), Some(quoted(&word)), "stands there twice");
            }
            words.insert(word);
        }
        words
    }

    /// A list of permissions by their full names. They need not be ones that operations name: an organisation's catalogue
    /// has more.
    fn permissions(&mut self) -> BTreeSet<String> {
        let words = self.words("permissions");
        for word in &words {
            if let Err(refusal) = permission(word) {
                self.refuse("permissions", refusal.value, &refusal.reason);
            }
        }
        words
    }

    /// A list of operations, each once in the whole contract; `seen` holds where.
    fn operations(&mut self, key: &'static str, seen: &mut BTreeMap<String, String>) -> BTreeSet<String> {
        let denied = key == "must_be_denied";
        let mut names = BTreeSet::new();
        for (at, text) in self.strings(key).into_iter().enumerate() {
            let place = format!("{key}[{at}]");
            let value = Some(quoted(&text));
            let Some((method, path)) =
                text.trim().split_once(char::is_whitespace).map(|(method, path)| (method, path.trim()))
            else {
                self.refuse(
                    &place,
                    value,
                    "is not an operation: write METHOD /path, as \"GET /api/v2/users/{userId}\"",
                );
                continue;
            };
            if !is_method(method) {
                self.refuse(&place, value, &format!("does not begin with a method: {}", METHODS.join(", ")));
                continue;
            }
            if !path.starts_with("/api/v2/")
                || path.contains(|c: char| c.is_whitespace() || c == '?' || c == '#')
            {
                self.refuse(
                    &place,
                    value,
                    "has no path template of the platform's API: it begins with /api/v2/ and has no query",
                );
                continue;
            }
            let normal = normalised(&text);
            if let Some(first) = seen.get(&normal) {
                let reason = format!("is the same operation as {first}; keep one");
                self.refuse(&place, value, &reason);
                continue;
            }
            seen.insert(normal, place.clone());
            let operations = Operations::compiled_in();
            let Some(known) = operations.find(&text).and_then(|at| operations.get(at)) else {
                let reason = format!(
                    "is not an operation of the platform's API as of {OPERATIONS_AS_OF} (an audit looks for it in the \
                     organisation's own definition){}",
                    hint(&text)
                );
                self.warn(&place, &text, &reason);
                names.insert(format!("{} {path}", method.to_ascii_uppercase()));
                continue;
            };
            if denied && known.mode == Mode::None {
                self.refuse(
                    &place,
                    value,
                    "declares no permission, so no role can keep a client from calling it; remove it",
                );
                continue;
            }
            names.insert(known.name.to_string());
        }
        names
    }

    fn refuse(&mut self, key: &str, value: Option<String>, reason: &str) {
        self.problems.push(Problem { field: self.field(key), value, reason: reason.to_owned() });
    }

    fn warn(&mut self, key: &str, value: &str, reason: &str) {
        let problem =
            Problem { field: self.field(key), value: Some(quoted(value)), reason: reason.to_owned() };
        self.warnings.push(problem);
    }

    fn field(&self, key: &str) -> String {
        format!("{}: {key}", self.path.display())
    }

    fn refuse_unknown_keys(&mut self) {
        let unknown: Vec<String> =
            self.table.keys().filter(|key| !KEYS.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            let hint = did_you_mean(&key, KEYS);
            let hint = if hint.is_empty() { format!("; known are {}", KEYS.join(", ")) } else { hint };
            self.refuse(&quoted(&key), None, &format!("unknown key{hint}"));
        }
    }
}

/// `; did you mean "GET /api/v2/users/{userId}"?`: the operations that are spelt most alike, or nothing.
fn hint(text: &str) -> String {
    let near = Operations::compiled_in().nearest(text, OFFERED);
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.into_iter().map(|name| format!("{name:?}")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}
