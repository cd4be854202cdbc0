//! The page that people read.

use super::*;
use crate::{domain::decision::desk::Terms, store::Decision};

#[tokio::test]
async fn before_the_first_audit_nothing_is_called_clean() {
    let site = Site::start().await;
    let page = site.get("/").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("Not audited yet"));
    assert!(page.body.contains("Not known before the first audit."));
    assert!(!page.body.contains("No open finding"));
    assert!(page.body.contains("No change was recorded so far."));
}

#[tokio::test]
async fn it_shows_audits_gaps_failures_findings_and_changes() {
    let site = Site::start().await;
    let events = [role_gained("acme", "a-1", 2)];
    let opened = [finding("acme", "Dialer", "admin-role", Severity::Critical)];
    site.record("acme", ago(3), &[gap()], &events, &opened).await;
    site.record("north & south", ago(300), &[], &[], &[]).await;
    site.record_failure("north & south", ago(15), "The platform did not answer within 15 s.").await;
    let page = site.get("/").await.body;
    for part in [
        "<time datetime=\"2026-06-01T11:57:00Z\">2026-06-01 11:57 UTC</time>",
        "(3 minutes ago)",
        "<b>divisions</b>: The auditor may not list divisions",
        "title=\"2026-06-01 09:00 UTC\">3 hours ago</time>",
        "<span class=\"badge critical\">1 critical</span>",
        "<summary>Dialer fails admin-role</summary>",
        "role Role r gained directory:user:delete; Client c0 and Client c1 gained power by it",
        "The platform did not answer within 15 s.",
        "No audit was recorded since",
        "last attempt failed",
        "overdue",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[tokio::test]
async fn it_is_filtered_by_organisation() {
    let site = Site::start().await;
    site.record("acme", ago(3), &[], &[], &[finding("acme", "Dialer", "admin-role", Severity::High)]).await;
    site.record("north & south", ago(2), &[], &[], &[]).await;
    let page = site.get("/?org=north+%26+south").await.body;
    assert!(page.contains("No open finding.") && !page.contains("Dialer"));
    assert!(page.contains("href=\"api/v1/findings?org=north+%26+south\""), "links keep the filter");
    assert!(page.contains("aria-current=\"page\">north &#38; south</a>"));

    let unknown = site.get("/?org=nobody").await;
    assert_eq!(
        (unknown.status, unknown.headers["content-type"].as_str()),
        (400, "text/plain; charset=utf-8")
    );
    assert!(unknown.body.starts_with("The parameter org is \"nobody\""), "{}", unknown.body);
}

#[tokio::test]
async fn names_and_facts_are_text_and_never_markup() {
    let site = Site::start().await;
    let evil = "<script>alert('x')</script>\"onload=\"y";
    let mut open = finding("acme", evil, evil, Severity::High);
    open.title = evil.to_owned();
    open.evidence = evil.to_owned();
    open.remediation = evil.to_owned();
    let mut event = role_gained("acme", "a-1", 1);
    event.cause.subject.name = evil.to_owned();
    event.clients[0].name = evil.to_owned();
    let gap = Gap { subject: Some(evil.to_owned()), detail: evil.to_owned(), ..gap() };
    site.record("acme", ago(30), &[gap], &[event], &[open]).await;
    site.record_failure("acme", ago(3), evil).await;
    let page = site.get("/").await.body;
    assert!(!page.contains("<script") && !page.contains("\"onload"), "{page}");
    assert_eq!(
        page.matches("&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#34;onload=&#34;y").count(),
        11
    );
    assert!(!page.contains(" style=") && !page.contains("://"), "nothing inline, nothing from elsewhere");
}

#[tokio::test]
async fn the_worst_two_hundred_findings_are_listed_and_all_are_counted() {
    let site = Site::start().await;
    let mut opened: Vec<Finding> = (0..250)
        .map(|number| finding("acme", &format!("low-{number}"), "token-lifetime", Severity::Low))
        .collect();
    opened.push(finding("acme", "the worst", "admin-role", Severity::Critical));
    site.record("acme", ago(3), &[], &[], &opened).await;
    let page = site.get("/").await.body;
    assert_eq!(page.matches("<summary>").count(), 200);
    assert!(page.contains("The 200 worst of 251 are listed."));
    assert!(page.contains("<span class=\"badge low\">250 low</span>"));
    let (worst, first_low) = (page.find("<summary>the worst"), page.find("<summary>low-"));
    assert!(worst.unwrap() < first_low.unwrap());
}

#[tokio::test]
async fn what_people_decided_is_shown_last_and_not_counted() {
    let site = Site::start().await;
    let opened = [
        finding("acme", "Dialer", "admin-role", Severity::Critical),
        finding("acme", "Robot", "broad-scopes", Severity::Low),
    ];
    site.record("acme", ago(3), &[], &[], &opened).await;
    let uids = vec![opened[0].uid.clone()];
    let terms = Terms {
        id: "dec-1".to_owned(),
        owner: "ops <b>".to_owned(),
        reason: "moves in Q1".to_owned(),
        ticket: None,
        expires: Some(ago(-60)),
    };
    let mute = site.state.store.decide("acme", ago(2), move |desk, _| {
        let step = desk.mute(&uids, terms, ago(2))?;
        Ok(Decision { entries: step.entries, messages: Vec::new(), answer: () })
    });
    mute.await.unwrap().unwrap();
    let page = site.get("/").await.body;
    assert!(page.contains("muted by ops &#60;b&#62; until 2026-06-01 13:00 UTC: moves in Q1"), "{page}");
    assert!(page.contains("Decided by people: 1 muted."), "{page}");
    assert!(!page.contains("1 critical") && page.contains("1 low"), "{page}");
    assert!(page.find("Robot fails").unwrap() < page.find("Dialer fails").unwrap(), "{page}");
    let orgs = site.get("/api/v1/orgs?org=acme").await.json();
    assert_eq!((&orgs[0]["findings"]["muted"], &orgs[0]["findings"]["critical"]), (&1.into(), &0.into()));
}
