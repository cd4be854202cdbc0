//! The demonstration as its audience meets it: the real program, its output, its exit code, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The program, with a folder for temporary things that must be empty again when it has ended.
fn demo(arguments: &[&str], folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scopewarden"));
    command.arg("demo").args(arguments).env("TMPDIR", folder.path()).env_remove("SCOPEWARDEN_LOG");
    command
}

fn play(arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let output = demo(arguments, &folder).output().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
    output
}

/// The document of a run that went well and said nothing else.
fn document(seed: &str) -> Value {
    let output = play(&["--once", "--json", "--seed", seed]);
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The event of the second audit of this kind.
fn event<'a>(document: &'a Value, kind: &str) -> &'a Value {
    let events = list(&document["audits"][1]["events"]);
    let found: Vec<&Value> = events.iter().filter(|event| event["cause"]["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "one event {kind}");
    found[0]
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

/// Names of clients with the permissions that they gained (or lost).
fn moved<'a>(event: &'a Value, side: &str) -> BTreeMap<&'a str, Vec<&'a str>> {
    let permissions =
        |client: &'a Value| list(&client[side]).iter().map(|gain| text(&gain["permission"])).collect();
    list(&event["clients"]).iter().map(|client| (text(&client["name"]), permissions(client))).collect()
}

/// Whom the findings that rest on a role name.
fn holders(document: &Value, role: &str) -> BTreeSet<String> {
    let of_role = |finding: &&Value| text(&finding["evidence"]).contains(&format!("granted role {role} ("));
    let findings = list(&document["audits"][1]["findings"]).iter().filter(of_role);
    findings.map(|finding| text(&finding["client"]["name"]).to_owned()).collect()
}

#[test]
fn the_document_has_all_that_was_promised() {
    let document = document("1");
    let org = text(&document["org"]);
    let audits = list(&document["audits"]);
    assert_eq!(audits.len(), 4);
    assert!(audits.iter().all(|audit| audit["complete"] == true && audit["org"] == org));
    let baselines: Vec<&Value> = audits.iter().map(|audit| &audit["baseline"]).collect();
    assert_eq!(baselines, [true, false, false, false]);
    assert_eq!(audits[0]["clients"], 20);
    assert!(list(&audits[0]["events"]).is_empty(), "the first audit has nothing to compare with");
    let all: Vec<&Value> = audits[1..].iter().flat_map(|audit| list(&audit["events"])).collect();
    assert_eq!(all, list(&document["events"]).iter().collect::<Vec<_>>());
    assert_eq!(audits[3]["findings"], document["findings"]);

    let events = list(&audits[1]["events"]);
    let kinds: BTreeSet<&str> = events.iter().map(|event| text(&event["cause"]["kind"])).collect();
    let four = ["client_added", "client_removed", "client_scopes_changed", "role_permissions_changed"];
    assert_eq!((events.len(), kinds), (4, BTreeSet::from(four)));

    for kind in four {
        let series = format!("scopewarden_drift_events_total{{cause=\"{kind}\",org=\"{org}\"}}");
        // The role's change is taken back in the end.
        let times = if kind == "role_permissions_changed" { 2.0 } else { 1.0 };
        assert_eq!(document["metrics"][&series], times, "{series}");
    }
    let none = format!("scopewarden_drift_events_total{{cause=\"role_removed\",org=\"{org}\"}}");
    assert_eq!(document["metrics"][&none], 0.0);
    let admins =
        format!("scopewarden_findings_open{{check=\"admin-role\",org=\"{org}\",severity=\"critical\"}}");
    let open = |audit: &Value| {
        let of_check = list(&audit["findings"]).iter().filter(|finding| finding["check"] == "admin-role");
        f64::from(u32::try_from(of_check.count()).unwrap())
    };
    assert_eq!(document["metrics"][&admins], open(&audits[1]));
    assert!(open(&audits[1]) > open(&audits[0]), "the new administrator is a finding");
}

#[test]
fn each_change_is_explained() {
    let document = document("1");

    let role = event(&document, "role_permissions_changed");
    assert_eq!(role["cause"]["subject"]["name"], "Reporting_Engine_ReadOnly");
    let gained = ["directory:user:delete", "telephony:plugin:all"];
    assert_eq!(texts(&role["cause"]["permissions"]["added"]), gained);
    assert!(list(&role["cause"]["permissions"]["removed"]).is_empty());
    let by_role = moved(role, "gained");
    assert!(by_role.values().all(|permissions| *permissions == gained), "{by_role:?}");
    let reached: BTreeSet<String> = by_role.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(reached, holders(&document, "Reporting_Engine_ReadOnly"));
    assert!(reached.len() > 1 && reached.contains("Reporting_Engine"));

    let scopes = event(&document, "client_scopes_changed");
    assert_eq!(scopes["cause"]["subject"]["name"], "Workforce_Dashboard");
    assert!(texts(&scopes["cause"]["scopes"]["added"]).contains(&"all"));

    let added = event(&document, "client_added");
    let name = text(&added["cause"]["subject"]["name"]);
    assert!(moved(added, "gained")[name].contains(&"admin"));
    assert!(holders(&document, "Admin").contains(name));

    let removed = event(&document, "client_removed");
    let name = text(&removed["cause"]["subject"]["name"]);
    assert!(moved(removed, "gained")[name].is_empty());
    assert!(!moved(removed, "lost")[name].is_empty());
    let named =
        |audit: &Value| list(&audit["findings"]).iter().any(|finding| finding["client"]["name"] == name);
    assert!(named(&document["audits"][0]) && !named(&document["audits"][1]), "its findings are resolved");
}

#[test]
fn each_event_arrives_as_one_verified_alert() {
    let document = document("1");
    let alerts = list(&document["alerts"]);
    assert!(alerts.iter().all(|alert| alert["verified"] == true));
    let ids = |kind: &str| {
        let of_kind = alerts.iter().filter(|alert| alert["type"] == kind);
        of_kind.map(|alert| text(&alert["id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids("baseline.recorded").len(), 1);
    let mut events: Vec<&str> = list(&document["events"]).iter().map(|event| text(&event["id"])).collect();
    let mut alerted = ids("drift.detected");
    events.sort_unstable();
    alerted.sort_unstable();
    assert_eq!(alerted, events);
    let all: BTreeSet<&str> = alerts.iter().map(|alert| text(&alert["id"])).collect();
    assert_eq!(all.len(), alerts.len(), "no alert is sent twice");
}

#[test]
fn who_did_it_is_named_and_what_people_decide_is_heeded() {
    let document = document("1");
    for event in list(&document["audits"][1]["events"]) {
        let actor = &event["actor"];
        assert_eq!((&actor["certainty"], &actor["name"]), (&"exact".into(), &"Ada Miller".into()), "{event}");
        assert_eq!(actor["remote_ip"], "203.0.113.7");
    }
    let kinds: Vec<&str> = list(&document["decisions"]).iter().map(|one| text(&one["kind"])).collect();
    assert_eq!(kinds, ["approve", "mute"]);
    let open = |uid: &Value| list(&document["findings"]).iter().find(|finding| finding["uid"] == *uid);
    let [approval, mute] = &list(&document["decisions"])[..] else { panic!("two decisions") };
    for cover in list(&approval["covers"]) {
        assert_eq!(open(&cover["uid"]).unwrap()["approved"], true);
    }
    for cover in list(&mute["covers"]) {
        assert_eq!(open(&cover["uid"]).unwrap()["muted"], true);
    }

    let [remedy] = &list(&document["audits"][2]["events"])[..] else { panic!("one event") };
    assert_eq!(
        (&remedy["cause"]["kind"], &remedy["actor"]["name"]),
        (&"role_permissions_changed".into(), &"Sam Okafor".into())
    );
    let alerts = list(&document["alerts"]);
    let of = |kind: &str| -> Vec<&str> {
        let of_kind = alerts.iter().filter(|alert| alert["type"] == kind);
        of_kind.map(|alert| text(&alert["summary"])).collect()
    };
    let resolved = of("finding.resolved");
    for opened in of("finding.opened").into_iter().filter(|summary| summary.contains("directory:user:delete"))
    {
        assert!(
            resolved.contains(&opened.replace("opened: ", "resolved: ").as_str()),
            "{opened} in {resolved:?}"
        );
    }
}

#[test]
fn one_refusal_is_proven_and_one_is_missing() {
    let document = document("1");
    let probe = |operation: &str| {
        let found = list(&document["probes"]).iter().find(|probe| probe["operation"] == operation);
        found.unwrap_or_else(|| panic!("{operation} was not probed")).clone()
    };
    let roles = probe("DELETE /api/v2/authorization/roles/{roleId}");
    assert_eq!((&roles["verdict"], &roles["status"]), (&"refused".into(), &403.into()));
    let users = probe("DELETE /api/v2/users/{userId}");
    assert_eq!((&users["verdict"], &users["severity"]), (&"not_refused".into(), &"critical".into()));
    assert_eq!(users["client"]["name"], "Reporting_Engine");
}

#[test]
fn told_into_a_pipe_it_is_plain_text() {
    let output = play(&["--once"]);
    let story = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{story}");
    assert!(!story.contains('\u{1b}'), "{story}");
    for told in [
        "Reporting_Engine gained directory:user:delete",
        "Nightly_BI_Export",
        "Workforce_Dashboard",
        "baseline.recorded",
        "signature verified",
        "scopewarden_drift_events_total",
        "DELETE /api/v2/users/{userId} was not refused.",
        "DELETE /api/v2/authorization/roles/{roleId}",
        "by Ada Miller (user) from 203.0.113.7",
        "CHG-1042",
        "muted",
        "by Sam Okafor (user)",
    ] {
        assert!(story.contains(told), "{told} is not in:\n{story}");
    }
    assert!(!story.contains("NOT verified"), "{story}");
    for line in story.lines() {
        let words = line.trim_start().split(' ').count();
        assert!(line.chars().count() <= 80 || words == 1 || line.starts_with("     "), "too long: {line}");
    }
}

#[test]
fn the_same_seed_tells_of_the_same_organisation() {
    let facts = |document: &Value| -> BTreeSet<(String, String, String)> {
        let of = |finding: &Value| {
            let client = &finding["client"];
            (
                text(&client["id"]).to_owned(),
                text(&client["name"]).to_owned(),
                text(&finding["title"]).to_owned(),
            )
        };
        // Whose grants the first audit looks at goes by id, so it differs from seed to seed.
        let findings = list(&document["audits"][0]["findings"]).iter();
        findings.filter(|finding| finding["status"] != "unknown").map(of).collect()
    };
    let names = |facts: &BTreeSet<(String, String, String)>| -> BTreeSet<(String, String)> {
        facts.iter().map(|(_, name, title)| (name.clone(), title.clone())).collect()
    };
    let (one, again, other) = (facts(&document("7")), facts(&document("7")), facts(&document("8")));
    assert_eq!(one, again);
    assert_ne!(one, other, "another seed gives other ids");
    assert_eq!(names(&one), names(&other));
}

/// Without `--once` it serves, until it is told to stop.
#[test]
fn it_stays_up_serves_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let mut running = demo(&[], &folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let metrics = lines.by_ref().find_map(|line| {
        let url = line.trim().strip_prefix("Metrics")?.trim().strip_prefix("http://")?;
        url.strip_suffix("/metrics").map(str::to_owned)
    });
    let invited = lines.by_ref().find(|line| line.contains("Ctrl-C"));
    assert!(invited.is_some());

    let mut connection = TcpStream::connect(metrics.unwrap()).unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    assert!(page.contains("scopewarden_oauth_clients"), "the daemon shows what the story recorded:\n{page}");

    let told = Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(running.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
}
