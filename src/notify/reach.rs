//! Can a receiver be reached at all?
//!
//! Enters: a receiver as configured. Leaves: the address that took a connection, or why none did. Must never: send a
//! byte, reach an address that a message would not be sent to, or show more of the URL than its origin.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{Webhook, address};
use crate::config::Receiver;

/// Resolving the name and connecting, over all its addresses.
const LIMIT: Duration = Duration::from_secs(5);

/// Connects to where a message would go first: the receiver, or its proxy. The error is one sentence for a person.
pub async fn reach(receiver: &Receiver) -> Result<SocketAddr, String> {
    Webhook::new(receiver).map_err(|error| error.to_string())?;
    // The proxy lives in the operator's own network, as in `Webhook`.
    let (target, deny_private) = match &receiver.proxy {
        Some(proxy) => (proxy, false),
        None => (&receiver.url, receiver.deny_private),
    };
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
