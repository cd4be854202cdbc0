//! One thing that is exported, as a line of JSON, of OCSF, or as lines of CSV.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Format, Sink, What, clients, word};
use crate::{
    cli::output::csv,
    domain::{
        DivisionRef, Severity,
        access::{AccessReport, Authority, PermissionAccess},
        event::{Event, Gain},
        finding::{Finding, Status},
        message::Letterhead,
        ocsf::{self, Activity},
    },
    store::{Change, Told},
};

/// What is exported, with the audit that tells it.
pub(super) enum Line<'a> {
    /// `change`: what happened to it in that audit; `None`: it is open after it.
    Finding {
        told: &'a Told,
        change: Option<Change>,
        finding: &'a Finding,
    },
    Event {
        told: &'a Told,
        event: &'a Event,
    },
    Client {
        told: &'a Told,
        row: &'a clients::Row<'a>,
    },
    Permissions {
        told: &'a Told,
        report: &'a AccessReport,
    },
}

/// Where lines go, in one format.
pub(super) struct Rows<'a> {
    to: Sink,
    format: Format,
    link: &'a str,
}

impl<'a> Rows<'a> {
    /// A table has its head, whether or not there is a row.
    pub(super) fn begin(
        mut to: Sink,
        what: What,
        format: Format,
        link: &'a str,
    ) -> Result<Self, anyhow::Error> {
        if format == Format::Csv {
            let head: Vec<String> = columns(what).iter().map(|&name| name.to_owned()).collect();
            to.bytes(&csv::line(&head)?)?;
        }
        Ok(Self { to, format, link })
    }

    pub(super) fn put(&mut self, line: &Line<'_>) -> Result<(), anyhow::Error> {
        match self.format {
            Format::Json => line.json().iter().try_for_each(|value| self.json(value)),
            Format::Ocsf => line.ocsf(self.link).iter().try_for_each(|value| self.json(value)),
            Format::Csv => line.cells().iter().try_for_each(|cells| self.to.bytes(&csv::line(cells)?)),
        }
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), anyhow::Error> {
        let mut text = serde_json::to_vec(value)?;
        text.push(b'\n');
        self.to.bytes(&text)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.to.is_closed()
    }

    pub(super) fn finish(self) -> Result<(), anyhow::Error> {
        self.to.finish()
    }
}

/// The head of the table. Adding a column at the end is free; changing one breaks who reads it.
pub(super) fn columns(what: What) -> &'static [&'static str] {
    match what {
        What::Findings => &[
            "at",
            "audit",
            "change",
            "org",
            "uid",
            "check",
            "status",
            "severity",
            "muted",
            "client_id",
            "client_name",
            "key",
            "title",
            "evidence",
            "remediation",
            "first_seen",
            "last_seen",
            "approved",
            "acknowledged",
        ],
        What::Events => &[
            "at",
            "audit",
            "id",
            "delta",
            "org",
            "severity",
            "kind",
            "subject_type",
            "subject_id",
            "subject_name",
            "added",
            "removed",
            "client_id",
            "client_name",
            "gained",
            "lost",
            "actor_certainty",
            "actor_type",
            "actor_id",
            "actor_name",
            "actor_at",
            "actor_remote_ip",
        ],
        What::Clients => &[
            "at",
            "audit",
            "org",
            "id",
            "name",
            "description",
            "grant_type",
            "state",
            "roles",
            "scopes",
            "redirect_uris",
            "token_lifetime_s",
            "date_to_delete",
            "last_used",
            "critical",
            "high",
            "medium",
            "low",
            "info",
        ],
        What::Permissions => &[
            "at",
            "audit",
            "org",
            "client_id",
            "client_name",
            "authority",
            "upper_bound",
            "grants_unknown",
            "permission",
            "known",
            "divisions",
            "conditional",
            "in_scope",
            "roles",
        ],
    }
}

impl Line<'_> {
    /// The shapes of the other commands, each with the audit that tells it.
    fn json(&self) -> Vec<Value> {
        let with = |told: &Told, mut value: Value| {
            value["audit"] = json!(told.audit);
            value["at"] = json!(told.at);
            value
        };
        match self {
            Self::Finding { told, change, finding } => {
                let mut value = with(told, json!(finding));
                value["change"] = json!(word(*change));
                value["chain_head"] = json!(told.chain);
                vec![value]
            }
            Self::Event { told, event } => {
                let mut value = with(told, json!(event));
                value["chain_head"] = json!(told.chain);
                vec![value]
            }
            Self::Client { told, row } => vec![with(told, json!(row))],
            Self::Permissions { told, report } => {
                let of = |permission: Option<&PermissionAccess>| {
                    let mut value = json!({
                        "org": report.org,
                        "client": report.client,
                        "authority": report.authority,
                        "upper_bound": report.upper_bound,
                        "grants_unknown": report.grants_unknown,
                        "permission": null,
                    });
                    if let (Some(into), Value::Object(held)) = (value.as_object_mut(), json!(permission)) {
                        into.extend(held);
                    }
                    with(told, value)
                };
                each_or_none(&report.permissions).map(of).collect()
            }
        }
    }

    fn ocsf(&self, link: &str) -> Vec<Value> {
        match self {
            Self::Finding { told, change, finding } => {
                let activity = match change {
                    Some(Change::Opened) => Activity::Create,
                    Some(Change::Ended) => Activity::Close,
                    None if finding.first_seen == told.at => Activity::Create,
                    Some(Change::Updated) | None => Activity::Update,
                };
                vec![ocsf::of_finding(&head(&finding.org, told, link), activity, finding)]
            }
            Self::Event { told, event } => vec![ocsf::of_event(&head(&event.org, told, link), event)],
            // Refused before anything was opened.
            Self::Client { .. } | Self::Permissions { .. } => Vec::new(),
        }
    }

    fn cells(&self) -> Vec<Vec<String>> {
        match self {
            Self::Finding { told, change, finding } => vec![of_finding(told, *change, finding)],
            Self::Event { told, event } => of_event(told, event),
            Self::Client { told, row } => vec![of_client(told, row)],
            Self::Permissions { told, report } => {
                each_or_none(&report.permissions).map(|held| of_permission(told, report, held)).collect()
            }
        }
    }
}

/// Each permission; one empty row for a client without: that it is there is said too.
fn each_or_none(list: &[PermissionAccess]) -> impl Iterator<Item = Option<&PermissionAccess>> {
    let nothing = list.is_empty().then_some(None);
    list.iter().map(Some).chain(nothing)
}

fn head<'a>(org: &'a str, told: &'a Told, link: &'a str) -> Letterhead<'a> {
    Letterhead { org, audit: &told.audit, chain_head: told.chain, at: told.at, link }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn of_finding(told: &Told, change: Option<Change>, finding: &Finding) -> Vec<String> {
    let status = match finding.status {
        Status::Pass => "pass",
        Status::Fail => "fail",
        Status::Unknown => "unknown",
    };
    vec![
        time(told.at),
        told.audit.clone(),
        word(change).to_owned(),
        finding.org.clone(),
        finding.uid.clone(),
        finding.check.clone(),
        status.to_owned(),
        finding.severity.to_string(),
        finding.muted.to_string(),
        finding.client.id.to_string(),
        finding.client.name.clone(),
        finding.key.clone(),
        finding.title.clone(),
        finding.evidence.clone(),
        finding.remediation.clone(),
        time(finding.first_seen),
        time(finding.last_seen),
        finding.marks.approved.to_string(),
        finding.marks.acknowledged.to_string(),
    ]
}

/// One row for each client that an event reaches, or one without a client.
fn of_event(told: &Told, event: &Event) -> Vec<Vec<String>> {
    let cause = &event.cause;
    let begin = [
        time(told.at),
        told.audit.clone(),
        event.id.clone(),
        event.delta.clone(),
        event.org.clone(),
        event.severity.to_string(),
        cause.kind.as_str().to_owned(),
        cause.subject.kind.clone(),
        cause.subject.id.clone(),
        cause.subject.name.clone(),
        cause.permissions.added.join(" "),
        cause.permissions.removed.join(" "),
    ];
    let names = |gains: &[Gain]| -> String {
        gains.iter().map(|gain| gain.permission.as_str()).collect::<Vec<_>>().join(" ")
    };
    let actor = event.actor.as_ref();
    let who = [
        actor.map(|actor| actor.certainty.as_str().to_owned()),
        actor.and_then(|actor| actor.kind).map(|kind| kind.as_str().to_owned()),
        actor.and_then(|actor| actor.id.clone()),
        actor.and_then(|actor| actor.name.clone()),
        actor.and_then(|actor| actor.at).map(time),
        actor.and_then(|actor| actor.remote_ip.clone()),
    ]
    .map(Option::unwrap_or_default);
    let row = |end: [String; 4]| begin.iter().cloned().chain(end).chain(who.iter().cloned()).collect();
    if event.clients.is_empty() {
        return vec![row([const { String::new() }; 4])];
    }
    let clients = event.clients.iter();
    clients
        .map(|client| {
            row([client.id.to_string(), client.name.clone(), names(&client.gained), names(&client.lost)])
        })
        .collect()
}

fn of_client(told: &Told, row: &clients::Row<'_>) -> Vec<String> {
    let roles = row.roles.as_ref().map_or_else(
        || "unknown".to_owned(),
        |held| {
            let each = held.iter().map(|held| {
                format!("{} @ {}", held.name.unwrap_or(held.role.as_str()), held.division.as_str())
            });
            each.collect::<Vec<_>>().join(", ")
        },
    );
    let count = |severity| row.findings.get(&severity).copied().unwrap_or_default().to_string();
    let mut cells = vec![
        time(told.at),
        told.audit.clone(),
        row.org.to_owned(),
        row.id.to_string(),
        row.name.to_owned(),
        row.description.to_owned(),
        row.grant_type.to_owned(),
        row.state.to_owned(),
        roles,
        row.scopes.join(" "),
        row.redirect_uris.join(" "),
        row.token_lifetime_s.map(|seconds| seconds.to_string()).unwrap_or_default(),
        row.date_to_delete.unwrap_or_default().to_owned(),
        row.last_used.map(|day| day.to_string()).unwrap_or_default(),
    ];
    cells.extend(Severity::ALL.into_iter().rev().map(count));
    cells
}

fn of_permission(told: &Told, report: &AccessReport, held: Option<&PermissionAccess>) -> Vec<String> {
    let mut cells = vec![
        time(told.at),
        told.audit.clone(),
        report.org.clone(),
        report.client.id.to_string(),
        report.client.name.clone(),
        if report.authority == Authority::Roles { "roles" } else { "user" }.to_owned(),
        report
            .upper_bound
            .map(|bound| json!(bound).as_str().unwrap_or_default().to_owned())
            .unwrap_or_default(),
        report.grants_unknown.to_string(),
    ];
    match held {
        None => cells.extend([const { String::new() }; 6]),
        Some(held) => {
            // A role that is held in several divisions is named once.
            let roles: BTreeMap<&str, &str> =
                held.via.iter().map(|via| (via.role.as_str(), via.role_name.as_str())).collect();
            let divisions: Vec<&str> = held.divisions.iter().map(DivisionRef::as_str).collect();
            cells.extend([
                held.permission.clone(),
                held.known.to_string(),
                divisions.join(" "),
                held.conditional.to_string(),
                held.in_scope.to_string(),
                roles.into_values().collect::<Vec<_>>().join(", "),
            ]);
        }
    }
    cells
}
