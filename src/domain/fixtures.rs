//! Builders for tests: `client("c1").grant("role", "*")`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    DivisionRef,
    catalogue::{Catalogue, PermissionFacts},
    inventory::{Client, ClientState, Division, Grant, GrantType, ObservedGrants, Policy, Role},
    snapshot::Snapshot,
};

/// The moment of every test that needs one: 2026-09-21 14:13:20 UTC.
pub(crate) fn when() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time")
}

/// An active client-credentials client without grants, called `Client {id}`.
pub(crate) fn client(id: &str) -> Client {
    Client {
        created_by: None,
        date_created: None,
        date_to_delete: None,
        description: "a client".to_owned(),
        grant_type: GrantType::ClientCredentials,
        grants: Some(BTreeSet::new()),
        id: id.into(),
        name: format!("Client {id}"),
        redirect_uris: BTreeSet::new(),
        scopes: BTreeSet::new(),
        state: ClientState::Active,
        token_lifetime_s: Some(86_400),
    }
}

impl Client {
    pub(crate) fn grant(mut self, role: &str, division: &str) -> Self {
        self.grants
            .get_or_insert_default()
            .insert(Grant { role: role.into(), division: DivisionRef::from(division.to_owned()) });
        self
    }

    pub(crate) fn scope(mut self, scope: &str) -> Self {
        self.scopes.insert(scope.to_owned());
        self
    }

    pub(crate) fn of_type(mut self, grant_type: &str) -> Self {
        self.grant_type = grant_type.to_owned().into();
        self
    }
}

/// A custom role without permissions, called `Role {id}`.
pub(crate) fn role(id: &str) -> Role {
    Role {
        default_role_id: None,
        description: String::new(),
        general: BTreeSet::new(),
        id: id.into(),
        is_default: false,
        name: format!("Role {id}"),
        policies: BTreeSet::new(),
    }
}

impl Role {
    /// Adds one `domain:entity:action`.
    pub(crate) fn can(self, permission: &str) -> Self {
        self.policy(permission, None)
    }

    /// Adds one `domain:entity:action` under a condition.
    pub(crate) fn can_if(self, permission: &str, condition: &str) -> Self {
        self.policy(permission, Some(condition.to_owned()))
    }

    /// Adds a general permission.
    pub(crate) fn general(mut self, permission: &str) -> Self {
        self.general.insert(permission.to_owned());
        self
    }

    pub(crate) fn shipped(mut self) -> Self {
        self.is_default = true;
        self
    }

    fn policy(mut self, permission: &str, condition: Option<String>) -> Self {
        let parts: Vec<&str> = permission.splitn(3, ':').collect();
        let [domain, entity, action] = parts[..] else { panic!("{permission} has not three parts") };
        self.policies.insert(Policy {
            actions: BTreeSet::from([action.to_owned()]),
            condition,
            domain: domain.to_owned(),
            entity: entity.to_owned(),
        });
        self
    }
}

impl Snapshot {
    /// The client was seen to be granted exactly these (role, division) itself. To be sealed anew.
    pub(crate) fn observing(mut self, client: &str, grants: &[(&str, &str)]) -> Self {
        self.observed_of(client).own = these(grants);
        self
    }

    /// The client was seen to hold these through another subject. To be sealed anew.
    pub(crate) fn inheriting(mut self, client: &str, from: &str, grants: &[(&str, &str)]) -> Self {
        self.observed_of(client).inherited.insert(from.to_owned(), these(grants));
        self
    }

    fn observed_of(&mut self, client: &str) -> &mut ObservedGrants {
        let nothing = || ObservedGrants { id: client.into(), inherited: [].into(), own: [].into() };
        self.grants.entry(client.into()).or_insert_with(nothing)
    }
}

fn these(grants: &[(&str, &str)]) -> BTreeSet<Grant> {
    let grant = |(role, division): &(&str, &str)| Grant {
        division: DivisionRef::from((*division).to_owned()),
        role: (*role).into(),
    };
    grants.iter().map(grant).collect()
}

/// A small catalogue; names that end in `!` are not division-aware.
pub(crate) fn catalogue<'a>(names: impl IntoIterator<Item = &'a str>) -> Catalogue {
    Catalogue {
        permissions: names
            .into_iter()
            .map(|name| {
                let bare = name.trim_end_matches('!');
                let facts = PermissionFacts { allows_conditions: true, division_aware: bare == name };
                (bare.to_owned(), facts)
            })
            .collect(),
    }
}

/// A sealed snapshot with two divisions (`home`, `d1`) and no catalogue of its own.
pub(crate) fn snapshot(
    clients: impl IntoIterator<Item = Client>,
    roles: impl IntoIterator<Item = Role>,
) -> Snapshot {
    let division = |id: &str, home| Division { home, id: id.into(), name: format!("Division {id}") };
    Snapshot {
        clients: clients.into_iter().map(|client| (client.id.clone(), client)).collect(),
        roles: roles.into_iter().map(|role| (role.id.clone(), role)).collect(),
        divisions: Some(
            [division("home", true), division("d1", false)]
                .map(|division| (division.id.clone(), division))
                .into(),
        ),
        ..Snapshot::default()
    }
    .seal()
}
