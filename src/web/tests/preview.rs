use super::*;

#[tokio::test]
#[ignore = "temporary"]
async fn preview() {
    let site = Site::start().await;
    let mut opened = vec![];
    for (name, check, sev, title) in [
        (
            "Legacy_Migration_Tool",
            "admin-role",
            Severity::Critical,
            "Legacy_Migration_Tool holds the Admin role",
        ),
        (
            "Reporting_Engine",
            "high-privilege",
            Severity::High,
            "Reporting_Engine can delete users (directory:user:delete)",
        ),
        (
            "Dialer-Sync",
            "every-division",
            Severity::High,
            "Dialer-Sync is granted AnalyticsSuperuser in every division, present and future",
        ),
        ("WFM Export", "token-lifetime", Severity::Medium, "A token of WFM Export lives for 48 hours"),
        (
            "crm-bridge",
            "insecure-redirect",
            Severity::Medium,
            "crm-bridge accepts a redirect over plain http",
        ),
        ("Salesforce", "no-description", Severity::Low, "Salesforce has power but no description"),
        (
            "<script>alert(1)</script>",
            "default-role",
            Severity::Info,
            "<script>alert(1)</script> uses a role that the platform ships",
        ),
    ] {
        let mut f = finding("acme", name, check, sev);
        f.client.id = "4f6c2d0e-7a1b-4c3d-9e8f-001122334455".into();
        f.title = title.into();
        f.evidence = "Role Reporting_Engine_ReadOnly (granted in North America) allows directory:user:delete since 2026-06-01.".into();
        f.remediation =
            "Take directory:user:delete out of the role, or give the client a role of its own.".into();
        opened.push(f);
    }
    opened[5].status = Status::Unknown;
    let mut ev = role_gained("acme", "a-1", 5);
    ev.cause.subject.name = "Reporting_Engine_ReadOnly".into();
    let mut e2 = role_gained("acme", "a-2", 1);
    e2.cause.kind = crate::domain::event::CauseKind::ClientScopesChanged;
    e2.cause.subject.kind = "client".into();
    e2.cause.subject.name = "crm-bridge".into();
    site.record("acme", ago(3), &[gap()], &[ev, e2], &opened).await;
    let mut o2 = finding("north & south", "IVR Deployer", "wildcard-role", Severity::High);
    o2.uid = uid("x", "y", &"z".into(), "");
    site.record("north & south", ago(300), &[], &[], &[o2]).await;
    site.record_failure(
        "north & south",
        ago(15),
        "The platform did not answer within 15 s; check the route to api.usw2.pure.cloud.",
    )
    .await;
    site.record_failure("acme", ago(200), "The token endpoint answered 503 four times.").await;
    std::fs::write("/tmp/web-preview-port", site.address.port().to_string()).unwrap();
    while !std::path::Path::new("/tmp/web-preview-stop").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
