//! What must hold of the record at any moment, whatever happened before: read from the file, as a stranger would.

use std::collections::{BTreeMap, BTreeSet};

use scopewarden::domain::event::Event;
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::live::{
    process::Home,
    receiver::{Alert, Receiver},
};

/// What the database holds of one organisation.
pub(crate) struct Record {
    /// Audits by id, oldest first.
    pub(crate) audits: Vec<String>,
    /// Events, oldest first.
    pub(crate) events: Vec<Event>,
    /// Messages, oldest first.
    pub(crate) messages: Vec<Message>,
}

pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) receivers: BTreeSet<String>,
    pub(crate) pending: BTreeSet<String>,
}

/// Messages of one kind that audits should have made, each audit with the number of findings that they tell of.
type Told = BTreeMap<String, i64>;

impl Record {
    /// Reads it all; fails if the file cannot be read beside a dead or a living daemon.
    pub(crate) async fn read(home: &Home) -> Self {
        let options = SqliteConnectOptions::new().filename(home.database()).read_only(true);
        let mut connection = options.connect().await.unwrap();
        // One moment for all that follows: a living daemon goes on writing.
        sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
        let audits =
            sqlx::query_scalar("SELECT id FROM audit ORDER BY seq").fetch_all(&mut connection).await.unwrap();
        let events: Vec<String> = sqlx::query_scalar("SELECT body FROM event ORDER BY audit, ord")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT m.id, m.body, d.receiver, d.state FROM message m JOIN delivery d ON d.message = m.seq
             ORDER BY m.seq, d.receiver",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let mut messages: Vec<Message> = Vec::new();
        for (id, body, receiver, state) in rows {
            if messages.last().is_none_or(|message| message.id != id) {
                messages.push(Message { id, body, receivers: BTreeSet::new(), pending: BTreeSet::new() });
            }
            let message = messages.last_mut().unwrap();
            message.receivers.insert(receiver.clone());
            match state.as_str() {
                "pending" => drop(message.pending.insert(receiver)),
                state => assert_eq!(state, "delivered", "no receiver ever refused {}", message.id),
            }
        }
        let record = Self {
            audits,
            events: events.iter().map(|body| Event::unpack(body).unwrap()).collect(),
            messages,
        };
        record.findings_are_told(&mut connection).await;
        record
    }

    /// Each finding that opened or resolved, the first audit's apart, is in a message of its audit.
    async fn findings_are_told(&self, connection: &mut SqliteConnection) {
        let begun = "SELECT a.id, COUNT(*) FROM finding f JOIN audit a ON a.seq = f.since
             WHERE f.body ->> 'status' = 'fail' AND f.since > (SELECT MIN(seq) FROM audit)
               AND NOT EXISTS (SELECT 1 FROM finding g WHERE g.uid = f.uid AND g.until = f.since
                               AND g.body ->> 'status' = 'fail')
             GROUP BY a.id";
        let ended = "SELECT a.id, COUNT(*) FROM finding f JOIN audit a ON a.seq = f.until
             WHERE f.body ->> 'status' = 'fail'
               AND NOT EXISTS (SELECT 1 FROM finding g WHERE g.uid = f.uid AND g.since = f.until)
             GROUP BY a.id";
        // One that failed in an earlier life is `finding.reopened`.
        for (kind, expected) in [("finding.%opened", begun), ("finding.resolved", ended)] {
            let expected: Vec<(String, i64)> =
                sqlx::query_as(expected).fetch_all(&mut *connection).await.unwrap();
            let told: Vec<(String, i64)> = sqlx::query_as(
                "SELECT body ->> '$.data.audit', SUM(body ->> '$.data.total') FROM message WHERE kind LIKE $1 GROUP BY 1",
            )
            .bind(kind)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
            assert_eq!(Told::from_iter(told), Told::from_iter(expected), "findings by audit, {kind}");
        }
    }

    /// Whether the program itself finds the record consistent.
    pub(crate) fn verify(home: &Home) {
        let verified = home.run(&["verify", "--json"]);
        let json = verified.json();
        assert_eq!((verified.code, &json["consistent"]), (Some(0), &true.into()), "{json}");
    }

    /// Each event has its message, for every receiver; so has the first audit.
    pub(crate) fn everything_is_promised(&self, receivers: &[Receiver]) {
        let names: BTreeSet<String> = receivers.iter().map(|receiver| receiver.name.to_owned()).collect();
        let promised: BTreeMap<&str, &Message> =
            self.messages.iter().map(|message| (message.id.as_str(), message)).collect();
        for event in &self.events {
            let message = promised.get(event.id.as_str());
            let message = message.unwrap_or_else(|| panic!("{} was recorded without its message", event.id));
            assert_eq!(message.receivers, names, "{}", event.id);
        }
        let told = |word: &str| self.messages.iter().filter(|message| message.body.contains(word)).count();
        assert_eq!(told("\"baseline.recorded\""), usize::from(!self.audits.is_empty()));
    }

    /// Whatever a receiver got was recorded, bytes and all: nothing is sent that a crash took back.
    pub(crate) fn nothing_is_invented(&self, receivers: &[Receiver]) {
        let recorded: BTreeMap<&str, &str> =
            self.messages.iter().map(|message| (message.id.as_str(), message.body.as_str())).collect();
        for receiver in receivers {
            for Alert { id, body } in receiver.alerts() {
                let Some(recorded) = recorded.get(id.as_str()) else {
                    panic!("{} got {id}, which is not in the record", receiver.name)
                };
                assert_eq!(recorded.as_bytes(), body, "{id}: every attempt sends the recorded bytes");
            }
        }
    }

    /// Each message arrived at each of its receivers, and in order for each finding.
    pub(crate) fn everything_arrived(&self, receivers: &[Receiver]) {
        let place: BTreeMap<&str, usize> =
            self.messages.iter().enumerate().map(|(place, message)| (message.id.as_str(), place)).collect();
        for receiver in receivers {
            let alerts = receiver.alerts();
            let arrived: BTreeSet<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
            // What a last audit recorded while the daemon was being stopped waits for the next start; it is not lost.
            let due = |message: &&Message| {
                message.receivers.contains(receiver.name) && !message.pending.contains(receiver.name)
            };
            for message in self.messages.iter().filter(due) {
                assert!(
                    arrived.contains(message.id.as_str()),
                    "{} never got {}, which waits for {:?}: {}",
                    receiver.name,
                    message.id,
                    message.pending,
                    message.body
                );
            }
            // A repetition, after a crash between sending and settling, comes as late as it comes: it has the id of the
            // first, and whoever heeds that knows it already.
            let mut known = BTreeSet::new();
            let mut last: BTreeMap<String, (usize, &str)> = BTreeMap::new();
            for alert in alerts.iter().filter(|alert| known.insert(alert.id.as_str())) {
                for finding in alert.findings() {
                    let here = (place[alert.id.as_str()], alert.id.as_str());
                    let before = last.insert(finding.clone(), here).unwrap_or(here);
                    assert!(
                        before <= here,
                        "{} got {} (message {}) after {} (message {}): both tell of finding {finding}",
                        receiver.name,
                        here.1,
                        here.0,
                        before.1,
                        before.0
                    );
                }
            }
        }
    }

    /// What a role permits by the recorded events, each applied to what the ones before left.
    pub(crate) fn replay(&self, role: &str, first: &BTreeSet<String>) -> BTreeSet<String> {
        let mut permissions = first.clone();
        for event in self.events.iter().filter(|event| event.cause.subject.name == role) {
            let delta = &event.cause.permissions;
            for removed in &delta.removed {
                assert!(
                    permissions.remove(removed),
                    "{}: {role} loses {removed}, which it had not",
                    event.id
                );
            }
            for added in &delta.added {
                assert!(permissions.insert(added.clone()), "{}: {role} gains {added} twice", event.id);
            }
        }
        permissions
    }
}
