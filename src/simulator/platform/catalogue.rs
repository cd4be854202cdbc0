//! What exists on the platform: permissions, scopes, products.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::MOST_PER_PAGE;
use crate::simulator::answer::{Answer, Fields, Refusal};
use crate::simulator::call::{Call, invalid_parameter};
use crate::simulator::organisation::catalogue::Entry;
use crate::simulator::organisation::names;
use crate::simulator::server::World;

/// The permission catalogue, one entry a domain.
pub(super) fn permissions(world: &World, call: &Call<'_>) -> Result<Answer, Refusal> {
    let words = call.queries("query");
    let by_domain = match call.query("queryType") {
        None | Some("domain") => true,
        Some("permission") => false,
        Some(other) => return Err(invalid_parameter("queryType", other, "domain, permission")),
    };
    let mut domains: BTreeMap<&str, Vec<(&String, &Entry)>> = BTreeMap::new();
    for (name, entry) in &world.organisation.catalogue {
        let hit = |word: &&str| if by_domain { entry.domain == **word } else { name.contains(*word) };
        if words.is_empty() || words.iter().any(hit) {
            domains.entry(&entry.domain).or_default().push((name, entry));
        }
    }
    let domains: Vec<_> = domains.into_iter().collect();
    let show = |(domain, entries): &(&str, Vec<(&String, &Entry)>)| render(domain, entries);
    Ok(call.listing(call.page(MOST_PER_PAGE)?, &domains, show).into())
}

fn render(domain: &str, entries: &[(&String, &Entry)]) -> Value {
    let mut entities: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, entry) in entries {
        entities.entry(&entry.entity).or_default().push(json!({
            "domain": domain,
            "entityType": entry.entity,
            "action": entry.action,
            "label": name,
            "allowsConditions": entry.allows_conditions,
            "divisionAware": entry.division_aware,
        }));
    }
    json!({
        "id": domain,
        "name": domain,
        "domain": domain,
        "permissionMap": entities,
        "selfUri": format!("/api/v2/authorization/permissions/{domain}"),
    })
}

/// Every scope of the platform.
pub(super) fn scopes() -> Answer {
    let scopes: Vec<Value> = names::scopes().into_iter().map(render_scope).collect();
    Fields::new()
        .put("total", scopes.len())
        .put("entities", scopes)
        .put("selfUri", "/api/v2/oauth/scopes")
        .into()
}

/// One scope, which is known to exist.
pub(super) fn scope(call: &Call<'_>) -> Answer {
    Answer::ok(render_scope(call.parameter("scopeId")))
}

fn render_scope(name: &str) -> Value {
    let description = match name.strip_suffix(":readonly") {
        Some(subject) => format!("Read {subject}"),
        None if name == "all" => "All the scopes".to_owned(),
        None => format!("Read and write {name}"),
    };
    json!({"id": name, "description": description, "selfUri": format!("/api/v2/oauth/scopes/{name}")})
}

/// What the organisation has bought.
pub(super) fn products(call: &Call<'_>) -> Result<Answer, Refusal> {
    let products = ["collaborateFree", "communicate", "engage"];
    Ok(call.plain_listing(call.page(MOST_PER_PAGE)?, &products, |name| json!({"id": name})).into())
}
