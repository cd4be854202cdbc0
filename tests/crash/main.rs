//! The daemon, killed, starved of disk and lied to by it: what it recorded stays whole, and every alert arrives.
//!
//! - `scene`: an organisation under constant change, two receivers, and a daemon that audits every second. - `record`:
//!   what must hold of the database after each kill. - `kills`: kill -9 at named points, reached from outside, and at
//!   random. - `durability`: death at each call that makes something durable. - `full`: a full disk. - `faulty`: a disk
//!   that fails, a damaged file.
//!
//! `CRASHES` says how many kills (20), `CRASH_SEED` which (a seed is printed when a test fails). Tests that need root
//! or strace are ignored here and run by `tests/peers/run`.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]
#![expect(clippy::print_stderr, reason = "who reads a failure needs the seed and the daemon's log")]

#[path = "../live/mod.rs"]
mod live;

mod durability;
mod faulty;
mod full;
mod kills;
mod record;
mod scene;
