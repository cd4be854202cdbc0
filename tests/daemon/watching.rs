//! What the watchman tells beside the audits: a receiver that is gone, and that the daemon lives.

use crate::{
    live::{receiver::Receiver, within},
    stage::{LIMIT, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_told_to_the_other_and_heartbeats_come_to_who_asks() {
    let stage = Stage::set().await;
    let other = Receiver::start("other").await;
    let sections = format!(
        "[alerts]\nheartbeat = \"* * * * * *\"\n{}{}heartbeat = true\n",
        stage.usual(),
        other.section()
    );
    stage.home.configure("", &sections);
    // It is gone, and says so of the first alert that it gets.
    stage.receiver.answer_with(410);
    let mut daemon = stage.home.start();
    daemon.url().await;
    let of_type = |receiver: &Receiver, kind: &str| {
        let alerts = receiver.alerts();
        alerts.into_iter().map(|alert| alert.json()).filter(|alert| alert["type"] == kind).collect::<Vec<_>>()
    };
    let dead =
        within("the news of the dead alert", LIMIT, async || of_type(&other, "delivery.dead").pop()).await;
    assert_eq!(dead["data"]["receiver"], stage.receiver.name);
    assert_eq!(dead["data"]["by_type"], serde_json::json!({ "baseline.recorded": 1 }));
    assert_eq!(dead["data"]["by_reason"], serde_json::json!({ "gone": 1 }));

    let beat = within("a heartbeat", LIMIT, async || of_type(&other, "heartbeat").pop()).await;
    assert_eq!(beat["data"]["orgs"][0]["org"], "acme");
    assert!(beat["data"]["orgs"][0]["last_complete"].is_string(), "{beat}");
    assert!(of_type(&stage.receiver, "heartbeat").is_empty(), "nobody asked there");

    // A restart tells neither again.
    daemon.stop(LIMIT).await;
    let known = of_type(&other, "delivery.dead").len();
    let beats = of_type(&other, "heartbeat").len();
    let mut daemon = stage.home.start();
    daemon.url().await;
    within("another heartbeat", LIMIT, async || (of_type(&other, "heartbeat").len() > beats).then_some(()))
        .await;
    assert_eq!(of_type(&other, "delivery.dead").len(), known);
    daemon.stop(LIMIT).await;
}
