//! How a receiver is reached: what its name resolves to, through a proxy, over TLS.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::SocketAddr,
};

use reqwest::dns::{Addrs, Name, Resolving};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::*;

/// A resolver that answers as it is told, once each.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<VecDeque<Vec<&'static str>>>>);

impl Scripted {
    fn new(answers: &[&[&'static str]]) -> Self {
        Self(Arc::new(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Resolve for Scripted {
    fn resolve(&self, _name: Name) -> Resolving {
        let answer = self.0.lock().unwrap().pop_front().expect("another look-up than were told");
        let sockets =
            answer.into_iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect::<Vec<_>>();
        Box::pin(async move { Ok(Box::new(sockets.into_iter()) as Addrs) })
    }
}

/// A socket that reads one request of each connection, writes it down, and answers.
async fn recording(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let length = stream.read(&mut request).await.unwrap_or(0);
            requests.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, seen)
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn what_is_dialled_is_what_was_judged_each_time_anew() {
    let (address, seen) = recording(TAKEN).await;
    let script = Scripted::new(&[
        // One of several is refused: the others are dialled.
        &["169.254.169.254", "127.0.0.1"],
        &["::ffff:169.254.169.254", "fd00:ec2::254", "127.0.0.1"],
        // The name was rebound.
        &["169.254.169.254"],
        &["100.100.100.200", "fe80::1"],
        &["127.0.0.1"],
    ]);
    let url = format!("http://hooks.test:{}/path-x", address.port());
    let webhook = with(&receiver(&url), LIMITS, script.clone()).unwrap();
    let mut outcomes = Vec::new();
    for moment in 1..=5 {
        outcomes.push(webhook.deliver("msg_1", BODY, at(moment)).await.reason());
    }
    assert_eq!(outcomes, [None, None, Some("address"), Some("address"), None]);
    assert_eq!((seen.lock().unwrap().len(), script.left()), (3, 0), "one look-up a connection");

    let strict = Receiver { deny_private: true, ..receiver(&url) };
    let strict = with(&strict, LIMITS, Scripted::new(&[&["127.0.0.1", "10.0.0.1"]])).unwrap();
    let Outcome::Retry { reason: "address", detail, .. } = strict.deliver("msg_1", BODY, at(1)).await else {
        panic!("it was not refused");
    };
    assert!(detail.contains("127.0.0.1") && !detail.contains("path-x"), "{detail}");
    assert_eq!(seen.lock().unwrap().len(), 3);
}

fn through(proxy: &str, url: &str) -> Receiver {
    Receiver { proxy: Some(SecretUrl::new(Url::parse(proxy).unwrap())), ..receiver(url) }
}

#[tokio::test]
async fn a_proxy_gets_the_request_and_its_own_credentials() {
    let (proxy, seen) = recording(TAKEN).await;
    // The name exists for the proxy only.
    let receiver = through(&format!("http://user:canary@{proxy}"), "http://hooks.test/path-x");
    let webhook = with(&receiver, LIMITS, Scripted::default()).unwrap();
    assert_eq!(webhook.deliver("msg_1", BODY, at(1)).await, Outcome::Delivered);
    let request = seen.lock().unwrap()[0].to_lowercase();
    assert!(request.starts_with("post http://hooks.test/path-x http/1.1"), "{request}");
    assert!(request.contains("proxy-authorization: basic dxnlcjpjyw5hcnk="), "{request}");
    assert!(request.contains("webhook-signature: v1,"), "{request}");
    let shown = format!("{webhook:?} {receiver:?}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn a_proxy_tunnels_tls_and_sees_nothing_of_the_message() {
    let (proxy, seen) = recording("HTTP/1.1 200 OK\r\n\r\nthis is no TLS").await;
    let receiver = through(&format!("http://user:canary@{proxy}"), "https://hooks.test/path-x");
    let webhook = with(&receiver, LIMITS, Scripted::default()).unwrap();
    let outcome = webhook.deliver("msg_1", BODY, at(1)).await;
    assert_eq!(outcome.reason(), Some("network"), "{outcome:?}");
    let request = seen.lock().unwrap()[0].to_lowercase();
    assert!(request.starts_with("connect hooks.test:443 http/1.1"), "{request}");
    assert!(request.contains("proxy-authorization: basic"), "{request}");
    assert!(!request.contains("webhook-") && !request.contains("path-x"), "{request}");
    assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
}

#[tokio::test]
async fn a_proxy_that_is_dead_or_refuses_is_a_network_failure() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (refusing, _) =
        recording("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    for proxy in [dead, refusing] {
        let receiver = through(&format!("http://user:canary@{proxy}"), "https://hooks.test/path-x");
        let webhook = with(&receiver, LIMITS, Scripted::default()).unwrap();
        let outcome = webhook.deliver("msg_1", BODY, at(1)).await;
        assert_eq!(outcome.reason(), Some("network"), "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
    }
}

#[tokio::test]
async fn neither_a_proxy_nor_a_target_may_be_a_metadata_service() {
    let (proxy, seen) = recording(TAKEN).await;
    let proxy = format!("http://{proxy}");
    for target in [
        "http://169.254.169.254/",
        "http://2852039166/",
        "http://Metadata.Google.Internal./",
        "http://[fd00:ec2::254]/",
    ] {
        assert!(webhook(&through(&proxy, target)).is_err(), "{target}");
    }
    assert!(webhook(&through("http://169.254.1.1:3128", "https://hooks.test/")).is_err());
    // The proxy's name is judged when it is dialled; with `deny_private` a private one is still a proxy.
    let rebound = through("http://proxy.test:3128", "https://hooks.test/");
    let webhook = with(&rebound, LIMITS, Scripted::new(&[&["169.254.169.254"]])).unwrap();
    assert_eq!(webhook.deliver("msg_1", BODY, at(1)).await.reason(), Some("address"));
    let strict = Receiver { deny_private: true, ..through(&proxy, "http://hooks.test/") };
    let webhook = with(&strict, LIMITS, Scripted::default()).unwrap();
    assert_eq!(webhook.deliver("msg_1", BODY, at(1)).await, Outcome::Delivered);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_network_failure_that_says_so() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    let certificate = CertificateDer::from_pem_file(format!("{folder}/self-signed.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}/self-signed.key")).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut request = [0; 4096];
        let read = stream.read(&mut request);
        let _ = stream.write_all(TAKEN.as_bytes());
        read.map_or(0, |length| length)
    });
    let webhook =
        super::webhook(&receiver(&format!("https://localhost:{port}/path-T0KEN?query-x=1"))).unwrap();
    let outcome = webhook.deliver("msg_1", BODY, at(1)).await;
    let Outcome::Retry { reason: "network", detail, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(detail.contains("certificate"), "{detail}");
    assert!(CANARIES.iter().all(|canary| !detail.contains(canary)), "{detail}");
    assert_eq!(server.join().unwrap(), 0, "nothing was said inside the tunnel");
}
