//! From the outbox to the receivers, at least once and in order.
//!
//! Enters: messages that were committed with an audit. Leaves: attempts, settled in the outbox. Must never: change an
//! id or a body, hold a message back for another receiver's sake, or drop one silently.
//!
//! One attempt at a time for each receiver. After a failure that may pass, the receiver rests; the oldest message is
//! the trial when it wakes. So an unreachable receiver costs one request each time, whatever its queue.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::clock;
use crate::{
    config::Config,
    notify::{self, MAX_AGE, Webhook, jitter_seed, next_attempt},
    store::{self, Delivery, Outcome, Settled, Store},
    telemetry::Metrics,
};

/// Messages claimed at a time. A claim is one transaction and so is settling it, so a batch shares their cost.
const BATCH: u32 = 50;
/// The longest pause between two looks into the outbox, in case a due message was put there by another process.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Every configured receiver, ready to be delivered to.
pub type Receivers = Vec<Arc<Webhook>>;

/// Builds the configured receivers. Fails if one's secret or address cannot be used.
pub fn receivers(config: &Config) -> Result<Receivers, notify::Error> {
    config.receivers.iter().map(|receiver| Webhook::new(receiver).map(Arc::new)).collect()
}

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Taken by their receivers.
    pub delivered: u64,
    /// Failed for now; they stay in the outbox.
    pub failed: u64,
    /// Given up.
    pub dead: u64,
}

/// Delivers to one receiver until `stop`; `wake` tells of new messages. An attempt under way is finished first.
pub async fn deliver(
    store: Store,
    receiver: Arc<Webhook>,
    metrics: Arc<Metrics>,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let next = match round(&store, &receiver, &metrics, &stop).await {
            Ok(round) => round.next,
            Err(error) => {
                error!(receiver = receiver.name(), "the outbox cannot be used: {error}");
                Next::Rest(LOOK_EVERY)
            }
        };
        refresh(&store, &metrics).await;
        match next {
            Next::AtOnce => {}
            Next::WhenWoken => tokio::select! {
                () = stop.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            },
            // New messages do not end a rest: the oldest is the trial.
            Next::Rest(rest) => tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(rest) => {}
            },
        }
    }
}

/// Delivers everything that is due now, for at most `limit`; for commands that end.
pub async fn flush(
    store: &Store,
    receivers: &[Arc<Webhook>],
    metrics: &Metrics,
    limit: Duration,
) -> Result<Flushed, store::Error> {
    let stop = CancellationToken::new();
    let work = async {
        let mut total = Flushed::default();
        for receiver in receivers {
            loop {
                let Round { flushed, next } = round(store, receiver, metrics, &stop).await?;
                total.delivered += flushed.delivered;
                total.failed += flushed.failed;
                total.dead += flushed.dead;
                if next != Next::AtOnce {
                    break;
                }
            }
        }
        Ok(total)
    };
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => done,
        // Lets the attempt under way settle, so that it is not made twice.
        () = tokio::time::sleep(limit) => {
            stop.cancel();
            work.await
        }
    }
}

/// Shows how full the outbox is.
pub async fn refresh(store: &Store, metrics: &Metrics) {
    match store.outbox_counts().await {
        Ok(counts) => {
            for (receiver, count) in counts {
                let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
                metrics.outbox(&receiver, number(count.pending), number(count.dead), count.oldest_pending);
            }
        }
        Err(error) => warn!("the outbox cannot be counted: {error}"),
    }
}

struct Round {
    flushed: Flushed,
    next: Next,
}

/// When to look again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// More may be due.
    AtOnce,
    /// Nothing is due.
    WhenWoken,
    /// The receiver failed.
    Rest(Duration),
}

/// Claims a batch, attempts each in order, and settles them. Stops at the first failure that may pass.
async fn round(
    store: &Store,
    receiver: &Webhook,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<Round, store::Error> {
    let claimed = store.claim(receiver.name(), BATCH, clock::now()).await?;
    let mut next = if claimed.is_empty() { Next::WhenWoken } else { Next::AtOnce };
    let mut settled = Vec::with_capacity(claimed.len());
    let mut flushed = Flushed::default();
    for message in claimed {
        let outcome = if next != Next::AtOnce || stop.is_cancelled() {
            Outcome::Released
        } else {
            attempt(receiver, metrics, &message).await
        };
        match &outcome {
            Outcome::Delivered => flushed.delivered += 1,
            Outcome::Retry { next_at, .. } => {
                flushed.failed += 1;
                next = Next::Rest((*next_at - clock::now()).to_std().unwrap_or_default());
            }
            Outcome::Dead { .. } => flushed.dead += 1,
            Outcome::Released => {}
        }
        settled.push(Settled { id: message.id, receiver: message.receiver, outcome });
    }
    if !settled.is_empty() {
        store.settle(&settled, clock::now()).await?;
    }
    if stop.is_cancelled() && next == Next::AtOnce {
        next = Next::WhenWoken;
    }
    Ok(Round { flushed, next })
}

async fn attempt(receiver: &Webhook, metrics: &Metrics, message: &Delivery) -> Outcome {
    let attempt = message.attempt.saturating_add(1);
    let now = clock::now();
    metrics.delivery_attempt(receiver.name());
    let outcome = receiver.deliver(&message.id, message.body.as_bytes(), attempt, now).await;
    if let Some(reason) = outcome.reason() {
        metrics.delivery_failure(receiver.name(), reason);
    }
    let name = receiver.name();
    match outcome {
        notify::Outcome::Delivered => {
            info!(receiver = name, outbox_id = %message.id, kind = message.kind.as_str(), "alert delivered");
            Outcome::Delivered
        }
        notify::Outcome::Retry { reason, detail, after } => {
            let rest = next_attempt(attempt, after, jitter_seed(&message.id));
            let next_at = clock::now() + TimeDelta::from_std(rest).unwrap_or(TimeDelta::minutes(15));
            let too_old = TimeDelta::from_std(MAX_AGE).is_ok_and(|age| next_at - message.queued > age);
            if too_old {
                error!(receiver = name, outbox_id = %message.id, "alert given up after seven days: {detail}");
                Outcome::Dead { reason: reason.to_owned(), detail }
            } else {
                warn!(receiver = name, outbox_id = %message.id, attempt, "alert not delivered: {detail}");
                Outcome::Retry { next_at, reason: reason.to_owned(), detail, attempt }
            }
        }
        notify::Outcome::Dead { reason, detail } => {
            error!(receiver = name, outbox_id = %message.id, "alert given up: {detail}");
            Outcome::Dead { reason: reason.to_owned(), detail }
        }
        notify::Outcome::Disabled { detail } => {
            error!(receiver = name, outbox_id = %message.id, "receiver is gone: {detail}");
            Outcome::Dead { reason: "gone".to_owned(), detail }
        }
    }
}
