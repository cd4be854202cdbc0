//! OAuth clients: list, read, create, replace, delete, and new secrets.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::room_for_one;
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::{Call, Page};
use crate::simulator::organisation::{ALL_DIVISIONS, Client, Grant, Organisation, names};
use crate::simulator::server::World;

const GRANT_TYPES: [&str; 5] = ["CODE", "TOKEN", "SAML2-BEARER", "PASSWORD", "CLIENT-CREDENTIALS"];
const CLIENT_CREDENTIALS: &str = "CLIENT-CREDENTIALS";
const STATES: [&str; 3] = ["active", "disabled", "inactive"];
/// Seconds for which tokens may be valid.
const VALIDITY: std::ops::RangeInclusive<i64> = 300..=172_800;

/// The fields that a client may be created or replaced with; others are ignored, as the platform does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientRequest {
    name: Option<String>,
    description: Option<String>,
    access_token_validity_seconds: Option<i64>,
    registered_redirect_uri: Option<Vec<String>>,
    role_ids: Option<Vec<String>>,
    role_divisions: Option<Vec<RoleDivision>>,
    authorized_grant_type: Option<String>,
    scope: Option<Vec<String>>,
    state: Option<String>,
    date_to_delete: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleDivision {
    role_id: String,
    division_id: String,
}

/// All clients in one body, or in pages if the settings say so.
pub(super) fn list(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let clients: Vec<&Client> = world.organisation.clients.values().collect();
    let page = if world.settings.paged_clients {
        call.page(super::MOST_PER_PAGE)?
    } else {
        Page { size: clients.len().max(25), number: 1 }
    };
    Ok(call.listing(page, &clients, |client| render(client, client.shows_secret)).into())
}

pub(super) fn read(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let client = find(&world.organisation, call)?;
    Ok(Answer::ok(render(client, client.shows_secret)))
}

/// Creates a client; the answer shows its secret.
pub(super) fn create(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: ClientRequest = call.body()?;
    room_for_one(world.organisation.clients.len(), "auth.too.many.clients")?;
    if request.state.as_deref().is_some_and(|state| state != "active") {
        return Err(bad_state("New clients can only have an active state"));
    }
    let valid = validate(&world.organisation, request)?;
    let now = world.organisation.write();
    let client = Client {
        id: world.organisation.new_id(),
        secret: world.organisation.new_secret(),
        date_created: Some(now.clone()),
        date_modified: Some(now),
        created_by: Some(call.caller.clone()),
        modified_by: Some(call.caller.clone()),
        ..valid
    };
    let answer = Answer::ok(render(&client, true));
    world.organisation.clients.insert(client.id.clone(), client);
    Ok(answer)
}

/// Replaces what a client may be created with; id, secret and dates stay.
pub(super) fn update(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: ClientRequest = call.body()?;
    let old = find(&world.organisation, call)?.clone();
    let state_given = request.state.is_some();
    let valid = validate(&world.organisation, request)?;
    let client = Client {
        id: old.id,
        secret: old.secret,
        shows_secret: old.shows_secret,
        state: if state_given { valid.state } else { old.state },
        date_created: old.date_created,
        created_by: old.created_by,
        date_modified: Some(world.organisation.write()),
        modified_by: Some(call.caller.clone()),
        extra: old.extra,
        ..valid
    };
    if client.state == "disabled" {
        world.tokens.revoke_all_of(&client.id);
    }
    let answer = Answer::ok(render(&client, client.shows_secret));
    world.organisation.clients.insert(client.id.clone(), client);
    Ok(answer)
}

/// Deletes a client, which must be inactive.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let client = find(&world.organisation, call)?;
    if client.state != "inactive" {
        let message = "Clients must be marked as inactive to be eligible for deletion.";
        return Err(Refusal::new(400, "cannot.delete.client", message));
    }
    let id = client.id.clone();
    world.organisation.write();
    world.organisation.clients.remove(&id);
    world.organisation.grants.remove(&id);
    world.tokens.revoke_all_of(&id);
    Ok(Answer::no_content())
}

/// Issues a new secret; the old one is worthless at once.
pub(super) fn issue_secret(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    find(&world.organisation, call)?;
    let now = world.organisation.write();
    let secret = world.organisation.new_secret();
    let client =
        world.organisation.clients.get_mut(call.parameter("clientId")).ok_or_else(Refusal::not_found)?;
    client.secret = secret;
    client.date_modified = Some(now);
    client.modified_by = Some(call.caller.clone());
    Ok(Answer::ok(render(client, true)))
}

fn find<'a>(organisation: &'a Organisation, call: &Call<'_>) -> Result<&'a Client, Refusal> {
    organisation.clients.get(call.parameter("clientId")).ok_or_else(Refusal::not_found)
}

fn bad_state(message: &str) -> Refusal {
    Refusal::new(400, "bad.client.state", message)
}

/// The client that a request describes, without identity and dates.
fn validate(organisation: &Organisation, request: ClientRequest) -> Result<Client, Refusal> {
    let name = request.name.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Refusal::constraint("name: must not be empty"))?;
    let kind = request.authorized_grant_type;
    let kind = kind.ok_or_else(|| Refusal::new(400, "grant.type.required", "Grant type is required."))?;
    let kind = kind.replace("CLIENT_CREDENTIALS", CLIENT_CREDENTIALS).replace("SAML2_BEARER", "SAML2-BEARER");
    if !GRANT_TYPES.contains(&kind.as_str()) {
        return Err(Refusal::new(400, "bad.grant.type", "Invalid grant type."));
    }
    let state = request.state.unwrap_or_else(|| "active".to_owned());
    if !STATES.contains(&state.as_str()) {
        return Err(bad_state(&format!("State [{state}] is none of {}", STATES.join(", "))));
    }
    let validity = request.access_token_validity_seconds;
    if let Some(seconds) = validity.filter(|seconds| !VALIDITY.contains(seconds)) {
        let (least, most) = (VALIDITY.start(), VALIDITY.end());
        let message = format!("accessTokenValiditySeconds: {seconds} is not between {least} and {most}");
        return Err(Refusal::constraint(message));
    }
    let grants = request.role_divisions.map(|given| {
        let mut grants: Vec<Grant> = Vec::new();
        for pair in given {
            let grant = Grant { role: pair.role_id, division: pair.division_id };
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        grants
    });
    check_roles(organisation, &kind, grants.as_deref(), request.role_ids.as_deref())?;
    check_scopes(&kind, request.scope.as_deref())?;
    let date_to_delete = match state.as_str() {
        "inactive" => {
            request.date_to_delete.or_else(|| Some(crate::simulator::organisation::identity::days_before(-7)))
        }
        _ => None,
    };
    Ok(Client {
        id: String::new(),
        name,
        secret: String::new(),
        shows_secret: false,
        description: request.description,
        token_validity: Some(validity.unwrap_or(86_400)),
        redirect_uris: request.registered_redirect_uri,
        role_divisions: grants.filter(|_| kind == CLIENT_CREDENTIALS),
        role_ids: request.role_ids.filter(|_| kind == CLIENT_CREDENTIALS),
        grant_type: kind,
        scope: request.scope,
        state,
        date_to_delete,
        date_created: None,
        date_modified: None,
        created_by: None,
        modified_by: None,
        extra: None,
    })
}

fn check_roles(
    organisation: &Organisation,
    kind: &str,
    grants: Option<&[Grant]>,
    role_ids: Option<&[String]>,
) -> Result<(), Refusal> {
    let (grants, role_ids) = (grants.unwrap_or_default(), role_ids.unwrap_or_default());
    if kind == CLIENT_CREDENTIALS && grants.is_empty() && role_ids.is_empty() {
        return Err(Refusal::new(400, "missing.client.roles", "Client roles and divisions are missing."));
    }
    let everywhere = role_ids.iter().map(|role| (role, ALL_DIVISIONS));
    let mut pairs = grants.iter().map(|grant| (&grant.role, grant.division.as_str())).chain(everywhere);
    let valid = |(role, division): (&String, &str)| {
        organisation.roles.contains_key(role) && organisation.can_grant_in(division)
    };
    if pairs.all(valid) {
        Ok(())
    } else {
        Err(Refusal::new(400, "bad.client.role", "Client role is invalid."))
    }
}

fn check_scopes(kind: &str, scope: Option<&[String]>) -> Result<(), Refusal> {
    let scope = scope.unwrap_or_default();
    if kind != CLIENT_CREDENTIALS && scope.is_empty() {
        return Err(Refusal::new(400, "missing.client.scope", "Client scope is missing."));
    }
    let known = names::scopes();
    match scope.iter().find(|scope| !known.contains(scope.as_str())) {
        Some(_) => Err(Refusal::new(400, "auth.invalid.scope", "Client has invalid scope")),
        None => Ok(()),
    }
}

fn render(client: &Client, with_secret: bool) -> Value {
    shared_fields(client)
        .put_some("description", client.description.as_deref())
        .put_some("accessTokenValiditySeconds", client.token_validity)
        .put_some("registeredRedirectUri", client.redirect_uris.clone())
        .put_some("secret", with_secret.then_some(client.secret.as_str()))
        .put_some("roleIds", client.role_ids.clone())
        .put("selfUri", format!("/api/v2/oauth/clients/{}", client.id))
        .put_some(
            client.extra.as_ref().map_or("", |(name, _)| name),
            client.extra.as_ref().map(|(_, value)| value.clone()),
        )
        .into()
}

/// The fields that a client has in lists, and inside the description of a token.
pub(super) fn shared_fields(client: &Client) -> Fields {
    let reference = |id: &String| json!({"id": id, "selfUri": format!("/api/v2/users/{id}")});
    let pairs = client.role_divisions.as_ref().map(|grants| {
        let pair = |grant: &Grant| json!({"roleId": grant.role, "divisionId": grant.division});
        grants.iter().collect::<BTreeSet<_>>().into_iter().map(pair).collect::<Value>()
    });
    Fields::new()
        .put("id", client.id.as_str())
        .put("name", client.name.as_str())
        .put("authorizedGrantType", client.grant_type.as_str())
        .put("state", client.state.as_str())
        .put_some("scope", client.scope.clone())
        .put_some("roleDivisions", pairs)
        .put_some("dateCreated", client.date_created.as_deref())
        .put_some("dateModified", client.date_modified.as_deref())
        .put_some("createdBy", client.created_by.as_ref().map(reference))
        .put_some("modifiedBy", client.modified_by.as_ref().map(reference))
        .put_some("dateToDelete", client.date_to_delete.as_deref())
}
