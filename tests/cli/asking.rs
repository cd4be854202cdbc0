//! `healthcheck`: one question to whatever listens, and an exit code.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Stdio,
    thread,
    time::Duration,
};

use crate::workplace::{Ran, Workplace, program, run};

fn check(address: &str) -> Ran {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = program(folder.path());
    command.args(["healthcheck", "--address", address]);
    run(command)
}

/// Answers one request with `answer`, and gives back what was asked. An empty answer is silence until the other
/// side gives up.
fn answer_once(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).unwrap();
        if answer.is_empty() {
            stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "it gave up");
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).lines().next().unwrap().to_owned()
    });
    (address, asked)
}

#[test]
fn alive_is_0_and_anything_else_is_1_with_its_reason() {
    let (address, asked) = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nalive\n");
    let ran = check(&address).ends_with(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("alive\n", ""));
    assert_eq!(asked.join().unwrap(), "GET /livez HTTP/1.1");

    let (address, _) = answer_once(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 43\r\n\r\nnot alive\n- the scheduler has not started\n.\n",
    );
    let ran = check(&address).ends_with(1);
    assert!(
        ran.stderr.contains("503") && ran.stderr.contains("the scheduler has not started"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");

    let (address, _) = answer_once("HTTP/1.1 302 Found\r\nLocation: /livez\r\nContent-Length: 0\r\n\r\n");
    check(&address).ends_with(1);
}

#[test]
fn nobody_there_and_silence_are_1() {
    let (address, silent) = answer_once("");
    let ran = check(&address).ends_with(1);
    assert!(ran.stderr.contains("did not answer within 3 s"), "{}", ran.stderr);
    silent.join().unwrap();

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = check(&free).ends_with(1);
    assert!(ran.stderr.contains("is the daemon running?"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_daemon_is_found_through_its_configuration() {
    let workplace = Workplace::new().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    workplace.configure(&format!("[server]\nlisten = \"{free}\"\n{}", workplace.org("acme")));
    workplace.run(&["healthcheck"]).ends_with(1);
    let mut daemon = workplace.program().arg("run").stderr(Stdio::null()).spawn().unwrap();
    let alive = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(100));
        workplace.run(&["healthcheck"]).code == 0
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(alive, "the daemon was not found alive within 20 s");
}
