//! Where the declared operations come from. Whatever the source, what leaves is one list of operations.

use std::path::Path;

use crate::{
    cli::arguments::Usage,
    config::{Org, read_list},
    domain::{
        contract::{Contract, pin},
        inventory::Client,
        snapshot::Snapshot,
    },
};

/// The word for the client's contract.
const CONTRACT: &str = "contract";

/// What is declared, and by whom.
pub(super) struct Source {
    pub(super) contract: Contract,
    /// "its contract", "the file calls.txt".
    pub(super) name: String,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
}

/// Reads what `--from` names. The contract is the one in the configuration now, which the last audit need not have seen.
pub(super) fn read(
    from: &str,
    org: &Org,
    snapshot: &Snapshot,
    client: &Client,
) -> Result<Source, anyhow::Error> {
    if from != CONTRACT {
        let draft = read_list(Path::new(from))?;
        return Ok(Source {
            contract: draft.contract,
            name: format!("the file {from}"),
            warnings: draft.warnings.iter().map(ToString::to_string).collect(),
        });
    }
    let contract =
        pin(&org.contracts.list, &snapshot.clients, &snapshot.contracts).remove(client.id.as_str());
    let Some(contract) = contract else {
        let how = match &org.contracts.folder {
            Some(folder) => format!("write one into {}", folder.display()),
            None => "name a folder of contracts with contracts = \"…\" in [[org]]".to_owned(),
        };
        return Err(Usage(format!(
            "{} has no contract: {how}, or give --from a file with the operations that it calls, one a line",
            client.name
        ))
        .into());
    };
    Ok(Source { contract, name: "its contract".to_owned(), warnings: Vec::new() })
}
