//! Listings: pages, and pages that move while they are read.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    collect::{
        pages::{Pages, Step, Target},
        wire::Page,
    },
    domain::facts::Reading,
};

fn ids(facts: &Facts) -> Vec<&str> {
    facts.clients.iter().map(|client| client.id.as_str()).collect()
}

fn listing(records: &[&str], rest: &Value) -> ResponseTemplate {
    let mut body = json!({"entities": records.iter().map(|id| client_record(id)).collect::<Vec<_>>()});
    for (key, value) in rest.as_object().unwrap() {
        body[key] = value.clone();
    }
    ResponseTemplate::new(200).set_body_json(body)
}

/// Answers the n-th call for the clients with the n-th of `answers`, then the last one for ever.
async fn clients_in_turn(platform: &Platform, answers: Vec<ResponseTemplate>) {
    let turn = AtomicUsize::new(0);
    platform
        .answer(Endpoint::Clients, move |_| {
            answers[turn.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone()
        })
        .await;
}

async fn queries(platform: &Platform, endpoint: Endpoint) -> Vec<String> {
    let received = platform.received(endpoint).await;
    received.iter().map(|request| request.url.query().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn pages_are_followed_by_uri() {
    let platform = Platform::start().await;
    let next = "/api/v2/oauth/clients?pageSize=2&pageNumber=2";
    clients_in_turn(
        &platform,
        vec![
            listing(&["b", "a"], &json!({"total": 3, "pageCount": 2, "pageNumber": 1, "nextUri": next})),
            listing(&["c"], &json!({"total": 3, "pageCount": 2, "pageNumber": 2})),
        ],
    )
    .await;
    assert_eq!(ids(&platform.gather().await.unwrap()), ["a", "b", "c"]);
    assert_eq!(queries(&platform, Endpoint::Clients).await, ["", "pageSize=2&pageNumber=2"]);
}

#[tokio::test]
async fn pages_are_followed_by_number_where_no_uri_is_given() {
    let platform = Platform::start().await;
    clients_in_turn(
        &platform,
        vec![
            listing(&["a", "b"], &json!({"total": 3, "pageCount": 2, "pageNumber": 1, "pageSize": 2})),
            listing(&["c"], &json!({"total": 3, "pageCount": 2, "pageNumber": 2, "pageSize": 2})),
        ],
    )
    .await;
    assert_eq!(ids(&platform.gather().await.unwrap()), ["a", "b", "c"]);
    assert_eq!(queries(&platform, Endpoint::Clients).await, ["", "pageSize=2&pageNumber=2"]);
}

#[tokio::test]
async fn a_listing_that_comes_whole_may_announce_pages() {
    for rest in [json!({}), json!({"total": 3}), json!({"total": 3, "pageCount": 2, "pageSize": 2})] {
        let platform = Platform::start().await;
        clients_in_turn(&platform, vec![listing(&["a", "b", "c"], &rest)]).await;
        assert_eq!(ids(&platform.gather().await.unwrap()), ["a", "b", "c"]);
        assert_eq!(platform.received(Endpoint::Clients).await.len(), 1);
    }
}

/// Roles by the hundred, divisions by the hundred, one call for all clients: whatever their number.
#[tokio::test]
async fn an_audit_costs_what_its_pages_cost() {
    let platform = Platform::start().await;
    let paged = |count: usize| {
        move |request: &Request| {
            let (number, size) =
                (number_in_query(request, "pageNumber"), number_in_query(request, "pageSize"));
            let (number, size) = (number.unwrap_or(1), size.unwrap_or(25));
            let ids =
                ((number - 1) * size..count.min(number * size)).map(|n| json!({"id": format!("e{n:05}")}));
            let body = json!({"entities": ids.collect::<Vec<_>>(), "total": count, "pageNumber": number,
                "pageSize": size, "pageCount": count.div_ceil(size)});
            ResponseTemplate::new(200).set_body_json(body)
        }
    };
    platform.answer(Endpoint::Roles, paged(250)).await;
    platform.answer(Endpoint::Divisions, paged(101)).await;
    let many: Vec<String> = (0..3_000).map(|n| format!("c{n:05}")).collect();
    let many = listing(&many.iter().map(String::as_str).collect::<Vec<_>>(), &json!({"total": 3_000}));
    clients_in_turn(&platform, vec![many]).await;

    let mut collector = platform.collector();
    let first = collector.gather(&Known::default(), now()).await.unwrap();
    assert_eq!((first.clients.len(), first.roles.len()), (3_000, 250));
    // Token, clients, own grants, three pages of roles, two of divisions, the catalogue.
    assert_eq!(first.api_calls, 1 + 1 + 1 + 3 + 2 + 1);
    let roles = queries(&platform, Endpoint::Roles).await;
    assert_eq!(roles[0], "pageSize=100&pageNumber=1&userCount=false");
    assert_eq!(roles[2], "pageSize=100&pageNumber=3&userCount=false");

    let second = collector.gather(&known(&first), now()).await.unwrap();
    assert_eq!(second.api_calls, 1 + 1 + 3 + 2, "the token and the catalogue are still good");
    assert_eq!(second.catalogue, Reading::NotDue);
}

fn known(facts: &Facts) -> Known {
    let Reading::Seen(catalogue) = &facts.catalogue else { panic!("{:?}", facts.catalogue) };
    let permissions = catalogue.permissions.keys().cloned().collect();
    Known {
        clients: facts.clients.iter().map(|client| client.id.clone()).collect(),
        roles: facts.roles.iter().map(|role| role.id.clone()).collect(),
        divisions: match &facts.divisions {
            Reading::Seen(seen) => seen.divisions.iter().map(|division| division.id.clone()).collect(),
            _ => panic!("{:?}", facts.divisions),
        },
        unknown_permissions: crate::domain::facts::unknown_permissions(&facts.roles, &permissions),
        permissions: Some(permissions),
        operations: None,
    }
}

#[tokio::test]
async fn the_catalogue_is_read_when_it_is_due() {
    let platform = Platform::start().await;
    let mut collector = platform.collector();
    let first = collector.gather(&Known::default(), now()).await.unwrap();
    let known = known(&first);
    let due = async |collector: &mut Collector, known: &Known, at: DateTime<Utc>| {
        !matches!(collector.gather(known, at).await.unwrap().catalogue, Reading::NotDue)
    };
    let minutes = |minutes| now() + chrono::TimeDelta::minutes(minutes);
    assert!(!due(&mut collector, &known, minutes(59)).await);
    assert!(due(&mut collector, &known, minutes(61)).await, "it is older than an hour");
    assert!(!due(&mut collector, &known, minutes(62)).await);
    assert!(due(&mut collector, &known, minutes(-600)).await, "the clock was set back: its age is unknown");

    let role = json!({"entities": [{"id": "r1", "name": "New", "permissionPolicies": [
        {"domain": "ai", "entityName": "model", "actionSet": ["train"]}]}]});
    platform.answer_times(Endpoint::Roles, 2, ResponseTemplate::new(200).set_body_json(role)).await;
    assert!(due(&mut collector, &known, minutes(-599)).await, "a role names what the catalogue lacks");
    let aware = Known { unknown_permissions: ["ai:model:train".to_owned()].into(), ..known.clone() };
    assert!(!due(&mut collector, &aware, minutes(-598)).await, "the last catalogue lacked it already");

    let grown = Known {
        permissions: known.permissions.map(|mut names| {
            names.insert("zz:gone:view".to_owned());
            names
        }),
        ..aware
    };
    assert!(due(&mut collector, &grown, minutes(0)).await);
    assert!(due(&mut collector, &grown, minutes(1)).await, "a loss may have to be confirmed");
}

#[tokio::test]
async fn a_listing_that_moved_is_read_again_at_once() {
    let page = |ids: &[&str], total: u64, number: u64| {
        listing(ids, &json!({"total": total, "pageCount": 2, "pageNumber": number, "pageSize": 2}))
    };
    let settled = [page(&["a", "b"], 3, 1), page(&["c"], 3, 2)];
    let moved: [(&str, Vec<ResponseTemplate>); 5] = [
        ("an entity twice", vec![page(&["a", "b"], 4, 1), page(&["b", "c"], 4, 2)]),
        ("a page twice", vec![page(&["a", "b"], 4, 1), page(&["a", "b"], 4, 2)]),
        ("a shrinking total", vec![page(&["a", "b"], 4, 1), page(&["c"], 3, 2)]),
        ("fewer than announced", vec![page(&["a", "b"], 4, 1), page(&["c"], 4, 2)]),
        ("an empty page in the middle", vec![listing(&[], &json!({"nextUri": "/api/v2/oauth/clients?p=2"}))]),
    ];
    for (what, answers) in moved {
        let platform = Platform::start().await;
        let calls = answers.len() + settled.len();
        clients_in_turn(&platform, [answers, settled.to_vec()].concat()).await;
        assert_eq!(ids(&platform.gather().await.unwrap()), ["a", "b", "c"], "{what}");
        assert_eq!(platform.received(Endpoint::Clients).await.len(), calls, "{what}");
    }
}

#[tokio::test]
async fn a_listing_that_keeps_moving_is_inconsistent() {
    let cases = [
        (listing(&["a", "a"], &json!({})), "changed while it was read, 4 times: page 1 repeats an entity"),
        (
            listing(&["a"], &json!({"total": 2})),
            "changed while it was read, 4 times: 2 entities were announced, 1 came",
        ),
        (
            listing(&[], &json!({"nextUri": "/api/v2/oauth/clients?pageNumber=2"})),
            "changed while it was read, 4 times: page 1 is empty and yet not the last",
        ),
    ];
    for (template, detail) in cases {
        let platform = Platform::start().await;
        clients_in_turn(&platform, vec![template]).await;
        let error = platform.gather().await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET /api/v2/oauth/clients: {detail}"));
        assert_eq!((error.reason(), error.is_retryable()), ("inconsistent", false));
        assert_eq!(platform.received(Endpoint::Clients).await.len(), 4);
    }
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_end() {
    let platform = Platform::start().await;
    let turn = AtomicUsize::new(0);
    platform
        .answer(Endpoint::Clients, move |_| {
            let id = format!("c{}", turn.fetch_add(1, Ordering::SeqCst));
            listing(&[&id], &json!({"nextUri": "/api/v2/oauth/clients?pageNumber=2"}))
        })
        .await;
    let error = platform.gather().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET /api/v2/oauth/clients: changed while it was read, 4 times: page 2 leads back to a page already read"
    );
}

#[tokio::test]
async fn the_token_goes_to_no_other_host() {
    let stranger = MockServer::start().await;
    let next = format!("{}/api/v2/oauth/clients?pageNumber=2", stranger.uri());
    let elsewhere = [
        (next.as_str(), "127.0.0.1"),
        ("https://evil.example/api/v2/oauth/clients", "evil.example"),
        ("//evil.example/api/v2/oauth/clients", "evil.example"),
        ("\\\\evil.example/x", "evil.example"),
        ("file:///etc/passwd", "nowhere"),
    ];
    for (uri, host) in elsewhere {
        let platform = Platform::start().await;
        clients_in_turn(&platform, vec![listing(&["a"], &json!({"nextUri": uri}))]).await;
        let error = platform.gather().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "GET /api/v2/oauth/clients: nextUri leads to `{host}`, which is not the API's host; not followed"
            )
        );
    }
    assert!(stranger.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_odd_uri_stays_on_the_host_or_is_refused() {
    let platform = Platform::start().await;
    let with_password = platform.server.uri().replace("http://", "http://user:canary@");
    let api = platform.collector().api;
    let follow = |uri: &str| api.follow(Endpoint::Clients, uri);
    assert_eq!(
        follow(&with_password).unwrap_err().to_string(),
        "GET /api/v2/oauth/clients: nextUri carries credentials; not followed"
    );
    assert_eq!(
        follow("http://[").unwrap_err().to_string(),
        "GET /api/v2/oauth/clients: nextUri is not a URI; not followed"
    );
    let host = platform.server.uri();
    for (uri, expected) in [
        ("/api/v2/oauth/clients?pageNumber=2", "/api/v2/oauth/clients?pageNumber=2"),
        ("?pageNumber=2", "/api/v2/oauth/clients?pageNumber=2"),
        ("/\\evil.example/x", "//evil.example/x"),
    ] {
        assert_eq!(follow(uri).unwrap().as_str(), format!("{host}{expected}"), "{uri}");
    }
}

#[tokio::test]
async fn a_gateways_own_path_is_kept() {
    let mut org = org("http://127.0.0.1:9/genesys/");
    org.login_url = org.api_url.clone();
    let api = Collector::new(&org, Duration::ZERO, Arc::default()).unwrap().api;
    assert_eq!(api.url(Endpoint::Clients).as_str(), "http://127.0.0.1:9/genesys/api/v2/oauth/clients");
    let next = api.follow(Endpoint::Clients, "/api/v2/oauth/clients?pageNumber=2").unwrap();
    assert_eq!(next.as_str(), "http://127.0.0.1:9/genesys/api/v2/oauth/clients?pageNumber=2");
}

#[tokio::test]
async fn an_endless_listing_is_bounded() {
    let mut pages = Pages::new(|id: &String| id.as_str(), [].into());
    let page = |n: u32| Page {
        entities: vec![format!("e{n}")],
        total: None,
        size: None,
        number: None,
        count: None,
        next_uri: Some(format!("/next/{n}")),
    };
    let ended = (1..2_000).find_map(|n| match pages.accept(page(n)) {
        Step::Get(_) => None,
        Step::TooLarge(what) => Some((n, what)),
        Step::Done(_) | Step::Inconsistent(_) => panic!("believed at page {n}"),
    });
    assert_eq!(ended, Some((1_000, "has more than 1000 pages".to_owned())));

    let mut pages = Pages::new(|id: &String| id.as_str(), [].into());
    let huge = Page { entities: (0..100_001).map(|n| n.to_string()).collect(), ..page(1) };
    assert!(matches!(pages.accept(huge), Step::TooLarge(what) if what == "has more than 100000 entities"));
}

/// One change of the platform's list.
#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index),
    Delete(prop::sample::Index),
}

/// A platform whose list changes before each page is served.
struct Shifting {
    list: Vec<String>,
    born: usize,
    by_uri: bool,
}

impl Shifting {
    const SIZE: usize = 3;

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert(place) => {
                self.born += 1;
                let place = place.index(self.list.len() + 1);
                self.list.insert(place, format!("new{}", self.born));
            }
            Change::Delete(place) if !self.list.is_empty() => {
                self.list.remove(place.index(self.list.len()));
            }
            Change::Delete(_) => {}
        }
    }

    fn serve(&self, target: &Target) -> Page<String> {
        let number = match target {
            Target::First => 1,
            Target::Number { number, .. } => usize::try_from(*number).unwrap(),
            Target::Uri(uri) => uri.parse().unwrap(),
        };
        let entities = self.list.iter().skip((number - 1) * Self::SIZE).take(Self::SIZE).cloned().collect();
        let count = self.list.len().div_ceil(Self::SIZE);
        Page {
            entities,
            total: Some(self.list.len() as u64),
            size: Some(Self::SIZE as u64),
            number: Some(number as u64),
            count: Some(count as u64),
            next_uri: (self.by_uri && number < count).then(|| (number + 1).to_string()),
        }
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Change::Insert),
        any::<prop::sample::Index>().prop_map(Change::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// However a list moves while it is read: what existed all the time is in it, or it is not believed.
    #[test]
    fn nothing_that_stayed_is_ever_missing(
        size in 0_usize..14,
        by_uri in any::<bool>(),
        changes in prop::collection::vec(prop::collection::vec(any_change(), 0..3), 0..24),
    ) {
        let before: Vec<String> = (0..size).map(|n| format!("old{n}")).collect();
        let mut platform = Shifting { list: before.clone(), born: 0, by_uri };
        let mut pages = Pages::new(|id: &String| id.as_str(), before.iter().cloned().collect());
        let mut changes = changes.into_iter();
        let mut target = Target::First;
        let outcome = loop {
            for change in changes.next().unwrap_or_default() {
                platform.apply(&change);
            }
            match pages.accept(platform.serve(&target)) {
                Step::Get(next) => target = next,
                Step::Done(list) => break Some(list),
                Step::Inconsistent(_) => break None,
                Step::TooLarge(what) => prop_assert!(false, "{what}"),
            }
        };
        if let Some(list) = outcome {
            for id in before.iter().filter(|id| platform.list.contains(id)) {
                prop_assert!(list.contains(id), "{id} stayed and is missing from {list:?}");
            }
        }
    }

    /// A list that does not move is believed after exactly its pages, also when something known is gone.
    #[test]
    fn a_still_list_is_read_once_or_confirmed_once(size in 0_usize..20, by_uri in any::<bool>(), gone in any::<bool>()) {
        let list: Vec<String> = (0..size).map(|n| format!("old{n}")).collect();
        let mut known: std::collections::BTreeSet<String> = list.iter().cloned().collect();
        known.extend(gone.then(|| "gone".to_owned()));
        let platform = Shifting { list: list.clone(), born: 0, by_uri };
        let mut pages = Pages::new(|id: &String| id.as_str(), known);
        let (mut target, mut served) = (Target::First, 0);
        let seen = loop {
            served += 1;
            match pages.accept(platform.serve(&target)) {
                Step::Get(next) => target = next,
                Step::Done(list) => break list,
                Step::Inconsistent(what) | Step::TooLarge(what) => prop_assert!(false, "{what}"),
            }
        };
        let count = size.div_ceil(Shifting::SIZE).max(1);
        prop_assert_eq!(seen, list);
        prop_assert_eq!(served, if gone && count > 1 { count * 2 } else { count });
    }
}
