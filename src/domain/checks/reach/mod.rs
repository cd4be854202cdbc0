//! Checks about what a client reaches by what it holds: more power, objects, operations.

pub(super) mod empty_division;
pub(super) mod escalation;
pub(super) mod scopes;
