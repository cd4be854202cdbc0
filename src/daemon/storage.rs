//! Whether the record can be written, and what follows if not.
//!
//! Enters: errors of the store, the space that is left, the outcome of checks. Leaves: a state that audits and
//! deliveries look at before they begin, `/readyz`, and two series. Must never: let anything be written to a file that
//! was found damaged, or take a disk for healed that did not just take a durable write.
//!
//! ```text
//!              full, I/O error, too little space            damaged
//!  Writable ──────────────────────────────────► Blocked ──────────────► Blocked for good: restore, restart
//!     ▲                                            │
//!     └──── space is back and a write was kept ────┘
//! ```
//! While blocked, reads, pages and `/metrics` go on; audits are owed and made up for once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    store::{self, Fault, Store},
    telemetry::Metrics,
    web::{Health, Precondition},
};

/// The space is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first rest of a blocked disk between two tries: each try is a durable write.
const SHORTEST_REST: Duration = Duration::from_secs(30);
/// The longest. A rest is twice the one before if the disk took a try and then not what followed it.
const LONGEST_REST: Duration = Duration::from_mins(15);
/// A disk that was well for this long is given as much credit as any other.
const CALM: Duration = Duration::from_mins(5);

/// Why nothing can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) fault: Fault,
    /// One line for a person.
    pub(super) reason: String,
}

/// How a blocked disk has been tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    /// When it was last tried, or first seen to be blocked.
    last: Option<Instant>,
    /// How long it is left alone after that.
    rest: Duration,
    /// When it last seemed well again.
    healed: Option<Instant>,
}

/// The state, shared by all that write.
pub(super) struct Storage {
    store: Store,
    /// Below this many free bytes nothing is begun.
    min_free: AtomicU64,
    state: watch::Sender<Option<Blocked>>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Storage {
    /// Writable until something says otherwise.
    pub(super) fn new(store: Store, min_free: u64, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        metrics.db_writable(true);
        health.holds(Precondition::Storage);
        Self { store, min_free: AtomicU64::new(min_free), state: watch::Sender::new(None), metrics, health }
    }

    /// The least space, as configured anew.
    pub(super) fn require(&self, min_free: u64) {
        self.min_free.store(min_free, Ordering::Relaxed);
    }

    /// Why nothing can be written; `None`: it can.
    pub(super) fn blocked(&self) -> Option<Blocked> {
        self.state.borrow().clone()
    }

    /// Tells of every change.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Blocked>> {
        self.state.subscribe()
    }

    /// Something failed in the store; if the disk is to blame, writing ends.
    pub(super) fn report(&self, error: &store::Error) {
        if let Some(fault) = error.fault() {
            self.block(Blocked { fault, reason: error.to_string() });
        }
    }

    /// A check found the file damaged.
    pub(super) fn damaged(&self, reason: String) {
        self.block(Blocked { fault: Fault::Corrupt, reason });
    }

    /// Watches the space, and tries a blocked disk again, until `stop`.
    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut tries = Tries::default();
        while !stop.is_cancelled() {
            self.look(&mut tries).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// One look.
    pub(super) async fn look(&self, tries: &mut Tries) {
        let lacks = self.lacks_space().await;
        let Some(blocked) = self.blocked() else {
            tries.last = None;
            if tries.healed.is_none_or(|healed| healed.elapsed() >= CALM) {
                tries.rest = Duration::ZERO;
            }
            if let Some(reason) = lacks {
                self.block(Blocked { fault: Fault::Full, reason });
            }
            return;
        };
        match (blocked.fault, lacks) {
            // What is damaged does not mend by waiting.
            (Fault::Corrupt, _) => return,
            (_, Some(reason)) => return self.block(Blocked { reason, ..blocked }),
            // Space that came back is used at once, unless it has been too little before; a disk that failed rests.
            (Fault::Full, None) => {}
            (Fault::Io, None) => tries.rest = tries.rest.max(SHORTEST_REST),
        }
        if tries.last.get_or_insert_with(Instant::now).elapsed() < tries.rest {
            return;
        }
        match self.store.probe().await {
            Ok(()) => {
                info!("the database can be written again");
                let rest = (tries.rest * 2).clamp(SHORTEST_REST, LONGEST_REST);
                *tries = Tries { last: None, rest, healed: Some(Instant::now()) };
                self.metrics.db_writable(true);
                self.health.holds(Precondition::Storage);
                self.state.send_replace(None);
            }
            Err(error) => {
                warn!("the database still cannot be written: {error}");
                tries.last = Some(Instant::now());
                tries.rest = tries.rest.max(SHORTEST_REST);
                self.report(&error);
            }
        }
    }

    /// Why there is too little space; `None` if there is enough, or nobody can tell.
    async fn lacks_space(&self) -> Option<String> {
        let min_free = self.min_free.load(Ordering::Relaxed);
        match self.store.free_bytes().await {
            Ok(free) => {
                self.metrics.db_free(free);
                (free < min_free).then(|| {
                    format!(
                        "{} MiB are free on the database's file system, storage.min_free is {} MiB; free some space",
                        free / MIB,
                        min_free / MIB
                    )
                })
            }
            Err(error) => {
                warn!("the free space cannot be read: {error}");
                None
            }
        }
    }

    fn block(&self, blocked: Blocked) {
        self.metrics.db_writable(false);
        let Blocked { fault, reason } = blocked;
        if fault == Fault::Corrupt {
            self.metrics.db_sound(false);
        }
        self.state.send_if_modified(|state| {
            // Damage is for good: whatever else fails afterwards fails because of it.
            if state.as_ref().is_some_and(|before| before.fault == Fault::Corrupt) {
                return false;
            }
            let news = state.as_ref().is_none_or(|before| before.fault != fault);
            if news {
                error!(?fault, "audits and deliveries stop: {reason}");
            }
            self.health.fails(Precondition::Storage, reason.clone());
            *state = Some(Blocked { fault, reason });
            news
        });
    }
}

const MIB: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Problem;

    struct Place {
        storage: Storage,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        folder: tempfile::TempDir,
    }

    impl Place {
        async fn new(min_free: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("a.db")).await.unwrap();
            let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
            health.holds(Precondition::Database);
            let storage = Storage::new(store, min_free, Arc::clone(&metrics), Arc::clone(&health));
            Self { storage, health, metrics, folder }
        }

        fn report(&self, problem: Problem) {
            self.storage.report(&store::Error { file: self.folder.path().join("a.db"), problem });
        }

        fn fault(&self) -> Option<Fault> {
            self.storage.blocked().map(|blocked| blocked.fault)
        }

        fn shows(&self, line: &str) -> bool {
            self.metrics.render().lines().any(|shown| shown == line)
        }
    }

    #[tokio::test]
    async fn a_full_disk_stops_writing_until_there_is_space_again() {
        let place = Place::new(0).await;
        let told = place.storage.subscribe();
        assert!(place.health.not_ready().is_empty() && place.shows("scopewarden_db_writable 1"));
        place.report(Problem::Full);
        assert_eq!(place.fault(), Some(Fault::Full));
        assert!(told.has_changed().unwrap() && place.shows("scopewarden_db_writable 0"));
        assert!(
            place.health.not_ready()[0].starts_with("storage: database "),
            "{:?}",
            place.health.not_ready()
        );

        let mut tries = Tries::default();
        place.storage.look(&mut tries).await;
        assert_eq!(place.fault(), None);
        assert!(place.health.not_ready().is_empty() && place.shows("scopewarden_db_writable 1"));

        // The try was kept and what followed was not: it is left alone for longer and longer.
        for rest in [30, 60, 120] {
            place.report(Problem::Full);
            place.storage.look(&mut tries).await;
            assert_eq!(tries.rest, Duration::from_secs(rest));
            assert_eq!(place.fault(), Some(Fault::Full));
            tries.last = tries.last.map(|last| last - tries.rest);
            place.storage.look(&mut tries).await;
            assert_eq!(place.fault(), None);
        }
        tries.healed = tries.healed.map(|healed| healed - CALM);
        place.storage.look(&mut tries).await;
        assert_eq!(tries.rest, Duration::ZERO, "well for long enough");
    }

    #[tokio::test]
    async fn too_little_space_stops_writing_before_the_disk_is_full() {
        let place = Place::new(u64::MAX).await;
        let mut tries = Tries::default();
        place.storage.look(&mut tries).await;
        let reason = place.storage.blocked().unwrap().reason;
        assert!(reason.contains("storage.min_free is"), "{reason}");
        place.storage.look(&mut tries).await;
        assert_eq!(place.fault(), Some(Fault::Full), "a write that works is not space");
        place.storage.require(0);
        place.storage.look(&mut tries).await;
        assert_eq!(place.fault(), None);
    }

    #[tokio::test]
    async fn a_disk_that_failed_rests_before_it_is_tried() {
        let place = Place::new(0).await;
        place.report(Problem::Io("fdatasync".to_owned()));
        let mut tries = Tries::default();
        for _ in 0..2 {
            place.storage.look(&mut tries).await;
            assert_eq!(place.fault(), Some(Fault::Io), "not yet");
        }
        tries.last = tries.last.map(|last| last - SHORTEST_REST);
        place.storage.look(&mut tries).await;
        assert_eq!(place.fault(), None);
    }

    #[tokio::test]
    async fn damage_does_not_mend_by_itself_and_nothing_hides_it() {
        let place = Place::new(0).await;
        place.storage.damaged("page 7 is not what it was".to_owned());
        place.report(Problem::Full);
        place.storage.look(&mut Tries::default()).await;
        let blocked = place.storage.blocked().unwrap();
        assert_eq!((blocked.fault, blocked.reason.as_str()), (Fault::Corrupt, "page 7 is not what it was"));
        assert!(place.shows("scopewarden_db_integrity_ok 0"));
        assert_eq!(place.health.not_ready(), ["storage: page 7 is not what it was"]);
    }

    #[tokio::test]
    async fn what_is_no_fault_of_the_disk_stops_nothing() {
        let place = Place::new(0).await;
        place.report(Problem::Busy);
        place.report(Problem::Overtaken { org: "acme".to_owned() });
        assert_eq!(place.fault(), None);
    }
}
