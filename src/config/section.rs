//! Reads a TOML table key by key and collects what is wrong, so that a user sees every problem at once
//! (serde would stop at the first).
//!
//! Enters: a parsed file and the environment, whose `SCOPEWARDEN_SERVER__LISTEN` overrides `server.listen` and
//! `SCOPEWARDEN_ORG__0__NAME` overrides `org[0].name`. Leaves: values, and problems with the path of their field.
//! Must never: show a value itself; the parser that refuses a value says what may be shown. Nor keep a list of
//! known keys: a key is known because somebody asked for it.

use std::{collections::BTreeSet, ops::RangeInclusive};

use toml::{Table, Value};

use super::{
    environment::{Environment, PREFIX},
    problem::{Problem, Refusal, did_you_mean, quoted},
};

/// The state shared by all sections of one file.
struct Reading<'e> {
    environment: &'e Environment,
    /// Variables that a setting asked for, or that a `…_env` key named.
    asked: BTreeSet<String>,
    problems: Vec<Problem>,
}

/// One table of the file, while it is being read.
pub(super) struct Section<'r, 'e> {
    reading: &'r mut Reading<'e>,
    /// `org[1]`; empty for the file itself.
    path: String,
    /// `SCOPEWARDEN_ORG__1__`.
    prefix: String,
    table: Table,
    /// The keys asked for so far: any other in the table is unknown.
    known: Vec<&'static str>,
}

/// Reads a whole file with `read`; returns what it made of it and every problem met on the way.
pub(super) fn read_root<T>(
    table: Table,
    environment: &Environment,
    read: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> (T, Vec<Problem>) {
    let mut reading = Reading { environment, asked: BTreeSet::new(), problems: Vec::new() };
    let value = reading.read("", PREFIX, table, read);
    reading.refuse_unknown_variables();
    (value, reading.problems)
}

impl<'e> Reading<'e> {
    fn read<T>(
        &mut self,
        path: &str,
        prefix: &str,
        table: Table,
        read: impl FnOnce(&mut Section<'_, 'e>) -> T,
    ) -> T {
        let mut section = Section {
            reading: self,
            path: path.to_owned(),
            prefix: prefix.to_owned(),
            table,
            known: Vec::new(),
        };
        let value = read(&mut section);
        section.refuse_unknown_keys();
        value
    }

    fn refuse_unknown_variables(&mut self) {
        for name in self.environment.settings().filter(|name| !self.asked.contains(*name)) {
            let hint = did_you_mean(name, self.asked.iter().map(String::as_str));
            let hint = if hint.is_empty() { "; unset it".to_owned() } else { hint };
            let reason = format!("this variable overrides no setting of the file{hint}");
            self.problems.push(Problem { field: name.to_owned(), value: None, reason });
        }
    }
}

impl<'e> Section<'_, 'e> {
    /// Whether the file or the environment says anything about `key`.
    pub(super) fn holds(&mut self, key: &'static str) -> bool {
        self.know(key);
        self.table.contains_key(key) || self.is_overridden(key)
    }

    /// The string at `key` as `parse` understands it; `None` if there is none or it is refused.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        match self.take(key)? {
            Value::String(text) => self.accept(key, parse(&text)),
            other => {
                self.refuse_type(key, &other, "a string in quotes");
                None
            }
        }
    }

    /// As [`Section::text`], for a key that must be there; `what` tells the user what to write.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        if !self.holds(key) {
            self.refuse(key, Refusal::hidden(format!("is missing: {what}")));
            return None;
        }
        self.text(key, parse)
    }

    /// The strings at `key`, at most `most`, each as `parse` understands it; `None` if there are none or one is refused.
    /// A variable separates them by commas.
    pub(super) fn texts<T>(
        &mut self,
        key: &'static str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let is_overridden = self.is_overridden(key);
        let texts: Option<Vec<String>> = match self.take(key)? {
            Value::String(text) if is_overridden => {
                Some(text.split(',').map(|part| part.trim().to_owned()).collect())
            }
            Value::Array(list) => list
                .into_iter()
                .map(|value| if let Value::String(text) = value { Some(text) } else { None })
                .collect(),
            other => {
                // Not shown: the one string may hold a password.
                let reason = format!("is {}; expected a list of strings, as [\"…\", \"…\"]", a_type(&other));
                self.refuse(key, Refusal::hidden(reason));
                return None;
            }
        };
        let Some(texts) = texts else {
            self.refuse(key, Refusal::hidden("holds something else than strings in quotes"));
            return None;
        };
        if texts.len() > most {
            let reason = format!("there are {} of them; at most {most} are allowed", texts.len());
            self.refuse(key, Refusal::hidden(reason));
            return None;
        }
        texts.iter().map(|text| self.accept(key, parse(text))).collect()
    }

    /// The boolean at `key`; a variable spells it `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(flag) => Some(flag),
            Value::String(text) if self.is_overridden(key) && text == "true" => Some(true),
            Value::String(text) if self.is_overridden(key) && text == "false" => Some(false),
            other => {
                self.refuse_type(key, &other, "true or false");
                None
            }
        }
    }

    /// The whole number at `key`, within `range`.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = match self.take(key)? {
            Value::Integer(number) => number,
            Value::String(text) if self.is_overridden(key) => {
                let number = text.parse().map_err(|_| Refusal::of(&text, "is not a whole number"));
                self.accept(key, number)?
            }
            other => {
                self.refuse_type(key, &other, "a whole number without quotes");
                return None;
            }
        };
        let within = u32::try_from(number).ok().filter(|number| range.contains(number));
        let (least, most) = range.into_inner();
        let reason = format!("is out of range: {least} to {most} are allowed");
        self.accept(key, within.ok_or(Refusal { value: Some(number.to_string()), reason }))
    }

    /// The strings in the list at `key` as `parse` understands them, at most `most`; `None` if there is no list. A list that
    /// is there has something in it.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        self.know(key);
        let elements = match self.table.remove(key)? {
            Value::Array(elements) => elements,
            other => {
                self.refuse_type(key, &other, "a list of strings in brackets");
                return None;
            }
        };
        if elements.is_empty() {
            self.refuse(key, Refusal::hidden("is empty; leave it out to have everything"));
        }
        if elements.len() > most {
            let reason = format!("has {} entries; at most {most} are allowed", elements.len());
            self.refuse(key, Refusal::hidden(reason));
        }
        let mut values = Vec::new();
        for element in elements.into_iter().take(most) {
            match element {
                Value::String(text) if text.trim().is_empty() => {
                    self.refuse(key, Refusal::of(&text, "is an empty entry"));
                }
                Value::String(text) => values.extend(self.accept(key, parse(&text))),
                other => self.refuse_type(key, &other, "a list of strings in quotes"),
            }
        }
        Some(values)
    }

    /// The one of `keys` that is given, if any; several are a problem.
    pub(super) fn at_most_one(&mut self, keys: &[&'static str]) -> Option<&'static str> {
        // Every key becomes a known one.
        let given = keys.iter().filter(|key| self.holds(key)).count();
        if given == 0 { None } else { self.exactly_one(keys) }
    }

    /// The one of `keys` that is given; none or several is a problem.
    pub(super) fn exactly_one(&mut self, keys: &[&'static str]) -> Option<&'static str> {
        let given: Vec<&'static str> = keys.iter().copied().filter(|key| self.holds(key)).collect();
        match given[..] {
            [key] => return Some(key),
            [] => self.complain(format!("set one of {}", keys.join(", "))),
            _ => self.complain(format!("{} exclude each other: keep one", given.join(" and "))),
        }
        None
    }

    /// Reads the table at `key` (an empty one if the file has none, since variables may fill it).
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_, 'e>) -> T) -> T {
        self.know(key);
        let table = match self.table.remove(key) {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(other) => {
                let reason = format!("is {}; expected the table [{key}]", a_type(&other));
                self.refuse(key, Refusal::hidden(reason));
                Table::new()
            }
        };
        let prefix = format!("{}__", self.variable(key));
        self.reading.read(&self.field(key), &prefix, table, read)
    }

    /// As [`Section::table`], but `None` if neither the file nor a variable says anything about it.
    pub(super) fn optional_table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'e>) -> T,
    ) -> Option<T> {
        let prefix = format!("{}__", self.variable(key));
        let is_given = self.table.contains_key(key)
            || self.reading.environment.settings().any(|name| name.starts_with(&prefix));
        self.know(key);
        is_given.then(|| self.table(key, read))
    }

    /// Reads each of the tables at `key`, at most `most` of them; `None` if it holds something else.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        most: usize,
        mut read: impl FnMut(&mut Section<'_, 'e>) -> T,
    ) -> Option<Vec<T>> {
        self.know(key);
        let elements = match self.table.remove(key) {
            Some(Value::Array(elements)) if elements.iter().all(Value::is_table) => elements,
            None => Vec::new(),
            Some(other) => {
                let reason = format!("is {}; write [[{key}]] above each, in double brackets", a_type(&other));
                self.refuse(key, Refusal::hidden(reason));
                return None;
            }
        };
        if elements.len() > most {
            let reason = format!("there are {} of them; at most {most} are allowed", elements.len());
            self.refuse(key, Refusal::hidden(reason));
        }
        let tables = elements.into_iter().filter_map(|element| match element {
            Value::Table(table) => Some(table),
            _ => None,
        });
        let mut values = Vec::new();
        for (index, table) in tables.take(most).enumerate() {
            let path = format!("{}[{index}]", self.field(key));
            let prefix = format!("{}__{index}__", self.variable(key));
            values.push(self.reading.read(&path, &prefix, table, &mut read));
        }
        Some(values)
    }

    /// Whatever stands at `key`, for somebody who understands it whole; no variable overrides it.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<Value> {
        self.know(key);
        self.table.get(key).cloned()
    }

    /// A variable that the file names; it may then start with our prefix without being an override.
    pub(super) fn named_variable(&mut self, name: &str) -> Option<&'e str> {
        self.reading.asked.insert(name.to_owned());
        self.reading.environment.get(name)
    }

    /// The value, or `None` after recording why the one at `key` is refused.
    pub(super) fn accept<T>(&mut self, key: &'static str, value: Result<T, Refusal>) -> Option<T> {
        value.map_err(|refusal| self.refuse(key, refusal)).ok()
    }

    /// Refuses whatever stands at `key`, without suggesting the key to anybody; whether there was something.
    pub(super) fn forbid(&mut self, key: &'static str, reason: &str) -> bool {
        let is_given = self.table.contains_key(key) || self.is_overridden(key);
        if is_given {
            self.refuse(key, Refusal::hidden(reason));
            self.table.remove(key);
            let variable = self.variable(key);
            self.reading.asked.insert(variable);
        }
        is_given
    }

    /// Records what is wrong with `key`.
    pub(super) fn refuse(&mut self, key: &'static str, refusal: Refusal) {
        let mut field = self.field(key);
        if self.is_overridden(key) {
            field = format!("{field} (from {})", self.variable(key));
        }
        self.reading.problems.push(Problem { field, value: refusal.value, reason: refusal.reason });
    }

    /// Records what is wrong with a field elsewhere in the file, which only the whole of it shows.
    pub(super) fn refuse_at(&mut self, field: String, refusal: Refusal) {
        self.reading.problems.push(Problem { field, value: refusal.value, reason: refusal.reason });
    }

    /// Records what is wrong with the section as a whole.
    pub(super) fn complain(&mut self, reason: impl Into<String>) {
        let problem = Problem { field: self.path.clone(), value: None, reason: reason.into() };
        self.reading.problems.push(problem);
    }

    /// Records what is wrong elsewhere: in a file that the section names.
    pub(super) fn report(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.reading.problems.extend(problems);
    }

    /// Says nothing about the keys that are left: their meaning belongs to something not available.
    pub(super) fn ignore_rest(&mut self) {
        self.table.clear();
        let ours = self.reading.environment.settings().filter(|name| name.starts_with(&self.prefix));
        self.reading.asked.extend(ours.map(str::to_owned));
    }

    /// Where the section stands, as messages name it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.know(key);
        let variable = self.variable(key);
        let override_ = self.reading.environment.get(&variable).map(|text| Value::String(text.to_owned()));
        self.reading.asked.insert(variable);
        override_.or_else(|| self.table.get(key).cloned())
    }

    fn is_overridden(&self, key: &str) -> bool {
        self.reading.environment.get(&self.variable(key)).is_some()
    }

    fn variable(&self, key: &str) -> String {
        self.prefix.clone() + &key.to_ascii_uppercase()
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn refuse_type(&mut self, key: &'static str, value: &Value, expected: &str) {
        let reason = format!("is {}; expected {expected}", a_type(value));
        let value = match value {
            _ if key.contains("secret") => None,
            Value::String(text) => Some(quoted(text)),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(flag) => Some(flag.to_string()),
            Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
        };
        self.refuse(key, Refusal { value, reason });
    }

    fn refuse_unknown_keys(self) {
        for key in self.table.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let hint = did_you_mean(key, self.known.iter().copied());
            let hint = if hint.is_empty() { format!("; known are {}", self.known.join(", ")) } else { hint };
            let is_bare =
                key.len() <= 100 && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let field = self.field(&if is_bare { key.clone() } else { quoted(key) });
            // The value is not shown: a mistyped key may well hold a secret.
            self.reading.problems.push(Problem { field, value: None, reason: format!("unknown key{hint}") });
        }
    }
}

fn a_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array of values",
        Value::Table(_) => "a table",
    }
}
