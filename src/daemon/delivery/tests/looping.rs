//! The loop around a courier: it begins, pauses and ends alone.

use super::*;

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
    let (writable, told) = watch::channel(false);
    let (wake, other_wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (stop, other_stop) = (CancellationToken::new(), CancellationToken::new());
    let first = tokio::spawn(deliver(courier, Arc::clone(&wake), told.clone(), |_| {}, stop.clone()));
    let second = tokio::spawn(deliver(other, Arc::clone(&other_wake), told, |_| {}, other_stop.clone()));
    world.promise(each(1), &["ops", "sec"]).await;
    wake.notify_one();
    other_wake.notify_one();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!((seen.attempts(), other_seen.attempts()), (0, 0));
    assert!(world.store.claim("ops", 1, world.now()).await.unwrap().len() == 1, "nothing is claimed either");

    writable.send(true).unwrap();
    until("both deliver", || seen.attempts() == 1 && other_seen.attempts() == 1).await;
    stop.cancel();
    first.await.unwrap();
    world.promise([("m9".to_owned(), "k9".to_owned())], &["ops", "sec"]).await;
    other_wake.notify_one();
    until("the other goes on", || other_seen.attempts() == 2).await;
    other_stop.cancel();
    second.await.unwrap();
    assert_eq!(seen.attempts(), 1);
}

#[tokio::test]
async fn a_loop_tells_what_is_wrong_with_the_store() {
    let world = World::new().await;
    let (_seen, courier) = world.receiver("ops").await;
    let (_writable, told) = watch::channel(true);
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    world.store.close().await;
    let report = move |error: &store::Error| report.lock().unwrap().push(error.to_string());
    let looping = tokio::spawn(deliver(courier, Arc::default(), told, report, world.stop.clone()));
    until("the error is told", || !reported.lock().unwrap().is_empty()).await;
    world.stop.cancel();
    looping.await.unwrap();
    assert!(reported.lock().unwrap()[0].contains("outbox.db"));
}
