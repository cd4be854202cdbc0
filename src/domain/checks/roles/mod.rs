//! Checks about the roles that a client holds.
//!
//! Each file has two halves: what is true of a role (once for each role) and what that means for a client.

pub(super) mod admin;
pub(super) mod default_role;
pub(super) mod every_division;
pub(super) mod high_privilege;
pub(super) mod shared_role;
pub(super) mod unknown_permission;
pub(super) mod wildcard;
