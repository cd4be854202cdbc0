//! Users, who live in divisions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{division_name, room_for_one};
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::organisation::{Organisation, User};
use crate::simulator::power;
use crate::simulator::server::World;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserRequest {
    name: Option<String>,
    email: Option<String>,
    department: Option<String>,
    title: Option<String>,
    state: Option<String>,
    division_id: Option<String>,
    version: Option<i64>,
}

pub(super) fn list(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let ids = call.queries("id");
    let wanted = |user: &&User| ids.is_empty() || ids.contains(&user.id.as_str());
    let users: Vec<&User> = world.organisation.users.values().filter(wanted).collect();
    let show = |user: &&User| render(&world.organisation, user);
    Ok(call.listing(call.page(500)?, &users, show).into())
}

pub(super) fn read(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    Ok(Answer::ok(render(&world.organisation, find(&world.organisation, call)?)))
}

/// Creates a user, if the caller may do so in the division that is asked for.
pub(super) fn create(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: UserRequest = call.body()?;
    let organisation = &mut world.organisation;
    room_for_one(organisation.users.len(), "max.users.exceeded")?;
    let required = |value: Option<String>, field: &str| {
        value
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Refusal::constraint(format!("{field}: must not be empty")))
    };
    let name = required(request.name, "name")?;
    let email = required(request.email, "email")?;
    let division = required(request.division_id, "divisionId")?;
    if !organisation.divisions.contains_key(&division) {
        return Err(Refusal::not_found());
    }
    let caller = organisation.clients.get(&call.caller).ok_or_else(Refusal::not_found)?;
    power::allow_in_division(organisation, caller, call.operation, &division)?;
    if organisation.users.values().any(|user| user.email == email) {
        return Err(Refusal::conflict());
    }
    organisation.write();
    let user = User {
        id: organisation.new_id(),
        name,
        email,
        division,
        department: request.department,
        title: request.title,
        state: state(request.state)?.unwrap_or_else(|| "active".to_owned()),
        version: 1,
    };
    let answer = Answer::ok(render(organisation, &user));
    organisation.users.insert(user.id.clone(), user);
    Ok(answer)
}

/// Changes what is given; the version must be the current one.
pub(super) fn amend(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: UserRequest = call.body()?;
    let old = find(&world.organisation, call)?.clone();
    match request.version {
        None => return Err(Refusal::constraint("version: must not be null")),
        Some(version) if version != old.version => return Err(Refusal::conflict()),
        Some(_) => {}
    }
    let user = User {
        name: request.name.unwrap_or(old.name),
        email: request.email.unwrap_or(old.email),
        department: request.department.or(old.department),
        title: request.title.or(old.title),
        state: state(request.state)?.unwrap_or(old.state),
        version: old.version + 1,
        ..old
    };
    world.organisation.write();
    let answer = Answer::ok(render(&world.organisation, &user));
    world.organisation.users.insert(user.id.clone(), user);
    Ok(answer)
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let id = find(&world.organisation, call)?.id.clone();
    world.organisation.write();
    world.organisation.users.remove(&id);
    world.organisation.grants.remove(&id);
    Ok(Answer::ok(json!({})))
}

fn state(given: Option<String>) -> Result<Option<String>, Refusal> {
    match given.as_deref() {
        None | Some("active" | "inactive") => Ok(given),
        Some(other) => Err(Refusal::new(
            400,
            "invalid.value",
            format!(
                "Value [{other}] is not valid for field type [state]. Allowable values are: active, inactive"
            ),
        )),
    }
}

fn find<'a>(organisation: &'a Organisation, call: &Call<'_>) -> Result<&'a User, Refusal> {
    organisation.users.get(call.parameter("userId")).ok_or_else(Refusal::not_found)
}

fn render(organisation: &Organisation, user: &User) -> Value {
    let division = json!({
        "id": user.division,
        "name": division_name(organisation, &user.division),
        "selfUri": format!("/api/v2/authorization/divisions/{}", user.division),
    });
    Fields::new()
        .put("id", user.id.as_str())
        .put("name", user.name.as_str())
        .put("division", division)
        .put("email", user.email.as_str())
        .put("username", user.email.as_str())
        .put_some("department", user.department.as_deref())
        .put_some("title", user.title.as_deref())
        .put("state", user.state.as_str())
        .put("version", user.version)
        .put("selfUri", format!("/api/v2/users/{}", user.id))
        .into()
}
