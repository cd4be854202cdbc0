//! Turns and calls: beside the configuration, replaced and never added to.

use super::*;
use crate::{
    domain::{
        rotation::{Turn, Turns},
        usage::{Calls, Tally, Window},
    },
    store::History,
};

fn turn(asked: i64, confirmed: Option<i64>, due: bool) -> Turn {
    Turn { asked: at(asked), confirmed: confirmed.map(at), due }
}

async fn record(n: i64, turns: &Turns, gone: &[&str], usage: Option<&Tally>, store: &Store) {
    let gone: Vec<_> = gone.iter().map(|&id| id.into()).collect();
    let observations = Observations { turns, gone: &gone, usage, attributed: None };
    Audit::new(n, &snapshot(&["c1"])).record_with("acme", observations, store).await.unwrap();
}

#[tokio::test]
async fn a_turn_replaces_the_one_before_and_goes_with_its_client() {
    let (_folder, store) = store().await;
    assert_eq!(store.turns("acme").await.unwrap(), Turns::new());
    let first: Turns = [("a".into(), turn(0, Some(0), false)), ("b".into(), turn(1, None, true))].into();
    record(1, &first, &[], None, &store).await;
    assert_eq!(store.history("acme").await.unwrap().turns, first);
    let second: Turns = [("b".into(), turn(60, Some(60), false))].into();
    record(2, &second, &["a", "never there"], None, &store).await;
    assert_eq!(store.turns("acme").await.unwrap(), second);
    assert_eq!(store.turns("other").await.unwrap(), Turns::new());
}

#[tokio::test]
async fn a_count_replaces_the_one_before_as_a_whole() {
    let (_folder, store) = store().await;
    let calls = |ok, day: &str| Calls {
        ok,
        denied: 2,
        throttled: 3,
        failed: 4,
        last: (!day.is_empty()).then(|| day.parse().unwrap()),
    };
    let mut first = Tally::new(Window::last(90, at(0)));
    first.add("a", "GET", "/api/v2/users/{id}", &calls(1, "2025-10-01"));
    first.add("a", "GET", "/api/v2/users", &calls(u64::MAX / 4, "2025-10-09"));
    first.add("b", "DELETE", "/x y", &calls(1, ""));
    first.left_out = 7;
    record(1, &Turns::new(), &[], Some(&first), &store).await;
    let History { usage, .. } = store.history("acme").await.unwrap();
    assert_eq!(usage, Some(first.clone()));
    // An audit that counted nothing leaves the last count.
    record(2, &Turns::new(), &[], None, &store).await;
    assert_eq!(store.usage("acme").await.unwrap(), Some(first));
    let second = Tally::new(Window::last(90, at(86_400)));
    record(3, &Turns::new(), &[], Some(&second), &store).await;
    assert_eq!(store.usage("acme").await.unwrap(), Some(second));
    assert_eq!(store.usage("other").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_observed_is_in_no_digest() {
    let (_folder, store) = store().await;
    record(
        1,
        &[("a".into(), turn(0, None, true))].into(),
        &[],
        Some(&Tally::new(Window::last(7, at(0)))),
        &store,
    )
    .await;
    let (_other_folder, other) = super::store().await;
    record(1, &Turns::new(), &[], None, &other).await;
    let head = async |store: &Store| store.history("acme").await.unwrap().past.unwrap().chain;
    assert_eq!(head(&store).await, head(&other).await);
    assert!(store.verify("acme").await.unwrap().is_consistent());
}
