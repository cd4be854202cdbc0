//! `catalogue`: a definition by file, from a pipe, or as the last audit knew it.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace, program, run};

/// Runs `catalogue FILE` in a folder without a configuration.
fn of_file(text: &str, more: &[&str]) -> Ran {
    let folder = tempfile::TempDir::new().unwrap();
    fs::write(folder.path().join("swagger.json"), text).unwrap();
    let mut command: Command = program(folder.path());
    command.args(["catalogue", "swagger.json"]).args(more);
    run(command)
}

fn odd() -> Value {
    let get = |rule: Value| json!({ "get": rule });
    json!({
        "swagger": "2.0",
        "securityDefinitions": { "PureCloud OAuth": { "type": "oauth2" } },
        "definitions": { "A": { "$ref": "#/definitions/B" }, "B": { "$ref": "#/definitions/A" } },
        "paths": {
            "/api/v2/oauth/clients": get(json!({
                "security": [{ "PureCloud OAuth": ["oauth", "oauth:readonly"] }],
                "x-inin-requires-permissions": { "type": "ANY", "permissions": ["oauth:client:view"] },
            })),
            "/api/v2/users/{id}": { "delete": {
                "security": [{ "PureCloud OAuth": ["users"] }],
                "x-inin-requires-permissions": {
                    "type": "ANY",
                    "permissions": ["directory:user:delete", "admin", "directory:organization:admin"],
                },
            } },
            "/api/v2/two": get(json!({ "x-inin-requires-permissions": { "type": "ALL", "permissions": ["a:b"] } })),
            "/api/v2/free": get(json!({ "security": [{ "Foo JWT": [] }] })),
        },
    })
}

#[test]
fn a_file_is_counted_and_what_is_odd_in_it_is_named() {
    let report = of_file(&odd().to_string(), &["--json"]).ends_with(0).json();
    assert_eq!(report["source"], "file");
    assert_eq!(report["operations"], json!({ "total": 4, "all": 0, "any": 2, "none": 0, "unknown": 2 }));
    assert_eq!((&report["permissions"], &report["scopes"]), (&json!(4), &json!(3)));
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(report["problems_total"], 2);
    let named = |what: &str| problems.iter().any(|problem| problem.as_str().unwrap().starts_with(what));
    assert!(
        named("GET /api/v2/two: x-inin-requires-permissions.permissions: \"a:b\" has two parts"),
        "{problems:?}"
    );
    assert!(named("GET /api/v2/free: security: the scheme \"Foo JWT\""), "{problems:?}");
    let against = &report["compiled_in"];
    assert_eq!(against["only_here"], json!(["GET /api/v2/free", "GET /api/v2/two"]));
    assert_eq!(against["only_compiled_in"].as_array().unwrap().len(), 3321 - 2);
    assert_eq!(against["different"], json!([]));

    let text = of_file(&odd().to_string(), &[]).ends_with(0).stdout;
    assert!(text.starts_with("4 operations (this file)\n"), "{text}");
    assert!(text.contains("2 not understood") && text.contains("\"a:b\" has two parts"), "{text}");
    assert!(text.contains("Against the compiled-in table of 2026-08-15:"), "{text}");
    assert!(text.contains("and 3299 more (--json lists them)"), "{text}");
}

#[test]
fn what_is_no_definition_is_said_with_its_place() {
    for (text, said) in [
        ("{}", "lists no operation: an API definition has them under `paths`"),
        ("[]", "lists no operation (the definition: the whole: is a list, an object is expected)"),
        ("{\"paths\": {\"/a\": {\"get\"", "it is cut off at line 1, column 23"),
        ("swagger: 2.0", "it is not JSON at line 1, column 1"),
        ("", "it is cut off at line 1, column 0"),
    ] {
        let ran = of_file(text, &[]).ends_with(1);
        assert!(ran.stderr.starts_with("error: swagger.json") && ran.stderr.contains(said), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = program(folder.path());
    command.args(["catalogue", "none.json"]);
    let ran = run(command).ends_with(1);
    assert!(ran.stderr.contains("none.json cannot be opened"), "{}", ran.stderr);
}

#[test]
fn a_definition_comes_through_a_pipe_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut child = program(folder.path())
        .args(["catalogue", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(odd().to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["operations"]["total"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_it_is_what_the_last_audit_knew() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let report = workplace.run(&["catalogue", "--json"]).ends_with(0).json();
    assert_eq!((&report["source"], &report["operations"]["total"]), (&json!("definition"), &json!(3321)));
    assert_eq!(report["as_of"].as_str().unwrap().len(), 10);
    for list in ["only_here", "only_compiled_in", "different"] {
        assert_eq!(report["compiled_in"][list], json!([]), "the simulator publishes the compiled-in table");
    }
    let access = workplace.run(&["access", "Reporting_Engine", "--operations"]).ends_with(0).json();
    assert_eq!(
        (&access["operations_source"], &access["operations_as_of"]),
        (&json!("definition"), &report["as_of"])
    );

    // One more, and one that is odd: the next process reads it anew.
    let odd = json!({ "x-inin-requires-permissions": { "type": "SOME", "permissions": ["a:b:c"] } });
    let change = json!({ "add": [{ "operation": "GET /api/v2/odd", "describe": odd }] });
    workplace.call(Method::PUT, "/_simulator/definition", Some(&change)).await;
    workplace.run(&["audit"]).ends_with(0);
    let report = workplace.run(&["catalogue", "--json"]).ends_with(0).json();
    assert_eq!(report["operations"]["unknown"], 1);
    assert_eq!(report["problems"], json!(["GET /api/v2/odd: its rule was not understood"]));
    let diff = workplace.run(&["diff", "--json"]).ends_with(0).json();
    assert_eq!(diff["events"][0]["cause"]["operations"]["added"], json!(["GET /api/v2/odd"]));
    let text = workplace.run(&["diff", "--format", "text"]).ends_with(0).stdout;
    assert!(text.contains("the platform's API definition changed: 1 new, 0 gone, 0 different"), "{text}");
    let access = workplace.run(&["access", "Reporting_Engine", "--operations"]).ends_with(0).json();
    let rows = access["operations"].as_array().unwrap();
    let row = rows.iter().find(|row| row["operation"] == "GET /api/v2/odd").unwrap();
    assert_eq!(row["granted"], "undeclared");

    // Without room for temporary files it is a gap, and the audit goes on with what was known.
    let mut command = workplace.program();
    command.args(["audit", "--format", "json"]).env("TMPDIR", "/nonexistent");
    let report = run(command).ends_with(1).json();
    let gap = &report["gaps"][0];
    assert_eq!((&gap["fact"], &gap["reason"]), (&json!("operations"), &json!("storage")));
    assert!(
        gap["detail"].as_str().unwrap().contains("/nonexistent") && gap["stale_since"].is_string(),
        "{gap}"
    );
    assert_eq!(workplace.run(&["catalogue", "--json"]).ends_with(0).json()["operations"]["total"], 3322);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_the_compiled_in_table_answers_and_says_its_day() {
    let workplace = Workplace::new().await;
    workplace.configure(&format!("[audit]\ndefinition = false\n{}", workplace.org("acme")));
    workplace.run(&["audit"]).ends_with(0);
    let report = workplace.run(&["catalogue", "--json"]).ends_with(0).json();
    assert_eq!((&report["source"], &report["as_of"]), (&json!("compiled-in"), &json!("2026-08-15")));
    let text = workplace.run(&["catalogue"]).ends_with(0).stdout;
    assert!(text.starts_with("3321 operations (the compiled-in table, 2026-08-15)"), "{text}");
    let access = workplace.run(&["access", "Reporting_Engine"]).ends_with(0).json();
    assert_eq!(access["operations_as_of"], "2026-08-15");
}
