//! Looks round beside the audits: is one complete often enough, does every receiver get its messages, is it time to say
//! that the daemon lives?
//!
//! Enters: the schedule, the record, the time. Leaves: messages in the outbox. Must never: wait for an audit or a
//! receiver, tell a receiver of its own dead messages, or tell anything twice because the daemon was started again.
//!
//! It watches as long as the process lives. While the database cannot be written nothing can be recorded, so nothing is
//! sent either; then heartbeats stop, which is what they are for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Shared, clock, schedule::Schedule, storage::Storage};
use crate::{
    audit::Addressing,
    config::{Config, Heartbeat},
    domain::{
        evidence::Hash,
        message::{
            Letterhead, Message, MessageKind,
            news::{self, Pulse},
        },
        telling::watch::{Alarm, GRACE, Vital},
    },
    store::{self, Store},
    telemetry::Metrics,
};

/// How often it looks round.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the watchman goes by.
#[derive(Clone, PartialEq)]
pub(super) struct Settings {
    addressing: Addressing,
    orgs: Vec<String>,
    schedule: String,
    /// 0: nobody waits for audits.
    intervals: u32,
    heartbeat: Option<Heartbeat>,
}

impl Settings {
    /// As configured.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            addressing: Addressing::of(config),
            orgs: config.orgs.iter().map(|org| org.name.clone()).collect(),
            schedule: config.audit.schedule.clone(),
            intervals: config.alerts.dead_man_intervals,
            heartbeat: config.alerts.heartbeat.clone(),
        }
    }
}

/// When it is time to say that the daemon lives.
enum Beat {
    Every(TimeDelta),
    At(Box<Schedule>),
}

/// The watchman of one configuration.
pub(super) struct Watchman {
    settings: Settings,
    schedule: Schedule,
    beat: Option<Beat>,
    store: Store,
    storage: Arc<Storage>,
    metrics: Arc<Metrics>,
    outbox: watch::Sender<u64>,
    /// When it began to look.
    began: DateTime<Utc>,
    /// When it last said that the daemon lives.
    beaten: DateTime<Utc>,
}

impl Watchman {
    /// Fails if a schedule is not understood.
    pub(super) fn new(settings: &Settings, shared: &Shared, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let beat = match &settings.heartbeat {
            None => None,
            Some(Heartbeat::Every(pause)) => Some(Beat::Every(TimeDelta::from_std(*pause)?)),
            Some(Heartbeat::At(schedule)) => Some(Beat::At(Box::new(Schedule::parse(schedule)?))),
        };
        Ok(Self {
            schedule: Schedule::parse(&settings.schedule)?,
            settings: settings.clone(),
            beat,
            store: shared.store.clone(),
            storage: Arc::clone(&shared.storage),
            metrics: Arc::clone(&shared.metrics),
            outbox: shared.outbox.clone(),
            began: now,
            beaten: now,
        })
    }

    /// Watches until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.storage.blocked().is_some() {
                continue;
            }
            match self.look(clock::now()).await {
                Ok(true) => self.outbox.send_modify(|round| *round += 1),
                Ok(false) => {}
                Err(error) => {
                    warn!("the watch over audits and receivers cannot use the database: {error}");
                    self.storage.report(&error);
                }
            }
        }
    }

    /// Looks once; whether something was put into the outbox.
    async fn look(&mut self, now: DateTime<Utc>) -> Result<bool, store::Error> {
        let mut told = false;
        let mut vitals = Vec::new();
        for org in &self.settings.orgs {
            let vital = self.store.vital(org).await?;
            told |= self.watch_audits(org, &vital, now).await?;
            vitals.push((org, vital));
        }
        for (receiver, _) in &self.settings.addressing.audience.receivers {
            told |= self.watch_receiver(receiver, now).await?;
        }
        if self.is_time(now) {
            let pulses: Vec<Pulse> = (vitals.into_iter())
                .map(|(org, vital)| Pulse {
                    org: org.clone(),
                    complete: vital.complete,
                    recorded: vital.recorded,
                    failing: vital.failure.is_some(),
                })
                .collect();
            let messages = self.heartbeats(&pulses, now);
            if !messages.is_empty() {
                self.store.beat(&messages, now).await?;
                told = true;
            }
            self.beaten = now;
        }
        Ok(told)
    }

    async fn watch_audits(&self, org: &str, vital: &Vital, now: DateTime<Utc>) -> Result<bool, store::Error> {
        let limit = self.settings.intervals;
        // Counting what was due costs something if it is much.
        if limit == 0 || vital.overdue.is_some() {
            return Ok(false);
        }
        let due = self.schedule.due_between(vital.waiting_since(self.began), now - GRACE);
        let messages = match vital.alarm(due.map_or(0, |(_, count)| count), limit) {
            Alarm::None => return Ok(false),
            Alarm::Note => Vec::new(),
            Alarm::Tell(due) => {
                let reason = vital.reason();
                error!(org, intervals = due, "no audit was complete for too long: {reason}");
                let past = self.store.history(org).await?.past;
                let audit = past.as_ref().map_or("", |past| past.audit.as_str());
                let chain_head = past.as_ref().map_or(Hash::GENESIS, |past| past.chain);
                let link = &self.settings.addressing.link;
                let head = Letterhead { org, audit, chain_head, at: now, link };
                let message = news::overdue(&head, vital.complete, due, &reason);
                self.settings.addressing.audience.address(Some(org), [message])
            }
        };
        self.store.note_overdue(org, &messages, now).await?;
        Ok(!messages.is_empty())
    }

    /// Tells the other receivers what was given up for one.
    async fn watch_receiver(&self, receiver: &str, now: DateTime<Utc>) -> Result<bool, store::Error> {
        let Some((dead, numbers)) = self.store.untold_dead(receiver, now).await? else { return Ok(false) };
        let Addressing { audience, link } = &self.settings.addressing;
        let message = news::delivery_dead(&dead, link, now);
        let mut messages = audience.address(None, [message]);
        for (_, receivers) in &mut messages {
            receivers.retain(|other| other != receiver);
        }
        messages.retain(|(_, receivers)| !receivers.is_empty());
        if messages.is_empty() {
            let count = numbers.len();
            warn!(receiver, count, "alerts were given up, and there is no other receiver to tell");
            self.metrics.alerts_unheard(MessageKind::DeliveryDead, 1);
        }
        self.store.note_dead(receiver, &numbers, &messages, now).await?;
        Ok(!messages.is_empty())
    }

    fn is_time(&self, now: DateTime<Utc>) -> bool {
        match &self.beat {
            None => false,
            // A clock that was set back begins a new pause.
            Some(Beat::Every(pause)) => !(self.beaten..self.beaten + *pause).contains(&now),
            Some(Beat::At(schedule)) => schedule.due_between(self.beaten, now).is_some(),
        }
    }

    /// For each receiver that asks: the organisations that it hears of.
    fn heartbeats(&self, pulses: &[Pulse], now: DateTime<Utc>) -> Vec<(Message, Vec<String>)> {
        let Addressing { audience, link } = &self.settings.addressing;
        let mut wanted: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
        for (name, route) in audience.receivers.iter().filter(|(_, route)| route.heartbeat) {
            let orgs = pulses.iter().map(|pulse| pulse.org.as_str()).filter(|org| route.hears_of(org));
            wanted.entry(orgs.collect()).or_default().push(name.clone());
        }
        let message = |orgs: &[&str]| {
            let heard: Vec<&Pulse> =
                pulses.iter().filter(|pulse| orgs.contains(&pulse.org.as_str())).collect();
            news::heartbeat(&heard, link, now)
        };
        let messages: Vec<(Message, Vec<String>)> =
            wanted.into_iter().map(|(orgs, receivers)| (message(&orgs), receivers)).collect();
        if !messages.is_empty() {
            info!("heartbeat");
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        domain::{Severity, route::Route, telling::Audience},
        store::{Outcome, Settled},
        web::Health,
    };

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    struct Scene {
        _folder: tempfile::TempDir,
        store: Store,
        watchman: Watchman,
    }

    impl Scene {
        async fn new(receivers: &[(&str, bool)], heartbeat: Option<Heartbeat>, now: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("test.db")).await.unwrap();
            let metrics = Arc::new(Metrics::new());
            let health = Arc::new(Health::default());
            let audience = Audience {
                receivers: (receivers.iter())
                    .map(|(name, heartbeat)| {
                        ((*name).to_owned(), Route { heartbeat: *heartbeat, ..Route::ALL })
                    })
                    .collect(),
                group_above: 10,
                group_drift_above: 25,
                flapping_after: 4,
                remind_after: None,
            };
            let settings = Settings {
                addressing: Addressing { audience, link: "http://x/".to_owned() },
                orgs: vec!["acme".to_owned()],
                schedule: "0 */15 * * * *".to_owned(),
                intervals: 3,
                heartbeat,
            };
            let shared = Shared {
                storage: Arc::new(Storage::new(store.clone(), 0, Arc::clone(&metrics), health)),
                store: store.clone(),
                metrics,
                ticks: watch::Sender::new(0),
                outbox: watch::Sender::new(0),
                surroundings: watch::Sender::new(super::super::Surroundings::none()),
            };
            let watchman = Watchman::new(&settings, &shared, at(now)).unwrap();
            Self { _folder: folder, store, watchman }
        }

        /// Looks, and says who gets what.
        async fn look(&mut self, now: &str) -> Vec<(String, Value)> {
            self.watchman.look(at(now)).await.unwrap();
            let mut got = Vec::new();
            for receiver in ["ops", "sec"] {
                for message in self.store.claim(receiver, 50, at(now)).await.unwrap() {
                    self.settle(receiver, &message.id, Outcome::Delivered, now).await;
                    got.push((receiver.to_owned(), serde_json::from_str(&message.body).unwrap()));
                }
            }
            got
        }

        async fn settle(&self, receiver: &str, id: &str, outcome: Outcome, now: &str) {
            let settled = Settled { id: id.to_owned(), receiver: receiver.to_owned(), outcome };
            self.store.settle(&[settled], at(now)).await.unwrap();
        }

        /// A message for a receiver that is given up.
        async fn die(&self, receiver: &str, id: &str, kind: MessageKind, now: &str) {
            let message = Message {
                id: id.to_owned(),
                kind,
                severity: Severity::Critical,
                order_key: id.to_owned(),
                body: "{}".to_owned(),
            };
            self.store.beat(&[(message, vec![receiver.to_owned()])], at(now)).await.unwrap();
            let dead = Outcome::Dead { reason: "rejected".to_owned(), detail: "400".to_owned() };
            self.settle(receiver, id, dead, now).await;
        }
    }

    #[tokio::test]
    async fn audits_that_stay_away_are_told_of_once() {
        let mut scene = Scene::new(&[("ops", false)], None, "2026-11-24T10:07:00Z").await;
        assert!(scene.look("2026-11-24T10:45:59Z").await.is_empty(), "the third has a minute");
        let told = scene.look("2026-11-24T10:46:01Z").await;
        let [(receiver, body)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((receiver.as_str(), &body["type"]), ("ops", &"audit.failed".into()));
        assert_eq!((&body["data"]["reason"], &body["data"]["intervals"]), (&"overdue".into(), &3.into()));
        assert!(scene.look("2026-11-24T11:46:00Z").await.is_empty());
        // Nor by the one after a restart.
        scene.watchman.began = at("2026-11-24T12:00:00Z");
        assert!(scene.look("2026-11-24T14:00:00Z").await.is_empty());
    }

    #[tokio::test]
    async fn a_heartbeat_replaces_the_one_that_did_not_arrive() {
        let every = Heartbeat::Every(Duration::from_hours(1));
        let mut scene =
            Scene::new(&[("ops", true), ("sec", false)], Some(every), "2026-11-24T10:00:00Z").await;
        scene.watchman.settings.intervals = 0;
        assert!(scene.look("2026-11-24T10:59:59Z").await.is_empty());
        scene.watchman.look(at("2026-11-24T11:00:00Z")).await.unwrap();
        let told = scene.look("2026-11-24T12:00:00Z").await;
        let [(receiver, body)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((receiver.as_str(), &body["type"]), ("ops", &"heartbeat".into()));
        assert_eq!(body["timestamp"], "2026-11-24T12:00:00.000Z");
        assert_eq!(body["data"]["orgs"][0]["org"], "acme");
        assert_eq!(body["data"]["orgs"][0]["last_complete"], Value::Null);
    }

    #[tokio::test]
    async fn a_heartbeat_may_have_a_schedule() {
        let cron = Heartbeat::At("0 0 8 * * *".to_owned());
        let mut scene = Scene::new(&[("ops", true)], Some(cron), "2026-11-24T09:00:00Z").await;
        scene.watchman.settings.intervals = 0;
        assert!(scene.look("2026-11-25T07:59:59Z").await.is_empty());
        assert_eq!(scene.look("2026-11-25T08:00:01Z").await.len(), 1);
        assert!(scene.look("2026-11-25T08:00:06Z").await.is_empty());
    }

    #[tokio::test]
    async fn what_is_given_up_for_one_receiver_is_told_to_the_others_once_an_hour() {
        let mut scene = Scene::new(&[("ops", false), ("sec", false)], None, "2026-11-24T10:00:00Z").await;
        scene.watchman.settings.intervals = 0;
        let opened = MessageKind::FindingOpened;
        scene.die("ops", "m1", opened, "2026-11-24T10:00:01Z").await;
        scene.die("ops", "m2", opened, "2026-11-24T10:00:02Z").await;
        let told = scene.look("2026-11-24T10:00:05Z").await;
        let [(receiver, body)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(receiver, "sec", "never about itself");
        let data = &body["data"];
        assert_eq!((&body["type"], &data["receiver"]), (&"delivery.dead".into(), &"ops".into()));
        assert_eq!(data["by_type"], serde_json::json!({ "finding.opened": 2 }));
        assert_eq!(data["by_reason"], serde_json::json!({ "rejected": 2 }));
        assert_eq!(data["ids"], serde_json::json!(["m2", "m1"]));

        scene.die("ops", "m3", opened, "2026-11-24T10:10:00Z").await;
        assert!(scene.look("2026-11-24T10:30:00Z").await.is_empty(), "once an hour");
        let told = scene.look("2026-11-24T11:00:06Z").await;
        assert_eq!(told[0].1["data"]["ids"], serde_json::json!(["m3"]), "{told:?}");
    }

    #[tokio::test]
    async fn a_dead_telling_of_dead_ones_is_not_told() {
        let mut scene = Scene::new(&[("ops", false), ("sec", false)], None, "2026-11-24T10:00:00Z").await;
        scene.die("sec", "m1", MessageKind::DeliveryDead, "2026-11-24T10:00:01Z").await;
        assert!(scene.look("2026-11-24T10:00:05Z").await.is_empty());
    }

    #[tokio::test]
    async fn without_another_receiver_it_is_counted_and_noted() {
        let mut scene = Scene::new(&[("ops", false)], None, "2026-11-24T10:00:00Z").await;
        scene.die("ops", "m1", MessageKind::FindingOpened, "2026-11-24T10:00:01Z").await;
        assert!(scene.look("2026-11-24T10:00:05Z").await.is_empty());
        assert!(
            scene
                .watchman
                .metrics
                .render()
                .contains("scopewarden_alerts_unheard_total{kind=\"delivery.dead\"} 1")
        );
        assert_eq!(scene.store.untold_dead("ops", at("2026-11-24T12:00:00Z")).await.unwrap(), None);
    }
}
