//! The platform's definition over the wire: asked for when it is due, parsed when it is another, believed when it is one.

use chrono::TimeDelta;

use super::*;
use crate::{
    collect::definition::Definitions,
    domain::{
        Fact,
        catalogue::Operations,
        facts::{KnownOperations, Reading},
    },
};

/// A definition of so many operations.
fn definition(operations: usize) -> String {
    let path = |at| {
        let rule = json!({ "type": "ANY", "permissions": ["directory:user:view"] });
        (format!("/api/v2/{at}"), json!({ "get": { "x-inin-requires-permissions": rule } }))
    };
    let paths: serde_json::Map<String, Value> = (0..operations).map(path).collect();
    json!({ "swagger": "2.0", "paths": paths }).to_string()
}

type Reader = Reading<Arc<Operations>>;

/// A collector that knows what it read last, as the audits of one process do.
struct Audits {
    collector: Collector,
    known: Known,
    now: DateTime<Utc>,
}

impl Audits {
    fn of(platform: &Platform) -> Self {
        let collector =
            platform.collector().with_definition(Duration::from_hours(24), Duration::from_mins(1));
        Self { collector, known: Known::default(), now: now() }
    }

    async fn after(&mut self, hours: i64) -> Reader {
        self.now += TimeDelta::hours(hours);
        let facts = self.collector.gather(&self.known, self.now).await.unwrap();
        let operations = facts.operations.unwrap();
        if let Reading::Seen(seen) = &operations {
            self.known.operations = Some(KnownOperations { count: seen.listed_len(), hash: seen.hash() });
        }
        operations
    }
}

fn seen(reading: &Reader) -> usize {
    let Reading::Seen(operations) = reading else { panic!("{reading:?}") };
    operations.listed_len()
}

/// The reason and the sentence of a gap.
fn gap(reading: Reader) -> (String, String) {
    let Reading::Gap(gap) = reading else { panic!("{reading:?}") };
    assert_eq!((gap.fact, gap.subject), (Fact::Operations, None));
    (gap.reason, gap.detail)
}

#[tokio::test]
async fn it_is_read_when_due_and_parsed_when_it_is_another() {
    let platform = Platform::start().await;
    platform.answer(Endpoint::Definition, |_| ok(definition(1_700))).await;
    let mut audits = Audits::of(&platform);
    assert_eq!(seen(&audits.after(0).await), 1_700);
    assert_eq!(audits.after(24).await, Reading::NotDue);
    assert_eq!(platform.received(Endpoint::Definition).await.len(), 1);
    // Due, and byte for byte the same.
    assert_eq!(audits.after(1).await, Reading::NotDue);
    assert_eq!(platform.received(Endpoint::Definition).await.len(), 2);
    assert_eq!(audits.after(24).await, Reading::NotDue);
    assert_eq!(platform.received(Endpoint::Definition).await.len(), 2, "the second reading counts");
    platform.answer_times(Endpoint::Definition, 1, ok(definition(1_701))).await;
    assert_eq!(seen(&audits.after(1).await), 1_701);
    // What was read and not recorded is read again at once.
    audits.known.operations = None;
    assert_eq!(seen(&audits.after(0).await), 1_700);
}

#[tokio::test]
async fn with_an_etag_nothing_travels_twice() {
    let platform = Platform::start().await;
    platform
        .answer(Endpoint::Definition, |request| {
            match request.headers.get("if-none-match").map(|etag| etag.to_str().unwrap()) {
                Some("\"one\"") => ResponseTemplate::new(304),
                Some(other) => panic!("{other}"),
                None => ok(definition(1_700)).insert_header("etag", "\"one\""),
            }
        })
        .await;
    let mut audits = Audits::of(&platform);
    assert_eq!(seen(&audits.after(0).await), 1_700);
    for _ in 0..2 {
        assert_eq!(audits.after(25).await, Reading::NotDue);
    }
    let asked = platform.received(Endpoint::Definition).await;
    assert_eq!(asked.iter().filter(|request| request.headers.contains_key("if-none-match")).count(), 2);
    // Nobody asked for a 304.
    let platform = Platform::start().await;
    platform.answer(Endpoint::Definition, |_| ResponseTemplate::new(304)).await;
    let (reason, _) = gap(Audits::of(&platform).after(0).await);
    assert_eq!(reason, "invalid_response");
}

#[tokio::test]
async fn whatever_is_no_definition_is_a_gap_that_says_why() {
    let cut = definition(1_700);
    let cut = cut[..cut.len() / 2].to_owned();
    for (answer, reason, said) in [
        (refusal(403, "missing.any.permissions", "… [a:b:c]"), "forbidden", "permission `a:b:c` is missing"),
        (refusal(404, "not.found", "no"), "invalid_response", "`definition = false` in [audit]"),
        (ok(cut), "invalid_response", "it is cut off at line 1, column "),
        (ok("<html>canary-body</html>"), "invalid_response", "it is not JSON at line 1, column 1"),
        (ok("{}"), "invalid_response", "it lists 0 operations where 3321 were known: it is not believed"),
        (ok(definition(1_600)), "invalid_response", "it lists 1600 operations where 3321 were known"),
        (ok(format!("{} x", definition(1_700))), "invalid_response", "it is not JSON at line 1"),
        (ok("\"canary-body\""), "invalid_response", "it lists 0 operations"),
    ] {
        let platform = Platform::start().await;
        platform.answer(Endpoint::Definition, move |_| answer.clone()).await;
        let found = gap(Audits::of(&platform).after(0).await);
        assert_eq!(found.0, reason, "{}", found.1);
        assert!(found.1.starts_with("GET /api/v2/docs/swagger: "), "{}", found.1);
        assert!(found.1.contains(said) && !found.1.contains("canary"), "{}", found.1);
    }
}

#[tokio::test]
async fn one_that_cannot_be_used_rests_and_one_that_was_refused_does_not() {
    let platform = Platform::start().await;
    platform.answer(Endpoint::Definition, |_| ok("{}")).await;
    let mut audits = Audits::of(&platform);
    let first = gap(audits.after(0).await);
    assert_eq!(gap(audits.after(0).await), first, "it stays a gap meanwhile");
    assert_eq!(platform.received(Endpoint::Definition).await.len(), 1);
    gap(audits.after(1).await);
    assert_eq!(platform.received(Endpoint::Definition).await.len(), 2);

    let platform = Platform::start().await;
    platform.answer_times(Endpoint::Definition, 1, refusal(403, "not.authorized", "no")).await;
    platform.answer(Endpoint::Definition, |_| ok(definition(1_700))).await;
    let mut audits = Audits::of(&platform);
    gap(audits.after(0).await);
    assert_eq!(seen(&audits.after(0).await), 1_700);
}

#[tokio::test]
async fn a_larger_one_than_allowed_is_a_gap_whether_it_is_announced_or_not() {
    for announced in [true, false] {
        let body = definition(1_700);
        let base = if announced {
            let platform = Platform::start().await;
            platform.answer(Endpoint::Definition, move |_| ok(body.clone())).await;
            let mut audits = Audits::of(&platform);
            let definitions = Definitions::new(Duration::from_hours(24), Duration::from_mins(1));
            audits.collector.definitions = Some(definitions.at_most(10_000));
            gap(audits.after(0).await)
        } else {
            use super::super::definition::spool::{Spool, Trouble};
            let mut spool = Spool::new(10_000).unwrap();
            spool.restart(None).await.unwrap();
            let mut written = Ok(());
            for chunk in body.as_bytes().chunks(1_000) {
                written = spool.write(chunk).await;
                if written.is_err() {
                    break;
                }
            }
            let Err(Trouble::TooLarge(10_000)) = written else { panic!("{written:?}") };
            continue;
        };
        assert_eq!(base.0, "invalid_response");
        assert!(base.1.ends_with("the body is larger than 10000 bytes"), "{}", base.1);
    }
}

#[tokio::test]
async fn a_spool_forgets_what_came_before_and_gives_back_what_came() {
    use std::io::Read as _;

    use super::super::definition::spool::Spool;
    let mut spool = Spool::new(100).unwrap();
    for text in ["a long beginning", "short"] {
        spool.restart(Some(text.len() as u64)).await.unwrap();
        spool.write(text.as_bytes()).await.unwrap();
        spool.finish().await.unwrap();
    }
    assert_eq!(spool.bytes(), 5);
    assert_eq!(hex::encode(spool.hash()), "f9b0078b5df596d2ea19010c001bbd009e651de2c57e8fb7e355f31eb9d3f739");
    let mut text = String::new();
    spool.into_file().await.unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "short");
}
