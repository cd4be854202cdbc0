//! `clients`: who there is, as the last audit saw it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;

use super::least_privilege::own_calls;
use crate::cli::{
    Exit,
    arguments::{JsonArgs, OrgArgs},
    output::{Cell, Column, Output, Table},
};
use crate::domain::{
    ClientId, DivisionRef, RoleId, Severity,
    finding::Finding,
    inventory::Client,
    secret_age::{Age, Secrets},
    snapshot::Snapshot,
    usage::Tally,
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
pub(super) struct Row<'a> {
    pub(super) org: &'a str,
    pub(super) id: &'a ClientId,
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) grant_type: &'a str,
    pub(super) state: &'a str,
    /// `None`: they could not be read.
    pub(super) roles: Option<Vec<Held<'a>>>,
    pub(super) scopes: Vec<&'a str>,
    pub(super) redirect_uris: Vec<&'a str>,
    pub(super) token_lifetime_s: Option<i64>,
    pub(super) date_to_delete: Option<&'a str>,
    /// The last day with a call of its own, by the last count; `None`: none was counted.
    pub(super) last_used: Option<NaiveDate>,
    /// The same, with what else is known.
    #[serde(skip)]
    called: Called,
    /// Since when it has its secret.
    pub(super) secret: Option<Age>,
    pub(super) findings: Counts,
}

/// When a client last called.
#[derive(Clone, Copy)]
enum Called {
    /// Nothing was counted yet.
    NotKnown,
    /// No call of it was counted.
    NotSeen,
    /// The count does not tell the day.
    OnSomeDay,
    /// On this day.
    On(NaiveDate),
}

#[derive(Serialize)]
pub(super) struct Held<'a> {
    pub(super) role: &'a RoleId,
    pub(super) name: Option<&'a str>,
    pub(super) division: &'a DivisionRef,
}

/// How many open findings of each severity.
pub(super) type Counts = BTreeMap<Severity, usize>;

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let (org, store, last) = arguments.org.open_last().await?;
    let counts = count(&store.findings(Some(&org)).await?);
    let tally = own_calls(&store, &org).await?;
    let secrets = store.secrets(&org).await?;
    let rows = rows(&org, &last.snapshot, &counts, tally.as_ref(), &secrets);
    let mut out = Output::new();
    if arguments.format.json {
        out.json(&rows)?;
    } else {
        out.table(&table(&rows))?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// Every client, by name; `tally`: what they called themselves, if that was counted.
pub(super) fn rows<'a>(
    org: &'a str,
    snapshot: &'a Snapshot,
    counts: &HashMap<ClientId, Counts>,
    tally: Option<&Tally>,
    secrets: &Secrets,
) -> Vec<Row<'a>> {
    let used = tally.map(Tally::last_days);
    let mut rows: Vec<Row<'_>> = (snapshot.clients.values())
        .map(|client| {
            let called = match used.as_ref().map(|used| used.get(&client.id)) {
                None => Called::NotKnown,
                Some(None) => Called::NotSeen,
                Some(Some(None)) => Called::OnSomeDay,
                Some(Some(Some(day))) => Called::On(*day),
            };
            let last_used = if let Called::On(day) = called { Some(day) } else { None };
            Row { last_used, called, secret: Some(secrets.age(client)), ..row(org, snapshot, client, counts) }
        })
        .collect();
    rows.sort_by(|one, other| (one.name, one.id).cmp(&(other.name, other.id)));
    rows
}

pub(super) fn count(findings: &[Finding]) -> HashMap<ClientId, Counts> {
    let mut counts: HashMap<ClientId, Counts> = HashMap::new();
    for finding in findings.iter().filter(|finding| finding.is_due()) {
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
        called: Called::NotKnown,
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

fn table(rows: &[Row<'_>]) -> Table {
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
            match row.called {
                Called::On(day) => day.to_string().into(),
                Called::OnSomeDay => "day unknown".into(),
                Called::NotSeen => "none counted".into(),
                Called::NotKnown => "unknown".into(),
            },
            row.secret.as_ref().map_or_else(String::new, since).into(),
            worst_first.join(", ").into(),
        ]);
    }
    table
}
