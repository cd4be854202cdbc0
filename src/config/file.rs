//! Finds the configuration file, reads it and parses its TOML.
//!
//! Enters: the path from the command line or the environment. Leaves: the path in use and its table.
//! Must never: quote a line of the file; the broken line may be the one with a secret.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use toml::{Table, de::DeTable};

use super::{
    environment::{CONFIG, Environment},
    problem::{Problem, Refusal},
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Where the file is looked for when nobody names it.
const DEFAULT: &str = "./scopewarden.toml";

/// The syntax errors shown: the first ones are real, those that follow are often their echo.
const SYNTAX_ERRORS: usize = 10;

/// The file to use and its content: `named` (by `--config`), else `$SCOPEWARDEN_CONFIG`, else `./scopewarden.toml`.
pub(super) fn open(
    named: Option<&Path>,
    environment: &Environment,
) -> Result<(PathBuf, Table), Vec<Problem>> {
    let variable = environment.get(CONFIG).filter(|path| !path.is_empty());
    let (field, path) = match (named, variable) {
        (Some(path), _) => ("--config", path),
        (None, Some(path)) => (CONFIG, Path::new(path)),
        (None, None) => ("--config", Path::new(DEFAULT)),
    };
    let is_default = named.is_none() && variable.is_none();
    let text = read(path, is_default).map_err(|refusal| {
        vec![Problem { field: field.to_owned(), value: refusal.value, reason: refusal.reason }]
    })?;
    Ok((path.to_owned(), parse(path, &text)?))
}

fn read(path: &Path, is_default: bool) -> Result<String, Refusal> {
    let refuse = |reason: String| Refusal::of(&path.display().to_string(), reason);
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content)).map_err(|error| {
        match error.kind() {
            ErrorKind::NotFound if is_default => refuse(format!(
                "does not exist and ${CONFIG} is not set; name the configuration file with --config or ${CONFIG}"
            )),
            ErrorKind::NotFound => refuse("does not exist; name the configuration file".to_owned()),
            ErrorKind::IsADirectory => refuse("is a directory; name the file in it".to_owned()),
            ErrorKind::PermissionDenied => {
                refuse("may not be read by the user that scopewarden runs as; check its owner and mode".to_owned())
            }
            _ => refuse(format!("cannot be read: {error}")),
        }
    })?;
    if content.len() as u64 > LARGEST {
        return Err(refuse("is larger than 1 MiB, which is no configuration of ours".to_owned()));
    }
    String::from_utf8(content).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refuse(format!("is not UTF-8 text: the first bad byte is at offset {at}"))
    })
}

/// The table that `text` is, the content of the file `path`; or what is wrong with its syntax.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table, Vec<Problem>> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let errors = match toml::from_str(text) {
        Ok(table) if errors.is_empty() => return Ok(table),
        Err(error) if errors.is_empty() => vec![error],
        _ => errors,
    };
    let problem = |error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let field = format!("{}, line {line}, column {column}", path.display());
        Problem { field, value: None, reason: format!("not TOML: {}", error.message()) }
    };
    Err(errors.into_iter().take(SYNTAX_ERRORS).map(problem).collect())
}

/// Line and column, from 1, in characters, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
