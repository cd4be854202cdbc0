//! Roles and clients that somebody wrote down, in the platform's own JSON, and that it may not have yet.
//!
//! Enters: the text of a file. Leaves: the entity as the platform's answer would be read, and which fields were given.
//! Must never: decode a field that a reading would not (a `secret` stays a slice), or repeat a value in an error.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::{
    json::{Mismatch, Object, document, identifier, object, text},
    wire,
};
use crate::domain::inventory::{Client, Role};

/// What stands in an entity's id until the platform gives it one.
pub const NEW: &str = "(new)";

/// An entity as it was written down.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// Its id, if it was written.
    pub id: Option<String>,
    /// The fields that were given and are not null.
    pub fields: BTreeSet<String>,
    /// The entity; its id is [`NEW`] and its name, if none was written.
    pub value: T,
}

/// What a JSON object turned out to be.
#[derive(Clone, Debug)]
pub enum Proposed {
    /// A role: it has `permissionPolicies` or `permissions`.
    Role(Written<Role>),
    /// An OAuth client: it has `authorizedGrantType`.
    Client(Written<Client>),
    /// Neither, with the names of its fields.
    Other(BTreeSet<String>),
}

/// Reads one JSON object. Fails where it is not JSON or a field is not what the platform documents; the sentence names
/// the field.
pub fn read(bytes: &[u8]) -> Result<Proposed, String> {
    of(document(bytes)).map_err(|mismatch| mismatch.to_string().replacen("the body", "the file", 1))
}

fn of(raw: Result<&RawValue, Mismatch>) -> Result<Proposed, Mismatch> {
    let record = object(raw?)?;
    let fields: BTreeSet<String> =
        record.fields().filter(|(_, raw)| raw.get() != "null").map(|(name, _)| name.to_owned()).collect();
    let has = |name: &str| fields.contains(name);
    if has("authorizedGrantType") {
        let (id, stand_in) = identity(&record)?;
        let value = wire::client_of(&record, Some(&stand_in))?;
        return Ok(Proposed::Client(Written { id, fields, value }));
    }
    if has("permissionPolicies") || has("permissions") {
        let (id, stand_in) = identity(&record)?;
        let value = wire::role_of(&record, Some(&stand_in))?;
        return Ok(Proposed::Role(Written { id, fields, value }));
    }
    Ok(Proposed::Other(fields))
}

/// The written id, and the id to go by.
fn identity(record: &Object<'_>) -> Result<(Option<String>, String), Mismatch> {
    let id = record.optional("id", identifier)?;
    let name = record.optional("name", text)?.unwrap_or_default();
    if id.is_none() && name.is_empty() {
        return Err(
            Mismatch::new("is missing, and so is `name`: one of them says what is meant").in_field("id")
        );
    }
    let stand_in = id.clone().unwrap_or_else(|| format!("{NEW} {name}"));
    Ok((id, stand_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_or_a_role_is_known_by_its_fields() {
        let client = br#"{"name":"a","authorizedGrantType":"CLIENT-CREDENTIALS","secret":"canary","roleDivisions":[]}"#;
        let Proposed::Client(written) = read(client).unwrap() else { panic!("no client") };
        assert_eq!((written.id, written.value.id.as_str()), (None, "(new) a"));
        assert!(!format!("{:?}", written.value).contains("canary"));
        let role = br#"{"id":"r1","permissionPolicies":[{"domain":"a","entityName":"b","actionSet":["c"]}]}"#;
        let Proposed::Role(written) = read(role).unwrap() else { panic!("no role") };
        assert_eq!((written.id.as_deref(), written.value.policies.len()), (Some("r1"), 1));
        let Proposed::Other(fields) = read(br#"{"name":"x","permissions":null}"#).unwrap() else { panic!() };
        assert_eq!(fields, BTreeSet::from(["name".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_repeated() {
        for (text, said) in [
            ("", "the file is empty"),
            ("{\"a\":", "the file is cut off at line 1"),
            ("hello", "the file is not JSON at line 1"),
            ("[]", "the file should be an object, is a list"),
            (r#"{"permissions":[]}"#, "id is missing, and so is `name`"),
            (
                r#"{"id":"r","permissionPolicies":[{"domain":"a"}]}"#,
                "permissionPolicies[0].entityName is missing",
            ),
            (
                r#"{"id":"c","name":"n","authorizedGrantType":{"secret":"canary"}}"#,
                "authorizedGrantType should be a string",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(said) && !error.contains("canary"), "{text}: {error}");
        }
    }
}
