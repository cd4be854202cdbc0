//! What the service manager is told, by the protocol of `sd_notify(3)`.
//!
//! Enters: turns in the daemon's life. Leaves: datagrams to `$NOTIFY_SOCKET`, if a manager set it. Must never: fail
//! the daemon: who is not supervised loses nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// It works; `status` is shown by `systemctl status`.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It reads its configuration again; [`ready`] ends that.
pub(super) fn reloading() {
    // systemd wants to know when this reload began, by the clock that nobody sets.
    match NotifyState::monotonic_usec_now() {
        Ok(begun) => tell(&[NotifyState::Reloading, begun]),
        Err(error) => warn!("the service manager was not told of the reload: {error}"),
    }
}

/// It was told to stop and finishes what it has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is alive, by the watchdog's measure.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The longest time that the service manager waits for [`alive`]; `None`: it does not watch.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("the service manager could not be told: {error}");
    }
}
