//! Each kind of receiver against a server that enforces what its vendor published, through the real outbox and courier.
//!
//! - `vendors`: the servers. - `world`: a configuration, an outbox, a courier and a clock that the test turns. -
//!   `limits`: whatever goes wrong, nothing is lost, and nothing repeated under another id. - `verdicts`: what each answer
//!   means. - `secrecy`: no secret is shown anywhere.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]

#[path = "receivers/limits.rs"]
mod limits;
#[path = "receivers/secrecy.rs"]
mod secrecy;
#[path = "receivers/vendors.rs"]
mod vendors;
#[path = "receivers/verdicts.rs"]
mod verdicts;
#[path = "receivers/world.rs"]
mod world;
