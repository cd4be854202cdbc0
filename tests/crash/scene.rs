//! Who takes part: an organisation under constant change, behind a gate; two receivers; a folder for the daemon.

use std::{collections::BTreeSet, time::Duration};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    live::{
        gate::Gate,
        organisation::{Organisation, PERMISSIONS, ROLES},
        process::Home,
        receiver::Receiver,
        within,
    },
    record::Record,
};

/// No single step takes longer, on however busy a machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) organisation: Organisation,
    pub(crate) gate: Gate,
    pub(crate) receivers: [Receiver; 2],
    pub(crate) home: Home,
    pub(crate) random: StdRng,
    /// What each role permits, by the record of the first audit.
    first: Vec<BTreeSet<String>>,
    /// Audits that the daemon said it recorded.
    acknowledged: BTreeSet<String>,
}

impl Scene {
    /// With one audit recorded.
    pub(crate) async fn start(random: StdRng) -> Self {
        let mut scene = Self::set(random, |home| home, "").await;
        scene.first_audit().await;
        scene
    }

    /// `place` may put the database elsewhere, `storage` are more lines of that section.
    pub(crate) async fn set(random: StdRng, place: impl FnOnce(Home) -> Home, storage: &str) -> Self {
        let organisation = Organisation::start().await;
        let gate = Gate::before(&organisation.announcement().url).await;
        let receivers = [Receiver::start("secops").await, Receiver::start("audit-trail").await];
        let home = place(Home::new(&organisation.announcement().client_secret));
        let sections =
            [organisation.section("acme", &gate.url), receivers[0].section(), receivers[1].section()];
        home.configure(storage, &sections.concat());
        let mut first = Vec::new();
        for (role, _) in ROLES {
            first.push(organisation.permissions(role).await);
        }
        Self { organisation, gate, receivers, home, random, first, acknowledged: BTreeSet::new() }
    }

    async fn first_audit(&mut self) {
        let daemon = self.home.start();
        daemon.logs("audit recorded", LIMIT).await;
        daemon.stop(LIMIT).await;
    }

    /// Edits both roles, and now and then grants one or takes it back: the next audit has several things to tell.
    pub(crate) async fn edit(&mut self) {
        for (role, _) in ROLES {
            let given: Vec<_> = PERMISSIONS.into_iter().filter(|_| self.random.random()).collect();
            self.organisation.edit(role, &given).await;
        }
        if self.random.random_ratio(1, 3) {
            let number = self.random.random_range(0..ROLES[1].1);
            let granted = self.random.random();
            self.organisation.grant_wide(number, granted).await;
        }
    }

    /// What must hold after any death of the daemon. `daemon`: the one that died.
    pub(crate) async fn check(&mut self, log: &[serde_json::Value]) {
        let recorded = log.iter().filter(|line| line["message"] == "audit recorded");
        self.acknowledged.extend(recorded.filter_map(|line| line["run_id"].as_str().map(str::to_owned)));
        let record = Record::read(&self.home).await;
        Record::verify(&self.home);
        let known: BTreeSet<&String> = record.audits.iter().collect();
        let lost: Vec<&String> = self.acknowledged.iter().filter(|audit| !known.contains(audit)).collect();
        assert!(lost.is_empty(), "said to be recorded, and not in the record: {lost:?}");
        record.everything_is_promised(&self.receivers);
        record.nothing_is_invented(&self.receivers);
    }

    /// Lets the daemon run until everything is told and delivered, and checks all of it.
    pub(crate) async fn finish(mut self) -> Record {
        self.gate.traps.disarm();
        let mut actual = Vec::new();
        for (role, _) in ROLES {
            actual.push(self.organisation.permissions(role).await);
        }
        let daemon = self.home.start();
        let (home, first) = (&self.home, &self.first);
        within("the last alert", 2 * LIMIT, async || {
            let record = Record::read(home).await;
            let caught_up = ROLES
                .iter()
                .zip(first)
                .zip(&actual)
                .all(|(((role, _), first), actual)| record.replay(role, first) == *actual);
            let waiting = record.messages.iter().any(|message| !message.pending.is_empty());
            (caught_up && !waiting).then_some(())
        })
        .await;
        let log = daemon.log_lines();
        daemon.stop(LIMIT).await;
        self.check(&log).await;
        let record = Record::read(&self.home).await;
        record.everything_arrived(&self.receivers);
        record
    }
}

/// The randomness of a test, from `CRASH_SEED` if it is set.
pub(crate) fn random() -> (u64, StdRng) {
    let given = std::env::var_os("CRASH_SEED").map(|seed| seed.to_string_lossy().parse().unwrap());
    let seed = given.unwrap_or_else(|| rand::rng().next_u64());
    (seed, StdRng::seed_from_u64(seed))
}

/// Kills that a test is to make: `CRASHES`, or `usual`.
pub(crate) fn crashes(usual: usize) -> usize {
    std::env::var_os("CRASHES").map_or(usual, |number| number.to_string_lossy().parse().unwrap())
}

/// Says which seed it was if the test fails.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("run again with CRASH_SEED={}", self.0);
        }
    }
}
