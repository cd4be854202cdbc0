//! The record of probes: what is kept, what is bounded, and what only a person lifts.

use super::{Audit, at, snapshot, store};
use crate::{
    domain::{
        ClientId, Severity,
        finding::ClientRef,
        probe::{Expectation, Observation, Origin, Prediction, Verdict},
    },
    store::{Extent, Store},
};

const FLOW: &str = "DELETE /api/v2/flows/{flowId}";
const USER: &str = "DELETE /api/v2/users/{userId}";

async fn audited() -> (tempfile::TempDir, Store) {
    let (folder, store) = store().await;
    Audit::new(0, &snapshot(&["c1", "c2"])).record(&store).await.unwrap();
    (folder, store)
}

fn answered(client: &str, operation: &str, status: u16, verdict: Verdict, seconds: i64) -> Observation {
    Observation {
        org: "acme".to_owned(),
        client: ClientRef { id: client.into(), name: format!("Client {client}") },
        operation: operation.to_owned(),
        expectation: Expectation::Deny,
        origin: Origin::Restricted,
        sent: verdict != Verdict::NotSent,
        status: (verdict != Verdict::NotSent).then_some(status),
        code: None,
        verdict,
        permissions: vec!["architect:flow:delete".to_owned()],
        predicted: Prediction::Refused,
        safe_because: Some("Nothing has the id.".to_owned()),
        severity: (verdict == Verdict::NotRefused).then_some(Severity::Critical),
        mismatch: false,
        unexplained: false,
        silence: None,
        explanation: "It was so.".to_owned(),
        at: at(seconds),
    }
}

#[tokio::test]
async fn what_was_proven_stays_through_attempts_that_prove_nothing() {
    let (_folder, store) = audited().await;
    let refused = answered("c1", FLOW, 403, Verdict::Refused, 10);
    for (run, one) in [
        ("1", refused.clone()),
        ("2", answered("c1", FLOW, 503, Verdict::Inconclusive, 20)),
        ("3", answered("c1", FLOW, 0, Verdict::NotSent, 30)),
    ] {
        store.record_probe(run, &one).await.unwrap();
    }
    let [standing] = &store.probe_standings("acme").await.unwrap()[..] else { panic!("one probe") };
    assert_eq!(standing.proven.as_ref(), Some(&refused));
    assert_eq!((standing.since, standing.inconclusive), (Some(at(10)), 1));
    assert_eq!(standing.latest.verdict, Verdict::NotSent);
    let tried = store.probes_tried("acme", &"c1".into()).await.unwrap();
    assert_eq!(tried[&(FLOW.to_owned(), Expectation::Deny)], at(20), "what was not sent was not tried");
    let answers = store.probe_answers("acme", Some("Client c1"), 10).await.unwrap();
    assert_eq!(store.probe_answers("acme", Some("c1"), 10).await.unwrap(), answers);
    assert!(store.probe_answers("acme", Some("c2"), 10).await.unwrap().is_empty());
    assert_eq!(answers.iter().map(|one| one.status).collect::<Vec<_>>(), [Some(503), Some(403)]);
    // Another organisation has none of it.
    assert!(store.probe_standings("globex").await.unwrap().is_empty());
    assert!(store.record_probe("1", &Observation { org: "globex".to_owned(), ..refused }).await.is_err());
}

#[tokio::test]
async fn a_2xx_blocks_the_operation_until_it_is_cleared() {
    let (_folder, store) = audited().await;
    store.record_probe("1", &answered("c1", FLOW, 204, Verdict::NotRefused, 10)).await.unwrap();
    store.record_probe("1", &answered("c1", USER, 404, Verdict::NotRefused, 11)).await.unwrap();
    let positive = Observation {
        expectation: Expectation::Allow,
        ..answered("c1", "GET /api/v2/users", 200, Verdict::Allowed, 12)
    };
    store.record_probe("1", &positive).await.unwrap();
    let blocks = store.probe_blocks("acme").await.unwrap();
    assert_eq!(blocks.into_iter().collect::<Vec<_>>(), [(FLOW.to_owned(), at(10))]);
    // Neither a later run nor the end of one lifts it.
    store.record_probe("2", &answered("c1", FLOW, 403, Verdict::Refused, 20)).await.unwrap();
    store.end_probe_run("acme", "3", &[], Extent::All, at(30)).await.unwrap();
    assert_eq!(store.probe_blocks("acme").await.unwrap().len(), 1);
    assert!(!store.clear_probe_block("globex", FLOW).await.unwrap());
    assert!(store.clear_probe_block("acme", FLOW).await.unwrap());
    assert!(store.probe_blocks("acme").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_end_of_a_run_takes_out_what_it_did_not_plan() {
    let (_folder, store) = audited().await;
    for (client, operation) in [("c1", FLOW), ("c1", USER), ("c2", FLOW)] {
        store.record_probe("1", &answered(client, operation, 403, Verdict::Refused, 10)).await.unwrap();
    }
    let c1: ClientId = "c1".into();
    let standing = async || {
        let all = store.probe_standings("acme").await.unwrap();
        all.into_iter()
            .map(|one| (one.latest.client.id.to_string(), one.latest.operation))
            .collect::<Vec<_>>()
    };
    store.record_probe("2", &answered("c1", FLOW, 403, Verdict::Refused, 20)).await.unwrap();
    // Of one client alone: the others stand.
    store.end_probe_run("acme", "2", std::slice::from_ref(&c1), Extent::One, at(20)).await.unwrap();
    assert_eq!(standing().await, [("c1".to_owned(), FLOW.to_owned()), ("c2".to_owned(), FLOW.to_owned())]);
    assert_eq!(store.last_probe_run("acme").await.unwrap(), None);
    // Somebody that is configured could not be told: the others stand, and the schedule had its run.
    store.end_probe_run("acme", "2", std::slice::from_ref(&c1), Extent::Most, at(21)).await.unwrap();
    assert_eq!(standing().await.len(), 2);
    assert_eq!(store.last_probe_run("acme").await.unwrap(), Some(at(21)));
    store.end_probe_run("acme", "2", &[c1], Extent::All, at(22)).await.unwrap();
    assert_eq!(standing().await, [("c1".to_owned(), FLOW.to_owned())]);
    assert_eq!(store.last_probe_run("acme").await.unwrap(), Some(at(22)));
}

#[tokio::test]
async fn requests_are_counted_by_day_and_status_and_everything_is_bounded() {
    let (_folder, store) = audited().await;
    for seconds in 0..60 {
        store.record_probe("1", &answered("c1", FLOW, 403, Verdict::Refused, seconds)).await.unwrap();
    }
    store.note_sent("acme", &"c1".into(), "GET /api/v2/tokens/me", Some(200), at(5)).await.unwrap();
    store.note_sent("acme", &"c1".into(), FLOW, None, at(5)).await.unwrap();
    assert_eq!(store.probe_answers("acme", None, 1_000).await.unwrap().len(), 50);
    let sent = store.probes_sent("acme", at(0), at(60)).await.unwrap();
    let rows: Vec<_> = sent
        .iter()
        .map(|row| (row.method.as_str(), row.template.as_str(), row.status_class, row.count))
        .collect();
    assert_eq!(
        rows,
        [
            ("DELETE", "/api/v2/flows/{flowId}", 0, 1),
            ("DELETE", "/api/v2/flows/{flowId}", 4, 60),
            ("GET", "/api/v2/tokens/me", 2, 1),
        ]
    );
    let day = 86_400;
    assert!(store.probes_sent("acme", at(2 * day), at(9 * day)).await.unwrap().is_empty());
    store.end_probe_run("acme", "2", &["c1".into()], Extent::All, at(399 * day)).await.unwrap();
    assert_eq!(store.probes_sent("acme", at(0), at(0)).await.unwrap().len(), 3);
    store.end_probe_run("acme", "2", &["c1".into()], Extent::Most, at(402 * day)).await.unwrap();
    assert!(store.probes_sent("acme", at(0), at(0)).await.unwrap().is_empty());
}
