//! What a change says, as fingerprints, and how its subject stands after it. Pure.
//!
//! Enters: an event or a finding. Leaves: fingerprints (the same statement has the same one at any audit), and the pieces
//! of a subject that the event touched, each with how it is now. Must never: give two statements of one event the same
//! fingerprint because one list was long; a long list is one statement.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::{
    DivisionRef,
    event::{Event, Gain},
    evidence::Digester,
    finding::Finding,
};

/// Statements of one event that are told apart: half of what is remembered, so that going back and forth fits.
const MOST: usize = super::damping::PRINTS / 2;
/// Pieces of one subject that are remembered.
const PIECES: usize = 100;
/// Letters of one piece that are kept.
const LETTERS: usize = 200;
/// A field of a cause that is another one at each look.
const LOOKS: &str = "observed_between";

/// What an event says.
pub(super) fn of_event(event: &Event) -> Vec<u64> {
    let mut said = Vec::new();
    for (field, item, state) in statements(event) {
        said.push(print(&[&field, &item, &state]));
    }
    if said.len() > MOST {
        said = vec![whole(&said)];
    }
    let gains = || {
        event.clients.iter().flat_map(|client| {
            let gained = client.gained.iter().map(move |gain| (client, "gained", gain));
            gained.chain(client.lost.iter().map(move |gain| (client, "lost", gain)))
        })
    };
    if gains().take(MOST + 1).count() <= MOST {
        said.extend(
            gains().map(|(client, way, gain)| print(&["client", client.id.as_str(), way, &statement(gain)])),
        );
        return said;
    }
    let clients = event.clients.iter().map(|client| {
        let [gained, lost] = [&client.gained, &client.lost]
            .map(|list| list.iter().map(statement).collect::<Vec<_>>().join("\n"));
        print(&["client", client.id.as_str(), &gained, &lost])
    });
    let clients: Vec<u64> = clients.collect();
    if clients.len() <= MOST {
        said.extend(clients);
    } else {
        said.push(whole(&clients));
    }
    said
}

/// What a finding says when it opens.
pub(super) fn of_opening(finding: &Finding) -> Vec<u64> {
    vec![print(&["opened", finding.severity.as_str(), &finding.title, &finding.evidence])]
}

/// What it says when it resolves: always the same.
pub(super) fn of_closing() -> Vec<u64> {
    vec![print(&["resolved"])]
}

/// How the subject stands after an event, added to how it stood; whether there was room for all.
pub(super) fn stand(pieces: &mut BTreeMap<String, String>, event: &Event) -> bool {
    let mut fits = true;
    let all = statements(event);
    // That it came or went is all that is said of some; of others it is said better by what follows.
    let from = usize::from(all.len() > 1);
    for (field, item, state) in all.into_iter().skip(from) {
        let name = if item.is_empty() { field } else { format!("{field} {item}") };
        let name = short(&name);
        if pieces.len() < PIECES || pieces.contains_key(&name) {
            pieces.insert(name, short(&state));
        } else {
            fits = false;
        }
    }
    fits
}

/// Field, item and how it is now, of everything in the cause.
fn statements(event: &Event) -> Vec<(String, String, String)> {
    let mut all = vec![("change".to_owned(), String::new(), event.cause.kind.as_str().to_owned())];
    let delta = &event.cause.permissions;
    for (list, state) in [(&delta.added, "there"), (&delta.removed, "gone")] {
        all.extend(list.iter().map(|item| ("permission".to_owned(), item.clone(), state.to_owned())));
    }
    for (field, value) in event.cause.details.iter().filter(|(field, _)| *field != LOOKS) {
        let mut lists = false;
        for (key, state) in [("added", "there"), ("removed", "gone")] {
            let Some(items) = value.get(key).and_then(Value::as_array) else { continue };
            lists = true;
            all.extend(items.iter().map(|item| (field.clone(), text(item), state.to_owned())));
        }
        if !lists {
            all.push((field.clone(), String::new(), text(value.get("to").unwrap_or(value))));
        }
    }
    all
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn short(text: &str) -> String {
    text.chars().take(LETTERS).collect()
}

/// `shared` is left out: it depends on what else changed in the same audit.
fn statement(gain: &Gain) -> String {
    let divisions: Vec<&str> = gain.divisions.iter().map(DivisionRef::as_str).collect();
    format!("{} {} {} {}", gain.permission, gain.conditional, gain.in_scope, divisions.join(" "))
}

fn print(parts: &[&str]) -> u64 {
    let mut digester = Digester::default();
    for part in parts {
        digester.part(part.as_bytes());
    }
    first_bytes(digester)
}

fn whole(prints: &[u64]) -> u64 {
    let mut digester = Digester::default();
    for print in prints {
        digester.part(&print.to_be_bytes());
    }
    first_bytes(digester)
}

fn first_bytes(digester: Digester) -> u64 {
    let hash = digester.finish();
    hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
