//! Definitions as they should be, and every way to be odd.

use serde_json::{Value, json};

use super::*;

const OAUTH: &str = "PureCloud OAuth";

fn read_text(text: &str) -> Result<Definition, String> {
    read(&mut serde_json::Deserializer::from_str(text)).map_err(|error| explain(&error))
}

fn read_value(value: &Value) -> Definition {
    let definition = read_text(&value.to_string()).unwrap();
    // From a stream it is the same.
    let text = value.to_string();
    let streamed = read(&mut serde_json::Deserializer::from_reader(text.as_bytes())).unwrap();
    assert_eq!(streamed, definition);
    definition
}

/// A definition of one operation, `GET /api/v2/x`, that is described so.
fn one(described: &Value) -> Definition {
    read_value(&json!({
        "swagger": "2.0",
        "paths": { "/api/v2/x": { "get": described } },
        // Behind the paths: the order of fields means nothing.
        "securityDefinitions": {
            OAUTH: { "type": "oauth2", "scopes": { "all": "all" } },
            "Guest Chat JWT": { "type": "apiKey", "in": "header" },
        },
    }))
}

fn operation(mode: Mode, permissions: &[&str], scopes: &[&str]) -> Operation {
    let words = |words: &[&str]| words.iter().map(|&word| Box::from(word)).collect();
    Operation { mode, name: "GET /api/v2/x".into(), permissions: words(permissions), scopes: words(scopes) }
}

#[test]
fn a_rule_and_its_scopes_are_read_and_the_rest_is_skipped() {
    let definition = one(&json!({
        "tags": ["Users"],
        "parameters": [{ "name": "a", "security": 1 }],
        "responses": { "200": { "schema": { "$ref": "#/definitions/A" } } },
        "security": [{ OAUTH: ["users:readonly", "users"] }],
        RULE: { "type": "ANY", "permissions": ["directory:user:view", "admin", "directory:user:view"] },
    }));
    assert_eq!(definition.problems, []);
    let expected = operation(Mode::Any, &["admin", "directory:user:view"], &["users", "users:readonly"]);
    assert_eq!(definition.operations, [expected]);

    let all = one(&json!({ RULE: { "type": "all", "permissions": ["telephony:plugin:all"] } }));
    assert_eq!(all.operations, [operation(Mode::All, &["telephony:plugin:all"], &[])]);
    assert_eq!(one(&json!({})).operations, [operation(Mode::None, &[], &[])]);
}

/// What is said of the one operation, and its mode.
fn judged(described: &Value) -> (Mode, Vec<String>) {
    let definition = one(described);
    let [operation] = &definition.operations[..] else { panic!("{definition:?}") };
    assert_eq!(operation.mode == Mode::All || operation.mode == Mode::Any, !operation.permissions.is_empty());
    assert_eq!(definition.problems.len(), definition.problems_total);
    (operation.mode, definition.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_rule_that_is_not_understood_is_unknown_and_named() {
    let rule =
        |kind: Value, permissions: Value| json!({ RULE: { "type": kind, "permissions": permissions } });
    for (described, problem) in [
        (
            rule(json!("SOME"), json!(["a:b:c"])),
            "x-inin-requires-permissions.type: is \"SOME\", ALL or ANY is expected",
        ),
        (rule(json!(7), json!(["a:b:c"])), ".type: is a number, ALL or ANY is expected"),
        (json!({ RULE: { "permissions": ["a:b:c"] } }), ".type: is missing, ALL or ANY is expected"),
        (rule(json!("ANY"), json!(["a:b:c", "a:b"])), ".permissions: \"a:b\" has two parts"),
        (rule(json!("ANY"), json!(["a:b:c:d"])), "\"a:b:c:d\" has more than three parts"),
        (
            rule(json!("ANY"), json!(["They are enforced by the backend"])),
            "\"They are enforced by the backend\" is no name of a permission",
        ),
        (rule(json!("ANY"), json!(["a:*:c"])), "\"a:*:c\" is no name of a permission"),
        (rule(json!("ANY"), json!(["a::c"])), "\"a::c\" is no name of a permission"),
        (rule(json!("ANY"), json!([])), ".permissions: is empty"),
        (rule(json!("ANY"), json!(["a:b:c", 7])), ".permissions: is no list of words"),
        (rule(json!("ANY"), json!("a:b:c")), ".permissions: is no list of words"),
        (rule(json!("ANY"), json!(vec!["a:b:c"; 300])), ".permissions: is no list of words"),
        (rule(json!("ANY"), json!(["x".repeat(500)])), ".permissions: is no list of words"),
        (json!({ RULE: ["a:b:c"] }), "x-inin-requires-permissions: is a list, an object is expected"),
        (json!({ RULE: "ANY" }), "x-inin-requires-permissions: is a string, an object is expected"),
        (json!({ "$ref": "#/paths/x" }), "$ref: is not followed"),
        (json!(true), "operation: is true or false, an object is expected"),
        (json!([1, [2]]), "operation: is a list, an object is expected"),
        (json!(null), "operation: is null, an object is expected"),
    ] {
        let (mode, problems) = judged(&described);
        assert_eq!(mode, Mode::Unknown, "{described}");
        let [said] = &problems[..] else { panic!("{described}: {problems:?}") };
        assert!(said.starts_with("GET /api/v2/x: ") && said.contains(problem), "{said}");
        assert!(said.ends_with("its rule is unknown"), "{said}");
    }
}

#[test]
fn security_that_is_not_understood_never_adds_a_scope_and_never_says_that_nothing_is_needed() {
    let rule = json!({ "type": "ANY", "permissions": ["a:b:c"] });
    for (security, scopes, mode, problem) in [
        (json!([{ OAUTH: ["a"] }, { OAUTH: ["b"] }]), vec!["a", "b"], Mode::None, ""),
        (json!([{ "Guest Chat JWT": [] }]), vec![], Mode::None, ""),
        (json!([]), vec![], Mode::None, ""),
        (json!(null), vec![], Mode::None, ""),
        (json!([{ OAUTH: ["a"] }, {}]), vec![], Mode::None, ""),
        (json!([{ OAUTH: [] }]), vec![], Mode::None, ""),
        (json!([{ OAUTH: ["a"] }, { "Foo": [] }]), vec!["a"], Mode::None, "the scheme \"Foo\" is not among"),
        (
            json!([{ "Foo": [] }]),
            vec![],
            Mode::Unknown,
            "the scheme \"Foo\" is not among the securityDefinitions",
        ),
        (
            json!([{ OAUTH: [1] }]),
            vec![],
            Mode::Unknown,
            "the scopes of \"PureCloud OAuth\" are no list of words",
        ),
        (json!([{ OAUTH: { "a": 1 } }]), vec![], Mode::Unknown, "are no list of words"),
        (json!(["a"]), vec![], Mode::Unknown, "holds a string, an object is expected"),
        (json!({ OAUTH: ["a"] }), vec![], Mode::Unknown, "is an object, a list is expected"),
    ] {
        let definition = one(&json!({ "security": security }));
        assert_eq!(definition.operations, [operation(mode, &[], &scopes)], "{security}");
        let problems: Vec<String> = definition.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.is_empty(), problem.is_empty(), "{problems:?}");
        assert!(
            problems
                .iter()
                .all(|said| said.starts_with("GET /api/v2/x: security: ") && said.contains(problem))
        );
        // What permissions say stands.
        let ruled = one(&json!({ "security": security, RULE: rule }));
        assert_eq!(ruled.operations, [operation(Mode::Any, &["a:b:c"], &scopes)], "{security}");
    }
    let common = read_value(&json!({
        "security": [{ OAUTH: ["common"] }],
        "securityDefinitions": { OAUTH: { "type": "oauth2" } },
        "paths": { "/api/v2/x": { "get": {} } },
    }));
    assert_eq!(common.operations, [operation(Mode::None, &[], &["common"])]);
}

#[test]
fn what_stands_beside_the_operations_is_left_out_and_named_if_it_could_hide_one() {
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    let text = format!(
        r##"{{ "definitions": {{ "A": {{ "$ref": "#/definitions/B" }}, "B": {{ "$ref": "#/definitions/A" }}, "C": {deep} }},
            "paths": {{
                "/a": {{ "parameters": [{deep}], "x-more": {deep}, "get": {{ "x": {deep}, "{RULE}": {deep} }} }},
                "/b": {{ "$ref": "#/paths/~1a" }},
                "/c": 7, "/d": [{{}}], "no path": {{ "get": {{}} }},
                "/e/{{id}}": {{ "get": {{}}, "post": {{}} }}, "/e/{{other}}": {{ "get": {{}} }} }} }}"##
    );
    let definition = read_text(&text).unwrap();
    let names: Vec<(&str, Mode)> =
        definition.operations.iter().map(|operation| (&*operation.name, operation.mode)).collect();
    assert_eq!(names, [("GET /a", Mode::Unknown), ("GET /e/{id}", Mode::None), ("POST /e/{id}", Mode::None)]);
    let problems: Vec<String> = definition.problems.iter().map(ToString::to_string).collect();
    for expected in [
        "GET /a: x-inin-requires-permissions: is a list, an object is expected; its rule is unknown",
        "/b: $ref: is not followed; its operations are not known",
        "/c: path: is a number, an object is expected; its operations are not known",
        "/d: path: is a list, an object is expected; its operations are not known",
        "no path: path: is no path; what stands there is left out",
        "GET /e/{other}: path: is listed twice; the first one counts",
    ] {
        assert!(problems.iter().any(|problem| problem == expected), "{expected} in {problems:#?}");
    }
    assert_eq!(problems.len(), 6);
}

#[test]
fn what_is_no_definition_has_no_operation_or_says_where_it_ends() {
    for (text, operations) in [
        ("{}", Ok(0)),
        ("[1, 2]", Ok(0)),
        ("\"canary\"", Ok(0)),
        ("null", Ok(0)),
        ("{\"paths\": []}", Ok(0)),
        ("{\"paths\": {}}", Ok(0)),
        ("{\"paths\": {\"/a\": {\"get\": {}", Err("it is cut off at line 1, column 27")),
        ("", Err("it is cut off at line 1, column 0")),
        ("<html>canary", Err("it is not JSON at line 1, column 1")),
        ("{\"paths\": canary", Err("it is not JSON at line 1, column 11")),
    ] {
        let read = read_text(text).map(|definition| definition.operations.len());
        assert_eq!(read, operations.map_err(str::to_owned), "{text}");
    }
}

#[test]
fn however_much_comes_little_is_held() {
    let path = |at: usize| (format!("/api/v2/{at}"), json!({ "get": { RULE: { "type": "NO" } } }));
    let many: serde_json::Map<String, Value> = (0..500).map(path).collect();
    let definition = read_value(&json!({ "paths": many }));
    assert_eq!(definition.operations.len(), 500);
    assert_eq!((definition.problems.len(), definition.problems_total), (MOST_PROBLEMS, 500));
    let many: serde_json::Map<String, Value> = (0..=MOST_OPERATIONS).map(path).collect();
    let error = read_text(&json!({ "paths": many }).to_string()).unwrap_err();
    assert!(error.starts_with("it lists more than 20000 operations"), "{error}");
}
