//! What each of these tests needs: an organisation behind a gate, a receiver, a folder with a configuration.

use std::time::Duration;

use crate::live::{gate::Gate, organisation::Organisation, process::Home, receiver::Receiver};

/// No single step takes longer, on however busy a machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) organisation: Organisation,
    pub(crate) gate: Gate,
    pub(crate) receiver: Receiver,
    pub(crate) home: Home,
}

impl Stage {
    /// With `acme` and `secops`, and an audit each second.
    pub(crate) async fn set() -> Self {
        let organisation = Organisation::start().await;
        let gate = Gate::before(&organisation.announcement().url).await;
        let receiver = Receiver::start("secops").await;
        let home = Home::new(&organisation.announcement().client_secret);
        let stage = Self { organisation, gate, receiver, home };
        stage.home.configure("", &stage.usual());
        stage
    }

    /// The organisation behind the gate, and the receiver.
    pub(crate) fn usual(&self) -> String {
        [self.organisation.section("acme", &self.gate.url), self.receiver.section()].concat()
    }

    /// The same organisation under another name, without the gate.
    pub(crate) fn other(&self, name: &str) -> String {
        self.organisation.section(name, &self.organisation.announcement().url)
    }

    /// Audits recorded of an organisation.
    pub(crate) fn audits(&self, org: &str) -> u64 {
        let verified = self.home.run(&["verify", "--org", org, "--json"]);
        if verified.code == Some(1) && verified.stdout.is_empty() {
            return 0;
        }
        let json = verified.json();
        assert_eq!(json["consistent"], true, "{json}");
        json["audits"].as_u64().unwrap()
    }
}
