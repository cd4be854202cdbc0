//! The JSON that users see: names and values are part of the interface.

use serde_json::{Value, json};

use crate::domain::{
    ScopeEnforcement,
    access::Access,
    catalogue::{Mode, Operation, Operations},
    fixtures::{catalogue, client, role, snapshot, when},
    inventory::{Client, Role},
    snapshot::{Settings, Snapshot},
};

fn report(
    holder: Client,
    roles: impl IntoIterator<Item = Role>,
    scope_enforcement: ScopeEnforcement,
) -> Value {
    let known =
        catalogue(["routing:queue:view", "routing:queue:edit", "audits:audit:view!", "oauth:client:view"]);
    let id = holder.id.clone();
    let org = Snapshot {
        catalogue: Some(known),
        settings: Settings { scope_enforcement },
        ..snapshot([holder], roles)
    }
    .seal();
    let access = Access::new(&org);
    serde_json::to_value(access.report("acme", &org.clients[&id], true, when())).unwrap()
}

/// The report without its operations, and some of these.
fn split(mut report: Value, names: &[&str]) -> (Value, Vec<Value>) {
    let operations = report.as_object_mut().unwrap().remove("operations").unwrap();
    let of = |name: &&str| {
        operations
            .as_array()
            .unwrap()
            .iter()
            .find(|operation| operation["operation"] == **name)
            .unwrap()
            .clone()
    };
    (report.clone(), names.iter().map(of).collect())
}

#[test]
fn a_client_with_roles() {
    let holder = client("c1").grant("r1", "d1").grant("r2", "*").scope("routing:readonly");
    let roles = [
        role("r1").can_if("routing:queue:*", "{}").can("audits:audit:view").can("routing:queues:view"),
        role("r2").can("routing:queue:view"),
    ];
    let via = |role: &str, division: &str, conditional: bool| {
        json!({
            "role": role, "role_name": format!("Role {role}"), "division": division,
            "conditional": conditional, "source": "record", "observed_at": "2026-09-21T14:13:20Z",
        })
    };
    let operations = [
        "GET /api/v2/routing/queues/{queueId}",
        "DELETE /api/v2/routing/queues/{queueId}",
        "POST /api/v2/authorization/divisions/{divisionId}/objects/{objectType}",
    ];
    let (mut shown, operations) = split(report(holder, roles, ScopeEnforcement::Unknown), &operations);
    let domains = shown.as_object_mut().unwrap().remove("domains").unwrap();
    let of = |domain: &str| {
        domains.as_array().unwrap().iter().find(|row| row["domain"] == domain).unwrap().clone()
    };
    assert_eq!(of("audits")["permissions"], 1);
    assert_eq!((&of("audits")["reads"], &of("audits")["writes"]), (&json!(7), &json!(0)));
    let queues = of("routing");
    assert_eq!(queues["permissions"], 3);
    assert!(queues["reads"].as_u64() > Some(0) && queues["writes"].as_u64() > Some(0), "{queues}");
    let reachable = shown.as_object_mut().unwrap().remove("reachable").unwrap();
    assert_eq!(reachable["undeclared"], 381);
    assert_eq!(
        shown,
        json!({
            "org": "acme",
            "client": {"id": "c1", "name": "Client c1"},
            "authority": "roles",
            "upper_bound": null,
            "operations_source": "compiled-in",
            "operations_as_of": "2026-08-15",
            "permissions": [
                {"permission": "audits:audit:view", "known": true, "divisions": ["*"], "conditional": false,
                 "in_scope": false, "via": [via("r1", "d1", false)]},
                {"permission": "routing:queue:edit", "known": true, "divisions": ["d1"], "conditional": true,
                 "in_scope": true, "via": [via("r1", "d1", true)]},
                {"permission": "routing:queue:view", "known": true, "divisions": ["*"], "conditional": false,
                 "in_scope": true, "via": [via("r2", "*", false), via("r1", "d1", true)]},
                {"permission": "routing:queues:view", "known": false, "divisions": ["d1"], "conditional": false,
                 "in_scope": true, "via": [via("r1", "d1", false)]},
            ],
            "wildcards": ["routing:queue:*"],
        })
    );
    assert_eq!(
        operations,
        [
            json!({"operation": "GET /api/v2/routing/queues/{queueId}", "granted": true, "in_scope": true,
                   "reads": true}),
            json!({"operation": "DELETE /api/v2/routing/queues/{queueId}", "granted": true, "in_scope": false,
                   "reads": false}),
            json!({"operation": "POST /api/v2/authorization/divisions/{divisionId}/objects/{objectType}",
                   "granted": "undeclared", "in_scope": false, "reads": false}),
        ]
    );
}

#[test]
fn a_client_that_acts_as_a_user_is_bounded_by_its_scopes_or_by_nothing() {
    let user = || client("u").of_type("CODE").grant("r", "*").scope("routing:readonly");
    let names = ["GET /api/v2/routing/queues/{queueId}", "DELETE /api/v2/routing/queues/{queueId}"];
    for setting in ScopeEnforcement::ALL {
        let bound = matches!(setting, ScopeEnforcement::UserGrants | ScopeEnforcement::AllGrants);
        let (mut shown, operations) = split(report(user(), [role("r").general("admin")], setting), &names);
        let reachable = shown.as_object_mut().unwrap().remove("reachable").unwrap();
        let count = reachable["reads"].as_u64().unwrap() + reachable["writes"].as_u64().unwrap();
        assert_eq!(count == 2940, !bound, "{reachable}");
        assert_eq!(
            shown,
            json!({
                "org": "acme", "client": {"id": "u", "name": "Client u"}, "authority": "user",
                "upper_bound": if bound { "scopes" } else { "unbounded" }, "permissions": [], "domains": [],
                "wildcards": [],
                "operations_source": "compiled-in", "operations_as_of": "2026-08-15",
            })
        );
        let granted: Vec<&Value> = operations.iter().map(|operation| &operation["granted"]).collect();
        assert_eq!(granted, [&json!(true), &json!(!bound)], "{setting:?}");
    }
}

#[test]
fn which_table_answered_and_of_which_day_is_said() {
    let listed = |name: &str, mode| Operation {
        mode,
        name: name.into(),
        permissions: vec!["routing:queue:view".into()],
        scopes: Vec::new(),
    };
    let operations = Operations::defined(vec![
        listed("GET /api/v2/tomorrow", Mode::Any),
        listed("GET /api/v2/odd", Mode::Unknown),
    ]);
    let holder = client("c1").grant("r1", "*");
    let org = Snapshot {
        operations: Some(std::sync::Arc::new(operations)),
        ..snapshot([holder.clone()], [role("r1").can("routing:queue:view")])
    };
    let org = org.seal();
    let mut access = Access::new(&org);
    let report = |access: &Access<'_>| json!(access.report("acme", &holder, true, when()));
    let shown = report(&access);
    assert_eq!(
        (&shown["operations_source"], &shown["operations_as_of"]),
        (&json!("definition"), &json!("2026-09-21"))
    );
    let row = |name: &str| {
        let rows = shown["operations"].as_array().unwrap();
        rows.iter().find(|row| row["operation"] == name).unwrap().clone()
    };
    let name = "GET /api/v2/tomorrow";
    assert_eq!(row(name), json!({ "operation": name, "granted": true, "in_scope": true, "reads": true }));
    assert_eq!(row("GET /api/v2/odd")["granted"], "undeclared");
    // What only the compiled-in table knows is not hidden.
    let only_there = row("GET /api/v2/routing/queues/{queueId}");
    assert_eq!((&only_there["granted"], &only_there["source"]), (&json!(true), &json!("compiled-in")));
    access.operations_seen = Some("2026-09-01T00:00:00Z".parse().unwrap());
    assert_eq!(report(&access)["operations_as_of"], "2026-09-01");
}

#[test]
fn what_is_not_known_is_said() {
    let unread = Client { grants: None, ..client("c") };
    let shown = report(unread, [], ScopeEnforcement::Unknown);
    assert_eq!(shown["grants_unknown"], json!(true));
    assert_eq!(shown["permissions"], json!([]));
    let shown = report(client("c").grant("gone", "*"), [], ScopeEnforcement::Unknown);
    assert_eq!(shown["unseen_roles"], json!(["gone"]));
}

#[test]
fn what_enforcement_would_take_away() {
    let names = |holder: Client, scope_enforcement| {
        let id = holder.id.clone();
        let org = snapshot([holder], [role("r").can("routing:queue:view").can("oauth:client:view")]);
        let org = Snapshot { settings: Settings { scope_enforcement }, ..org }.seal();
        let shown = serde_json::to_value(Access::new(&org).if_enforced(&org.clients[&id])).unwrap();
        let lost: Vec<String> = serde_json::from_value(shown["lost"].clone()).unwrap();
        (shown, lost)
    };
    let holder = || client("c").grant("r", "*").scope("routing:readonly");
    let (shown, lost) = names(holder(), ScopeEnforcement::Unknown);
    assert_eq!((&shown["under"], &shown["already"]), (&json!("all-grants"), &json!(false)));
    assert!(lost.contains(&"GET /api/v2/oauth/clients".to_owned()), "{lost:?}");
    assert!(!lost.contains(&"GET /api/v2/routing/queues/{queueId}".to_owned()), "{lost:?}");
    assert!(shown["kept"].as_u64() > Some(0) && shown["undeclared_lost"].as_u64() > Some(300), "{shown}");
    assert_eq!(names(holder(), ScopeEnforcement::AllGrants).0["already"], true);
    assert_eq!(names(holder(), ScopeEnforcement::UserGrants).0["already"], false);
    let (_, none) = names(holder().scope("all"), ScopeEnforcement::Unknown);
    assert!(none.is_empty());
    // Whoever acts as a user may lose anything that its scopes do not name.
    let (shown, lost) = names(client("u").of_type("CODE").scope("routing"), ScopeEnforcement::UserGrants);
    assert_eq!((&shown["under"], &shown["already"]), (&json!("user-grants"), &json!(true)));
    assert!(lost.contains(&"DELETE /api/v2/users/{userId}".to_owned()));
    assert!(!lost.contains(&"DELETE /api/v2/routing/queues/{queueId}".to_owned()));
}
