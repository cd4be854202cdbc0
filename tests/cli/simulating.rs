//! `simulate`: one line, then HTTP until a signal.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::workplace::{program, run};

#[test]
fn it_announces_itself_serves_and_ends_on_either_signal() {
    let folder = TempDir::new().unwrap();
    let mut secrets = Vec::new();
    for signal in ["-INT", "-TERM"] {
        let mut command = program(folder.path());
        command.args([
            "simulate",
            "--listen",
            "127.0.0.1:0",
            "--clients",
            "5",
            "--roles",
            "4",
            "--seed",
            "9",
        ]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        for field in ["org_id", "client_id", "client_secret", "admin_client_id", "admin_client_secret"] {
            assert!(announced[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {announced}");
        }
        let address = announced["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        TcpStream::connect(&address).unwrap();
        let taken = {
            let mut command = program(folder.path());
            command.args(["simulate", "--listen", &address]);
            run(command).ends_with(1)
        };
        assert!(taken.stderr.contains(&address) && taken.stderr.contains("port 0"), "{}", taken.stderr);
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        secrets.push(announced["client_secret"].clone());
    }
    assert_eq!(secrets[0], secrets[1], "the same seed gives the same organisation");
}
