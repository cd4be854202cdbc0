//! Queues, the objects whose listing shows only the divisions that the caller reaches.

use serde_json::{Value, json};

use super::{MOST_PER_PAGE, division_name};
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::organisation::{Organisation, Queue};
use crate::simulator::power;
use crate::simulator::server::World;

pub(super) fn list(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let organisation = &world.organisation;
    let caller = organisation.clients.get(&call.caller).ok_or_else(Refusal::not_found)?;
    let name = call.query("name").map(str::to_lowercase);
    let visible = |queue: &&Queue| {
        power::allow_in_division(organisation, caller, call.operation, &queue.division).is_ok()
            && name.as_ref().is_none_or(|name| queue.name.to_lowercase().contains(name.trim_matches('*')))
    };
    let queues: Vec<&Queue> = organisation.queues.values().filter(visible).collect();
    let show = |queue: &&Queue| render(organisation, queue);
    Ok(call.listing(call.page(MOST_PER_PAGE)?, &queues, show).into())
}

pub(super) fn read(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let queue = world.organisation.queues.get(call.parameter("queueId")).ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(render(&world.organisation, queue)))
}

pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    world.organisation.queues.remove(call.parameter("queueId")).ok_or_else(Refusal::not_found)?;
    world.organisation.write();
    Ok(Answer::empty(200))
}

fn render(organisation: &Organisation, queue: &Queue) -> Value {
    let division = json!({
        "id": queue.division,
        "name": division_name(organisation, &queue.division),
        "selfUri": format!("/api/v2/authorization/divisions/{}", queue.division),
    });
    Fields::new()
        .put("id", queue.id.as_str())
        .put("name", queue.name.as_str())
        .put("division", division)
        .put_some("description", queue.description.as_deref())
        .put("memberCount", 0)
        .put("selfUri", format!("/api/v2/routing/queues/{}", queue.id))
        .into()
}
