//! What is on this side: the database, and the way to each receiver.
//!
//! Enters: the configuration. Leaves: answers. Must never: change the record (a schema that is old stays old), hold the
//! lock longer than it takes to see that it is free, or send a receiver anything unasked.

use chrono::{DateTime, Utc};
use rustix::fs::{Access, access};
use uuid::Uuid;

use super::{Answer, Verdict};
use crate::{
    config::{Config, Receiver, Target},
    daemon::lock,
    domain::{message, rendering::alerts},
    notify::{self, Channel, Outcome},
    store::Store,
};

/// The database: can it be opened, is it writable, does anybody audit, is there room?
pub(super) async fn database(config: &Config) -> Vec<Answer> {
    let path = &config.storage.path;
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| std::path::PathBuf::from("."), std::path::Path::to_path_buf);
    let writes = |place: &std::path::Path| access(place, Access::WRITE_OK).is_ok();
    let who = "run doctor as the user that the daemon runs as; that user has to own the folder and the file";
    if !path.exists() {
        return vec![if folder.is_dir() && writes(&folder) {
            let detail = format!("{shown} is not there yet; the first audit makes it");
            Answer::of("database", Verdict::Ok, detail)
        } else {
            let detail = format!("{shown} is not there, and {} cannot be written to", folder.display());
            Answer::of("database", Verdict::Problem, detail).advise(who)
        }];
    }
    let mut answers = Vec::new();
    answers.push(match Store::open_read_only(path).await {
        Ok(store) => {
            let free = store.free_bytes().await.ok();
            store.close().await;
            match free {
                Some(free) if free < config.storage.min_free => {
                    let detail = format!(
                        "{free} bytes are free on its file system, storage.min_free is {}",
                        config.storage.min_free
                    );
                    Answer::of("database", Verdict::Problem, detail)
                        .advise("free space: audits wait until then")
                }
                _ => Answer::of("database", Verdict::Ok, format!("{shown} opens")),
            }
        }
        Err(error) => Answer::of("database", Verdict::Problem, error.to_string())
            .advise("see \"Storage\" and \"Restore\" in docs/operations.md"),
    });
    answers.push(if writes(path) && writes(&folder) {
        Answer::of("database writable", Verdict::Ok, "file and folder")
    } else {
        let detail = format!("this user may not write {shown} or its folder");
        Answer::of("database writable", Verdict::Problem, detail).advise(who)
    });
    answers.push(match lock::acquire(path) {
        Ok(_) => Answer::of("lock", Verdict::Ok, "free: no daemon and no audit is running here"),
        Err(lock::Error::Held(_)) => Answer::of("lock", Verdict::Ok, "held: a daemon or an audit is running"),
        Err(error) => Answer::of("lock", Verdict::CannotTell, error.to_string()).advise(who),
    });
    answers
}

/// Whether a receiver takes connections, or its file can be written to.
pub(super) async fn reached(receiver: &Receiver) -> Answer {
    let probe = format!("receiver {}", receiver.name);
    match notify::reach(receiver).await {
        Ok(found) => Answer::of(probe, Verdict::Ok, found),
        Err(why) => Answer::of(probe, Verdict::Problem, why).advise(match receiver.target {
            Target::OcsfFile { .. } => {
                "check the receiver's path in the configuration, and who owns the folder"
            }
            _ => "check the receiver's URL and its proxy in the configuration, and the firewall",
        }),
    }
}

/// Whether a receiver takes a message.
pub(super) async fn tested(config: &Config, receiver: &Receiver, now: DateTime<Utc>) -> Answer {
    let probe = format!("test message to {}", receiver.name);
    let refused = |detail: String| {
        Answer::of(&probe, Verdict::Problem, detail)
            .advise("the receiver's log says why; a wrong secret and a clock that is off look alike there")
    };
    match send_test(config, receiver, now).await {
        Ok(sent) => Answer::of(&probe, Verdict::Ok, sent),
        Err(detail) => refused(detail),
    }
}

/// Sends what is the test of the receiver's kind. What was done is one sentence, and so is the error.
async fn send_test(config: &Config, receiver: &Receiver, now: DateTime<Utc>) -> Result<String, String> {
    let number = Uuid::new_v4().simple().to_string();
    let link = config.server.external_url.as_str();
    if let Some(peers) = notify::alertmanager(receiver).map_err(|error| error.to_string())? {
        let alert = alerts::test(&receiver.name, &number, link, now);
        let told = peers.tell(&[alert], now).await;
        let count = told.len();
        return match told.into_iter().find_map(|peer| peer.trouble).and_then(detail) {
            Some(detail) => Err(detail),
            None => {
                Ok(format!("taken by {count} (alert ScopewardenTest, test {number}; it ends in 4 minutes)"))
            }
        };
    }
    let message = message::test(&receiver.name, &number, link, now);
    let Some(channel) = Channel::new(receiver).map_err(|error| error.to_string())? else {
        return Err("this receiver gets no messages".to_owned());
    };
    match detail(channel.deliver(&message.id, message.body.as_bytes(), now).await) {
        Some(detail) => Err(detail),
        None => Ok(match receiver.target {
            Target::Webhook { .. } => format!("taken (webhook-id {})", message.id),
            Target::PagerDuty { .. } => {
                format!("taken (dedup_key {}; resolve the incident in PagerDuty)", message.id)
            }
            Target::Teams { .. } => format!("taken ({}; see whether the card appears)", message.id),
            _ => format!("taken ({})", message.id),
        }),
    }
}

/// Why it was not taken.
fn detail(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Delivered => None,
        Outcome::Retry { detail, .. }
        | Outcome::Refused { detail, .. }
        | Outcome::Dead { detail, .. }
        | Outcome::Disabled { detail } => Some(detail),
    }
}
