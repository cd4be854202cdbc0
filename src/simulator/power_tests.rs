//! The algebra of permissions, case by case.

use super::*;

/// Domain, entity and actions.
type Facts<'a> = (&'a str, &'a str, &'a [&'a str]);

fn role(permissions: &[&str], policies: &[Facts<'_>]) -> Role {
    Role {
        id: "role".into(),
        name: "role".into(),
        description: None,
        default_role_id: None,
        permissions: permissions.iter().map(ToString::to_string).collect(),
        policies: policies
            .iter()
            .map(|(domain, entity, actions)| Policy::new(domain, entity, actions))
            .collect(),
        extra: None,
    }
}

#[test]
fn policies_cover_by_equality_or_by_a_star_at_any_position() {
    let queue = "routing:queue:view";
    let cases: [(&[Facts<'_>], &str, bool); 13] = [
        (&[("routing", "queue", &["view"])], queue, true),
        (&[("routing", "queue", &["*"])], queue, true),
        (&[("routing", "*", &["view"])], queue, true),
        (&[("*", "queue", &["view"])], queue, true),
        (&[("*", "*", &["*"])], queue, true),
        (&[("routing", "*", &["edit"])], queue, false),
        (&[("routing", "queue", &[])], queue, false),
        (&[("Routing", "queue", &["view"])], queue, false),
        (&[("routing", "queue", &["View"])], queue, false),
        (&[("telephony", "plugin", &["all"])], "telephony:plugin:all", true),
        (&[("telephony", "plugin", &["all"])], "telephony:plugin:view", false),
        (&[("telephony", "plugin", &["*"])], "telephony:plugin:all", true),
        (&[("*", "*", &["*"])], "admin", false),
    ];
    for (policies, permission, expected) in cases {
        assert_eq!(role_allows(&role(&[], policies), permission), expected, "{policies:?} {permission}");
    }
}

#[test]
fn general_permissions_are_literal_except_admin_and_full_names() {
    let cases: [(&[&str], &str, bool); 8] = [
        (&["admin"], "routing:queue:view", true),
        (&["admin"], "content_management_user", true),
        (&["content_management_user"], "content_management_user", true),
        (&["content_management_user"], "routing:queue:view", false),
        (&["routing:queue:view"], "routing:queue:view", true),
        (&["routing:queue:*"], "routing:queue:view", true),
        (&["Admin"], "routing:queue:view", false),
        (&["group_creation"], "admin", false),
    ];
    for (general, permission, expected) in cases {
        assert_eq!(role_allows(&role(general, &[]), permission), expected, "{general:?} {permission}");
    }
}

#[test]
fn scopes_match_literally_or_by_all() {
    let operation = |scopes: &[&'static str]| Operation {
        method: "GET",
        path: "/",
        mode: Mode::None,
        permissions: Vec::new(),
        scopes: scopes.to_vec(),
    };
    let cases: [(&[&str], &[&'static str], bool); 6] = [
        (&[], &[], true),
        (&[], &["users"], false),
        (&["users:readonly"], &["users", "users:readonly"], true),
        (&["users:readonly"], &["users"], false),
        (&["users"], &["users:readonly"], false),
        (&["all"], &["users"], true),
    ];
    for (held, declared, expected) in cases {
        let held: Vec<String> = held.iter().map(ToString::to_string).collect();
        assert_eq!(allow_scope(&held, &operation(declared)).is_ok(), expected, "{held:?} {declared:?}");
    }
}
