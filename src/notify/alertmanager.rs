//! The `alertmanager` receiver: what stands, told to each peer.
//!
//! Enters: alerts. Leaves: a few POSTs to each peer, and what became of them. Must never: let one peer's trouble keep
//! the others from hearing, or repeat within a round what a peer called malformed.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use tokio::{task::JoinSet, time::timeout};

use super::{
    Outcome,
    http::{Error, LIMITS, Limits, Post},
};
use crate::{
    config::{Access, Receiver, SecretUrl},
    domain::rendering::alerts::Alert,
};

/// Alerts of one request.
const BATCH: usize = 500;
/// All requests of a round to one peer.
const ROUND: Duration = Duration::from_secs(45);

/// Every peer of one Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    name: String,
    peers: Vec<Arc<Post>>,
}

/// What became of a round at one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The peer's origin.
    pub peer: String,
    /// Requests made.
    pub requests: u32,
    /// The last that went wrong, if one did; never [`Outcome::Delivered`].
    pub trouble: Option<Outcome>,
}

impl Alertmanager {
    /// Fails if the address of a peer may not be used.
    pub(super) fn new(receiver: &Receiver, peers: &[SecretUrl], access: &Access) -> Result<Self, Error> {
        Self::with(receiver, peers, access, LIMITS)
    }

    pub(super) fn with(
        receiver: &Receiver,
        peers: &[SecretUrl],
        access: &Access,
        limits: Limits,
    ) -> Result<Self, Error> {
        let peers =
            peers.iter().map(|url| Ok(Arc::new(Post::new(receiver, url, limits)?.signed_in(access.clone()))));
        Ok(Self { name: receiver.name.clone(), peers: peers.collect::<Result<_, Error>>()? })
    }

    /// The receiver's configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells every peer at the same time, each by itself. Returns within 45 seconds, in the order of the peers.
    pub async fn tell(&self, alerts: &[Alert], now: DateTime<Utc>) -> Vec<Told> {
        let mut batches: Vec<String> =
            alerts.chunks(BATCH).filter_map(|batch| serde_json::to_string(batch).ok()).collect();
        if batches.is_empty() {
            // Nothing stands, and the peer is asked all the same: whether it answers is worth knowing before.
            batches.push("[]".to_owned());
        }
        let batches = Arc::new(batches);
        let mut rounds = JoinSet::new();
        for (place, peer) in self.peers.iter().cloned().enumerate() {
            let batches = Arc::clone(&batches);
            rounds.spawn(async move {
                let told = timeout(ROUND, round(&peer, &batches, now)).await.unwrap_or_else(|_| Told {
                    peer: peer.to_string(),
                    requests: 1,
                    trouble: Some(Outcome::Retry {
                        reason: "timeout",
                        detail: format!("{peer} did not take all alerts within {} s", ROUND.as_secs()),
                        after: None,
                    }),
                });
                (place, told)
            });
        }
        let mut told = rounds.join_all().await;
        told.sort_by_key(|(place, _)| *place);
        told.into_iter().map(|(_, told)| told).collect()
    }
}

async fn round(peer: &Post, batches: &[String], now: DateTime<Utc>) -> Told {
    let mut told = Told { peer: peer.to_string(), requests: 0, trouble: None };
    for batch in batches {
        told.requests += 1;
        let outcome = match peer.json(HeaderMap::new(), batch.clone(), now).await {
            // It took what was well formed, and will never take the rest.
            Ok(answer) if answer.status.as_u16() == 400 => Outcome::Dead {
                reason: "rejected",
                detail: format!("{peer} answered 400: some of these alerts are malformed to it"),
            },
            Ok(answer) => peer.judge(&answer),
            Err(outcome) => outcome,
        };
        let is_over = !matches!(outcome, Outcome::Delivered | Outcome::Dead { .. });
        if outcome != Outcome::Delivered {
            told.trouble = Some(outcome);
        }
        if is_over {
            break;
        }
    }
    told
}
