//! The API definition that the simulator publishes at `GET /api/v2/docs/swagger`, made from the table of operations.

use serde_json::{Map, Value, json};

use super::operations::{self, Mode, Operation};

/// Swagger 2.0: every path and method, with the scopes and permissions that each needs.
pub(super) fn swagger() -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.to_lowercase()] = describe(operation);
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Genesys Cloud Platform API (simulated)", "version": "v2"},
        "schemes": ["http"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "PureCloud OAuth": {
                "type": "oauth2",
                "flow": "implicit",
                "authorizationUrl": "https://login.mypurecloud.com/authorize",
                "scopes": {"all": "All the scopes"},
            },
        },
        "paths": paths,
    })
}

fn describe(operation: &Operation) -> Value {
    let names = operation.path.split('/').filter_map(operations::parameter_name);
    let parameters: Vec<Value> =
        names.map(|name| json!({"name": name, "in": "path", "required": true, "type": "string"})).collect();
    let mut description = json!({
        "operationId": operation_id(operation),
        "parameters": parameters,
        "responses": {"default": {"description": "successful operation"}},
    });
    if !operation.scopes.is_empty() {
        description["security"] = json!([{"PureCloud OAuth": operation.scopes}]);
    }
    let kind = match operation.mode {
        Mode::All => "ALL",
        Mode::Any => "ANY",
        Mode::None => return description,
    };
    description["x-inin-requires-permissions"] = json!({"type": kind, "permissions": operation.permissions});
    description
}

/// Unique, and stable between versions of the table: the method and the words of the path.
fn operation_id(operation: &Operation) -> String {
    let words =
        operation.path.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let path: Vec<&str> = words.skip(2).collect();
    format!("{}_{}", operation.method.to_lowercase(), path.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_has_every_operation_under_an_id_of_its_own() {
        let definition = swagger();
        let paths = definition["paths"].as_object().unwrap();
        let operations: Vec<&Value> =
            paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
        assert_eq!(operations.len(), 3321);
        let mut ids: Vec<&str> = operations.iter().map(|one| one["operationId"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3321);
        assert_eq!(
            paths["/api/v2/oauth/clients"]["get"],
            json!({
                "operationId": "get_oauth_clients",
                "parameters": [],
                "responses": {"default": {"description": "successful operation"}},
                "security": [{"PureCloud OAuth": ["oauth", "oauth:readonly"]}],
                "x-inin-requires-permissions": {"type": "ANY", "permissions": ["oauth:client:view"]},
            })
        );
        assert!(paths["/api/v2/oauth/scopes"]["get"].get("x-inin-requires-permissions").is_none());
    }
}
