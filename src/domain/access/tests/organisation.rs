//! Random organisations, small enough to be dense: most roles overlap, most grants matter.

use proptest::prelude::*;

use crate::domain::{
    ScopeEnforcement,
    catalogue::{Catalogue, PermissionFacts},
    fixtures::{client, role, snapshot},
    inventory::Role,
    snapshot::{Settings, Snapshot},
};

/// Permissions that operations name, some of which an organisation's catalogue may lack.
const NAMES: [&str; 12] = [
    "routing:queue:view",
    "routing:queue:edit",
    "routing:queue:add",
    "routing:skill:view",
    "routing:email:manage",
    "oauth:client:view",
    "oauth:client:edit",
    "directory:user:delete",
    "directory:user:edit",
    "telephony:plugin:all",
    "analytics:conversationDetail:view",
    "newProduct:thing:view",
];

/// What a policy or a general string may say.
pub(super) fn pattern() -> impl Strategy<Value = String> {
    let wild = [
        "*:*:*",
        "routing:*:*",
        "routing:queue:*",
        "routing:*:view",
        "*:client:*",
        "*:*:view",
        "telephony:plugin:*",
        "oauth:*:edit",
    ];
    let odd = ["Routing:queue:view", "routing:queues:view", "telephony:all:all", "admin:*:*"];
    prop_oneof![
        6 => prop::sample::select(&NAMES[..]),
        3 => prop::sample::select(wild.to_vec()),
        1 => prop::sample::select(odd.to_vec()),
        1 => prop::sample::select(vec!["admin", "content_management_user", "group_creation"]),
    ]
    .prop_map(str::to_owned)
}

/// Where a grant may apply.
pub(super) fn division() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["*", "home", "d1", "not-listed", "unknown"])
}

/// The role with one thing more. A condition needs a policy, so general strings have none.
pub(super) fn with(role: Role, text: &str, conditional: bool) -> Role {
    match (text.contains(':'), conditional) {
        (true, true) => role.can_if(text, "{}"),
        (true, false) => role.can(text),
        (false, _) => role.general(text),
    }
}

fn catalogue() -> impl Strategy<Value = Catalogue> {
    prop::collection::vec((any::<bool>(), prop::bool::weighted(0.8)), NAMES.len()).prop_map(|facts| {
        Catalogue {
            permissions: (NAMES.iter().zip(facts))
                .filter(|(_, (_, exists))| *exists)
                .map(|(name, (division_aware, _))| {
                    ((*name).to_owned(), PermissionFacts { allows_conditions: true, division_aware })
                })
                .collect(),
        }
    })
}

/// An organisation of a few roles `r0`… and clients `c0`…; grants may name roles that do not exist.
pub(super) fn organisation() -> impl Strategy<Value = Snapshot> {
    let roles = prop::collection::vec(prop::collection::vec((pattern(), any::<bool>()), 0..5), 1..5);
    let scopes = vec!["routing", "routing:readonly", "users", "oauth:readonly", "telephony", "all"];
    let clients = prop::collection::vec(
        (
            prop::option::weighted(0.9, prop::collection::vec((0..6_usize, division()), 0..5)),
            prop::collection::vec(prop::sample::select(scopes), 0..3),
            prop::sample::select(vec![
                "CLIENT-CREDENTIALS",
                "CLIENT-CREDENTIALS",
                "CLIENT-CREDENTIALS",
                "CODE",
            ]),
        ),
        1..4,
    );
    let enforcement = prop::sample::select(ScopeEnforcement::ALL.to_vec());
    (roles, clients, prop::option::weighted(0.9, catalogue()), enforcement).prop_map(
        |(roles, clients, catalogue, scope_enforcement)| {
            let roles = roles.into_iter().enumerate().map(|(at, patterns)| {
                let empty = role(&format!("r{at}"));
                patterns.into_iter().fold(empty, |role, (text, conditional)| with(role, &text, conditional))
            });
            let clients = clients.into_iter().enumerate().map(|(at, (grants, scopes, grant_type))| {
                let mut made = client(&format!("c{at}")).of_type(grant_type);
                made.scopes = scopes.into_iter().map(str::to_owned).collect();
                match grants {
                    None => made.grants = None,
                    Some(grants) => {
                        made = (grants.into_iter())
                            .fold(made, |made, (role, division)| made.grant(&format!("r{role}"), division));
                    }
                }
                made
            });
            let settings = Settings { scope_enforcement };
            Snapshot { catalogue, settings, ..snapshot(clients, roles) }.seal()
        },
    )
}
