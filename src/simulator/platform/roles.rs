//! Roles: list, read, create, replace, amend, delete; raw, or with wildcards written out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MOST_PER_PAGE, room_for_one};
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::organisation::{Catalogue, Organisation, Policy, Role};
use crate::simulator::power;
use crate::simulator::server::World;

/// The fields that a role may be written with; absent is kept by an amendment, and emptied by a replacement.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleRequest {
    name: Option<String>,
    description: Option<String>,
    permissions: Option<Vec<String>>,
    permission_policies: Option<Vec<PolicyRequest>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRequest {
    domain: String,
    entity_name: String,
    #[serde(default)]
    action_set: Vec<String>,
    allow_conditions: Option<bool>,
    resource_condition_node: Option<Condition>,
}

/// A node of a condition, as the platform defines it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    #[serde(skip_serializing_if = "Option::is_none")]
    variable_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Operator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operands: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conjunction: Option<Conjunction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<Vec<Condition>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Operator {
    Eq,
    In,
    Ge,
    Gt,
    Le,
    Lt,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Conjunction {
    And,
    Or,
}

pub(super) fn list(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let page = call.page(MOST_PER_PAGE)?;
    let counts = call.flag("userCount", true)?.then(|| user_counts(&world.organisation));
    let (ids, defaults, permissions) =
        (call.queries("id"), call.queries("defaultRoleId"), call.queries("permission"));
    if ids.len() > 100 {
        return Err(Refusal::new(400, "max.role.ids", "Only 100 roles can be requested at a time."));
    }
    let name = call.query("name").map(str::to_lowercase);
    let wanted = |role: &&Role| {
        (ids.is_empty() || ids.contains(&role.id.as_str()))
            && (defaults.is_empty()
                || role.default_role_id.as_ref().is_some_and(|id| defaults.contains(&id.as_str())))
            && permissions.iter().all(|permission| power::role_allows(role, permission))
            && name.as_ref().is_none_or(|name| role.name.to_lowercase().contains(name.trim_matches('*')))
    };
    let roles: Vec<&Role> = world.organisation.roles.values().filter(wanted).collect();
    let show = |role: &&Role| render(world, role, counts.as_ref());
    Ok(call.listing(page, &roles, show).into())
}

pub(super) fn read(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let counts = call.flag("userCount", true)?.then(|| user_counts(&world.organisation));
    Ok(Answer::ok(render(world, find(&world.organisation, call)?, counts.as_ref())))
}

pub(super) fn create(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: RoleRequest = call.body()?;
    room_for_one(world.organisation.roles.len(), "max.roles.exceeded")?;
    let empty = Role {
        id: String::new(),
        name: String::new(),
        description: None,
        default_role_id: None,
        permissions: Vec::new(),
        policies: Vec::new(),
        extra: None,
    };
    let mut role = amended(empty, request)?;
    check_name(&world.organisation, &role)?;
    world.organisation.write();
    role.id = world.organisation.new_id();
    Ok(store(world, role))
}

/// Replaces everything but the id and what makes a role a default role.
pub(super) fn replace(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: RoleRequest = call.body()?;
    let old = find(&world.organisation, call)?.clone();
    let emptied = Role { description: None, permissions: Vec::new(), policies: Vec::new(), ..old };
    change(world, emptied, request)
}

/// Changes only what is given.
pub(super) fn amend(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let request: RoleRequest = call.body()?;
    let old = find(&world.organisation, call)?.clone();
    change(world, old, request)
}

/// Deletes a role and every grant of it.
pub(super) fn delete(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let role = find(&world.organisation, call)?;
    if role.default_role_id.is_some() {
        return Err(Refusal::bad_request("Default roles cannot be deleted."));
    }
    let id = role.id.clone();
    let organisation = &mut world.organisation;
    organisation.write();
    organisation.roles.remove(&id);
    for client in organisation.clients.values_mut() {
        client.role_divisions.iter_mut().for_each(|grants| grants.retain(|grant| grant.role != id));
        client.role_ids.iter_mut().for_each(|ids| ids.retain(|role| *role != id));
    }
    for grants in organisation.grants.values_mut() {
        grants.retain(|grant| grant.role != id);
    }
    Ok(Answer::no_content())
}

/// The users that hold a role.
pub(super) fn users(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let role = call.parameter("roleId");
    let holds = |id: &&String| {
        world.organisation.grants.get(*id).is_some_and(|grants| grants.iter().any(|grant| grant.role == role))
    };
    let users: Vec<&String> = world.organisation.users.keys().filter(holds).collect();
    let show = |id: &&String| json!({"id": id, "selfUri": format!("/api/v2/users/{id}")});
    Ok(call.plain_listing(call.page(MOST_PER_PAGE)?, &users, show).into())
}

fn find<'a>(organisation: &'a Organisation, call: &Call<'_>) -> Result<&'a Role, Refusal> {
    organisation.roles.get(call.parameter("roleId")).ok_or_else(Refusal::not_found)
}

fn change(world: &mut World, old: Role, request: RoleRequest) -> Result<Answer, Refusal> {
    if old.default_role_id.is_some() && request.name.as_ref().is_some_and(|name| *name != old.name) {
        return Err(Refusal::new(
            400,
            "general.bad.request",
            "The name of a default role cannot be modified.",
        ));
    }
    let role = amended(old, request)?;
    check_name(&world.organisation, &role)?;
    world.organisation.write();
    Ok(store(world, role))
}

fn amended(old: Role, request: RoleRequest) -> Result<Role, Refusal> {
    let name = request.name.unwrap_or(old.name);
    if name.trim().is_empty() {
        return Err(Refusal::constraint("name: must not be empty"));
    }
    let policies = match request.permission_policies {
        Some(given) => given.into_iter().map(policy).collect::<Result<_, _>>()?,
        None => old.policies,
    };
    let permissions = request.permissions.unwrap_or(old.permissions);
    Ok(Role { name, description: request.description.or(old.description), permissions, policies, ..old })
}

fn policy(request: PolicyRequest) -> Result<Policy, Refusal> {
    if request.domain.is_empty() || request.entity_name.is_empty() {
        return Err(Refusal::constraint("permissionPolicies: domain and entityName must not be empty"));
    }
    let mut seen = BTreeSet::new();
    let actions = request.action_set.into_iter().filter(|action| seen.insert(action.clone())).collect();
    let condition = request.resource_condition_node.map(serde_json::to_value).transpose();
    Ok(Policy {
        domain: request.domain,
        entity: request.entity_name,
        actions,
        allow_conditions: request.allow_conditions,
        condition: condition.map_err(|error| Refusal::bad_request(error.to_string()))?,
    })
}

fn check_name(organisation: &Organisation, role: &Role) -> Result<(), Refusal> {
    let taken = organisation.roles.values().any(|other| other.name == role.name && other.id != role.id);
    if taken { Err(Refusal::conflict()) } else { Ok(()) }
}

fn store(world: &mut World, role: Role) -> Answer {
    let answer = Answer::ok(render(world, &role, None));
    world.organisation.roles.insert(role.id.clone(), role);
    answer
}

fn user_counts(organisation: &Organisation) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for (subject, grants) in &organisation.grants {
        if organisation.users.contains_key(subject) {
            let roles: BTreeSet<&str> = grants.iter().map(|grant| grant.role.as_str()).collect();
            for role in roles {
                *counts.entry(role).or_default() += 1;
            }
        }
    }
    counts
}

fn render(world: &World, role: &Role, user_counts: Option<&HashMap<&str, usize>>) -> Value {
    let expanded;
    let policies = if world.settings.expand_wildcards {
        expanded = expand(&role.policies, &world.organisation.catalogue);
        &expanded
    } else {
        &role.policies
    };
    Fields::new()
        .put("id", role.id.as_str())
        .put("name", role.name.as_str())
        .put_some("description", role.description.as_deref())
        .put_some("defaultRoleId", role.default_role_id.as_deref())
        .put("permissions", role.permissions.clone())
        .put("permissionPolicies", policies.iter().map(render_policy).collect::<Value>())
        .put_some("userCount", user_counts.map(|counts| counts.get(role.id.as_str()).copied().unwrap_or(0)))
        .put("roleNeedsUpdate", false)
        .put("default", role.default_role_id.is_some())
        .put("base", false)
        .put("selfUri", format!("/api/v2/authorization/roles/{}", role.id))
        .put_some(
            role.extra.as_ref().map_or("", |(name, _)| name),
            role.extra.as_ref().map(|(_, value)| value.clone()),
        )
        .into()
}

fn render_policy(policy: &Policy) -> Value {
    Fields::new()
        .put("domain", policy.domain.as_str())
        .put("entityName", policy.entity.as_str())
        .put("actionSet", policy.actions.clone())
        .put_some("allowConditions", policy.allow_conditions)
        .put_some("resourceConditionNode", policy.condition.clone())
        .into()
}

/// Writes wildcards out: one policy an entity, its actions listed. What the catalogue does not know stays as it is.
fn expand(policies: &[Policy], catalogue: &Catalogue) -> Vec<Policy> {
    let mut expanded = Vec::new();
    for policy in policies {
        let wild =
            [&policy.domain, &policy.entity].into_iter().chain(&policy.actions).any(|part| part == "*");
        let mut entities: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for entry in catalogue.values().filter(|_| wild) {
            let covers = |pattern: &String, value: &String| pattern == "*" || pattern == value;
            if covers(&policy.domain, &entry.domain)
                && covers(&policy.entity, &entry.entity)
                && policy.actions.iter().any(|action| covers(action, &entry.action))
            {
                entities.entry((&entry.domain, &entry.entity)).or_default().push(entry.action.clone());
            }
        }
        if entities.is_empty() {
            expanded.push(policy.clone());
        }
        expanded.extend(entities.into_iter().map(|((domain, entity), actions)| Policy {
            domain: domain.to_owned(),
            entity: entity.to_owned(),
            actions,
            ..policy.clone()
        }));
    }
    expanded
}
