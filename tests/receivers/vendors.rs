//! Servers that answer as Slack, Teams, `PagerDuty` and a receiver of webhooks do, and as strictly.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Instant,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// `whsec_` and the base64 of "canary-secret-canary-secret".
pub(crate) const SIGNING_SECRET: &str = "whsec_Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0";
pub(crate) const ROUTING_KEY: &str = "canary7890123456789012345678901x";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    Webhook,
    Slack,
    Teams,
    PagerDuty,
}

impl Vendor {
    pub(crate) const ALL: [Self; 4] = [Self::Webhook, Self::Slack, Self::Teams, Self::PagerDuty];
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Mishap {
    /// This answer, whatever was sent: status, further head lines, body.
    Answers(u16, &'static str, &'static str),
    /// The connection is reset before an answer.
    Resets,
    /// It was taken, and the answer never came.
    TakenButReset,
    /// No answer, for longer than anybody waits.
    Hangs,
}

/// What a request gets.
enum Reply {
    /// Status, further head lines, body.
    Answers(u16, &'static str, String),
    Resets,
    Never,
}

/// One request that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What the vendor knows it by.
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    mishaps: VecDeque<Mishap>,
    taken: Vec<Taken>,
    requests: usize,
    last: Option<Instant>,
    /// Requests that may come at once.
    allowance: f64,
    /// What the vendor found wrong with a request, of what we could have known.
    complaints: Vec<String>,
}

/// One server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) vendor: Vendor,
    pub(crate) origin: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn start(vendor: Vendor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { vendor, origin, state: Arc::default() };
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        server
    }

    pub(crate) fn expect(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.state.lock().unwrap().mishaps.extend(mishaps);
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.state.lock().unwrap().complaints.clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some((head, body)) = read(&mut stream).await else { return };
        match self.reply(&head, &body) {
            Reply::Answers(status, lines, text) => {
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            Reply::Resets => {}
            Reply::Never => std::future::pending().await,
        }
    }

    fn reply(&self, head: &str, body: &[u8]) -> Reply {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        let too_soon = self.is_too_soon(&mut state);
        let mishap = state.mishaps.pop_front();
        match mishap {
            Some(Mishap::Answers(status, lines, body)) => {
                return Reply::Answers(status, lines, body.to_owned());
            }
            Some(Mishap::Resets) => return Reply::Resets,
            Some(Mishap::Hangs) => return Reply::Never,
            Some(Mishap::TakenButReset) | None => {}
        }
        let (status, text) = if too_soon {
            state.complaints.push("too many requests".to_owned());
            (429, "rate_limited".to_owned())
        } else {
            self.take(&mut state, head, body)
        };
        if mishap.is_none() { Reply::Answers(status, "retry-after: 1\r\n", text) } else { Reply::Resets }
    }

    /// As published: one message a second, four requests a second, and one more than that in a short burst.
    fn is_too_soon(&self, state: &mut State) -> bool {
        let rate = match self.vendor {
            Vendor::Slack => 1.0,
            Vendor::Teams => 4.0,
            Vendor::Webhook | Vendor::PagerDuty => return false,
        };
        let passed = state.last.map_or(f64::INFINITY, |last| last.elapsed().as_secs_f64());
        state.last = Some(Instant::now());
        state.allowance = (state.allowance + passed * rate).min(rate + 1.0);
        let too_soon = state.allowance < 1.0;
        state.allowance -= if too_soon { 0.0 } else { 1.0 };
        too_soon
    }

    fn take(&self, state: &mut State, head: &str, body: &[u8]) -> (u16, String) {
        let refused = |state: &mut State, status: u16, text: &str, why: String| {
            state.complaints.push(why);
            (status, text.to_owned())
        };
        if !head.to_lowercase().contains("content-type: application/json") {
            return refused(state, 415, "", "no JSON by its head".to_owned());
        }
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            return refused(state, 400, "invalid_payload", "no JSON".to_owned());
        };
        let (most, judged) = match self.vendor {
            Vendor::Webhook => (1024 * 1024, webhook(head, body)),
            Vendor::Slack => (64 * 1024, slack(&json)),
            Vendor::Teams => (28 * 1024, teams(&json)),
            Vendor::PagerDuty => (512 * 1024, pagerduty(&json)),
        };
        if body.len() >= most {
            return refused(state, 413, "", format!("{} bytes", body.len()));
        }
        match judged {
            Ok(key) => {
                state.taken.push(Taken { key, body: body.to_vec() });
                match self.vendor {
                    Vendor::Webhook => (204, String::new()),
                    Vendor::Slack => (200, "ok".to_owned()),
                    Vendor::Teams => (202, String::new()),
                    Vendor::PagerDuty => (202, json!({ "status": "success" }).to_string()),
                }
            }
            Err(why) => refused(state, 400, "invalid_payload", why),
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))?
        .parse()
        .ok()?;
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes[end..].to_vec()))
}

fn webhook(head: &str, body: &[u8]) -> Result<String, String> {
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
            .unwrap_or_default()
    };
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signature = standardwebhooks::Webhook::new(SIGNING_SECRET)
        .unwrap()
        .sign(&id, timestamp.parse().map_err(|_| "no time")?, body)
        .map_err(|error| error.to_string())?;
    if header("webhook-signature") == signature { Ok(id) } else { Err("another signature".to_owned()) }
}

/// The id of the message, at the end of a line such as `… [msg-1]`.
fn slack(json: &Value) -> Result<String, String> {
    let blocks = json["blocks"].as_array().ok_or("no blocks")?;
    if blocks.is_empty() || blocks.len() > 50 {
        return Err(format!("{} blocks", blocks.len()));
    }
    for block in blocks {
        let most = match block["type"].as_str() {
            Some("header") => 150,
            Some("section") => 3000,
            Some("context") => continue,
            other => return Err(format!("a block of type {other:?}")),
        };
        let length = block["text"]["text"].as_str().ok_or("a block without text")?.chars().count();
        if length == 0 || length > most {
            return Err(format!("a text of {length} characters"));
        }
    }
    let text = json["text"].as_str().ok_or("no text")?;
    Ok(text.rsplit_once('[').ok_or("no id")?.1.trim_end_matches(']').to_owned())
}

fn teams(json: &Value) -> Result<String, String> {
    let attachment = &json["attachments"][0];
    let card = &attachment["content"];
    if json["type"] != "message"
        || attachment["contentType"] != "application/vnd.microsoft.card.adaptive"
        || card["type"] != "AdaptiveCard"
        || card["version"].as_str().is_none()
    {
        return Err("no card".to_owned());
    }
    let footer = card["body"].as_array().ok_or("no body")?.last().ok_or("an empty body")?;
    let parts: Vec<&str> = footer["text"].as_str().ok_or("no footer")?.split(" · ").collect();
    Ok((*parts.get(2).ok_or("no id")?).replace('\\', ""))
}

fn pagerduty(json: &Value) -> Result<String, String> {
    if json["routing_key"] != ROUTING_KEY {
        return Err("Invalid routing key".to_owned());
    }
    let key = json["dedup_key"].as_str().ok_or("no dedup_key")?;
    let action = json["event_action"].as_str().ok_or("no event_action")?;
    if key.chars().count() > 255 {
        return Err("a long dedup_key".to_owned());
    }
    if action == "trigger" {
        let payload = &json["payload"];
        let length = payload["summary"].as_str().ok_or("no summary")?.chars().count();
        let severity = payload["severity"].as_str().ok_or("no severity")?;
        if length > 1024
            || payload["source"].as_str().is_none()
            || !["critical", "error", "warning", "info"].contains(&severity)
        {
            return Err("a malformed payload".to_owned());
        }
    } else if action != "resolve" {
        return Err(format!("the action {action}"));
    }
    Ok(format!("{action} {key}"))
}
