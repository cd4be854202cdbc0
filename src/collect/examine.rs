//! What `doctor` asks the platform: every call of an audit once, and what each answer shows of how the platform behaves.
//!
//! Enters: a connection, `now`. Leaves: an [`Examination`]: facts, and errors as values. Must never: judge (that is
//! `doctor`'s), write anything to the platform, or keep a value that could be a secret: of a field it notes that it is
//! there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Collector, Endpoint, Error,
    api::{Moment, Request},
    json::{Mismatch, Object, count, document, list, object, text, whole, words},
    wire::{self, Organisation},
};
use crate::domain::{DivisionRef, facts::Reading, inventory::GrantType};

/// Names of limits and features that are kept of one answer.
const MOST_NAMES: usize = 50;

/// What the platform showed.
#[derive(Debug)]
pub struct Examination {
    /// The organisation, as it names itself. The first call: without it there is no other.
    pub organisation: Result<Organisation, Error>,
    /// The platform's clock beside ours; `None`: no answer named a time.
    pub clock: Option<Clock>,
    /// What the rate-limit headers said; `None`: there were none.
    pub rate: Option<Rate>,
    /// The first page of each listing and every single call, in the order of an audit.
    pub calls: Vec<(Endpoint, Result<(), Error>)>,
    /// What the auditor itself holds; `None`: it could not be read.
    pub own: Option<OwnPower>,
    /// The client listing.
    pub clients: Option<ClientsSeen>,
    /// The role listing.
    pub roles: Option<RolesSeen>,
    /// Divisions of the first page, and how many of them came with counts of what they hold.
    pub divisions: Option<(usize, usize)>,
    /// Operations of the platform's definition; `None`: it is not read, or could not be.
    pub operations: Option<usize>,
    /// Whether `GET /api/v2/tokens/me` names the OAuth client; `None`: it was not answered.
    pub token_names_client: Option<bool>,
    /// The status of `GET /api/v2/users/me`; `None`: no answer.
    pub user_status: Option<u16>,
    /// Limits of the platform by name.
    pub limits: Option<BTreeMap<String, i64>>,
    /// Features of the organisation whose names speak of scopes.
    pub scope_features: Option<BTreeMap<String, bool>>,
}

/// Two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The platform's, to the second.
    pub platform: DateTime<Utc>,
    /// Ours, half way between asking and answer.
    pub ours: DateTime<Utc>,
}

/// The rate limit as headers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls that the token may make in a window.
    pub allowed: u32,
    /// Calls that it made.
    pub used: u32,
    /// Seconds until the window ends.
    pub reset: u32,
}

/// What a subject holds by its grants: patterns as the platform shows them, with the divisions of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPower {
    /// `domain:entity:action`, any part of which may be `*`.
    pub patterns: BTreeMap<String, BTreeSet<DivisionRef>>,
    /// Every division that some grant names.
    pub divisions: BTreeSet<DivisionRef>,
}

/// How the client listing came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientsSeen {
    /// Records in the first answer.
    pub records: usize,
    /// How many there are, if the answer says.
    pub total: Option<u64>,
    /// Records when one a page was asked for; `None`: that was refused.
    pub with_page_size_one: Option<usize>,
    /// Records that carry a field `secret`.
    pub with_secret: usize,
    /// Records for client credentials.
    pub credentials: usize,
    /// Those of them that carry `roleDivisions`.
    pub with_role_divisions: usize,
    /// Those of them that carry a scope.
    pub with_scope: usize,
}

/// How the role listing came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolesSeen {
    /// Records in the first answer.
    pub records: usize,
    /// How many there are, if the answer says.
    pub total: Option<u64>,
    /// Records with a `*` in a policy.
    pub with_wildcards: usize,
    /// Records with a `*` for the domain.
    pub with_any_domain: usize,
    /// The page size that the answer names when 200 were asked for; `None`: that was refused.
    pub page_size_of_200: Option<u64>,
}

impl Collector {
    /// Asks everything once. Nothing that fails ends it, but a platform that gives no token.
    pub async fn examine(&mut self, now: DateTime<Utc>) -> Examination {
        let mut seen = Examination {
            organisation: Err(Error::Network { endpoint: Endpoint::Token, detail: "not asked".to_owned() }),
            clock: None,
            rate: None,
            calls: Vec::new(),
            own: None,
            clients: None,
            roles: None,
            divisions: None,
            operations: None,
            token_names_client: None,
            user_status: None,
            limits: None,
            scope_features: None,
        };
        let moment = Moment::new(now);
        if let Err(error) = self.api.authenticate(moment).await {
            seen.organisation = Err(error);
            return seen;
        }
        let mut asked = Asked { collector: self, seen: &mut seen, moment };
        let body = asked.body(Endpoint::Organisation, &[]).await;
        let read = |body: &Vec<u8>| {
            wire::organisation(body).map_err(|mismatch| super::invalid(Endpoint::Organisation, &mismatch))
        };
        asked.seen.scope_features = body.as_ref().ok().and_then(|body| scope_features(body).ok());
        asked.seen.organisation = body.and_then(|body| read(&body));
        asked.clients().await;
        asked.roles().await;
        asked.seen.divisions = asked.page(Endpoint::Divisions, &[("objectCount", "true")], divisions).await;
        asked.page(Endpoint::Permissions, &[], |_| Ok(())).await;
        asked.seen.own = asked.page(Endpoint::OwnSubject, &[], own_power).await;
        asked.definition(now).await;
        asked.extras().await;
        seen
    }
}

/// The examination, while it goes on.
struct Asked<'a> {
    collector: &'a mut Collector,
    seen: &'a mut Examination,
    moment: Moment,
}

impl Asked<'_> {
    /// The body of one call.
    async fn body(&mut self, endpoint: Endpoint, query: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let mut url = self.collector.api.url(endpoint);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let delivery = self.collector.api.transport.in_memory();
        let (before, began) = (self.moment.now(), Instant::now());
        let request = Request { endpoint, url: &url, question: None, unless: None, delivery };
        let answer = self.collector.api.answer(request, self.moment).await?;
        self.seen.rate = self.seen.rate.or_else(|| rate(&answer.headers));
        if self.seen.clock.is_none() {
            let ours = before + began.elapsed() / 2;
            self.seen.clock = date(&answer.headers).map(|platform| Clock { platform, ours });
        }
        Ok(answer.body)
    }

    /// What one call of an audit shows, if it can be read.
    async fn page<T>(
        &mut self,
        endpoint: Endpoint,
        query: &[(&str, &str)],
        read: impl FnOnce(&[u8]) -> Result<T, Mismatch>,
    ) -> Option<T> {
        let body = self.body(endpoint, query).await;
        let read = body.and_then(|body| read(&body).map_err(|mismatch| super::invalid(endpoint, &mismatch)));
        let (outcome, value) = match read {
            Ok(value) => (Ok(()), Some(value)),
            Err(error) => (Err(error), None),
        };
        self.seen.calls.push((endpoint, outcome));
        value
    }

    async fn clients(&mut self) {
        let seen = self.page(Endpoint::Clients, &[], clients).await;
        let Some(mut seen) = seen else { return };
        let one = self.body(Endpoint::Clients, &[("pageSize", "1"), ("pageNumber", "1")]).await;
        seen.with_page_size_one = one.ok().and_then(|body| clients(&body).ok()).map(|of_one| of_one.records);
        self.seen.clients = Some(seen);
    }

    async fn roles(&mut self) {
        let query = [("pageSize", "100"), ("pageNumber", "1"), ("userCount", "false")];
        let seen = self.page(Endpoint::Roles, &query, roles).await;
        let Some(mut seen) = seen else { return };
        let query = [("pageSize", "200"), ("pageNumber", "1"), ("userCount", "false")];
        let larger = self.body(Endpoint::Roles, &query).await;
        let size = |body: &[u8]| object(document(body)?)?.optional("pageSize", count);
        seen.page_size_of_200 = larger.ok().and_then(|body| size(&body).ok().flatten());
        self.seen.roles = Some(seen);
    }

    async fn definition(&mut self, now: DateTime<Utc>) {
        let Collector { api, definitions, .. } = &mut *self.collector;
        let Some(definitions) = definitions else { return };
        let outcome = match definitions.read(api, None, self.moment, now).await {
            Reading::Seen(operations) => {
                self.seen.operations = Some(operations.listed_len());
                Ok(())
            }
            Reading::NotDue => Ok(()),
            Reading::Gap(gap) => Err(Error::InvalidResponse {
                endpoint: Endpoint::Definition,
                // The gap's sentence begins with the call as well.
                detail: gap
                    .detail
                    .split_once(": ")
                    .map_or_else(|| gap.detail.clone(), |(_, why)| why.to_owned()),
            }),
        };
        self.seen.calls.push((Endpoint::Definition, outcome));
    }

    /// What no audit needs, and what is believed of the platform and said nowhere.
    async fn extras(&mut self) {
        let names_client = |body: &[u8]| {
            let record = object(document(body)?)?;
            Ok::<bool, Mismatch>(record.fields().any(|(name, _)| name.eq_ignore_ascii_case("oauthclient")))
        };
        let body = self.body(Endpoint::TokenInfo, &[]).await;
        self.seen.token_names_client = body.ok().and_then(|body| names_client(&body).ok());
        let url = self.collector.api.url(Endpoint::UserInfo);
        self.seen.user_status = self.collector.api.status(Endpoint::UserInfo, &url).await;
        let body = self.body(Endpoint::Limits, &[]).await;
        self.seen.limits = body.ok().and_then(|body| limits(&body).ok());
    }
}

fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?.to_utc())
}

fn rate(headers: &HeaderMap) -> Option<Rate> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    Some(Rate {
        allowed: number("inin-ratelimit-allowed")?,
        used: number("inin-ratelimit-count")?,
        reset: number("inin-ratelimit-reset")?,
    })
}

/// Whether a record carries a field, whatever its value. The value is not looked at.
fn carries(record: &Object<'_>, name: &str) -> bool {
    record.fields().any(|(field, raw)| field == name && raw.get() != "null")
}

fn clients(body: &[u8]) -> Result<ClientsSeen, Mismatch> {
    let record = |raw: &RawValue| {
        let record = object(raw)?;
        let grant_type = record.optional("authorizedGrantType", text)?.map(GrantType::from);
        let scopes = record.optional("scope", words)?.unwrap_or_default();
        let credentials = grant_type == Some(GrantType::ClientCredentials);
        Ok((carries(&record, "secret"), credentials, carries(&record, "roleDivisions"), !scopes.is_empty()))
    };
    let page = wire::page(body, record)?;
    let mut seen = ClientsSeen { records: page.entities.len(), total: page.total, ..ClientsSeen::default() };
    for (secret, credentials, role_divisions, scopes) in page.entities {
        seen.with_secret += usize::from(secret);
        seen.credentials += usize::from(credentials);
        seen.with_role_divisions += usize::from(credentials && role_divisions);
        seen.with_scope += usize::from(credentials && scopes);
    }
    Ok(seen)
}

fn roles(body: &[u8]) -> Result<RolesSeen, Mismatch> {
    let page = wire::page(body, wire::role)?;
    let mut seen = RolesSeen { records: page.entities.len(), total: page.total, ..RolesSeen::default() };
    for role in page.entities {
        let any_domain = role.policies.iter().any(|policy| policy.domain == "*");
        let wild = role.policies.iter().any(|policy| policy.entity == "*" || policy.actions.contains("*"));
        seen.with_any_domain += usize::from(any_domain);
        seen.with_wildcards += usize::from(any_domain || wild);
    }
    Ok(seen)
}

fn divisions(body: &[u8]) -> Result<(usize, usize), Mismatch> {
    let page = wire::page(body, wire::division)?;
    Ok((page.entities.len(), page.entities.iter().filter(|counted| counted.objects.is_some()).count()))
}

fn own_power(body: &[u8]) -> Result<OwnPower, Mismatch> {
    let grant = |raw| {
        let row = object(raw)?;
        let id = |raw| object(raw)?.optional("id", text);
        let division =
            row.optional("division", id)?.flatten().map_or(DivisionRef::Unknown, DivisionRef::from);
        let policies = |raw| object(raw)?.optional("policies", list(patterns));
        let patterns: Vec<Vec<String>> = row.optional("role", policies)?.flatten().unwrap_or_default();
        Ok((division, patterns.concat()))
    };
    let grants: Vec<(DivisionRef, Vec<String>)> = object(document(body)?)?.required("grants", list(grant))?;
    let mut own = OwnPower::default();
    for (division, patterns) in grants {
        for pattern in patterns {
            own.patterns.entry(pattern).or_default().insert(division.clone());
        }
        own.divisions.insert(division);
    }
    Ok(own)
}

fn patterns(raw: &RawValue) -> Result<Vec<String>, Mismatch> {
    let row = object(raw)?;
    let domain = row.optional("domain", text)?.unwrap_or_default();
    let entity = row.optional("entityName", text)?.unwrap_or_default();
    let actions = row.optional("actions", words)?.unwrap_or_default();
    Ok(actions.into_iter().map(|action| format!("{domain}:{entity}:{action}")).collect())
}

/// The numbers of the limits, by name, wherever the answer has them.
fn limits(body: &[u8]) -> Result<BTreeMap<String, i64>, Mismatch> {
    let record = object(document(body)?)?;
    let row = |raw| {
        let row = object(raw)?;
        Ok(row.optional("key", text)?.zip(row.optional("value", whole)?))
    };
    let rows: Vec<Option<(String, i64)>> = record.optional("entities", list(row))?.unwrap_or_default();
    let mut limits: BTreeMap<String, i64> = rows.into_iter().flatten().take(MOST_NAMES).collect();
    let plain = |raw| {
        let fields = object(raw)?;
        Ok(fields
            .fields()
            .filter_map(|(name, raw)| Some((name.to_owned(), whole(raw).ok()?)))
            .collect::<Vec<_>>())
    };
    for name in ["limits", "values"] {
        limits.extend(
            record.optional(name, plain).ok().flatten().unwrap_or_default().into_iter().take(MOST_NAMES),
        );
    }
    Ok(limits)
}

/// Features of the organisation that could be the one that enforces scopes.
fn scope_features(body: &[u8]) -> Result<BTreeMap<String, bool>, Mismatch> {
    let features = |raw| {
        let fields = object(raw)?;
        let flags = fields.fields().filter(|(name, _)| name.to_ascii_lowercase().contains("scope"));
        Ok(flags.take(MOST_NAMES).map(|(name, raw)| (name.to_owned(), raw.get() == "true")).collect())
    };
    Ok(object(document(body)?)?.optional("features", features)?.unwrap_or_default())
}
