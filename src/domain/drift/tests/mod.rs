//! Drift by scenario; of observed grants in `observed`, on random organisations in `random`.

mod observed;
mod random;

use std::{slice::from_ref, sync::Arc};

use super::*;
use crate::domain::{
    DivisionRef, ScopeEnforcement,
    catalogue::{Mode, Operation, Operations},
    contract::Contract,
    event::Gain,
    fixtures::{self, catalogue, client, role},
    inventory::{Client, Grant, Role},
    permission::{Pattern, patterns},
    snapshot::Settings,
};

const NAMES: [&str; 8] = [
    "routing:queue:view",
    "routing:queue:edit",
    "routing:queue:delete",
    "routing:skill:view",
    "directory:user:view",
    "directory:user:delete",
    "authorization:role:edit",
    "telephony:plugin:all!",
];

fn org(clients: impl IntoIterator<Item = Client>, roles: impl IntoIterator<Item = Role>) -> Snapshot {
    with_catalogue(fixtures::snapshot(clients, roles), &NAMES)
}

fn with_catalogue(mut snapshot: Snapshot, names: &[&str]) -> Snapshot {
    snapshot.catalogue = Some(catalogue(names.iter().copied()));
    snapshot.seal()
}

fn gain(permission: &str, divisions: &[&str]) -> Gain {
    let divisions = divisions.iter().map(|division| DivisionRef::from((*division).to_owned())).collect();
    Gain { permission: permission.to_owned(), divisions, conditional: false, in_scope: false, shared: false }
}

/// What each event says, without ids: (kind, subject id, [(client, gained, lost)]).
type Told = Vec<(CauseKind, String, Vec<(String, Vec<Gain>, Vec<Gain>)>)>;

fn told(before: &Snapshot, after: &Snapshot) -> Told {
    between("acme", "audit-2", before, after)
        .into_iter()
        .map(|event| {
            let clients = event
                .clients
                .iter()
                .map(|client| (client.id.to_string(), client.gained.to_vec(), client.lost.to_vec()))
                .collect();
            (event.cause.kind, event.cause.subject.id, clients)
        })
        .collect()
}

#[test]
fn a_role_edit_reaches_every_client_that_holds_the_role() {
    let clients = || [client("a").grant("r", "*"), client("b").grant("r", "d1"), client("c").grant("s", "*")];
    let before = org(clients(), [role("r").can("routing:queue:view"), role("s")]);
    let after = org(
        clients(),
        [
            role("r").can("routing:queue:view").can("directory:user:delete").can("telephony:plugin:all"),
            role("s"),
        ],
    );
    let events = between("acme", "audit-2", &before, &after);
    assert_eq!(events.len(), 1);
    let cause = &events[0].cause;
    assert_eq!(cause.permissions.added, ["directory:user:delete", "telephony:plugin:all"]);
    assert_eq!(events[0].severity, Severity::High);
    assert_eq!(
        told(&before, &after)[0].2,
        [
            (
                "a".to_owned(),
                vec![gain("directory:user:delete", &["*"]), gain("telephony:plugin:all", &["*"])],
                vec![]
            ),
            // Not division-aware: it reaches everything from any division.
            (
                "b".to_owned(),
                vec![gain("directory:user:delete", &["d1"]), gain("telephony:plugin:all", &["*"])],
                vec![]
            ),
        ]
    );
}

#[test]
fn the_reverse_of_a_change_loses_what_it_gained() {
    let before = org([client("a").grant("r", "*")], [role("r")]);
    let after = org([client("a").grant("r", "*")], [role("r").can("routing:queue:view")]);
    assert_eq!(
        told(&after, &before),
        [(
            CauseKind::RolePermissionsChanged,
            "r".to_owned(),
            vec![("a".to_owned(), vec![], vec![gain("routing:queue:view", &["*"])])]
        )]
    );
}

#[test]
fn two_causes_of_one_gain_both_list_it_as_shared() {
    // The client is granted the role in the same interval in which the role gains the permission.
    let before = org([client("a")], [role("r").can("routing:queue:view")]);
    let after = org(
        [client("a").grant("r", "*")],
        [role("r").can("routing:queue:view").can("directory:user:delete")],
    );
    let shared = Gain { shared: true, ..gain("directory:user:delete", &["*"]) };
    assert_eq!(
        told(&before, &after),
        [
            (
                CauseKind::ClientGrantsChanged,
                "a".to_owned(),
                vec![("a".to_owned(), vec![shared.clone(), gain("routing:queue:view", &["*"])], vec![])]
            ),
            (CauseKind::RolePermissionsChanged, "r".to_owned(), vec![("a".to_owned(), vec![shared], vec![])]),
        ]
    );
}

#[test]
fn a_second_way_to_what_is_held_is_a_cause_without_clients() {
    let before = org([client("a").grant("r", "*")], [role("r").can("routing:queue:view"), role("s")]);
    let after = org(
        [client("a").grant("r", "*")],
        [role("r").can("routing:queue:view"), role("s").can("routing:queue:view")],
    );
    assert_eq!(told(&before, &after), [(CauseKind::RolePermissionsChanged, "s".to_owned(), vec![])]);
}

#[test]
fn clients_come_and_go_with_all_their_power() {
    let roles = || [role("r").can("routing:queue:view")];
    let before = org([client("gone").grant("r", "d1")], roles());
    let after = org([client("new").grant("r", "*")], roles());
    assert_eq!(
        told(&before, &after),
        [
            (
                CauseKind::ClientRemoved,
                "gone".to_owned(),
                vec![("gone".to_owned(), vec![], vec![gain("routing:queue:view", &["d1"])])]
            ),
            (
                CauseKind::ClientAdded,
                "new".to_owned(),
                vec![("new".to_owned(), vec![gain("routing:queue:view", &["*"])], vec![])]
            ),
        ]
    );
}

#[test]
fn the_platform_is_the_cause_where_a_wildcard_takes_a_new_permission_along() {
    let mut names = NAMES.to_vec();
    names.push("routing:queue:audit");
    let clients = || [client("a").grant("wild", "*"), client("b").grant("spelt", "*")];
    let spelt =
        || role("spelt").can("routing:queue:view").can("routing:queue:edit").can("routing:queue:delete");
    // One role keeps its wildcard; the other is shown expanded, and so "gains" the new action.
    let before = org(clients(), [role("wild").can("routing:queue:*"), spelt()]);
    let after = with_catalogue(
        fixtures::snapshot(
            clients(),
            [role("wild").can("routing:queue:*"), spelt().can("routing:queue:audit")],
        ),
        &names,
    );
    // No operation names it, so no scope is known to stand in front of it.
    let effect = vec![Gain { in_scope: true, ..gain("routing:queue:audit", &["*"]) }];
    assert_eq!(
        told(&before, &after),
        [(
            CauseKind::CatalogueChanged,
            "permissions".to_owned(),
            vec![("a".to_owned(), effect.clone(), vec![]), ("b".to_owned(), effect, vec![])]
        )]
    );
    let event = &between("acme", "x", &before, &after)[0];
    assert_eq!(event.cause.permissions.added, ["routing:queue:audit"]);
    assert_eq!(event.cause.details["roles"][0]["id"], "spelt");
}

fn defined(snapshot: Snapshot, rows: &[(&str, Mode, &[&str], &[&str])]) -> Snapshot {
    let words = |words: &[&str]| words.iter().map(|&word| Box::from(word)).collect();
    let operation = |(name, mode, permissions, scopes): &(&str, Mode, &[&str], &[&str])| Operation {
        mode: *mode,
        name: (*name).into(),
        permissions: words(permissions),
        scopes: words(scopes),
    };
    let operations = Operations::defined(rows.iter().map(operation).collect());
    Snapshot { operations: Some(Arc::new(operations)), ..snapshot }.seal()
}

#[test]
fn what_the_platform_changes_in_its_definition_is_one_event_with_counts() {
    let plain = || org([client("a").grant("r", "*")], [role("r").can("routing:queue:view")]);
    let before = defined(
        plain(),
        &[
            ("GET /api/v2/stays", Mode::Any, &["routing:queue:view"], &["routing"]),
            ("GET /api/v2/gone", Mode::None, &[], &[]),
        ],
    );
    let after = defined(
        plain(),
        &[
            ("GET /api/v2/stays", Mode::All, &["routing:queue:view"], &["routing"]),
            ("GET /api/v2/new", Mode::Any, &["new:thing:view"], &[]),
        ],
    );
    let events = between("acme", "x", &before, &after);
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.cause.kind, event.severity), (CauseKind::CatalogueChanged, Severity::Low));
    assert_eq!(
        (event.cause.subject.kind.as_str(), event.cause.subject.id.as_str()),
        ("catalogue", "operations")
    );
    assert_eq!(event.cause.details["counts"], json!({ "added": 1, "removed": 1, "changed": 1 }));
    let rule =
        |mode: &str| json!({ "mode": mode, "permissions": ["routing:queue:view"], "scopes": ["routing"] });
    assert_eq!(
        event.cause.details["operations"],
        json!({
            "added": ["GET /api/v2/new"],
            "removed": ["GET /api/v2/gone"],
            "changed": [{ "operation": "GET /api/v2/stays", "from": rule("any"), "to": rule("all") }],
        })
    );
    // What is read for the first time, or not read any more, is no change of the platform.
    assert_eq!(told(&plain(), &after), []);
    assert_eq!(told(&after, &plain()), []);
}

#[test]
fn long_lists_are_cut_and_the_whole_still_counts() {
    let names: Vec<String> = (0..300).map(|at| format!("GET /api/v2/{at}")).collect();
    let rows = |count: usize| -> Vec<(&str, Mode, &[&str], &[&str])> {
        names[..count].iter().map(|name| (name.as_str(), Mode::None, &[][..], &[][..])).collect()
    };
    let (none, all, fewer) = (defined(org([], []), &[]), rows(300), rows(299));
    let event = |rows: &[_]| between("acme", "x", &none, &defined(org([], []), rows)).remove(0);
    let (all, fewer) = (event(&all), event(&fewer));
    assert_eq!(all.cause.details["operations"]["added"].as_array().unwrap().len(), causes::LISTED);
    assert_eq!(all.cause.details["counts"]["added"], 300);
    assert_eq!(all.cause.details["operations"]["added"], fewer.cause.details["operations"]["added"]);
    assert_ne!(all.cause.details["digest"], fewer.cause.details["digest"]);
    assert_ne!(all.delta, fewer.delta);
    // Permissions of the catalogue likewise.
    let many: Vec<String> = (0..300).map(|at| format!("a:b:c{at}")).collect();
    let mut grown = NAMES.to_vec();
    grown.extend(many.iter().map(String::as_str));
    let event = between("acme", "x", &org([], []), &with_catalogue(org([], []), &grown)).remove(0);
    assert_eq!(event.cause.permissions.added.len(), causes::LISTED);
    assert_eq!(event.cause.details["counts"], json!({ "added": 300, "removed": 0, "changed": 0 }));
    assert!(event.cause.details["digest"].is_string());
    let message = crate::domain::message::sentence(&event);
    assert_eq!(message, "the platform's permission catalogue changed: 300 new, 0 gone, 0 different");
}

#[test]
fn where_scopes_bind_another_definition_is_the_cause_of_what_they_let_through() {
    let bound = |mut snapshot: Snapshot| {
        snapshot.settings = Settings { scope_enforcement: ScopeEnforcement::AllGrants };
        snapshot.seal()
    };
    let plain = || {
        let clients = [client("a").grant("r", "*").scope("users"), client("b").grant("r", "*").scope("all")];
        org(clients, [role("r").can("routing:skill:view")])
    };
    let with = |scopes: &[&str]| {
        let permissions: &[&str] = &["routing:skill:view"];
        bound(defined(plain(), &[("GET /api/v2/x", Mode::Any, permissions, scopes)]))
    };
    let told = told(&with(&["routing"]), &with(&["routing", "users"]));
    let gained = vec![Gain { in_scope: true, ..gain("routing:skill:view", &["*"]) }];
    let expected = ("a".to_owned(), gained, vec![]);
    assert_eq!(told, [(CauseKind::CatalogueChanged, "operations".to_owned(), vec![expected])]);
}

#[test]
fn a_role_that_covered_every_entity_takes_a_new_one_along_however_it_is_shown() {
    // The platform brings an entity that did not exist before; a role that had all of the domain has it too.
    let mut names = NAMES.to_vec();
    names.extend(["routing:wrapup:view", "routing:wrapup:edit"]);
    let all = || {
        role("r")
            .can("routing:queue:view")
            .can("routing:queue:edit")
            .can("routing:queue:delete")
            .can("routing:skill:view")
    };
    let before = org([client("a").grant("r", "*")], [all()]);
    let expanded = || all().can("routing:wrapup:view").can("routing:wrapup:edit");
    let after = with_catalogue(fixtures::snapshot([client("a").grant("r", "*")], [expanded()]), &names);
    let kinds = |before: &Snapshot, after: &Snapshot| -> Vec<CauseKind> {
        told(before, after).into_iter().map(|(kind, _, _)| kind).collect()
    };
    assert_eq!(kinds(&before, &after), [CauseKind::CatalogueChanged]);
    // And what the platform takes away again is its doing as well.
    assert_eq!(kinds(&after, &before), [CauseKind::CatalogueChanged]);
    // One action less than all of an entity that is not new: somebody edited the role.
    let less = || role("r").can("routing:queue:view").can("routing:skill:view");
    let before = org([client("a").grant("r", "*")], [less()]);
    let after = with_catalogue(
        fixtures::snapshot([client("a").grant("r", "*")], [less().can("routing:wrapup:view")]),
        &names,
    );
    assert_eq!(kinds(&before, &after), [CauseKind::CatalogueChanged, CauseKind::RolePermissionsChanged]);
}

#[test]
fn a_role_that_did_not_cover_the_entity_was_edited() {
    let mut names = NAMES.to_vec();
    names.push("routing:queue:audit");
    let before = org([client("a").grant("r", "*")], [role("r").can("routing:queue:view")]);
    let after = with_catalogue(
        fixtures::snapshot(
            [client("a").grant("r", "*")],
            [role("r").can("routing:queue:view").can("routing:queue:audit")],
        ),
        &names,
    );
    let kinds: Vec<CauseKind> = told(&before, &after).into_iter().map(|(kind, _, _)| kind).collect();
    assert_eq!(kinds, [CauseKind::CatalogueChanged, CauseKind::RolePermissionsChanged]);
    assert!(told(&before, &after)[0].2.is_empty());
}

#[test]
fn a_shipped_role_grows_by_the_platform_but_not_by_old_permissions() {
    let mut names = NAMES.to_vec();
    names.push("brandNew:thing:view");
    let before = org([client("a").grant("r", "*")], [role("r").can("routing:queue:view").shipped()]);
    let after = with_catalogue(
        fixtures::snapshot(
            [client("a").grant("r", "*")],
            [role("r")
                .can("routing:queue:view")
                .can("brandNew:thing:view")
                .can("routing:skill:view")
                .shipped()],
        ),
        &names,
    );
    let events = between("acme", "x", &before, &after);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].clients[0].gained[0].permission, "brandNew:thing:view");
    assert_eq!(events[1].cause.permissions.added, ["routing:skill:view"]);
    assert_eq!(events[1].clients[0].gained[..], [gain("routing:skill:view", &["*"])]);
}

#[test]
fn conditions_are_compared_as_alternatives() {
    let change = |old: Role, new: Role| {
        let holder = || [client("a").grant("r", "*")];
        between("acme", "x", &org(holder(), [old]), &org(holder(), [new]))[0].clone()
    };
    let firm = || role("r").can("routing:queue:view");
    let conditional = |text: &str| role("r").can_if("routing:queue:view", text);

    let loosened = change(conditional("{1}"), firm());
    assert_eq!(loosened.cause.kind, CauseKind::RoleConditionsLoosened);
    assert_eq!(loosened.clients[0].gained[..], [gain("routing:queue:view", &["*"])]);
    assert!(loosened.clients[0].lost[0].conditional);

    let tightened = change(firm(), conditional("{1}"));
    assert_eq!(tightened.cause.kind, CauseKind::RoleConditionsTightened);
    // It holds less than before, so nothing that it "gained" may raise the severity.
    assert_eq!(tightened.severity, Severity::Info);

    assert_eq!(change(conditional("{1}"), conditional("{2}")).cause.kind, CauseKind::RoleConditionsLoosened);
    assert_eq!(
        change(conditional("{1}").can_if("routing:queue:view", "{2}"), conditional("{1}")).cause.kind,
        CauseKind::RoleConditionsTightened
    );
}

#[test]
fn narrowing_to_one_division_is_no_reason_for_alarm() {
    let roles = || [role("r").can("directory:user:delete")];
    let before = org([client("a").grant("r", "*")], roles());
    let after = org([client("a").grant("r", "d1")], roles());
    let event = &between("acme", "x", &before, &after)[0];
    assert_eq!(event.clients[0].gained[..], [gain("directory:user:delete", &["d1"])]);
    assert_eq!(event.clients[0].lost[..], [gain("directory:user:delete", &["*"])]);
    assert_eq!(event.severity, Severity::Low);
}

#[test]
fn one_subject_is_one_event_with_its_whole_delta() {
    let before = org([client("a").scope("users:readonly")], [role("r")]);
    let mut changed = client("a").scope("all").grant("r", "d1");
    changed.name = "renamed".to_owned();
    changed.redirect_uris.insert("http://example.com/".to_owned());
    let events = between("acme", "x", &before, &org([changed], [role("r")]));
    assert_eq!(events.len(), 1);
    let cause = &events[0].cause;
    assert_eq!(
        cause.kinds,
        [
            CauseKind::ClientGrantsChanged,
            CauseKind::ClientScopesChanged,
            CauseKind::ClientRedirectUrisChanged,
            CauseKind::ClientNameChanged
        ]
    );
    assert_eq!(cause.details["scopes"], json!({ "added": ["all"], "removed": ["users:readonly"] }));
    assert_eq!(cause.details["name"], json!({ "from": "Client a", "to": "renamed" }));
    assert_eq!(cause.details["grants"]["added"][0]["division_name"], "Division d1");
    assert_eq!(events[0].severity, Severity::High);
}

#[test]
fn scopes_hide_power_only_where_they_are_enforced_for_every_grant() {
    let enforced = |mut snapshot: Snapshot| {
        snapshot.settings = Settings { scope_enforcement: ScopeEnforcement::AllGrants };
        snapshot.seal()
    };
    let roles = || [role("r").can("directory:user:delete")];
    let narrow = || org([client("a").grant("r", "*").scope("routing")], roles());
    let wide = || org([client("a").grant("r", "*").scope("users")], roles());
    assert!(told(&narrow(), &wide())[0].2.is_empty());
    let mut expected = gain("directory:user:delete", &["*"]);
    expected.in_scope = true;
    assert_eq!(
        told(&enforced(narrow()), &enforced(wide())),
        [(CauseKind::ClientScopesChanged, "a".to_owned(), vec![("a".to_owned(), vec![expected], vec![])])]
    );
    let switched = told(&enforced(narrow()), &narrow());
    assert_eq!(switched[0].0, CauseKind::ScopeEnforcementChanged);
    assert_eq!(switched[0].2[0].1, [gain("directory:user:delete", &["*"])]);
}

#[test]
fn a_contract_that_changed_is_an_event_of_its_own_and_gives_nobody_anything() {
    let with = |contracts: &[Contract]| {
        let mut snapshot = org([client("a").grant("r", "*")], [role("r").can("routing:queue:view")]);
        snapshot.contracts = contracts.iter().map(|contract| (contract.key(), contract.clone())).collect();
        snapshot.seal()
    };
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
    let old = Contract {
        client: "Client a".to_owned(),
        pinned: Some("a".into()),
        calls: words(&["GET /api/v2/users/me"]),
        must_be_denied: words(&["DELETE /api/v2/users/{userId}"]),
        ..Contract::default()
    };
    let new = Contract {
        calls: words(&["GET /api/v2/users/me", "GET /api/v2/groups"]),
        must_be_denied: words(&[]),
        ..old.clone()
    };
    let [event] = &between("acme", "x", &with(from_ref(&old)), &with(&[new]))[..] else {
        panic!("one event")
    };
    assert_eq!((event.cause.kind, event.severity), (CauseKind::ContractChanged, Severity::Low));
    assert_eq!(
        (event.cause.subject.kind.as_str(), event.cause.subject.name.as_str()),
        ("contract", "Client a")
    );
    assert_eq!(event.cause.details["calls"], json!({ "added": ["GET /api/v2/groups"], "removed": [] }));
    assert_eq!(event.cause.details["must_be_denied"]["removed"], json!(["DELETE /api/v2/users/{userId}"]));
    assert!(event.clients.is_empty());
    for (before, after, what) in [(&[][..], from_ref(&old), "added"), (from_ref(&old), &[], "removed")] {
        let [event] = &between("acme", "x", &with(before), &with(after))[..] else { panic!("one event") };
        assert_eq!(event.cause.details["contract"], what);
    }
}

#[test]
fn a_catalogue_read_for_the_first_time_is_no_change() {
    let before = fixtures::snapshot([client("a").grant("r", "*")], [role("r").can("routing:*:*")]);
    let after = with_catalogue(before.clone(), &NAMES);
    assert_eq!(told(&before, &after), []);
}

#[test]
fn the_delta_names_the_content_and_the_id_the_occurrence() {
    let before = org([client("a").grant("r", "*")], [role("r")]);
    let after = org([client("a").grant("r", "*")], [role("r").can("routing:queue:view")]);
    let [one] = &between("acme", "audit-2", &before, &after)[..] else { panic!("one event") };
    let [again] = &between("acme", "audit-9", &before, &after)[..] else { panic!("one event") };
    assert_eq!(one.delta, again.delta);
    assert_ne!(one.id, again.id);
    assert_eq!(Event::unpack(&one.pack()).unwrap(), *one);
}

#[test]
fn a_pattern_prints_as_it_was_read() {
    for text in ["admin", "a:b:c", "a:*:c:d"] {
        assert_eq!(Pattern::parse(text).to_string(), text);
    }
}
