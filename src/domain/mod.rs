//! The core: what clients can do, what changed, what is wrong. Pure: no async, no I/O, no clock, no logging.
//!
//! Enters: facts that `collect` read, what the store remembers, and `now`. Leaves: snapshots, events, findings and
//! messages as values. Must never: import anything of ours outside this folder, read the time, or turn an unknown
//! into a pass or a removal.

mod names;

pub mod access;
pub mod attribution;
pub mod catalogue;
pub mod checks;
pub mod compliance;
pub mod contract;
pub mod decision;
pub mod drift;
pub mod event;
pub mod evidence;
pub mod facts;
pub mod finding;
mod gap;
pub mod inventory;
pub mod message;
pub mod observe;
pub mod ocsf;
pub mod permission;
pub mod privilege;
pub mod probe;
pub mod rendering;
pub mod retention;
pub mod rotation;
pub mod route;
pub mod secret_age;
pub mod snapshot;
pub mod telling;
pub mod usage;

#[cfg(test)]
pub(crate) mod fixtures;

pub use gap::{Fact, Gap};
pub use names::{ClientId, DivisionId, DivisionRef, RoleId, ScopeEnforcement, Severity};
