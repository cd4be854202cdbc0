//! `[storage]`, `[server]`, `[audit]`, `[retention]`, `[alerts]`, `[probe]` and `[backup]`: the program's own settings and their defaults.
//!
//! Enters: a section. Leaves: checked values. Must never: open a file, a folder or the port that they name.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use croner::{
    Direction,
    errors::CronError::{ComponentError, IllegalCharacters, InvalidPattern},
    parser::{CronParser, Seconds},
};
use url::Url;

use super::{
    Alerts, Audit, Backup, Heartbeat, Probe, Retention, Server, Storage, address, problem::Refusal,
    section::Section,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The least time that checks of the user's own may be given.
const LEAST_BUDGET: Duration = Duration::from_millis(10);

/// Every quarter of an hour.
const DEFAULT_SCHEDULE: &str = "0 */15 * * * *";

/// At half past two in the night.
const DEFAULT_BACKUP_SCHEDULE: &str = "0 30 2 * * *";

/// At twenty to four in the night.
const DEFAULT_PROBE_SCHEDULE: &str = "0 40 3 * * *";

/// The most requests of one run with one client's token: less than half of what the platform allows it in a minute.
const MOST_PROBES: u32 = 120;

const MIB: u64 = 1024 * 1024;

/// The most space that `min_free` may ask for: 1 TiB.
const MOST_FREE: u64 = 1024 * 1024 * MIB;

/// The most backups that are kept.
const MOST_BACKUPS: u32 = 1000;

/// The most calls of one audit that ask for grants: about ten minutes at the platform's pace.
const MOST_GRANT_CALLS: u32 = 1_500;

/// The most findings of one audit that may be asked to be told one by one; 0 asks for all.
const MOST_ALONE: u32 = 100_000;

/// The fewest repeats after which something may be said to flap: what is left of eight hours in stretches of two.
const LEAST_REPEATS: u32 = 4;

/// The most of them.
const MOST_REPEATS: u32 = 100;

/// The most due audits that the dead man's switch waits for.
const MOST_INTERVALS: u32 = 1_000;

/// The moment from which a schedule must fire at least once: 2026-01-01. The present is not read here.
const SOME_MOMENT: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).expect("in range");

impl Storage {
    pub(super) fn read(section: &mut Section<'_, '_>, directory: &Path) -> Self {
        let path = section.text("url", sqlite_path).unwrap_or_else(|| "scopewarden.db".into());
        let min_free = section.text("min_free", size);
        Self { path: directory.join(path), min_free: min_free.unwrap_or(64 * MIB) }
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
        let definition = section.flag("definition");
        let definition_age = section.text("definition_max_age", |text| duration(text, 10 * MINUTE, 30 * DAY));
        let grant_calls = section.number("grant_calls", 0..=MOST_GRANT_CALLS);
        let usage = section.flag("usage");
        let secret_age = section.flag("secret_age");
        let window = section.text("usage_window", |text| duration(text, 7 * DAY, 90 * DAY));
        let each =
            section.text("check_budget", |text| duration(text, LEAST_BUDGET, HOUR)).unwrap_or(10 * SECOND);
        let all = section.text("checks_budget", |text| duration(text, LEAST_BUDGET, HOUR));
        let window_days = window.map_or(90, |window| window.as_secs().div_ceil(DAY.as_secs()));
        Self {
            schedule: schedule.unwrap_or_else(|| DEFAULT_SCHEDULE.to_owned()),
            timeout: timeout.unwrap_or(10 * MINUTE),
            catalogue_max_age: age.unwrap_or(HOUR),
            definition: definition.unwrap_or(true),
            definition_max_age: definition_age.unwrap_or(DAY),
            grant_calls,
            usage: usage.unwrap_or(true),
            usage_window_days: u32::try_from(window_days).unwrap_or(90),
            check_budget: each,
            checks_budget: all.unwrap_or(MINUTE.max(each)),
            secret_age: secret_age.unwrap_or(false),
        }
    }

    /// Audits that the schedule starts on its quietest day (of those with any), at least one: what has to be done once a
    /// day is spread over so many.
    pub fn runs_a_day(&self) -> u32 {
        let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
        let Ok(schedule) = parser.parse(&self.schedule) else { return 1 };
        // No audit takes less than a minute's place.
        let most = 24 * 60;
        let day_of = |day: i64| SOME_MOMENT + TimeDelta::days(day);
        // A week shows what a weekday field does.
        let runs = (0..7).map(|day| {
            let (from, to) = (day_of(day), day_of(day + 1));
            let runs = schedule.iter_from(from, Direction::Forward).take_while(|at| *at < to);
            runs.take(most).count()
        });
        u32::try_from(runs.filter(|runs| *runs > 0).min().unwrap_or(1)).unwrap_or(1)
    }
}

impl Retention {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let keep_all = section.text("keep_all", |text| duration(text, DAY, 3650 * DAY)).unwrap_or(30 * DAY);
        let keep_daily = section.text("keep_daily", |text| {
            let keep_daily = duration(text, DAY, 3650 * DAY)?;
            if keep_daily < keep_all {
                let reason =
                    format!("is shorter than keep_all ({}), which keeps every one", period(keep_all));
                return Err(Refusal::of(text, reason));
            }
            Ok(keep_daily)
        });
        Self { keep_all, keep_daily: keep_daily.unwrap_or((365 * DAY).max(keep_all)) }
    }
}

impl Alerts {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let remind_after = section.text("remind_after", |text| match text {
            "0" => Ok(None),
            _ => duration(text, HOUR, 90 * DAY).map(Some),
        });
        let heartbeat = section.text("heartbeat", |text| match humantime::parse_duration(text) {
            Ok(_) => duration(text, MINUTE, 7 * DAY).map(Heartbeat::Every),
            Err(_) => schedule(text).map(Heartbeat::At),
        });
        let flapping_after = section.number("flapping_after", 0..=MOST_REPEATS).unwrap_or(LEAST_REPEATS);
        if (1..LEAST_REPEATS).contains(&flapping_after) {
            let reason = format!("is too low: 0 (never) or {LEAST_REPEATS} to {MOST_REPEATS} are allowed");
            section.refuse("flapping_after", Refusal { value: Some(flapping_after.to_string()), reason });
        }
        Self {
            group_above: section.number("group_above", 0..=MOST_ALONE).unwrap_or(10),
            group_drift_above: section.number("group_drift_above", 0..=MOST_ALONE).unwrap_or(25),
            flapping_after,
            remind_after: remind_after.unwrap_or(Some(DAY)),
            dead_man_intervals: section.number("dead_man_intervals", 0..=MOST_INTERVALS).unwrap_or(3),
            heartbeat,
        }
    }
}

impl Probe {
    pub(super) fn read(section: &mut Section<'_, '_>, directory: &Path, database: &Path) -> Self {
        let enabled = section.flag("enabled");
        let schedule = section.text("schedule", schedule);
        let stop_file = section.text("stop_file", |text| {
            let is_path = !text.is_empty() && !text.ends_with('/') && !text.chars().any(char::is_control);
            if is_path { Ok(directory.join(text)) } else { Err(Refusal::of(text, "names no file")) }
        });
        let budget = section.number("budget", 1..=MOST_PROBES);
        let allow_create_probes = section.flag("allow_create_probes");
        let beside_database = || {
            let mut name = database.as_os_str().to_owned();
            name.push(".stop-probes");
            name.into()
        };
        Self {
            enabled: enabled.unwrap_or(true),
            schedule: schedule.unwrap_or_else(|| DEFAULT_PROBE_SCHEDULE.to_owned()),
            stop_file: stop_file.unwrap_or_else(beside_database),
            budget: budget.unwrap_or(60),
            allow_create_probes: allow_create_probes.unwrap_or(false),
        }
    }
}

impl Backup {
    /// `None` only beside a problem that says why.
    pub(super) fn read(section: &mut Section<'_, '_>, directory: &Path) -> Option<Self> {
        let schedule = section.text("schedule", schedule);
        let folder = section.required("directory", "the folder that backups go to", |text| {
            let is_path = !text.is_empty() && !text.chars().any(char::is_control);
            if is_path { Ok(directory.join(text)) } else { Err(Refusal::of(text, "names no folder")) }
        });
        let keep = section.number("keep", 1..=MOST_BACKUPS);
        Some(Self {
            schedule: schedule.unwrap_or_else(|| DEFAULT_BACKUP_SCHEDULE.to_owned()),
            directory: folder?,
            keep: keep.unwrap_or(7),
        })
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
    let [least, most] = [least, most].map(period);
    Err(Refusal::of(text, format!("is out of range: {least} to {most} are allowed")))
}

/// A duration as the file would have it. Whole days stay days: years and months are of no fixed length.
pub(super) fn period(duration: Duration) -> String {
    match duration.as_secs() / DAY.as_secs() {
        days @ 2.. if duration == DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX)) => {
            format!("{days}days")
        }
        _ => humantime::format_duration(duration).to_string(),
    }
}

/// Bytes behind a number with a binary unit.
pub(super) fn size(text: &str) -> Result<u64, Refusal> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let factor = match unit.trim_start() {
        "" if number == "0" => Some(1),
        "KiB" => Some(1024),
        "MiB" => Some(MIB),
        "GiB" => Some(1024 * MIB),
        _ => None,
    };
    let (Some(factor), false) = (factor, number.is_empty()) else {
        return Err(Refusal::of(text, "is not a size, as \"64MiB\" or \"2GiB\" (or \"0\")"));
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes <= MOST_FREE)
        .ok_or_else(|| Refusal::of(text, "is out of range: 0 to 1024GiB are allowed"))
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
