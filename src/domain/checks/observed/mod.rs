//! Checks of what was seen beside a client's record: its grants from its own side, and its calls.
//!
//! Enters: [`Facts`](super::Facts) and one client. Leaves: failures. Must never: judge a client by an old look or an old
//! count, or call a permission unused that a call may have needed.

pub(super) mod role_overlap;
pub(super) mod stale_client;
pub(super) mod undeclared_use;
pub(super) mod unused_client;
pub(super) mod unused_permission;

/// What is said where rows of the count could not be kept, or named no operation.
const MORE_CALLED: &str =
    " Not every row of the platform's count could be kept, so it may have called more than is known.";

#[cfg(test)]
pub(in crate::domain::checks) mod tests;
