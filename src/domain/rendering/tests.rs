use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::{alerts::*, *};
use crate::domain::{
    ClientId, Gap,
    attribution::{ActorKind, Attribution, Candidate, Certainty},
    decision::{Kind, Mark, Marks, Reason},
    event::{CauseKind, Subject},
    finding::{ClientRef, Finding, Status},
    message::{
        self, Letterhead, MessageKind,
        news::{self, Dead, FindingNews, Flapping, Phase, Pulse},
    },
    route::{Route, Topic},
    telling::damping::Flap,
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap()
}

fn finding(number: usize, severity: Severity) -> Finding {
    Finding {
        uid: format!("{number:024x}"),
        org: "acme".to_owned(),
        check: "high-privilege-permission".to_owned(),
        status: Status::Fail,
        severity,
        muted: false,
        marks: Marks::default(),
        client: ClientRef { id: ClientId::from("c-1"), name: "Reporting <Engine> & co".to_owned() },
        key: "k".to_owned(),
        title: format!("Reporting Engine holds directory:user:delete ({number})"),
        evidence: "Role Reporting_Engine_ReadOnly grants it in every division.".to_owned(),
        remediation: "Take it out of the role.".to_owned(),
        first_seen: now() - TimeDelta::hours(1),
        last_seen: now(),
    }
}

fn head() -> Letterhead<'static> {
    let chain_head = crate::domain::evidence::Digester::default().finish();
    Letterhead { org: "acme", audit: "a-1", chain_head, at: now(), link: "https://warden.example.com/" }
}

fn messages(count: usize, kind: MessageKind) -> Vec<message::Message> {
    let finding = |number| FindingNews::of(&Arc::new(finding(number, Severity::Critical)));
    let list: Vec<_> = (0..count).map(finding).collect();
    news::findings(&head(), kind, &list.iter().collect::<Vec<_>>(), 1, "")
}

fn drift_body() -> Vec<u8> {
    json!({
        "type": "drift.detected",
        "timestamp": "2026-11-25T02:15:00.000Z",
        "data": {
            "id": "evt-1", "org": "acme", "severity": "critical",
            "summary": "role ReadOnly gained directory:user:delete; Reporting Engine gained power by it",
            "clients": [{
                "id": "c-1", "name": "Reporting Engine",
                "gained": [{ "permission": "directory:user:view" }, { "permission": "directory:user:delete" }],
                "gained_total": 9, "lost": [], "lost_total": 0,
            }],
            "clients_total": 3,
            "actor": { "name": "Jane Doe", "type": "user", "certainty": "exact" },
            "link": "https://warden.example.com/",
        },
    })
    .to_string()
    .into_bytes()
}

#[test]
fn a_change_is_understood_without_opening_anything() {
    let story = Story::of(&drift_body(), "evt-1");
    assert_eq!(story.heading(), "CRITICAL · acme");
    assert_eq!(
        story.who,
        [
            "Reporting Engine gained directory:user:delete, directory:user:view and 7 more",
            "and 2 more clients"
        ]
    );
    assert!(story.why[0].starts_with("A client that holds directory:user:delete "), "{:?}", story.why);
    assert_eq!(story.actor.as_deref(), Some("Jane Doe (user), certainty: exact"));
    assert_eq!(story.advice.len(), 1);
}

#[test]
fn a_finding_says_what_why_and_what_to_do() {
    let [message] = &messages(1, MessageKind::FindingOpened)[..] else { panic!() };
    let story = Story::of(message.body.as_bytes(), &message.id);
    assert_eq!(story.who, ["Reporting <Engine> & co (c-1), check high-privilege-permission"]);
    assert_eq!(story.why, ["Role Reporting_Engine_ReadOnly grants it in every division."]);
    assert_eq!(story.advice, ["Take it out of the role."]);
    let [message] = &messages(1, MessageKind::FindingResolved)[..] else { panic!() };
    let story = Story::of(message.body.as_bytes(), &message.id);
    assert_eq!((story.heading().as_str(), story.advice.len()), ("RESOLVED · acme", 0));
    let [message] = &messages(30, MessageKind::FindingOpened)[..] else { panic!() };
    let story = Story::of(message.body.as_bytes(), &message.id);
    assert_eq!((story.who.len(), story.who[8].as_str()), (9, "and 22 more findings"));
    assert_eq!(story.why, ["By severity: 30 critical"]);
}

#[test]
fn a_kind_that_is_not_known_is_told_by_its_summary() {
    let body = json!({ "type": "heartbeat.sent_late", "data": { "org": "acme" } }).to_string();
    let story = Story::of(body.as_bytes(), "msg-1");
    assert_eq!((story.summary.as_str(), story.severity), ("heartbeat sent late", Severity::Info));
    let story = Story::of(b"no json", "msg-2");
    assert_eq!((story.summary.as_str(), story.kind.as_str()), ("message", "message"));
    assert!(slack::payload(&story).to_string().contains("msg-2"));
}

#[test]
fn slack_shows_names_and_makes_no_mentions_of_them() {
    let [message] = &messages(1, MessageKind::FindingOpened)[..] else { panic!() };
    let payload = slack::payload(&Story::of(message.body.as_bytes(), &message.id));
    let text = payload.to_string();
    assert!(text.contains("Reporting &lt;Engine&gt; &amp; co"), "{text}");
    assert!(payload["text"].as_str().unwrap().contains(&message.id));
    assert!(text.contains("<https://warden.example.com/|Open scopewarden>"));
}

#[test]
fn pagerduty_ends_what_it_began() {
    let keys = |body: &[u8], id: &str| -> Vec<(String, String)> {
        let events = pagerduty::events(body, id);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        events.iter().map(|event| (text(&event["event_action"]), text(&event["dedup_key"]))).collect()
    };
    let of = |count: usize, kind: MessageKind| {
        let [message] = &messages(count, kind)[..] else { panic!() };
        (keys(message.body.as_bytes(), &message.id), message.id.clone())
    };
    let uid = format!("{:024x}", 0);
    assert_eq!(of(1, MessageKind::FindingOpened).0, [("trigger".to_owned(), uid.clone())]);
    assert_eq!(of(1, MessageKind::FindingResolved).0, [("resolve".to_owned(), uid)]);
    let (group, id) = of(30, MessageKind::FindingOpened);
    assert_eq!(group, [("trigger".to_owned(), id)]);
    let (ends, _) = of(30, MessageKind::FindingResolved);
    assert!(ends.len() == 20 && ends.iter().all(|(action, _)| action == "resolve"), "{ends:?}");
    assert_eq!(keys(&drift_body(), "evt-1"), [("trigger".to_owned(), "drift:evt-1".to_owned())]);
    let later = json!({ "type": "drift.attributed", "data": { "id": "evt-1" } }).to_string();
    assert_eq!(keys(later.as_bytes(), "msg-9"), [("trigger".to_owned(), "drift:evt-1".to_owned())]);
    let failed = message::failed(&head(), "network", "no route");
    let back = message::recovered(&head(), &[]);
    assert_eq!(keys(failed.body.as_bytes(), &failed.id), [("trigger".to_owned(), "audit:acme".to_owned())]);
    let over = |what: &str| ("resolve".to_owned(), format!("{what}:acme"));
    assert_eq!(keys(back.body.as_bytes(), &back.id), [over("audit"), over("overdue")]);
    let overdue = news::overdue(&head(), None, 3, "divisions cannot be read");
    assert_eq!(
        keys(overdue.body.as_bytes(), &overdue.id),
        [("trigger".to_owned(), "overdue:acme".to_owned())]
    );
    let gap = Gap {
        fact: crate::domain::Fact::Divisions,
        subject: None,
        reason: "server".to_owned(),
        detail: "503".to_owned(),
        stale_since: None,
    };
    let partly = message::recovered(&head(), &[gap]);
    assert_eq!(keys(partly.body.as_bytes(), &partly.id), [over("audit")], "no audit was complete yet");
    let open: Vec<Finding> = (0..3).map(|number| finding(number, Severity::Critical)).collect();
    let reminder = news::reminder(&head(), &open.iter().collect::<Vec<_>>());
    assert_eq!(
        keys(reminder.body.as_bytes(), &reminder.id),
        [("trigger".to_owned(), "reminder:acme".to_owned())],
        "one incident, however often it is told again"
    );
}

fn flapping(id: &str, phase: Phase) -> Flapping {
    Flapping {
        subject: Subject { kind: "role".to_owned(), id: id.to_owned(), name: format!("Role {id}") },
        cause: CauseKind::RolePermissionsChanged,
        event: "evt-1".to_owned(),
        severity: Severity::High,
        phase,
        since: now(),
        changes: 7,
        pieces: BTreeMap::from([("directory:user:delete".to_owned(), "there".to_owned())]),
        more: false,
    }
}

#[test]
fn what_went_back_and_forth_ends_the_incident_that_it_began() {
    let told = |list: &[Flapping], above: u32| {
        let messages = news::drift_flapping(&head(), &list.iter().collect::<Vec<_>>(), above);
        let [message] = &messages[..] else { panic!("{messages:?}") };
        let events = pagerduty::events(message.body.as_bytes(), &message.id);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let events: Vec<(String, String)> =
            events.iter().map(|event| (text(&event["event_action"]), text(&event["dedup_key"]))).collect();
        (events, Story::of(message.body.as_bytes(), &message.id))
    };
    let key = |action: &str, id: &str| (action.to_owned(), format!("flapping:acme:role:{id}"));
    let (began, story) = told(&[flapping("r1", Phase::Began)], 1);
    assert_eq!((began, story.heading().as_str()), (vec![key("trigger", "r1")], "HIGH · acme"));
    assert_eq!((story.who, story.advice.len()), (vec!["role Role r1: 7 changes".to_owned()], 1));
    let (settled, story) = told(&[flapping("r1", Phase::Settled)], 1);
    assert_eq!((settled, story.heading().as_str()), (vec![key("resolve", "r1")], "CALM AGAIN · acme"));
    let (both, story) = told(&[flapping("r1", Phase::Settled), flapping("r2", Phase::Continues)], 1);
    assert_eq!(both, [key("resolve", "r1"), key("trigger", "r2")]);
    assert_eq!((story.heading().as_str(), story.who.len()), ("HIGH · acme", 2));
}

#[test]
fn a_finding_that_comes_and_goes_is_open_until_it_is_told_as_resolved() {
    let flap = json!({ "since": now(), "changes": 6, "summaries": 0, "told": now(), "untold": 0 });
    let flap: Flap = serde_json::from_value(flap).unwrap();
    let one = Arc::new(finding(1, Severity::High));
    let heading = |kind, phase, open| {
        let news = FindingNews::flapping(&one, phase, open, flap);
        let message = news::findings(&head(), kind, &[&news], 10, "").remove(0);
        let events = pagerduty::events(message.body.as_bytes(), &message.id);
        let action = events[0]["event_action"].as_str().unwrap().to_owned();
        assert_eq!(events[0]["dedup_key"], json!(one.uid));
        (Story::of(message.body.as_bytes(), &message.id).heading(), action)
    };
    let is = |heading: &str, action: &str| (format!("{heading} · acme"), action.to_owned());
    assert_eq!(heading(MessageKind::FindingFlapping, Phase::Began, false), is("HIGH", "trigger"));
    assert_eq!(heading(MessageKind::FindingFlapping, Phase::Settled, true), is("HIGH", "trigger"));
    assert_eq!(heading(MessageKind::FindingResolved, Phase::Settled, false), is("RESOLVED", "resolve"));
}

#[test]
fn what_a_person_silenced_is_not_called_resolved_and_says_who_did_it() {
    let mark = Mark {
        id: "d-1".to_owned(),
        kind: Kind::Mute,
        owner: "bi@example.com".to_owned(),
        reason: "moves in Q1".to_owned(),
        ticket: None,
        at: now(),
        expires: Some(now()),
    };
    let marks = Marks { decisions: vec![Arc::new(mark)], ..Marks::default() };
    let told = |count: usize| {
        let list: Vec<FindingNews> = (0..count)
            .map(|number| {
                let one = Finding { muted: true, marks: marks.clone(), ..finding(number, Severity::High) };
                FindingNews { reason: Some(Reason::Muted), ..FindingNews::of(&Arc::new(one)) }
            })
            .collect();
        let list: Vec<&FindingNews> = list.iter().collect();
        let message = news::findings(&head(), MessageKind::FindingResolved, &list, 10, "d-1").remove(0);
        Story::of(message.body.as_bytes(), &message.id)
    };
    for story in [told(1), told(11)] {
        assert_eq!(story.heading(), "MUTED · acme");
        let who = "muted by bi@example.com until 2025-10-09 08:53 UTC: moves in Q1";
        assert_eq!(story.actor.as_deref(), Some(who));
        assert!(story.advice.is_empty());
    }
}

#[test]
fn the_actor_is_told_as_certain_as_it_is() {
    let actor = |attribution: &Attribution| {
        let body = json!({ "type": "drift.attributed", "data": { "actor": attribution } }).to_string();
        Story::of(body.as_bytes(), "msg-1").actor
    };
    let unknown = Attribution::unknown("the permission audits:audit:view is missing");
    let why = "not known: the permission audits:audit:view is missing";
    assert_eq!(actor(&unknown).as_deref(), Some(why));
    let exact = Attribution {
        certainty: Certainty::Exact,
        kind: Some(ActorKind::User),
        id: Some("u-1".to_owned()),
        name: Some("Ada Admin".to_owned()),
        at: Some(now()),
        remote_ip: Some("203.0.113.7".to_owned()),
        reason: None,
        ..unknown.clone()
    };
    let told = "Ada Admin (user) at 2025-10-09T08:53:20Z from 203.0.113.7, certainty: exact";
    assert_eq!(actor(&exact).as_deref(), Some(told));
    let own = Attribution {
        kind: Some(ActorKind::Configuration),
        id: None,
        name: None,
        at: None,
        remote_ip: None,
        ..exact
    };
    assert_eq!(actor(&own).as_deref(), Some("the configuration of scopewarden, certainty: exact"));
    let candidate = |name: &str| Candidate {
        kind: Some(ActorKind::Client),
        id: None,
        name: Some(name.to_owned()),
        at: now(),
        remote_ip: None,
        action: "Update".to_owned(),
    };
    let several = Attribution {
        certainty: Certainty::WithinWindow,
        candidates: vec![candidate("CI"), candidate("Terraform")],
        candidates_total: 7,
        ..unknown
    };
    let told = "not certain, one of: CI (client) at 2025-10-09T08:53:20Z; Terraform (client) at \
                2025-10-09T08:53:20Z, and 5 more entries";
    assert_eq!(actor(&several).as_deref(), Some(told));
}

#[test]
fn what_lists_neither_clients_nor_findings_is_told_too() {
    let story = |message: &message::Message| Story::of(message.body.as_bytes(), &message.id);
    let grouped = json!({ "type": "drift.grouped", "data": {
        "events": [{ "severity": "critical", "summary": "role A gained admin" }], "total": 30, "clients_total": 4,
    } });
    let grouped = Story::of(grouped.to_string().as_bytes(), "msg-1");
    assert_eq!(grouped.who, ["critical: role A gained admin", "and 29 more changes"]);
    assert_eq!(grouped.advice.len(), 1);
    let pulse = Pulse { org: "acme".to_owned(), complete: None, recorded: None, failing: true };
    let beat = story(&news::heartbeat(&[&pulse], "http://x/", now()));
    assert_eq!(beat.who, ["acme: audits fail; last complete audit never"]);
    let by_type = BTreeMap::from([("finding.opened".to_owned(), 3)]);
    let dead = Dead { receiver: "ops".to_owned(), by_type, ..Dead::default() };
    let dead = story(&news::delivery_dead(&dead, "http://x/", now()));
    assert_eq!((dead.who, dead.advice.len()), (vec!["3 finding.opened".to_owned()], 1));
    let overdue = story(&news::overdue(&head(), None, 3, "divisions cannot be read"));
    assert!(overdue.why[1].starts_with("Until an audit is complete again"), "{:?}", overdue.why);
}

fn standing(open: Vec<Finding>) -> Standing {
    Standing { org: "acme".to_owned(), open, ..Standing::default() }
}

fn all(standings: &[Standing]) -> Vec<Alert> {
    alerts(standings, &Route::ALL, "https://warden.example.com/", now())
}

#[test]
fn what_is_open_fires_four_minutes_ahead_and_what_ended_ends_then() {
    let ended_at = now() - TimeDelta::minutes(3);
    let told = all(&[Standing {
        ended: vec![(finding(1, Severity::High), now()), (finding(2, Severity::High), ended_at)],
        ..standing(vec![finding(1, Severity::High), Finding { muted: true, ..finding(3, Severity::High) }])
    }]);
    let uids: Vec<(&str, DateTime<Utc>)> =
        told.iter().map(|alert| (&alert.labels["uid"][22..], alert.ends_at)).collect();
    // The one that goes on with other words is not over; the muted one is nobody's alert.
    assert_eq!(uids, [("01", now() + LIFE), ("02", ended_at)]);
    let json = serde_json::to_value(&told[0]).unwrap();
    assert_eq!(json["startsAt"], "2025-10-09T07:53:20.000Z");
    assert_eq!(json["generatorURL"], "https://warden.example.com/");
    assert_eq!(json["labels"]["alertname"], "ScopewardenFinding");
    assert_eq!(json["annotations"]["remediation"], "Take it out of the role.");
}

#[test]
fn labels_are_the_same_whatever_the_words_say() {
    let other = Finding {
        title: "other words".to_owned(),
        evidence: String::new(),
        client: ClientRef { id: ClientId::from("c-1"), name: "renamed".to_owned() },
        ..finding(1, Severity::High)
    };
    let (one, other) = (all(&[standing(vec![finding(1, Severity::High)])]), all(&[standing(vec![other])]));
    assert_eq!(one[0].labels, other[0].labels);
    assert_ne!(one[0].annotations, other[0].annotations);
}

#[test]
fn too_many_are_cut_and_counted_the_worst_first() {
    let open = (0..MOST + 10)
        .map(|number| finding(number, if number == MOST + 9 { Severity::Critical } else { Severity::Low }))
        .collect();
    let told = all(&[standing(open)]);
    assert_eq!(told.len(), MOST + 1);
    assert_eq!(told[0].labels["alertname"], "ScopewardenAlertsLeftOut");
    assert!(told[0].annotations["summary"].starts_with("10 more"), "{:?}", told[0]);
    assert_eq!(told[1].labels["severity"], "critical");
}

#[test]
fn failing_audits_fire_until_one_is_recorded() {
    let since = now() - TimeDelta::minutes(30);
    let failing = Failing { since, reason: "network".to_owned(), detail: "no route".to_owned() };
    let told = alerts(
        &[Standing { failing: Some(failing), ..standing(Vec::new()) }],
        &Route { min_severity: Severity::Critical, topics: vec![Topic::Audits], ..Route::ALL },
        "https://warden.example.com/",
        now(),
    );
    assert_eq!((told.len(), told[0].starts_at, told[0].ends_at), (1, since, now() + LIFE));
    let until = now() - TimeDelta::minutes(1);
    let back = all(&[Standing { recovered: vec![(since, until)], ..standing(Vec::new()) }]);
    assert_eq!(back[0].labels, told[0].labels);
    assert_eq!(back[0].ends_at, until);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Long, wide and full of what has a meaning somewhere.
        "[&<>*_\\[\\]\\\\\"\u{0}\n漢é🦀a]{0,1500}".prop_map(Value::from),
        prop_oneof![Just("critical"), Just("info"), Just("finding.opened"), Just("drift.detected")]
            .prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("type"),
        Just("data"),
        Just("summary"),
        Just("severity"),
        Just("org"),
        Just("link"),
        Just("findings"),
        Just("clients"),
        Just("gained"),
        Just("permission"),
        Just("name"),
        Just("id"),
        Just("uid"),
        Just("title"),
        Just("evidence"),
        Just("remediation"),
        Just("actor"),
        Just("detail"),
        Just("clients_total"),
        Just("client"),
        Just("by_severity"),
        Just("timestamp"),
        Just("total"),
        Just("check"),
        Just("events"),
        Just("subjects"),
        Just("subject"),
        Just("phase"),
        Just("changes"),
        Just("orgs"),
        Just("by_type"),
        Just("reason"),
        Just("decisions"),
        Just("certainty"),
        Just("candidates"),
        Just("candidates_total"),
    ];
    leaf.prop_recursive(4, 64, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..12).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_message_holds_every_limit_is_kept(data in anything(), kind in "[a-z.]{0,20}", id in "[a-z0-9-]{1,40}") {
        let body = json!({ "type": kind, "timestamp": "2026-11-25T02:15:00.000Z", "data": data }).to_string();
        let story = Story::of(body.as_bytes(), &id);
        prop_assert_eq!(&story, &Story::of(body.as_bytes(), &id));

        let payload = slack::payload(&story);
        let blocks = payload["blocks"].as_array().unwrap();
        prop_assert!(blocks.len() <= slack::MOST_BLOCKS);
        for block in blocks {
            let most = if block["type"] == "header" { slack::HEADER_CHARS } else { slack::SECTION_CHARS };
            let texts = block["elements"].as_array().map_or_else(|| vec![&block["text"]], |list| list.iter().collect());
            for text in texts {
                let length = text["text"].as_str().unwrap().chars().count();
                prop_assert!((1..=most).contains(&length), "{block}");
            }
        }
        prop_assert!(payload["text"].as_str().unwrap().chars().count() <= slack::SECTION_CHARS);

        let card = teams::payload(&story).to_string();
        prop_assert!(card.len() < 28 * 1024, "{} bytes", card.len());
        prop_assert!(card.contains(&id));

        let events = pagerduty::events(body.as_bytes(), &id);
        prop_assert!(!events.is_empty());
        for event in events {
            let key = event["dedup_key"].as_str().unwrap().chars().count();
            prop_assert!((1..=pagerduty::KEY_CHARS).contains(&key));
            prop_assert!(event.to_string().len() < 512 * 1024);
            if event["event_action"] == "trigger" {
                let summary = event["payload"]["summary"].as_str().unwrap();
                prop_assert!((1..=pagerduty::SUMMARY_CHARS).contains(&summary.chars().count()));
            }
        }
    }
}
