//! The core: what clients can do, what changed, what is wrong. Pure: no async, no I/O, no clock, no logging.
//!
//! Enters: facts that `collect` read, what the store remembers, and `now`. Leaves: snapshots, events, findings and
//! messages as values. Must never: import anything of ours outside this folder, read the time, or turn an unknown
//! into a pass or a removal.

pub mod catalogue;
pub mod event;
pub mod facts;
pub mod finding;
mod gap;
pub mod inventory;
mod names;

pub use gap::{Fact, Gap};
pub use names::{ClientId, DivisionId, DivisionRef, RoleId, ScopeEnforcement, Severity};
