//! Contracts as their authors meet them: a folder of files in, contracts or exact messages out.
//!
//! Each `fixtures/contracts/bad-*.toml` is one broken contract; what is said of it is in [`MESSAGES`]. `{file}` stands
//! for its path.

use scopewarden::config::read_list;

use super::*;

const MESSAGES: [(&str, &[&str]); 9] = [
    ("bad-syntax.toml", &["{file}, line 1, column 27: not TOML: invalid basic string, expected `\"`"]),
    (
        "bad-no-client.toml",
        &["{file}: client: is missing: the name or the id of the OAuth client that this is about"],
    ),
    ("bad-empty-client.toml", &["{file}: client: \"\" names no client"]),
    (
        "bad-nothing.toml",
        &["{file}: declares nothing: list what the client calls in calls = [\"GET /api/v2/…\"]"],
    ),
    (
        "bad-types.toml",
        &[
            "{file}: client: is not a string in quotes",
            "{file}: owner: is not a string in quotes",
            "{file}: purpose: \"two\\nlines\" is not one line of at most 500 letters",
            "{file}: divisions: is not a list of strings, as [\"…\", \"…\"]",
            "{file}: token_scopes[0]: is not a string in quotes",
            "{file}: calls: is not a list of strings, as [\"…\", \"…\"]",
            "{file}: must_be_denied[0]: is not a string in quotes",
        ],
    ),
    (
        "bad-keys.toml",
        &[
            "{file}: \"call\": unknown key; did you mean \"calls\"?",
            "{file}: \"paperclips\": unknown key; known are client, owner, purpose, divisions, token_scopes, calls, permissions, must_be_denied",
        ],
    ),
    (
        "bad-operations.toml",
        &[
            "{file}: calls[5]: \"\" is empty, or longer than any name",
            "{file}: calls[0]: \"GET\" is not an operation: write METHOD /path, as \"GET /api/v2/users/{userId}\"",
            "{file}: calls[1]: \"FETCH /api/v2/users/{userId}\" does not begin with a method: GET, POST, PUT, PATCH, DELETE, HEAD",
            "{file}: calls[2]: \"GET https://api.mypurecloud.ie/api/v2/users/me\" has no path template of the platform's API: it begins with /api/v2/ and has no query",
            "{file}: calls[3]: \"GET /api/v2/users?pageSize=100\" has no path template of the platform's API: it begins with /api/v2/ and has no query",
            "{file}: calls[4]: \"GET /api/v1/users\" has no path template of the platform's API: it begins with /api/v2/ and has no query",
        ],
    ),
    (
        "bad-twice.toml",
        &[
            "{file}: divisions[1]: \"EMEA\" stands there twice",
            "{file}: calls[1]: \"GET /api/v2/routing/queues/{id}\" is the same operation as calls[0]; keep one",
            "{file}: permissions: \"routing:*:*\" is not a permission, as \"routing:queue:view\"",
            "{file}: permissions: \"routing:queues\" is not a permission, as \"routing:queue:view\"; did you mean \"routing:queue:add\"?",
            "{file}: must_be_denied[0]: \"delete /api/v2/users/{id}\" is the same operation as calls[2]; keep one",
        ],
    ),
    (
        "bad-denied-undeclared.toml",
        &[
            "{file}: must_be_denied[0]: \"GET /api/v2/users/{userId}\" declares no permission, so no role can keep a client from calling it; remove it",
        ],
    ),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/contracts")
}

/// A sandbox with a folder of contracts, each copied from a fixture.
fn with_contracts(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new(&format!("{}contracts = \"contracts\"\n", minimal()));
    let folder = sandbox.0.path().join("contracts");
    fs::create_dir(&folder).unwrap();
    for (fixture, name) in files {
        fs::copy(fixtures().join(fixture), folder.join(name)).unwrap();
    }
    sandbox
}

#[test]
fn every_broken_contract_is_refused_with_its_exact_messages() {
    let mut files: Vec<String> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("bad-"))
        .collect();
    files.sort();
    let mut told: Vec<&str> = MESSAGES.iter().map(|(file, _)| *file).collect();
    told.sort_unstable();
    assert_eq!(files, told);
    for (fixture, expected) in MESSAGES {
        let said = with_contracts(&[(fixture, "a.toml")]).complaints(&[]);
        let expected: Vec<String> =
            expected.iter().map(|line| line.replace("{file}", "{dir}/contracts/a.toml")).collect();
        assert_eq!(said, expected, "{fixture}");
    }
}

#[test]
fn every_problem_of_every_contract_is_told_at_once() {
    let said =
        with_contracts(&[("bad-empty-client.toml", "a.toml"), ("bad-keys.toml", "b.toml")]).complaints(&[]);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("a.toml") && said[1].contains("b.toml") && said[2].contains("b.toml"));
}

#[test]
fn a_whole_contract_is_read_and_its_operations_are_spelt_as_the_platform_does() {
    let config = with_contracts(&[("good-whole.toml", "reporting.toml")]).load(&[]).unwrap();
    let [contract] = &config.orgs[0].contracts.list[..] else { panic!("one contract") };
    assert_eq!((contract.client.as_str(), contract.owner.as_str()), ("Reporting_Engine", "bi@example.com"));
    let calls: Vec<&String> = contract.calls.iter().collect();
    assert_eq!(calls, ["GET /api/v2/users/{userId}", "POST /api/v2/analytics/conversations/details/query"]);
    assert!(contract.pinned.is_none() && config.orgs[0].contracts.warnings.is_empty());
}

#[test]
fn two_files_for_one_client_are_refused() {
    let sandbox = with_contracts(&[("good-whole.toml", "a.toml"), ("odd-names.toml", "b.toml")]);
    assert_eq!(
        sandbox.complaints(&[]),
        [
            "{dir}/contracts/b.toml: client: \"Reporting_Engine\" has a contract already, in {dir}/contracts/a.toml; keep one"
        ]
    );
}

#[test]
fn what_only_the_compiled_in_tables_lack_is_odd_and_no_problem() {
    let config = with_contracts(&[("odd-names.toml", "a.toml")]).load(&[]).unwrap();
    let contracts = &config.orgs[0].contracts;
    assert!(contracts.list[0].calls.contains("GET /api/v2/brand/new/thing"));
    let warnings: Vec<String> = contracts.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3);
    assert!(warnings[0].contains("did you mean \"GET /api/v2/routing/queues/{queueId}\""), "{}", warnings[0]);
    assert!(
        warnings[1].contains("calls[1]: \"GET /api/v2/brand/new/thing\" is not an operation"),
        "{}",
        warnings[1]
    );
    assert!(
        warnings[2].ends_with("token_scopes: \"analytics:readnly\" is not a scope of the platform as of 2026-08-15; did you mean \"analytics:readonly\"?"),
        "{}",
        warnings[2]
    );
}

#[test]
fn contracts_are_bounded() {
    let sandbox = with_contracts(&[("good-whole.toml", "a.toml")]);
    let file = sandbox.0.path().join("contracts/a.toml");
    let calls: Vec<String> = (0..1001).map(|at| format!("\"GET /api/v2/thing{at}\"")).collect();
    fs::write(&file, format!("client = \"a\"\ncalls = [{}]", calls.join(", "))).unwrap();
    assert_eq!(
        sandbox.complaints(&[]),
        ["{dir}/contracts/a.toml: calls: has 1001 entries; at most 1000 are allowed"]
    );
    fs::write(&file, vec![b'#'; 256 * 1024 + 1]).unwrap();
    assert_eq!(
        sandbox.complaints(&[]),
        ["{dir}/contracts/a.toml: is larger than 256 KiB, which is no contract"]
    );
    fs::write(&file, b"client = \"\xff\"").unwrap();
    assert_eq!(
        sandbox.complaints(&[]),
        ["{dir}/contracts/a.toml: is not UTF-8 text: the first bad byte is at offset 10"]
    );
    for number in 0..2_000 {
        fs::write(sandbox.0.path().join(format!("contracts/{number}.toml")), "").unwrap();
    }
    assert_eq!(
        sandbox.complaints(&[]),
        ["org[0].contracts: \"{dir}/contracts\" holds more than 2000 contracts"]
    );
}

#[test]
fn a_list_for_one_question_is_a_contract_or_plain_lines() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("calls");
    fs::write(&file, "# what it calls\n\nGET /api/v2/users/{id}\n  get  /api/v2/groups\n").unwrap();
    let plain = read_list(&file).unwrap().contract;
    assert_eq!(plain.calls.iter().collect::<Vec<_>>(), ["GET /api/v2/groups", "GET /api/v2/users/{userId}"]);
    fs::write(&file, "calls = [\"GET /api/v2/groups\"]").unwrap();
    assert_eq!(read_list(&file).unwrap().contract.calls.len(), 1, "it need not say whose it is");
    for (content, says) in [
        ("", "declares nothing"),
        ("# nothing", "declares nothing"),
        ("hello", "not TOML"),
        ("GET /api/v2/groups\nGET /api/v2/groups/", "GET /api/v2/groups/"),
        ("GET /api/v2/groups\nget /api/v2/groups", "is the same operation as calls[0]"),
        ("{\"calls\": []}", "not TOML"),
    ] {
        fs::write(&file, content).unwrap();
        match read_list(&file) {
            Ok(draft) => assert!(draft.warnings[0].to_string().contains(says), "{content}"),
            Err(problems) => assert!(problems.to_string().contains(says), "{content}: {problems}"),
        }
    }
    assert!(
        read_list(&folder.path().join("none")).unwrap_err().to_string().ends_with("none: does not exist")
    );
    assert!(read_list(folder.path()).unwrap_err().to_string().ends_with("is a folder; a contract is a file"));
}

/// Lines of which random contracts are made.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "client",
        "owner",
        "purpose",
        "divisions",
        "token_scopes",
        "calls",
        "permissions",
        "must_be_denied",
        "else",
    ]);
    let value = prop_oneof![
        Just("\"Reporting_Engine\"".to_owned()),
        Just("[\"GET /api/v2/users/{userId}\", \"\\u0007\", \"GET /api/v2/{\"]".to_owned()),
        Just("[\"a:b:c\", \"*:*:*\", \"\"]".to_owned()),
        Just("{ a = [1, [2]] }".to_owned()),
        Just("2026-11-24T02:15:00Z".to_owned()),
        "\\PC{0,40}",
    ];
    prop_oneof![(key, value).prop_map(|(key, value)| format!("{key} = {value}")), "\\PC{0,60}"]
}

proptest! {
    #[test]
    fn whatever_a_contract_holds_is_read_or_refused(lines in prop::collection::vec(line(), 0..8)) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, lines.join("\n")).unwrap();
        match read_list(&file) {
            Ok(draft) => {
                let contract = draft.contract;
                prop_assert!(!contract.calls.is_empty() || !contract.permissions.is_empty() || !contract.must_be_denied.is_empty());
            }
            Err(problems) => {
                prop_assert!(problems.iter().count() > 0);
                prop_assert!(problems.iter().all(|problem| problem.field.contains("a.toml") && !problem.reason.is_empty()));
            }
        }
    }
}
