//! kill -9 at points that are reached from outside, and at random moments.

use std::time::Duration;

use rand::{RngExt as _, seq::SliceRandom as _};
use tokio::time::{sleep, timeout};

use crate::{
    live::{
        process::Daemon,
        wire::{Phase, Point, Traps},
        within,
    },
    record::Record,
    scene::{LIMIT, Scene, Seed, crashes, random},
};

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While the platform answers a call.
    Platform(Point),
    /// While a receiver (by its number) takes an alert.
    Receiver(usize, Point),
    /// Between the start and the first tick: settings, lock, migration, catch-up.
    Start,
    /// While a call is drained after SIGTERM.
    Drain,
    /// While the database is closed after SIGTERM.
    Close,
    /// Whenever.
    Random,
}

/// Every named point. The platform's calls in the order of an audit; the catalogue is the last one.
fn moments() -> Vec<Moment> {
    let mut moments = vec![Moment::Start, Moment::Drain, Moment::Close, Moment::Random, Moment::Random];
    for (target, after) in [
        ("/oauth/token", 0),
        ("/oauth/clients", 0),
        ("/roles?", 0),
        ("/roles?", 1),
        ("/divisions?", 0),
        ("/permissions?", 0),
    ] {
        for phase in [Phase::Asked, Phase::Half] {
            moments.push(Moment::Platform(Point { target, after, phase }));
        }
    }
    // After the last call there are the analysis and the commit.
    moments.push(Moment::Platform(Point { target: "/permissions?", after: 0, phase: Phase::Answered }));
    for receiver in [0, 1] {
        // Each audit tells at least of the two roles that were edited: the second alert is in the middle of a batch.
        for (after, phase) in
            [(0, Phase::Asked), (0, Phase::Answered), (1, Phase::Asked), (1, Phase::Answered)]
        {
            moments.push(Moment::Receiver(receiver, Point { target: "/hook", after, phase }));
        }
    }
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_arrives_whenever_the_daemon_is_killed() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let mut scene = Scene::start(random).await;
    let crashes = crashes(20);
    let mut moments = moments();
    for crash in 0..crashes {
        let place = crash % moments.len();
        if place == 0 {
            moments.shuffle(&mut scene.random);
        }
        let moment = moments[place];
        scene.edit().await;
        let log = kill_at(&mut scene, moment).await;
        scene.check(&log).await;
    }
    let record = scene.finish().await;
    println!(
        "{crashes} kills, seed {seed}: {} audits, {} events, {} messages",
        record.audits.len(),
        record.events.len(),
        record.messages.len()
    );
    assert!(record.events.len() >= crashes / 4, "hardly anything was told: {} events", record.events.len());
}

async fn kill_at(scene: &mut Scene, moment: Moment) -> Vec<serde_json::Value> {
    match moment {
        Moment::Platform(point) => caught(&scene.gate.traps, point, || scene.home.start()).await,
        Moment::Receiver(number, point) if scene.random.random_ratio(3, 4) => {
            // What earlier deaths left behind is delivered first: the alerts that are caught are a new audit's.
            let reached =
                scene.gate.traps.arm(Point { target: "/oauth/clients", after: 0, phase: Phase::Asked });
            let daemon = scene.home.start();
            let held = timeout(LIMIT, reached).await.unwrap().unwrap();
            within("an empty outbox", LIMIT, async || {
                let record = Record::read(&scene.home).await;
                record.messages.iter().all(|message| message.pending.is_empty()).then_some(())
            })
            .await;
            caught(&scene.receivers[number].traps, point, || {
                drop(held);
                daemon
            })
            .await
        }
        Moment::Receiver(number, point) => {
            caught(&scene.receivers[number].traps, point, || scene.home.start()).await
        }
        Moment::Start => {
            let daemon = scene.home.start();
            pause(&mut scene.random, 150).await;
            daemon.kill()
        }
        Moment::Random => {
            let daemon = scene.home.start();
            pause(&mut scene.random, 1500).await;
            daemon.kill()
        }
        Moment::Drain => {
            let point = Point { target: "/oauth/clients", after: 0, phase: Phase::Half };
            let reached = scene.gate.traps.arm(point);
            let daemon = scene.home.start();
            let held = timeout(LIMIT, reached).await.unwrap().unwrap();
            daemon.signal("TERM");
            daemon.logs("stopping", LIMIT).await;
            // The call is answered, and the audit goes on, for a moment.
            drop(held);
            pause(&mut scene.random, 60).await;
            daemon.kill()
        }
        Moment::Close => {
            let daemon = scene.home.start();
            daemon.logs("audit recorded", LIMIT).await;
            daemon.signal("TERM");
            daemon.logs("stopping", LIMIT).await;
            pause(&mut scene.random, 15).await;
            daemon.kill()
        }
    }
}

/// Kills the daemon that `start` starts when a request is caught, while it is held.
async fn caught(traps: &Traps, point: Point, start: impl FnOnce() -> Daemon) -> Vec<serde_json::Value> {
    let reached = traps.arm(point);
    let daemon = start();
    let held = timeout(LIMIT, reached).await;
    let Ok(Ok(_held)) = held else { panic!("{point:?} was never reached:\n{}", daemon.log()) };
    daemon.kill()
}

/// Not to wait for anything, but to die at any moment up to `most` milliseconds from now.
async fn pause(random: &mut impl rand::Rng, most: u64) {
    sleep(Duration::from_micros(random.random_range(0..most * 1000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_leaves_nothing_or_a_database() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let mut scene = Scene::set(random, |home| home, "").await;
    for _ in 0..(crashes(20) / 5).max(2) {
        for name in ["record.db", "record.db-wal", "record.db-shm", "record.db.lock"] {
            let _ = std::fs::remove_file(scene.home.path(name));
        }
        let daemon = scene.home.start();
        pause(&mut scene.random, 120).await;
        daemon.kill();
        let mut daemon = scene.home.start();
        let url = daemon.url().await;
        within("the first audit", LIMIT, async || {
            daemon.metric(&url, "scopewarden_up", "").await.filter(|up| *up > 0.5)
        })
        .await;
        daemon.kill();
        let record = Record::read(&scene.home).await;
        Record::verify(&scene.home);
        record.everything_is_promised(&scene.receivers);
    }
}
