//! What every organisation has: the shipped roles, the auditor's client and the administrator's, some people.

use std::collections::BTreeMap;

use super::names::{FAMILY, GIVEN};
use super::{ALL_DIVISIONS, Client, Division, Grant, Organisation, Policy, Queue, Role, User, identity};

/// What the auditor may do: read clients, roles, grants, audits, usage and policies.
pub(super) const AUDITOR_PERMISSIONS: [&str; 6] = [
    "oauth:client:view",
    "authorization:role:view",
    "authorization:grant:view",
    "audits:audit:view",
    "usage:organization:view",
    "authorization:policy:view",
];

/// A role of the seed's `number`, without any power yet.
pub(super) fn role(seed: u64, number: u64, name: &str) -> Role {
    Role {
        id: identity::id(seed, "role", number),
        name: name.to_owned(),
        description: None,
        default_role_id: None,
        permissions: Vec::new(),
        policies: Vec::new(),
        extra: None,
    }
}

/// A policy for each of these permissions, wildcards included.
pub(super) fn policies(permissions: &[&str]) -> Vec<Policy> {
    let mut policies: Vec<Policy> = Vec::new();
    for permission in permissions {
        let Some((domain, entity, action)) = super::catalogue::split(permission) else { continue };
        match policies.iter_mut().find(|policy| policy.domain == domain && policy.entity == entity) {
            Some(policy) => policy.actions.push(action.to_owned()),
            None => policies.push(Policy::new(domain, entity, &[action])),
        }
    }
    policies
}

/// The role with the general permission that allows everything.
pub(super) fn admin_role(seed: u64) -> Role {
    Role {
        description: Some("Full administration of the organisation".into()),
        default_role_id: Some("admin".into()),
        permissions: vec!["admin".into()],
        policies: policies(&[
            "authorization:*:*",
            "oauth:client:*",
            "directory:user:add",
            "directory:user:delete",
            "directory:user:edit",
            "directory:user:view",
            "telephony:plugin:all",
        ]),
        ..role(seed, 0, "Admin")
    }
}

/// The auditor's own role.
pub(super) fn auditor_role(seed: u64) -> Role {
    Role {
        description: Some("Reads what an audit of OAuth clients needs, and nothing else".into()),
        policies: policies(&AUDITOR_PERMISSIONS),
        ..role(seed, 1, "scopewarden auditor")
    }
}

/// The role that everybody has.
pub(super) fn employee_role(seed: u64) -> Role {
    Role {
        default_role_id: Some("employee".into()),
        description: Some("Everybody's role".into()),
        policies: policies(&[
            "directory:user:view",
            "routing:queue:search",
            "routing:queue:join",
            "routing:skill:view",
            "presence:userPresence:edit",
        ]),
        ..role(seed, 2, "Employee")
    }
}

/// A client of the seed's `number`: active, by client credentials, holding nothing yet.
pub(super) fn client(seed: u64, number: u64, name: &str) -> Client {
    let created = identity::days_before(1_000 - i64::try_from(number % 900).unwrap_or(0));
    Client {
        id: identity::id(seed, "client", number),
        name: name.to_owned(),
        secret: identity::secret(seed, "client secret", number),
        shows_secret: false,
        description: None,
        token_validity: Some(86_400),
        redirect_uris: None,
        grant_type: "CLIENT-CREDENTIALS".into(),
        scope: Some(Vec::new()),
        role_divisions: Some(Vec::new()),
        role_ids: None,
        state: "active".into(),
        date_to_delete: None,
        date_created: Some(created.clone()),
        date_modified: Some(created),
        created_by: Some(identity::id(seed, "user", 0)),
        modified_by: Some(identity::id(seed, "user", 0)),
        extra: None,
    }
}

/// A role in every division.
pub(super) fn everywhere(role: &str) -> Grant {
    Grant { role: role.to_owned(), division: ALL_DIVISIONS.to_owned() }
}

/// Adds the auditor's client and the administrator's, with their roles.
pub(super) fn add_announced_clients(organisation: &mut Organisation, seed: u64) {
    let (admin, auditor) = (admin_role(seed), auditor_role(seed));
    let clients = [
        Client {
            description: Some("scopewarden: reads the configuration of OAuth clients".into()),
            role_divisions: Some(vec![everywhere(&auditor.id)]),
            ..client(seed, 0, "scopewarden auditor")
        },
        Client {
            description: Some("Changes the organisation in rehearsals".into()),
            role_divisions: Some(vec![everywhere(&admin.id)]),
            scope: Some(vec!["all".into()]),
            ..client(seed, 1, "Rehearsal administrator")
        },
    ];
    for role in [admin, auditor] {
        organisation.roles.insert(role.id.clone(), role);
    }
    for client in clients {
        organisation.clients.insert(client.id.clone(), client);
    }
}

/// Adds a division.
pub(super) fn add_division(organisation: &mut Organisation, seed: u64, number: u64, name: &str, flows: i64) {
    let division = Division {
        id: identity::id(seed, "division", number),
        name: name.to_owned(),
        description: if number == 0 { String::new() } else { format!("Everything of {name}") },
        home: number == 0,
        other_objects: BTreeMap::from([("FLOW".into(), flows), ("CAMPAIGN".into(), flows / 8)]),
    };
    organisation.divisions.insert(division.id.clone(), division);
}

/// Adds a user and gives them roles in their division.
pub(super) fn add_user(
    organisation: &mut Organisation,
    seed: u64,
    number: u64,
    division: &str,
    roles: &[&str],
) {
    let pick = |names: &[&str], step: u64| {
        let length = u64::try_from(names.len()).unwrap_or(1);
        names[usize::try_from(number / step % length).unwrap_or(0)].to_owned()
    };
    let length = u64::try_from(GIVEN.len()).unwrap_or(1);
    let user = User {
        id: identity::id(seed, "user", number),
        name: format!("{} {}", pick(&GIVEN, 1), pick(&FAMILY, length)),
        email: format!("user{number}@example.com"),
        division: division.to_owned(),
        department: number.is_multiple_of(3).then(|| "Customer care".to_owned()),
        title: None,
        state: "active".into(),
        version: 1,
    };
    let held = roles.iter().map(|&role| Grant { role: role.to_owned(), division: division.to_owned() });
    organisation.grants.insert(user.id.clone(), held.collect());
    organisation.users.insert(user.id.clone(), user);
}

/// Adds a queue.
pub(super) fn add_queue(organisation: &mut Organisation, seed: u64, number: u64, division: &str, name: &str) {
    let queue = Queue {
        id: identity::id(seed, "queue", number),
        name: name.to_owned(),
        description: None,
        division: division.to_owned(),
    };
    organisation.queues.insert(queue.id.clone(), queue);
}
