//! What the service manager is told over `NOTIFY_SOCKET`.

use std::{io::ErrorKind, os::unix::net::UnixDatagram, path::PathBuf, time::Duration};

use crate::{
    live::{process::Daemon, within},
    stage::{LIMIT, Stage},
};

/// The service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(stage: &Stage) -> Self {
        let path = stage.home.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    /// Starts the daemon as a service of this manager.
    fn start(&self, stage: &Stage, watchdog: Duration) -> Daemon {
        let mut command = stage.home.program(&["run", "--log-format", "json"]);
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        stage.home.start_as(command)
    }

    /// The next notice that has `word` as a line, or as the name of one.
    async fn next(&self, word: &str) -> String {
        within(&format!("the notice {word}"), LIMIT, async || {
            loop {
                let mut buffer = [0; 4096];
                let length = match self.socket.recv(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                    Err(error) => panic!("{error}"),
                };
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if text.lines().any(|line| line == word) {
                    return Some(text);
                }
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_learns_of_each_step() {
    let stage = Stage::set().await;
    let manager = Manager::new(&stage);
    let mut daemon = manager.start(&stage, Duration::from_secs(2));
    manager.next("READY=1").await;
    let url = daemon.url().await;
    assert_eq!(daemon.get(&format!("{url}/livez")).await.unwrap().0, 200, "ready means that it serves");

    // Twice: a watchdog that was fed once only would bark.
    manager.next("WATCHDOG=1").await;
    manager.next("WATCHDOG=1").await;

    daemon.signal("HUP");
    let reloading = manager.next("RELOADING=1").await;
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(since.is_some_and(|since| since.parse::<u64>().is_ok_and(|since| since > 0)), "{reloading}");
    manager.next("READY=1").await;

    daemon.signal("TERM");
    manager.next("STOPPING=1").await;
    assert_eq!(daemon.end(LIMIT).await.code(), Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_is_over_as_well() {
    let stage = Stage::set().await;
    let manager = Manager::new(&stage);
    let daemon = manager.start(&stage, Duration::from_secs(30));
    manager.next("READY=1").await;
    stage.home.configure("", "[[org]]\nname = \"acme\"\n");
    daemon.signal("HUP");
    manager.next("RELOADING=1").await;
    manager.next("READY=1").await;
    daemon.stop(LIMIT).await;
}
