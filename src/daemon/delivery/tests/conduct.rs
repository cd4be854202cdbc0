//! What a courier makes of a receiver: outages, refusals, stumbling blocks.

use std::collections::BTreeSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_for_eighty_hours_gets_ten_thousand_messages_in_order() {
    const MESSAGES: usize = 10_000;
    const SHARED: usize = 1_000;
    const KEYS: usize = 700;
    let world = World::new().await;
    let (down, mut to_down) = world.receiver("ops").await;
    let (up, mut to_up) = world.receiver("sec").await;
    down.answers(503);
    let id = |n: usize| format!("m{n:05}");
    let promised = |n: usize| (id(n), format!("k{}", n % KEYS));
    world.promise((0..SHARED).map(promised), &["ops", "sec"]).await;
    world.promise((SHARED..MESSAGES).map(promised), &["ops"]).await;

    // The other receiver gets its own, whatever happens to the first.
    world.live(&mut to_up, TimeDelta::minutes(10)).await;
    assert_eq!(up.accepted(), (0..SHARED).map(id).collect::<Vec<_>>());
    assert!(world.passed() < TimeDelta::minutes(2), "{}", world.passed());

    let outage = TimeDelta::hours(80);
    world.live(&mut to_down, outage).await;
    let during = down.attempts();
    assert!(world.passed() >= outage && world.circuit());
    // One for each rest: 15 minutes less up to a fifth, and four shorter ones.
    assert!((320..=80 * 5 + 5).contains(&during), "{during} attempts");
    assert_eq!(world.count("ops", OutboxState::Pending).await, MESSAGES, "nothing is lost");

    down.answers(0);
    let back = world.passed();
    while world.store.outbox_counts().await.unwrap().contains_key("ops") {
        world.live(&mut to_down, TimeDelta::hours(1)).await;
    }
    let took = world.passed() - back;
    assert!(took < TimeDelta::minutes(5), "the rest that was begun, and the deliveries: {took}");
    assert!(!world.circuit());
    let accepted = down.accepted();
    assert_eq!(accepted.len(), MESSAGES, "each exactly once");
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for id in &accepted {
        let number: usize = id[1..].parse().unwrap();
        let before = last.insert(number % KEYS, number);
        assert!(before.is_none_or(|before| before < number), "{id} came after {before:?}");
    }
    assert_eq!(accepted.iter().collect::<BTreeSet<_>>().len(), MESSAGES);
    // Every attempt of a message had its bytes, and the moment at which it was made.
    let mut before = 0;
    for (id, signed, body, _) in down.requests.lock().unwrap().iter() {
        assert_eq!(body, format!("{{\"id\":\"{id}\"}}").as_bytes());
        assert!(*signed >= before, "signed in the past");
        before = *signed;
    }
    assert!(before - start().timestamp() > 80 * 3600);
}

#[tokio::test]
async fn messages_that_are_refused_for_what_they_say_die_soon_and_hold_nobody_up() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.unless.lock().unwrap().extend([("\"m0\"", 400), ("\"m2\"", 413), ("\"m3\"", 422)]);
    world.promise(each(6), &["ops"]).await;
    while seen.accepted().len() < 3 {
        world.live(&mut courier, TimeDelta::seconds(1)).await;
    }
    assert!(
        world.passed() < TimeDelta::minutes(1),
        "the others wait for two short rests: {}",
        world.passed()
    );
    assert_eq!(seen.accepted(), ["m1", "m4", "m5"]);
    world.pass(TimeDelta::minutes(2));
    world.live(&mut courier, TimeDelta::minutes(2)).await;
    assert_eq!(world.count("ops", OutboxState::Dead).await, 3);
    assert_eq!((seen.attempts(), world.circuit()), (3 + 3 * 2, false), "each of them was refused twice");
    let dead = &world.store.outbox(None, Some(OutboxState::Dead), 1).await.unwrap()[0];
    assert!(dead.detail.as_deref().unwrap().contains("2 attempts; it takes other messages"), "{dead:?}");
}

#[tokio::test]
async fn the_first_refusals_of_an_outage_kill_nothing() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    world.promise(each(1), &["ops"]).await;
    world.live(&mut courier, TimeDelta::minutes(1)).await;
    assert_eq!(seen.accepted(), ["m0"], "it is well");
    seen.answers(400);
    world.promise((1..9).map(|n| (format!("m{n}"), format!("k{n}"))), &["ops"]).await;
    let mut rests = Vec::new();
    for _ in 0..6 {
        let Next::At(until) = world.round(&mut courier).await.next else { panic!("it does not rest") };
        rests.push((until - world.now()).num_seconds());
        world.pass(until - world.now());
    }
    assert!(
        rests[..5].is_sorted() && rests[0] < 5 && rests[5] >= 700,
        "each trial lengthens the rest: {rests:?}"
    );
    seen.answers(0);
    world.live(&mut courier, TimeDelta::hours(1)).await;
    assert_eq!(world.count("ops", OutboxState::Delivered).await, 9);
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_for_hours_kills_nothing() {
    for status in [400, 401, 403, 404, 405, 413, 422, 451] {
        let world = World::new().await;
        let (seen, mut courier) = world.receiver("ops").await;
        seen.answers(status);
        world.promise(each(40), &["ops"]).await;
        world.live(&mut courier, TimeDelta::hours(6)).await;
        assert_eq!(world.count("ops", OutboxState::Pending).await, 40, "{status}");
        assert!((24..=35).contains(&seen.attempts()), "{status}: {} attempts", seen.attempts());
        // A restart changes nothing, and neither does the next.
        for _ in 0..3 {
            courier = Courier::new(world.store.clone(), courier.receiver.clone(), Arc::clone(&world.metrics));
            world.round(&mut courier).await;
        }
        assert_eq!(world.count("ops", OutboxState::Dead).await, 0, "{status}");
        seen.answers(0);
        world.live(&mut courier, TimeDelta::hours(1)).await;
        assert_eq!(world.count("ops", OutboxState::Delivered).await, 40, "{status}");
    }
}

#[tokio::test]
async fn one_message_that_is_refused_by_a_receiver_that_is_well_dies_and_holds_nobody() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.unless.lock().unwrap().insert("\"m0\"", 403);
    world.promise(each(30), &["ops"]).await;
    world.live(&mut courier, TimeDelta::minutes(30)).await;
    assert_eq!(
        world.count("ops", OutboxState::Delivered).await,
        29,
        "the others are there within half an hour"
    );
    assert_eq!(world.count("ops", OutboxState::Dead).await, 1);
    let dead = &world.store.outbox(None, Some(OutboxState::Dead), 1).await.unwrap()[0];
    let detail = dead.detail.as_deref().unwrap();
    assert!(detail.contains("403") && detail.contains("it takes other messages"), "{detail}");
    assert!(!world.circuit());
}

#[tokio::test]
async fn messages_that_a_receiver_stumbles_over_do_not_stop_the_others() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.unless.lock().unwrap().extend([("\"m0\"", 500), ("\"m1\"", 500)]);
    world.promise(each(30), &["ops"]).await;
    world.live(&mut courier, TimeDelta::hours(2)).await;
    assert_eq!(world.count("ops", OutboxState::Delivered).await, 28);
    assert_eq!(world.count("ops", OutboxState::Pending).await, 2, "the receiver may learn to take them");
    let before = seen.attempts();
    for _ in 0..24 {
        world.pass(TimeDelta::hours(1));
        world.live(&mut courier, TimeDelta::minutes(1)).await;
    }
    let a_day = seen.attempts() - before;
    assert!((24..=150).contains(&a_day), "{a_day} attempts in a day");
}

#[tokio::test]
async fn what_the_receiver_asks_for_is_heeded_up_to_an_hour() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.answers(429);
    *seen.asks.lock().unwrap() = Some("7777");
    world.promise(each(1), &["ops"]).await;
    let Next::At(until) = world.round(&mut courier).await.next else { panic!("it does not rest") };
    let rest = until - world.now();
    assert!((TimeDelta::minutes(59)..=TimeDelta::minutes(60)).contains(&rest), "{rest}");
    world.promise([("later".to_owned(), "k".to_owned())], &["ops"]).await;
    assert_eq!(world.round(&mut courier).await.next, Next::At(until), "a new message does not end the rest");
    assert_eq!(seen.attempts(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_nothing_until_a_person_acts() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.answers(410);
    world.promise(each(3), &["ops"]).await;
    assert_eq!(world.round(&mut courier).await.next, Next::WhenAsked);
    seen.answers(0);
    world.pass(TimeDelta::days(1));
    assert_eq!(world.round(&mut courier).await.next, Next::WhenAsked);
    assert_eq!((seen.attempts(), world.circuit()), (1, true));
    assert_eq!(world.count("ops", OutboxState::Dead).await, 1);
    assert_eq!(world.count("ops", OutboxState::Pending).await, 2, "the others pile up, visibly");

    assert_eq!(world.store.outbox_retry(&Which::Dead, None, world.now()).await.unwrap(), 1);
    world.live(&mut courier, TimeDelta::minutes(1)).await;
    assert_eq!(seen.accepted(), ["m0", "m1", "m2"]);
    assert!(!world.circuit());
}

#[tokio::test]
async fn a_retry_by_hand_ends_a_rest() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.answers(503);
    world.promise(each(2), &["ops"]).await;
    let Next::At(_) = world.round(&mut courier).await.next else { panic!("it does not rest") };
    seen.answers(0);
    let Next::At(rest) = world.round(&mut courier).await.next else { panic!("it does not rest") };
    let one = Which::Ids(vec!["m0".to_owned()]);
    assert_eq!(world.store.outbox_retry(&one, None, world.now()).await.unwrap(), 1);
    world.live(&mut courier, TimeDelta::seconds(1)).await;
    assert!(world.now() < rest, "the rest was over before its time");
    assert_eq!(seen.accepted(), ["m0", "m1"]);
}

#[tokio::test]
async fn a_retry_by_hand_is_heard_though_the_clock_was_set_back() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    world.pass(TimeDelta::days(1));
    seen.answers(410);
    world.promise(each(2), &["ops"]).await;
    assert_eq!(world.round(&mut courier).await.next, Next::WhenAsked);
    // Asked again, refused again: what waits is dated by a clock that runs ahead.
    world.store.outbox_retry(&Which::Undelivered, None, world.now()).await.unwrap();
    assert_eq!(world.round(&mut courier).await.next, Next::WhenAsked);
    world.pass(TimeDelta::days(-1));
    for _ in 0..3 {
        assert_eq!(world.round(&mut courier).await.next, Next::WhenAsked);
    }
    assert_eq!(seen.attempts(), 2, "nobody asked since");
    seen.answers(0);
    world.store.outbox_retry(&Which::Undelivered, None, world.now()).await.unwrap();
    world.live(&mut courier, TimeDelta::minutes(1)).await;
    assert_eq!(seen.accepted(), ["m0", "m1"]);
}

#[tokio::test]
async fn a_new_process_tries_at_once_what_an_earlier_one_put_off_or_claimed() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.answers(500);
    world.promise(each(3), &["ops"]).await;
    world.live(&mut courier, TimeDelta::hours(2)).await;
    world.store.claim("ops", 2, world.now()).await.unwrap();
    seen.answers(0);
    let mut restarted =
        Courier::new(world.store.clone(), courier.receiver.clone(), Arc::clone(&world.metrics));
    assert_eq!(world.round(&mut restarted).await.flushed.delivered, 3);
}

#[tokio::test]
async fn what_was_not_delivered_in_a_week_is_given_up_tried_or_not() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.answers(503);
    world.promise(each(50), &["ops"]).await;
    world.live(&mut courier, TimeDelta::days(6)).await;
    assert_eq!(world.count("ops", OutboxState::Pending).await, 50);
    world.promise([("young".to_owned(), "k".to_owned())], &["ops"]).await;
    world.live(&mut courier, TimeDelta::hours(26)).await;
    assert_eq!(world.count("ops", OutboxState::Dead).await, 50);
    seen.answers(0);
    world.live(&mut courier, TimeDelta::hours(1)).await;
    assert_eq!(seen.accepted(), ["young"]);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_kept_and_nothing_is_sent_twice() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    world.promise(each(3), &["ops"]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.store.path());
    let raw = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let trigger = "CREATE TRIGGER full BEFORE UPDATE ON delivery WHEN new.state = 'delivered'
                   BEGIN SELECT RAISE(ABORT, 'no space'); END";
    sqlx::query(trigger).execute(&raw).await.unwrap();
    for _ in 0..3 {
        courier.round(&|| world.now(), &world.stop).await.unwrap_err();
    }
    assert_eq!(seen.accepted(), ["m0", "m1", "m2"], "the first round sent them, the others nothing");
    sqlx::query("DROP TRIGGER full").execute(&raw).await.unwrap();
    world.pass(TimeDelta::minutes(5));
    world.live(&mut courier, TimeDelta::minutes(1)).await;
    assert_eq!(seen.attempts(), 3);
    assert_eq!(world.count("ops", OutboxState::Delivered).await, 3);
}

#[tokio::test]
async fn what_cannot_be_claimed_is_not_sent() {
    let world = World::new().await;
    let (seen, courier) = world.receiver("ops").await;
    world.promise(each(3), &["ops"]).await;
    let read_only = Store::open_read_only(world.store.path()).await.unwrap();
    let mut courier = Courier::new(read_only, courier.receiver, Arc::clone(&world.metrics));
    let error = courier.round(&|| world.now(), &world.stop).await.unwrap_err();
    assert_eq!((error.reason(), seen.attempts()), ("permission", 0));
}
