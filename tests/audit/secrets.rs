//! No secret leaves the request that needs it: not into the database, the metrics, the messages or an error.

use serde_json::json;

use crate::harness::{Harness, WEBHOOK_SECRET, story};

#[tokio::test]
async fn nothing_that_is_kept_or_shown_holds_a_secret() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    org.give("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let report = org.audit().await;
    org.faults(json!([{ "match": "GET /api/v2/oauth/clients", "kind": "wrong_type", "count": -1 }])).await;
    let error = org.try_audit().await.unwrap_err();

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
