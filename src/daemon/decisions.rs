//! What people decided beside the running daemon, noticed; and decisions whose time is over, ended.
//!
//! Enters: the record, look by look. Leaves: gauges as they are after the decision, couriers that are awake, expired
//! decisions with their alerts. Must never: read all findings where nobody decided, or write while the storage is blocked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::{Shared, clock};
use crate::{
    audit::{
        self, Addressing,
        deciding::{self, Request},
    },
    store,
};

/// What was last seen of each organisation's decisions.
#[derive(Default)]
pub(super) struct Watched(BTreeMap<String, Seen>);

#[derive(Clone, Copy, PartialEq)]
struct Seen {
    /// The number of the last entry.
    last: i64,
    /// When the first of those that stand expires.
    expires: Option<DateTime<Utc>>,
}

impl Watched {
    /// Looks once at the decisions of each of these organisations.
    pub(super) async fn look(
        &mut self,
        orgs: impl Iterator<Item = &str>,
        shared: &Shared,
        addressing: &Addressing,
    ) {
        for org in orgs {
            if let Err(error) = self.look_at(org, shared, addressing).await {
                warn!(org, "what people decided cannot be read: {error}");
            }
        }
    }

    async fn look_at(
        &mut self,
        org: &str,
        shared: &Shared,
        addressing: &Addressing,
    ) -> Result<(), deciding::Error> {
        let now = clock::now();
        let is_over = self.0.get(org).is_some_and(|seen| seen.expires.is_some_and(|at| at <= now));
        if is_over && shared.storage.blocked().is_none() {
            let done = deciding::decide(&shared.store, addressing, org, Request::Expire, now).await?;
            info!(org, reopened = done.reopened.len(), "decisions expired");
        }
        self.notice(org, shared, now).await?;
        Ok(())
    }

    /// Shows findings anew if somebody decided about them.
    async fn notice(&mut self, org: &str, shared: &Shared, now: DateTime<Utc>) -> Result<(), store::Error> {
        let last = shared.store.last_decision(org).await?;
        let before = self.0.get(org).copied();
        if before.is_some_and(|seen| seen.last == last) {
            return Ok(());
        }
        let book = shared.store.decisions(org).await?;
        let findings = shared.store.findings(Some(org)).await?;
        let shown = audit::shown(&findings, &book.ledger, now);
        // An audit that is recorded at this moment shows its own, and this is looked at again.
        let is_shown = findings
            .first()
            .is_none_or(|finding| shared.metrics.findings_decided(org, finding.last_seen, shown));
        if is_shown {
            self.0.insert(org.to_owned(), Seen { last, expires: book.ledger.next_expiry() });
            shared.outbox.send_modify(|round| *round += 1);
        }
        Ok(())
    }
}
