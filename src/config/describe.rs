//! The effective configuration as text, for `check-config`.
//!
//! Enters: a checked [`Config`]. Leaves: TOML with every default filled in.
//! Must never: hold a secret; each is `<redacted>`, and the URL of a receiver or a proxy is its origin.

use std::fmt::{self, Write};

use super::{
    Access, Alerts, Backup, Config, Contracts, Credential, Heartbeat, Org, Receiver, Retention, SecretUrl,
    Target, route, settings::period,
};
use crate::domain::{
    checks::custom::{CustomCheck, Words},
    route::Route,
};

const REDACTED: &str = "<redacted>";

/// The effective settings, secrets redacted.
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write(&mut text, config);
    text
}

fn write(out: &mut String, config: &Config) -> fmt::Result {
    let Config {
        file,
        storage,
        server,
        audit,
        retention,
        backup,
        alerts,
        probe,
        orgs,
        receivers,
        companions,
        checks,
    } = config;
    writeln!(out, "# {}", file.display())?;
    writeln!(out, "[storage]")?;
    writeln!(out, "url = {:?}", format!("sqlite://{}", storage.path.display()))?;
    writeln!(out, "min_free = \"{}\"", bytes(storage.min_free))?;
    writeln!(out, "\n[server]")?;
    writeln!(out, "listen = \"{}\"", server.listen)?;
    writeln!(out, "external_url = \"{}\"", server.external_url)?;
    writeln!(out, "\n[audit]")?;
    writeln!(out, "schedule = {:?}", audit.schedule)?;
    writeln!(out, "timeout = \"{}\"", period(audit.timeout))?;
    writeln!(out, "catalogue_max_age = \"{}\"", period(audit.catalogue_max_age))?;
    writeln!(out, "definition = {}", audit.definition)?;
    writeln!(out, "definition_max_age = \"{}\"", period(audit.definition_max_age))?;
    match audit.grant_calls {
        None => writeln!(out, "# grant_calls: as many as look at every client once a day")?,
        Some(0) => writeln!(out, "grant_calls = 0 # grants are taken from the clients' own records alone")?,
        Some(calls) => writeln!(out, "grant_calls = {calls}")?,
    }
    writeln!(out, "usage = {}", audit.usage)?;
    writeln!(out, "usage_window = \"{}days\"", audit.usage_window_days)?;
    writeln!(out, "check_budget = \"{}\"", period(audit.check_budget))?;
    writeln!(out, "checks_budget = \"{}\"", period(audit.checks_budget))?;
    writeln!(out, "secret_age = {}", audit.secret_age)?;
    write_keeping(out, *retention, backup.as_ref())?;
    write_alerts(out, alerts)?;
    writeln!(out, "\n[probe]")?;
    writeln!(out, "enabled = {}", probe.enabled)?;
    writeln!(out, "schedule = {:?}", probe.schedule)?;
    writeln!(out, "stop_file = {:?}", probe.stop_file.display().to_string())?;
    writeln!(out, "budget = {}", probe.budget)?;
    writeln!(out, "allow_create_probes = {}", probe.allow_create_probes)?;
    for org in orgs {
        write_org(out, org)?;
    }
    for receiver in receivers {
        write_receiver(out, receiver)?;
    }
    for warning in route::unheard(config) {
        writeln!(out, "# warning: {warning}")?;
    }
    for companion in companions {
        writeln!(out, "\n[[companion]]")?;
        writeln!(out, "permission = {:?}", companion.when)?;
        writeln!(out, "needs = {:?}", companion.needs)?;
        writeln!(out, "reason = {:?}", companion.reason)?;
    }
    for check in checks.iter() {
        write_check(out, check)?;
    }
    Ok(())
}

fn write_check(out: &mut String, check: &CustomCheck) -> fmt::Result {
    let Words { id, severity, title, rationale, remediation } = &check.words;
    writeln!(out, "\n[[check]]")?;
    writeln!(out, "id = {id:?}")?;
    writeln!(out, "severity = \"{severity}\"")?;
    writeln!(out, "expression = {:?}", check.expression)?;
    for (key, text) in [("title", title), ("rationale", rationale), ("remediation", remediation)] {
        if !text.is_empty() {
            writeln!(out, "{key} = {text:?}")?;
        }
    }
    writeln!(out, "# tests: {}", check.tests.len())
}

fn write_alerts(out: &mut String, alerts: &Alerts) -> fmt::Result {
    let Alerts {
        group_above,
        group_drift_above,
        flapping_after,
        remind_after,
        dead_man_intervals,
        heartbeat,
    } = alerts;
    writeln!(out, "\n[alerts]")?;
    writeln!(out, "group_above = {group_above}")?;
    writeln!(out, "group_drift_above = {group_drift_above}")?;
    writeln!(out, "flapping_after = {flapping_after}")?;
    writeln!(out, "remind_after = \"{}\"", remind_after.map_or_else(|| "0".to_owned(), period))?;
    writeln!(out, "dead_man_intervals = {dead_man_intervals}")?;
    match heartbeat {
        None => Ok(()),
        Some(Heartbeat::Every(pause)) => writeln!(out, "heartbeat = \"{}\"", period(*pause)),
        Some(Heartbeat::At(schedule)) => writeln!(out, "heartbeat = {schedule:?}"),
    }
}

fn write_route(out: &mut String, route: &Route, takes_messages: bool) -> fmt::Result {
    let Route { min_severity, checks, orgs, owners, topics, heartbeat } = route;
    writeln!(out, "min_severity = \"{min_severity}\"")?;
    let topics: Vec<String> = topics.iter().map(|topic| topic.as_str().to_owned()).collect();
    for (key, list) in [("checks", checks), ("orgs", orgs), ("owners", owners), ("topics", &topics)] {
        if !list.is_empty() {
            writeln!(out, "{key} = {list:?}")?;
        }
    }
    if takes_messages {
        writeln!(out, "heartbeat = {heartbeat}")?;
    }
    Ok(())
}

fn write_keeping(out: &mut String, retention: Retention, backup: Option<&Backup>) -> fmt::Result {
    writeln!(out, "\n[retention]")?;
    writeln!(out, "keep_all = \"{}\"", period(retention.keep_all))?;
    writeln!(out, "keep_daily = \"{}\"", period(retention.keep_daily))?;
    let Some(Backup { schedule, directory, keep }) = backup else { return Ok(()) };
    writeln!(out, "\n[backup]")?;
    writeln!(out, "schedule = {schedule:?}")?;
    writeln!(out, "directory = {:?}", directory.display().to_string())?;
    writeln!(out, "keep = {keep}")
}

/// A size in the largest unit that leaves no fraction.
fn bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(size, _)| bytes != 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| bytes.to_string(), |(size, name)| format!("{}{name}", bytes / size))
}

fn write_org(out: &mut String, org: &Org) -> fmt::Result {
    writeln!(out, "\n[[org]]")?;
    writeln!(out, "name = {:?}", org.name)?;
    writeln!(out, "# region: {}", org.region)?;
    writeln!(out, "login_url = \"{}\"", org.login_url)?;
    writeln!(out, "api_url = \"{}\"", org.api_url)?;
    writeln!(out, "client_id = {:?}", org.client_id)?;
    writeln!(out, "client_secret = {REDACTED:?}")?;
    writeln!(out, "scope_enforcement = {:?}", org.scope_enforcement.as_str())?;
    write_contracts(out, &org.contracts)?;
    write_proxy(out, org.proxy.as_ref())?;
    for probed in &org.probes {
        writeln!(out, "\n[[org.probe]]")?;
        writeln!(out, "client = {:?}", probed.client)?;
        match &probed.credential {
            Credential::Secret(_) => writeln!(out, "client_secret = {REDACTED:?}")?,
            Credential::TokenFile(file) => writeln!(out, "token_file = {:?}", file.display().to_string())?,
        }
    }
    Ok(())
}

fn write_contracts(out: &mut String, contracts: &Contracts) -> fmt::Result {
    let Some(folder) = &contracts.folder else { return Ok(()) };
    writeln!(out, "contracts = {:?}", folder.display().to_string())?;
    for contract in contracts.list.iter() {
        let (calls, denied) = (contract.calls.len(), contract.must_be_denied.len());
        writeln!(out, "# contract: {:?}, {calls} calls, {denied} to be denied", contract.client)?;
    }
    for warning in &contracts.warnings {
        writeln!(out, "# warning: {warning}")?;
    }
    Ok(())
}

fn write_receiver(out: &mut String, receiver: &Receiver) -> fmt::Result {
    writeln!(out, "\n[[receiver]]")?;
    writeln!(out, "name = {:?}", receiver.name)?;
    writeln!(out, "kind = \"{}\"", receiver.target.kind())?;
    write_target(out, &receiver.target)?;
    write_route(out, &receiver.route, receiver.target.takes_messages())?;
    if let Target::OcsfFile { .. } = receiver.target {
        return Ok(());
    }
    writeln!(out, "deny_private = {}", receiver.deny_private)?;
    write_proxy(out, receiver.proxy.as_ref())
}

fn write_target(out: &mut String, target: &Target) -> fmt::Result {
    match target {
        Target::Webhook { url, secret: _, previous } => {
            writeln!(out, "url = \"{url}/{REDACTED}\"")?;
            writeln!(out, "secret = {REDACTED:?}")?;
            if previous.is_some() {
                writeln!(out, "previous_secret = {REDACTED:?}")?;
            }
        }
        Target::Alertmanager { peers, access } => {
            let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
            writeln!(out, "urls = {peers:?} # and the path of each")?;
            match access {
                Access::Open => {}
                Access::Basic { username, password: _ } => {
                    writeln!(out, "username = {username:?}")?;
                    writeln!(out, "password = {REDACTED:?}")?;
                }
                Access::Bearer(_) => writeln!(out, "token = {REDACTED:?}")?,
            }
        }
        Target::Slack { url } | Target::Teams { url } => writeln!(out, "url = \"{url}/{REDACTED}\"")?,
        Target::PagerDuty { url, routing_key: _ } => {
            writeln!(out, "url = \"{url}/{REDACTED}\"")?;
            writeln!(out, "routing_key = {REDACTED:?}")?;
        }
        Target::OcsfFile { path, rotate_bytes, keep } => {
            writeln!(out, "path = {:?}", path.display().to_string())?;
            writeln!(out, "rotate_bytes = \"{}\"", bytes(*rotate_bytes))?;
            writeln!(out, "keep = {keep}")?;
        }
    }
    Ok(())
}

fn write_proxy(out: &mut String, proxy: Option<&SecretUrl>) -> fmt::Result {
    let Some(proxy) = proxy else { return Ok(()) };
    let user = if proxy.expose().username().is_empty() { String::new() } else { format!("{REDACTED}@") };
    writeln!(out, "proxy = \"{}\"", proxy.to_string().replacen("://", &format!("://{user}"), 1))
}
