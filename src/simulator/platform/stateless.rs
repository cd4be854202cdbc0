//! Operations without state here: they answer as an organisation that has no such objects would.
//!
//! By now the caller may perform the operation, and every id in its path is known.

use serde_json::{Value, json};

use crate::simulator::answer::Answer;
use crate::simulator::call::{Call, Page};
use crate::simulator::operations::parameter_name;

pub(super) fn answer(call: &Call<'_>) -> Answer {
    let last = call.operation.path.rsplit('/').next().unwrap_or_default();
    match call.operation.method {
        "GET" if parameter_name(last).is_some() => {
            let id = parameter_name(last).map(|name| call.parameter(name));
            Answer::ok(json!({"id": id.unwrap_or_default()}))
        }
        "GET" => call.listing(Page { size: 25, number: 1 }, &[] as &[Value], Value::clone).into(),
        "HEAD" => Answer::empty(200),
        "DELETE" => Answer::no_content(),
        // Queries and jobs are accepted, and never find anything.
        "POST" if matches!(last, "jobs" | "query") => Answer::json(202, json!({})),
        _ => Answer::ok(json!({})),
    }
}
