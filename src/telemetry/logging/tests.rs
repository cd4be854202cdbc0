use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::subscriber::with_default;

use super::*;

/// Where the lines go in these tests.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `speak` logs under a format and filter.
fn logged(format: LogFormat, filter: Option<&str>, colour: bool, speak: impl FnOnce()) -> String {
    let page = Page::default();
    let writer = page.clone();
    let subscriber = subscriber(format, filter, colour, move || writer.clone()).unwrap();
    with_default(subscriber, speak);
    String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn json_is_one_flat_object_a_line() {
    let text = logged(LogFormat::Json, None, false, || {
        let _run = tracing::info_span!("audit", org = "acme", run = "01J").entered();
        let _stage = tracing::info_span!("collect", stage = "collect", attempt = 2).entered();
        tracing::warn!(
            client = "a \"quoted\"\nname",
            calls = 8,
            complete = false,
            level = "mine",
            "slow answer"
        );
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    let object = line.as_object().unwrap();
    for (name, want) in [
        ("level", Value::from("WARN")),
        ("message", "slow answer".into()),
        ("org", "acme".into()),
        ("run", "01J".into()),
        ("stage", "collect".into()),
        ("attempt", 2.into()),
        ("client", "a \"quoted\"\nname".into()),
        ("calls", 8.into()),
        ("complete", false.into()),
        ("field_level", "mine".into()),
    ] {
        assert_eq!(object.get(name), Some(&want), "{name} in {text}");
    }
    assert!(object["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
    assert!(object.values().all(|value| !value.is_object() && !value.is_array()), "{text}");
}

#[test]
fn an_event_field_wins_over_a_span_field() {
    let text = logged(LogFormat::Json, None, false, || {
        let _outer = tracing::info_span!("audit", org = "acme").entered();
        tracing::info!(org = "globex", "other");
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["org"], "globex");
}

#[test]
fn text_is_plain_unless_coloured() {
    let speak = || {
        let _run = tracing::info_span!("audit", org = "acme").entered();
        tracing::info!(calls = 8, "audited");
    };
    let plain = logged(LogFormat::Text, None, false, speak);
    assert!(plain.contains("INFO audit{org=\"acme\"}") && plain.contains("audited calls=8"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    assert!(logged(LogFormat::Text, None, true, speak).contains('\u{1b}'));
}

#[test]
fn a_name_from_outside_cannot_forge_a_line() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = logged(format, None, false, || {
            tracing::info!(client = "x\n2026-01-01T00:00:00Z ERROR forged\u{1b}[31m", "seen");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn the_filter_decides_for_our_own_modules() {
    let speak = || {
        tracing::info!("loud");
        tracing::debug!("quiet");
        tracing::info!(target: "sqlx::query", "statement");
    };
    let by_default = logged(LogFormat::Text, None, false, speak);
    assert!(by_default.contains("loud"));
    assert!(!by_default.contains("quiet") && !by_default.contains("statement"), "{by_default}");
    assert_eq!(
        logged(LogFormat::Text, Some("  "), false, speak).lines().count(),
        1,
        "blank means the default"
    );
    let debug = logged(LogFormat::Text, Some("warn,scopewarden=debug"), false, speak);
    assert!(debug.contains("loud") && debug.contains("quiet") && !debug.contains("statement"), "{debug}");
    assert!(logged(LogFormat::Text, Some("off"), false, speak).is_empty());
}

#[test]
fn no_filter_makes_a_dependency_print_what_it_sends() {
    let speak = || {
        tracing::trace!("our own trace");
        tracing::trace!(target: "hyper::proto::h1::role", "authorization: Bearer canary");
        tracing::debug!(target: "hyper_util::client::legacy", "https://host/services/canary");
        tracing::debug!(target: "reqwest::connect", "canary");
        tracing::trace!(target: "h2::codec::framed_write", headers = "canary", "send");
        tracing::debug!(target: "rustls::client", "canary");
        tracing::trace!(target: "sqlx::query", "canary");
        tracing::trace!(target: "scopewarden_lookalike", "canary");
        tracing::info!(target: "hyper", "a dependency at info");
        let _span = tracing::trace_span!(target: "hyper::client", "send", token = "canary").entered();
        tracing::info!("inside a span of a dependency");
    };
    for format in [LogFormat::Text, LogFormat::Json] {
        for filter in
            ["trace", "hyper=trace,trace", "info,scopewarden=trace,hyper=trace,reqwest=debug,h2=trace"]
        {
            let text = logged(format, Some(filter), false, speak);
            assert!(!text.contains("canary"), "{filter}: {text}");
            for want in ["our own trace", "a dependency at info", "inside a span"] {
                assert!(text.contains(want), "{filter}: {want} is missing in {text}");
            }
        }
    }
}

#[test]
fn a_bad_filter_is_named() {
    let error = subscriber(LogFormat::Text, Some("info,scopewarden=loudly"), false, io::sink).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("SCOPEWARDEN_LOG") && text.contains("scopewarden=loudly"), "{text}");
}
