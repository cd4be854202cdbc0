use std::collections::BTreeSet;

use super::*;
use crate::{
    domain::Fact,
    telemetry::{Kind, Queue, SERIES, Series},
};

const CHECKS: [(&str, Severity); 2] =
    [("admin-role", Severity::Critical), ("client-described", Severity::Low)];

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn preset() -> Metrics {
    let metrics = Metrics::new();
    metrics.preset(&["acme".to_owned(), "globex".to_owned()], &["secops".to_owned()], &CHECKS);
    metrics
}

fn audit(finished: i64) -> AuditGauges {
    AuditGauges {
        finished_at: at(finished),
        duration_s: 1.5,
        clients: BTreeMap::from([(("client_credentials", "active"), 7), (("password", "active"), 1)]),
        findings: FindingGauges {
            due: BTreeMap::from([(("admin-role".to_owned(), Severity::Critical), 2)]),
            muted: 3,
            approved: 1,
            acknowledged: 0,
            expiring: 2,
        },
        gaps: BTreeMap::from([(Fact::Divisions, 1)]),
        grants_confirmed: Some(at(90)),
        usage_until: Some(at(95)),
    }
}

/// The value of the one line that starts with `series` and a space.
fn value<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// How many lines the family has.
fn count(page: &str, family: &str) -> usize {
    page.lines().filter(|line| line.split(['{', ' ']).next().is_some_and(|name| name == family)).count()
}

fn queue(pending: i64, dead: i64, oldest: Option<DateTime<Utc>>) -> (String, Queue) {
    ("secops".to_owned(), Queue { pending, dead, oldest })
}

/// Calls every method once, so that every family has a line.
fn filled() -> Metrics {
    let metrics = preset();
    metrics.org_info("acme", "0d3f", "mypurecloud.ie");
    metrics.audit_started("acme", at(100));
    metrics.audit_recorded("acme", &audit(101));
    metrics.audit_failed("globex", "auth", 0.25);
    metrics.next_run("acme", at(900));
    metrics.interval("acme", 900.0);
    metrics.missed_run("acme", MissedRun::Overlap);
    metrics.drift("acme", CauseKind::RolePermissionsChanged);
    metrics.api_request("oauth_clients", 0.12);
    metrics.api_retry("http_429");
    metrics.token_expires("acme", at(86_400));
    metrics.probe("acme", Expectation::Deny, Verdict::Refused);
    metrics.probe_prediction("acme", Prediction::Refused, ProbeAnswer::Refused);
    metrics.probes_run("acme", at(200));
    metrics.outbox([queue(3, 1, Some(at(90)))]);
    metrics.circuit("secops", true);
    metrics.delivery_attempt("secops");
    metrics.delivery_failure("secops", "timeout");
    metrics.db_size(DbFile::Main, 4096);
    metrics.db_size(DbFile::Wal, 0);
    metrics.db_free(1 << 30);
    metrics.db_writable(true);
    metrics.db_sound(true);
    metrics.backup_made(at(3_600));
    metrics.backup_interval(Some(86_400.0));
    metrics.config_loaded(at(1));
    metrics
}

#[test]
fn the_page_holds_exactly_the_listed_families() {
    let page = filled().render();
    let shown: BTreeSet<(String, String)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE scopewarden_"))
        .filter_map(|rest| rest.split_once(' '))
        .map(|(name, kind)| (format!("scopewarden_{name}"), kind.to_owned()))
        .collect();
    let listed: BTreeSet<(String, String)> = SERIES
        .iter()
        .map(|series| {
            let kind = match series.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            };
            (series.name.to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(shown, listed);
    assert_eq!(listed.len(), SERIES.len(), "a name is listed twice");
    if cfg!(target_os = "linux") {
        assert!(count(&page, "process_resident_memory_bytes") == 1, "no process metrics");
    }
}

#[test]
fn who_left_the_configuration_leaves_the_page() {
    let metrics = filled();
    metrics.keep_only(&["globex".to_owned()], &[]);
    let page = metrics.render();
    assert!(page.contains("org=\"globex\"") && !page.contains("acme") && !page.contains("secops"), "{page}");
    // Counted anew if they come back.
    metrics.preset(&["acme".to_owned()], &[], &CHECKS);
    assert_eq!(value(&metrics.render(), "scopewarden_audit_runs_total{org=\"acme\"}"), Some("0"));
}

#[test]
fn a_refused_configuration_shows_and_does_not_move_the_time() {
    let metrics = filled();
    let successful = |metrics: &Metrics| {
        let page = metrics.render();
        let of =
            |name: &str| value(&page, &format!("scopewarden_config_last_reload_{name}")).unwrap().to_owned();
        (of("successful"), of("success_timestamp_seconds"))
    };
    metrics.config_refused();
    assert_eq!(successful(&metrics), ("0".to_owned(), "1".to_owned()));
    metrics.config_loaded(at(50));
    assert_eq!(successful(&metrics), ("1".to_owned(), "50".to_owned()));
    // Nothing is claimed that is not known.
    let page = Metrics::new().render();
    for family in ["config_last_reload_successful", "db_integrity_ok", "db_backup_interval_seconds"] {
        assert_eq!(count(&page, &format!("scopewarden_{family}")), 0, "{family}");
    }
}

#[test]
fn names_follow_the_conventions() {
    for Series { name, kind, labels, help } in SERIES {
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
        for label in *labels {
            let taken =
                ["type", "region", "zone", "cluster", "env", "service", "owner", "stage", "job", "instance"];
            assert!(!taken.contains(label), "{name}: {label} is a likely target label");
        }
    }
}

#[test]
fn counters_are_born_at_zero() {
    let page = preset().render();
    for org in ["acme", "globex"] {
        assert_eq!(value(&page, &format!(r#"scopewarden_audit_runs_total{{org="{org}"}}"#)), Some("0"));
    }
    assert_eq!(count(&page, "scopewarden_audit_failures_total"), 2 * AUDIT_FAILURE_REASONS.len());
    assert_eq!(count(&page, "scopewarden_drift_events_total"), 2 * CauseKind::ALL.len());
    assert_eq!(count(&page, "scopewarden_scheduler_missed_runs_total"), 2 * MissedRun::ALL.len());
    assert_eq!(count(&page, "scopewarden_delivery_failures_total"), DELIVERY_FAILURE_REASONS.len());
    assert_eq!(count(&page, "scopewarden_api_retries_total"), API_RETRY_CAUSES.len());
    assert_eq!(value(&page, r#"scopewarden_outbox_messages{receiver="secops",state="dead"}"#), Some("0"));
}

#[test]
fn nothing_is_claimed_of_an_organisation_before_its_first_audit() {
    let metrics = preset();
    metrics.audit_started("acme", at(100));
    let page = metrics.render();
    for family in
        ["up", "oauth_clients", "findings_open", "audit_gaps", "audit_last_success_timestamp_seconds"]
    {
        assert_eq!(count(&page, &format!("scopewarden_{family}")), 0, "{family}");
    }
    assert_eq!(value(&page, r#"scopewarden_audit_last_attempt_timestamp_seconds{org="acme"}"#), Some("100"));
}

#[test]
fn an_audit_replaces_the_one_before_as_a_whole() {
    let metrics = preset();
    metrics.audit_recorded("acme", &audit(101));
    metrics.audit_recorded("globex", &audit(102));
    let page = metrics.render();
    let password = r#"scopewarden_oauth_clients{grant_type="password",org="acme",state="active"}"#;
    let admin = r#"scopewarden_findings_open{check="admin-role",org="acme",severity="critical"}"#;
    let described = r#"scopewarden_findings_open{check="client-described",org="acme",severity="low"}"#;
    let gap = r#"scopewarden_audit_gaps{fact="divisions",org="acme"}"#;
    assert_eq!(value(&page, password), Some("1"));
    assert_eq!(value(&page, admin), Some("2"));
    assert_eq!(value(&page, described), Some("0"));
    assert_eq!(value(&page, gap), Some("1"));
    let confirmed = r#"scopewarden_grants_oldest_confirmation_timestamp_seconds{org="acme"}"#;
    assert_eq!(value(&page, confirmed), Some("90"));
    let counted = r#"scopewarden_usage_window_end_timestamp_seconds{org="acme"}"#;
    assert_eq!(value(&page, counted), Some("95"));

    let after = AuditGauges {
        clients: BTreeMap::from([(("code", "disabled"), 4)]),
        findings: FindingGauges::default(),
        gaps: BTreeMap::new(),
        ..audit(201)
    };
    metrics.audit_recorded("acme", &after);
    let page = metrics.render();
    assert_eq!(value(&page, password), None);
    assert_eq!(
        value(&page, r#"scopewarden_oauth_clients{grant_type="code",org="acme",state="disabled"}"#),
        Some("4")
    );
    assert_eq!(value(&page, admin), Some("0"));
    assert_eq!(value(&page, gap), Some("0"));
    assert_eq!(value(&page, r#"scopewarden_audit_last_success_timestamp_seconds{org="acme"}"#), Some("201"));
    assert_eq!(
        value(&page, r#"scopewarden_oauth_clients{grant_type="password",org="globex",state="active"}"#),
        Some("1"),
        "another organisation's audit is not touched"
    );
}

#[test]
fn a_failed_audit_keeps_the_last_good_values() {
    let metrics = preset();
    metrics.audit_recorded("acme", &audit(101));
    let before = metrics.render();
    metrics.audit_started("acme", at(200));
    metrics.audit_failed("acme", "server", 30.0);
    let after = metrics.render();
    assert_eq!(value(&before, r#"scopewarden_up{org="acme"}"#), Some("1"));
    assert_eq!(value(&after, r#"scopewarden_up{org="acme"}"#), Some("0"));
    assert_eq!(value(&after, r#"scopewarden_audit_failures_total{org="acme",reason="server"}"#), Some("1"));
    assert_eq!(value(&after, r#"scopewarden_audit_last_duration_seconds{org="acme"}"#), Some("30"));
    let kept = |page: &str| -> Vec<String> {
        let families =
            ["oauth_clients", "findings_open", "audit_gaps", "audit_last_success_timestamp_seconds"];
        page.lines()
            .filter(|line| families.iter().any(|family| line.starts_with(&format!("scopewarden_{family}{{"))))
            .map(str::to_owned)
            .collect()
    };
    assert!(!kept(&before).is_empty());
    assert_eq!(kept(&before), kept(&after));
}

#[test]
fn a_check_that_nobody_announced_adds_no_label() {
    let metrics = preset();
    let mut seen = audit(101);
    for number in 0..1000 {
        seen.findings.due.insert((format!("retired-{number}"), Severity::High), 1);
    }
    metrics.audit_recorded("acme", &seen);
    let page = metrics.render();
    assert_eq!(count(&page, "scopewarden_findings_open"), CHECKS.len() + 1);
    assert_eq!(
        value(&page, r#"scopewarden_findings_open{check="other",org="acme",severity="high"}"#),
        Some("1000")
    );
}

#[test]
fn an_empty_outbox_has_no_oldest_message() {
    let metrics = preset();
    let oldest = r#"scopewarden_outbox_oldest_pending_timestamp_seconds{receiver="secops"}"#;
    metrics.outbox([queue(2, 0, Some(at(90)))]);
    assert_eq!(value(&metrics.render(), oldest), Some("90"));
    metrics.outbox([queue(0, 2, None)]);
    let page = metrics.render();
    assert_eq!(value(&page, oldest), None);
    assert_eq!(value(&page, r#"scopewarden_outbox_messages{receiver="secops",state="pending"}"#), Some("0"));
    assert_eq!(value(&page, r#"scopewarden_outbox_messages{receiver="secops",state="dead"}"#), Some("2"));
}

#[test]
fn a_name_cannot_break_out_of_its_label() {
    let metrics = Metrics::new();
    metrics.org_info("a\"}\nb\\", "id", "region");
    let page = metrics.render();
    assert!(page.contains(r#"org="a\"}\nb\\""#), "{page}");
}

#[test]
fn a_queue_that_emptied_shows_as_empty() {
    let metrics = preset();
    metrics
        .outbox([queue(2, 1, Some(at(90))), ("retired".to_owned(), Queue { dead: 4, ..Queue::default() })]);
    assert!(!metrics.render().contains("retired"), "one that left the configuration is not shown");
    metrics.outbox([]);
    let page = metrics.render();
    for state in ["pending", "dead"] {
        let series = format!(r#"scopewarden_outbox_messages{{receiver="secops",state="{state}"}}"#);
        assert_eq!(value(&page, &series), Some("0"));
    }
    assert!(!page.contains("oldest_pending_timestamp_seconds{"), "{page}");
}

#[test]
fn a_circuit_is_closed_until_it_opens() {
    let metrics = preset();
    let series = r#"scopewarden_receiver_circuit_open{receiver="secops"}"#;
    assert_eq!(value(&metrics.render(), series), Some("0"));
    metrics.circuit("secops", true);
    assert_eq!(value(&metrics.render(), series), Some("1"));
    metrics.outbox([queue(2, 1, Some(at(90)))]);
    assert_eq!(value(&metrics.render(), series), Some("1"), "the queue is another matter");
}
