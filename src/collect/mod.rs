//! Genesys Cloud over HTTP → facts.
//!
//! Enters: one organisation's configuration, what the previous audit knew, `now`. Leaves: [`Facts`], in which every
//! optional fact that could not be read is a gap. Must never: judge what it reads, write anything to the platform,
//! make one call for each client beyond the budget that it is given, or let a secret out of the request that needs it.
//!
//! An audit costs one call for the clients, one for the auditor's own grants, one for each hundred roles and each
//! hundred divisions, and the catalogue when it is due; plus a token when there is none. Then come as many calls for
//! clients' grants as the audit's budget has, and once a day those for what clients called. Read [`Collector::gather`]
//! first, then `grants` and `usage`, `pages` (listings that move), `api` (the token), `transport` (limits and retries), `wire` (shapes).

mod api;
mod audit_log;
mod definition;
mod endpoint;
mod error;
mod examine;
mod grants;
mod pace;
mod pages;
pub mod probe;
pub mod proposed;
mod refusal;
mod transport;
mod usage;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use tracing::warn;
use url::Url;

use self::{
    api::{Api, Moment},
    definition::Definitions,
    pages::{Pages, Step, Target},
    transport::Transport,
    wire::json::Mismatch,
};
pub use self::{
    audit_log::{LogRead, Mode, Served},
    endpoint::Endpoint,
    error::Error,
    examine::{ClientsSeen, Clock, Examination, OwnPower, Rate, RolesSeen},
    transport::Limits,
    wire::Organisation,
};
use crate::{
    config::Org,
    domain::{
        ClientId, Fact, Gap,
        attribution::Span,
        catalogue::Catalogue,
        facts::{DivisionsSeen, Facts, GrantsSeen, Known, Reading, unknown_permissions},
        inventory::{Client, OwnGrants, Role},
        usage::Window,
    },
    telemetry::Metrics,
};

/// Asked for where a listing takes a page size; larger ones are not documented.
const PAGE_SIZE: u64 = 100;

/// One organisation's connection, for the life of the process: its token, its pace, the age of its catalogue.
#[derive(Debug)]
pub struct Collector {
    api: Api,
    catalogue_max_age: Duration,
    /// When the catalogue was last read; `None`: it is due.
    catalogue_read: Option<DateTime<Utc>>,
    /// `None`: the platform's definition is not to be asked for.
    definitions: Option<Definitions>,
    usage: usage::Usage,
    audit_log: audit_log::AuditLog,
}

/// A listing of the platform: which, with what query, and what each entity is.
struct Listing<T> {
    endpoint: Endpoint,
    query: &'static [(&'static str, &'static str)],
    entity: fn(&RawValue) -> Result<T, Mismatch>,
    id: fn(&T) -> &str,
}

impl Collector {
    /// Connects to nothing yet. Fails if TLS cannot be set up on this machine.
    pub fn new(org: &Org, catalogue_max_age: Duration, metrics: Arc<Metrics>) -> Result<Self, Error> {
        Self::with_limits(org, catalogue_max_age, metrics, Limits::default())
    }

    /// [`Collector::new`] with other limits.
    pub fn with_limits(
        org: &Org,
        catalogue_max_age: Duration,
        metrics: Arc<Metrics>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let transport = Transport::new(org, limits, metrics)?;
        Ok(Self {
            api: Api::new(org, transport),
            catalogue_max_age,
            catalogue_read: None,
            definitions: None,
            usage: usage::Usage::default(),
            audit_log: audit_log::AuditLog::default(),
        })
    }

    /// Reads the platform's definition too, again when it is older than `max_age`, in audits that may take `audit`.
    #[must_use]
    pub fn with_definition(self, max_age: Duration, audit: Duration) -> Self {
        Self { definitions: Some(Definitions::new(max_age, audit)), ..self }
    }

    /// Everything that one audit needs. Fails if the token, the clients or the roles cannot be read; whatever else
    /// cannot is a gap. `known` is what the previous audit saw.
    pub async fn gather(&mut self, known: &Known, now: DateTime<Utc>) -> Result<Facts, Error> {
        self.api.transport.take_sent();
        let moment = Moment::new(now);
        let clients = self.clients(known, moment).await?;
        let roles = self.roles(known, moment).await?;
        let divisions = reading(Fact::Divisions, self.divisions(known, moment).await);
        let own_grants = reading(Fact::OwnGrants, self.own_grants(moment).await);
        let catalogue = if self.catalogue_is_due(known, &roles, now) {
            reading(Fact::Catalogue, self.catalogue(known, moment, now).await)
        } else {
            Reading::NotDue
        };
        // Last: it is the largest by far.
        let operations = match &mut self.definitions {
            Some(definitions) => Some(definitions.read(&mut self.api, known.operations, moment, now).await),
            None => None,
        };
        Ok(Facts {
            gaps: clients.iter().filter(|client| client.grants.is_none()).map(grants_not_returned).collect(),
            clients,
            roles,
            divisions,
            catalogue,
            operations,
            own_grants,
            grants: GrantsSeen::default(),
            usage: Reading::NotDue,
            api_calls: self.api.transport.take_sent(),
        })
    }

    /// What these clients are granted, asked from their own side: one call each, in this order. The first `must` of them
    /// wait for the rate limit if need be; the round ends with the first of the others that would have to. `facts` says
    /// of its other calls how many there were; these are added.
    pub async fn grants(&mut self, clients: &[ClientId], must: usize, facts: &mut Facts, now: DateTime<Utc>) {
        facts.grants = grants::read(&mut self.api, clients, must, Moment::new(now)).await;
        facts.api_calls += self.api.transport.take_sent();
    }

    /// What clients called in `window`, at most 25 calls and a few seconds at a time: what is not finished
    /// by then is `NotDue` and collected by a later audit, whatever its `window`.
    pub async fn usage(&mut self, window: Window, facts: &mut Facts, now: DateTime<Utc>) {
        facts.usage = usage::read(&mut self.usage, &mut self.api, window, Moment::new(now)).await;
        facts.api_calls += self.api.transport.take_sent();
    }

    /// What the platform's audit log covers; asked once a process, within `limit`.
    pub async fn log_served(&mut self, limit: Duration, now: DateTime<Utc>) -> Result<Served, Error> {
        self.audit_log.served(&mut self.api, limit, Moment::new(now)).await
    }

    /// Entries of the platform's audit log in these spans: at most a dozen calls, all within `limit`.
    pub async fn read_log(&mut self, spans: &[(Span, Mode)], limit: Duration, now: DateTime<Utc>) -> LogRead {
        self.audit_log.read(&mut self.api, spans, None, limit, Moment::new(now)).await
    }

    /// The same of things of one type alone, by the realtime query.
    pub async fn read_log_of(
        &mut self,
        entity_type: &'static str,
        spans: &[Span],
        limit: Duration,
        now: DateTime<Utc>,
    ) -> LogRead {
        let spans: Vec<_> = spans.iter().map(|span| (*span, Mode::Realtime)).collect();
        self.audit_log.read(&mut self.api, &spans, Some(entity_type), limit, Moment::new(now)).await
    }

    /// Requests sent since it was last asked, or since the last gathering of facts.
    pub fn take_calls(&self) -> u32 {
        self.api.transport.take_sent()
    }

    /// The organisation's id and name.
    pub async fn organisation(&mut self, now: DateTime<Utc>) -> Result<Organisation, Error> {
        let endpoint = Endpoint::Organisation;
        let body = self.api.get(endpoint, &self.api.url(endpoint), Moment::new(now)).await?;
        wire::organisation(&body).map_err(|mismatch| invalid(endpoint, &mismatch))
    }

    async fn clients(&mut self, known: &Known, moment: Moment) -> Result<Vec<Client>, Error> {
        let listing = Listing {
            endpoint: Endpoint::Clients,
            // The call documents no parameters; it comes whole, or says where its pages are.
            query: &[],
            entity: wire::client,
            id: |client: &Client| client.id.as_str(),
        };
        let known = known.clients.iter().map(ToString::to_string).collect();
        let mut clients = self.read(listing, known, moment).await?;
        clients.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(clients)
    }

    async fn roles(&mut self, known: &Known, moment: Moment) -> Result<Vec<Role>, Error> {
        let listing = Listing {
            endpoint: Endpoint::Roles,
            // Counting users is slow, and nobody asked.
            query: &[("pageSize", "100"), ("pageNumber", "1"), ("userCount", "false")],
            entity: wire::role,
            id: |role: &Role| role.id.as_str(),
        };
        let known = known.roles.iter().map(ToString::to_string).collect();
        let mut roles = self.read(listing, known, moment).await?;
        roles.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(roles)
    }

    async fn divisions(&mut self, known: &Known, moment: Moment) -> Result<DivisionsSeen, Error> {
        let listing = Listing {
            endpoint: Endpoint::Divisions,
            query: &[("pageSize", "100"), ("pageNumber", "1"), ("objectCount", "true")],
            entity: wire::division,
            id: |counted: &wire::CountedDivision| counted.division.id.as_str(),
        };
        let known = known.divisions.iter().map(ToString::to_string).collect();
        let mut seen = DivisionsSeen::default();
        for wire::CountedDivision { division, objects } in self.read(listing, known, moment).await? {
            if let Some(objects) = objects {
                seen.object_counts.insert(division.id.clone(), objects);
            }
            seen.divisions.push(division);
        }
        seen.divisions.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(seen)
    }

    async fn own_grants(&mut self, moment: Moment) -> Result<OwnGrants, Error> {
        let endpoint = Endpoint::OwnSubject;
        let body = self.api.get(endpoint, &self.api.url(endpoint), moment).await?;
        wire::own_grants(&body).map_err(|mismatch| invalid(endpoint, &mismatch))
    }

    /// The catalogue changes rarely. It is read by the first audit of a process, when it is old, and when a role
    /// names something that the last one did not have: that may be new on the platform.
    fn catalogue_is_due(&self, known: &Known, roles: &[Role], now: DateTime<Utc>) -> bool {
        let (Some(read), Some(permissions)) = (self.catalogue_read, &known.permissions) else { return true };
        // A clock set back makes the age unknown, and so does a negative age.
        let fresh = (now - read).to_std().is_ok_and(|age| age <= self.catalogue_max_age);
        !fresh || !unknown_permissions(roles, permissions).is_subset(&known.unknown_permissions)
    }

    async fn catalogue(
        &mut self,
        known: &Known,
        moment: Moment,
        now: DateTime<Utc>,
    ) -> Result<Catalogue, Error> {
        let listing = Listing {
            endpoint: Endpoint::Permissions,
            query: &[("pageSize", "100"), ("pageNumber", "1")],
            entity: wire::domain_permissions,
            id: |domain: &wire::DomainPermissions| domain.domain.as_str(),
        };
        let known_permissions = known.permissions.iter().flatten();
        let domains = known_permissions.clone().filter_map(|name| name.split(':').next());
        let domains = self.read(listing, domains.map(str::to_owned).collect(), moment).await?;
        let permissions: BTreeMap<_, _> = domains.into_iter().flat_map(|domain| domain.permissions).collect();
        // A catalogue that lost something may have to be confirmed, so the next audit reads it again.
        let lost = known_permissions.clone().any(|name| !permissions.contains_key(name));
        self.catalogue_read = (!lost).then_some(now);
        Ok(Catalogue { permissions })
    }

    /// A whole listing, read until its pages agree.
    async fn read<T>(
        &mut self,
        listing: Listing<T>,
        known: BTreeSet<String>,
        moment: Moment,
    ) -> Result<Vec<T>, Error> {
        let endpoint = listing.endpoint;
        let mut first = self.api.url(endpoint);
        if !listing.query.is_empty() {
            first.query_pairs_mut().extend_pairs(listing.query);
        }
        let mut pages = Pages::new(listing.id, known);
        let mut target = Target::First;
        loop {
            let url = match &target {
                Target::First => first.clone(),
                Target::Number { number, size } => numbered(&first, *number, size.unwrap_or(PAGE_SIZE)),
                Target::Uri(uri) => self.api.follow(endpoint, uri)?,
            };
            let body = self.api.get(endpoint, &url, moment).await?;
            let page = wire::page(&body, listing.entity).map_err(|mismatch| invalid(endpoint, &mismatch))?;
            drop(body);
            target = match pages.accept(page) {
                Step::Get(next) => next,
                Step::Done(entities) => return Ok(entities),
                Step::Inconsistent(detail) => return Err(Error::Inconsistent { endpoint, detail }),
                Step::TooLarge(detail) => return Err(Error::InvalidResponse { endpoint, detail }),
            };
        }
    }
}

/// The address of a page by number, for listings that do not say it themselves.
fn numbered(first: &Url, number: u64, size: u64) -> Url {
    let kept: Vec<(String, String)> = first
        .query_pairs()
        .filter(|(key, _)| key != "pageNumber" && key != "pageSize")
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let mut url = first.clone();
    url.query_pairs_mut()
        .clear()
        .append_pair("pageSize", &size.to_string())
        .append_pair("pageNumber", &number.to_string())
        .extend_pairs(kept);
    url
}

/// An optional fact that failed is a gap, said once in the log.
fn reading<T>(fact: Fact, outcome: Result<T, Error>) -> Reading<T> {
    match outcome {
        Ok(value) => Reading::Seen(value),
        Err(error) => Reading::Gap(gap_of(fact, &error)),
    }
}

/// What stands for a fact that could not be read.
fn gap_of(fact: Fact, error: &Error) -> Gap {
    warn!(fact = fact.as_str(), reason = error.reason(), %error, "a fact could not be read");
    let (reason, detail) = (error.reason().to_owned(), error.to_string());
    Gap { fact, subject: None, reason, detail, stale_since: None }
}

fn grants_not_returned(client: &Client) -> Gap {
    Gap {
        fact: Fact::ClientGrants,
        subject: Some(client.id.to_string()),
        reason: "not_returned".to_owned(),
        detail: format!(
            "the record of client `{}` carries neither roleDivisions nor roleIds: open it in Admin > Integrations > \
             OAuth to see its roles",
            client.name
        ),
        stale_since: None,
    }
}

fn invalid(endpoint: Endpoint, mismatch: &Mismatch) -> Error {
    Error::InvalidResponse { endpoint, detail: mismatch.to_string() }
}
