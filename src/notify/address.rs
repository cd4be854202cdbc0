//! The addresses behind a receiver's name.
//!
//! Enters: a name that is about to be connected to. Leaves: addresses that may be dialled, or the reason why not. Must
//! never: judge a name and let the connection resolve it again. What is judged here is what is dialled, so a name
//! cannot answer one address to us and another to the socket.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::address;

/// An address that may not be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    address: IpAddr,
    reason: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.address, self.reason)
    }
}

impl Error for Refused {}

/// The addresses of a host that may be dialled, with a port. Fails if it has none, or none that may be.
pub(super) async fn dialled(
    host: &str,
    port: u16,
    deny_private: bool,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    sift(found.into_iter(), deny_private)
}

/// A resolver, minus the addresses that are refused.
pub(super) struct Guarded<R> {
    /// What asks the network.
    pub(super) resolver: R,
    /// Refuse loopback and private addresses too.
    pub(super) deny_private: bool,
}

/// The system's own resolver.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

impl<R: Resolve> Resolve for Guarded<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, deny_private) = (self.resolver.resolve(name), self.deny_private);
        Box::pin(async move {
            let allowed = sift(found.await?, deny_private)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Keeps what may be dialled. Fails if nothing is left, with the first refusal.
fn sift(
    found: impl Iterator<Item = SocketAddr>,
    deny_private: bool,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for socket in found {
        match address::refusal(socket.ip(), deny_private) {
            None => allowed.push(socket),
            Some(reason) => refused = refused.or(Some(Refused { address: socket.ip(), reason })),
        }
    }
    match refused {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(refusal) => Err(refusal.into()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_name_resolves_to_only_the_allowed_is_dialled() {
        let socket = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let metadata = socket("169.254.169.254");
        let mapped = socket("::ffff:169.254.169.254");
        let public = socket("93.184.216.34");
        let private = socket("10.1.2.3");

        let all = [metadata, private, mapped, public];
        assert_eq!(sift(all.into_iter(), false).unwrap(), [private, public]);
        assert_eq!(sift(all.into_iter(), true).unwrap(), [public]);
        let error = sift([metadata, mapped].into_iter(), false).unwrap_err();
        assert!(error.to_string().starts_with("169.254.169.254 is a link-local address"), "{error}");
        assert!(error.is::<Refused>());
        assert!(!sift(std::iter::empty(), false).unwrap_err().is::<Refused>());
    }
}
