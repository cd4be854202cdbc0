//! What a client would lose if the organisation began to enforce scopes.
//!
//! Enters: an [`Access`] and a client. Leaves: the operations that it may call and its scopes do not let through.
//! Must never: say that this is so today. Whether scopes are enforced, only the configuration tells; and that they ever
//! bind client credentials is not confirmed.

use serde::{Serialize, Serializer};

use super::{Access, acts_by_roles, lets_through};
use crate::domain::{ScopeEnforcement, catalogue::Operation, inventory::Client};

/// The least enforcement under which a client's scopes bind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// For grant types that act as a user: what the platform documents.
    UserGrants,
    /// For client credentials as well: the platform's schema says otherwise, its guides are not clear.
    AllGrants,
}

/// What one client would lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enforced<'a> {
    /// Enforced how.
    pub under: Enforcement,
    /// The organisation is configured to enforce them so: it has lost these already.
    pub already: bool,
    /// Operations that it may call, and that its scopes do not let through. For a client that acts as its user: of all,
    /// for its user may be allowed any of them.
    #[serde(serialize_with = "names")]
    pub lost: Vec<&'a Operation>,
    /// Operations that it may call, and that its scopes let through.
    pub kept: usize,
    /// Operations that declare no permission, and that its scopes do not let through.
    pub undeclared_lost: usize,
}

fn names<S: Serializer>(operations: &[&Operation], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(operations.iter().map(|operation| &operation.name))
}

impl<'a> Access<'a> {
    /// What a client would lose if its scopes were enforced.
    pub fn if_enforced(&self, client: &Client) -> Enforced<'a> {
        let setting = self.snapshot.settings.scope_enforcement;
        let by_roles = acts_by_roles(client);
        let (under, already) = if by_roles {
            (Enforcement::AllGrants, setting == ScopeEnforcement::AllGrants)
        } else {
            let bound = matches!(setting, ScopeEnforcement::UserGrants | ScopeEnforcement::AllGrants);
            (Enforcement::UserGrants, bound)
        };
        let mut enforced = Enforced { under, already, lost: Vec::new(), kept: 0, undeclared_lost: 0 };
        let reach = self.reach(client);
        for (at, operation) in self.operations.iter().enumerate() {
            let through = lets_through(&client.scopes, operation);
            match self.allows(at, &reach).map(|granted| granted || !by_roles) {
                Some(true) if through => enforced.kept += 1,
                Some(true) => enforced.lost.push(operation),
                None if !through => enforced.undeclared_lost += 1,
                _ => {}
            }
        }
        enforced
    }
}
