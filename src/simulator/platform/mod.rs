//! The operations themselves, after every check has passed.
//!
//! Enters: a [`Call`]. Leaves: its answer, and the organisation changed if it is a write. Operations with state have a
//! handler; the thousands of others answer as an organisation without such objects would (`stateless`).

pub(super) mod audits;
mod catalogue;
mod clients;
mod divisions;
mod grants;
mod me;
mod queues;
mod roles;
mod stateless;
pub(super) mod usage;
mod users;

use super::answer::{Answer, Refusal};
use super::call::{Call, Request};
use super::operations::{Operation, Parameters, parameter_name};
use super::organisation::{ALL_DIVISIONS, MOST_OF_A_KIND, Organisation, names};
use super::server::World;

/// Listings in pages of at most a hundred entries.
const MOST_PER_PAGE: usize = 100;

/// Performs the operation, and logs what it changed.
pub(super) fn answer(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let before = audits::log::before(&world.organisation, call);
    let answer = perform(world, call)?;
    if let Some(before) = before {
        audits::log::record(world, call, before, &answer);
    }
    Ok(answer)
}

fn perform(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    match (call.operation.method, call.operation.path) {
        ("GET", "/api/v2/docs/swagger") => Ok(definition(world, call)),

        ("GET", "/api/v2/oauth/clients") => clients::list(world, call),
        ("POST", "/api/v2/oauth/clients") => clients::create(world, call),
        ("GET", "/api/v2/oauth/clients/{clientId}") => clients::read(world, call),
        ("PUT", "/api/v2/oauth/clients/{clientId}") => clients::update(world, call),
        ("DELETE", "/api/v2/oauth/clients/{clientId}") => clients::delete(world, call),
        ("POST", "/api/v2/oauth/clients/{clientId}/secret") => clients::issue_secret(world, call),

        ("GET", "/api/v2/oauth/scopes") => Ok(catalogue::scopes()),
        ("GET", "/api/v2/oauth/scopes/{scopeId}") => Ok(catalogue::scope(call)),
        ("GET", "/api/v2/authorization/permissions") => catalogue::permissions(world, call),
        ("GET", "/api/v2/authorization/products") => catalogue::products(call),

        ("GET", "/api/v2/authorization/roles") => roles::list(world, call),
        ("POST", "/api/v2/authorization/roles") => roles::create(world, call),
        ("GET", "/api/v2/authorization/roles/{roleId}") => roles::read(world, call),
        ("PUT", "/api/v2/authorization/roles/{roleId}") => roles::replace(world, call),
        ("PATCH", "/api/v2/authorization/roles/{roleId}") => roles::amend(world, call),
        ("DELETE", "/api/v2/authorization/roles/{roleId}") => roles::delete(world, call),
        ("POST", "/api/v2/authorization/roles/{roleId}") => grants::grant_role(world, call),
        ("GET", "/api/v2/authorization/roles/{roleId}/users") => roles::users(world, call),
        ("PUT", "/api/v2/authorization/roles/{roleId}/users/add") => grants::add_users(world, call),
        ("PUT", "/api/v2/authorization/roles/{roleId}/users/remove") => grants::remove_users(world, call),
        ("GET", "/api/v2/authorization/roles/{roleId}/subjectgrants") => grants::of_role(world, call),

        ("GET", "/api/v2/authorization/divisions") => divisions::list(world, call),
        ("POST", "/api/v2/authorization/divisions") => divisions::create(world, call),
        ("GET", "/api/v2/authorization/divisions/home") => divisions::home(world),
        ("GET", "/api/v2/authorization/divisions/limit") => Ok(Answer::ok(MOST_OF_A_KIND)),
        ("GET", "/api/v2/authorization/divisions/query") => divisions::query(world, call),
        ("GET", "/api/v2/authorization/divisions/{divisionId}") => divisions::read(world, call),
        ("PUT", "/api/v2/authorization/divisions/{divisionId}") => divisions::update(world, call),
        ("DELETE", "/api/v2/authorization/divisions/{divisionId}") => divisions::delete(world, call),
        ("GET", "/api/v2/authorization/divisions/{divisionId}/grants") => grants::in_division(world, call),
        ("POST", "/api/v2/authorization/divisions/{divisionId}/objects/{objectType}") => {
            divisions::move_objects(world, call)
        }
        ("GET", "/api/v2/authorization/divisionspermitted/me") => divisions::permitted(world, call),
        ("GET", "/api/v2/authorization/divisionspermitted/paged/me") => {
            divisions::permitted_pages(world, call, &call.caller)
        }
        ("GET", "/api/v2/authorization/divisionspermitted/paged/{subjectId}") => {
            divisions::permitted_pages(world, call, call.parameter("subjectId"))
        }

        ("GET", "/api/v2/authorization/subjects/me") => grants::of_subject(world, call, &call.caller),
        ("GET", "/api/v2/authorization/subjects/{subjectId}") => {
            grants::of_subject(world, call, call.parameter("subjectId"))
        }
        ("POST", "/api/v2/authorization/subjects/{subjectId}/bulkadd") => grants::bulk_add(world, call),
        ("POST", "/api/v2/authorization/subjects/{subjectId}/bulkremove") => grants::bulk_remove(world, call),
        ("POST", "/api/v2/authorization/subjects/{subjectId}/bulkreplace") => {
            grants::bulk_replace(world, call)
        }
        ("POST", "/api/v2/authorization/subjects/{subjectId}/divisions/{divisionId}/roles/{roleId}") => {
            grants::add_one(world, call)
        }
        ("DELETE", "/api/v2/authorization/subjects/{subjectId}/divisions/{divisionId}/roles/{roleId}") => {
            Ok(grants::remove_one(world, call))
        }

        ("GET", "/api/v2/users") => users::list(world, call),
        ("POST", "/api/v2/users") => users::create(world, call),
        ("GET", "/api/v2/users/me") => Err(me::needs_a_user()),
        ("GET", "/api/v2/users/{userId}") => users::read(world, call),
        ("PATCH", "/api/v2/users/{userId}") => users::amend(world, call),
        ("DELETE", "/api/v2/users/{userId}") => users::delete(world, call),

        ("GET", "/api/v2/routing/queues") => queues::list(world, call),
        ("GET", "/api/v2/routing/queues/{queueId}") => queues::read(world, call),
        ("DELETE", "/api/v2/routing/queues/{queueId}") => queues::delete(world, call),

        ("POST", "/api/v2/usage/aggregates/query/jobs") => usage::ask_newer(world, call),
        ("GET", "/api/v2/usage/aggregates/query/jobs/{jobId}") => usage::newer_results(world, call),
        ("POST", "/api/v2/usage/query") => usage::ask_older(world, call),
        ("GET", "/api/v2/usage/query/{executionId}/results") => usage::older_results(world, call),

        ("GET", "/api/v2/audits/query/servicemapping") => Ok(audits::mapping()),
        ("GET", "/api/v2/audits/query/realtime/servicemapping") => Ok(audits::realtime_mapping(world)),
        ("POST", "/api/v2/audits/query/realtime") => audits::realtime(world, call),
        ("POST", "/api/v2/audits/query") => audits::ask(world, call),
        ("GET", "/api/v2/audits/query/{transactionId}") => audits::status(world, call),
        ("GET", "/api/v2/audits/query/{transactionId}/results") => audits::results(world, call),

        ("GET" | "HEAD", "/api/v2/tokens/me") => me::token(world, call),
        ("DELETE", "/api/v2/tokens/me") => Ok(me::revoke_token(world, call)),
        ("GET", "/api/v2/organizations/me") => Ok(me::organisation(world)),
        (
            "GET",
            "/api/v2/organizations/limits/namespaces/{namespaceName}"
            | "/api/v2/organizations/limits/namespaces/{namespaceName}/defaults",
        ) => Ok(me::limits(world, call)),

        _ => Ok(stateless::answer(call)),
    }
}

/// The API definition, unless the caller has it already.
fn definition(world: &mut World, call: &Call<'_>) -> Answer {
    let (text, etag) = world.definition.text();
    if !world.settings.definition_etag {
        return Answer::raw(200, "application/json", text.to_vec());
    }
    let known = call.request.headers.get("if-none-match").and_then(|value| value.to_str().ok());
    let answer = if known == Some(etag.as_str()) {
        Answer::empty(304)
    } else {
        Answer::raw(200, "application/json", text.to_vec())
    };
    answer.with_header("ETag", etag)
}

/// Whether the ids in the path are known. With `strictly` (before the permission is checked), a malformed id or body
/// is told apart from an unknown id.
pub(super) fn look_up(
    organisation: &Organisation,
    request: &Request<'_>,
    operation: &Operation,
    parameters: &Parameters,
    strictly: bool,
) -> Result<(), Refusal> {
    let writes = matches!(request.method, "POST" | "PUT" | "PATCH");
    if strictly && writes && !request.body.is_empty() {
        let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(request.body);
        parsed.map_err(|error| Refusal::bad_request(format!("The request body is not JSON: {error}")))?;
    }
    for name in operation.path.split('/').filter_map(parameter_name) {
        let value = parameters.get(name).map_or("", String::as_str);
        // Whether there is such a query is for the query's own handler to say.
        let is_query = matches!(
            operation.path,
            "/api/v2/usage/aggregates/query/jobs/{jobId}"
                | "/api/v2/usage/query/{executionId}/results"
                | "/api/v2/audits/query/{transactionId}"
                | "/api/v2/audits/query/{transactionId}/results"
        );
        if is_query || is_known(organisation, name, value) {
            continue;
        }
        let is_id = name.ends_with("Id") && !matches!(name, "scopeId" | "rightRoleId");
        if strictly && is_id && uuid::Uuid::parse_str(value).is_err() {
            return Err(Refusal::bad_request(format!(
                "Value [{value}] is not valid for [{name}]: a UUID is expected"
            )));
        }
        return Err(Refusal::not_found());
    }
    Ok(())
}

fn is_known(organisation: &Organisation, name: &str, value: &str) -> bool {
    match name {
        "clientId" => organisation.clients.contains_key(value),
        "roleId" | "leftRoleId" => organisation.roles.contains_key(value),
        "rightRoleId" => {
            organisation.roles.values().any(|role| role.default_role_id.as_deref() == Some(value))
        }
        "divisionId" => organisation.can_grant_in(value),
        "userId" => organisation.users.contains_key(value),
        "queueId" => organisation.queues.contains_key(value),
        "subjectId" => {
            organisation.clients.contains_key(value)
                || organisation.users.contains_key(value)
                || organisation.groups.contains_key(value)
        }
        "scopeId" => names::scopes().contains(value),
        "objectType" => matches!(value, "USER" | "QUEUE"),
        "namespaceName" => value == "platform.api",
        _ => false,
    }
}

/// The divisions of the objects that the path names.
pub(super) fn divisions_of<'a>(
    organisation: &'a Organisation,
    parameters: &Parameters,
) -> impl Iterator<Item = &'a str> {
    let user = parameters.get("userId").and_then(|id| organisation.users.get(id));
    let queue = parameters.get("queueId").and_then(|id| organisation.queues.get(id));
    user.map(|user| user.division.as_str()).into_iter().chain(queue.map(|queue| queue.division.as_str()))
}

/// The id and name of a division as grants show it.
fn division_name<'a>(organisation: &'a Organisation, id: &'a str) -> &'a str {
    match organisation.divisions.get(id) {
        Some(division) => &division.name,
        None if id == ALL_DIVISIONS => "All divisions",
        None => id,
    }
}

/// Whether another thing of this kind may be created.
fn room_for_one(size: usize, code: &'static str) -> Result<(), Refusal> {
    if size < MOST_OF_A_KIND {
        Ok(())
    } else {
        Err(Refusal::new(400, code, "There are too many of these already."))
    }
}
