//! Death at each call that makes something durable, and at the writes between them. strace kills the program on the
//! nth such call on one of the database's files, so the program has no hook for it.

use std::{fs, os::unix::process::ExitStatusExt as _};

use crate::{
    live::{process::Daemon, within},
    record::Record,
    scene::{LIMIT, Scene, Seed, random},
};

/// A call of the operating system on one file.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// What follows the database's name.
    file: &'static str,
    call: &'static str,
    nth: usize,
}

fn cuts(file: &'static str, call: &'static str, nth: impl IntoIterator<Item = usize>) -> Vec<Cut> {
    nth.into_iter().map(|nth| Cut { file, call, nth }).collect()
}

/// Starts the program with its life cut short.
fn start(scene: &Scene, cut: Cut, arguments: &[&str]) -> Daemon {
    let Cut { file, call, nth } = cut;
    let path = format!("{}{file}", scene.home.database().display());
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let trace = format!("trace={call}");
    // -D: the program is our own child, and strace watches it from aside.
    let watch = ["-f", "-D", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let only = if file == ANY { vec![] } else { vec!["-P", &path] };
    let program = [env!("CARGO_BIN_EXE_scopewarden")];
    scene.home.start_as(scene.home.command("strace", &[&watch, &only[..], &program, arguments].concat()))
}

/// Not only the database's own files.
const ANY: &str = "*";

const RUN: [&str; 3] = ["run", "--log-format", "json"];

async fn dies(mut daemon: Daemon, cut: Cut) -> Vec<serde_json::Value> {
    let status = daemon.end(LIMIT).await;
    assert_eq!(status.signal(), Some(9), "{cut:?} never came: {status}\n{}", daemon.log());
    daemon.log_lines()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn death_at_any_write_of_an_audit_or_a_delivery_loses_nothing() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let mut scene = Scene::start(random).await;
    let commits = cuts("-wal", "fsync,fdatasync", 1..=16);
    let writes = cuts("-wal", "pwrite64", (1..=8).chain((10..=54).step_by(2)));
    let all = [commits, writes].concat();
    for cut in &all {
        scene.edit().await;
        let daemon = start(&scene, *cut, &RUN);
        let log = dies(daemon, *cut).await;
        scene.check(&log).await;
    }
    let record = scene.finish().await;
    println!(
        "{} kills, seed {seed}: {} events, {} messages",
        all.len(),
        record.events.len(),
        record.messages.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn death_while_the_database_is_closed_loses_nothing() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let mut scene = Scene::start(random).await;
    // Closing folds the log into the file: its pages, a sync, and then the log goes.
    let pages = cuts("", "pwrite64", [1, 2, 3, 5, 8]);
    let ends =
        [cuts("", "fsync,fdatasync", [1]), cuts("-wal", "unlink", [1]), cuts("-shm", "unlink", [1])].concat();
    let all = [pages, ends].concat();
    for cut in &all {
        scene.edit().await;
        let daemon = start(&scene, *cut, &RUN);
        daemon.logs("audit recorded", LIMIT).await;
        daemon.signal("TERM");
        let log = dies(daemon, *cut).await;
        scene.check(&log).await;
    }
    scene.finish().await;
    println!("{} kills, seed {seed}", all.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn death_while_the_database_is_made_leaves_one_that_opens() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let scene = Scene::set(random, |home| home, "").await;
    let header = [cuts("-journal", "pwrite64", [1, 2]), cuts("-journal", "fsync,fdatasync", [1, 2])].concat();
    let switch = [cuts("-journal", "unlink", [1, 2]), cuts("", "pwrite64", [1, 2])].concat();
    let schema =
        [cuts("-wal", "pwrite64", [1, 2, 9, 30, 60]), cuts("-wal", "fsync,fdatasync", [1, 2, 3])].concat();
    let all = [header, switch, schema].concat();
    for cut in &all {
        for file in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(format!("{}{file}", scene.home.database().display()));
        }
        dies(start(&scene, *cut, &RUN), *cut).await;
        let mut daemon = scene.home.start();
        let url = daemon.url().await;
        within("the first audit", LIMIT, async || {
            daemon.metric(&url, "scopewarden_up", "").await.filter(|up| *up > 0.5)
        })
        .await;
        daemon.kill();
        Record::read(&scene.home).await.everything_is_promised(&scene.receivers);
        Record::verify(&scene.home);
    }
    println!("{} kills", all.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn a_backup_that_dies_has_no_name_and_is_in_nobodys_way() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let scene = Scene::start(random).await;
    let copy = scene.home.path("copy.db");
    let arguments = ["backup", copy.to_str().unwrap(), "--json"];
    // Nothing but the copy is written by this command: its pages, its syncs, its name.
    let pages = cuts(ANY, "pwrite64", [1, 2, 20, 60]);
    let ends = [cuts(ANY, "fsync,fdatasync", [1]), cuts(ANY, "rename,renameat,renameat2", [1])].concat();
    let all = [pages, ends].concat();
    for cut in &all {
        dies(start(&scene, *cut, &arguments), *cut).await;
        assert!(
            !copy.exists() || cut.call.starts_with("rename"),
            "{cut:?}: a copy has its name before it is checked"
        );
        let _ = fs::remove_file(&copy);
        let made = scene.home.run(&arguments);
        assert_eq!((made.code, &made.json()["audits"]), (Some(0), &1.into()), "{cut:?}: {}", made.stderr);
        fs::remove_file(&copy).unwrap();
        Record::verify(&scene.home);
    }
    println!("{} kills", all.len());
}
