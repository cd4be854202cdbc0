//! Divisions: list, read, create, rename, delete, and moving objects between them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{MOST_PER_PAGE, room_for_one};
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::organisation::{ALL_DIVISIONS, Division, Organisation};
use crate::simulator::power;
use crate::simulator::server::World;

const LONGEST_NAME: usize = 256;

#[derive(Deserialize)]
struct DivisionRequest {
    name: Option<String>,
    description: Option<String>,
}

pub(super) fn list(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let page = call.page(MOST_PER_PAGE)?;
    let counted = call.flag("objectCount", false)?;
    let divisions = wanted(world, call);
    let show = |division: &&Division| render(&world.organisation, division, counted);
    Ok(call.listing(page, &divisions, show).into())
}

/// The listing by cursor: `after` is the id of the last division seen.
pub(super) fn query(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let size = call.page(200)?.size;
    let after = call.query("after").unwrap_or_default();
    let mut rest = wanted(world, call);
    rest.retain(|division| division.id.as_str() > after);
    let more = rest.len() > size;
    rest.truncate(size);
    let path = call.request.path;
    let next = rest.last().filter(|_| more).map(|last| format!("{path}?pageSize={size}&after={}", last.id));
    let entities: Vec<Value> =
        rest.iter().map(|division| render(&world.organisation, division, false)).collect();
    Ok(Fields::new().put("entities", entities).put("selfUri", path).put_some("nextUri", next).into())
}

fn wanted<'a>(world: &'a World, call: &Call<'_>) -> Vec<&'a Division> {
    let ids = call.queries("id");
    let name = call.query("name").map(str::to_lowercase);
    let wanted = |division: &&Division| {
        (ids.is_empty() || ids.contains(&division.id.as_str()))
            && name.as_ref().is_none_or(|name| division.name.to_lowercase().contains(name.trim_matches('*')))
    };
    world.organisation.divisions.values().filter(wanted).collect()
}

pub(super) fn read(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let counted = call.flag("objectCount", false)?;
    Ok(Answer::ok(render(&world.organisation, find(&world.organisation, call)?, counted)))
}

pub(super) fn home(world: &World) -> Result<Answer, Refusal> {
    let home = world.organisation.home().ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(render(&world.organisation, home, false)))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: DivisionRequest = call.body()?;
    room_for_one(world.organisation.divisions.len(), "max.scopes.exceeded")?;
    let name = check_name(&world.organisation, request.name, "")?;
    world.organisation.write();
    let division = Division {
        id: world.organisation.new_id(),
        name,
        description: request.description.unwrap_or_default(),
        home: false,
        other_objects: [("FLOW".to_owned(), 0), ("CAMPAIGN".to_owned(), 0)].into(),
    };
    let answer = Answer::ok(render(&world.organisation, &division, false));
    world.organisation.divisions.insert(division.id.clone(), division);
    Ok(answer)
}

pub(super) fn update(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: DivisionRequest = call.body()?;
    let mut division = find(&world.organisation, call)?.clone();
    division.name = check_name(&world.organisation, request.name, &division.id)?;
    division.description = request.description.unwrap_or(division.description);
    world.organisation.write();
    let answer = Answer::ok(render(&world.organisation, &division, false));
    world.organisation.divisions.insert(division.id.clone(), division);
    Ok(answer)
}

/// Deletes an empty division, or with `force` moves what it holds to Home. Grants that name it stay, and reach nothing.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let force = call.flag("force", false)?;
    let organisation = &mut world.organisation;
    let division = find(organisation, call)?;
    let occupied = organisation.object_counts(division).values().any(|count| *count > 0);
    if division.home || (occupied && !force) {
        let message =
            "One or more preconditions was not met: only an empty division that is not Home can go.";
        return Err(Refusal::new(400, "precondition.failure", message));
    }
    let id = division.id.clone();
    let home = organisation.home().map(|home| home.id.clone()).unwrap_or_default();
    organisation.write();
    let left = organisation.divisions.remove(&id);
    for user in organisation.users.values_mut().filter(|user| user.division == id) {
        user.division.clone_from(&home);
    }
    for queue in organisation.queues.values_mut().filter(|queue| queue.division == id) {
        queue.division.clone_from(&home);
    }
    if let (Some(left), Some(home)) = (left, organisation.divisions.get_mut(&home)) {
        for (kind, count) in left.other_objects {
            *home.other_objects.entry(kind).or_default() += count;
        }
    }
    Ok(Answer::no_content())
}

/// Moves users or queues into a division.
pub(super) fn move_objects(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let ids: Vec<String> = call.body()?;
    let organisation = &mut world.organisation;
    let target = find(organisation, call)?.id.clone();
    let (users, queues) = (&mut organisation.users, &mut organisation.queues);
    let moves_users = call.parameter("objectType") == "USER";
    let known = |id: &String| if moves_users { users.contains_key(id) } else { queues.contains_key(id) };
    if !ids.iter().all(known) {
        return Err(Refusal::not_found());
    }
    for id in &ids {
        if let Some(user) = users.get_mut(id).filter(|_| moves_users) {
            user.division.clone_from(&target);
        }
        if let Some(queue) = queues.get_mut(id).filter(|_| !moves_users) {
            queue.division.clone_from(&target);
        }
    }
    organisation.write();
    Ok(Answer::no_content())
}

/// The divisions in which the caller holds a permission.
pub(super) fn permitted(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let divisions = permitted_divisions(world, call, &call.caller)?;
    let show = |division: &&Division| render(&world.organisation, division, false);
    Ok(Answer::ok(divisions.iter().map(show).collect::<Value>()))
}

/// The same for any client, in pages; `allDivsPermitted` says that no division is left out.
pub(super) fn permitted_pages(world: &World, call: &Call<'_>, subject: &str) -> Result<Answer, Refusal> {
    let divisions = permitted_divisions(world, call, subject)?;
    let all = divisions.len() == world.organisation.divisions.len();
    let show = |division: &&Division| render(&world.organisation, division, false);
    Ok(call.listing(call.page(MOST_PER_PAGE)?, &divisions, show).put("allDivsPermitted", all).into())
}

fn permitted_divisions<'a>(
    world: &'a World,
    call: &Call<'_>,
    subject: &str,
) -> Result<Vec<&'a Division>, Refusal> {
    let organisation = &world.organisation;
    let permission = call
        .query("permission")
        .ok_or_else(|| Refusal::bad_request("The parameter [permission] is required"))?;
    let client = organisation.clients.get(subject).ok_or_else(Refusal::not_found)?;
    let name = call.query("name").map(str::to_lowercase);
    let held = |division: &&Division| {
        power::holds_in(organisation, client, permission, &division.id)
            && name.as_ref().is_none_or(|name| division.name.to_lowercase().contains(name))
    };
    Ok(organisation.divisions.values().filter(held).collect())
}

fn find<'a>(organisation: &'a Organisation, call: &Call<'_>) -> Result<&'a Division, Refusal> {
    organisation.divisions.get(call.parameter("divisionId")).ok_or_else(Refusal::not_found)
}

fn check_name(organisation: &Organisation, name: Option<String>, own_id: &str) -> Result<String, Refusal> {
    let name = name.filter(|name| !name.trim().is_empty() && name != ALL_DIVISIONS);
    let invalid = || Refusal::new(400, "division.name.invalid", "The requested division name is invalid.");
    let name = name.ok_or_else(invalid)?;
    if name.chars().count() > LONGEST_NAME {
        let message = "One or more attributes is longer than the maximum length allowed.";
        return Err(Refusal::new(400, "max.length.exceeded", message));
    }
    let mut others = organisation.divisions.values().filter(|division| division.id != own_id);
    if others.any(|division| division.name == name) {
        return Err(Refusal::new(
            409,
            "resource.already.exists",
            "A resource with that name already exists.",
        ));
    }
    Ok(name)
}

fn render(organisation: &Organisation, division: &Division, counted: bool) -> Value {
    Fields::new()
        .put("id", division.id.as_str())
        .put("name", division.name.as_str())
        .put("description", division.description.as_str())
        .put("homeDivision", division.home)
        .put_some("objectCounts", counted.then(|| json!(organisation.object_counts(division))))
        .put("selfUri", format!("/api/v2/authorization/divisions/{}", division.id))
        .into()
}

/// A division as a grant names it, which may be all of them or one that is gone.
pub(super) fn render_granted(organisation: &Organisation, id: &str) -> Value {
    match organisation.divisions.get(id) {
        Some(division) => render(organisation, division, false),
        None => json!({"id": id, "name": super::division_name(organisation, id), "description": ""}),
    }
}
