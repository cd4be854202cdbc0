//! An in-memory Genesys Cloud organisation behind real HTTP, for the demo, rehearsals and tests.
//!
//! Every operation of the platform answers: token, rate limit, scope, permission, division and unknown ids are checked
//! as the platform checks them, with its error codes. Clients, roles, divisions, grants, users and queues are real
//! state, read and changed through the platform's own endpoints; `/_simulator/` adds faults and settings.
//!
//! Enters: a seed and sizes. Leaves: HTTP. It imports nothing of ours: what it enforces is a second opinion on what
//! the rest of this program predicts, so it must never share a line with it.
//!
//! Reading order: `server` (the checks), `power` (who may do what), `organisation` (the state), `platform` (the
//! endpoints), then the rest.

mod answer;
mod call;
mod clock;
mod connection;
mod definition;
mod faults;
mod login;
mod operations;
mod organisation;
mod platform;
mod power;
mod private;
mod server;
mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use connection::{Exchange, Line};
use organisation::Organisation;
use server::World;

/// What organisation to simulate. The same options give the same organisation, ids and secrets included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// OAuth clients, the two announced ones included.
    pub clients: usize,
    /// Roles, those of the announced clients included.
    pub roles: usize,
    /// Divisions, Home included.
    pub divisions: usize,
    /// Decides everything that is random.
    pub seed: u64,
    /// Whether unknown ids and malformed bodies are noticed before missing permissions.
    pub lookup_first: bool,
    /// The demonstration's organisation instead of a random one; the sizes are then its own.
    pub story: bool,
    /// When the audit log's clock starts; from there it goes on by itself. Whoever compares it with a wall clock gives the
    /// present.
    pub started: DateTime<Utc>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clients: 20,
            roles: 12,
            divisions: 4,
            seed: 1,
            lookup_first: false,
            story: false,
            started: organisation::identity::epoch(),
        }
    }
}

/// Where the simulator listens and who may talk to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announcement {
    /// Serves the login endpoint and the API.
    pub url: String,
    /// The organisation's id.
    pub org_id: String,
    /// The auditor's client, which holds exactly what an audit needs.
    pub client_id: String,
    /// The auditor's secret.
    pub client_secret: String,
    /// A client that may do everything, to change the organisation with.
    pub admin_client_id: String,
    /// The administrator's secret.
    pub admin_client_secret: String,
}

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {listen}: {source}; choose another address, or port 0 for any free one")]
    Listen {
        /// The address that was asked for.
        listen: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    announcement: Announcement,
    serving: JoinHandle<std::io::Result<()>>,
    _stop: DropGuard,
}

impl Simulator {
    /// Makes the organisation and listens; once this returns, requests are answered. Port 0 takes any free port.
    pub async fn start(listen: SocketAddr, options: &Options) -> Result<Self, Error> {
        let bound = TcpListener::bind(listen).await;
        let listener = bound.map_err(|source| Error::Listen { listen, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { listen, source })?;
        let organisation = Organisation::new(options);
        let announcement = announce(address, &organisation);
        let world = World {
            organisation,
            settings: private::Settings::new(options.lookup_first),
            tokens: tokens::Tokens::default(),
            faults: faults::Faults::default(),
            definition: definition::Published::default(),
            usage: platform::usage::Usage::default(),
            audits: platform::audits::Audits::default(),
            clock: clock::Clock::starting(options.started),
        };
        let service = Router::new()
            .fallback(server::handle)
            .with_state(Arc::new(Mutex::new(world)))
            .into_make_service_with_connect_info::<Line>();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(Exchange(listener), service).with_graceful_shutdown(stopped);
        let serving = tokio::spawn(async move { serving.await });
        Ok(Self { announcement, serving, _stop: stop.drop_guard() })
    }

    /// Where it listens, and the credentials of its two announced clients.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Waits until it no longer serves, which only a failure of the runtime brings about while it is held.
    pub async fn stopped(&mut self) {
        // Neither outcome leaves anything to do: a cancelled task and a finished one have both stopped.
        let _ = (&mut self.serving).await;
    }
}

fn announce(address: SocketAddr, organisation: &Organisation) -> Announcement {
    let secret =
        |id: &str| organisation.clients.get(id).map(|client| client.secret.clone()).unwrap_or_default();
    Announcement {
        url: format!("http://{address}"),
        org_id: organisation.id.clone(),
        client_id: organisation.auditor.clone(),
        client_secret: secret(&organisation.auditor),
        admin_client_id: organisation.administrator.clone(),
        admin_client_secret: secret(&organisation.administrator),
    }
}
