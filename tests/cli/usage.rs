//! Help, bad arguments, bad configurations.

use std::fs;

use clap::Command;
use tempfile::TempDir;

use crate::workplace::{Ran, Workplace, program, run};

fn in_empty_folder(arguments: &[&str]) -> Ran {
    let folder = TempDir::new().unwrap();
    let mut command = program(folder.path());
    command.args(arguments);
    let ran = run(command);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?} left something behind");
    ran
}

/// Every command with the words that lead to it.
fn commands(command: &Command, words: &[String], found: &mut Vec<Vec<String>>) {
    for inner in command.get_subcommands() {
        let mut words = words.to_vec();
        words.push(inner.get_name().to_owned());
        commands(inner, &words, found);
        found.push(words);
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let mut all = Vec::new();
    commands(&scopewarden::cli::command(), &[], &mut all);
    assert!(all.len() >= 15, "{all:?}");
    for words in all {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ran = in_empty_folder(&arguments).ends_with(0);
        let example = format!("scopewarden {}", words.join(" "));
        assert!(ran.stdout.contains("Example"), "{words:?}:\n{}", ran.stdout);
        assert!(
            ran.stdout.matches(&example).count() >= 2,
            "{words:?} shows no call of itself:\n{}",
            ran.stdout
        );
        assert_eq!(ran.stderr, "", "{words:?}");
    }
}

#[test]
fn help_and_version_are_no_errors_and_a_bad_argument_is_one() {
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["help", "audit"], 0),
        (&[], 64),
        (&["audti"], 64),
        (&["audit", "--fail-on", "terrible"], 64),
        (&["audit", "--format", "sarif"], 64),
        (&["export", "--format", "xml"], 64),
        (&["export", "everything"], 64),
        (&["export", "clients", "--format", "ocsf"], 64),
        (&["export", "permissions", "--from", "-1d"], 64),
        (&["compliance"], 64),
        (&["compliance", "hipaa"], 64),
        (&["audit", "--json", "--format", "text"], 64),
        (&["access"], 64),
        (&["access", "x", "--all"], 64),
        (&["diff", "--from", "yesterday"], 64),
        (&["outbox"], 64),
        (&["outbox", "retry"], 64),
        (&["outbox", "purge", "--dead", "msg-1"], 64),
        (&["simulate"], 64),
        (&["healthcheck", "--address", "localhost"], 64),
        (&["healthcheck", "--address", "127.0.0.1:0"], 64),
        (&["healthcheck", "--address", "127.0.0.1:1", "--config", "x"], 64),
        (&["simulate", "--listen", "localhost"], 64),
        (&["simulate", "--listen", "127.0.0.1:0", "--clients", "many"], 64),
        (&["verify", "--log", "loud=very=much", "--config", "x"], 64),
    ] {
        let ran = in_empty_folder(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        let (said, silent) = if code == 0 { (ran.stdout, ran.stderr) } else { (ran.stderr, ran.stdout) };
        assert!(!said.is_empty() && silent.is_empty(), "{arguments:?}");
    }
    let refused = in_empty_folder(&["export", "clients", "--format", "ocsf"]).stderr;
    assert!(refused.contains("use json or csv for clients"), "{refused}");
}

#[test]
fn a_missing_configuration_says_where_it_was_looked_for() {
    for arguments in [&["audit"][..], &["clients"], &["verify"], &["outbox", "list"], &["check-config"]] {
        let ran = in_empty_folder(arguments).ends_with(64);
        assert!(ran.stderr.contains("./scopewarden.toml"), "{}", ran.stderr);
        assert!(ran.stderr.contains("SCOPEWARDEN_CONFIG"), "{}", ran.stderr);
    }
}

#[test]
fn every_problem_of_a_configuration_is_listed_and_nothing_is_opened() {
    let folder = TempDir::new().unwrap();
    let text = "[storage]\nurl = \"sqlite:record.db\"\n[server]\nlisten = \"nowhere\"\n[audit]\nschedule = \"often\"\n\
                [[org]]\nname = \"ACME\"\nregion = \"mypurecloud.xx\"\nclient_id = \"id\"\ncolour = \"red\"\n";
    fs::write(folder.path().join("bad.toml"), text).unwrap();
    let fields = [
        ("server", "listen"),
        ("audit", "schedule"),
        ("org", "name"),
        ("org", "region"),
        ("org", "client_secret"),
        ("org", "colour"),
    ];
    for arguments in [&["check-config"][..], &["audit"], &["access", "--all"], &["outbox", "purge", "--dead"]]
    {
        let mut command = program(folder.path());
        command.args(arguments).args(["--config", "bad.toml"]);
        let ran = run(command).ends_with(64);
        for (section, key) in fields {
            let named = |line: &str| line.trim_start().starts_with(section) && line.contains(key);
            assert!(ran.stderr.lines().any(named), "{section}.{key}, {arguments:?}:\n{}", ran.stderr);
        }
        assert_eq!(ran.stdout, "");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the configuration is there");

    let mut command = program(folder.path());
    command.args(["check-config", "--json", "--config", "bad.toml"]);
    let document = run(command).ends_with(64).json();
    assert_eq!(document["ok"], false);
    assert!(document["problems"].as_array().unwrap().len() >= fields.len(), "{document}");
    for problem in document["problems"].as_array().unwrap() {
        assert!(problem["field"].is_string() && problem["reason"].is_string(), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_is_shown_without_its_secret() {
    let workplace = Workplace::new().await;
    let ran = workplace.run(&["check-config"]).ends_with(0);
    assert!(ran.stdout.ends_with("\nok\n") && ran.stdout.contains("<redacted>"), "{}", ran.stdout);
    assert_eq!(workplace.run(&["check-config", "--json"]).ends_with(0).json()["ok"], true);
    assert!(!workplace.path("record.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_organisations_one_must_be_named() {
    let workplace = Workplace::new().await;
    workplace.configure(&[workplace.org("acme-eu"), workplace.org("acme-us")].concat());
    for arguments in
        [&["audit"][..], &["clients"], &["access", "--all"], &["diff"], &["findings"], &["verify"]]
    {
        let ran = workplace.run(arguments).ends_with(64);
        assert!(ran.stderr.contains("--org") && ran.stderr.contains("acme-eu, acme-us"), "{}", ran.stderr);
    }
    let unknown = workplace.run(&["audit", "--org", "acme-uz"]).ends_with(64);
    assert!(unknown.stderr.contains("did you mean \"acme-eu\" or \"acme-us\"?"), "{}", unknown.stderr);
    let audited = workplace.run(&["audit", "--org", "acme-us", "--json"]).ends_with(0);
    assert_eq!(audited.json()["org"], "acme-us");
    let other = workplace.run(&["clients", "--org", "acme-eu"]).ends_with(1);
    assert!(
        other.stderr.contains("no audit of acme-eu is recorded yet; run `scopewarden audit"),
        "{}",
        other.stderr
    );
}
