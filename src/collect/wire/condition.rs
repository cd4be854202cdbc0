//! The canonical form of a policy's condition, so that equal conditions are equal text.
//!
//! Enters: a `resourceConditionNode`. Leaves: JSON with sorted keys, sorted terms and operands, and without display
//! names. Must never: interpret a condition. Whether it is met is the platform's to decide.

use serde_json::{Map, Value, value::RawValue};

use super::json::{Mismatch, object};

/// `None`: the node constrains nothing.
pub(super) fn canonical(raw: &RawValue) -> Result<Option<String>, Mismatch> {
    object(raw)?;
    let node: Value =
        serde_json::from_str(raw.get()).map_err(|_| Mismatch::new("is nested too deeply to be read"))?;
    let mut node = plain(node);
    // Whatever the feature set of `serde_json`, the keys of the text are in order.
    node.sort_all_objects();
    let constrains = node.get("terms").is_some() || node.get("variableName").is_some();
    Ok(constrains.then(|| node.to_string()))
}

/// Leaves out what says nothing (nulls, empty lists) and what may change alone (the name and address of a thing
/// that has an id); orders what has no order.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let identified = fields.contains_key("id");
            let kept = |key: &str| !(identified && matches!(key, "name" | "selfUri"));
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter(|(key, _)| kept(key))
                .map(|(key, value)| {
                    let value = plain(value);
                    let value =
                        if matches!(key.as_str(), "terms" | "operands") { ordered(value) } else { value };
                    (key, value)
                })
                .filter(|(_, value)| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
                .collect();
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

fn ordered(value: Value) -> Value {
    match value {
        Value::Array(mut items) => {
            for item in &mut items {
                item.sort_all_objects();
            }
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::wire::json::document;

    fn form(text: &str) -> Option<String> {
        canonical(document(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn order_names_and_empty_members_do_not_matter() {
        let one = r#"{"conjunction":"AND","terms":[
            {"variableName":"A","operator":"EQ","terms":[],"operands":[
                {"type":"QUEUE","queue":{"id":"q1","name":"Support","selfUri":"/q1"}},{"type":"SCALAR","value":"x"}]},
            {"variableName":"B","operator":"EQ","operands":[{"type":"USER","user":{"id":"u1"}}]}]}"#;
        let other = r#"{"terms":[
            {"operands":[{"user":{"id":"u1","name":null},"type":"USER"}],"operator":"EQ","variableName":"B"},
            {"operands":[{"value":"x","type":"SCALAR"},{"queue":{"id":"q1","name":"Help"},"type":"QUEUE"}],
             "operator":"EQ","variableName":"A"}],"conjunction":"AND"}"#;
        assert_eq!(form(one), form(other));
        assert_eq!(
            form(r#"{"variableName":"V","operator":"EQ","operands":[{"type":"SCALAR","value":"1"}]}"#)
                .unwrap(),
            r#"{"operands":[{"type":"SCALAR","value":"1"}],"operator":"EQ","variableName":"V"}"#
        );
    }

    #[test]
    fn what_differs_in_meaning_differs_in_text() {
        let base = r#"{"variableName":"V","operator":"EQ","operands":[{"type":"SCALAR","value":"1"}]}"#;
        for other in [
            r#"{"variableName":"W","operator":"EQ","operands":[{"type":"SCALAR","value":"1"}]}"#,
            r#"{"variableName":"V","operator":"GE","operands":[{"type":"SCALAR","value":"1"}]}"#,
            r#"{"variableName":"V","operator":"EQ","operands":[{"type":"SCALAR","value":"2"}]}"#,
            r#"{"variableName":"V","operator":"EQ","operands":[{"type":"QUEUE","queue":{"name":"1"}}]}"#,
        ] {
            assert_ne!(form(base), form(other), "{other}");
        }
    }

    #[test]
    fn a_node_that_constrains_nothing_is_no_condition() {
        for empty in ["{}", r#"{"conjunction":"AND"}"#, r#"{"terms":[],"variableName":null}"#] {
            assert_eq!(form(empty), None, "{empty}");
        }
    }

    #[test]
    fn a_node_too_deep_to_read_is_refused() {
        let deep = format!(r#"{{"terms":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        let mismatch = canonical(document(deep.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(mismatch.to_string(), "the body is nested too deeply to be read");
    }
}
