//! Events for people: a sentence each, what else changed, and who gained or lost what. Long lists are cut; JSON has all.

use std::io;

use serde_json::Value;

use crate::{
    cli::output::Output,
    domain::{
        DivisionRef,
        attribution::{Attribution, Certainty},
        event::{Affected, Event, Gain},
        message, privilege,
    },
};

/// Entries of any list before the rest is only counted.
const SHOWN: usize = 5;

/// Tells events, the worst first.
pub(in crate::cli) fn tell(out: &mut Output, events: &[Event]) -> io::Result<()> {
    if events.is_empty() {
        return out.line("nothing changed");
    }
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| std::cmp::Reverse(event.severity));
    for event in sorted {
        out.severe(event.severity, message::sentence(event))?;
        for (name, value) in &event.cause.details {
            let text = detail(value);
            if !text.is_empty() {
                out.below(format_args!("{}: {text}", name.replace('_', " ")))?;
            }
        }
        if let Some(actor) = &event.actor {
            made_by(out, actor)?;
        }
        for client in event.clients.iter().take(SHOWN) {
            affected(out, client)?;
        }
        if event.clients.len() > SHOWN {
            out.below(format_args!("… and {} more clients", event.clients.len() - SHOWN))?;
        }
    }
    Ok(())
}

/// Who made the change, beyond what the sentence says of it.
fn made_by(out: &mut Output, actor: &Attribution) -> io::Result<()> {
    if let Some(reason) = actor.reason.as_ref().filter(|_| actor.certainty != Certainty::Exact) {
        let known =
            if actor.certainty == Certainty::Unknown { "who did it is not known" } else { "who did it" };
        out.below(format_args!("{known}: {reason}"))?;
    }
    for one in actor.candidates.iter().filter(|_| actor.certainty == Certainty::WithinWindow) {
        let name = one.name.as_ref().or(one.id.as_ref()).map_or("somebody", String::as_str);
        let kind = one.kind.map(|kind| format!(" ({})", kind.as_str())).unwrap_or_default();
        let from = one.remote_ip.as_ref().map(|ip| format!(" from {ip}")).unwrap_or_default();
        let at = one.at.format("%Y-%m-%d %H:%M:%SZ");
        out.below(format_args!("{}: {name}{kind}{from} at {at}", one.action))?;
    }
    Ok(())
}

fn affected(out: &mut Output, client: &Affected) -> io::Result<()> {
    for (sign, gains) in [('+', &client.gained), ('-', &client.lost)] {
        if !gains.is_empty() {
            out.below(format_args!("{sign} {}: {}", client.name, weightiest(gains)))?;
        }
    }
    Ok(())
}

/// The weightiest permissions, those that are held alike together, and how many more there are.
fn weightiest(gains: &[Gain]) -> String {
    let mut sorted: Vec<&Gain> = gains.iter().collect();
    let weight = |gain: &Gain| privilege::of(&gain.permission).map_or(0, |privilege| privilege.weight);
    sorted.sort_by_key(|gain| std::cmp::Reverse(weight(gain)));
    let shown = &sorted[..sorted.len().min(SHOWN)];
    let mut parts: Vec<String> = shown
        .chunk_by(|one, other| how(one) == how(other))
        .map(|alike| {
            let names: Vec<&str> = alike.iter().map(|gain| gain.permission.as_str()).collect();
            format!("{} ({})", names.join(", "), how(alike[0]))
        })
        .collect();
    if gains.len() > SHOWN {
        parts.push(format!("… and {} more", gains.len() - SHOWN));
    }
    parts.join("; ")
}

/// Where and how a permission is held.
fn how(gain: &Gain) -> String {
    let place = match gain.divisions.as_slice() {
        [DivisionRef::All] => "everywhere".to_owned(),
        [_] => "in 1 division".to_owned(),
        several => format!("in {} divisions", several.len()),
    };
    let condition = if gain.conditional { ", conditional" } else { "" };
    let scope = if gain.in_scope { "" } else { ", not in its scopes" };
    format!("{place}{condition}{scope}")
}

/// A changed field: `from → to`, `+ added - removed`, or the value.
fn detail(value: &Value) -> String {
    let Value::Object(map) = value else { return words(value) };
    if let (Some(from), Some(to)) = (map.get("from"), map.get("to")) {
        return format!("{} → {}", words(from), words(to));
    }
    let signed = [('+', "added"), ('-', "removed")].into_iter().filter_map(|(sign, name)| {
        let text = words(map.get(name)?);
        (!text.is_empty()).then(|| format!("{sign} {text}"))
    });
    signed.collect::<Vec<_>>().join("  ")
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => some_of(&list.iter().map(words).collect::<Vec<_>>()),
        Value::Object(map) if map.contains_key("role") => {
            let name = |long: &str, short: &str| map.get(long).or_else(|| map.get(short)).map(words);
            let role = name("role_name", "role").unwrap_or_default();
            match name("division_name", "division").unwrap_or_default().as_str() {
                "*" => format!("{role} everywhere"),
                division => format!("{role} in {division}"),
            }
        }
        other => other.to_string(),
    }
}

fn some_of(list: &[String]) -> String {
    match list.split_at_checked(SHOWN) {
        Some((shown, rest)) if !rest.is_empty() => format!("{}; … and {} more", shown.join("; "), rest.len()),
        _ => list.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_weightiest_gains_are_named_and_those_held_alike_together() {
        let gain = |permission: &str, in_scope| Gain {
            permission: permission.to_owned(),
            divisions: vec![DivisionRef::All],
            conditional: false,
            in_scope,
            shared: false,
        };
        let mut gains: Vec<Gain> = (0..6).map(|n| gain(&format!("a:b:{n}"), true)).collect();
        gains.push(gain("directory:user:delete", false));
        assert_eq!(
            weightiest(&gains),
            "directory:user:delete (everywhere, not in its scopes); a:b:0, a:b:1, a:b:2, a:b:3 (everywhere); … and 2 more"
        );
    }

    #[test]
    fn details_are_put_in_words() {
        let cases = [
            (json!({"from": "active", "to": "inactive"}), "active → inactive"),
            (json!({"from": null, "to": 60}), "none → 60"),
            (json!({"added": ["all"], "removed": ["users", "routing"]}), "+ all  - users; routing"),
            (json!({"added": [], "removed": []}), ""),
            (
                json!({"added": [{"role": "r1", "role_name": "Admin", "division": "*"}], "were_unknown": false}),
                "+ Admin everywhere",
            ),
            (json!(["a", "b", "c", "d", "e", "f", "g"]), "a; b; c; d; e; … and 2 more"),
            (json!("CODE"), "CODE"),
        ];
        for (value, text) in cases {
            assert_eq!(detail(&value), text, "{value}");
        }
    }
}
