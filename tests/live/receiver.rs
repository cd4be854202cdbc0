//! A receiver of alerts that keeps every request that it got, byte for byte and in order.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};

use serde_json::Value;

use super::wire::{self, Answer, Request, Traps};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

impl Alert {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The uids of the findings that it names.
    pub(crate) fn findings(&self) -> Vec<String> {
        let json = self.json();
        let findings = json["data"]["findings"].as_array().cloned().unwrap_or_default();
        findings.iter().map(|finding| finding["uid"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) struct Receiver {
    pub(crate) name: &'static str,
    pub(crate) traps: Traps,
    url: String,
    status: Arc<AtomicU16>,
    alerts: Arc<Mutex<Vec<Alert>>>,
}

impl Receiver {
    pub(crate) async fn start(name: &'static str) -> Self {
        let (traps, status, alerts) =
            (Traps::default(), Arc::new(AtomicU16::new(204)), Arc::new(Mutex::new(Vec::new())));
        let (kept, answered) = (Arc::clone(&alerts), Arc::clone(&status));
        let address = wire::serve(traps.clone(), move |request| {
            // Kept before it is answered: who has the answer may rely on it.
            keep(&kept, &request);
            let status = answered.load(Ordering::Relaxed);
            async move { Answer { status, ..Answer::default() } }
        });
        Self { name, traps, url: format!("http://{}/hook", address.await), status, alerts }
    }

    /// Its part of the configuration.
    pub(crate) fn section(&self) -> String {
        format!(
            "[[receiver]]\nname = \"{}\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"signing-secret\"\n",
            self.name, self.url
        )
    }

    /// Answers with this status from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// All that came, in the order in which it came.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.alerts.lock().unwrap().clone()
    }
}

fn keep(alerts: &Mutex<Vec<Alert>>, request: &Request) {
    let id = request.header("webhook-id").unwrap_or_default().to_owned();
    alerts.lock().unwrap().push(Alert { id, body: request.body.clone() });
}
