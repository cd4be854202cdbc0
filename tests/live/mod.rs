//! The program as it runs for weeks: a process, an organisation that somebody edits, receivers on real sockets. For
//! the tests that kill it, starve it, signal it.
//!
//! - `organisation`: the simulated platform and its administrator. - `wire`: HTTP by hand, so that a test decides when
//!   each byte of an answer is sent, and can hold one at a point. - `gate`: stands before the platform. - `receiver`:
//!   keeps every alert. - `process`: the folder and the daemon in it.

pub(crate) mod gate;
pub(crate) mod organisation;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod wire;

use std::time::{Duration, Instant};

/// Waits until `condition` gives something, and insists on it within `limit`.
pub(crate) async fn within<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
