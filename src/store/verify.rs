//! Is the record still what it was when it was written?
//!
//! Enters: an organisation. Leaves: a [`Verification`]. Must never: stop at the first problem, or trust a hash that
//! it can compute.
//!
//! Every audit is walked in order: its chain hash over the row before it, the digest of its configuration (moved from
//! audit to audit by the versions that begin and end), the digest of its events, findings and decisions, and the SHA-256 of
//! every content that it brought. Content that retention forgot is only its hash now, which the digests bind; content
//! that still holds is never forgotten. Rows that belong to no audit are counted. Somebody who rewrites *everything* from
//! some audit on leaves a consistent record with another head: that is what the head in every message is for.
//! Outside the evidence: decisions that no audit has sealed yet, who made changes, what was told, the outbox, failures,
//! pending removals, object counts, and when an audit started.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    Store,
    error::{Error, Problem},
    past,
};
use crate::domain::{
    decision::Entry,
    evidence::{self, Hash, Link},
    snapshot::{self, EntityKey, EntityKind},
};

/// Problems that are listed one by one.
const LISTED: usize = 100;
/// Audits that are read at a time.
const STEP: i64 = 500;

/// What a check of the record found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The organisation.
    pub org: String,
    /// Audits checked.
    pub audits: u64,
    /// Distinct contents checked.
    pub objects: u64,
    /// Distinct contents that retention forgot; what is left of them is their hash, which was checked.
    pub forgotten: u64,
    /// The stored chain hash of the last audit; `None`: there is none.
    pub head: Option<Hash>,
    /// When the first audit was recorded.
    pub from: Option<DateTime<Utc>>,
    /// When the last audit was recorded.
    pub to: Option<DateTime<Utc>>,
    /// The first hundred problems, each with its audit; empty: the record is consistent.
    pub problems: Vec<String>,
    /// Problems beyond those.
    pub further_problems: u64,
}

impl Verification {
    /// Nothing differs from what was recorded.
    pub fn is_consistent(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, text: impl fmt::Display) {
        if self.problems.len() < LISTED {
            self.problems.push(text.to_string());
        } else {
            self.further_problems += 1;
        }
    }
}

impl Store {
    /// Checks the whole record of an organisation against its hashes. Differences are not errors: they are in the
    /// [`Verification`]. Fails if the database cannot be read.
    pub async fn verify(&self, org: &str) -> Result<Verification, Error> {
        let verified = async {
            let mut transaction = self.readers.begin().await?;
            let found = Verification { org: org.to_owned(), ..Verification::default() };
            let mut walk = Walk { found, ..Walk::default() };
            if let Some(number) = past::org_number(&mut transaction, org).await? {
                while let Some(step) = Step::read(&mut transaction, number, walk.seq).await? {
                    walk.check(step);
                }
                walk.check_strays(&mut transaction, number).await?;
                walk.check_forgotten_decisions();
            }
            Ok(walk.found)
        };
        self.named(verified.await)
    }
}

/// Text and hashes are read as raw bytes: what somebody changed need not be text, or a hash, any more.
type Bytes = Vec<u8>;

/// `seq, id, at_ms, complete, gaps, configuration, recorded, chain`
type AuditColumns = (i64, Bytes, i64, i64, Bytes, Bytes, Bytes, Bytes);

/// `since, kind, id, hash, body, until is null, forgotten_ms is not null`
type VersionColumns = (i64, Bytes, Bytes, Bytes, Option<Bytes>, bool, bool);

/// Some consecutive audits and all that began or ended with them, as stored.
struct Step {
    audits: Vec<AuditColumns>,
    versions: Vec<VersionColumns>,
    /// `until, kind, id`
    ended_versions: Vec<(i64, Bytes, Bytes)>,
    /// `audit, id, body`
    events: Vec<(i64, Bytes, Bytes)>,
    /// `since, uid, body`
    findings: Vec<(i64, Bytes, Bytes)>,
    /// `until, uid`
    ended_findings: Vec<(i64, Bytes)>,
    /// `audit, decision, hash, body`
    decisions: Vec<(i64, Bytes, Bytes, Bytes)>,
}

impl Step {
    /// Reads the audits after number `after`; `None` if there are no more.
    async fn read(connection: &mut SqliteConnection, org: i64, after: i64) -> Result<Option<Self>, Problem> {
        let audits: Vec<AuditColumns> = sqlx::query_as(
            "SELECT seq, id, at_ms, complete, gaps, configuration, recorded, chain FROM audit
             WHERE org = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(org)
        .bind(after)
        .bind(STEP)
        .fetch_all(&mut *connection)
        .await?;
        let Some((last, ..)) = audits.last() else { return Ok(None) };
        let last = *last;
        let versions = sqlx::query_as(
            "SELECT v.since, v.kind, v.id, v.hash, o.body, v.until IS NULL, o.forgotten_ms IS NOT NULL
             FROM version v LEFT JOIN object o ON o.hash = v.hash
             WHERE v.org = $1 AND v.since > $2 AND v.since <= $3",
        )
        .bind(org)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *connection)
        .await?;
        let ended_versions = sqlx::query_as(
            "SELECT until, kind, id FROM version WHERE org = $1 AND until IS NOT NULL AND until > $2 AND until <= $3",
        )
        .bind(org)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *connection)
        .await?;
        let events = sqlx::query_as(
            "SELECT e.audit, e.id, e.body FROM event e JOIN audit a ON a.seq = e.audit
             WHERE a.org = $1 AND e.audit > $2 AND e.audit <= $3",
        )
        .bind(org)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *connection)
        .await?;
        let findings = sqlx::query_as(
            "SELECT since, uid, body FROM finding WHERE org = $1 AND since > $2 AND since <= $3",
        )
        .bind(org)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *connection)
        .await?;
        let ended_findings = sqlx::query_as(
            "SELECT until, uid FROM finding WHERE org = $1 AND until IS NOT NULL AND until > $2 AND until <= $3",
        )
        .bind(org)
        .bind(after)
        .bind(last)
        .fetch_all(&mut *connection)
        .await?;
        let decisions = sqlx::query_as(
            "SELECT audit, decision, hash, body FROM decision_entry
             WHERE org = $1 AND audit IS NOT NULL AND audit > $2 AND audit <= $3",
        )
        .bind(org)
        .bind(after)
        .bind(last)
        .fetch_all(connection)
        .await?;
        Ok(Some(Self { audits, versions, ended_versions, events, findings, ended_findings, decisions }))
    }
}

/// Where the walk over audits stands.
#[derive(Default)]
struct Walk {
    found: Verification,
    /// Number of the last audit checked.
    seq: i64,
    /// Its stored chain hash; empty before the first.
    chain: Bytes,
    /// The hash of each entity after it, and the digest over them.
    entities: BTreeMap<EntityKey, Hash>,
    configuration: Option<Hash>,
    contents: BTreeSet<Hash>,
    /// Decisions of which an entry has no text any more.
    emptied: BTreeSet<String>,
    /// Decisions whose beginning is there to be read.
    begun: BTreeSet<String>,
    /// Rows met so far.
    met: Met,
}

#[derive(Default)]
struct Met {
    versions: i64,
    ended_versions: i64,
    findings: i64,
    ended_findings: i64,
    decisions: i64,
}

impl Walk {
    fn check(&mut self, step: Step) {
        let mut versions = by_audit(step.versions, |row| row.0);
        let mut ended_versions = by_audit(step.ended_versions, |row| row.0);
        let mut events = by_audit(step.events, |row| row.0);
        let mut findings = by_audit(step.findings, |row| row.0);
        let mut ended_findings = by_audit(step.ended_findings, |row| row.0);
        let mut decisions = by_audit(step.decisions, |row| row.0);
        for audit in step.audits {
            let (seq, id) = (audit.0, text(&audit.1).into_owned());
            self.check_entities(
                &id,
                ended_versions.remove(&seq).unwrap_or_default(),
                versions.remove(&seq).unwrap_or_default(),
            );
            self.check_configuration(&id, &audit.5);
            let sealed = self.check_decisions(&id, &decisions.remove(&seq).unwrap_or_default());
            self.check_recorded(
                &id,
                (&audit.6, &sealed),
                &events.remove(&seq).unwrap_or_default(),
                &findings.remove(&seq).unwrap_or_default(),
                &ended_findings.remove(&seq).unwrap_or_default(),
            );
            self.check_chain(&id, audit);
        }
    }

    /// Moves the entities on to this audit, and checks the content of each that it brought.
    fn check_entities(&mut self, audit: &str, ended: Vec<(i64, Bytes, Bytes)>, begun: Vec<VersionColumns>) {
        if !ended.is_empty() || !begun.is_empty() {
            self.configuration = None;
        }
        for (_, kind, id) in ended {
            self.met.ended_versions += 1;
            let known = entity(&kind, &id).and_then(|key| self.entities.remove(&key));
            if known.is_none() {
                let (kind, id) = (text(&kind), text(&id));
                self.found
                    .problem(format!("audit {audit}: it ends a version of {kind} {id} that had not begun"));
            }
        }
        for (_, kind, id, hash, body, still_holds, is_forgotten) in begun {
            self.met.versions += 1;
            let name = format!("{} {}", text(&kind), text(&id));
            let (Some(key), Ok(hash)) = (entity(&kind, &id), Hash::try_from(hash.as_slice())) else {
                self.found
                    .problem(format!("audit {audit}: the version of {name} has no known kind, or no hash"));
                continue;
            };
            if self.entities.insert(key, hash).is_some() {
                self.found.problem(format!("audit {audit}: {name} has two versions at once"));
            }
            match body {
                None => {
                    self.found.problem(format!("audit {audit}: the content of {name} ({hash}) is missing"));
                }
                Some(_) if is_forgotten && still_holds => {
                    self.found.problem(format!(
                        "audit {audit}: the content of {name} ({hash}) is marked as forgotten, but still holds"
                    ));
                }
                Some(body) if self.contents.insert(hash) => {
                    if is_forgotten && body.is_empty() {
                        self.found.forgotten += 1;
                        continue;
                    }
                    self.found.objects += 1;
                    let actual = Hash::of(&body);
                    if actual != hash {
                        self.found.problem(format!(
                            "audit {audit}: the content of {name} has hash {actual}, not {hash} as recorded"
                        ));
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn check_configuration(&mut self, audit: &str, stored: &[u8]) {
        let actual = *self.configuration.get_or_insert_with(|| snapshot::digest_of(&self.entities));
        if stored != actual.as_bytes() {
            self.found.problem(format!(
                "audit {audit}: the digest of its configuration is {}, its versions give {actual}",
                hex::encode(stored)
            ));
        }
    }

    fn check_recorded(
        &mut self,
        audit: &str,
        (stored, sealed): (&[u8], &[Hash]),
        events: &[(i64, Bytes, Bytes)],
        findings: &[(i64, Bytes, Bytes)],
        ended: &[(i64, Bytes)],
    ) {
        self.met.findings += count(findings.len());
        self.met.ended_findings += count(ended.len());
        for (what, name, rows) in [("event", "id", events), ("finding", "uid", findings)] {
            for (_, column, body) in rows {
                if member(body, name).as_deref() != Some(&*text(column)) {
                    let column = text(column);
                    self.found.problem(format!(
                        "audit {audit}: {what} {column} is filed under a name that is not its own"
                    ));
                }
            }
        }
        let begun: BTreeSet<&Bytes> = findings.iter().map(|(_, uid, _)| uid).collect();
        let closed: Vec<String> = ended
            .iter()
            .filter(|(_, uid)| !begun.contains(uid))
            .map(|(_, uid)| text(uid).into_owned())
            .collect();
        let bodies = |rows: &[(i64, Bytes, Bytes)]| -> Vec<String> {
            rows.iter().map(|(_, _, body)| text(body).into_owned()).collect()
        };
        let actual = evidence::recorded(&bodies(events), &bodies(findings), &closed);
        let actual = evidence::with_decisions(actual, sealed);
        if stored != actual.as_bytes() {
            self.found.problem(format!(
                "audit {audit}: the digest of its {} events, {} begun and {} ended findings, {} decisions is {}, the stored ones give {actual}",
                events.len(),
                findings.len(),
                closed.len(),
                sealed.len(),
                hex::encode(stored)
            ));
        }
    }

    /// The hashes of the entries about decisions that an audit sealed, each checked against its text.
    fn check_decisions(&mut self, audit: &str, entries: &[(i64, Bytes, Bytes, Bytes)]) -> Vec<Hash> {
        self.met.decisions += count(entries.len());
        let mut hashes = Vec::with_capacity(entries.len());
        for (_, decision, hash, body) in entries {
            let decision = text(decision);
            let Ok(hash) = Hash::try_from(hash.as_slice()) else {
                self.found.problem(format!("audit {audit}: an entry about decision {decision} has no hash"));
                continue;
            };
            hashes.push(hash);
            // What retention forgot is only its hash now, which the digest binds.
            if body.is_empty() {
                self.emptied.insert(decision.into_owned());
                continue;
            }
            let actual = Hash::of(body);
            if actual != hash {
                self.found.problem(format!(
                    "audit {audit}: an entry about decision {decision} has hash {actual}, not {hash} as recorded"
                ));
            }
            let entry: Option<Entry> = serde_json::from_slice(body).ok();
            match entry.filter(|entry| entry.decision() == decision) {
                Some(Entry::Made(_)) => drop(self.begun.insert(decision.into_owned())),
                Some(Entry::Ended(_)) => {}
                None => self.found.problem(format!(
                    "audit {audit}: an entry about decision {decision} is filed under a name that is not its own"
                )),
            }
        }
        hashes
    }

    /// Checks the audit's own row against the row before it, and moves on to it.
    fn check_chain(&mut self, id: &str, audit: AuditColumns) {
        let (seq, _, at_ms, complete, gaps, configuration, recorded, chain) = audit;
        let actual = self.link(id, at_ms, complete, &gaps, &configuration, &recorded);
        if actual.is_none_or(|actual| chain != actual.as_bytes()) {
            self.found.problem(format!(
                "audit {id}: its chain hash does not follow from its row (organisation, id, time, completeness, gaps, digests) and the chain hash before it"
            ));
        }
        let at = DateTime::from_timestamp_millis(at_ms);
        self.found.from = self.found.from.or(at);
        self.found.to = at;
        self.found.head = Hash::try_from(chain.as_slice()).ok();
        self.found.audits += 1;
        self.seq = seq;
        self.chain = chain;
    }

    /// The chain hash that a row should have; `None` if a column cannot be part of any.
    fn link(
        &self,
        audit: &str,
        at_ms: i64,
        complete: i64,
        gaps: &[u8],
        configuration: &[u8],
        recorded: &[u8],
    ) -> Option<Hash> {
        let before = if self.found.audits == 0 {
            Hash::GENESIS
        } else {
            Hash::try_from(self.chain.as_slice()).ok()?
        };
        let link = Link {
            org: &self.found.org,
            audit,
            at: DateTime::from_timestamp_millis(at_ms)?,
            complete: complete != 0,
            gaps: &text(gaps),
            configuration: Hash::try_from(configuration).ok()?,
            recorded: Hash::try_from(recorded).ok()?,
        };
        Some(evidence::chain(before, &link))
    }

    /// Retention forgets a decision whole. One that lost only its end would seem to stand.
    fn check_forgotten_decisions(&mut self) {
        for decision in self.emptied.intersection(&self.begun) {
            self.found.problem(format!(
                "decision {decision}: an entry about it has no text any more, but its beginning has; retention takes both"
            ));
        }
    }

    /// Rows that begin or end with no audit of this organisation were met by no step.
    async fn check_strays(&mut self, connection: &mut SqliteConnection, org: i64) -> Result<(), Problem> {
        let (versions, ended_versions): (i64, i64) =
            sqlx::query_as("SELECT COUNT(*), COUNT(until) FROM version WHERE org = $1")
                .bind(org)
                .fetch_one(&mut *connection)
                .await?;
        let (findings, ended_findings): (i64, i64) =
            sqlx::query_as("SELECT COUNT(*), COUNT(until) FROM finding WHERE org = $1")
                .bind(org)
                .fetch_one(&mut *connection)
                .await?;
        let decisions: i64 = sqlx::query_scalar("SELECT COUNT(audit) FROM decision_entry WHERE org = $1")
            .bind(org)
            .fetch_one(connection)
            .await?;
        for (what, stored, met) in [
            ("versions begin", versions, self.met.versions),
            ("versions end", ended_versions, self.met.ended_versions),
            ("findings begin", findings, self.met.findings),
            ("findings end", ended_findings, self.met.ended_findings),
            ("decisions are sealed", decisions, self.met.decisions),
        ] {
            if stored != met {
                self.found
                    .problem(format!("{} {what} with an audit that is not in the record", stored - met));
            }
        }
        Ok(())
    }
}

fn by_audit<T>(rows: Vec<T>, audit: impl Fn(&T) -> i64) -> BTreeMap<i64, Vec<T>> {
    let mut groups: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    for row in rows {
        groups.entry(audit(&row)).or_default().push(row);
    }
    groups
}

fn entity(kind: &[u8], id: &[u8]) -> Option<EntityKey> {
    Some(EntityKey { kind: EntityKind::parse(&text(kind))?, id: text(id).into_owned() })
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// One text member of a JSON object.
fn member(body: &[u8], name: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(body).ok()?;
    object.get(name)?.as_str().map(str::to_owned)
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
