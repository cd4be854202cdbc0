//! Commands that answer from what was recorded.
//!
//! Enters: arguments, and the record opened for reading. Leaves: text or JSON on stdout. Must never: call the platform,
//! or write anything.

pub(super) mod access;
pub(super) mod catalogue;
pub(super) mod clients;
pub(super) mod compliance;
pub(super) mod diff;
pub(super) mod export;
pub(super) mod least_privilege;
pub(super) mod usage;
pub(super) mod verify;
pub(super) mod what_if;
pub(super) mod who_can;
mod words;
