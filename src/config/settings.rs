//! `[storage]`, `[server]` and `[audit]`: the program's own settings and their defaults.
//!
//! Enters: a section. Leaves: checked values. Must never: open the database or the port that they name.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use croner::{
    errors::CronError::{ComponentError, IllegalCharacters, InvalidPattern},
    parser::{CronParser, Seconds},
};
use url::Url;

use super::{Audit, Server, Storage, address, problem::Refusal, section::Section};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Every quarter of an hour.
const DEFAULT_SCHEDULE: &str = "0 */15 * * * *";

/// The moment from which a schedule must fire at least once: 2026-01-01. The present is not read here.
const SOME_MOMENT: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).expect("in range");

impl Storage {
    pub(super) fn read(section: &mut Section<'_, '_>, directory: &Path) -> Self {
        let path = section.text("url", sqlite_path).unwrap_or_else(|| "scopewarden.db".into());
        Self { path: directory.join(path) }
    }
}

impl Server {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let listen = section.text("listen", |text| {
            text.parse().map_err(|_| {
                Refusal::of(
                    text,
                    "is not an IP address with a port, as 127.0.0.1:9840, 0.0.0.0:9840 or [::1]:9840",
                )
            })
        });
        let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9840)));
        let external_url = section.text("external_url", address::external_url);
        let external_url = external_url.or_else(|| Url::parse(&format!("http://{listen}/")).ok())?;
        Some(Self { listen, external_url })
    }
}

impl Audit {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let schedule = section.text("schedule", schedule);
        let timeout = section.text("timeout", |text| duration(text, MINUTE / 6, HOUR));
        let age = section.text("catalogue_max_age", |text| duration(text, Duration::ZERO, 30 * DAY));
        Self {
            schedule: schedule.unwrap_or_else(|| DEFAULT_SCHEDULE.to_owned()),
            timeout: timeout.unwrap_or(10 * MINUTE),
            catalogue_max_age: age.unwrap_or(HOUR),
        }
    }
}

/// The file that a URL such as `sqlite:///absolute/path` or `sqlite:relative/path` names, taken literally.
fn sqlite_path(url: &str) -> Result<PathBuf, Refusal> {
    const FORMS: &str = "write sqlite:///absolute/path or sqlite:relative/path";
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(match url.split_once(':') {
            // Not shown: the URL of a database server often holds a password.
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_lowercase()) => {
                Refusal::hidden(format!("{scheme} is not available in this version, only SQLite is; {FORMS}"))
            }
            Some(_) => Refusal::hidden(format!("is not the URL of a database; {FORMS}")),
            None => Refusal::of(url, format!("is not the URL of a database; {FORMS}")),
        });
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path == ":memory:" {
        return Err(Refusal::of(url, format!("would forget all evidence at each restart; {FORMS}")));
    }
    if path.is_empty() || path.ends_with('/') {
        return Err(Refusal::of(url, format!("names no file; {FORMS}")));
    }
    if path.chars().any(|c| matches!(c, '?' | '#' | '%') || c.is_control()) {
        return Err(Refusal::of(url, "takes no options and no escapes: ?, # and % are refused"));
    }
    Ok(path.into())
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, Refusal> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| Refusal::of(text, "is not a duration, as \"90s\", \"10m\" or \"1h 30m\""))?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let [least, most] = [least, most].map(humantime::format_duration);
    Err(Refusal::of(text, format!("is out of range: {least} to {most} are allowed")))
}

/// The schedule as the scheduler takes it: seconds first, and a year only if it is a particular one.
fn schedule(text: &str) -> Result<String, Refusal> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let normal = match fields[..] {
        [_, _, _, _, _] => format!("0 {}", fields.join(" ")),
        [.., "*"] if fields.len() == 7 => fields[..6].join(" "),
        [_, _, _, _, _, _] | [_, _, _, _, _, _, _] => fields.join(" "),
        _ => {
            let reason = format!(
                "is not a schedule: it has {} fields; write second minute hour day month weekday, \
                 as \"0 */15 * * * *\"",
                fields.len()
            );
            return Err(Refusal::of(text, reason));
        }
    };
    // The options that tokio-cron-scheduler parses with, so that what passes here passes there.
    let parsed = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build().parse(&normal);
    let cron = parsed.map_err(|error| {
        let reason = match error {
            InvalidPattern(reason) | IllegalCharacters(reason) | ComponentError(reason) => reason,
            other => other.to_string(),
        };
        Refusal::of(text, format!("is not a schedule: {}", reason.trim_end_matches('.')))
    })?;
    match cron.find_next_occurrence(&SOME_MOMENT, false) {
        Ok(_) => Ok(normal),
        Err(_) => Err(Refusal::of(text, "never fires: no such day is to come")),
    }
}
