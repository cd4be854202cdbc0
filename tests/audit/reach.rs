//! What checks say of escalation, divisions and scopes, and what `who-can` and `what-if` answer, against what the
//! simulated platform does when it is asked with real tokens.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use scopewarden::{
    audit::{Report, proposal},
    domain::{
        access::{
            Access, Authority,
            who::{Asked, Holders},
        },
        drift,
        event::Event,
        finding::{Finding, Status},
        snapshot::Snapshot,
    },
    simulator::Options,
};
use serde_json::{Value, json};

use crate::harness::{Harness, story};

impl Harness {
    /// Adds a client by client credentials; its id and secret.
    async fn client(&self, name: &str, role: &str, division: &str, scopes: &[&str]) -> (String, String) {
        let role = self.role(role).await;
        let client = json!({
            "name": name,
            "authorizedGrantType": "CLIENT-CREDENTIALS",
            "description": name,
            "roleDivisions": [{ "roleId": role["id"], "divisionId": division }],
            "scope": scopes,
        });
        let made = self.admin("POST", "/api/v2/oauth/clients", Some(client)).await;
        (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }

    async fn division(&self, name: &str) -> String {
        let list = self.admin("GET", "/api/v2/authorization/divisions?pageSize=100", None).await;
        let found = list["entities"].as_array().unwrap().iter().find(|division| division["name"] == name);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn snapshot(&self) -> Snapshot {
        self.store.snapshot_at("acme", None).await.unwrap().unwrap().snapshot
    }

    async fn secret_of(&self, name: &str) -> (String, String) {
        let (id, _, secret) = self.clients().await.into_iter().find(|client| client.1 == name).unwrap();
        (id, secret)
    }
}

/// The keys of the findings of a check about a client, by its name.
fn keys(report: &Report, check: &str, client: &str) -> Vec<String> {
    let of = |finding: &&std::sync::Arc<Finding>| {
        finding.check == check && finding.client.name == client && finding.status == Status::Fail
    };
    report.findings.iter().filter(of).map(|finding| finding.key.clone()).collect()
}

#[tokio::test]
async fn the_way_to_everything_that_a_finding_names_works_on_the_platform() {
    let mut org = Harness::start(story()).await;
    let report = org.audit().await;
    let found = report.findings.iter().filter(|finding| finding.check == "escalation").collect::<Vec<_>>();
    let names: Vec<&str> = found.iter().map(|finding| finding.client.name.as_str()).collect();
    assert_eq!(names, ["HR_Provisioning"]);
    assert!(
        found[0]
            .evidence
            .contains("may give any role to anybody, itself included; the role Admin allows everything"),
        "{}",
        found[0].evidence
    );
    let others = report.clients - report.findings.iter().filter(|f| f.check == "legacy-grant-type").count();
    assert!(found[0].evidence.contains("other clients") && others > 1, "{}", found[0].evidence);

    // Step by step, with its own token: it may not, it gives itself the role, and then it may.
    let (id, secret) = org.secret_of("HR_Provisioning").await;
    let token = org.token_of(&id, &secret).await;
    let forbidden = "/api/v2/authorization/roles/7b0c8d5e-9f3a-4a51-8a5e-3f0e6d1c2b4a";
    assert_eq!(org.call(&token, "DELETE", forbidden, None).await.0, 403);
    let admin = org.role("Admin").await["id"].clone();
    let path = format!("/api/v2/authorization/subjects/{id}/bulkadd?subjectType=PC_OAUTH_CLIENT");
    let grants = json!({ "grants": [{ "roleId": admin, "divisionId": "*" }] });
    assert!(org.call(&token, "POST", &path, Some(&grants)).await.0 < 300);
    assert_ne!(org.call(&token, "DELETE", forbidden, None).await.0, 403);

    // Whoever has no such way is refused at the first step.
    let (id, secret) = org.secret_of("Reporting_Engine").await;
    let token = org.token_of(&id, &secret).await;
    let path = format!("/api/v2/authorization/subjects/{id}/bulkadd?subjectType=PC_OAUTH_CLIENT");
    assert_eq!(org.call(&token, "POST", &path, Some(&grants)).await.0, 403);
}

#[tokio::test]
async fn a_grant_in_an_empty_division_succeeds_silently_and_is_found() {
    let mut org = Harness::start(story()).await;
    let (apac, emea) = (org.division("APAC").await, org.division("EMEA").await);
    let (id, secret) = org.client("Quiet", "Dashboard viewer", &apac, &[]).await;
    org.client("Busy", "Dashboard viewer", &emea, &[]).await;
    org.client("Wide", "Dashboard viewer", "*", &[]).await;
    org.client("Unmapped", "Journey events", &apac, &[]).await;
    let report = org.audit().await;
    assert!(report.complete);
    for (client, count) in [("Quiet", 1), ("Busy", 0), ("Wide", 0), ("Unmapped", 0)] {
        assert_eq!(keys(&report, "empty-division-grant", client).len(), count, "{client}");
    }
    assert_eq!(keys(&report, "every-division-grant", "Wide").len(), 1);
    assert!(keys(&report, "every-division-grant", "Quiet").is_empty());

    // What it means: success, and nothing in it.
    let token = org.token_of(&id, &secret).await;
    let (status, queues) = org.call(&token, "GET", "/api/v2/routing/queues", None).await;
    assert_eq!((status, queues["entities"].as_array().unwrap().len()), (200, 0));

    // A queue arrives, and the finding goes.
    let list = org.admin("GET", "/api/v2/routing/queues", None).await;
    let path = format!("/api/v2/authorization/divisions/{apac}/objects/QUEUE");
    org.admin("POST", &path, Some(json!([list["entities"][0]["id"]]))).await;
    let report = org.audit().await;
    assert!(keys(&report, "empty-division-grant", "Quiet").is_empty());
    let (_, queues) = org.call(&token, "GET", "/api/v2/routing/queues", None).await;
    assert_eq!(queues["entities"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_the_divisions_nobody_is_said_to_be_in_an_empty_one() {
    let mut org = Harness::start(story()).await;
    let apac = org.division("APAC").await;
    org.client("Quiet", "Dashboard viewer", &apac, &[]).await;
    org.audit().await;
    org.client("Later", "Dashboard viewer", &apac, &[]).await;
    let fault = json!([{ "match": "GET /api/v2/authorization/divisions", "kind": "forbidden", "count": -1 }]);
    org.faults(fault).await;
    let report = org.audit().await;
    assert!(!report.complete);
    let status = |client: &str| {
        let of = |finding: &&std::sync::Arc<Finding>| {
            finding.check == "empty-division-grant" && finding.client.name == client
        };
        report.findings.iter().find(of).unwrap().status
    };
    assert_eq!(status("Later"), Status::Unknown, "it is neither a pass nor a finding");
    assert_eq!(status("Quiet"), Status::Fail, "what was found stays until a complete answer");
}

#[tokio::test]
async fn each_scope_that_does_not_fit_is_found_and_does_on_the_platform_what_is_said() {
    let mut org = Harness::with(story(), "scope_enforcement = \"all-grants\"").await;
    let role = "Dashboard viewer";
    let (useless, _) =
        org.client("Useless", role, "*", &["analytics:readonly", "outbound", "routing:readonly"]).await;
    org.client("Writer", role, "*", &["analytics:readonly", "routing"]).await;
    let (narrow, secret) = org.client("Narrow", role, "*", &["routing:readonly"]).await;
    org.client("Right", role, "*", &["analytics:readonly", "routing:readonly"]).await;
    let report = org.audit().await;
    let told = |client: &str| {
        ["useless-scope", "write-scope", "permission-out-of-scope"]
            .map(|check| keys(&report, check, client).join(","))
    };
    assert_eq!(told("Useless"), ["outbound", "", ""]);
    assert_eq!(told("Writer"), ["", "routing", ""]);
    assert_eq!(told("Right"), ["", "", ""]);
    assert_eq!(keys(&report, "permission-out-of-scope", "Narrow"), [""], "one finding");
    let evidence = &report
        .findings
        .iter()
        .find(|finding| finding.check == "permission-out-of-scope" && finding.client.name == "Narrow")
        .unwrap()
        .evidence;
    assert!(
        evidence.contains("analytics:queueObservation:view, analytics:userObservation:view."),
        "{evidence}"
    );

    let snapshot = org.snapshot().await;
    let access = Access::new(&snapshot);
    let enforced = access.if_enforced(&snapshot.clients[narrow.as_str()]);
    assert!(enforced.already && enforced.kept > 0);
    let lost: BTreeSet<&str> = enforced.lost.iter().map(|operation| &*operation.name).collect();
    assert!(lost.contains("POST /api/v2/analytics/queues/observations/query"), "{lost:?}");
    org.settings(json!({ "scope_enforcement": "all-grants" })).await;
    // A token that was asked for without scopes has all that the client has, and no more.
    let token = org.token_of(&narrow, &secret).await;
    assert_eq!(org.call(&token, "GET", "/api/v2/routing/queues", None).await.0, 200);
    for operation in &enforced.lost {
        let path = operation.path().replace(['{', '}'], "");
        let (status, answer) = org.call(&token, operation.method(), &path, Some(&json!([]))).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (403, Some("app.not.authorized.for.scope")),
            "{}",
            operation.name
        );
    }
    // Taking the useless scope away changes nothing that it may call.
    let before: Vec<String> = callable(&access, &useless);
    let (_, mut record) = (0, org.admin("GET", &format!("/api/v2/oauth/clients/{useless}"), None).await);
    record["scope"] = json!(["analytics:readonly", "routing:readonly"]);
    org.settings(json!({ "scope_enforcement": "off" })).await;
    org.admin("PUT", &format!("/api/v2/oauth/clients/{useless}"), Some(record)).await;
    let report = org.audit().await;
    assert!(keys(&report, "useless-scope", "Useless").is_empty());
    let snapshot = org.snapshot().await;
    assert_eq!(callable(&Access::new(&snapshot), &useless), before);
}

/// Operations that are granted and within the client's scopes.
fn callable(access: &Access<'_>, client: &str) -> Vec<String> {
    let client = &access.snapshot.clients[client];
    let report =
        access.report("acme", client, true, "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
    let shown = serde_json::to_value(report.operations).unwrap();
    let both = |told: &&Value| told["granted"] == true && told["in_scope"] == true;
    shown.as_array().unwrap().iter().filter(both).map(|told| told["operation"].to_string()).collect()
}

#[tokio::test]
async fn scopes_that_are_not_enforced_for_such_clients_are_no_finding_about_permissions() {
    for (setting, with_scopes, without) in
        [("off", 0, 0), ("user-grants", 0, 0), ("unknown", 1, 0), ("all-grants", 1, 1)]
    {
        let mut org = Harness::with(story(), &format!("scope_enforcement = \"{setting}\"")).await;
        org.client("Narrow", "Dashboard viewer", "*", &["routing:readonly"]).await;
        org.client("Bare", "Dashboard viewer", "*", &[]).await;
        let report = org.audit().await;
        let count = |client| keys(&report, "permission-out-of-scope", client).len();
        assert_eq!((count("Narrow"), count("Bare")), (with_scopes, without), "{setting}");
    }
}

#[tokio::test]
async fn who_can_names_exactly_the_clients_that_the_platform_lets_through() {
    let mut org = Harness::start(Options { clients: 14, roles: 14, seed: 21, ..Options::default() }).await;
    org.audit().await;
    let snapshot = org.snapshot().await;
    let access = Access::new(&snapshot);
    let holders = Holders::new(&access);
    let mut tokens = Vec::new();
    for (id, _, secret) in org.clients().await {
        let client = &snapshot.clients[id.as_str()];
        if client.grant_type.as_str() == "CLIENT-CREDENTIALS" && client.state.as_str() == "active" {
            tokens.push((id.clone(), org.token_of(&id, &secret).await));
        }
    }
    let mut names: BTreeSet<&str> =
        access.operations.iter().step_by(61).map(|operation| &*operation.name).collect();
    names.insert("GET /api/v2/routing/queues");
    names.insert("DELETE /api/v2/users/{userId}");
    let (mut yes, mut no) = (0, 0);
    for name in names {
        let asked = Asked::read(&access, name).unwrap();
        let Asked::Operation(at) = asked else { panic!("{name}") };
        let can: BTreeSet<String> = holders
            .answer(&asked, |_| "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap().into())
            .into_iter()
            .filter(|holder| holder.authority == Authority::Roles)
            .map(|holder| holder.client.id.to_string())
            .collect();
        let operation = access.operations.get(at).unwrap();
        let path = operation.path().replace(['{', '}'], "");
        for (id, token) in &tokens {
            let body = matches!(operation.method(), "POST" | "PUT" | "PATCH").then(|| json!([]));
            let (status, answer) = org.call(token, operation.method(), &path, body.as_ref()).await;
            assert_eq!(status != 403, can.contains(id), "{name}, {id}: {status} {answer}");
            if status == 403 { no += 1 } else { yes += 1 }
        }
    }
    assert!(yes > 20 && no > 100, "{yes} may, {no} may not");
}

/// The content of some events, by delta: occurrences differ.
fn deltas<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeSet<String> {
    events.into_iter().map(|event| event.delta.clone()).collect()
}

/// What a file would change, as drift.
fn foreseen(before: &Snapshot, file: &Value) -> Vec<Event> {
    let proposal = proposal::read(before, file.to_string().as_bytes()).unwrap();
    drift::between("acme", "what-if", before, &proposal.after)
}

#[tokio::test]
async fn what_if_says_of_a_role_and_a_client_what_the_audit_says_after_the_same_change() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let before = org.snapshot().await;

    let mut role = org.role("Reporting_Engine_ReadOnly").await;
    role["permissionPolicies"].as_array_mut().unwrap().extend([
        json!({ "domain": "directory", "entityName": "user", "actionSet": ["delete", "edit"] }),
        json!({ "domain": "recording", "entityName": "recording", "actionSet": ["view"], "resourceConditionNode": {
            "variableName": "Conversation.queues", "operator": "EQ",
            "operands": [{ "type": "SCALAR", "value": "Support" }] } }),
    ]);
    // As the API accepts it: without an id, found by its name.
    let request = json!({
        "name": role["name"], "description": role["description"], "permissions": role["permissions"],
        "permissionPolicies": role["permissionPolicies"],
    });
    let told = [foreseen(&before, &role), foreseen(&before, &request)];
    org.admin("PUT", &format!("/api/v2/authorization/roles/{}", role["id"].as_str().unwrap()), Some(role))
        .await;
    let report = org.audit().await;
    assert!(report.events.len() == 1 && report.events[0].clients.len() == 2, "{:?}", report.events);
    for told in told {
        assert_eq!(deltas(&told), deltas(&report.events));
    }

    let before = org.snapshot().await;
    let (id, _) = org.secret_of("Survey_Collector").await;
    let mut client = org.admin("GET", &format!("/api/v2/oauth/clients/{id}"), None).await;
    let grants =
        json!([{ "roleId": org.role("Bot author").await["id"], "divisionId": org.division("EMEA").await }]);
    client["roleDivisions"] = grants;
    client.as_object_mut().unwrap().remove("roleIds");
    client["scope"] = json!(["users:readonly"]);
    client["secret"] = json!("a secret that nobody reads");
    let told = foreseen(&before, &client);
    org.admin("PUT", &format!("/api/v2/oauth/clients/{id}"), Some(client)).await;
    let report = org.audit().await;
    assert_eq!(deltas(&told), deltas(&report.events));
    assert!(!report.events[0].clients[0].gained.is_empty() && !report.events[0].clients[0].lost.is_empty());
}

/// What an event says, by names: ids of what is new differ.
fn in_words(events: &[Event]) -> BTreeSet<String> {
    let gains = |list: &[scopewarden::domain::event::Gain]| {
        list.iter()
            .map(|gain| format!("{}{}{}", gain.permission, gain.conditional, gain.shared))
            .collect::<Vec<_>>()
    };
    let clients = |event: &Event| {
        let mut all: Vec<String> = (event.clients.iter())
            .map(|client| format!("{} {:?} {:?}", client.name, gains(&client.gained), gains(&client.lost)))
            .collect();
        all.sort();
        all
    };
    let of = |event: &Event| {
        format!(
            "{:?} {} {} {:?}",
            event.cause.kinds,
            event.cause.subject.name,
            event.severity,
            clients(event)
        )
    };
    events.iter().map(of).collect()
}

#[tokio::test]
async fn what_if_says_of_a_terraform_plan_what_the_audit_says_after_it_was_applied() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let before = org.snapshot().await;
    let role = org.role("Reporting_Engine_ReadOnly").await;
    let id = role["id"].as_str().unwrap();
    let plan = include_str!("../fixtures/terraform/plan.json").replace("{reporting-role}", id);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let told = foreseen(&before, &plan);

    // What the provider would send.
    let policy = |row: &Value| {
        let condition = row["conditions"].get(0).map(|_| {
            json!({ "conjunction": "AND", "terms": [{
                "variableName": "Conversation.queues", "operator": "EQ",
                "operands": [{ "type": "QUEUE", "queue": { "id": "99990000-0000-4000-8000-000000000099", "name": "Support" } }],
            }]})
        });
        let mut policy = json!({ "domain": row["domain"], "entityName": row["entity_name"], "actionSet": row["action_set"] });
        if let Some(condition) = condition {
            policy["resourceConditionNode"] = condition;
        }
        policy
    };
    let body = |after: &Value| {
        let policies: Value = after["permission_policies"].as_array().unwrap().iter().map(policy).collect();
        json!({ "name": after["name"], "description": after["description"], "permissions": [],
                "permissionPolicies": policies })
    };
    let changes = plan["resource_changes"].as_array().unwrap();
    let path = format!("/api/v2/authorization/roles/{id}");
    org.admin("PUT", &path, Some(body(&changes[0]["change"]["after"]))).await;
    let surveys = body(&changes[1]["change"]["after"]);
    let surveys = org.admin("POST", "/api/v2/authorization/roles", Some(surveys)).await;
    let home = org.division("Home").await;
    let client = json!({
        "name": "Surveys_Prod", "description": "Surveys of prod", "authorizedGrantType": "CLIENT-CREDENTIALS",
        "accessTokenValiditySeconds": 86400,
        "roleDivisions": [{ "roleId": surveys["id"], "divisionId": "*" }, { "roleId": id, "divisionId": home }],
    });
    org.admin("POST", "/api/v2/oauth/clients", Some(client)).await;
    let report = org.audit().await;
    assert_eq!(report.events.len(), 3);
    assert_eq!(in_words(&told), in_words(&report.events));
}
