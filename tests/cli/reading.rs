//! The commands that only read the record.

use reqwest::Method;
use serde_json::{Value, json};

use crate::workplace::Workplace;

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_audit_there_is_no_answer() {
    let workplace = Workplace::new().await;
    for arguments in [
        &["clients"][..],
        &["access", "--all"],
        &["who-can", "admin"],
        &["diff"],
        &["findings"],
        &["export"],
        &["compliance", "nist"],
        &["verify"],
        &["outbox", "list"],
    ] {
        let ran = workplace.run(arguments).ends_with(1);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(ran.stderr.contains("scopewarden audit"), "{arguments:?}: {}", ran.stderr);
    }
    for arguments in [&["outbox", "retry", "--all"], &["outbox", "purge", "--dead"]] {
        workplace.run(arguments).ends_with(1);
    }
    assert!(!workplace.path("record.db").exists(), "nobody made a record");
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_one_line_a_client() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let lines = workplace.run(&["access", "--all", "--operations"]).ends_with(0).json_lines();
    let clients = workplace.run(&["clients", "--json"]).ends_with(0).json();
    assert_eq!(lines.len(), clients.as_array().unwrap().len());
    for line in &lines {
        check_access(line);
        let operations = line["operations"].as_array().unwrap();
        assert_eq!(operations.len(), 3321);
        for operation in operations {
            let granted = &operation["granted"];
            assert!(granted.is_boolean() || granted == "undeclared", "{operation}");
            assert!(operation["operation"].as_str().unwrap().contains(" /api/v2/"), "{operation}");
            assert!(operation["in_scope"].is_boolean(), "{operation}");
        }
    }
    // By name or by id it is the same client, and operations come only when asked for.
    let engine = lines.iter().find(|line| line["client"]["name"] == "Reporting_Engine").unwrap();
    let by_name = workplace.run(&["access", "Reporting_Engine"]).ends_with(0).json();
    let by_id =
        workplace.run(&["access", engine["client"]["id"].as_str().unwrap(), "--json"]).ends_with(0).json();
    assert_eq!(by_name, by_id);
    assert_eq!(by_name["permissions"], engine["permissions"]);
    assert_eq!(by_name.get("operations"), None);
}

fn check_access(line: &Value) {
    assert_eq!(line["org"], "acme");
    let by_roles = match line["authority"].as_str().unwrap() {
        "roles" => line["upper_bound"] == Value::Null,
        "user" => line["upper_bound"] == "scopes" || line["upper_bound"] == "unbounded",
        other => panic!("{other}"),
    };
    assert!(by_roles, "{line}");
    for held in line["permissions"].as_array().unwrap() {
        assert!(held["permission"].is_string() && held["known"].is_boolean(), "{held}");
        assert!(held["conditional"].is_boolean() && held["in_scope"].is_boolean(), "{held}");
        assert!(!held["divisions"].as_array().unwrap().is_empty(), "{held}");
        for way in held["via"].as_array().unwrap() {
            for field in ["role", "division", "source", "observed_at"] {
                assert!(way[field].is_string(), "{field}: {way}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_shows_permissions_by_entity() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let text = workplace
        .run(&["access", "Reporting_Engine", "--format", "text", "--operations"])
        .ends_with(0)
        .stdout;
    assert!(text.starts_with("Reporting_Engine ("), "{text}");
    assert!(text.contains("DOMAIN") && text.contains("IN SCOPE"), "{text}");
    assert!(text.contains("3321 operations (the platform's definition, 20"), "{text}");
    let report = workplace.run(&["access", "Reporting_Engine"]).ends_with(0).json();
    for held in report["permissions"].as_array().unwrap() {
        let parts: Vec<&str> = held["permission"].as_str().unwrap().split(':').collect();
        assert!(
            text.lines().any(|line| parts.iter().all(|part| line.contains(part))),
            "{held} is not shown:\n{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_clear_is_not_guessed() {
    let workplace = Workplace::new().await;
    for _ in 0..2 {
        workplace.add_client("Twin", "Reporting_Engine_ReadOnly").await;
    }
    workplace.run(&["audit"]).ends_with(0);
    let unknown = workplace.run(&["access", "Reporting_Engin"]).ends_with(64);
    assert!(unknown.stderr.contains("did you mean \"Reporting_Engine\""), "{}", unknown.stderr);
    let ambiguous = workplace.run(&["access", "Twin"]).ends_with(64);
    let clients = workplace.run(&["clients", "--json"]).ends_with(0).json();
    let twins: Vec<&Value> =
        clients.as_array().unwrap().iter().filter(|client| client["name"] == "Twin").collect();
    assert_eq!(twins.len(), 2);
    for twin in twins {
        let id = twin["id"].as_str().unwrap();
        assert!(ambiguous.stderr.contains(id), "{}", ambiguous.stderr);
        workplace.run(&["access", id]).ends_with(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_and_clients_agree_with_the_audit() {
    let workplace = Workplace::new().await;
    let audit = workplace.run(&["audit", "--json"]).ends_with(0).json();
    let all = workplace.run(&["findings", "--json"]).ends_with(0).json();
    assert_eq!(all, workplace.run(&["findings", "list", "--json"]).ends_with(0).json());
    let uids = |findings: &Value| {
        let mut uids: Vec<String> =
            findings.as_array().unwrap().iter().map(|finding| finding["uid"].to_string()).collect();
        uids.sort();
        uids
    };
    assert_eq!(uids(&all), uids(&audit["findings"]));

    let high = workplace.run(&["findings", "--severity", "high", "--json"]).ends_with(0).json();
    let is_high = |finding: &&Value| finding["severity"] == "high" || finding["severity"] == "critical";
    assert_eq!(high.as_array().unwrap().len(), all.as_array().unwrap().iter().filter(is_high).count());
    let scopes = workplace.run(&["findings", "--check", "broad-scopes", "--json"]).ends_with(0).json();
    assert!(scopes.as_array().unwrap().iter().all(|finding| finding["check"] == "broad-scopes"));
    let unknown = workplace.run(&["findings", "--check", "broad-scope"]).ends_with(64);
    assert!(unknown.stderr.contains("did you mean \"broad-scopes\""), "{}", unknown.stderr);

    let clients = workplace.run(&["clients", "--json"]).ends_with(0).json();
    for client in clients.as_array().unwrap() {
        let own = |finding: &&Value| finding["client"]["id"] == client["id"] && finding["status"] == "fail";
        let counted: u64 =
            client["findings"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(counted, all.as_array().unwrap().iter().filter(own).count() as u64, "{client}");
        assert!(client["grant_type"].is_string() && client["state"].is_string(), "{client}");
    }
    let text = workplace.run(&["clients"]).ends_with(0).stdout;
    assert_eq!(text.lines().count(), clients.as_array().unwrap().len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_takes_any_moment_that_the_record_reaches() {
    let workplace = Workplace::new().await;
    let first = workplace.run(&["audit", "--json"]).ends_with(0).json();
    let alone = workplace.run(&["diff"]).ends_with(1);
    assert!(alone.stderr.contains("there is nothing to compare with"), "{}", alone.stderr);
    workplace.extend_role("Reporting_Engine_ReadOnly", "telephony", "plugin", "all").await;
    let second = workplace.run(&["audit", "--json"]).ends_with(0).json();
    let id = |audit: &Value| audit["audit"].as_str().unwrap().to_owned();
    let at = |audit: &Value| audit["at"].as_str().unwrap().to_owned();

    for (from, to) in [(id(&first), id(&second)), (at(&first), at(&second)), (id(&first), "-0s".to_owned())] {
        let diff = workplace.run(&["diff", "--from", &from, "--to", &to]).ends_with(0).json();
        assert_eq!((&diff["from"], &diff["to"]), (&first["at"], &second["at"]), "{from} {to}");
        assert_eq!(diff["events"][0]["cause"]["kind"], "role_permissions_changed");
        assert_eq!(diff["events"][0]["cause"]["permissions"]["added"], json!(["telephony:plugin:all"]));
    }
    for (arguments, code, says) in [
        (["--from", "2020-01-01", "--to", "-0s"], 1, "no audit of acme was recorded by 2020-01-01"),
        (["--from", &id(&second), "--to", &id(&first)], 64, "is later than --to"),
        (["--from", "01997b2e-0000-7000-8000-000000000001", "--to", "-0s"], 64, "--from: no audit 01997b2e-"),
    ] {
        let ran = workplace.run(&[&["diff"], &arguments[..]].concat()).ends_with(code);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_tells_a_record_from_a_changed_one() {
    let workplace = Workplace::new().await;
    let audit = workplace.run(&["audit", "--json"]).ends_with(0).json();
    let verified = workplace.run(&["verify", "--json"]).ends_with(0).json();
    assert_eq!(verified["consistent"], true);
    assert_eq!((&verified["audits"], &verified["problems"]), (&json!(1), &json!([])));
    assert_eq!(verified["head"], audit["chain_head"]);
    let text = workplace.run(&["verify"]).ends_with(0).stdout;
    assert!(
        text.contains("acme: consistent") && text.contains(audit["chain_head"].as_str().unwrap()),
        "{text}"
    );
    assert!(text.contains("chain_head"), "it says what to compare: {text}");

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(workplace.path("record.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE audit SET at_ms = at_ms + 1").execute(&pool).await.unwrap();
    pool.close().await;
    let changed = workplace.run(&["verify", "--json"]).ends_with(1).json();
    assert_eq!(changed["consistent"], false);
    assert!(!changed["problems"].as_array().unwrap().is_empty());
    let text = workplace.run(&["verify"]).ends_with(1).stdout;
    assert!(text.contains("acme: NOT consistent"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_tells_what_a_client_called_and_what_follows() {
    let workplace = Workplace::new().await;
    let list = workplace.call(Method::GET, "/api/v2/oauth/clients", None).await;
    let id = |name: &str| {
        let clients = list["entities"].as_array().unwrap();
        clients.iter().find(|client| client["name"] == name).unwrap()["id"].clone()
    };
    let row = |client: &Value, method: &str, path: &str, ok: u64, refused: u64| json!({ "client": client, "method": method, "path": path, "days_ago": 3, "status200": ok, "status400": refused });
    let engine = id("Reporting_Engine");
    let rows = json!([
        row(&engine, "POST", "/api/v2/analytics/conversations/details/query", 900, 1),
        row(&engine, "DELETE", "/api/v2/users/{id}", 0, 2),
        row(&engine, "GET", "/api/v2/quite/new", 1, 0),
    ]);
    workplace.call(Method::PUT, "/_simulator/usage", Some(&rows)).await;
    workplace.run(&["audit"]).ends_with(0);

    let told = workplace.run(&["usage", "Reporting_Engine"]).ends_with(0).json();
    assert_eq!(
        (&told["client"]["id"], &told["window"]["days"], &told["left_out"]),
        (&engine, &json!(90), &json!(0))
    );
    let of = |operation: &str| {
        let all = told["operations"].as_array().unwrap();
        all.iter().find(|row| row["operation"] == operation).unwrap_or_else(|| panic!("{operation}: {told}"))
    };
    let query = of("POST /api/v2/analytics/conversations/details/query");
    assert_eq!((&query["granted"], &query["verdict"]), (&json!(true), &json!("observed_granted")));
    assert!(query["ok"].as_u64() >= Some(900) && query["last"].is_string(), "{query}");
    let delete = of("DELETE /api/v2/users/{userId}");
    assert_eq!((&delete["granted"], &delete["verdict"]), (&json!(false), &json!("observed_not_granted")));
    assert!(delete["doubt"].as_str().unwrap().starts_with("attempted only"), "{delete}");
    let new = of("GET /api/v2/quite/new");
    assert_eq!((&new["known"], &new["verdict"]), (&json!(false), &json!("open")));
    let permissions = &told["permissions"];
    let sum: usize = ["proven", "possible", "unused", "not_provable"]
        .map(|set| permissions[set].as_array().unwrap().len())
        .iter()
        .sum();
    assert_eq!(sum, 5, "what its role gives: {permissions}");
    assert!(permissions["proven"].as_array().unwrap().contains(&json!("analytics:conversationDetail:view")));

    let text = workplace.run(&["usage", "Reporting_Engine", "--format", "text"]).ends_with(0).stdout;
    for words in ["90 days", "unknown operation", "of 5 permissions held", "look into it: tried"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // A client that acts as its user, and one that called nothing; and the list says when each was last used.
    let app = workplace.run(&["usage", "Agent_Desktop"]).ends_with(0).json();
    assert_eq!(app["permissions"], Value::Null);
    let clients = workplace.run(&["clients", "--json"]).ends_with(0).json();
    let clients = clients.as_array().unwrap();
    let idle = clients.iter().find(|client| client["name"] == "Test_do_not_use").unwrap();
    assert_eq!(idle["last_used"], Value::Null);
    let busy = clients.iter().find(|client| client["name"] == "Reporting_Engine").unwrap();
    assert!(busy["last_used"].as_str().is_some_and(|day| day.len() == 10), "{busy}");
    assert!(workplace.run(&["clients"]).ends_with(0).stdout.contains("none counted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_count_usage_says_why() {
    let workplace = Workplace::new().await;
    workplace.configure(&format!("[audit]\nusage = false\n{}", workplace.org("acme")));
    workplace.run(&["audit"]).ends_with(0);
    let ran = workplace.run(&["usage", "Reporting_Engine"]).ends_with(1);
    assert!(ran.stderr.contains("audit.usage"), "{}", ran.stderr);
    assert!(workplace.run(&["clients"]).ends_with(0).stdout.contains("unknown"));
}
