//! Tasks by name, replaced one by one when the configuration changes.
//!
//! Enters: the members that there should be, each with its settings. Leaves: running tasks. Must never: touch a member
//! whose settings did not change, run two of one name at once, or change anything if one of the new ones cannot be
//! built.

use std::{collections::BTreeMap, pin::Pin};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The life of one member.
pub(super) type Life = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The running members.
pub(super) struct Fleet<S> {
    members: BTreeMap<String, Member<S>>,
    /// Who was told to go and may not be gone yet: whoever comes by the same name waits for them.
    leaving: BTreeMap<String, JoinHandle<()>>,
    stop: CancellationToken,
}

struct Member<S> {
    settings: S,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A change that can no longer fail.
pub(super) struct Change<S> {
    wanted: BTreeMap<String, S>,
    built: BTreeMap<String, (CancellationToken, Life)>,
}

impl<S: PartialEq + Clone> Fleet<S> {
    /// Nobody yet. All members end when `stop` is cancelled.
    pub(super) fn new(stop: &CancellationToken) -> Self {
        Self { members: BTreeMap::new(), leaving: BTreeMap::new(), stop: stop.child_token() }
    }

    /// Builds those of `wanted` that are new or have other settings than now, and starts none. A member's life gets
    /// the token that tells it to stop.
    pub(super) async fn plan(
        &self,
        wanted: BTreeMap<String, S>,
        mut bear: impl AsyncFnMut(&S, CancellationToken) -> anyhow::Result<Life>,
    ) -> anyhow::Result<Change<S>> {
        let mut built = BTreeMap::new();
        for (name, settings) in &wanted {
            if self.members.get(name).is_none_or(|member| member.settings != *settings) {
                let stop = self.stop.child_token();
                built.insert(name.clone(), (stop.clone(), bear(settings, stop).await?));
            }
        }
        Ok(Change { wanted, built })
    }

    /// Stops who left, starts who came. A changed member begins when the one before it of its name has ended; nobody
    /// else waits for that.
    pub(super) fn apply(&mut self, change: Change<S>) {
        let Change { wanted, mut built } = change;
        self.leaving.retain(|_, task| !task.is_finished());
        let gone: Vec<String> =
            self.members.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone.into_iter().chain(built.keys().cloned()) {
            if let Some(member) = self.members.remove(&name) {
                member.stop.cancel();
                self.leaving.insert(name, member.task);
            }
        }
        for (name, settings) in wanted {
            let Some((stop, life)) = built.remove(&name) else { continue };
            let before = self.leaving.remove(&name);
            let task = tokio::spawn(async move {
                if let Some(before) = before {
                    // However it ended: its panic was logged, and is no reason to go without a successor.
                    let _ = before.await;
                }
                life.await;
            });
            self.members.insert(name, Member { settings, stop, task });
        }
    }

    /// The name of a member that ended by itself.
    pub(super) fn ended(&self) -> Option<&str> {
        let ended = self.members.iter().find(|(_, member)| member.task.is_finished());
        ended.map(|(name, _)| name.as_str())
    }

    /// Waits until every member has ended; `stop` should be cancelled.
    pub(super) async fn drain(self) {
        let members = self.members.into_values().map(|member| member.task);
        for task in members.chain(self.leaving.into_values()) {
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// Members that note their beginning and their end.
    async fn change(fleet: &mut Fleet<u8>, log: &Log, wanted: &[(&str, u8)]) -> anyhow::Result<()> {
        let wanted = wanted.iter().map(|(name, settings)| ((*name).to_owned(), *settings)).collect();
        let plan = fleet
            .plan(wanted, async |settings, stop| {
                let (log, settings) = (Arc::clone(log), *settings);
                anyhow::ensure!(settings < 100, "{settings} cannot be built");
                Ok(Box::pin(async move {
                    log.lock().unwrap().push(format!("begin {settings}"));
                    stop.cancelled().await;
                    log.lock().unwrap().push(format!("end {settings}"));
                }) as Life)
            })
            .await?;
        fleet.apply(plan);
        Ok(())
    }

    async fn logged(log: &Log, lines: usize) -> Vec<String> {
        while log.lock().unwrap().len() < lines {
            tokio::task::yield_now().await;
        }
        log.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn only_what_changed_is_replaced_and_after_the_one_before_has_ended() {
        let stop = CancellationToken::new();
        let mut fleet = Fleet::new(&stop);
        let log = Log::default();
        change(&mut fleet, &log, &[("a", 1), ("b", 2)]).await.unwrap();
        logged(&log, 2).await;
        change(&mut fleet, &log, &[("a", 1), ("b", 3), ("c", 4)]).await.unwrap();
        let lines = logged(&log, 5).await;
        let place = |line: &str| lines.iter().position(|one| one == line).unwrap();
        assert!(place("end 2") < place("begin 3"), "{lines:?}");
        assert!(!lines.contains(&"end 1".to_owned()), "{lines:?}");

        change(&mut fleet, &log, &[("c", 4)]).await.unwrap();
        let lines = logged(&log, 7).await;
        assert!(lines.contains(&"end 1".to_owned()) && lines.contains(&"end 3".to_owned()), "{lines:?}");
        assert_eq!(fleet.ended(), None);
        stop.cancel();
        fleet.drain().await;
        assert_eq!(log.lock().unwrap().last().unwrap(), "end 4");
    }

    #[tokio::test]
    async fn who_comes_back_waits_for_who_is_still_leaving() {
        let stop = CancellationToken::new();
        let mut fleet = Fleet::new(&stop);
        let log = Log::default();
        // The first takes its time: it goes only when it is let go.
        let let_go = CancellationToken::new();
        let slow = {
            let (log, let_go) = (Arc::clone(&log), let_go.clone());
            move |stop: CancellationToken| {
                let (log, let_go) = (Arc::clone(&log), let_go.clone());
                Box::pin(async move {
                    stop.cancelled().await;
                    let_go.cancelled().await;
                    log.lock().unwrap().push("end 1".to_owned());
                }) as Life
            }
        };
        let wanted = BTreeMap::from([("a".to_owned(), 1)]);
        let plan = fleet.plan(wanted, async |_, stop| Ok(slow(stop))).await.unwrap();
        fleet.apply(plan);
        change(&mut fleet, &log, &[]).await.unwrap();
        change(&mut fleet, &log, &[("a", 2)]).await.unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(log.lock().unwrap().is_empty(), "two of one name at once");
        let_go.cancel();
        assert_eq!(logged(&log, 2).await, ["end 1", "begin 2"]);

        // And whoever is still leaving when all end is waited for.
        change(&mut fleet, &log, &[]).await.unwrap();
        stop.cancel();
        fleet.drain().await;
        assert_eq!(log.lock().unwrap().last().unwrap(), "end 2");
    }

    #[tokio::test]
    async fn one_that_cannot_be_built_leaves_all_as_they_were() {
        let stop = CancellationToken::new();
        let mut fleet = Fleet::new(&stop);
        let log = Log::default();
        change(&mut fleet, &log, &[("a", 1)]).await.unwrap();
        logged(&log, 1).await;
        let error = change(&mut fleet, &log, &[("a", 2), ("b", 100)]).await.unwrap_err();
        assert_eq!(error.to_string(), "100 cannot be built");
        stop.cancel();
        fleet.drain().await;
        assert_eq!(*log.lock().unwrap(), ["begin 1", "end 1"]);
    }
}
