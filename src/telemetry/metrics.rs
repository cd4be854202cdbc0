//! Every series that the program exposes (to be written).

use chrono::{DateTime, Utc};

/// Every series of the program.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// One call to the platform: `endpoint` is one of `collect`'s bounded names, `seconds` its latency.
    pub fn api_request(&self, _endpoint: &'static str, _seconds: f64) {}
    /// A retried call: `http_429`, `http_5xx`, `timeout`, `connect` or `token`.
    pub fn api_retry(&self, _cause: &'static str) {}
    /// The cached access token's expiry.
    pub fn token_expires(&self, _org: &str, _at: DateTime<Utc>) {}
    /// One attempt to deliver.
    pub fn delivery_attempt(&self, _receiver: &str) {}
    /// One failed attempt, with its bounded reason.
    pub fn delivery_failure(&self, _receiver: &str, _reason: &'static str) {}
}
