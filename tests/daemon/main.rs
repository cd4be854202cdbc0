//! The daemon's life as its service manager sees it: a process, signals, a socket for notices.
//!
//! - `stage`: an organisation, a receiver, a folder. - `stop`: SIGTERM in every phase. - `reload`: SIGHUP with good and
//!   bad configurations. - `notify`: what systemd is told. - `several`: organisations side by side, one of them in
//!   trouble. - `probing`: probes by the schedule. - `watching`: what is told beside the audits. - `deciding`: what people
//!   decide in another process.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helping functions too")]
#![expect(clippy::print_stderr, reason = "who reads a failure needs the daemon's log")]

#[path = "../live/mod.rs"]
#[expect(dead_code, reason = "shared with tests/crash, which uses all of it")]
mod live;

mod deciding;
mod notify;
mod probing;
mod reload;
mod several;
mod stage;
mod stop;
mod watching;
