//! Two opinions on one question: for every operation and client, the simulator (asked with a real token) refuses
//! exactly what `access` says is not granted.

use scopewarden::{
    domain::{access::Access, catalogue::Operations},
    simulator::Options,
};
use serde_json::{Value, json};

use crate::harness::Harness;

/// A path with a fresh id in each place.
pub(crate) fn concrete(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "7b0c8d5e-9f3a-4a51-8a5e-3f0e6d1c2b4a" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

async fn compare(options: Options, enforcement: &str, expanded: bool) {
    let seed = options.seed;
    let mut org = Harness::with(options, &format!("scope_enforcement = \"{enforcement}\"")).await;
    org.settings(json!({ "expand_wildcards": expanded })).await;
    let report = org.audit().await;
    // From here on the auditor is not asked any more, so it may be refused too.
    let enforced = if enforcement == "unknown" { "off" } else { enforcement };
    org.settings(json!({ "scope_enforcement": enforced })).await;
    let past = org.store.snapshot_at("acme", None).await.unwrap().unwrap();
    let access = Access::new(&past.snapshot);
    let (mut granted, mut refused) = (0, 0);
    for (id, name, secret) in org.clients().await {
        let client = &past.snapshot.clients[id.as_str()];
        let shown = serde_json::to_value(access.report("acme", client, true, report.at)).unwrap();
        if shown["authority"] != "roles" || client.state.as_str() != "active" {
            continue;
        }
        let token = org.token_of(&id, &secret).await;
        let list = shown["operations"].as_array().unwrap();
        assert_eq!(list.len(), Operations::compiled_in().len());
        for (operation, told) in Operations::compiled_in().iter().zip(list) {
            if &*operation.name == "DELETE /api/v2/tokens/me" {
                continue; // would end the token under test
            }
            // Nothing that could create an object: an empty list is no valid body of any operation.
            let body = matches!(operation.method(), "POST" | "PUT" | "PATCH").then(|| json!([]));
            let (status, answer) =
                org.call(&token, operation.method(), &concrete(operation.path()), body.as_ref()).await;
            assert_ne!(status, 401, "{name}: {}", operation.name);
            let hidden = enforcement == "all-grants" && told["in_scope"] == false;
            let expected = told["granted"] == Value::Bool(false) || hidden;
            assert_eq!(
                status == 403,
                expected,
                "seed {seed}, {enforcement}, {name}: {} is told {told}, answered {status} {answer}",
                operation.name
            );
            if expected { refused += 1 } else { granted += 1 }
        }
    }
    assert!(granted > 1_000 && refused > 1_000, "{granted} granted, {refused} refused");
}

#[tokio::test]
async fn random_organisations_with_scopes_off() {
    compare(Options { clients: 7, roles: 9, seed: 11, ..Options::default() }, "off", false).await;
}

#[tokio::test]
async fn random_organisations_with_wildcards_shown_expanded() {
    compare(Options { clients: 6, roles: 9, seed: 12, ..Options::default() }, "unknown", true).await;
}

#[tokio::test]
async fn random_organisations_with_scopes_enforced_for_every_grant() {
    compare(Options { clients: 7, roles: 9, seed: 13, ..Options::default() }, "all-grants", false).await;
}
