//! Where a receiver may be.
//!
//! Enters: the address in a URL, or those that its name resolves to. Leaves: addresses that may be dialled, or the
//! reason why not. Must never: judge a name and let the connection resolve it again. What is judged here is what
//! is dialled, so a name cannot answer one address to us and another to the socket.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Where clouds serve credentials to whoever asks from inside, outside the link-local ranges: Alibaba, Azure's
/// host agent, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The same in IPv6: AWS instances, AWS EKS pods, Google, Scaleway.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// An address that may not be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    address: IpAddr,
    class: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a {} address", self.address, self.class)
    }
}

impl Error for Refused {}

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Refuse everything that is not on the public internet too.
    pub(super) deny_private: bool,
}

impl Policy {
    /// Judges an address in a URL: the resolver is never asked about those. The URL parser has already turned
    /// every spelling (decimal, octal, hexadecimal, shortened) into the address.
    pub(super) fn judge_url(self, url: &Url) -> Result<(), Refused> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.judge(address.into()),
            Some(Host::Ipv6(address)) => self.judge(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Judges one address, and the IPv4 address inside it if it is a translated one.
    pub(super) fn judge(self, address: IpAddr) -> Result<(), Refused> {
        let class = match address {
            IpAddr::V4(v4) => self.class_v4(v4),
            IpAddr::V6(v6) => self.class_v6(v6).or_else(|| self.class_v4(embedded_v4(v6)?)),
        };
        class.map_or(Ok(()), |class| Err(Refused { address, class }))
    }

    /// Keeps what may be dialled. Fails if nothing is left, with the first refusal.
    fn sift(
        self,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let mut allowed = Vec::new();
        let mut refused = None;
        for address in found {
            match self.judge(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        match refused {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(refusal) => Err(refusal.into()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
        }
    }

    fn class_v4(self, v4: Ipv4Addr) -> Option<&'static str> {
        if METADATA_V4.contains(&v4) || v4.octets() == [169, 254, 169, 254] {
            return Some("cloud metadata");
        }
        if v4.is_link_local() {
            return Some("link-local");
        }
        if !self.deny_private {
            return None;
        }
        match v4.octets() {
            [127, ..] => Some("loopback"),
            [0, ..] => Some("unspecified"),
            [100, 64..=127, ..] => Some("carrier-grade NAT"),
            [224..=239, ..] => Some("multicast"),
            [192, 0, 0, _] | [198, 18 | 19, ..] | [240..=255, ..] => Some("reserved"),
            _ if v4.is_private() => Some("private"),
            _ => None,
        }
    }

    fn class_v6(self, v6: Ipv6Addr) -> Option<&'static str> {
        if METADATA_V6.contains(&v6) {
            return Some("cloud metadata");
        }
        if v6.is_unicast_link_local() {
            return Some("link-local");
        }
        if !self.deny_private {
            return None;
        }
        if v6.is_loopback() {
            return Some("loopback");
        }
        if v6.is_unspecified() {
            return Some("unspecified");
        }
        match v6.segments() {
            // fec0::/10 is the retired site-local range, 64:ff9b:1::/48 a network's own NAT64.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Some("private"),
            [0xff00..=0xffff, ..] => Some("multicast"),
            _ => None,
        }
    }
}

/// The IPv4 address that a network would translate this one to: mapped, compatible, translated, NAT64, 6to4.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

/// The system's resolver, minus the addresses that the policy refuses.
pub(super) struct GuardedResolver(pub(super) Policy);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Addrs = Box::new(policy.sift(found)?.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests;
