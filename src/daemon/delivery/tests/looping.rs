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

    storage.look(&mut crate::daemon::storage::Tries::default()).await;
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
