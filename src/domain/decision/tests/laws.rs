//! The laws of a finding's life, over random sequences of audits and decisions, against a model that keeps three facts of
//! each finding: what it says, what covers it, and whether it ever failed.
//!
//! `Machine` drives the real thing. The store's tests drive the same acts through `SQLite` and compare.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    super::desk::{Asked, Step},
    *,
};
use crate::domain::{
    ClientId,
    event::{Affected, CauseKind, Delta, Event, Subject},
};

/// What a check says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Pass,
    /// It fails, with one of several contents.
    Fails(u8),
    /// It cannot be told.
    Gap,
}

/// The clients of these lives.
pub(crate) const CLIENTS: [&str; 3] = ["a", "b", "c"];

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// An audit, so many hours later; whether approved changes were reverted by then.
    Audit([Says; 3], i64, bool),
    Mute(usize, i64),
    Unmute(usize),
    Acknowledge(usize),
    /// The change of the last audit, for so many hours.
    Approve(i64),
    /// The oldest decision that stands.
    Revoke,
    Baseline(i64),
    /// The daemon looks, so many hours later.
    Expire(i64),
}

pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let says = prop_oneof![
        2 => Just(Says::Pass),
        4 => (0..2_u8).prop_map(Says::Fails),
        1 => Just(Says::Gap),
    ];
    let who = 0..CLIENTS.len();
    let act = prop_oneof![
        5 => (prop::array::uniform3(says), 0..6_i64, any::<bool>())
            .prop_map(|(says, hours, reverted)| Act::Audit(says, hours, reverted)),
        3 => (who.clone(), 1..12_i64).prop_map(|(who, hours)| Act::Mute(who, hours)),
        1 => who.clone().prop_map(Act::Unmute),
        1 => who.prop_map(Act::Acknowledge),
        2 => (1..12_i64).prop_map(Act::Approve),
        1 => Just(Act::Revoke),
        1 => (1..12_i64).prop_map(Act::Baseline),
        1 => (0..6_i64).prop_map(Act::Expire),
    ];
    prop::collection::vec(act, 1..30)
}

pub(crate) fn found(says: [Says; 3]) -> Vec<Finding> {
    let one = |client: &str, says: Says| match says {
        Says::Pass => None,
        Says::Fails(content) => Some(failing(client, &format!("content {content}"))),
        Says::Gap => Some(Finding { status: Status::Unknown, ..failing(client, "a gap") }),
    };
    CLIENTS.iter().zip(says).filter_map(|(client, says)| one(client, says)).collect()
}

pub(crate) fn uid(who: usize) -> String {
    failing(CLIENTS[who], "").uid
}

/// What an audit concludes, as `audit::analysis` does.
pub(crate) fn conclude(
    before: Vec<Finding>,
    ledger: Ledger,
    found: Vec<Finding>,
    reverted: bool,
    failed: &BTreeSet<String>,
    now: DateTime<Utc>,
) -> (Lifecycle, Settled) {
    let mut life = finding::lifecycle(before, [found], &|_: &ClientId| true, now);
    let mut settled = settle(ledger, &mut life, &|_| !reverted, now);
    settled.failed_before(failed);
    (life, settled)
}

/// The change of an audit that touched every client.
pub(crate) fn event(id: &str) -> Event {
    let nothing: Arc<[_]> = Arc::new([]);
    let affected = |client: &&str| Affected {
        id: (*client).into(),
        name: (*client).to_owned(),
        gained: Arc::clone(&nothing),
        lost: Arc::clone(&nothing),
    };
    let kind = CauseKind::RolePermissionsChanged;
    Event {
        id: id.to_owned(),
        delta: "d".to_owned(),
        org: "acme".to_owned(),
        severity: Severity::High,
        cause: Cause {
            kind,
            subject: Subject { kind: "role".to_owned(), id: "r".to_owned(), name: "R".to_owned() },
            kinds: vec![kind],
            permissions: Delta { added: vec!["x:y:z".to_owned()], removed: vec![] },
            details: BTreeMap::new(),
        },
        clients: CLIENTS.iter().map(affected).collect(),
        actor: None,
    }
}

/// What a person asks of the desk; `None`: the act is none of a person's.
pub(crate) fn ask(
    act: &Act,
    desk: &Desk,
    opened: &[(String, Fingerprint)],
    number: usize,
    now: DateTime<Utc>,
) -> Option<Result<Step, Refusal>> {
    let id = format!("dec-{number}");
    let until = |hours: i64| Some(now + TimeDelta::hours(hours));
    Some(match act {
        Act::Audit(..) => return None,
        Act::Mute(who, hours) => desk.mute(&[uid(*who)], terms(&id, until(*hours)), now),
        Act::Unmute(who) => desk.unmute(&[uid(*who)], None, now),
        Act::Acknowledge(who) => desk.acknowledge(&[uid(*who)], terms(&id, None), now),
        Act::Approve(hours) => {
            let event = event(&format!("evt-{number}"));
            let asked = Asked { event, opened: opened.to_vec(), stands: true };
            desk.approve(&asked, terms(&id, until(*hours)), now)
        }
        Act::Revoke => {
            let oldest =
                desk.ledger.standing().next().map_or("none".to_owned(), |one| one.decision.id.clone());
            // `dec-1` also begins `dec-10`.
            match desk.ledger.standing().filter(|one| one.decision.id.starts_with(&oldest)).count() {
                1 => desk.revoke(&oldest, None, now),
                _ => return None,
            }
        }
        Act::Baseline(hours) => desk.baseline(terms(&id, until(*hours)), now),
        Act::Expire(_) => Ok(desk.expire(now)),
    })
}

/// The real thing.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) desk: Desk,
    pub(crate) entries: Vec<Entry>,
    /// What failed newly in the last audit.
    pub(crate) opened: Vec<(String, Fingerprint)>,
    failed: BTreeSet<String>,
    /// Alerts, in order: opens or closes.
    pub(crate) told: Vec<(String, bool)>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) acted: usize,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { now: at(0), ..Self::default() }
    }

    pub(crate) fn act(&mut self, act: &Act) {
        self.acted += 1;
        if let Act::Audit(_, hours, _) | Act::Expire(hours) = act {
            self.now += TimeDelta::hours(*hours);
        }
        if let Act::Audit(says, _, reverted) = act {
            self.audit(*says, *reverted);
        } else if let Some(Ok(step)) = ask(act, &self.desk, &self.opened, self.acted, self.now) {
            self.told.extend(step.closed.iter().map(|(_, finding)| (finding.uid.clone(), false)));
            self.told.extend(step.reopened.iter().map(|(_, finding)| (finding.uid.clone(), true)));
            self.record(step.entries);
            self.desk.findings.iter_mut().for_each(|finding| self.desk.ledger.mark(finding));
        }
    }

    fn record(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.desk.ledger.add(entry.clone());
            self.entries.push(entry);
        }
    }

    fn audit(&mut self, says: [Says; 3], reverted: bool) {
        let ledger = self.desk.ledger.clone();
        let before: Vec<Finding> = self.desk.findings.iter().map(unmarked).collect();
        let (life, settled) =
            conclude(before.clone(), ledger.clone(), found(says), reverted, &self.failed, self.now);
        // The order in which things come does not matter.
        let backwards = |mut list: Vec<Finding>| {
            list.reverse();
            list
        };
        let other =
            conclude(backwards(before), ledger, backwards(found(says)), reverted, &self.failed, self.now);
        assert_eq!((&life, &settled), (&other.0, &other.1));

        self.opened =
            life.opened.iter().map(|finding| (finding.uid.clone(), fingerprint::of(finding))).collect();
        let tell = |list: &[Arc<Finding>], opens| -> Vec<_> {
            list.iter().map(|finding| (finding.uid.clone(), opens)).collect()
        };
        self.told.extend(tell(&settled.opened, true));
        self.told.extend(settled.reopened.iter().map(|(_, finding)| (finding.uid.clone(), true)));
        self.told.extend(tell(&settled.resolved, false));
        for (reason, finding) in &settled.reopened {
            assert!(
                finding.status == Status::Fail && *reason != Reason::Muted && *reason != Reason::Approved
            );
        }
        self.failed
            .extend(life.open.iter().filter(|one| one.status == Status::Fail).map(|one| one.uid.clone()));
        self.record(settled.endings);
        assert_eq!(self.desk.ledger, settled.ledger);
        self.desk.findings = life.open.into_iter().map(Arc::unwrap_or_clone).collect();
    }
}

/// As the store keeps it.
pub(crate) fn unmarked(finding: &Finding) -> Finding {
    Finding { muted: false, marks: Marks::default(), ..finding.clone() }
}

/// What covers a finding in the model.
#[derive(Clone, Debug)]
struct ModelCover {
    decision: usize,
    kind: Kind,
    content: u8,
    expires: Option<DateTime<Utc>>,
}

/// One finding in the model.
#[derive(Clone, Debug, Default)]
struct ModelLife {
    /// What it says; `None`: it does not fail, as far as anybody saw.
    fails: Option<u8>,
    covers: Vec<ModelCover>,
    /// It began to fail in the last audit, saying this.
    opened: Option<u8>,
}

impl ModelLife {
    fn is_due(&self) -> bool {
        self.fails.is_some() && self.covers.iter().all(|cover| cover.kind == Kind::Acknowledge)
    }

    fn has(&self, kinds: &[Kind]) -> bool {
        self.fails.is_some() && self.covers.iter().any(|cover| kinds.contains(&cover.kind))
    }
}

#[derive(Default)]
struct Model {
    lives: [ModelLife; 3],
    now: DateTime<Utc>,
    acted: usize,
}

impl Model {
    fn cover(&mut self, who: usize, kind: Kind, hours: Option<i64>, content: u8) {
        let expires = hours.map(|hours| self.now + TimeDelta::hours(hours));
        self.lives[who].covers.push(ModelCover { decision: self.acted, kind, content, expires });
    }

    fn act(&mut self, act: &Act, revoked: Option<usize>) {
        self.acted += 1;
        if let Act::Audit(_, hours, _) | Act::Expire(hours) = act {
            self.now += TimeDelta::hours(*hours);
        }
        let now = self.now;
        let is_over = |cover: &ModelCover| cover.expires.is_some_and(|at| at <= now);
        match act {
            Act::Audit(says, _, reverted) => {
                for (life, says) in self.lives.iter_mut().zip(says) {
                    let before = life.fails;
                    life.fails = match says {
                        Says::Pass => None,
                        Says::Fails(content) => Some(*content),
                        Says::Gap => before,
                    };
                    life.opened = life.fails.filter(|_| before.is_none());
                    life.covers.retain(|cover| {
                        let says_else = life.fails.is_some_and(|content| content != cover.content);
                        let is_acknowledged = cover.kind == Kind::Acknowledge;
                        let is_resolved = before.is_some() && life.fails.is_none();
                        let is_reverted = cover.kind == Kind::Approve && *reverted;
                        let ends = is_over(cover) || says_else || is_reverted;
                        !(ends || (is_acknowledged && is_resolved))
                    });
                }
            }
            Act::Mute(who, hours) => {
                if let Some(content) = self.lives[*who].fails {
                    self.lives[*who].covers.retain(|one| !matches!(one.kind, Kind::Mute | Kind::Baseline));
                    self.cover(*who, Kind::Mute, Some(*hours), content);
                }
            }
            Act::Unmute(who) => {
                if self.lives[*who].fails.is_some() {
                    self.lives[*who].covers.retain(|one| !matches!(one.kind, Kind::Mute | Kind::Baseline));
                }
            }
            Act::Acknowledge(who) => {
                if let Some(content) = self.lives[*who].fails {
                    self.lives[*who].covers.retain(|one| one.kind != Kind::Acknowledge);
                    self.cover(*who, Kind::Acknowledge, None, content);
                }
            }
            Act::Approve(hours) => {
                for who in 0..self.lives.len() {
                    let life = &self.lives[who];
                    if let Some(content) = life.opened.filter(|content| life.fails == Some(*content)) {
                        self.cover(who, Kind::Approve, Some(*hours), content);
                    }
                }
            }
            Act::Revoke => {
                for life in &mut self.lives {
                    life.covers.retain(|cover| Some(cover.decision) != revoked);
                }
            }
            Act::Baseline(hours) => {
                for who in 0..self.lives.len() {
                    if let Some(content) = self.lives[who].fails.filter(|_| self.lives[who].is_due()) {
                        self.cover(who, Kind::Baseline, Some(*hours), content);
                    }
                }
            }
            Act::Expire(_) => {
                for life in &mut self.lives {
                    life.covers.retain(|cover| !is_over(cover));
                }
            }
        }
    }
}

/// The number of the act that made the decision which `Act::Revoke` takes back.
fn oldest(machine: &Machine) -> Option<usize> {
    let oldest = machine.desk.ledger.standing().next()?.decision.id.clone();
    let like = machine.desk.ledger.standing().filter(|one| one.decision.id.starts_with(&oldest)).count();
    (like == 1).then(|| oldest.trim_start_matches("dec-").parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_life_keeps_its_laws(acts in acts()) {
        let (mut machine, mut model) = (Machine::new(), Model { now: at(0), ..Model::default() });
        for act in &acts {
            let revoked = oldest(&machine);
            let told_before = machine.told.len();
            machine.act(act);
            model.act(act, revoked);

            // Never two open with one uid.
            let uids: Vec<&str> = machine.desk.findings.iter().map(|finding| finding.uid.as_str()).collect();
            prop_assert!(uids.is_sorted() && uids.windows(2).all(|pair| pair[0] != pair[1]));

            for (who, life) in model.lives.iter().enumerate() {
                let uid = uid(who);
                let finding = machine.desk.findings.iter().find(|one| one.uid == uid && one.status == Status::Fail);
                // It is open while it fails, and through every gap, with the content that was seen.
                let says = finding.map(|finding| finding.evidence.clone());
                prop_assert_eq!(says, life.fails.map(|content| format!("content {content}")), "{}", who);
                // What covers it, and never what says something else.
                let marks = finding.map(|one| (one.muted, one.marks.approved, one.marks.acknowledged));
                let (mutes, approvals) = ([Kind::Mute, Kind::Baseline], [Kind::Approve]);
                let has = (life.has(&mutes), life.has(&approvals), life.has(&[Kind::Acknowledge]));
                prop_assert_eq!(marks.unwrap_or_default(), has, "{} after {:?}", who, act);
                for (_, fingerprint) in machine.desk.ledger.covering(&uid).filter(|_| finding.is_some()) {
                    prop_assert_eq!(fingerprint, &fingerprint::of(finding.unwrap()));
                }
                // An alert is open exactly while the finding is due, and each that opens closes before it opens again.
                let told: Vec<bool> =
                    machine.told.iter().filter(|(one, _)| *one == uid).map(|(_, opens)| *opens).collect();
                prop_assert!(told.iter().enumerate().all(|(at, opens)| *opens == (at % 2 == 0)), "{:?}", told);
                prop_assert_eq!(told.last() == Some(&true), life.is_due(), "{} after {:?}", who, act);
                prop_assert_eq!(finding.is_some_and(Finding::is_due), life.is_due());
                // At once: one act tells of a finding once at most.
                let news = machine.told[told_before..].iter().filter(|(one, _)| *one == uid).count();
                prop_assert!(news <= 1);
            }
            // What is recorded is the state.
            prop_assert_eq!(&Ledger::replay(machine.entries.clone()), &machine.desk.ledger);
            let ends: Vec<_> = machine.entries.iter().filter_map(|entry| match entry {
                Entry::Ended(ending) => Some((ending.decision.clone(), ending.uid.clone())),
                Entry::Made(_) => None,
            }).collect();
            prop_assert_eq!(ends.iter().collect::<BTreeSet<_>>().len(), ends.len(), "nothing ends twice");
        }
    }
}

#[test]
fn the_same_change_after_a_revert_alerts_anew() {
    let mut machine = Machine::new();
    let fails = [Says::Fails(0), Says::Pass, Says::Pass];
    machine.act(&Act::Audit(fails, 0, false));
    machine.act(&Act::Approve(100));
    assert_eq!(machine.told.len(), 2, "opened, and closed by the approval");
    machine.act(&Act::Audit([Says::Pass; 3], 1, true));
    assert_eq!(machine.told.len(), 2);
    machine.act(&Act::Audit(fails, 1, false));
    assert_eq!(machine.told.last(), Some(&(uid(0), true)));
    assert!(machine.desk.ledger.approvals().next().is_none());
}
