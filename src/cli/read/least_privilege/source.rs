//! Where the declared operations come from. Whatever the source, what leaves is one list of operations.

use std::{collections::BTreeSet, path::Path};

use crate::{
    cli::arguments::Usage,
    config::{Org, read_list},
    domain::{
        access::Access,
        contract::{Contract, pin},
        inventory::Client,
        snapshot::Snapshot,
        usage::{Tally, Usage as UsageCount, Window},
    },
    store::Store,
};

/// The word for the client's contract.
const CONTRACT: &str = "contract";
/// The word for what the client was seen to call.
const USAGE: &str = "usage";

/// What is declared, and by whom.
pub(super) struct Source {
    pub(super) contract: Contract,
    /// "its contract", "the file calls.txt".
    pub(super) name: String,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
}

/// What a client was seen to call, as if it had declared that. Calls that never succeeded are left out: whether it should
/// be allowed to make them is for a person to say. Fails if nothing was counted.
pub(super) async fn seen(
    store: &Store,
    org: &str,
    access: &Access<'_>,
    client: &Client,
) -> Result<Source, anyhow::Error> {
    let tally = counted(store, org).await?;
    let usage = UsageCount::join(&tally, access.operations);
    let names = |at: &usize| access.operations.get(*at).map(|operation| operation.name.to_string());
    let calls: BTreeSet<String> = usage.operations_of(&client.id).iter().filter_map(names).collect();
    if calls.is_empty() {
        anyhow::bail!(
            "{} was not seen to call anything with success in {} days, so there is nothing to make a role from; it may run \
             less often than that",
            client.name,
            usage.window.days()
        );
    }
    let mut warnings = vec![format!(
        "{} days of calls say nothing of a job that runs less often: ask the owner before anything is cut",
        usage.window.days()
    )];
    let unknown = usage.of(&client.id).map_or(0, |called| called.unknown.len());
    if unknown > 0 {
        warnings.push(format!(
            "{unknown} operations that it called are in no table: what they need is not known"
        ));
    }
    if usage.left_out > 0 {
        warnings
            .push(format!("{} rows of the count could not be kept: it may have called more", usage.left_out));
    }
    Ok(Source {
        contract: Contract { client: client.id.to_string(), calls, ..Contract::default() },
        name: format!("what it was seen to call since {}", usage.window.from.format("%Y-%m-%d")),
        warnings,
    })
}

/// What clients called by themselves, by the last count; `None`: there was none yet.
pub(in crate::cli::read) async fn own_calls(
    store: &Store,
    org: &str,
) -> Result<Option<Tally>, crate::store::Error> {
    let Some(tally) = store.usage(org).await? else { return Ok(None) };
    let Window { from, to } = tally.window;
    Ok(Some(tally.without(&store.probes_sent(org, from, to).await?)))
}

/// The same. Fails if there was none yet.
pub(in crate::cli::read) async fn counted(store: &Store, org: &str) -> Result<Tally, anyhow::Error> {
    if let Some(tally) = own_calls(store, org).await? {
        return Ok(tally);
    }
    anyhow::bail!(
        "what clients of {org} called is not counted yet: the platform takes a while after the first audit, or refuses \
         (`scopewarden audit` says so under \"Not seen\"), or audit.usage is false"
    )
}

/// Whether `--from` means what was seen.
pub(super) fn is_usage(from: &str) -> bool {
    from == USAGE
}

/// Reads what `--from` names, if it is not [`seen`]. The contract is the one in the configuration now, which the last audit need not have seen.
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
