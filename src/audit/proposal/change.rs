//! One role or client put into a snapshot, as the platform's `PUT` and `POST` would.
//!
//! Enters: an entity as it was written down. Leaves: the snapshot changed, with notes. Must never: invent what the
//! platform keeps (dates, who created it): that stays as it was recorded.

use std::collections::BTreeSet;

use super::{Proposal, Unusable};
use crate::{
    collect::proposed::Written,
    domain::{
        DivisionRef,
        inventory::{Client, Grant, GrantType, Role},
        snapshot::Snapshot,
    },
};

/// Lifetime of tokens where a request does not say: the platform's default, in seconds.
const TOKEN_LIFETIME_S: i64 = 86_400;

/// A snapshot that is being changed.
pub(super) struct Draft<'a> {
    before: &'a Snapshot,
    after: Snapshot,
    notes: Vec<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(before: &'a Snapshot) -> Self {
        Self { before, after: before.clone(), notes: Vec::new() }
    }

    pub(super) fn finish(self, ignored: usize) -> Proposal {
        Proposal { after: self.after.seal(), notes: self.notes, ignored }
    }

    pub(super) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Creates a role, or replaces the one of that id or name. Fails if the name is that of several.
    pub(super) fn role(&mut self, written: Written<Role>) -> Result<(), Unusable> {
        let Written { id, mut value, .. } = written;
        let known = match id.as_deref().and_then(|id| self.before.roles.get(id)) {
            Some(role) => Some(role),
            None => one_named(self.before.roles.values(), "role", &value.name, |role| {
                (role.name.as_str(), role.id.as_str())
            })?,
        };
        let Some(old) = known else {
            self.note(format!("the role {} is new", value.name));
            return self.put_role(value);
        };
        if id.as_deref().is_some_and(|id| id != old.id.as_str()) {
            self.note(format!("no role has the id that is written; {} is taken by its name", old.name));
        }
        value.id = old.id.clone();
        // What a request cannot change.
        value.is_default = old.is_default;
        value.default_role_id.clone_from(&old.default_role_id);
        if value.name.is_empty() {
            value.name.clone_from(&old.name);
        }
        self.put_role(value)
    }

    /// Creates a role, whatever others are called.
    pub(super) fn new_role(&mut self, role: Role) -> Result<(), Unusable> {
        if self.before.roles.values().any(|known| known.name == role.name) {
            self.note(format!(
                "a role named {} exists already: the platform refuses a second one of that name",
                role.name
            ));
        }
        self.put_role(role)
    }

    /// Creates a client, whatever others are called.
    pub(super) fn new_client(&mut self, mut client: Client) {
        client.token_lifetime_s.get_or_insert(TOKEN_LIFETIME_S);
        self.after.clients.insert(client.id.clone(), client);
    }

    fn put_role(&mut self, role: Role) -> Result<(), Unusable> {
        if role.name.is_empty() {
            return Err(Unusable("the role has no name, and no role with its id is recorded".to_owned()));
        }
        self.after.roles.insert(role.id.clone(), role);
        Ok(())
    }

    /// Creates a client, or replaces the one of that id or name. Fails if the name is that of several, or if a client
    /// with client credentials comes without roles.
    pub(super) fn client(&mut self, written: Written<Client>) -> Result<(), Unusable> {
        let Written { id, fields, mut value } = written;
        if value.grants.is_none() {
            return Err(Unusable(format!(
                "the client {} has neither roleDivisions nor roleIds: with the grant type {} its roles must be given",
                value.name,
                GrantType::ClientCredentials.as_str()
            )));
        }
        let known = match id.as_deref().and_then(|id| self.before.clients.get(id)) {
            Some(client) => Some(client),
            None => one_named(self.before.clients.values(), "client", &value.name, |client| {
                (client.name.as_str(), client.id.as_str())
            })?,
        };
        if !fields.contains("accessTokenValiditySeconds") {
            value.token_lifetime_s = Some(TOKEN_LIFETIME_S);
        }
        match known {
            None => self.note(format!("the client {} is new", value.name)),
            Some(old) => {
                if id.as_deref().is_some_and(|id| id != old.id.as_str()) {
                    self.note(format!(
                        "no client has the id that is written; {} is taken by its name",
                        old.name
                    ));
                }
                value.id = old.id.clone();
                value.created_by.clone_from(&old.created_by);
                value.date_created.clone_from(&old.date_created);
                if !fields.contains("state") {
                    value.state.clone_from(&old.state);
                }
                if !fields.contains("dateToDelete") && value.state == old.state {
                    value.date_to_delete.clone_from(&old.date_to_delete);
                }
            }
        }
        let unseen: Vec<String> = (value.grants())
            .filter(|grant| !self.after.roles.contains_key(&grant.role))
            .map(|grant| grant.role.to_string())
            .collect();
        for role in unseen {
            self.note(format!(
                "{} is given the role {role}, which is not recorded: what it gives is not known",
                value.name
            ));
        }
        self.carry_over(&value);
        self.after.clients.insert(value.id.clone(), value);
        Ok(())
    }

    /// What the new record gives and the old one did not, or the other way round, is so from the client's own side too:
    /// that is where the platform keeps it. What was granted behind the record's back stays. A grant whose division the
    /// record did not name is whatever the client's side shows of that role.
    fn carry_over(&mut self, new: &Client) {
        let Some(seen) = self.after.grants.get_mut(&new.id) else { return };
        let old = self.after.clients.get(&new.id);
        let had: BTreeSet<&Grant> = old.into_iter().flat_map(Client::grants).collect();
        let has: BTreeSet<&Grant> = new.grants().collect();
        let taken = |grant: &Grant| {
            let same = |old: &&Grant| old.division == grant.division || old.division == DivisionRef::Unknown;
            had.difference(&has).any(|old| old.role == grant.role && same(old))
        };
        seen.own.retain(|grant| has.contains(grant) || !taken(grant));
        seen.own.extend(has.difference(&had).map(|grant| (*grant).clone()));
    }

    /// Deletes a role, and every grant of it.
    pub(super) fn without_role(&mut self, id: &str) {
        self.after.roles.remove(id);
        for client in self.after.clients.values_mut() {
            if let Some(grants) = &mut client.grants {
                grants.retain(|grant| grant.role.as_str() != id);
            }
        }
        for seen in self.after.grants.values_mut() {
            let everywhere = std::iter::once(&mut seen.own).chain(seen.inherited.values_mut());
            everywhere.for_each(|grants| grants.retain(|grant| grant.role.as_str() != id));
        }
    }

    /// Deletes a client.
    pub(super) fn without_client(&mut self, id: &str) {
        self.after.clients.remove(id);
        self.after.grants.remove(id);
    }

    /// The role as it was recorded.
    pub(super) fn recorded_role(&self, id: &str) -> Option<&'a Role> {
        self.before.roles.get::<str>(id)
    }

    /// The client as it was recorded.
    pub(super) fn recorded_client(&self, id: &str) -> Option<&'a Client> {
        self.before.clients.get::<str>(id)
    }

    /// Where a grant without a division applies: the home division.
    pub(super) fn home(&self) -> DivisionRef {
        let divisions = self.before.divisions.iter().flatten();
        let mut home = divisions.filter(|(_, division)| division.home).map(|(id, _)| id.clone());
        home.next().map_or(DivisionRef::Unknown, DivisionRef::One)
    }
}

/// The one entity of a name; `None` if there is none.
fn one_named<'e, T>(
    all: impl Iterator<Item = &'e T>,
    noun: &str,
    name: &str,
    of: impl Fn(&T) -> (&str, &str),
) -> Result<Option<&'e T>, Unusable> {
    let named: Vec<&T> = all.filter(|one| !name.is_empty() && of(one).0 == name).collect();
    match named.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let ids: Vec<&str> = several.iter().map(|one| of(one).1).collect();
            Err(Unusable(format!(
                "{} {noun}s are named {name:?}; write the `id` of the one that is meant: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
    }
}
