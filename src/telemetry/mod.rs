//! How the program is watched: every metric series in one struct, and the log set-up.

mod metrics;
pub use metrics::Metrics;
