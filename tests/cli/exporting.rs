//! `export`, `compliance`, and `audit --format ocsf`.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

/// The cells of a CSV, one list a row, the head first.
fn table(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn column(table: &[Vec<String>], name: &str) -> Vec<String> {
    let at = table[0].iter().position(|head| head == name).unwrap_or_else(|| panic!("no column {name}"));
    table[1..].iter().map(|row| row[at].clone()).collect()
}

fn words(values: &[Value], name: &str) -> BTreeSet<String> {
    values.iter().map(|value| value[name].as_str().unwrap_or_default().to_owned()).collect()
}

/// A client whose name is a formula and holds a quote, a comma and a line's end.
const FORMULA: &str = "=cmd|' /C calc'!A0,\"x\"\nnext";

/// An organisation with two audits, between which a role gained a permission and lost it again after the second.
async fn with_history() -> Workplace {
    let workplace = Workplace::new().await;
    workplace.add_client(FORMULA, "Reporting_Engine_ReadOnly").await;
    workplace.run(&["audit"]).ends_with(0);
    let roles = workplace.call(Method::GET, "/api/v2/authorization/roles?pageSize=100", None).await;
    let roles = roles["entities"].as_array().unwrap();
    let before = roles.iter().find(|role| role["name"] == "Reporting_Engine_ReadOnly").unwrap().clone();
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    workplace.run(&["audit"]).ends_with(0);
    let path = format!("/api/v2/authorization/roles/{}", before["id"].as_str().unwrap());
    workplace.call(Method::PUT, &path, Some(&before)).await;
    workplace.run(&["audit"]).ends_with(0);
    workplace
}

#[tokio::test(flavor = "multi_thread")]
async fn each_format_has_every_open_finding() {
    let workplace = with_history().await;
    let open = workplace.run(&["findings", "--json"]).ends_with(0).json();
    let uids = words(open.as_array().unwrap(), "uid");
    assert!(!uids.is_empty());

    let lines = workplace.run(&["export"]).ends_with(0).json_lines();
    assert_eq!(words(&lines, "uid"), uids);
    assert!(lines.iter().all(|line| line["change"] == "open" && line["chain_head"].is_string()));

    let csv = workplace.run(&["export", "findings", "--format", "csv"]).ends_with(0).stdout;
    assert!(csv.starts_with("at,audit,change,org,uid,check,") && csv.contains("\r\n"), "{csv}");
    let rows = table(&csv);
    assert_eq!(column(&rows, "uid").into_iter().collect::<BTreeSet<_>>(), uids);

    let ocsf = workplace.run(&["export", "--format", "ocsf"]).ends_with(0).json_lines();
    let told: BTreeSet<String> =
        ocsf.iter().map(|one| one["finding_info"]["uid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, uids);
    assert!(ocsf.iter().all(|one| one["metadata"]["version"] == "1.8.0" && one["status"] == "New"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cell_is_a_formula() {
    let workplace = with_history().await;
    for what in ["findings", "events", "clients", "permissions"] {
        let rows = table(&workplace.run(&["export", what, "--format", "csv"]).ends_with(0).stdout);
        assert!(rows.len() > 1, "{what}");
        for cell in rows.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{what}: {cell:?}");
        }
    }
    let rows = table(&workplace.run(&["export", "clients", "--format", "csv"]).ends_with(0).stdout);
    assert!(
        column(&rows, "name").contains(&format!("'{FORMULA}")),
        "the name is whole behind the apostrophe"
    );
    let lines = workplace.run(&["export", "clients"]).ends_with(0).json_lines();
    assert!(words(&lines, "name").contains(FORMULA), "JSON has it unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_what_opened_and_what_was_resolved() {
    let workplace = with_history().await;
    let changes = workplace.run(&["export", "findings", "--from", "2020-01-01"]).ends_with(0).json_lines();
    let of = |change: &str| {
        let of: Vec<Value> = changes.iter().filter(|one| one["change"] == change).cloned().collect();
        words(&of, "uid")
    };
    assert!(!of("resolved").is_empty() && of("resolved").is_subset(&of("opened")));
    let audits = words(&changes, "audit");
    assert!(audits.len() >= 3, "{audits:?}");
    let ocsf =
        workplace.run(&["export", "--from", "2020-01-01", "--format", "ocsf"]).ends_with(0).json_lines();
    assert_eq!(ocsf.len(), changes.len());
    assert!(ocsf.iter().any(|one| one["activity_name"] == "Close" && one["status"] == "Resolved"));
    assert!(workplace.run(&["export", "--to", "2020-01-01"]).ends_with(0).stdout.is_empty());
    let wrong = workplace.run(&["export", "--from", "2026-02-01", "--to", "2026-01-01"]).ends_with(64);
    assert!(wrong.stderr.contains("is later than --to"), "{}", wrong.stderr);

    let events = workplace.run(&["export", "events"]).ends_with(0).json_lines();
    let kinds: Vec<&str> = events.iter().map(|event| event["cause"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["role_permissions_changed", "role_permissions_changed"]);
    let ids = words(&events, "id");
    let ocsf = workplace.run(&["export", "events", "--format", "ocsf"]).ends_with(0).json_lines();
    let told: BTreeSet<String> =
        ocsf.iter().map(|one| one["finding_info"]["uid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ids);
    let rows = table(&workplace.run(&["export", "events", "--format", "csv"]).ends_with(0).stdout);
    assert!(column(&rows, "gained").contains(&"directory:user:delete".to_owned()), "{rows:?}");
    assert!(column(&rows, "lost").contains(&"directory:user:delete".to_owned()), "{rows:?}");
    // Who made each change, in every format: here, that the log has no entry yet.
    assert!(events.iter().all(|event| event["actor"]["certainty"].is_string()), "{events:?}");
    assert!(ocsf.iter().all(|one| one["evidences"][0]["data"]["actor"]["certainty"].is_string()), "{ocsf:?}");
    let told: BTreeSet<String> = column(&rows, "actor_certainty").into_iter().collect();
    let certainties = events.iter().map(|event| event["actor"]["certainty"].as_str().unwrap().to_owned());
    assert_eq!(told, certainties.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_what_access_shows() {
    let workplace = with_history().await;
    let mut shown = BTreeSet::new();
    for line in workplace.run(&["access", "--all"]).ends_with(0).json_lines() {
        for held in line["permissions"].as_array().unwrap() {
            shown.insert((line["client"]["id"].to_string(), held["permission"].to_string()));
        }
    }
    let lines = workplace.run(&["export", "permissions"]).ends_with(0).json_lines();
    let exported: BTreeSet<(String, String)> = (lines.iter())
        .filter(|line| !line["permission"].is_null())
        .map(|line| (line["client"]["id"].to_string(), line["permission"].to_string()))
        .collect();
    assert_eq!(exported, shown);
    let clients = workplace.run(&["clients", "--json"]).ends_with(0).json();
    let named: BTreeSet<String> = lines.iter().map(|line| line["client"]["id"].to_string()).collect();
    assert_eq!(named.len(), clients.as_array().unwrap().len(), "a client without permissions has a row too");
    let rows = table(&workplace.run(&["export", "permissions", "--format", "csv"]).ends_with(0).stdout);
    assert_eq!(rows.len() - 1, lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_there_whole_or_not_at_all() {
    let workplace = with_history().await;
    fs::write(workplace.path("out.csv"), "what was there").unwrap();
    let said = workplace.run(&["export", "--format", "csv", "--output", "out.csv"]).ends_with(0);
    assert_eq!(said.stdout, "");
    let on_stdout = workplace.run(&["export", "--format", "csv"]).ends_with(0).stdout;
    assert_eq!(fs::read_to_string(workplace.path("out.csv")).unwrap(), on_stdout);
    let mode = fs::metadata(workplace.path("out.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it says who can do what");

    let missing = workplace.run(&["export", "--output", "nowhere/out.json"]).ends_with(1);
    assert!(missing.stderr.contains("--output: no file can be written in nowhere"), "{}", missing.stderr);
    let before = fs::read_dir(workplace.path(".")).unwrap().count();
    fs::create_dir(workplace.path("taken")).unwrap();
    workplace.run(&["export", "--output", "taken"]).ends_with(1);
    assert_eq!(
        fs::read_dir(workplace.path(".")).unwrap().count(),
        before + 1,
        "nothing half-written is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_was_never_audited_is_no_empty_export() {
    let workplace = Workplace::new().await;
    workplace.configure(&format!("{}{}", workplace.org("acme"), workplace.org("late")));
    workplace.run(&["audit", "--org", "acme"]).ends_with(0);
    let ran = workplace.run(&["export"]).ends_with(1);
    assert!(!ran.stdout.is_empty(), "what there is was exported");
    assert!(ran.stderr.contains("no audit of late is recorded yet"), "{}", ran.stderr);
    let ran =
        workplace.run(&["export", "--org", "late", "--format", "csv", "--output", "late.csv"]).ends_with(1);
    assert!(ran.stderr.contains("scopewarden audit --org late"), "{}", ran.stderr);
    assert!(!workplace.path("late.csv").exists());
    for arguments in
        [&["compliance", "nist", "--org", "late"][..], &["compliance", "pci", "--org", "late", "--json"]]
    {
        assert!(workplace.run(arguments).ends_with(1).stderr.contains("no audit of late"), "{arguments:?}");
    }
    workplace.run(&["export", "--org", "acme"]).ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_an_export_may_leave_early() {
    let workplace = with_history().await;
    for arguments in [&["export", "permissions"][..], &["export", "permissions", "--format", "csv"]] {
        let mut program = workplace.program();
        let mut child =
            program.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        let ended = child.wait_with_output().unwrap();
        assert!(!first.is_empty() && ended.status.code() == Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_of_an_incomplete_audit_says_so_beside_the_rows() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    workplace.fault("GET /api/v2/authorization/divisions", "forbidden").await;
    workplace.run(&["audit"]).ends_with(1);
    let ran = workplace.run(&["export", "clients"]).ends_with(0);
    assert!(ran.stderr.contains("did not see everything (divisions)"), "{}", ran.stderr);
    assert!(ran.json_lines().len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_speaks_ocsf() {
    let workplace = Workplace::new().await;
    let first = workplace.run(&["audit", "--format", "ocsf"]).ends_with(0).json_lines();
    assert!(first.iter().all(|one| one["activity_name"] == "Create" && one["status"] == "New"));
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let second = workplace.run(&["audit", "--format", "ocsf"]).ends_with(0).json_lines();
    assert_eq!(second[0]["class_uid"], 2004);
    assert_eq!(second[0]["evidences"][0]["data"]["cause"]["kind"], "role_permissions_changed");
    assert!(second.iter().any(|one| one["activity_name"] == "Update"));
    workplace.fault("GET /api/v2/oauth/clients", "forbidden").await;
    let failed = workplace.run(&["audit", "--format", "ocsf"]).ends_with(1).json_lines();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["status_code"], "forbidden");
    assert_eq!(failed[0]["metadata"]["tenant_uid"], "acme");
}

fn requirement<'a>(report: &'a Value, number: &str) -> &'a Value {
    report["requirements"].as_array().unwrap().iter().find(|one| one["requirement"] == number).unwrap()
}

fn check<'a>(requirement: &'a Value, id: &str) -> &'a Value {
    requirement["checks"].as_array().unwrap().iter().find(|one| one["check"] == id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requirement_fails_with_the_clients_and_uids_that_are_its_evidence() {
    let workplace = with_history().await;
    let open = workplace.run(&["findings", "--json"]).ends_with(0).json();
    let uids = words(open.as_array().unwrap(), "uid");
    let clients = workplace.run(&["clients", "--json"]).ends_with(0).json().as_array().unwrap().len();
    for framework in ["nist", "cis", "iso", "soc2", "pci"] {
        let report = workplace.run(&["compliance", framework, "--json"]).ends_with(0).json();
        assert_eq!(report["clients"].as_u64().unwrap(), clients as u64);
        assert!(report["note"].as_str().unwrap().contains("an auditor decides"));
        assert!(report["complete"].as_bool().unwrap() && !report["stale"].as_bool().unwrap());
        let of_all: u64 =
            report["summary"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(of_all, report["requirements"].as_array().unwrap().len() as u64);
        for one in report["requirements"].as_array().unwrap() {
            for check in one["checks"].as_array().unwrap() {
                let total: u64 =
                    check["clients"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
                assert_eq!(total, clients as u64, "{check}");
                for finding in check["findings"].as_array().unwrap() {
                    assert!(uids.contains(finding["uid"].as_str().unwrap()), "{finding}");
                    assert!(finding["client"]["name"].is_string());
                }
            }
        }
    }
    let report = workplace.run(&["compliance", "nist", "--json"]).ends_with(0).json();
    let privilege = requirement(&report, "AC-6");
    assert_eq!(privilege["verdict"], "failed");
    assert!(check(privilege, "admin-role")["clients"]["failed"].as_u64().unwrap() > 0);
    let contract = check(privilege, "contract-exceeded");
    assert_eq!(contract["not_asked"][0]["reason"], "no_contract");
    let probed = requirement(&report, "CA-8");
    assert_eq!(probed["verdict"], "unknown", "no probe was ever run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_said_and_makes_nothing_met() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let before = workplace.run(&["compliance", "nist", "--json"]).ends_with(0).json();
    workplace.fault("GET /api/v2/authorization/divisions", "forbidden").await;
    workplace.run(&["audit"]).ends_with(1);
    let after = workplace.run(&["compliance", "nist", "--json"]).ends_with(0).json();
    assert_eq!((&after["complete"], &after["gaps"][0]["fact"]), (&json!(false), &json!("divisions")));
    let rank =
        |verdict: &Value| ["met", "excepted", "unknown", "failed"].iter().position(|one| verdict == one);
    for one in after["requirements"].as_array().unwrap() {
        let was = requirement(&before, one["requirement"].as_str().unwrap());
        assert!(rank(&one["verdict"]) >= rank(&was["verdict"]), "{one}");
    }
    let text = workplace.run(&["compliance", "nist"]).ends_with(0).stdout;
    assert!(text.contains("note: the audit is not complete (divisions, forbidden)"), "{text}");
    workplace.fault("GET /api/v2/oauth/clients", "forbidden").await;
    workplace.run(&["audit"]).ends_with(1);
    let text = workplace.run(&["compliance", "nist"]).ends_with(0).stdout;
    assert!(text.contains("note: audits after this one failed"), "{text}");
}

fn told(ran: Ran) -> String {
    ran.ends_with(0).stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_a_text_a_table_or_a_document() {
    let workplace = with_history().await;
    let text = told(workplace.run(&["compliance", "pci"]));
    assert!(text.starts_with("acme and PCI DSS 4.0.1: "), "{text}");
    for part in ["chain head", "an auditor decides", "REQUIREMENT", "7.2.5 failed: ", "not asked of"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let rows = table(&told(workplace.run(&["compliance", "pci", "--format", "csv"])));
    let json = workplace.run(&["compliance", "pci", "--json"]).ends_with(0).json();
    let numbers: BTreeSet<String> = column(&rows, "requirement").into_iter().collect();
    assert_eq!(numbers, words(json["requirements"].as_array().unwrap(), "requirement"));
    let page = told(workplace.run(&["compliance", "pci", "--format", "markdown"]));
    assert!(page.starts_with("# acme: PCI DSS 4.0.1\n") && page.contains("| 7.2.5 | "), "{page}");
    assert!(page.lines().filter(|line| line.starts_with("| ")).all(|line| line.ends_with(" |")), "{page}");
    let one = workplace.run(&["compliance", "pci", "--requirement", "7.2.5", "--json"]).ends_with(0).json();
    assert_eq!(one["requirements"].as_array().unwrap().len(), 1);
    let wrong = workplace.run(&["compliance", "pci", "--requirement", "7.2.55"]).ends_with(64);
    assert!(wrong.stderr.contains("did you mean \"7.2.5\""), "{}", wrong.stderr);
}
