//! `contracts = "folder/"` of an organisation: one TOML file a client, each a [`Contract`].
//!
//! Enters: a folder, or one file. Leaves: contracts, warnings, or every problem at once: file, field, value, reason and
//! the nearest known name. Must never: stop the daemon for an operation that only the compiled-in table lacks. The
//! platform grows, and an organisation's own definition may have it; an audit says so if it does not.
//!
//! - `read`: one file. - `companion`: `[[companion]]`, permissions that others are of little use without.

pub(super) mod companion;
mod read;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::read::Draft;
use self::read::read;
use super::problem::{Problem, Problems, Refusal, quoted};
use crate::domain::contract::Contract;

/// The most contracts of one organisation.
const MOST: usize = 2_000;

/// What a contract's file name ends with; others in the folder are not looked at.
const ENDING: &str = "toml";

/// The contracts of one organisation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contracts {
    /// Where they were read from; `None`: the organisation has none.
    pub folder: Option<PathBuf>,
    /// By the client that each names.
    pub list: Arc<[Contract]>,
    /// What is odd and does not keep the program from working.
    pub warnings: Vec<Problem>,
}

impl Contracts {
    /// Reads every contract in a folder. Fails with what is wrong with the folder itself; what is wrong in its files
    /// is told to `complain`.
    pub(super) fn load(folder: &Path, complain: &mut dyn FnMut(Problem)) -> Result<Self, Refusal> {
        let mut contracts: BTreeMap<String, (PathBuf, Contract)> = BTreeMap::new();
        let mut warnings = Vec::new();
        for path in files(folder)? {
            let draft = match read(&path, true) {
                Ok(draft) => draft,
                Err(problems) => {
                    problems.iter().cloned().for_each(&mut *complain);
                    continue;
                }
            };
            warnings.extend(draft.warnings);
            let contract = draft.contract;
            if let Some((first, _)) = contracts.get(&contract.client) {
                complain(Problem {
                    field: format!("{}: client", path.display()),
                    value: Some(quoted(&contract.client)),
                    reason: format!("has a contract already, in {}; keep one", first.display()),
                });
                continue;
            }
            contracts.insert(contract.client.clone(), (path, contract));
        }
        Ok(Self {
            folder: Some(folder.to_owned()),
            list: contracts.into_values().map(|(_, contract)| contract).collect(),
            warnings,
        })
    }
}

/// The files that are contracts, sorted. Hidden ones are none: editors and container platforms keep theirs there.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let shown = folder.display().to_string();
    let unreadable = |error: std::io::Error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "does not exist; create the folder, or remove the key".to_owned(),
            std::io::ErrorKind::NotADirectory => {
                "is not a folder; name the folder that the contracts are in".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "may not be read by the user that scopewarden runs as; check its owner and mode".to_owned()
            }
            _ => format!("cannot be read: {error}"),
        };
        Refusal::of(&shown, reason)
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden || path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        found.push(path);
        if found.len() > MOST {
            return Err(Refusal::of(&shown, format!("holds more than {MOST} contracts")));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads one file that a person names: a contract, or a plain list of operations, one a line.
/// Fails with every problem in it.
pub fn read_list(path: &Path) -> Result<Draft, Problems> {
    read(path, false)
}
