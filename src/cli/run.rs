//! `run`: the daemon in the foreground, until a signal ends it.
//!
//! Enters: the configuration's path. Leaves: an exit code. Must never: start before the configuration is whole.

use std::sync::Arc;

use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Exit, arguments::ConfigArgs};
use crate::{daemon::Daemon, telemetry::logging::LogFormat};

/// Audits on schedule, delivers alerts and serves metrics and pages, until a signal
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  scopewarden run --config /etc/scopewarden/scopewarden.toml --log-format json"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
}

/// Audits and serves until SIGTERM or SIGINT, then drains; a second signal ends at once. SIGHUP reads the
/// configuration again.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    // First of all: without a handler, a SIGHUP during the start would end the process.
    let reload = reload_on_signal()?;
    let config = arguments.config.load()?;
    let daemon = Daemon::build(config).await?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    daemon.run(stop, reload).await?;
    Ok(Exit::Fine)
}

/// Notified at each SIGHUP; several before anybody looks are one.
fn reload_on_signal() -> anyhow::Result<Arc<Notify>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let reload = Arc::new(Notify::new());
    let notice = Arc::clone(&reload);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            notice.notify_one();
        }
    });
    Ok(reload)
}

/// The first signal asks for an orderly end, the second ends the process with exit code 1.
pub(super) fn stop_on_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                warn!("second signal: ending at once; the audit under way is not recorded");
                std::process::exit(Exit::Failed as i32);
            }
            stop.cancel();
        }
    });
    Ok(())
}
