//! Checks about a client's own record.

pub(super) mod broad_scopes;
pub(super) mod description;
pub(super) mod inactive;
pub(super) mod legacy_grant;
pub(super) mod redirect_uri;
pub(super) mod token_lifetime;
