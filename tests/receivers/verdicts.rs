//! What each vendor's answer means for the message and for the receiver.

use scopewarden::store::OutboxState;

use crate::{
    vendors::{Mishap, Server, Vendor},
    world::{World, messages},
};

/// What becomes of the message that met the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It waits for another try.
    Waits,
    /// It is dead; the receiver gets the others.
    Dead,
    /// It is dead, and the receiver gets nothing more.
    Disabled,
}

const ROUTING: &str =
    r#"{"status":"invalid event","message":"Event object is invalid","errors":["Invalid routing key"]}"#;
const INVALID: &str = r#"{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'summary' is too long"]}"#;

async fn fate(vendor: Vendor, answer: (u16, &'static str)) -> Fate {
    let server = Server::start(vendor).await;
    server.expect([Mishap::Answers(answer.0, "", answer.1)]);
    let mut world = World::new(vendor, &server.origin).await;
    world.promise(messages().split_off(2)).await;
    // One round: the first failure of the receiver ends it.
    world.live(1).await;
    let states = world.states().await;
    let count = |state: OutboxState| states.values().filter(|one| **one == state).count();
    let dead = count(OutboxState::Dead);
    match (
        dead,
        count(OutboxState::Delivered),
        world.metrics.render().contains("circuit_open{receiver=\"ops\"} 1"),
    ) {
        (0, 0, true) => Fate::Waits,
        (1, 3, false) => Fate::Dead,
        (1, 0, true) => {
            world.live(50).await;
            assert_eq!(server.requests(), 1, "{vendor:?} {answer:?}: it is asked again");
            Fate::Disabled
        }
        other => panic!("{vendor:?} {answer:?}: {other:?} {states:?}"),
    }
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    use Vendor::{PagerDuty, Slack, Teams, Webhook};
    let table = [
        (Slack, (200, "<html>please sign in</html>"), Fate::Waits),
        (Slack, (400, "invalid_payload"), Fate::Dead),
        (Slack, (400, "no_text"), Fate::Dead),
        // Nor is its 400.
        (Slack, (400, "<html>Bad Request</html>"), Fate::Waits),
        (Slack, (413, ""), Fate::Dead),
        (Slack, (403, "invalid_token"), Fate::Disabled),
        (Slack, (404, "no_service"), Fate::Disabled),
        (Slack, (404, "channel_not_found\n"), Fate::Disabled),
        (Slack, (410, "channel_is_archived"), Fate::Disabled),
        (Slack, (410, ""), Fate::Disabled),
        // A proxy's 404 is no word of Slack's.
        (Slack, (404, "not found"), Fate::Waits),
        (Slack, (429, "rate_limited"), Fate::Waits),
        (Slack, (500, "rollup_error"), Fate::Waits),
        (Slack, (302, ""), Fate::Waits),
        (Teams, (400, "InvalidRequestContent"), Fate::Waits),
        (Teams, (401, "DirectApiAuthorizationRequired"), Fate::Waits),
        (Teams, (404, "WorkflowNotFound"), Fate::Waits),
        (Teams, (410, ""), Fate::Disabled),
        (Teams, (413, ""), Fate::Dead),
        (Teams, (429, ""), Fate::Waits),
        (Teams, (502, "NoResponse"), Fate::Waits),
        (PagerDuty, (200, "<html>please sign in</html>"), Fate::Waits),
        (PagerDuty, (400, INVALID), Fate::Dead),
        (PagerDuty, (400, ROUTING), Fate::Waits),
        (PagerDuty, (400, "<html>Bad Request</html>"), Fate::Waits),
        (PagerDuty, (413, ""), Fate::Dead),
        (PagerDuty, (404, ""), Fate::Waits),
        (PagerDuty, (429, ""), Fate::Waits),
        (PagerDuty, (500, ""), Fate::Waits),
        (Webhook, (410, ""), Fate::Disabled),
        (Webhook, (404, ""), Fate::Waits),
        (Webhook, (413, ""), Fate::Waits),
    ];
    let fates = table.map(|(vendor, answer, want)| {
        let found = tokio::spawn(fate(vendor, answer));
        async move { (vendor, answer, want, found.await.unwrap()) }
    });
    for fate in fates {
        let (vendor, answer, want, found) = fate.await;
        assert_eq!(found, want, "{vendor:?} {answer:?}");
    }
}

#[tokio::test]
async fn a_payload_that_is_refused_for_good_dies_alone() {
    for vendor in Vendor::ALL {
        let server = Server::start(vendor).await;
        let mut world = World::new(vendor, &server.origin).await;
        server.expect([Mishap::Answers(413, "", "")]);
        world.promise(messages()).await;
        world.live(60).await;
        let states = world.states().await;
        let count = |state: OutboxState| states.values().filter(|one| **one == state).count();
        // To a webhook one refusal proves nothing, and at the second try it is taken.
        let dead = usize::from(vendor != Vendor::Webhook);
        let want = (dead, messages().len() - dead);
        assert_eq!((count(OutboxState::Dead), count(OutboxState::Delivered)), want, "{vendor:?}");
    }
}
