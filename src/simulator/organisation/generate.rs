//! A random organisation of any size, the same for the same seed.
//!
//! It is made to be difficult: wildcards at every position, permissions that the catalogue does not know, optional
//! fields left out, fields that no definition has, clients in every state and of every grant type.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::names::{DIVISIONS, PLACES, PURPOSES, scopes};
use super::shipped::{
    add_announced_clients, add_division, add_queue, add_user, client, employee_role, everywhere, policies,
    role,
};
use super::{Client, Grant, Organisation, Policy, Role, identity};
use crate::simulator::Options;

/// The organisation that these sizes and this seed give. It has at least the announced clients, their roles, and Home.
pub(super) fn generate(options: &Options) -> Organisation {
    let seed = options.seed;
    let mut random = StdRng::seed_from_u64(seed);
    let mut organisation = Organisation::empty(seed, &format!("Rehearsal {seed}"));
    add_divisions(&mut organisation, seed, options.divisions, &mut random);
    add_announced_clients(&mut organisation, seed);
    let roles = add_roles(&mut organisation, seed, options.roles, &mut random);
    let divisions: Vec<String> = organisation.divisions.keys().cloned().collect();
    let scopes: Vec<&str> = scopes().into_iter().collect();
    for number in 2..numbers(options.clients) {
        let client = any_client(seed, number, &roles, &divisions, &scopes, &mut random);
        organisation.clients.insert(client.id.clone(), client);
    }
    organisation
}

fn numbers(size: usize) -> u64 {
    u64::try_from(size.min(super::MOST_OF_A_KIND)).unwrap_or(0)
}

fn add_divisions(organisation: &mut Organisation, seed: u64, size: usize, random: &mut StdRng) {
    let employee = employee_role(seed).id;
    let admin = super::shipped::admin_role(seed).id;
    for number in 0..numbers(size).max(1) {
        let name = match usize::try_from(number).unwrap_or(0) {
            0 => "Home".to_owned(),
            index if index <= DIVISIONS.len() => DIVISIONS[index - 1].to_owned(),
            index => format!("{} {index}", DIVISIONS[index % DIVISIONS.len()]),
        };
        add_division(organisation, seed, number, &name, random.random_range(0..60));
        let division = identity::id(seed, "division", number);
        let roles = [employee.as_str(), admin.as_str()];
        for place in 0..6 {
            let held = if number == 0 && place == 0 { &roles[..] } else { &roles[..1] };
            add_user(organisation, seed, number * 6 + place, &division, held);
        }
        for place in 0..2 {
            add_queue(organisation, seed, number * 2 + place, &division, &format!("{name} queue {place}"));
        }
    }
}

/// Adds roles up to `size` and answers the ids that clients may hold, the small ones first.
fn add_roles(organisation: &mut Organisation, seed: u64, size: usize, random: &mut StdRng) -> Vec<String> {
    let permissions: Vec<String> = organisation.catalogue.keys().cloned().collect();
    let mut roles = special_roles(seed);
    roles.truncate(size.saturating_sub(2));
    let first = u64::try_from(roles.len()).unwrap_or(0) + 2;
    roles.extend((first..numbers(size)).map(|number| any_role(seed, number, &permissions, random)));
    let ids = roles.iter().map(|role| role.id.clone()).collect();
    organisation.roles.extend(roles.into_iter().map(|role| (role.id.clone(), role)));
    ids
}

/// One role for each thing that is easily got wrong.
fn special_roles(seed: u64) -> Vec<Role> {
    let small =
        |number, name: &str, names: &[&str]| Role { policies: policies(names), ..role(seed, number, name) };
    vec![
        employee_role(seed),
        Role {
            default_role_id: Some("supervisor".into()),
            ..small(
                3,
                "Supervisor",
                &["routing:queue:view", "quality:evaluation:view", "analytics:userDetail:view"],
            )
        },
        small(4, "Telephony plug-in", &["telephony:plugin:all"]),
        small(5, "Queue administration", &["routing:queue:*", "routing:skill:view"]),
        small(6, "Quality administration", &["quality:*:*", "recording:*:view"]),
        small(7, "Reads everything", &["*:*:view"]),
        Role { policies: vec![conditional_policy()], ..role(seed, 8, "Recordings of one queue") },
        small(
            9,
            "Written before the rename",
            &["routing:quueue:view", "directory:user:View", "analytics:dashboard:peek"],
        ),
        Role {
            permissions: vec!["content_management_user".into(), "group_creation".into()],
            ..small(10, "Content", &["directory:group:view"])
        },
        Role {
            permissions: vec!["directory:user:view".into(), "directory:user:edit".into()],
            ..role(seed, 11, "Full names among the general permissions")
        },
    ]
}

fn conditional_policy() -> Policy {
    Policy {
        allow_conditions: Some(true),
        condition: Some(json!({
            "conjunction": "AND",
            "terms": [{
                "variableName": "Conversation.queues",
                "operator": "EQ",
                "operands": [{"type": "SCALAR", "value": "Support"}],
                "terms": [],
            }],
        })),
        ..Policy::new("recording", "recording", &["*"])
    }
}

fn any_role(seed: u64, number: u64, permissions: &[String], random: &mut StdRng) -> Role {
    let purpose = PURPOSES.choose(random).copied().unwrap_or_default();
    let mut chosen = Vec::new();
    for _ in 0..random.random_range(1..=6) {
        let Some((domain, entity, action)) =
            permissions.choose(random).and_then(|name| super::catalogue::split(name))
        else {
            continue;
        };
        chosen.push(match random.random_range(0..20) {
            0 => format!("{domain}:{entity}:*"),
            1 => format!("{domain}:*:{action}"),
            2 => format!("{domain}:*:*"),
            _ => format!("{domain}:{entity}:{action}"),
        });
    }
    let names: Vec<&str> = chosen.iter().map(String::as_str).collect();
    Role {
        description: random.random_bool(0.6).then(|| format!("For {purpose}")),
        policies: policies(&names),
        extra: random.random_bool(0.1).then(|| ("roleOrigin".to_owned(), Value::from("imported"))),
        ..role(seed, number, &format!("{purpose}_role_{number}"))
    }
}

fn any_client(
    seed: u64,
    number: u64,
    roles: &[String],
    divisions: &[String],
    scopes: &[&str],
    random: &mut StdRng,
) -> Client {
    let purpose = PURPOSES.choose(random).copied().unwrap_or_default();
    let place = PLACES.choose(random).copied().unwrap_or_default();
    let mut client = client(seed, number, &format!("{purpose}_{place}_{number}"));
    client.description = random.random_bool(0.7).then(|| format!("{purpose} for {place}"));
    client.shows_secret = random.random_bool(0.2);
    client.token_validity =
        [Some(86_400), Some(3_600), Some(172_800), None].choose(random).copied().flatten();
    client.extra = random
        .random_bool(0.15)
        .then(|| ("allowedIpRanges".to_owned(), json!(["192.0.2.0/24", "198.51.100.7/32"])));
    if random.random_bool(0.1) {
        (client.date_created, client.date_modified) = (None, None);
        (client.created_by, client.modified_by) = (None, None);
    }
    match random.random_range(0..100) {
        0..78 => hold_roles(&mut client, roles, divisions, random),
        78..88 => act_for_users(&mut client, "CODE", "https://app.example.com/callback"),
        88..94 => act_for_users(&mut client, "TOKEN", "http://wall.example.com/"),
        94..97 => act_for_users(&mut client, "PASSWORD", "http://localhost:8080/"),
        _ => act_for_users(&mut client, "SAML2-BEARER", "https://sso.example.com/acs"),
    }
    client.scope = match (client.grant_type == "CLIENT-CREDENTIALS", random.random_range(0..10)) {
        (true, 0..3) => None,
        (true, 3..7) => Some(Vec::new()),
        (false, 0) => Some(vec!["all".into()]),
        _ => Some(some_scopes(scopes, random)),
    };
    match random.random_range(0..100) {
        0..4 => client.state = "disabled".into(),
        4..8 => {
            client.state = "inactive".into();
            client.date_to_delete = Some(identity::days_before(-7));
        }
        _ => {}
    }
    client
}

/// Roles of a client-credentials client; the old form, without divisions, for a few.
fn hold_roles(client: &mut Client, roles: &[String], divisions: &[String], random: &mut StdRng) {
    let mut grants: Vec<Grant> = Vec::new();
    for _ in 0..random.random_range(1..=3) {
        let Some(role) = roles.choose(random) else { continue };
        let grant = match divisions.choose(random) {
            Some(division) if random.random_bool(0.6) => {
                Grant { role: role.clone(), division: division.clone() }
            }
            _ => everywhere(role),
        };
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    let mut ids: Vec<String> = grants.iter().map(|grant| grant.role.clone()).collect();
    ids.sort();
    ids.dedup();
    match random.random_range(0..20) {
        0 => (client.role_divisions, client.role_ids) = (None, Some(ids)),
        1..8 => (client.role_divisions, client.role_ids) = (Some(grants), Some(ids)),
        _ => client.role_divisions = Some(grants),
    }
}

fn act_for_users(client: &mut Client, grant_type: &str, redirect: &str) {
    grant_type.clone_into(&mut client.grant_type);
    client.redirect_uris = Some(vec![redirect.to_owned()]);
    client.role_divisions = None;
}

fn some_scopes(scopes: &[&str], random: &mut StdRng) -> Vec<String> {
    let size = random.random_range(1..=6);
    let mut chosen: Vec<String> =
        (0..size).filter_map(|_| scopes.choose(random)).map(ToString::to_string).collect();
    chosen.sort();
    chosen.dedup();
    chosen
}
