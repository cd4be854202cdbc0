//! No secret is shown anywhere: logs at their most talkative, errors, `Debug`, the database, the metrics.

use std::{
    fs,
    io::Write,
    sync::{Arc, Mutex},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use scopewarden::notify::{Channel, reach};
use tokio::net::TcpListener;

use crate::{
    vendors::{Mishap, ROUTING_KEY, SIGNING_SECRET, Server, Vendor},
    world::{World, messages},
};

/// Parts of every secret: paths, queries, keys, the signing secret in base64.
const CANARIES: [&str; 5] = ["canary", "Y2FuYXJ5", "path-", "query-", "sig="];

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server with a certificate that nobody vouches for; it never gets to see a request.
async fn untrusted() -> (String, Arc<Mutex<Vec<String>>>) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/");
    let certificate = CertificateDer::from_pem_file(format!("{folder}self-signed.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}self-signed.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let config = Arc::new(config);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = stream.into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            let (config, requests) = (Arc::clone(&config), Arc::clone(&requests));
            std::thread::spawn(move || {
                let mut connection = rustls::ServerConnection::new(config).unwrap();
                let mut stream = stream;
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                let mut text = [0; 1024];
                if let Ok(length @ 1..) = std::io::Read::read(&mut tls, &mut text) {
                    requests.lock().unwrap().push(String::from_utf8_lossy(&text[..length]).into_owned());
                }
            });
        }
    });
    (origin, seen)
}

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    let page = Page::default();
    let writer = page.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    assert!(
        [SIGNING_SECRET, ROUTING_KEY].iter().all(|secret| CANARIES.iter().any(|part| secret.contains(part)))
    );

    let mut shown = Vec::new();
    for vendor in Vendor::ALL {
        let server = Server::start(vendor).await;
        // Servers that quote what they got.
        server.expect([
            Mishap::Answers(400, "", "invalid routing key canary /path-canary"),
            Mishap::Resets,
            Mishap::Answers(302, "location: http://127.0.0.1/path-canary?sig=query-canary\r\n", "canary"),
            Mishap::Answers(404, "", "canary"),
            Mishap::Answers(503, "", "canary"),
            Mishap::Answers(410, "", "canary"),
        ]);
        let (untrusted, requests) = untrusted().await;
        for origin in [server.origin.clone(), untrusted, "http://127.0.0.1:1".to_owned()] {
            let mut world = World::new(vendor, &origin).await;
            world.promise(messages()).await;
            world.live(12).await;
            shown.push(format!("{:?} {:?}", world.receiver, Channel::new(&world.receiver)));
            shown.push(format!("{:?}", reach(&world.receiver).await));
            shown.push(format!("{:?}", world.rows().await));
            shown.push(world.metrics.render());
            let database = world.database();
            world.store.close().await;
            shown.push(String::from_utf8_lossy(&fs::read(database).unwrap()).into_owned());
        }
        assert!(requests.lock().unwrap().is_empty(), "{vendor:?}: something was sent to a stranger");
    }
    tracing::trace!("the log is on");
    shown.push(String::from_utf8_lossy(&page.0.lock().unwrap()).into_owned());
    assert!(shown.last().is_some_and(|log| log.contains("the log is on")));
    for text in shown {
        for canary in CANARIES {
            if let Some(at) = text.find(canary) {
                let from = text[..at].char_indices().rev().nth(80).map_or(0, |(at, _)| at);
                panic!("{canary} in …{}…", &text[from..at + canary.len()]);
            }
        }
    }
}
