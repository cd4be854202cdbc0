//! Whole audits: the simulator behind real HTTP, the collector, the core, the store in a file.
//!
//! - `harness`: an organisation, an auditor and an administrator.
//! - `story`: what people come for: a role gains power, and it is explained.
//! - `faults`: whatever the platform does, nothing is invented and nothing is lost.
//! - `equivalence`: the simulator refuses exactly what `access` says is not granted.
//! - `least`: the role that deploy/genesys ships is enough, and no more than that.
//! - `need`: the least role that is proposed is enough, and no more than that; contracts are recorded.
//! - `reach`: escalation, divisions, scopes, `who-can` and `what-if` against what the platform does.
//! - `probes`: live tests with clients' own tokens, judged against what the simulator knows.
//! - `observed`: grants from the clients' own side, and what clients called.
//! - `telling`: what is told of what goes back and forth.
//! - `attribution`: who made a change, by the platform's audit log.
//! - `secrets`: no secret leaves the request that needs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod attribution;
mod definition;
mod equivalence;
mod faults;
mod harness;
mod least;
mod need;
mod observed;
mod probes;
mod reach;
mod secrets;
mod story;
mod telling;
