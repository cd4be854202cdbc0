//! A client that somebody made up: that of a `[[check.test]]`, and the one of whom everything is known.
//!
//! Enters: a table of the configuration. Leaves: a [`Sheet`]. Must never: know what the table does not say: usage that is
//! not given was not counted.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    model::Entity,
    sheet::{Known, Sheet},
    typing::Reading,
    value::{Datum, List, Meter, Thing},
};
use crate::domain::{
    catalogue::normalised,
    permission::{ADMIN, Pattern},
    privilege,
};

/// The moment of a test that names none: 2026-01-01.
const NOW: DateTime<Utc> = DateTime::from_timestamp_secs(1_767_225_600).unwrap();

/// A made-up client. What is left out is as with a plain client that acts by its roles and holds nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    client: Client,
    grants: Vec<Grant>,
    permissions: Vec<Permission>,
    operations: Vec<Operation>,
    contract: Option<Contract>,
    usage: Option<Usage>,
    #[serde(deserialize_with = "moment")]
    now: Option<DateTime<Utc>>,
    unknown: Vec<Part>,
}

/// What a test says is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Client,
    Grants,
    Permissions,
    Operations,
    Contract,
    Usage,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Client {
    id: String,
    name: String,
    description: String,
    state: String,
    grant_type: String,
    scopes: Vec<String>,
    redirect_uris: Vec<String>,
    token_lifetime_s: Option<i64>,
    #[serde(deserialize_with = "moment")]
    created: Option<DateTime<Utc>>,
    created_by: Option<String>,
    grants_confirmed: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            id: "sample".to_owned(),
            name: "sample".to_owned(),
            description: String::new(),
            state: "active".to_owned(),
            grant_type: "CLIENT-CREDENTIALS".to_owned(),
            scopes: Vec::new(),
            redirect_uris: Vec::new(),
            token_lifetime_s: None,
            created: None,
            created_by: None,
            grants_confirmed: true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Grant {
    role: String,
    role_name: String,
    division: String,
    division_name: String,
    source: String,
    inherited_from: String,
}

impl Default for Grant {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            role: text("role"),
            role_name: text("role"),
            division: text("*"),
            division_name: text("*"),
            source: text("record"),
            inherited_from: String::new(),
        }
    }
}

/// By its name alone, or with more.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Permission {
    Name(String),
    Whole(WholePermission),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholePermission {
    permission: String,
    #[serde(default = "yes")]
    known: bool,
    #[serde(default = "everywhere")]
    divisions: Vec<String>,
    #[serde(default)]
    conditional: bool,
    #[serde(default = "yes")]
    in_scope: bool,
}

/// By its name alone: it may be called.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Operation {
    Name(String),
    Whole(WholeOperation),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeOperation {
    operation: String,
    #[serde(default = "granted")]
    granted: String,
    #[serde(default = "yes")]
    in_scope: bool,
    #[serde(default)]
    reads: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Contract {
    owner: String,
    purpose: String,
    divisions: Vec<String>,
    token_scopes: Vec<String>,
    calls: Vec<String>,
    must_be_denied: Vec<String>,
    missing: Vec<String>,
    excess: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Usage {
    days: i64,
    total: Option<i64>,
    #[serde(deserialize_with = "moment")]
    last_used: Option<DateTime<Utc>>,
    calls: Vec<Call>,
}

impl Default for Usage {
    fn default() -> Self {
        Self { days: 90, total: None, last_used: None, calls: Vec::new() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Call {
    operation: String,
    ok: i64,
    denied: i64,
    #[serde(deserialize_with = "moment")]
    last: Option<DateTime<Utc>>,
}

fn yes() -> bool {
    true
}

fn everywhere() -> Vec<String> {
    vec!["*".to_owned()]
}

fn granted() -> String {
    "yes".to_owned()
}

/// A time in quotes, as RFC 3339 or as a day.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let whole = DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc()).ok();
    let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let no_time =
        || D::Error::custom(format!("{text:?} is no time; write \"2026-01-31\" or \"2026-01-31T12:00:00Z\""));
    whole.or_else(day).map(Some).ok_or_else(no_time)
}

impl WholePermission {
    fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self { permission: name, known: true, divisions: everywhere(), conditional: false, in_scope: true }
    }
}

impl Permission {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Whole(whole) => &whole.permission,
        }
    }
}

impl Sample {
    /// Of this client everything is known, each list has an element, and what an expression asks of is granted.
    pub(super) fn full(reading: &Reading) -> Self {
        let text = str::to_owned;
        let texts = |one: &str| vec![one.to_owned()];
        let mut permissions = vec![Permission::Whole(WholePermission::named("routing:queue:view"))];
        permissions.extend(reading.patterns.iter().cloned().map(Permission::Name));
        let mut operations = vec![Operation::Name(text("GET /api/v2/routing/queues"))];
        operations.extend(reading.operations.iter().cloned().map(Operation::Name));
        Self {
            client: Client {
                description: text("a client"),
                scopes: texts("routing:readonly"),
                redirect_uris: texts("https://example.com/callback"),
                token_lifetime_s: Some(86_400),
                created: Some(NOW),
                created_by: Some(text("somebody")),
                ..Client::default()
            },
            grants: vec![Grant::default()],
            permissions,
            operations,
            contract: Some(Contract {
                owner: text("owner@example.com"),
                purpose: text("a purpose"),
                divisions: texts("*"),
                token_scopes: texts("routing:readonly"),
                calls: texts("GET /api/v2/routing/queues"),
                must_be_denied: texts("DELETE /api/v2/routing/queues/{queueId}"),
                missing: texts("GET /api/v2/users"),
                excess: texts("routing:queue:view"),
            }),
            usage: Some(Usage {
                last_used: Some(NOW),
                calls: vec![Call {
                    operation: text("GET /api/v2/routing/queues"),
                    ok: 1,
                    denied: 0,
                    last: Some(NOW),
                }],
                ..Usage::default()
            }),
            now: Some(NOW),
            unknown: Vec::new(),
        }
    }

    /// The client as expressions see it, with answers to what an expression asks of.
    pub(super) fn sheet<'a>(&'a self, reading: &'a Reading) -> Sheet<'a> {
        let meter = Arc::new(Meter::new(super::MOST_STEPS));
        let why: Arc<str> = Arc::from("The test says that it is not known.");
        let known = |part: Part| if self.unknown.contains(&part) { Err(Arc::clone(&why)) } else { Ok(()) };
        let holds = reading.patterns.iter().map(|pattern| {
            let asked = Pattern::parse(pattern);
            let held = || self.permissions.iter().any(|held| overlap(&asked, &Pattern::parse(held.name())));
            (pattern.as_str(), known(Part::Permissions).map(|()| held()))
        });
        let can = reading
            .operations
            .iter()
            .map(|asked| (asked.as_str(), known(Part::Operations).and_then(|()| self.may_call(asked))));
        Sheet {
            client: match known(Part::Client) {
                Ok(()) => self.client(&meter),
                Err(why) => Thing::unknown(Entity::Client, [Datum::Text(&self.client.id)], &why),
            },
            contract: match known(Part::Contract) {
                Ok(()) => contract(self.contract.as_ref(), &meter),
                Err(why) => Thing::unknown(Entity::Contract, [], &why),
            },
            usage: self.usage(known(Part::Usage), &meter),
            grants: known(Part::Grants).map(|()| List::of(self.grants.iter().map(grant), &meter)),
            permissions: known(Part::Permissions)
                .map(|()| List::of(self.permissions.iter().map(|held| permission(held, &meter)), &meter)),
            operations: known(Part::Operations)
                .map(|()| List::of(self.operations.iter().map(operation), &meter)),
            now: self.now.unwrap_or(NOW),
            holds: holds.collect(),
            can: can.collect(),
            meter,
        }
    }

    fn client(&self, meter: &Arc<Meter>) -> Thing<'_> {
        let of = &self.client;
        Thing::new(
            Entity::Client,
            [
                Datum::Text(&of.id),
                Datum::Text(&of.name),
                Datum::Text(&of.description),
                Datum::Text(&of.state),
                Datum::Text(&of.grant_type),
                Datum::Flag(of.grant_type == "CLIENT-CREDENTIALS"),
                texts(&of.scopes, meter),
                texts(&of.redirect_uris, meter),
                Datum::optional(of.token_lifetime_s, Datum::Number),
                Datum::optional(of.created, Datum::Moment),
                Datum::optional(of.created_by.as_deref(), Datum::Text),
                Datum::Flag(of.grants_confirmed),
            ],
        )
    }

    fn usage(&self, known: Known<()>, meter: &Arc<Meter>) -> Thing<'_> {
        let Some(usage) = &self.usage else {
            let why = Arc::from("What clients called has not been counted yet.");
            return Thing::unknown(Entity::Usage, [Datum::Flag(false)], &why);
        };
        if let Err(why) = known {
            return Thing::unknown(Entity::Usage, [Datum::Flag(false)], &why);
        }
        let calls = usage.calls.iter().map(|call| {
            Thing::new(
                Entity::Call,
                [
                    Datum::Text(&call.operation),
                    Datum::Number(call.ok),
                    Datum::Number(call.denied),
                    Datum::Number(call.ok.saturating_add(call.denied)),
                    Datum::optional(call.last, Datum::Moment),
                ],
            )
        });
        let sum = || {
            usage.calls.iter().map(|call| call.ok.saturating_add(call.denied)).fold(0, i64::saturating_add)
        };
        Thing::new(
            Entity::Usage,
            [
                Datum::Flag(true),
                Datum::Number(usage.days),
                Datum::Number(usage.total.unwrap_or_else(sum)),
                Datum::optional(usage.last_used, Datum::Moment),
                Datum::List(List::of(calls, meter)),
            ],
        )
    }

    fn may_call(&self, asked: &str) -> Known<bool> {
        let asked = normalised(asked);
        for operation in &self.operations {
            match operation {
                Operation::Name(name) if normalised(name) == asked => return Ok(true),
                Operation::Whole(whole) if normalised(&whole.operation) == asked => {
                    return match whole.granted.as_str() {
                        "yes" => Ok(true),
                        "no" => Ok(false),
                        _ => Err(Arc::from("The operation declares no permission.")),
                    };
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

fn texts<'a>(list: &'a [String], meter: &Arc<Meter>) -> Datum<'a> {
    Datum::texts(list.iter().map(String::as_str), meter)
}

fn grant(grant: &Grant) -> Thing<'_> {
    let Grant { role, role_name, division, division_name, source, inherited_from } = grant;
    let fields =
        [role, role_name, division, division_name, source, inherited_from].map(|text| Datum::Text(text));
    Thing::new(Entity::Grant, fields)
}

fn permission<'a>(held: &'a Permission, meter: &Arc<Meter>) -> Thing<'a> {
    let tier = privilege::of(held.name()).map_or("", |privilege| privilege.tier.as_str());
    let (known, divisions, conditional, in_scope) = match held {
        Permission::Name(_) => (true, Datum::texts(["*"], meter), false, true),
        Permission::Whole(whole) => {
            (whole.known, texts(&whole.divisions, meter), whole.conditional, whole.in_scope)
        }
    };
    Thing::new(
        Entity::Permission,
        [
            Datum::Text(held.name()),
            Datum::Flag(known),
            divisions,
            Datum::Flag(conditional),
            Datum::Flag(in_scope),
            Datum::Text(tier),
        ],
    )
}

fn operation(operation: &Operation) -> Thing<'_> {
    let (name, granted, in_scope, reads) = match operation {
        Operation::Name(name) => (name, "yes", true, name.starts_with("GET ")),
        Operation::Whole(whole) => (&whole.operation, whole.granted.as_str(), whole.in_scope, whole.reads),
    };
    let fields = [Datum::Text(name), Datum::Text(granted), Datum::Flag(in_scope), Datum::Flag(reads)];
    Thing::new(Entity::Operation, fields)
}

fn contract<'a>(contract: Option<&'a Contract>, meter: &Arc<Meter>) -> Thing<'a> {
    let text = |of: fn(&Contract) -> &String| Datum::Text(contract.map_or("", |contract| of(contract)));
    let list =
        |of: fn(&Contract) -> &Vec<String>| texts(contract.map_or(&[], |contract| of(contract)), meter);
    Thing::new(
        Entity::Contract,
        [
            Datum::Flag(contract.is_some()),
            text(|contract| &contract.owner),
            text(|contract| &contract.purpose),
            list(|contract| &contract.divisions),
            list(|contract| &contract.token_scopes),
            list(|contract| &contract.calls),
            list(|contract| &contract.must_be_denied),
            list(|contract| &contract.missing),
            list(|contract| &contract.excess),
        ],
    )
}

/// Whether some permission is matched by both. `admin` is everything.
pub(super) fn overlap(one: &Pattern<'_>, other: &Pattern<'_>) -> bool {
    let part = |one: &str, other: &str| one == "*" || other == "*" || one == other;
    match (one, other) {
        (_, Pattern::General(ADMIN)) => true,
        (Pattern::General(one), Pattern::General(other)) => one == other,
        (
            Pattern::Parts { domain, entity, action },
            Pattern::Parts { domain: in_domain, entity: on_entity, action: does },
        ) => part(domain, in_domain) && part(entity, on_entity) && part(action, does),
        _ => false,
    }
}
