//! Where anything may be sent: one table for what a configuration says and for what a name resolves to.
//!
//! Enters: an address or a host as it was parsed. Leaves: why nothing may be sent there, if so. Must never: judge a
//! spelling. `2852039166`, `0xa9.254.0251.254`, `[::ffff:a9fe:a9fe]` and full-width digits are one address once parsed.
//!
//! - **Never**: link-local addresses and the clouds' metadata services, which hand credentials to whoever asks from
//!   inside; and what is not the address of one host. `168.63.129.16` looks public, but exists only inside Azure: it is
//!   the host's own agent, which hands out certificates and extension settings, and nobody's receiver.
//! - **On demand** (`deny_private`): loopback, private and other addresses that the public internet does not route. The
//!   operator's own receivers often live there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Names of metadata services. What a name resolves to is judged when it is dialled; a proxy does that by itself.
const METADATA_NAMES: [&str; 9] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
    "api.metadata.cloud.ibm.com",
    "metadata.platformequinix.com",
    "rancher-metadata",
];

/// Metadata services outside the link-local ranges: Alibaba, Azure's host agent, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The same in IPv6: AWS instances, AWS EKS pods, Google, Scaleway.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

const METADATA: &str = "is a cloud's metadata address, where nothing is ever sent";
const LINK_LOCAL: &str =
    "is a link-local address (clouds serve their metadata there), where nothing is ever sent";
const NOWHERE: &str = "is not the address of one host";
const PRIVATE: &str = "is a loopback or private address and deny_private is true";

/// Why nothing may be sent to the host of `url`, if so. A name is not resolved.
pub fn host_refusal(url: &Url, deny_private: bool) -> Option<&'static str> {
    match url.host() {
        Some(Host::Ipv4(v4)) => refusal(v4.into(), deny_private),
        Some(Host::Ipv6(v6)) => refusal(v6.into(), deny_private),
        Some(Host::Domain(name)) => name_refusal(name.trim_end_matches('.'), deny_private),
        None => Some("names no host"),
    }
}

/// Why nothing may be sent to `address`, or to the IPv4 address that networks translate it to, if so.
pub fn refusal(address: IpAddr, deny_private: bool) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refusal_v4(v4, deny_private),
        IpAddr::V6(v6) => refusal_v6(v6, deny_private)
            .or_else(|| embedded(v6).into_iter().flatten().find_map(|v4| refusal_v4(v4, deny_private))),
    }
}

/// `name` is in lower case and has no trailing dot.
fn name_refusal(name: &str, deny_private: bool) -> Option<&'static str> {
    if METADATA_NAMES.contains(&name) {
        return Some("is a cloud's metadata service, where nothing is ever sent");
    }
    let is_loopback = name == "localhost" || name.ends_with(".localhost");
    (deny_private && is_loopback).then_some(PRIVATE)
}

fn refusal_v4(v4: Ipv4Addr, deny_private: bool) -> Option<&'static str> {
    if METADATA_V4.contains(&v4) {
        return Some(METADATA);
    }
    if v4.is_link_local() {
        return Some(LINK_LOCAL);
    }
    match v4.octets() {
        // All of 0.0.0.0/8 and 240.0.0.0/4, the broadcast address with it, and multicast.
        [0 | 224.., ..] => Some(NOWHERE),
        // Shared behind carriers' NAT; of the IETF's protocols; for measurements.
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] if deny_private => Some(PRIVATE),
        _ if deny_private && (v4.is_private() || v4.is_loopback()) => Some(PRIVATE),
        _ => None,
    }
}

fn refusal_v6(v6: Ipv6Addr, deny_private: bool) -> Option<&'static str> {
    if METADATA_V6.contains(&v6) {
        return Some(METADATA);
    }
    if v6.is_unicast_link_local() {
        return Some(LINK_LOCAL);
    }
    if v6.is_unspecified() || v6.is_multicast() {
        return Some(NOWHERE);
    }
    // fec0::/10 is the retired site-local range, 64:ff9b:1::/48 a network's own NAT64.
    let is_private = v6.is_loopback()
        || v6.is_unique_local()
        || matches!(v6.segments(), [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..]);
    (deny_private && is_private).then_some(PRIVATE)
}

/// The IPv4 addresses that a network or the kernel may make of an IPv6 address.
fn embedded(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let joined = |high: u16, low: u16| Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // Compatible, mapped, translated, the well-known NAT64 prefix, ISATAP, 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low]
        | [0x2002, high, low, ..] => [joined(high, low), None],
        // A network's own NAT64: at the end, or about the octet that RFC 6052 leaves free.
        [0x64, 0xff9b, 1, first, second, third, high, low] => {
            [joined(high, low), joined(first, (second << 8) | (third >> 8))]
        }
        // Teredo, which hides the client's address by inverting it.
        [0x2001, 0, .., high, low] => [joined(!high, !low), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests;
