use super::*;

const OPEN: Policy = Policy { deny_private: false };
const STRICT: Policy = Policy { deny_private: true };

fn judge(policy: Policy, host: &str) -> Result<(), Refused> {
    policy.judge_url(&Url::parse(&format!("http://{host}/hook")).unwrap())
}

#[test]
fn metadata_and_link_local_are_refused_in_every_spelling() {
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "169.254.0.1",
        "169.254.170.2",
        "169.254.255.255",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "025177524776",
        "169.254.43518",
        "169.16689662",
        "169.0xfe.0251.254",
        "%31%36%39.254.169.254",
        "１６９.２５４.１６９.２５４",
        "169。254。169。254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fe80::1]",
        "[FE80::A9FE:A9FE]",
        "[febf:ffff::1]",
        "[fd00:ec2::254]",
        "[fd00:0ec2:0:0:0:0:0:0254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "[fd00:42::42]",
        "100.100.100.200",
        "0x646464c8",
        "[::ffff:100.100.100.200]",
        "168.63.129.16",
        "192.0.0.192",
    ] {
        for policy in [OPEN, STRICT] {
            assert!(judge(policy, host).is_err(), "{host} is allowed by {policy:?}");
        }
    }
}

#[test]
fn private_addresses_are_allowed_unless_denied() {
    for (host, class) in [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.1", "loopback"),
        ("017700000001", "loopback"),
        ("[::1]", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("[::ffff:7f00:1]", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0", "unspecified"),
        ("[::]", "unspecified"),
        ("[::ffff:0.0.0.0]", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("192.168.257", "private"),
        ("[::ffff:10.0.0.1]", "private"),
        ("[::10.0.0.1]", "private"),
        ("[64:ff9b::10.0.0.1]", "private"),
        ("[64:ff9b:1::1]", "private"),
        ("[2002:c0a8:101::]", "private"),
        ("[fc00::1]", "private"),
        ("[fdff:ffff::1]", "private"),
        ("[fec0::1]", "private"),
        ("100.100.100.201", "carrier-grade NAT"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("[ff02::1]", "multicast"),
        ("255.255.255.255", "reserved"),
        ("240.0.0.1", "reserved"),
        ("198.18.0.1", "reserved"),
        ("192.0.0.1", "reserved"),
    ] {
        assert_eq!(judge(OPEN, host), Ok(()), "{host}");
        assert_eq!(judge(STRICT, host).map_err(|refused| refused.class), Err(class), "{host}");
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
        "[2606:2800:220:1:248:1893:25c8:1946]",
        "[64:ff9b::93.184.216.34]",
        "[2002:5db8:d822::1]",
        "[::ffff:93.184.216.34]",
        // Names are judged by what they resolve to.
        "hooks.example.com",
        "localhost",
        "metadata.google.internal",
    ] {
        assert_eq!(judge(STRICT, host), Ok(()), "{host}");
    }
}

#[test]
fn of_what_a_name_resolves_to_only_the_allowed_is_dialled() {
    let socket = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
    let metadata = socket("169.254.169.254");
    let mapped = socket("::ffff:169.254.169.254");
    let public = socket("93.184.216.34");
    let private = socket("10.1.2.3");

    assert_eq!(OPEN.sift([metadata, private, mapped, public].into_iter()).unwrap(), [private, public]);
    assert_eq!(STRICT.sift([metadata, private, public].into_iter()).unwrap(), [public]);
    let error = OPEN.sift([metadata, mapped].into_iter()).unwrap_err();
    assert_eq!(error.to_string(), "169.254.169.254 is a cloud metadata address");
    assert!(error.is::<Refused>());
    assert!(!OPEN.sift(std::iter::empty()).unwrap_err().is::<Refused>());
}
