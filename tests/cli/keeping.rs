//! `backup`, and the way back from one.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
};

use serde_json::{Value, json};

use crate::workplace::Workplace;

/// A daemon that is stopped when the test is over.
struct Daemon(Child);

impl Daemon {
    /// Starts it and waits until it says that an audit is recorded.
    fn start(workplace: &Workplace) -> Self {
        let mut child = workplace
            .program()
            .args(["run", "--log-format", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let recorded = lines.any(|line| line.unwrap().contains("audit recorded"));
        assert!(recorded, "the daemon ended");
        // It goes on logging, and nobody may stop it by not reading.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn names(workplace: &Workplace) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(workplace.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("copy"))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_beside_the_running_daemon() {
    let workplace = Workplace::new().await;
    let every_second = "[audit]\nschedule = \"* * * * * *\"\n[server]\nlisten = \"127.0.0.1:0\"\n";
    workplace.configure(&[every_second, &workplace.org("acme")].concat());
    let _daemon = Daemon::start(&workplace);
    let backup = workplace.run(&["backup", "copy.db", "--json"]).ends_with(0).json();

    let copy = workplace.path("copy.db");
    assert_eq!(fs::canonicalize(backup["path"].as_str().unwrap()).unwrap(), fs::canonicalize(&copy).unwrap());
    assert_eq!(backup["bytes"], fs::metadata(&copy).unwrap().len());
    assert_eq!(backup["orgs"], 1);
    assert!(backup["audits"].as_u64().unwrap() >= 1);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let text = workplace.run(&["backup", "copy-2.db"]).ends_with(0).stdout;
    assert!(text.contains("copy-2.db: ") && text.contains("verified"), "{text}");
    assert_eq!(names(&workplace), ["copy-2.db", "copy.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_cannot_be_made_says_why_and_leaves_nothing() {
    let workplace = Workplace::new().await;
    let before = workplace.run(&["backup", "copy.db"]).ends_with(1);
    assert!(before.stderr.contains("it does not exist yet"), "{}", before.stderr);
    workplace.run(&["audit"]).ends_with(0);
    fs::write(workplace.path("copy-there"), "precious").unwrap();
    for (to, says) in [
        ("copy-there", "copy-there exists already and no backup overwrites anything; name another file"),
        ("no-such/copy.db", "no-such does not exist; make it"),
    ] {
        let ran = workplace.run(&["backup", to]).ends_with(1);
        assert!(ran.stderr.contains(says) && ran.stdout.is_empty(), "{}", ran.stderr);
    }
    assert_eq!(names(&workplace), ["copy-there"]);
    assert_eq!(fs::read_to_string(workplace.path("copy-there")).unwrap(), "precious");
    workplace.run(&["backup"]).ends_with(64);
}

/// The drill of the operations guide: what came after the backup is lost, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_consistent_and_goes_on() {
    let workplace = Workplace::new().await;
    workplace.run(&["audit"]).ends_with(0);
    workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", "delete").await;
    let kept = workplace.run(&["audit", "--json"]).ends_with(0).json();
    workplace.run(&["backup", "copy.db"]).ends_with(0);
    let diff = workplace.run(&["diff"]).ends_with(0).json();
    workplace.extend_role("Reporting_Engine_ReadOnly", "telephony", "plugin", "all").await;
    workplace.run(&["audit"]).ends_with(0);
    // A process that was killed leaves its log behind, which belongs to the old file.
    fs::write(workplace.path("record.db-wal"), "left behind").unwrap();

    fs::rename(workplace.path("copy.db"), workplace.path("record.db")).unwrap();
    for name in ["record.db-wal", "record.db-shm"] {
        let _ = fs::remove_file(workplace.path(name));
    }

    let verified = workplace.run(&["verify", "--json"]).ends_with(0).json();
    assert_eq!((&verified["audits"], &verified["head"]), (&json!(2), &kept["chain_head"]));
    assert_eq!(workplace.run(&["diff"]).ends_with(0).json(), diff);
    // The next audit finds what was lost with the later record, and continues the chain.
    let next = workplace.run(&["audit", "--json"]).ends_with(0).json();
    assert_eq!(next["events"][0]["cause"]["permissions"]["added"], json!(["telephony:plugin:all"]));
    let verified = workplace.run(&["verify", "--json"]).ends_with(0).json();
    assert_eq!((&verified["audits"], &verified["head"]), (&json!(3), &next["chain_head"]));
}

/// Retention is the daemon's; here its effect on what people are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_moment_is_answered_by_the_last_kept_one_which_is_said() {
    let workplace = Workplace::new().await;
    let mut audits: Vec<Value> = Vec::new();
    for action in ["add", "edit", "delete"] {
        audits.push(workplace.run(&["audit", "--json"]).ends_with(0).json());
        workplace.extend_role("Reporting_Engine_ReadOnly", "directory", "user", action).await;
    }
    audits.push(workplace.run(&["audit", "--json"]).ends_with(0).json());
    // The content of the role that only the second audit saw.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(workplace.path("record.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let forgotten = sqlx::query(
        "UPDATE object SET body = '', forgotten_ms = 1 WHERE hash IN
         (SELECT hash FROM version WHERE since = 2 AND kind = 'role')",
    );
    assert_eq!(forgotten.execute(&pool).await.unwrap().rows_affected(), 1);
    pool.close().await;

    let asked = audits[1]["audit"].as_str().unwrap();
    let diff = workplace.run(&["diff", "--from", asked]).ends_with(0).json();
    assert_eq!((&diff["from_audit"], &diff["from"]), (&audits[0]["audit"], &audits[0]["at"]));
    assert_eq!(diff["from_instead_of"], json!({ "audit": asked, "at": audits[1]["at"] }));
    assert_eq!(diff["to_instead_of"], Value::Null);
    assert_eq!(
        diff["events"][0]["cause"]["permissions"]["added"].as_array().unwrap().len(),
        3,
        "from the first to the last: {diff}"
    );
    let text = workplace.run(&["diff", "--from", asked, "--format", "text"]).ends_with(0).stdout;
    assert!(text.contains("--from") && text.contains("no longer kept") && text.contains(asked), "{text}");

    let verified = workplace.run(&["verify", "--json"]).ends_with(0).json();
    assert_eq!((&verified["consistent"], &verified["forgotten"]), (&json!(true), &json!(1)));
    let text = workplace.run(&["verify"]).ends_with(0).stdout;
    assert!(text.contains("forgotten:  1 contents"), "{text}");
}
