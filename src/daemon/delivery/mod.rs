//! From the outbox to the receivers, at least once and in order.
//!
//! Enters: messages that were committed with an audit. Leaves: attempts, settled in the outbox. Must never: change an
//! id or a body, hold a message back for another receiver's sake, or drop one silently.
//!
//! Each receiver has a [`Courier`] of its own (`courier`), which makes one attempt at a time. After a failure the
//! receiver rests (`breaker`); the oldest message is the trial when it wakes. So an unreachable receiver costs one
//! request a rest, whatever its queue.
//!
//! An Alertmanager gets no messages: it is told what stands, again and again (`standing`).

mod breaker;
mod courier;
mod standing;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{clock, storage::Storage};
pub use courier::{Courier, Flushed, Next, Round};
pub(super) use standing::{Herald, Settings as HeraldSettings};

use crate::{
    config::Config,
    notify::{self, Channel},
    store::{self, Store},
    telemetry::{Metrics, Queue},
};

/// The longest pause between two looks into the outbox, in case a due message was put there by another process.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Every configured receiver that gets messages, ready to be delivered to.
pub type Receivers = Vec<Arc<Channel>>;

/// Builds the configured receivers. Fails if one's secret or address cannot be used.
pub fn receivers(config: &Config) -> Result<Receivers, notify::Error> {
    let channels = config.receivers.iter().map(Channel::new).filter_map(Result::transpose);
    channels.map(|channel| channel.map(Arc::new)).collect()
}

/// Delivers with one courier until `stop`; `wake` tells of new messages. While the storage is blocked nothing is
/// claimed and so nothing sent. An attempt under way is finished first: wait for the end of this before another
/// courier begins for the same receiver.
pub(super) async fn deliver(
    mut courier: Courier,
    mut wake: watch::Receiver<u64>,
    storage: Arc<Storage>,
    stop: CancellationToken,
) {
    let mut blocked = storage.subscribe();
    let mut refreshed = None;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            // Ready at once as long as all is well.
            _ = blocked.wait_for(Option::is_none) => {}
        }
        let next = match courier.round(&clock::now, &stop).await {
            Ok(round) => round.next,
            Err(error) => {
                error!(receiver = courier.receiver(), "the outbox cannot be used: {error}");
                storage.report(&error);
                // As long as the receiver would rest: new messages do not make a disk well.
                Next::WhenAsked
            }
        };
        // A busy courier shows its queue now and then, an idle one at each look.
        if next != Next::AtOnce || refreshed.is_none_or(|at: Instant| at.elapsed() > LOOK_EVERY) {
            courier.refresh().await;
            refreshed = Some(Instant::now());
        }
        match next {
            Next::AtOnce => {}
            Next::WhenWoken => tokio::select! {
                () = stop.cancelled() => {}
                _ = wake.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            },
            Next::At(_) | Next::WhenAsked => tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause(next)) => {}
            },
        }
    }
    if storage.blocked().is_none()
        && let Err(error) = courier.settle(clock::now()).await
    {
        warn!(
            receiver = courier.receiver(),
            "outcomes could not be written; these alerts are sent again: {error}"
        );
    }
}

/// How long a silent receiver is left alone before the next look for a person's retry.
fn pause(next: Next) -> Duration {
    match next {
        Next::At(until) => (until - clock::now()).to_std().unwrap_or_default().min(LOOK_EVERY),
        Next::AtOnce | Next::WhenWoken | Next::WhenAsked => LOOK_EVERY,
    }
}

/// Delivers everything that waits, for at most `limit`; for commands that end.
pub async fn flush(
    store: &Store,
    receivers: &[Arc<Channel>],
    metrics: &Arc<Metrics>,
    limit: Duration,
) -> Result<Flushed, store::Error> {
    let stop = CancellationToken::new();
    let work = async {
        let mut total = Flushed::default();
        for receiver in receivers {
            let mut courier = Courier::new(store.clone(), Arc::clone(receiver), Arc::clone(metrics));
            loop {
                let Round { flushed, next } = courier.round(&clock::now, &stop).await?;
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

/// Shows how full the outbox is, for every receiver that it holds something for.
pub async fn refresh(store: &Store, metrics: &Metrics) {
    match store.outbox_counts().await {
        Ok(counts) => metrics.outbox(counts.into_iter().map(|(receiver, count)| {
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            (
                receiver,
                Queue {
                    pending: number(count.pending),
                    dead: number(count.dead),
                    oldest: count.oldest_pending,
                },
            )
        })),
        Err(error) => warn!("the outbox cannot be counted: {error}"),
    }
}
