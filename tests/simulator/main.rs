//! The simulator, asked over real sockets: what it answers, in which order it refuses, and what its faults do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there and then")]

mod audits; // the audit log: who wrote what, by both queries
mod conformance; // every answer from state fits the platform's definitions
mod divisions; // what a division lets through
mod faults; // each kind, and which requests it hits
mod harness; // a running simulator and somebody to talk to it
mod login; // the token endpoint and the tokens it gives
mod operations; // all 3,321 of them
mod private; // settings, catalogue, digest, determinism
mod usage; // what clients called, by both queries; grants from both sides
mod writes; // clients, roles and grants that change
