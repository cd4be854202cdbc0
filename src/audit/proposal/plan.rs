//! A Terraform plan, as `terraform show -json PLAN` prints it.
//!
//! Enters: the text, and the last recorded snapshot. Leaves: the snapshot after the plan's roles and clients. Must never:
//! take a value that is known only after apply for absent: it is said, and what was recorded stays in its place.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Proposal, Unusable,
    attributes::{ClientAttributes, RoleAttributes, RoleBlock},
    change::Draft,
    references::{self, Configuration, Reference, without_keys},
};
use crate::{
    collect::proposed::{self, NEW, Proposed, Written},
    domain::{
        inventory::{Client, Role},
        snapshot::Snapshot,
    },
};

/// The provider's resource for roles.
pub(super) const ROLE: &str = "genesyscloud_auth_role";
/// The provider's resource for OAuth clients.
pub(super) const CLIENT: &str = "genesyscloud_oauth_client";

#[derive(Debug, Deserialize)]
struct Plan<'a> {
    #[serde(borrow, default)]
    resource_changes: Vec<Change<'a>>,
    #[serde(borrow)]
    configuration: Option<Configuration<'a>>,
    #[serde(default)]
    errored: bool,
}

#[derive(Debug, Deserialize)]
struct Change<'a> {
    address: String,
    #[serde(default)]
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, rename = "change")]
    delta: Delta<'a>,
}

/// Undecoded until it is known to be a role or a client: other resources may hold secrets.
#[derive(Debug, Deserialize)]
struct Delta<'a> {
    actions: Vec<String>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    after_unknown: Option<&'a RawValue>,
}

impl Change<'_> {
    fn does(&self, action: &str) -> bool {
        self.delta.actions.iter().any(|known| known == action)
    }

    fn is_nothing(&self) -> bool {
        self.mode == "data" || !["create", "update", "delete"].into_iter().any(|action| self.does(action))
    }

    fn unknown(&self) -> Value {
        self.delta.after_unknown.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null)
    }

    fn side<T: for<'d> Deserialize<'d> + Default>(&self, raw: Option<&RawValue>) -> Result<T, Unusable> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(T::default()) };
        serde_json::from_str(raw.get()).map_err(|error| {
            // The decoder's own words may repeat a value.
            Unusable(format!(
                "{} does not have the fields of {} that are known (line {}, column {} of it)",
                self.address,
                self.kind,
                error.line(),
                error.column()
            ))
        })
    }
}

pub(super) fn read(before: &Snapshot, text: &[u8]) -> Result<Proposal, Unusable> {
    let plan: Plan<'_> = serde_json::from_slice(text).map_err(|error| {
        Unusable(format!(
            "the plan cannot be read at line {}, column {}; give the output of `terraform show -json PLAN`",
            error.line(),
            error.column()
        ))
    })?;
    if plan.errored {
        return Err(Unusable(
            "the plan ended with an error, so it does not say all that would change; make it again"
                .to_owned(),
        ));
    }
    let (ours, others): (Vec<&Change<'_>>, Vec<&Change<'_>>) = (plan.resource_changes.iter())
        .filter(|change| !change.is_nothing())
        .partition(|change| [ROLE, CLIENT].contains(&change.kind.as_str()));
    let mut draft = Draft::of(before);
    let mut roles = NewRoles::default();
    for change in ours.iter().filter(|change| change.kind == ROLE) {
        role(&mut draft, change, &mut roles)?;
    }
    let references = plan.configuration.as_ref().map(references::of_clients).unwrap_or_default();
    for change in ours.iter().filter(|change| change.kind == CLIENT) {
        client(&mut draft, change, &roles, &references)?;
    }
    if ours.is_empty() {
        draft.note(format!("the plan changes no {ROLE} and no {CLIENT}"));
    }
    Ok(draft.finish(others.len()))
}

/// Roles that the plan creates: by address without keys, the ids that stand in for theirs.
#[derive(Default)]
struct NewRoles(BTreeMap<String, Vec<String>>);

impl NewRoles {
    /// The one role of that address; `None` if there is none, or more than one.
    fn one(&self, address: &str) -> Option<&str> {
        match self.0.get(address)?.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

fn role(draft: &mut Draft<'_>, change: &Change<'_>, roles: &mut NewRoles) -> Result<(), Unusable> {
    let old: RoleAttributes = change.side(change.delta.before)?;
    let old_id = old.id.unwrap_or_default();
    if change.does("delete") {
        draft.without_role(&old_id);
        if !change.does("create") {
            return Ok(());
        }
    }
    let mut new: RoleAttributes = change.side(change.delta.after)?;
    let unknown = change.unknown();
    let name = named(draft, change, &mut new.name, old.name.as_ref());
    let recorded = draft.recorded_role(&old_id).cloned();
    let (mut keeps_policies, mut keeps_general) = (false, false);
    match &unknown["permission_policies"] {
        Value::Bool(true) => keeps_policies = true,
        Value::Array(each) => {
            let partly: Vec<bool> = each.iter().map(any_unknown).collect();
            let mut policies = new.permission_policies.take().unwrap_or_default().into_iter();
            let mut known = Vec::new();
            for unknown in partly {
                let Some(policy) = policies.next() else { break };
                if unknown {
                    let domain = policy.domain.as_deref().unwrap_or("?");
                    let entity = policy.entity_name.as_deref().unwrap_or("?");
                    draft.note(format!(
                        "{}: a policy on {domain}:{entity} is known only after apply, and left out",
                        change.address
                    ));
                } else {
                    known.push(policy);
                }
            }
            known.extend(policies);
            new.permission_policies = Some(known);
        }
        _ => {}
    }
    if any_unknown(&unknown["permissions"]) {
        keeps_general = true;
    }
    for (keeps, what) in [(keeps_policies, "permission_policies"), (keeps_general, "permissions")] {
        if keeps {
            open(draft, change, what, recorded.is_some());
        }
    }
    let creates = change.does("create");
    let id = if creates { new_id(&name) } else { old_id };
    let mut written = as_role(change, &new.as_platform(&id))?;
    if keeps_policies {
        written.value.policies = recorded.as_ref().map(|role| role.policies.clone()).unwrap_or_default();
    }
    if keeps_general {
        written.value.general = recorded.map(|role| role.general).unwrap_or_default();
    }
    if creates {
        roles.0.entry(without_keys(&change.address)).or_default().push(id);
        draft.new_role(written.value)
    } else {
        draft.role(written)
    }
}

fn client(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    roles: &NewRoles,
    references: &BTreeMap<String, Vec<Reference>>,
) -> Result<(), Unusable> {
    let old: ClientAttributes = change.side(change.delta.before)?;
    let old_id = old.id.unwrap_or_default();
    if change.does("delete") {
        draft.without_client(&old_id);
        if !change.does("create") {
            return Ok(());
        }
    }
    let mut new: ClientAttributes = change.side(change.delta.after)?;
    let unknown = change.unknown();
    let name = named(draft, change, &mut new.name, old.name.as_ref());
    let recorded = draft.recorded_client(&old_id);
    let grants = if unknown["roles"] == Value::Bool(true) {
        open(draft, change, "roles", recorded.is_some());
        let kept = recorded.into_iter().flat_map(Client::grants);
        kept.map(|grant| (grant.role.to_string(), grant.division.to_string())).collect()
    } else {
        let blocks = new.roles.clone().unwrap_or_default();
        let named = references.get(&without_keys(&change.address)).map_or(&[][..], Vec::as_slice);
        granted(draft, change, &blocks, &unknown["roles"], named, roles)
    };
    let creates = change.does("create");
    let id = if creates { new_id(&name) } else { old_id };
    let mut written = as_client(change, &new.as_platform(&id, &grants))?;
    let mut keeps = |what: &str| {
        let keeps = any_unknown(&unknown[what]);
        if keeps {
            open(draft, change, what, recorded.is_some());
        }
        keeps
    };
    if keeps("scopes") {
        written.value.scopes = recorded.map(|client| client.scopes.clone()).unwrap_or_default();
    }
    if keeps("registered_redirect_uris") {
        written.value.redirect_uris = recorded.map(|client| client.redirect_uris.clone()).unwrap_or_default();
    }
    if keeps("access_token_validity_seconds")
        && let Some(client) = recorded
    {
        written.value.token_lifetime_s = client.token_lifetime_s;
        written.fields.insert("accessTokenValiditySeconds".to_owned());
    }
    if keeps("description") {
        written.value.description = recorded.map(|client| client.description.clone()).unwrap_or_default();
    }
    // Without a word the draft keeps the recorded one.
    keeps("state");
    if creates {
        draft.new_client(written.value);
        Ok(())
    } else {
        draft.client(written)
    }
}

/// The grants of a client's blocks; a role of the plan is found by what the configuration says.
fn granted(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    blocks: &[RoleBlock],
    unknown: &Value,
    named: &[Reference],
    roles: &NewRoles,
) -> Vec<(String, String)> {
    let mut grants = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let division = match &block.division_id {
            _ if unknown[at]["division_id"] == Value::Bool(true) => {
                draft.note(format!("{}: the division of a role is known only after apply", change.address));
                "unknown".to_owned()
            }
            Some(division) if !division.is_empty() => division.clone(),
            _ => draft.home().to_string(),
        };
        match &block.role_id {
            Some(role) if unknown[at]["role_id"] != Value::Bool(true) => {
                grants.push((role.clone(), division));
            }
            _ => open.push(division),
        }
    }
    // Blocks that name a role which the plan creates, each with that role's stand-in.
    let home = draft.home().to_string();
    let mut candidates: Vec<(&str, Option<String>)> = (named.iter())
        .filter_map(|reference| {
            let division = reference.division.as_ref();
            let division = division.map(|text| if text.is_empty() { home.clone() } else { text.clone() });
            Some((roles.one(&reference.role)?, division))
        })
        .collect();
    let mut left = Vec::new();
    if candidates.len() == open.len() {
        for division in open {
            match candidates.iter().position(|(_, written)| written.as_ref() == Some(&division)) {
                Some(at) => grants.push((candidates.remove(at).0.to_owned(), division)),
                None => left.push(division),
            }
        }
        // Where all that is left is alike, it does not matter which is which.
        if left.windows(2).all(|pair| pair[0] == pair[1])
            && candidates.iter().all(|(_, written)| written.is_none())
        {
            let rest = candidates.drain(..).map(|(role, _)| role.to_owned());
            grants.extend(rest.zip(std::mem::take(&mut left)));
        }
    } else {
        left = open;
    }
    if !left.is_empty() {
        draft.note(format!(
            "{}: {} of its roles are known only after apply, and left out",
            change.address,
            left.len()
        ));
    }
    grants
}

fn new_id(name: &str) -> String {
    format!("{NEW} {name}")
}

/// The name of a resource; its address, where the name is known only after apply.
fn named(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    name: &mut Option<String>,
    old: Option<&String>,
) -> String {
    if let Some(name) = name {
        return name.clone();
    }
    draft.note(format!("{}: its name is known only after apply", change.address));
    name.insert(old.cloned().unwrap_or_else(|| change.address.clone())).clone()
}

/// Says that a field is known only after apply, and what stands in for it.
fn open(draft: &mut Draft<'_>, change: &Change<'_>, what: &str, recorded: bool) {
    let instead = if recorded { "what is recorded stays" } else { "it is left out" };
    draft.note(format!("{}: {what} is known only after apply; {instead}", change.address));
}

fn any_unknown(value: &Value) -> bool {
    match value {
        Value::Bool(unknown) => *unknown,
        Value::Array(items) => items.iter().any(any_unknown),
        Value::Object(fields) => fields.values().any(any_unknown),
        _ => false,
    }
}

fn as_role(change: &Change<'_>, platform: &Value) -> Result<Written<Role>, Unusable> {
    match proposed::read(platform.to_string().as_bytes()) {
        Ok(Proposed::Role(written)) => Ok(written),
        Ok(_) => Err(Unusable(format!("{} is no role", change.address))),
        Err(reason) => Err(Unusable(format!("{}: {reason}", change.address))),
    }
}

fn as_client(change: &Change<'_>, platform: &Value) -> Result<Written<Client>, Unusable> {
    match proposed::read(platform.to_string().as_bytes()) {
        Ok(Proposed::Client(written)) => Ok(written),
        Ok(_) => Err(Unusable(format!(
            "{} has no authorized_grant_type that is known before apply",
            change.address
        ))),
        Err(reason) => Err(Unusable(format!("{}: {reason}", change.address))),
    }
}
