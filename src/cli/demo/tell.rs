//! The story in seven chapters.
//!
//! Enters: what the audits, the administrator and the receiver really did. Leaves: text on the page. Must never: tell
//! anything that is not in these.

use std::{cmp::Reverse, collections::BTreeSet, io, net::SocketAddr, path::Path, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    act::{Act, Decided},
    administrator::Change,
    explain::{self, LABELS},
    page::{Look, Page},
    receiver::Alert,
    series,
    stage::{ORG, PROBED},
    words::{list, plural, upper},
};
use crate::domain::{
    checks::CHECKS,
    decision::{Kind, Mark},
    event::Event,
    finding::Finding,
    privilege,
    probe::{Observation, Verdict},
};

/// Findings named after the first audit, one a check.
const MOST_IMPORTANT: usize = 5;

/// The families of metrics that the story is about.
const FAMILIES: [&str; 5] = [
    "scopewarden_drift_events_total",
    "scopewarden_findings_open",
    "scopewarden_findings_decided",
    "scopewarden_oauth_clients",
    "scopewarden_delivery_attempts_total",
];

pub(super) fn prologue(page: &mut Page) -> io::Result<()> {
    page.gap()?;
    page.paragraph(
        "A contact centre of some years: its OAuth clients are audited, four things change, people decide, and one change \
         is taken back. The organisation is simulated, on this machine; the audits, the database, the alerts, their signatures and the \
         metrics are real.",
    )
}

/// Chapter 1.
pub(super) fn baseline(page: &mut Page, organisation: &str, act: &Act) -> io::Result<()> {
    page.heading("1 · The first audit")?;
    let report = &act.report;
    let findings = page.paint(Look::Bold, &plural(report.findings.len(), "finding"));
    page.paragraph(&format!(
        "{organisation} has {} and {}. {}: {findings}, {}.",
        plural(report.clients, "OAuth client"),
        plural(usize::try_from(act.roles).unwrap_or_default(), "role"),
        effort(act),
        explain::by_severity(page, &report.findings),
    ))?;
    page.gap()?;
    for found in most_important(&report.findings) {
        let [first, ..] = found[..] else { continue };
        let others: BTreeSet<&str> = found
            .iter()
            .map(|finding| finding.client.name.as_str())
            .filter(|name| *name != first.client.name)
            .collect();
        let others: Vec<&str> = others.into_iter().collect();
        let also = if others.is_empty() {
            String::new()
        } else {
            format!(" The same check fails {}.", list(&others))
        };
        let severity = page.severity(first.severity);
        page.entry(&severity, LABELS, &format!("{}.{also}", first.title))?;
    }
    page.gap()?;
    page.paragraph(
        "What was there before the first look is told in one message, so that day one is no storm of alerts:",
    )?;
    alerts(page, &act.alerts)
}

/// The findings of the first few checks that anybody fails, the weightiest of each first.
fn most_important(findings: &[Arc<Finding>]) -> Vec<Vec<&Finding>> {
    let of = |check: &str| {
        let mut found: Vec<&Finding> =
            findings.iter().map(Arc::as_ref).filter(|finding| finding.check == check).collect();
        found.sort_by_key(|finding| {
            let weight = privilege::of(&finding.key).map_or(0, |privilege| privilege.weight);
            (Reverse(weight), &finding.client.name)
        });
        found
    };
    let failed = CHECKS.iter().map(|check| of(check.id)).filter(|found| !found.is_empty());
    failed.take(MOST_IMPORTANT).collect()
}

/// Chapter 2.
pub(super) fn changes(page: &mut Page, changes: &[Change]) -> io::Result<()> {
    page.heading("2 · Four changes")?;
    page.paragraph("An administrator is busy. All of it goes through the platform's own API:")?;
    page.gap()?;
    for (number, change) in (1..).zip(changes) {
        page.entry(&format!("{number}."), 2, &change.told)?;
    }
    Ok(())
}

/// Chapter 3.
pub(super) fn drift(page: &mut Page, before: &Act, after: &Act) -> io::Result<()> {
    page.heading("3 · The second audit")?;
    let (old, new) = (&before.report.findings, &after.report.findings);
    let mut opened = missing_from(old, new);
    let mut resolved = missing_from(new, old);
    page.paragraph(&format!(
        "{}: {}, {} opened and {} resolved. Each change, why it matters, and whom it reached:",
        effort(after),
        plural(after.report.events.len(), "event"),
        plural(opened.len(), "finding"),
        resolved.len(),
    ))?;
    for event in explain::most_severe_first(&after.report.events) {
        let (opened, resolved) = (take(&mut opened, event), take(&mut resolved, event));
        page.gap()?;
        explain::event(page, event, &opened, &resolved)?;
    }
    if !opened.is_empty() || !resolved.is_empty() {
        page.gap()?;
        page.paragraph("And of clients that did not change themselves:")?;
        explain::findings(page, &opened, &resolved)?;
    }
    page.gap()?;
    let sent = plural(after.alerts.len(), "alert");
    page.paragraph(&format!(
        "{sent} left through the outbox, written in the same transaction as the audit. Received, and checked against \
         the shared secret:"
    ))?;
    alerts(page, &after.alerts)
}

/// Chapter 4.
pub(super) fn probes(page: &mut Page, probes: &[Observation]) -> io::Result<()> {
    page.heading("4 · What the platform really refuses")?;
    let sent = probes.iter().filter(|probe| probe.sent).count();
    page.paragraph(&format!(
        "A role is a claim. The owner of {PROBED} gave its secret, so {} with its own token: each with fresh random ids, so that \
         nothing can change whatever the answer is.",
        tried(sent),
    ))?;
    page.gap()?;
    let mut failed: Vec<&Observation> =
        probes.iter().filter(|probe| probe.verdict == Verdict::NotRefused).collect();
    failed.sort_by_key(|probe| Reverse(probe.severity));
    for probe in failed {
        let severity = probe.severity.map(|severity| page.severity(severity)).unwrap_or_default();
        let name = page.paint(Look::Bold, &probe.operation);
        page.entry(&severity, LABELS, &format!("{name} was not refused. {}", probe.explanation))?;
    }
    let refused: Vec<&Observation> =
        probes.iter().filter(|probe| probe.verdict == Verdict::Refused).collect();
    let shown = refused.iter().find(|probe| probe.operation.contains("/authorization/roles/"));
    if let Some(probe) = shown.or(refused.first()) {
        let label = page.paint(Look::Good, "refused");
        let name = page.paint(Look::Bold, &probe.operation);
        page.entry(&label, LABELS, &format!("{name}: {}", probe.explanation))?;
        let others = refused.len() - 1;
        page.entry(
            "",
            LABELS,
            &format!("And {others} more, each with the permissions that the platform names."),
        )?;
    }
    Ok(())
}

fn tried(count: usize) -> String {
    let verb = if count == 1 { "was" } else { "were" };
    format!("{} {verb} tried", plural(count, "operation"))
}

/// Chapter 5.
pub(super) fn decisions(
    page: &mut Page,
    (event, finding): (&Event, &Finding),
    decided: &Decided,
) -> io::Result<()> {
    page.heading("5 · What people decide")?;
    page.paragraph(
        "Not every change is a mistake. An approval accepts this very change while it stands, a mute silences a finding \
         while it says the same; both have an owner and an end:",
    )?;
    page.gap()?;
    let words = |kind: Kind| {
        decided
            .decisions
            .iter()
            .filter(move |decision| decision.kind == kind)
            .map(Mark::of)
            .map(|mark| mark.words())
    };
    for (kind, label, about) in [
        (Kind::Approve, "approved", explain::headline(event)),
        (Kind::Mute, "muted", format!("{} ({}).", finding.title, finding.check)),
    ] {
        for said in words(kind) {
            let label = page.paint(Look::Good, label);
            page.entry(&label, LABELS, &format!("{about} {}.", upper(&said)))?;
        }
    }
    page.gap()?;
    page.paragraph("Their alerts end by it, and say why:")?;
    alerts(page, &decided.alerts)
}

/// Chapter 5 goes on: a change is taken back.
pub(super) fn remedy(page: &mut Page, remedy: &Change, (before, after): (&Act, &Act)) -> io::Result<()> {
    page.gap()?;
    page.paragraph(&format!(
        "The other change is taken back. {} The third audit sees it, and resolves what it had opened. What the operations above \
         proved is a finding now, until they are tried again:",
        remedy.told,
    ))?;
    page.gap()?;
    let (old, new) = (&before.report.findings, &after.report.findings);
    let (mut opened, mut resolved) = (missing_from(old, new), missing_from(new, old));
    for event in explain::most_severe_first(&after.report.events) {
        explain::event(page, event, &take(&mut opened, event), &take(&mut resolved, event))?;
    }
    explain::findings(page, &opened, &resolved)?;
    alerts(page, &after.alerts)
}

/// The end of chapter 5: what was proven once is proven otherwise.
pub(super) fn proven(
    page: &mut Page,
    again: &[Observation],
    (before, after): (&Act, &Act),
) -> io::Result<()> {
    let refused = again.iter().filter(|probe| probe.verdict == Verdict::Refused).count();
    let sent = again.iter().filter(|probe| probe.sent).count();
    page.gap()?;
    page.paragraph(&format!(
        "Tried again with the token of {PROBED}, {refused} of {} are refused. The fourth audit closes the rest by itself:",
        plural(sent, "operation"),
    ))?;
    page.gap()?;
    let (old, new) = (&before.report.findings, &after.report.findings);
    explain::findings(page, &missing_from(old, new), &missing_from(new, old))?;
    alerts(page, &after.alerts)
}

/// Chapter 6.
pub(super) fn metrics(page: &mut Page, before: &Act, after: &Act) -> io::Result<()> {
    page.heading("6 · What Prometheus sees")?;
    page.paragraph(&format!("Series that moved from the first audit to the last, all with org=\"{ORG}\":"))?;
    let moved = series::moved(&before.metrics, &after.metrics, &FAMILIES);
    let labels: Vec<String> = moved.iter().map(|series| without_org(series.labels)).collect();
    let column = labels.iter().map(String::len).max().unwrap_or_default() + 2;
    let mut family = "";
    for (series, labels) in moved.iter().zip(&labels) {
        if series.family != family {
            family = series.family;
            page.gap()?;
            let name = page.paint(Look::Bold, family);
            page.paragraph(&name)?;
        }
        let number = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        let after = page.paint(Look::Bold, &number(series.after));
        page.entry(&format!("  {labels}"), column, &format!("{} → {after}", number(series.before)))?;
    }
    Ok(())
}

/// Chapter 7, for a demonstration that ends here.
pub(super) fn farewell(page: &mut Page, program: &str) -> io::Result<()> {
    page.heading("7 · Where to look next")?;
    page.paragraph("The same, staying up: pages, /metrics, an audit every minute, and changes of your own:")?;
    page.verbatim(&format!("{program} demo"))?;
    page.gap()?;
    page.paragraph(
        "An organisation of your own needs a client with oauth:client:view, authorization:role:view and \
         authorization:grant:view, and a file such as this:",
    )?;
    page.verbatim(
        "[[org]]\nname = \"acme\"\nregion = \"mypurecloud.ie\"\nclient_id = \"…\"\nclient_secret_file = \"client.secret\"",
    )?;
    page.gap()?;
    page.verbatim(&format!(
        "{program} check-config --config scopewarden.toml\n{program} audit --config scopewarden.toml\n{program} run --config scopewarden.toml"
    ))
}

/// What a demonstration that stays up has to offer.
pub(super) struct Offer<'a> {
    pub(super) program: &'a str,
    pub(super) config: &'a Path,
    pub(super) web: SocketAddr,
    /// The simulated organisation's address.
    pub(super) platform: &'a str,
    /// An access token that may change it.
    pub(super) token: &'a str,
    /// The role that the proposed change makes almighty, and its name.
    pub(super) role: (&'a str, &'a str),
}

/// Chapter 7, for a demonstration that stays up.
pub(super) fn stay(page: &mut Page, offer: &Offer<'_>) -> io::Result<()> {
    let Offer { program, config, web, platform, token, role: (role, role_name) } = offer;
    let config = config.display();
    page.heading("7 · Where to look next")?;
    page.paragraph("The daemon is up now and audits at second 0 of every minute.")?;
    page.gap()?;
    for (label, url) in [
        ("Pages", format!("http://{web}/")),
        ("Metrics", format!("http://{web}/metrics")),
        ("Platform", format!("{platform}/api/v2/")),
    ] {
        page.entry(label, LABELS, &url)?;
    }
    page.gap()?;
    page.paragraph("In another terminal, beside the running daemon:")?;
    page.verbatim(&format!("export SCOPEWARDEN_CONFIG={config}"))?;
    for command in [
        "clients",
        "findings list --due",
        "approvals list",
        "access Reporting_Engine",
        "probe",
        "diff",
        "verify",
    ] {
        page.verbatim(&format!("{program} {command}"))?;
    }
    page.gap()?;
    page.paragraph(&format!(
        "Give the role {role_name} the power to do everything, and wait for the alert below:"
    ))?;
    page.verbatim(&format!(
        "curl -sS -o /dev/null -X PATCH -H 'Content-Type: application/json' \\\n  -H 'Authorization: Bearer {token}' \\\n  -d '{{\"permissions\":[\"admin\"]}}' \\\n  {platform}/api/v2/authorization/roles/{role}"
    ))?;
    page.gap()?;
    page.paragraph("Ctrl-C ends it and leaves nothing behind. Alerts as they arrive:")?;
    page.gap()
}

/// An alert that arrived while the demonstration stays up.
pub(super) fn live(page: &mut Page, alert: &Alert, now: DateTime<Utc>) -> io::Result<()> {
    let severity = alert.severity.map(|severity| page.severity(severity)).unwrap_or_default();
    let Alert { kind, summary, .. } = alert;
    let label = format!("{} {severity}", now.format("%H:%M:%S"));
    page.entry(&label, 8 + 1 + LABELS, &format!("{summary} ({kind}, {})", signature(page, alert)))
}

/// What did not come true.
pub(super) fn broken(page: &mut Page, promises: &[String]) -> io::Result<()> {
    page.heading("This did not come true")?;
    for promise in promises {
        page.entry("-", 1, promise)?;
    }
    Ok(())
}

/// How much an audit cost, and whether it saw everything.
fn effort(act: &Act) -> String {
    let report = &act.report;
    let time = report.timings_ms;
    let ms = time.recall + time.collect + time.analyse + time.attribute + time.record;
    let calls = plural(usize::try_from(report.api_calls).unwrap_or_default(), "API call");
    let seen = if report.complete { "saw everything" } else { "did not see everything" };
    format!("The audit {seen} with {calls} in {ms} ms")
}

/// Alerts by type and signature, with their ids.
fn alerts(page: &mut Page, alerts: &[Alert]) -> io::Result<()> {
    page.gap()?;
    let groups: BTreeSet<(&str, bool)> =
        alerts.iter().map(|alert| (alert.kind.as_str(), alert.verified)).collect();
    for (kind, verified) in groups {
        let group: Vec<&Alert> =
            alerts.iter().filter(|alert| alert.kind == kind && alert.verified == verified).collect();
        let ids: Vec<&str> = group.iter().map(|alert| alert.id.as_str()).collect();
        let signature = group.first().map(|alert| signature(page, alert)).unwrap_or_default();
        let number = if group.len() == 1 { String::new() } else { format!("{} × ", group.len()) };
        page.entry(kind, "baseline.recorded".len(), &format!("{number}{signature}: {}", ids.join(" ")))?;
    }
    Ok(())
}

fn signature(page: &Page, alert: &Alert) -> String {
    if alert.verified {
        page.paint(Look::Good, "signature verified")
    } else {
        page.paint(Look::Bad, "signature NOT verified")
    }
}

/// Takes the findings of the clients that an event concerns out of a list.
fn take<'a>(findings: &mut Vec<&'a Finding>, event: &Event) -> Vec<&'a Finding> {
    let concerned = |finding: &mut &Finding| explain::concerns(event, finding.client.id.as_str());
    findings.extract_if(.., concerned).collect()
}

fn missing_from<'a>(some: &[Arc<Finding>], others: &'a [Arc<Finding>]) -> Vec<&'a Finding> {
    let known: BTreeSet<&str> = some.iter().map(|finding| finding.uid.as_str()).collect();
    others.iter().map(Arc::as_ref).filter(|finding| !known.contains(finding.uid.as_str())).collect()
}

fn without_org(labels: &str) -> String {
    let org = format!("org=\"{ORG}\"");
    labels.split(',').filter(|label| *label != org).collect::<Vec<_>>().join(" ")
}
