//! A receiver that gets each message once, whatever its kind.
//!
//! Enters: a receiver as configured. Leaves: a [`Channel`] that delivers messages to it. Must never: be made of an
//! Alertmanager, which gets no messages.

use chrono::{DateTime, Utc};

use super::{
    Outcome, alertmanager::Alertmanager, http::Error, ocsf_file::OcsfFile, pagerduty::PagerDuty,
    slack::Slack, teams::Teams, webhook::Webhook,
};
use crate::config::{Receiver, Target};

/// One receiver, ready to be delivered to.
#[derive(Debug)]
pub struct Channel {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Webhook(Webhook),
    Slack(Slack),
    Teams(Teams),
    PagerDuty(PagerDuty),
    OcsfFile(OcsfFile),
}

impl Channel {
    /// Builds the receiver; `None` for an Alertmanager. Fails if its secret or its address cannot be used. Nothing is
    /// connected to and no file is opened yet.
    pub fn new(receiver: &Receiver) -> Result<Option<Self>, Error> {
        let kind = match &receiver.target {
            Target::Webhook { url, secret, previous } => {
                Kind::Webhook(Webhook::new(receiver, url, secret, previous.as_ref())?)
            }
            Target::Alertmanager { .. } => return Ok(None),
            Target::Slack { url } => Kind::Slack(Slack::new(receiver, url)?),
            Target::Teams { url } => Kind::Teams(Teams::new(receiver, url)?),
            Target::PagerDuty { url, routing_key } => {
                Kind::PagerDuty(PagerDuty::new(receiver, url, routing_key)?)
            }
            Target::OcsfFile { path, rotate_bytes, keep } => {
                Kind::OcsfFile(OcsfFile::new(path.clone(), *rotate_bytes, *keep))
            }
        };
        Ok(Some(Self { name: receiver.name.clone(), kind }))
    }

    /// The receiver's configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes one attempt. `id` and `body` are the same at every attempt at a message, and so is what the receiver gets
    /// (a signature apart, which is of `now`).
    pub async fn deliver(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Outcome {
        match &self.kind {
            Kind::Webhook(webhook) => webhook.deliver(id, body, now).await,
            Kind::Slack(slack) => slack.deliver(id, body, now).await,
            Kind::Teams(teams) => teams.deliver(id, body, now).await,
            Kind::PagerDuty(pagerduty) => pagerduty.deliver(id, body, now).await,
            Kind::OcsfFile(file) => file.deliver(id, body).await,
        }
    }
}

/// The Alertmanager that a receiver is; `None` if it is something else. Fails if its address cannot be used.
pub fn alertmanager(receiver: &Receiver) -> Result<Option<Alertmanager>, Error> {
    match &receiver.target {
        Target::Alertmanager { peers, access } => Alertmanager::new(receiver, peers, access).map(Some),
        _ => Ok(None),
    }
}
