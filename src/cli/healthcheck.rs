//! `healthcheck`: is the daemon of this host alive?
//!
//! Enters: an address, or the configuration that names it. Leaves: an exit code, for container runtimes that have no
//! shell and no other HTTP client. Must never: open the record, or wait longer than [`LIMIT`].

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{
    Exit,
    arguments::{ConfigArgs, Usage},
    output::Output,
};

/// How long the daemon may take to answer. Below the time limit of the image's HEALTHCHECK, so that the reason is
/// said.
const LIMIT: Duration = Duration::from_secs(3);

/// The most that is read of an answer, in bytes: `/livez` says one line.
const LARGEST: usize = 1024;

/// Asks the daemon whether it is alive
///
/// Sends one GET to /livez and waits at most 3 seconds. Exit code 0: alive; 1: not alive, or nobody answered. With
/// --address the configuration is not read, so that a mistake made in it while the daemon runs is no illness.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  scopewarden healthcheck --address 127.0.0.1:9840\n  scopewarden healthcheck --config \
                  /etc/scopewarden/scopewarden.toml"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port of the daemon [default: server.listen of the configuration]
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    address: Option<SocketAddr>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<Exit, anyhow::Error> {
    let address = match arguments.address {
        Some(address) => address,
        None => arguments.config.load()?.server.listen,
    };
    if address.port() == 0 {
        let reason = "server.listen has port 0, so the system chose one; name it with --address";
        return Err(Usage(reason.to_owned()).into());
    }
    let url = format!("http://{}/livez", reachable(address));
    let said = ask(&url).await?;
    let mut out = Output::new();
    out.line(&said)?;
    out.flush()?;
    Ok(Exit::Fine)
}

/// Where a listener on `address` is reached from its own host: one on every address is on loopback too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What the daemon says of itself. Anything but 200 is an error that holds its reasons.
async fn ask(url: &str) -> anyhow::Result<String> {
    // The client is not built without a TLS provider, which plain HTTP never asks for anything.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    let unanswered = || format!("{url} did not answer within {} s; is the daemon running?", LIMIT.as_secs());
    let mut answer = http.get(url).send().await.with_context(unanswered)?;
    let status = answer.status();
    let mut body = Vec::new();
    while body.len() < LARGEST
        && let Some(chunk) = answer.chunk().await.with_context(unanswered)?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(LARGEST);
    let body = String::from_utf8_lossy(&body).trim().replace('\n', " ");
    if status != reqwest::StatusCode::OK {
        bail!("{url} answered {status}: {body}");
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9840", "127.0.0.1:9840"),
            ("[::]:9840", "[::1]:9840"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
