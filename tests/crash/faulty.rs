//! A disk that answers with errors, and a file that is not what was written.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    full::{becomes_ready, becomes_unready},
    live::{process::Daemon, within},
    record::Record,
    scene::{LIMIT, Scene, Seed, random},
};

/// The daemon looks every 30 s whether the disk takes a durable write again.
const RECOVERY: Duration = Duration::from_secs(75);

/// strace, attached to a running daemon: calls fail until this is dropped.
struct Fault(Child);

impl Fault {
    async fn inject(daemon: &Daemon, calls: &str, error: &str) -> Self {
        let inject = format!("inject={calls}:error={error}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-p", &daemon.pid().to_string()]);
        strace.args(["-e", &format!("trace={calls}"), "-e", &inject]);
        let fault = Self(strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let status = format!("/proc/{}/status", daemon.pid());
        within("strace to attach", LIMIT, async || {
            let traced = fs::read_to_string(&status).unwrap();
            (!traced.contains("TracerPid:\t0\n")).then_some(())
        })
        .await;
        fault
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // Not SIGKILL: strace lets go of every thread before it ends.
        let _ = Command::new("sh").args(["-c", &format!("kill -INT {}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn a_disk_that_cannot_sync_stops_audits_until_it_can() {
    fails_and_recovers("fsync,fdatasync", "EIO").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn a_disk_that_cannot_write_stops_audits_until_it_can() {
    fails_and_recovers("pwrite64", "EIO").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace; tests/peers/run has it"]
async fn a_quota_that_is_used_up_is_a_full_disk() {
    fails_and_recovers("pwrite64", "ENOSPC").await;
}

async fn fails_and_recovers(calls: &str, error: &str) {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let mut scene = Scene::start(random).await;
    let mut daemon = scene.home.start();
    let url = daemon.url().await;
    daemon.logs("audit recorded", LIMIT).await;
    scene.edit().await;
    let fault = Fault::inject(&daemon, calls, error).await;
    let reason = becomes_unready(&daemon, &url).await;
    assert!(reason.contains("database"), "{reason}");
    assert_eq!(daemon.metric(&url, "scopewarden_db_writable", "").await, Some(0.0));
    for page in ["/", "/metrics", "/api/v1/findings"] {
        let answer = daemon.get(&format!("{url}{page}")).await;
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{page}: {answer:?}");
    }
    scene.edit().await;
    drop(fault);
    becomes_ready(&daemon, &url, RECOVERY).await;
    assert_eq!(daemon.metric(&url, "scopewarden_db_writable", "").await, Some(1.0));
    let log = daemon.log_lines();
    daemon.stop(LIMIT).await;
    // What was said to be recorded is; what was not may be, whole: a commit whose sync failed can still have arrived.
    scene.check(&log).await;
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_never_written_to() {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let scene = Scene::start(random).await;
    let database = scene.home.database();
    let whole = fs::read(&database).unwrap();
    Record::verify(&scene.home);
    for part in 1..8 {
        // Not the header, without which it would not even be a database.
        let page = whole.len() / 4096 * part / 8;
        let file = OpenOptions::new().write(true).open(&database).unwrap();
        file.write_all_at(&[0xA5; 4096], page as u64 * 4096).unwrap();
        let damaged = fs::read(&database).unwrap();
        refuses_or_only_reads(scene.home.start()).await;
        // The header apart: opening for writing counts there.
        let after = fs::read(&database).unwrap();
        assert!(after[100..] == damaged[100..], "page {page} is damaged, and the file was written to");
        fs::write(&database, &whole).unwrap();
        for log in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{log}", database.display()));
        }
    }
    Record::verify(&scene.home);
}

/// It refuses to start, or it serves, and says what is wrong.
async fn refuses_or_only_reads(mut daemon: Daemon) {
    let refused = within("a refusal or a page", LIMIT, async || {
        if daemon.has_ended().is_some() {
            return Some(true);
        }
        daemon.log().contains("scopewarden runs").then_some(false)
    })
    .await;
    if refused {
        let log = daemon.log();
        assert!(log.contains("record.db") && (log.contains("damaged") || log.contains("malformed")), "{log}");
        return;
    }
    let url = daemon.url().await;
    becomes_unready(&daemon, &url).await;
    assert_eq!(daemon.metric(&url, "scopewarden_db_integrity_ok", "").await, Some(0.0));
    assert_eq!(daemon.get(&format!("{url}/metrics")).await.map(|(status, _)| status), Some(200));
    daemon.stop(LIMIT).await;
}
