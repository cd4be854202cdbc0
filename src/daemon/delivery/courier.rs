//! The courier of one receiver: a value whose time is given, so that a test can live through a week.
//!
//! Enters: what the outbox holds for the receiver, a clock. Leaves: attempts, settled in the outbox, and when to look
//! again. Must never: send what it could not claim, attempt a message before an earlier one of its order key, or
//! forget an outcome that could not be written yet.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::breaker::{Breaker, Permit};
use crate::{
    notify::{self, Blame, Channel, MAX_AGE, jitter_seed},
    store::{self, Delivery, Outcome, Settled, Store},
    telemetry::Metrics,
};

/// Messages claimed at a time. A claim is one transaction and so is settling it, so a batch shares their cost.
const BATCH: u32 = 50;
/// No attempt of a batch begins later than this after its claim, which holds for a minute.
const BATCH_TIME: TimeDelta = TimeDelta::seconds(30);
/// A message that failed this often makes way, so that one which a receiver cannot digest does not stop the others.
const PATIENCE: u32 = 5;
/// For how long it makes way.
const SET_ASIDE: TimeDelta = TimeDelta::hours(1);
/// A refusal that speaks of the message is believed at the second time, if the receiver took another one in between.
const REFUSALS: u32 = 2;
/// For how long after the rest such a message makes way, so that another one is the trial.
const STEP_ASIDE: TimeDelta = TimeDelta::minutes(1);
/// How often the queue is searched for what is too old.
const EXPIRE_EVERY: TimeDelta = TimeDelta::hours(1);

/// Delivers to one receiver, one attempt at a time.
pub struct Courier {
    store: Store,
    pub(super) receiver: Arc<Channel>,
    metrics: Arc<Metrics>,
    breaker: Breaker,
    /// Outcomes that the store did not take; at most a batch.
    unsettled: Vec<Settled>,
    /// Everything that waits is to be due at once: at the beginning, and after an outage.
    hasten: bool,
    /// Something was taken since this courier began.
    has_delivered: bool,
    /// When the queue was last searched for what is too old.
    expired: Option<DateTime<Utc>>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Taken by their receivers.
    pub delivered: u64,
    /// Failed for now; they stay in the outbox.
    pub failed: u64,
    /// Given up.
    pub dead: u64,
}

/// A round that could be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// What became of its messages.
    pub flushed: Flushed,
    /// When to begin the next.
    pub next: Next,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More may be due.
    AtOnce,
    /// Nothing is due.
    WhenWoken,
    /// The receiver failed and rests; new messages do not end that, a person's retry does.
    At(DateTime<Utc>),
    /// The receiver is disabled until a person acts.
    WhenAsked,
}

impl Courier {
    /// A courier that knows nothing of its receiver yet.
    pub fn new(store: Store, receiver: Arc<Channel>, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            receiver,
            metrics,
            breaker: Breaker::default(),
            unsettled: Vec::new(),
            hasten: true,
            has_delivered: false,
            expired: None,
        }
    }

    /// The receiver's configured name.
    pub fn receiver(&self) -> &str {
        self.receiver.name()
    }

    /// Claims what is due (a batch; one message if the receiver failed before), attempts each in order and settles
    /// them. Stops at the first failure of the receiver, and as soon as `stop` says so; an attempt under way is
    /// finished. Fails if the store does; then nothing unclaimed was sent, and outcomes are kept for the next round.
    pub async fn round(
        &mut self,
        clock: &(impl Fn() -> DateTime<Utc> + Sync),
        stop: &CancellationToken,
    ) -> Result<Round, store::Error> {
        self.settle(clock()).await?;
        let round = self.deliver(clock, stop).await;
        self.metrics.circuit(self.receiver.name(), self.breaker.is_open());
        let round = round?;
        self.settle(clock()).await?;
        Ok(round)
    }

    /// Shows how full the outbox is.
    pub async fn refresh(&self) {
        super::refresh(&self.store, &self.metrics).await;
    }

    /// Writes outcomes that could not be written before. Fails if they still cannot.
    pub async fn settle(&mut self, now: DateTime<Utc>) -> Result<(), store::Error> {
        if !self.unsettled.is_empty() {
            self.store.settle(&self.unsettled, now).await?;
            self.unsettled.clear();
        }
        Ok(())
    }

    async fn deliver(
        &mut self,
        clock: &(impl Fn() -> DateTime<Utc> + Sync),
        stop: &CancellationToken,
    ) -> Result<Round, store::Error> {
        let began = clock();
        self.expire(began).await?;
        let mut flushed = Flushed::default();
        if let Some(next) = self.silence(began).await? {
            return Ok(Round { flushed, next });
        }
        let claimed = self.claim(began).await?;
        let mut next = if claimed.is_empty() { Next::WhenWoken } else { Next::AtOnce };
        for message in claimed {
            let now = clock();
            let outcome = if next != Next::AtOnce || stop.is_cancelled() || now - began > BATCH_TIME {
                Outcome::Released
            } else {
                self.attempt(&message, now, clock).await
            };
            match &outcome {
                Outcome::Delivered => flushed.delivered += 1,
                Outcome::Retry { .. } => flushed.failed += 1,
                Outcome::Dead { .. } => flushed.dead += 1,
                Outcome::Released => {}
            }
            next = match self.breaker.permit(clock()) {
                Permit::NotBefore(until) => Next::At(until),
                Permit::Nothing => Next::WhenAsked,
                Permit::All | Permit::Trial => next,
            };
            self.unsettled.push(Settled { id: message.id, receiver: message.receiver, outcome });
        }
        if stop.is_cancelled() && next == Next::AtOnce {
            next = Next::WhenWoken;
        }
        Ok(Round { flushed, next })
    }

    /// When to come back, if nothing may be sent now and nobody asked for it by sending a message again.
    async fn silence(&mut self, now: DateTime<Utc>) -> Result<Option<Next>, store::Error> {
        let next = match self.breaker.permit(now) {
            Permit::All | Permit::Trial => return Ok(None),
            Permit::NotBefore(until) => Next::At(until),
            Permit::Nothing => Next::WhenAsked,
        };
        let asked = match self.breaker.silent_since(now) {
            Some(since) => self.store.retried_between(self.receiver.name(), since, now).await?,
            None => false,
        };
        if asked {
            info!(
                receiver = self.receiver.name(),
                "alerts were sent again by hand; the receiver is tried at once"
            );
            self.breaker.reopen();
            return Ok(None);
        }
        Ok(Some(next))
    }

    async fn claim(&mut self, now: DateTime<Utc>) -> Result<Vec<Delivery>, store::Error> {
        let name = self.receiver.name();
        if self.hasten {
            self.store.hasten(name, now).await?;
            self.hasten = false;
        }
        if self.breaker.permit(now) != Permit::Trial {
            return self.store.claim(name, BATCH, now).await;
        }
        let trial = self.store.claim(name, 1, now).await?;
        if !trial.is_empty() {
            return Ok(trial);
        }
        // Only messages that made way are left, and there is nobody to make way for.
        if self.store.hasten(name, now).await? == 0 {
            self.breaker.reopen();
        }
        self.store.claim(name, 1, now).await
    }

    async fn attempt(
        &mut self,
        message: &Delivery,
        now: DateTime<Utc>,
        clock: &(impl Fn() -> DateTime<Utc> + Sync),
    ) -> Outcome {
        let name = self.receiver.name();
        self.metrics.delivery_attempt(name);
        let outcome = self.receiver.deliver(&message.id, message.body.as_bytes(), now).await;
        let now = clock();
        if let Some(reason) = outcome.reason() {
            self.metrics.delivery_failure(name, reason);
        }
        match outcome {
            notify::Outcome::Delivered => {
                info!(receiver = name, outbox_id = %message.id, kind = message.kind.as_str(), "alert delivered");
                let failures = self.breaker.accepted();
                if failures > 0 {
                    info!(receiver = name, failures, "the receiver takes alerts again");
                }
                // Some of what waits may have made way for others while an outage stopped all of them. Its beginning
                // may have been seen by an earlier process.
                let is_first = !std::mem::replace(&mut self.has_delivered, true);
                self.hasten |= failures >= PATIENCE || (is_first && failures > 0);
                Outcome::Delivered
            }
            notify::Outcome::Refused { blames, detail } => self.refused(message, blames, detail, now),
            notify::Outcome::Retry { reason, detail, after } => {
                let until = self.rest(message, after, now);
                self.postpone(message, reason, detail, until, now)
            }
            notify::Outcome::Dead { reason, detail } => {
                error!(receiver = name, outbox_id = %message.id, "alert given up: {detail}");
                Outcome::Dead { reason: reason.to_owned(), detail }
            }
            notify::Outcome::Disabled { detail } => {
                error!(
                    receiver = name, outbox_id = %message.id,
                    "the receiver is gone, and disabled until its settings change, a restart, or `scopewarden outbox retry`: {detail}"
                );
                self.breaker.gone(now);
                Outcome::Dead { reason: "gone".to_owned(), detail }
            }
        }
    }

    /// One refusal proves nothing, and neither do many as long as the receiver takes nothing else: that is an outage.
    /// Only what is refused again by one that took others since is given up.
    fn refused(&mut self, message: &Delivery, blames: Blame, detail: String, now: DateTime<Utc>) -> Outcome {
        let (name, attempt) = (self.receiver.name(), message.attempt.saturating_add(1));
        let (enough, aside) = match blames {
            Blame::Message => (REFUSALS, STEP_ASIDE),
            Blame::Sender => (PATIENCE, TimeDelta::zero()),
        };
        if attempt >= enough && self.breaker.is_well() {
            let detail = format!("{detail} ({attempt} attempts; it takes other messages)");
            error!(receiver = name, outbox_id = %message.id, "alert given up: {detail}");
            return Outcome::Dead { reason: "rejected".to_owned(), detail };
        }
        let until = self.rest(message, None, now);
        self.postpone(message, "rejected", detail, until + aside, now)
    }

    /// The receiver failed: it rests; until when.
    fn rest(&mut self, message: &Delivery, after: Option<Duration>, now: DateTime<Utc>) -> DateTime<Utc> {
        self.breaker.failed(after, jitter_seed(&message.id), now)
    }

    /// The message waits until then; longer if it had its share of trials.
    fn postpone(
        &self,
        message: &Delivery,
        reason: &'static str,
        detail: String,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Outcome {
        let (name, attempt) = (self.receiver.name(), message.attempt.saturating_add(1));
        let next_at = if attempt >= PATIENCE { until.max(now + SET_ASIDE) } else { until };
        if next_at - message.queued > max_age() {
            error!(receiver = name, outbox_id = %message.id, "alert given up after seven days: {detail}");
            return Outcome::Dead { reason: reason.to_owned(), detail };
        }
        warn!(receiver = name, outbox_id = %message.id, attempt, until = %next_at, "alert not delivered: {detail}");
        Outcome::Retry { next_at, reason: reason.to_owned(), detail }
    }

    /// Gives up what waits too long: a receiver that is down for a week gets at its return what still matters.
    async fn expire(&mut self, now: DateTime<Utc>) -> Result<(), store::Error> {
        if self.expired.is_some_and(|last| (last..last + EXPIRE_EVERY).contains(&now)) {
            return Ok(());
        }
        let name = self.receiver.name();
        let count = self.store.expire(name, now - max_age(), now).await?;
        if count > 0 {
            error!(receiver = name, count, "alerts given up: not delivered within seven days");
        }
        self.expired = Some(now);
        Ok(())
    }
}

fn max_age() -> TimeDelta {
    TimeDelta::from_std(MAX_AGE).unwrap_or(TimeDelta::days(7))
}
