//! How the program is watched: the metric series, and the log set-up.
//!
//! Enters: what the other modules count and measure. Leaves: one text page for Prometheus, log lines on stderr.
//! Must never: take a label value from outside the configuration and the program's own closed lists, or let a
//! dependency log what it sends.

mod gauges;
mod json_lines;
pub mod logging;
mod metrics;
mod series;

pub use gauges::{AuditGauges, FindingGauges, Queue};
pub use metrics::{
    API_RETRY_CAUSES, AUDIT_FAILURE_REASONS, CONTENT_TYPE, DELIVERY_FAILURE_REASONS, DbFile, Metrics,
    MissedRun, ProbeAnswer,
};
pub use series::{Kind, SERIES, Series};
