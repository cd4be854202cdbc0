//! Audits by hand, one after the other, and what each receiver hears of them.

mod seams;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::{
    Fact,
    contract::Contract,
    decision::Ledger,
    drift,
    evidence::Hash,
    finding::{ClientRef, uid},
    fixtures::{self, client, role, when},
    inventory::Role,
    route::Topic,
};

fn audience(receivers: &[(&str, Route)]) -> Audience {
    Audience {
        receivers: receivers.iter().map(|(name, route)| ((*name).to_owned(), route.clone())).collect(),
        group_above: 10,
        group_drift_above: 25,
        flapping_after: 4,
        remind_after: Some(TimeDelta::hours(24)),
    }
}

fn everyone() -> Audience {
    audience(&[("ops", Route::ALL)])
}

fn finding(client: &str, check: &str, severity: Severity, at: DateTime<Utc>) -> Arc<Finding> {
    let client = ClientRef { id: client.into(), name: client.to_owned() };
    Arc::new(Finding {
        uid: uid("acme", check, &client.id, ""),
        org: "acme".to_owned(),
        check: check.to_owned(),
        status: Status::Fail,
        severity,
        muted: false,
        marks: crate::domain::decision::Marks::default(),
        client,
        key: String::new(),
        title: "a title".to_owned(),
        evidence: "x".to_owned(),
        remediation: "y".to_owned(),
        first_seen: at,
        last_seen: at,
    })
}

/// One organisation's audits, one after the other.
struct Life {
    audience: Audience,
    told: Told,
    snapshot: Snapshot,
    open: BTreeMap<String, Arc<Finding>>,
    number: u32,
    gaps: Vec<Gap>,
    was_failing: bool,
    ledger: Ledger,
}

impl Life {
    fn new(audience: Audience, snapshot: Snapshot) -> Self {
        Self {
            audience,
            told: Told::default(),
            snapshot,
            open: BTreeMap::new(),
            number: 0,
            gaps: Vec::new(),
            was_failing: false,
            ledger: Ledger::default(),
        }
    }

    /// An audit `minutes` after the first, that finds this configuration and these findings.
    fn audit(
        &mut self,
        minutes: i64,
        snapshot: Snapshot,
        found: &[Arc<Finding>],
    ) -> Vec<(Message, Vec<String>)> {
        let at = when() + TimeDelta::minutes(minutes);
        self.number += 1;
        let id = format!("a-{}", self.number);
        let events = drift::between("acme", &id, &self.snapshot, &snapshot);
        let found: BTreeMap<String, Arc<Finding>> = found
            .iter()
            .map(|finding| {
                let first_seen = self.open.get(&finding.uid).map_or(at, |known| known.first_seen);
                let finding = Finding { first_seen, last_seen: at, ..(**finding).clone() };
                (finding.uid.clone(), Arc::new(finding))
            })
            .collect();
        let only = |one: &BTreeMap<String, Arc<Finding>>, other: &BTreeMap<String, Arc<Finding>>| {
            let new = one.iter().filter(|(uid, _)| !other.contains_key(*uid) && !self.ledger.silences(uid));
            new.map(|(_, finding)| Arc::clone(finding)).collect::<Vec<_>>()
        };
        let (opened, resolved) = (only(&found, &self.open), only(&self.open, &found));
        let open: Vec<Arc<Finding>> = found.values().cloned().collect();
        let head = Letterhead { org: "acme", audit: &id, chain_head: Hash::GENESIS, at, link: "http://x/" };
        let telling = tell(
            &self.audience,
            &Concluded {
                head,
                was_failing: std::mem::take(&mut self.was_failing),
                before: Some(&self.snapshot),
                snapshot: &snapshot,
                gaps: &self.gaps,
                events: &events,
                findings: &[(MessageKind::FindingOpened, &opened), (MessageKind::FindingResolved, &resolved)],
                reopened: &[],
                unasked: &[],
                late: &[],
                open: &open,
                ledger: &self.ledger,
            },
            &self.told,
        );
        (self.snapshot, self.open) = (snapshot, found);
        // As the store does it, JSON and all.
        for key in telling.noted.forget {
            self.told.things.remove(&key);
        }
        for (key, thing) in telling.noted.remember {
            let text = serde_json::to_string(&thing).unwrap();
            self.told.things.insert(key, serde_json::from_str(&text).unwrap());
        }
        self.told.reminded = telling.noted.reminded.or(self.told.reminded);
        assert!(self.told.things.len() <= REMEMBERED);
        telling.messages
    }
}

fn kinds(messages: &[(Message, Vec<String>)]) -> Vec<&'static str> {
    messages.iter().map(|(message, _)| message.kind.as_str()).collect()
}

fn body(message: &Message) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

fn with(power: &[&str]) -> Snapshot {
    let role: Role = power.iter().fold(role("r"), |role, permission| role.can(permission));
    fixtures::snapshot([client("a").grant("r", "*")], [role])
}

#[test]
fn a_receiver_with_a_filter_gets_its_own_findings_and_no_others() {
    let checks = |patterns: &[&str]| Route {
        checks: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
        ..Route::ALL
    };
    let mut life = Life::new(
        audience(&[
            ("all", Route::ALL),
            ("admin", checks(&["admin-role"])),
            ("also-admin", checks(&["admin-*"])),
            ("none", checks(&["wildcard"])),
        ]),
        with(&[]),
    );
    let found: Vec<Arc<Finding>> = (0..30)
        .map(|n| {
            let check = if n % 2 == 0 { "admin-role" } else { "default-role" };
            finding(&format!("c{n:02}"), check, Severity::High, when())
        })
        .collect();
    let messages = life.audit(0, with(&[]), &found);
    let got: Vec<(u64, Vec<String>)> = messages
        .iter()
        .map(|(message, receivers)| (body(message)["data"]["total"].as_u64().unwrap(), receivers.clone()))
        .collect();
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(got, [(30, names(&["all"])), (15, names(&["admin", "also-admin"]))]);
    assert_ne!(messages[0].0.id, messages[1].0.id);
    assert_eq!(body(&messages[1].0)["data"]["by_check"], serde_json::json!({ "admin-role": 15 }));
}

#[test]
fn a_group_is_made_of_what_a_receiver_gets_not_of_what_there_is() {
    let only = Route { checks: vec!["admin-role".to_owned()], ..Route::ALL };
    let mut life = Life::new(audience(&[("all", Route::ALL), ("admin", only)]), with(&[]));
    let mut found: Vec<Arc<Finding>> =
        (0..20).map(|n| finding(&format!("c{n:02}"), "default-role", Severity::High, when())).collect();
    found.push(finding("c00", "admin-role", Severity::High, when()));
    let messages = life.audit(0, with(&[]), &found);
    assert_eq!(messages.len(), 2, "one group for all, one finding for admin");
    assert_eq!(body(&messages[1].0)["data"]["total"], 1);
    assert_eq!(messages[1].1, ["admin"]);
}

#[test]
fn a_change_concerns_the_owners_of_those_who_gain_or_lose() {
    let route = |owner: &str| Route { owners: vec![owner.to_owned()], ..Route::ALL };
    let snapshot = |power: &[&str]| {
        let mut snapshot = with(power);
        let contract = |client: &str, owner: &str| Contract {
            client: client.to_owned(),
            owner: owner.to_owned(),
            pinned: Some(client.into()),
            ..Contract::default()
        };
        for contract in [contract("a", "bi@example.com"), contract("b", "hr@example.com")] {
            snapshot.contracts.insert(contract.key(), contract);
        }
        snapshot.seal()
    };
    let mut life = Life::new(audience(&[("bi", route("bi@*")), ("hr", route("hr@*"))]), snapshot(&[]));
    let messages = life.audit(
        0,
        snapshot(&["routing:queue:view"]),
        &[finding("b", "admin-role", Severity::High, when())],
    );
    let got: Vec<(&str, &[String])> =
        messages.iter().map(|(message, receivers)| (message.kind.as_str(), receivers.as_slice())).collect();
    assert_eq!(got, [("drift.detected", &["bi".to_owned()][..]), ("finding.opened", &["hr".to_owned()][..])]);
}

#[test]
fn what_nobody_wants_is_counted() {
    let route = Route { topics: vec![Topic::Findings], min_severity: Severity::Critical, ..Route::ALL };
    let audience = audience(&[("ops", route)]);
    let (before, after) = (with(&[]), with(&["routing:queue:view"]));
    let events = drift::between("acme", "a-1", &before, &after);
    let opened = [finding("a", "admin-role", Severity::High, when())];
    let head =
        Letterhead { org: "acme", audit: "a-1", chain_head: Hash::GENESIS, at: when(), link: "http://x/" };
    let concluded = Concluded {
        head,
        was_failing: false,
        before: Some(&before),
        snapshot: &after,
        gaps: &[],
        events: &events,
        findings: &[(MessageKind::FindingOpened, &opened)],
        reopened: &[],
        unasked: &[],
        late: &[],
        open: &opened,
        ledger: &Ledger::default(),
    };
    let telling = tell(&audience, &concluded, &Told::default());
    assert!(telling.messages.is_empty());
    let want = [(MessageKind::DriftDetected, 1), (MessageKind::FindingOpened, 1)];
    assert_eq!(telling.unheard.into_iter().collect::<Vec<_>>(), want);
}

#[test]
fn many_changes_at_once_are_one_message_of_what_each_receiver_wants() {
    let roles = |power: bool| {
        let with = |n: usize| {
            let role = role(&format!("r{n:03}"));
            if power {
                role.can(if n < 5 { "authorization:role:edit" } else { "routing:queue:view" })
            } else {
                role
            }
        };
        fixtures::snapshot(
            (0..5).map(|n| client(&format!("c{n}")).grant(&format!("r{n:03}"), "*")),
            (0..500).map(with),
        )
    };
    let severe = Route { min_severity: Severity::High, ..Route::ALL };
    let mut life = Life::new(audience(&[("all", Route::ALL), ("severe", severe)]), roles(false));
    let messages = life.audit(0, roles(true), &[]);
    let of = |name: &str| -> Vec<&Message> {
        messages
            .iter()
            .filter(|(_, receivers)| receivers.contains(&name.to_owned()))
            .map(|(message, _)| message)
            .collect()
    };
    let all = of("all");
    assert_eq!((all.len(), body(all[0])["data"]["total"].as_u64()), (1, Some(500)));
    let severe = of("severe");
    assert_eq!(severe.len(), 5, "few enough to be told one by one");
    assert!(severe.iter().all(|message| message.kind == MessageKind::DriftDetected));
}

#[test]
fn audits_that_record_again_are_told_first() {
    let mut life = Life::new(everyone(), with(&[]));
    life.was_failing = true;
    let found = [finding("a", "admin-role", Severity::High, when())];
    let messages = life.audit(0, with(&["routing:queue:view"]), &found);
    assert_eq!(kinds(&messages), ["audit.recovered", "drift.detected", "finding.opened"]);
    // And an overdue one as soon as it is complete, not before.
    life.told.overdue = Some(when());
    life.gaps = vec![gap(Fact::Divisions)];
    assert!(life.audit(1, with(&["routing:queue:view"]), &found).is_empty());
    life.gaps.clear();
    assert_eq!(kinds(&life.audit(2, with(&["routing:queue:view"]), &found)), ["audit.recovered"]);
}

fn gap(fact: Fact) -> Gap {
    Gap { fact, subject: None, reason: "server".to_owned(), detail: "503".to_owned(), stale_since: None }
}

#[test]
fn critical_findings_are_told_again_once_a_day_while_audits_see_everything() {
    let mut life = Life::new(everyone(), with(&[]));
    let critical = finding("a", "admin-role", Severity::Critical, when());
    let found = [Arc::clone(&critical), finding("b", "default-role", Severity::High, when())];
    assert_eq!(kinds(&life.audit(0, with(&[]), &found)), ["finding.opened", "finding.opened"]);
    let hour = 60;
    assert!(life.audit(23 * hour, with(&[]), &found).is_empty());
    life.gaps = vec![gap(Fact::Divisions)];
    assert!(life.audit(24 * hour, with(&[]), &found).is_empty(), "who did not see everything cannot say");
    life.gaps.clear();
    let messages = life.audit(25 * hour, with(&[]), &found);
    assert_eq!(kinds(&messages), ["finding.reminder"]);
    let data = &body(&messages[0].0)["data"];
    assert_eq!(
        (data["total"].as_u64(), &data["findings"][0]["uid"]),
        (Some(1), &serde_json::json!(critical.uid))
    );
    assert!(life.audit(48 * hour, with(&[]), &found).is_empty());
    assert_eq!(kinds(&life.audit(49 * hour, with(&[]), &found)), ["finding.reminder"]);
    let muted = Arc::new(Finding { muted: true, ..(*critical).clone() });
    assert!(
        life.audit(80 * hour, with(&[]), &[muted, Arc::clone(&found[1])]).is_empty(),
        "somebody decided otherwise"
    );
    life.audience.remind_after = None;
    assert!(life.audit(120 * hour, with(&[]), &found).is_empty());
}

/// A role gains and loses a permission at every audit of a day, and a finding comes and goes with it; another day is
/// calm. What was told, by type.
fn a_day_of_toggling(every: i64) -> BTreeMap<&'static str, usize> {
    let mut life = Life::new(everyone(), with(&[]));
    let opened = finding("a", "high-privilege", Severity::Critical, when());
    let mut told = BTreeMap::new();
    let mut is_open = false;
    for n in 0..2_880 / every {
        let minute = n * every;
        let on = minute < 1_440 && n % 2 == 0;
        let (snapshot, found) = if on {
            (with(&["directory:user:delete"]), vec![Arc::clone(&opened)])
        } else {
            (with(&[]), vec![])
        };
        for (message, _) in life.audit(minute, snapshot, &found) {
            *told.entry(message.kind.as_str()).or_default() += 1;
            // Opened and resolved take turns, whatever was hushed.
            match message.kind {
                MessageKind::FindingOpened => assert!(!std::mem::replace(&mut is_open, true)),
                MessageKind::FindingResolved => assert!(std::mem::replace(&mut is_open, false)),
                MessageKind::FindingFlapping => assert!(is_open, "one that flaps is held open"),
                _ => {}
            }
        }
    }
    assert!(!is_open, "it ends as it is");
    assert!(life.told.things.is_empty(), "nothing is remembered for ever");
    told
}

#[test]
fn a_day_of_toggling_is_told_as_often_as_the_documentation_says() {
    for every in [15, 1] {
        let told = a_day_of_toggling(every);
        let want = [
            ("drift.detected", 6),
            ("drift.flapping", 9),
            ("finding.flapping", 8),
            ("finding.opened", 4),
            ("finding.resolved", 4),
        ];
        assert_eq!(told.into_iter().collect::<Vec<_>>(), want, "every {every} minutes");
    }
}

#[test]
fn what_a_flapping_role_never_had_is_told_at_once() {
    let mut life = Life::new(everyone(), with(&[]));
    let mut last = Vec::new();
    for minute in 0..11 {
        last = life.audit(
            minute,
            if minute % 2 == 0 { with(&["directory:user:delete"]) } else { with(&[]) },
            &[],
        );
    }
    assert!(last.is_empty(), "it flaps");
    let messages = life.audit(11, with(&["authorization:role:edit"]), &[]);
    assert_eq!(kinds(&messages), ["drift.detected"]);
    assert_eq!(
        body(&messages[0].0)["data"]["cause"]["permissions"]["added"],
        serde_json::json!(["authorization:role:edit"])
    );
    // Calm for two hours: the last word says how everything stands that went back and forth.
    let mut messages = Vec::new();
    for minute in 12..140 {
        messages.extend(life.audit(minute, with(&["authorization:role:edit"]), &[]));
    }
    let (last, _) = messages.last().unwrap();
    let subject = &body(last)["data"]["subjects"][0];
    assert_eq!(subject["phase"], "settled");
    assert_eq!(
        subject["now"],
        serde_json::json!({ "permission authorization:role:edit": "there", "permission directory:user:delete": "gone" })
    );
}

#[test]
fn who_ends_the_damping_hears_how_everything_stands() {
    let mut life = Life::new(everyone(), with(&[]));
    let opened = finding("a", "high-privilege", Severity::Critical, when());
    for minute in 0..9 {
        let found = if minute % 2 == 0 { vec![Arc::clone(&opened)] } else { vec![] };
        life.audit(minute, with(&[]), &found);
    }
    life.audience.flapping_after = 0;
    assert_eq!(kinds(&life.audit(9, with(&[]), &[])), ["finding.resolved"]);
    assert_eq!(kinds(&life.audit(10, with(&[]), &[opened])), ["finding.opened"]);
    assert!(life.told.things.is_empty());
}

#[test]
fn what_flaps_out_of_sight_is_not_called_settled() {
    let mut life = Life::new(everyone(), with(&[]));
    let opened = finding("a", "empty-division", Severity::High, when());
    for minute in 0..9 {
        let found = if minute % 2 == 0 { vec![Arc::clone(&opened)] } else { vec![] };
        life.audit(minute, with(&[]), &found);
    }
    // It is open and not seen: as `lifecycle` keeps what is in doubt.
    let at = when() + TimeDelta::hours(3);
    let doubtful = Arc::new(Finding { last_seen: when(), ..(*opened).clone() });
    let head = Letterhead { org: "acme", audit: "a-x", chain_head: Hash::GENESIS, at, link: "http://x/" };
    let concluded = Concluded {
        head,
        was_failing: false,
        before: Some(&life.snapshot),
        snapshot: &life.snapshot,
        gaps: &[gap(Fact::Divisions)],
        events: &[],
        findings: &[],
        reopened: &[],
        unasked: &[],
        late: &[],
        open: &[doubtful],
        ledger: &Ledger::default(),
    };
    assert!(tell(&life.audience, &concluded, &life.told).messages.is_empty());
    let seen = Arc::new(Finding { last_seen: at, ..(*opened).clone() });
    let messages =
        tell(&life.audience, &Concluded { open: &[seen], gaps: &[], ..concluded }, &life.told).messages;
    assert_eq!(kinds(&messages), ["finding.flapping"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever comes and goes: who only opens and resolves ends with what is open; who reads everything knows each
    /// permission; opened and resolved take turns.
    #[test]
    fn once_it_is_calm_what_was_told_is_what_is(
        audits in prop::collection::vec((1_i64..90, 0_u8..4, any::<bool>()), 1..80),
    ) {
        let names = ["directory:user:delete", "routing:queue:view"];
        let mut life = Life::new(everyone(), with(&[]));
        let open = finding("a", "admin-role", Severity::High, when());
        let (mut held, mut is_open) = (BTreeSet::new(), false);
        let mut minute = 0;
        let last = *audits.last().unwrap();
        let calm = [(121, last.1, last.2), (1, last.1, last.2)];
        for (pause, power, found) in audits.into_iter().chain(calm) {
            minute += pause;
            let power: Vec<&str> = (0..2).filter(|bit| power >> bit & 1 == 1).map(|bit| names[bit]).collect();
            let found = if found { vec![Arc::clone(&open)] } else { vec![] };
            for (message, _) in life.audit(minute, with(&power), &found) {
                let data = body(&message)["data"].clone();
                match message.kind {
                    MessageKind::DriftDetected => {
                        let words = |list: &str| -> Vec<String> {
                            serde_json::from_value(data["cause"]["permissions"][list].clone()).unwrap()
                        };
                        held.extend(words("added"));
                        for gone in words("removed") {
                            held.remove(&gone);
                        }
                    }
                    MessageKind::DriftFlapping => {
                        for (piece, state) in data["subjects"][0]["now"].as_object().unwrap() {
                            let Some(name) = piece.strip_prefix("permission ") else { continue };
                            if state == "there" { held.insert(name.to_owned()); } else { held.remove(name); }
                        }
                    }
                    MessageKind::FindingOpened => prop_assert!(!std::mem::replace(&mut is_open, true)),
                    MessageKind::FindingResolved => prop_assert!(std::mem::replace(&mut is_open, false)),
                    MessageKind::FindingFlapping => prop_assert!(is_open),
                    _ => {}
                }
            }
        }
        let want: BTreeSet<String> = (0..2).filter(|bit| last.1 >> bit & 1 == 1).map(|bit| names[bit].to_owned()).collect();
        prop_assert_eq!(held, want);
        prop_assert_eq!(is_open, last.2);
    }
}
