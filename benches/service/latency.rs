//! From a change of the organisation to the arrival of its alert, with an audit every minute.
//!
//! A hundred roles are given a permission, one after the other at random moments of ten minutes, and the receiver notes
//! when it hears of each. What is ours begins when the audit was due: the time before that is the schedule's.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    ms, quantile,
    running::{Service, Simulated, wait},
};

const CHANGES: usize = 100;
/// On average between two changes; each waits for half of it to one and a half.
const PAUSE: Duration = Duration::from_millis(5_800);

/// Unix times at which the receiver heard of each role's change.
type Arrivals = Arc<Mutex<HashMap<String, Duration>>>;

pub(crate) fn latency() {
    let simulated = Simulated::start(&["--clients", "1000", "--roles", "500", "--divisions", "20"]);
    let arrivals = Arrivals::default();
    let receiver = listen(Arc::clone(&arrivals));
    let sections = simulated.section("acme")
        + &format!(
            "[[receiver]]\nname = \"sink\"\nkind = \"webhook\"\nurl = \"{receiver}\"\nsecret_file = \"signing-secret\"\n"
        );
    let service = Service::start(&simulated, "0 * * * * *", &sections);
    wait("the first audit", 120, || (service.audits() > 0).then_some(()));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(change(&simulated));
    wait("the last alert", 90, || (arrivals.lock().unwrap().len() >= CHANGES).then_some(()));

    let arrivals = arrivals.lock().unwrap();
    let (mut whole, mut ours): (Vec<Duration>, Vec<Duration>) = made
        .iter()
        .map(|(role, at)| {
            let arrived = arrivals[role];
            // The audit that told of it began at the last full minute.
            let due = Duration::from_secs(arrived.as_secs() / 60 * 60);
            (arrived.saturating_sub(*at), arrived.saturating_sub(due))
        })
        .unzip();
    println!("| changes | | median | p99 | most |");
    println!("|--:|---|--:|--:|--:|");
    for (what, times) in [("change to arrival", &mut whole), ("due time to arrival", &mut ours)] {
        let [median, high, most] = [0.5, 0.99, 1.0].map(|share| ms(quantile(times, share)));
        println!("| {CHANGES} | {what} | {median} | {high} | {most} |");
    }
}

#[expect(clippy::disallowed_methods, reason = "two processes are measured by the one clock that they share")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Gives a hundred roles that somebody holds one more permission; when each call was answered.
async fn change(simulated: &Simulated) -> Vec<(String, Duration)> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = |field: &str| simulated.announced[field].as_str().unwrap().to_owned();
    let url = text("url");
    let login = http
        .post(format!("{url}/oauth/token"))
        .basic_auth(text("admin_client_id"), Some(text("admin_client_secret")))
        .form(&[("grant_type", "client_credentials")]);
    let token: Value = login.send().await.unwrap().json().await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let roles = format!("{url}/api/v2/authorization/roles");
    let mut custom = Vec::new();
    for page in 1..=5 {
        let list = http.get(format!("{roles}?pageSize=100&pageNumber={page}")).bearer_auth(token);
        let list: Value = list.send().await.unwrap().json().await.unwrap();
        // Roles that do not have it yet, by whatever wildcard.
        let has_it = |policy: &Value| policy["domain"] == "directory" || policy["domain"] == "*";
        let without = |role: &&Value| {
            let policies = role["permissionPolicies"].as_array().unwrap();
            role["default"] != true && role["name"] != "scopewarden auditor" && !policies.iter().any(has_it)
        };
        custom.extend(list["entities"].as_array().unwrap().iter().filter(without).cloned());
    }
    assert!(custom.len() >= CHANGES, "{} roles are too few", custom.len());
    let mut made = Vec::new();
    // Always the same moments of the run, at any moment of a minute.
    let mut random = 0x2545_F491_u32;
    for mut role in custom.into_iter().take(CHANGES) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        tokio::time::sleep(PAUSE.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX))).await;
        let added = json!({ "domain": "directory", "entityName": "user", "actionSet": ["setPassword"] });
        role["permissionPolicies"].as_array_mut().unwrap().push(added);
        let id = role["id"].as_str().unwrap().to_owned();
        let answer = http.put(format!("{roles}/{id}")).bearer_auth(token).json(&role).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        made.push((id, now()));
    }
    made
}

/// A receiver that takes everything and notes the first message about each role. Its address.
fn listen(arrivals: Arrivals) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let arrivals = Arc::clone(&arrivals);
            thread::spawn(move || {
                while let Some(body) = request(&mut stream) {
                    let at = now();
                    let message: Value = serde_json::from_slice(&body).unwrap();
                    let cause = &message["data"]["cause"];
                    if message["type"] == "drift.detected" && cause["subject"]["type"] == "role" {
                        let role = cause["subject"]["id"].as_str().unwrap().to_owned();
                        arrivals.lock().unwrap().entry(role).or_insert(at);
                    }
                    let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
                    if stream.get_mut().write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The body of the next request on a connection; `None` at its end.
fn request(stream: &mut BufReader<std::net::TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
            }
            // The first line has a colon in its URL, or none at all.
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
