//! Checks of a client against what its contract declares, one file each. (`implied` asks every client: what it holds
//! may be of little use without a companion.)
//!
//! A contract that belongs to nobody is about no client: [`client::orphans`] gives it findings of its own, whose client
//! has the name that the contract names and no id.

pub(super) mod absent;
pub(super) mod broken;
pub(super) mod client;
pub(super) mod denied;
pub(super) mod exceeded;
pub(super) mod implied;
pub(super) mod names;
pub(super) mod scopes;

use crate::domain::{DivisionRef, contract::Contract};

/// Names in one sentence.
const NAMED: usize = 5;

/// "a, b and 3 more", in the order given.
fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let total = names.len();
    let shown: Vec<&str> = names.take(NAMED).collect();
    if total > NAMED { format!("{} and {} more", shown.join(", "), total - NAMED) } else { shown.join(", ") }
}

/// " in a, b", or nothing where it counts everywhere.
fn places(divisions: &[DivisionRef], name: impl Fn(&DivisionRef) -> String) -> String {
    if divisions.is_empty() || divisions.contains(&DivisionRef::All) {
        return String::new();
    }
    let names: Vec<String> = divisions.iter().map(name).collect();
    format!(" in {}", some(names.iter().map(String::as_str)))
}

/// Whom to ask, as the end of a sentence.
fn owner(contract: &Contract) -> String {
    if contract.owner.is_empty() { "the owner of its contract".to_owned() } else { contract.owner.clone() }
}
