use super::*;

/// The host as a URL spells it, judged; a spelling that is no URL is refused as well.
fn judge(host: &str, deny_private: bool) -> Option<&'static str> {
    Url::parse(&format!("http://{host}/hook")).map_or(Some("no URL"), |url| host_refusal(&url, deny_private))
}

#[test]
fn metadata_and_link_local_are_refused_in_every_spelling() {
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "169.254.0.1",
        "169.254.170.2",
        "169.254.255.255",
        // Decimal, hexadecimal, octal, short, mixed.
        "2852039166",
        "2852039166.",
        "0xa9fea9fe",
        "0XA9FEA9FE",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "00000251.0376.000251.0376",
        "025177524776",
        "169.254.43518",
        "169.16689662",
        "169.0xfe.0251.254",
        // Percent-encoded, full-width, circled, ideographic dots, soft hyphens.
        "%31%36%39.254.169.254",
        "%31%36%39%2e254%2E169.254",
        "１６９.２５４.１６９.２５４",
        "１６９。２５４。１６９。２５４",
        "169。254。169。254",
        "169．254．169．254",
        "169｡254｡169｡254",
        "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
        "1\u{ad}69.254.169.254",
        "０ｘａ９ｆｅａ９ｆｅ",
        // Whatever a network makes an IPv4 address of.
        "[::ffff:169.254.169.254]",
        "[::FFFF:A9FE:A9FE]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:1234::5601:5601]",
        "[2001:db8::5efe:169.254.169.254]",
        "[2001:db8::200:5efe:a9fe:a9fe]",
        "[fe80::1]",
        "[FE80::A9FE:A9FE]",
        "[febf:ffff::1]",
        // Zones are no part of a URL's host.
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::ffff:169.254.169.254%251]",
        // The clouds' own.
        "[fd00:ec2::254]",
        "[fd00:0ec2:0:0:0:0:0:0254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "[fd00:42::42]",
        "100.100.100.200",
        "0x646464c8",
        "[::ffff:100.100.100.200]",
        "168.63.129.16",
        "0xa83f8110",
        "192.0.0.192",
        "metadata.google.internal",
        "METADATA.Google.Internal.",
        "metadata.google.internal..",
        "ｍetadata.google。internal",
        "%6detadata.goog",
        "metadata",
        "instance-data.ec2.internal",
        "api.metadata.cloud.ibm.com",
        // No host at all, or many.
        "0.0.0.0",
        "0",
        "0x0",
        "0.1.2.3",
        "[::]",
        "[::ffff:0.0.0.0]",
        "224.0.0.1",
        "239.255.255.255",
        "[ff02::1]",
        "240.0.0.1",
        "255.255.255.255",
        "[64:ff9b::255.255.255.255]",
    ] {
        for deny_private in [false, true] {
            assert!(judge(host, deny_private).is_some(), "{host} is allowed (deny_private: {deny_private})");
        }
    }
}

#[test]
fn private_addresses_are_allowed_unless_denied() {
    for host in [
        "127.0.0.1",
        "127.255.255.254",
        "2130706433",
        "0x7f.1",
        "127.1",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.168.257",
        "[::ffff:10.0.0.1]",
        "[::10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::1:1]",
        "[2002:c0a8:101::]",
        "[2001:0:1234::f5ff:fffe]",
        "[fc00::1]",
        "[fdff:ffff::1]",
        "[fec0::1]",
        "100.100.100.201",
        "100.64.0.1",
        "100.127.255.255",
        "198.18.0.1",
        "192.0.0.1",
        "localhost",
        "LOCALHOST.",
        "hooks.localhost",
    ] {
        assert_eq!(judge(host, false), None, "{host}");
        assert_eq!(judge(host, true), Some(PRIVATE), "{host}");
    }
}

#[test]
fn public_addresses_and_names_are_allowed() {
    for host in [
        "93.184.216.34",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "192.0.1.1",
        "223.255.255.255",
        "168.63.129.17",
        "[2606:2800:220:1:248:1893:25c8:1946]",
        "[64:ff9b::93.184.216.34]",
        "[2002:5db8:d822::1]",
        "[::ffff:93.184.216.34]",
        "[2001:db8::1]",
        // Names are judged by what they resolve to.
        "hooks.example.com",
        "metadata.example.com",
        "169.254.169.254.example.com",
        "localhost.example.com",
    ] {
        assert_eq!(judge(host, true), None, "{host}");
    }
}
