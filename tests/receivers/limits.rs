//! Whatever goes wrong: nothing is lost, nothing is repeated under another id, no limit is passed.

use std::collections::{BTreeMap, BTreeSet};

use scopewarden::store::OutboxState;

use crate::{
    vendors::{Mishap, Server, Taken, Vendor},
    world::{World, messages},
};

/// What each vendor knows the messages by.
fn keys(vendor: Vendor) -> BTreeSet<String> {
    if vendor == Vendor::PagerDuty {
        let uid = format!("{:024x}", 0);
        let group = messages()[0].id.clone();
        return [
            format!("trigger {group}"),
            format!("resolve {uid}"),
            "trigger audit:acme".to_owned(),
            "resolve audit:acme".to_owned(),
            "resolve overdue:acme".to_owned(),
            "trigger drift:evt-1".to_owned(),
            "trigger msg-heartbeat".to_owned(),
        ]
        .into();
    }
    messages().into_iter().map(|message| message.id).collect()
}

/// Lives through `mishaps`; leaves what was taken.
async fn through(vendor: Vendor, mishaps: Vec<Mishap>) -> Vec<Taken> {
    let server = Server::start(vendor).await;
    server.expect(mishaps.clone());
    let mut world = World::new(vendor, &server.origin).await;
    world.promise(messages()).await;
    world.live(60).await;
    let states = world.states().await;
    assert_eq!(states.len(), messages().len());
    for (id, state) in &states {
        assert_eq!(
            *state,
            OutboxState::Delivered,
            "{vendor:?} {id} after {mishaps:?}: {:?}",
            server.complaints()
        );
    }
    let taken = server.taken();
    let taken_keys: BTreeSet<String> = taken.iter().map(|one| one.key.clone()).collect();
    assert_eq!(taken_keys, keys(vendor), "{vendor:?} after {mishaps:?}");
    assert_eq!(server.complaints(), Vec::<String>::new(), "{vendor:?}");
    taken
}

/// Whatever was taken more than once was the same each time.
fn repeated(taken: &[Taken]) -> usize {
    let mut bodies: BTreeMap<&str, BTreeSet<&[u8]>> = BTreeMap::new();
    for one in taken {
        bodies.entry(&one.key).or_default().insert(&one.body);
    }
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "one key, two contents");
    taken.len() - bodies.len()
}

#[tokio::test]
async fn every_kind_of_message_is_taken_once_within_the_limits() {
    for vendor in Vendor::ALL {
        assert_eq!(repeated(&through(vendor, Vec::new()).await), 0, "{vendor:?}");
    }
}

#[tokio::test]
async fn trouble_delays_and_loses_nothing() {
    let trouble = vec![
        Mishap::Answers(429, "retry-after: 7\r\n", "rate_limited"),
        Mishap::Answers(503, "", "canary"),
        Mishap::Resets,
        Mishap::Answers(307, "location: http://127.0.0.1:1/\r\n", ""),
        Mishap::Answers(500, "", ""),
        Mishap::Answers(408, "", ""),
    ];
    for vendor in Vendor::ALL {
        assert_eq!(repeated(&through(vendor, trouble.clone()).await), 0, "{vendor:?}");
    }
}

#[tokio::test]
async fn what_was_taken_without_an_answer_comes_again_under_the_same_id() {
    for vendor in Vendor::ALL {
        let taken = through(vendor, vec![Mishap::TakenButReset]).await;
        assert_eq!(repeated(&taken), 1, "{vendor:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_nobody_for_long() {
    let lives = Vendor::ALL.map(|vendor| tokio::spawn(through(vendor, vec![Mishap::Hangs])));
    for life in lives {
        assert_eq!(repeated(&life.await.unwrap()), 0);
    }
}
