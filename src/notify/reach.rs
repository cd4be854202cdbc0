//! Can a receiver be reached at all?
//!
//! Enters: a receiver as configured. Leaves: the addresses that took a connection (or the folder that can be written to),
//! or why one did not. Must never: send a byte, write one, reach an address that a message would not be sent to, or show
//! more of the URL than its origin.

use std::{net::SocketAddr, path::Path, time::Duration};

use rustix::fs::{Access, access};
use tokio::{net::TcpStream, time::timeout};

use super::{Channel, address, alertmanager};
use crate::config::{Receiver, SecretUrl, Target};

/// Resolving the name and connecting, over all its addresses.
const LIMIT: Duration = Duration::from_secs(5);

/// Connects to where a message would go first: the receiver (each peer of an Alertmanager), or its proxy. Looks whether
/// a file can be written to. What was found is one sentence for a person, and so is the error.
pub async fn reach(receiver: &Receiver) -> Result<String, String> {
    Channel::new(receiver).map_err(|error| error.to_string())?;
    alertmanager(receiver).map_err(|error| error.to_string())?;
    let targets: Vec<&SecretUrl> = match &receiver.target {
        Target::OcsfFile { path, .. } => return writable(path),
        Target::Webhook { url, .. }
        | Target::Slack { url }
        | Target::Teams { url }
        | Target::PagerDuty { url, .. } => vec![url],
        Target::Alertmanager { peers, .. } => peers.iter().collect(),
    };
    // The proxy lives in the operator's own network, as in `Post`.
    if let Some(proxy) = &receiver.proxy {
        return Ok(format!("{} takes connections", connect(proxy, false).await?));
    }
    let mut reached = Vec::new();
    for target in targets {
        reached.push(connect(target, receiver.deny_private).await?.to_string());
    }
    let verb = if reached.len() == 1 { "takes" } else { "take" };
    Ok(format!("{} {verb} connections", reached.join(", ")))
}

fn writable(path: &Path) -> Result<String, String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = path.display();
    if !folder.is_dir() {
        return Err(format!("{} is no folder; make it, and let scopewarden write to it", folder.display()));
    }
    let places = [folder, path];
    match places.into_iter().find(|place| place.exists() && access(*place, Access::WRITE_OK).is_err()) {
        Some(place) => Err(format!("this user may not write to {}", place.display())),
        None => Ok(format!("{shown} can be written to")),
    }
}

async fn connect(target: &SecretUrl, deny_private: bool) -> Result<SocketAddr, String> {
    let url = target.expose();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let connect = async {
        let mut last = None;
        for socket in address::dialled(host, port, deny_private).await.map_err(|error| error.to_string())? {
            match TcpStream::connect(socket).await {
                Ok(_) => return Ok(socket),
                Err(error) => last = Some(error.to_string()),
            }
        }
        Err(last.unwrap_or_else(|| "the name has no address".to_owned()))
    };
    match timeout(LIMIT, connect).await {
        Ok(reached) => reached.map_err(|why| format!("{target} could not be reached: {why}")),
        Err(_) => Err(format!("{target} did not take a connection within {} s", LIMIT.as_secs())),
    }
}
