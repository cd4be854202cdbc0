//! How old clients' secrets are, by the platform's audit log.
//!
//! Enters: what the log was read for and showed. Leaves: for each client when its secret was issued, exactly, or between
//! which bounds. Must never: hold a secret, take a log that was not read for one without entries, or bridge a hole in it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ClientId,
    attribution::{Actor, Certainty, Entry, Read, Span, spans},
    inventory::Client,
};

/// The log's type of clients.
pub const ENTITY: &str = "OAuthClient";
/// How far back the first reading goes: as far as the realtime query does, less a day.
const BACK: TimeDelta = TimeDelta::days(13);
/// Entries may come late; what is younger is read the next time.
const SETTLED: TimeDelta = TimeDelta::minutes(10);
/// Once caught up, the log is read no more often.
const EVERY: TimeDelta = TimeDelta::hours(1);
/// Spans of one audit: two calls, or a few more where a day has many entries.
const SPANS: usize = 2;

/// When a client got a secret, and from whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom, if the log says so.
    pub by: Option<Actor>,
}

/// What is known of an organisation's secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The stretch of the log that was read without a hole; `None`: none of it.
    pub read: Option<Span>,
    /// The last time that each client got one, if that was seen.
    pub issued: BTreeMap<ClientId, Issued>,
}

/// How old a client's secret is, in the JSON shape that users see. It was issued at `issued`, or somewhere from `not_before`
/// to `not_after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Age {
    /// `exact`, `bounded` or `unknown`.
    pub certainty: &'static str,
    /// When it was issued, if that is known.
    pub issued: Option<DateTime<Utc>>,
    /// By whom, if that is known.
    pub by: Option<Actor>,
    /// Not before: the client was created then.
    pub not_before: Option<DateTime<Utc>>,
    /// Not after: the log since then shows no new one.
    pub not_after: Option<DateTime<Utc>>,
    /// Up to when the log was read.
    pub read_until: Option<DateTime<Utc>>,
}

impl Secrets {
    /// What of the log is to be read now, the oldest first.
    pub fn due(&self, now: DateTime<Utc>) -> Vec<Span> {
        let horizon = now - BACK;
        // A longer rest than the log can be asked about is a hole.
        let from = self.read.map(|read| read.to).filter(|to| *to > horizon && *to <= now);
        let Some(to) = Some(now - SETTLED).filter(|to| from.is_none_or(|from| *to - from >= EVERY)) else {
            return Vec::new();
        };
        let mut spans = spans([Span { from: from.unwrap_or(horizon), to }]);
        spans.reverse();
        spans.truncate(SPANS);
        spans
    }

    /// What is known after a reading; `None`: nothing new was read.
    #[must_use]
    pub fn learn(&self, entries: &[Entry], read: &BTreeMap<Span, Read>) -> Option<Self> {
        let mut known = self.clone();
        for (span, extent) in read {
            known.read = Some(match (known.read, extent) {
                // What was not read of it is a hole: from its end on, all is known again.
                (_, Read::Partly) => Span { from: span.to, to: span.to },
                (Some(before), Read::Whole) if before.to == span.from => {
                    Span { from: before.from, to: span.to }
                }
                (_, Read::Whole) => *span,
            });
        }
        for entry in entries.iter().filter(|entry| issues(entry)) {
            for client in &entry.entities {
                let client = ClientId::from(client.as_str());
                if known.issued.get(&client).is_none_or(|issued| issued.at < entry.at) {
                    known.issued.insert(client, Issued { at: entry.at, by: entry.actor.clone() });
                }
            }
        }
        (!read.is_empty()).then_some(known)
    }

    /// How old the secret of a client is.
    pub fn age(&self, client: &Client) -> Age {
        let created: Option<DateTime<Utc>> =
            client.date_created.as_ref().and_then(|date| date.parse::<DateTime<Utc>>().ok());
        let mut age = Age {
            certainty: Certainty::Unknown.as_str(),
            issued: None,
            by: None,
            not_before: created,
            not_after: None,
            read_until: self.read.map(|read| read.to),
        };
        let seen = self.issued.get(&client.id);
        // A client that was created while the log was read got its secret then, if it got no other.
        let at_creation = created.filter(|at| self.read.is_some_and(|read| read.holds(*at)));
        if let Some(read) = self.read
            && let Some(at) = seen.map(|issued| issued.at).or(at_creation)
            // Seen before a hole, it may have been replaced within it.
            && at > read.from
        {
            age.certainty = Certainty::Exact.as_str();
            age.issued = Some(at);
            age.by = seen.and_then(|issued| issued.by.clone());
            return age;
        }
        age.not_before = created.max(seen.map(|issued| issued.at));
        age.not_after = self.read.map(|read| read.from);
        if age.not_before.is_some() || age.not_after.is_some() {
            age.certainty = "bounded";
        }
        age
    }
}

/// Whether an entry means that a client got a secret.
fn issues(entry: &Entry) -> bool {
    let secret = |property: &str| property.to_ascii_lowercase().contains("secret");
    entry.entity_type == ENTITY
        && (entry.action == "Create" || entry.changes.iter().any(|change| secret(&change.property)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{
        attribution::{ActorKind, Change},
        fixtures,
    };

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_793_700_000 + hour * 3_600, 0).unwrap()
    }

    fn entry(hour: i64, action: &str, property: &str) -> Entry {
        Entry {
            at: at(hour),
            id: String::new(),
            actor: Some(Actor { kind: ActorKind::User, id: Some("u".to_owned()), name: None }),
            remote_ip: None,
            action: action.to_owned(),
            entity_type: ENTITY.to_owned(),
            entities: BTreeSet::from(["a".to_owned()]),
            changes: vec![Change { property: property.to_owned(), ..Change::default() }],
        }
    }

    fn client(created: Option<DateTime<Utc>>) -> Client {
        Client { date_created: created.map(|at| at.to_rfc3339()), ..fixtures::client("a") }
    }

    fn reading(from: i64, to: i64, extent: Read) -> BTreeMap<Span, Read> {
        BTreeMap::from([(Span { from: at(from), to: at(to) }, extent)])
    }

    #[test]
    fn a_new_secret_that_was_seen_is_exact_and_the_last_one_counts() {
        let entries =
            [entry(3, "Update", "secret"), entry(1, "Create", ""), entry(5, "Update", "description")];
        let known = Secrets::default().learn(&entries, &reading(0, 10, Read::Whole)).unwrap();
        let age = known.age(&client(Some(at(1))));
        assert_eq!((age.certainty, age.issued), ("exact", Some(at(3))));
        assert!(age.by.is_some());
    }

    #[test]
    fn a_secret_is_as_old_as_its_client_or_at_least_as_the_log() {
        let known = Secrets::default().learn(&[], &reading(0, 10, Read::Whole)).unwrap();
        let inside = known.age(&client(Some(at(4))));
        assert_eq!((inside.certainty, inside.issued), ("exact", Some(at(4))));
        let older = known.age(&client(Some(at(-900))));
        assert_eq!(
            (older.certainty, older.not_before, older.not_after),
            ("bounded", Some(at(-900)), Some(at(0)))
        );
        let nothing = Secrets::default();
        assert_eq!(nothing.age(&client(Some(at(4)))).certainty, "bounded");
        assert_eq!(nothing.age(&client(None)).certainty, "unknown");
    }

    #[test]
    fn a_hole_in_the_reading_makes_what_was_exact_a_bound() {
        let known =
            Secrets::default().learn(&[entry(3, "Update", "secret")], &reading(0, 10, Read::Whole)).unwrap();
        for (from, to, extent, start) in [(12, 20, Read::Whole, 12), (10, 20, Read::Partly, 20)] {
            let later = known.learn(&[], &reading(from, to, extent)).unwrap();
            let age = later.age(&client(Some(at(1))));
            assert_eq!(
                (age.certainty, age.not_before, age.not_after),
                ("bounded", Some(at(3)), Some(at(start)))
            );
        }
        let on = known.learn(&[], &reading(10, 20, Read::Whole)).unwrap();
        assert_eq!(on.age(&client(None)).issued, Some(at(3)));
        assert_eq!(known.learn(&[], &BTreeMap::new()), None);
    }

    #[test]
    fn the_log_is_caught_up_with_in_steps_and_then_read_once_an_hour() {
        let mut known = Secrets::default();
        let (now, mut steps) = (at(0), 0);
        loop {
            let due = known.due(now);
            if due.is_empty() {
                break;
            }
            assert!(due.len() <= SPANS);
            let read = due.into_iter().map(|span| (span, Read::Whole)).collect();
            known = known.learn(&[], &read).unwrap();
            steps += 1;
        }
        assert_eq!((steps, known.read.unwrap().from, known.read.unwrap().to), (7, now - BACK, now - SETTLED));
        assert!(known.due(now + EVERY - TimeDelta::minutes(1)).is_empty());
        assert_eq!(known.due(now + EVERY).len(), 1);
        // Away for a month: what cannot be asked any more is not bridged.
        assert_eq!(known.due(at(24 * 30))[0].from, at(24 * 30) - BACK);
    }
}
