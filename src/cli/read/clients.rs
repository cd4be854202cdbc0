//! `clients`: who there is, as the last audit saw it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;

use crate::cli::{
    Exit,
    arguments::{JsonArgs, OrgArgs},
    output::{Cell, Column, Output, Table},
};
use crate::domain::{
    ClientId, DivisionRef, RoleId, Severity,
    finding::{Finding, Status},
    inventory::Client,
    secret_age::Age,
    snapshot::Snapshot,
};

/// Lists the OAuth clients that the last audit saw, with their roles and open findings
#[derive(Debug, Args)]
#[command(
    after_help = "Example: scopewarden clients --json | jq '.[] | select(.findings.critical > 0) | .name'"
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    org: OrgArgs,
    #[command(flatten)]
    format: JsonArgs,
}

/// One client, in the JSON shape that users see.
#[derive(Serialize)]
struct Row<'a> {
    org: &'a str,
    id: &'a ClientId,
    name: &'a str,
    description: &'a str,
    grant_type: &'a str,
    state: &'a str,
    /// `None`: they could not be read.
    roles: Option<Vec<Held<'a>>>,
    scopes: Vec<&'a str>,
    redirect_uris: Vec<&'a str>,
    token_lifetime_s: Option<i64>,
    date_to_delete: Option<&'a str>,
    /// The last day with a call, by the last count; `None`: none was counted.
    last_used: Option<NaiveDate>,
    /// Since when it has its secret.
    secret: Option<Age>,
    findings: Counts,
}

#[derive(Serialize)]
struct Held<'a> {
    role: &'a RoleId,
    name: Option<&'a str>,
    division: &'a DivisionRef,
}

/// How many open findings of each severity.
type Counts = BTreeMap<Severity, usize>;

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store, last) = arguments.org.open_last().await?;
    let counts = count(&store.findings(Some(&org)).await?);
    let used = store.last_used(&org).await?;
    let secrets = store.secrets(&org).await?;
    let snapshot = &last.snapshot;
    let last_used = |client: &Client| used.as_ref().and_then(|used| used.get(&client.id)).copied();
    let mut rows: Vec<Row<'_>> = (snapshot.clients.values())
        .map(|client| Row {
            last_used: last_used(client),
            secret: Some(secrets.age(client)),
            ..row(&org, snapshot, client, &counts)
        })
        .collect();
    rows.sort_by(|one, other| (one.name, one.id).cmp(&(other.name, other.id)));
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&rows)?;
    } else {
        out.table(&table(&rows, used.is_some()))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn count(findings: &[Finding]) -> HashMap<ClientId, Counts> {
    let mut counts: HashMap<ClientId, Counts> = HashMap::new();
    for finding in findings.iter().filter(|finding| finding.status == Status::Fail && !finding.muted) {
        *counts.entry(finding.client.id.clone()).or_default().entry(finding.severity).or_default() += 1;
    }
    counts
}

fn row<'a>(
    org: &'a str,
    snapshot: &'a Snapshot,
    client: &'a Client,
    counts: &HashMap<ClientId, Counts>,
) -> Row<'a> {
    let held = |set: &'a std::collections::BTreeSet<crate::domain::inventory::Grant>| {
        set.iter()
            .map(|grant| Held {
                role: &grant.role,
                name: snapshot.roles.get(&grant.role).map(|role| role.name.as_str()),
                division: &grant.division,
            })
            .collect()
    };
    let mut findings: Counts = Severity::ALL.into_iter().map(|severity| (severity, 0)).collect();
    findings.extend(counts.get(&client.id).into_iter().flatten());
    Row {
        org,
        id: &client.id,
        name: &client.name,
        description: &client.description,
        grant_type: client.grant_type.as_str(),
        state: client.state.as_str(),
        roles: client.grants.as_ref().map(held),
        scopes: client.scopes.iter().map(String::as_str).collect(),
        redirect_uris: client.redirect_uris.iter().map(String::as_str).collect(),
        token_lifetime_s: client.token_lifetime_s,
        date_to_delete: client.date_to_delete.as_deref(),
        last_used: None,
        secret: None,
        findings,
    }
}

/// Since when a client has its secret, as far as it is known.
fn since(age: &Age) -> String {
    let day = |at: DateTime<Utc>| at.date_naive();
    match (age.issued, age.not_before, age.not_after) {
        (Some(at), ..) => day(at).to_string(),
        (None, Some(from), Some(to)) => format!("{} to {}", day(from), day(to)),
        (None, Some(from), None) => format!("{} or later", day(from)),
        (None, None, Some(to)) => format!("{} or before", day(to)),
        (None, None, None) => "unknown".to_owned(),
    }
}

/// `counted`: calls were counted, so that a client without any called nothing.
fn table(rows: &[Row<'_>], counted: bool) -> Table {
    let mut table = Table::new([
        Column::new("name"),
        Column::new("id").extra(),
        Column::new("grant type").extra(),
        Column::new("state"),
        Column::new("roles"),
        Column::new("scopes"),
        Column::new("last used"),
        Column::new("secret since").extra(),
        Column::prose("findings"),
    ]);
    for row in rows {
        let worst_first: Vec<String> = (row.findings.iter().rev())
            .filter(|(_, count)| **count > 0)
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        table.row([
            row.name.into(),
            row.id.as_str().into(),
            row.grant_type.into(),
            row.state.into(),
            row.roles.as_ref().map_or(Cell::from("unknown"), |roles| roles.len().into()),
            row.scopes.len().into(),
            match (row.last_used, counted) {
                (Some(day), _) => day.to_string().into(),
                (None, true) => "never".into(),
                (None, false) => "unknown".into(),
            },
            row.secret.as_ref().map_or_else(String::new, since).into(),
            worst_first.join(", ").into(),
        ]);
    }
    table
}
