//! What an Alertmanager's peers are told, each by itself.

use axum::Json;
use serde_json::Value;

use super::{super::standing::Herald, *};
use crate::{
    config::{Access, Config, Environment},
    notify,
};

/// A peer: how it answers, and every list of alerts that it took.
#[derive(Default)]
struct Peer {
    status: AtomicU16,
    told: Mutex<Vec<Vec<Value>>>,
}

async fn take_alerts(State(peer): State<Arc<Peer>>, Json(alerts): Json<Vec<Value>>) -> StatusCode {
    peer.told.lock().unwrap().push(alerts);
    StatusCode::from_u16(peer.status.load(Ordering::SeqCst)).unwrap()
}

async fn peer() -> (Arc<Peer>, String) {
    let peer = Arc::new(Peer { status: AtomicU16::new(200), ..Peer::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v2/alerts", post(take_alerts)).with_state(Arc::clone(&peer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (peer, url)
}

fn herald(world: &World, urls: &[&str]) -> Herald {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("scopewarden.toml");
    let toml = format!(
        "[[org]]\nname = \"acme\"\nregion = \"mypurecloud.ie\"\nclient_id = \"x\"\nclient_secret_env = \"S\"\n\
         [[receiver]]\nname = \"ops\"\nkind = \"alertmanager\"\nurls = {urls:?}\n"
    );
    std::fs::write(&file, toml).unwrap();
    let environment: Environment = [("S", "secret")].into_iter().collect();
    let config = Config::load_in(Some(&file), &environment).unwrap();
    let receiver = &config.receivers[0];
    let Target::Alertmanager { access: Access::Open, peers } = &receiver.target else { panic!() };
    assert_eq!(peers.len(), urls.len());
    let peers = notify::alertmanager(receiver).unwrap().unwrap();
    let settings = HeraldSettings::of(&config, receiver);
    Herald::new(world.store.clone(), peers, settings, Arc::clone(&world.metrics))
}

impl Peer {
    /// The names of the last list that it was told.
    fn last(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let names = told.last().into_iter().flatten();
        names.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    fn count(&self) -> usize {
        self.told.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_peer_that_was_down_is_told_all_at_the_next_round_and_no_other_waits() {
    let world = World::new().await;
    let (well, well_url) = peer().await;
    let (ill, ill_url) = peer().await;
    let mut herald = herald(&world, &[&well_url, "http://127.0.0.1:1", &ill_url]);
    ill.status.store(503, Ordering::SeqCst);
    // The audits of the organisation fail: that stands.
    world.promise([], &[]).await;
    herald.round(world.now()).await.unwrap();
    assert_eq!(well.last(), ["ScopewardenOrgNotAudited"]);
    let page = world.metrics.render();
    assert!(page.contains("scopewarden_delivery_attempts_total{receiver=\"ops\"} 3"), "{page}");
    for reason in ["network", "server"] {
        let failures = format!("delivery_failures_total{{reason=\"{reason}\",receiver=\"ops\"}} 1");
        assert!(page.contains(&failures), "{page}");
    }
    assert!(world.circuit());

    ill.status.store(200, Ordering::SeqCst);
    // Another process, which knows nothing but the record.
    let mut herald = self::herald(&world, &[&well_url, &ill_url]);
    herald.round(world.now()).await.unwrap();
    assert_eq!(ill.last(), ["ScopewardenOrgNotAudited"]);
    assert!(!world.circuit());
    let told = ill.told.lock().unwrap().last().unwrap()[0].clone();
    assert_eq!(told["labels"]["org"], "acme");
    let time = |key: &str| DateTime::parse_from_rfc3339(told[key].as_str().unwrap()).unwrap().to_utc();
    assert!(time("startsAt") < time("endsAt") && time("endsAt") > world.now() + TimeDelta::minutes(3));
}

#[tokio::test]
async fn a_malformed_batch_is_not_repeated_in_its_round_and_nothing_waits_for_it() {
    let world = World::new().await;
    let (peer, url) = peer().await;
    peer.status.store(400, Ordering::SeqCst);
    let mut herald = herald(&world, &[&url]);
    world.promise([], &[]).await;
    herald.round(world.now()).await.unwrap();
    assert_eq!(peer.count(), 1);
    assert!(
        world.metrics.render().contains("delivery_failures_total{reason=\"rejected\",receiver=\"ops\"} 1")
    );
    assert!(world.states("ops").await.is_empty());
}
