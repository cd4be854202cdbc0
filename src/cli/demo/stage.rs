//! The stage: an organisation, a receiver of alerts, and a configuration file that knows both.
//!
//! Enters: a seed. Leaves: two servers on ports of this machine, and a folder of its own with a configuration such as
//! its reader could use. Must never: leave the folder behind, or let anybody else read the secrets in it.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use tokio::net::TcpListener;

use super::receiver::Receiver;
use crate::{
    config::{Config, Environment},
    daemon::clock,
    simulator::{Announcement, Options, Simulator},
};

/// The name of the simulated organisation in the configuration, labels and alerts.
pub(super) const ORG: &str = "contoso";

/// The client that is probed.
pub(super) const PROBED: &str = "Reporting_Engine";

/// Where the demonstration's web server listens, if that is free.
const USUAL_LISTEN: &str = "127.0.0.1:9840";

/// Everything that plays, and where it is configured.
pub(super) struct Stage {
    pub(super) config: Config,
    pub(super) simulator: Simulator,
    pub(super) receiver: Receiver,
    /// Kept until the daemon takes it, so that two demonstrations do not both count on it.
    web: Option<TcpListener>,
    _folder: Folder,
}

impl Stage {
    /// Starts the organisation and the receiver, and writes the configuration.
    pub(super) async fn set(seed: u64) -> anyhow::Result<Self> {
        let options = Options { story: true, seed, started: clock::now(), ..Options::default() };
        let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0)), &options).await?;
        let secret = signing_secret();
        let receiver = Receiver::start(&secret).await?;
        let folder = Folder::create()?;
        let who = simulator.announcement();
        folder.write("client.secret", &who.client_secret)?;
        folder.write("probed.secret", &probed_secret(who).await?)?;
        folder.write("webhook.secret", &secret)?;
        let web = web_address().await?;
        let file = folder.write("scopewarden.toml", &configuration(who, &receiver.url, web.local_addr()?))?;
        // Variables of the user's shell are about the user's own configuration, not about this one.
        let config = Config::load_in(Some(&file), &Environment::from_iter::<[(&str, &str); 0]>([]))?;
        Ok(Self { config, simulator, receiver, web: Some(web), _folder: folder })
    }

    /// Lets go of the address of the pages and metrics, for the daemon to take it.
    pub(super) fn free_web_address(&mut self) {
        self.web = None;
    }
}

fn configuration(who: &Announcement, receiver: &str, listen: SocketAddr) -> String {
    let Announcement { url, client_id, .. } = who;
    format!(
        r#"# Written by `scopewarden demo`. For an organisation of your own, change [[org]] and [[receiver]].

[storage]
url = "sqlite:scopewarden.db"

[server]
listen = "{listen}"

[audit]
schedule = "0 * * * * *"                # second 0 of every minute
grant_calls = 30                        # look at every client's grants in every audit

[[org]]
name = "{ORG}"
login_url = "{url}"      # yours: region = "mypurecloud.ie" (or another) instead of
api_url = "{url}"        # these two
client_id = "{client_id}"
client_secret_file = "client.secret"

[[org.probe]]                           # a client whose refusals are tried out with its own token
client = "{PROBED}"
client_secret_file = "probed.secret"

[[receiver]]
name = "secops"
kind = "webhook"
url = "{receiver}"
secret_file = "webhook.secret"
"#
    )
}

/// The secret of the probed client, which its owner would give.
async fn probed_secret(who: &Announcement) -> anyhow::Result<String> {
    // reqwest takes the process's provider; that another part of the program installed it first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
    let clients = http.get(format!("{}/_simulator/clients", who.url)).send().await?.error_for_status()?;
    let clients: Vec<Value> = clients.json().await?;
    let found = clients.iter().find(|client| client["name"] == PROBED);
    let secret = found.and_then(|client| client["secret"].as_str());
    Ok(secret.with_context(|| format!("{PROBED} has no secret"))?.to_owned())
}

/// The usual port if it is free, else any.
async fn web_address() -> anyhow::Result<TcpListener> {
    match TcpListener::bind(USUAL_LISTEN).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind("127.0.0.1:0").await.context("no port for the pages and metrics"),
    }
}

/// A fresh `whsec_…`: 40 letters of base64 are 30 bytes.
fn signing_secret() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = rand::rng();
    let letters = (0..40).filter_map(|_| LETTERS.choose(&mut random)).map(|letter| char::from(*letter));
    format!("whsec_{}", letters.collect::<String>())
}

/// A folder that goes when this value does.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        // Short, because people copy it. One that exists already is refused below, whoever made it.
        let path = std::env::temp_dir().join(format!("scopewarden-demo-{:08x}", rand::random::<u32>()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| {
            format!("{} cannot be made; may this user write there ($TMPDIR decides where)?", path.display())
        })?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        writeln!(file, "{}", text.trim_end())
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about a folder that does not go; it lies where temporary things lie.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    #[test]
    fn the_folder_is_private_and_goes() {
        let folder = Folder::create().unwrap();
        let file = folder.write("a.secret", "text").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.0), mode(&file)), (0o700, 0o600));
        let path = folder.0.clone();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn signing_secrets_are_good_and_never_the_same() {
        assert!(standardwebhooks::Webhook::new(&signing_secret()).is_ok());
        assert_ne!(signing_secret(), signing_secret());
    }
}
