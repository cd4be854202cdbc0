//! The program as its users meet it: a process with arguments, a configuration, an organisation behind HTTP; what it
//! prints, and its exit code.
//!
//! - `workplace`: a folder with a configuration, and a simulated organisation. - `usage`: help, bad arguments, bad
//!   configurations. - `auditing`: `audit`. - `reading`: the commands that only read. - `needing`: `least-privilege`. -
//!   `reach`: who can, what if. - `sending`: alerts and the outbox. - `keeping`: backups and retention. - `simulating`:
//!   `simulate`. - `pipes`: who reads, and what nobody may read.
//!   configurations. - `auditing`: `audit`. - `reading`: the commands that only read. - `sending`: alerts and the
//!   outbox. - `keeping`: backups and retention. - `simulating`: `simulate`. - `pipes`: who reads, and what nobody may read.
//! - `probing`: `probe`. - `deciding`: `findings mute|unmute|ack|history`, `approve`, `approvals`, `baseline`.
//! - `exporting`: `export`, `compliance`. - `receivers`: every kind of them.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]

#[path = "cli/asking.rs"]
mod asking;
#[path = "cli/auditing.rs"]
mod auditing;
#[path = "cli/catalogue.rs"]
mod catalogue;
#[path = "cli/deciding.rs"]
mod deciding;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/exporting.rs"]
mod exporting;
#[path = "cli/judging.rs"]
mod judging;
#[path = "cli/keeping.rs"]
mod keeping;
#[path = "cli/needing.rs"]
mod needing;
#[path = "cli/pipes.rs"]
mod pipes;
#[path = "cli/probing.rs"]
mod probing;
#[path = "cli/reach.rs"]
mod reach;
#[path = "cli/reading.rs"]
mod reading;
#[path = "cli/receivers.rs"]
mod receivers;
#[path = "cli/sending.rs"]
mod sending;
#[path = "cli/simulating.rs"]
mod simulating;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/workplace.rs"]
mod workplace;
