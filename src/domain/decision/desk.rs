//! What people ask for: mute, un-mute, acknowledge, approve, baseline, revoke.
//!
//! Enters: the open findings and decisions as last recorded (a [`Desk`]), what is asked, `now`. Leaves: a [`Step`] to be
//! recorded as one, or a [`Refusal`] that says what to do. Must never: do a part of what was asked.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    Approved, Cover, Decision, Ending, Entry, Fingerprint, Kind, LONGEST, Ledger, MOST, Reason, TEXT, Why,
    fingerprint,
};
use crate::domain::{
    event::Event,
    finding::{Finding, Status},
    message, permission,
};

/// What is on the desk: the state of one organisation.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// Open findings (fail and unknown), marked, sorted by uid.
    pub findings: Vec<Finding>,
    /// Its decisions.
    pub ledger: Ledger,
}

/// Who decides what, why and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The new decision's id.
    pub id: String,
    /// Who answers for it.
    pub owner: String,
    /// Why, or a note.
    pub reason: String,
    /// Where it was agreed.
    pub ticket: Option<String>,
    /// Until when.
    pub expires: Option<DateTime<Utc>>,
}

/// An event that is to be approved.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The event as recorded.
    pub event: Event,
    /// What failed newly in the audit that recorded it, as it was then.
    pub opened: Vec<(String, Fingerprint)>,
    /// The change still stands.
    pub stands: bool,
}

/// What is to be recorded and told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// To be recorded, in order.
    pub entries: Vec<Entry>,
    /// Alerts that close, with why.
    pub closed: Vec<(Reason, Arc<Finding>)>,
    /// Alerts that open again, with why.
    pub reopened: Vec<(Reason, Arc<Finding>)>,
}

impl Step {
    /// The decision that was made, if one was.
    pub fn made(&self) -> Option<&Decision> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Made(decision) => Some(&**decision),
            Entry::Ended(_) => None,
        })
    }
}

/// Why something that was asked is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No open finding has the uid (or begins with it).
    #[error("{uid:?}: no open finding has this uid{hint}; `scopewarden findings --json` lists them")]
    NoSuchFinding {
        /// As it was given.
        uid: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// A uid was shortened too much.
    #[error("{uid:?}: {count} open findings begin with this; give more of the uid")]
    Ambiguous {
        /// As it was given.
        uid: String,
        /// How many.
        count: usize,
    },
    /// It is not known to fail.
    #[error(
        "{uid}: it is unknown whether this fails, so there is nothing to decide about; the evidence says which fact is missing"
    )]
    Unknown {
        /// Its uid.
        uid: String,
    },
    /// Nothing keeps it from being due.
    #[error(
        "{uid}: this finding is not muted; an approval is taken back by `scopewarden approvals revoke ID`"
    )]
    NotMuted {
        /// Its uid.
        uid: String,
    },
    /// No decision that stands has the id.
    #[error(
        "{id:?}: no decision that stands has this id{hint}; `scopewarden approvals list --all` lists them"
    )]
    NoSuchDecision {
        /// As it was given.
        id: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// It was approved already.
    #[error(
        "{event}: this change is approved already, by {owner} ({id}); revoke that first: scopewarden approvals revoke {id}"
    )]
    Approved {
        /// The event.
        event: String,
        /// Who.
        owner: String,
        /// By which decision.
        id: String,
    },
    /// The change does not stand any more.
    #[error("{event}: this change was reverted since ({summary}), so there is nothing left to approve")]
    Reverted {
        /// The event.
        event: String,
        /// The change in one sentence.
        summary: String,
    },
    /// A text that is too long, or missing.
    #[error("--{name}: {problem}")]
    Text {
        /// The option.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A time that cannot be meant.
    #[error("--expires: {0}")]
    Expires(String),
    /// Nothing is open that a baseline could take in.
    #[error("nothing that fails is open and not muted, so a baseline would hold nothing")]
    NothingOpen,
    /// Too many decisions stand.
    #[error(
        "{MOST} decisions stand already, which is the most; take back some, or use one baseline for many findings"
    )]
    TooMany,
}

impl Terms {
    /// Whether they can be meant. `silences`: they keep something from being due, so they must say why and end.
    pub fn check(&self, silences: bool, now: DateTime<Utc>) -> Result<(), Refusal> {
        let text = |name, text: &str, is_needed: bool| match text.trim() {
            "" if is_needed => {
                Err(Refusal::Text { name, problem: "is empty; say it in a few words".to_owned() })
            }
            text if text.chars().count() > TEXT => {
                Err(Refusal::Text { name, problem: format!("is longer than {TEXT} letters") })
            }
            text if text.chars().any(|letter| letter.is_control() && letter != '\n') => {
                Err(Refusal::Text { name, problem: "holds control characters".to_owned() })
            }
            _ => Ok(()),
        };
        text("owner", &self.owner, true)?;
        text("reason", &self.reason, silences && self.ticket.is_none())?;
        if let Some(ticket) = &self.ticket {
            text("ticket", ticket, true)?;
        }
        match self.expires {
            None if silences => Err(Refusal::Expires("is needed; nothing is silent for ever".to_owned())),
            Some(at) if at <= now => {
                Err(Refusal::Expires(format!("{} is not in the future", at.to_rfc3339())))
            }
            Some(at) if at > now + LONGEST => Err(Refusal::Expires(format!(
                "{} is more than a year ({} days) away; decide anew then",
                at.to_rfc3339(),
                LONGEST.num_days()
            ))),
            _ => Ok(()),
        }
    }

    fn decision(self, kind: Kind, covers: Vec<Cover>, now: DateTime<Utc>) -> Decision {
        let Self { id, owner, reason, ticket, expires } = self;
        let (owner, reason) = (owner.trim().to_owned(), reason.trim().to_owned());
        Decision { id, kind, owner, reason, ticket, at: now, expires, approved: None, covers }
    }
}

impl Desk {
    /// Silences findings until a date. One that was muted already is muted anew.
    pub fn mute(&self, uids: &[String], terms: Terms, now: DateTime<Utc>) -> Result<Step, Refusal> {
        terms.check(true, now)?;
        let findings = self.failing(uids)?;
        self.decide(Kind::Mute, &findings, terms, now)
    }

    /// Notes that somebody works on findings. Their alerts stay open.
    pub fn acknowledge(&self, uids: &[String], terms: Terms, now: DateTime<Utc>) -> Result<Step, Refusal> {
        terms.check(false, now)?;
        let findings = self.failing(uids)?;
        self.decide(Kind::Acknowledge, &findings, terms, now)
    }

    /// Silences everything that is due, until a date.
    pub fn baseline(&self, terms: Terms, now: DateTime<Utc>) -> Result<Step, Refusal> {
        terms.check(true, now)?;
        let due: Vec<&Finding> = self.findings.iter().filter(|finding| finding.is_due()).collect();
        if due.is_empty() {
            return Err(Refusal::NothingOpen);
        }
        self.decide(Kind::Baseline, &due, terms, now)
    }

    /// Accepts the change of an event, and what it opened and still says the same.
    pub fn approve(&self, asked: &Asked, terms: Terms, now: DateTime<Utc>) -> Result<Step, Refusal> {
        terms.check(true, now)?;
        let event = &asked.event;
        let summary = message::sentence(event);
        if let Some(decision) = self
            .ledger
            .approvals()
            .find(|decision| decision.approved.as_ref().is_some_and(|approved| approved.event == event.id))
        {
            let (owner, id) = (decision.owner.clone(), decision.id.clone());
            return Err(Refusal::Approved { event: event.id.clone(), owner, id });
        }
        if !asked.stands {
            return Err(Refusal::Reverted { event: event.id.clone(), summary });
        }
        let touched: BTreeSet<&str> = (event.clients.iter().map(|client| client.id.as_str()))
            .chain([event.cause.subject.id.as_str()])
            .collect();
        let findings = asked.opened.iter().filter_map(|(uid, then)| {
            let finding = self.find(uid)?;
            let is_meant = finding.status == Status::Fail && touched.contains(finding.client.id.as_str());
            (is_meant && fingerprint::of(finding) == *then).then_some(finding)
        });
        let findings: Vec<&Finding> = findings.collect();
        let mut step = self.decide(Kind::Approve, &findings, terms, now)?;
        for entry in &mut step.entries {
            if let Entry::Made(decision) = entry {
                decision.approved = Some(Approved {
                    event: event.id.clone(),
                    delta: event.delta.clone(),
                    summary: summary.clone(),
                    cause: event.cause.clone(),
                });
            }
        }
        Ok(step)
    }

    /// Takes back the mutes of findings (also those of a baseline): they are due at once.
    pub fn unmute(&self, uids: &[String], by: Option<&str>, now: DateTime<Utc>) -> Result<Step, Refusal> {
        let by = by.map(str::to_owned);
        let mut endings = Vec::new();
        for finding in self.failing(uids)? {
            let before = endings.len();
            for (decision, _) in self.ledger.covering(&finding.uid) {
                if matches!(decision.kind, Kind::Mute | Kind::Baseline) {
                    let (decision, uid) = (decision.id.clone(), Some(finding.uid.clone()));
                    endings.push(Ending { decision, uid, why: Why::Withdrawn, at: now, by: by.clone() });
                }
            }
            if endings.len() == before {
                return Err(Refusal::NotMuted { uid: finding.uid.clone() });
            }
        }
        Ok(self.end(endings))
    }

    /// Takes back a whole decision, whatever its kind.
    pub fn revoke(&self, id: &str, by: Option<String>, now: DateTime<Utc>) -> Result<Step, Refusal> {
        let standing: Vec<&str> = self.ledger.standing().map(|one| one.decision.id.as_str()).collect();
        let matching: Vec<&&str> =
            standing.iter().filter(|one| !id.is_empty() && one.starts_with(id)).collect();
        let &[decision] = matching.as_slice() else {
            let hint = match matching.len() {
                0 => did_you_mean(id, standing.iter().copied()),
                count => format!(" ({count} begin with it)"),
            };
            return Err(Refusal::NoSuchDecision { id: id.to_owned(), hint });
        };
        let decision = (*decision).to_owned();
        Ok(self.end(vec![Ending { decision, uid: None, why: Why::Withdrawn, at: now, by }]))
    }

    /// Ends what has expired by `now`.
    pub fn expire(&self, now: DateTime<Utc>) -> Step {
        let over = self.ledger.standing().filter(|one| one.decision.expires.is_some_and(|at| at <= now));
        let ending =
            |id: &str| Ending { decision: id.to_owned(), uid: None, why: Why::Expired, at: now, by: None };
        self.end(over.map(|one| ending(&one.decision.id)).collect())
    }

    fn find(&self, uid: &str) -> Option<&Finding> {
        self.findings
            .binary_search_by(|finding| finding.uid.as_str().cmp(uid))
            .ok()
            .map(|at| &self.findings[at])
    }

    /// The failing findings with these uids, each once. The beginning of a uid is enough if only one has it.
    fn failing(&self, uids: &[String]) -> Result<Vec<&Finding>, Refusal> {
        let mut found: Vec<&Finding> = Vec::new();
        for uid in uids {
            let start = self.findings.partition_point(|finding| finding.uid.as_str() < uid.as_str());
            let rest = self.findings[start..].iter();
            let matching: Vec<&Finding> =
                rest.take_while(|finding| !uid.is_empty() && finding.uid.starts_with(uid.as_str())).collect();
            let finding = match matching.as_slice() {
                [] => {
                    let hint = did_you_mean(uid, self.findings.iter().map(|finding| finding.uid.as_str()));
                    return Err(Refusal::NoSuchFinding { uid: uid.clone(), hint });
                }
                [only] => *only,
                several => return Err(Refusal::Ambiguous { uid: uid.clone(), count: several.len() }),
            };
            if finding.status != Status::Fail {
                return Err(Refusal::Unknown { uid: finding.uid.clone() });
            }
            found.push(finding);
        }
        found.sort_by(|one, other| one.uid.cmp(&other.uid));
        found.dedup_by(|one, other| one.uid == other.uid);
        Ok(found)
    }

    fn decide(
        &self,
        kind: Kind,
        findings: &[&Finding],
        terms: Terms,
        now: DateTime<Utc>,
    ) -> Result<Step, Refusal> {
        if self.ledger.standing().count() >= MOST {
            return Err(Refusal::TooMany);
        }
        let by = Some(terms.owner.trim().to_owned());
        let mut step = Step::default();
        for finding in findings {
            // Of one kind, the last word counts. A mute also takes a finding out of its baseline.
            let older = self.ledger.covering(&finding.uid).filter(|(decision, _)| match kind {
                Kind::Mute => matches!(decision.kind, Kind::Mute | Kind::Baseline),
                kind => decision.kind == kind && kind != Kind::Approve,
            });
            step.entries.extend(older.map(|(decision, _)| {
                let (decision, uid) = (decision.id.clone(), Some(finding.uid.clone()));
                Entry::Ended(Ending { decision, uid, why: Why::Replaced, at: now, by: by.clone() })
            }));
        }
        let covers = findings
            .iter()
            .map(|finding| Cover { uid: finding.uid.clone(), fingerprint: fingerprint::of(finding) });
        step.entries.push(Entry::Made(Box::new(terms.decision(kind, covers.collect(), now))));
        let reason = if kind == Kind::Approve { Reason::Approved } else { Reason::Muted };
        let mut closing: Vec<Finding> = (findings.iter())
            .filter(|finding| kind.silences() && finding.is_due())
            .map(|finding| (*finding).clone())
            .collect();
        if !closing.is_empty() {
            // Whoever hears that the alert is over hears who decided so, until when and why.
            let mut after = self.ledger.clone();
            for entry in &step.entries {
                after.add(entry.clone());
            }
            for finding in &mut closing {
                after.mark(finding);
            }
        }
        step.closed = closing.into_iter().map(|finding| (reason, Arc::new(finding))).collect();
        Ok(step)
    }

    /// What opens again once these have ended.
    fn end(&self, endings: Vec<Ending>) -> Step {
        let mut after = self.ledger.clone();
        let mut touched: Vec<(String, Reason)> = Vec::new();
        for ending in &endings {
            let freed = self.ledger.released_by(ending).into_iter().filter(|(_, kind)| kind.silences());
            touched.extend(freed.map(|(uid, kind)| (uid.to_owned(), Reason::after(kind, ending.why))));
            after.add(Entry::Ended(ending.clone()));
        }
        touched.sort();
        touched.dedup_by(|one, other| one.0 == other.0);
        let reopened = touched.into_iter().filter_map(|(uid, reason)| {
            let finding = self.find(&uid).filter(|finding| finding.status == Status::Fail)?;
            let was_silent = self.ledger.silences(&uid);
            (was_silent && !after.silences(&uid)).then(|| {
                let mut finding = finding.clone();
                after.mark(&mut finding);
                (reason, Arc::new(finding))
            })
        });
        let reopened = reopened.collect();
        Step { entries: endings.into_iter().map(Entry::Ended).collect(), closed: Vec::new(), reopened }
    }
}

/// `; did you mean "x"?`, or nothing.
fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match permission::nearest(unknown, known, 1).first() {
        Some(near) => format!("; did you mean {near:?}?"),
        None => String::new(),
    }
}
