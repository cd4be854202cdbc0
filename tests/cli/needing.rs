//! `least-privilege`: from a contract, from a file, for people, for programs, for Terraform.

use std::fs;

use serde_json::{Value, json};

use crate::workplace::Workplace;

const DETAILS: &str = "POST /api/v2/analytics/conversations/details/query";

/// With a contract of `Reporting_Engine`, and after an audit.
async fn with_contract() -> Workplace {
    let workplace = Workplace::new().await;
    fs::create_dir(workplace.path("contracts")).unwrap();
    let contract = format!(
        "client = \"Reporting_Engine\"\nowner = \"bi@example.com\"\ndivisions = [\"EMEA\"]\n\
         calls = [\"{DETAILS}\", \"GET /api/v2/routing/queues/{{queueId}}\", \"GET /api/v2/users/{{userId}}\"]\n\
         must_be_denied = [\"DELETE /api/v2/users/{{userId}}\"]\n"
    );
    fs::write(workplace.path("contracts/reporting.toml"), contract).unwrap();
    workplace.configure(&format!("{}contracts = \"contracts\"\n", workplace.org("acme")));
    workplace.run(&["audit"]).ends_with(0);
    workplace
}

#[tokio::test(flavor = "multi_thread")]
async fn json_holds_what_the_interface_promises() {
    let workplace = with_contract().await;
    let proposal =
        workplace.run(&["least-privilege", "Reporting_Engine", "--output", "json"]).ends_with(0).json();
    assert_eq!(proposal["org"], "acme");
    assert_eq!(proposal["client"]["name"], "Reporting_Engine");
    for list in ["missing", "excess", "implied", "unavailable", "scopes", "unknown", "divisions"] {
        assert!(proposal[list].is_array(), "{list}: {proposal}");
    }
    assert_eq!(proposal["minimal"], true);
    // The lighter of two alternatives, which the client does not hold: nothing is refused today, one has to come first.
    assert_eq!(proposal["missing"], json!([]));
    assert_eq!(proposal["cost"], json!({ "weight": 0, "permissions": 2 }));
    assert_eq!(proposal["scopes"], json!(["analytics:readonly", "routing:readonly", "users:readonly"]));
    let of = |permission: &str| {
        let mut excess = proposal["excess"].as_array().unwrap().iter();
        excess.find(|excess| excess["permission"] == permission).unwrap_or(&Value::Null).clone()
    };
    assert_eq!(
        of("analytics:conversationDetail:view")["instead"],
        json!(["analytics:agentConversationDetail:view"])
    );
    assert_eq!(of("routing:queue:view")["why"], "other_division");
    assert_eq!(of("analytics:userObservation:view")["why"], "not_needed");
    assert_eq!(proposal["role"]["permissions"], json!([]));
    let taken =
        workplace.call(reqwest::Method::POST, "/api/v2/authorization/roles", Some(&proposal["role"])).await;
    assert_eq!(taken["name"], "Reporting_Engine least privilege", "the platform takes it as it is");

    let same = workplace.run(&["least-privilege", "Reporting_Engine", "--json"]).ends_with(0).json();
    assert_eq!(same, proposal);
    let implied = workplace
        .run(&["least-privilege", "Reporting_Engine", "--json", "--with-implied"])
        .ends_with(0)
        .json();
    assert!(implied["role"].to_string().contains("wrapupCode"), "{}", implied["role"]);
    assert_eq!(implied["cost"]["permissions"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_says_what_to_cut_and_why() {
    let workplace = with_contract().await;
    let text = workplace.run(&["least-privilege", "Reporting_Engine"]).ends_with(0).stdout;
    for says in [
        "3 calls declared by its contract, owned by bi@example.com",
        "Missing: nothing",
        "Cut: ",
        "first grant analytics:agentConversationDetail:view",
        "needed, but not there",
        "Implied: without these",
        "Role \"Reporting_Engine least privilege\": 2 permissions, weight 0; nothing less would do",
        "and not analytics:conversationDetail:view",
        "Grant it in: EMEA",
        "Scopes that suffice: analytics:readonly, routing:readonly, users:readonly",
        "Nothing was applied.",
    ] {
        assert!(text.contains(says), "{says:?} is missing:\n{text}");
    }
    // A change of the contract counts at once, before any audit.
    let contract = "client = \"Reporting_Engine\"\ncalls = [\"GET /api/v2/outbound/campaigns\"]\n";
    fs::write(workplace.path("contracts/reporting.toml"), contract).unwrap();
    let text = workplace.run(&["least-privilege", "Reporting_Engine"]).ends_with(0).stdout;
    assert!(text.contains("Missing: 1 declared call would be refused today"), "{text}");
    assert!(text.contains("outbound:campaign:view"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_source_as_well() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    let none = workplace.run(&["least-privilege", "Reporting_Engine"]).ends_with(64);
    assert!(none.stderr.contains("Reporting_Engine has no contract: name a folder"), "{}", none.stderr);

    fs::write(
        workplace.path("calls.txt"),
        "# the feed\nGET /api/v2/users\nGET /api/v2/contentmanagement/documents/{id}\nGET /api/v2/bran/new\n",
    )
    .unwrap();
    let run = |more: &[&str]| {
        let arguments = [&["least-privilege", "WFM_Feed", "--from", "calls.txt"], more].concat();
        workplace.run(&arguments).ends_with(0)
    };
    let proposal = run(&["--json"]).json();
    assert_eq!(proposal["unknown"], json!(["GET /api/v2/bran/new"]));
    assert_eq!(proposal["unavailable"][0]["permissions"], json!(["content_management_user"]));
    assert_eq!(proposal["role"]["permissionPolicies"], json!([]));
    let text = run(&[]).stdout;
    assert!(text.contains("2 calls declared by the file calls.txt"), "{text}");
    assert!(
        text.contains("not compared: the platform or the organisation has no GET /api/v2/bran/new"),
        "{text}"
    );
    assert!(
        text.contains(
            "Unavailable: GET /api/v2/contentmanagement/documents/{documentId} needs content_management_user"
        ),
        "{text}"
    );

    fs::write(workplace.path("broken"), "hello\n").unwrap();
    for (file, says) in [
        ("broken", "broken, line 1, column"),
        ("absent.txt", "absent.txt: does not exist"),
        (".", "is a folder"),
    ] {
        let ran = workplace.run(&["least-privilege", "WFM_Feed", "--from", file]).ends_with(64);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    workplace.run(&["least-privilege", "Nobody", "--from", "calls.txt"]).ends_with(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn terraform_has_the_role_and_the_client_whatever_it_is_called() {
    let workplace = with_contract().await;
    let text =
        workplace.run(&["least-privilege", "Reporting_Engine", "--output", "terraform"]).ends_with(0).stdout;
    for says in [
        "resource \"genesyscloud_auth_role\" \"client_reporting_engine_",
        "    domain      = \"analytics\"\n    entity_name = \"agentConversationDetail\"\n    action_set  = [\"view\"]\n",
        "  scopes                = [\"analytics:readonly\", \"routing:readonly\", \"users:readonly\"]\n",
        "    role_id     = genesyscloud_auth_role.client_reporting_engine_",
    ] {
        assert!(text.contains(says), "{says:?} is missing:\n{text}");
    }
    assert_eq!(text.matches("  roles {").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_config_lists_the_contracts() {
    let workplace = with_contract().await;
    let text = workplace.run(&["check-config"]).ends_with(0).stdout;
    assert!(text.contains("# contract: \"Reporting_Engine\", 3 calls, 1 to be denied"), "{text}");
    fs::write(workplace.path("contracts/other.toml"), "client = \"Reporting_Engine\"\ncalls = []\n").unwrap();
    let bad = workplace.run(&["check-config"]).ends_with(64);
    assert!(bad.stderr.contains("other.toml: declares nothing"), "{}", bad.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_declared_called_and_granted_meet_in_usage() {
    let workplace = with_contract().await;
    let list = workplace.call(reqwest::Method::GET, "/api/v2/oauth/clients", None).await;
    let mut clients = list["entities"].as_array().unwrap().iter();
    let id = clients.find(|client| client["name"] == "Reporting_Engine").unwrap()["id"].clone();
    let contract = fs::read_to_string(workplace.path("contracts/reporting.toml")).unwrap();
    // Of each pair the first is called, the second is not. The client's role gives the first two pairs' permissions only.
    let declared = [
        DETAILS,
        "GET /api/v2/routing/queues/{queueId}",
        "DELETE /api/v2/users/{userId}",
        "POST /api/v2/flows",
    ];
    let calls: Vec<String> = declared.iter().map(|name| format!("{name:?}")).collect();
    let start = contract.find("calls").unwrap();
    let contract = format!("{}calls = [{}]\n", &contract[..start], calls.join(", "));
    fs::write(workplace.path("contracts/reporting.toml"), contract).unwrap();
    let called = [
        ("POST", "/api/v2/analytics/conversations/details/query", 9, 0),
        ("DELETE", "/api/v2/users/{id}", 0, 2),
        ("GET", "/api/v2/routing/queues", 5, 0),
        ("DELETE", "/api/v2/routing/queues/{id}", 0, 1),
    ];
    let rows = called.map(|(method, path, ok, refused)| {
        json!({ "client": id, "method": method, "path": path, "days_ago": 3, "status200": ok, "status400": refused })
    });
    workplace.call(reqwest::Method::PUT, "/_simulator/usage", Some(&json!(rows))).await;
    fs::remove_file(workplace.path("record.db")).unwrap();
    workplace.run(&["audit"]).ends_with(0);

    let told = workplace.run(&["usage", "Reporting_Engine", "--json"]).ends_with(0).json();
    let cell = |operation: &str| {
        let mut rows = told["operations"].as_array().unwrap().iter();
        let row =
            rows.find(|row| row["operation"] == operation).unwrap_or_else(|| panic!("{operation}: {told}"));
        row["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(cell(declared[0]), "declared_observed_granted");
    assert_eq!(cell(declared[1]), "declared_unused_granted");
    assert_eq!(cell(declared[2]), "declared_observed_not_granted");
    assert_eq!(cell(declared[3]), "declared_unused_not_granted");
    assert_eq!(cell("GET /api/v2/routing/queues"), "undeclared_observed_granted");
    assert_eq!(cell("DELETE /api/v2/routing/queues/{queueId}"), "undeclared_observed_not_granted");
    // The two cells without a declaration and without a call are no rows: a finding names what to cut.
    let findings = workplace.run(&["findings", "list", "--json"]).ends_with(0).json();
    let of = |check: &str| {
        let mut findings = findings.as_array().unwrap().iter();
        findings
            .find(|found| found["check"] == check && found["client"]["id"] == id)
            .unwrap_or(&Value::Null)
            .clone()
    };
    assert!(of("unused-permission")["evidence"].as_str().unwrap().contains("analytics:userObservation:view"));
    assert!(of("undeclared-use")["evidence"].as_str().unwrap().contains("GET /api/v2/routing/queues"));

    // And the least role for what was seen: what succeeded, and nothing of what was only tried.
    let seen =
        workplace.run(&["least-privilege", "Reporting_Engine", "--from", "usage", "--json"]).ends_with(0);
    let role = seen.json()["role"]["permissionPolicies"].clone();
    let gives = |domain: &str, entity: &str, action: &str| {
        let of_entity = |policy: &&Value| policy["domain"] == domain && policy["entityName"] == entity;
        let policy = role.as_array().unwrap().iter().find(of_entity);
        policy.is_some_and(|policy| policy["actionSet"].as_array().unwrap().contains(&json!(action)))
    };
    assert!(gives("routing", "queue", "view"), "{role}");
    assert!(!gives("routing", "queue", "delete") && !gives("directory", "user", "delete"), "{role}");
    let text = workplace.run(&["least-privilege", "Reporting_Engine", "--from", "usage"]).ends_with(0).stdout;
    assert!(text.contains("what it was seen to call since") && text.contains("ask the owner"), "{text}");
}
