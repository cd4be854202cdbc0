//! Changes and findings on their way through the damping.
//!
//! Enters: what an audit concluded, what is remembered. Leaves: what is told of it, and what to remember. Must never: tell
//! that a finding opened which was told as open, or that it resolved if it was told as resolved.
//!
//! A subject that flaps is told of by `drift.flapping`. A finding that flaps is *open* until it has been calm: its flap
//! begins with a resolution that is not told, so that a receiver that opens and resolves holds it open meanwhile, and ends
//! with the last word that is true, `finding.resolved` if it is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Concluded, Owners, REMEMBERED,
    damping::{Memory, Verdict, Word},
    prints,
};
use crate::domain::{
    Fact, Gap,
    attribution::{Attribution, Question},
    decision::Reason,
    event::{CauseKind, Event, Subject},
    finding::{Finding, Status},
    message::{
        MessageKind,
        news::{FindingNews, Flapping, Phase},
    },
};

/// What is remembered of one thing, in the form that the store keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// How often it changed.
    pub memory: Memory,
    /// What it is, and how it stands.
    pub about: About,
    /// Owners of the clients that it concerned.
    pub owners: BTreeSet<String>,
}

/// A thing that may flap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A subject of the configuration.
    Subject {
        /// Which.
        subject: Subject,
        /// The last change.
        cause: CauseKind,
        /// The event of the last change.
        event: String,
        /// What changed lately, each with how it is now.
        pieces: BTreeMap<String, String>,
        /// There was more than is kept.
        more: bool,
    },
    /// A finding.
    Finding {
        /// As it was last seen.
        finding: Arc<Finding>,
        /// How it is.
        is_open: bool,
        /// How it was told last.
        told_open: bool,
    },
}

/// A finding that is told of.
pub(super) struct ToldFinding {
    pub(super) kind: MessageKind,
    pub(super) news: FindingNews,
    pub(super) owners: BTreeSet<String>,
}

/// What is told, and what is remembered, while an audit is gone through.
pub(super) struct Things<'a> {
    remembered: BTreeMap<String, Remembered>,
    limit: u32,
    now: DateTime<Utc>,
    pub(super) told_events: Vec<(&'a Event, BTreeSet<String>)>,
    pub(super) told_findings: Vec<ToldFinding>,
    pub(super) flapping: Vec<(Flapping, BTreeSet<String>)>,
}

impl<'a> Things<'a> {
    /// With what still matters of what was told. `limit`: repeats that are told; 0: all.
    pub(super) fn recall(before: &BTreeMap<String, Remembered>, limit: u32, now: DateTime<Utc>) -> Self {
        // What flaps when somebody ends the damping still has its last word to come.
        let still = before.iter().filter(|(_, thing)| {
            if limit == 0 { thing.memory.flap.is_some() } else { !thing.memory.is_over(now) }
        });
        Self {
            remembered: still.map(|(key, thing)| (key.clone(), thing.clone())).collect(),
            limit,
            now,
            told_events: Vec::new(),
            told_findings: Vec::new(),
            flapping: Vec::new(),
        }
    }

    pub(super) fn events(&mut self, events: &'a [Event], owners: &Owners<'_>) {
        for event in events {
            let concerned = owners.of_event(event);
            match self.event(event, &concerned) {
                Verdict::Tell => self.told_events.push((event, concerned)),
                Verdict::Begins => self.flaps(&key_of(&event.cause.subject), Phase::Began),
                Verdict::Hush => {}
            }
        }
    }

    /// Who made changes that were told before, the worst first. Of what goes back and forth it is not told: the change
    /// itself may not have been.
    pub(super) fn late<'l>(
        &self,
        late: &'l [(Question, Attribution)],
        owners: impl Fn(&Question) -> BTreeSet<String>,
    ) -> Vec<(&'l (Question, Attribution), BTreeSet<String>)> {
        let flaps = |subject: &Subject| {
            self.remembered.get(&key_of(subject)).is_some_and(|thing| thing.memory.flap.is_some())
        };
        let mut told: Vec<_> = late
            .iter()
            .filter(|(question, _)| !flaps(&question.subject))
            .map(|news| (news, owners(&news.0)))
            .collect();
        told.sort_by_key(|((question, _), _)| std::cmp::Reverse(question.severity));
        told
    }

    fn event(&mut self, event: &Event, owners: &BTreeSet<String>) -> Verdict {
        let cause = &event.cause;
        if self.limit == 0 && !self.remembered.contains_key(&key_of(&cause.subject)) {
            return Verdict::Tell;
        }
        let thing = self.remembered.entry(key_of(&cause.subject)).or_insert_with(|| Remembered {
            memory: Memory::new(self.now),
            about: About::Subject {
                subject: cause.subject.clone(),
                cause: cause.kind,
                event: event.id.clone(),
                pieces: BTreeMap::new(),
                more: false,
            },
            owners: BTreeSet::new(),
        });
        thing.owners.extend(owners.iter().cloned());
        if let About::Subject { subject, cause: last, event: id, pieces, more } = &mut thing.about {
            (*subject, *last, *id) = (cause.subject.clone(), cause.kind, event.id.clone());
            *more |= !prints::stand(pieces, event);
        }
        thing.memory.change(&prints::of_event(event), event.severity, self.limit, true, self.now)
    }

    /// Findings that are due again. One that failed before may come and go; any other reason is a person's word or the
    /// end of it, and is told as it is.
    pub(super) fn reopened(&mut self, findings: &[(Reason, Arc<Finding>)], owners: &Owners<'_>) {
        for (reason, finding) in findings {
            let concerned = owners.of_client(&finding.client.id);
            if *reason == Reason::FailedAgain {
                self.finding(MessageKind::FindingReopened, Some(*reason), finding, concerned);
                continue;
            }
            if let Some(thing) = self.remembered.get_mut(&key_of_finding(&finding.uid))
                && let About::Finding { finding: last, is_open, told_open } = &mut thing.about
            {
                (*last, *is_open, *told_open) = (Arc::clone(finding), true, true);
                // Told with this severity, so that its resolution is no news for being worse.
                thing.memory.severity = thing.memory.severity.max(finding.severity);
            }
            self.told_findings.push(told(MessageKind::FindingReopened, Some(*reason), finding, concerned));
        }
    }

    /// Findings of checks that are asked no more: their alerts close, however they came and went.
    pub(super) fn unasked(&mut self, findings: &[Arc<Finding>], owners: &Owners<'_>) {
        for finding in findings {
            self.remembered.remove(&key_of_finding(&finding.uid));
            let (kind, concerned) = (MessageKind::FindingResolved, owners.of_client(&finding.client.id));
            self.told_findings.push(told(kind, Some(Reason::CheckRemoved), finding, concerned));
        }
    }

    pub(super) fn findings(&mut self, findings: &[(MessageKind, &[Arc<Finding>])], owners: &Owners<'_>) {
        for (kind, list) in findings {
            for finding in *list {
                self.finding(*kind, None, finding, owners.of_client(&finding.client.id));
            }
        }
    }

    fn finding(
        &mut self,
        kind: MessageKind,
        reason: Option<Reason>,
        finding: &Arc<Finding>,
        concerned: BTreeSet<String>,
    ) {
        let opens = kind != MessageKind::FindingResolved;
        if self.limit == 0 && !self.remembered.contains_key(&key_of_finding(&finding.uid)) {
            self.told_findings.push(told(kind, reason, finding, concerned));
            return;
        }
        let thing = self.remembered.entry(key_of_finding(&finding.uid)).or_insert_with(|| Remembered {
            memory: Memory::new(self.now),
            about: About::Finding { finding: Arc::clone(finding), is_open: !opens, told_open: !opens },
            owners: BTreeSet::new(),
        });
        thing.owners.extend(concerned.iter().cloned());
        let said = if opens { prints::of_opening(finding) } else { prints::of_closing() };
        let verdict = thing.memory.change(&said, finding.severity, self.limit, !opens, self.now);
        let About::Finding { finding: last, is_open, told_open } = &mut thing.about else { return };
        (*last, *is_open) = (Arc::clone(finding), opens);
        let flap = thing.memory.flap;
        match (verdict, flap) {
            (Verdict::Hush, _) => {}
            (Verdict::Begins, Some(flap)) => {
                *told_open = true;
                let news = FindingNews::flapping(finding, Phase::Began, opens, flap);
                self.told_findings.push(ToldFinding {
                    kind: MessageKind::FindingFlapping,
                    news,
                    owners: concerned,
                });
            }
            // News of a finding that is held open already.
            (Verdict::Tell, Some(flap)) if *told_open && opens => {
                let news = FindingNews::flapping(finding, Phase::Changed, opens, flap);
                self.told_findings.push(ToldFinding {
                    kind: MessageKind::FindingFlapping,
                    news,
                    owners: concerned,
                });
            }
            (Verdict::Tell | Verdict::Begins, _) => {
                *told_open = opens;
                self.told_findings.push(told(kind, reason, finding, concerned));
            }
        }
    }

    /// Says of everything that flaps how it stands, if it is time.
    pub(super) fn look(&mut self, audit: &Concluded<'_>) {
        let flapping: Vec<String> = (self.remembered.iter())
            .filter(|(_, thing)| thing.memory.flap.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        if flapping.is_empty() {
            return;
        }
        let open: HashMap<&str, &Arc<Finding>> =
            audit.open.iter().map(|finding| (finding.uid.as_str(), finding)).collect();
        for key in flapping {
            let now = self.now;
            let Some(thing) = self.remembered.get_mut(&key) else { continue };
            let Some(flap) = thing.memory.flap else { continue };
            if let About::Finding { finding, is_open, told_open } = &mut thing.about
                && audit.ledger.silences(&finding.uid)
            {
                // Somebody decided that it need not be heard of, which was told. It may be gone since, which was not.
                thing.memory.flap = None;
                (*is_open, *told_open) = (open.contains_key(finding.uid.as_str()), false);
                continue;
            }
            let is_seen = match &thing.about {
                About::Subject { subject, .. } => sees(audit.gaps, subject),
                About::Finding { finding, .. } => open
                    .get(finding.uid.as_str())
                    .is_none_or(|open| open.status == Status::Fail && open.last_seen == now),
            };
            let word = if self.limit == 0 && is_seen {
                thing.memory.flap = None;
                Some(Word::Settled)
            } else {
                thing.memory.look(is_seen, now)
            };
            let Some(word) = word else { continue };
            let phase = if word == Word::Settled { Phase::Settled } else { Phase::Continues };
            let About::Finding { finding, is_open, told_open } = &mut thing.about else {
                let flapping = describe(thing, phase, flap);
                self.flapping.extend(flapping);
                continue;
            };
            let latest = open.get(finding.uid.as_str()).map_or(&*finding, |open| *open);
            let news = FindingNews::flapping(latest, phase, *is_open, flap);
            let kind = match phase {
                Phase::Settled if *told_open && !*is_open => MessageKind::FindingResolved,
                Phase::Settled if !*told_open && *is_open => MessageKind::FindingOpened,
                _ => MessageKind::FindingFlapping,
            };
            let is_known = phase == Phase::Settled && !*told_open && !*is_open;
            *told_open = if phase == Phase::Settled { *is_open } else { true };
            if is_known {
                continue;
            }
            // One message of a kind about one finding: this one says what the news of this audit said, and more.
            let uid = &latest.uid;
            self.told_findings.retain(|told| told.kind != kind || told.news.finding.uid != *uid);
            self.told_findings.push(ToldFinding { kind, news, owners: thing.owners.clone() });
        }
    }

    fn flaps(&mut self, key: &str, phase: Phase) {
        let Some(thing) = self.remembered.get(key) else { return };
        let Some(flap) = thing.memory.flap else { return };
        self.flapping.extend(describe(thing, phase, flap));
    }

    /// What is not as it was before, and what can be forgotten.
    pub(super) fn noted(
        self,
        before: &BTreeMap<String, Remembered>,
    ) -> (Vec<(String, Remembered)>, Vec<String>) {
        let mut kept: Vec<(String, Remembered)> = self.remembered.into_iter().collect();
        if kept.len() > REMEMBERED {
            let rank = |thing: &Remembered| {
                (thing.memory.flap.is_some(), thing.memory.severity, thing.memory.changed)
            };
            kept.sort_by_key(|(_, thing)| std::cmp::Reverse(rank(thing)));
            kept.truncate(REMEMBERED);
        }
        let names: BTreeSet<&str> = kept.iter().map(|(key, _)| key.as_str()).collect();
        let forget = before.keys().filter(|key| !names.contains(key.as_str())).cloned().collect();
        kept.retain(|(key, thing)| before.get(key) != Some(thing));
        (kept, forget)
    }
}

pub(super) fn told(
    kind: MessageKind,
    reason: Option<Reason>,
    finding: &Arc<Finding>,
    owners: BTreeSet<String>,
) -> ToldFinding {
    ToldFinding { kind, news: FindingNews { finding: Arc::clone(finding), flapping: None, reason }, owners }
}

fn describe(
    thing: &Remembered,
    phase: Phase,
    flap: super::damping::Flap,
) -> Option<(Flapping, BTreeSet<String>)> {
    let About::Subject { subject, cause, event, pieces, more } = &thing.about else { return None };
    let flapping = Flapping {
        subject: subject.clone(),
        cause: *cause,
        event: event.clone(),
        severity: thing.memory.severity,
        phase,
        since: flap.since,
        changes: flap.changes,
        pieces: pieces.clone(),
        more: *more,
    };
    Some((flapping, thing.owners.clone()))
}

/// Whether an audit with these gaps saw how a subject stands.
fn sees(gaps: &[Gap], subject: &Subject) -> bool {
    let needed: &[Fact] = match subject.kind.as_str() {
        "client" => &[Fact::Clients, Fact::ClientGrants, Fact::Grants, Fact::OwnGrants],
        "division" => &[Fact::Divisions],
        "catalogue" => &[Fact::Catalogue, Fact::Operations],
        _ => &[Fact::Roles],
    };
    gaps.iter().all(|gap| {
        let is_others = gap.subject.as_ref().is_some_and(|id| *id != subject.id);
        is_others || !needed.contains(&gap.fact)
    })
}

fn key_of(subject: &Subject) -> String {
    format!("{}:{}", subject.kind, subject.id)
}

fn key_of_finding(uid: &str) -> String {
    format!("finding:{uid}")
}
