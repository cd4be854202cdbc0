//! Probes against the simulator, which knows the truth: every verdict is right, and nothing changes.

use std::collections::{BTreeMap, BTreeSet};

use scopewarden::{
    config::{Config, Credential, ProbedClient, Secret},
    domain::{
        Severity,
        catalogue::{Operations, normalised},
        probe::{
            Class, Expectation, Observation, Prediction, Silence, Verdict, plan::Declared, safe_operations,
            token::TokenCheck,
        },
    },
    probe::{Declarations, Error, Inspector, Report},
    simulator::Options,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Harness, story};

/// The configuration with credentials of every client.
async fn with_credentials(org: &Harness) -> Config {
    let mut config = org.config.clone();
    config.orgs[0].probes = org
        .clients()
        .await
        .into_iter()
        .map(|(id, _, secret)| ProbedClient { client: id, credential: Credential::Secret(secret.into()) })
        .collect();
    config.probe.budget = 45;
    config.probe.allow_create_probes = true;
    config
}

/// The configuration with credentials of one client.
fn with_one(org: &Harness, client: &str, credential: Credential) -> Config {
    let mut config = org.config.clone();
    config.orgs[0].probes = vec![ProbedClient { client: client.to_owned(), credential }];
    config
}

async fn run(org: &Harness, config: &Config, declared: &Declarations) -> Result<Report, Error> {
    let inspector = Inspector::new(config, &config.orgs[0], org.store.clone(), org.metrics.clone());
    inspector
        .run(None, declared, &CancellationToken::new(), &|_| {}, "2026-11-24T12:00:00Z".parse().unwrap())
        .await
}

async fn digest(org: &Harness) -> Value {
    org.ask("digest", None).await
}

/// Each client with operations of its own to deny and to call: a walk through the whole table, and some others.
async fn declarations(org: &Harness) -> Declarations {
    let operations = Operations::compiled_in();
    let table: Vec<usize> =
        safe_operations().iter().filter_map(|row| operations.find(row.operation)).collect();
    let reads: Vec<usize> = table
        .iter()
        .copied()
        .filter(|at| operations.get(*at).is_some_and(|operation| operation.method() == "GET"))
        .collect();
    let clients = org.clients().await;
    let declare = |(at, (id, ..)): (usize, (String, String, String))| {
        let take = |list: &[usize], from: usize, count: usize| -> Vec<usize> {
            (0..count).map(|step| list[(from * count + step) % list.len()]).collect()
        };
        let mut denied = take(&table, at, 8);
        // One of all that there is: most are not in the table, and must not be sent.
        denied.push((at * 17) % operations.len());
        let declared = Declared { calls: take(&reads, at, 6), must_be_denied: denied, ..Declared::default() };
        (id.as_str().into(), declared)
    };
    clients.into_iter().enumerate().map(declare).collect()
}

/// What is true of one client: whether it can sign in, and each operation's truth.
async fn truth(org: &Harness, client: &str, operations: &[&str]) -> (bool, BTreeMap<String, Value>) {
    let question = json!({ "client": client, "operations": operations });
    let answer = org.ask("truth", Some(&question)).await;
    let rows = answer["operations"].as_array().unwrap().iter();
    let rows = rows.map(|row| (row["operation"].as_str().unwrap().to_owned(), row.clone())).collect();
    (answer["can_sign_in"] == true, rows)
}

/// The verdict that the truth demands, worked out apart from the program's own rules.
fn demanded(one: &Observation, truth: &Value, lookup_first: bool) -> (Verdict, Option<Severity>, bool) {
    let row =
        safe_operations().iter().find(|row| normalised(row.operation) == normalised(&one.operation)).unwrap();
    let says = |what: &str| truth[what] == true;
    let deny = one.expectation == Expectation::Deny;
    let has_ids = row.operation.contains('{');
    if !says("in_scope") {
        return if deny {
            (Verdict::Refused, None, false)
        } else {
            (Verdict::Refused, Some(Severity::Medium), false)
        };
    }
    if !says("present") {
        // What is given only under a condition is predicted neither way.
        let mismatch = one.predicted == Prediction::Granted;
        assert!(!mismatch || (says("declared") && says("granted")), "{one:?}");
        let severity = if deny { Severity::Low } else { Severity::Medium };
        return (Verdict::Refused, Some(severity), mismatch);
    }
    let is_held = says("declared") && says("granted");
    if lookup_first && has_ids {
        return match (deny, is_held) {
            (true, true) => (Verdict::NotRefused, Some(Severity::Critical), false),
            (true, false) => (Verdict::NotRefused, Some(Severity::High), says("declared")),
            (false, true) => (Verdict::Allowed, None, false),
            (false, false) => (Verdict::Inconclusive, None, false),
        };
    }
    if !says("granted") {
        return if deny {
            (Verdict::Refused, None, false)
        } else {
            (Verdict::Refused, Some(Severity::Medium), false)
        };
    }
    match row.class {
        Class::List if deny => (Verdict::NotRefused, Some(Severity::Critical), false),
        Class::List => (Verdict::Allowed, None, false),
        Class::Delete | Class::Patch | Class::Read | Class::Create if deny => {
            let severity = if is_held { Severity::Critical } else { Severity::High };
            (Verdict::NotRefused, Some(severity), false)
        }
        _ if is_held => (Verdict::Allowed, None, false),
        _ => (Verdict::Inconclusive, None, false),
    }
}

/// Probes every client of a random organisation; every verdict is what the truth demands, and nothing changed.
async fn compare(options: Options, settings: Value, faults: Value) {
    let (seed, lookup_first) = (options.seed, options.lookup_first);
    let enforcement = settings["scope_enforcement"].as_str().unwrap_or("off").to_owned();
    let mut org = Harness::with(options, &format!("scope_enforcement = \"{enforcement}\"")).await;
    org.audit().await;
    org.settings(settings).await;
    let config = with_credentials(&org).await;
    let declared = declarations(&org).await;
    let before = digest(&org).await;
    org.faults(faults.clone()).await;
    let report = run(&org, &config, &declared).await.unwrap();
    org.faults(json!([])).await;
    assert_eq!(digest(&org).await, before, "an object changed");

    let mut kinds: BTreeMap<(Verdict, &str), usize> = BTreeMap::new();
    let mut spoiled = 0;
    let mut by_client: BTreeMap<&str, Vec<&Observation>> = BTreeMap::new();
    for one in &report.observations {
        by_client.entry(one.client.id.as_str()).or_default().push(one);
    }
    let is_faulty = faults != json!([]);
    for (client, observations) in by_client {
        let names: Vec<&str> = observations.iter().map(|one| one.operation.as_str()).collect();
        let (can_sign_in, truths) = truth(&org, client, &names).await;
        for one in observations {
            let what = format!("seed {seed}, lookup_first {lookup_first}: {one:?}");
            let class = safe_operations()
                .iter()
                .find(|row| normalised(row.operation) == normalised(&one.operation))
                .map_or("none", |row| match row.class {
                    Class::Delete => "delete",
                    Class::Patch => "patch",
                    Class::Read => "read",
                    Class::List => "list",
                    Class::Create => "create",
                });
            *kinds.entry((one.verdict, class)).or_default() += 1;
            if one.verdict == Verdict::NotSent {
                assert!(!one.sent, "{what}");
                continue;
            }
            assert_ne!(class, "none", "{what}");
            if !can_sign_in {
                assert_eq!((one.verdict, one.sent), (Verdict::Inconclusive, false), "{what}");
                continue;
            }
            let (verdict, severity, mismatch) = demanded(one, &truths[&one.operation], lookup_first);
            // A fault may hide the truth, and must never turn it round.
            if is_faulty && one.verdict == Verdict::Inconclusive {
                spoiled += 1;
                continue;
            }
            assert_eq!((one.verdict, one.severity, one.mismatch), (verdict, severity, mismatch), "{what}");
        }
    }
    assert_eq!(spoiled > 0, is_faulty, "{spoiled} were spoiled");
    for class in ["delete", "patch", "read", "list", "create"] {
        let proven = kinds.iter().filter(|((verdict, of), _)| *of == class && verdict.is_proof());
        assert!(
            proven.map(|(_, count)| count).sum::<usize>() > 0,
            "nothing was proven of {class}: {kinds:?}"
        );
    }
    let of =
        |verdict| kinds.iter().filter(|((one, _), _)| *one == verdict).map(|(_, count)| count).sum::<usize>();
    assert!(of(Verdict::Refused) > 0 && of(Verdict::NotRefused) > 0 && of(Verdict::NotSent) > 0, "{kinds:?}");
}

fn options(seed: u64, lookup_first: bool) -> Options {
    Options { clients: 200, roles: 60, seed, lookup_first, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_true_where_permissions_are_checked_first() {
    compare(options(61, false), json!({}), json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_true_where_objects_are_looked_up_first() {
    compare(options(62, true), json!({}), json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_true_where_scopes_bind_and_products_are_off() {
    let settings = json!({
        "scope_enforcement": "all-grants",
        "absent": ["telephony", "outbound", "routing"],
        "invalid_scope_status": 401,
    });
    // Roles are read before scopes bind: the auditor itself must have those that it needs.
    compare(Options { clients: 40, ..options(63, false) }, settings, json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_hide_verdicts_and_never_turn_them_round() {
    let faults = json!([
        { "match": "DELETE /api/v2/users/{userId}", "kind": "500", "count": -1 },
        { "match": "DELETE /api/v2/flows/{flowId}", "kind": "expired_token", "count": 40 },
        { "match": "DELETE /api/v2/routing/queues/{queueId}", "kind": "429", "count": 10 },
        { "match": "PATCH /api/v2/users/{userId}", "kind": "502", "count": -1 },
        { "match": "DELETE /api/v2/oauth/clients/{clientId}", "kind": "reset", "count": -1 },
        { "match": "POST /oauth/token", "kind": "503", "count": 5, "after": 20 },
    ]);
    compare(Options { clients: 40, ..options(64, false) }, json!({}), faults).await;
}

/// A client of the story with its id and secret.
async fn of_story(org: &Harness, name: &str) -> (String, Secret) {
    let clients = org.clients().await;
    let (id, _, secret) = clients.into_iter().find(|(_, known, _)| known == name).unwrap();
    (id, secret.into())
}

const CLIENT: &str = "Reporting_Engine";

#[tokio::test]
async fn credentials_that_are_wrong_name_the_client_and_the_fix_and_leave_audits_alone() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let (id, secret) = of_story(&org, CLIENT).await;
    let others = org.clients().await;
    let other: Secret = others.iter().find(|(one, ..)| *one != id).unwrap().2.clone().into();
    let trouble = async |credential: Credential, client: &str| {
        let report = run(&org, &with_one(&org, client, credential), &Declarations::new()).await.unwrap();
        assert!(report.observations.iter().all(|one| !one.sent && one.verdict.is_proof().eq(&false)));
        let [problem] = report.problems.as_slice() else { panic!("{:?}", report.problems) };
        problem.detail.clone()
    };
    let wrong = trouble(Credential::Secret(other.clone()), CLIENT).await;
    assert!(wrong.starts_with(&format!("{CLIENT} ({id}) does not have this secret")), "{wrong}");
    assert!(wrong.contains("another client's"), "{wrong}");
    let unknown = trouble(Credential::Secret(secret.clone()), "Nobody").await;
    assert!(
        unknown.contains("no client of the name or id \"Nobody\"") && unknown.contains("scopewarden clients")
    );
    // An expired token, and one of somebody else, both kept by others.
    let file = org.folder.path().join("token");
    let keep = |token: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    keep("expired-canary");
    let expired = trouble(Credential::TokenFile(file.clone()), CLIENT).await;
    assert!(expired.contains("does not accept (401)") && expired.contains("another region"), "{expired}");
    let admin = org.simulator.announcement().clone();
    keep(&org.token_of(&admin.admin_client_id, &admin.admin_client_secret).await);
    let foreign = trouble(Credential::TokenFile(file.clone()), CLIENT).await;
    assert!(
        foreign.contains("the token of another client") && foreign.contains(&admin.admin_client_id),
        "{foreign}"
    );
    let missing = trouble(Credential::TokenFile(org.folder.path().join("none")), CLIENT).await;
    assert!(missing.contains("does not exist"), "{missing}");
    for text in [&wrong, &unknown, &expired, &foreign, &missing] {
        assert!(!text.contains("canary") && !text.contains(other.expose_secret()), "{text}");
    }
    // The right token, kept by somebody else, works.
    keep(&org.token_of(&id, secret.expose_secret()).await);
    let report =
        run(&org, &with_one(&org, CLIENT, Credential::TokenFile(file)), &Declarations::new()).await.unwrap();
    assert_eq!(report.problems, []);
    assert!(report.observations.iter().any(|one| one.verdict == Verdict::Refused));
    // A client that is disabled.
    let mut record = org.admin("GET", &format!("/api/v2/oauth/clients/{id}"), None).await;
    record["state"] = "disabled".into();
    org.admin("PUT", &format!("/api/v2/oauth/clients/{id}"), Some(record)).await;
    let disabled = {
        let report = run(&org, &with_one(&org, CLIENT, Credential::Secret(secret)), &Declarations::new())
            .await
            .unwrap();
        report.problems[0].detail.clone()
    };
    assert!(disabled.contains("may not sign in by itself") && disabled.contains("disabled"), "{disabled}");
    assert!(org.audit().await.complete, "an audit minds none of this");
}

#[tokio::test]
async fn what_answered_2xx_is_not_sent_again_until_a_person_clears_it() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let who = org.simulator.announcement().clone();
    // A reading of one object that is answered as if there were one, whoever asks.
    let operation = "GET /api/v2/routing/queues/{queueId}";
    org.faults(serde_json::json!([{ "match": operation, "kind": "not_json", "count": -1 }])).await;
    let declared = Declared {
        must_be_denied: vec![Operations::compiled_in().find(operation).unwrap()],
        ..Declared::default()
    };
    let declared = Declarations::from([(who.client_id.as_str().into(), declared)]);
    let config = with_one(&org, &who.client_id, Credential::Secret(who.client_secret.clone().into()));
    let of_it =
        |report: &Report| report.observations.iter().find(|one| one.operation == operation).unwrap().clone();
    let first = of_it(&run(&org, &config, &declared).await.unwrap());
    assert_eq!(
        (first.verdict, first.status, first.severity),
        (Verdict::NotRefused, Some(200), Some(Severity::Critical))
    );
    let second = of_it(&run(&org, &config, &declared).await.unwrap());
    assert_eq!((second.verdict, second.sent), (Verdict::NotSent, false));
    assert!(second.explanation.contains("probe clear"), "{}", second.explanation);
    // What was proven stays: the finding does not go away because nobody asks any more.
    let report = org.audit().await;
    let failed = |report: &scopewarden::audit::Report| {
        let of_check = |finding: &&std::sync::Arc<_>| {
            let finding: &scopewarden::domain::finding::Finding = finding;
            finding.check == "negative-test-failed" && finding.key == operation
        };
        report.findings.iter().filter(of_check).count()
    };
    assert_eq!(failed(&report), 1);
    assert!(!org.store.clear_probe_block("acme", "GET /api/v2/nothing").await.unwrap());
    assert!(org.store.clear_probe_block("acme", operation).await.unwrap());
    assert!(of_it(&run(&org, &config, &declared).await.unwrap()).sent);
}

#[tokio::test]
async fn every_request_is_counted_and_a_stop_file_stops_at_once() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let (id, secret) = of_story(&org, CLIENT).await;
    let mut config = with_one(&org, CLIENT, Credential::Secret(secret));
    config.probe.budget = 20;
    let report = run(&org, &config, &Declarations::new()).await.unwrap();
    let sent = report.observations.iter().filter(|one| one.sent).count();
    assert!(sent > 0 && sent <= 20, "{sent}");
    let day = "2026-11-24T00:00:00Z".parse().unwrap();
    let counted = org.store.probes_sent("acme", day, day).await.unwrap();
    assert!(counted.iter().all(|row| row.client == id && row.day == "2026-11-24" && row.status_class == 4));
    let total: u64 = counted.iter().map(|row| row.count).sum();
    assert!(total >= sent as u64 && total <= 20, "{total} requests for {sent} probes");
    let templates: BTreeSet<&str> = counted.iter().map(|row| row.template.as_str()).collect();
    assert!(templates.contains("/api/v2/flows/{flowId}"), "{templates:?}");

    // In the middle of a run: the request that was on its way is the last.
    let inspector = Inspector::new(&config, &config.orgs[0], org.store.clone(), org.metrics.clone());
    let stop_at_first = |one: &Observation| {
        if one.sent {
            std::fs::write(&config.probe.stop_file, "").unwrap();
        }
    };
    let (none, now) = (Declarations::new(), "2026-11-25T12:00:00Z".parse().unwrap());
    let report = inspector.run(None, &none, &CancellationToken::new(), &stop_at_first, now).await.unwrap();
    assert_eq!(report.observations.iter().filter(|one| one.sent).count(), 1);
    assert!(report.observations.iter().any(|one| one.explanation.contains(".stop-probes exists")));

    let stopped = run(&org, &config, &Declarations::new()).await.unwrap_err();
    assert!(matches!(stopped, Error::Stopped(_)), "{stopped}");
    config.probe.enabled = false;
    assert!(matches!(run(&org, &config, &Declarations::new()).await, Err(Error::SwitchedOff)));
    assert_eq!(org.store.probes_sent("acme", day, day).await.unwrap(), counted, "something was sent");
}

#[tokio::test]
async fn what_was_sent_and_could_not_be_repeated_is_not_called_unsent() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let (id, secret) = of_story(&org, CLIENT).await;
    let config = with_one(&org, CLIENT, Credential::Secret(secret));
    let operation = "GET /api/v2/routing/queues/{queueId}";
    org.faults(json!([{ "match": operation, "kind": "503", "count": -1 }])).await;
    let at = Operations::compiled_in().find(operation).unwrap();
    let declared = Declared { must_be_denied: vec![at], ..Declared::default() };
    let declared = Declarations::from([(id.as_str().into(), declared)]);
    let inspector = Inspector::new(&config, &config.orgs[0], org.store.clone(), org.metrics.clone());
    // The reading failed and waits for its second turn; before that, somebody stops the run.
    let stop_at_first = |one: &Observation| {
        if one.sent {
            std::fs::write(&config.probe.stop_file, "").unwrap();
        }
    };
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let report =
        inspector.run(None, &declared, &CancellationToken::new(), &stop_at_first, now).await.unwrap();
    let one = report.observations.iter().find(|one| one.operation == operation).unwrap();
    assert_eq!((one.verdict, one.sent, one.status), (Verdict::Inconclusive, true, Some(503)), "{one:?}");
    let counted = org.store.probes_sent("acme", now, now).await.unwrap();
    let of_it = counted.iter().filter(|row| row.template == "/api/v2/routing/queues/{queueId}");
    assert_eq!(of_it.map(|row| row.count).sum::<u64>(), 1);
}

#[tokio::test]
async fn whatever_the_token_endpoint_says_of_scopes_is_recorded() {
    let mut org = Harness::start(story()).await;
    org.audit().await;
    let who = org.simulator.announcement().clone();
    let config = with_one(&org, &who.client_id, Credential::Secret(who.client_secret.clone().into()));
    for status in [400_u16, 401] {
        org.settings(json!({ "invalid_scope_status": status })).await;
        let report = run(&org, &config, &Declarations::new()).await.unwrap();
        let notes = org.store.token_notes("acme").await.unwrap();
        let of = |check: TokenCheck| {
            let (client, _, note) = notes.iter().find(|(_, _, note)| note.check == check).unwrap();
            assert_eq!(client.as_str(), who.client_id);
            assert!(report.tokens.iter().any(|told| told.note == *note));
            note.clone()
        };
        let outside = of(TokenCheck::ScopesOutside);
        assert_eq!((outside.status, outside.code.as_deref()), (Some(status), Some("invalid_scope")));
        let plain = of(TokenCheck::Plain);
        assert!(plain.lifetime_s.is_some() && plain.token_bytes.is_some_and(|bytes| bytes > 10), "{plain:?}");
        assert!(plain.explanation.contains("as the client's record says"), "{plain:?}");
    }
}

#[tokio::test]
async fn an_empty_list_is_judged_with_what_the_divisions_hold() {
    let mut org = Harness::start(story()).await;
    // A role that may see queues, granted where there are none.
    let division = org
        .admin(
            "POST",
            "/api/v2/authorization/divisions",
            Some(json!({ "name": "Empty", "description": "none" })),
        )
        .await;
    let role = json!({
        "name": "Queue_Viewer",
        "permissionPolicies": [{ "domain": "routing", "entityName": "queue", "actionSet": ["view"] }],
    });
    let role = org.admin("POST", "/api/v2/authorization/roles", Some(role)).await;
    let client = json!({
        "name": "Queue_Reader",
        "authorizedGrantType": "CLIENT-CREDENTIALS",
        "roleDivisions": [{ "roleId": role["id"], "divisionId": division["id"] }],
    });
    org.admin("POST", "/api/v2/oauth/clients", Some(client)).await;
    org.audit().await;
    let (id, secret) = of_story(&org, "Queue_Reader").await;
    let list = "GET /api/v2/routing/queues";
    let declared =
        Declared { calls: vec![Operations::compiled_in().find(list).unwrap()], ..Declared::default() };
    let declared = Declarations::from([(id.as_str().into(), declared)]);
    org.faults(json!([{ "match": list, "kind": "empty_list", "count": -1 }])).await;
    let report = run(&org, &with_one(&org, &id, Credential::Secret(secret)), &declared).await.unwrap();
    let one = report.observations.iter().find(|one| one.operation == list).unwrap();
    assert_eq!(one.verdict, Verdict::Allowed);
    assert_eq!(one.silence.map(Silence::as_str), Some("grant_elsewhere"), "{one:?}");
    let audited = org.audit().await;
    assert!(
        audited.findings.iter().any(|finding| finding.check == "positive-test-failed" && finding.key == list)
    );
}
