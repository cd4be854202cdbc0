//! The process environment as a value, so that tests give their own.
//!
//! Enters: the variables of the process, once. Leaves: single variables by name.
//! Must never: print a variable's value; some of them are secrets.

use std::{collections::BTreeMap, fmt};

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "SCOPEWARDEN_";

/// Names the configuration file.
pub(super) const CONFIG: &str = "SCOPEWARDEN_CONFIG";

/// Our variables that are not settings of the file.
const NOT_SETTINGS: [&str; 2] = [CONFIG, "SCOPEWARDEN_LOG"];

/// The environment variables that configuration may read.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. A byte that is not UTF-8 becomes `U+FFFD`, which no setting accepts.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect()
    }

    /// The variable's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variables that only make sense as settings of ours.
    pub(super) fn settings(&self) -> impl Iterator<Item = &str> {
        let ours = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        ours.filter(|(name, _)| name.starts_with(PREFIX) && !NOT_SETTINGS.contains(name))
            .filter(|(name, value)| !is_service_link(name, value))
            .map(|(name, _)| name)
    }
}

/// Kubernetes gives every pod the addresses of its neighbours' services as variables. A service called
/// `scopewarden` or `scopewarden-web` must not keep the daemon from starting.
fn is_service_link(name: &str, value: &str) -> bool {
    let port = |(_, after): (&str, &str)| after.starts_with(|c: char| c.is_ascii_digit());
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || (name.ends_with("_PORT") && value.contains("://"))
            || name.split_once("_PORT_").is_some_and(port))
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
