//! Plans: what is in them, and that nothing unsafe ever is.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    access::Access,
    catalogue::Mode,
    fixtures::{client, role, snapshot},
};

const NEVER: &dyn Fn(&str) -> Option<String> = &|_| None;

fn rules<'a>() -> Rules<'a> {
    Rules { budget: 100, allow_create: false, blocked: NEVER, last_tried: &|_, _| None, is_known: &|_| false }
}

fn at(name: &str) -> usize {
    Operations::compiled_in().find(name).unwrap()
}

fn plan(role_can: &[&str], declared: &Declared, rules: &Rules<'_>) -> Vec<Planned> {
    let role = role_can.iter().fold(role("r"), |role, permission| role.can(permission));
    let org = snapshot([client("c").grant("r", "*")], [role]);
    let access = Access::new(&org);
    let forecast = Forecast::of(&access, &org.clients["c"]);
    let mut count = 0_u128;
    of(Operations::compiled_in(), declared, &forecast, rules, &mut || {
        count += 1;
        Uuid::from_u128(count)
    })
}

fn find<'a>(plan: &'a [Planned], operation: &str) -> &'a Planned {
    plan.iter().find(|one| one.operation == operation).unwrap_or_else(|| panic!("{operation} is not planned"))
}

fn reason(planned: &Planned) -> &str {
    match &planned.action {
        Action::Hold(reason) => reason,
        Action::Send { path, .. } => panic!("{path} is sent"),
    }
}

#[test]
fn contract_restricted_and_nearest_operations_are_planned_in_this_order() {
    let declared = Declared {
        calls: vec![
            at("GET /api/v2/users/{userId}"),
            at("POST /api/v2/users"),
            at("GET /api/v2/routing/queues"),
        ],
        must_be_denied: vec![at("DELETE /api/v2/routing/skills/{skillId}")],
        ..Declared::default()
    };
    let plan = plan(&["routing:queue:view"], &declared, &rules());
    assert_eq!(plan[0].operation, "DELETE /api/v2/routing/skills/{skillId}");
    assert!(plan.windows(2).all(|pair| pair[0].origin <= pair[1].origin));
    let positive: Vec<&str> =
        plan.iter().filter(|one| one.expectation == Expectation::Allow).map(|one| &*one.operation).collect();
    assert_eq!(positive, ["GET /api/v2/routing/queues", "GET /api/v2/users/{userId}"]);
    assert_eq!(find(&plan, "DELETE /api/v2/users/{userId}").origin, Origin::Restricted);
    let near: Vec<&Planned> = plan.iter().filter(|one| one.origin == Origin::Nearest).collect();
    assert_eq!(near.len(), NEAREST);
    assert!(near.iter().all(|one| one.predicted == Prediction::Refused), "{near:#?}");
    // The queue is what it holds something of, so what is left of it comes first.
    assert!(near.iter().any(|one| one.operation.contains("/routing/")), "{near:#?}");
}

#[test]
fn what_a_contract_names_is_found_whatever_its_parameters_are_called() {
    let org = snapshot([client("c")], []);
    let declared = Declared::named(
        &Access::new(&org),
        ["get /api/v2/users/{id}", "GET /api/v2/no/such"],
        ["DELETE /api/v2/users/{userId}"],
        ["users"],
        ["Division d1", "home", "nowhere"],
    );
    let expected = Declared {
        calls: vec![at("GET /api/v2/users/{userId}")],
        must_be_denied: vec![at("DELETE /api/v2/users/{userId}")],
        token_scopes: vec!["users".to_owned()],
        divisions: BTreeSet::from(["d1".into(), "home".into()]),
    };
    assert_eq!(declared, expected);
}

#[test]
fn a_declared_call_is_no_negative_test() {
    let delete = at("DELETE /api/v2/users/{userId}");
    let declared = Declared { calls: vec![delete], ..Declared::default() };
    assert!(
        plan(&[], &declared, &rules()).iter().all(|one| one.operation != "DELETE /api/v2/users/{userId}")
    );
    // Unless the contract contradicts itself: then the stricter half counts.
    let both = Declared { calls: vec![delete], must_be_denied: vec![delete], ..Declared::default() };
    assert_eq!(plan(&[], &both, &rules())[0].expectation, Expectation::Deny);
}

#[test]
fn what_is_not_sent_says_why() {
    for (operation, words) in [
        ("PUT /api/v2/authorization/roles/{roleId}", "a PUT may create"),
        ("DELETE /api/v2/tokens/me", "the caller itself"),
        ("POST /api/v2/outbound/campaigns", "a POST may create"),
        ("DELETE /api/v2/outbound/contactlists", "not mean a single object"),
        ("DELETE /api/v2/identityproviders/{providerId}", "nobody has reviewed"),
        ("POST /api/v2/authorization/roles", "allow_create_probes"),
        ("GET /api/v2/oauth/clients", "a list of real objects"),
        ("GET /api/v2/users/{userId}", "declares no permission"),
    ] {
        let declared = Declared { must_be_denied: vec![at(operation)], ..Declared::default() };
        let plan = plan(&[], &declared, &rules());
        assert!(reason(find(&plan, operation)).contains(words), "{plan:#?}");
    }
    let declared =
        Declared { must_be_denied: vec![at("POST /api/v2/authorization/roles")], ..Declared::default() };
    let opted = plan(&[], &declared, &Rules { allow_create: true, ..rules() });
    let Action::Send { safe, .. } = &opted[0].action else { panic!("{opted:#?}") };
    assert_eq!(safe.class.body(), Some("[]"));
}

#[test]
fn an_operation_whose_parameter_is_called_otherwise_is_not_the_one_that_was_reviewed() {
    assert!(safety::of("DELETE /api/v2/users/{userId}").is_some());
    for other in
        ["DELETE /api/v2/users/{userName}", "delete /api/v2/users/{userId}", "DELETE /api/v2/users/{userId}/"]
    {
        assert_eq!(safety::of(other), None, "{other}");
    }
}

#[test]
fn what_once_answered_2xx_waits_for_a_person() {
    let blocked = |name: &str| name.contains("/flows/{").then(|| "2026-11-24".to_owned());
    let plan = plan(&[], &Declared::default(), &Rules { blocked: &blocked, ..rules() });
    let words = reason(find(&plan, "DELETE /api/v2/flows/{flowId}"));
    assert!(words.contains("2026-11-24") && words.contains("probe clear"), "{words}");
}

#[test]
fn the_budget_is_kept_and_who_waited_longest_comes_first() {
    let tried = |name: &str, _| (!name.contains("/flows/{")).then(crate::domain::fixtures::when);
    let plan = plan(&[], &Declared::default(), &Rules { budget: 1, last_tried: &tried, ..rules() });
    let sent: Vec<&str> = plan
        .iter()
        .filter(|one| matches!(one.action, Action::Send { .. }))
        .map(|one| one.operation.as_str())
        .collect();
    assert_eq!(sent, ["DELETE /api/v2/flows/{flowId}"]);
    assert!(reason(&plan[1]).contains("budget of 1"), "{}", reason(&plan[1]));
}

#[test]
fn a_long_contract_does_not_keep_the_rest_waiting_for_ever() {
    let denied = "DELETE /api/v2/routing/skills/{skillId}";
    let declared = Declared { must_be_denied: vec![at(denied)], ..Declared::default() };
    let first_of = |tried: &dyn Fn(&str, Expectation) -> Option<DateTime<Utc>>| {
        let plan = plan(&[], &declared, &Rules { budget: 1, last_tried: tried, ..rules() });
        let is_sent = |one: &&Planned| matches!(one.action, Action::Send { .. });
        plan.iter().find(is_sent).unwrap().operation.clone()
    };
    assert_eq!(first_of(&|_, _| None), denied, "the contract comes first where all have waited alike");
    assert_ne!(first_of(&|name, _| (name == denied).then(crate::domain::fixtures::when)), denied);
}

/// Operations that look like those of the platform, safe and unsafe ones.
fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let path = prop_oneof![
        Just("/api/v2/users/{id}".to_owned()),
        Just("/api/v2/tokens/{u}".to_owned()),
        prop::collection::vec(
            prop_oneof![
                Just("{id}"),
                Just("me"),
                Just("bulk"),
                Just("users"),
                Just("flows"),
                Just("roles"),
                Just("publish"),
                Just("authorization"),
                Just("{a}.json"),
                Just("{b}"),
            ],
            1..5
        )
        .prop_map(|parts| format!("/api/v2/{}", parts.join("/"))),
    ];
    let method = prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("PATCH"), Just("DELETE")];
    let made = (method, path).prop_map(|(method, path)| Operation {
        name: format!("{method} {path}").into(),
        mode: Mode::Any,
        permissions: vec!["directory:user:delete".into()],
        scopes: Vec::new(),
    });
    let real = prop::sample::select(safe_operations())
        .prop_map(|row| Operations::compiled_in().get(at(row.operation)).unwrap().clone());
    prop::collection::vec(prop_oneof![made, real], 1..60)
}

proptest! {
    #[test]
    fn nothing_unsafe_is_ever_planned(
        list in operations(),
        denied in prop::collection::vec(0_usize..60, 0..30),
        calls in prop::collection::vec(0_usize..60, 0..30),
        known in prop::collection::hash_set(0_u128..40, 0..20),
        budget in 0_usize..40,
        allow_create: bool,
    ) {
        let operations = Operations::defined(list);
        let known: HashSet<String> = known.into_iter().map(|id| Uuid::from_u128(id).to_string()).collect();
        let org = snapshot([client("c").grant("r", "*")], [role("r").can("directory:user:view")]);
        // Predictions of other operations: what may be sent does not rest on them.
        let access = Access::new(&org);
        let forecast = Forecast::of(&access, &org.clients["c"]);
        let declared = Declared { calls, must_be_denied: denied, ..Declared::default() };
        let is_known = |id: &str| known.contains(id);
        let rules = Rules { budget, allow_create, is_known: &is_known, ..rules() };
        let mut next = 0_u128;
        // A poor source of ids: every one of the inventory comes up.
        let plan = of(&operations, &declared, &forecast, &rules, &mut || { next = (next + 1) % 50; Uuid::from_u128(next) });
        let mut sent = 0;
        for planned in &plan {
            let Action::Send { path, safe } = &planned.action else { continue };
            sent += 1;
            prop_assert!(safe_operations().iter().any(|row| row == *safe));
            prop_assert_eq!(
                crate::domain::catalogue::normalised(&planned.operation),
                crate::domain::catalogue::normalised(safe.operation)
            );
            prop_assert_ne!(planned.method(), "PUT");
            prop_assert!(allow_create || planned.method() != "POST");
            let is_concrete = !path.contains(['{', '}', '?', '#']);
            prop_assert!(is_concrete, "{}", path);
            let template: Vec<&str> = safe.operation.split_once(' ').unwrap().1.split('/').collect();
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(template.len(), parts.len());
            for (wanted, part) in template.iter().zip(parts) {
                prop_assert!(!["me", "bulk", "publish"].contains(&part));
                if wanted.starts_with('{') {
                    prop_assert!(Uuid::parse_str(part).is_ok() && !known.contains(part), "{}", part);
                } else {
                    prop_assert_eq!(*wanted, part);
                }
            }
        }
        prop_assert!(sent <= budget);
    }
}
