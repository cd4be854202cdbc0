//! Who called what: both of the platform's usage queries, the newer with jobs and cursor pages, the older with one body.
//!
//! Enters: every call that was served, the history that clients bring along, rows that a test puts. Leaves: counts, some
//! polls after they were asked for. The simulator has no clock: the day on which an asked interval ends is its today, and
//! everything that happened before is so many days older.

pub(in crate::simulator) mod history;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::Call;
use crate::simulator::server::World;

/// Operations that are counted of all clients together.
const MOST_SERVED: usize = 100_000;
/// Queries that are remembered; the oldest go first.
const MOST_JOBS: usize = 100;
const LONGEST_INTERVAL: TimeDelta = TimeDelta::days(90);

/// Answers by their class. `throttled` is a part of `refused`, as on the platform.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::simulator) struct Counts {
    pub(in crate::simulator) ok: u64,
    pub(in crate::simulator) redirected: u64,
    pub(in crate::simulator) refused: u64,
    pub(in crate::simulator) throttled: u64,
    pub(in crate::simulator) failed: u64,
}

impl Counts {
    fn count(&mut self, status: u16) {
        match status {
            200..=299 => self.ok += 1,
            300..=399 => self.redirected += 1,
            400..=499 => self.refused += 1,
            _ => self.failed += 1,
        }
        self.throttled += u64::from(status == 429);
    }

    fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.redirected += other.redirected;
        self.refused += other.refused;
        self.throttled += other.throttled;
        self.failed += other.failed;
    }

    fn requests(&self) -> u64 {
        self.ok + self.redirected + self.refused + self.failed
    }
}

/// Calls of one client and operation on one day.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Row {
    pub(in crate::simulator) client: String,
    pub(in crate::simulator) method: String,
    pub(in crate::simulator) template: String,
    pub(in crate::simulator) days_ago: u64,
    pub(in crate::simulator) counts: Counts,
}

/// What was counted, and the queries that are being answered.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Usage {
    served: BTreeMap<(String, &'static str, &'static str), Counts>,
    /// Put by a test, through the private surface.
    pub(in crate::simulator) put: Vec<Row>,
    jobs: VecDeque<Job>,
}

impl Usage {
    /// Counts a call that was answered with this status.
    pub(in crate::simulator) fn serve(
        &mut self,
        client: &str,
        method: &'static str,
        template: &'static str,
        status: u16,
    ) {
        let key = (client.to_owned(), method, template);
        if self.served.len() < MOST_SERVED || self.served.contains_key(&key) {
            self.served.entry(key).or_default().count(status);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Newer,
    Older,
}

#[derive(Debug)]
struct Job {
    id: String,
    family: Family,
    query: Query,
    polls: u32,
    /// The whole result, once it is made.
    rows: Option<Vec<Value>>,
}

#[derive(Debug)]
struct Query {
    from: NaiveDate,
    to: NaiveDate,
    granularity: Option<Granularity>,
    by_client: bool,
    by_method: bool,
    by_template: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Granularity {
    Day,
    Week,
    Month,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    interval: String,
    granularity: Option<Granularity>,
    #[serde(default)]
    group_by: Vec<String>,
}

pub(super) fn ask_newer(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let id = ask(world, call, Family::Newer)?;
    let results = format!("/api/v2/usage/aggregates/query/jobs/{id}");
    Ok(Answer::json(202, json!({ "id": id, "resultsUri": results })))
}

pub(super) fn ask_older(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let id = ask(world, call, Family::Older)?;
    let results = format!("/api/v2/usage/query/{id}/results");
    Ok(Answer::json(202, json!({ "executionId": id, "resultsUri": results })))
}

fn ask(world: &mut World, call: &Call<'_>, family: Family) -> Result<String, Refusal> {
    let asked: Asked = call.body()?;
    let query = read(&asked, family)?;
    let id = uuid::Uuid::new_v4().to_string();
    let jobs = &mut world.usage.jobs;
    if jobs.len() == MOST_JOBS {
        jobs.pop_front();
    }
    jobs.push_back(Job { id: id.clone(), family, query, polls: 0, rows: None });
    Ok(id)
}

fn read(asked: &Asked, family: Family) -> Result<Query, Refusal> {
    let bad = |message: &str| Refusal::new(400, "bad.request", message);
    let moment = |text: &str| DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).ok();
    let ends = asked.interval.split_once('/').and_then(|(from, to)| moment(from).zip(moment(to)));
    let (from, to) = ends.ok_or_else(|| bad("interval must be two ISO-8601 times with a slash between"))?;
    if from > to || to - from > LONGEST_INTERVAL {
        return Err(bad("The interval must not end before it starts, nor be longer than 90 days"));
    }
    let (client, others): (&str, &[&str]) = match family {
        Family::Newer => {
            ("OauthClientId", &["OauthClientName", "UserId", "HttpMethod", "TemplateUri", "Platform"])
        }
        Family::Older => ("OAuthClientId", &["OrganizationId", "UserId", "HttpMethod", "TemplateUri"]),
    };
    if let Some(unknown) =
        asked.group_by.iter().find(|word| *word != client && !others.contains(&word.as_str()))
    {
        return Err(bad(&format!("groupBy: {unknown} is not one of {client}, {}", others.join(", "))));
    }
    let by = |word: &str| asked.group_by.iter().any(|asked| asked == word);
    Ok(Query {
        from: from.date_naive(),
        to: to.date_naive(),
        granularity: asked.granularity,
        by_client: by(client),
        by_method: by("HttpMethod"),
        by_template: by("TemplateUri"),
    })
}

pub(super) fn newer_results(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let Some(rows) = poll(world, call.parameter("jobId"), Family::Newer)? else {
        return Ok(Answer::json(202, json!({ "queryStatus": "Running" })));
    };
    let size = match call.query("pageSize").map(str::parse) {
        None => 100,
        Some(Ok(size)) if (1..=1_000).contains(&size) => size,
        Some(_) => return Err(Refusal::bad_request("pageSize: 1 to 1000")),
    };
    let first = match call.query("after").map(|cursor| usize::from_str_radix(cursor, 16)) {
        None => 0,
        Some(Ok(first)) => first,
        Some(Err(_)) => return Err(Refusal::bad_request("after is not a cursor of this query")),
    };
    let next = first + size;
    let next_uri =
        (next < rows.len()).then(|| format!("{}?pageSize={size}&after={next:x}", call.request.path));
    let page: Vec<Value> = rows.iter().skip(first).take(size).cloned().collect();
    Ok(Fields::new()
        .put("queryStatus", "Succeeded")
        .put("entities", page)
        .put_some("nextUri", next_uri)
        .put("selfUri", call.request.path)
        .into())
}

pub(super) fn older_results(world: &mut World, call: &Call<'_>) -> Result<Answer, Refusal> {
    Ok(Answer::ok(match poll(world, call.parameter("executionId"), Family::Older)? {
        None => json!({ "results": [], "queryStatus": "Running" }),
        Some(rows) => json!({ "results": rows, "queryStatus": "Complete" }),
    }))
}

/// The rows of a query, once it was asked about often enough.
fn poll<'w>(world: &'w mut World, id: &str, family: Family) -> Result<Option<&'w Vec<Value>>, Refusal> {
    let place = world.usage.jobs.iter().position(|job| job.id == id && job.family == family);
    let place = place.ok_or_else(Refusal::not_found)?;
    if world.usage.jobs[place].polls < world.settings.usage_polls {
        world.usage.jobs[place].polls += 1;
        return Ok(None);
    }
    if world.usage.jobs[place].rows.is_none() {
        let rows = count(world, &world.usage.jobs[place].query, family);
        world.usage.jobs[place].rows = Some(rows);
    }
    Ok(world.usage.jobs[place].rows.as_ref())
}

fn count(world: &World, query: &Query, family: Family) -> Vec<Value> {
    let mut groups: BTreeMap<(NaiveDate, String, String, String), Counts> = BTreeMap::new();
    let mut add = |client: &str, method: &str, template: &str, days_ago: u64, counts: &Counts| {
        let Some(day) = query.to.checked_sub_days(Days::new(days_ago)).filter(|day| *day >= query.from)
        else {
            return;
        };
        let kept = |asked: bool, value: &str| if asked { value.to_owned() } else { String::new() };
        let key = (
            bucket(query, day),
            kept(query.by_client, client),
            kept(query.by_method, method),
            kept(query.by_template, template),
        );
        groups.entry(key).or_default().add(counts);
    };
    for ((client, method, template), counts) in &world.usage.served {
        add(client, method, template, 0, counts);
    }
    for row in history::of(&world.organisation).iter().chain(&world.usage.put) {
        add(&row.client, &row.method, &row.template, row.days_ago, &row.counts);
    }
    groups
        .iter()
        .map(|((day, client, method, template), counts)| {
            let name = world.organisation.clients.get(client).map_or("", |client| client.name.as_str());
            let fields = Fields::new()
                .put("httpMethod", method.as_str())
                .put("templateUri", template.as_str())
                .put("status200", counts.ok)
                .put("status300", counts.redirected)
                .put("status400", counts.refused)
                .put("status429", counts.throttled)
                .put("status500", counts.failed);
            let fields = match family {
                Family::Newer => fields
                    .put("date", day.to_string())
                    .put("platform", "")
                    .put("requestCount", counts.requests())
                    .put_some("oauthClient", query.by_client.then(|| json!({ "id": client, "name": name }))),
                Family::Older => fields
                    .put("date", format!("{day}T00:00:00Z"))
                    .put("requests", counts.requests())
                    .put("clientId", client.as_str())
                    .put("clientName", name)
                    .put("organizationId", "")
                    .put("userId", ""),
            };
            fields.into()
        })
        .collect()
}

/// The first day of the bucket that a day falls into.
fn bucket(query: &Query, day: NaiveDate) -> NaiveDate {
    let first = match query.granularity {
        Some(Granularity::Day) => day,
        Some(Granularity::Week) => day - Days::new(day.weekday().num_days_from_monday().into()),
        Some(Granularity::Month) => day.with_day(1).unwrap_or(day),
        None => query.from,
    };
    first.max(query.from)
}

/// A row as the private surface takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    client: String,
    method: String,
    path: String,
    #[serde(default)]
    days_ago: u64,
    #[serde(default)]
    status200: u64,
    #[serde(default)]
    status300: u64,
    #[serde(default)]
    status400: u64,
    #[serde(default)]
    status429: u64,
    #[serde(default)]
    status500: u64,
}

/// Replaces the rows that were put before; how many there are now.
pub(in crate::simulator) fn put(world: &mut World, given: Value) -> Result<usize, serde_json::Error> {
    let given: Vec<Given> = serde_json::from_value(given)?;
    let row = |given: Given| Row {
        client: given.client,
        method: given.method,
        template: given.path,
        days_ago: given.days_ago,
        counts: Counts {
            ok: given.status200,
            redirected: given.status300,
            refused: given.status400,
            throttled: given.status429,
            failed: given.status500,
        },
    };
    world.usage.put = given.into_iter().map(row).collect();
    Ok(world.usage.put.len())
}
