//! What is told, to whom and when: the one place that decides.
//!
//! Enters: what an audit concluded, what was told before, who listens. Leaves: messages with their receivers, and what is
//! to be remembered of having told. Must never: hush what was not told before, tell a receiver what its route does not
//! want, or say of something that was not seen how it is.
//!
//! In order: audits are recorded again, the first audit or the changes, the findings that open and resolve, what flaps,
//! what is still open. What keeps what from being told is in `docs/alerts.md`, *What silences what*.
//!
//! - `damping`: how often one thing that comes and goes is told of. - `prints`: what a change says. - `things`: changes and
//!   findings on their way through the damping. - `post`: who gets what. - `watch`: what is told without an audit.

pub mod damping;
mod post;
mod prints;
mod things;
pub mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

pub use self::things::{About, Remembered};
use self::{post::Post, things::ToldFinding};
use super::{
    ClientId, Gap, Severity,
    attribution::{Attribution, Question},
    decision::{Ledger, Reason},
    event::{Event, Subject},
    finding::{Finding, Status},
    inventory::Client,
    message::{self, Letterhead, Message, MessageKind, news},
    route::{Concern, Route},
    snapshot::Snapshot,
};

/// Things of one organisation that are remembered, so that they do not flap: the ones that do first, then the worst and
/// the latest. What is forgotten is told as if it never had been.
pub const REMEMBERED: usize = 1_000;

/// Who listens, and what is told together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audience {
    /// Receivers by name, each with what it wants to hear.
    pub receivers: Vec<(String, Route)>,
    /// More findings than this are one message; 0: each is one.
    pub group_above: u32,
    /// More changes than this are one message; 0: each is one.
    pub group_drift_above: u32,
    /// Repeats that are told within [`damping::WINDOW`]; 0: all.
    pub flapping_after: u32,
    /// Critical findings open for so long are told again, and as often; `None`: never.
    pub remind_after: Option<TimeDelta>,
}

impl Audience {
    /// Each of these messages, with the receivers that want what tells of `org`'s audits (or of the program, if `None`).
    pub fn address(
        &self,
        org: Option<&str>,
        messages: impl IntoIterator<Item = Message>,
    ) -> Vec<(Message, Vec<String>)> {
        let nobody = BTreeSet::new();
        let address = |message: Message| {
            let concern = Concern { org, severity: message.severity, check: None, owners: &nobody };
            let wanted = self.receivers.iter().filter(|(_, route)| route.wants(message.kind, &concern));
            let receivers = wanted.map(|(name, _)| name.clone()).collect();
            (message, receivers)
        };
        messages.into_iter().map(address).collect()
    }
}

/// What an audit concluded, as far as it may have to be told.
#[derive(Clone, Copy, Debug)]
pub struct Concluded<'a> {
    /// What its messages have in common.
    pub head: Letterhead<'a>,
    /// The audit before failed.
    pub was_failing: bool,
    /// What the audit before saw; `None`: this is the first.
    pub before: Option<&'a Snapshot>,
    /// What this one saw.
    pub snapshot: &'a Snapshot,
    /// What it did not see.
    pub gaps: &'a [Gap],
    /// What changed.
    pub events: &'a [Event],
    /// Findings that are news, by the kind of message that tells of them.
    pub findings: &'a [(MessageKind, &'a [Arc<Finding>])],
    /// Findings that are due again, each with why.
    pub reopened: &'a [(Reason, Arc<Finding>)],
    /// Findings that were due, of checks that are asked no more.
    pub unasked: &'a [Arc<Finding>],
    /// Changes of earlier audits, of which it is known only now who made them.
    pub late: &'a [(Question, Attribution)],
    /// All findings that are open now.
    pub open: &'a [Arc<Finding>],
    /// What people decided, as it stands after the audit.
    pub ledger: &'a Ledger,
}

/// What was told before, of one organisation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What changed lately.
    pub things: BTreeMap<String, Remembered>,
    /// When it was last told that no audit was complete for too long, if no complete one came since.
    pub overdue: Option<DateTime<Utc>>,
    /// When it was last told what is still open.
    pub reminded: Option<DateTime<Utc>>,
}

/// What is to be remembered of having told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noted {
    /// Things that are not as they were.
    pub remember: Vec<(String, Remembered)>,
    /// Things that need not be remembered any more.
    pub forget: Vec<String>,
    /// It was told now what is still open.
    pub reminded: Option<DateTime<Utc>>,
    /// It was told that audits record again, which ends what was said before, or would have been, of none being complete.
    pub recovered: bool,
}

/// What an audit tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Telling {
    /// In this order, each with its receivers.
    pub messages: Vec<(Message, Vec<String>)>,
    /// What no receiver wanted: how much of each kind.
    pub unheard: BTreeMap<MessageKind, u64>,
    /// What is to be remembered.
    pub noted: Noted,
}

/// Decides what an audit tells.
pub fn tell(audience: &Audience, audit: &Concluded<'_>, told: &Told) -> Telling {
    let (head, org) = (&audit.head, audit.head.org);
    let nobody = BTreeSet::new();
    let about_audits = |severity| Concern { org: Some(org), severity, check: None, owners: &nobody };
    let mut post = Post::default();
    let is_complete = audit.gaps.is_empty();
    let recovered = audit.was_failing || (is_complete && told.overdue.is_some());
    if recovered {
        let message = message::recovered(head, audit.gaps);
        post.offer(audience, message.kind, &[(message.clone(), about_audits(message.severity))], |all| {
            all.iter().map(|message| (*message).clone()).collect()
        });
    }
    let Some(before) = audit.before else {
        let failing = audit.open.iter().filter(|finding| finding.status == Status::Fail);
        let (clients, roles) = (audit.snapshot.clients.len(), audit.snapshot.roles.len());
        let message = message::baseline(head, clients, roles, failing.map(Arc::as_ref));
        post.offer(audience, message.kind, &[(message.clone(), about_audits(message.severity))], |all| {
            all.iter().map(|message| (*message).clone()).collect()
        });
        return Telling {
            messages: post.messages,
            unheard: post.unheard,
            noted: Noted { recovered, ..Noted::default() },
        };
    };
    let owners = Owners::of(before, audit.snapshot);
    let mut things = things::Things::recall(&told.things, audience.flapping_after, head.at);
    things.events(audit.events, &owners);
    things.findings(audit.findings, &owners);
    things.reopened(audit.reopened, &owners);
    things.unasked(audit.unasked, &owners);
    things.look(audit);

    let drift: Vec<(&Event, Concern<'_>)> = things
        .told_events
        .iter()
        .map(|(event, owners)| {
            (*event, Concern { org: Some(org), severity: event.severity, check: None, owners })
        })
        .collect();
    offer_drift(&mut post, audience, head, &drift);
    let late = things.late(audit.late, |question| owners.of_question(question, [before, audit.snapshot]));
    let late: Vec<_> = (late.iter())
        .map(|(news, owners)| {
            (*news, Concern { org: Some(org), severity: news.0.severity, check: None, owners })
        })
        .collect();
    post.offer(audience, MessageKind::DriftAttributed, &late, |list| {
        // As many as changes are told one by one: who made each of the others is in the record.
        let most =
            if audience.group_drift_above == 0 { list.len() } else { audience.group_drift_above as usize };
        list.iter().take(most).map(|(question, actor)| message::attributed(head, question, actor)).collect()
    });
    offer_findings(&mut post, audience, head, &things.told_findings, "");
    let flapping: Vec<(&news::Flapping, Concern<'_>)> = things
        .flapping
        .iter()
        .map(|(flapping, owners)| {
            (flapping, Concern { org: Some(org), severity: flapping.severity, check: None, owners })
        })
        .collect();
    post.offer(audience, MessageKind::DriftFlapping, &flapping, |list| {
        let list: Vec<&news::Flapping> = list.iter().map(|flapping| **flapping).collect();
        news::drift_flapping(head, &list, audience.group_drift_above)
    });
    let reminded = remind(&mut post, audience, audit, told, &owners);
    let (remember, forget) = things.noted(&told.things);
    let noted = Noted { remember, forget, reminded, recovered };
    Telling { messages: post.messages, unheard: post.unheard, noted }
}

/// What a person's decision makes of alerts between two audits: `closed` although they fail, and `reopened`. `salt` makes
/// the messages others than those of the decision before.
pub fn decided(
    audience: &Audience,
    head: &Letterhead<'_>,
    snapshot: &Snapshot,
    [closed, reopened]: [&[(Reason, Arc<Finding>)]; 2],
    salt: &str,
) -> Telling {
    let owners = Owners::of(snapshot, snapshot);
    let told: Vec<ToldFinding> =
        [(MessageKind::FindingResolved, closed), (MessageKind::FindingReopened, reopened)]
            .into_iter()
            .flat_map(|(kind, list)| list.iter().map(move |(reason, finding)| (kind, *reason, finding)))
            .map(|(kind, reason, finding)| {
                things::told(kind, Some(reason), finding, owners.of_client(&finding.client.id))
            })
            .collect();
    let mut post = Post::default();
    offer_findings(&mut post, audience, head, &told, salt);
    Telling { messages: post.messages, unheard: post.unheard, noted: Noted::default() }
}

/// Findings, of each kind those of each reason: such as open before such as close.
fn offer_findings(
    post: &mut Post,
    audience: &Audience,
    head: &Letterhead<'_>,
    told: &[ToldFinding],
    salt: &str,
) {
    let reasons: Vec<Option<Reason>> =
        std::iter::once(None).chain(Reason::ALL.into_iter().map(Some)).collect();
    for kind in [
        MessageKind::FindingOpened,
        MessageKind::FindingReopened,
        MessageKind::FindingResolved,
        MessageKind::FindingFlapping,
    ] {
        for reason in &reasons {
            let told = told.iter().filter(|told| told.kind == kind && told.news.reason == *reason);
            let told: Vec<(&news::FindingNews, Concern<'_>)> = told
                .map(|told| {
                    let concern = Concern {
                        org: Some(head.org),
                        severity: told.news.finding.severity,
                        check: Some(&told.news.finding.check),
                        owners: &told.owners,
                    };
                    (&told.news, concern)
                })
                .collect();
            post.offer(audience, kind, &told, |list| {
                let list: Vec<&news::FindingNews> = list.iter().map(|news| **news).collect();
                news::findings(head, kind, &list, audience.group_above, salt)
            });
        }
    }
}

/// Changes, or one message of all of them. A change that is told alone and one that is told among others are different
/// kinds of message, so what a receiver wants is asked for the first.
fn offer_drift(post: &mut Post, audience: &Audience, head: &Letterhead<'_>, drift: &[(&Event, Concern<'_>)]) {
    post.offer(audience, MessageKind::DriftDetected, drift, |list| {
        let limit = audience.group_drift_above;
        if limit == 0 || u32::try_from(list.len()).is_ok_and(|count| count <= limit) {
            return list.iter().map(|event| message::drift(head, event)).collect();
        }
        let list: Vec<&Event> = list.iter().map(|event| **event).collect();
        vec![news::drift_grouped(head, &list)]
    });
}

/// Critical findings that are open for long. Only an audit that saw everything says what is still open.
fn remind(
    post: &mut Post,
    audience: &Audience,
    audit: &Concluded<'_>,
    told: &Told,
    owners: &Owners<'_>,
) -> Option<DateTime<Utc>> {
    let (after, now) = (audience.remind_after?, audit.head.at);
    let is_early = told.reminded.is_some_and(|last| (last..last + after).contains(&now));
    if is_early || !audit.gaps.is_empty() {
        return None;
    }
    let open = audit.open.iter().filter(|finding| {
        finding.is_due()
            && !finding.marks.acknowledged
            && finding.severity == Severity::Critical
            && finding.first_seen + after <= now
    });
    let open: Vec<(&Finding, BTreeSet<String>)> =
        open.map(|finding| (finding.as_ref(), owners.of_client(&finding.client.id))).collect();
    let open: Vec<(&Finding, Concern<'_>)> = open
        .iter()
        .map(|(finding, owners)| {
            let (org, check) = (Some(audit.head.org), Some(finding.check.as_str()));
            (*finding, Concern { org, severity: finding.severity, check, owners })
        })
        .collect();
    if open.is_empty() {
        return None;
    }
    post.offer(audience, MessageKind::FindingReminder, &open, |list| {
        let list: Vec<&Finding> = list.iter().map(|finding| **finding).collect();
        vec![news::reminder(&audit.head, &list)]
    });
    Some(now)
}

/// Who answers for each client, by the contracts before and now.
struct Owners<'a>(BTreeMap<&'a ClientId, BTreeSet<&'a str>>);

impl<'a> Owners<'a> {
    fn of(before: &'a Snapshot, now: &'a Snapshot) -> Self {
        let mut owners: BTreeMap<&ClientId, BTreeSet<&str>> = BTreeMap::new();
        for contract in before.contracts.values().chain(now.contracts.values()) {
            if let (Some(client), false) = (&contract.pinned, contract.owner.is_empty()) {
                owners.entry(client).or_default().insert(&contract.owner);
            }
        }
        Self(owners)
    }

    fn of_client(&self, client: &ClientId) -> BTreeSet<String> {
        self.0.get(client).into_iter().flatten().map(|owner| (*owner).to_owned()).collect()
    }

    /// Those that the change itself concerned. Of one with too many clients to be kept: of whoever holds its subject.
    fn of_question(&self, question: &Question, snapshots: [&Snapshot; 2]) -> BTreeSet<String> {
        let Some(clients) = &question.clients else { return self.of_subject(&question.subject, snapshots) };
        let itself = (question.subject.kind == "client").then(|| ClientId::from(question.subject.id.clone()));
        clients.iter().chain(itself.as_ref()).flat_map(|client| self.of_client(client)).collect()
    }

    /// Those of the clients that a subject is, or that hold it.
    fn of_subject(&self, subject: &Subject, snapshots: [&Snapshot; 2]) -> BTreeSet<String> {
        let is_concerned = |client: &Client| match subject.kind.as_str() {
            "client" => client.id.as_str() == subject.id,
            "role" => client.grants.iter().flatten().any(|grant| grant.role.as_str() == subject.id),
            "division" => client.grants.iter().flatten().any(|grant| grant.division.as_str() == subject.id),
            _ => false,
        };
        let clients = snapshots.into_iter().flat_map(|snapshot| snapshot.clients.values());
        clients.filter(|client| is_concerned(client)).flat_map(|client| self.of_client(&client.id)).collect()
    }

    /// Those of the clients that gained or lost, and of the client that changed itself.
    fn of_event(&self, event: &Event) -> BTreeSet<String> {
        let subject = &event.cause.subject;
        let itself = matches!(subject.kind.as_str(), "client" | "contract")
            .then(|| ClientId::from(subject.id.clone()));
        let clients = event.clients.iter().map(|client| &client.id).chain(itself.as_ref());
        clients.filter_map(|client| self.0.get(client)).flatten().map(|owner| (*owner).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests;
