//! scopewarden audits every OAuth client of a Genesys Cloud organisation, for as long as it runs.
//!
//! Modules in reading order; `audit` calls every stage, top to bottom. ARCHITECTURE.md has the picture.

pub mod audit;
pub mod daemon;
pub mod probe;

pub mod cli;

pub mod domain;

pub mod collect;
pub mod config;
pub mod notify;
pub mod store;
pub mod telemetry;
pub mod web;

pub mod simulator;
