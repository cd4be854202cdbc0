//! One case each: alternatives, what cannot be given, divisions, companions, names of roles.

use serde_json::json;

use super::*;
use crate::domain::{RoleId, fixtures::catalogue};

const QUEUE: &str = "GET /api/v2/routing/queues/{queueId}";
const CONTACT: &str = "GET /api/v2/externalcontacts/contacts/{contactId}";
const DETAILS: &str = "POST /api/v2/analytics/conversations/details/query";
const DELETE_USER: &str = "DELETE /api/v2/users/{userId}";
const DOCUMENT: &str = "GET /api/v2/contentmanagement/documents/{documentId}";

#[test]
fn the_lightest_alternative_is_chosen_and_general_permissions_never() {
    let org = holder(&[], "*");
    for (calls, expected, weight) in [
        (&[QUEUE][..], &["routing:queue:view"][..], 0),
        // `relate:contact:view` weighs nothing, `externalContacts:contact:view` does.
        (&[CONTACT], &["relate:contact:view"], 0),
        (&[DETAILS], &["analytics:agentConversationDetail:view"], 0),
        // `admin` weighs most and is general besides; of the others, the lighter one.
        (&[DELETE_USER], &["directory:user:delete"], 60),
        (&[], &[], 0),
    ] {
        let proposal = proposed(&org, calls, false);
        assert_eq!(permissions(&proposal.role), expected.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(proposal.cost, Cost { weight, permissions: expected.len() });
        assert!(proposal.minimal);
    }
}

#[test]
fn what_no_role_can_give_is_unavailable_with_its_reason() {
    let proposal = proposed(&holder(&[], "*"), &[DOCUMENT, QUEUE], false);
    assert_eq!(proposal.unavailable.len(), 1);
    assert_eq!(proposal.unavailable[0].permissions, ["content_management_user"]);
    assert!(proposal.unavailable[0].reason.contains("general"));
    assert_eq!(permissions(&proposal.role).len(), 1);

    // Of two alternatives the one that the organisation has.
    let org = holder(&[], "*");
    let known = catalogue(["externalContacts:contact:view"]);
    let org = Snapshot { catalogue: Some(known), ..org }.seal();
    let proposal = proposed(&org, &[CONTACT, QUEUE], false);
    assert_eq!(permissions(&proposal.role), ["externalContacts:contact:view".to_owned()].into());
    assert_eq!(proposal.unavailable[0].permissions, ["routing:queue:view"]);
    assert!(proposal.unavailable[0].reason.contains("licence"));
    assert_eq!(
        proposal.missing.iter().filter_map(|missing| missing.operation.as_deref()).collect::<Vec<_>>(),
        [CONTACT]
    );
}

#[test]
fn an_administrator_keeps_nothing_but_what_is_declared() {
    let org = snapshot([client("c").grant("r", "*")], [role("r").general("admin")]);
    let proposal = proposed(&org, &[QUEUE], false);
    assert!(proposal.missing.is_empty());
    let first = &proposal.excess[0];
    assert_eq!((first.permission.as_str(), first.why, first.weight), ("admin", Why::OpenEnded, 100));
    assert_eq!(proposal.excess.iter().filter(|excess| excess.permission == "admin").count(), 1);
    assert!(proposal.excess.len() > 1_400);
    assert!(proposal.excess.iter().all(|excess| excess.permission != "routing:queue:view"));
    let weights: Vec<u32> = proposal.excess[1..].iter().map(|excess| excess.weight).collect();
    assert!(weights.is_sorted_by(|one, other| one >= other), "the weightiest first");
}

#[test]
fn what_is_granted_behind_the_record_is_held_like_anything_else() {
    let org = || {
        let behind =
            role("behind").can("routing:queue:view").can("directory:user:delete").can("routing:skill:*");
        let org = snapshot([client("c").grant("r", "*")], [role("r").can("routing:skill:view"), behind]);
        org.observing("c", &[("behind", "d1")]).seal()
    };
    let proposal = proposed(&org(), &[QUEUE], false);
    assert!(
        proposal.missing.is_empty(),
        "a role that its record does not name gives it: {:?}",
        proposal.missing
    );
    let excess: Vec<(&str, Why)> =
        proposal.excess.iter().map(|excess| (excess.permission.as_str(), excess.why)).collect();
    assert_eq!(excess[0], ("routing:skill:*", Why::OpenEnded));
    let delete = proposal.excess.iter().find(|excess| excess.permission == "directory:user:delete").unwrap();
    assert_eq!(delete.via, ["Role behind"]);
    assert_eq!(proposal.divisions.len(), 1, "everywhere covers the division");
}

#[test]
fn another_way_to_a_declared_call_says_what_must_come_first() {
    let proposal = proposed(&holder(&["externalContacts:contact:view"], "*"), &[CONTACT], false);
    assert!(proposal.missing.is_empty(), "the call works today");
    let [excess] = &proposal.excess[..] else { panic!("{:?}", proposal.excess) };
    assert_eq!(excess.permission, "externalContacts:contact:view");
    assert_eq!(excess.instead, ["relate:contact:view"]);
    assert!(excess.is_plain(), "it weighs more than what would replace it");
}

#[test]
fn a_general_permission_that_a_call_rests_on_is_not_told_to_be_cut() {
    let org = snapshot([client("c").grant("r", "*")], [role("r").general("content_management_user")]);
    let proposal = proposed(&org, &[DOCUMENT], false);
    assert!(proposal.excess.is_empty(), "{:?}", proposal.excess);
    assert_eq!(proposal.unavailable.len(), 1);
    assert!(
        proposed(&org, &[QUEUE], false)
            .excess
            .iter()
            .any(|excess| excess.permission == "content_management_user")
    );
}

#[test]
fn divisions_are_missing_and_too_many_one_by_one() {
    let org = holder(&["routing:queue:view", "routing:skill:view"], "home");
    let org =
        Snapshot { catalogue: Some(catalogue(["routing:queue:view", "routing:skill:view!"])), ..org }.seal();
    let skill = "GET /api/v2/routing/skills/{skillId}";
    let proposal = proposed_in(&org, &[QUEUE, skill], &["Division d1", "nowhere"], false);
    let [missing] = &proposal.missing[..] else { panic!("{:?}", proposal.missing) };
    assert_eq!(
        (missing.operation.as_deref(), &*missing.permissions),
        (Some(QUEUE), &["routing:queue:view".to_owned()][..])
    );
    assert_eq!(json!(missing.divisions), json!(["d1"]));
    let [excess] = &proposal.excess[..] else { panic!("{:?}", proposal.excess) };
    assert_eq!((excess.permission.as_str(), excess.why), ("routing:queue:view", Why::OtherDivision));
    assert_eq!(json!(excess.divisions), json!(["home"]));
    assert_eq!(json!(proposal.divisions), json!(["d1"]));
    assert_eq!(proposal.unknown_divisions, ["nowhere"]);

    // Everywhere is more than one division.
    assert_eq!(proposed_in(&org, &[QUEUE], &["*"], false).missing.len(), 1);
    assert_eq!(json!(proposed_in(&org, &[QUEUE], &["*"], false).divisions), json!(["*"]));
    // Nothing said: anywhere will do, and the role goes where the client is.
    let anywhere = proposed_in(&org, &[QUEUE], &[], false);
    assert!(anywhere.missing.is_empty());
    assert_eq!(json!(anywhere.divisions), json!(["home"]));
    let nothing = snapshot([client("c")], []);
    assert_eq!(
        json!(proposed_in(&nothing, &[QUEUE], &[], false).divisions),
        json!(["home"]),
        "the home division"
    );
}

#[test]
fn companions_are_told_and_join_the_role_when_asked() {
    let org = holder(&["analytics:agentConversationDetail:view", "directory:user:view"], "*");
    let plain = proposed(&org, &[DETAILS], false);
    let implied: Vec<(&str, bool)> = plain.implied.iter().map(|one| (&*one.permission, one.held)).collect();
    assert_eq!(
        implied,
        [("directory:user:view", true), ("routing:queue:view", false), ("routing:wrapupCode:view", false)]
    );
    assert_eq!(plain.excess[0].implied_by, ["analytics:agentConversationDetail:view"]);
    assert_eq!(plain.cost.permissions, 1);
    let more = proposed(&org, &[DETAILS], true);
    assert_eq!(more.cost.permissions, 4);
    assert!(more.excess.is_empty());
    assert_eq!(more.implied, plain.implied);
    // An operation that declares no permission has companions of its own.
    let none = proposed(&org, &["GET /api/v2/users/{userId}"], true);
    assert_eq!(
        permissions(&none.role),
        ["directory:user:view", "groups:team:view"].map(str::to_owned).into()
    );
    assert_eq!(none.scopes, ["users:readonly"]);
}

#[test]
fn a_permission_declared_by_name_decides_between_alternatives() {
    let org = holder(&["analytics:agentConversationDetail:view"], "d1");
    let access = Access::new(&org);
    let contract = Contract {
        calls: [DETAILS.to_owned()].into(),
        permissions: ["analytics:conversationDetail:view", "analytics:no:such"].map(str::to_owned).into(),
        ..Contract::default()
    };
    let declared = Declared::by_contract(&access, &contract);
    let proposal = propose("acme", &access, &org.clients["c"], &declared, &Companions::default(), false);
    assert_eq!(permissions(&proposal.role), ["analytics:conversationDetail:view".to_owned()].into());
    assert_eq!(proposal.cost, Cost { weight: 30, permissions: 1 });
    assert_eq!(proposal.unknown, ["analytics:no:such"]);
    let [missing] = &proposal.missing[..] else { panic!("{:?}", proposal.missing) };
    assert_eq!(missing.operation, None);
    assert_eq!(missing.permissions, ["analytics:conversationDetail:view"]);
    let [choice] = &proposal.choices[..] else { panic!("{:?}", proposal.choices) };
    assert_eq!(choice.chosen, ["analytics:conversationDetail:view"]);
    assert_eq!(choice.others, ["analytics:agentConversationDetail:view"]);
}

#[test]
fn read_only_scopes_are_chosen_where_they_suffice() {
    let org = holder(&[], "*");
    for (calls, expected) in [
        (&[QUEUE][..], &["routing:readonly"][..]),
        (&[QUEUE, "GET /api/v2/users/{userId}"], &["routing:readonly", "users:readonly"]),
        // A scope that writes covers its read-only form.
        (&[QUEUE, "PUT /api/v2/routing/queues/{queueId}"], &["routing"]),
        (&["GET /api/v2/users/me"], &["user-basic-info"]),
        (&["GET /api/v2/timezones"], &[]),
    ] {
        assert_eq!(proposed(&org, calls, false).scopes, expected, "{calls:?}");
    }
}

#[test]
fn the_role_is_a_body_that_the_platform_takes() {
    let proposal =
        proposed(&holder(&[], "*"), &[QUEUE, "PUT /api/v2/routing/queues/{queueId}", DETAILS], false);
    assert_eq!(
        json!(proposal.role),
        json!({
            "name": "Client c least privilege",
            "description": "What the OAuth client Client c (c) needs, and nothing else",
            "permissions": [],
            "permissionPolicies": [
                { "domain": "analytics", "entityName": "agentConversationDetail", "actionSet": ["view"] },
                { "domain": "routing", "entityName": "queue", "actionSet": ["edit", "view"] },
            ],
        })
    );
}

#[test]
fn a_name_in_other_hands_is_not_taken() {
    let named = |id: &str, name: &str| inventory::Role { name: name.to_owned(), ..role(id) };
    let roles = || [named("r", "Client c least privilege"), named("s", "Client c least privilege 2")];
    let mine = snapshot([client("c").grant("r", "*")], roles());
    assert_eq!(
        proposed(&mine, &[QUEUE], false).role.name,
        "Client c least privilege",
        "only it holds that role"
    );
    let shared = snapshot([client("c").grant("r", "*"), client("d").grant("r", "*")], roles());
    assert_eq!(proposed(&shared, &[QUEUE], false).role.name, "Client c least privilege 3");
}

#[test]
fn of_a_client_that_acts_as_its_user_nothing_is_known_to_be_missing() {
    let org = snapshot([client("c").of_type("CODE").scope("routing")], []);
    let proposal = proposed(&org, &[QUEUE, "GET /api/v2/no/such"], false);
    assert!(proposal.missing.is_empty() && proposal.excess.is_empty());
    assert_eq!(proposal.unknown, ["GET /api/v2/no/such"]);
    assert_eq!((proposal.calls, proposal.cost.permissions), (1, 1));
    assert_eq!(json!(proposal)["authority"], "user");
}

#[test]
fn what_was_not_read_is_said() {
    let mut unread = client("c");
    unread.grants = None;
    assert!(proposed(&snapshot([unread], []), &[QUEUE], false).grants_unknown);
    let proposal = proposed(&snapshot([client("c").grant("gone", "*")], []), &[QUEUE], false);
    assert_eq!(proposal.unseen_roles.iter().map(RoleId::as_str).collect::<Vec<_>>(), ["gone"]);
    let whole = json!(proposed(&holder(&[], "*"), &[QUEUE], false));
    assert!(whole.get("grants_unknown").is_none() && whole.get("unseen_roles").is_none());
}
