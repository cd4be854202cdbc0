//! A compliance report for people, for a spreadsheet, for a document.

use std::{fmt::Write as _, io};

use crate::{
    cli::output::{Column, Output, Table, csv},
    domain::compliance::{CheckAnswer, Evidence, Report, Requirement, Verdict},
};

/// Findings of one check that a text names.
const NAMED: usize = 5;

pub(super) fn text(out: &mut Output, report: &Report) -> io::Result<()> {
    let Report { org, name, audit, clients, chain_head, .. } = report;
    let at = report.at.format("%Y-%m-%d %H:%M:%S UTC");
    out.line(format_args!("{org} and {name}: {}", summary(report)))?;
    out.note(format_args!("As of audit {audit} at {at}, {clients} clients; chain head {chain_head}"))?;
    out.note(report.note)?;
    for doubt in doubts(report) {
        out.note(format_args!("note: {doubt}"))?;
    }
    out.line("")?;
    let mut table = Table::new([Column::new("requirement"), Column::new("verdict"), Column::prose("title")]);
    for one in &report.requirements {
        table.row([one.requirement.into(), one.verdict.as_str().into(), one.title.into()]);
    }
    out.table(&table)?;
    for one in report.requirements.iter().filter(|one| one.verdict != Verdict::Met) {
        out.line("")?;
        out.line(format_args!("{} {}: {}", one.requirement, one.verdict.as_str(), one.title))?;
        for check in one.checks.iter().filter(|check| check.verdict.is_some_and(|is| is != Verdict::Met)) {
            out.note(format_args!("{} ({}): {}", check.check, check.severity, counts(check)))?;
            for finding in check.findings.iter().take(NAMED) {
                out.note(format_args!("  {}", evidence(finding)))?;
            }
            if check.findings_total > NAMED {
                let more = check.findings_total - NAMED;
                out.note(format_args!("  and {more} more: scopewarden findings --check {}", check.check))?;
            }
        }
        let fine: Vec<&str> = (one.checks.iter())
            .filter(|check| check.verdict == Some(Verdict::Met))
            .map(|check| check.check)
            .collect();
        if !fine.is_empty() {
            out.note(format_args!("passed: {}", fine.join(", ")))?;
        }
    }
    Ok(())
}

fn summary(report: &Report) -> String {
    let each = Verdict::ALL.iter().rev().filter_map(|verdict| {
        let count = report.summary.get(verdict).copied().filter(|count| *count > 0)?;
        Some(format!("{count} {}", verdict.as_str()))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// What makes the whole report say less.
fn doubts(report: &Report) -> Vec<String> {
    let mut doubts = Vec::new();
    if report.failing {
        doubts.push("audits after this one failed; what changed since is not seen".to_owned());
    }
    if report.stale {
        doubts.push("this audit is old; what changed since is not seen".to_owned());
    }
    for gap in &report.gaps {
        let fact = gap.fact.as_str().replace('_', " ");
        doubts.push(format!("the audit is not complete ({fact}, {}): {}", gap.reason, gap.detail));
    }
    doubts
}

/// "2 of 30 clients failed, 1 unknown, not asked of 27 (they have no contract)".
fn counts(check: &CheckAnswer) -> String {
    let of = check.clients;
    let asked = of.passed + of.failed + of.excepted + of.unknown;
    let mut parts = Vec::new();
    for (count, word) in
        [(of.failed, "failed"), (of.excepted, "accepted"), (of.unknown, "unknown"), (of.passed, "passed")]
    {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let mut text =
        if asked == 0 { String::new() } else { format!("of {asked} clients {}", parts.join(", ")) };
    for lack in &check.not_asked {
        let begin = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{begin}not asked of {}: {}", lack.clients, lack.reason.sentence());
    }
    if !check.gaps.is_empty() {
        let facts: Vec<String> = check.gaps.iter().map(|fact| fact.as_str().replace('_', " ")).collect();
        let _ = write!(text, "; not seen: {}", facts.join(", "));
    }
    text
}

fn evidence(finding: &Evidence) -> String {
    let mark = match (finding.status, finding.accepted) {
        (crate::domain::finding::Status::Unknown, _) => " (unknown)",
        (_, true) => " (accepted)",
        _ => "",
    };
    let since = finding.first_seen.format("%Y-%m-%d");
    format!("{}{mark}, since {since}, {}", finding.title, finding.uid)
}

fn verdict(check: &CheckAnswer) -> &'static str {
    check.verdict.map_or("does not apply", Verdict::as_str)
}

/// One row for each requirement and check.
pub(super) fn csv(out: &mut Output, report: &Report) -> Result<(), anyhow::Error> {
    let head = [
        "org",
        "framework",
        "requirement",
        "title",
        "verdict",
        "check",
        "check_verdict",
        "severity",
        "passed",
        "failed",
        "excepted",
        "unknown",
        "not_asked",
        "not_applicable",
        "findings_total",
        "findings",
        "not_asked_because",
        "gaps",
        "audit",
        "at",
        "complete",
        "stale",
        "failing",
        "chain_head",
    ];
    out.bytes(&csv::line(&head.map(str::to_owned))?)?;
    for one in &report.requirements {
        for check in &one.checks {
            out.bytes(&csv::line(&cells(report, one, check))?)?;
        }
    }
    Ok(())
}

fn cells(report: &Report, one: &Requirement, check: &CheckAnswer) -> Vec<String> {
    let of = check.clients;
    let uids: Vec<&str> = check.findings.iter().map(|finding| finding.uid.as_str()).collect();
    let lacks: Vec<&str> = check.not_asked.iter().map(|lack| lack.reason.sentence()).collect();
    let gaps: Vec<&str> = check.gaps.iter().map(|fact| fact.as_str()).collect();
    let mut cells: Vec<String> = [
        &report.org,
        report.framework,
        one.requirement,
        one.title,
        one.verdict.as_str(),
        check.check,
        verdict(check),
        check.severity.as_str(),
    ]
    .map(str::to_owned)
    .into();
    let numbers = [
        of.passed,
        of.failed,
        of.excepted,
        of.unknown,
        of.not_asked,
        of.not_applicable,
        check.findings_total,
    ];
    cells.extend(numbers.map(|number| number.to_string()));
    cells.extend([
        uids.join(" "),
        lacks.join(", "),
        gaps.join(" "),
        report.audit.clone(),
        report.at.to_rfc3339(),
        report.complete.to_string(),
        report.stale.to_string(),
        report.failing.to_string(),
        report.chain_head.to_string(),
    ]);
    cells
}

pub(super) fn markdown(out: &mut Output, report: &Report) -> io::Result<()> {
    let Report { org, name, audit, clients, chain_head, .. } = report;
    out.line(format_args!("# {}: {name}", marked(org)))?;
    out.line("")?;
    out.line(format_args!("{}.", summary(report)))?;
    out.line("")?;
    let at = report.at.format("%Y-%m-%d %H:%M:%S UTC");
    out.line(format_args!("As of audit `{audit}` at {at}, {clients} clients; chain head `{chain_head}`."))?;
    out.line("")?;
    out.line(report.note)?;
    for doubt in doubts(report) {
        out.line("")?;
        out.line(format_args!("> {}", marked(&doubt)))?;
    }
    out.line("")?;
    out.line("| Requirement | Title | Verdict | Evidence |")?;
    out.line("|---|---|---|---|")?;
    for one in &report.requirements {
        let each = one.checks.iter().map(|check| {
            let counts = counts(check);
            let counts = if counts.is_empty() { "applies to no client".to_owned() } else { counts };
            format!("`{}` {}: {}", check.check, verdict(check), marked(&counts))
        });
        let evidence = each.collect::<Vec<_>>().join("<br>");
        out.line(format_args!(
            "| {} | {} | {} | {evidence} |",
            one.requirement,
            one.title,
            one.verdict.as_str()
        ))?;
    }
    let found = report.requirements.iter().flat_map(|one| one.checks.iter().map(move |check| (one, check)));
    let found: Vec<_> = found.filter(|(_, check)| !check.findings.is_empty()).collect();
    if found.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line("## Findings")?;
    let mut told = std::collections::BTreeSet::new();
    for (_, check) in found.iter().filter(|(_, check)| told.insert(check.check)) {
        out.line("")?;
        let serves: Vec<&str> = found
            .iter()
            .filter(|(_, other)| other.check == check.check)
            .map(|(one, _)| one.requirement)
            .collect();
        out.line(format_args!("### `{}` ({}), {}", check.check, check.severity, serves.join(", ")))?;
        out.line("")?;
        for finding in &check.findings {
            out.line(format_args!("- {}", marked(&evidence(finding))))?;
        }
        if check.findings_total > check.findings.len() {
            out.line(format_args!("- and {} more", check.findings_total - check.findings.len()))?;
        }
    }
    Ok(())
}

/// A text that somebody else chose, so that it says nothing to Markdown or HTML.
fn marked(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '!' | '#' => {
                safe.push('\\');
                safe.push(letter);
            }
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn a_name_is_no_markup() {
        assert_eq!(marked("a|b <img> [x](y) _z_"), "a\\|b &lt;img> \\[x\\](y) \\_z\\_");
    }
}
