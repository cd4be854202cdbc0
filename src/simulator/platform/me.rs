//! The caller's own token, and the organisation that it belongs to.

use serde_json::json;

use super::clients;
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::server::World;

/// What the token stands for.
pub(super) fn token(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let client = world.organisation.clients.get(&call.caller).ok_or_else(Refusal::not_found)?;
    let organisation = json!({"id": world.organisation.id, "name": world.organisation.name});
    let details = clients::shared_fields(client).put("organization", organisation.clone());
    Ok(Fields::new()
        .put("organization", organisation.clone())
        .put("homeOrganization", organisation)
        .put("authorizedScope", client.scope.clone().unwrap_or_default())
        .put("OAuthClient", details)
        .into())
}

pub(super) fn revoke_token(world: &mut World, call: &Call<'_>) -> Answer {
    world.tokens.revoke(&call.token);
    Answer::empty(200)
}

/// Client credentials act for nobody.
pub(super) fn needs_a_user() -> Refusal {
    Refusal::bad_request(
        "This request requires a user context. Client credentials cannot be used for requests to this resource.",
    )
}

pub(super) fn organisation(world: &World) -> Answer {
    Answer::ok(json!({
        "id": world.organisation.id,
        "name": world.organisation.name,
        "defaultLanguage": "en-us",
        "defaultCountryCode": "GB",
        "domain": "rehearsal.example.com",
        "version": 1,
        "state": "active",
        "voicemailEnabled": false,
        "productPlatform": "PureCloud",
        "features": {"directory": true, "purecloud": true},
        "selfUri": "/api/v2/organizations/me",
    }))
}

/// The limits that this simulator really has.
pub(super) fn limits(world: &World, call: &Call<'_>) -> Answer {
    let limit = |key: &str, value: u32| json!({"key": key, "namespace": call.parameter("namespaceName"), "value": value});
    Answer::ok(json!({
        "entities": [
            limit("client.credentials.token.rate.per.minute", world.settings.rate_limit_per_minute),
            limit("request.bytes.max", 512_000),
        ],
    }))
}
