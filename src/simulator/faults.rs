//! Faults on demand: which requests go wrong, and how.
//!
//! Enters: a list of faults, through the private surface. Leaves: for each request at most one [`Fault`] to commit.
//! A fault is never part of the organisation: it spoils answers, not state (except that a token may expire).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{Answer, Content, Refusal};
use super::call::Shift;
use super::connection::Behaviour;
use super::operations::Operation;

/// No more faults than this at a time.
pub(super) const MOST_FAULTS: usize = 1_000;
/// A fault with this count never ends.
const FOREVER: i64 = -1;
const MOST_PADDING: usize = 128 * 1024 * 1024;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    #[serde(rename = "429")]
    TooMany,
    #[serde(rename = "429_no_retry_after")]
    TooManyWithoutRetryAfter,
    #[serde(rename = "500")]
    InternalError,
    #[serde(rename = "502")]
    BadGateway,
    #[serde(rename = "503")]
    Unavailable,
    /// 403, as if the caller's role had just lost the permission.
    Forbidden,
    /// 401, and the token is really gone.
    ExpiredToken,
    /// The connection is reset before an answer.
    Reset,
    /// The body trickles.
    SlowBody,
    /// The JSON ends in the middle.
    Truncated,
    /// Every member has another type.
    WrongType,
    /// A web page with status 200.
    NotJson,
    /// The right answer with a member of `bytes` bytes.
    HugeBody,
    /// A listing without entries.
    EmptyList,
    /// A subject without grants.
    NoGrants,
    /// 404, as if the object were not there.
    #[serde(rename = "404")]
    NotFound,
    /// Entries move between pages; hits only pages after the first.
    ShiftPages,
}

/// One fault, as it is put and as it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// `METHOD /path`: a template, a literal path, with or without query; a `*` at the end matches any rest.
    r#match: String,
    pub(super) kind: Kind,
    /// How many requests it spoils; -1 for all.
    #[serde(default = "once")]
    count: i64,
    /// How many matching requests pass before.
    #[serde(default)]
    after: u64,
    /// Seconds in `Retry-After`.
    #[serde(default = "two")]
    retry_after: u64,
    /// Size of a huge body's padding.
    #[serde(default = "sixty_four_mebibytes")]
    bytes: usize,
    /// Speed of a slow body.
    #[serde(default = "sixty_four")]
    bytes_per_second: usize,
    /// How many entries vanish before the shifted page; negative for entries that appear.
    #[serde(default = "once")]
    by: i64,
    /// Whether the total follows the shift.
    #[serde(default = "yes")]
    total_changes: bool,
    /// Requests that passed, and requests that were spoiled; given back, never taken.
    #[serde(default, skip_deserializing)]
    passed: u64,
    #[serde(default, skip_deserializing)]
    spoiled: i64,
}

fn once() -> i64 {
    1
}
fn two() -> u64 {
    2
}
fn sixty_four() -> usize {
    64
}
fn sixty_four_mebibytes() -> usize {
    64 * 1024 * 1024
}
fn yes() -> bool {
    true
}

/// The faults that wait for their requests.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Replaces all faults by those of a JSON list, or says which one is wrong.
    pub(super) fn replace(&mut self, list: Value) -> Result<(), String> {
        let Value::Array(items) = list else { return Err("a list of faults is expected".into()) };
        if items.len() > MOST_FAULTS {
            return Err(format!("{} faults are more than {MOST_FAULTS}", items.len()));
        }
        let parse = |(index, item)| {
            let fault: Fault =
                serde_json::from_value(item).map_err(|error| format!("fault {index}: {error}"))?;
            fault.check().map_err(|problem| format!("fault {index}: {problem}"))?;
            Ok(fault)
        };
        self.0 = items.into_iter().enumerate().map(parse).collect::<Result<_, String>>()?;
        Ok(())
    }

    pub(super) fn list(&self) -> &[Fault] {
        &self.0
    }

    /// The fault that this request runs into. The first that is due wins; those behind it do not notice the request.
    pub(super) fn strike(
        &mut self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        operation: Option<&Operation>,
    ) -> Option<Fault> {
        let page =
            query.iter().find(|(name, _)| name == "pageNumber").and_then(|(_, value)| value.parse().ok());
        for fault in &mut self.0 {
            let later_page = page.unwrap_or(1) > 1_u64;
            if !fault.matches(method, path, query, operation)
                || (fault.kind == Kind::ShiftPages && !later_page)
            {
                continue;
            }
            if fault.passed < fault.after {
                fault.passed += 1;
            } else if fault.count == FOREVER || fault.spoiled < fault.count {
                fault.spoiled = fault.spoiled.saturating_add(1);
                return Some(fault.clone());
            }
        }
        None
    }
}

impl Fault {
    fn check(&self) -> Result<(), String> {
        if self.count != FOREVER && self.count < 1 {
            return Err(format!("count = {}: at least 1, or -1 for every request", self.count));
        }
        if self.bytes > MOST_PADDING {
            return Err(format!("bytes = {}: at most {MOST_PADDING}", self.bytes));
        }
        match self.r#match.split_once(' ') {
            Some((_, path)) if path.starts_with('/') => Ok(()),
            _ => Err(format!("match = {:?}: METHOD /path is expected", self.r#match)),
        }
    }

    fn matches(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        operation: Option<&Operation>,
    ) -> bool {
        let Some((wanted_method, wanted)) = self.r#match.split_once(' ') else { return false };
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let with_query = format!("{path}?{}", pairs.join("&"));
        let candidates = [Some(path), operation.map(|known| known.path), Some(with_query.as_str())];
        let fits = |candidate: &str| match wanted.strip_suffix('*') {
            Some(start) => candidate.starts_with(start),
            None => candidate == wanted,
        };
        (wanted_method == "*" || wanted_method.eq_ignore_ascii_case(method))
            && candidates.into_iter().flatten().any(fits)
    }

    /// How the listing moves while this request reads it.
    pub(super) fn shift(&self) -> Option<Shift> {
        (self.kind == Kind::ShiftPages).then_some(Shift { by: self.by, total_changes: self.total_changes })
    }

    /// The answer that comes instead of any other, for faults that need no right answer to spoil.
    pub(super) fn replacement(&self, operation: Option<&Operation>) -> Option<Result<Answer, Refusal>> {
        let refuse = |status, code, message: &str| Some(Err(Refusal::new(status, code, message)));
        match self.kind {
            Kind::TooMany => Some(Err(Refusal::too_many(300, self.retry_after))),
            Kind::TooManyWithoutRetryAfter => refuse(
                429,
                "too.many.requests",
                "Rate limit exceeded the maximum [300] requests within [60] seconds",
            ),
            Kind::InternalError => refuse(
                500,
                "internal.server.error",
                "The server encountered an unexpected condition which prevented it from fulfilling the request.",
            ),
            Kind::Unavailable => refuse(503, "service.unavailable", "Service Unavailable"),
            Kind::BadGateway => Some(Ok(Answer::raw(502, "text/html", GATEWAY_PAGE.into()))),
            Kind::NotJson => Some(Ok(Answer::raw(200, "text/html", LOGIN_PAGE.into()))),
            Kind::Forbidden => {
                let permissions = operation.map_or(&[][..], |known| &known.permissions);
                Some(Err(Refusal::missing_any(permissions)))
            }
            Kind::NotFound => Some(Err(Refusal::not_found())),
            Kind::ExpiredToken => Some(Err(Refusal::bad_credentials())),
            Kind::Reset => Some(Ok(Answer { behaviour: Behaviour::Reset, ..Answer::empty(200) })),
            _ => None,
        }
    }

    /// Spoils a right answer. What was refused anyway stays refused.
    pub(super) fn spoil(&self, mut answer: Answer) -> Answer {
        if self.kind == Kind::SlowBody {
            answer.behaviour = Behaviour::Trickle { bytes_per_second: self.bytes_per_second.max(1) };
        }
        if answer.status != 200 {
            return answer;
        }
        let content = match answer.content {
            // Spoilt as JSON, though it is kept as text.
            Content::Raw("application/json", bytes)
                if matches!(self.kind, Kind::Truncated | Kind::WrongType | Kind::HugeBody) =>
            {
                serde_json::from_slice(&bytes).map_or(Content::Empty, Content::Json)
            }
            content => content,
        };
        answer.content = match (self.kind, content) {
            (Kind::Truncated, Content::Json(value)) => {
                let mut text = value.to_string().into_bytes();
                text.truncate(text.len() / 2);
                Content::Raw("application/json", text)
            }
            (Kind::WrongType, Content::Json(value)) => Content::Json(with_wrong_types(value)),
            (Kind::EmptyList, Content::Json(value)) => Content::Json(emptied(value)),
            (Kind::NoGrants, Content::Json(mut value)) => {
                value["grants"] = Value::Array(Vec::new());
                Content::Json(value)
            }
            (Kind::HugeBody, Content::Json(Value::Object(mut members))) => {
                members.insert("padding".into(), "x".repeat(self.bytes).into());
                Content::Json(Value::Object(members))
            }
            (_, content) => content,
        };
        answer
    }
}

const GATEWAY_PAGE: &str =
    "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>";
const LOGIN_PAGE: &str = "<html><body>Please sign in to the proxy.</body></html>";

fn with_wrong_types(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, member)| (name, of_another_type(&member))).collect(),
        ),
        other => of_another_type(&other),
    }
}

fn of_another_type(value: &Value) -> Value {
    match value {
        Value::Array(_) => Value::Object(Map::new()),
        Value::String(_) => Value::from(7),
        Value::Number(number) => Value::from(format!("about {number}")),
        Value::Bool(_) | Value::Null | Value::Object(_) => Value::from(vec![1]),
    }
}

fn emptied(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value
        && members.contains_key("entities")
    {
        members.insert("entities".into(), Value::Array(Vec::new()));
        for count in ["total", "pageCount"] {
            if let Some(member) = members.get_mut(count) {
                *member = Value::from(0);
            }
        }
        members.remove("nextUri");
        members.remove("previousUri");
    }
    value
}
