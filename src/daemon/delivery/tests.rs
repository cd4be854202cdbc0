//! Couriers at real sockets, with a real outbox and a clock that the test turns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU16, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::{
    config::{Receiver, SecretUrl},
    domain::{
        Severity,
        message::{Message, MessageKind},
    },
    store::{Failure, OutboxState, Which},
};

/// What one receiver saw, and how it answers.
#[derive(Default)]
struct Seen {
    /// The status to answer; 0: accept.
    status: AtomicU16,
    /// Answers some messages in another way, by a part of their body.
    unless: Mutex<BTreeMap<&'static str, u16>>,
    /// `Retry-After`, if any.
    asks: Mutex<Option<&'static str>>,
    /// Every request: id, signed second, body, status answered.
    requests: Mutex<Vec<(String, i64, Bytes, u16)>>,
}

impl Seen {
    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Ids of accepted requests, in order.
    fn accepted(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.3 == 200).map(|request| request.0.clone()).collect()
    }

    fn attempts(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn take(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let special =
        seen.unless.lock().unwrap().iter().find(|(part, _)| text.contains(**part)).map(|(_, status)| *status);
    let status = special.unwrap_or_else(|| match seen.status.load(Ordering::SeqCst) {
        0 => 200,
        status => status,
    });
    let signed = header("webhook-timestamp").parse().unwrap();
    seen.requests.lock().unwrap().push((header("webhook-id"), signed, body, status));
    let mut answer = HeaderMap::new();
    if let Some(asks) = *seen.asks.lock().unwrap() {
        answer.insert("retry-after", asks.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), answer)
}

/// An outbox in a file, and a clock.
struct World {
    store: Store,
    metrics: Arc<Metrics>,
    /// Milliseconds since [`start`]. Reading the clock takes one, as it does in life.
    clock: AtomicI64,
    stop: CancellationToken,
    _folder: TempDir,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("outbox.db")).await.unwrap();
        let metrics = Arc::new(Metrics::new());
        metrics.preset(&[], &["ops".to_owned(), "sec".to_owned()], &[]);
        let (clock, stop) = (AtomicI64::new(0), CancellationToken::new());
        Self { store, metrics, clock, stop, _folder: folder }
    }

    fn now(&self) -> DateTime<Utc> {
        start() + TimeDelta::milliseconds(self.clock.fetch_add(1, Ordering::SeqCst))
    }

    fn passed(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.clock.load(Ordering::SeqCst))
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.fetch_add(time.num_milliseconds(), Ordering::SeqCst);
    }

    /// A receiver at a socket of its own, and its courier.
    async fn receiver(&self, name: &str) -> (Arc<Seen>, Courier) {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (seen, self.courier(name, &url))
    }

    fn courier(&self, name: &str, url: &str) -> Courier {
        let receiver = Receiver {
            name: name.to_owned(),
            url: SecretUrl::new(Url::parse(url).unwrap()),
            secret: "whsec_Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0".to_owned().into(),
            min_severity: Severity::Info,
            deny_private: false,
        };
        let webhook = Arc::new(Webhook::new(&receiver).unwrap());
        Courier::new(self.store.clone(), webhook, Arc::clone(&self.metrics))
    }

    /// Promises messages `id` of an order key, in this order, to these receivers.
    async fn promise(&self, messages: impl IntoIterator<Item = (String, String)>, receivers: &[&str]) {
        let message = |(id, order_key): (String, String)| Message {
            body: format!("{{\"id\":\"{id}\"}}"),
            id,
            kind: MessageKind::FindingOpened,
            severity: Severity::High,
            order_key,
        };
        let receivers: Vec<String> = receivers.iter().map(|&name| name.to_owned()).collect();
        let messages: Vec<_> = messages.into_iter().map(|one| (message(one), receivers.clone())).collect();
        let at = self.now();
        let audit = format!("a-{}", at.timestamp_millis());
        let failure = Failure {
            org: "acme",
            audit: &audit,
            started: at,
            at,
            reason: "network",
            detail: "a test",
            messages: &messages,
        };
        self.store.record_failure(&failure).await.unwrap();
    }

    async fn round(&self, courier: &mut Courier) -> Round {
        courier.round(&|| self.now(), &self.stop).await.unwrap()
    }

    /// Rounds until nothing is due, or `limit` has passed. A wait costs no time.
    async fn live(&self, courier: &mut Courier, limit: TimeDelta) {
        let end = self.passed() + limit;
        while self.passed() < end {
            match self.round(courier).await.next {
                Next::AtOnce => {}
                Next::At(until) => self.pass((until - start() - self.passed()).max(TimeDelta::zero())),
                Next::WhenWoken | Next::WhenAsked => return,
            }
        }
    }

    async fn states(&self, receiver: &str) -> BTreeMap<String, OutboxState> {
        let rows = self.store.outbox(Some(receiver), None, 20_000).await.unwrap();
        rows.into_iter().map(|row| (row.id, row.state)).collect()
    }

    async fn count(&self, receiver: &str, state: OutboxState) -> usize {
        self.states(receiver).await.values().filter(|one| **one == state).count()
    }

    fn circuit(&self) -> bool {
        self.metrics.render().contains("scopewarden_receiver_circuit_open{receiver=\"ops\"} 1")
    }
}

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

/// Numbered messages, each with an order key of its own.
fn each(count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("m{n}"), format!("k{n}"))).collect()
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_dies_alone() {
    let world = World::new().await;
    let (seen, mut courier) = world.receiver("ops").await;
    seen.unless.lock().unwrap().extend([("\"m1\"", 400), ("\"m3\"", 413)]);
    world.promise(each(5), &["ops"]).await;
    world.live(&mut courier, TimeDelta::minutes(1)).await;
    assert_eq!(seen.accepted(), ["m0", "m2", "m4"]);
    assert_eq!((seen.attempts(), world.circuit()), (5, false));
    assert_eq!(world.count("ops", OutboxState::Dead).await, 2);
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_for_hours_kills_nothing() {
    for status in [401, 403, 404] {
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
    seen.unless.lock().unwrap().insert("\"m0\"", 422);
    seen.answers(503);
    world.promise(each(2), &["ops"]).await;
    let Next::At(_) = world.round(&mut courier).await.next else { panic!("it does not rest") };
    assert_eq!(world.count("ops", OutboxState::Dead).await, 1);
    seen.answers(0);
    seen.unless.lock().unwrap().clear();
    let Next::At(rest) = world.round(&mut courier).await.next else { panic!("it does not rest") };
    world.store.outbox_retry(&Which::Dead, None, world.now()).await.unwrap();
    world.live(&mut courier, TimeDelta::seconds(1)).await;
    assert!(world.now() < rest, "the rest was over before its time");
    assert_eq!(seen.accepted(), ["m0"]);
    world.pass(TimeDelta::seconds(5));
    world.live(&mut courier, TimeDelta::seconds(1)).await;
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

/// Polls until it holds; fails after ten seconds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not within ten seconds: {what}"));
}

#[tokio::test]
async fn a_loop_pauses_while_nothing_can_be_written_and_ends_alone() {
    let world = World::new().await;
    // The loop reads the wall clock.
    world.pass(clock::now() - start());
    let (seen, courier) = world.receiver("ops").await;
    let (other_seen, other) = world.receiver("sec").await;
    let storage = Storage::new(world.store.clone(), 0, Arc::clone(&world.metrics), Arc::default());
    let storage = Arc::new(storage);
    storage.report(&store::Error { file: "outbox.db".into(), problem: store::Problem::Full });
    let wake = watch::Sender::new(0);
    let (stop, other_stop) = (CancellationToken::new(), CancellationToken::new());
    let first = tokio::spawn(deliver(courier, wake.subscribe(), Arc::clone(&storage), stop.clone()));
    let second = tokio::spawn(deliver(other, wake.subscribe(), Arc::clone(&storage), other_stop.clone()));
    world.promise(each(1), &["ops", "sec"]).await;
    wake.send_replace(1);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!((seen.attempts(), other_seen.attempts()), (0, 0));
    assert!(world.store.claim("ops", 1, world.now()).await.unwrap().len() == 1, "nothing is claimed either");

    storage.look(None).await;
    until("both deliver", || seen.attempts() == 1 && other_seen.attempts() == 1).await;
    stop.cancel();
    first.await.unwrap();
    world.promise([("m9".to_owned(), "k9".to_owned())], &["ops", "sec"]).await;
    wake.send_replace(2);
    until("the other goes on", || other_seen.attempts() == 2).await;
    other_stop.cancel();
    second.await.unwrap();
    assert_eq!(seen.attempts(), 1);
}
