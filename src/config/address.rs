//! Which URLs are acceptable: for ourselves, for the platform, for receivers.
//!
//! Enters: text of a configuration. Leaves: a checked URL, or a refusal that shows no credentials.
//! Must never: resolve a name. What a name resolves to is checked with [`refusal`] when it is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::{
    SecretUrl,
    problem::{Refusal, quoted},
};

/// Names that clouds give their metadata services.
const METADATA_NAMES: [&str; 2] = ["metadata.google.internal", "metadata.goog"];

/// Metadata addresses outside the link-local ranges: AWS over IPv6, Alibaba, Oracle, Azure.
const METADATA_ADDRESSES: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// Why nothing may be sent to `address`, if so. Loopback and private addresses are refused on demand only, since
/// the operator's own receivers often live there.
pub fn refusal(address: IpAddr, deny_private: bool) -> Option<&'static str> {
    let address = embedded(address);
    let (is_link_local, is_private) = match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is shared behind carriers' NAT.
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            (v4.is_link_local(), v4.is_private() || v4.is_loopback() || is_shared)
        }
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.is_unique_local() || v6.is_loopback()),
    };
    if METADATA_ADDRESSES.contains(&address) {
        Some("is a cloud's metadata address, where nothing is ever sent")
    } else if is_link_local {
        Some("is a link-local address (clouds serve their metadata there), where nothing is ever sent")
    } else if is_nowhere(address) {
        Some("is not the address of one host")
    } else if deny_private && is_private {
        Some("is a loopback or private address and deny_private is true")
    } else {
        None
    }
}

/// The IPv4 address inside an IPv6 one that routers or the kernel translate, else the address itself.
fn embedded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            // NAT64's well-known prefix, and the old "IPv4-compatible" form (which `::` and `::1` are not).
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high @ 1..=u16::MAX, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_nowhere(address: IpAddr) -> bool {
    match address {
        // All of 0.0.0.0/8 and 240.0.0.0/4, the broadcast address with it.
        IpAddr::V4(v4) => matches!(v4.octets()[0], 0 | 240..) || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    }
}

/// `[server] external_url`: where people's browsers reach us. Ends with `/`, so that links can be joined to it.
pub(super) fn external_url(text: &str) -> Result<Url, Refusal> {
    web_url(text).and_then(base).map_err(|reason| Refusal { value: shown(text), reason })
}

/// `login_url` and `api_url`: HTTPS, since a secret travels there. Ends with `/`.
pub(super) fn platform_url(text: &str) -> Result<Url, Refusal> {
    web_url(text)
        .and_then(base)
        .and_then(|url| reachable(url, false))
        .map_err(|reason| Refusal { value: shown(text), reason })
}

/// A receiver's URL. Its path and query may be the secret, so that messages show the origin at most.
pub(super) fn receiver_url(text: &str, deny_private: bool) -> Result<SecretUrl, Refusal> {
    let url = web_url(text).map_err(Refusal::hidden)?;
    let origin = url.origin().ascii_serialization();
    reachable(url, deny_private).map(SecretUrl::new).map_err(|reason| Refusal::of(&origin, reason))
}

/// The text, unless it may carry credentials.
fn shown(text: &str) -> Option<String> {
    (!text.contains(['@', '?'])).then(|| quoted(text))
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("is not a URL ({error}); write it whole, as https://host/path"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("has the scheme {}; only https is spoken", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (the part after #)".to_owned());
    }
    Ok(url)
}

fn base(mut url: Url) -> Result<Url, String> {
    if url.query().is_some() {
        return Err("must not have a query (the part after ?)".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Checks how and where `url` goes. The host is the parsed one, which has no other spellings left (`2130706433`,
/// `0x7f.1`, `0177.0.0.1`).
fn reachable(url: Url, deny_private: bool) -> Result<Url, String> {
    let (refused, is_loopback) = match url.host() {
        Some(Host::Domain(name)) => name_refusal(name.trim_end_matches('.'), deny_private),
        Some(Host::Ipv4(v4)) => (refusal(v4.into(), deny_private), v4.is_loopback()),
        Some(Host::Ipv6(v6)) => (refusal(v6.into(), deny_private), v6.is_loopback()),
        None => (Some("names no host"), false),
    };
    if let Some(reason) = refused {
        return Err(reason.to_owned());
    }
    if url.scheme() != "https" && !is_loopback {
        return Err("is plain http, which only a loopback host may use; write https://".to_owned());
    }
    Ok(url)
}

/// As [`refusal`] for a host name, and whether it means loopback.
fn name_refusal(name: &str, deny_private: bool) -> (Option<&'static str>, bool) {
    match name {
        "localhost" => (refusal(Ipv4Addr::LOCALHOST.into(), deny_private), true),
        _ if METADATA_NAMES.contains(&name) => {
            (Some("is a cloud's metadata service, where nothing is ever sent"), false)
        }
        _ => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_refused_always_on_demand_or_never() {
        let always = "169.254.0.1 fe80::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe ::a9fe:a9fe fd00:ec2::254 \
                      100.100.100.200 192.0.0.192 168.63.129.16 0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0 224.0.0.1 \
                      ff02::1 240.0.0.1 255.255.255.255";
        let on_demand = "127.0.0.1 127.9.9.9 ::1 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 fd12::1 \
                         ::ffff:10.0.0.1 64:ff9b::7f00:1";
        let never = "1.1.1.1 172.32.0.1 100.128.0.1 169.253.0.1 2606:4700::1111 ::ffff:1.1.1.1";
        let is_refused = |text: &str, deny_private| refusal(text.parse().unwrap(), deny_private).is_some();
        for address in always.split(' ') {
            assert!(is_refused(address, false), "{address}");
        }
        for address in on_demand.split(' ') {
            assert!(!is_refused(address, false) && is_refused(address, true), "{address}");
        }
        for address in never.split(' ') {
            assert!(!is_refused(address, true), "{address}");
        }
    }
}
