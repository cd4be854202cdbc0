//! The configuration as its users meet it: files in, a checked `Config` or exact messages out.
//!
//! Each `fixtures/config/bad-*.toml` holds one mistake (`bad-everything.toml` many) and, in `# problem:` lines at
//! its top, the exact message. `{dir}` stands for the folder of the fixtures.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]

#[path = "config/contracts.rs"]
mod contracts;
#[path = "config/secrets.rs"]
mod secrets;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use scopewarden::config::{Config, Environment, Problems, Target, describe, unheard};
use scopewarden::domain::{ScopeEnforcement, Severity};
use secrecy::ExposeSecret;
use tempfile::TempDir;

/// Part of every secret in these tests, in clear or in base64: no message and no print-out may hold it.
const CANARIES: [&str; 2] = ["canary", "Y2FuYXJ5"];

/// `whsec_` and the base64 of "canary-canary-canary-canary-1234".
const SIGNING_SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMzQ=";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config")
}

/// The variables that the fixtures name, and `more`.
fn environment(more: &[(&str, &str)]) -> Environment {
    let long = format!("whsec_{}", "Y2FuYXJ5".repeat(11));
    [
        ("ACME_SECRET", "canary-client-secret"),
        ("EMPTY_SECRET", "\n"),
        ("TWO_LINES", "canary\ncanary"),
        ("SIGNING_SECRET", SIGNING_SECRET),
        ("NOT_BASE64", "whsec_canary!"),
        ("SHORT_SECRET", "whsec_Y2FuYXJ5Y2FuYXJ5"),
        ("LONG_SECRET", &long),
        ("SLACK_URL", "https://hooks.slack.com/services/canary/path"),
        ("SLACK_ORIGIN", "https://hooks.slack.com"),
        ("TEAMS_URL", "https://prod-1.westeurope.logic.azure.com/workflows/canary?sig=canary"),
        ("TEAMS_RETIRED", "https://acme.webhook.office.com/webhookb2/canary"),
        ("TEAMS_OLDER", "https://outlook.office.com/webhook/canary"),
        ("ROUTING_KEY", "canary7890123456789012345678901x"),
        ("SHORT_KEY", "canary"),
        ("AM_PASSWORD", "canary-password"),
        ("RECEIVER_URL", "https://soc.example.com/canary-path"),
        ("HTTP_URL", "http://soc.example.com/canary-path"),
        ("PROXY_URL", "https://canary-user:canary-password@10.0.0.8:8443"),
        ("SOCKS_URL", "socks5://canary-user:canary@10.0.0.8"),
    ]
    .iter()
    .chain(more)
    .copied()
    .collect()
}

fn load(file: &Path, more: &[(&str, &str)]) -> Result<Config, Problems> {
    let environment = environment(more);
    let result = Config::load_in(Some(file), &environment);
    let said = match &result {
        Ok(config) => format!("{config:?}\n{}\n{environment:?}", describe(config)),
        Err(problems) => format!("{problems}\n{problems:?}\n{environment:?}"),
    };
    for canary in CANARIES {
        assert!(!said.contains(canary), "{} shows a secret:\n{said}", file.display());
    }
    result
}

/// A configuration in a folder of its own, which goes when the value does.
struct Sandbox(TempDir);

impl Sandbox {
    fn new(toml: &str) -> Self {
        let sandbox = Self(TempDir::new().unwrap());
        fs::write(sandbox.config(), toml).unwrap();
        sandbox
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("scopewarden.toml")
    }

    fn secret(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        // A former one may be read-only.
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn load(&self, more: &[(&str, &str)]) -> Result<Config, Problems> {
        load(&self.config(), more)
    }

    /// The messages, with the sandbox's folder as `{dir}`.
    fn complaints(&self, more: &[(&str, &str)]) -> Vec<String> {
        complaints(&self.load(more), self.0.path())
    }
}

fn complaints(result: &Result<Config, Problems>, directory: &Path) -> Vec<String> {
    let problems = result.as_ref().expect_err("is refused");
    let text = problems.to_string();
    assert_eq!(text.lines().count(), problems.iter().count(), "one line for each problem:\n{text}");
    text.lines().map(|line| line.replace(directory.to_str().unwrap(), "{dir}")).collect()
}

fn minimal() -> String {
    fs::read_to_string(fixtures().join("good-minimal.toml")).unwrap()
}

#[test]
fn every_bad_file_is_refused_with_its_exact_messages() {
    let mut files = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("bad-") {
            continue;
        }
        files += 1;
        let content = fs::read_to_string(&path).unwrap();
        let expected: Vec<_> = content.lines().filter_map(|line| line.strip_prefix("# problem: ")).collect();
        let actual = complaints(&load(&path, &[]), &fixtures());
        if expected.is_empty() || actual != expected {
            wrong.push(format!("{name}\n# problem: {}", actual.join("\n# problem: ")));
        }
    }
    assert!(wrong.is_empty(), "these files complain otherwise than they say:\n{}", wrong.join("\n"));
    assert!(files >= 45, "only {files} files");
}

#[test]
fn the_least_configuration_gets_every_default() {
    let config = load(&fixtures().join("good-minimal.toml"), &[]).unwrap();
    assert_eq!(config.storage.path, fixtures().join("scopewarden.db"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:9840");
    assert_eq!(config.server.external_url.as_str(), "http://127.0.0.1:9840/");
    assert_eq!(config.audit.schedule, "0 */15 * * * *");
    assert_eq!((config.audit.timeout.as_secs(), config.audit.catalogue_max_age.as_secs()), (600, 3600));
    assert!(config.audit.definition);
    assert_eq!(config.audit.definition_max_age.as_secs(), 86_400);
    assert_eq!(config.storage.min_free, 64 * 1024 * 1024);
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
    assert_eq!((config.retention.keep_all, config.retention.keep_daily), (days(30), days(365)));
    assert_eq!(config.backup, None);
    let org = &config.orgs[0];
    assert_eq!(org.login_url.as_str(), "https://login.mypurecloud.ie/");
    assert_eq!(org.api_url.as_str(), "https://api.mypurecloud.ie/");
    assert_eq!(org.client_secret.expose_secret(), "canary-client-secret");
    assert_eq!(org.scope_enforcement, ScopeEnforcement::Unknown);
    assert!(config.receivers.is_empty() && org.proxy.is_none());
    let alerts = &config.alerts;
    assert_eq!((alerts.group_above, alerts.group_drift_above, alerts.flapping_after), (10, 25, 4));
    assert_eq!((alerts.remind_after, alerts.dead_man_intervals), (Some(days(1)), 3));
    assert!(alerts.heartbeat.is_none());
    assert_eq!(unheard(&config), ["there is no [[receiver]]: nobody is told of anything"]);
    let probe = &config.probe;
    assert!(probe.enabled && !probe.allow_create_probes && org.probes.is_empty());
    assert_eq!((probe.schedule.as_str(), probe.budget), ("0 40 3 * * *", 60));
    assert_eq!(probe.stop_file, fixtures().join("scopewarden.db.stop-probes"));
}

#[test]
fn what_nobody_would_hear_is_said() {
    let receiver = |more: &str| {
        let text = format!(
            "{}\n[[receiver]]\nname = \"soc\"\nkind = \"webhook\"\nurl = \"https://soc.example.com/\"\n\
             secret_env = \"SIGNING_SECRET\"\n{more}\n",
            minimal()
        );
        unheard(&Sandbox::new(&text).load(&[]).unwrap())
    };
    assert!(receiver("").is_empty());
    assert!(receiver("min_severity = \"high\"").is_empty());
    let findings = receiver("topics = [\"findings\"]");
    assert_eq!(findings, ["acme: nobody is told of critical changes to clients without an owner"]);
    let one = receiver("checks = [\"admin-role\"]");
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(one[0].contains("nobody is told what these find about clients without an owner"), "{one:?}");
    let owners = receiver("owners = [\"bi@example.com\"]");
    assert!(
        owners.contains(&"receiver soc: owners: \"bi@example.com\" is the owner in no contract".to_owned())
    );
    let beat = receiver("heartbeat = true");
    assert_eq!(beat, ["a receiver has heartbeat = true, and alerts.heartbeat is not set"]);
}

#[test]
fn every_key_is_read_and_described_without_secrets() {
    let config = load(&fixtures().join("good-full.toml"), &[]).unwrap();
    let expected = fs::read_to_string(fixtures().join("good-full.described")).unwrap();
    assert_eq!(describe(&config).replace(fixtures().to_str().unwrap(), "{dir}"), expected);
    assert_eq!(config.receivers[0].route.min_severity, Severity::High);
    let webhook = |number: usize| match &config.receivers[number].target {
        Target::Webhook { url, secret, previous } => (url.expose().clone(), secret.clone(), previous.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(webhook(0).0.query(), Some("token=canary-token"));
    assert_eq!(webhook(0).2.unwrap().expose_secret(), SIGNING_SECRET);
    assert_eq!(config.receivers[0].proxy.as_ref().unwrap().expose().password(), Some("canary-password"));
    assert_eq!(webhook(1).0.path(), "/canary-path");
    assert!(config.receivers[1].proxy.is_none());
    assert_eq!(webhook(1).1.expose_secret(), SIGNING_SECRET);
    assert_eq!(webhook(1).2, None);
    let kinds: Vec<&str> = config.receivers.iter().map(|receiver| receiver.target.kind()).collect();
    assert!(Target::KINDS.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
}

#[test]
fn all_regions_are_known_by_domain_and_by_aws_name() {
    let regions = fs::read_to_string(fixtures().join("regions.txt")).unwrap();
    assert_eq!(regions.lines().count(), 18);
    for line in regions.lines() {
        let (aws, domain) = line.split_once(' ').unwrap();
        for name in [aws, domain] {
            let config = Sandbox::new(&minimal().replace("mypurecloud.ie", name)).load(&[]).unwrap();
            assert_eq!(config.orgs[0].region, domain);
            assert_eq!(config.orgs[0].api_url.as_str(), format!("https://api.{domain}/"));
            assert_eq!(config.orgs[0].login_url.as_str(), format!("https://login.{domain}/"));
        }
    }
}

#[test]
fn variables_override_scalars_by_path() {
    let toml = fs::read_to_string(fixtures().join("good-full.toml")).unwrap();
    let sandbox = Sandbox::new(&toml);
    fs::create_dir(sandbox.0.path().join("contracts")).unwrap();
    let config = sandbox
        .load(&[
            ("SCOPEWARDEN_SERVER__LISTEN", "0.0.0.0:1"),
            ("SCOPEWARDEN_STORAGE__URL", "sqlite:other.db"),
            ("SCOPEWARDEN_ORG__1__CLIENT_ID", "another"),
            ("SCOPEWARDEN_RECEIVER__0__DENY_PRIVATE", "false"),
        ])
        .unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:1");
    assert!(config.storage.path.is_absolute() && config.storage.path.ends_with("other.db"));
    assert_eq!(config.orgs[1].client_id, "another");
    assert!(!config.receivers[0].deny_private);
}

#[test]
fn a_variable_alone_can_ask_for_backups() {
    let sandbox = Sandbox::new(&minimal());
    let backup = sandbox
        .load(&[("SCOPEWARDEN_BACKUP__DIRECTORY", "/backups"), ("SCOPEWARDEN_BACKUP__KEEP", "3")])
        .unwrap()
        .backup
        .unwrap();
    assert_eq!((backup.directory, backup.keep), (PathBuf::from("/backups"), 3));
    assert_eq!(backup.schedule, "0 30 2 * * *");
    assert_eq!(
        sandbox.complaints(&[("SCOPEWARDEN_BACKUP__KEEP", "all")]),
        [
            "backup.directory: is missing: the folder that backups go to",
            "backup.keep (from SCOPEWARDEN_BACKUP__KEEP): \"all\" is not a whole number"
        ]
    );
}

#[test]
fn free_space_may_be_of_no_concern() {
    let config = Sandbox::new(&minimal()).load(&[("SCOPEWARDEN_STORAGE__MIN_FREE", "0")]).unwrap();
    assert_eq!(config.storage.min_free, 0);
}

#[test]
fn a_bad_override_is_named_with_its_variable() {
    let complaints = Sandbox::new(&minimal()).complaints(&[
        ("SCOPEWARDEN_SERVER__LISTEN", "9840"),
        ("SCOPEWARDEN_ORG__0__CLIENT_SECRET", "canary-inline"),
        ("SCOPEWARDEN_ORG__0__REGION", "eu-west-9"),
    ]);
    assert_eq!(
        complaints,
        [
            "server.listen (from SCOPEWARDEN_SERVER__LISTEN): \"9840\" is not an IP address with a port, as \
             127.0.0.1:9840, 0.0.0.0:9840 or [::1]:9840",
            "org[0].region (from SCOPEWARDEN_ORG__0__REGION): \"eu-west-9\" is not a Genesys Cloud region; did you \
             mean \"eu-west-1\"? (or set login_url and api_url)",
            "org[0].client_secret (from SCOPEWARDEN_ORG__0__CLIENT_SECRET): a secret is never written into the \
             configuration; put it into a file of mode 0440 and name that with client_secret_file (or use \
             client_secret_env or client_secret_credential)",
        ]
    );
}

#[test]
fn a_variable_that_overrides_nothing_is_refused() {
    let complaints = Sandbox::new(&minimal()).complaints(&[
        ("SCOPEWARDEN_SERVER_LISTEN", "canary"),
        ("SCOPEWARDEN_ORG__1__REGION", "mypurecloud.de"),
        ("SCOPEWARDEN_PAPERCLIPS", "canary"),
    ]);
    assert_eq!(
        complaints,
        [
            "SCOPEWARDEN_ORG__1__REGION: this variable overrides no setting of the file; did you mean \
             \"SCOPEWARDEN_ORG__0__REGION\"?",
            "SCOPEWARDEN_PAPERCLIPS: this variable overrides no setting of the file; unset it",
            "SCOPEWARDEN_SERVER_LISTEN: this variable overrides no setting of the file; did you mean \
             \"SCOPEWARDEN_SERVER__LISTEN\"?",
        ]
    );
}

#[test]
fn variables_that_are_no_overrides_are_left_alone() {
    let toml = minimal().replace("ACME_SECRET", "SCOPEWARDEN_ACME_SECRET");
    let config = Sandbox::new(&toml)
        .load(&[
            ("SCOPEWARDEN_ACME_SECRET", "canary-prefixed"),
            ("SCOPEWARDEN_CONFIG", "/elsewhere"),
            ("SCOPEWARDEN_LOG", "debug"),
            ("SCOPEWARDEN_SERVICE_HOST", "10.0.0.1"),
            ("SCOPEWARDEN_SERVICE_PORT_HTTP", "9840"),
            ("SCOPEWARDEN_PORT", "tcp://10.0.0.1:9840"),
            ("SCOPEWARDEN_PORT_9840_TCP_ADDR", "10.0.0.1"),
        ])
        .unwrap();
    assert_eq!(config.orgs[0].client_secret.expose_secret(), "canary-prefixed");
}

#[test]
fn the_file_is_found_by_argument_then_variable_then_default() {
    let sandbox = Sandbox::new(&minimal());
    let found =
        Config::load_in(None, &environment(&[("SCOPEWARDEN_CONFIG", sandbox.config().to_str().unwrap())]));
    assert_eq!(found.unwrap().file, sandbox.config());

    let missing = sandbox.0.path().join("missing.toml");
    let by_variable =
        Config::load_in(None, &environment(&[("SCOPEWARDEN_CONFIG", missing.to_str().unwrap())]));
    let by_argument = load(&missing, &[]);
    let by_default = Config::load_in(None, &environment(&[("SCOPEWARDEN_CONFIG", "")]));
    let actual =
        [by_variable, by_argument, by_default].map(|result| complaints(&result, sandbox.0.path()).concat());
    assert_eq!(
        actual,
        [
            "SCOPEWARDEN_CONFIG: \"{dir}/missing.toml\" does not exist; name the configuration file",
            "--config: \"{dir}/missing.toml\" does not exist; name the configuration file",
            "--config: \"./scopewarden.toml\" does not exist and $SCOPEWARDEN_CONFIG is not set; name the \
             configuration file with --config or $SCOPEWARDEN_CONFIG",
        ]
    );
}

#[test]
fn a_file_that_is_no_configuration_is_refused_whole() {
    let sandbox = Sandbox::new("");
    let mut said = vec![complaints(&load(sandbox.0.path(), &[]), sandbox.0.path())];
    for content in [vec![b'#'; 1024 * 1024 + 1], b"a = \"\xff\"".to_vec()] {
        fs::write(sandbox.config(), content).unwrap();
        said.push(sandbox.complaints(&[]));
    }
    assert_eq!(
        said.concat(),
        [
            "--config: \"{dir}\" is a directory; name the file in it",
            "--config: \"{dir}/scopewarden.toml\" is larger than 1 MiB, which is no configuration of ours",
            "--config: \"{dir}/scopewarden.toml\" is not UTF-8 text: the first bad byte is at offset 5",
        ]
    );
}

#[test]
fn audits_of_the_quietest_day_are_counted() {
    let folder = TempDir::new().unwrap();
    for (schedule, runs) in [
        ("0 */15 * * * *", 96),
        ("0 7 * * *", 1),
        ("*/30 8-17 * * 1-5", 20),
        ("0 0 1 1 *", 1),
        ("* * * * * *", 1440),
        ("0 0 0 * * 1", 1),
    ] {
        let file = folder.path().join("scopewarden.toml");
        let text = fs::read_to_string(fixtures().join("good-minimal.toml")).unwrap();
        fs::write(&file, format!("{text}\n[audit]\nschedule = \"{schedule}\"\n")).unwrap();
        let config = Config::load_in(Some(&file), &environment(&[])).unwrap();
        assert_eq!(config.audit.runs_a_day(), runs, "{schedule}");
    }
}

#[test]
fn lists_are_bounded() {
    let org = |index: usize| minimal().replace("\"acme\"", &format!("\"acme-{index}\""));
    let receiver = |index: usize| {
        format!("[[receiver]]\nname = \"r{index}\"\nkind = \"webhook\"\nurl_env = \"RECEIVER_URL\"\n")
            + "secret_env = \"SIGNING_SECRET\"\n"
    };
    let file = |orgs: usize, receivers: usize| {
        let sections = (0..orgs).map(org).chain((0..receivers).map(receiver));
        Sandbox::new(&sections.collect::<String>())
    };
    let most = file(100, 10).load(&[]).unwrap();
    assert_eq!((most.orgs.len(), most.receivers.len()), (100, 10));
    assert_eq!(
        file(101, 11).complaints(&[]),
        [
            "org: there are 101 of them; at most 100 are allowed",
            "receiver: there are 11 of them; at most 10 are allowed"
        ]
    );
}

#[test]
fn schedules_are_normalised_to_what_the_scheduler_takes() {
    let cases = [
        ("*/5 * * * *", "0 */5 * * * *"),
        ("  0  */15 * * *  MON-FRI ", "0 */15 * * * MON-FRI"),
        ("30 0 6 * * * *", "30 0 6 * * *"),
        ("0 0 0 1 1 * 2099", "0 0 0 1 1 * 2099"),
        ("0 0 0 29 2 *", "0 0 0 29 2 *"),
    ];
    for (given, expected) in cases {
        let config = Sandbox::new(&minimal()).load(&[("SCOPEWARDEN_AUDIT__SCHEDULE", given)]).unwrap();
        assert_eq!(config.audit.schedule, expected);
        tokio_cron_scheduler::Job::new(expected, |_, _| {}).expect("the scheduler takes it");
    }
}

/// Scraps of which random files are made: what the grammar knows, what we know, and what nobody expects.
fn scrap() -> impl Strategy<Value = String> {
    let known: Vec<&str> = [
        "[[org]] [[receiver]] [storage] [server] [audit] [backup] [retention] keep min_free name url region listen schedule timeout client_id kind",
        "client_secret_file client_secret_env secret_env min_severity checks orgs owners topics heartbeat deny_private proxy [alerts] group_above flapping_after remind_after = [ ] { } \" \"\"\" ''' # , . true",
        "0x 1e999 inf 1979-05-27 \"SIGNING_SECRET\" \"webhook\" \"acme\" \"*/0\" \"https://[::1]/\" \"sqlite:\" \"..\"",
        "\"\\u0000\" \u{feff}",
    ]
    .iter()
    .flat_map(|words| words.split(' '))
    .chain(["\n", " "])
    .collect();
    let known = prop::sample::select(known);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_makes_it_panic(scraps in prop::collection::vec(scrap(), 0..24)) {
        let _ = Sandbox::new(&scraps.concat()).load(&[]);
    }

    #[test]
    fn no_value_makes_it_panic(
        schedule in "([-*/,0-9LW#?@+]{1,5} ){4,6}([0-7]?[-*/#L+,]?[0-9]{0,5}|[A-Z]{3})",
        listen in any::<String>(),
        timeout in "[0-9a-z .]{0,30}",
        region in any::<String>(),
        storage in "(sqlite:)?\\PC{0,30}",
        external_url in "(https?://)?[\\PC]{0,40}",
    ) {
        let _ = Sandbox::new(&minimal()).load(&[
            ("SCOPEWARDEN_AUDIT__SCHEDULE", &schedule),
            ("SCOPEWARDEN_SERVER__LISTEN", &listen),
            ("SCOPEWARDEN_AUDIT__TIMEOUT", &timeout),
            ("SCOPEWARDEN_ORG__0__REGION", &region),
            ("SCOPEWARDEN_STORAGE__URL", &storage),
            ("SCOPEWARDEN_SERVER__EXTERNAL_URL", &external_url),
        ]);
    }
}
