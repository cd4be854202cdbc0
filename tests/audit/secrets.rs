//! No secret leaves the request that needs it: not into the database, the metrics, the messages or an error.

use std::os::unix::fs::PermissionsExt as _;

use scopewarden::{
    config::{Credential, ProbedClient},
    probe::{Declarations, Inspector},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Harness, WEBHOOK_SECRET, story};

#[tokio::test]
async fn nothing_that_is_kept_or_shown_holds_a_secret() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    org.give("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let report = org.audit().await;
    org.faults(json!([{ "match": "GET /api/v2/oauth/clients", "kind": "wrong_type", "count": -1 }])).await;
    let error = org.try_audit().await.unwrap_err();

    // The credentials of probed clients: every secret, and a token that somebody else keeps.
    let elsewhere = tempfile::tempdir().unwrap();
    let token_file = elsewhere.path().join("token");
    let admin = org.simulator.announcement().clone();
    let token = org.token_of(&admin.admin_client_id, &admin.admin_client_secret).await;
    std::fs::write(&token_file, &token).unwrap();
    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut probing = org.config.clone();
    probing.orgs[0].probes = (org.clients().await.into_iter())
        .map(|(id, _, secret)| {
            let is_admin = id == admin.admin_client_id;
            let credential = if is_admin {
                Credential::TokenFile(token_file.clone())
            } else {
                Credential::Secret(secret.into())
            };
            ProbedClient { client: id, credential }
        })
        .collect();
    let inspector = Inspector::new(&probing, &probing.orgs[0], org.store.clone(), org.metrics.clone());
    let declared = Declarations::new();
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let probed = inspector.run(None, &declared, &CancellationToken::new(), &|_| {}, now).await.unwrap();
    assert!(
        probed.observations.iter().any(|one| one.sent && one.client.id.as_str() == admin.admin_client_id)
    );
    let (plans, _) = inspector.plan(None, &declared).await.unwrap();
    let curl: Vec<String> = plans.iter().flat_map(|plan| plan.curl(&probing.orgs[0].api_url)).collect();
    assert!(curl.iter().all(|line| line.contains("Bearer $TOKEN")) && !curl.is_empty());

    let mut secrets: Vec<String> = org
        .clients()
        .await
        .into_iter()
        .map(|(_, _, secret)| secret)
        .filter(|secret| !secret.is_empty())
        .collect();
    secrets.push(org.simulator.announcement().client_secret.clone());
    secrets.push(WEBHOOK_SECRET.to_owned());
    secrets.push("url-canary".to_owned());
    secrets.push(token);
    assert!(secrets.len() > 10);

    let mut places = vec![
        ("the metrics".to_owned(), org.metrics.render()),
        ("the error".to_owned(), format!("{error} {error:?}")),
        ("the report".to_owned(), serde_json::to_string(&report).unwrap()),
        (
            "the configuration".to_owned(),
            format!("{:?} {}", org.config, scopewarden::config::describe(&org.config)),
        ),
        ("the auditor".to_owned(), format!("{:?}", org.auditor)),
        ("the probes".to_owned(), format!("{probed:?} {}", serde_json::to_string(&probed).unwrap())),
        ("the plan".to_owned(), format!("{plans:?} {}", curl.join("\n"))),
        (
            "the configuration of probes".to_owned(),
            format!("{probing:?} {inspector:?} {}", scopewarden::config::describe(&probing)),
        ),
    ];
    let database = org.database();
    for entry in std::fs::read_dir(org.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        // The configuration file holds the URL; everything beside it was written by the program.
        if path.extension().is_some_and(|kind| kind != "toml") {
            let bytes = std::fs::read(&path).unwrap();
            places.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    assert!(places.iter().any(|(name, text)| name.ends_with("-wal") && !text.is_empty()), "{database:?}");
    for (place, text) in &places {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret is in {place}");
        }
    }
}
