//! The long life around audits: wiring, schedule, delivery, health, an orderly end.
//!
//! Enters: a checked configuration. Leaves: nothing but what audits record. Must never: decide what an audit finds, or
//! let one organisation's trouble reach another.

pub mod clock;
pub mod delivery;
pub mod lock;
