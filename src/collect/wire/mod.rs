//! The platform's JSON → our own words. The only place that knows its field names.
//!
//! Enters: the body of a successful answer. Leaves: domain values. Must never: skip an entity that it cannot
//! identify, guess a grant, or name `secret`. Unknown fields and enum values pass; absent and `null` are the same.

pub(super) mod json;
pub(super) mod log;

mod condition;

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde_json::value::RawValue;

use self::json::{Mismatch, Object, count, document, flag, identifier, list, object, text, whole, words};
use crate::domain::{
    ClientId, DivisionId, DivisionRef,
    catalogue::PermissionFacts,
    inventory::{Client, ClientState, Division, Grant, GrantType, ObservedGrants, OwnGrants, Policy, Role},
    usage::Calls,
};

/// One page of a listing, or all of it.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub entities: Vec<T>,
    /// Entities in the whole listing.
    pub total: Option<u64>,
    pub size: Option<u64>,
    pub number: Option<u64>,
    /// Pages in the whole listing.
    pub count: Option<u64>,
    /// Where the next page is, unchecked.
    pub next_uri: Option<String>,
}

/// Reads a listing's body, each entity with `entity`.
pub(super) fn page<T>(
    body: &[u8],
    entity: impl Fn(&RawValue) -> Result<T, Mismatch>,
) -> Result<Page<T>, Mismatch> {
    let page = object(document(body)?)?;
    Ok(Page {
        entities: page.required("entities", list(entity))?,
        total: page.optional("total", count)?,
        size: page.optional("pageSize", count)?,
        number: page.optional("pageNumber", count)?,
        count: page.optional("pageCount", count)?,
        next_uri: page.optional("nextUri", text)?,
    })
}

pub(super) fn client(raw: &RawValue) -> Result<Client, Mismatch> {
    client_of(&object(raw)?, None)
}

/// A client's record, under an id of ours if there is one: the record need not carry it then.
pub(super) fn client_of(record: &Object<'_>, id: Option<&str>) -> Result<Client, Mismatch> {
    let grant_type = GrantType::from(record.required("authorizedGrantType", text)?);
    let author = |raw| object(raw)?.optional("id", text);
    Ok(Client {
        created_by: record.optional("createdBy", author)?.flatten(),
        date_created: record.optional("dateCreated", text)?,
        date_to_delete: record.optional("dateToDelete", text)?,
        description: record.optional("description", text)?.unwrap_or_default(),
        grants: client_grants(record, &grant_type)?,
        grant_type,
        id: own_id(record, id)?.into(),
        name: record.required("name", text)?,
        redirect_uris: record.optional("registeredRedirectUri", words)?.unwrap_or_default(),
        scopes: record.optional("scope", words)?.unwrap_or_default(),
        state: record.optional("state", text)?.map_or(ClientState::Active, ClientState::from),
        token_lifetime_s: record.optional("accessTokenValiditySeconds", whole)?,
    })
}

fn own_id(record: &Object<'_>, ours: Option<&str>) -> Result<String, Mismatch> {
    ours.map_or_else(|| record.required("id", identifier), |id| Ok(id.to_owned()))
}

/// `roleDivisions` says where each role applies, so it wins over the older `roleIds`. A client-credentials record
/// with neither tells nothing of its grants, which is not the same as having none.
fn client_grants(record: &Object<'_>, grant_type: &GrantType) -> Result<Option<BTreeSet<Grant>>, Mismatch> {
    let in_division = |raw| {
        let row = object(raw)?;
        Ok(Grant {
            division: row.optional("divisionId", identifier)?.map_or(DivisionRef::Unknown, DivisionRef::from),
            role: row.required("roleId", identifier)?.into(),
        })
    };
    let anywhere = |raw| Ok(Grant { division: DivisionRef::Unknown, role: identifier(raw)?.into() });
    let role_divisions: Option<BTreeSet<Grant>> = record.optional("roleDivisions", list(in_division))?;
    let role_ids: Option<BTreeSet<Grant>> = record.optional("roleIds", list(anywhere))?;
    Ok(match (role_divisions, role_ids) {
        (Some(grants), _) if !grants.is_empty() => Some(grants),
        (_, Some(grants)) | (Some(grants), None) => Some(grants),
        (None, None) if *grant_type == GrantType::ClientCredentials => None,
        (None, None) => Some(BTreeSet::new()),
    })
}

pub(super) fn role(raw: &RawValue) -> Result<Role, Mismatch> {
    role_of(&object(raw)?, None)
}

/// A role, under an id of ours if there is one: the record need not carry it then.
pub(super) fn role_of(record: &Object<'_>, id: Option<&str>) -> Result<Role, Mismatch> {
    let policies: Vec<Policy> = record.optional("permissionPolicies", list(policy))?.unwrap_or_default();
    Ok(Role {
        default_role_id: record.optional("defaultRoleId", text)?,
        description: record.optional("description", text)?.unwrap_or_default(),
        general: record.optional("permissions", words)?.unwrap_or_default(),
        id: own_id(record, id)?.into(),
        is_default: record.optional("default", flag)?.unwrap_or_default(),
        name: record.optional("name", text)?.unwrap_or_default(),
        policies: merge(policies),
    })
}

fn policy(raw: &RawValue) -> Result<Policy, Mismatch> {
    let record = object(raw)?;
    Ok(Policy {
        actions: record.optional("actionSet", words)?.unwrap_or_default(),
        condition: record.optional("resourceConditionNode", condition::canonical)?.flatten(),
        domain: record.required("domain", identifier)?,
        entity: record.required("entityName", identifier)?,
    })
}

/// One policy for each domain, entity and condition, however many rows the platform spreads it over, so that a
/// different spread is not a change. Rows without an action grant nothing and vanish.
fn merge(policies: Vec<Policy>) -> BTreeSet<Policy> {
    let mut merged: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for Policy { actions, condition, domain, entity } in policies {
        merged.entry((domain, entity, condition)).or_default().extend(actions);
    }
    merged
        .into_iter()
        .filter(|(_, actions)| !actions.is_empty())
        .map(|((domain, entity, condition), actions)| Policy { actions, condition, domain, entity })
        .collect()
}

/// A division and what it holds, if the answer counted.
pub(super) struct CountedDivision {
    pub division: Division,
    pub objects: Option<BTreeMap<String, i64>>,
}

pub(super) fn division(raw: &RawValue) -> Result<CountedDivision, Mismatch> {
    let record = object(raw)?;
    let id = record.required("id", identifier)?;
    if id == "*" {
        return Err(Mismatch::new("is `*`, which stands for all divisions").in_field("id"));
    }
    let objects = |raw| {
        let counts = object(raw)?;
        counts
            .fields()
            .map(|(kind, raw)| {
                whole(raw).map(|number| (kind.to_owned(), number)).map_err(|mismatch| mismatch.in_field("*"))
            })
            .collect::<Result<_, Mismatch>>()
    };
    Ok(CountedDivision {
        division: Division {
            home: record.optional("homeDivision", flag)?.unwrap_or_default(),
            id: DivisionId::from(id),
            name: record.optional("name", text)?.unwrap_or_default(),
        },
        objects: record.optional("objectCounts", objects)?,
    })
}

/// The permissions of one domain of the catalogue, by full name.
pub(super) struct DomainPermissions {
    pub domain: String,
    pub permissions: BTreeMap<String, PermissionFacts>,
}

pub(super) fn domain_permissions(raw: &RawValue) -> Result<DomainPermissions, Mismatch> {
    let record = object(raw)?;
    let domain = record.required("domain", identifier)?;
    let mut permissions = BTreeMap::new();
    let by_entity = |raw| {
        for (entity, raw) in object(raw)?.fields() {
            let rows: Vec<_> = list(|raw| permission(raw, &domain, entity))(raw)
                .map_err(|mismatch| mismatch.in_field("*"))?;
            permissions.extend(rows);
        }
        Ok(())
    };
    record.required("permissionMap", by_entity)?;
    Ok(DomainPermissions { domain, permissions })
}

/// What a row does not say of itself, its place in the map says.
fn permission(raw: &RawValue, domain: &str, entity: &str) -> Result<(String, PermissionFacts), Mismatch> {
    let row = object(raw)?;
    let domain = row.optional("domain", identifier)?.unwrap_or_else(|| domain.to_owned());
    let entity = row.optional("entityType", identifier)?.unwrap_or_else(|| entity.to_owned());
    let action = row.required("action", identifier)?;
    let facts = PermissionFacts {
        allows_conditions: row.optional("allowsConditions", flag)?.unwrap_or_default(),
        division_aware: row.optional("divisionAware", flag)?.unwrap_or_default(),
    };
    Ok((format!("{domain}:{entity}:{action}"), facts))
}

/// What the auditor's own subject shows. A needed permission that no visible policy gives is absent: the answer
/// does not list general permissions, so an auditor that relies on `admin` looks as if it held nothing.
pub(super) fn own_grants(body: &[u8]) -> Result<OwnGrants, Mismatch> {
    let mut own = OwnGrants::default();
    let grant = |raw| {
        let row = object(raw)?;
        let id = |raw| object(raw)?.optional("id", identifier);
        let division =
            row.optional("division", id)?.flatten().map_or(DivisionRef::Unknown, DivisionRef::from);
        let policies = |raw| object(raw)?.optional("policies", list(needed_permissions));
        let permissions: Vec<Vec<&str>> = row.optional("role", policies)?.flatten().unwrap_or_default();
        Ok((division, permissions.concat()))
    };
    let subject = object(document(body)?)?;
    let grants: Vec<_> = subject.required("grants", list(grant))?;
    for (division, permissions) in grants {
        for permission in permissions {
            own.permissions.entry(permission.to_owned()).or_default().insert(division.clone());
        }
        own.divisions.insert(division);
    }
    Ok(own)
}

/// Those of the needed permissions that one policy of a grant covers.
fn needed_permissions(raw: &RawValue) -> Result<Vec<&'static str>, Mismatch> {
    let row = object(raw)?;
    let domain = row.optional("domain", text)?.unwrap_or_default();
    let entity = row.optional("entityName", text)?.unwrap_or_default();
    let actions = row.optional("actions", words)?.unwrap_or_default();
    let covers = |wanted: &&str| {
        let mut segments = wanted.split(':');
        let mut matches = |given: &str| segments.next().is_some_and(|word| given == "*" || given == word);
        matches(&domain) && matches(&entity) && {
            let action = segments.next().unwrap_or_default();
            actions.contains("*") || actions.contains(action)
        }
    };
    Ok(OwnGrants::required().filter(covers).collect())
}

/// What one client is granted. A grant that names another subject is inherited from it.
pub(super) fn subject(body: &[u8], client: &ClientId) -> Result<ObservedGrants, Mismatch> {
    let grant = |raw| {
        let row = object(raw)?;
        let division = row.optional("division", |raw| object(raw)?.optional("id", identifier))?.flatten();
        let grant = Grant {
            division: division.map_or(DivisionRef::Unknown, DivisionRef::from),
            role: row.required("role", |raw| object(raw)?.required("id", identifier))?.into(),
        };
        Ok((row.optional("subjectId", text)?.filter(|subject| !subject.is_empty()), grant))
    };
    let grants: Vec<_> = object(document(body)?)?.required("grants", list(grant))?;
    let mut observed =
        ObservedGrants { id: client.clone(), inherited: BTreeMap::new(), own: BTreeSet::new() };
    for (subject, grant) in grants {
        match subject.filter(|subject| subject != client.as_str()) {
            Some(other) => observed.inherited.entry(other).or_default().insert(grant),
            None => observed.own.insert(grant),
        };
    }
    Ok(observed)
}

/// How far the platform is with a count.
pub(super) enum UsageState {
    /// Queued or running.
    Pending,
    /// It will come to nothing; the platform's word, if it is one of its own.
    Failed(&'static str),
    /// There are rows.
    Done,
}

/// One answer about a count.
pub(super) struct UsagePage {
    pub state: UsageState,
    pub rows: Vec<UsageRow>,
    /// Where the next page is, unchecked.
    pub next_uri: Option<String>,
    /// The older query's cursor to it.
    pub after: Option<String>,
}

/// Calls of one operation by one client in one span of time.
pub(super) struct UsageRow {
    /// Empty: nobody's of ours.
    pub client: String,
    pub method: String,
    pub path: String,
    pub calls: Calls,
}

/// The id of a count that was begun.
pub(super) fn usage_id(body: &[u8]) -> Result<String, Mismatch> {
    let record = object(document(body)?)?;
    match record.optional("id", identifier)? {
        Some(id) => Ok(id),
        None => record.required("executionId", identifier),
    }
}

/// A page of either query: `entities` with `oauthClient`, or `results` with `clientId`. Fields that a row was not grouped
/// by come as empty strings.
pub(super) fn usage_page(body: &[u8]) -> Result<UsagePage, Mismatch> {
    let page = object(document(body)?)?;
    let state = match page.required("queryStatus", text)?.to_ascii_lowercase().as_str() {
        "queued" | "running" => UsageState::Pending,
        "succeeded" | "complete" => UsageState::Done,
        "failed" => UsageState::Failed("Failed"),
        "cancelled" => UsageState::Failed("Cancelled"),
        _ => UsageState::Failed("a word that this version does not know"),
    };
    let entities: Option<Vec<UsageRow>> = page.optional("entities", list(usage_row))?;
    let results: Option<Vec<UsageRow>> = page.optional("results", list(usage_row))?;
    let after = page.optional("cursors", |raw| object(raw)?.optional("after", text))?.flatten();
    Ok(UsagePage {
        state,
        rows: entities.or(results).unwrap_or_default(),
        next_uri: page.optional("nextUri", text)?.filter(|uri| !uri.is_empty()),
        after: after.filter(|cursor| !cursor.is_empty()),
    })
}

fn usage_row(raw: &RawValue) -> Result<UsageRow, Mismatch> {
    let row = object(raw)?;
    let client = row.optional("oauthClient", |raw| object(raw)?.optional("id", text))?.flatten();
    let client = match client {
        Some(client) => Some(client),
        None => row.optional("clientId", text)?,
    };
    let number = |key: &str| row.optional(key, count).map(Option::unwrap_or_default);
    let (redirected, refused, throttled) = (number("status300")?, number("status400")?, number("status429")?);
    let date = row.optional("date", text)?;
    Ok(UsageRow {
        client: client.unwrap_or_default(),
        method: row.optional("httpMethod", text)?.unwrap_or_default(),
        path: row.optional("templateUri", text)?.unwrap_or_default(),
        calls: Calls {
            ok: number("status200")?.saturating_add(redirected),
            // Those that were too fast are counted among the 4xx as well.
            denied: refused.saturating_sub(throttled),
            throttled,
            failed: number("status500")?,
            last: date.and_then(|date| date.get(..10)?.parse().ok()),
        },
    })
}

/// The audited organisation, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

pub(super) fn organisation(body: &[u8]) -> Result<Organisation, Mismatch> {
    let record = object(document(body)?)?;
    Ok(Organisation {
        id: record.required("id", identifier)?,
        name: record.optional("name", text)?.unwrap_or_default(),
    })
}

/// The id of the client that a token was issued to.
pub(super) fn token_owner(body: &[u8]) -> Result<String, Mismatch> {
    let id = |raw| object(raw)?.required("id", identifier);
    object(document(body)?)?.required("OAuthClient", id)
}

/// Whether a listing is empty; `None`: it is not one.
pub(super) fn is_empty_list(body: &[u8]) -> Option<bool> {
    let count = |raw| list(|_| Ok(()))(raw).map(|entities: Vec<()>| entities.len());
    let read = |raw| object(raw)?.optional("entities", count);
    document(body).and_then(read).ok().flatten().map(|count| count == 0)
}

/// What the token endpoint gives.
pub(super) struct IssuedToken {
    pub value: SecretString,
    /// Seconds; absent where the answer does not say.
    pub lifetime_s: Option<u64>,
}

pub(super) fn token(body: &[u8]) -> Result<IssuedToken, Mismatch> {
    let record = object(document(body)?)?;
    let value = record.required("access_token", identifier)?;
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Mismatch::new("holds a character that a header cannot carry").in_field("access_token"));
    }
    Ok(IssuedToken { value: value.into(), lifetime_s: record.optional("expires_in", count)? })
}
