//! The auditor's role that `deploy/genesys/` ships: enough for a complete audit, and nothing in it is too much.

use std::{fs, path::Path, sync::Arc, time::Duration};

use scopewarden::{
    audit::{Auditor, Error, Report},
    domain::inventory::OwnGrants,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::harness::{Harness, story};

fn shipped() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/genesys/auditor-role.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Creates `role` and a client that holds it and nothing else, as the guide says, and audits with that client.
async fn audit_as(org: &Harness, role: &Value) -> Result<Report, Error> {
    let role = org.admin("POST", "/api/v2/authorization/roles", Some(role.clone())).await;
    let client = json!({
        "name": "scopewarden",
        "authorizedGrantType": "CLIENT-CREDENTIALS",
        "roleDivisions": [{ "roleId": role["id"], "divisionId": "*" }],
    });
    let client = org.admin("POST", "/api/v2/oauth/clients", Some(client)).await;
    let mut who = org.config.orgs[0].clone();
    client["id"].as_str().unwrap().clone_into(&mut who.client_id);
    who.client_secret = SecretString::from(client["secret"].as_str().unwrap()).into();
    let mut auditor = Auditor::new(&org.config, &who, org.store.clone(), Arc::clone(&org.metrics)).unwrap();
    auditor.audit(Duration::from_mins(1), &|_| {}, "2026-11-24T12:00:00Z".parse().unwrap()).await
}

#[tokio::test]
async fn with_the_shipped_role_an_audit_sees_everything() {
    let org = Harness::start(story()).await;
    let report = audit_as(&org, &shipped()).await.unwrap();
    assert!(report.complete && report.gaps.is_empty(), "{:?}", report.gaps);
    assert!(report.clients > 2, "{}", report.clients);
}

#[tokio::test]
async fn without_any_one_of_its_permissions_it_does_not() {
    let role = shipped();
    let policies = role["permissionPolicies"].as_array().unwrap();
    assert!(!policies.is_empty() && role["permissions"] == json!([]), "{role}");
    for (index, taken) in policies.iter().enumerate() {
        assert_eq!(taken["actionSet"], json!(["view"]), "one permission a policy, and it only reads");
        let mut less = role.clone();
        less["permissionPolicies"].as_array_mut().unwrap().remove(index);
        let org = Harness::start(story()).await;
        let part = |name: &str| taken[name].as_str().unwrap();
        let permission = format!("{}:{}:view", part("domain"), part("entityName"));
        let audited = audit_as(&org, &less).await;
        if OwnGrants::NEEDS.iter().any(|need| need.permission == permission && !need.required) {
            let gaps = audited.unwrap().gaps;
            assert_eq!(gaps.len(), 1, "without {permission}: {gaps:?}");
            assert!(gaps[0].detail.contains(&permission), "the gap names {permission}: {gaps:?}");
            continue;
        }
        let error = audited.unwrap_err();
        assert_eq!(error.reason(), "forbidden", "without {taken}: {error}");
        assert!(error.to_string().contains(&permission), "the message names {permission}: {error}");
    }
}
