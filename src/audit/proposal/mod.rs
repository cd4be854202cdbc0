//! What an audit would see if somebody did what a file says: a role, a client, or a Terraform plan.
//!
//! Enters: the last recorded snapshot and the text of the file. Leaves: the snapshot after it, and what could not be
//! known. Must never: guess a value that the file does not have, or decode a secret in it.
//!
//! `change` puts one role or client into a snapshot. `plan` reads `terraform show -json`; `attributes` knows the names of
//! the provider's fields, `references` which role of the plan a client of the plan means.

mod attributes;
mod change;
mod plan;
mod references;

use std::collections::BTreeSet;

use self::change::Draft;
use crate::{
    collect::proposed::{self, Proposed},
    domain::snapshot::Snapshot,
};

/// The snapshot that a file would make of another.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// After everything that the file says.
    pub after: Snapshot,
    /// What the file leaves open, and how something was understood: sentences.
    pub notes: Vec<String>,
    /// Changes of a plan that are not about roles and clients.
    pub ignored: usize,
}

/// Why a file is no proposal: a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// Reads a file against the last recorded snapshot. Fails if it holds neither a role, nor a client, nor a plan, or if
/// what it holds cannot be on the platform.
pub fn read(before: &Snapshot, text: &[u8]) -> Result<Proposal, Unusable> {
    if text.starts_with(b"PK\x03\x04") {
        return Err(Unusable(
            "this is a plan in Terraform's own form; give the output of `terraform show -json PLAN`"
                .to_owned(),
        ));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match proposed::read(text).map_err(Unusable)? {
        Proposed::Role(role) => {
            let mut draft = Draft::of(before);
            draft.role(role)?;
            Ok(draft.finish(0))
        }
        Proposed::Client(client) => {
            let mut draft = Draft::of(before);
            draft.client(client)?;
            Ok(draft.finish(0))
        }
        Proposed::Other(fields)
            if fields.contains("resource_changes") || fields.contains("planned_values") =>
        {
            plan::read(before, text)
        }
        Proposed::Other(fields) => Err(unknown(&fields)),
    }
}

fn unknown(fields: &BTreeSet<String>) -> Unusable {
    if fields.contains("@level") {
        return Unusable(
            "this is the log of `terraform plan -json`; save the plan with -out=PLAN and give the output of \
             `terraform show -json PLAN`"
                .to_owned(),
        );
    }
    if fields.contains("format_version") {
        return Unusable(
            "this is a Terraform state, or a plan without changes in it; give the output of `terraform show -json PLAN`"
                .to_owned(),
        );
    }
    Unusable(
        "this is neither a role (it has no permissionPolicies and no permissions), nor an OAuth client (it has no \
         authorizedGrantType), nor a Terraform plan (it has no resource_changes)"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests;
