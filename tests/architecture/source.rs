//! Reads Rust source as far as the rules need it: words, where they stand, and which module a path leads to.
//!
//! It knows comments, strings, nested modules, `crate::`, `self::` and `super::` paths and grouped imports. It does
//! not expand macros.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One file of the library.
pub(crate) struct Source {
    /// Its path from the root of the repository.
    pub(crate) path: String,
    /// Its whole text.
    pub(crate) text: String,
    /// Its words without comments and strings, each with the module that it stands in.
    pub(crate) words: Vec<Word>,
}

/// An identifier, or one character of punctuation.
pub(crate) struct Word {
    pub(crate) text: String,
    /// The module's path from the crate's root, as `["domain", "drift", "tests"]`.
    pub(crate) module: Vec<String>,
}

impl Word {
    /// Whether it is compiled for tests only, by the name of a module around it.
    pub(crate) fn is_test(&self) -> bool {
        self.module.iter().any(|name| name.ends_with("tests"))
    }
}

/// Every `.rs` file below `folder`, sorted.
pub(crate) fn all(folder: &Path) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for path in files(folder).iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap();
        let words = words(&text, module_of(path));
        sources.push(Source { path: path.to_str().unwrap().to_owned(), text, words });
    }
    sources
}

/// Every file below `folder`, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `src/domain/drift/mod.rs` is the module `["domain", "drift"]`; `lib.rs` and `main.rs` are the root.
fn module_of(path: &Path) -> Vec<String> {
    let module = path.with_extension("");
    let names = module.iter().skip(1).map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| !["lib", "main", "mod"].contains(&name.as_str())).collect()
}

/// The words of `text`, which is the file of `module`.
pub(crate) fn words(text: &str, module: Vec<String>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    // Nested `mod name { … }`: the depth of braces inside each.
    let mut inner: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut module = module;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank = blank(rest);
        let length = blank.unwrap_or_else(|| identifier(rest));
        if blank.is_none() {
            match first {
                '{' => {
                    depth += 1;
                    if let [.., keyword, name] = &words[..]
                        && keyword.text == "mod"
                    {
                        module.push(name.text.clone());
                        inner.push(depth);
                    }
                }
                '}' => {
                    if inner.last() == Some(&depth) {
                        inner.pop();
                        module.pop();
                    }
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            words.push(Word { text: rest[..length].to_owned(), module: module.clone() });
        }
        rest = &rest[length..];
    }
    words
}

/// The length of the comment, string, character or white space at the start of `text`.
fn blank(text: &str) -> Option<usize> {
    let end_of =
        |start: usize, end: &str| text[start..].find(end).map_or(text.len(), |at| start + at + end.len());
    if text.starts_with("//") {
        return Some(end_of(2, "\n"));
    }
    if text.starts_with("/*") {
        return Some(end_of(2, "*/"));
    }
    for (opening, end) in
        [("r\"", "\""), ("r#\"", "\"#"), ("r##\"", "\"##"), ("br\"", "\""), ("br#\"", "\"#")]
    {
        if text.starts_with(opening) {
            return Some(end_of(opening.len(), end));
        }
    }
    if let Some(string) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = string.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        return Some(end.map_or(text.len(), |at| at + 2));
    }
    if text.starts_with("'\\") {
        return Some(end_of(3, "'"));
    }
    let mut letters = text.chars();
    let (first, second, third) = (letters.next()?, letters.next(), letters.next());
    match (first, second, third) {
        ('\'', Some(second), Some('\'')) => Some(second.len_utf8() + 2),
        (space, _, _) if space.is_whitespace() => Some(space.len_utf8()),
        _ => None,
    }
}

/// The length of the identifier or the punctuation at the start of `text`.
fn identifier(text: &str) -> usize {
    match text.find(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        Some(0) => text.chars().next().map_or(1, char::len_utf8),
        Some(length) => length,
        None => text.len(),
    }
}

/// The modules (or items) of our own crate that a source leads to: the path of each, with the module that names it.
/// A glob ends in `*`.
pub(crate) fn paths(source: &Source) -> Vec<(Vec<String>, &Word)> {
    let mut found = Vec::new();
    let words = &source.words;
    for (at, word) in words.iter().enumerate() {
        // `a::self` goes on, `a: crate::B` begins.
        let continues = at > 1 && follows(words, at - 2);
        if continues || !follows(words, at + 1) {
            continue;
        }
        let mut base = match word.text.as_str() {
            "crate" | "scopewarden" => Vec::new(),
            "self" => word.module.clone(),
            "super" => word.module[..word.module.len().saturating_sub(1)].to_vec(),
            _ => continue,
        };
        let mut next = at + 3;
        while words.get(next).is_some_and(|word| word.text == "super") && follows(words, next + 1) {
            base.pop();
            next += 3;
        }
        for name in names(words, next) {
            found.push((base.iter().cloned().chain([name]).collect(), word));
        }
    }
    found
}

/// Whether `::` stands at `at`.
fn follows(words: &[Word], at: usize) -> bool {
    [at, at + 1].iter().all(|at| words.get(*at).is_some_and(|word| word.text == ":"))
}

/// The name at `at`, or the first name of each element of the group there.
fn names(words: &[Word], at: usize) -> Vec<String> {
    let Some(first) = words.get(at) else { return Vec::new() };
    if first.text != "{" {
        return vec![first.text.clone()];
    }
    let mut names = Vec::new();
    let mut depth = 1;
    let mut starts = true;
    for word in &words[at + 1..] {
        match word.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," if depth == 1 => starts = true,
            name if starts => {
                names.push(name.to_owned());
                starts = false;
            }
            _ => {}
        }
    }
    names
}
