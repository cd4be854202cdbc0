//! What leaves as a file: changes of findings and events, oldest first, page by page.
//!
//! Enters: an organisation, a span of time, where the page before ended. Leaves: one bounded page. Must never: hold more
//! than a page, or leave out a row between two pages. Recorded rows do not change, so a page needs no transaction with the
//! next.

use chrono::{DateTime, Utc};

use super::{
    Store, attributions, body,
    error::{Error, Problem},
    hash, past, time,
};
use crate::domain::{event::Event, evidence::Hash, finding::Finding};

/// Rows of one page.
const PAGE: u32 = 500;

/// An event's audit and its place in it, that audit's id, time and chain, the event, who made it.
type EventRow = (i64, i64, String, i64, Vec<u8>, String, Option<String>);

/// An audit, as far as what it concluded is told with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The audit's id.
    pub audit: String,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// The chain hash up to it.
    pub chain: Hash,
}

/// What happened to a finding in one audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not open before.
    Opened,
    /// Its content changed.
    Updated,
    /// It is not open any more.
    Ended,
}

/// Where a page ended. The default is before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    audit: i64,
    uid: String,
    ord: i64,
}

/// Number, id, time and chain hash of an audit; uid, whether it ends, whether it follows another, and text of a finding's
/// version; the time of the audit before.
type Row = (i64, String, i64, Vec<u8>, String, bool, bool, String, Option<i64>);

impl Store {
    /// The next changes of an organisation's findings in audits recorded in `from..=to`: by audit, in it by uid. An empty
    /// page is the last.
    pub async fn finding_changes(
        &self,
        org: &str,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        after: &mut Cursor,
    ) -> Result<Vec<(Told, Change, Finding)>, Error> {
        let page = async {
            let mut transaction = self.readers.begin().await?;
            let Some(org) = past::org_number(&mut transaction, org).await? else { return Ok(Vec::new()) };
            // A version that ended and is followed by none of its uid is over; one that follows another is an update.
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT a.seq, a.id, a.at_ms, a.chain, c.uid, c.ends, c.follows, c.body,
                        (SELECT b.at_ms FROM audit b WHERE b.org = a.org AND b.seq < a.seq ORDER BY b.seq DESC LIMIT 1)
                 FROM (
                     SELECT f.since AS audit, f.uid AS uid, 0 AS ends, f.body AS body,
                            EXISTS (SELECT 1 FROM finding p
                                    WHERE p.org = f.org AND p.until = f.since AND p.uid = f.uid) AS follows
                     FROM finding f WHERE f.org = $1 AND f.since >= $2
                     UNION ALL
                     SELECT f.until, f.uid, 1, f.body, 0
                     FROM finding f WHERE f.org = $1 AND f.until IS NOT NULL AND f.until >= $2
                       AND NOT EXISTS (SELECT 1 FROM finding n
                                       WHERE n.org = f.org AND n.since = f.until AND n.uid = f.uid)
                 ) c JOIN audit a ON a.seq = c.audit
                 WHERE (c.audit > $2 OR c.uid > $3)
                   AND ($4 IS NULL OR a.at_ms >= $4) AND ($5 IS NULL OR a.at_ms <= $5)
                 ORDER BY c.audit, c.uid LIMIT $6",
            )
            .bind(org)
            .bind(after.audit)
            .bind(&after.uid)
            .bind(from.map(|from| from.timestamp_millis()))
            .bind(to.map(|to| to.timestamp_millis()))
            .bind(PAGE)
            .fetch_all(&mut *transaction)
            .await?;
            let mut changes = Vec::with_capacity(rows.len());
            for (seq, audit, at_ms, chain, uid, ends, follows, text, before_ms) in rows {
                let at = time(at_ms)?;
                // What ended was last seen by the audit before.
                let seen = if ends { before_ms.map(time).transpose()?.unwrap_or(at) } else { at };
                let change = match (ends, follows) {
                    (true, _) => Change::Ended,
                    (false, true) => Change::Updated,
                    (false, false) => Change::Opened,
                };
                changes.push((Told { audit, at, chain: hash(&chain)? }, change, body::finding(&text, seen)?));
                *after = Cursor { audit: seq, uid, ord: 0 };
            }
            Ok(changes)
        };
        self.named(page.await)
    }

    /// The next of an organisation's findings that were open after an audit, by uid, whatever was recorded since. An empty
    /// page is the last.
    pub async fn open_page(
        &self,
        org: &str,
        as_of: &Told,
        after: &mut Cursor,
    ) -> Result<Vec<Finding>, Error> {
        let page = async {
            let rows: Vec<(String, String)> = sqlx::query_as(
                "WITH one AS (SELECT a.org, a.seq FROM audit a JOIN org o ON o.id = a.org WHERE o.name = $1 AND a.id = $2)
                 SELECT f.uid, f.body FROM one JOIN finding f ON f.org = one.org
                 WHERE f.until IS NULL AND f.since <= one.seq AND f.uid > $3
                 UNION ALL
                 SELECT f.uid, f.body FROM one JOIN finding f ON f.org = one.org
                 WHERE f.until IS NOT NULL AND f.until > one.seq AND f.since <= one.seq AND f.uid > $3
                 ORDER BY 1 LIMIT $4",
            )
            .bind(org)
            .bind(&as_of.audit)
            .bind(&after.uid)
            .bind(PAGE)
            .fetch_all(&self.readers)
            .await?;
            let mut findings = Vec::with_capacity(rows.len());
            for (uid, text) in rows {
                findings.push(body::finding(&text, as_of.at)?);
                after.uid = uid;
            }
            Ok(findings)
        };
        self.named(page.await)
    }

    /// The next events of an organisation of audits recorded in `from..=to`, in the order in which they were recorded, each
    /// with who made it as far as that is known by now. An empty page is the last.
    pub async fn event_page(
        &self,
        org: &str,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        after: &mut Cursor,
    ) -> Result<Vec<(Told, Event)>, Error> {
        let page = async {
            let rows: Vec<EventRow> = sqlx::query_as(
                "SELECT e.audit, e.ord, a.id, a.at_ms, a.chain, e.body, t.body
                 FROM event e JOIN audit a ON a.seq = e.audit JOIN org o ON o.id = a.org
                 LEFT JOIN attribution t ON t.event = e.id
                 WHERE o.name = $1 AND (e.audit > $2 OR (e.audit = $2 AND e.ord > $3))
                   AND ($4 IS NULL OR a.at_ms >= $4) AND ($5 IS NULL OR a.at_ms <= $5)
                 ORDER BY e.audit, e.ord LIMIT $6",
            )
            .bind(org)
            .bind(after.audit)
            .bind(after.ord)
            .bind(from.map(|from| from.timestamp_millis()))
            .bind(to.map(|to| to.timestamp_millis()))
            .bind(PAGE)
            .fetch_all(&self.readers)
            .await?;
            let mut events = Vec::with_capacity(rows.len());
            for (seq, ord, audit, at_ms, chain, text, actor) in rows {
                let mut event = Event::unpack(&text).map_err(|error| Problem::unreadable("event", error))?;
                attributions::put(&mut event, actor.as_deref())?;
                events.push((Told { audit, at: time(at_ms)?, chain: hash(&chain)? }, event));
                *after = Cursor { audit: seq, uid: String::new(), ord };
            }
            Ok(events)
        };
        self.named(page.await)
    }
}
