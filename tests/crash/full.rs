//! A full disk: audits stop, whoever reads goes on reading, nothing is torn or lost, and it recovers by itself.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    live::{process::Daemon, within},
    record::Record,
    scene::{LIMIT, Scene, Seed, random},
};

/// The daemon looks every 5 s whether space is back; the rest is for a slow machine.
const RECOVERY: Duration = Duration::from_secs(75);

/// A small file system of its own, in memory.
struct Disk(TempDir);

impl Disk {
    fn new(megabytes: u32) -> Self {
        let disk = Self(TempDir::new().unwrap());
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.path()).status();
        assert!(mounted.unwrap().success(), "a tmpfs cannot be mounted here: run this as root");
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Writes a file until not a byte more fits, then leaves `spare` bytes.
    fn fill(&self, spare: u64) {
        let mut file = File::create(self.ballast()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(spare)).unwrap();
    }

    fn relieve(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system: needs root; tests/peers/run has it"]
async fn below_the_least_free_space_audits_stop_before_the_disk_is_full() {
    // 2 MiB are left: enough to write, less than is asked for.
    run_out_of_space("min_free = \"4MiB\"", 2 * 1024 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system: needs root; tests/peers/run has it"]
async fn a_disk_without_a_free_byte_tears_nothing_and_loses_nothing() {
    run_out_of_space("min_free = \"0\"", 0).await;
}

async fn run_out_of_space(storage: &str, spare: u64) {
    let (seed, random) = random();
    let _seed = Seed(seed);
    let disk = Disk::new(48);
    let mut scene = Scene::set(random, |home| home.on_disk(disk.path()), storage).await;
    let mut daemon = scene.home.start();
    let url = daemon.url().await;
    daemon.logs("audit recorded", LIMIT).await;
    becomes_ready(&daemon, &url, LIMIT).await;

    // Alerts wait in the outbox while the disk fills up.
    scene.receivers.iter().for_each(|receiver| receiver.answer_with(503));
    scene.edit().await;
    within("an audit with events", LIMIT, async || {
        daemon.metric(&url, "scopewarden_drift_events_total", "").await.filter(|events| *events > 0.0)
    })
    .await;
    disk.fill(spare);
    scene.edit().await;
    let reason = becomes_unready(&daemon, &url).await;
    assert!(reason.contains("database") && (reason.contains("space") || reason.contains("full")), "{reason}");
    assert_eq!(daemon.metric(&url, "scopewarden_db_writable", "").await, Some(0.0));

    // Reading goes on.
    for page in
        ["/", "/metrics", "/livez", "/api/v1/audits", "/api/v1/findings", "/api/v1/events", "/api/v1/orgs"]
    {
        let answer = daemon.get(&format!("{url}{page}")).await;
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{page}: {answer:?}");
    }
    let findings = scene.home.run(&["findings", "list", "--json"]);
    assert_eq!(findings.code, Some(0), "{}", findings.stderr);
    scene.check(&daemon.log_lines()).await;
    // Audits stop, once the one that was under way has ended: none begins.
    daemon.logs("no audit, since nothing can be recorded", LIMIT).await;
    let before = Record::read(&scene.home).await.audits.len();
    scene.edit().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let record = Record::read(&scene.home).await;
    assert_eq!(record.audits.len(), before, "audits were recorded on a full disk");

    // Space comes back, and with it everything else, without a hand.
    scene.receivers.iter().for_each(|receiver| receiver.answer_with(204));
    disk.relieve();
    becomes_ready(&daemon, &url, RECOVERY).await;
    assert_eq!(daemon.metric(&url, "scopewarden_db_writable", "").await, Some(1.0));
    let events = record.events.len();
    within("the drift of the meantime", LIMIT, async || {
        (Record::read(&scene.home).await.events.len() > events).then_some(())
    })
    .await;
    let log = daemon.log_lines();
    daemon.stop(LIMIT).await;
    scene.check(&log).await;
    scene.finish().await;
}

pub(crate) async fn becomes_ready(daemon: &Daemon, url: &str, limit: Duration) {
    within("readiness", limit, async || {
        daemon.get(&format!("{url}/readyz")).await.filter(|(status, _)| *status == 200)
    })
    .await;
}

/// Waits until it is not ready; what it says.
pub(crate) async fn becomes_unready(daemon: &Daemon, url: &str) -> String {
    within("the end of readiness", LIMIT, async || {
        daemon.get(&format!("{url}/readyz")).await.filter(|(status, _)| *status == 503)
    })
    .await
    .1
}
