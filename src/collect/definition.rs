//! The platform's own API definition over HTTP: about 22 MB that are asked for once a day and seldom changed.
//!
//! Enters: what the last audit recorded of it. Leaves: the operations, "not due", or a gap. Must never: hold the
//! definition in memory (it goes to a [`Spool`]), parse one that is byte for byte the last one, or believe something that
//! is no definition. Whatever goes wrong is a gap: the last operations are carried forward, else the compiled-in table
//! answers.

pub(super) mod spool;

use std::{io::BufReader, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{ETAG, HeaderMap};
use tokio::sync::Mutex;
use tracing::{info, warn};

use self::spool::Spool;
use super::{
    Endpoint, Error,
    api::{Api, Moment, Request},
    gap_of,
    transport::Delivery,
};
use crate::domain::{
    Fact, Gap,
    catalogue::{
        Operations,
        definition::{self, Definition},
    },
    evidence::Hash,
    facts::{KnownOperations, Reading},
};

/// The real one has about 22 MB.
const MOST_BYTES: u64 = 96 << 20;
/// The longest that a definition may take to arrive, all attempts together. Within it, a third of what an audit has.
const LONGEST: Duration = Duration::from_mins(2);
/// A definition that came and could not be used is not asked for again sooner: it costs both sides.
const REST: TimeDelta = TimeDelta::hours(1);
/// An `ETag` that is longer is not kept.
const LONGEST_ETAG: usize = 200;

const ENDPOINT: Endpoint = Endpoint::Definition;

/// What one organisation's connection knows of the definition.
#[derive(Debug)]
pub(super) struct Definitions {
    max_age: Duration,
    time: Duration,
    most_bytes: u64,
    last: Option<Last>,
    /// One that came and could not be used.
    useless: Option<(DateTime<Utc>, Gap)>,
}

/// The last one that was used.
#[derive(Debug)]
struct Last {
    read: DateTime<Utc>,
    /// Of the definition as it came.
    hash: [u8; 32],
    etag: Option<String>,
    /// Of the operations that it came to.
    operations: Hash,
}

impl Definitions {
    /// Reads it again when it is older than `max_age`, in audits that may take `audit`.
    pub(super) fn new(max_age: Duration, audit: Duration) -> Self {
        Self { max_age, time: LONGEST.min(audit / 3), most_bytes: MOST_BYTES, last: None, useless: None }
    }

    /// With another limit of size.
    #[cfg(test)]
    pub(super) fn at_most(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }

    /// The operations, if they are due. `known` are those that the last audit recorded.
    pub(super) async fn read(
        &mut self,
        api: &mut Api,
        known: Option<KnownOperations>,
        moment: Moment,
        now: DateTime<Utc>,
    ) -> Reading<Arc<Operations>> {
        if let Some((at, gap)) = &self.useless
            && (TimeDelta::zero()..REST).contains(&(now - *at))
        {
            return Reading::Gap(gap.clone());
        }
        self.useless = None;
        // What was read and never recorded has to be read again.
        self.last = self.last.take().filter(|last| Some(last.operations) == known.map(|known| known.hash));
        // A clock set back makes the age unknown, and so does a negative age.
        let age = self.last.as_ref().and_then(|last| (now - last.read).to_std().ok());
        if age.is_some_and(|age| age <= self.max_age) {
            return Reading::NotDue;
        }
        match self.fetch(api, known, moment, now).await {
            Ok(Some(operations)) => Reading::Seen(operations),
            Ok(None) => Reading::NotDue,
            Err(error) => {
                let gap = gap_of(Fact::Operations, &error);
                if let Error::InvalidResponse { .. } = error {
                    self.useless = Some((now, gap.clone()));
                }
                Reading::Gap(gap)
            }
        }
    }

    /// `None`: it is what it was.
    async fn fetch(
        &mut self,
        api: &mut Api,
        known: Option<KnownOperations>,
        moment: Moment,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<Operations>>, Error> {
        let spool = Spool::new(self.most_bytes).map_err(|error| spool::no_room(ENDPOINT, &error))?;
        let spool = Mutex::new(spool);
        let url = api.url(ENDPOINT);
        let unless = self.last.as_ref().and_then(|last| last.etag.as_deref());
        let delivery = Delivery { spool: Some(&spool), request: self.time, call: self.time };
        let answer = api
            .answer(Request { endpoint: ENDPOINT, url: &url, question: None, unless, delivery }, moment)
            .await?;
        let spool = spool.into_inner();
        let hash = spool.hash();
        if let Some(last) = &mut self.last
            && (answer.status == 304 || last.hash == hash)
        {
            last.read = now;
            if answer.status == 200 {
                last.etag = etag(&answer.headers);
            }
            return Ok(None);
        }
        let bytes = spool.bytes();
        let file = spool.into_file().await.map_err(|error| spool::no_room(ENDPOINT, &error))?;
        let parsed = tokio::task::spawn_blocking(move || parse(BufReader::with_capacity(64 << 10, file)));
        let invalid = |detail: String| Error::InvalidResponse { endpoint: ENDPOINT, detail };
        let read = parsed.await.map_err(|error| invalid(format!("it could not be read: {error}")))?;
        let Definition { operations, problems, problems_total } = read.map_err(invalid)?;
        let expected = known.map_or(Operations::compiled_in().len(), |known| known.count);
        if operations.is_empty() || operations.len() * 2 < expected {
            let count = operations.len();
            return Err(invalid(format!(
                "it lists {count} operations where {expected} were known: it is not believed"
            )));
        }
        if let Some(first) = problems.first() {
            warn!(
                problems = problems_total,
                "not everything in the definition was understood, first {first}"
            );
        }
        let operations = Arc::new(Operations::defined(operations));
        info!(operations = operations.listed_len(), bytes, "read the platform's definition");
        self.last =
            Some(Last { read: now, hash, etag: etag(&answer.headers), operations: operations.hash() });
        Ok(Some(operations))
    }
}

fn parse(reader: impl std::io::Read) -> Result<Definition, String> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = definition::read(&mut deserializer).and_then(|read| deserializer.end().map(|()| read));
    read.map_err(|error| definition::explain(&error))
}

fn etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (etag.len() <= LONGEST_ETAG).then(|| etag.to_owned())
}
