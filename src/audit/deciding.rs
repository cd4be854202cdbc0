//! A person's decision, carried out: recorded with what is told because of it, in one transaction.
//!
//! Enters: the store, whom to tell, what is asked, and `now`. Leaves: the decision in the record, its messages in the
//! outbox, and a [`Done`]. Must never: ask the platform, or wait for an audit. It works beside a running daemon, which
//! notices.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Addressing;
use crate::{
    domain::{
        decision::{
            Reason,
            desk::{Asked, Desk, Refusal, Step, Terms},
            revert,
        },
        event::Event,
        finding::Finding,
        message::Letterhead,
        snapshot::Snapshot,
        telling,
    },
    store::{self, Decision as Outcome, Place, Store},
};

/// What is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// Silence findings until a date.
    Mute(Vec<String>, Terms),
    /// Somebody works on findings.
    Acknowledge(Vec<String>, Terms),
    /// Take back mutes; by whom, if that was said.
    Unmute(Vec<String>, Option<String>),
    /// Accept the change of an event, with what it opened.
    Approve(Box<Asked>, Terms),
    /// Silence everything that is due.
    Baseline(Terms),
    /// Take back a decision, by its id.
    Revoke(String, Option<String>),
    /// End what has expired.
    Expire,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Done {
    /// The decision that was made, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<crate::domain::decision::Decision>,
    /// Uids that are not due any more.
    pub closed: Vec<String>,
    /// Uids that are due again.
    pub reopened: Vec<String>,
    /// Messages that were queued.
    pub messages: usize,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be meant.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The record cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A new id for a decision: unique, and short enough to be typed.
pub fn new_id() -> String {
    format!("dec-{}", &Uuid::new_v4().simple().to_string()[..16])
}

/// What a baseline by these terms would hold, without making it.
pub async fn preview(
    store: &Store,
    org: &str,
    terms: Terms,
    now: DateTime<Utc>,
) -> Result<Vec<Finding>, Error> {
    let ledger = store.decisions(org).await?.ledger;
    let desk = Desk { findings: store.findings(Some(org)).await?, ledger };
    let step = desk.baseline(terms, now)?;
    // As they stand now: nothing is decided yet.
    let taken: HashSet<&str> = step.closed.iter().map(|(_, finding)| finding.uid.as_str()).collect();
    let mut findings = desk.findings;
    findings.retain(|finding| taken.contains(finding.uid.as_str()));
    Ok(findings)
}

/// What there is to know of an event before it is approved.
pub async fn asked(store: &Store, org: &str, audit: &str, event: Event) -> Result<Asked, store::Error> {
    let opened = store.opened_in(org, audit).await?;
    let last = store.snapshot_at(org, None).await?;
    let stands = last.is_some_and(|past| revert::stands(&event.cause, &past.snapshot));
    Ok(Asked { event, opened, stands })
}

/// Does what is asked, whole or not at all.
pub async fn decide(
    store: &Store,
    addressing: &Addressing,
    org: &str,
    request: Request,
    now: DateTime<Utc>,
) -> Result<Done, Error> {
    let now = now.trunc_subsecs(3);
    let (addressing, name) = (addressing.clone(), org.to_owned());
    // For who answers for the clients concerned.
    let snapshot = store.snapshot_at(org, None).await?.map(|past| past.snapshot).unwrap_or_default();
    let decided = store
        .decide(org, now, move |desk, place| {
            let step = perform(&desk, request, now)?;
            Ok(outcome(&addressing, &name, &snapshot, place, step, now))
        })
        .await?;
    Ok(decided?)
}

fn perform(desk: &Desk, request: Request, now: DateTime<Utc>) -> Result<Step, Refusal> {
    match request {
        Request::Mute(uids, terms) => desk.mute(&uids, terms, now),
        Request::Acknowledge(uids, terms) => desk.acknowledge(&uids, terms, now),
        Request::Unmute(uids, by) => desk.unmute(&uids, by.as_deref(), now),
        Request::Approve(asked, terms) => desk.approve(&asked, terms, now),
        Request::Baseline(terms) => desk.baseline(terms, now),
        Request::Revoke(id, by) => desk.revoke(&id, by, now),
        Request::Expire => Ok(desk.expire(now)),
    }
}

fn outcome(
    addressing: &Addressing,
    org: &str,
    snapshot: &Snapshot,
    place: &Place,
    step: Step,
    now: DateTime<Utc>,
) -> Outcome<Done> {
    let head =
        Letterhead { org, audit: &place.audit, chain_head: place.chain, at: now, link: addressing.link() };
    // One finding can be muted and un-muted many times between two audits, and each message has an id of its own.
    let salt = Uuid::new_v4().simple().to_string();
    let changed: [&[(Reason, Arc<Finding>)]; 2] = [&step.closed, &step.reopened];
    let messages = telling::decided(addressing.audience(), &head, snapshot, changed, &salt).messages;
    let uids =
        |list: &[(Reason, Arc<Finding>)]| list.iter().map(|(_, finding)| finding.uid.clone()).collect();
    let answer = Done {
        decision: step.made().cloned(),
        closed: uids(&step.closed),
        reopened: uids(&step.reopened),
        messages: messages.iter().filter(|(_, receivers)| !receivers.is_empty()).count(),
    };
    Outcome { entries: step.entries, messages, answer }
}
