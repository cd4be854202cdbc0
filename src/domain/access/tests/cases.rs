//! What must be so, one case at a time.

use super::held;
use crate::domain::{
    DivisionRef,
    access::{Access, Granted},
    fixtures::{catalogue, client, role, snapshot, when},
    inventory::{Client, Role},
    snapshot::Snapshot,
};

const NAMES: [&str; 5] = [
    "routing:queue:view",
    "routing:queue:edit",
    "audits:audit:view!",
    "telephony:plugin:all",
    "oauth:client:view",
];

fn org(client: Client, roles: impl IntoIterator<Item = Role>) -> Snapshot {
    Snapshot { catalogue: Some(catalogue(NAMES)), ..snapshot([client], roles) }.seal()
}

/// What a client holds, as `permission@division` with a `?` if only under a condition.
fn words(client: &Client, roles: impl IntoIterator<Item = Role>) -> Vec<String> {
    let org = org(client.clone(), roles);
    held(&Access::new(&org), client)
        .into_iter()
        .map(|(permission, division, conditional)| {
            format!("{permission}@{division}{}", if conditional { "?" } else { "" })
        })
        .collect()
}

#[test]
fn admin_covers_the_catalogue_and_itself() {
    let everything = words(&client("c").grant("r", "*"), [role("r").general("admin")]);
    let expected = [
        "admin@*",
        "audits:audit:view@*",
        "oauth:client:view@*",
        "routing:queue:edit@*",
        "routing:queue:view@*",
        "telephony:plugin:all@*",
    ];
    assert_eq!(everything, expected);
}

#[test]
fn a_permission_that_no_division_restricts_reaches_all_from_one() {
    let roles = [role("r").can("audits:audit:view").can("routing:queue:view")];
    assert_eq!(words(&client("c").grant("r", "d1"), roles), ["audits:audit:view@*", "routing:queue:view@d1"]);
}

#[test]
fn a_permission_that_nobody_knows_stays_in_its_division() {
    let roles = [role("r").can("new:thing:view")];
    assert_eq!(words(&client("c").grant("r", "d1"), roles), ["new:thing:view@d1"]);
}

#[test]
fn what_is_held_everywhere_is_not_repeated() {
    let holder = client("c").grant("r", "*").grant("r", "d1").grant("r", "home");
    assert_eq!(words(&holder, [role("r").can("routing:queue:view")]), ["routing:queue:view@*"]);
}

#[test]
fn firm_in_one_division_is_said_beside_conditional_everywhere() {
    let holder = client("c").grant("maybe", "*").grant("firm", "d1");
    let roles = [role("maybe").can_if("routing:queue:view", "{}"), role("firm").can("routing:queue:view")];
    assert_eq!(words(&holder, roles), ["routing:queue:view@*?", "routing:queue:view@d1"]);
}

#[test]
fn a_condition_counts_only_if_every_way_has_one() {
    let roles = [role("r").can_if("routing:queue:view", "{}").can("routing:queue:*")];
    let holder = client("c").grant("r", "d1");
    assert_eq!(words(&holder, roles), ["routing:queue:edit@d1", "routing:queue:view@d1"]);
}

#[test]
fn case_counts() {
    let holder = client("c").grant("r", "d1");
    assert_eq!(words(&holder, [role("r").can("Routing:queue:view")]), ["Routing:queue:view@d1"]);
    assert!(words(&holder, [role("r").can("Routing:queue:*")]).is_empty());
    assert!(words(&client("c").grant("R", "d1"), [role("r").can("routing:queue:view")]).is_empty());
}

#[test]
fn the_action_all_is_no_wildcard() {
    let holder = client("c").grant("r", "d1");
    assert_eq!(words(&holder, [role("r").can("telephony:plugin:all")]), ["telephony:plugin:all@d1"]);
    assert!(
        !words(&holder, [role("r").can("routing:queue:all")]).contains(&"routing:queue:view@d1".to_owned())
    );
}

#[test]
fn a_role_without_a_division_is_held_somewhere() {
    let org = org(client("c").grant("r", "unknown"), [role("r").can("routing:queue:view")]);
    let access = Access::new(&org);
    let power = access.power(&org.clients["c"]);
    assert_eq!(power.divisions.keys().collect::<Vec<_>>(), [&DivisionRef::Unknown]);
}

#[test]
fn a_role_that_was_not_seen_is_named_once() {
    let org = org(client("c").grant("gone", "d1").grant("gone", "home").grant("r", "*"), [role("r")]);
    let access = Access::new(&org);
    assert_eq!(access.power(&org.clients["c"]).unseen_roles, ["gone".into()]);
}

#[test]
fn a_wildcard_reaches_operations_whose_permission_this_catalogue_lacks() {
    let org = org(client("c").grant("r", "d1"), [role("r").can("outbound:*:*")]);
    let access = Access::new(&org);
    let report = access.report("acme", &org.clients["c"], true, when());
    assert!(report.permissions.is_empty(), "nothing of it is in the catalogue");
    let granted = |name: &str| {
        let operations = report.operations.as_ref().unwrap();
        operations.iter().find(|operation| *operation.operation == *name).unwrap().granted
    };
    assert_eq!(granted("GET /api/v2/outbound/campaigns/{campaignId}"), Granted::Yes);
    assert_eq!(granted("GET /api/v2/oauth/clients"), Granted::No);
}

#[test]
fn all_any_and_none_decide_about_operations() {
    let call = |roles: Role, name: &str| {
        let org = org(client("c").grant("r", "*"), [roles]);
        let access = Access::new(&org);
        let operations = access.report("acme", &org.clients["c"], true, when()).operations.unwrap();
        operations.into_iter().find(|operation| *operation.operation == *name).unwrap().granted
    };
    // ALL: authorization:division:add and authorization:grant:add.
    let all = "POST /api/v2/authorization/divisions";
    assert_eq!(call(role("r").can("authorization:division:add"), all), Granted::No);
    assert_eq!(
        call(role("r").can("authorization:division:add").can("authorization:grant:add"), all),
        Granted::Yes
    );
    // ANY: admin, directory:user:delete or directory:organization:admin.
    let any = "DELETE /api/v2/users/{userId}";
    for enough in [
        role("r").can("directory:user:delete"),
        role("r").can_if("directory:user:delete", "{}"),
        role("r").can("directory:organization:admin"),
        role("r").general("admin"),
    ] {
        assert_eq!(call(enough, any), Granted::Yes);
    }
    assert_eq!(call(role("r").can("directory:user:edit"), any), Granted::No);
    // NONE: declared by nobody, so neither way, even for an administrator.
    let none = "POST /api/v2/authorization/divisions/{divisionId}/objects/{objectType}";
    assert_eq!(call(role("r").general("admin"), none), Granted::Undeclared);
}
