//! Least privilege against the simulator, with real tokens: the proposed role lets every declared call through, nothing
//! of it can go, and what is said to be missing is what is refused.

use std::collections::BTreeSet;

use scopewarden::{
    domain::{
        access::Access,
        catalogue::Operations,
        contract::{Contract, Declared, Proposal, companion::Companions, propose},
        snapshot::Snapshot,
    },
    simulator::Options,
};
use serde_json::{Value, json};

use crate::{
    equivalence::concrete,
    harness::{Harness, story},
};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    /// Some operations of the platform, but the one that would end the token under test.
    fn calls(&mut self, count: usize) -> Vec<String> {
        let operations = Operations::compiled_in();
        let any =
            std::iter::repeat_with(|| operations.get(self.below(operations.len())).unwrap().name.to_string());
        any.filter(|name| name != "DELETE /api/v2/tokens/me").take(count).collect()
    }
}

/// Whether a call is refused for want of power.
async fn is_refused(org: &Harness, token: &str, operation: &str) -> bool {
    let (method, path) = operation.split_once(' ').unwrap();
    // Nothing that could create an object: an empty list is no valid body of any operation.
    let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| json!([]));
    let (status, answer) = org.call(token, method, &concrete(path), body.as_ref()).await;
    assert_ne!(status, 401, "{operation}: {answer}");
    status == 403
}

/// Those of `calls` that are refused.
async fn refused<'a>(org: &Harness, token: &str, calls: &'a [String]) -> BTreeSet<&'a str> {
    let mut refused = BTreeSet::new();
    for call in calls {
        if is_refused(org, token, call).await {
            refused.insert(call.as_str());
        }
    }
    refused
}

async fn snapshot(org: &Harness) -> Snapshot {
    org.store.snapshot_at("acme", None).await.unwrap().unwrap().snapshot
}

fn proposed(snapshot: &Snapshot, client: &str, calls: &[String], divisions: &[String]) -> Proposal {
    let access = Access::new(snapshot);
    let declared = Declared::new(&access, calls, divisions);
    let client = &snapshot.clients[client];
    propose("acme", &access, client, &declared, &Companions::with(&[]), false)
}

fn unavailable(proposal: &Proposal) -> BTreeSet<&str> {
    proposal.unavailable.iter().map(|one| one.operation.as_str()).collect()
}

/// A client that holds one role in some divisions; its id and secret.
async fn client(org: &Harness, role: &Value, divisions: &Value, scopes: &[String]) -> (String, String) {
    let grants: Vec<Value> = (divisions.as_array().unwrap().iter())
        .map(|division| json!({ "roleId": role["id"], "divisionId": division }))
        .collect();
    let body = json!({
        "name": "Under test",
        "authorizedGrantType": "CLIENT-CREDENTIALS",
        "roleDivisions": grants,
        "scope": scopes,
    });
    let made = org.admin("POST", "/api/v2/oauth/clients", Some(body)).await;
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_proposed_role_suffices_and_nothing_of_it_can_go() {
    let mut org = Harness::start(Options { clients: 4, roles: 4, seed: 21, ..Options::default() }).await;
    org.audit().await;
    let snapshot = snapshot(&org).await;
    let anybody = snapshot.clients.keys().next().unwrap().to_string();
    // Scopes count from here on, so that the proposed ones are tried as well. The auditor is not asked any more.
    org.settings(json!({ "scope_enforcement": "all-grants" })).await;
    let mut dice = Dice(7);
    let mut narrowed = 0;
    for _ in 0..5 {
        let calls = dice.calls(24);
        let proposal = proposed(&snapshot, &anybody, &calls, &["*".to_owned()]);
        let calls: Vec<String> =
            calls.iter().filter(|call| !unavailable(&proposal).contains(call.as_str())).cloned().collect();
        assert!(proposal.minimal && calls.len() > 20);

        // The role as it was printed, through the platform's own endpoint.
        let role = serde_json::to_value(&proposal.role).unwrap();
        let made = org.admin("POST", "/api/v2/authorization/roles", Some(role.clone())).await;
        let (id, secret) = client(&org, &made, &json!(proposal.divisions), &proposal.scopes).await;
        let token = org.token_of(&id, &secret).await;
        assert_eq!(refused(&org, &token, &calls).await, BTreeSet::new(), "{role}");

        let path = format!("/api/v2/authorization/roles/{}", made["id"].as_str().unwrap());
        for (at, policy) in proposal.role.permission_policies.iter().enumerate() {
            for action in &policy.action_set {
                let mut less = role.clone();
                let actions = less["permissionPolicies"][at]["actionSet"].as_array_mut().unwrap();
                actions.retain(|held| held != action);
                org.admin("PUT", &path, Some(less)).await;
                let broken = refused(&org, &token, &calls).await;
                assert!(!broken.is_empty(), "{}:{}:{action} can go", policy.domain, policy.entity_name);
                narrowed += 1;
            }
        }
        org.admin("DELETE", &path, None).await;
    }
    assert!(narrowed > 50, "{narrowed} permissions were taken away");
}

#[tokio::test]
async fn what_is_missing_is_what_the_platform_refuses() {
    let mut org = Harness::start(Options { clients: 12, roles: 12, seed: 22, ..Options::default() }).await;
    org.audit().await;
    let snapshot = snapshot(&org).await;
    let mut dice = Dice(9);
    let (mut missing, mut granted) = (0, 0);
    for (id, name, secret) in org.clients().await {
        let client = &snapshot.clients[id.as_str()];
        if client.grant_type.as_str() != "CLIENT-CREDENTIALS" || client.state.as_str() != "active" {
            continue;
        }
        let calls = dice.calls(40);
        let proposal = proposed(&snapshot, &id, &calls, &[]);
        let token = org.token_of(&id, &secret).await;
        let refused: BTreeSet<&str> = refused(&org, &token, &calls).await;
        let mut told: BTreeSet<&str> =
            proposal.missing.iter().filter_map(|missing| missing.operation.as_deref()).collect();
        let unavailable = unavailable(&proposal);
        told.extend(refused.intersection(&unavailable));
        assert_eq!(told, refused, "{name}");
        missing += told.len();
        granted += calls.len() - told.len();
    }
    assert!(missing > 50 && granted > 30, "{missing} missing, {granted} granted");
}

#[tokio::test]
async fn a_call_in_the_wrong_division_is_missing_and_refused_there() {
    let mut org = Harness::start(story()).await;
    let divisions = org.admin("GET", "/api/v2/authorization/divisions?pageSize=100", None).await;
    let id_of = |name: &str| {
        let mut all = divisions["entities"].as_array().unwrap().iter();
        all.find(|division| division["name"] == name).unwrap()["id"].clone()
    };
    let queues = org.admin("GET", "/api/v2/routing/queues?pageSize=100", None).await;
    let emea = id_of("EMEA");
    let queue =
        queues["entities"].as_array().unwrap().iter().find(|queue| queue["division"]["id"] == emea).unwrap();
    let call = format!("GET /api/v2/routing/queues/{}", queue["id"].as_str().unwrap());
    let declared = ["GET /api/v2/routing/queues/{queueId}".to_owned()];

    let policy = json!({ "domain": "routing", "entityName": "queue", "actionSet": ["view"] });
    let role = json!({ "name": "Queues", "permissionPolicies": [policy] });
    let role = org.admin("POST", "/api/v2/authorization/roles", Some(role)).await;
    for (held_in, is_missing, is_excess) in [
        (json!([id_of("North America")]), true, true),
        (json!([emea]), false, false),
        (json!(["*"]), false, true),
    ] {
        let (id, secret) = client(&org, &role, &held_in, &[]).await;
        org.audit().await;
        let snapshot = snapshot(&org).await;
        let proposal = proposed(&snapshot, &id, &declared, &["EMEA".to_owned()]);
        assert_eq!(!proposal.missing.is_empty(), is_missing, "{held_in}");
        assert_eq!(!proposal.excess.is_empty(), is_excess, "{held_in}: {:?}", proposal.excess);
        assert_eq!(json!(proposal.divisions), json!([emea]));
        let token = org.token_of(&id, &secret).await;
        let (status, answer) = org.call(&token, "GET", call.split_once(' ').unwrap().1, None).await;
        assert_eq!(status == 403, is_missing, "{held_in}: {status} {answer}");
    }
}

#[tokio::test]
async fn a_contract_is_recorded_pinned_and_its_change_is_drift() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reporting.toml");
    let contract = "client = \"Reporting_Engine\"\ncalls = [\"GET /api/v2/routing/queues/{queueId}\"]\n";
    std::fs::write(&file, contract).unwrap();
    let mut org =
        Harness::with(story(), &format!("contracts = {:?}", folder.path().display().to_string())).await;
    let first = org.audit().await;
    let exceeded = |report: &scopewarden::audit::Report| {
        report.findings.iter().filter(|finding| finding.check == "contract-exceeded").count()
    };
    assert_eq!(exceeded(&first), 1, "it holds more than that one permission");
    let id = {
        let snapshot = snapshot(&org).await;
        let pinned: Vec<&Contract> = snapshot.contracts.values().collect();
        assert_eq!(pinned.len(), 1);
        pinned[0].pinned.clone().unwrap().to_string()
    };
    assert!(org.audit().await.events.is_empty());

    // Somebody renames the client, and another one takes the name: the contract stays where it was.
    let record = org.admin("GET", &format!("/api/v2/oauth/clients/{id}"), None).await;
    let mut renamed = record.clone();
    renamed["name"] = json!("Reporting_Engine_old");
    org.admin("PUT", &format!("/api/v2/oauth/clients/{id}"), Some(renamed)).await;
    let mut other = record.clone();
    other.as_object_mut().unwrap().remove("id");
    org.admin("POST", "/api/v2/oauth/clients", Some(other)).await;
    let report = org.audit().await;
    let named: Vec<_> = report.findings.iter().filter(|finding| finding.check == "contract-client").collect();
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].client.id.as_str(), id);
    assert_eq!(snapshot(&org).await.contracts.keys().collect::<Vec<_>>(), [&id]);
    assert!(org.store.verify("acme").await.unwrap().is_consistent());
}
