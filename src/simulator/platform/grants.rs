//! Grants from the subject's and from the role's side: who holds what, and where.
//!
//! What is granted here to a client counts, but its own record does not show it; what is taken here is taken from the
//! record too.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{MOST_PER_PAGE, division_name, divisions};
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::{Call, invalid_parameter};
use crate::simulator::organisation::{ALL_DIVISIONS, Client, Grant, Organisation, Policy, Role, identity};
use crate::simulator::power;
use crate::simulator::server::World;

const SUBJECT_TYPES: [&str; 3] = ["PC_GROUP", "PC_USER", "PC_OAUTH_CLIENT"];
const MOST_PER_SUBJECT: usize = 5_000;

#[derive(Deserialize)]
struct Pairs {
    grants: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    role_id: String,
    division_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subjects {
    subject_ids: Vec<String>,
    division_ids: Vec<String>,
}

/// All grants of a client, a user or a group, with the roles' policies; those through a group with the group's id.
pub(super) fn of_subject(world: &World, call: &Call<'_>, subject: &str) -> Result<Answer, Refusal> {
    let organisation = &world.organisation;
    let with_duplicates = call.flag("includeDuplicates", false)?;
    let name = name_of(organisation, subject).ok_or_else(Refusal::not_found)?;
    let mut shown = BTreeSet::new();
    let mut grants: Vec<Value> = Vec::new();
    for (source, grant) in own_and_inherited(organisation, subject) {
        // Without duplicates, a grant that comes from several subjects is shown once: as its own, if it is.
        if (shown.insert(grant.clone()) || with_duplicates)
            && let Some(row) = render(organisation, source, &grant)
        {
            grants.push(row);
        }
    }
    Ok(Fields::new()
        .put("id", subject)
        .put("name", name)
        .put("grants", grants)
        .put("version", organisation.revision())
        .put("selfUri", format!("/api/v2/authorization/subjects/{subject}"))
        .into())
}

/// The subjects that hold a role, each with its divisions.
pub(super) fn of_role(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let organisation = &world.organisation;
    let role = call.parameter("roleId");
    let mut holders: Vec<(&String, &str, BTreeSet<String>)> = Vec::new();
    let clients = organisation.clients.keys().map(|id| (id, "PC_OAUTH_CLIENT"));
    let users = organisation.users.keys().map(|id| (id, "PC_USER"));
    for (id, kind) in clients.chain(users).chain(organisation.groups.keys().map(|id| (id, "PC_GROUP"))) {
        let here = held(organisation, id).into_iter().filter(|grant| grant.role == role);
        let divisions: BTreeSet<String> = here.map(|grant| grant.division).collect();
        if !divisions.is_empty() {
            holders.push((id, kind, divisions));
        }
    }
    holders.sort();
    let division = |id: &String| {
        json!({
            "id": id,
            "name": division_name(organisation, id),
            "selfUri": format!("/api/v2/authorization/divisions/{id}"),
        })
    };
    let show = |(id, kind, held): &(&String, &str, BTreeSet<String>)| {
        json!({
            "id": id,
            "name": name_of(organisation, id).unwrap_or_default(),
            "type": kind,
            "divisions": held.iter().map(division).collect::<Value>(),
            "selfUri": format!("/api/v2/authorization/subjects/{id}"),
        })
    };
    Ok(call.listing(call.page(MOST_PER_PAGE)?, &holders, show).into())
}

/// All grants in a division.
pub(super) fn in_division(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let organisation = &world.organisation;
    let division = call.parameter("divisionId");
    let mut grants = Vec::new();
    let subjects = organisation.clients.keys().chain(organisation.users.keys());
    for subject in subjects.chain(organisation.groups.keys()) {
        let here = held(organisation, subject).into_iter().filter(|grant| grant.division == division);
        grants.extend(here.filter_map(|grant| render(organisation, subject, &grant)));
    }
    Ok(call.plain_listing(call.page(500)?, &grants, Value::clone).into())
}

pub(super) fn bulk_add(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let subject = subject(&world.organisation, call)?;
    let grants = pairs(&world.organisation, call)?;
    add(&mut world.organisation, &subject, &grants)
}

pub(super) fn bulk_remove(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let subject = call.parameter("subjectId").to_owned();
    let given: Pairs = call.body()?;
    let grants = given.grants.into_iter().map(Grant::from).collect();
    Ok(remove(&mut world.organisation, &subject, &grants))
}

/// Leaves the subject with exactly these grants.
pub(super) fn bulk_replace(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let subject = subject(&world.organisation, call)?;
    let wanted = pairs(&world.organisation, call)?;
    let held = held(&world.organisation, &subject);
    let superfluous = held.difference(&wanted).cloned().collect();
    remove(&mut world.organisation, &subject, &superfluous);
    add(&mut world.organisation, &subject, &wanted)
}

pub(super) fn add_one(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let subject = subject(&world.organisation, call)?;
    add(&mut world.organisation, &subject, &BTreeSet::from([one(call)]))
}

pub(super) fn remove_one(world: &mut World, call: &Call<'_>) -> Answer {
    remove(&mut world.organisation, call.parameter("subjectId"), &BTreeSet::from([one(call)]))
}

/// Grants the path's role to several subjects in several divisions.
pub(super) fn grant_role(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let given: Subjects = call.body()?;
    let organisation = &mut world.organisation;
    for subject in &given.subject_ids {
        check_subject(organisation, subject, call.query("subjectType"))?;
    }
    if !given.division_ids.iter().all(|division| organisation.can_grant_in(division)) {
        return Err(bad_pairs());
    }
    let role = call.parameter("roleId");
    for subject in &given.subject_ids {
        let grant = |division: &String| Grant { role: role.to_owned(), division: division.clone() };
        add(organisation, subject, &given.division_ids.iter().map(grant).collect())?;
    }
    Ok(Answer::no_content())
}

/// Gives the path's role to users, in Home.
pub(super) fn add_users(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let ids = user_ids(&world.organisation, call)?;
    let home = world.organisation.home().map(|home| home.id.clone()).unwrap_or_default();
    for id in &ids {
        let grant = Grant { role: call.parameter("roleId").to_owned(), division: home.clone() };
        add(&mut world.organisation, id, &BTreeSet::from([grant]))?;
    }
    Ok(Answer::ok(ids))
}

/// Takes the path's role from users, in every division.
pub(super) fn remove_users(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let ids = user_ids(&world.organisation, call)?;
    for id in &ids {
        let held = held(&world.organisation, id);
        let taken = held.into_iter().filter(|grant| grant.role == call.parameter("roleId")).collect();
        remove(&mut world.organisation, id, &taken);
    }
    Ok(Answer::ok(ids))
}

fn user_ids(organisation: &Organisation, call: &Call<'_>) -> Result<Vec<String>, Refusal> {
    let ids: Vec<String> = call.body()?;
    if ids.iter().all(|id| organisation.users.contains_key(id)) { Ok(ids) } else { Err(Refusal::not_found()) }
}

fn one(call: &Call<'_>) -> Grant {
    Grant { role: call.parameter("roleId").to_owned(), division: call.parameter("divisionId").to_owned() }
}

impl From<Pair> for Grant {
    fn from(pair: Pair) -> Self {
        Self { role: pair.role_id, division: pair.division_id }
    }
}

fn pairs(organisation: &Organisation, call: &Call<'_>) -> Result<BTreeSet<Grant>, Refusal> {
    let given: Pairs = call.body()?;
    let grants: BTreeSet<Grant> = given.grants.into_iter().map(Grant::from).collect();
    let valid = |grant: &Grant| {
        organisation.roles.contains_key(&grant.role) && organisation.can_grant_in(&grant.division)
    };
    if grants.iter().all(valid) { Ok(grants) } else { Err(bad_pairs()) }
}

fn bad_pairs() -> Refusal {
    Refusal::new(400, "bad.role.divisions", "Invalid role divisions in request.")
}

fn subject(organisation: &Organisation, call: &Call<'_>) -> Result<String, Refusal> {
    let id = call.parameter("subjectId");
    check_subject(organisation, id, call.query("subjectType"))?;
    Ok(id.to_owned())
}

/// Whether there is such a subject; a type that is given must be its type.
fn check_subject(organisation: &Organisation, id: &str, given: Option<&str>) -> Result<(), Refusal> {
    if let Some(unknown) = given.filter(|kind| !SUBJECT_TYPES.contains(kind)) {
        return Err(invalid_parameter("subjectType", unknown, &SUBJECT_TYPES.join(", ")));
    }
    let kind = match id {
        _ if organisation.clients.contains_key(id) => "PC_OAUTH_CLIENT",
        _ if organisation.users.contains_key(id) => "PC_USER",
        _ if organisation.groups.contains_key(id) => "PC_GROUP",
        _ => return Err(Refusal::not_found()),
    };
    if given.is_none_or(|given| given == kind) { Ok(()) } else { Err(Refusal::not_found()) }
}

/// Adds grants that the subject does not hold yet, beside the record.
fn add(organisation: &mut Organisation, subject: &str, wanted: &BTreeSet<Grant>) -> Result<Answer, Refusal> {
    let held = held(organisation, subject);
    let new: BTreeSet<Grant> = wanted.difference(&held).cloned().collect();
    if held.len() + new.len() > MOST_PER_SUBJECT {
        return Err(Refusal::new(
            400,
            "max.role.assignments.exceeded",
            "Too many roles granted to a subject",
        ));
    }
    organisation.write();
    organisation.grants.entry(subject.to_owned()).or_default().extend(new);
    Ok(Answer::no_content())
}

/// Takes grants, wherever they came from.
fn remove(organisation: &mut Organisation, subject: &str, taken: &BTreeSet<Grant>) -> Answer {
    organisation.write();
    if let Some(grants) = organisation.grants.get_mut(subject) {
        grants.retain(|grant| !taken.contains(grant));
    }
    if let Some(client) = organisation.clients.get_mut(subject) {
        match (&mut client.role_divisions, &mut client.role_ids) {
            (Some(grants), _) => grants.retain(|grant| !taken.contains(grant)),
            (None, Some(ids)) => ids.retain(|role| {
                !taken.contains(&Grant { role: role.clone(), division: ALL_DIVISIONS.to_owned() })
            }),
            (None, None) => {}
        }
    }
    Answer::no_content()
}

/// What is granted to the subject itself.
fn held(organisation: &Organisation, subject: &str) -> BTreeSet<Grant> {
    let mut grants = organisation.grants.get(subject).cloned().unwrap_or_default();
    grants.extend(organisation.clients.get(subject).into_iter().flat_map(power::recorded_grants));
    grants
}

/// The same, then what it has through groups; each with the subject that it is granted to.
fn own_and_inherited<'a>(organisation: &'a Organisation, subject: &'a str) -> Vec<(&'a str, Grant)> {
    let mut all: Vec<(&str, Grant)> =
        held(organisation, subject).into_iter().map(|grant| (subject, grant)).collect();
    for group in organisation.groups.values().filter(|group| group.members.contains(subject)) {
        all.extend(held(organisation, &group.id).into_iter().map(|grant| (group.id.as_str(), grant)));
    }
    all
}

fn name_of<'a>(organisation: &'a Organisation, subject: &str) -> Option<&'a str> {
    let client = organisation.clients.get(subject).map(|client| client.name.as_str());
    let user = organisation.users.get(subject).map(|user| user.name.as_str());
    client.or(user).or_else(|| organisation.groups.get(subject).map(|group| group.name.as_str()))
}

/// `None` if the role is gone.
fn render(organisation: &Organisation, subject: &str, grant: &Grant) -> Option<Value> {
    let role = organisation.roles.get(&grant.role)?;
    let modified = organisation.clients.get(subject).and_then(|client: &Client| client.date_modified.clone());
    Some(json!({
        "subjectId": subject,
        "division": divisions::render_granted(organisation, &grant.division),
        "role": render_role(role),
        "grantMadeAt": modified.unwrap_or_else(|| identity::days_before(100)),
    }))
}

fn render_role(role: &Role) -> Value {
    let policy = |policy: &Policy| {
        Value::from(
            Fields::new()
                .put("domain", policy.domain.as_str())
                .put("entityName", policy.entity.as_str())
                .put("actions", policy.actions.clone())
                .put_some("condition", policy.condition.as_ref().map(Value::to_string)),
        )
    };
    Fields::new()
        .put("id", role.id.as_str())
        .put("name", role.name.as_str())
        .put_some("description", role.description.as_deref())
        .put("policies", role.policies.iter().map(policy).collect::<Value>())
        .put("default", role.default_role_id.is_some())
        .put("selfUri", format!("/api/v2/authorization/roles/{}", role.id))
        .into()
}
