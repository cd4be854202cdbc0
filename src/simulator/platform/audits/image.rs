//! A thing as the log sees it: lists of values by property, in the log's own names.

use std::collections::BTreeMap;

use super::log::Kind;
use crate::simulator::organisation::{Client, Grant, Organisation, Policy, Role};

/// Values by property.
pub(super) type Image = BTreeMap<String, Vec<String>>;

/// `None`: there is no such thing.
pub(super) fn image(organisation: &Organisation, kind: Kind, id: &str) -> Option<Image> {
    let mut image = match kind {
        Kind::Client => client(organisation.clients.get(id)?),
        Kind::Role => role(organisation.roles.get(id)?),
        Kind::Division => {
            let division = organisation.divisions.get(id)?;
            fields([
                ("name", vec![division.name.clone()]),
                ("description", vec![division.description.clone()]),
            ])
        }
        Kind::User => {
            let user = organisation.users.get(id)?;
            fields([
                ("name", vec![user.name.clone()]),
                ("email", vec![user.email.clone()]),
                ("state", vec![user.state.clone()]),
                ("department", user.department.iter().cloned().collect()),
                ("title", user.title.iter().cloned().collect()),
            ])
        }
        Kind::Group => fields([("name", vec![organisation.groups.get(id)?.name.clone()])]),
        Kind::Queue => fields([("name", vec![organisation.queues.get(id)?.name.clone()])]),
    };
    let beside = organisation.grants.get(id).into_iter().flatten();
    let beside: Vec<String> = beside.map(pair).collect();
    if !beside.is_empty() {
        image.insert("grants".to_owned(), beside);
    }
    Some(image)
}

fn fields<const N: usize>(fields: [(&str, Vec<String>); N]) -> Image {
    let filled = fields.into_iter().filter(|(_, values)| values.iter().any(|value| !value.is_empty()));
    filled.map(|(name, values)| (name.to_owned(), values)).collect()
}

/// The secret is in it as well. The real log does not show it, one hopes; whoever reads a log must not count on that.
fn client(client: &Client) -> Image {
    let grants: Vec<String> = client.role_divisions.iter().flatten().map(pair).collect();
    fields([
        ("name", vec![client.name.clone()]),
        ("description", client.description.iter().cloned().collect()),
        ("state", vec![client.state.clone()]),
        ("authorized_grant_type", vec![client.grant_type.clone()]),
        ("scopes", client.scope.clone().unwrap_or_default()),
        ("redirect_uris", client.redirect_uris.clone().unwrap_or_default()),
        ("access_token_validity_seconds", client.token_validity.iter().map(ToString::to_string).collect()),
        ("roles", client.role_ids.clone().unwrap_or_default()),
        ("role_divisions", grants),
        ("secret", vec![client.secret.clone()]),
        ("deleted_on", client.date_to_delete.iter().cloned().collect()),
    ])
}

fn role(role: &Role) -> Image {
    let policy = |policy: &Policy| -> Vec<String> {
        let condition = policy.condition.as_ref().map(|node| format!(" if {node}")).unwrap_or_default();
        let name = |action: &String| format!("{}:{}:{action}{condition}", policy.domain, policy.entity);
        policy.actions.iter().map(name).collect()
    };
    fields([
        ("name", vec![role.name.clone()]),
        ("description", role.description.iter().cloned().collect()),
        ("permissions", role.permissions.clone()),
        ("permission_policies", role.policies.iter().flat_map(policy).collect()),
    ])
}

fn pair(grant: &Grant) -> String {
    format!("{}@{}", grant.role, grant.division)
}
