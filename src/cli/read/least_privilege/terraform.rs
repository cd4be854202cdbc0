//! A proposal as Terraform: the role, and the client that holds it and nothing else.
//!
//! Enters: a proposal. Leaves: text in Terraform's language. Must never: let a name that somebody chose on the platform
//! become anything but a string.

use std::fmt::{self, Write as _};

use crate::domain::{contract::Proposal, inventory::Client};

/// The whole file.
pub(super) fn file(client: &Client, proposal: &Proposal) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write(&mut text, client, proposal);
    text
}

fn write(out: &mut String, client: &Client, proposal: &Proposal) -> fmt::Result {
    let label = label(client);
    writeln!(
        out,
        "# Proposed by scopewarden, never applied by it. Terraform's own client must hold the role before it can give"
    )?;
    writeln!(
        out,
        "# it to another: apply the role first, grant it to Terraform's client, then apply the rest."
    )?;
    writeln!(
        out,
        "# Take over the client that exists: terraform import genesyscloud_oauth_client.{label} {}",
        quoted(client.id.as_str())
    )?;
    writeln!(out, "resource \"genesyscloud_auth_role\" \"{label}\" {{")?;
    writeln!(out, "  name        = {}", quoted(&proposal.role.name))?;
    writeln!(out, "  description = {}", quoted(&proposal.role.description))?;
    for policy in &proposal.role.permission_policies {
        writeln!(out, "\n  permission_policies {{")?;
        writeln!(out, "    domain      = {}", quoted(&policy.domain))?;
        writeln!(out, "    entity_name = {}", quoted(&policy.entity_name))?;
        writeln!(out, "    action_set  = {}", list(&policy.action_set))?;
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}\n")?;
    writeln!(out, "resource \"genesyscloud_oauth_client\" \"{label}\" {{")?;
    writeln!(out, "  name                  = {}", quoted(&client.name))?;
    if !client.description.is_empty() {
        writeln!(out, "  description           = {}", quoted(&client.description))?;
    }
    writeln!(out, "  authorized_grant_type = {}", quoted(client.grant_type.as_str()))?;
    if let Some(lifetime) = client.token_lifetime_s {
        writeln!(out, "  access_token_validity_seconds = {lifetime}")?;
    }
    if !client.redirect_uris.is_empty() {
        let uris: Vec<String> = client.redirect_uris.iter().cloned().collect();
        writeln!(out, "  registered_redirect_uris = {}", list(&uris))?;
    }
    writeln!(out, "  scopes                = {}", list(&proposal.scopes))?;
    // Only clients that act by their roles have any.
    if crate::domain::access::acts_by_roles(client) {
        for division in &proposal.divisions {
            writeln!(out, "\n  roles {{")?;
            writeln!(out, "    role_id     = genesyscloud_auth_role.{label}.id")?;
            writeln!(out, "    division_id = {}", quoted(division.as_str()))?;
            writeln!(out, "  }}")?;
        }
    }
    writeln!(out, "}}")
}

/// A label that Terraform takes: from the client's name, with the beginning of its id so that two never meet.
fn label(client: &Client) -> String {
    let word = |text: &str| -> String {
        let lower =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        lower.collect::<String>().split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
    };
    let id: String = word(client.id.as_str()).chars().take(8).collect();
    let name: String = word(&client.name).chars().take(50).collect();
    // A label does not begin with a digit.
    format!("client_{name}_{id}").replace("__", "_").trim_end_matches('_').to_owned()
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A string literal: nothing in it ends it, and nothing is a template.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' | '\\' => literal.extend(['\\', letter]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            '$' | '%' if letters.peek() == Some(&'{') => literal.extend([letter, letter]),
            // Marks that turn the reading direction would show a reviewer something else than Terraform reads.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let _ = write!(literal, "\\u{:04x}", u32::from(c));
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        access::Access,
        contract::{Declared, companion::Companions, propose},
        fixtures::{client, role, snapshot},
    };

    fn of(client: Client) -> String {
        let id = client.id.clone();
        let org = snapshot([client], [role("r").general("admin")]);
        let access = Access::new(&org);
        let calls = ["GET /api/v2/routing/queues/{queueId}".to_owned()];
        let declared = Declared::new(&access, &calls, &[]);
        let proposal = propose("acme", &access, &org.clients[&id], &declared, &Companions::default(), false);
        file(&org.clients[&id], &proposal)
    }

    #[test]
    fn a_name_stays_a_string() {
        for (name, literal) in [
            ("plain", "\"plain\""),
            ("a \"quoted\" \\ name", "\"a \\\"quoted\\\" \\\\ name\""),
            ("${file(\"/etc/passwd\")}", "\"$${file(\\\"/etc/passwd\\\")}\""),
            ("%{ if true }$x%", "\"%%{ if true }$x%\""),
            ("two\nlines\u{7}\u{202e}", "\"two\\nlines\\u0007\\u202e\""),
        ] {
            assert_eq!(quoted(name), literal);
        }
        let mut evil = client("c1").grant("r", "*");
        evil.name = "x\"\n}\nresource \"evil\" \"y\" {".to_owned();
        let text = of(evil);
        assert_eq!(text.lines().filter(|line| line.starts_with("resource ")).count(), 2, "{text}");
        assert!(
            text.contains("resource \"genesyscloud_auth_role\" \"client_x_resource_evil_y_c1\" {"),
            "{text}"
        );
    }

    #[test]
    fn only_clients_with_roles_of_their_own_get_some() {
        let roles = of(client("c1").grant("r", "d1"));
        assert!(
            roles.contains("division_id = \"d1\"")
                && roles.contains("scopes                = [\"routing:readonly\"]")
        );
        assert!(!of(client("c1").of_type("CODE")).contains("roles {"));
        assert_eq!(label(&client("")), "client_client");
    }
}
